"""The rollouts of one generator step at the paper's shape, but two rollouts in place of sixteen."""

from __future__ import annotations

import pytest
import torch

from bench.api import SequenceSpec
from seqgan.lm import LSTMLanguageModel
from seqgan.rollout import action_values, complete_prefixes, reference_action_values

BATCH, ROLLOUTS, SPEC = 64, 2, SequenceSpec(5_000, 20, bos=0)
SEQUENCES = BATCH * ROLLOUTS * (SPEC.seq_len - 1)


def share_of_zero(tokens):
    """A reward that costs nothing."""
    return (tokens == 0).float().mean(-1)


@pytest.fixture
def policy(generator):
    return LSTMLanguageModel(SPEC, generator)


@pytest.mark.benchmark(group=f"rollouts {SEQUENCES} sequences")
def test_complete_prefixes(measure, policy, generator):
    tokens, states = policy.sample_with_states(BATCH, generator)
    finished = measure(
        lambda: complete_prefixes(policy, tokens, states, ROLLOUTS, generator), SEQUENCES, "sequences", rounds=3
    )
    assert finished.shape == (SPEC.seq_len - 1, ROLLOUTS, BATCH, SPEC.seq_len)


@pytest.mark.benchmark(group=f"rollouts {SEQUENCES} sequences")
def test_action_values(measure, policy, generator):
    tokens, states = policy.sample_with_states(BATCH, generator)
    values = measure(
        lambda: action_values(policy, tokens, states, share_of_zero, ROLLOUTS, generator),
        SEQUENCES,
        "sequences",
        rounds=3,
    )
    assert values.shape == (BATCH, SPEC.seq_len)


@pytest.mark.benchmark(group=f"rollouts {SEQUENCES} sequences")
def test_reference_action_values(measure, policy, generator):
    tokens = policy.sample_with_states(BATCH, generator)[0]
    values = measure(
        lambda: reference_action_values(policy, tokens, share_of_zero, ROLLOUTS, generator),
        SEQUENCES,
        "sequences",
        rounds=2,
    )
    assert torch.isfinite(values).all()
