"""Verdicts while the runs go on: of the seeds that are complete, and marked as provisional."""

import io
from contextlib import closing

import pytest
from rich.console import Console

from bench.commands import so_far as module
from bench.commands.progress import Display, follow
from bench.commands.so_far import SoFar
from bench.plans.plan import Request, make_plan
from bench.records.frames import REAL_DATA
from bench.records.store import Store
from bench.reports import terminal
from bench.runs.campaign import begin
from bench.runs.executors.base import Finished
from bench.runs.executors.serial import SerialExecutor

pytestmark = pytest.mark.usefixtures("memory_not_measured")

TITLE = "toy[test_size=30, train_size=64, valid_size=20], smoke"
SETTINGS = ("toy.train_size=64", "toy.valid_size=20", "toy.test_size=30", "pg-bleu.rounds=1")


@pytest.fixture(scope="module")
def plan():
    return make_plan(Request(("mle", "pg-bleu", "uniform"), ("toy",), ("nll", "divergence"), 4, "smoke", SETTINGS))


@pytest.fixture(scope="module")
def records(plan, tmp_path_factory):
    """The events of all runs, and the folder that holds them."""
    store = Store(tmp_path_factory.mktemp("so-far") / "results")
    with begin(plan, store) as campaign, closing(campaign.events(SerialExecutor(store.checkpoints))) as events:
        done = [event for event in events if isinstance(event, Finished)]
    return done, store


class Begun:
    """A campaign in which some runs were finished before."""

    def __init__(self, plan, store, finished=()):
        self.plan, self.store, self.left = plan, store, len(plan)
        self.finished = dict.fromkeys(finished, "ok")


def text(document):
    console = Console(file=io.StringIO(), width=300)
    console.print(terminal.render(document))
    return console.file.getvalue()


def of_seed(events, *seeds):
    return [event for event in events if event.record.spec.seed in seeds]


def test_from_the_second_complete_seed_on_there_is_a_provisional_verdict(plan, records, monkeypatch):
    monkeypatch.setattr(module, "PAUSE_SECONDS", 0.0)
    events, store = records
    watch = SoFar(Begun(plan, store))
    found = [watch.see(event) for event in events]
    spoken = [
        (event.record.spec.seed, text(document)) for event, document in zip(events, found, strict=True) if document
    ]
    assert [seed for seed, _ in spoken] == [1, 2, 3]
    assert spoken[0][1].startswith(f"{TITLE} (provisional, 2 of 4 seeds)")
    assert "By jsd_token, paired by seed" in spoken[0][1]
    assert "pg-bleu[rounds=1]: " in spoken[0][1]
    assert spoken[1][1].startswith(f"{TITLE} (provisional, 3 of 4 seeds)")
    assert spoken[2][1].startswith(f"{TITLE} (all its seeds are there)")


def test_a_seed_that_is_not_complete_does_not_count(plan, records):
    events, store = records
    watch = SoFar(Begun(plan, store))
    for event in [*of_seed(events, 0), *of_seed(events, 2)[:-1], *of_seed(events, 1)[:-1]]:
        assert watch.see(event) is None
    answer = text(watch.see(of_seed(events, 1)[-1]))
    assert "2 of 4 seeds" in answer
    assert "missing" not in answer


def test_what_was_finished_earlier_counts(plan, records):
    events, store = records
    watch = SoFar(Begun(plan, store, [event.run_id for event in of_seed(events, 0)]))
    assert [bool(watch.see(event)) for event in of_seed(events, 3)] == [False, False, False, True]


def test_verdicts_leave_a_pause_and_the_last_one_does_not_wait(plan, records):
    events, store = records
    watch = SoFar(Begun(plan, store))
    spoken = [event.record.spec.seed for event in events if watch.see(event)]
    assert spoken == [1, 3]


def test_at_the_very_end_the_reports_say_it(plan, records):
    events, store = records
    campaign = Begun(plan, store, [event.run_id for event in events[:-1]])
    campaign.left = 0
    assert SoFar(campaign).see(events[-1]) is None


def test_models_of_a_users_choice_are_compared_with(plan, records):
    events, store = records
    watch = SoFar(Begun(plan, store), ("uniform",))
    answers = [watch.see(event) for event in events]
    assert "uniform" in text(next(filter(None, answers)))


def test_a_summary_that_fails_costs_no_run(tmp_path, monkeypatch):
    small = make_plan(Request(("uniform",), ("toy",), ("nll",), 3, "smoke", SETTINGS[:-1]))

    def broken(*_):
        raise RuntimeError("no summary today")

    monkeypatch.setattr(SoFar, "see", broken)
    console = Console(file=io.StringIO(), width=200)
    with begin(small, Store(tmp_path / "results")) as campaign:
        assert follow(console, campaign, 0, None, SoFar(campaign)) == 0
        assert campaign.counts["ok"] == len(small)
    assert "warning: no provisional verdicts: RuntimeError: no summary today" in console.file.getvalue()


def test_the_display_shows_them(plan, records):
    events, store = records
    console = Console(file=io.StringIO(), width=200)
    display, watch = Display(console, plan, 1), SoFar(Begun(plan, store))
    for event in events:
        display.show(watch, event)
    lines = console.file.getvalue()
    assert lines.count(f"{TITLE} (") == 2
    assert REAL_DATA not in lines
