"""The runs that wait for a worker, handed out so that little is done twice."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Sequence

from bench.records.record import RunSpec

__all__ = ["Queue"]


class Queue:
    """Runs by their seed: those of one task, data and seed use the same data, pre-training and judgements.

    A worker does one seed after the other, so that its process has at hand what the seed's runs share. When no seed is
    left that nobody else is at work on, it helps with the one of which most is left.

    Args:
        specs: The runs, in the order in which seeds are begun, and runs within a seed.
    """

    def __init__(self, specs: Sequence[RunSpec]) -> None:
        self._seeds: dict[str, deque[RunSpec]] = {}
        for spec in specs:
            self._seeds.setdefault(spec.stream, deque()).append(spec)

    def take(self, last: RunSpec | None = None, others: Collection[str] = ()) -> RunSpec | None:
        """The next run for a worker, which no longer waits; None if none does.

        Args:
            last: What the worker did last.
            others: The streams of the runs that other workers are doing.
        """
        if not self._seeds:
            return None
        stream = last.stream if last is not None else ""
        if stream not in self._seeds:
            free = [each for each in self._seeds if each not in others]
            stream = free[0] if free else max(self._seeds, key=lambda each: len(self._seeds[each]))
        spec = self._seeds[stream].popleft()
        if not self._seeds[stream]:
            del self._seeds[stream]
        return spec

    def clear(self) -> None:
        """Hand out nothing any more."""
        self._seeds.clear()
