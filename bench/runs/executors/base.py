"""The events of an executor. Every event names its runs, since one worker may have several under way."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from bench.records.record import RunRecord, RunSpec
from bench.runs.stopping import Stop

WAITING = "waiting for the same training elsewhere"
"""The phase of a run that waits for another one's training: this time does not count against its timeout."""


TOO_LONG = "it took longer than the timeout"
"""How the reason of a run begins that its command's timeout ended."""


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
class Warned:
    """Something went wrong in a run, which goes on."""

    worker: int
    run_id: str
    message: str


@dataclass(frozen=True, slots=True)
class Stopping:
    """A stop was asked for: the runs under way save their states."""

    run_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Finished:
    """A run has ended, with success or without."""

    worker: int
    record: RunRecord

    @property
    def run_id(self) -> str:
        """The id of the run."""
        return self.record.spec.run_id


@dataclass(frozen=True, slots=True)
class Adopted:
    """A run has ended that another command does in the same folder."""

    record: RunRecord

    @property
    def run_id(self) -> str:
        """The id of the run."""
        return self.record.spec.run_id


@dataclass(frozen=True, slots=True)
class Awaited:
    """What is left is being done by other commands in the same folder, which are waited for."""

    holders: Mapping[str, str]
    """Run id to who does it, in words."""


Event: TypeAlias = Started | Progress | Warned | Stopping | Finished | Adopted | Awaited

Claim: TypeAlias = Callable[[RunSpec], bool]
"""Says, just before a run would start, whether it may: False if somebody else does it."""


def unclaimed(_: RunSpec) -> bool:
    """A claim that is always granted: nobody else works in the folder."""
    return True


class Executor(Protocol):
    """Maps specifications to records."""

    @property
    def stop(self) -> Stop:
        """Whether to stop."""
        ...

    def execute(self, specs: Sequence[RunSpec], claim: Claim = unclaimed) -> Generator[Event, None, None]:
        """Do all runs that are claimed; each of them yields one Started and one Finished.

        Runs of one seed follow each other in the order given; several workers begin with different seeds.

        When a stop is asked for, runs under way save their states and end without Finished, and no others are started.
        Closing the iterator ends the runs that are under way at once.
        """
        ...
