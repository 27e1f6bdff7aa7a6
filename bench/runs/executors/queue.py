"""The runs that wait for a worker, handed out so that little is done twice."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Sequence

from bench.records.record import RunSpec
from bench.runs.executors.base import Claim, unclaimed

__all__ = ["Queue"]


class Queue:
    """Runs by their seed: those of one task, data and seed use the same data, pre-training and judgements.

    A worker does one seed after the other, so that its process has at hand what the seed's runs share. When no seed is
    left that nobody else is at work on, it helps with the one of which most is left.

    Args:
        specs: The runs, in the order in which seeds are begun, and runs within a seed.
        claim: A run that it does not grant is left out. A seed that others are at work on comes last, so that several
            commands in one folder do different seeds.
    """

    def __init__(self, specs: Sequence[RunSpec], claim: Claim = unclaimed) -> None:
        self._claim = claim
        self._seeds: dict[str, deque[RunSpec]] = {}
        for spec in specs:
            self._seeds.setdefault(spec.stream, deque()).append(spec)

    def take(self, last: RunSpec | None = None, others: Collection[str] = ()) -> RunSpec | None:
        """The next run for a worker, which no longer waits; None if none does.

        Args:
            last: What the worker did last.
            others: The streams of the runs that other workers are doing.
        """
        stream = last.stream if last is not None else ""
        while self._seeds:
            if stream not in self._seeds:
                free = [each for each in self._seeds if each not in others]
                stream = free[0] if free else max(self._seeds, key=lambda each: len(self._seeds[each]))
            seed = self._seeds[stream]
            spec = seed.popleft()
            if not seed:
                del self._seeds[stream]
            if self._claim(spec):
                return spec
            if seed:
                self._seeds[stream] = self._seeds.pop(stream)
            stream = ""
        return None

    def take_pack(self, last: RunSpec | None = None, others: Collection[str] = ()) -> tuple[RunSpec, ...]:
        """The next runs for a worker, which train together: a run, and as many like it of other seeds as its pack has.

        Most often that is one run; and none where nothing waits.

        Args:
            last: One of the runs that the worker did last.
            others: The streams of the runs that other workers are doing.
        """
        first = self.take(last, others)
        if first is None:
            return ()
        pack = {first.place: first}
        for stream, seed in list(self._seeds.items()):
            if len(pack) == first.pack:
                break
            spec = next((each for each in seed if each.place not in pack and each.trains_with(first)), None)
            if spec is not None:
                seed.remove(spec)
                if self._claim(spec):
                    pack[spec.place] = spec
            if not seed:
                del self._seeds[stream]
        return tuple(pack[place] for place in sorted(pack))

    def clear(self) -> None:
        """Hand out nothing any more."""
        self._seeds.clear()
