"""Runs as tasks of a Ray cluster (Moritz et al. 2018); Ray places them, everything else is as in other executors.

A run is one task, which Ray never repeats by itself: what a lost node or a killed worker was doing is started again
here, and goes on from its last saved state where nodes share the results folder, else from its beginning. A run that
would wait for a training that another one is doing gives its place back, and comes again once the other has moved on:
so a training that several runs share is done once, and no processor waits for it. Where nodes share no folder, states
stay in each node's temporary folder, and runs of one seed prefer the node on which the first of them ran.

The code that was planned with is sent along, with plugins of others and what makes them known by name: nodes need
Python and the libraries alone.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import signal
import socket
import tempfile
import threading
import time
import uuid
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import distributions, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from bench.errors import Halted, UsageError
from bench.plans.registry import is_shipped
from bench.records import environment
from bench.records.files import partial_name
from bench.records.record import RunRecord, RunSpec
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
from bench.runs.executors.queue import Queue
from bench.runs.stopping import GRACE_SECONDS, Stop, Stopped

__all__ = ["RayExecutor"]

POLL_SECONDS = 0.3
"""Between two looks at what the nodes say."""
TELL_SECONDS = 1.0
"""Between two messages of a run about its progress, and between two questions of it whether to stop."""
ATTEMPTS = 3
"""So often a run is begun whose node or process dies."""
AHEAD = 2
"""Tasks that wait for a place, at least: a cluster that grows with its tasks sees them."""
MEMORY = 2 << 30
"""Bytes that a run is expected to take, so that Ray puts no more runs on a node than fit."""
GPU_SHARE = 0.25
"""Of a GPU, for a run on CUDA: as many at a time as worker processes on one machine."""
REACH_SECONDS = 5.0
"""For a first answer from the cluster's address."""
AGAIN_SECONDS = 5.0
"""Until a run comes again that waits for what another command trains."""
OURS = ("bench", "seqgan", "baselines")


@dataclass(slots=True)
class Task:
    """A run on the cluster."""

    spec: RunSpec
    worker: int
    """Its place among those under way, for the bars."""
    reference: Any = None
    attempts: int = 0
    losses: int = 0
    """Attempts that ended with their node or process."""
    begun: bool = False
    """Whether it was said to have started."""
    placed: bool = False
    """Whether a node does it, rather than that it waits for a place."""
    phase: str = ""
    deadline: float | None = None
    ending: float | None = None
    """When it is ended that was asked to stop."""
    after: float = 0.0
    """Not to be submitted before."""


@dataclass
class RayExecutor:
    """Runs on a Ray cluster.

    Attributes:
        address: Of the cluster: ``auto`` for the one that this machine belongs to, ``host:port``, ``ray://host:port``;
            None to start one on this machine.
        most: Runs at a time; None for as many as the cluster has room for.
        checkpoints: Folder of saved states.
        timeout: Seconds that a run may take; None for any number.
        stop: Whether to stop.
    """

    address: str | None = None
    most: int | None = None
    checkpoints: Path | None = None
    timeout: float | None = None
    stop: Stop = field(default_factory=Stop)
    _tasks: dict[str, Task] = field(default_factory=dict)
    _again: list[Task] = field(default_factory=list)
    _deferred: dict[str, list[Task]] = field(default_factory=dict)
    """Stream to the runs that wait for a training of another run of it."""
    _memory: int = MEMORY
    _homes: dict[str, str] = field(default_factory=dict)
    """Stream to the node that has its states, where nodes share no folder."""

    def execute(self, specs: Sequence[RunSpec], claim: Claim = unclaimed) -> Generator[Event, None, None]:
        """Do the runs; closing the iterator ends those under way."""
        ray = _ray()
        _connect(ray, self.address, specs)
        try:
            self._memory = _room(ray, specs)
        except BaseException:
            ray.shutdown()
            raise
        waiting, stopping = Queue(specs, claim), False
        token = uuid.uuid4().hex
        mark = None if self.checkpoints is None else partial_name(self.checkpoints / token)  # swept, if this is killed
        try:
            if mark is not None:
                _leave(mark)
            self._desk = _remote_desk(ray)
            while True:
                if not self.stop.asked:
                    self._fill(ray, waiting, "" if mark is None else mark.name)
                elif not stopping:
                    stopping = True
                    yield Stopping(tuple(task.spec.run_id for task in self._tasks.values()))
                    for task in self._tasks.values():
                        self._ask_to_stop(ray, task)
                if not self._tasks:
                    if stopping or not any(self._all()):
                        break
                    time.sleep(POLL_SECONDS)
                    continue
                references = {task.reference: task for task in self._tasks.values()}
                ready, _ = ray.wait(list(references), num_returns=len(references), timeout=POLL_SECONDS)
                for run_id, message in self._collect(ray):
                    yield from self._hear(run_id, message)
                for reference in ready:
                    yield from self._conclude(ray, references[reference])
                self._watch(ray)
        finally:
            for task in self._tasks.values():
                _cancel(ray, task)
            self._tasks.clear()
            self._again.clear()
            self._deferred.clear()
            if mark is not None:
                mark.unlink(missing_ok=True)
            ray.shutdown()

    def _fill(self, ray: Any, waiting: Queue, mark: str) -> None:
        """Submit runs, as many as there is room for and a few more."""
        room = int(ray.cluster_resources().get("CPU", 1))
        limit = self.most or room + max(AHEAD, room // 4)
        while len(self._tasks) < limit:
            ready = [task for task in self._again if task.after <= time.monotonic()]
            if ready:
                task = ready[0]
                self._again.remove(task)
            else:
                spec = waiting.take(None, {task.spec.stream for task in self._tasks.values()})
                if spec is None:
                    return
                places = {each.worker for each in self._all()}
                task = Task(spec, next(number for number in range(len(places) + 1) if number not in places))
            self._submit(ray, task, mark)

    def _all(self) -> Iterator[Task]:
        yield from self._tasks.values()
        yield from self._again
        for tasks in self._deferred.values():
            yield from tasks

    def _submit(self, ray: Any, task: Task, mark: str) -> None:
        spec, options = task.spec, {}
        if home := self._homes.get(spec.stream):
            from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

            options["scheduling_strategy"] = NodeAffinitySchedulingStrategy(home, soft=True)
        # A stranger's code may change any module that it can import: its process does nothing else afterwards.
        function = ray.remote(max_retries=0, max_calls=0 if is_shipped(spec.target) or not spec.target else 1)(_do)
        task.attempts += 1
        task.placed, task.phase, task.deadline, task.ending = False, "", None, None
        folder = None if self.checkpoints is None else str(self.checkpoints.absolute())
        task.reference = function.options(
            name=f"{spec.task_label} {spec.label} {spec.seed}",
            num_cpus=1,
            num_gpus=GPU_SHARE if spec.device == "cuda" else 0,
            memory=self._memory,
            **options,
        ).remote(spec, task.attempts, self._desk, folder, mark)
        self._tasks[spec.run_id] = task

    def _collect(self, ray: Any) -> list[tuple[str, Any]]:
        try:
            return list(ray.get(self._desk.collect.remote(), timeout=30))
        except ray.exceptions.RayError as error:
            raise Halted(f"the Ray cluster does not answer any more: {type(error).__name__}.") from error

    def _hear(self, run_id: str, message: Any) -> Iterator[Event]:
        """What a run says; what one said that has ended since is not told any more."""
        task = self._tasks.get(run_id)
        if task is None or message[0] != task.attempts:
            return
        kind, *content = message[1:]
        if kind == "node":
            node, shared = content
            task.placed = True
            if not shared:
                self._homes.setdefault(task.spec.stream, node)
            if self.timeout is not None:
                task.deadline = time.monotonic() + self.timeout
            if not task.begun:
                task.begun = True
                yield Started(task.worker, task.spec)
        elif kind == "warning":
            yield Warned(task.worker, run_id, content[0])
        else:
            phase, done, steps, scalars = content
            if phase != task.phase:
                task.phase = phase
                self._moved_on(task.spec.stream)
            yield Progress(task.worker, run_id, phase, done, steps, scalars)

    def _moved_on(self, stream: str) -> None:
        """A run of this seed may have ended a training: those that wait for one try again."""
        self._again += self._deferred.pop(stream, [])

    def _conclude(self, ray: Any, task: Task) -> Iterator[Event]:
        """A task has ended: with a record, because it would have to wait, because it was asked to, or with its node."""
        del self._tasks[task.spec.run_id]
        try:
            record: RunRecord | None = ray.get(task.reference)
        except ray.exceptions.RayError as error:
            self._homes.pop(task.spec.stream, None)
            record = self._died(ray, task, error)
            if record is None and not self.stop.asked:
                self._again.append(task)
                if task.begun:
                    said = f"its node or process was lost ({type(error).__name__}); it is done again"
                    yield Warned(task.worker, task.spec.run_id, said)
        else:
            if record is None and task.ending is not None and not self.stop.asked:
                record = _failed(task.spec, f"{TOO_LONG} of {self.timeout:g} s")
            elif record is None and not self.stop.asked:
                others = any(each.spec.stream == task.spec.stream for each in self._tasks.values())
                if others:
                    self._deferred.setdefault(task.spec.stream, []).append(task)
                    if task.begun:
                        yield Progress(task.worker, task.spec.run_id, WAITING, 0, 1, {})
                    return
                else:  # another command in the folder trains it
                    task.after = time.monotonic() + AGAIN_SECONDS
                    self._again.append(task)
        if record is not None:
            if not task.begun:
                yield Started(task.worker, task.spec)
            yield Finished(task.worker, record)
        self._moved_on(task.spec.stream)

    def _died(self, ray: Any, task: Task, error: Exception) -> RunRecord | None:
        """The record of a run that was lost too often, or too late; None for one that is to be done again."""
        if task.ending is not None and not self.stop.asked:
            return _failed(task.spec, f"{TOO_LONG} of {self.timeout:g} s")
        if isinstance(error, ray.exceptions.RayTaskError):
            cause = [line for line in str(error).splitlines() if line.strip()][-1]
            return None if self.stop.asked else _failed(task.spec, f"its node cannot do it: {cause.strip()}")
        task.losses += 1
        if task.losses < ATTEMPTS or self.stop.asked:
            return None
        first = (str(error).strip() or "no reason").splitlines()[0]
        return _failed(task.spec, f"its node or process was lost {ATTEMPTS} times: {type(error).__name__}: {first}")

    def _watch(self, ray: Any) -> None:
        """End what takes too long: first by asking, then without."""
        now = time.monotonic()
        for task in self._tasks.values():
            if task.ending is not None:
                if now > task.ending:
                    _cancel(ray, task)
            elif task.deadline is not None and now > task.deadline:
                self._ask_to_stop(ray, task)

    def _ask_to_stop(self, ray: Any, task: Task) -> None:
        if not task.placed:
            _cancel(ray, task)  # before it begins
        self._desk.end.remote(task.spec.run_id)
        task.ending = time.monotonic() + GRACE_SECONDS + 2 * TELL_SECONDS


class Desk:
    """Where runs say what they do, and ask whether to stop: an actor beside the driver."""

    def __init__(self) -> None:
        self._said: list[tuple[str, Any]] = []
        self._ended: set[str] = set()

    def tell(self, run_id: str, message: tuple[Any, ...]) -> None:
        """Keep a message."""
        self._said.append((run_id, message))

    def asks(self, run_id: str) -> bool:
        """Whether this run is to stop."""
        return run_id in self._ended

    def end(self, run_id: str) -> None:
        """Let this run stop."""
        self._ended.add(run_id)

    def collect(self) -> list[tuple[str, Any]]:
        """All messages since the last time."""
        said, self._said = self._said, []
        return said


def _do(spec: RunSpec, attempt: int, desk: Any, folder: str | None, mark: str) -> RunRecord | None:
    """A run, on a node; None where it was asked to stop, or would wait for another one's training."""
    import ray
    import torch

    from bench.runs.checkpoints import CheckpointFolder
    from bench.runs.runner import Watcher, run

    if version("torch") != spec.torch:
        return _failed(spec, f"its node has torch {version('torch')}, and the run was planned with {spec.torch}")
    torch.set_num_threads(1)
    stop, ended, last = Stop(), threading.Event(), ("", 0.0)
    shared = folder is not None and (Path(folder) / mark).exists()
    name = hashlib.sha256(str(folder).encode()).hexdigest()[:12]
    own = Path(folder) if shared and folder else Path(tempfile.gettempdir()) / f"seqgan-bench-{name}"
    states = None if folder is None else CheckpointFolder(own)

    def tell(*message: Any) -> None:
        desk.tell.remote(spec.run_id, (attempt, *message))

    def listen() -> None:
        while not ended.wait(TELL_SECONDS):
            try:
                if ray.get(desk.asks.remote(spec.run_id), timeout=30):
                    stop.signal = signal.SIGTERM
            except Exception:  # the driver is gone, and Ray ends this process
                return

    def progress(phase: str, done: int, steps: int, scalars: Mapping[str, float]) -> None:
        nonlocal last
        if phase == WAITING:
            raise Stopped
        if phase != last[0] or time.monotonic() - last[1] > TELL_SECONDS:
            last = phase, time.monotonic()
            tell("progress", phase, done, steps, dict(scalars))

    tell("node", ray.get_runtime_context().get_node_id(), shared)
    threading.Thread(target=listen, daemon=True).start()
    try:
        return run(spec, states, Watcher(progress, lambda message: tell("warning", message), stop.check))
    except Stopped:
        return None
    finally:
        ended.set()


def _ray() -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is reported to anybody
    try:
        import ray
        import ray.exceptions
    except ImportError as error:
        raise UsageError("--executor ray needs Ray: pip install 'seqgan-bench[ray]'.") from error
    return ray


def _connect(ray: Any, address: str | None, specs: Sequence[RunSpec]) -> None:
    variables = {**environment.KERNEL_ENVIRONMENT, "OMP_NUM_THREADS": "1", "RAY_USAGE_STATS_ENABLED": "0"}
    where: dict[str, Any] = {} if address else {"include_dashboard": False}
    try:
        if address is not None and (place := re.fullmatch(r"(?:ray://)?(.+):(\d{1,5})", address)):
            # Ray itself would try for minutes.
            socket.create_connection((place[1], int(place[2])), timeout=REACH_SECONDS).close()
        with _own_signals():
            ray.init(
                address=address,
                runtime_env={"py_modules": _code(specs), "env_vars": variables},
                log_to_driver=False,
                logging_level="ERROR",
                **where,
            )
    except (OSError, RuntimeError, ValueError, OverflowError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UsageError(f"cannot reach a Ray cluster at '{address or 'this machine'}': {reason}") from error


def _room(ray: Any, specs: Sequence[RunSpec]) -> int:
    """The memory that a run asks for, which is no more than the largest node has.

    Raises:
        UsageError: where no node could ever do a run.
    """
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    able = [node for node in nodes if node.get("CPU", 0) >= 1]
    if any(spec.device == "cuda" for spec in specs):
        able = [node for node in able if node.get("GPU", 0) > 0]
    if not able:
        what = "a processor and a GPU" if any(spec.device == "cuda" for spec in specs) else "a processor"
        raise UsageError(f"no node of the Ray cluster has {what} for runs; it has {len(nodes)} nodes.")
    return int(min(MEMORY, max(node.get("memory", MEMORY) for node in able)))


def _code(specs: Sequence[RunSpec]) -> list[str]:
    """Folders and files of the packages that the runs need, and of what makes plugins known by name."""
    targets = {target for spec in specs for target in (spec.target, spec.task_target) if target}
    tops = {*OURS, *(target.partition(".")[0].partition(":")[0] for target in targets)}
    found = []
    for top in sorted(tops):
        module = find_spec(top)
        if module is None:
            continue
        found += list(module.submodule_search_locations or []) or [str(module.origin)]
    for distribution in distributions():
        if any(point.group.startswith("bench.") for point in distribution.entry_points):
            found.append(str(getattr(distribution, "_path", "")))
    return [path for path in dict.fromkeys(found) if path and Path(path).exists()]


def _remote_desk(ray: Any) -> Any:
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    return ray.remote(Desk).options(num_cpus=0, scheduling_strategy=here).remote()


def _leave(mark: Path) -> None:
    """Put a file into the folder of states by which a node sees that it has the same folder."""
    try:
        mark.parent.mkdir(exist_ok=True)
        mark.touch()
    except OSError as error:
        raise Halted(f"cannot write to '{mark.parent}': {error.strerror or error}.") from error


@contextlib.contextmanager
def _own_signals() -> Iterator[None]:
    """Keep the handlers of signals, of which Ray replaces one."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _cancel(ray: Any, task: Task) -> None:
    with contextlib.suppress(Exception):  # it has ended, or its node
        ray.cancel(task.reference, force=True)


def _failed(spec: RunSpec, reason: str) -> RunRecord:
    return RunRecord(
        spec,
        "failed",
        reason=reason,
        environment={**environment.describe(), "device": spec.device, "threads": 1},
        finished=environment.now(),
    )
