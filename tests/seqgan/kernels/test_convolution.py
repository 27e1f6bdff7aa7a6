from __future__ import annotations

import pytest
import torch

from seqgan.kernels import convolution
from seqgan.kernels.convolution import Filters, features_from_tables, max_over_time, reference_max_over_time

SHAPES = [
    pytest.param(Filters((1,), (1,), 1), 1, id="one number"),
    pytest.param(Filters((1, 2, 4), (4, 5, 2), 3), 5, id="small"),
    pytest.param(Filters((2, 5), (3, 17), 8), 5, id="as long as the sentence"),
    pytest.param(Filters((1, 3, 4, 8, 9, 15, 20), (10, 20, 20, 10, 10, 16, 16), 64), 20, id="near the paper's"),
]


def problem(filters, length, batch=33, vocab_size=50, seed=0):
    rng = torch.Generator().manual_seed(seed)
    tokens = torch.randint(vocab_size, (batch, length), generator=rng)
    embedding = torch.rand(vocab_size, filters.dim, generator=rng) * 2 - 1
    parameter = torch.randn(filters.numbers, generator=rng) * 0.3
    return tokens, embedding, parameter, torch.randn(len(filters), generator=rng) * 0.2


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(("filters", "length"), SHAPES)
def test_features_and_gradients_are_the_twins(filters, length, threads, torch_threads):
    torch_threads(threads)
    tokens, embedding, parameter, bias = problem(filters, length)
    leaves = [embedding[tokens].requires_grad_(), parameter.requires_grad_(), bias.requires_grad_()]
    features, expected = max_over_time(*leaves, filters), reference_max_over_time(*leaves, filters)
    torch.testing.assert_close(features, expected, atol=1e-5, rtol=1e-5)
    assert (features == 0).any() or len(filters) == 1
    slopes = torch.randn(features.shape, generator=torch.Generator().manual_seed(1))
    gradients = torch.autograd.grad((features * slopes).sum(), leaves)
    for one, other in zip(gradients, torch.autograd.grad((expected * slopes).sum(), leaves), strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(("filters", "length"), SHAPES)
def test_tables_give_the_same_features(filters, length, threads, torch_threads):
    torch_threads(threads)
    tokens, embedding, parameter, bias = problem(filters, length)
    features = features_from_tables(tokens, embedding, parameter, bias, filters)
    torch.testing.assert_close(
        features, reference_max_over_time(embedding[tokens], parameter, bias, filters), atol=1e-5, rtol=1e-5
    )


def test_neighbours_that_share_their_first_words_do_not_disturb_each_other():
    # Shared beginnings of every length, growing, shrinking, entire sentences twice: by a tiny vocabulary, in random
    # order and sorted.
    filters = Filters((1, 2, 3, 5), (4, 3, 5, 2), 4)
    tokens, embedding, parameter, bias = problem(filters, 5, batch=400, vocab_size=2)
    for rows in (tokens, tokens.unique(dim=0), tokens[tokens[:, 0].argsort()], tokens[:1].expand(9, -1)):
        torch.testing.assert_close(
            features_from_tables(rows, embedding, parameter, bias, filters),
            reference_max_over_time(embedding[rows], parameter, bias, filters),
            atol=1e-5,
            rtol=1e-5,
        )


@pytest.mark.parametrize("wrong", [-1, 50])
def test_words_outside_the_vocabulary_are_refused(wrong):
    filters = Filters((1, 2), (3, 3), 4)
    tokens, *others = problem(filters, 5)
    tokens[3, 2] = wrong
    with pytest.raises(IndexError, match="expected tokens from 0 to 49"):
        features_from_tables(tokens, *others, filters)


def test_branches_follow_one_another():
    filters = Filters((1, 3), (2, 4), 5)
    assert (len(filters), filters.numbers) == (6, 2 * 5 + 4 * 15)
    assert filters.branches() == [(1, slice(0, 2), slice(0, 10)), (3, slice(2, 6), slice(10, 70))]
    assert filters.offsets.tolist() == [0, 5, 10, 25, 40, 55, 70]


def test_sentences_shorter_than_a_filter_are_refused():
    filters = Filters((1, 5), (2, 2), 3)
    tokens, *others = problem(filters, 4)
    with pytest.raises(ValueError, match="expected sentences of at least 5 words, got 4"):
        features_from_tables(tokens, *others, filters)


def test_no_sentences():
    filters = Filters((1, 2), (3, 2), 4)
    tokens, embedding, parameter, bias = problem(filters, 5, batch=0)
    assert features_from_tables(tokens, embedding, parameter, bias, filters).shape == (0, 5)
    assert max_over_time(embedding[tokens], parameter, bias, filters).shape == (0, 5)


def test_tables_that_would_be_too_large_are_split(monkeypatch):
    filters = Filters((1, 3), (7, 5), 4)
    tokens, embedding, parameter, bias = problem(filters, 6)
    whole = features_from_tables(tokens, embedding, parameter, bias, filters)
    monkeypatch.setattr(convolution, "TABLE_NUMBERS", 50 * 3 * 2)
    torch.testing.assert_close(features_from_tables(tokens, embedding, parameter, bias, filters), whole)


@pytest.mark.parametrize("position", [0, 3, 5])
def test_nan_stays_nan(position):
    filters = Filters((1, 2), (3, 2), 4)
    tokens, embedding, parameter, bias = problem(filters, 6, vocab_size=6)
    tokens[:] = torch.arange(6)
    embedding[position] = torch.nan
    for features in (
        features_from_tables(tokens, embedding, parameter, bias, filters),
        max_over_time(embedding[tokens], parameter, bias, filters),
        reference_max_over_time(embedding[tokens], parameter, bias, filters),
    ):
        assert features.isnan().all()
