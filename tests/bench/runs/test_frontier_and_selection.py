"""What else a run is scored at: other temperatures, and the step and temperature that validation data pick."""

import pytest

from bench.plans.plan import Request, make_plan
from bench.plans.presets import PRESETS, TEMPERATURES
from bench.records.record import from_json, to_json
from bench.runs.judge import load_task
from bench.runs.runner import run
from bench.runs.session import Session
from seqgan.mle import MLE

TOY = ("toy.vocab_size=6", "toy.seq_len=5", "toy.train_size=60", "toy.valid_size=20", "toy.test_size=30")


def plan(model, settings=(), metrics=("all",), preset="smoke", **others):
    request = Request((model,), ("toy",), metrics, 1, preset, (*TOY, *settings), **others)
    return make_plan(request)[1]


def quality(record, checkpoint="final"):
    return [score for score in record.scores[checkpoint] if score.kind == "quality"]


def test_a_trained_model_has_a_frontier_and_others_have_none():
    record = run(plan("mle"))
    assert list(record.frontier) == ["0.7", "1", "1.3", "2"]
    values = {
        temperature: {score.metric: score.value for score in scores} for temperature, scores in record.frontier.items()
    }
    assert set(values["1"]) == {"nll_oracle", "nll_test", "lm_nll", "reverse_nll"}
    quality_of = [scores["nll_oracle"] for scores in values.values()]
    assert quality_of == sorted(quality_of)
    assert len(set(quality_of)) == 4
    assert run(plan("random")).frontier == {}


def test_the_frontiers_held_out_nll_is_that_of_the_tempered_density():
    record = run(plan("mle", settings=("mle.epochs=3",)))
    session = Session(plan("mle").stream)
    task = load_task(plan("mle"))
    model = session.train(MLE(epochs=3), task.data.training)
    test = task.data.test[:100]
    expected = -float(model.token_log_prob(test, 0.7).double().sum()) / test.numel()
    found = {score.metric: score.value for score in record.frontier["0.7"]}["nll_test"]
    assert found == pytest.approx(expected, rel=1e-5)


def test_a_sampler_that_cannot_be_tempered_loses_its_frontier_and_nothing_else(write_plugin):
    write_plugin(
        "own_stubborn",
        """
from dataclasses import dataclass
from seqgan.mle import MLE

@dataclass(frozen=True)
class Stubborn:
    def fit(self, data, run):
        model = MLE(epochs=1).fit(data, run)
        draw = model.sample
        def sample(n, decoding, rng):
            if decoding.temperature != 1:
                raise RuntimeError("only as it is")
            return draw(n, decoding, rng)
        model.sample = sample
        return model
""",
    )
    record = run(plan("own_stubborn:Stubborn"))
    assert record.status == "ok"
    assert {score.absent for score in record.frontier["0.7"]} == {"RuntimeError: only as it is"}
    assert all(score.value is not None for score in record.frontier["1"])
    record = run(plan("own_stubborn:Stubborn", budget={"updates": 30.0}))
    assert (record.status, record.selected["temperature"]) == ("ok", 1.0)


def test_final_and_selected_are_both_scored():
    record = run(plan("mle", settings=("mle.epochs=40", "mle.lr=0.3")))
    assert record.selected["phase"] == "mle"
    curve = {row["step"]: row["scalars"]["nll_valid"] for row in record.curve if "nll_valid" in row["scalars"]}
    assert record.selected["score"] == min(curve.values()) == curve[record.selected["step"]]
    assert quality(record, "selected")
    if record.selected["step"] == 40:
        assert quality(record, "selected") == quality(record)


OVERFITTED = {"updates": 120.0}
LOOPS = ("mle", "mle-longer", "scheduled-sampling", "constant-reward")


@pytest.fixture(scope="module")
def budgeted():
    """One run of each model that a budget prolongs far past its best step."""
    fast = ("mle.lr=0.05", "mle-longer.lr=0.05", "scheduled-sampling.lr=0.05", "constant-reward.rollouts=1")
    return {
        model: run(plan(model, settings=[each for each in fast if each.startswith(f"{model}.")], metrics=("nll",),
                        budget=OVERFITTED, temperatures=()))
        for model in LOOPS
    }  # fmt: skip


def test_with_a_budget_every_model_is_looked_at_equally_often(budgeted):
    assert {model: record.reason for model, record in budgeted.items() if record.status != "ok"} == {}
    assert {model: record.selected["looks"] for model, record in budgeted.items()} == dict.fromkeys(LOOPS, 5)


def test_with_a_budget_the_selected_step_and_temperature_stand_beside_the_last_step(budgeted):
    """A prolonged maximum likelihood is overfitted; what validation data pick is not."""
    record = budgeted["mle"]
    final, selected = (
        {score.metric: score.value for score in quality(record, checkpoint)} for checkpoint in ("final", "selected")
    )
    assert record.selected["step"] < record.curve[-1]["step"]
    assert selected["nll_test"] < final["nll_test"] - 0.1
    assert from_json(to_json(record)).selected == record.selected


def test_the_selected_temperature_is_the_best_on_validation_data(budgeted):
    record = budgeted["mle"]
    data = load_task(record.spec).data.training
    session = Session(record.spec.stream)
    step = record.selected["step"]
    model = session.train(MLE(epochs=step, lr=0.05), data)
    valid = data.valid[: PRESETS["smoke"].curve_samples]
    nll = {each: -float(model.token_log_prob(valid, each).sum()) for each in TEMPERATURES}
    best = min(nll, key=nll.get)
    assert record.selected["temperature"] == best
    test = load_task(record.spec).data.test
    expected = -float(model.token_log_prob(test, best).double().mean())
    [found] = [score.value for score in quality(record, "selected") if score.metric == "nll_test"]
    assert found == pytest.approx(expected, rel=1e-5)


def test_in_paper_every_model_is_looked_at_equally_often_without_a_budget():
    fields = {
        "mle": ("mle.epochs=80",),
        "constant-reward": tuple(
            f"constant-reward.{each}" for each in ("pretrain_epochs=80", "rounds=40", "rollouts=1")
        ),
    }
    for model, settings in fields.items():
        record = run(plan(model, settings=settings, metrics=("nll",), preset="paper", temperatures=()))
        assert (record.status, record.selected["looks"]) == ("ok", 40), record.reason
        assert record.selected["temperature"] in TEMPERATURES


def test_without_a_budget_other_presets_pick_no_temperature():
    record = run(plan("mle", metrics=("nll",)))
    assert set(record.selected) == {"phase", "step", "score"}


def test_real_data_and_untrained_models_have_nothing_to_select():
    assert run(plan("random")).selected is None
