"""The training sequence nearest to a sample, beside the metric that averages over samples."""

import numpy as np

from bench.kernels.subsequences import reference_nearest
from bench.metrics.nearest import Common, nearest
from bench.metrics.sequences import Tokens


def tokens(rows, unknown=None):
    ids = np.zeros((len(rows), max(map(len, rows))), dtype=np.int64)
    for row, words in zip(ids, rows, strict=True):
        row[: len(words)] = words
    return Tokens(ids, np.array([*map(len, rows)]), unknown)


def test_runs_are_what_follows_each_other_in_both():
    others = tokens([[9, 9], [1, 2, 7, 3, 4, 5]])
    (found,) = nearest(tokens([[1, 2, 3, 4, 8, 5]]), others)
    assert found == Common(1, ((0, 2), (2, 4), (5, 6)), ((0, 2), (3, 5), (5, 6)))
    assert (found.shared, found.longest) == (5, 2)


def test_what_is_unknown_is_shared_with_nobody():
    assert nearest(tokens([[0, 0]], unknown=0), tokens([[0, 0]], unknown=0)) == [None]
    (found,) = nearest(tokens([[0, 5, 0]], unknown=0), tokens([[0, 5, 0]], unknown=0))
    assert found == Common(0, ((1, 2),), ((1, 2),))


def test_it_is_the_one_that_copy_nearest_finds():
    rng = np.random.default_rng(0)
    rows, others = ([rng.integers(0, 6, rng.integers(1, 9)).tolist() for _ in range(n)] for n in (30, 50))
    expected = reference_nearest(rows, others)
    for words, found, similarity in zip(rows, nearest(tokens(rows), tokens(others)), expected, strict=True):
        other = others[found.row]
        assert found.shared / max(len(words), len(other)) == similarity
        for (begin, end), (start, stop) in zip(found.mine, found.theirs, strict=True):
            assert words[begin:end] == other[start:stop]
