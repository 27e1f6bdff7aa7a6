"""A user's own files on the command line.

``text:FILE``, ``midi:FOLDER`` and ``checkins:FILE`` are tasks, ``samples:FILE`` is a model.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.errors import UsageError, unknown
from bench.plans.fields import build, convert
from bench.plans.registry import Plugin, PluginError
from bench.records.record import RunSpec

__all__ = ["OWN", "own_model", "own_reports", "own_task", "split_names"]

OWN = {
    "text": Plugin("task", "text", "bench.tasks.text:Text"),
    "midi": Plugin("task", "midi", "bench.tasks.text:Midi"),
    "checkins": Plugin("task", "checkins", "bench.tasks.checkins:Checkins"),
    "samples": Plugin("model", "samples", "bench.models.sample_file:SampleFile", role="contender"),
}
"""Prefix before the colon to the task or model that is made of the user's own files."""
MAIN = {"text": "train", "midi": "folder", "checkins": "file", "samples": "file"}
"""Prefix to the field that the text after the colon sets."""
EXAMPLES = {
    "text": "text:train.txt,level=char",
    "midi": "midi:tunes",
    "checkins": "checkins:dataset_TSMC2014_NYC.txt,min_count=5",
    "samples": "samples:mine-{seed}.txt,name=mine",
}
CONTENT = "content"
"""The field of a model for what its files hold, which the plan fills in."""
NAME = "name"
"""The only key that is not a field: the name in tables."""


def split_names(value: str) -> tuple[str, ...]:
    """Split names at commas; ``key=value`` after a user's own files belongs to these.

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
                f"commas separate names and options, so a file cannot have one in its name: rename '{part}'."
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
    return _own("task", name)


def own_model(name: str) -> tuple[Plugin, dict[str, Any]] | None:
    """The model and the fields that a name like ``samples:mine-{seed}.txt,name=mine`` stands for.

    Returns:
        None for the name of any other model.

    Raises:
        UsageError: as :func:`own_task`.
    """
    return _own("model", name)


def _own(sort: str, name: str) -> tuple[Plugin, dict[str, Any]] | None:
    kind = _kind(name)
    if kind is None:
        return None
    if OWN[kind].kind != sort:
        raise UsageError(f"'{kind}:' is a {OWN[kind].kind}, not a {sort}: give '{name}' to --{OWN[kind].kind}s.")
    main_field = MAIN[kind]
    first, *parts = name.partition(":")[2].split(",")
    example = EXAMPLES[kind]
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
    plugin = replace(OWN[kind], name=f"{kind}:{shown}")
    try:
        loaded = plugin.load()
    except PluginError as error:
        raise UsageError(f"{error}.") from error
    known = {field.name: field for field in dataclasses.fields(loaded) if field.name != CONTENT}
    strangers = [key for key in texts if key not in known]
    if strangers:
        raise unknown(f"key of '{kind}:'", strangers[0], [*known, NAME])
    fields = {
        key: str(Path(value).expanduser().absolute())
        if known[key].metadata.get("path")
        else convert(kind, loaded, key, value)
        for key, value in texts.items()
    }
    return plugin, fields


def own_reports(specs: Iterable[RunSpec]) -> dict[str, tuple[str, ...]]:
    """Report lines on the user's own files: of each task by its name in tables, of each model by its name and the task.

    All of the files are read, so that unusable ones are refused before anything is trained.

    Raises:
        UsageError: for files that cannot be used.
    """
    found: dict[str, tuple[str, ...]] = {}
    for spec in specs:
        if _kind(spec.task) and spec.task_label not in found:
            found[spec.task_label] = _task(spec).report()
        if spec.files:
            model = build(Plugin("model", spec.model, spec.target).load(), {**spec.config, **spec.files})
            title = f"{spec.label} on {spec.task_label}"
            found[title] = (*found.get(title, ()), *model.report((data := _task(spec).load()).training, data.test))
    return found


def _task(spec: RunSpec) -> Any:
    return build(Plugin("task", spec.task, spec.task_target).load(), spec.task_config)


def _kind(name: str) -> str | None:
    """The prefix before the colon, if it is one of :data:`OWN`."""
    kind, colon, _ = name.partition(":")
    return kind if colon and kind in OWN else None


def _noun(field: str) -> str:
    return "folder" if field == "folder" else "file"
