from __future__ import annotations

import math

import pytest
import torch

from seqgan.kernels import sampling
from seqgan.kernels.sampling import CPU_ROWS, reference_sample_tokens, sample_tokens, truncate

# One word, two, an odd number, no square, a square plus one, the paper's.
SIZES = [1, 2, 3, 7, 50, 5_000]


def output_layer(vocab_size, rows=1, scale=1.0, seed=0, device="cpu"):
    rng = torch.Generator().manual_seed(seed)
    hidden = torch.randn(rows, 4, generator=rng) * scale
    weight = torch.randn(vocab_size, 4, generator=rng)
    bias = torch.randn(vocab_size, generator=rng)
    return hidden.to(device), weight.to(device), bias.to(device)


@pytest.mark.parametrize("temperature", [1.0, 0.6])
@pytest.mark.parametrize("vocab_size", SIZES)
def test_sample_tokens_is_its_twin_on_the_same_uniforms(vocab_size, temperature):
    rows = 2 * CPU_ROWS + 5
    hidden, weight, bias = output_layer(vocab_size, rows)
    tokens = sample_tokens(hidden, weight, bias, torch.Generator().manual_seed(1), temperature)
    uniforms = torch.rand(rows, generator=torch.Generator().manual_seed(1))
    logits = (hidden @ weight.t() + bias) / temperature

    expected = reference_sample_tokens(logits, uniforms)
    assert tokens.dtype == torch.int64
    assert (tokens != expected).float().mean() < 0.02
    # Where they differ, the uniform lies on the border of two words to within the rounding of a float32 sum.
    cumulative = torch.nn.functional.pad(torch.softmax(logits.double(), -1).cumsum(-1), (1, 0))
    lower, upper = (cumulative.gather(1, tokens[:, None] + side)[:, 0] for side in (0, 1))
    assert (lower - 2e-6 <= uniforms).all()
    assert (uniforms <= upper + 2e-6).all()


@pytest.mark.parametrize("vocab_size", [2, 7, 50])
def test_reference_is_the_textbook_loop(vocab_size):
    hidden, weight, bias = output_layer(vocab_size, rows=40)
    logits = hidden @ weight.t() + bias
    uniforms = torch.rand(40, generator=torch.Generator().manual_seed(2))
    tokens = reference_sample_tokens(logits, uniforms).tolist()
    for row, uniform, token in zip(logits.tolist(), uniforms.tolist(), tokens, strict=True):
        weights = [math.exp(logit - max(row)) for logit in row]
        left = uniform * sum(weights)
        chosen = 0
        while left >= weights[chosen]:
            left -= weights[chosen]
            chosen += 1
        assert token == chosen


@pytest.mark.parametrize(("vocab_size", "temperature"), [*((size, 1.0) for size in SIZES), (50, 0.5), (5_000, 0.7)])
def test_draws_fit_softmax(vocab_size, temperature, device, goodness_of_fit):
    hidden, weight, bias = output_layer(vocab_size, device=device)
    rng = torch.Generator(device).manual_seed(3)
    draws = 2_000 if vocab_size == 5_000 else 20_000
    tokens = torch.cat(
        [sample_tokens(hidden.expand(draws, -1), weight, bias, rng, temperature).cpu() for _ in range(2)]
    )
    probabilities = torch.softmax((hidden[0] @ weight.t() + bias).double() / temperature, -1)
    assert goodness_of_fit(torch.bincount(tokens, minlength=vocab_size), probabilities) > 1e-3


def test_rows_are_drawn_independently_of_each_other(goodness_of_fit):
    hidden, weight, bias = output_layer(3)
    tokens = sample_tokens(hidden.expand(40_000, -1), weight, bias, torch.Generator().manual_seed(4))
    law = torch.softmax((hidden @ weight.t() + bias)[0], -1)
    pairs = torch.bincount(tokens[::2] * 3 + tokens[1::2], minlength=9)
    assert goodness_of_fit(pairs, torch.outer(law, law).flatten()) > 1e-3


@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_impossible_words_are_never_drawn(temperature, device):
    hidden, weight, bias = output_layer(50, rows=20_000, device=device)  # blocks of 8
    impossible = [0, 7, 8, *range(16, 24), 31, 48, 49]
    bias[impossible] = -math.inf
    tokens = sample_tokens(hidden, weight, bias, torch.Generator(device).manual_seed(5), temperature)
    assert not torch.isin(tokens.cpu(), torch.tensor(impossible)).any()
    assert len(tokens.unique()) > 30  # of 36


@pytest.mark.parametrize("uniform", [0.0, 2.0**-24, 0.5, 1 - 2.0**-24])
@pytest.mark.parametrize("vocab_size", [3, 7, 50, 5_000])
def test_impossible_words_are_not_drawn_at_the_ends_of_the_unit_interval(uniform, vocab_size, monkeypatch):
    rows = 200
    hidden, weight, bias = output_layer(vocab_size, rows)
    block = math.isqrt(vocab_size - 1) + 1
    bias[:block] = bias[-block:] = -math.inf  # all of the first block and, ragged or not, the end
    if vocab_size == 3:
        bias[1] = 0.0
    monkeypatch.setattr(sampling.torch, "rand", lambda n, generator: torch.full((n,), uniform))
    tokens = sample_tokens(hidden, weight, bias, torch.Generator())
    assert (bias[tokens] > -math.inf).all()


def test_huge_logits_do_not_overflow(device):
    weight = torch.zeros(50, 4, device=device)
    bias = torch.full((50,), -3e37, device=device)
    bias[17] = 3e37
    hidden = torch.zeros(300, 4, device=device)
    tokens = sample_tokens(hidden, weight, bias, torch.Generator(device).manual_seed(6), temperature=0.5)
    assert (tokens == 17).all()


def test_no_rows_give_no_tokens(device):
    hidden, weight, bias = output_layer(7, rows=0, device=device)
    tokens = sample_tokens(hidden, weight, bias, torch.Generator(device))
    assert tokens.shape == (0,)
    assert tokens.dtype == torch.int64


def test_only_the_given_generator_is_used(device):
    hidden, weight, bias = output_layer(50, rows=300, device=device)
    before = torch.random.get_rng_state()
    first, again, other = (
        sample_tokens(hidden, weight, bias, torch.Generator(device).manual_seed(seed)) for seed in (7, 7, 8)
    )
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_chunks_do_not_show():
    hidden, weight, bias = output_layer(50, rows=3 * CPU_ROWS)
    whole = sample_tokens(hidden, weight, bias, torch.Generator().manual_seed(9))
    rng = torch.Generator().manual_seed(9)
    parts = [sample_tokens(rows, weight, bias, rng) for rows in hidden.split(CPU_ROWS)]
    assert (whole != torch.cat(parts)).float().mean() < 0.01


PROBABILITIES = torch.tensor([[0.1, 0.4, 0.3, 0.2], [0.7, 0.05, 0.15, 0.1]])


@pytest.mark.parametrize(
    ("top_k", "top_p", "kept"),
    [
        (None, None, [{0, 1, 2, 3}, {0, 1, 2, 3}]),
        (1, None, [{1}, {0}]),
        (2, None, [{1, 2}, {0, 2}]),
        (9, None, [{0, 1, 2, 3}, {0, 1, 2, 3}]),
        (None, 0.01, [{1}, {0}]),
        (None, 0.39, [{1}, {0}]),
        (None, 0.41, [{1, 2}, {0}]),
        (None, 0.75, [{1, 2, 3}, {0, 2}]),
        (None, 0.99, [{0, 1, 2, 3}, {0, 1, 2, 3}]),
        (2, 0.5, [{1}, {0}]),  # the nucleus is taken of what top_k left: .4 / .7 > .5
        (2, 0.9, [{1, 2}, {0, 2}]),
    ],
)
def test_truncate(top_k, top_p, kept):
    logits = PROBABILITIES.log()
    truncated = truncate(logits, top_k, top_p)
    assert [set(row.isfinite().nonzero()[:, 0].tolist()) for row in truncated] == kept
    assert torch.equal(truncated[truncated.isfinite()], logits[truncated.isfinite()])


def test_truncate_keeps_exactly_k_of_equal_words():
    assert truncate(torch.zeros(3, 6), top_k=2, top_p=None).isfinite().sum(-1).tolist() == [2, 2, 2]


@pytest.mark.parametrize("wrong", [math.nan, math.inf])
def test_a_diverged_model_is_told(wrong):
    with pytest.raises(FloatingPointError, match="the model has diverged"):
        sample_tokens(torch.zeros(3, 2), torch.zeros(5, 2), torch.full((5,), wrong), torch.Generator())


def test_a_nucleus_of_everything_drops_nothing():
    logits = 4 * torch.randn(2, 5_000, generator=torch.Generator().manual_seed(0))
    assert torch.equal(truncate(logits, None, 1.0), logits)
