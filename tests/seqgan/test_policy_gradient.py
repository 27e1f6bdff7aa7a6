from __future__ import annotations

import copy

import pytest
import torch

from bench.api import Decoding, SequenceSpec
from bench.session import Session
from seqgan.discriminator import Discriminator
from seqgan.mle import trainable
from seqgan.policy_gradient import PolicyGradient
from seqgan.rollout import action_values

FIXED = SequenceSpec(4, 5, bos=4)
ENDED = SequenceSpec(4, 5, bos=4, eos=1, pad=0)


def reward(tokens):
    return 0.2 + (tokens == 2).float().mean(-1)


@pytest.mark.parametrize("clip_norm", [1e9, 0.05], ids=["unclipped", "clipped"])
@pytest.mark.parametrize("spec", [pytest.param(FIXED, id="fixed"), pytest.param(ENDED, id="eos")])
def test_a_step_is_that_of_the_hand_written_loss(spec, clip_norm, make_policy):
    policy = make_policy(spec, init_std=0.5)
    plain = copy.deepcopy(policy)
    run = Session("gradient/0")
    PolicyGradient(6, 3, clip_norm).step(policy, torch.optim.SGD(trainable(policy), lr=0.5), reward, run)

    same = Session("gradient/0")
    tokens, states = plain.sample_with_states(6, same.rng("policy"))
    values = action_values(plain, tokens, states, reward, 3, same.rng("rollouts"))
    log_law = torch.log_softmax(plain(plain.shift(tokens)), -1)
    loss = torch.zeros(())
    for b in range(6):
        for t in range(5):
            loss = loss - log_law[b, t, tokens[b, t]] * values[b, t]  # the sum, not the mean
            if tokens[b, t] == spec.eos:
                break
    loss.backward()
    norm = torch.sqrt(sum(parameter.grad.square().sum() for parameter in trainable(plain)))
    scale = min(1.0, clip_norm / float(norm))
    assert (scale < 1) == (clip_norm < 1)
    for moved, start in zip(trainable(policy), trainable(plain), strict=True):
        torch.testing.assert_close(moved.detach(), start.detach() - 0.5 * scale * start.grad, atol=2e-5, rtol=1e-4)


def test_the_reward_learns_nothing(make_policy):
    policy, discriminator = make_policy(FIXED), Discriminator(FIXED, torch.Generator(), 4, (1, 2), (3, 3))
    PolicyGradient(6, 2, 5.0).step(policy, torch.optim.Adam(trainable(policy)), discriminator.reward, Session("g/0"))
    assert all(parameter.grad is None for parameter in discriminator.parameters())


def test_rollouts_are_counted_and_the_reward_is_logged(make_policy):
    policy, run = make_policy(FIXED), Session("gradient/0")
    for _ in run.phase("p", 1):
        PolicyGradient(6, 3, 5.0).step(policy, torch.optim.Adam(trainable(policy)), reward, run)
    assert run.cost.amounts["rollouts"] == 6 * (3 * 4 + 1)
    tokens, _ = make_policy(FIXED).sample_with_states(6, Session("gradient/0").rng("policy"))
    assert run.curve[0]["scalars"]["reward"] == pytest.approx(float(reward(tokens).mean()), rel=1e-6)
    assert run.curve[0]["scalars"]["gradient_norm"] > 0


def test_it_learns_to_write_what_is_rewarded(make_policy):
    policy, run = make_policy(SequenceSpec(5, 5, bos=5), init_std=0.1), Session("gradient/0")
    optimizer, gradient = torch.optim.Adam(trainable(policy), lr=0.05), PolicyGradient(16, 2, 5.0)

    def share():
        tokens = policy.sample(500, Decoding(), torch.Generator().manual_seed(1))
        return float((tokens == 0).float().mean())

    assert share() < 0.3
    for _ in range(30):
        gradient.step(policy, optimizer, lambda tokens: (tokens == 0).float().mean(-1), run)
    assert share() > 0.8
