"""Common subsequences compared with plain loops and with nltk."""

from __future__ import annotations

import numpy as np
import pytest
from nltk.metrics import edit_distance

from bench.kernels import subsequences
from bench.kernels.subsequences import (
    BITS,
    aligned,
    nearest,
    nearest_rows,
    reference_aligned,
    reference_nearest,
    reference_nearest_rows,
)


def drawn(n, width, seed, types=9, longest=None):
    """Sequences of any lengths up to the width, with some words that equal nothing."""
    rng = np.random.default_rng(seed)
    tokens = rng.integers(-1, types, (n, width))
    return tokens, rng.integers(0, (longest or width) + 1, n)


def spoken(tokens, lengths):
    return [row[:length].tolist() for row, length in zip(tokens, lengths, strict=True)]


@pytest.mark.parametrize("widths", [(1, 1), (12, 20), (BITS, BITS + 1), (BITS + 1, 30), (3 * BITS, 150)])
@pytest.mark.parametrize("types", [2, 9, 500])
@pytest.mark.parametrize("rows", [1, 7, 1000])
def test_the_nearest_is_that_of_plain_loops(monkeypatch, widths, types, rows):
    monkeypatch.setattr(subsequences, "PAIRS", rows)
    monkeypatch.setattr(subsequences, "FIRST", 1 + rows // 4)
    monkeypatch.setattr(subsequences, "CELLS", 40 * rows)
    text, others = drawn(12, widths[0], 0, types), drawn(25, widths[1], 1, types)
    assert nearest(*text, *others).tolist() == reference_nearest(spoken(*text), spoken(*others))


def test_a_common_subsequence_is_an_edit_distance_without_substitutions():
    """Where a substitution costs as much as leaving out and putting in, the distance is len + len - 2 LCS."""
    text, others = drawn(8, 20, 2, 4), drawn(15, 30, 3, 4)
    for tokens in (text[0], others[0]):
        tokens[tokens < 0] = 0
    expected = [
        max((len(one) + len(two) - edit_distance(one, two, substitution_cost=2)) / 2 / max(len(one), len(two), 1)
            for two in spoken(*others))
        for one in spoken(*text)
    ]  # fmt: skip
    assert nearest(*text, *others) == pytest.approx(expected)


def test_changed_and_swapped_words():
    train = np.arange(40).reshape(2, 20)
    text = np.repeat(train[:1], 4, axis=0)
    text[1, ::4] += 50
    text[2] = text[2].reshape(-1, 2)[:, ::-1].reshape(-1)
    text[3] = text[3, ::-1]
    whole = np.full(4, 20), train, np.full(2, 20)
    assert nearest(text, *whole).tolist() == [1, 0.75, 0.5, 0.05]


def test_neither_a_short_nor_a_long_sequence_is_near_because_of_its_length():
    short, long = np.arange(2)[None], np.arange(40)[None]
    text, lengths = np.arange(10)[None], np.array([10])
    assert nearest(text, lengths, short, np.array([2])).tolist() == [0.2]
    assert nearest(text, lengths, long, np.array([40])).tolist() == [0.25]


def test_nothing_is_near_to_nothing():
    text, empty = np.zeros((2, 3), np.int64), np.zeros((0, 3), np.int64)
    assert nearest(text, np.array([0, 3]), text, np.array([0, 0])).tolist() == [0, 0]
    assert nearest(text, np.array([0, 3]), empty, np.zeros(0, np.int64)).tolist() == [0, 0]
    assert nearest(np.full((1, 3), -1), np.array([3]), np.full((1, 3), -1), np.array([3])).tolist() == [0]


def test_wrong_lengths_are_refused():
    text = np.zeros((2, 3), np.int64)
    with pytest.raises(ValueError, match="length"):
        nearest(text, np.array([0, 4]), text, np.array([0, 0]))


@pytest.mark.parametrize("widths", [(1, 1), (12, 20), (BITS + 1, 30)])
@pytest.mark.parametrize("types", [2, 9, 500])
@pytest.mark.parametrize("rows", [1, 7, 1000])
def test_the_nearest_row_is_the_first_of_the_most_similar(monkeypatch, widths, types, rows):
    monkeypatch.setattr(subsequences, "PAIRS", rows)
    monkeypatch.setattr(subsequences, "FIRST", 1 + rows // 4)
    monkeypatch.setattr(subsequences, "CELLS", 40 * rows)
    text, others = drawn(12, widths[0], 4, types), drawn(25, widths[1], 5, types)
    similar, found = nearest_rows(*text, *others)
    assert similar.tolist() == nearest(*text, *others).tolist()
    assert found.tolist() == reference_nearest_rows(spoken(*text), spoken(*others))


def test_equal_rows_count_once_and_the_first_wins():
    train = np.array([[9, 9, 9], [1, 2, 3], [1, 2, 4], [1, 2, 3]])
    text, lengths = np.array([[1, 2, 3], [1, 2, 5], [7, 7, 7]]), np.full(3, 3)
    similar, found = nearest_rows(text, lengths, train, np.full(4, 3))
    assert similar.tolist() == [1, pytest.approx(2 / 3), 0]
    assert found.tolist() == [1, 1, -1]


@pytest.mark.parametrize("types", [1, 2, 4])
def test_an_alignment_has_the_most_words_in_the_fewest_pieces(types):
    rng = np.random.default_rng(types)
    for _ in range(300):
        one, two = (rng.integers(-1, types, rng.integers(0, 7)) for _ in range(2))
        found = aligned(one, two)
        assert (one[found.mine] == two[found.theirs]).all()
        assert (one[found.mine] >= 0).all()
        assert (np.diff(found.mine) > 0).all()
        assert (np.diff(found.theirs) > 0).all()
        ends = (np.diff(found.mine) != 1) | (np.diff(found.theirs) != 1)
        pieces = np.split(found.mine, np.flatnonzero(ends) + 1) if len(found.mine) else []
        assert (len(found.mine), len(pieces)) == reference_aligned(one.tolist(), two.tolist())


def test_an_alignment_prefers_words_that_follow_each_other():
    found = aligned(np.array([1, 2, 3]), np.array([1, 9, 1, 2, 9, 2, 3]))
    assert found.mine.tolist() == [0, 1, 2]
    assert found.theirs.tolist() in ([0, 5, 6], [2, 3, 6], [2, 5, 6])  # two pieces, whichever
    assert aligned(np.array([5, 1, 2, 3]), np.array([1, 7, 1, 2, 3])).theirs.tolist() == [2, 3, 4]
