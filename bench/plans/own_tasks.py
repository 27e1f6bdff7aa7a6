"""A user's own data on the command line: ``text:FILE,key=value,...`` and ``midi:FOLDER,...`` among the tasks."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from bench.errors import UsageError, unknown
from bench.plans.fields import build, convert
from bench.plans.registry import Plugin, PluginError
from bench.records.record import RunSpec

__all__ = ["OWN", "own_reports", "own_task", "split_names"]

TASKS = {"text": ("bench.tasks.text:Text", "train"), "midi": ("bench.tasks.text:Midi", "folder")}
"""Prefix before the colon to the task's class and the field that the text after the colon sets."""
OWN = {kind: Plugin("task", kind, target) for kind, (target, _) in TASKS.items()}
"""The tasks made of the user's own data, as plugins."""
NAME = "name"
"""The only key that is not a field: the task's name in tables."""


def split_names(value: str) -> tuple[str, ...]:
    """Split names at commas; ``key=value`` after a user's own task belongs to that task.

    Example:
        >>> split_names("toy, text:train.txt,level=char")
        ('toy', 'text:train.txt,level=char')
    """
    names: list[str] = []
    for part in (part.strip() for part in value.split(",")):
        if "=" in part and names and _kind(names[-1]) and not _kind(part):
            names[-1] += f",{part}"
        elif part and names and _kind(names[-1]) and Path(f"{names[-1].partition(':')[2]},{part}").exists():
            raise UsageError(
                f"commas separate tasks and options, so a file cannot have one in its name: rename '{part}'."
            )
        elif part:
            names.append(part)
    return tuple(names)


def own_task(name: str) -> tuple[Plugin, dict[str, Any]] | None:
    """The task and the fields that a name like ``text:train.txt,level=char`` stands for.

    In tables it is ``text:train.txt``, with the file's name without its folder, or ``text:NAME`` after ``name=NAME``.

    Returns:
        None for the name of any other task.

    Raises:
        UsageError: for a missing file or value, an unknown key, a key given twice, or a value of another type.

    Example:
        >>> own_task("text:train.txt,max_len=20")[1]["max_len"]
        20
    """
    kind = _kind(name)
    if kind is None:
        return None
    target, main_field = TASKS[kind]
    first, *parts = name.partition(":")[2].split(",")
    example = "text:train.txt,level=char" if kind == "text" else "midi:tunes"
    if not first.strip():
        raise UsageError(f"expected a {_noun(main_field)} after '{kind}:', as in {example}, got '{name}'.")
    texts = {main_field: first}
    for part in parts:
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if not (key and equals and value):
            raise UsageError(f"expected key=value after '{kind}:{first},', as in {example}, got '{part}'.")
        if key in texts:
            raise UsageError(f"'{key}' is given twice in '{name}'.")
        texts[key] = value
    shown = texts.pop(NAME, Path(first).name or first)
    plugin = Plugin("task", f"{kind}:{shown}", target)
    try:
        task = plugin.load()
    except PluginError as error:
        raise UsageError(f"{error}.") from error
    known = {field.name: field for field in dataclasses.fields(task)}
    strangers = [key for key in texts if key not in known]
    if strangers:
        raise unknown(f"key of '{kind}:'", strangers[0], [*known, NAME])
    fields = {
        key: str(Path(value).expanduser().absolute())
        if known[key].metadata.get("path")
        else convert(kind, task, key, value)
        for key, value in texts.items()
    }
    return plugin, fields


def own_reports(specs: Iterable[RunSpec]) -> dict[str, tuple[str, ...]]:
    """Report lines on the data of each of the user's own tasks, by the task's name in tables.

    All of the data are read, so that unusable data are refused before anything is trained.

    Raises:
        UsageError: for data that cannot be used.
    """
    found: dict[str, tuple[str, ...]] = {}
    for spec in specs:
        if _kind(spec.task) and spec.task_label not in found:
            task = Plugin("task", spec.task, spec.task_target).load()
            found[spec.task_label] = build(task, spec.task_config).report()
    return found


def _kind(name: str) -> str | None:
    """The prefix before the colon, if it is one of :data:`TASKS`."""
    kind, colon, _ = name.partition(":")
    return kind if colon and kind in TASKS else None


def _noun(field: str) -> str:
    return "folder" if field == "folder" else "file"
