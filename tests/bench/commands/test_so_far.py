"""Verdicts while the runs go on: of the seeds that are complete, and marked as provisional."""

import io
import math
from contextlib import closing

import pytest
from rich.console import Console

from bench.analysis.answers import in_headline
from bench.analysis.results import Results
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

TITLE = "toy[test_size=30, train_size=64, valid_size=20], smoke"
SETTINGS = ("toy.train_size=64", "toy.valid_size=20", "toy.test_size=30", "pg-bleu.rounds=1")


@pytest.fixture(scope="module")
def plan():
    return make_plan(Request(("mle", "pg-bleu", "uniform"), ("toy",), ("nll", "divergence"), 4, "smoke", SETTINGS))


class Replayed:
    """Runs that were done before end once more, in a folder of their own."""

    def __init__(self, records, folder, finished=()):
        self.plan = [record.spec for record in records]
        self.store = Store(folder)
        self.store.open()
        self.store.plan(self.plan)
        self.store.choose(self.plan)
        self.missing = [record.spec for record in records if record not in finished]
        self.left = len(self.missing)
        for record in finished:
            self.store.write(record)

    def end(self, watch, record):
        """What is said after a run."""
        self.store.write(record)
        self.left -= 1
        return watch.see(Finished(0, record))


@pytest.fixture(scope="module")
def records(plan, tmp_path_factory):
    store = Store(tmp_path_factory.mktemp("so-far") / "results")
    with begin(plan, store) as campaign, closing(campaign.events(SerialExecutor(store.checkpoints))) as events:
        return [event.record for event in events if isinstance(event, Finished)]


def text(document):
    console = Console(file=io.StringIO(), width=300)
    console.print(terminal.render(document))
    return console.file.getvalue()


def of_seed(records, *seeds):
    return [record for record in records if record.spec.seed in seeds]


def test_from_the_second_complete_seed_on_there_is_a_provisional_verdict(records, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(module, "SHARE", math.inf)
    again = Replayed(records, tmp_path)
    again.left += 1  # another task goes on
    watch = SoFar(again)
    found = [(record.spec.seed, again.end(watch, record)) for record in records]
    spoken = [(seed, text(document)) for seed, document in found if document]
    assert [seed for seed, _ in spoken] == [1, 2, 3]
    assert spoken[0][1].startswith(f"{TITLE} (provisional, 2 of 4 seeds)")
    assert "By jsd_token, paired by seed" in spoken[0][1]
    assert "pg-bleu[rounds=1]: " in spoken[0][1]
    assert spoken[1][1].startswith(f"{TITLE} (provisional, 3 of 4 seeds)")
    assert spoken[2][1].startswith(f"{TITLE} (all its seeds are there)")


def test_when_all_seeds_are_there_it_says_what_the_report_says(records, tmp_path):
    again = Replayed(records, tmp_path)
    again.left += 1
    watch = SoFar(again)
    last = [again.end(watch, record) for record in records][-1]
    (section,) = Results.of(again.store.load()).sections()
    for answer in in_headline(section.answers):
        assert answer.verdict.outcome in text(last)
        assert answer.verdict.reference in text(last)


def test_a_seed_that_is_not_complete_does_not_count(records, tmp_path):
    again = Replayed(records, tmp_path)
    watch = SoFar(again)
    for record in [*of_seed(records, 0), *of_seed(records, 2)[:-1], *of_seed(records, 1)[:-1]]:
        assert again.end(watch, record) is None
    answer = text(again.end(watch, of_seed(records, 1)[-1]))
    assert "2 of 4 seeds" in answer
    assert "missing" not in answer


def test_what_was_finished_earlier_counts(records, tmp_path):
    again = Replayed(records, tmp_path, of_seed(records, 0))
    watch = SoFar(again)
    assert [bool(again.end(watch, record)) for record in of_seed(records, 3)] == [False, False, False, True]


def test_models_that_the_folder_has_from_earlier_are_in_the_family(records, tmp_path):
    others = [record for record in records if record.spec.model in ("pg-bleu", "uniform")]
    again = Replayed(records, tmp_path, [record for record in records if record not in others])
    (tmp_path / "runs" / "plan.list").unlink()
    again.store.plan([record.spec for record in records])
    watch = SoFar(again)
    found = [again.end(watch, record) for record in others]
    assert "provisional, 2 of 4 seeds" in text(next(filter(None, found)))
    late = Replayed(others, tmp_path / "late")
    late.store.plan([record.spec for record in records])  # mle was planned once and never ended
    watch = SoFar(late)
    assert not any(late.end(watch, record) for record in others)


def test_verdicts_leave_a_pause_and_the_last_one_does_not_wait(records, tmp_path):
    again = Replayed(records, tmp_path)
    again.left += 1
    watch = SoFar(again)
    assert [record.spec.seed for record in records if again.end(watch, record)] == [1, 3]


def test_at_the_very_end_the_reports_say_it(records, tmp_path):
    again = Replayed(records, tmp_path, records[:-1])
    assert again.end(SoFar(again), records[-1]) is None


def test_models_of_a_users_choice_are_compared_with(records, tmp_path):
    again = Replayed(records, tmp_path)
    watch = SoFar(again, ("uniform",))
    answers = [again.end(watch, record) for record in records]
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


def test_the_display_shows_them(plan, records, tmp_path):
    again = Replayed(records, tmp_path)
    again.left += 1
    console = Console(file=io.StringIO(), width=200)
    display, watch = Display(console, plan, 1), SoFar(again)
    for record in records:
        again.store.write(record)
        again.left -= 1
        display.show(watch, Finished(0, record))
    lines = console.file.getvalue()
    assert lines.count(f"{TITLE} (") == 2
    assert REAL_DATA not in lines


def test_a_model_that_was_planned_for_fewer_seeds_keeps_its_verdicts(records, tmp_path):
    """It was not asked for the last one, which therefore does not count before everything is done."""
    others = [record for record in records if record.spec.model == "pg-bleu" and record.spec.seed < 3]
    again = Replayed(records, tmp_path, [record for record in records if record.spec.model != "pg-bleu"])
    (tmp_path / "runs" / "plan.list").unlink()
    again.store.plan([record.spec for record in records if record.spec.model != "pg-bleu" or record in others])
    again.missing = [record.spec for record in others]
    watch = SoFar(again)
    found = [again.end(watch, record) for record in others]
    assert [bool(document) for document in found] == [False, True, True]
    assert "provisional, 2 of 4 seeds" in text(found[1])
    assert "lost" not in text(found[1])
    assert "all its seeds are there" in text(found[2])
    assert "pg-bleu[rounds=1] lost 1 of 4 seeds" in text(found[2])
