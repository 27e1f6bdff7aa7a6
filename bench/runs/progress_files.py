"""Follows the events of the runs of one command, and keeps on disk how far each of them is, for whoever looks.

It is the process that began the run that writes, not the one that trains, unless they are the same: then it writes
while the training's clock is stopped, as it is whenever a run tells of its progress.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from bench.records import under_way
from bench.records.record import RunSpec
from bench.records.under_way import UnderWay
from bench.runs.executors.base import Event, Finished, Progress, Started

__all__ = ["ProgressFiles"]

PAUSE_SECONDS = 1.0
"""Least time between two writes about one run in one phase."""
PHASE_SECONDS = 0.1
"""The same where another phase has begun, which may be silent for long."""
SHARE = 0.02
"""Of the time, that writing may take: on a slow disk it is done more seldom."""
POINTS = 60
"""Most points of a curve."""
NAMES = 12
"""Most curves of a run: a plugin may log hundreds of values."""


class ProgressFiles:
    """Keeps what is known of the runs under way.

    Attributes:
        expected: Gives the seconds that a run is expected to take; None where that is not known.

    Args:
        folder: Where; see :mod:`bench.records.under_way`.
    """

    def __init__(self, folder: Path) -> None:
        self.expected: Callable[[RunSpec], float | None] = lambda spec: None
        self._folder = folder
        self._runs: dict[str, _Run] = {}
        self._free = -math.inf

    def see(self, event: Event) -> None:
        """Take in an event."""
        if isinstance(event, Started):
            self._runs[event.run_id] = _Run(event.spec, self.expected(event.spec))
        elif isinstance(event, Finished):
            self._end(event.run_id)
        elif isinstance(event, Progress) and event.run_id in self._runs:
            run, now = self._runs[event.run_id], time.monotonic()
            run.move(event.phase, event.done, event.steps, event.scalars)
            if now >= self._free and now - run.written >= (PHASE_SECONDS if run.unwritten else PAUSE_SECONDS):
                under_way.keep(self._folder, run.now())
                run.written, run.unwritten = now, False
                self._free = now + (time.monotonic() - now) / SHARE

    def close(self) -> None:
        """Remove what is known of the runs that did not end."""
        for run_id in list(self._runs):
            self._end(run_id)

    def _end(self, run_id: str) -> None:
        if self._runs.pop(run_id, None) is not None:
            under_way.forget(self._folder, run_id)


class _Run:
    """One run; its steps are counted over all phases that log anything."""

    def __init__(self, spec: RunSpec, expected: float | None) -> None:
        self.spec, self.expected, self.since = spec, expected, time.monotonic()
        self.written, self.unwritten = -math.inf, False
        self._phase, self._done, self._steps = "", 0, 1
        self._scalars: dict[str, float] = {}
        self._curves: dict[str, _Curve] = {}
        self._phases: list[tuple[str, int]] = []
        self._before = 0

    def move(self, phase: str, done: int, steps: int, scalars: Mapping[str, float]) -> None:
        """Take in its progress."""
        if phase != self._phase:
            logged = bool(self._phases) and self._phases[-1][0] == self._phase
            self._before += self._done if logged else 0
            self._phase, self.unwritten = phase, True
        self._done, self._steps = done, steps
        known = {name: float(value) for name, value in scalars.items() if math.isfinite(value)}
        if known and (not self._phases or self._phases[-1][0] != phase):
            self._phases.append((phase, self._before))
        self._scalars |= known
        for name, value in known.items():
            if name in self._curves or len(self._curves) < NAMES:
                self._curves.setdefault(name, _Curve()).add(self._before + done, value)

    def now(self) -> UnderWay:
        """What is known of it."""
        spec = self.spec
        return UnderWay(
            spec.run_id, spec.task_label, spec.label, spec.preset_label, spec.seed, spec.device,
            self._phase, self._done, self._steps,
            {name: self._scalars[name] for name in self._curves},
            {name: curve.points for name, curve in self._curves.items()},
            tuple(self._phases),
            round(time.monotonic() - self.since, 1),
            self.expected,
        )  # fmt: skip


class _Curve:
    """Equally many of its points over its whole length, and always the last."""

    def __init__(self) -> None:
        self._kept: list[tuple[float, float]] = []
        self._every, self._seen = 1, 0
        self._last: tuple[float, float] | None = None

    def add(self, step: float, value: float) -> None:
        """Take in a value."""
        self._last = (step, float(f"{value:.6g}"))
        if self._seen % self._every == 0:
            self._kept.append(self._last)
            if len(self._kept) > POINTS:
                self._kept, self._every = self._kept[::2], 2 * self._every
        self._seen += 1

    @property
    def points(self) -> under_way.Series:
        """The points that are kept."""
        new = self._last is not None and self._kept[-1] != self._last
        return (*self._kept, *([self._last] if new and self._last else []))
