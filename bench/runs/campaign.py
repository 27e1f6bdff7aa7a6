"""The loop of a benchmark: a plan, a results folder and an executor in, events out.

The command line, a notebook and a live page run the same loop and differ only in how they show its events::

    with begin(plan, Store(folder)) as campaign, closing(campaign.events(executor)) as events:
        for event in events:
            ...
"""

from __future__ import annotations

import contextlib
import time
import uuid
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass

from bench.errors import Halted, UsageError
from bench.plans.costs import Costs, timed
from bench.records.frames import REAL_DATA
from bench.records.leases import COMMAND, Leases
from bench.records.record import RunRecord, RunSpec
from bench.records.store import DONE, Store
from bench.runs.executors.base import TOO_LONG, Adopted, Awaited, Event, Executor, Finished, Started, Stopping
from bench.runs.progress_files import ProgressFiles
from bench.runs.stopping import Stop

__all__ = ["Campaign", "Cluster", "begin", "enter", "executor"]

WAIT_SECONDS = 1.0
"""Between two looks at the runs that others do."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """A Ray cluster.

    Attributes:
        address: As ``ray.init`` takes it; None to start one on this machine.
        most: Runs at a time; None for as many as there is room for.
    """

    address: str | None = None
    most: int | None = None

    def check(self, plan: Sequence[RunSpec]) -> None:
        """Refuse runs that train together, which are done by one process.

        Raises:
            UsageError: then.
        """
        if any(spec.pack > 1 for spec in plan):
            raise UsageError(
                "seeds train together in a process of this machine: leave out the pack, or the executor ray."
            )


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
        narrow: Whether to read the records of these runs alone, as where each of a thousand commands does one.
    """

    def __init__(self, plan: Sequence[RunSpec], store: Store, narrow: bool = False) -> None:
        self.plan, self.store, self._narrow = tuple(plan), store, narrow
        records, self.unreadable = store.scan(plan if narrow else None)
        self.finished = {record.spec.run_id: record.status for record in records if record.status in DONE}
        self.timed = timed(records)
        self.vanished = 0
        self._failed: dict[str, RunRecord] = {}
        self._before = {record.spec.run_id: record for record in records if record.status == "failed"}
        self._begun: dict[str, RunSpec] = {}  # here, and not ended yet
        self._elsewhere: dict[str, RunSpec] = {}  # others are at work on them
        self._news: list[Event] = []
        self._claims = 0
        self._leases = Leases(store.leases)
        self._progress = ProgressFiles(store.progress)

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

        A run that another command does in this folder meanwhile is left to it, and waited for at the end; if that
        command dies, the run is done here. When the iterator is closed, the executor stops, or anything is raised, the
        workers are ended and the runs that were begun here are marked as interrupted; the same plan then continues from
        there.

        Raises:
            Halted: where records cannot be written.
        """
        events: Generator[Event, None, None] | None = None
        try:
            costs = Costs.here(self.timed)
            self._progress.expected = costs.of
            missing, stopping = longest_first(self.missing, costs), False
            while missing:
                self._elsewhere.clear()
                claimed = self._claims
                events = executor.execute(missing, self._claim)
                for event in events:
                    self._keep(event)
                    stopping = stopping or isinstance(event, Stopping)
                    yield event
                    yield from self._adopted()
                yield from self._adopted()
                if stopping:
                    break
                if self._claims == claimed and self._elsewhere:
                    time.sleep(WAIT_SECONDS)
                yield from self._wait(executor.stop)
                missing = [] if executor.stop.asked else list(self._elsewhere.values())
            self._verify()
        finally:
            if events is not None:
                events.close()
            self._progress.close()
            with contextlib.suppress(Halted):  # they stay "started", which is continued, too
                self.store.interrupt(list(self._begun.values()))
            for run_id in [spec.run_id for spec in self.plan]:
                self._leases.release(run_id)
            self._begun.clear()

    def track(self, event: Event) -> None:
        """Keep how far a run is, as an event tells that an executor cannot yield (:func:`executor`)."""
        self._progress.see(event)

    def occupy(self) -> None:
        """Let no command work in the folder that shares it with nobody, until :meth:`close`.

        Raises:
            Halted: where that cannot be written.
        """
        self._leases.take(f"{COMMAND}{uuid.uuid4().hex[:12]}")

    def close(self) -> None:
        """Let other commands do what was claimed here and has not ended."""
        self._leases.close()

    def _claim(self, spec: RunSpec) -> bool:
        """Whether a run is this command's to do: nobody does it, and nobody has done it since the folder was read."""
        if not self._leases.take(spec.run_id):
            self._elsewhere[spec.run_id] = spec
            return False
        self._claims += 1
        if self._ended(spec):
            self._leases.release(spec.run_id)
            return False
        return True

    def _ended(self, spec: RunSpec) -> bool:
        """Whether another command has ended a run since the folder was read; its record is then taken over."""
        record = self.store.read(spec)
        if record is None or record == self._before.get(spec.run_id):
            return False
        if record.status not in (*DONE, "failed") or spec.run_id in self._failed:
            return False
        if record.status == "failed" and (record.reason or "").startswith(TOO_LONG):
            return False  # under that command's timeout
        self._take_over(record)
        self._news.append(Adopted(record))
        return True

    def _adopted(self) -> Iterator[Event]:
        while self._news:
            yield self._news.pop(0)

    def _wait(self, stop: Stop) -> Iterator[Event]:
        """Wait until a run that others did is free again, or all of them have ended."""
        told: dict[str, str] = {}
        while self._elsewhere and not stop.asked:
            holders = {}
            for run_id, spec in list(self._elsewhere.items()):
                holder = self._leases.holder(run_id)
                if holder is not None:
                    holders[run_id] = str(holder)
                elif self._ended(spec):
                    del self._elsewhere[run_id]
            yield from self._adopted()
            if len(holders) < len(self._elsewhere):
                return
            if holders and holders != told:
                told = holders
                yield Awaited(holders)
            if holders:
                time.sleep(WAIT_SECONDS)

    def _keep(self, event: Event) -> None:
        if isinstance(event, Started):
            self._begun[event.run_id] = event.spec
            self.store.begin(event.spec)
            self._failed.pop(event.run_id, None)
            self._progress.see(event)
        elif isinstance(event, Finished):
            record = event.record
            if record.status not in DONE:  # one who took this process for dead may have done it meanwhile
                there = self.store.read(record.spec)
                record = there if there is not None and there.status in DONE else record
            if record is event.record:
                self.store.write(record)
            self._take_over(record)
            self._begun.pop(event.run_id, None)
            self._progress.see(event)
            self._leases.release(event.run_id)
        else:
            self._progress.see(event)

    def _take_over(self, record: RunRecord) -> None:
        if record.status in DONE:
            self.finished[record.spec.run_id] = record.status
        else:
            self._failed[record.spec.run_id] = record

    def _verify(self) -> None:
        """Count as finished only what is in the folder, from which others may have removed something."""
        records, _ = self.store.scan(self.plan if self._narrow else None)
        there = {record.spec.run_id for record in records if record.status in DONE}
        lost = [spec.run_id for spec in self.plan if spec.run_id in self.finished and spec.run_id not in there]
        self.vanished += len(lost)
        for run_id in lost:
            del self.finished[run_id]


def longest_first(specs: Sequence[RunSpec], costs: Costs) -> list[RunSpec]:
    """The same runs, seed after seed, and of each seed the longest first: then workers end at about the same time.

    Real data come first, which other runs need not wait for; what was never timed comes last, in the order of the plan.
    """
    seeds: dict[str, list[RunSpec]] = {}
    for spec in specs:
        seeds.setdefault(spec.stream, []).append(spec)
    return [spec for seed in seeds.values() for spec in sorted(seed, key=lambda each: -_expected(each, costs))]


def _expected(spec: RunSpec, costs: Costs) -> float:
    return float("inf") if spec.model == REAL_DATA else costs.of(spec) or 0.0


@contextlib.contextmanager
def begin(plan: Sequence[RunSpec], store: Store, whole: Sequence[RunSpec] | None = None) -> Iterator[Campaign]:
    """A campaign in a results folder, in which other campaigns may be at work, also on other machines.

    Args:
        plan: The runs to do.
        store: The folder.
        whole: The plan that they are a part of, which others do.

    Raises:
        UsageError: for a folder that cannot be used, in which a command is working that shares it with nobody, or in
            which a later version has done one of these runs.
        Halted: where nothing can be written.
    """
    store.open()
    campaign = Campaign(plan, store, narrow=whole is not None)
    try:
        with store.briefly():
            campaign.occupy()
        _intend(campaign, whole or plan)
        yield campaign
    finally:
        campaign.close()


def enter(plan: Sequence[RunSpec], store: Store) -> Campaign:
    """A campaign in a folder that its caller has opened and locked.

    Raises:
        UsageError: for a folder in which a later version has done one of these runs, or has written the plan.
        Halted: where nothing can be written.
    """
    campaign = Campaign(plan, store)
    _intend(campaign, plan, locked=True)
    return campaign


def _intend(campaign: Campaign, whole: Sequence[RunSpec], locked: bool = False) -> None:
    files = {campaign.store.file(spec) for spec in campaign.plan}
    newer = [each for each in campaign.unreadable if each.newer and each.file in files]
    if newer:
        raise UsageError(f"{newer[0]} Or choose another folder.")
    campaign.store.intend(whole, locked)


def executor(
    store: Store,
    workers: int,
    see: Callable[[Event], None],
    stop: Stop | None = None,
    timeout: float | None = None,
    cluster: Cluster | None = None,
) -> Executor:
    """The executor of the runs: worker processes, this process, or a Ray cluster.

    Args:
        store: Where checkpoints and logs are kept.
        workers: Number of worker processes; 0 for this process.
        see: Called with the progress within runs in this process, since nothing can be yielded from there.
        stop: Says when to stop; None for never.
        timeout: Seconds that a run may take in a worker process; None for any number.
        cluster: The cluster; None for this machine.
    """
    stop = stop or Stop()
    if cluster is not None:
        from bench.runs.executors.ray import RayExecutor

        return RayExecutor(cluster.address, cluster.most, store.checkpoints, timeout, stop)
    if workers == 0:
        from bench.runs.executors.serial import SerialExecutor

        return SerialExecutor(store.checkpoints, see, stop)
    from bench.runs.executors.processes import ProcessExecutor

    return ProcessExecutor(workers, store.checkpoints, store.logs, timeout, stop)
