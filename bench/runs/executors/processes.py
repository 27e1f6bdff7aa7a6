"""Runs in worker processes, one torch thread each; a worker that dies costs one run."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from types import ModuleType
from typing import Any

from bench.records import environment
from bench.records.record import RunRecord, RunSpec
from bench.runs.executors.base import Event, Finished, Progress, Started


@dataclass
class Worker:
    """A process, the pipe to it, and the run that it is doing."""

    number: int
    process: SpawnProcess
    pipe: Connection[Any, Any]
    spec: RunSpec | None = None
    since: str | None = None


@dataclass
class ProcessExecutor:
    """Worker processes that live as long as there is work, so that each loads torch and the data once.

    Attributes:
        workers: Number of processes.
        checkpoints: Folder of saved states, shared by all workers.
        logs: Folder for what plugins print, so that it does not disturb the progress bars; None for the terminal.
    """

    workers: int = 2
    checkpoints: Path | None = None
    logs: Path | None = None
    _alive: list[Worker] = field(default_factory=list)

    def execute(self, specs: Sequence[RunSpec]) -> Generator[Event, None, None]:
        """Do the runs; closing the iterator, as an interrupt does, ends the workers."""
        waiting = list(reversed(specs))
        try:
            for number in range(min(self.workers, len(specs))):
                self._alive.append(self._start(number))
            for worker in self._alive:
                yield from self._hand_out(worker, waiting)
            while any(worker.spec for worker in self._alive):
                ready = wait([worker.pipe for worker in self._alive if worker.spec])
                for worker in [worker for worker in self._alive if worker.pipe in ready]:
                    yield from self._hear(worker, waiting)
        finally:
            self._end()

    def _start(self, number: int) -> Worker:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        log = self.logs / f"worker-{number}.log" if self.logs else None
        process = context.Process(target=_work, args=(theirs, self.checkpoints, log, os.getcwd(), list(sys.path)))
        with _alone(), _kernel_environment():
            process.start()
        theirs.close()
        return Worker(number, process, ours)

    def _hand_out(self, worker: Worker, waiting: list[RunSpec]) -> Iterator[Event]:
        worker.spec, worker.since = (waiting.pop(), environment.now()) if waiting else (None, None)
        if worker.spec is not None:
            try:
                worker.pipe.send(worker.spec)
            except OSError:  # it died during its last run, or since then
                replacement = self._start(worker.number)
                worker.process, worker.pipe = replacement.process, replacement.pipe
                worker.pipe.send(worker.spec)
            yield Started(worker.number, worker.spec)

    def _hear(self, worker: Worker, waiting: list[RunSpec]) -> Iterator[Event]:
        try:
            message = worker.pipe.recv()
        except (EOFError, OSError):
            message = None
        assert worker.spec is not None
        if isinstance(message, tuple):
            yield Progress(worker.number, worker.spec.run_id, *message)
            return
        if message is None:
            worker.process.join()
            message = _died(worker)
        yield Finished(worker.number, message)
        yield from self._hand_out(worker, waiting)

    def _end(self) -> None:
        for worker in self._alive:
            if worker.spec is None:
                worker.pipe.close()  # it sees the end of its pipe, and exits
            else:
                worker.process.terminate()
        for worker in self._alive:
            worker.process.join(timeout=10)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()
        self._alive.clear()


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """Start processes that do not import the caller's main module, which spawned processes do by default.

    A script would run a second time in each worker. Workers do not need it: they find plugins by their module's name.
    """
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


@contextlib.contextmanager
def _kernel_environment() -> Iterator[None]:
    """Start processes with the variables that torch reads once, when it is imported."""
    kept = {name: os.environ.get(name) for name in environment.KERNEL_ENVIRONMENT}
    os.environ.update(environment.KERNEL_ENVIRONMENT)
    try:
        yield
    finally:
        for name, value in kept.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _died(worker: Worker) -> RunRecord:
    code = worker.process.exitcode
    cause = f"signal {signal.Signals(-code).name}" if code is not None and code < 0 else f"exit code {code}"
    hint = "; the system may have run out of memory" if code == -signal.SIGKILL else ""
    assert worker.spec is not None
    return RunRecord(
        worker.spec,
        "failed",
        reason=f"the worker process ended with {cause}{hint}",
        environment={**environment.describe(), "device": worker.spec.device, "threads": 1},
        started=worker.since,
        finished=environment.now(),
    )


def _work(
    pipe: Connection[Any, Any], checkpoints: Path | None, log: Path | None, folder: str, modules: list[str]
) -> None:
    """The loop of a worker: receive a specification, send progress and then the record, until the pipe closes.

    It works in the caller's folder and imports from where the caller imports. By default, spawned processes do so only
    if the caller is still in the folder in which it was started, and a notebook may have left that.
    """
    os.chdir(folder)
    sys.path[:] = modules
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the entire process group; the parent ends the workers
    if log is not None:
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
    import torch

    from bench.runs.checkpoints import CheckpointFolder
    from bench.runs.runner import run

    torch.set_num_threads(1)
    states = CheckpointFolder(checkpoints) if checkpoints else None
    while True:
        try:
            spec = pipe.recv()
        except EOFError:
            return
        record = run(spec, states, lambda *progress: pipe.send(progress))
        pipe.send(record)
