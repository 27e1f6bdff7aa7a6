"""Members of a pack take turns, meet, and get what they would get alone."""

from __future__ import annotations

import itertools
import os
import signal
import threading
import time

import pytest

from bench import pack
from bench.pack import Pack, member, now


def add(brought):
    """Every place gets the sum of what was brought and how many brought it."""
    there = [each for each in brought if each is not None]
    return [(sum(there), len(there))] * len(brought)


def meet(number, joint=add):
    return member().meet(joint, number)


def run(width, *functions):
    """In the first places of a pack."""
    return Pack(width).run(dict(enumerate(functions)))


def test_outside_of_packs_there_is_no_member_and_time_is_the_clocks():
    assert member() is None
    assert abs(now() - time.perf_counter()) < 1


def test_those_that_come_to_a_step_take_it_together_and_once():
    calls = []

    def noted(brought):
        calls.append(list(brought))
        return add(brought)

    found = dict(run(4, lambda: meet(1, noted), lambda: meet(10, noted), lambda: meet(100, noted)))
    assert found == {0: (111, 3), 1: (111, 3), 2: (111, 3)}
    assert calls == [[1, 10, 100, None]]


def test_a_member_that_takes_other_steps_is_not_waited_for():
    def twice(number):
        return meet(number), meet(number)

    def other(brought):
        return add(brought)

    found = dict(run(3, lambda: twice(1), lambda: twice(10), lambda: meet(100, other)))
    assert found == {0: ((11, 2), (11, 2)), 1: ((11, 2), (11, 2)), 2: (100, 1)}


def test_members_end_when_they_return_and_the_others_go_on():
    def steps(number, times):
        return [meet(number) for _ in range(times)]

    found = list(run(2, lambda: steps(1, 3), lambda: steps(10, 1)))
    assert found == [(1, [(11, 2)]), (0, [(11, 2), (1, 1), (1, 1)])]


def test_turns_are_in_the_same_order_whatever_the_members_take():
    order = []

    def slow(name, seconds):
        for step in range(3):
            time.sleep(seconds)
            order.append((step, name))
            meet(1)

    for _ in run(3, lambda: slow("a", 0.02), lambda: slow("b", 0), lambda: slow("c", 0.01)):
        pass
    assert order == [(step, name) for step in range(3) for name in "abc"]


def test_only_one_computes_at_a_time():
    inside = threading.Semaphore(1)

    def careful():
        for _ in range(50):
            assert inside.acquire(blocking=False)
            time.sleep(0)
            inside.release()
            meet(1)
        return True

    assert all(result for _, result in run(3, *[careful] * 3))


def test_what_a_step_raises_is_raised_in_all_that_took_it_and_in_no_other():
    def broken(brought):
        raise ArithmeticError("no such sum")

    def caught(joint):
        try:
            return meet(1, joint)
        except ArithmeticError as error:
            return str(error)

    found = dict(run(3, lambda: caught(broken), lambda: caught(broken), lambda: caught(add)))
    assert found == {0: "no such sum", 1: "no such sum", 2: (1, 1)}


def test_what_a_member_raises_ends_the_others_where_they_stopped():
    ended = []

    def fails():
        meet(1)
        raise KeyError("mine")

    def goes_on():
        try:
            while True:
                meet(1)
        except GeneratorExit:
            ended.append(member().place)
            raise

    before = threading.active_count()
    with pytest.raises(KeyError, match="mine"):
        list(run(3, goes_on, fails, goes_on))
    assert ended == [0, 2]
    assert threading.active_count() == before


def test_a_closed_iterator_ends_its_members():
    ended = []

    def goes_on():
        try:
            while True:
                meet(1)
        finally:
            ended.append(member().place)

    running = run(3, goes_on, lambda: meet(2), goes_on)
    assert next(running)[0] == 1
    running.close()
    assert ended == [0, 2]


def test_while_a_member_waits_for_something_else_the_others_go_on():
    done = []

    def waits():
        while len(done) < 20:
            time.sleep(0.001)
            member().pause()
        return "free"

    def works():
        for _ in range(20):
            meet(1)
            done.append(1)
        return "done"

    assert list(run(2, waits, works)) == [(1, "done"), (0, "free")]


def test_many_that_wait_do_not_slow_down_the_one_that_works():
    done, asked = [], []

    def waits():
        while len(done) < 200:
            asked.append(1)
            member().pause()

    def works():
        for _ in range(200):
            time.sleep(0.005)
            meet(1)
            done.append(1)

    assert len(list(run(8, *[waits] * 7, works))) == 8
    assert len(asked) < 60  # every half second, and not at every step


def test_a_member_that_waits_is_asked_again(monkeypatch):
    monkeypatch.setattr(pack, "PAUSE_SECONDS", 0.05)
    asked = []

    def waits():
        while len(asked) < 3:
            asked.append(time.monotonic())
            member().pause()
        return "free"

    def works():
        while len(asked) < 3:
            time.sleep(0.01)
            meet(1)
        return "done"

    assert dict(run(2, waits, works)) == {0: "free", 1: "done"}
    assert min(later - earlier for earlier, later in itertools.pairwise(asked)) > 0.05


def test_members_out_of_step_fall_into_step_again():
    calls = {"s": 0, "d": 0}

    def counted(name):
        def joint(brought):
            calls[name] += 1
            return brought

        return joint

    s, d = counted("s"), counted("d")

    def rounds(ahead):
        for _ in range(ahead):
            meet(1, d)
        for _ in range(50):
            meet(1, s)
            meet(1, d)

    for _ in run(3, lambda: rounds(0), lambda: rounds(1), lambda: rounds(2)):
        pass
    assert calls["s"] + calls["d"] <= 2 * 50 + 4  # if each took its own, there were about as many more


def test_what_comes_first_is_taken_before_what_more_have_come_to():
    order = []

    def joint(name):
        def take(brought):
            order.append((name, sum(each is not None for each in brought)))
            return brought

        return take

    step, short = joint("step"), joint("short")

    def other():
        member().meet(short, 1, first=True)
        meet(1, step)

    for _ in run(3, lambda: meet(1, step), other, lambda: meet(1, step)):
        pass
    assert order == [("short", 1), ("step", 3)]


def test_what_members_share_is_kept_apart_where_that_is_asked_for():
    shared = [0]

    def exchange(value):
        before, shared[0] = shared[0], shared[0] if value is None else value
        return before

    def count():
        seen = []
        for _ in range(3):
            shared[0] += 1
            seen.append(shared[0])
            meet(1)
        return seen

    assert dict(Pack(2, exchange).run({0: count, 1: count})) == {0: [1, 2, 3], 1: [2, 3, 4]}


def test_an_interrupt_does_not_wait_for_the_member_that_computes():
    ended = threading.Event()

    def long():
        try:
            time.sleep(3)
            meet(1)
        finally:
            ended.set()

    def interrupt(*_):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGUSR1, interrupt)
    since = time.monotonic()
    try:
        timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGUSR1))
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            list(run(2, lambda: meet(1), long))
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert time.monotonic() - since < 2
    assert ended.wait(10)  # it is ended where it would have met the others


@pytest.mark.filterwarnings("ignore:This process.*is multi-threaded:DeprecationWarning")
def test_a_fork_of_a_member_ends_where_it_would_wait_forever():
    def forks():
        child = os.fork()
        if child == 0:
            meet(1)
            os._exit(0)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    assert dict(run(2, forks)) == {0: 1}


def test_each_is_charged_with_its_own_turns_and_a_share_of_the_steps():
    def long(brought):
        time.sleep(0.2)
        return add(brought)

    def works(seconds):
        since = now()
        time.sleep(seconds)
        meet(1, long)
        return now() - since

    found = dict(run(4, lambda: works(0.3), lambda: works(0.1)))
    assert found[0] == pytest.approx(0.4, abs=0.08)
    assert found[1] == pytest.approx(0.2, abs=0.08)


def test_what_is_shared_is_made_once_in_a_pack():
    made = []

    def asks():
        return member().pack.shared("key", lambda: made.append(1) or object())

    found = dict(run(2, asks, asks))
    assert found[0] is found[1]
    assert made == [1]
    assert next(run(2, asks))[1] is not found[0]


def test_members_have_the_places_that_they_are_given():
    seen = []

    def noted(brought):
        seen.append(list(brought))
        return add(brought)

    assert dict(Pack(4).run({3: lambda: meet(1, noted), 1: lambda: meet(10, noted)})) == {1: (11, 2), 3: (11, 2)}
    assert seen == [[None, 10, None, 1]]


@pytest.mark.parametrize("place", [-1, 2])
def test_a_place_that_there_is_not_is_refused(place):
    with pytest.raises(ValueError, match=f"expected places from 0 to 1, got {place}"):
        next(Pack(2).run({place: lambda: None}))
