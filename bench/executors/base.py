"""What an executor tells while it works."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from bench.record import RunRecord, RunSpec


@dataclass(frozen=True, slots=True)
class Started:
    """A worker took up a run."""

    worker: int
    spec: RunSpec


@dataclass(frozen=True, slots=True)
class Progress:
    """A sign of life from within a run."""

    worker: int
    phase: str
    done: int
    steps: int
    scalars: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Finished:
    """A run is over, one way or another."""

    worker: int
    record: RunRecord


Event: TypeAlias = Started | Progress | Finished


class Executor(Protocol):
    """Maps specifications to records."""

    def execute(self, specs: Sequence[RunSpec]) -> Generator[Event, None, None]:
        """Do all runs, in order of their start; every one of them yields one Started and one Finished."""
        ...
