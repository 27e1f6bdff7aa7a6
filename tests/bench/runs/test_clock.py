"""Seconds and amounts, and when a budget is used up."""

from time import sleep

import pytest
import torch

from bench import pack
from bench.runs.clock import Clock
from bench.runs.cost import Cost


@pytest.fixture
def time():
    """The time in seconds, set by the tests."""
    return [0.0]


@pytest.fixture
def clock(time):
    return Clock(torch.device("cpu"), {"seconds": 10.0, "updates": 4}, lambda: time[0])


def test_time_counts_while_the_clock_runs(clock, time):
    for running in (True, False, True):
        if running:
            clock.start()
        time[0] += 3
        clock.stop()
    assert clock.cost.seconds == 6
    assert clock.cost.peak_memory > 0


def test_a_stopped_clock_stays_stopped(clock, time):
    clock.stop()
    time[0] += 5
    clock.stop()
    assert clock.cost.seconds == 0


def test_the_first_limit_that_is_reached_ends_the_budget(clock, time):
    clock.start()
    time[0] += 9
    assert not clock.spent()
    with clock.measure(updates=3) as count:
        count(updates=1)
    assert clock.spent()
    assert clock.ran_out()
    assert clock.left() == {"seconds": 1.0, "updates": 0}
    assert clock.share() == 1.0


def test_a_block_is_counted_with_the_seconds_that_it_takes(clock, time):
    with clock.measure(updates=1) as count:
        time[0] += 2
        count(train_tokens=30)
    with clock.measure(updates=1):
        time[0] += 1
    assert clock.cost.amounts == {"updates": 2, "train_tokens": 30}
    assert clock.cost.durations == {"updates": 3, "train_tokens": 2}


def test_without_a_budget_nothing_is_spent(time):
    clock = Clock(torch.device("cpu"), None, lambda: time[0])
    clock.start()
    time[0] += 1e9
    assert not clock.spent()


def test_a_saved_cost_is_gone_on_from(clock, time):
    clock.start()
    time[0] += 7
    clock.set(Cost(seconds=2.0, steps=5))  # what was saved is all that was spent
    time[0] += 1
    clock.stop()
    assert (clock.cost.seconds, clock.cost.steps) == (3.0, 5)


def test_in_a_pack_waiting_for_the_device_is_done_once_and_shared(monkeypatch):
    """Else the first to wait would be charged with what the device still had to do for all."""
    waits = []

    def synchronize(device):
        waits.append(device)
        sleep(0.2)

    monkeypatch.setattr(torch.cuda, "synchronize", synchronize)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: 0)

    def train():
        clock = Clock(torch.device("cuda"), now=pack.now)
        clock.start()
        clock.stop()
        return clock.cost.seconds

    found = dict(pack.Pack(4).run({0: train, 2: train}))
    assert len(waits) == 1
    assert found[0] == pytest.approx(0.1, abs=0.05)
    assert found[2] == pytest.approx(0.1, abs=0.05)
