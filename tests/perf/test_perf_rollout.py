"""The rollouts of one generator step, only their sampling, at the paper's shape and around it."""

from __future__ import annotations

import os

import pytest
import torch

from bench.api import SequenceSpec
from seqgan.lm import LSTMLanguageModel
from seqgan.rollout import completion, reference_action_values

PAPER = {"B": 64, "N": 16, "T": 20, "V": 5_000}
REFERENCE_ROLLOUTS = 1 if os.environ.get("BENCH_PERF_QUICK") == "1" else 16
"""The reference takes half a minute for sixteen; a quick run compares one rollout with one."""
GROWTH = [
    pytest.param({**PAPER, **change}, id=" ".join(f"{name}={size}" for name, size in change.items()), marks=marks)
    for change, marks in [
        ({}, ()),
        *(({"N": 1}, ()) for _ in range(REFERENCE_ROLLOUTS == 1)),
        *(
            ({name: size}, pytest.mark.growth)
            for name, sizes in {"V": (1_250, 20_000), "T": (10, 40), "N": (4, 64), "B": (16, 256)}.items()
            for size in sizes
        ),
    ]
]


def tokens_of(shape):
    return shape["B"] * shape["N"] * shape["T"] * (shape["T"] - 1) // 2


@pytest.mark.parametrize("shape", GROWTH)
def test_complete_prefixes(measure, generator, counts, shape, execution):
    policy = LSTMLanguageModel(SequenceSpec(shape["V"], shape["T"], bos=0), generator)
    tokens, states = policy.sample_with_states(shape["B"], generator)
    complete = completion(execution, policy, shape["N"], generator)
    finished = measure(
        lambda: complete(tokens, states),
        kernel="rollouts",
        variant="fast" if execution.mode == "eager" else execution.mode,
        shape=shape,
        amount=tokens_of(shape),
        unit="tokens",
        flops=counts.rollouts(shape),
        rounds=3 if shape != PAPER else 5,
    )
    assert finished.shape == (shape["T"] - 1, shape["B"], shape["N"], shape["T"])


def test_reference(measure, generator, counts):
    """Prefix by prefix and rollout by rollout."""
    shape = {**PAPER, "N": REFERENCE_ROLLOUTS}
    policy = LSTMLanguageModel(SequenceSpec(shape["V"], shape["T"], bos=0), generator)
    tokens, _ = policy.sample_with_states(shape["B"], generator)

    def costs_nothing(finished):
        return torch.zeros(len(finished), device=finished.device)

    values = measure(
        lambda: reference_action_values(policy, tokens, costs_nothing, shape["N"], generator),
        kernel="rollouts",
        variant="reference",
        shape=shape,
        amount=tokens_of(shape),
        unit="tokens",
        flops=counts.rollouts(shape),
        rounds=1,
    )
    assert values.shape == tokens.shape
