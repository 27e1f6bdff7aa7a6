"""One token a row from a softmax over the paper's vocabulary, output layer included."""

from __future__ import annotations

import pytest
import torch

from bench.api import Decoding, SequenceSpec
from seqgan.kernels.sampling import reference_sample_tokens, sample_tokens
from seqgan.lm import LSTMLanguageModel

ROWS, V, H = 2_048, 5_000, 32


@pytest.fixture
def layer(device, generator):
    hidden = torch.randn(ROWS, H, device=device, generator=generator)
    weight = torch.randn(V, H, device=device, generator=generator) / H**0.5
    return hidden, weight, torch.randn(V, device=device, generator=generator)


@pytest.mark.benchmark(group=f"sampling {ROWS} tokens of {V}")
def test_sample_tokens(measure, layer, generator):
    tokens = measure(lambda: sample_tokens(*layer, generator), ROWS, "tokens")
    assert tokens.shape == (ROWS,)


@pytest.mark.benchmark(group=f"sampling {ROWS} tokens of {V}")
def test_reference_sample_tokens(measure, layer, device, generator):
    hidden, weight, bias = layer

    def draw():
        logits = torch.addmm(bias, hidden, weight.t())
        return reference_sample_tokens(logits, torch.rand(ROWS, device=device, generator=generator))

    assert measure(draw, ROWS, "tokens", rounds=3).shape == (ROWS,)


@pytest.mark.benchmark(group=f"sampling {ROWS} tokens of {V}")
def test_torch_multinomial(measure, layer, generator):
    hidden, weight, bias = layer

    def draw():
        probabilities = torch.softmax(torch.addmm(bias, hidden, weight.t()), -1)
        return torch.multinomial(probabilities, 1, generator=generator)

    assert measure(draw, ROWS, "tokens", rounds=3).shape == (ROWS, 1)


@pytest.mark.benchmark(group="sampling 1,000 sequences")
def test_sample_sequences(measure, generator):
    model = LSTMLanguageModel(SequenceSpec(V, 20, bos=0), generator)
    tokens = measure(lambda: model.sample(1_000, Decoding(), generator), 20_000, "tokens", rounds=3)
    assert tokens.shape == (1_000, 20)
