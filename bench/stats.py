"""Intervals over seeds and tests over runs: what a repetition could have given by chance."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

__all__ = ["Interval", "holm", "mean_interval", "paired_difference", "rank_test", "smallest_p"]


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean and the confidence interval around it, in the unit of the values that went in.

    Attributes:
        mean: The arithmetic mean.
        low: Lower end, or None where one value alone gives no interval.
        high: Upper end, or None likewise.
        n: How many values, that is seeds, the mean rests on.
    """

    mean: float
    low: float | None
    high: float | None
    n: int


def mean_interval(values: Iterable[float], level: float = 0.95) -> Interval:
    """The mean of one value a seed, and Student's t interval for it.

    Seeds are the unit of variation: sentences of one checkpoint share its luck, so they do not count as repetitions.

    Args:
        values: One finite number a seed, in any unit.
        level: Coverage of the interval, between 0 and 1.

    Returns:
        The interval in the unit of ``values``; no ends for one value, zero width for equal values.

    Raises:
        ValueError: for no values, values that are not finite, or a level outside (0, 1).

    References:
        Student (1908), "The probable error of a mean", Biometrika 6(1).

    Example:
        >>> interval = mean_interval([9.0, 9.1, 9.2])
        >>> round(interval.low, 3), round(interval.high, 3)
        (8.852, 9.348)
    """
    if not 0 < level < 1:
        raise ValueError(f"expected 0 < level < 1, got {level}")
    sample = np.asarray(list(values), dtype=float)
    n = sample.size
    if n == 0:
        raise ValueError("expected at least one value, got none")
    if not np.isfinite(sample).all():
        raise ValueError(f"expected finite values, got {sample.tolist()}")
    first = float(sample[0])
    if n == 1:
        return Interval(first, None, None, 1)
    if (sample == first).all():  # rounding in the mean would give a width where there is none
        return Interval(first, first, first, n)
    mean = float(sample.mean())
    half = float(stats.t.ppf((1 + level) / 2, n - 1) * sample.std(ddof=1) / np.sqrt(n))
    return Interval(mean, mean - half, mean + half, n)


def paired_difference(a: Mapping[int, float], b: Mapping[int, float], level: float = 0.95) -> Interval:
    """The interval of ``b - a``, subtracted seed by seed over the seeds that both have.

    What two runs of one seed share (data, initial weights, pre-training) cancels, so this is narrower than two
    separate intervals suggest. It excludes zero exactly when the two-sided paired t-test rejects at ``1 - level``.

    Args:
        a: Seed to value, the reference.
        b: Seed to value, in the unit of ``a``.
        level: Coverage of the interval, between 0 and 1.

    Returns:
        The interval of the mean difference, in the same unit; negative when ``b`` is the lower one.

    Raises:
        ValueError: when no seed is in both, or as :func:`mean_interval`.
    """
    common = sorted(a.keys() & b.keys())
    if not common:
        raise ValueError(f"expected a common seed, got {sorted(a)} and {sorted(b)}")
    return mean_interval((b[seed] - a[seed] for seed in common), level)


def rank_test(a: Sequence[float], b: Sequence[float]) -> float:
    """How likely two samples of one distribution differ in rank at least as much as these do.

    Args:
        a: One number a run.
        b: Likewise, in the same unit.

    Returns:
        The two-sided p of the exact Mann-Whitney U test, never below :func:`smallest_p`.

    References:
        Mann and Whitney (1947), "On a test of whether one of two random variables is stochastically larger than the
        other", Annals of Mathematical Statistics 18(1).
    """
    return float(stats.mannwhitneyu(a, b, alternative="two-sided", method="exact").pvalue)


def smallest_p(n: int, m: int) -> float:
    """The least p that :func:`rank_test` can give for samples of ``n`` and ``m``: all of one below all of the other."""
    return min(1.0, 2 / math.comb(n + m, n))


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values corrected for being several, in their order: below 0.05 all those that hold together at 5 %.

    References:
        Holm (1979), "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6(2).

    Example:
        >>> holm([0.04, 0.01])
        [0.04, 0.02]
    """
    corrected = [0.0] * len(p_values)
    least = 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=lambda place: p_values[place])):
        least = max(least, min(1.0, (len(p_values) - rank) * p_values[place]))
        corrected[place] = least
    return corrected
