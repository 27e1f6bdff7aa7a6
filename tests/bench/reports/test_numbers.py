import pandas as pd
import pytest

from bench.analysis.stats import mean_interval
from bench.reports.numbers import cell, estimate, few, seed_count


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


def line(metric="nll_test", mean=7.7, low=7.65, high=7.75, kind="quality"):
    """The part of a row of the leaderboard that its cell is made of."""
    return {"metric": metric, "mean": mean, "low": low, "high": high, "kind": kind}


@pytest.mark.parametrize(
    ("row", "text"),
    [
        (line(), "7.700 ± 0.050"),
        (line(low=float("nan"), high=float("nan")), "7.700"),
        (line("jsd_token", 0.01234, 0.0118, 0.0129), "0.0123 ± 0.0006"),
        (line("jsd", 0.69314567, 0.6931, 0.6932), "0.693146 ± 0.000050"),
        (line("kl_forward", -0.0001, -0.0002, 0.0), "0.000 ± 0.000"),
        (line("seconds", 12345.6, 12000.0, 12700.0, kind="cost"), "12,346 ± 350"),
        (line("seconds", 12.34, 12.0, 12.6, kind="cost"), "12.3 ± 0.3"),
        (line("seconds", 0.123, 0.1, 0.16, kind="cost"), "0.12 ± 0.03"),
    ],
)
def test_digits_and_half_the_interval(row, text):
    assert cell(row) == text
