"""Numbers of seeds against the power that they give, by scipy's distributions and by simulation."""

import math

import numpy as np
import pytest
from scipy import stats

from bench.analysis import power as power_of
from bench.analysis.power import detectable_difference, seeds_needed
from bench.analysis.stats import paired_test, seeds_of_sign_test


def differences_of_effect(effect):
    """Three differences whose mean is ``effect`` standard deviations."""
    return [effect - 1, effect, effect + 1]


def power(n, effect, comparisons):
    """The power with n seeds of the test that is taken for them."""
    level = 0.05 / comparisons
    if n < seeds_of_sign_test(comparisons):
        critical = stats.t.isf(level / 2, n - 1)
        return stats.nct.sf(critical, n - 1, effect * math.sqrt(n))
    losses = [k for k in range(n) if stats.binomtest(k, n, 0.5).pvalue <= level and k < n / 2]
    return stats.binom.cdf(max(losses), n, stats.norm.sf(effect)) if losses else 0.0


@pytest.mark.parametrize("comparisons", [1, 8])
@pytest.mark.parametrize("effect", [0.3, -0.9, 2.0, 5.0, 30.0])
def test_seeds_needed_is_the_first_number_with_the_power(effect, comparisons):
    n = seeds_needed(differences_of_effect(effect), comparisons)
    assert power(n, abs(effect), comparisons) >= 0.8 - 1e-9
    assert all(power(fewer, abs(effect), comparisons) < 0.8 for fewer in range(max(2, n - 15), n))


@pytest.mark.parametrize("comparisons", [1, 3, 20, 60])
@pytest.mark.parametrize("effect", [0.07, 0.11, 0.2, 0.45, 1.1])
def test_the_first_number_of_seeds_is_that_of_a_plain_search(effect, comparisons):
    level, wins = 0.05 / comparisons, stats.norm.cdf(effect)
    n = np.arange(seeds_of_sign_test(comparisons), 5000)
    losses = stats.binom.ppf(level / 2, n, 0.5)
    losses -= stats.binom.cdf(losses, n, 0.5) > level / 2
    enough = n[stats.binom.cdf(losses, n, 1 - wins) >= 0.8]
    expected = int(enough[0]) if len(enough) else None
    found = power_of._seeds_of_signs(float(wins), int(n[0]), level, 0.8)
    assert found == expected if expected else found is None or found >= 5000


@pytest.mark.parametrize(("effect", "comparisons"), [(1.0, 1), (2.5, 6), (0.8, 6)])
def test_seeds_needed_give_the_power_promised(effect, comparisons):
    n = seeds_needed(differences_of_effect(effect), comparisons)
    trials = np.random.default_rng(n).normal(effect, 1, (2000, n))
    found = [paired_test(trial.tolist(), comparisons).p <= 0.05 / comparisons for trial in trials]
    assert 0.77 < np.mean(found) < 0.95


@pytest.mark.parametrize(("effect", "comparisons", "there", "expected"), [(1.69, 1, 6, 9), (1.85, 8, 9, 13)])
def test_seeds_that_are_there_are_not_asked_for(effect, comparisons, there, expected):
    differences = differences_of_effect(effect)
    assert seeds_needed(differences, comparisons) <= there  # as many as the t test would need
    n = seeds_needed(differences, comparisons, least=there + 1)
    assert n == expected
    assert power(n, effect, comparisons) >= 0.8
    assert all(power(fewer, effect, comparisons) < 0.8 for fewer in range(there + 1, n))
    assert seeds_needed([1.0, 1.0], comparisons, least=50) == 50


def test_seeds_needed_knows_when_to_give_up():
    assert seeds_needed([0.5]) is None
    assert seeds_needed([1.0, -1.0]) is None
    assert seeds_needed(differences_of_effect(0.001)) is None
    assert seeds_needed([0.2, 0.2]) == 6  # then the sign test can reject
    assert seeds_needed([0.2, 0.2], 8) == 9
    with pytest.raises(ValueError, match="alpha"):
        seeds_needed([0.1, 0.2], alpha=5)


@pytest.mark.parametrize("comparisons", [1, 8])
@pytest.mark.parametrize("n", [2, 3, 5, 6, 9, 12, 30])
def test_the_detectable_difference_is_where_the_power_is_enough(n, comparisons):
    sample = np.random.default_rng(n).normal(0.1, 0.3, n)
    effect = detectable_difference(sample.tolist(), comparisons) / sample.std(ddof=1)
    assert power(n, effect, comparisons) == pytest.approx(0.8, abs=1e-6)


@pytest.mark.parametrize("comparisons", [8_000, 1_000_000])
def test_a_large_family_has_a_detectable_difference_too(comparisons):
    few, more = (detectable_difference(sample, comparisons) for sample in ([0.1, 0.5], [0.1, 0.5, 0.3]))
    assert few > more > 1


def test_without_scatter_there_is_no_detectable_difference():
    assert detectable_difference([0.5]) is None
    assert detectable_difference([0.5, 0.5, 0.5]) is None
    with pytest.raises(ValueError, match="alpha"):
        detectable_difference([0.1, 0.2], alpha=5)
