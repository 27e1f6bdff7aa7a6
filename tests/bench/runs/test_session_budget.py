"""Budgets that all models use up equally, and the checkpoint that validation data select."""

from dataclasses import dataclass

import pytest
import torch

from baselines.mle_longer import MLELonger
from baselines.reward_controls import ConstantReward
from bench.api import Decoding, Unsupported
from bench.runs.checkpoints import CheckpointFolder, Kept
from bench.runs.session import Observer, Session
from bench.tasks.toy import Toy
from seqgan.mle import MLE
from seqgan.seqgan import SeqGAN


@pytest.fixture(scope="module")
def data():
    return Toy(vocab_size=6, seq_len=5, train_size=96, valid_size=8, test_size=8).load().training


MODELS = [
    MLE(epochs=2, batch_size=16),
    MLELonger(epochs=1, extra_epochs=1, batch_size=16),
    ConstantReward(pretrain_epochs=1, rounds=2, rollouts=2, batch_size=16),
    SeqGAN(pretrain_epochs=1, rounds=2, rollouts=2, batch_size=16, d_pretrain_steps=1, d_samples=32, d_epochs=1),
]


def names(model):
    return type(model).__name__


@pytest.mark.parametrize("model", MODELS, ids=names)
def test_every_model_uses_up_a_budget_of_updates_to_the_last(model, data):
    run = Session("budget/0", budget={"updates": 61})
    run.train(model, data)
    assert run.cost.updates == 61


@pytest.mark.parametrize("model", MODELS, ids=names)
def test_every_model_uses_up_a_budget_of_tokens_but_for_a_step(model, data):
    run = Session("budget/0", budget={"tokens": 40_000})
    run.train(model, data)
    batch = 16 * 5  # tokens
    prefixes = 2 * 16 * (1 + 2 + 3 + 4)  # drawn in rollouts, two for each prefix
    scored = (2 * 4 + 1) * batch  # what the discriminator reads for the rewards
    step = {"MLE": batch, "MLELonger": batch, "ConstantReward": 2 * batch + prefixes}
    assert 40_000 <= run.cost.tokens < 40_000 + step.get(names(model), 2 * batch + prefixes + scored)


def test_rollouts_cost_tokens(data):
    """SeqGAN's steps draw and read far more tokens than they learn from, so that a budget buys fewer of them."""
    run = Session("budget/0")
    run.train(MODELS[3], data)
    amounts = run.cost.amounts
    # Of five words, prefixes of 1 to 4 are finished by 4 to 1 words, twice, in 2 rounds of 16 sequences.
    assert amounts["rollout_tokens"] == 2 * 16 * 2 * (4 + 3 + 2 + 1)
    assert amounts["reward_tokens"] == 2 * 16 * (2 * 4 + 1) * 5
    assert amounts["sampled_tokens"] == 2 * 16 * 5 + (1 + 2 * 5) * 32 * 5
    assert run.cost.tokens == sum(amount for name, amount in amounts.items() if name.endswith("_tokens"))


def test_a_budget_smaller_than_the_pretraining_is_charged_for_it(data):
    run = Session("budget/0", budget={"updates": 4})
    run.train(MODELS[3], data)
    assert run.cost.updates == 4
    assert {row["phase"] for row in run.curve} == {"mle"}


def test_without_a_budget_a_phase_ends_where_it_says(data):
    run = Session("budget/0")
    run.train(MODELS[0], data)
    assert run.steps == 2


def test_a_pretraining_is_not_prolonged(data):
    run = Session("budget/0", budget={"updates": 40})
    run.train(MODELS[2], data)
    assert [row["phase"] for row in run.curve].count("mle") == 1


def test_a_model_alone_and_as_a_pretraining_are_different_trainings_under_a_budget(data, tmp_path):
    def name(generator, budget):
        return f"{type(generator).__name__}-{generator}-{sorted(budget.items())}".replace("/", "-")[:200]

    folder, budget = CheckpointFolder(tmp_path), {"updates": 30}
    alone = Session("budget/0", kept=Kept(folder, name(MODELS[0], budget), name), budget=budget)
    alone.train(MLE(epochs=1, batch_size=16), data)
    assert alone.cost.updates == 30
    asking = Session("budget/0", kept=Kept(folder, "asking", name), budget=budget)
    asking.train(ConstantReward(pretrain_epochs=1, rounds=2, rollouts=2, batch_size=16), data)
    assert [row["phase"] for row in asking.curve].count("mle") == 1


def test_a_budget_resumed_is_used_up_no_further(data, tmp_path):
    budget = {"updates": 61}
    whole = Session("budget/0", budget=budget).train(MODELS[0], data)

    class Crash(Exception):
        pass

    seen = []

    def crash(sampler, _):
        seen.append(sampler)
        if len(seen) == 4:
            raise Crash
        return {}

    folder = CheckpointFolder(tmp_path)
    observer = Observer(evaluate=crash, curve_points=2)
    first = Session("budget/0", "cpu", Kept(folder, "a", every=-1), observer, budget)
    with pytest.raises(Crash):
        first.train(MODELS[0], data)
    again = Session("budget/0", "cpu", Kept(folder, "a"), None, budget)
    sampler = again.train(MODELS[0], data)
    assert again.cost.updates == 61
    drawn = [model.sample(40, Decoding(), torch.Generator().manual_seed(0)) for model in (whole, sampler)]
    assert torch.equal(*drawn)


@dataclass(frozen=True)
class Uncounted:
    """Counts nothing, and would go on forever."""

    def fit(self, data, run):
        model = MLE(epochs=0).fit(data, Session("inner/0"))
        run.track(model, model=model)
        for _ in run.phase("endless", 3, open_ended=True):
            pass
        return model


@pytest.mark.parametrize("kind", ["tokens", "updates"])
def test_what_does_not_count_is_skipped_rather_than_run_for_ever(kind, data):
    with pytest.raises(Unsupported, match=f"does not count its {kind}"):
        Session("budget/0", budget={kind: 5}).train(Uncounted(), data)


def test_the_curve_knows_every_cost(data):
    run = Session("budget/0")
    run.train(MODELS[3], data)
    updates = [row["updates"] for row in run.curve]
    assert updates == sorted(updates)
    assert updates[0] == 6
    assert run.curve[-1]["tokens"] == run.cost.tokens


def test_amounts_are_counted_as_they_come_and_timed_once():
    now = [0.0]
    run = Session("m/0", now=lambda: now[0])
    with run.measure() as count:
        count(updates=1)
        now[0] += 1
        assert run.cost.updates == 1
        count(updates=2, train_tokens=5)
        now[0] += 1
    assert run.cost.amounts == {"updates": 3, "train_tokens": 5}
    assert run.cost.durations == {"updates": 2.0, "train_tokens": 2.0}


# Selection


def scored(*values):
    """An evaluation that gives these scores one after another."""
    left = list(values)
    return Observer(evaluate=lambda *_: {"nll_valid": left.pop(0)}, curve_points=100, select="nll_valid")


def drawn(sampler):
    return sampler.sample(40, Decoding(), torch.Generator().manual_seed(0))


def test_the_best_step_comes_back_bit_by_bit(data):
    run = Session("select/0", observer=scored(3.0, 1.0, 2.0, 1.0))
    sampler = run.train(MLE(epochs=4), data)
    final = drawn(sampler)
    assert (run.selected.phase, run.selected.step, run.selected.score) == ("mle", 2, 1.0)  # the first of two equals
    assert not run.ended_selected
    run.select(sampler)
    assert torch.equal(drawn(sampler), drawn(Session("select/0").train(MLE(epochs=2), data)))
    assert not torch.equal(drawn(sampler), final)


def test_the_last_step_may_be_the_best(data):
    run = Session("select/0", observer=scored(3.0, 2.0))
    run.train(MLE(epochs=2), data)
    assert run.ended_selected


def test_selecting_changes_no_training(data):
    with_it, without = (Session("s/0", observer=observer) for observer in (scored(1.0, 2.0, 3.0), None))
    assert torch.equal(drawn(with_it.train(MLE(epochs=3), data)), drawn(without.train(MLE(epochs=3), data)))


def test_the_selected_step_outlives_an_interruption_and_the_end(data, tmp_path):
    folder = CheckpointFolder(tmp_path)
    first = Session("select/0", "cpu", Kept(folder, "a", every=-1), scored(3.0, 1.0, 2.0))
    first.train(MLE(epochs=3), data)
    again = Session("select/0", "cpu", Kept(folder, "a"))
    sampler = again.train(MLE(epochs=3), data)
    assert (again.selected.phase, again.selected.step) == ("mle", 2)
    again.select(sampler)
    assert torch.equal(drawn(sampler), drawn(Session("select/0").train(MLE(epochs=2), data)))


def test_a_pretraining_that_scored_best_is_what_is_selected(data, tmp_path):
    """Whichever model continues from it: the candidates are the same for all models."""
    model = ConstantReward(pretrain_epochs=2, rounds=3, rollouts=2, batch_size=16)
    run = Session("select/0", "cpu", Kept(CheckpointFolder(tmp_path), "a"), scored(3.0, 1.0, 2.0, 2.5, 1.5))
    sampler = run.train(model, data)
    assert (run.selected.phase, run.selected.step, run.selected.score) == ("mle", 2, 1.0)
    again = Session("select/0", "cpu", Kept(CheckpointFolder(tmp_path), "a"), scored(3.0, 1.0))
    for session, made in ((run, sampler), (again, again.train(model, data))):
        session.select(made)
        expected = Session("select/0").train(MLE(epochs=2, batch_size=16), data)
        assert torch.equal(drawn(made), drawn(expected))


def test_what_was_never_scored_cannot_be_selected(data):
    run = Session("select/0")
    sampler = run.train(MLE(epochs=1), data)
    assert run.selected is None
    with pytest.raises(ValueError, match="a step that was scored"):
        run.select(sampler)


# Equal looks


def looking(scores, looks, curve_points=100):
    """An evaluation that gives these scores one after another, of which that many steps may be selected."""
    left = list(scores)
    return Observer(
        evaluate=lambda *_: {"nll_valid": left.pop(0)}, curve_points=curve_points, select="nll_valid", looks=looks
    )


def falling(n):
    return [10 - step / 100 for step in range(n)]


@pytest.mark.parametrize("model", MODELS, ids=names)
def test_under_a_budget_every_model_is_looked_at_equally_often(model, data):
    """Also SeqGAN, whose discriminator's pre-training changes nothing that could be looked at."""
    run = Session("looks/0", observer=looking(falling(500), 8), budget={"updates": 200})
    run.train(model, data)
    assert run.selection.looks.taken == 8
    assert run.ended_selected  # scores only fall here: the last step was one of the looks


def test_without_a_budget_a_pretraining_and_what_follows_share_the_looks(data):
    long = [
        MLE(epochs=20, batch_size=64),
        MLELonger(epochs=16, extra_epochs=12, batch_size=64),
        ConstantReward(pretrain_epochs=10, rounds=9, rollouts=1, batch_size=64),
    ]
    for model in long:
        run = Session("looks/0", observer=looking(falling(100), 8))
        run.train(model, data)
        assert run.selection.looks.taken == 8


def test_a_discriminators_pretraining_takes_no_looks(data):
    same = [5.0, 4.0, 3.0, 2.0, *[2.0] * 3, *falling(50)]  # 4 epochs, 3 steps of the discriminator, and the rounds
    run = Session("looks/0", observer=looking(same, 4))
    model = SeqGAN(pretrain_epochs=4, rounds=6, rollouts=1, batch_size=64, d_pretrain_steps=3, d_samples=8, d_steps=0)
    run.train(model, data)
    assert run.selection.looks.taken == 4
    assert (run.selected.phase, run.selected.step) == ("mle", 4)


def test_looks_outlive_an_interruption(data, tmp_path):
    budget, model = {"updates": 60}, MLE(epochs=2, batch_size=16)
    whole = Session("looks/0", observer=looking(falling(100), 7), budget=budget)
    whole.train(model, data)

    class Crash(Exception):
        pass

    scores = falling(100)
    left = list(scores)

    def crash(*_):
        if len(left) == 96:
            raise Crash
        return {"nll_valid": left.pop(0)}

    folder = CheckpointFolder(tmp_path)
    broken = Observer(evaluate=crash, curve_points=100, select="nll_valid", looks=7)
    with pytest.raises(Crash):
        Session("looks/0", "cpu", Kept(folder, "a", every=-1), broken, budget).train(model, data)
    again = Session("looks/0", "cpu", Kept(folder, "a"), looking(scores[4:], 7), budget)
    again.train(model, data)
    assert again.selection.looks.state() == whole.selection.looks.state()
    assert again.selection.looks.taken == 7
    assert (again.selected.phase, again.selected.step) == (whole.selected.phase, whole.selected.step)
