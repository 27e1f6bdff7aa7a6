"""Runs in this process or in workers: the same results, and a worker that dies costs one run."""

import multiprocessing
import os
import time
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
import torch

from bench.plans.plan import Request, make_plan
from bench.records.frames import REAL_DATA
from bench.runs.executors.base import Finished, Progress, Started
from bench.runs.executors.processes import ProcessExecutor
from bench.runs.executors.serial import SerialExecutor

PLUGINS = """
import os, signal, subprocess, sys, time
from dataclasses import dataclass

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
    assert found["own_workers:Exits"].reason == "the worker process ended with exit code 3"
    assert found["own_workers:Killed"].reason == (
        "the worker process ended with signal SIGKILL; the system may have run out of memory"
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
