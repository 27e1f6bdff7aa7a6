"""Training steps of several seeds: all at once, as ``--pack`` takes them, and of one seed after another."""

from __future__ import annotations

from functools import partial

import pytest
import torch

from bench.api import Execution, SequenceSpec
from seqgan.discriminator import Discriminator
from seqgan.kernels.packing import Packed, Seat, Stacks
from seqgan.lm import LSTMLanguageModel
from seqgan.mle import Descent, adam, evenly
from seqgan.packed_discriminator import discrimination
from seqgan.packed_lm import descent
from seqgan.seqgan import SeqGAN

SPEC = SequenceSpec(5_000, 20, bos=0)
BATCH = 64
SEEDS = (8, *(pytest.param(seeds, marks=pytest.mark.growth) for seeds in (1, 2, 4, 16)))
together = pytest.mark.parametrize("variant", ["fast", "reference"])


def streams(device, seeds):
    return [torch.Generator(device).manual_seed(seed) for seed in range(seeds)]


def at_once(build, seats, batches):
    """A function that takes the step of all seats."""
    stacks = Stacks(len(seats))
    for place, seat in enumerate(seats):
        stacks.take_in(place, seat.model)
    packed = Packed(stacks, build)
    return lambda: packed(list(zip(seats, batches, strict=True)))


@together
@pytest.mark.parametrize("seeds", SEEDS)
def test_language_models(measure, device, counts, variant, seeds):
    models = [LSTMLanguageModel(SPEC, rng) for rng in streams(device, seeds)]
    optimizers = [adam(model, 0.01) for model in models]
    tokens = [torch.randint(5_000, (BATCH, 20), generator=rng, device=device) for rng in streams(device, seeds)]
    batches = [(each, evenly(SPEC, each).contiguous()) for each in tokens]
    descents = [Descent(model, optimizer, 5.0) for model, optimizer in zip(models, optimizers, strict=True)]

    def one_after_another():
        return [step(*batch) for step, batch in zip(descents, batches, strict=True)]

    seats = list(map(Seat, models, optimizers))
    found = measure(
        at_once(partial(descent, clip_norm=5.0), seats, batches) if variant == "fast" else one_after_another,
        kernel="language-model step of several seeds",
        variant=variant,
        shape={"K": seeds, "B": BATCH, "T": 20, "V": 5_000},
        amount=seeds * BATCH * 20,
        unit="tokens",
        flops=3 * counts.language_model(seeds * BATCH * 20, 5_000),
    )
    assert all(bool(log_prob.isfinite().all()) for log_prob, _ in found)


@together
@pytest.mark.parametrize("seeds", SEEDS)
def test_discriminators(measure, device, variant, seeds):
    models = [Discriminator(SPEC, rng) for rng in streams(device, seeds)]
    optimizers, dropout = [adam(model, 1e-4) for model in models], streams(device, seeds)
    tokens = [torch.randint(5_000, (BATCH, 20), generator=rng, device=device) for rng in streams(device, seeds)]
    real = torch.arange(BATCH, device=device) % 2
    execution = Execution("graph" if device.type == "cuda" else "eager")
    steps = [SeqGAN().discriminator_step(*each, execution) for each in zip(models, optimizers, dropout, strict=True)]

    def one_after_another():
        return [step(each, real) for step, each in zip(steps, tokens, strict=True)]

    seats, build = list(map(Seat, models, optimizers, dropout)), partial(discrimination, l2=0.2, execution=execution)
    found = measure(
        at_once(build, seats, [(each, real) for each in tokens]) if variant == "fast" else one_after_another,
        kernel="discriminator step of several seeds",
        variant=variant,
        shape={"K": seeds, "B": BATCH, "T": 20},
        amount=seeds * BATCH,
        unit="sequences",
        rounds=5,
    )
    assert all(bool(loss.isfinite()) for loss, _ in found)
