from __future__ import annotations

import copy

import pytest
import torch

from bench.api import Decoding, SequenceSpec
from bench.runs.session import Session
from seqgan.discriminator import Discriminator
from seqgan.mle import Descent, trainable
from seqgan.policy_gradient import PolicyGradient, advantages
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
    PolicyGradient(Descent(policy, torch.optim.SGD(trainable(policy), lr=0.5), clip_norm), 6, 3).step(reward, run)

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
    PolicyGradient(Descent(policy, torch.optim.Adam(trainable(policy)), 5.0), 6, 2).step(
        discriminator.reward, Session("g/0")
    )
    assert all(parameter.grad is None for parameter in discriminator.parameters())


def test_rollouts_are_counted_and_the_reward_is_logged(make_policy):
    policy, run = make_policy(FIXED), Session("gradient/0")
    for _ in run.phase("p", 1):
        PolicyGradient(Descent(policy, torch.optim.Adam(trainable(policy)), 5.0), 6, 3).step(reward, run)
    assert run.cost.amounts["rollouts"] == 6 * (3 * 4 + 1)
    tokens, _ = make_policy(FIXED).sample_with_states(6, Session("gradient/0").rng("policy"))
    assert run.curve[0]["scalars"]["reward"] == pytest.approx(float(reward(tokens).mean()), rel=1e-6)
    assert run.curve[0]["scalars"]["gradient_norm"] > 0


def test_it_learns_to_write_what_is_rewarded(make_policy):
    policy, run = make_policy(SequenceSpec(5, 5, bos=5), init_std=0.1), Session("gradient/0")
    gradient = PolicyGradient(Descent(policy, torch.optim.Adam(trainable(policy), lr=0.05), 5.0), 16, 2)

    def share():
        tokens = policy.sample(500, Decoding(), torch.Generator().manual_seed(1))
        return float((tokens == 0).float().mean())

    assert share() < 0.3
    for _ in range(30):
        gradient.step(lambda tokens: (tokens == 0).float().mean(-1), run)
    assert share() > 0.8


def plain_advantages(values, mask, baseline, standardize):
    """The same in loops."""
    rows, length = values.shape
    found = [[float(values[b, t]) for t in range(length)] for b in range(rows)]
    if baseline:
        for t in range(length):
            there = [float(values[b, t]) for b in range(rows) if mask[b, t]]
            for b in range(rows):
                found[b][t] -= sum(there) / len(there) if there else 0.0
    if standardize:
        there = [found[b][t] for b in range(rows) for t in range(length) if mask[b, t]]
        mean = sum(there) / len(there)
        deviation = (sum((value - mean) ** 2 for value in there) / len(there)) ** 0.5
        found = [[(value - mean) / deviation for value in row] for row in found]
    return torch.tensor(found)


@pytest.mark.parametrize("baseline", [False, True])
@pytest.mark.parametrize("standardize", [False, True])
def test_advantages_are_those_of_plain_loops_where_tokens_count(baseline, standardize):
    values = torch.rand(7, 5, generator=torch.Generator().manual_seed(0))
    lengths = torch.tensor([5, 1, 3, 5, 2, 4, 1])
    mask = torch.arange(5) < lengths[:, None]
    found = advantages(values, mask, baseline, standardize)
    expected = plain_advantages(values, mask, baseline, standardize)
    torch.testing.assert_close(found[mask], expected[mask])
    if not (baseline or standardize):
        assert found is values


def test_a_baseline_subtracts_the_mean_at_each_position():
    values = torch.tensor([[1.0, 10.0], [3.0, 30.0]])
    assert advantages(values, torch.ones(2, 2, dtype=torch.bool), True, False).tolist() == [[-1, -10], [1, 10]]


def test_equal_values_teach_nothing_once_standardized():
    values = torch.full((4, 3), 0.7)
    found = advantages(values, torch.ones(4, 3, dtype=torch.bool), True, True)
    assert float(found.abs().max()) < 1e-6


def test_a_baseline_keeps_the_expected_direction_and_lowers_the_variance(make_policy):
    """Gradients of many batches of one policy: their mean keeps its direction, and they scatter less."""
    policy = make_policy(SequenceSpec(4, 3, bos=4), init_std=0.5)
    run = Session("gradient/0")
    gradients = {}
    for baseline in (False, True):
        gradients[baseline] = []
        for _ in range(150):
            moved = copy.deepcopy(policy)
            descent = Descent(moved, torch.optim.SGD(trainable(moved), lr=1.0), 1e9)
            PolicyGradient(descent, 8, 2, baseline=baseline).step(reward, run)
            flat = [
                (old - new).detach().flatten() for old, new in zip(trainable(policy), trainable(moved), strict=True)
            ]
            gradients[baseline].append(torch.cat(flat))
    plain, less = (torch.stack(found) for found in gradients.values())
    assert float(torch.cosine_similarity(plain.mean(0), less.mean(0), 0)) > 0.8
    assert float(less.var(0).sum()) < 0.5 * float(plain.var(0).sum())


def test_the_entropy_is_that_of_the_policys_own_draws(make_policy):
    policy, run = make_policy(ENDED), Session("gradient/0")
    moved = copy.deepcopy(policy)
    for _ in run.phase("p", 1):
        PolicyGradient(Descent(moved, torch.optim.Adam(trainable(moved)), 5.0), 200, 1).step(reward, run)
    tokens, _ = policy.sample_with_states(200, Session("gradient/0").rng("policy"))
    expected = -float(policy.log_prob(tokens).sum()) / ENDED.count(tokens)
    assert run.curve[0]["scalars"]["entropy"] == pytest.approx(expected, rel=1e-4)
    assert run.cost.amounts["train_tokens"] == ENDED.count(tokens)
    assert run.cost.amounts["sampled_tokens"] == ENDED.count(tokens)
    assert run.cost.updates == 1


@pytest.mark.parametrize("reads", [False, True])
def test_tokens_of_rollouts_are_those_that_were_drawn(reads, make_policy):
    """Sequence by sequence: a completion has the words after its prefix, up to its own end, and its prefix is read."""
    policy, run, scored = make_policy(ENDED), Session("gradient/0"), []

    def spy(tokens):
        scored.append(tokens.clone())
        return reward(tokens)

    for _ in run.phase("p", 1):
        PolicyGradient(Descent(policy, torch.optim.Adam(trainable(policy)), 5.0), 50, 3).step(spy, run, reads)
    [finished] = scored
    lengths = ENDED.mask(finished).sum(-1).tolist()
    batch, completions = lengths[:50], lengths[50:]
    # As the rewards come: prefixes of 1 word first; those of each length in the order of the batch, thrice each.
    prefixes = [k for k in range(1, finished.shape[1]) for length in batch if length > k for _ in range(3)]
    assert len(prefixes) == len(completions)
    drawn = [whole - k for whole, k in zip(completions, prefixes, strict=True)]
    assert min(drawn) >= 1
    assert run.cost.amounts["rollout_tokens"] == sum(drawn)
    assert run.cost.amounts.get("reward_tokens", 0) == (sum(lengths) if reads else 0)
