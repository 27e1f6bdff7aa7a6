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

from bench.records.record import RunRecord, RunSpec
from bench.records.store import Store
from bench.runs.executors.base import Event, Executor, Finished, Started

__all__ = ["Campaign", "begin", "executor"]


class Campaign:
    """A plan in a results folder: what is done already, what is missing, and how the runs ended.

    Attributes:
        plan: All runs.
        store: The results folder.
        finished: Run id to status, of all runs in the folder that need not be done again.
        missing: Those of the plan that are not among them.
        counts: Status to how many runs of the plan ended so, earlier or now.
        failures: Records of the runs that failed now.

    Args:
        plan: All runs.
        store: An open results folder.
    """

    def __init__(self, plan: Sequence[RunSpec], store: Store) -> None:
        self.plan, self.store = tuple(plan), store
        self.finished = store.finished()
        self.missing = [spec for spec in plan if spec.run_id not in self.finished]
        self.counts = Counter(self.finished[spec.run_id] for spec in plan if spec.run_id in self.finished)
        self.failures: list[RunRecord] = []

    @property
    def left(self) -> int:
        """How many runs of the plan have not ended."""
        return len(self.plan) - sum(self.counts.values())

    def events(self, executor: Executor) -> Generator[Event, None, None]:
        """Do the missing runs and keep their records; every event is told after what it says is on disk.

        When the iterator is closed, or Ctrl-C ends it, the workers are ended and the runs that did not finish are
        marked as interrupted; the same plan then continues where it was.
        """
        events = executor.execute(self.missing)
        try:
            for event in events:
                self._keep(event)
                yield event
        except BaseException:
            events.close()
            self.store.interrupt(self.missing)
            raise

    def _keep(self, event: Event) -> None:
        if isinstance(event, Started):
            self.store.begin(event.spec)
        elif isinstance(event, Finished):
            self.store.write(event.record)
            self.counts[event.record.status] += 1
            if event.record.status == "failed":
                self.failures.append(event.record)


@contextlib.contextmanager
def begin(plan: Sequence[RunSpec], store: Store) -> Iterator[Campaign]:
    """A campaign in a results folder, in which nobody else works as long as the context lasts.

    Raises:
        UsageError: for a folder that cannot be used, or that another benchmark is at work in.
    """
    store.open()
    with store.alone():
        campaign = Campaign(plan, store)
        store.choose(plan)
        yield campaign


def executor(store: Store, workers: int, see: Callable[[Event], None]) -> Executor:
    """Who does the runs: that many worker processes, or this process.

    Args:
        store: Where checkpoints and logs are kept.
        workers: How many; 0 for this process.
        see: Told of the progress within runs in this process, since nothing can be yielded from there.
    """
    if workers == 0:
        from bench.runs.executors.serial import SerialExecutor

        return SerialExecutor(store.checkpoints, see)
    from bench.runs.executors.processes import ProcessExecutor

    return ProcessExecutor(workers, store.checkpoints, store.logs)
