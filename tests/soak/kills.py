"""Killed at every write, and at any moment: the same command continues to the same results.

A trial is a forked process, so that torch is imported once. Nothing but imports happens before the forks.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import os
import random
import re
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmark import (
    MARK,
    Case,
    Trial,
    arguments,
    damage,
    differences,
    environment,
    leftovers,
    living,
    results,
    workers_of,
)

from bench.records.store import Store

MODELS = "mle,seqgan"
IMPORTED = (
    *("torch._dynamo", "scipy.stats", "seqgan.seqgan"),
    *(f"bench.{module}" for module in (
        "cli", "commands.progress", "reports.terminal", "reports.pages.leaderboard", "reports.figures.drawing",
        "runs.runner", "runs.executors.serial", "runs.executors.processes", "metrics.nll", "metrics.divergence",
        "metrics.bleu", "metrics.overlap", "metrics.language_model", "metrics.diversity", "metrics.copying",
        "metrics.length", "metrics.music", "tasks.toy",
    )),
)  # fmt: skip
KILLED, HUNG = -signal.SIGKILL, -1000
LONGEST = 300.0
"""Seconds that a command may take before it is said to hang."""
WAIT_SECONDS = 20.0
"""How long the processes of a killed command may take to end."""


# In the process that is to be killed


class WritePoints:
    """Counts what happens to files in a folder, and kills this process before or within one of these events.

    Audit events are raised before files are opened to be written, renamed, removed or locked, and folders made. What
    was written until a call of ``fsync`` makes two more: half of it is there, all of it is there.

    Args:
        folder: The folder; nothing else counts.
        last: The number of the event that kills, from 0; -1 for none.
        tell: Called with the name of each event, before it happens.
    """

    EVENTS = ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate")

    def __init__(self, folder: Path, last: int, tell: Callable[[str], None]) -> None:
        self.folder, self.last, self.tell, self.seen = str(folder), last, tell, 0
        sys.addaudithook(self.hear)
        self.sync = os.fsync
        os.fsync = self.synchronise

    def hear(self, event: str, details: tuple[Any, ...]) -> None:
        """An audit event."""
        if event == "fcntl.flock" and details[1] != 8:  # not when it is released
            self.reach(f"lock {self.name_of(f'/proc/self/fd/{details[0]}')}")
        elif event in self.EVENTS and isinstance(details[0], str | os.PathLike):
            path = os.path.abspath(os.fspath(details[0]))
            writes = event != "open" or details[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
            if path.startswith(self.folder) and writes:
                self.reach(f"{event.removeprefix('os.')} {self.name(path)}")

    def synchronise(self, file: int) -> None:
        """Instead of ``os.fsync``."""
        name = self.name_of(f"/proc/self/fd/{file}")
        self.reach(f"half {name}", lambda: os.ftruncate(file, os.fstat(file).st_size // 2))
        self.reach(f"whole {name}")
        self.sync(file)

    def name_of(self, link: str) -> str:
        """The name of an open file."""
        return self.name(os.readlink(link))

    def name(self, path: str) -> str:
        """A path in the folder, without what differs from process to process."""
        return re.sub(r"\.\d+\.partial$", ".partial", path[len(self.folder) :].lstrip("/")) or "the folder"

    def reach(self, name: str, before_end: Callable[[], None] = lambda: None) -> None:
        """One event."""
        self.tell(name)
        if self.seen == self.last:
            before_end()
            os.kill(os.getpid(), signal.SIGKILL)
        self.seen += 1


def saves_every_step() -> None:
    """Let this process save the state of a training after every step."""
    from bench.runs import runner

    runner.Kept = functools.partial(runner.Kept, every=-1.0)


def tells_every_step() -> None:
    """Let this process keep how far a run is after every step, so that the same is written in every trial."""
    from bench.runs import progress_files, session

    session.PROGRESS_SECONDS = progress_files.PAUSE_SECONDS = progress_files.PHASE_SECONDS = -1.0
    progress_files.SHARE = float("inf")


def measures_no_memory() -> None:
    """Let this process measure no peak memory, which takes long where so much was imported."""
    from bench.records import environment

    environment.reset_peak_memory = lambda: None


def draws_nothing() -> None:
    """Let this process draw no figures, which takes most of the time."""
    from bench.reports.figures import drawing

    drawing.write_figures = lambda *_: []


# In the process that kills


def imports() -> None:
    """Import what the trials need, so that none of them has to."""
    os.environ.update(environment())
    for module in IMPORTED:
        importlib.import_module(module)


def forked(words: list[str], log: Path, *before: Callable[[], object], mark: str = "") -> int:
    """Start ``bench`` in a fork of this process, with what it prints in a file; returns its process id."""
    log.parent.mkdir(parents=True, exist_ok=True)
    pid = os.fork()
    if pid:
        return pid
    code = 70
    try:
        os.setsid()
        os.environ[MARK] = mark
        file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(file, 1)
        os.dup2(file, 2)
        sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", closefd=False)  # noqa: SIM115
        for each in before:
            each()
        from bench.cli import main

        main(words, prog_name="bench")
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        with contextlib.suppress(BaseException):
            import atexit

            atexit._run_exitfuncs()
            sys.stdout.flush()
        os._exit(code)


def ended(pid: int, seconds: float = LONGEST) -> int:
    """Wait for the end of a process: its exit code, or minus the signal that ended it, or HUNG."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.02)
    os.killpg(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return HUNG


def judged(name: str, group: str, folder: Path, wanted: dict[str, Any], workers: int, early: str) -> Trial:
    """Continue with the same command, and compare.

    Args:
        name: What was done.
        group: The row of the table.
        folder: The trial's folder.
        wanted: The results of an undisturbed run.
        workers: How many workers continue.
        early: What was wrong already before that.
    """
    store = folder / "results"
    if early:
        return Trial(group, name, "unclear", early)
    broken = damage(store)
    if broken:
        return Trial(group, name, "corrupt", broken)
    code = ended(
        forked(
            arguments(MODELS, store, workers), folder / "again.log", measures_no_memory, saves_every_step, draws_nothing
        )
    )
    if code != 0:
        last = (folder / "again.log").read_text().strip().splitlines()[-1:]
        return Trial(group, name, "by hand", f"the same command again ended with {code}: {last}")
    different = differences(results(store), wanted)
    if different:
        return Trial(group, name, "different", different)
    if not (store / "leaderboard.csv").exists() or not (store / "leaderboard.md").exists():
        return Trial(group, name, "different", "there is no leaderboard")
    rest = damage(store) or leftovers(store)
    if rest:
        return Trial(group, name, "corrupt", f"left over: {rest}")
    shutil.rmtree(folder)
    return Trial(group, name, "identical")


def undisturbed(folder: Path) -> tuple[list[str], dict[str, Any]]:
    """The names of all write points of an undisturbed run, and its results."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    names, words = folder / "points", arguments(MODELS, folder / "results", 0)
    code = ended(forked(words, folder / "log", measures_no_memory, saves_every_step, _points(folder, -1)))
    if code:
        raise RuntimeError(f"the undisturbed run ended with {code}: {(folder / 'log').read_text()}")
    return names.read_text().splitlines(), results(folder / "results")


def _points(folder: Path, last: int) -> Callable[[], object]:
    def install() -> WritePoints:
        tells_every_step()
        file = os.open(folder / "points", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        return WritePoints(folder / "results", last, lambda name: os.write(file, f"{name}\n".encode()) and None)

    return install


def kind(point: str) -> str:
    """What is written at a point, for the table."""
    what, _, file = point.partition(" ")
    kinds = {
        "progress": "/progress", "checkpoint": "/checkpoints/", "lock": ".lock", "record": ".json", "figure": "figures",
        "choice": "chosen.list", "marker": "store.json", "report": "leaderboard", "verdicts": "verdicts",
    }  # fmt: skip
    marker = "marker" if "store.json" in file else None
    found = marker or next((kind for kind, part in kinds.items() if part in f"/{file}"), "folder")
    return f"{found}: {what}"


def at_write_points(folder: Path, most: int | None) -> list[Case]:
    """Killed at every write point, or at a number of them, equally far apart."""
    names, wanted = undisturbed(folder / "undisturbed")
    numbers = list(range(len(names)))
    if most is not None and most < len(names):
        numbers = [round((index + 0.5) * len(names) / most - 0.5) for index in range(most)]

    def case(number: int) -> Case:
        name = f"{number}: {names[number]}"
        return Case(name, lambda: _killed_at(folder / f"point-{number}", number, names, name, wanted))

    return [case(number) for number in numbers]


def _killed_at(folder: Path, number: int, names: list[str], name: str, wanted: dict[str, Any]) -> Trial:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    words = arguments(MODELS, folder / "results", 0)
    code = ended(forked(words, folder / "log", measures_no_memory, saves_every_step, _points(folder, number)))
    reached = (folder / "points").read_text().splitlines()
    early = ""
    if code != KILLED or reached[-1] != names[number]:
        early = f"ended with {code} at {reached[-1:]}, not killed"
    return judged(name, kind(names[number]), folder, wanted, 0, early)


SIGNALS = {
    "SIGKILL to the parent": (signal.SIGKILL, {KILLED, 0}),
    "SIGKILL to a worker": (signal.SIGKILL, {0, 1}),
    "SIGKILL to all": (signal.SIGKILL, {KILLED, 0}),
    # Before and after the runs, a signal does what it does to any program.
    "SIGTERM": (signal.SIGTERM, {143, -signal.SIGTERM, 0}),
    "SIGTERM to a worker": (signal.SIGTERM, {0, 1}),
    "SIGINT": (signal.SIGINT, {130, -signal.SIGINT, 0}),
    "SIGTERM twice": (signal.SIGTERM, {143, -signal.SIGTERM, 0}),
}


def at_any_moment(folder: Path, trials: int, seed: int) -> list[Case]:
    """Signals to a benchmark with two workers, at random moments."""
    if not trials:
        return []
    base, started = folder / "two-workers", time.monotonic()
    shutil.rmtree(base, ignore_errors=True)
    code = ended(forked(arguments(MODELS, base / "results", 2), base / "log"))
    if code:
        raise RuntimeError(f"the undisturbed run ended with {code}: {(base / 'log').read_text()}")
    whole, wanted = time.monotonic() - started, results(base / "results")
    draw = random.Random(seed)

    def case(number: int) -> Case:
        what, moment, pick = list(SIGNALS)[number % len(SIGNALS)], draw.random() * whole, draw.random()
        name, workers = f"{number}: {what}", 2 if number % 5 == 0 else 0
        return Case(name, lambda: _signalled(folder / f"moment-{number}", name, what, moment, pick, wanted, workers))

    return [case(number) for number in range(trials)]


def _signalled(
    folder: Path, name: str, what: str, moment: float, pick: float, wanted: dict[str, Any], workers: int
) -> Trial:
    shutil.rmtree(folder, ignore_errors=True)
    number, expected = SIGNALS[what]
    mark = f"{os.getpid()}-{folder.name}"
    parent = forked(arguments(MODELS, folder / "results", 2), folder / "log", measures_no_memory, mark=mark)
    time.sleep(moment)
    found = workers_of(mark)
    with contextlib.suppress(ProcessLookupError):
        if what.endswith("a worker"):
            if found:
                os.kill(found[int(pick * len(found))], number)
        else:
            os.kill(parent, number)
        if what == "SIGKILL to all":
            for worker in found:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(worker, number)
        if what.endswith("twice"):
            time.sleep(pick)
            os.kill(parent, number)
    code = ended(parent)
    deadline = time.monotonic() + WAIT_SECONDS
    while (alive := living(mark)) and time.monotonic() < deadline:
        time.sleep(0.1)
    if alive:
        for pid in alive:
            os.kill(pid, signal.SIGKILL)
        return Trial(what, name, "outlived", f"{len(alive)} processes lived on")
    early = (
        "" if code in expected else f"ended with {code} after {moment:.2f} s: {(folder / 'log').read_text()[-2000:]}"
    )
    if code in (143, 130) and not early:
        states = {record.status for record in Store(folder / "results").records()}
        early = f"records are marked {states}" if states - {"ok", "interrupted"} else ""
    return judged(name, what, folder, wanted, workers, early)
