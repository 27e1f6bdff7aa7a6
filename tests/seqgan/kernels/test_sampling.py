from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from seqgan.kernels.sampling import CPU_ROWS, inverse_cdf, reference_sample_tokens, sample_tokens, truncate
from seqgan.kernels.softmax import BLOCK, draw

# One word, two, an odd number, less than a block, a block, a block plus one, and the paper's size.
SIZES = [1, 2, 3, 50, 64, 65, 5_000]


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
    uniforms = torch.rand(rows, generator=torch.Generator().manual_seed(1), dtype=torch.double)
    tokens = inverse_cdf(hidden, weight, bias, uniforms[:, None], temperature)[:, 0]
    logits = (hidden @ weight.t() + bias) / temperature

    expected = reference_sample_tokens(logits, uniforms)
    assert tokens.dtype == torch.int64
    assert (tokens != expected).float().mean() < 0.02
    # Where they differ, the uniform is on the border of two words, to within the rounding of a float32 sum.
    cumulative = torch.nn.functional.pad(torch.softmax(logits.double(), -1).cumsum(-1), (1, 0))
    lower, upper = (cumulative.gather(1, tokens[:, None] + side)[:, 0] for side in (0, 1))
    assert (lower - 2e-6 <= uniforms).all()
    assert (uniforms <= upper + 2e-6).all()


def test_the_uniforms_come_from_the_generator():
    hidden, weight, bias = output_layer(50, rows=9)
    tokens = sample_tokens(hidden, weight, bias, torch.Generator().manual_seed(1), draws=3)
    uniforms = torch.rand(9, 3, generator=torch.Generator().manual_seed(1), dtype=torch.double)
    assert torch.equal(tokens, inverse_cdf(hidden, weight, bias, uniforms))


@pytest.mark.parametrize("vocab_size", [7, 5_000])
def test_several_draws_of_a_row_are_draws_of_equal_rows(vocab_size):
    hidden, weight, bias = output_layer(vocab_size, rows=CPU_ROWS + 3)
    uniforms = torch.rand(len(hidden), 5, generator=torch.Generator().manual_seed(1), dtype=torch.double)
    tokens = inverse_cdf(hidden, weight, bias, uniforms)
    for k in range(5):
        alone = inverse_cdf(hidden, weight, bias, uniforms[:, k : k + 1])
        assert torch.equal(tokens[:, k : k + 1], alone)


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
    # Half of them as rows of their own, half as draws of one row.
    apart = sample_tokens(hidden.expand(draws, -1), weight, bias, rng, temperature)
    together = sample_tokens(hidden, weight, bias, rng, temperature, draws)
    assert (apart.shape, together.shape) == ((draws, 1), (1, draws))
    tokens = torch.cat([apart.flatten(), together.flatten()]).cpu()
    probabilities = torch.softmax((hidden[0] @ weight.t() + bias).double() / temperature, -1)
    assert goodness_of_fit(torch.bincount(tokens, minlength=vocab_size), probabilities) > 1e-3


def test_rows_are_drawn_independently_of_each_other(goodness_of_fit):
    hidden, weight, bias = output_layer(3)
    tokens = sample_tokens(hidden.expand(40_000, -1), weight, bias, torch.Generator().manual_seed(4))[:, 0]
    law = torch.softmax((hidden @ weight.t() + bias)[0], -1)
    pairs = torch.bincount(tokens[::2] * 3 + tokens[1::2], minlength=9)
    assert goodness_of_fit(pairs, torch.outer(law, law).flatten()) > 1e-3


@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_impossible_words_are_never_drawn(temperature, device):
    hidden, weight, bias = output_layer(50, rows=20_000, device=device)
    impossible = [0, 7, 8, *range(16, 24), 31, 48, 49]
    bias[impossible] = -math.inf
    tokens = sample_tokens(hidden, weight, bias, torch.Generator(device).manual_seed(5), temperature)
    assert not torch.isin(tokens.cpu(), torch.tensor(impossible)).any()
    assert len(tokens.unique()) > 30  # of 36


@pytest.mark.parametrize("uniform", [0.0, 2.0**-53, 0.5, 1 - 2.0**-53])
@pytest.mark.parametrize("vocab_size", [3, 7, 50, 5_000])
def test_impossible_words_are_not_drawn_at_the_ends_of_the_unit_interval(uniform, vocab_size):
    rows = 200
    hidden, weight, bias = output_layer(vocab_size, rows)
    block = min(BLOCK, vocab_size // 3)
    bias[:block] = bias[-block:] = -math.inf  # all of the first block, and the end, whether or not it is a block
    tokens = inverse_cdf(hidden, weight, bias, torch.full((rows, 1), uniform, dtype=torch.double))
    assert (bias[tokens] > -math.inf).all()
    if uniform in (0.0, 1 - 2.0**-53):
        possible = (bias > -math.inf).nonzero()[:, 0]
        assert (tokens == possible[0 if uniform == 0 else -1]).all()


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
    assert tokens.shape == (0, 1)
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


def test_results_do_not_depend_on_chunks():
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
        (2, 0.5, [{1}, {0}]),  # the nucleus is taken from what top_k left: .4 / .7 > .5
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
def test_a_diverged_model_is_reported(wrong):
    with pytest.raises(FloatingPointError, match="the model has diverged"):
        sample_tokens(torch.zeros(3, 2), torch.zeros(5, 2), torch.full((5,), wrong), torch.Generator())


def test_a_nucleus_of_everything_drops_nothing():
    logits = 4 * torch.randn(2, 5_000, generator=torch.Generator().manual_seed(0))
    assert torch.equal(truncate(logits, None, 1.0), logits)


def test_there_is_one_row_of_uniforms_per_row():
    hidden, weight, bias = output_layer(7, rows=5)
    with pytest.raises(ValueError, match="expected uniforms for 5 rows"):
        inverse_cdf(hidden, weight, bias, torch.zeros(4, 1, dtype=torch.double))


def test_weights_are_exponentials_to_six_in_ten_million():
    # The compiled exponential is seen in the logits, which a draw overwrites.
    logits = torch.linspace(-86.9, 0, 64 * 2_000).view(-1, 64)
    got = logits.clone()
    rows = len(logits)
    largest, tokens = torch.zeros(rows), torch.empty(rows, 1, dtype=torch.long)
    draw(got.numpy(), largest.numpy(), np.float32(1), torch.zeros(rows, 1, dtype=torch.double).numpy(), tokens.numpy())
    np.testing.assert_allclose(got.double().numpy(), np.exp(logits.double().numpy()), rtol=6e-7)
