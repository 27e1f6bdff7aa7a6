"""Runs in this process or in workers: the same results, and a worker that dies costs one run."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from bench.plans.plan import Request, make_plan
from bench.records.frames import REAL_DATA
from bench.runs.checkpoints import CheckpointFolder
from bench.runs.executors import child, processes
from bench.runs.executors.base import Finished, Progress, Started, Stopping
from bench.runs.executors.processes import ProcessExecutor
from bench.runs.executors.serial import SerialExecutor
from bench.runs.stopping import Stop

PLUGINS = """
import gc, os, signal, subprocess, sys, time
from dataclasses import dataclass
from multiprocessing.connection import Connection

import torch


class Constant:
    def __init__(self, spec):
        self.spec = spec

    def sample(self, n, decoding, rng):
        return torch.randint(self.spec.vocab_size, (n, self.spec.seq_len), generator=rng)


@dataclass(frozen=True)
class Exits:
    def fit(self, data, run):
        os._exit(3)


@dataclass(frozen=True)
class Killed:
    def fit(self, data, run):
        os.kill(os.getpid(), signal.SIGKILL)


@dataclass(frozen=True)
class Prints:
    def fit(self, data, run):
        print("NOISE on stdout", flush=True)
        print("NOISE on stderr", file=sys.stderr, flush=True)
        os.write(1, b"NOISE below python\\n")
        subprocess.run(["echo", "NOISE of a child"], check=True)
        for _ in run.phase("noise", 1):
            pass
        return Constant(data.spec)


@dataclass(frozen=True)
class Patches:
    def fit(self, data, run):
        torch.set_default_dtype(torch.float64)
        torch.nn.functional.embedding = None
        for _ in run.phase("patch", 1):
            pass
        return Constant(data.spec)


@dataclass(frozen=True)
class Forks:
    def fit(self, data, run):
        if os.fork() == 0:
            open("forked.pid", "w").write(str(os.getpid()))
            time.sleep(600)
        while not os.path.exists("forked.pid"):
            time.sleep(0.01)
        os._exit(4)


@dataclass(frozen=True)
class Leaves:
    def fit(self, data, run):
        for _ in run.phase("leave", 1):
            if os.fork() == 0:
                os.setsid()
                open("forked.pid", "w").write(str(os.getpid()))
                os.execv(sys.executable, [sys.executable, "-c", "import time; time.sleep(600)"])
            while not os.path.exists("forked.pid"):
                time.sleep(0.01)
        return Constant(data.spec)


@dataclass(frozen=True)
class Returns:
    '''Both the process and its fork return from fit().'''

    def fit(self, data, run):
        for _ in run.phase("fork", 2):
            os.fork()
        return Constant(data.spec)


@dataclass(frozen=True)
class Writes:
    what: str = "bytes"

    def fit(self, data, run):
        gc.unfreeze()  # the harness hides from the collector what was there before the run
        pipe = next(each for each in gc.get_objects() if isinstance(each, Connection) and not each.closed)
        if self.what == "bytes":
            os.write(pipe.fileno(), b"garbage " * 20)
        elif self.what == "half":
            os.write(pipe.fileno(), bytes(3) + b"x")
        elif self.what == "message":
            pipe.send_bytes(b"garbage " * 20)
        else:
            pipe.send({"status": "ok"})
        time.sleep(600)


@dataclass(frozen=True)
class Stopped:
    def fit(self, data, run):
        for _ in run.phase("stop", 2):
            os.kill(os.getpid(), signal.SIGTERM)


@dataclass(frozen=True)
class Hangs:
    def fit(self, data, run):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        for step in run.phase("hang", 3):
            time.sleep(600 if step == 2 else 0.3)


@dataclass(frozen=True)
class Counts:
    def fit(self, data, run):
        model = torch.nn.Linear(1, 1)
        model.sample = Constant(data.spec).sample
        run.track(model, model=model)
        for _ in run.phase("count", 8):
            time.sleep(0.3)
            with torch.no_grad():
                model.weight += torch.rand(1, generator=run.rng("steps"))
        return model


@dataclass(frozen=True)
class Sleeps:
    def fit(self, data, run):
        for _ in run.phase("sleep", 1_000):
            time.sleep(0.3)
        return Constant(data.spec)
"""
SETTINGS = ("toy.train_size=64", "toy.valid_size=20", "toy.test_size=30")


@contextmanager
def plugins_in(folder):
    (folder / "own_workers.py").write_text(PLUGINS)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.syspath_prepend("")
        yield


@contextmanager
def terminal_into(file):
    """Everything written to this process's terminal, and to that of its children, goes into a file."""
    kept = os.dup(1), os.dup(2)
    with file.open("wb") as stream:
        os.dup2(stream.fileno(), 1)
        os.dup2(stream.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept[0], 1)
            os.dup2(kept[1], 2)
            os.close(kept[0])
            os.close(kept[1])


def plan(*models):
    return make_plan(Request(models, ("toy",), ("all",), 1, "smoke", SETTINGS))


@dataclass
class Day:
    """What happened on a day with bad plugins."""

    specs: list
    events: list
    terminal: str
    logs: str
    children: list
    left: list
    seconds_to_close: float
    serial: list


@pytest.fixture(scope="module")
def day(tmp_path_factory):
    """One worker at a time, two of which die; the iterator is closed in the middle of the last run."""
    folder = tmp_path_factory.mktemp("executors")
    with plugins_in(folder):
        specs = plan(
            "own_workers:Prints", "seqgan", "own_workers:Exits", "random", "own_workers:Killed", "own_workers:Sleeps"
        )
        stream = ProcessExecutor(1, folder / "checkpoints", folder / "logs").execute(specs)
        events = []
        with terminal_into(folder / "terminal"):
            for event in stream:
                events.append(event)
                if isinstance(event, Progress) and event.phase == "sleep":
                    break
            children = multiprocessing.active_children()
            start = time.monotonic()
            stream.close()
        seconds = time.monotonic() - start
        left = multiprocessing.active_children()
        here = [spec for spec in specs if spec.model in (REAL_DATA, "seqgan", "random")]
        serial = list(SerialExecutor().execute(here))
        logs = "".join(path.read_text() for path in sorted((folder / "logs").iterdir()))
    return Day(specs, events, (folder / "terminal").read_text(), logs, children, left, seconds, serial)


def records(events):
    return {event.record.spec.model: event.record for event in events if isinstance(event, Finished)}


def test_every_run_is_started_and_finished_once_and_in_order(day):
    assert [event.spec for event in day.events if isinstance(event, Started)] == day.specs
    assert [event.record.spec for event in day.events if isinstance(event, Finished)] == day.specs[:-1]
    assert any(isinstance(event, Progress) and event.phase == "adversarial" for event in day.events)
    assert {event.worker for event in day.events} == {0}
    under_way = ""
    for event in day.events:
        under_way = event.run_id if isinstance(event, Started) else under_way
        assert event.run_id == under_way


def test_a_worker_that_dies_costs_one_run(day):
    found = records(day.events)
    assert {model: record.status for model, record in found.items()} == {
        REAL_DATA: "ok", "own_workers:Prints": "ok", "seqgan": "ok", "own_workers:Exits": "failed", "random": "ok",
        "own_workers:Killed": "failed",
    }  # fmt: skip
    assert found["own_workers:Exits"].reason.startswith("the worker process ended with exit code 3; what it printed is")
    assert found["own_workers:Exits"].reason.endswith("worker-0.log'")
    assert found["own_workers:Killed"].reason.startswith(
        "the worker process ended with signal SIGKILL; the system may have run out of memory; what it printed is in"
    )


def test_the_record_of_a_dead_worker_says_when_and_where(day):
    record = records(day.events)["own_workers:Exits"]
    assert record.finished
    assert record.environment


def test_workers_and_this_process_get_the_same_results(day):
    elsewhere, here = records(day.events), records(day.serial)
    assert set(here) == {REAL_DATA, "seqgan", "random"}
    for model, record in here.items():
        other = elsewhere[model]
        assert other.spec == record.spec
        assert other.samples == record.samples
        assert other.scores.keys() == record.scores.keys()
        for checkpoint, scores in record.scores.items():
            assert [score for score in other.scores[checkpoint] if score.kind == "quality"] == [
                score for score in scores if score.kind == "quality"
            ]
        assert [row["scalars"] for row in other.curve] == [row["scalars"] for row in record.curve]
        assert other.environment["threads"] == record.environment["threads"] == 1


def test_what_plugins_print_goes_to_the_logs(day):
    assert day.terminal == ""
    for noise in ("on stdout", "on stderr", "below python", "of a child"):
        assert f"NOISE {noise}" in day.logs


def test_closing_the_iterator_ends_the_workers(day):
    (child,) = day.children
    assert day.left == []
    assert day.seconds_to_close < 10
    assert not child.is_alive()
    with pytest.raises(ProcessLookupError):
        os.kill(child.pid, 0)


def test_nothing_to_do_needs_no_worker():
    assert list(ProcessExecutor(2).execute([])) == []
    assert list(SerialExecutor().execute([])) == []


def test_this_process_keeps_its_number_of_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        events = SerialExecutor().execute(plan("random")[:1])
        next(events)
        assert torch.get_num_threads() == 1
        events.close()
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


# What must cost one row only


@pytest.fixture
def plugins(tmp_path):
    with plugins_in(tmp_path):
        yield tmp_path


def ends(events):
    return {event.record.spec.model: (event.record.status, event.record.reason) for event in events
            if isinstance(event, Finished)}  # fmt: skip


def is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"


def test_a_worker_that_leaves_a_child_behind_costs_one_run(plugins):
    found = ends(ProcessExecutor(1).execute(plan("own_workers:Forks", "random")))
    assert found["own_workers:Forks"] == ("failed", "the worker process ended with exit code 4")
    assert found["random"][0] == "ok"
    assert not is_alive(int((plugins / "forked.pid").read_text()))


def test_a_child_that_left_the_group_of_its_worker_is_ended_too(plugins):
    found = ends(ProcessExecutor(1).execute(plan("own_workers:Leaves")))
    assert found["own_workers:Leaves"][0] == "ok"
    left, deadline = int((plugins / "forked.pid").read_text()), time.monotonic() + 10
    while is_alive(left) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not is_alive(left)


@pytest.mark.usefixtures("plugins")
def test_a_fork_that_returns_from_fit_sends_no_record():
    events = list(ProcessExecutor(1).execute(plan("own_workers:Returns", "random")))
    finished = [event.record for event in events if isinstance(event, Finished)]
    assert [record.status for record in finished] == ["ok", "ok", "ok"]
    assert len({record.spec.run_id for record in finished}) == 3


@pytest.mark.usefixtures("plugins")
def test_what_a_plugin_writes_into_the_pipe_costs_its_run(monkeypatch):
    monkeypatch.setattr(child, "SILENCE_SECONDS", 1)
    settings = [f"own_workers:Writes.what={what!r}" for what in ("bytes", "half", "message", "dict")]
    specs = [
        make_plan(Request(("own_workers:Writes",), ("toy",), ("all",), 1, "smoke", (*SETTINGS, each)))[1]
        for each in settings
    ]
    events = list(ProcessExecutor(1).execute([*specs, *plan("random")[1:]]))
    finished = [event.record for event in events if isinstance(event, Finished)]
    assert [record.status for record in finished] == [*["failed"] * 4, "ok"]
    assert {record.reason for record in finished[:4]} == {"something else than the harness wrote to its pipe"}


@pytest.mark.usefixtures("plugins")
def test_a_worker_that_another_process_stops_costs_its_run():
    found = ends(ProcessExecutor(1).execute(plan("own_workers:Stopped", "random")))
    assert found["own_workers:Stopped"] == ("failed", "another process asked it to stop; the same command continues")
    assert found["random"][0] == "ok"


@pytest.mark.usefixtures("plugins")
def test_time_in_which_this_process_was_suspended_is_not_a_runs(monkeypatch):
    monkeypatch.setattr(processes, "SUSPENDED_SECONDS", 1.0)
    events = ProcessExecutor(1, timeout=60).execute(plan("own_workers:Counts")[1:])
    for event in events:
        if isinstance(event, Progress) and event.done == 2:
            monkeypatch.setattr(processes, "time", SimpleNamespace(monotonic=lambda: time.monotonic() + 7200))
    assert isinstance(event, Finished)
    assert event.record.status == "ok"


def timed_out(executor, specs, phase):
    """The runs, the first of which has taken too long after two steps of a phase."""
    events = executor.execute(specs)
    for event in events:
        yield event
        if isinstance(event, Progress) and (event.phase, event.done) == (phase, 2):
            executor._workers[0].deadline = 0.0


@pytest.mark.usefixtures("plugins")
def test_a_run_that_hangs_is_ended_when_its_time_is_over(monkeypatch):
    monkeypatch.setattr(processes, "GRACE_SECONDS", 0.5)
    found = ends(timed_out(ProcessExecutor(1, timeout=600), plan("own_workers:Hangs", "random"), "hang"))
    assert found["own_workers:Hangs"] == (
        "failed", "it took longer than the timeout of 600 s; it did not react when it was asked to stop"
    )  # fmt: skip
    assert found["random"][0] == "ok"


@pytest.mark.usefixtures("plugins")
def test_a_run_that_hangs_does_not_keep_a_stop_from_ending(monkeypatch):
    """Without any timeout, whose message would be of no use."""
    monkeypatch.setattr(processes, "GRACE_SECONDS", 0.5)
    stop, seen = Stop(), []
    for event in ProcessExecutor(1, stop=stop).execute(plan("own_workers:Hangs", "random")[1:]):
        seen.append(event)
        if isinstance(event, Progress) and (event.phase, event.done) == ("hang", 2):
            stop.ask(signal.SIGTERM)
    assert isinstance(seen[-1], Stopping)
    assert ends(seen) == {}
    assert multiprocessing.active_children() == []


def test_a_longer_timeout_continues(plugins):
    specs = plan("own_workers:Counts")[1:]
    (short,) = ends(timed_out(ProcessExecutor(1, plugins / "states", timeout=600), specs, "count")).values()
    reason = "it took longer than the timeout of 600 s; a longer one continues from its last state, if one was saved"
    assert short == ("failed", reason)
    done = CheckpointFolder(plugins / "states").load(specs[0].fit_id).state["phases"]["count"]["done"]
    assert 2 <= done < 8
    seen = []
    (record,) = records(SerialExecutor(plugins / "states", seen.append).execute(specs)).values()
    assert next(event.done for event in seen if event.phase == "count") == done + 1
    assert [row["step"] for row in record.curve] == list(range(1, 9))


@pytest.mark.usefixtures("plugins")
def test_a_strangers_code_that_changes_modules_changes_no_other_run():
    changed = records(ProcessExecutor(1).execute(plan("own_workers:Patches", "mle")))
    assert changed["own_workers:Patches"].status == "ok"
    alone = records(ProcessExecutor(1).execute(plan("mle")))
    assert changed["mle"].samples == alone["mle"].samples
    assert changed["mle"].scores["final"][0] == alone["mle"].scores["final"][0]


@pytest.mark.parametrize("workers", [0, 2])
def test_asked_to_stop_runs_save_their_states_and_continue_to_the_same(workers, plugins):
    def executor(**more):
        return (
            SerialExecutor(plugins / "states", **more)
            if not workers
            else ProcessExecutor(2, plugins / "states", **more)
        )

    specs, stop = plan("own_workers:Counts", "seqgan")[1:], Stop()
    seen = []

    def see(event):
        seen.append(event)
        if isinstance(event, Progress) and event.phase == "count" and event.done == 2:
            stop.ask(15)

    for event in executor(stop=stop, **({"see": see} if not workers else {})).execute(specs):
        see(event)
    stopped = ends(seen)
    assert "own_workers:Counts" not in stopped
    assert any(isinstance(event, Stopping) for event in seen)
    assert CheckpointFolder(plugins / "states").load(specs[0].fit_id).state["phases"]["count"]["done"] >= 2
    assert multiprocessing.active_children() == []
    again = records(executor().execute(specs))
    whole = records(SerialExecutor().execute(specs))
    for model, record in whole.items():
        assert again[model].samples == record.samples
        assert [row["scalars"] for row in again[model].curve] == [row["scalars"] for row in record.curve]


PARENT = """
import os, sys
from bench.plans.plan import Request, make_plan
from bench.runs.executors.base import Progress
from bench.runs.executors.processes import ProcessExecutor

settings = ("toy.train_size=64", "toy.valid_size=20", "toy.test_size=30")
plan = make_plan(Request(("own_workers:Sleeps",), ("toy",), ("all",), 2, "smoke", settings))[2:]
executor = ProcessExecutor(2)
events = executor.execute(plan)
for event in events:
    if isinstance(event, Progress) and event.phase == "sleep":
        print(*(worker.child.process.pid for worker in executor._workers), flush=True)
        kept = events  # so that nobody closes it
        {end}
"""


@pytest.mark.parametrize("end", ["raise OSError(28, 'No space left on device')", "os.kill(os.getpid(), 9)"])
def test_no_worker_outlives_a_parent_that_breaks(plugins, end):
    (plugins / "parent.py").write_text(PARENT.replace("{end}", end))
    done = subprocess.run(
        [sys.executable, "parent.py"], capture_output=True, text=True, timeout=60, check=False, cwd=plugins,
    )  # fmt: skip
    assert done.returncode != 0
    workers = [int(pid) for pid in done.stdout.split()]
    assert len(workers) == 2
    deadline = time.monotonic() + 10
    while any(map(is_alive, workers)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(is_alive, workers))
