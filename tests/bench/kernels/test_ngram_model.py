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


@pytest.mark.parametrize("strengths", [(), (3.0,), (10.0, 4.0, 1.0)], ids=len)
def test_the_mean_is_that_of_all_tokens_and_a_weight_is_as_many_copies(strengths):
    (train, read), test = corpus(0, 30), corpus(1, 12)
    model = NgramModel.fit(train, read, 5, 0.5, strengths)
    once, thrice = model.mean_nll(*test, (1.0, 3.0))
    assert once == pytest.approx(-model.token_log_prob(*test)[test[1]].mean(), rel=1e-12)
    copies = NgramModel.fit(np.tile(train, (3, 1)), np.tile(read, (3, 1)), 5, 0.5, strengths)
    assert thrice == pytest.approx(-copies.token_log_prob(*test)[test[1]].mean(), rel=1e-12)
    assert once != pytest.approx(thrice, abs=1e-4)
    assert model.mean_nll(*test) == [once]


@pytest.mark.parametrize("strengths", [(), (300.0,), (300.0, 300.0), (20.0, 20.0)], ids=str)
def test_falls_are_those_of_fitting_anew_without_each_sequence(strengths):
    (train, read), test = corpus(0, 60, vocab_size=40), corpus(1, 30, vocab_size=40)
    some = slice(10, 50)

    def fitted(*left_out):
        kept = np.delete(np.arange(60), left_out)
        return NgramModel.fit(train[kept], read[kept], 40, 0.5, strengths)

    found = fitted().nll_falls(*test, train[some], read[some])
    (whole,) = fitted().mean_nll(*test)
    expected = np.array([whole - fitted(row).mean_nll(*test)[0] for row in range(10, 50)])
    assert found.shape == (40,)
    assert np.corrcoef(found, expected)[0, 1] > 0.99
    assert found.std() == pytest.approx(expected.std(), rel=0.1)
    np.testing.assert_allclose(found, expected, atol=0.2 * np.abs(expected).max())


def test_a_sequence_that_has_nothing_in_common_with_the_text_still_takes_probability():
    tokens = np.array([[1, 1], [2, 3]])
    counted = np.array([[True, True], [False, False]])
    model = NgramModel.fit(tokens, counted, 4, 0.5, (3.0,))
    other, empty = model.nll_falls(np.array([[2, 2]]), np.ones((1, 2), bool), tokens, counted)
    assert other > 0  # with it the NLL is higher: without it, it would fall
    assert empty == 0
