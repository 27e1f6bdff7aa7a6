"""What a search tries, as a function of its seed, the trial's number and the outcomes of earlier rounds."""

import dataclasses
import math
import sys

import pytest

from bench.errors import UsageError
from bench.plans.space import Choice, Span
from bench.records.record import RunRecord
from bench.records.store import Store
from bench.runs.judge import load_task
from bench.runs.tuning import ROUND, STARTUP, Study, best, require_optuna, rounds
from bench.tasks.toy import Toy

SPACE = {"lr": Span(0.001, 0.1), "width": Span(8, 128, whole=True), "switch": Choice((False, True))}
CONFIG = {"lr": 0.01, "width": 32, "switch": False, "epochs": 2}


@pytest.fixture
def make_study(make_spec):
    def make(seeds=(1000,), space=SPACE, seed=0, **changes):
        specs = tuple(make_spec(config=CONFIG, temperatures=(1.0,), seed=each, **changes) for each in seeds)
        return Study(specs, space, "nll_valid", seed)

    return make


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "tuning")
    store.open()
    return store


def distance(fields):
    """A score with its best at lr = 0.03, the smallest width, and the switch on."""
    return abs(math.log(fields["lr"] / 0.03)) + fields["width"] / 1000 + (not fields["switch"])


def ended(spec, score=None, **changes):
    value = distance(spec.config) if score is None else score
    earlier, last = (
        {"phase": "mle", "step": step, "seconds": 1.0 * step, "tokens": 1, "updates": 1} for step in (1, 2)
    )
    curve = ({**earlier, "scalars": {"nll_valid": 0.0}}, {**last, "scalars": {"nll_valid": value}})
    return RunRecord(spec, **{"status": "ok", "curve": curve, **changes})


def search(study, store, trials, outcome=ended):
    """Do a search; return how many runs that took."""
    done = 0
    for numbers in rounds(trials):
        for spec in study.plan(store, numbers):
            store.write(outcome(spec))
            done += 1
    return done


def test_rounds_do_not_depend_on_how_many_trials_there_will_be():
    assert list(rounds(STARTUP + ROUND + 1)) == [range(10), range(10, 14), range(14, 15)]
    assert list(rounds(3)) == [range(3)]
    assert list(rounds(0)) == []


def test_the_first_trial_is_the_default_configuration_and_all_differ(make_study, store):
    study = make_study()
    assert search(study, store, 20) == 20
    trials = study.trials(store)
    assert [trial.number for trial in trials] == list(range(20))
    assert trials[0].fields == {"lr": 0.01, "width": 32, "switch": False}
    assert len({tuple(trial.fields.values()) for trial in trials}) == 20
    for trial in trials:
        assert all(SPACE[field].holds(value) for field, value in trial.fields.items())
        assert trial.fields["lr"] == float(f"{trial.fields['lr']:.3g}")


def test_it_learns_from_outcomes(make_study, store):
    study = make_study()
    search(study, store, 60)
    trials = study.trials(store)
    found = best(trials)
    assert found.score == min(trial.score for trial in trials) < trials[0].score
    # Random trials have the switch on half of the time and any order of magnitude of lr.
    late = [trial.fields for trial in trials[-20:]]
    assert sum(fields["switch"] for fields in late) >= 15
    assert sum(0.01 < fields["lr"] < 0.09 for fields in late) >= 15


def test_a_search_goes_on_wherever_it_was_ended(make_study, tmp_path):
    study, whole = make_study(seeds=(1000, 1001)), Store(tmp_path / "whole")
    whole.open()
    search(study, whole, 18)
    for cut in (0, 7, 20, 29):
        part = Store(tmp_path / f"part-{cut}")
        part.open()
        left = cut
        for numbers in rounds(18):  # as many runs as there was time for; the next has begun
            for spec in study.plan(part, numbers)[: left + 1]:
                part.write(ended(spec) if left > 0 else RunRecord(spec, "interrupted", reason="stopped"))
                left -= 1
            if left < 0:
                break
        assert search(study, part, 18) == 36 - cut
        assert study.trials(part) == study.trials(whole)
        assert {record.spec.run_id for record in part.records()} == {record.spec.run_id for record in whole.records()}


def test_more_trials_continue_a_search(make_study, store, tmp_path):
    study, other = make_study(), Store(tmp_path / "other")
    other.open()
    assert (search(study, store, 5), search(study, store, 13), search(study, store, 13)) == (5, 8, 0)
    search(study, other, 13)
    assert study.trials(store) == study.trials(other)


def test_a_lost_record_is_made_again_as_it_was(make_study, store):
    study = make_study()
    search(study, store, 16)
    before = study.trials(store)
    for record in store.records():
        if record.spec.tuning["trial"] in (0, 4, 12):
            store.file(record.spec).unlink()
    assert search(study, store, 16) == 3
    assert study.trials(store) == before


def test_begun_trials_keep_their_fields_even_if_the_sampler_would_say_others(make_study, store, monkeypatch):
    study = make_study()
    search(study, store, 12)
    before = study.trials(store)
    monkeypatch.setattr("bench.runs.tuning._ask", lambda *_: pytest.fail("another version would try something else"))
    assert search(study, store, 12) == 0
    assert study.trials(store) == before


def test_the_seed_of_the_search_changes_what_is_tried(make_study, store):
    one, two = make_study(), make_study(seed=1)
    search(one, store, 4)
    assert search(two, store, 4) == 4
    assert [trial.fields for trial in one.trials(store)[1:]] != [trial.fields for trial in two.trials(store)[1:]]


@pytest.mark.parametrize(
    "changes",
    [
        {"source": "6" * 64},
        {"task": "other"},
        {"preset": "quick"},
        {"seeds": (1000, 1001)},
        {"space": {"lr": SPACE["lr"]}},
    ],
)
def test_searches_of_anything_else_are_others(make_study, store, changes):
    study, other = make_study(), make_study(**changes)
    search(study, store, 2)
    assert other.id != study.id
    assert other.trials(store) == []


def test_a_trial_that_failed_counts_and_is_not_repeated(make_study, store):
    study = make_study(seeds=(1000, 1001))

    def outcome(spec):
        if spec.config["switch"] and spec.seed == 1001:
            return ended(spec, status="failed", reason="ValueError: too wide", curve=())
        return ended(spec)

    assert search(study, store, 30, outcome) == 60
    assert search(study, store, 30, outcome) == 0
    trials = study.trials(store)
    failed = [trial for trial in trials if trial.score is None]
    assert len(trials) == 30
    assert {trial.reason for trial in failed} == {"ValueError: too wide"}
    assert all(trial.fields["switch"] for trial in failed)
    assert not best(trials).fields["switch"]
    assert len([trial for trial in failed if trial.number >= STARTUP]) < 6  # it steers away from what fails


def test_a_trials_score_is_the_mean_over_seeds_of_the_last_step(make_study, store):
    study = make_study(seeds=(1000, 1001))
    search(study, store, 1, lambda spec: ended(spec, score={1000: 2.0, 1001: 3.0}[spec.seed]))
    (trial,) = study.trials(store)
    assert (trial.score, trial.seconds, trial.reason) == (2.5, 4.0, "")


def test_without_the_metric_a_trial_has_failed(make_study, store):
    study = make_study()
    search(study, store, 2, lambda spec: ended(spec, curve=()))
    reason = "it has no nll_valid, which is taken at steps of training from a model with a density"
    assert [(trial.score, trial.reason) for trial in study.trials(store)] == [(None, reason)] * 2
    assert best(study.trials(store)) is None


def test_the_first_of_equals_is_the_best(make_study, store):
    study = make_study()
    search(study, store, 5, lambda spec: ended(spec, score=1.0))
    assert best(study.trials(store)).number == 0


def test_a_space_without_the_default_is_searched_nevertheless(make_study, store):
    study = make_study(space={"lr": Span(0.02, 0.1)})
    search(study, store, 14)
    tried = [trial.fields["lr"] for trial in study.trials(store)]
    assert tried[0] == 0.01
    assert all(0.02 <= lr <= 0.1 for lr in tried[1:])


def test_a_small_space_is_repeated_rather_than_left(make_study, store):
    study = make_study(space={"switch": Choice((False, True))})
    assert search(study, store, 12) == 12
    assert len(study.trials(store)) == 12


def test_a_trials_task_has_no_test_split(make_study):
    (spec,) = make_study(task_config={}, data="").specs
    task = load_task(dataclasses.replace(spec, data=Toy().fingerprint()))
    assert len(task.data.test) == 500
    trial = dataclasses.replace(
        spec, data=Toy().fingerprint(), tuning={"trial": 0, "study": "x", "metric": "nll_valid"}
    )
    assert trial.is_trial
    blind = load_task(trial)
    assert len(blind.data.test) == len(blind.held_out.tokens) == 0
    assert blind.data.training.valid.equal(task.data.training.valid)
    assert len(load_task(dataclasses.replace(spec, data=Toy().fingerprint())).data.test) == 500


def test_a_trial_asks_for_nothing_that_needs_a_test_split(make_study):
    for spec in make_study().runs(3, {"lr": 0.02}):
        assert (spec.metrics, spec.temperatures, spec.explicit_metrics) == ({}, (), False)
        assert (spec.config["lr"], spec.config["epochs"]) == (0.02, 2)
        assert spec.label == "mle trial 3"


def test_without_optuna_there_is_a_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(UsageError, match=r"tuning needs Optuna, .*'pip install seqgan-bench\[tune\]'"):
        require_optuna()
