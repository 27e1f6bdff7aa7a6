from __future__ import annotations

import difflib

import numpy as np
import pytest

from bench.kernels import overlap
from bench.kernels.overlap import (
    multiset_jaccard,
    reference_multiset_jaccard,
    reference_shared_spans,
    shared_spans,
)

# (vocabulary, longest sequence, shortest sequence, share of negative tokens)
CORPORA = [
    pytest.param((2, 12, 0, 0.0), id="two words"),
    pytest.param((4, 9, 1, 0.0), id="some shorter than the order"),
    pytest.param((5, 10, 0, 0.2), id="out-of-vocabulary words"),
    pytest.param((30, 20, 20, 0.0), id="fixed length"),
    pytest.param((5000, 20, 5, 0.05), id="hardly any match"),
]


def corpus(rng, rows, shape, width=0):
    vocabulary, longest, shortest, negative = shape
    tokens = rng.integers(0, vocabulary, (rows, longest + width))
    tokens = np.where(rng.random(tokens.shape) < negative, -rng.integers(1, 4, tokens.shape), tokens)
    return tokens, rng.integers(shortest, longest + 1, rows)


def lists(tokens, lengths):
    return [row[:length].tolist() for row, length in zip(tokens, lengths, strict=True)]


def spans(one, two, longest=99):
    """The spans of one, in lists of its own lengths, and nothing after these."""
    found = shared_spans(*one, *two, longest)
    assert found.shape == one[0].shape
    assert not found[np.arange(found.shape[1]) >= one[1][:, None]].any()
    return lists(found, one[1])


@pytest.mark.parametrize("rows", [1, 7, 40])
@pytest.mark.parametrize("shape", CORPORA)
def test_the_others_are_looked_through_in_parts(monkeypatch, shape, rows):
    monkeypatch.setattr(overlap, "ROWS", rows)
    rng = np.random.default_rng(4)
    one, two = corpus(rng, 9, shape), corpus(rng, 40, shape)
    assert spans(one, two) == reference_shared_spans(lists(*one), lists(*two), 99)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("shape", CORPORA)
def test_both_are_their_twins(seed, shape):
    rng = np.random.default_rng(seed)
    one, two = corpus(rng, 17, shape), corpus(rng, 40, shape, width=3)
    for order in (1, 2, 4):
        expected = reference_multiset_jaccard(lists(*one), lists(*two), order)
        assert multiset_jaccard(*one, *two, order) == pytest.approx(expected, abs=1e-12)
        assert spans(one, two, order) == reference_shared_spans(lists(*one), lists(*two), order)


def test_ms_jaccard_by_hand():
    # Two sequences against one: words 1 and 2 occur 1/2 and 1/2 times per sequence, against 1 and 0.
    one, two = np.array([[1], [2]]), np.array([[1]])
    assert multiset_jaccard(one, np.array([1, 1]), two, np.array([1]), 1) == pytest.approx(0.5 / (1 + 0.5))


def test_ms_jaccard_of_equal_sets_is_one_and_of_strangers_zero():
    tokens, lengths = np.arange(12).reshape(2, 6), np.array([6, 4])
    assert multiset_jaccard(tokens, lengths, tokens[::-1], lengths[::-1], 4) == 1
    assert multiset_jaccard(tokens, lengths, tokens + 50, lengths, 4) == 0
    assert multiset_jaccard(tokens, lengths, -tokens - 1, lengths, 1) == 0


def test_ms_jaccard_is_symmetric_and_falls_with_repetition():
    rng = np.random.default_rng(0)
    real, made = corpus(rng, 200, (6, 8, 8, 0.0)), corpus(rng, 100, (6, 8, 8, 0.0))
    forward = multiset_jaccard(*made, *real, 3)
    assert multiset_jaccard(*real, *made, 3) == pytest.approx(forward)
    repeated = made[0][:1].repeat(100, 0), made[1]
    assert multiset_jaccard(*repeated, *real, 3) < forward / 3


def test_ms_jaccard_needs_both_sides():
    some, none = (np.ones((1, 2), int), np.array([2])), (np.ones((0, 2), int), np.zeros(0, int))
    with pytest.raises(ValueError, match="sequences on both sides, got 0 and 1"):
        multiset_jaccard(*none, *some, 2)


@pytest.mark.parametrize("shape", CORPORA)
def test_spans_are_the_longest_common_blocks_that_difflib_finds(shape):
    rng = np.random.default_rng(5)
    one, two = corpus(rng, 9, shape), corpus(rng, 12, shape)
    mine, others = lists(*one), lists(*two)
    others = [[("unknown", i) if word < 0 else word for i, word in enumerate(words)] for words in others]
    for words, found in zip(mine, spans(one, two), strict=True):
        matchers = [difflib.SequenceMatcher(None, words, other, autojunk=False) for other in others]
        longest = [matcher.find_longest_match(0, len(words), 0, len(matcher.b)).size for matcher in matchers]
        assert max(found, default=0) == max(longest)


def test_spans_by_hand():
    mine, others = (np.array([[1, 2, 1, 2, 9]]), np.array([5])), np.array([[3, 1, 2, 1]])
    assert spans(mine, (others, np.array([4]))) == [[3, 2, 2, 1, 0]]
    assert spans(mine, (others, np.array([4])), 2) == [[2, 2, 2, 1, 0]]
    assert spans(mine, (others, np.array([2]))) == [[1, 0, 1, 0, 0]]  # the other one ends after 3 1
    # A span does not go on from one sequence into the next, on either side.
    cut = np.array([[3, 1], [2, 1]]), np.array([2, 2])
    assert spans(mine, cut) == [[1, 2, 1, 1, 0]]
    assert spans((np.array([[3, 1], [2, 1]]), np.array([2, 2])), (others, np.array([4]))) == [[2, 1], [2, 1]]


def test_what_is_unknown_is_not_shared_with_itself():
    unknown = np.array([[-1, 2, 3]]), np.array([3])
    assert spans(unknown, unknown) == [[0, 2, 1]]


def test_spans_need_a_length_to_search_for():
    some = np.array([[1]]), np.array([1])
    with pytest.raises(ValueError, match="longest span >= 1, got 0"):
        shared_spans(*some, *some, 0)
