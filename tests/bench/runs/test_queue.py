"""Runs are handed out so that a worker keeps to a seed, and what its runs share is at hand."""

import pytest

from bench.plans.plan import Request, make_plan
from bench.runs.executors.queue import Queue


@pytest.fixture(scope="module")
def plan():
    return make_plan(Request(("mle", "random"), ("toy",), ("copy",), 3, "smoke"))


def names(specs):
    return [(spec.seed, spec.model) for spec in specs]


def test_one_worker_goes_through_the_plan_in_order(plan):
    queue, last, done = Queue(plan), None, []
    while last := queue.take(last):
        done.append(last)
    assert done == plan
    assert queue.take(done[-1]) is None


def test_two_workers_begin_with_two_seeds_and_share_the_last(plan):
    queue = Queue(plan)
    now = [queue.take(), None]
    now[1] = queue.take(None, [now[0].stream])
    done = [[now[0]], [now[1]]]
    for turn in range(7):
        worker = turn % 2
        last, other = done[worker][-1], done[1 - worker][-1]
        spec = queue.take(last, [other.stream])
        assert spec is not None
        done[worker].append(spec)
    assert names(done[0]) == [(0, "real data"), (0, "mle"), (0, "random"), (2, "real data"), (2, "random")]
    assert names(done[1]) == [(1, "real data"), (1, "mle"), (1, "random"), (2, "mle")]
    assert queue.take(done[0][-1]) is None


def test_a_worker_without_a_seed_of_its_own_helps_where_most_is_left(plan):
    queue = Queue(plan)
    first = queue.take()
    queue.take(first)
    assert queue.take(None, [spec.stream for spec in plan]).seed == 1


def test_after_clear_nothing_is_handed_out(plan):
    queue = Queue(plan)
    queue.clear()
    assert queue.take() is None
