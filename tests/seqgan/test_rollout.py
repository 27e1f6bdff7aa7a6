from __future__ import annotations

import pytest
import torch
from torch import Tensor

from bench.api import SequenceSpec
from seqgan.policy import Policy, State
from seqgan.rollout import action_values, complete_prefixes, reference_action_values

FIXED = SequenceSpec(3, 3, bos=3)
WORD_AS_BOS = SequenceSpec(4, 4, bos=0)
ENDED = SequenceSpec(3, 4, bos=3, eos=1, pad=0)
ENDED_BY_PAD = SequenceSpec(3, 4, bos=3, eos=2, pad=2)
SPECS = [
    pytest.param(FIXED, id="fixed"),
    pytest.param(WORD_AS_BOS, id="bos=0"),
    pytest.param(ENDED, id="eos"),
    pytest.param(ENDED_BY_PAD, id="eos is pad"),
]


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@torch.no_grad()
def states_of(policy: Policy, tokens: Tensor) -> list[State]:
    """The states from which given tokens would have been drawn."""
    state, states = policy.initial_state(len(tokens)), []
    for read in policy.shift(tokens).t():
        state = policy.read(read, state)
        states.append(state)
    return states


def code(tokens: Tensor, vocab_size: int = 4) -> Tensor:
    """A reward in [0, 1) that differs between any two sequences of at most four words."""
    powers = torch.tensor([float(vocab_size) ** -(t + 1) for t in range(tokens.shape[1])])
    return (tokens * powers).sum(-1)


class Recorder:
    """A reward that remembers what it scored."""

    def __init__(self, reward):
        self.reward, self.asked = reward, []

    def __call__(self, tokens):
        self.asked.append(tokens.clone())
        return self.reward(tokens)


def exact_values(policy, tokens, sequences, reward):
    """Q by enumeration: the mean reward of all sequences that share the prefix, weighted by their probability."""
    probabilities, rewards = policy.log_prob(sequences).double().exp(), reward(sequences).double()
    values = torch.empty(tokens.shape, dtype=torch.double)
    for b, row in enumerate(tokens):
        for t in range(tokens.shape[1]):
            shares = (sequences[:, : t + 1] == row[: t + 1]).all(-1)
            values[b, t] = (probabilities * rewards)[shares].sum() / probabilities[shares].sum()
    return values


def test_each_token_gets_its_own_value_when_completions_are_certain(make_policy):
    # Every completion writes only word 2, so that Q(b, t) is the code of the first t words followed by twos: a
    # different number for each b and t. Rewards stored in one layout and read in another would be scrambled.
    spec = SequenceSpec(4, 8, bos=4)
    policy = make_policy(spec)
    with torch.no_grad():
        policy.output.weight.zero_()
        policy.output.bias.copy_(torch.tensor([-1e4, -1e4, 0.0, -1e4]))
    tokens = torch.randint(4, (7, 8), generator=generator(1))
    values = action_values(policy, tokens, states_of(policy, tokens), code, rollouts=3, rng=generator())
    truth = torch.stack([code(torch.cat([tokens[:, :t], torch.full((7, 8 - t), 2)], 1)) for t in range(1, 9)], dim=1)
    assert values.shape == (7, 8)
    torch.testing.assert_close(values, truth, atol=1e-6, rtol=0)
    assert float(torch.corrcoef(torch.stack([values.flatten(), truth.flatten()]))[0, 1]) > 1 - 1e-6


@pytest.mark.parametrize("bos", [0, 5])
def test_completions_read_the_start_token_and_the_prefix(bos, make_policy):
    # A policy so certain that it is greedy: what it writes after a prefix depends on all that it has read.
    spec = SequenceSpec(5, 9, bos=bos)
    policy = make_policy(spec, seed=3)
    with torch.no_grad():
        policy.output.weight *= 1e5
        policy.output.bias *= 1e5
    tokens = torch.randint(5, (6, 9), generator=generator(2))
    finished = complete_prefixes(policy, tokens, states_of(policy, tokens), rollouts=2, rng=generator())
    assert finished.shape == (8, 6, 2, 9)
    for kept in range(1, 9):
        expected = tokens.clone()
        for t in range(kept, 9):
            expected[:, t] = policy(policy.shift(expected))[:, t].argmax(-1)
        assert torch.equal(finished[kept - 1, :, 0], expected)
        assert torch.equal(finished[kept - 1, :, 1], expected)
    assert len(finished[0, :, 0].unique(dim=0)) > 1  # otherwise this proves nothing


def test_a_reward_of_the_prefix_alone_comes_back_unchanged(make_policy):
    policy = make_policy(WORD_AS_BOS)
    tokens, states = policy.sample_with_states(11, generator(1))
    values = action_values(policy, tokens, states, lambda rows: rows[:, 0] / 3.0, rollouts=5, rng=generator())
    torch.testing.assert_close(values, (tokens[:, :1] / 3.0).expand(-1, 4))


@pytest.mark.parametrize("spec", SPECS)
def test_prefixes_are_kept_word_for_word(spec, make_policy):
    policy = make_policy(spec)
    tokens, states = policy.sample_with_states(40, generator(1))
    original = tokens.clone()
    finished = complete_prefixes(policy, tokens, states, rollouts=6, rng=generator())
    assert torch.equal(tokens, original)
    for kept in range(1, spec.seq_len):
        assert torch.equal(finished[kept - 1, :, :, :kept], tokens[:, None, :kept].expand(-1, 6, -1))
    # The rollouts are different completions, not copies of one or of the sequence itself.
    assert any(not torch.equal(finished[0, :, 0], finished[0, :, n]) for n in range(1, 6))
    assert not torch.equal(finished[0, :, 0], tokens)


def test_the_sampled_states_are_not_changed(make_policy):
    policy = make_policy(ENDED)
    tokens, states = policy.sample_with_states(20, generator(1))
    before = [tuple(part.clone() for part in state) for state in states]
    complete_prefixes(policy, tokens, states, rollouts=3, rng=generator())
    assert all(
        torch.equal(a, b) for old, new in zip(before, states, strict=True) for a, b in zip(old, new, strict=True)
    )


def test_the_first_completed_word_follows_the_policys_law(make_policy, goodness_of_fit):
    policy = make_policy(FIXED, seed=4)
    tokens = torch.tensor([[0, 0, 0], [1, 0, 0], [2, 0, 0]])
    finished = complete_prefixes(policy, tokens, states_of(policy, tokens), rollouts=20_000, rng=generator())
    for b in range(3):
        law = torch.softmax(policy(torch.tensor([[3, b]]))[0, -1], -1).detach()
        assert goodness_of_fit(torch.bincount(finished[0, b, :, 1], minlength=3), law) > 1e-3
        without_start = torch.softmax(policy(torch.tensor([[b]]))[0, -1], -1).detach()
        assert float((law - without_start).abs().max()) > 0.02  # so that a missing start token would be noticed


@pytest.mark.parametrize("spec", SPECS)
def test_values_are_the_exact_expectation(spec, make_policy, all_sequences):
    policy, rollouts = make_policy(spec, seed=5), 4_000
    tokens, states = policy.sample_with_states(6, generator(1))
    truth = exact_values(policy, tokens, all_sequences(spec), code)
    squares = exact_values(policy, tokens, all_sequences(spec), lambda rows: code(rows).double() ** 2)
    error = (squares - truth**2).clamp(min=0).sqrt() / rollouts**0.5
    values = action_values(policy, tokens, states, code, rollouts, generator(6))
    assert ((values - truth).abs() <= 4.5 * error + 1e-5).all()
    assert float(error[:, :-1].max()) < 0.01 < float(truth.std())


@pytest.mark.parametrize("spec", SPECS)
def test_values_agree_with_the_twin(spec, make_policy, all_sequences):
    policy, rollouts, slow_rollouts = make_policy(spec, seed=5), 4_000, 300
    tokens, states = policy.sample_with_states(5, generator(1))
    values = action_values(policy, tokens, states, code, rollouts, generator(7))
    twin = reference_action_values(policy, tokens, code, slow_rollouts, generator(8))
    squares = exact_values(policy, tokens, all_sequences(spec), lambda rows: code(rows).double() ** 2)
    variance = (squares - exact_values(policy, tokens, all_sequences(spec), code) ** 2).clamp(min=0)
    error = (variance * (1 / rollouts + 1 / slow_rollouts)).sqrt()
    assert ((values - twin).abs() <= 4.5 * error + 1e-5).all()


def test_finished_sequences_are_not_continued(make_policy):
    policy = make_policy(ENDED)
    tokens = torch.tensor([[1, 0, 0, 0], [2, 1, 0, 0], [2, 2, 1, 0], [2, 0, 2, 2], [0, 0, 0, 0]])
    finished = complete_prefixes(policy, tokens, states_of(policy, tokens), rollouts=300, rng=generator())
    for kept in range(1, 4):
        for b, row in enumerate(tokens):
            if (row[:kept] == ENDED.eos).any():
                assert (finished[kept - 1, b] == row).all()
    # A completion that ends is padded, and a pad before the end is a word like any other.
    after = ~ENDED.mask(finished)
    assert (finished[after] == ENDED.pad).all()
    assert (finished[0, 4] == 2).any()
    assert after[:, :, 3].any()


@pytest.mark.parametrize(("batch", "rollouts"), [(1, 1), (5, 4)])
def test_each_sequence_is_scored_once(batch, rollouts, make_policy):
    policy = make_policy(WORD_AS_BOS)
    tokens, states = policy.sample_with_states(batch, generator(1))
    reward = Recorder(code)
    values = action_values(policy, tokens, states, reward, rollouts, generator())
    (asked,) = reward.asked
    assert len(asked) == rollouts * (4 - 1) * batch + batch
    # The finished sentence itself is scored once and not completed.
    assert torch.equal(asked[:batch], tokens)
    assert torch.equal(values[:, -1], code(tokens))


def test_sequences_of_one_word_need_no_rollout(make_policy):
    policy = make_policy(SequenceSpec(4, 1, bos=4))
    tokens, states = policy.sample_with_states(6, generator(1))
    reward = Recorder(code)
    values = action_values(policy, tokens, states, reward, 16, generator())
    assert torch.equal(values, code(tokens)[:, None])
    assert len(reward.asked) == 1


def test_only_the_given_generator_is_used_and_nothing_is_differentiated(make_policy):
    policy = make_policy(FIXED)
    tokens, states = policy.sample_with_states(20, generator(1))
    before = torch.random.get_rng_state()
    first, again, other = (action_values(policy, tokens, states, code, 3, generator(seed)) for seed in (0, 0, 1))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert not first.requires_grad
