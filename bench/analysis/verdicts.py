"""Which differences between models are real, and the words for it."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from bench.analysis.stats import (
    Interval,
    PairedTest,
    holm,
    mean_interval,
    paired_test,
    probability_of_improvement,
    seeds_needed,
    smallest_sign_flip_p,
)

__all__ = [
    "BETTER",
    "IDENTICAL",
    "NOT_SEPARABLE",
    "NO_COMMON_SEED",
    "ONE_SEED",
    "SIGNS",
    "WORSE",
    "Pair",
    "Verdict",
    "judge",
    "separable_best",
]

BETTER, WORSE, NOT_SEPARABLE = "better", "worse", "not separable"
IDENTICAL, ONE_SEED, NO_COMMON_SEED = "identical", "one seed", "no common seed"

SIGNS = {"higher": 1, "lower": -1}
"""Good direction of a metric to the sign that turns a difference into a gain."""
FEW = 5
"""Seeds below which a verdict carries a warning."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A model and the reference that it is compared with.

    Attributes:
        model: Its name.
        reference: The reference's name.
        differences: Seed to model - reference, in the metric's unit, for the seeds that both have.
    """

    model: str
    reference: str
    differences: Mapping[Hashable, float]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the seeds say about a pair.

    Attributes:
        model: Its name.
        reference: The reference's name.
        outcome: ``better`` or ``worse`` than the reference, or ``not separable`` from it, which is no evidence that
            they are equal; ``identical`` if the two agree to the last bit in every seed; ``one seed`` or ``no common
            seed`` if there is nothing to test.
        difference: Student's t interval of the mean of model - reference, in the metric's unit, at ``1 - alpha``. It is
            not corrected for the family, so it may exclude zero where the outcome is ``not separable``.
        p: Two-sided p of the test, or None if nothing was tested.
        corrected_p: The same after Holm's correction.
        test: Name of the test, empty if nothing was tested.
        smallest_p: The smallest p that the exact sign-flip test could have given for this number of seeds.
        family: How many comparisons p was corrected for.
        probability: Share of the seeds in which the model is better, ties counted half; None without a common seed.
        needed: For ``not separable``: how many seeds would show a difference as large as this one looks, with power
            0.8 and corrected for the family; None if that takes too many.
        alpha: The level of the family: the probability that any of its models that is in truth equal to its reference
            is called better or worse.
    """

    model: str
    reference: str
    outcome: str
    difference: Interval | None
    p: float | None
    corrected_p: float | None
    test: str
    smallest_p: float
    family: int
    probability: float | None
    needed: int | None
    alpha: float = 0.05

    def words(self, metric: str = "", unit: str = "") -> str:
        """The verdict as plain text: a sentence, followed by what weakens it.

        Args:
            metric: Name of the metric, if the sentence should say it.
            unit: Unit of the difference, if the sentence should say it.

        Example:
            >>> pair = Pair("seqgan", "mle", {0: -0.3, 1: -0.1, 2: -0.2, 3: -0.1, 4: -0.2})
            >>> print(judge([pair], "lower")[0].words("nll_oracle", "nats/token"))  # in one line
            seqgan is better than mle in nll_oracle: -0.180 nats/token (95 % interval -0.284 to -0.076, n = 5),
            p = 0.0086 by the paired t test, better in 100 % of seeds.
        """
        where = f" in {metric}" if metric else ""
        if self.difference is None or self.probability is None:
            return f"{self.model} and {self.reference} have no common seed{where}: there is nothing to compare."
        n = self.difference.n
        both = f"{self.model} and {self.reference}"
        if self.outcome == IDENTICAL:
            return f"{both} are identical{where}, to the last bit (n = {n})."
        size = _size(self.difference, f" {unit}" if unit else "", 1 - self.alpha)
        if self.p is None or self.corrected_p is None:
            return f"{both} differ{where} by {size} in the one seed they share, which cannot separate that from chance."
        found = f"{size}, {_p(self.corrected_p)} by the {self.test} test"
        if self.family > 1:
            found += f" after Holm's correction for {self.family} comparisons"
        if self.outcome == NOT_SEPARABLE:
            said = f"{both} are not separable{where}: {found}; {self._outlook()}."
            if self.smallest_p * self.family > self.alpha:
                said += " The exact sign-flip test could not have separated them with so few seeds:"
                said += f" its smallest p is {self.smallest_p:.3g}{', uncorrected' * (self.family > 1)}."
        else:
            said = f"{self.model} is {self.outcome} than {self.reference}{where}: {found}"
            said += f", better in {100 * self.probability:.0f} % of seeds."
        if n < FEW:
            said += f" n < {FEW}: intervals and tests from fewer than five seeds are weak."
        return said

    def _outlook(self) -> str:
        """What more seeds would do for a pair that is not separable."""
        if self.needed is None:
            return "no number of seeds within reach would show a difference of this size"
        return f"about n = {self.needed} would be needed to show a difference of this size"


def judge(pairs: Sequence[Pair], direction: str, alpha: float = 0.05) -> list[Verdict]:
    """Decide for each pair whether the model is better or worse than its reference.

    All pairs passed in are one family: the probability of calling any of them better or worse by mistake is at most
    ``alpha``.
    Pairs with fewer than two seeds are not tested, and neither are those that agree to the last bit in every seed;
    as they cannot be called wrongly, they do not count for the correction. See
    :func:`bench.analysis.stats.paired_test` for which test is used when, and :func:`bench.analysis.stats.holm` for the
    correction.

    This holds for differences that are symmetric about their mean. They are if model and reference scatter in the same
    way, however skewed. It fails if only one of them is skewed: of simulated families of 6 and 10, with 3 to 12 seeds
    and exponential differences of mean zero, 17 to 31 % had a wrong verdict; with log-normal ones, up to half.

    Args:
        pairs: Models with their references; all differences of one metric on one task.
        direction: ``lower`` or ``higher``, whichever is better.
        alpha: Level of the whole family.

    Returns:
        One verdict per pair, in their order; no verdict depends on the order of the pairs or of the seeds.

    Raises:
        ValueError: for another direction, an alpha outside (0, 1), or differences that are not finite.

    Example:
        >>> [verdict] = judge([Pair("seqgan", "mle", {0: -0.1, 1: -0.2, 2: -0.1})], "lower")
        >>> verdict.outcome, round(verdict.p, 3)
        ('not separable', 0.057)
    """
    if direction not in SIGNS:
        raise ValueError(f"expected direction 'lower' or 'higher', got {direction!r}")
    if not 0 < alpha < 1:
        raise ValueError(f"expected 0 < alpha < 1, got {alpha}")
    samples = [sorted(pair.differences.values()) for pair in pairs]
    testable = [index for index, sample in enumerate(samples) if len(sample) > 1 and any(sample)]
    family = len(testable)
    tests = {index: paired_test(samples[index], family, alpha) for index in testable}
    corrected = dict(zip(tests, holm([test.p for test in tests.values() if test.p is not None]), strict=True))
    return [
        _verdict(pair, sample, tests.get(index), corrected.get(index), family, SIGNS[direction], alpha)
        for index, (pair, sample) in enumerate(zip(pairs, samples, strict=True))
    ]


def separable_best(values: Mapping[str, Mapping[Hashable, float]], direction: str, alpha: float = 0.05) -> str | None:
    """The one model that is better than every other one, if there is one.

    The model with the best mean is compared with each other one, over the seeds both have; these comparisons are the
    family. If two models are in truth equally good, one of them is called the best with a probability of at most
    ``alpha``.

    Args:
        values: Model to seed to value of one metric on one task.
        direction: ``lower`` or ``higher``, whichever is better.
        alpha: Level of the family.

    Returns:
        Its name, or None where it is not separable from another one, or there are fewer than two models or seeds.

    Raises:
        ValueError: as :func:`judge`.
    """
    if direction not in SIGNS:
        raise ValueError(f"expected direction 'lower' or 'higher', got {direction!r}")
    if len(values) < 2 or not all(values.values()):
        return None
    best = max(values, key=lambda model: SIGNS[direction] * fmean(values[model].values()))
    mine = values[best]
    pairs = [
        Pair(best, other, {seed: mine[seed] - theirs[seed] for seed in mine.keys() & theirs.keys()})
        for other, theirs in values.items()
        if other != best
    ]
    return best if all(verdict.outcome == BETTER for verdict in judge(pairs, direction, alpha)) else None


def _verdict(
    pair: Pair,
    sample: Sequence[float],
    test: PairedTest | None,
    corrected: float | None,
    family: int,
    sign: int,
    alpha: float,
) -> Verdict:
    difference = mean_interval(sample, 1 - alpha) if sample else None
    outcome, needed = NOT_SEPARABLE, None
    if difference is None:
        outcome = NO_COMMON_SEED
    elif not any(sample):
        outcome = IDENTICAL
    elif corrected is None:
        outcome = ONE_SEED
    elif corrected <= alpha:
        outcome = BETTER if sign * difference.mean > 0 else WORSE
    else:
        needed = seeds_needed(sample, alpha / family)
        if needed is not None:  # it assumes the t-test, which may reject where the exact test does not
            needed = max(needed, len(sample) + 1)
    return Verdict(
        model=pair.model,
        reference=pair.reference,
        outcome=outcome,
        difference=difference,
        p=test.p if test else None,
        corrected_p=corrected,
        test=test.name if test else "",
        smallest_p=smallest_sign_flip_p(len(sample)),
        family=family,
        probability=probability_of_improvement([sign * value for value in sample]) if sample else None,
        needed=needed,
        alpha=alpha,
    )


def _size(difference: Interval, unit: str, level: float) -> str:
    """The difference, and its interval if it has one, with as many decimals as its width calls for."""
    if difference.low is None or difference.high is None:
        return f"{difference.mean:+.3g}{unit}"
    if difference.low == difference.high:
        return f"{difference.mean:+.3g}{unit} (the same in all seeds, n = {difference.n})"
    decimals = max(0, 2 - math.floor(math.log10(difference.high - difference.low)))
    mean, low, high = (f"{end:+.{decimals}f}" for end in (difference.mean, difference.low, difference.high))
    return f"{mean}{unit} ({100 * level:.4g} % interval {low} to {high}, n = {difference.n})"


def _p(p: float) -> str:
    return "p < 0.0001" if p < 0.0001 else f"p = {p:.2g}"
