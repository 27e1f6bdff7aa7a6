"""The language model: an epoch of maximum likelihood, its step by vocabulary, and scoring."""

from __future__ import annotations

import functools

import pytest
import torch

from bench.api import SequenceSpec
from seqgan.kernels.cross_entropy import reference_weighted_nll
from seqgan.lm import LSTMLanguageModel
from seqgan.mle import Descent, adam, descend, evenly, minibatches, trainable

LENGTH, BATCH, SEQUENCES = 20, 64, 10_000


def setting(generator, rows, vocab_size=5_000):
    spec = SequenceSpec(vocab_size, LENGTH, bos=0)
    tokens = torch.randint(vocab_size, (rows, LENGTH), device=generator.device, generator=generator)
    return spec, LSTMLanguageModel(spec, generator), tokens


@pytest.fixture(params=["fast", "graph"])
def variant(request, device):
    """On CUDA steps are recorded; ``fast`` is the same operation by operation."""
    if request.param == "graph" and device.type == "cpu":
        pytest.skip("graph needs a CUDA device")
    return request.param


def step_of(variant, model):
    """A step of maximum likelihood: a function of a batch to its log-probabilities."""
    optimizer = adam(model, 0.01)
    recorded = Descent(model, optimizer, 5.0)

    def step(batch):
        weights = evenly(model.spec, batch)
        taken = recorded(batch, weights) if variant == "graph" else descend(model, optimizer, 5.0, batch, weights)
        return taken[0]

    return step


def test_epoch(measure, generator, counts, variant):
    _, model, tokens = setting(generator, SEQUENCES)
    step = step_of(variant, model)

    def epoch():
        for batch in minibatches(tokens, BATCH):
            log_prob = step(batch)
        return log_prob

    last = measure(epoch, **describe(counts, "maximum-likelihood epoch", variant, SEQUENCES), rounds=3)
    assert torch.isfinite(last).all()


def plain_step(spec, model, optimizer, batch):
    """A step of maximum likelihood as one would write it."""
    hidden, _ = model.lstm(model.embedding(model.shift(batch)))
    loss, log_prob = reference_weighted_nll(
        hidden.flatten(0, 1), model.output.weight, model.output.bias, batch.flatten(), evenly(spec, batch).flatten()
    )
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(trainable(model), 5.0)
    optimizer.step()
    return log_prob


def test_reference_epoch(measure, generator, counts):
    spec, model, tokens = setting(generator, SEQUENCES)
    optimizer = torch.optim.Adam(trainable(model), lr=0.01)

    def epoch():
        for batch in minibatches(tokens, BATCH):
            log_prob = plain_step(spec, model, optimizer, batch)
        return log_prob

    last = measure(epoch, **describe(counts, "maximum-likelihood epoch", "reference", SEQUENCES), rounds=2)
    assert torch.isfinite(last).all()


def describe(counts, kernel, variant, rows):
    return {
        "kernel": kernel,
        "variant": variant,
        "shape": {"N": rows, "B": BATCH, "T": LENGTH, "V": 5_000},
        "amount": rows * LENGTH,
        "unit": "tokens",
        "flops": 3 * counts.language_model(rows * LENGTH, 5_000),
    }


@pytest.fixture
def steps(measure, generator, counts):
    """Measure a training step."""

    def run(variant, vocab_size):
        spec, model, tokens = setting(generator, BATCH, vocab_size)
        if variant == "reference":
            optimizer = torch.optim.Adam(trainable(model), lr=0.01)
            step = functools.partial(plain_step, spec, model, optimizer)
        else:
            step = step_of(variant, model)
        return measure(
            lambda: step(tokens),
            kernel="language-model step",
            variant=variant,
            shape={"B": BATCH, "T": LENGTH, "V": vocab_size},
            amount=BATCH * LENGTH,
            unit="tokens",
            flops=3 * counts.language_model(BATCH * LENGTH, vocab_size),
            rounds=15,
        )

    return run


@pytest.mark.parametrize("vocab_size", [5_000, *(pytest.param(v, marks=pytest.mark.growth) for v in (1_250, 20_000))])
def test_step_by_vocabulary(steps, vocab_size, variant):
    assert torch.isfinite(steps(variant, vocab_size)).all()


def test_reference_step(steps):
    assert torch.isfinite(steps("reference", 5_000)).all()


@pytest.mark.parametrize("variant", ["fast", "reference"])
def test_scoring(measure, generator, counts, variant):
    _, model, tokens = setting(generator, SEQUENCES)

    @torch.no_grad()
    def plainly():
        parts = []
        for rows in tokens.split(256):
            law = torch.log_softmax(model(model.shift(rows)), -1)
            parts.append(law.gather(2, rows[..., None]).sum((1, 2)))
        return torch.cat(parts)

    log_prob = measure(
        (lambda: model.log_prob(tokens)) if variant == "fast" else plainly,
        kernel="language-model scoring",
        variant=variant,
        shape={"N": SEQUENCES, "T": LENGTH, "V": 5_000},
        amount=SEQUENCES * LENGTH,
        unit="tokens",
        flops=counts.language_model(SEQUENCES * LENGTH, 5_000),
        rounds=3,
    )
    assert log_prob.shape == (SEQUENCES,)
