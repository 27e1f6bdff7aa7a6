"""The discriminator with the paper's 1,720 filters: a training step, and the scoring of a generator step's rollouts."""

from __future__ import annotations

import pytest
import torch

from bench.api import Execution, SequenceSpec
from seqgan import discriminator as module
from seqgan.discriminator import Discriminator
from seqgan.kernels.convolution import reference_max_over_time
from seqgan.kernels.execution import scoring_type
from seqgan.kernels.linear import reference_wide_linear
from seqgan.mle import adam
from seqgan.seqgan import SeqGAN

VOCAB_SIZE, LENGTH, BATCH, SCORED = 5_000, 20, 64, 20_480


def sequences(rows, length, generator):
    return torch.randint(VOCAB_SIZE, (rows, length), device=generator.device, generator=generator)


def growth(name, sizes):
    return [pytest.param(size, id=f"{name}={size}", marks=pytest.mark.growth) for size in sizes]


@pytest.fixture
def steps(measure, generator, counts):
    """Measure a training step."""

    def run(variant, batch, length, make_optimizer, rounds=15, execution=None):
        model = Discriminator(SequenceSpec(VOCAB_SIZE, length, bos=0), generator)
        optimizer = make_optimizer(model)
        tokens, real = sequences(batch, length, generator), torch.arange(batch, device=generator.device) % 2

        def plain_step(tokens, real):
            loss, accuracy = model.loss(tokens, real, 0.2, generator)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            return loss.detach(), accuracy

        fast = execution is not None and generator.device.type == "cpu"
        step = SeqGAN().discriminator_step(model, optimizer, generator, execution) if execution else plain_step
        convolution = counts.convolution(model, length, batch)
        # Backward through a maximum over time there is one window per filter and sentence; plain torch computes all.
        back = 2 * (2.0 * batch * model.filters.numbers if fast else convolution)
        parameters = sum(parameter.numel() for parameter in model.parameters())
        return measure(
            lambda: step(tokens, real)[0],
            kernel="discriminator step",
            variant=variant,
            shape={"B": batch, "T": length},
            amount=batch,
            unit="sequences",
            flops=3 * counts.highway(model, batch) + convolution + back,
            bytes_moved=4 * 7 * parameters,  # Adam alone: four numbers read per parameter, three written
            rounds=rounds,
        )

    return run


def ours(steps, batch, length, execution):
    if execution.mode == "triton":
        pytest.skip("the same as graph")
    variant = "fast" if execution.mode == "eager" else execution.mode
    return steps(variant, batch, length, lambda model: adam(model, 1e-4), execution=execution)


@pytest.mark.parametrize("batch", [BATCH, *growth("B", (16, 256))])
def test_step(steps, batch, execution):
    assert torch.isfinite(ours(steps, batch, LENGTH, execution))


@pytest.mark.parametrize("length", growth("T", (10, 40)))
def test_step_by_length(steps, length, execution):
    assert torch.isfinite(ours(steps, BATCH, length, execution))


def plain(monkeypatch):
    monkeypatch.setattr(module, "max_over_time", reference_max_over_time)
    monkeypatch.setattr(module, "wide_linear", reference_wide_linear)


def test_reference_step(steps, monkeypatch):
    plain(monkeypatch)
    loss = steps("reference", BATCH, LENGTH, lambda model: torch.optim.Adam(model.parameters(), lr=1e-4), rounds=7)
    assert torch.isfinite(loss)


def test_reference_step_with_fused_adam(steps, monkeypatch):
    plain(monkeypatch)
    assert torch.isfinite(steps("torch, fused Adam", BATCH, LENGTH, lambda model: adam(model, 1e-4), rounds=7))


@pytest.fixture
def scoring(measure, generator, counts):
    """Measure the scoring of finished sequences, laid out as rollouts are: sixteen siblings share a prefix."""

    def run(method, variant, rows, length=LENGTH, rounds=5):
        scoring = scoring_type(Execution(), generator.device)
        model = Discriminator(SequenceSpec(VOCAB_SIZE, length, bos=0), generator, scoring=scoring)
        tokens = sequences(rows, length, generator).view(-1, 16, length)
        kept = torch.arange(len(tokens), device=tokens.device) * length // len(tokens)
        shared = torch.arange(length, device=tokens.device) < kept[:, None, None]
        tokens = torch.where(shared, tokens[:, :1], tokens).view(rows, length)
        fast = variant == "fast" and generator.device.type == "cpu"
        rounded = "tf32" if generator.device.type == "cuda" else "float32"
        tables = 2.0 * VOCAB_SIZE * model.filters.numbers  # products of every word with every row of a filter
        return measure(
            lambda: getattr(model, method)(tokens),
            kernel="discriminator scoring",
            variant=variant,
            shape={"N": rows, "T": length},
            amount=rows,
            unit="sequences",
            flops=counts.highway(model, rows) + (tables if fast else counts.convolution(model, length, rows)),
            precision="float32" if scoring == torch.float32 else "bfloat16" if fast else rounded,
            rounds=rounds,
        )

    return run


@pytest.mark.parametrize("rows", [SCORED, *growth("N", (1_280, 5_120))])
def test_scoring(scoring, rows):
    assert scoring("reward", "fast", rows).shape == (rows,)


@pytest.mark.parametrize("length", growth("T", (10, 40)))
def test_scoring_by_length(scoring, length):
    assert scoring("reward", "fast", SCORED, length, rounds=3).shape == (SCORED,)


def test_reference_scoring(scoring, monkeypatch):
    plain(monkeypatch)
    assert scoring("reference_reward", "reference", SCORED, rounds=2).shape == (SCORED,)
