"""Whole generator steps, as SeqGAN and PG-BLEU take them."""

from __future__ import annotations

import pytest
import torch

from bench.api import Execution, SequenceSpec
from bench.runs.session import Session
from seqgan.discriminator import Discriminator
from seqgan.kernels.execution import scoring_type
from seqgan.lm import LSTMLanguageModel
from seqgan.mle import Descent, adam
from seqgan.policy_gradient import PolicyGradient
from seqgan.rollout import completion

PAPER = {"B": 64, "N": 16, "T": 20, "V": 5_000}
SPEC = SequenceSpec(PAPER["V"], PAPER["T"], bos=0)


@pytest.mark.parametrize(
    "shape", [PAPER, *(pytest.param({**PAPER, "N": n}, id=f"N={n}", marks=pytest.mark.growth) for n in (1, 4))]
)
def test_generator_step(measure, device, generator, counts, shape, execution):
    policy = LSTMLanguageModel(SPEC, generator)
    discriminator = Discriminator(SPEC, generator, scoring=scoring_type(Execution(), generator.device))
    optimizer, run = adam(policy, 0.01), Session("perf/0", device=device)
    complete = completion(execution, policy, shape["N"], run.rng("rollouts"))
    finished, tables = shape["B"] * (shape["N"] * (shape["T"] - 1) + 1), shape["V"] * discriminator.filters.numbers
    # In bfloat16 they have another ceiling, and are not counted.
    exact = discriminator.scoring == torch.float32
    rewards = counts.highway(discriminator, finished) + 2.0 * tables if exact else 0.0
    gradient = PolicyGradient(Descent(policy, optimizer, 5.0), shape["B"], shape["N"], complete)
    measure(
        lambda: gradient.step(discriminator.reward, run),
        kernel="generator step",
        variant="fast" if execution.mode == "eager" else execution.mode,
        shape=shape,
        amount=shape["B"] * shape["N"] * shape["T"] * (shape["T"] - 1) // 2,
        unit="tokens",
        flops=counts.rollouts(shape) + rewards + 4 * counts.language_model(shape["B"] * shape["T"], shape["V"]),
        rounds=5,
    )
    assert all(torch.isfinite(parameter).all() for parameter in policy.parameters())
