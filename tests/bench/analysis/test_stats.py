"""Intervals against scipy's, and the edge cases."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from bench.analysis.stats import (
    Interval,
    bootstrap_interval,
    holm,
    interquartile_mean,
    mean_interval,
    paired_difference,
    paired_test,
    probability_of_improvement,
    rank_test,
    seeds_needed,
    sign_flip_test,
    smallest_p,
    smallest_sign_flip_p,
)


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
    """Over all ways to call len(a) of the values "a": how often is U as far from its mean as here?"""
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


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 7, 8, 21])
def test_interquartile_mean_is_scipys_trimmed_mean(n):
    values = np.random.default_rng(n).lognormal(size=n)
    assert interquartile_mean(values) == pytest.approx(stats.trim_mean(values, 0.25), rel=1e-12)


def test_interquartile_mean_ignores_one_wild_run():
    assert interquartile_mean([1.0, 2.0, 3.0, 1e9]) == 2.5


@pytest.mark.parametrize("statistic", [interquartile_mean, np.mean])
def test_bootstrap_of_many_runs_is_scipys_percentile_bootstrap(statistic):
    values = np.random.default_rng(0).gamma(2, size=30)
    many = stats.bootstrap(
        (values,), lambda x, axis: np.apply_along_axis(statistic, axis, x), n_resamples=4000, method="percentile",
        random_state=1,
    )  # fmt: skip
    interval = bootstrap_interval(values, statistic)
    assert interval.mean == pytest.approx(statistic(values))
    noise = 0.3 * many.standard_error  # a 2.5 % quantile of 4000 is known to about 0.04 standard errors
    assert (interval.low, interval.high) == pytest.approx(many.confidence_interval, abs=noise)


@pytest.mark.parametrize("level", [0.5, 0.9, 0.95])
def test_bootstrap_of_few_runs_takes_every_resample(level):
    values = [0.3, -1.0, 2.0, 0.1]
    means = sorted(sum(resample) / 4 for resample in itertools.product(values, repeat=4))
    outside = (1 - level) / 2 * (len(means) - 1)
    interval = bootstrap_interval(values, np.mean, level)
    assert interval.low == pytest.approx(means[math.floor(outside)])
    assert interval.high == pytest.approx(means[-1 - math.floor(outside)])


@pytest.mark.parametrize("n", [3, 5, 6, 20])
def test_bootstrap_gives_the_same_bits_in_any_order(n):
    rng = np.random.default_rng(n)
    values = rng.normal(size=n)
    assert bootstrap_interval(rng.permutation(values)) == bootstrap_interval(values)


def test_bootstrap_edges():
    assert bootstrap_interval([2.0]) == Interval(2.0, None, None, 1)
    assert bootstrap_interval([2.0] * 7) == Interval(2.0, 2.0, 2.0, 7)
    with pytest.raises(ValueError, match="at least one"):
        bootstrap_interval([])
    with pytest.raises(ValueError, match="level"):
        bootstrap_interval([1.0, 2.0], level=95)


@pytest.mark.parametrize(("n", "coverage"), [(3, 0.76), (5, 0.90)])
def test_bootstrap_of_few_runs_is_as_narrow_as_its_docstring_says(n, coverage):
    samples = np.random.default_rng(n).normal(size=(400, n))
    hits = sum(interval.low <= 0 <= interval.high for interval in map(bootstrap_interval, samples))
    assert stats.binomtest(hits, len(samples), coverage).pvalue > 1e-2


@pytest.mark.parametrize("n", [2, 3, 5, 9, 12])
def test_sign_flip_is_scipys_exact_permutation_test(n):
    differences = np.random.default_rng(n).normal(0.5, 1, n)
    exact = stats.permutation_test((differences,), np.mean, permutation_type="samples", n_resamples=np.inf)
    assert sign_flip_test(differences) == pytest.approx(exact.pvalue, rel=1e-12)


def test_sign_flip_counts_ties_that_rounding_would_part():
    assert sign_flip_test([0.1, 0.2, -0.3]) == 1.0  # 0.1 + 0.2 - 0.3 is not zero in binary
    integers = [1, 2, 3, 5, 8, -6]
    sums = [sum(s * d for s, d in zip(signs, integers, strict=True)) for signs in itertools.product((1, -1), repeat=6)]
    expected = sum(abs(total) >= abs(sum(integers)) for total in sums) / 64
    assert sign_flip_test([value / 10 for value in integers]) == expected


@pytest.mark.parametrize("n", [1, 2, 5, 20])
def test_the_smallest_sign_flip_p_is_that_of_seeds_agreed(n):
    assert sign_flip_test([0.1 + seed for seed in range(n)]) == smallest_sign_flip_p(n) == min(1, 2 / 2**n)


def test_sign_flip_refuses_what_it_cannot_count():
    with pytest.raises(ValueError, match="at most 20"):
        sign_flip_test([1.0] * 21)
    with pytest.raises(ValueError, match="at least one"):
        sign_flip_test([])
    assert sign_flip_test([0.0] * 4) == 1.0


@pytest.mark.parametrize("n", [2, 5, 8, 30])
def test_paired_test_of_few_or_many_seeds_is_scipys_t_test(n):
    rng = np.random.default_rng(n)
    model, reference = rng.normal(0.5, 1, (2, n))
    test = paired_test((model - reference).tolist())
    assert test.name == "paired t"
    assert test.p == pytest.approx(stats.ttest_rel(model, reference).pvalue, rel=1e-9)
    assert test.smallest_p == pytest.approx(2 / 2**n)


@pytest.mark.parametrize(("comparisons", "least"), [(1, 9), (6, 12), (10, 12), (11, 13)])
def test_paired_test_is_exact_as_soon_as_that_can_reject(comparisons, least):
    differences = np.random.default_rng(0).normal(0.7, 1, least).tolist()
    test = paired_test(differences, comparisons)
    assert (test.name, test.p) == ("sign-flip", sign_flip_test(differences))
    assert 10 * test.smallest_p <= 0.05 / comparisons
    assert paired_test(differences[1:], comparisons).name == "paired t"


def test_paired_test_of_differences_without_spread():
    assert paired_test([0.0] * 3).p == 1.0
    assert paired_test([0.0] * 12).p == 1.0
    assert paired_test([0.1] * 3).p == smallest_sign_flip_p(3)
    assert paired_test([0.1] * 5).p == 0.0
    assert paired_test([-0.1] * 12).p == smallest_sign_flip_p(12)
    assert paired_test([0.1]).p is None
    with pytest.raises(ValueError, match="finite"):
        paired_test([0.1, math.inf])


def test_probability_of_improvement_halves_ties():
    assert probability_of_improvement([1.0, 2.0, -1.0]) == pytest.approx(2 / 3)
    assert probability_of_improvement([0.0, -0.0, 3.0, -1.0]) == 0.5


def differences_of_effect(effect):
    """Three differences whose mean is ``effect`` standard deviations."""
    return [effect - 1, effect, effect + 1]


@pytest.mark.parametrize("alpha", [0.05, 0.005])
@pytest.mark.parametrize("effect", [0.02, 0.3, -0.9, 2.0, 30.0])
def test_seeds_needed_is_the_first_number_with_the_power(effect, alpha):
    def power(n):
        critical = stats.t.isf(alpha / 2, n - 1)
        return stats.nct.sf(critical, n - 1, abs(effect) * math.sqrt(n))

    n = seeds_needed(differences_of_effect(effect), alpha)
    if n is None:
        assert power(10_000) < 0.8
    else:
        assert power(n) >= 0.8 - 1e-9
        assert n == 2 or power(n - 1) < 0.8


@pytest.mark.parametrize(("effect", "alpha"), [(1.0, 0.05), (0.5, 0.05), (0.8, 0.05 / 6)])
def test_seeds_needed_give_the_power_promised(effect, alpha):
    n = seeds_needed(differences_of_effect(effect), alpha)
    trials = np.random.default_rng(n).normal(effect, 1, (4000, n))
    found = stats.ttest_1samp(trials, 0, axis=1).pvalue <= alpha
    assert found.mean() == pytest.approx(0.8, abs=0.04)


def test_seeds_needed_knows_when_to_give_up():
    assert seeds_needed([0.5], 0.05) is None
    assert seeds_needed([1.0, -1.0], 0.05) is None
    assert seeds_needed(differences_of_effect(0.001), 0.05) is None
    assert seeds_needed([0.2, 0.2], 0.05) == 2
    with pytest.raises(ValueError, match="alpha"):
        seeds_needed([0.1, 0.2], 5)
