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

__all__ = ["own_reports", "own_task", "split_names"]

TASKS = {"text": ("bench.tasks.text:Text", "train"), "midi": ("bench.tasks.text:Midi", "folder")}
"""What stands before the colon to the class and the field that stands after it."""
NAME = "name"
"""The key that is no field: what tables call the task."""


def split_names(value: str) -> tuple[str, ...]:
    """Names parted by commas; ``key=value`` after a task of one's own belongs to that.

    Example:
        >>> split_names("toy, text:train.txt,level=char")
        ('toy', 'text:train.txt,level=char')
    """
    names: list[str] = []
    for part in (part.strip() for part in value.split(",")):
        if "=" in part and names and _kind(names[-1]) and not _kind(part):
            names[-1] += f",{part}"
        elif part and names and _kind(names[-1]) and Path(f"{names[-1].partition(':')[2]},{part}").exists():
            raise UsageError(f"commas part tasks and options, so a file cannot have one in its name: rename '{part}'.")
        elif part:
            names.append(part)
    return tuple(names)


def own_task(name: str) -> tuple[Plugin, dict[str, Any]] | None:
    """The task and the fields that a name like ``text:train.txt,level=char`` stands for.

    Tables call it ``text:train.txt``, by the file's name without its folder, or ``text:NAME`` after ``name=NAME``.

    Returns:
        None for the name of any other task.

    Raises:
        UsageError: for a missing file or value, an unknown key, one given twice, or a value of another type.

    Example:
        >>> own_task("text:train.txt,max_len=20")[1]["max_len"]
        20
    """
    kind = _kind(name)
    if kind is None:
        return None
    target, place = TASKS[kind]
    first, *parts = name.partition(":")[2].split(",")
    example = "text:train.txt,level=char" if kind == "text" else "midi:tunes"
    if not first.strip():
        raise UsageError(f"expected a {_noun(place)} after '{kind}:', as in --tasks {example}, got '{name}'.")
    texts = {place: first}
    for part in parts:
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if not (key and equals and value):
            raise UsageError(f"expected key=value after '{kind}:{first},', as in --tasks {example}, got '{part}'.")
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
        if known[key].metadata.get("place")
        else convert(kind, task, key, value)
        for key, value in texts.items()
    }
    return plugin, fields


def own_reports(specs: Iterable[RunSpec]) -> dict[str, tuple[str, ...]]:
    """What is to be said about the data of each task of the user's own, by the name that tables show.

    All of it is read, so that what will not do is refused before anything is trained.

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
    """What stands before the colon, where that is one of ours."""
    kind, colon, _ = name.partition(":")
    return kind if colon and kind in TASKS else None


def _noun(place: str) -> str:
    return "folder" if place == "folder" else "file"
