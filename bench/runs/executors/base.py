"""What an executor tells while it works. Every event names its run, since one worker may have several in hand."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from bench.records.record import RunRecord, RunSpec


@dataclass(frozen=True, slots=True)
class Started:
    """A worker took up a run."""

    worker: int
    spec: RunSpec

    @property
    def run_id(self) -> str:
        """The run."""
        return self.spec.run_id


@dataclass(frozen=True, slots=True)
class Progress:
    """A sign of life from within a run."""

    worker: int
    run_id: str
    phase: str
    done: int
    steps: int
    scalars: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Finished:
    """A run is over, one way or another."""

    worker: int
    record: RunRecord

    @property
    def run_id(self) -> str:
        """The run."""
        return self.record.spec.run_id


Event: TypeAlias = Started | Progress | Finished


class Executor(Protocol):
    """Maps specifications to records."""

    def execute(self, specs: Sequence[RunSpec]) -> Generator[Event, None, None]:
        """Do all runs, begun in the order given; every one of them yields one Started and one Finished.

        Closing the iterator ends what is under way.
        """
        ...
