"""The paper's 1,720 filters: a training step of 64 sequences, and the scoring of 1,024."""

from __future__ import annotations

import pytest
import torch

from bench.api import SequenceSpec
from seqgan.discriminator import Discriminator

SPEC = SequenceSpec(5_000, 20, bos=0)


@pytest.fixture
def discriminator(generator):
    return Discriminator(SPEC, generator)


def sequences(rows, device, generator):
    return torch.randint(SPEC.vocab_size, (rows, SPEC.seq_len), device=device, generator=generator)


@pytest.mark.benchmark(group="discriminator training step, batch 64")
def test_training_step(measure, discriminator, device, generator):
    optimizer = torch.optim.Adam(discriminator.parameters(), lr=1e-4)
    tokens = sequences(64, device, generator)
    real = torch.arange(64, device=device) % 2

    def step():
        loss, _ = discriminator.loss(tokens, real, 0.2, generator)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach()

    assert torch.isfinite(measure(step, 64, "sequences"))


@pytest.mark.benchmark(group="discriminator scoring 1,024 sequences")
def test_scoring(measure, discriminator, device, generator):
    tokens = sequences(1_024, device, generator)
    reward = measure(lambda: discriminator.reward(tokens), 1_024, "sequences", rounds=3)
    assert reward.shape == (1_024,)
    assert float(reward.min()) >= 0
