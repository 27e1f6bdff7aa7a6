"""The accepted results: a tidy file with one row per seed, the base of a later comparison."""

from __future__ import annotations

import csv
import io
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from bench.errors import UsageError
from bench.records.frames import FINAL, MISSING, REAL_DATA, as_rows, completed
from bench.records.record import STATUSES
from bench.visible import cell, uncell, visible

__all__ = ["COLUMNS", "Key", "arranged", "cells", "read", "require_finished", "text", "tidy"]

COLUMNS = (
    *("task", "preset", "model", "checkpoint", "metric", "seed", "status", "value", "absent"),
    *("unit", "direction", "signature", "data"),
)
LOST = ("interrupted", "started", MISSING)
UNFINISHED = ("failed", *LOST)
DIRECTIONS = ("lower", "higher", "real")
MAKE = "make one with 'bench accept RESULTS'"


class Key(NamedTuple):
    """A cell: what all seeds of one score share; metric and checkpoint are empty for a run without scores."""

    task: str
    preset: str
    model: str
    checkpoint: str
    metric: str


def arranged(keys: Iterable[Key]) -> list[Key]:
    """Cells in the order of the file: by name, but the real data first, and final before pre-trained."""

    def order(key: Key) -> tuple[Any, ...]:
        return (
            *(key.task, key.preset),
            *(key.model != REAL_DATA, key.model),
            *(key.checkpoint != FINAL, key.checkpoint),
            key.metric,
        )

    return sorted(keys, key=order)


def tidy(runs: pd.DataFrame, scores: pd.DataFrame) -> pd.DataFrame:
    """The quality scores of every seed; costs depend on the machine and are left out.

    Args:
        runs: One row per run; ``data`` is the hash of the tokens it used, empty where that is not known.
        scores: One row for each (run, checkpoint, metric).

    Returns:
        A frame with :data:`COLUMNS` in a stable order. ``value`` is NaN where ``absent`` says why there is none. A run
        without scores has one row with an empty metric, whose ``status`` and ``absent`` say what happened.
    """
    kept = completed(runs, scores)
    kept = kept[kept["kind"] == "quality"]
    facts = {run["run_id"]: run for run in as_rows(runs)}
    rows = [
        {**score, **{name: facts[score["run_id"]].get(name) for name in ("status", "data")}} for score in as_rows(kept)
    ]
    bare = runs[~runs["run_id"].isin(kept["run_id"])]
    rows += [{**run, "value": math.nan, "absent": run["reason"]} for run in as_rows(bare)]
    filled = [{name: "" if _none(row.get(name), name) else _plain(row[name]) for name in COLUMNS} for row in rows]
    by_key: dict[Key, list[dict[str, Any]]] = {}
    for row in filled:
        by_key.setdefault(Key(*(row[name] for name in Key._fields)), []).append(row)
    ordered = [row for key in arranged(by_key) for row in sorted(by_key[key], key=lambda row: row["seed"])]
    frame: pd.DataFrame = pd.DataFrame(ordered, columns=list(COLUMNS))
    return frame


def cells(frame: pd.DataFrame) -> set[Key]:
    """The scores in a frame, whatever their seeds."""
    keys = (Key(*(row[name] for name in Key._fields)) for row in as_rows(frame))
    return {key for key in keys if key.metric}


def text(frame: pd.DataFrame) -> str:
    """The content of the file, with every digit, so that :func:`read` gives the same numbers back."""
    texts = frame.select_dtypes(include=["object", "string"]).columns
    safe = frame.assign(**{name: frame[name].map(cell) for name in texts})
    content: str = safe.to_csv(index=False, lineterminator="\n")
    return content


def require_finished(frame: pd.DataFrame, folder: Path, unfit: Sequence[str] = UNFINISHED) -> None:
    """Accept only results in which every run has ended, and at least one is ok.

    Args:
        frame: What :func:`tidy` gave.
        folder: Where they are, for messages.
        unfit: The states of runs that are refused.

    Raises:
        UsageError: otherwise; it says how many runs did not finish.
    """
    runs = frame.drop_duplicates(["task", "preset", "model", "seed"])
    counts = Counter(runs["status"])
    found = ", ".join(f"{counts[status]} {status}" for status in unfit if counts[status])
    if found:
        raise UsageError(f"expected only finished runs in '{folder}', got {found}; fix these and run them again.")
    if not counts["ok"]:
        raise UsageError(f"expected a finished run in '{folder}', got none; 'bench run' makes them.")


def read(path: Path) -> pd.DataFrame:
    """Read the file back; the order of its columns does not matter.

    Args:
        path: What :func:`text` gave.

    Returns:
        A frame with :data:`COLUMNS`, as from :func:`tidy`; a value that is NaN or infinite stays as it is.

    Raises:
        UsageError: for anything else, with the line and column of the first mistake.
    """
    if path.is_dir():
        raise UsageError(f"expected a file of accepted results, but '{path}' is a folder; {MAKE}.")
    if path.exists() and not path.is_file():  # reading it might wait forever
        raise UsageError(f"expected a file of accepted results, got the pipe or device '{path}'; {MAKE}.")
    try:
        content = path.read_text(encoding="utf-8-sig")  # with a mark of byte order, as spreadsheets write it
    except OSError as error:
        raise UsageError(f"cannot read the accepted results '{path}': {error.strerror}; {MAKE}.") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"expected accepted results in '{path}', which is not UTF-8 text; {MAKE}.") from error
    rows: list[dict[str, Any]] = []
    seen: dict[tuple[Any, ...], int] = {}
    for line, row in _parsed(path, content):
        name = tuple(row[name] for name in (*Key._fields, "seed"))
        if name in seen:
            raise UsageError(f"'{path}', line {line}: the same score is already in line {seen[name]}; {MAKE}.")
        seen[name] = line
        rows.append(row)
    if not rows:
        raise UsageError(f"expected accepted results in '{path}', which has no rows; {MAKE}.")
    frame: pd.DataFrame = pd.DataFrame(rows, columns=list(COLUMNS))
    return frame


def _plain(value: Any) -> Any:
    """A value as the file can hold it."""
    return visible(value) if isinstance(value, str) else value


def _none(value: Any, name: str) -> bool:
    return name != "value" and bool(pd.isna(value))


def _parsed(path: Path, content: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """The checked rows, each with the line on which it ends."""
    lines = csv.reader(io.StringIO(content, newline=""), strict=True)
    try:
        header = next(lines, None)
        _check_header(path, header)
        for cells in lines:
            if len(cells) != len(COLUMNS):
                message = f"expected {len(COLUMNS)} cells, got {len(cells)}"
                raise UsageError(f"'{path}', line {lines.line_num}: {message}; {MAKE}.")
            row = dict(zip(header or (), map(uncell, cells), strict=True))
            try:
                yield lines.line_num, _checked(row)
            except ValueError as error:
                raise UsageError(f"'{path}', line {lines.line_num}, {error}; {MAKE}.") from error
    except csv.Error as error:
        raise UsageError(f"'{path}', line {lines.line_num}: {error}; {MAKE}.") from error


def _check_header(path: Path, header: list[str] | None) -> None:
    if header is None:
        raise UsageError(f"expected accepted results in '{path}', which is empty; {MAKE}.")
    if {"mean", "low", "high"} <= set(header):
        raise UsageError(
            f"expected one row per seed, but '{path}' is a leaderboard: means over seeds cannot be paired; {MAKE}."
        )
    if len(header) == 1 and any(mark in header[0] for mark in ";\t"):
        raise UsageError(
            f"'{path}', line 1: expected commas between the columns, got '{header[0][:40]}...': a spreadsheet has "
            "saved it otherwise; take the file as it was committed."
        )
    missing = [name for name in COLUMNS if name not in header]
    strange = [name for name in header if name not in COLUMNS]
    for what, names in (("lacks the column", missing), ("has an unknown column", strange)):
        if names:
            raise UsageError(f"'{path}', line 1: {what} '{names[0]}'; {MAKE}.")
    if len(header) != len(COLUMNS):
        raise UsageError(f"'{path}', line 1: a column is listed twice; {MAKE}.")


def _checked(row: dict[str, str]) -> dict[str, Any]:
    """A row with its numbers read.

    Raises:
        ValueError: naming the column of the first mistake.
    """
    try:
        seed = int(row["seed"])
    except ValueError as error:
        raise ValueError(f"column 'seed': expected a whole number, got '{row['seed']}'") from error
    if row["status"] not in STATUSES:
        raise ValueError(f"column 'status': expected one of {', '.join(STATUSES)}, got '{row['status']}'")
    try:
        value = float(row["value"] or "nan")
    except ValueError as error:
        raise ValueError(f"column 'value': expected a number, got '{row['value']}'") from error
    if row["metric"]:
        if row["status"] != "ok":
            raise ValueError(f"column 'status': expected ok for a row with a metric, got '{row['status']}'")
        if row["direction"] not in DIRECTIONS:
            raise ValueError(f"column 'direction': expected one of {', '.join(DIRECTIONS)}, got '{row['direction']}'")
        if bool(row["value"]) == bool(row["absent"]):
            raise ValueError("column 'value': expected either a value or the reason why it is absent")
    elif row["value"]:
        raise ValueError("column 'metric': expected a name for a row with a value, got none")
    return {**row, "seed": seed, "value": value}
