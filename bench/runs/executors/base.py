"""The events of an executor. Every event names its run, since one worker may have several under way."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from bench.records.record import RunRecord, RunSpec


@dataclass(frozen=True, slots=True)
class Started:
    """A worker started a run."""

    worker: int
    spec: RunSpec

    @property
    def run_id(self) -> str:
        """The id of the run."""
        return self.spec.run_id


@dataclass(frozen=True, slots=True)
class Progress:
    """The progress of a run that is under way."""

    worker: int
    run_id: str
    phase: str
    done: int
    steps: int
    scalars: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Finished:
    """A run has ended, with success or without."""

    worker: int
    record: RunRecord

    @property
    def run_id(self) -> str:
        """The id of the run."""
        return self.record.spec.run_id


Event: TypeAlias = Started | Progress | Finished


class Executor(Protocol):
    """Maps specifications to records."""

    def execute(self, specs: Sequence[RunSpec]) -> Generator[Event, None, None]:
        """Do all runs, started in the order given; each of them yields one Started and one Finished.

        Closing the iterator ends the runs that are under way.
        """
        ...
