"""Sampling and rollouts of every network from what it remembers, against reading each prefix again from the start."""

from __future__ import annotations

import pytest
import torch

from bench.api import Decoding, SequenceSpec
from seqgan.networks import NETWORKS, new_policy
from seqgan.policy import reference_complete
from seqgan.rollout import complete_prefixes

SHAPE = {"B": 64, "T": 20, "V": 500}
ROLLOUTS = 4

networks = pytest.mark.parametrize("network", list(NETWORKS))
variants = pytest.mark.parametrize("variant", ["fast", "reference"])


def policy_of(network, generator):
    return new_policy(network, SequenceSpec(SHAPE["V"], SHAPE["T"], bos=0), generator, 32, 32, 0.1)


@networks
@variants
def test_sampling(measure, generator, network, variant):
    policy = policy_of(network, generator)
    nothing = torch.empty(SHAPE["B"], 0, dtype=torch.long, device=generator.device)
    ways = {
        "fast": lambda: policy.sample(SHAPE["B"], Decoding(), generator),
        "reference": lambda: reference_complete(policy, nothing, generator),
    }
    tokens = measure(
        ways[variant],
        kernel=f"sampling, {network}",
        variant=variant,
        shape=SHAPE,
        amount=SHAPE["B"] * SHAPE["T"],
        unit="tokens",
    )
    assert tokens.shape == (SHAPE["B"], SHAPE["T"])


@networks
@variants
def test_rollouts(measure, generator, network, variant):
    policy, length = policy_of(network, generator), SHAPE["T"]
    tokens, states = policy.sample_with_states(SHAPE["B"], generator)

    def prefix_by_prefix():
        finished = [
            reference_complete(policy, tokens[:, :kept].repeat_interleave(ROLLOUTS, 0), generator)
            for kept in range(1, length)
        ]
        return torch.stack(finished).view(length - 1, SHAPE["B"], ROLLOUTS, length)

    finished = measure(
        (lambda: complete_prefixes(policy, tokens, states, ROLLOUTS, generator))
        if variant == "fast"
        else prefix_by_prefix,
        kernel=f"rollouts, {network}",
        variant=variant,
        shape={**SHAPE, "N": ROLLOUTS},
        amount=SHAPE["B"] * ROLLOUTS * length * (length - 1) // 2,
        unit="tokens",
        rounds=3,
    )
    assert finished.shape == (length - 1, SHAPE["B"], ROLLOUTS, length)
