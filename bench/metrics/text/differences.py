"""Differences between files of samples: how far the scores of two differ, and how far chance alone would move that.

The samples of one file are resampled independently of those of the other. Line 5 of one file has nothing to do with
line 5 of another: a generator writes without a source, so that there are no pairs, as there are in translation, where
sacreBLEU resamples the same sentences of both systems. References, and the training set, are the same for both files
and held fixed: what is said holds given these references, and for other samples of the same two models; another
training run of either may differ by more.

A score's resampled values are those of its interval (:mod:`bench.metrics.text.intervals`), made from what each sequence
contributes. The resamples of two files are independent, so each of one can be subtracted from each of the other: 1,000
of each give a million differences, D*, around the difference D. The interval is symmetric, D minus and plus the 95 %
point of abs(D* - D), and p is the share of them that are at least abs(D), which is how sacreBLEU computes it (Koehn
2004). The interval excludes 0 if and only if p < 0.05. From few sequences a bootstrap is too sure of itself: their
scatter is multiplied by sqrt(n / (n - 1)), and shares are converted from the normal distribution to Student's with
Welch's degrees of freedom (Hesterberg 2015, "What teachers should know about the bootstrap", sec. 3.3). No p is smaller
than the smallest of an exact permutation test, 2 / C(n + m, n).

A share of samples, such as that of copies, has Newcombe's interval (1998, method 10), which is made of Wilson's two,
and the p of Fisher's exact test: a bootstrap of no copies has no scatter.

A score that is no mean of its sequences' own is tested only where both files have as many samples as it needs, by the
scatter of real text and by their own. With fewer, too few of them determine the score: with 20 sentences, p < 0.05 was
found for MS-Jaccard in 21 % of pairs of files of one source. With enough, it was found in 1 to 7 %: see docs/score.md.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from bench.kernels.ngrams import Floats
from bench.metrics.base import Estimate
from bench.metrics.signature import Signature
from bench.metrics.text.amounts import FEWEST, samples_needed
from bench.metrics.text.intervals import wilson
from bench.metrics.text.report import Difference

__all__ = ["IDENTICAL", "Scored", "differences"]

IDENTICAL = "identical"
LEVEL = 0.95
COUNTED = 1000
"""Sequences of both files above which no exact permutation test gives a p that is too large to be of interest."""


@dataclass(frozen=True, slots=True)
class Scored:
    """A file's score in one metric, before its contributions are dropped.

    Attributes:
        estimate: The score with its contributions.
        moves: How far resampling moves it: float64, (resamples,); None where it was not resampled.
        sized: Whether the score depends on the number of samples.
        needed: How many samples it needs (:mod:`bench.metrics.text.amounts`).
    """

    estimate: Estimate
    moves: Floats | None
    sized: bool
    needed: int = FEWEST


def differences(
    name: str,
    baseline: str,
    scored: Sequence[Scored],
    others: Sequence[Scored],
    real: Sequence[Estimate],
    identical: bool = False,
) -> Iterator[Difference]:
    """The differences of a file from the baseline, one for each metric that both have.

    Args:
        name: The file.
        baseline: The other file.
        scored: The file's scores.
        others: The baseline's scores.
        real: Those of real text.
        identical: Whether the files have the same lines.
    """
    goals = {each.metric: each.value for each in real}
    bases = {each.estimate.metric: each for each in others}
    for mine in scored:
        base = bases.get(mine.estimate.metric)
        if base is not None:
            yield _difference(name, baseline, mine, base, goals.get(mine.estimate.metric), identical)


def _difference(
    name: str, baseline: str, mine: Scored, base: Scored, goal: float | None, identical: bool
) -> Difference:
    one, other = mine.estimate, base.estimate
    about = (name, baseline, one.metric)
    reason = IDENTICAL if identical else _incomparable(mine, base)
    if one.value is None or other.value is None or (reason and not identical):
        return Difference(*about, None, one.unit, one.direction, untested=one.absent or other.absent or reason)
    value = one.value - other.value
    if reason:
        return Difference(*about, value, one.unit, one.direction, untested=reason)
    reason = _too_little(mine, base)
    low, high, p, test = (None, None, None, "") if reason else _tested(value, mine, base)
    untested = None if test else reason or "no sequence contributes more than another"
    if not one.unit and low is not None and high is not None:
        low, high = max(-1.0, low), min(1.0, high)
    nearer, nearer_p = None, None
    if goal is not None and (farther := abs(one.value - goal) - abs(other.value - goal)):
        nearer, same_side = farther < 0, (one.value - goal) * (other.value - goal) >= 0
        nearer_p = p if same_side or p is None else _tested(farther, mine, base, opposite=True)[2]
    return Difference(*about, value, one.unit, one.direction, low, high, p, test, untested, nearer, nearer_p)


def _incomparable(mine: Scored, base: Scored) -> str | None:
    """Why two scores cannot be compared, if so: how they were computed differs by more than it may."""
    one, other = mine.estimate, base.estimate
    if one.signature == other.signature:
        return None
    sizes = [len(each.contributions) for each in (one, other) if each.contributions is not None]
    if mine.sized and len(set(sizes)) == 2:
        return f"it depends on the number of samples, {sizes[0]:,} and {sizes[1]:,}: give as many of both"
    sides = [
        Signature(tuple(part for part in each.parts if part[0] != "n" and part not in against.parts))
        for each, against in ((one.signature, other.signature), (other.signature, one.signature))
    ]
    differing = [str(side) for side in sides if side.parts]
    if not differing:
        return None
    how = f"only one with {differing[0]}" if len(differing) == 1 else f"with {differing[0]} and with {differing[1]}"
    return f"they are computed in different ways, {how}"


def _too_little(mine: Scored, base: Scored) -> str | None:
    """Why nothing can be tested, if so."""
    contributions = [each.estimate.contributions for each in (mine, base)]
    if any(each is None for each in contributions):
        return "it is not known what a sequence contributes"
    fewest = min(len(each) for each in contributions if each is not None)
    kinds = {mine.estimate.interval, base.estimate.interval}
    needed = max(mine.needed, *(samples_needed(each.estimate) for each in (mine, base)))
    if fewest < needed and "leave-one-out" in kinds:
        return f"it has too few samples for resampling, {fewest:,} of {needed:,}"
    return "one sample alone does not show how samples vary" if fewest == 1 and kinds != {"wilson"} else None


Tested = tuple[float | None, float | None, float | None, str]
"""Both ends of the interval, p and the name of the test."""


def _tested(value: float, mine: Scored, base: Scored, opposite: bool = False) -> Tested:
    """Test a difference, or where the baseline counts the other way, a sum."""
    one, other = mine.estimate, base.estimate
    if one.contributions is None or other.contributions is None:
        return None, None, None, ""
    sizes = len(one.contributions), len(other.contributions)
    if one.interval == other.interval == "wilson":
        return _shares(value, one.contributions, other.contributions)
    if mine.moves is None or base.moves is None:
        return None, None, None, ""
    variances = [float(each.var(ddof=1)) / len(each) for each in (one.contributions, other.contributions)]
    smallest = _smallest(*sizes)
    if not any(map(_scatters, (one.contributions, other.contributions))):
        known = one.interval == other.interval == "mean"  # then the scores differ by all or by nothing
        return (None, None, smallest if value else 1.0, "permutation") if known else (None, None, None, "")
    wider = [math.sqrt(n / (n - 1)) for n in sizes]
    freedom = sum(variances) ** 2 / sum(v**2 / (n - 1) for v, n in zip(variances, sizes, strict=True))
    gaps = _Gaps(np.sort(mine.moves * wider[0]), np.sort(base.moves * (-wider[1] if opposite else wider[1])))
    half = gaps.point(_to_normal(1 - LEVEL, freedom))
    p = max(smallest, _to_student(gaps.share(abs(value) * (1 - 1e-12)), freedom))
    return value - half, value + half, p, "bootstrap"


def _scatters(contributions: Floats) -> bool:
    """Whether some sequences contribute more than others, rounding apart."""
    return bool(np.ptp(contributions) > 1e-12 * np.abs(contributions).max())


@dataclass(frozen=True, slots=True)
class _Gaps:
    """The gaps between each of some numbers and each of others, a million for 1,000 of each, without listing them.

    Attributes:
        one: float64, (R,), ascending.
        other: float64, (R,), ascending.
    """

    one: Floats
    other: Floats

    def share(self, least: float) -> float:
        """The share of gaps that are at least so large, as a p: the difference itself counts as one of them."""
        below = np.searchsorted(self.other, self.one - least, "right").sum()
        above = len(self.other) * len(self.one) - np.searchsorted(self.other, self.one + least, "left").sum()
        everything = len(self.one) * len(self.other)
        return float(min(below + above if least > 0 else everything, everything) + 1) / (everything + 1)

    def point(self, share: float) -> float:
        """The size that this share of the gaps exceeds."""
        low, high = 0.0, float(max(self.one[-1] - self.other[0], self.other[-1] - self.one[0]))
        while (middle := (low + high) / 2) not in (low, high) and high - low > high * 1e-12:
            low, high = (middle, high) if self.share(middle) > share else (low, middle)
        return high


def _to_normal(p: float, freedom: float) -> float:
    """The two-sided p of a normal distribution where Student's, with these degrees of freedom, has p."""
    from scipy import special  # not at the top: scores of one file do without

    return float(2 * special.ndtr(float(special.stdtrit(freedom, p / 2))))


def _to_student(p: float, freedom: float) -> float:
    """The inverse of :func:`_to_normal`."""
    from scipy import special

    return float(2 * special.stdtr(freedom, float(special.ndtri(p / 2))))


def _smallest(n: int, m: int) -> float:
    """The smallest p of an exact two-sided permutation test of n against m values."""
    return min(1.0, 2 / math.comb(n + m, n)) if n + m < COUNTED else 0.0


def _shares(value: float, one: Floats, other: Floats) -> Tested:
    """Newcombe's interval and Fisher's exact p for two shares of samples, from values of 0 and 1."""
    shares = float(one.mean()), float(other.mean())
    (low, high), (low_other, high_other) = wilson(shares[0], len(one)), wilson(shares[1], len(other))
    below = math.hypot(shares[0] - low, high_other - shares[1])
    above = math.hypot(high - shares[0], shares[1] - low_other)
    p = _fisher(int(one.sum()), len(one), int(other.sum()), len(other))
    return value - below, value + above, p, "Fisher"


def _fisher(k: int, n: int, others: int, m: int) -> float:
    """Two-sided p of Fisher's exact test: k of n against others of m. All outcomes that are as unlikely count."""
    from scipy import special

    possible = np.arange(max(0, k + others - m), min(n, k + others) + 1)
    parts = np.stack([possible, n - possible, k + others - possible, m - k - others + possible])
    logs = -special.gammaln(parts + 1.0).sum(axis=0)
    chances = np.exp(logs - logs.max())
    return float(chances[chances <= chances[k - possible[0]] * (1 + 1e-9)].sum() / chances.sum())
