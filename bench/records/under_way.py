"""How far the runs under way are: a small file for each, beside the records and no part of them.

A file is there while its run is done, and is replaced now and then. What a killed process left behind is recognised by
the run's lease (:mod:`bench.records.leases`), which nobody holds then: a file counts only as long as somebody does.
"""

from __future__ import annotations

import contextlib
import json
import math
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.records.files import write_atomically
from bench.records.leases import Leases

__all__ = ["Series", "UnderWay", "forget", "keep", "read", "sweep"]

LARGEST = 1_000_000
"""Bytes of a file that is read; one that was written here has a few thousand."""

Series = tuple[tuple[float, float], ...]
"""Steps of all phases so far, and the values there."""


@dataclass(frozen=True, slots=True)
class UnderWay:
    """How far a run is.

    Attributes:
        run_id: Its id.
        task: The task's label.
        model: The model's label.
        preset: The preset's label.
        seed: Its seed.
        device: Where it computes.
        phase: What it does now.
        done: Steps of the phase that are done.
        steps: Steps that the phase has in all, or is expected to have.
        scalars: The latest values that it logged or that its curve was given.
        curves: Name of such a value to the steps that have one, thinned out.
        phases: The name of each phase that logged anything, and the steps that were done before it.
        seconds: Since it was started, as far as the process knows that does it.
        expected: Seconds that it is expected to take in all; None where that is not known.
    """

    run_id: str
    task: str
    model: str
    preset: str
    seed: int
    device: str
    phase: str
    done: int
    steps: int
    scalars: Mapping[str, float] = field(default_factory=dict)
    curves: Mapping[str, Series] = field(default_factory=dict)
    phases: tuple[tuple[str, int], ...] = ()
    seconds: float = 0.0
    expected: float | None = None


def keep(folder: Path, now: UnderWay) -> None:
    """Write how far a run is, unless that cannot be written: no run ends for that.

    Args:
        folder: Made when first written to, in a folder that exists.
        now: The run. Its numbers are finite.
    """
    content = {name: getattr(now, name) for name in UnderWay.__slots__}
    with contextlib.suppress(OSError, ValueError):
        folder.mkdir(exist_ok=True)
        text = json.dumps(content, allow_nan=False, separators=(",", ":"))
        write_atomically(_file(folder, now.run_id), text, lasting=False)


def forget(folder: Path, run_id: str) -> None:
    """Remove what is known of a run, which has ended."""
    with contextlib.suppress(OSError):
        _file(folder, run_id).unlink()


def sweep(folder: Path, leases: Leases) -> None:
    """Remove what killed processes left behind."""
    for file in folder.glob("*.json"):
        if leases.holder(file.stem) is None:
            forget(folder, file.stem)


def read(folder: Path, run_ids: Iterable[str]) -> dict[str, UnderWay]:
    """How far these runs are, by their ids; a run of which nothing can be read is left out.

    Args:
        folder: The folder.
        run_ids: Ids of the runs whose leases somebody holds.
    """
    found = {}
    for run_id in run_ids:
        file = _file(folder, run_id)
        with contextlib.suppress(OSError, ValueError):
            facts = file.stat()
            if facts.st_size > LARGEST:
                continue
            now = _from_json(file.read_text(encoding="utf-8"), max(0.0, time.time() - facts.st_mtime))
            if now.run_id == run_id:
                found[run_id] = now
    return found


def _file(folder: Path, run_id: str) -> Path:
    return folder / f"{run_id}.json"


def _from_json(text: str, age: float) -> UnderWay:
    """The run back from its file, as it is so many seconds later.

    Raises:
        ValueError: for anything else.
    """
    try:
        row = json.loads(text)
        return UnderWay(
            str(row["run_id"]), str(row["task"]), str(row["model"]), str(row["preset"]), int(row["seed"]),
            str(row["device"]), str(row["phase"]), int(row["done"]), int(row["steps"]),
            scalars={str(name): _finite(value) for name, value in row["scalars"].items()},
            curves={
                str(name): tuple((_finite(x), _finite(y)) for x, y in points) for name, points in row["curves"].items()
            },
            phases=tuple((str(name), int(first)) for name, first in row["phases"]),
            seconds=_finite(row["seconds"]) + age,
            expected=None if row["expected"] is None else _finite(row["expected"]),
        )  # fmt: skip
    except (TypeError, KeyError, AttributeError, RecursionError, OverflowError) as error:
        raise ValueError("it does not say how far a run is") from error


def _finite(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"expected a finite number, got {value}")
    return number
