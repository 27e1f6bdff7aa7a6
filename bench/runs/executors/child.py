"""A process of its own for code that may hang, crash or leave processes behind: it is ended with all that it started.

It imports from where its parent imports, works in the parent's folder, and never outlives its parent.
"""

from __future__ import annotations

import atexit
import contextlib
import multiprocessing
import os
import signal
import socket
import struct
import sys
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from types import ModuleType
from typing import Any

from bench.records import environment

__all__ = ["Child"]

LAST_WORDS_SECONDS = 2.0
"""How long a process that closed its pipe may take to end by itself."""
SILENCE_SECONDS = 30
"""How long a process may take in the middle of a message."""
MARK = "SEQGAN_BENCH_CHILD"
"""A variable in the environment of a process, by which all are found that it started: some leave its group."""


class Child:
    """A process that calls a function with a pipe to its parent and other arguments.

    Attributes:
        process: The process.
        pipe: The parent's end of the pipe.

    Args:
        function: A function of a module, called with the child's end of the pipe and the arguments.
        arguments: What can be pickled.
        log: The file that gets what the process prints; None for where the parent prints.
        variables: More of its environment.

    Raises:
        OSError: where no process can be started.
    """

    def __init__(
        self,
        function: Callable[..., None],
        *arguments: object,
        log: Path | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe: Connection[Any, Any]
        self.pipe, theirs = context.Pipe()
        self.process: SpawnProcess = context.Process(
            target=_main, args=(function, theirs, arguments, log, os.getcwd(), list(sys.path))
        )
        self._mark = f"{os.getpid()}-{uuid.uuid4().hex}"
        resource_tracker.ensure_running()  # without the mark: all children share it
        more = {**environment.KERNEL_ENVIRONMENT, **(variables or {}), MARK: self._mark}
        with _without_main(), _environment(more):
            self.process.start()
        theirs.close()
        with contextlib.closing(socket.socket(fileno=os.dup(self.pipe.fileno()))) as end:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", SILENCE_SECONDS, 0))
        self._group = self.process.pid or 0
        _LIVING.add(self)

    def is_over(self) -> bool:
        """Whether the process has ended and nothing is left to receive, even if a process that it forked lives on."""
        return not self.process.is_alive() and not self.pipe.poll()

    def ask_to_stop(self) -> None:
        """Send SIGTERM: a worker saves its state and stops."""
        self.process.terminate()

    def kill(self) -> None:
        """End the process at once, and those that it started."""
        if self.process.is_alive():
            self.process.kill()
        self._bury()

    def close(self, seconds: float = 10.0) -> None:
        """Close the pipe, which an idle process takes as its end, and wait for that."""
        self.pipe.close()
        self.process.join(seconds)
        self.kill()

    def cause_of_death(self) -> str:
        """How a process that closed its pipe ended, as in "signal SIGKILL"; it is ended if it has not yet."""
        self.process.join(LAST_WORDS_SECONDS)
        code = self.process.exitcode
        self.kill()
        if code is None:
            return "a closed pipe"
        if code >= 0:
            return f"exit code {code}"
        name = signal.Signals(-code).name if -code in set(signal.Signals) else str(-code)
        hint = "; the system may have run out of memory" if -code == signal.SIGKILL else ""
        return f"signal {name}{hint}"

    def _bury(self) -> None:
        self.process.join()
        self.pipe.close()
        if self in _LIVING:  # once only: later, the number may be that of a stranger's group
            _LIVING.discard(self)
            with contextlib.suppress(OSError):  # there is none, as a rule
                os.killpg(self._group, signal.SIGKILL)
            _end_marked(self._mark)


_LIVING: set[Child] = set()


@atexit.register
def _end_all() -> None:
    """End what an exception left behind: Python would wait for it forever."""
    for child in list(_LIVING):
        child.kill()


def _main(
    function: Callable[..., None],
    pipe: Connection[Any, Any],
    arguments: tuple[object, ...],
    log: Path | None,
    folder: str,
    modules: list[str],
) -> None:
    # A session of its own: Ctrl-C and a closing terminal reach the parent alone, which then ends its children.
    os.setsid()
    _stay_nice()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_die_with_parent, daemon=True).start()
    # By default, spawned processes work and import where the parent was started; a notebook may have left that folder.
    os.chdir(folder)
    sys.path[:] = modules
    if log is not None:
        log.parent.mkdir(exist_ok=True)
        with log.open("ab") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
    with contextlib.suppress(BrokenPipeError):  # the parent is gone
        function(pipe, *arguments)


def _stay_nice() -> None:
    """Make a new session as nice as its process.

    Linux may share its processors among sessions, and among the processes of each after that: at nice 0 the session of
    a worker of ``nice bench run`` would get as much as those that it was to make room for.
    """
    with contextlib.suppress(OSError):  # there is no such thing here
        Path("/proc/self/autogroup").write_text(str(os.nice(0)), encoding="ascii")


def _die_with_parent() -> None:
    """Wait for the end of the parent, and then end this process and all that it started."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        mark = os.environ[MARK]
        wait([parent.sentinel])
        _end_marked(mark)
        os.killpg(0, signal.SIGKILL)


def _end_marked(mark: str) -> None:
    """End the processes with this mark other than this one; where there is no ``/proc``, those in other groups live on.

    What a process's environment was when its program started is not changed by that program.
    """
    wanted = f"{MARK}={mark}".encode()
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if int(process.name) != os.getpid() and wanted in (process / "environ").read_bytes().split(b"\0"):
                os.kill(int(process.name), signal.SIGKILL)


@contextlib.contextmanager
def _without_main() -> Iterator[None]:
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
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Start processes with these variables, some of which torch reads once, when it is imported."""
    kept = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in kept.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
