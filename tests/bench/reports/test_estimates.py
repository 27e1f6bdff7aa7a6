import pandas as pd

from bench.reports.estimates import estimate, few, seed_count
from bench.stats import mean_interval


def test_an_estimate_is_the_mean_and_half_the_interval():
    values = pd.Series([9.0, 9.1, 9.4])
    interval = mean_interval(values)
    assert estimate(values, 3) == f"{interval.mean:.3f} ± {interval.high - interval.mean:.3f}"
    assert estimate(values, 5, 1) == f"{interval.mean:.1f} ± {interval.high - interval.mean:.1f} (n=3)"
    assert estimate(values, 3, sign="+").startswith("+9.167")


def test_what_one_value_none_and_minus_zero_look_like():
    assert estimate(pd.Series([9.0]), 1) == "9.000"
    assert estimate(pd.Series([], dtype=float), 3) == "n/a"
    assert estimate(pd.Series([-1e-9]), 1) == "0.000"


def test_few_seeds_are_called_few():
    assert [seed_count(n) for n in (1, 2, 4, 5)] == ["1", "2 (< 5)", "4 (< 5)", "5"]
    assert [few(n) for n in (1, 2, 4, 5)] == [False, True, True, False]
