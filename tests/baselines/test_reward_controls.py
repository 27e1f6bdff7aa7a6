from __future__ import annotations

import dataclasses

import pytest
import torch

from baselines.mle_longer import MLELonger
from baselines.permuted_reward import PermutedReward
from baselines.reward_controls import BaselinedRandomReward, ConstantReward, RandomReward
from bench.api import Decoding
from bench.runs.session import Session
from bench.tasks.toy import Toy
from seqgan import policy_gradient
from seqgan.mle import MLE
from seqgan.policy_gradient import PolicyGradient, PolicyGradientGenerator
from seqgan.seqgan import BaselinedSeqGAN, SeqGAN

SMALL = {"pretrain_epochs": 1, "rounds": 2, "rollouts": 2, "batch_size": 16}
CONTROLS = [ConstantReward, RandomReward]


@pytest.fixture(scope="module")
def data():
    return Toy(train_size=64).load().training


@pytest.fixture
def rewards(monkeypatch):
    """All rewards that a training computed, in order."""
    seen = []
    original = PolicyGradient.step

    def step(self, reward, run):
        def spy(tokens):
            seen.append(reward(tokens))
            return seen[-1]

        original(self, spy, run)

    monkeypatch.setattr(PolicyGradient, "step", step)
    return seen


def test_the_constant_is_the_same_for_every_sequence(data, rewards):
    Session("control/0").train(ConstantReward(**SMALL, value=0.3), data)
    assert len(rewards) == 2
    assert torch.cat(rewards).unique().tolist() == [pytest.approx(0.3)]


def test_the_random_reward_is_uniform_and_new_each_time(data, rewards):
    Session("control/0").train(RandomReward(**{**SMALL, "rounds": 8}), data)
    drawn = torch.cat(rewards)
    assert 0 <= float(drawn.min()) < 0.05
    assert 0.95 < float(drawn.max()) <= 1
    assert float(drawn.mean()) == pytest.approx(0.5, abs=0.05)
    assert float(drawn.var()) == pytest.approx(1 / 12, abs=0.02)
    assert len(drawn.unique()) > 0.99 * len(drawn)


@pytest.mark.parametrize("control", CONTROLS)
def test_the_loop_is_seqgans(control, data):
    """Fields, pre-training, batches and steps are the same: only the reward differs."""
    shared = {field.name for field in dataclasses.fields(PolicyGradientGenerator)}
    defaults, seqgan = dataclasses.asdict(control()), dataclasses.asdict(SeqGAN())
    assert {name: defaults[name] for name in shared} == {name: seqgan[name] for name in shared}
    for preset, fields in control.presets.items():
        assert fields.items() <= SeqGAN.presets[preset].items()
    runs = [Session("control/0"), Session("control/0")]
    runs[0].train(control(**SMALL), data)
    runs[1].train(SeqGAN(**SMALL, d_pretrain_steps=1, d_steps=1, d_epochs=1, d_samples=16), data)
    for amount in ("train_tokens", "rollouts"):
        assert runs[0].cost.amounts[amount] == runs[1].cost.amounts[amount]


@pytest.mark.parametrize("control", CONTROLS)
def test_the_same_seed_gives_the_same_tokens(control, data):
    first, second = (Session("control/0").train(control(**SMALL), data) for _ in range(2))
    drawn = [model.sample(50, Decoding(), torch.Generator().manual_seed(0)) for model in (first, second)]
    assert torch.equal(*drawn)


def test_permuted_rewards_are_those_of_the_batch_and_not_of_the_sequence(data, monkeypatch):
    """In the first step action values are SeqGAN's, whole sequences exchanged; the loop costs as much as SeqGAN's."""
    values, costs = [], []
    original = policy_gradient.advantages

    def spy(each, *others):
        values.append(each)
        return original(each, *others)

    monkeypatch.setattr(policy_gradient, "advantages", spy)
    for kind in (SeqGAN, PermutedReward):
        session = Session("control/0")
        session.train(kind(**SMALL, d_pretrain_steps=1, d_steps=1, d_epochs=1, d_samples=16), data)
        costs.append(session.cost.amounts)
    own, exchanged = (sorted(map(tuple, each.tolist())) for each in values[:: SMALL["rounds"]])
    assert own == exchanged
    assert not torch.equal(*values[:: SMALL["rounds"]])
    assert costs[0] == costs[1]


def test_permuted_rewards_begin_with_seqgans_own_discriminator():
    fields = {"d_epochs": 2, "d_samples": 320, "rounds": 7}
    assert PermutedReward(**fields).beginning(1000) == SeqGAN(**fields).beginning(1000)
    assert type(PermutedReward().beginning(1000)) is SeqGAN


def test_longer_mle_continues_from_the_shared_checkpoint(data):
    run, alone = Session("longer/0"), Session("longer/0")
    model = run.train(MLELonger(epochs=2, extra_epochs=3), data)
    start = alone.train(MLE(epochs=2), data)
    assert [row["phase"] for row in run.curve] == ["mle"] * 2 + ["longer"] * 3
    assert run.cost.updates == 5 and alone.cost.updates == 2  # noqa: PT018
    nll = [-float(each.log_prob(data.train).mean()) for each in (start, model)]
    assert nll[1] < nll[0] - 0.1


def test_seqgan_baselined_is_seqgan_except_for_two_fields():
    plain, less = dataclasses.asdict(SeqGAN()), dataclasses.asdict(BaselinedSeqGAN())
    assert {name for name in plain if plain[name] != less[name]} == {"baseline", "standardize"}
    assert (less["baseline"], less["standardize"]) == (True, True)
    assert BaselinedSeqGAN.presets == SeqGAN.presets


def test_the_baselined_random_reward_is_to_the_plain_one_what_seqgan_baselined_is_to_seqgan(data, monkeypatch):
    plain, less = dataclasses.asdict(RandomReward()), dataclasses.asdict(BaselinedRandomReward())
    assert {name for name in plain if plain[name] != less[name]} == {"baseline", "standardize"}
    baselined = dataclasses.asdict(BaselinedSeqGAN())
    assert less == {name: baselined[name] for name in less}
    for preset, fields in BaselinedRandomReward.presets.items():
        assert fields.items() <= BaselinedSeqGAN.presets[preset].items()
    weighed = []
    original = PolicyGradientGenerator.gradient

    def gradient(self, policy, optimizer, run):
        weighed.append(original(self, policy, optimizer, run))
        return weighed[-1]

    monkeypatch.setattr(PolicyGradientGenerator, "gradient", gradient)
    run = Session("control/0")
    run.train(BaselinedRandomReward(**SMALL), data)
    assert [(step.baseline, step.standardize) for step in weighed] == [(True, True)]
    # The rewards themselves are the same draws as without a baseline.
    other = Session("control/0")
    other.train(RandomReward(**SMALL), data)
    first = [next(row["scalars"] for row in each.curve if row["phase"] == "policy-gradient") for each in (run, other)]
    assert first[0]["reward"] == first[1]["reward"]
    assert first[0]["gradient_norm"] != first[1]["gradient_norm"]


def test_the_fields_reach_the_steps(data, monkeypatch):
    seen = []
    monkeypatch.setattr(
        "seqgan.policy_gradient.advantages",
        lambda values, mask, baseline, standardize: seen.append((baseline, standardize)) or values,
    )
    Session("b/0").train(ConstantReward(**SMALL, baseline=True), data)
    Session("b/0").train(ConstantReward(**SMALL, standardize=True), data)
    assert set(seen) == {(True, False), (False, True)}
