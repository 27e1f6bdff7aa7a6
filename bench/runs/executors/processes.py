"""Runs in worker processes, one torch thread each; a worker that dies, hangs or takes too long costs one run."""

from __future__ import annotations

import os
import pickle
import signal
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from bench.errors import Halted
from bench.plans.costs import jobs
from bench.plans.registry import is_shipped
from bench.records import environment
from bench.records.record import RunRecord, RunSpec
from bench.runs.devices import VISIBLE, cards
from bench.runs.executors.base import (
    TOO_LONG,
    WAITING,
    Claim,
    Event,
    Finished,
    Progress,
    Started,
    Stopping,
    Warned,
    unclaimed,
)
from bench.runs.executors.child import Child
from bench.runs.executors.queue import Queue
from bench.runs.stopping import GRACE_SECONDS, Stop

__all__ = ["ProcessExecutor"]

POLL_SECONDS = 0.5
"""How soon a dead worker, a run that takes too long and a request to stop are noticed."""
SUSPENDED_SECONDS = 5.0
"""This process was suspended, as by Ctrl-Z, if it noticed nothing for longer: that time does not count as a run's."""
LONGEST_MESSAGE = 1 << 28
"""Most bytes of a message from a worker; what a plugin writes into the pipe by mistake looks longer."""


@dataclass
class Worker:
    """A process, and the runs that it is doing: one, or several that train together."""

    number: int
    child: Child
    specs: dict[str, RunSpec] = field(default_factory=dict)
    """The runs under way, by their ids."""
    last: RunSpec | None = None
    since: str | None = None
    deadline: float | None = None
    """When they have taken too long."""
    waits: set[str] = field(default_factory=set)
    """Those that wait for another run."""
    waiting: float | None = None
    """Since when all of them do."""
    stopped: bool = False
    """Whether another process asked it to stop."""
    ending: float | None = None
    """When the process is killed that was asked to stop."""


@dataclass
class ProcessExecutor:
    """Worker processes that live as long as there is work, so that each loads torch and the data once.

    A run of a generator that does not ship with the project leaves nothing behind: the next one of another generator
    gets a new process, since code may change any module that it can import.

    Attributes:
        workers: Number of processes.
        checkpoints: Folder of saved states, shared by all workers.
        logs: Folder for what plugins print, so that it does not disturb the progress bars; None for the terminal.
        timeout: Seconds that a run may take; None for any number.
        stop: Whether to stop.
    """

    workers: int = 2
    checkpoints: Path | None = None
    logs: Path | None = None
    timeout: float | None = None
    stop: Stop = field(default_factory=Stop)
    _workers: list[Worker] = field(default_factory=list)
    _cards: list[str] = field(default_factory=list)

    def execute(self, specs: Sequence[RunSpec], claim: Claim = unclaimed) -> Generator[Event, None, None]:
        """Do the runs; closing the iterator ends the workers at once."""
        waiting = Queue(specs, claim)
        self._cards = cards() if any(spec.device == "cuda" for spec in specs) else []
        try:
            for number in range(min(self.workers, jobs(specs))):
                self._workers.append(Worker(number, self._start(number)))
            for worker in self._workers:
                yield from self._hand_out(worker, waiting)
            stopping, seen = False, time.monotonic()
            while busy := [worker for worker in self._workers if worker.specs]:
                if self.stop.asked and not stopping:
                    stopping = True
                    waiting.clear()
                    for worker in busy:
                        self._ask_to_stop(worker)
                    yield Stopping(tuple(run_id for worker in busy for run_id in worker.specs))
                ready = wait([worker.child.pipe for worker in busy], POLL_SECONDS)
                seen, since = time.monotonic(), seen
                if seen - since > SUSPENDED_SECONDS:
                    for worker in busy:
                        worker.deadline = worker.deadline and worker.deadline + (seen - since)
                for worker in busy:
                    if worker.child.pipe in ready:
                        yield from self._hear(worker, waiting)
                    elif worker.child.is_over():
                        yield from self._conclude(worker, self._died(worker), waiting)
                    yield from self._watch(worker, waiting, seen)  # also one that always has something to say
        finally:
            self._end()

    def _start(self, number: int) -> Child:
        log = self.logs / f"worker-{number}.log" if self.logs else None
        try:
            return Child(_work, self.checkpoints, log=log, variables=self._card(number))
        except OSError as error:
            raise Halted(f"cannot start a worker process: {error.strerror or error}.") from error

    def _card(self, number: int) -> dict[str, str]:
        """The CUDA device of a worker: they are dealt out in turn."""
        return {VISIBLE: self._cards[number % len(self._cards)]} if self._cards else {}

    def _replace(self, worker: Worker) -> None:
        worker.child.kill()
        worker.child = self._start(worker.number)

    def _hand_out(self, worker: Worker, waiting: Queue) -> Iterator[Event]:
        """Give a worker its next runs, if there are any, and a new process, if the last may have spoilt the old."""
        last = worker.last
        others = [spec.stream for each in self._workers if each is not worker for spec in each.specs.values()]
        worker.since = worker.deadline = worker.waiting = worker.ending = None
        worker.stopped = False
        specs = waiting.take_pack(last, others)
        if not specs:
            return
        worker.specs, worker.since, worker.last = {spec.run_id: spec for spec in specs}, environment.now(), specs[0]
        worker.waits.clear()
        if worker.child.pipe.closed or (
            last is not None and last.target and last.target != specs[0].target and not is_shipped(last.target)
        ):
            self._replace(worker)
        try:
            worker.child.pipe.send(specs)
        except OSError:  # it died since its last run
            self._replace(worker)
            worker.child.pipe.send(specs)
        if self.timeout is not None:
            worker.deadline = time.monotonic() + self.timeout
        for spec in specs:
            yield Started(worker.number, spec)

    def _hear(self, worker: Worker, waiting: Queue) -> Iterator[Event]:
        """Receive what a worker says."""
        message: Any
        try:
            content = worker.child.pipe.recv_bytes(LONGEST_MESSAGE)
        except EOFError:
            message = self._died(worker)
        except OSError:  # it is too long, or does not end
            message = self._died(worker) if worker.child.is_over() else self._garbled(worker)
        else:
            message = _message(content, worker.specs)
            if message is Ellipsis:
                message = self._garbled(worker)
        if isinstance(message, dict):
            yield from self._conclude(worker, message, waiting)
            return
        run_id, *said = message
        if len(said) == 1:
            yield Warned(worker.number, run_id, *said)
        else:
            self._pause(worker, run_id, said[0])
            yield Progress(worker.number, run_id, *said)

    def _conclude(self, worker: Worker, ended: Mapping[str, RunRecord | None], waiting: Queue) -> Iterator[Event]:
        """Pass on records, by the ids of their runs, and hand out the next runs after the last of them.

        A run without a record was stopped.
        """
        if worker.ending is not None and len(ended) == len(worker.specs):
            worker.child.kill()
        for run_id, sent in ended.items():
            record = sent
            if record is None and not self.stop.asked:
                record = self._not_asked(worker, run_id)
                worker.stopped = worker.ending is None
            del worker.specs[run_id]
            self._pause(worker, run_id, "")
            if record is not None:
                yield Finished(worker.number, record)
        if not worker.specs:
            if worker.stopped:
                worker.child.kill()  # it would stop the next run, too
            yield from self._hand_out(worker, waiting)

    def _not_asked(self, worker: Worker, run_id: str) -> RunRecord:
        """The record of a run that was stopped, though nobody asked this command to."""
        if worker.ending is None:
            return _failed(worker, run_id, "another process asked it to stop; the same command continues")
        return self._timed_out(worker, run_id, "a longer one continues from its last state, if one was saved")

    def _watch(self, worker: Worker, waiting: Queue, now: float) -> Iterator[Event]:
        """End a run that has taken too long: first by asking it to stop, then without."""
        if worker.ending is not None:
            if now < worker.ending:
                return
            deaf = "it did not react when it was asked to stop"
            records = {
                run_id: None if self.stop.asked else self._timed_out(worker, run_id, deaf) for run_id in worker.specs
            }
            yield from self._conclude(worker, records, waiting)
        elif worker.deadline is not None and worker.waiting is None and now > worker.deadline:
            self._ask_to_stop(worker)

    def _ask_to_stop(self, worker: Worker) -> None:
        worker.child.ask_to_stop()
        if worker.ending is None:  # those of a pack save their states one after another
            worker.ending = time.monotonic() + GRACE_SECONDS * max(1, len(worker.specs))

    def _pause(self, worker: Worker, run_id: str, phase: str) -> None:
        """Do not count the time in which all its runs wait for other ones' training."""
        now = time.monotonic()
        if worker.waiting is not None and worker.deadline is not None:
            worker.deadline += now - worker.waiting
        worker.waits.discard(run_id)
        if phase == WAITING:
            worker.waits.add(run_id)
        worker.waiting = now if worker.specs and worker.waits >= worker.specs.keys() else None

    def _end(self) -> None:
        try:
            for worker in self._workers:
                if not worker.specs and not worker.child.pipe.closed:
                    worker.child.close()  # an idle process sees the end of its pipe, and ends
                else:
                    worker.child.kill()
        finally:  # also when a second signal comes in the meantime
            for worker in self._workers:
                worker.child.kill()
            self._workers.clear()

    def _died(self, worker: Worker) -> dict[str, RunRecord | None]:
        """The records of runs whose process ended; None for those that had been asked to."""
        if worker.ending is not None:
            return dict.fromkeys(worker.specs)
        printed = f"; what it printed is in '{self.logs / f'worker-{worker.number}.log'}'" if self.logs else ""
        reason = f"the worker process ended with {worker.child.cause_of_death()}{printed}"
        return {run_id: _failed(worker, run_id, reason) for run_id in worker.specs}

    def _garbled(self, worker: Worker) -> dict[str, RunRecord | None]:
        """The records of runs whose process sends what the harness does not; it is ended."""
        worker.child.kill()
        if worker.ending is not None:
            return dict.fromkeys(worker.specs)
        reason = "something else than the harness wrote to its pipe"
        return {run_id: _failed(worker, run_id, reason) for run_id in worker.specs}

    def _timed_out(self, worker: Worker, run_id: str, what: str) -> RunRecord:
        return _failed(worker, run_id, f"{TOO_LONG} of {self.timeout:g} s; {what}")


def _message(content: bytes, specs: Mapping[str, RunSpec]) -> Any:
    """What a worker sent that does these runs: progress, a warning, or the end of a run.

    They are (run id, phase, done, steps, scalars), (run id, message), and {run id: record, or None if it was asked to
    stop}. Ellipsis for anything else, such as what a plugin, or a process that it forked, wrote into the pipe.
    """
    try:
        message = pickle.loads(content)
    except Exception:
        return ...
    if isinstance(message, dict) and message and message.keys() <= specs.keys():
        fits = [
            record is None or (isinstance(record, RunRecord) and record.spec == specs[run_id])
            for run_id, record in message.items()
        ]
        return message if all(fits) else ...
    if isinstance(message, tuple) and len(message) in (2, 5) and isinstance(message[0], str) and message[0] in specs:
        return message
    return ...


def _failed(worker: Worker, run_id: str, reason: str) -> RunRecord:
    spec = worker.specs[run_id]
    return RunRecord(
        spec,
        "failed",
        reason=reason,
        environment={**environment.describe(), "device": spec.device, "threads": 1},
        started=worker.since,
        finished=environment.now(),
    )


@environment.seldom_collecting()
def _work(pipe: Connection[Any, Any], checkpoints: Path | None) -> None:
    """The loop of a worker: receive what to run together, send progress and the records, until the pipe closes."""
    stop = Stop()

    def ask(number: int, _: object) -> None:
        if not stop.asked:  # what asks again has its own way to end this process
            stop.ask(number)

    signal.signal(signal.SIGTERM, ask)
    import torch

    from bench.runs.checkpoints import CheckpointFolder
    from bench.runs.runner import Watcher
    from bench.runs.together import run_together

    this = os.getpid()

    def end_forks() -> None:
        if os.getpid() != this:  # a fork that a generator made, and that did not end in it
            os._exit(1)

    def check() -> None:
        end_forks()
        stop.check()

    def watcher(spec: RunSpec) -> Watcher:
        def progress(phase: str, done: int, steps: int, scalars: Mapping[str, float]) -> None:
            end_forks()
            pipe.send((spec.run_id, phase, done, steps, dict(scalars)))

        return Watcher(progress, lambda message: pipe.send((spec.run_id, message)), check)

    torch.set_num_threads(1)
    states = CheckpointFolder(checkpoints) if checkpoints else None
    while True:
        try:
            specs = pipe.recv()
        except EOFError:
            return
        for spec, record in run_together(specs, states, watcher):
            end_forks()
            pipe.send({spec.run_id: record})
