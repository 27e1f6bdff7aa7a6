"""What a plan will cost: from runs that were timed in the results folder, or where the project was measured.

``costs.csv`` beside this file holds the second kind: seconds of one processor for one run, judging included. This
machine may be faster or slower; a piece of work that takes a millisecond says by how much. What a run takes is without
the pre-training that it shares, which counts for the run that comes first.
``python -m bench.plans.costs FOLDER...`` makes the file from the records of results folders, on the machine that they
were made on.
"""

from __future__ import annotations

import csv
import io
import statistics
import sys
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.resources import files
from pathlib import Path

from bench.records import environment
from bench.records.record import RunRecord, RunSpec

__all__ = ["Costs", "Labels", "jobs", "timed", "yardstick"]

FILE = "costs.csv"
COLUMNS = ("preset", "task", "model", "seconds")
ROUNDS = 40

Labels = tuple[str, str, str, str]
"""Preset, task and model as tables show them, and device."""


@dataclass(frozen=True, slots=True)
class Costs:
    """How long runs take on this machine, as far as that is known.

    Attributes:
        own: Labels to the mean seconds of a run in the results folder.
        shipped: (Preset, task, model) to seconds where the project was measured, for default settings on a processor.
        ratio: How many times as long this machine takes for the same work.
    """

    own: Mapping[Labels, float]
    shipped: Mapping[tuple[str, str, str], float]
    ratio: float

    @classmethod
    def here(cls, own: Mapping[Labels, float]) -> Costs:
        """What is known before a plan begins.

        Args:
            own: What :func:`timed` finds in the records of the results folder.
        """
        reference, shipped = _read((files(__package__) / FILE).read_text(encoding="utf-8"))
        return cls(own, shipped, yardstick() / reference)

    @classmethod
    def there(cls) -> tuple[Costs, str]:
        """What was measured, on the machine that it was measured on, and that machine in words; nothing is timed."""
        text = (files(__package__) / FILE).read_text(encoding="utf-8")
        return cls({}, _read(text)[1], 1.0), text.partition(": ")[2].partition("\n")[0]

    def of(self, spec: RunSpec) -> float | None:
        """Expected seconds from the start of a run to its end; None where nothing like it was timed.

        One processor or CUDA device does it alone, or in the same time all runs of its pack.
        """
        if (found := self.own.get(_labels(spec))) is not None:
            return found
        usual = spec.device == "cpu" and not _changed(spec)
        found = self.shipped.get((spec.preset, spec.task, spec.model)) if usual else None
        return None if found is None else found * self.ratio

    def total(self, specs: Sequence[RunSpec]) -> tuple[float, int]:
        """Expected seconds of all runs one after another, and the number of those of which nothing is known."""
        known = [self.of(spec) for spec in specs]
        packs = _packs(specs)
        shares = [seconds / packs[_labels(spec)] for seconds, spec in zip(known, specs, strict=True) if seconds]
        return sum(shares), known.count(None)


def jobs(specs: Sequence[RunSpec]) -> int:
    """How many of these runs can be done at a time: a pack counts as one."""
    packs = _packs(specs)
    return round(sum(1 / packs[_labels(spec)] for spec in specs))


def timed(records: Iterable[RunRecord]) -> dict[Labels, float]:
    """The mean seconds of the runs that were completed, by what they are."""
    took: dict[Labels, list[float]] = {}
    for record in records:
        if record.status == "ok" and record.started and record.finished:
            took.setdefault(_labels(record.spec), []).append(_seconds(record))
    return {labels: statistics.mean(seconds) for labels, seconds in took.items()}


def yardstick() -> float:
    """Seconds of a fixed piece of work like that of a run: exponentials and sums of a block, and plain Python."""
    import numpy as np

    block = np.linspace(-4.0, 0.0, 64 * 2_000, dtype=np.float32).reshape(64, 2_000)
    best = float("inf")
    for _ in range(ROUNDS):
        start, total = time.perf_counter(), 0
        for _ in range(4):
            np.exp(block).sum(axis=1)
        for number in range(20_000):
            total += number
        best = min(best, time.perf_counter() - start)
    return best


def _labels(spec: RunSpec) -> Labels:
    device = spec.device if spec.pack == 1 else f"{spec.device}, packs of {spec.pack}"
    return spec.preset_label, spec.task_label, spec.label, device


def _changed(spec: RunSpec) -> bool:
    """Whether a run has other settings than those of its preset."""
    searched = spec.tuning.keys() - {"task_preset"}
    return bool(spec.overrides or spec.task_overrides or spec.budget or searched or spec.pack > 1)


def _packs(specs: Sequence[RunSpec]) -> dict[Labels, float]:
    """How many runs of each kind are done together, on average: in as few packs as there can be."""
    places: dict[Labels, Counter[int]] = {}
    for spec in specs:
        places.setdefault(_labels(spec), Counter())[spec.place] += 1
    return {labels: counted.total() / max(counted.values()) for labels, counted in places.items()}


def _seconds(record: RunRecord) -> float:
    begin, end = (datetime.fromisoformat(str(moment)) for moment in (record.started, record.finished))
    return (end - begin).total_seconds()


def _read(text: str) -> tuple[float, dict[tuple[str, str, str], float]]:
    """The yardstick of the machine that was measured, and its table."""
    lines = text.splitlines()
    reference = float(lines[1].partition(":")[2])
    rows = csv.DictReader(lines[2:])
    return reference, {(row["preset"], row["task"], row["model"]): float(row["seconds"]) for row in rows}


def _write(records: Sequence[RunRecord], reference: float) -> str:
    found: dict[tuple[str, str, str], list[float]] = {}
    for record in records:
        spec = record.spec
        if record.status == "ok" and spec.device == "cpu" and not _changed(spec):
            found.setdefault((spec.preset, spec.task, spec.model), []).append(_seconds(record))
    out = io.StringIO()
    out.write(f"# seconds of one run on: {environment.describe()['machine']}\n# yardstick: {reference:.3g}\n")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for name, seconds in sorted(found.items()):
        writer.writerow([*name, f"{statistics.mean(seconds):.1f}"])
    return out.getvalue()


if __name__ == "__main__":
    from bench.records.store import Store

    print(_write([record for folder in sys.argv[1:] for record in Store(Path(folder)).records()], yardstick()), end="")
