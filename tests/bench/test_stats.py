"""Intervals against scipy's own, and the edges."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from bench.stats import Interval, holm, mean_interval, paired_difference, rank_test, smallest_p


@pytest.mark.parametrize("level", [0.5, 0.95, 0.99])
@pytest.mark.parametrize("n", [2, 3, 10])
def test_mean_interval_is_scipys_t_interval(n, level):
    values = np.random.default_rng(n).normal(9.1, 0.1, n)
    interval = mean_interval(values, level)
    low, high = stats.t.interval(level, n - 1, loc=values.mean(), scale=stats.sem(values))
    assert (interval.low, interval.high) == pytest.approx((low, high), rel=1e-12)
    assert (interval.mean, interval.n) == (values.mean(), n)


def test_paired_difference_is_scipys_paired_t_test():
    rng = np.random.default_rng(0)
    before = dict(enumerate(rng.normal(9.1, 0.5, 6)))
    after = {seed: value - 0.2 + rng.normal(0, 0.05) for seed, value in before.items()}
    test = stats.ttest_rel(list(after.values()), list(before.values()))
    expected = test.confidence_interval(0.95)
    interval = paired_difference(before, after)
    assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high), rel=1e-12)
    assert paired_difference(before, after, 1 - test.pvalue).high == pytest.approx(0, abs=1e-9)


def test_pairing_goes_by_seed_and_not_by_position():
    assert paired_difference({1: 5.0, 2: 7.0, 3: 0.0}, {2: 8.0, 1: 6.0, 4: 9.0}) == Interval(1.0, 1.0, 1.0, 2)


def test_one_value_has_no_interval():
    assert mean_interval([9.1]) == Interval(9.1, None, None, 1)
    assert paired_difference({0: 1.0}, {0: 0.5}) == Interval(-0.5, None, None, 1)


def test_equal_values_have_an_interval_of_no_width():
    assert mean_interval([0.1] * 3) == Interval(0.1, 0.1, 0.1, 3)


@pytest.mark.parametrize("values", [[], [1.0, math.nan], [math.inf, 1.0]])
def test_values_without_a_mean_are_refused(values):
    with pytest.raises(ValueError, match="expected"):
        mean_interval(values)


@pytest.mark.parametrize("level", [0, 1, 95])
def test_level_is_a_probability(level):
    with pytest.raises(ValueError, match="level"):
        mean_interval([1.0, 2.0], level)


def test_seeds_that_never_meet_are_refused():
    with pytest.raises(ValueError, match="common seed"):
        paired_difference({0: 1.0}, {1: 1.0})


def test_coverage_is_what_it_says():
    rng = np.random.default_rng(1)
    intervals = [mean_interval(rng.normal(0, 1, 4), 0.9) for _ in range(2000)]
    hits = sum(interval.low <= 0 <= interval.high for interval in intervals)
    assert stats.binomtest(hits, 2000, 0.9).pvalue > 1e-3


def brute_force_p(a, b):
    """Over all ways to call len(a) of the values "a": how often is U as far from its middle as here?"""
    values = [*a, *b]
    middle = len(a) * len(b) / 2

    def distance(chosen):
        others = [place for place in range(len(values)) if place not in chosen]
        wins = sum(values[one] > values[other] for one in chosen for other in others)
        return abs(wins - middle)

    here = distance(range(len(a)))
    splits = list(itertools.combinations(range(len(values)), len(a)))
    return sum(distance(split) >= here for split in splits) / len(splits)


@pytest.mark.parametrize(("n", "m"), [(1, 1), (3, 4), (5, 5)])
def test_rank_test_counts_all_splits(n, m):
    rng = np.random.default_rng(n)
    a, b = rng.normal(0, 1, n).tolist(), rng.normal(0.8, 1, m).tolist()
    assert rank_test(a, b) == pytest.approx(brute_force_p(a, b), rel=1e-12)


@pytest.mark.parametrize(("n", "m"), [(1, 1), (4, 4), (5, 3)])
def test_the_smallest_p_is_that_of_samples_apart(n, m):
    assert rank_test(list(range(n)), list(range(100, 100 + m))) == pytest.approx(smallest_p(n, m), rel=1e-12)


def test_holm_is_stepwise_and_keeps_the_order():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])  # Holm's steps by hand
    assert holm([0.6, 0.9]) == [1.0, 1.0]
    assert holm([]) == []
