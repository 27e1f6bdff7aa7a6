from __future__ import annotations

import itertools

import numpy as np
import pytest

from bench.kernels.ngram_model import NgramModel, reference_token_log_prob


def corpus(seed, rows, vocab_size=5, longest=7, shortest=0):
    rng = np.random.default_rng(seed)
    lengths = rng.integers(shortest, longest + 1, rows)
    return rng.integers(0, vocab_size, (rows, longest)), np.arange(longest) < lengths[:, None]


def lists(tokens, counted):
    return [row[keep].tolist() for row, keep in zip(tokens, counted, strict=True)]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("strengths", [(), (3.0,), (2.0, 0.5), (10.0, 4.0, 1.0)], ids=len)
def test_it_is_its_twin(seed, strengths):
    train, test = corpus(seed, 30), corpus(seed + 10, 12)
    log_prob = NgramModel.fit(*train, 5, 0.5, strengths).token_log_prob(*test)
    expected = reference_token_log_prob(lists(*train), lists(*test), 5, 0.5, strengths)
    for row, keep, wanted in zip(log_prob, test[1], expected, strict=True):
        np.testing.assert_allclose(row[keep], wanted, rtol=1e-12)
        assert not row[~keep].any()


def test_the_probabilities_of_all_sequences_sum_to_one():
    every = np.array(list(itertools.product(range(4), repeat=3)))
    model = NgramModel.fit(*corpus(0, 20, vocab_size=4), 4, 0.1, (2.0, 1.0))
    assert np.exp(model.token_log_prob(every, np.ones_like(every, bool)).sum(-1)).sum() == pytest.approx(1)


def test_by_hand():
    # One sequence "0 1 0": p1 = (c + 1) / (3 + 2); 0 begins it, 1 follows 0 once, 0 follows 1 once.
    train = np.array([[0, 1, 0]])
    model = NgramModel.fit(train, np.ones_like(train, bool), 2, 1.0, (2.0,))
    p0, p1 = 3 / 5, 2 / 5
    expected = [(1 + 2 * p0) / 3, (1 + 2 * p1) / 3, (0 + 2 * p1) / (0 + 1 + 2)]
    found = np.exp(model.token_log_prob(np.array([[0, 1, 1]]), np.ones((1, 3), bool)))[0]
    assert found == pytest.approx(expected)


def test_without_data_all_words_are_alike():
    model = NgramModel.fit(np.zeros((0, 3), int), np.zeros((0, 3), bool), 7, 0.5, (300.0, 300.0))
    found = model.token_log_prob(np.array([[1, 2, 3]]), np.ones((1, 3), bool))
    assert found == pytest.approx(-np.log(7))


def test_what_is_not_counted_is_not_read():
    tokens, counted = corpus(0, 30)
    other = np.where(counted, tokens, -99)
    expected = NgramModel.fit(tokens, counted, 5, 0.5, (3.0,)).token_log_prob(tokens, counted)
    np.testing.assert_array_equal(
        NgramModel.fit(other, counted, 5, 0.5, (3.0,)).token_log_prob(other, counted), expected
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"add": 0.0}, "above 0"),
        ({"strengths": (1.0, -1.0)}, "above 0"),
        ({"vocab_size": 3_000_000, "strengths": (1.0, 1.0)}, "64 bits"),
        ({"counted": np.ones((2, 2), bool)}, "one shape"),
    ],
)
def test_refusals(change, message):
    arguments = {"tokens": np.zeros((2, 3), int), "counted": np.ones((2, 3), bool), "vocab_size": 4, "add": 0.5}
    with pytest.raises(ValueError, match=message):
        NgramModel.fit(**{**arguments, "strengths": (1.0,), **change})
