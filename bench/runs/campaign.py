"""The loop of a benchmark: a plan, a results folder and an executor in, events out.

The command line, a notebook and a live page run the same loop and differ only in how they show its events::

    with begin(plan, Store(folder)) as campaign, closing(campaign.events(executor)) as events:
        for event in events:
            ...
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence

from bench.errors import Halted, UsageError
from bench.plans.costs import timed
from bench.records.record import RunRecord, RunSpec
from bench.records.store import DONE, Store
from bench.runs.executors.base import Event, Executor, Finished, Started
from bench.runs.stopping import Stop

__all__ = ["Campaign", "begin", "enter", "executor"]


class Campaign:
    """A plan in a results folder: what is done already, what is missing, and how the runs ended.

    Attributes:
        plan: All runs.
        store: The results folder.
        finished: Run id to status, for all runs in the folder that need not be done again.
        timed: How long the runs took that were in the folder at the start.
        unreadable: Files of the folder that do not count.
        vanished: Number of runs that were finished now and whose records are not in the folder any more.

    Args:
        plan: All runs.
        store: An open results folder.
    """

    def __init__(self, plan: Sequence[RunSpec], store: Store) -> None:
        self.plan, self.store = tuple(plan), store
        records, self.unreadable = store.scan()
        self.finished = {record.spec.run_id: record.status for record in records if record.status in DONE}
        self.timed = timed(records)
        self._failed: dict[str, RunRecord] = {}
        self.vanished = 0

    @property
    def missing(self) -> list[RunSpec]:
        """The runs of the plan that are not among the finished ones; a run that failed is still missing."""
        return [spec for spec in self.plan if spec.run_id not in self.finished]

    @property
    def failures(self) -> list[RunRecord]:
        """Records of the runs that failed now."""
        return list(self._failed.values())

    @property
    def counts(self) -> Counter[str]:
        """Status to the number of runs of the plan that ended with it, earlier or now."""
        ended = [self.finished[spec.run_id] for spec in self.plan if spec.run_id in self.finished]
        return Counter([*ended, *(record.status for record in self._failed.values())])

    @property
    def left(self) -> int:
        """Number of runs of the plan that have not ended."""
        return len(self.plan) - self.counts.total()

    def events(self, executor: Executor) -> Generator[Event, None, None]:
        """Do the missing runs and keep their records; every event is yielded after what it reports is on disk.

        When the iterator is closed, the executor stops, or anything is raised, the workers are ended and the runs that
        did not finish are marked as interrupted; the same plan then continues from there.

        Raises:
            Halted: where records cannot be written.
        """
        events = executor.execute(self.missing)
        try:
            for event in events:
                self._keep(event)
                yield event
            self._verify()
        except BaseException:
            events.close()
            with contextlib.suppress(Halted):  # they stay "started", which is continued, too
                self.store.interrupt(self.missing)
            raise
        self.store.interrupt(self.missing)

    def _keep(self, event: Event) -> None:
        if isinstance(event, Started):
            self.store.begin(event.spec)
            self._failed.pop(event.run_id, None)
        elif isinstance(event, Finished):
            self.store.write(event.record)
            if event.record.status in DONE:
                self.finished[event.run_id] = event.record.status
            else:
                self._failed[event.run_id] = event.record

    def _verify(self) -> None:
        """Count as finished only what is in the folder, from which others may have removed something."""
        there = self.store.finished()
        lost = [spec.run_id for spec in self.plan if spec.run_id in self.finished and spec.run_id not in there]
        self.vanished += len(lost)
        for run_id in lost:
            del self.finished[run_id]


@contextlib.contextmanager
def begin(plan: Sequence[RunSpec], store: Store) -> Iterator[Campaign]:
    """A campaign in a results folder, which is locked for all others until the context ends.

    Raises:
        UsageError: for a folder that cannot be used, in which another benchmark is running, or in which a later version
            has done one of these runs.
        Halted: where nothing can be written.
    """
    store.open()
    with store.alone():
        yield enter(plan, store)


def enter(plan: Sequence[RunSpec], store: Store) -> Campaign:
    """A campaign in a folder that its caller has opened and locked.

    Raises:
        UsageError: for a folder in which a later version has done one of these runs, or has written the plan.
        Halted: where nothing can be written.
    """
    campaign = Campaign(plan, store)
    files = {store.file(spec) for spec in plan}
    newer = [each for each in campaign.unreadable if each.newer and each.file in files]
    if newer:
        raise UsageError(f"{newer[0]} Or choose another folder.")
    store.plan(plan)
    store.choose(plan)
    return campaign


def executor(
    store: Store, workers: int, see: Callable[[Event], None], stop: Stop | None = None, timeout: float | None = None
) -> Executor:
    """The executor of the runs: worker processes, or this process.

    Args:
        store: Where checkpoints and logs are kept.
        workers: Number of worker processes; 0 for this process.
        see: Called with the progress within runs in this process, since nothing can be yielded from there.
        stop: Says when to stop; None for never.
        timeout: Seconds that a run may take in a worker process; None for any number.
    """
    stop = stop or Stop()
    if workers == 0:
        from bench.runs.executors.serial import SerialExecutor

        return SerialExecutor(store.checkpoints, see, stop)
    from bench.runs.executors.processes import ProcessExecutor

    return ProcessExecutor(workers, store.checkpoints, store.logs, timeout, stop)
