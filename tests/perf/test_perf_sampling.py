"""Sampling: complete sequences, and the draws from a softmax that take most of it."""

from __future__ import annotations

import pytest
import torch

from bench.api import Decoding, SequenceSpec
from seqgan.kernels.sampling import reference_sample_tokens, sample_tokens
from seqgan.lm import LSTMLanguageModel

VOCAB_SIZE, DIM, ROWS = 5_000, 32, 4_096
GROWTH = [pytest.param(size, marks=pytest.mark.growth) for size in (1_250, 20_000)]


@pytest.fixture
def draws(measure):
    """Measure a sampler on ROWS rows."""

    def run(function, variant, vocab_size, rounds=7):
        return measure(
            function,
            kernel="draws from softmax",
            variant=variant,
            shape={"rows": ROWS, "V": vocab_size},
            amount=ROWS,
            unit="tokens",
            flops=2 * ROWS * vocab_size * DIM,
            rounds=rounds,
        )

    return run


def layer(generator, vocab_size=VOCAB_SIZE):
    return [
        torch.randn(*shape, device=generator.device, generator=generator)
        for shape in ((ROWS, DIM), (vocab_size, DIM), (vocab_size,))
    ]


@pytest.mark.parametrize("vocab_size", [VOCAB_SIZE, *GROWTH])
def test_sample_tokens(draws, generator, vocab_size):
    hidden, weight, bias = layer(generator, vocab_size)
    tokens = draws(lambda: sample_tokens(hidden, weight, bias, generator), "fast", vocab_size)
    assert 0 <= int(tokens.min()) <= int(tokens.max()) < vocab_size


def test_reference_sample_tokens(draws, generator):
    hidden, weight, bias = layer(generator)

    def sample():
        logits = torch.addmm(bias, hidden, weight.t())
        return reference_sample_tokens(logits, torch.rand(ROWS, device=logits.device, generator=generator))

    assert int(draws(sample, "reference", VOCAB_SIZE, rounds=3).max()) < VOCAB_SIZE


def test_torch_multinomial(draws, generator):
    hidden, weight, bias = layer(generator)

    def sample():
        law = torch.softmax(torch.addmm(bias, hidden, weight.t()), -1)
        return torch.multinomial(law, 1, generator=generator)

    assert int(draws(sample, "torch.multinomial", VOCAB_SIZE, rounds=3).max()) < VOCAB_SIZE


def flops_of(length):
    """What a word that is read adds to the gates of the LSTM is looked up, not multiplied."""
    return 2 * 10_000 * length * (VOCAB_SIZE * DIM + 4 * DIM * DIM)


@pytest.mark.parametrize("length", [20, *(pytest.param(length, marks=pytest.mark.growth) for length in (10, 40))])
def test_sample_sequences(measure, generator, length):
    model = LSTMLanguageModel(SequenceSpec(VOCAB_SIZE, length, bos=0), generator)
    tokens = measure(
        lambda: model.sample(10_000, Decoding(), generator),
        kernel="sampling of sequences",
        shape={"N": 10_000, "T": length, "V": VOCAB_SIZE},
        amount=10_000 * length,
        unit="tokens",
        flops=flops_of(length),
        rounds=3,
    )
    assert tokens.shape == (10_000, length)


def test_sample_sequences_with_multinomial(measure, generator):
    """In batches of 64, as the released code samples; a row of 4,096 at once takes nearly as long (see above)."""
    model = LSTMLanguageModel(SequenceSpec(VOCAB_SIZE, 20, bos=0), generator)

    @torch.no_grad()
    def sample():
        parts = []
        for rows in [64] * 156 + [16]:
            state, read = model.initial_state(rows), torch.zeros(rows, dtype=torch.long, device=model.device)
            columns = []
            for _ in range(20):
                state = model.read(read, state)
                law = torch.softmax(model.output(state[0]), -1)
                read = torch.multinomial(law, 1, generator=generator)[:, 0]
                columns.append(read)
            parts.append(torch.stack(columns, 1))
        return torch.cat(parts)

    tokens = measure(
        sample,
        kernel="sampling of sequences",
        variant="torch.multinomial",
        shape={"N": 10_000, "T": 20, "V": VOCAB_SIZE},
        amount=200_000,
        unit="tokens",
        flops=flops_of(20),
        rounds=1,
    )
    assert tokens.shape == (10_000, 20)
