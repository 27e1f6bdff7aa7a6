"""What the generators of one file each compute in their own way, against the plain form."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from baselines.cot import divergence, reference_divergence
from baselines.networks.relational_memory import RelationalMemory, reference_step
from baselines.ngram import NgramModel, count
from baselines.residual_ebm import real_log_odds, reference_real_log_odds
from bench.api import Decoding, SequenceSpec
from seqgan.discriminator import Discriminator

variants = pytest.mark.parametrize("variant", ["fast", "reference"])
V, T = 5_000, 20


@pytest.fixture
def tokens():
    """Sequences of words that are as frequent as text's."""
    shares = 1 / np.arange(1, V + 1)
    return torch.from_numpy(np.random.default_rng(0).choice(V, (2_000, T), p=shares / shares.sum()))


@variants
def test_words_of_an_ngram_model(measure, device, tokens, variant):
    if device.type == "cuda":
        pytest.skip("counts are on the CPU")
    spec = SequenceSpec(V, T, bos=V)
    model = NgramModel(spec, count(spec, tokens, 4), "kneser-ney", 0.9)
    uniforms = np.random.default_rng(0).random(len(tokens))
    contexts = model.contexts(np.pad(tokens[:, :10].numpy(), ((0, 0), (1, 0)), constant_values=V))
    draw = model.draw if variant == "fast" else model.reference_draw
    words = measure(
        lambda: draw(contexts, uniforms, Decoding()),
        kernel="words of an n-gram model",
        variant=variant,
        shape={"B": len(tokens), "V": V, "order": 4},
        amount=len(tokens),
        unit="tokens",
    )
    assert words.shape == (len(tokens),)


@variants
def test_divergence_from_the_mediator(measure, device, generator, variant):
    """Forward and backward."""
    rows, width = 64 * T, 32
    hidden, weight = (
        torch.randn(*shape, generator=generator, device=device).requires_grad_()
        for shape in ((rows, width), (V, width))
    )
    bias = torch.zeros(V, device=device, requires_grad=True)
    mediator = torch.randn(rows, V, generator=generator, device=device).log_softmax(-1)
    counted = torch.ones(1, rows, dtype=torch.bool, device=device)

    def fast():
        return torch.autograd.grad(divergence(hidden, weight, bias, mediator)[0], (hidden, weight, bias))

    def plain():
        logits = torch.addmm(bias, hidden, weight.t())[None]
        return torch.autograd.grad(reference_divergence(logits, mediator[None], counted).sum(), (hidden, weight, bias))

    gradients = measure(
        fast if variant == "fast" else plain,
        kernel="divergence from the mediator",
        variant=variant,
        shape={"rows": rows, "V": V, "H": width},
        amount=rows,
        unit="tokens",
    )
    assert gradients[1].shape == (V, width)


@variants
@torch.no_grad()
def test_step_of_the_relational_memory(measure, device, generator, variant):
    memory = RelationalMemory(32, 1, 2, 256).to(device)
    for parameter in memory.parameters():
        parameter.normal_(0, 0.1, generator=generator)
    words = torch.randn(64, 32, generator=generator, device=device)
    before = memory.initial(64)
    after = measure(
        (lambda: memory.step(memory.project(words), before))
        if variant == "fast"
        else lambda: reference_step(memory, words, before),
        kernel="step of the relational memory",
        variant=variant,
        shape={"B": 64, "M": 512},
        amount=64,
        unit="tokens",
    )
    assert after.shape == before.shape


@variants
def test_log_odds_of_the_discriminator(measure, device, generator, tokens, variant):
    discriminator = Discriminator(SequenceSpec(V, T, bos=0), generator)
    tokens = tokens.to(device)
    odds = measure(
        lambda: (real_log_odds if variant == "fast" else reference_real_log_odds)(discriminator, tokens),
        kernel="log-odds of the discriminator",
        variant=variant,
        shape={"B": len(tokens), "T": T, "V": V},
        amount=len(tokens),
        unit="sequences",
        rounds=3,
    )
    assert odds.shape == (len(tokens),)
