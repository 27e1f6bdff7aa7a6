"""How many seeds would show an effect."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import special

from bench.analysis.stats import finite, seeds_of_sign_test

__all__ = ["detectable_difference", "seeds_needed"]

SEEDS_LIMIT = 10_000
"""More seeds than anybody will run: the number at which :func:`seeds_needed` gives up."""
CHUNK = 64
"""Numbers of seeds that are tried at once."""


def seeds_needed(
    differences: Sequence[float], comparisons: int = 1, alpha: float = 0.05, power: float = 0.8, least: int = 2
) -> int | None:
    """How many seeds would show an effect of the size observed, by the test that is taken for that many seeds.

    The size observed is itself an estimate, and a poor one from few seeds: take the answer as an order of magnitude.
    Differences are taken to be normally distributed, also for the power of the sign test; which test that is says
    :func:`bench.analysis.stats.paired_test`.

    Args:
        differences: One finite difference per seed, in any unit.
        comparisons: How many tests are corrected for together; this one is taken to be Holm's first.
        alpha: The level of all of them together.
        power: The probability with which the test is to reject, in the right direction.
        least: Numbers below this are not asked for, as of seeds that are there already.

    Returns:
        The smallest such number, at least ``least``; None for one difference, for a mean of zero, and where more than
        :data:`SEEDS_LIMIT` would be needed.

    Raises:
        ValueError: for no differences, some that are not finite, or unless 0 < alpha / comparisons < power < 1.

    References:
        Cohen (1988), "Statistical power analysis for the behavioral sciences", ch. 2 and 5.

    Example:
        >>> seeds_needed([0.0, 1.0, 2.0])  # the mean is one standard deviation
        17
    """
    level = alpha / comparisons
    if not 0 < level < power < 1:
        raise ValueError(f"expected 0 < alpha / comparisons < power < 1, got {level} and {power}")
    sample = finite(differences)
    mean = abs(float(sample.mean()))
    if sample.size == 1 or mean == 0:
        return None
    first = seeds_of_sign_test(comparisons, alpha)
    if (sample == sample[0]).all():
        return max(first, least)
    effect = mean / float(sample.std(ddof=1))
    n = np.arange(max(2, least), first)
    by_t = n[_power_of_t(n, effect, level) >= power]
    return int(by_t[0]) if by_t.size else _seeds_of_signs(float(special.ndtr(effect)), max(first, least), level, power)


def detectable_difference(
    differences: Sequence[float], comparisons: int = 1, alpha: float = 0.05, power: float = 0.8
) -> float | None:
    """The smallest mean difference that as many seeds would show, if seeds scatter as these do.

    The test is the one that :func:`bench.analysis.stats.paired_test` takes for their number, as in
    :func:`seeds_needed`.

    Args:
        differences: One finite difference per seed, in any unit.
        comparisons: How many tests are corrected for together; this one is taken to be Holm's first.
        alpha: The level of all of them together.
        power: The probability with which the test is to reject, in the right direction.

    Returns:
        The difference, above 0, in the same unit; None for one difference, and for differences without scatter.

    Raises:
        ValueError: as :func:`seeds_needed`.

    Example:
        >>> round(detectable_difference([0.0, 1.0, 2.0]), 2)  # whose standard deviation is 1
        3.26
    """
    level = alpha / comparisons
    if not 0 < level < power < 1:
        raise ValueError(f"expected 0 < alpha / comparisons < power < 1, got {level} and {power}")
    sample = finite(differences)
    n = sample.size
    if n == 1 or (sample == sample[0]).all():
        return None
    if n >= seeds_of_sign_test(comparisons, alpha):
        losses = int(special.bdtrik(level / 2, n, 0.5))
        losses -= int(special.bdtr(losses, n, 0.5) > level / 2)
        effect = float(special.ndtri(1 - special.bdtri(losses, n, power)))
    else:
        from scipy import optimize  # not at the top: it takes a while, and no report needs it

        most = float(special.stdtrit(n - 1, 1 - level / 2)) + 10 * math.sqrt(n)

        def beyond(effect: float) -> float:
            # So far out that it has no number, scipy's distribution is beyond any doubt.
            return float(np.nan_to_num(_power_of_t(np.array(n), effect, level), nan=1.0)) - power

        effect = float(optimize.brentq(beyond, 0.0, most))
    return effect * float(sample.std(ddof=1))


def _power_of_t(n: NDArray[np.int64], effect: float, level: float) -> NDArray[np.float64]:
    """The power of the two-sided t-test of n differences whose mean is so many standard deviations."""
    critical = special.stdtrit(n - 1, 1 - level / 2)
    return np.asarray(1 - special.nctdtr(n - 1, effect * np.sqrt(n), critical), dtype=float)


def _seeds_of_signs(wins: float, first: int, level: float, power: float) -> int | None:
    """The number of seeds, from ``first`` on, with which the sign test shows that so many of them are wins."""
    # A normal law in place of the binomial one is at most three seeds above: start well below its number.
    z = float(-special.ndtri(level / 2)) / 2 + float(special.ndtri(power)) * math.sqrt(wins * (1 - wins))
    if wins - 0.5 < z / (2 * math.sqrt(SEEDS_LIMIT)):
        return None
    start = max(first, math.floor((z / (wins - 0.5)) ** 2) - 16)
    for chunk in range(start // CHUNK, SEEDS_LIMIT // CHUNK + 1):
        n, losses = _most_losses(level, chunk)
        enough = (n >= start) & (n <= SEEDS_LIMIT) & (losses >= 0)
        enough &= special.bdtr(np.maximum(losses, 0), n, 1 - wins) >= power
        if enough.any():
            return int(n[enough.argmax()])
    return None


@lru_cache(maxsize=4096)
def _most_losses(level: float, chunk: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Numbers of seeds, and the most losses with which the sign test of each rejects; below 0 where it never does."""
    n = np.arange(chunk * CHUNK, (chunk + 1) * CHUNK)
    n[0] = max(n[0], 1)  # of none there is no test
    losses = np.floor(special.bdtrik(level / 2, n, 0.5))
    losses -= special.bdtr(losses, n, 0.5) > level / 2  # by the same binomial law as its p
    return n, losses
