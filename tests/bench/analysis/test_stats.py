"""Intervals against scipy's, and the edge cases."""

import itertools
import math

import numpy as np
import pytest
from scipy import special, stats

from bench.analysis.stats import (
    Interval,
    bootstrap_interval,
    bootstrap_intervals,
    collapses,
    holm,
    interquartile_mean,
    mean_interval,
    mean_intervals,
    paired_difference,
    paired_test,
    probability_of_improvement,
    rank_test,
    seeds_of_sign_test,
    sign_test,
    smallest_p,
    smallest_sign_p,
)


@pytest.mark.parametrize("level", [0.5, 0.95, 0.99])
@pytest.mark.parametrize("n", [2, 3, 10])
def test_mean_interval_is_scipys_t_interval(n, level):
    values = np.random.default_rng(n).normal(9.1, 0.1, n)
    interval = mean_interval(values, level)
    low, high = stats.t.interval(level, n - 1, loc=values.mean(), scale=stats.sem(values))
    assert (interval.low, interval.high) == pytest.approx((low, high), rel=1e-12)
    assert (interval.mean, interval.n) == (values.mean(), n)


@pytest.mark.parametrize("n", [1, 2, 5, 6, 7, 8, 16, 130])
def test_many_intervals_at_once_have_the_bits_of_one_after_the_other(n, monkeypatch):
    monkeypatch.setattr("bench.analysis.stats.AT_ONCE", 20_000)  # in several parts
    samples = np.random.default_rng(n).normal(9, 1, (40, n))
    samples[1], samples[2] = samples[1, 0], samples[2].round()
    assert mean_intervals(samples) == [mean_interval(sample) for sample in samples]
    assert mean_intervals(samples.T.copy().T, 0.5) == [mean_interval(sample, 0.5) for sample in samples]
    assert bootstrap_intervals(samples, 0.9) == [bootstrap_interval(sample, level=0.9) for sample in samples]


@pytest.mark.parametrize("n", [2, 5, 9, 40])
def test_mean_and_deviation_have_the_bits_of_numpys(n):
    for sample in np.random.default_rng(n).normal(1, 1, (50, n)):
        half = float(special.stdtrit(n - 1, 0.975) * sample.std(ddof=1) / np.sqrt(n))
        interval = mean_interval(sample)
        assert (interval.mean, interval.low) == (sample.mean(), sample.mean() - half)


@pytest.mark.parametrize("n", [5, 6, 7, 12])
def test_the_bootstrap_takes_the_quantiles_of_all_resamples_in_any_order(n):
    sample = np.sort(np.random.default_rng(n).normal(9, 1, n))
    every = itertools.product(range(n), repeat=n) if n <= 7 else np.random.default_rng(0).choice(n, (4000, n))
    resamples = np.sort(sample[np.array(list(every))])
    outcomes = np.sort(resamples[:, n // 4 : n - n // 4].mean(1))
    last, interval = len(outcomes) - 1, bootstrap_interval(sample)
    assert interval.low == outcomes[math.floor(last * 0.025)]
    assert interval.high == outcomes[math.ceil(last * (1.95 / 2))]


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


@pytest.mark.parametrize("n", [1, 2, 5, 9, 12, 40])
def test_sign_test_is_scipys_exact_binomial_test(n):
    differences = np.random.default_rng(n).normal(0.5, 1, n)
    exact = stats.binomtest(int((differences > 0).sum()), n, 0.5)
    assert sign_test(differences) == pytest.approx(exact.pvalue, rel=1e-12)


def test_sign_test_is_that_of_statsmodels_and_leaves_out_ties():
    descriptive = pytest.importorskip("statsmodels.stats.descriptivestats")
    differences = np.random.default_rng(0).integers(-3, 6, 30).astype(float)
    assert 0 in differences
    assert sign_test(differences) == pytest.approx(descriptive.sign_test(differences)[1], rel=1e-12)
    assert sign_test(differences) == sign_test(differences[differences != 0])


def test_sign_test_without_signs():
    assert sign_test([0.0] * 4) == 1.0
    assert sign_test([1.0, -1.0]) == 1.0
    with pytest.raises(ValueError, match="at least one"):
        sign_test([])


@pytest.mark.parametrize("n", [1, 2, 5, 20])
def test_the_smallest_sign_p_is_that_of_seeds_agreed(n):
    assert sign_test([0.1 + seed for seed in range(n)]) == smallest_sign_p(n) == min(1, 2 / 2**n)


@pytest.mark.parametrize(("comparisons", "least"), [(1, 6), (2, 7), (6, 8), (8, 9), (12, 9), (13, 10), (200, 13)])
def test_the_sign_test_decides_as_soon_as_it_can_reject_after_correction(comparisons, least):
    assert seeds_of_sign_test(comparisons) == least
    differences = np.random.default_rng(0).normal(0.7, 1, least).tolist()
    test = paired_test(differences, comparisons)
    assert (test.name, test.p) == ("sign", sign_test(differences))
    assert comparisons * smallest_sign_p(least) <= 0.05 < comparisons * smallest_sign_p(least - 1)
    assert paired_test(differences[1:], comparisons).name == "paired t"


def test_the_grade_depends_on_nothing_else():
    rng = np.random.default_rng(1)
    for draw in (rng.normal, rng.lognormal, rng.standard_cauchy):
        assert {paired_test(draw(size=8).tolist(), 7).name for _ in range(20)} == {"paired t"}
        assert {paired_test(draw(size=9).tolist(), 7).name for _ in range(20)} == {"sign"}
    assert paired_test([0.1] * 9, 7).name == paired_test([0.0] * 9, 7).name == "sign"


@pytest.mark.parametrize("n", [2, 5, 8])
def test_paired_test_of_few_seeds_is_scipys_t_test(n):
    rng = np.random.default_rng(n)
    model, reference = rng.normal(0.5, 1, (2, n))
    test = paired_test((model - reference).tolist(), 10)
    assert test.name == "paired t"
    assert test.p == pytest.approx(stats.ttest_rel(model, reference).pvalue, rel=1e-9)
    assert test.smallest_p == pytest.approx(2 / 2**n)


def test_paired_test_is_the_t_test_of_statsmodels():
    weightstats = pytest.importorskip("statsmodels.stats.weightstats")
    differences = np.random.default_rng(2).normal(0.5, 1, 5)
    _, p, _ = weightstats.DescrStatsW(differences).ttest_mean(0)
    assert paired_test(differences.tolist()).p == pytest.approx(p, rel=1e-9)


def test_holm_is_that_of_statsmodels():
    multitest = pytest.importorskip("statsmodels.stats.multitest")
    for seed in range(20):
        p = (np.random.default_rng(seed).uniform(size=7) ** 3).tolist()
        assert holm(p) == pytest.approx(multitest.multipletests(p, method="holm")[1], rel=1e-12)


def test_paired_test_of_differences_without_spread():
    assert paired_test([0.0] * 3).p == 1.0
    assert paired_test([0.0] * 12).p == 1.0
    for n in (3, 5, 12):  # never smaller than what agreement by chance has
        assert paired_test([0.1] * n).p == smallest_sign_p(n)
        assert paired_test([0.1 + 1e-12 * seed for seed in range(n)]).p == smallest_sign_p(n)
    assert paired_test([0.1]).p is None
    with pytest.raises(ValueError, match="finite"):
        paired_test([0.1, math.inf])


def test_a_seed_collapsed_if_it_is_far_worse_than_its_fellows():
    losses = [8.0, 8.1, 7.9, 8.2, 11.5, 8.0]
    assert collapses(losses, sign=-1) == [4]
    assert collapses(losses, sign=1) == []  # far better is no collapse
    assert collapses([-value for value in losses], sign=1) == [4]
    assert collapses([8.0, 8.1, 7.9, 8.2, 8.3, 8.0], sign=-1) == []
    assert collapses([8.0, 8.1, 7.9, 11.5], sign=-1) == []  # four cannot tell
    assert collapses([8.0] * 5 + [8.1], sign=-1) == [5]
    assert collapses([8.0] * 5 + [8.1], sign=-1, least=0.2) == []
    assert collapses([1.0] * 6 + [0.1] * 4, sign=1) == [6, 7, 8, 9]


@pytest.mark.parametrize(("n", "chance"), [(5, 0.038), (8, 0.01), (12, 0.004)])
def test_collapses_by_chance_are_as_rare_as_the_docstring_says(n, chance):
    found = [bool(collapses(sample, 1)) for sample in np.random.default_rng(n).normal(size=(20_000, n))]
    assert np.mean(found) == pytest.approx(chance, abs=0.004)


def test_probability_of_improvement_halves_ties():
    assert probability_of_improvement([1.0, 2.0, -1.0]) == pytest.approx(2 / 3)
    assert probability_of_improvement([0.0, -0.0, 3.0, -1.0]) == 0.5
