"""Which differences between models are real, and the words for it.

There are two grades. From the number of seeds on at which the sign test can reject after correction, that test decides,
whatever the distribution of scores: *better* then means better in more than half of all seeds. With fewer seeds
Student's t decides, which assumes that seeds scatter normally, and the words say so. Which grade it is depends on the
number of seeds and of comparisons alone.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median

from bench.analysis.catalogue import ROUNDING
from bench.analysis.power import seeds_needed
from bench.analysis.stats import (
    FAR,
    SERIOUS,
    SIGN,
    Interval,
    PairedTest,
    collapses,
    holm,
    mean_interval,
    paired_test,
    probability_of_improvement,
    smallest_sign_p,
)

__all__ = [
    "BETTER",
    "BETTER_IF_NORMAL",
    "CALLED",
    "FEW",
    "IDENTICAL",
    "IF_NORMAL",
    "MIXED",
    "NOT_SEPARABLE",
    "NO_COMMON_SEED",
    "NO_VERDICT",
    "ONE_OBSERVATION",
    "ONE_SEED",
    "SIGNS",
    "WORSE",
    "WORSE_IF_NORMAL",
    "Best",
    "Pair",
    "Verdict",
    "is_constant",
    "judge",
    "separable_best",
]

BETTER, WORSE, NOT_SEPARABLE = "better", "worse", "not separable"
IF_NORMAL = ", if seeds scatter normally"
BETTER_IF_NORMAL, WORSE_IF_NORMAL = BETTER + IF_NORMAL, WORSE + IF_NORMAL
MIXED, NO_VERDICT = "mixed", "no verdict"
IDENTICAL, ONE_OBSERVATION, ONE_SEED, NO_COMMON_SEED = "identical", "one observation", "one seed", "no common seed"
CALLED = (BETTER, WORSE, BETTER_IF_NORMAL, WORSE_IF_NORMAL)
"""The outcomes that call a side better."""

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
        resolution: A difference smaller than this is none, in the same unit.
        constant: Whether each side has the same value in every seed: then all seeds together are one observation.
        model_barred: Why the model may not be called better, "" if it may.
        reference_barred: Why the model may not be called worse, "" if it may.
        void: Why there is no verdict at all, "" if there may be one.
        sides: The values of both, by seed, which say whose collapse it is that a seed is lost by far; None where only
            differences are known: then it is the side that lost.
    """

    model: str
    reference: str
    differences: Mapping[Hashable, float]
    resolution: float = 0.0
    constant: bool = False
    model_barred: str = ""
    reference_barred: str = ""
    void: str = ""
    sides: tuple[Mapping[Hashable, float], Mapping[Hashable, float]] | None = None

    @classmethod
    def of(
        cls,
        model: str,
        reference: str,
        mine: Mapping[Hashable, float],
        theirs: Mapping[Hashable, float],
        resolution: float = 0.0,
        barred: tuple[str, str] = ("", ""),
        void: str = "",
    ) -> Pair:
        """The pair of two sides' values, by seed.

        Args:
            model: Its name.
            reference: The reference's name.
            mine: The model's values, finite.
            theirs: The reference's values, finite.
            resolution: A difference smaller than this is none.
            barred: Why the model, and why the reference, may not win.
            void: Why there is no verdict at all.
        """
        common = mine.keys() & theirs.keys()
        constant = len(common) > 1 and all(is_constant([side[seed] for seed in common]) for side in (mine, theirs))
        differences = {seed: mine[seed] - theirs[seed] for seed in common}
        return cls(model, reference, differences, resolution, constant, *barred, void, (mine, theirs))


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the seeds say about a pair.

    Attributes:
        model: Its name.
        reference: The reference's name.
        outcome: ``better`` or ``worse`` than the reference by the sign test; the same ``, if seeds scatter normally``
            by Student's t, where there are too few seeds for the sign test; ``mixed`` where the side that wins
            collapsed in some seeds, or wins most seeds but not on average; ``not separable``, which is no evidence that
            they are equal; ``identical`` if the two differ by less than the resolution in every seed; ``one
            observation`` if each side has the same value in every seed; ``no verdict`` where the side that seems better
            may not win, or seeds were lost; ``one seed`` or ``no common seed`` if there is nothing to test.
        difference: Student's t interval of the mean of model - reference, in the metric's unit, at ``1 - alpha``. It is
            not corrected for the family, so it may exclude zero where the outcome is ``not separable``.
        p: Two-sided p of the test, or None if nothing was tested.
        corrected_p: The same after Holm's correction.
        test: Name of the test, empty if nothing was tested.
        smallest_p: The smallest p that the sign test could have given for this number of seeds.
        family: How many comparisons p was corrected for.
        probability: Share of the seeds in which the model is better, ties counted half; None without a common seed.
        needed: For ``not separable``: how many seeds would show a difference as large as this one looks, with power
            0.8 and corrected for the family; None if that takes too many.
        alpha: The level of the family: the probability that any of its models that is in truth equal to its reference
            is called better or worse.
        collapsed: In how many seeds the model, and in how many the reference, loses by far more than is usual
            (:func:`bench.analysis.stats.collapses`), and is itself far worse than usual.
        why: Why there is no verdict.
        resolution: A difference smaller than this is none.
        ties: In how many seeds the two differ by less than that.
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
    collapsed: tuple[int, int] = (0, 0)
    why: str = ""
    resolution: float = 0.0
    ties: int = 0

    @property
    def grade(self) -> int:
        """1 where the sign test decided, 2 where Student's t did, 0 where nothing was tested."""
        return {"": 0, SIGN: 1}.get(self.test, 2)

    def words(self, metric: str = "", unit: str = "") -> str:
        """The verdict as plain text: a sentence, followed by what weakens it.

        Args:
            metric: Name of the metric, if the sentence should say it.
            unit: Unit of the difference, if the sentence should say it.

        Example:
            >>> pair = Pair("seqgan", "mle", {0: -0.3, 1: -0.1, 2: -0.2, 3: -0.1, 4: -0.2})
            >>> print(judge([pair], "lower")[0].words("nll_oracle", "nats/token"))  # in one line
            seqgan is better than mle in nll_oracle, if seeds scatter normally (n = 5): -0.180 nats/token (95 % interval
            -0.284 to -0.076, n = 5), p = 0.0086 by the paired t test, better in 100 % of seeds.
        """
        where, unit = f" in {metric}" if metric else "", f" {unit}" if unit else ""
        both = f"{self.model} and {self.reference}"
        if self.outcome == NO_VERDICT:
            return f"No verdict on {both}{where}: {self.why}."
        if self.difference is None or self.probability is None:
            return f"{both} have no common seed{where}: there is nothing to compare."
        n, mean = self.difference.n, self.difference.mean
        if self.outcome == IDENTICAL:
            bits = not mean and not self.difference.low
            alike = "to the last bit" if bits else f"to less than {self.resolution:g}{unit}, the smallest that counts"
            return f"{both} are identical{where}, {alike} (n = {n})."
        if self.outcome == ONE_OBSERVATION:
            return (
                f"{both} differ{where} by {mean:+.3g}{unit} in every seed (n = {n}): each has the same value whatever "
                "the seed, so this is one observation, and there is nothing to test."
            )
        size = _size(self.difference, unit, 1 - self.alpha)
        if self.p is None or self.corrected_p is None:
            return f"{both} differ{where} by {size} in the one seed they share, which cannot separate that from chance."
        found = f"{size}, {_p(self.corrected_p)} by the {self.test} test"
        if self.family > 1:
            found += f" after Holm's correction for {self.family} comparisons"
        share = f"better in {100 * self.probability:.0f} % of seeds" + ", a tie counted half" * (self.ties > 0)
        if self.outcome == NOT_SEPARABLE:
            said = f"{both} are not separable{where}: {found}; {self._outlook(unit)}."
        elif self.outcome == MIXED:
            won = self.probability > 0.5
            winner, count = (self.model, self.collapsed[0]) if won else (self.reference, self.collapsed[1])
            but = f"collapsed in {count} of {n}" if count else "is not better on average"
            said = f"{both} are mixed{where}: {winner} wins most seeds, but {but}: {found}, {share}."
        else:
            word = self.outcome.removesuffix(IF_NORMAL)
            assumed = f"{IF_NORMAL} (n = {n})" if self.outcome != word else ""
            said = f"{self.model} is {word} than {self.reference}{where}{assumed}: {found}, {share}."
        for name, count in zip((self.model, self.reference), self.collapsed, strict=True):
            if count and self.outcome != MIXED:
                said += f" {name} collapsed in {count} of {n} seeds."
        if n < FEW:
            said += f" n < {FEW}: intervals and tests from fewer than five seeds are weak."
        return said

    def _outlook(self, unit: str) -> str:
        """What more seeds would do for a pair that is not separable."""
        if self.difference is not None and abs(self.difference.mean) < self.resolution:
            return f"a difference of less than {self.resolution:g}{unit} is none"
        if self.needed is None:
            return "no number of seeds within reach would show a difference of this size"
        return f"about n = {self.needed} would be needed to show a difference of this size"


def judge(pairs: Sequence[Pair], direction: str, alpha: float = 0.05) -> list[Verdict]:
    """Decide for each pair whether the model is better or worse than its reference.

    All pairs passed in are one family: the probability of calling any of them better or worse by mistake is at most
    ``alpha``. Pairs that cannot be called are not tested, and do not count for the correction: those with fewer than
    two seeds, with differences below the resolution, with one observation, and those of which neither side may win. See
    :func:`bench.analysis.stats.paired_test` for which test is used when, and :func:`bench.analysis.stats.holm` for the
    correction.

    By the sign test this holds whatever the distributions, for models that win half of the seeds. By Student's t it
    holds for differences that are normal and about so for symmetric ones, and for models whose mean is equal; it fails
    if only one side is skewed. ``docs/statistics.md`` has the error rates by distribution.

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
    samples = [
        [0.0 if abs(value) < pair.resolution else value for value in sorted(pair.differences.values())]
        for pair in pairs
    ]
    testable = [index for index, pair in enumerate(pairs) if _testable(pair, samples[index])]
    family = len(testable)
    tests = {index: paired_test(samples[index], family, alpha) for index in testable}
    corrected = dict(zip(tests, holm([test.p for test in tests.values() if test.p is not None]), strict=True))
    return [
        _verdict(pair, sample, tests.get(index), corrected.get(index), family, SIGNS[direction], alpha)
        for index, (pair, sample) in enumerate(zip(pairs, samples, strict=True))
    ]


@dataclass(frozen=True, slots=True)
class Best:
    """The model that is better than every other one.

    Attributes:
        model: Its name.
        firm: Whether all verdicts are by the sign test; else they hold only if seeds scatter normally.
    """

    model: str
    firm: bool


def separable_best(
    values: Mapping[str, Mapping[Hashable, float]], direction: str, alpha: float = 0.05, resolution: float = 0.0
) -> Best | None:
    """The one model that is better than every other one, if there is one.

    The model with the best mean is compared with each other one, over the seeds both have; these comparisons are the
    family. If two models are in truth equally good, one of them is called the best with a probability of at most
    ``alpha``.

    Args:
        values: Model to seed to value of one metric on one task; models that may not win are not among them.
        direction: ``lower`` or ``higher``, whichever is better.
        alpha: Level of the family.
        resolution: A difference smaller than this is none.

    Returns:
        It, or None where it is not separable from another one, or there are fewer than two models or seeds.

    Raises:
        ValueError: as :func:`judge`.
    """
    if direction not in SIGNS:
        raise ValueError(f"expected direction 'lower' or 'higher', got {direction!r}")
    if len(values) < 2 or not all(values.values()):
        return None
    best = max(values, key=lambda model: SIGNS[direction] * fmean(values[model].values()))
    pairs = [
        Pair.of(best, other, values[best], theirs, resolution) for other, theirs in values.items() if other != best
    ]
    outcomes = {verdict.outcome for verdict in judge(pairs, direction, alpha)}
    return Best(best, outcomes == {BETTER}) if outcomes <= {BETTER, BETTER_IF_NORMAL} else None


def _testable(pair: Pair, sample: Sequence[float]) -> bool:
    """Whether either side may be called better."""
    may_win = not pair.void and not (pair.model_barred and pair.reference_barred)
    return may_win and not pair.constant and len(sample) > 1 and any(sample)


def _verdict(
    pair: Pair,
    sample: Sequence[float],
    test: PairedTest | None,
    corrected: float | None,
    family: int,
    sign: int,
    alpha: float,
) -> Verdict:
    raw = sorted(pair.differences.values())
    difference = mean_interval(raw, 1 - alpha) if raw else None
    collapsed = [_collapsed(pair, side, sign) for side in (0, 1)]
    wins = sum(sign * value > 0 for value in sample) - sum(sign * value < 0 for value in sample)
    outcome, why, needed = NOT_SEPARABLE, "", None
    if pair.void:
        outcome, why = NO_VERDICT, pair.void
    elif difference is None:
        outcome = NO_COMMON_SEED
    elif not any(sample):
        outcome = IDENTICAL
    elif pair.constant:
        outcome = ONE_OBSERVATION
    elif pair.model_barred and pair.reference_barred:
        outcome, why = NO_VERDICT, _barred(pair, True) + "; " + _barred(pair, False)
    elif test is None or corrected is None:
        outcome = ONE_SEED
    elif corrected <= alpha and abs(difference.mean) >= pair.resolution:
        gain = sign * difference.mean
        won = wins > 0 if test.name == SIGN else gain > 0
        if pair.model_barred if won else pair.reference_barred:
            outcome, why = NO_VERDICT, _barred(pair, won)
        elif collapsed[0 if won else 1] or (gain > 0) != won:
            outcome = MIXED
        elif test.name == SIGN:
            outcome = BETTER if won else WORSE
        else:
            outcome = BETTER_IF_NORMAL if won else WORSE_IF_NORMAL
    elif corrected > alpha:
        needed = seeds_needed(sample, family, alpha, least=len(sample) + 1)
    return Verdict(
        model=pair.model,
        reference=pair.reference,
        outcome=outcome,
        difference=difference,
        p=test.p if test else None,
        corrected_p=corrected,
        test=test.name if test else "",
        smallest_p=smallest_sign_p(len(sample)),
        family=family,
        probability=probability_of_improvement([sign * value for value in sample]) if sample else None,
        needed=needed,
        alpha=alpha,
        collapsed=(collapsed[0], collapsed[1]),
        why=why,
        resolution=pair.resolution,
        ties=sum(not value for value in sample),
    )


def _collapsed(pair: Pair, side: int, sign: int) -> int:
    """In how many seeds the model (side 0) or the reference (side 1) collapsed.

    It loses such a seed by far more than is usual, and at least half of that is its own doing, not the other side's
    luck: by so much, and by :data:`bench.analysis.stats.SERIOUS` of its median, it is worse than its own median.
    """
    if not pair.differences:
        return 0
    gains = {seed: (sign if side == 0 else -sign) * value for seed, value in pair.differences.items()}
    usual, seeds = median(gains.values()), list(gains)
    lost = [seeds[index] for index in collapses(list(gains.values()), 1, FAR * pair.resolution)]
    lost = [seed for seed in lost if gains[seed] < 0]
    if pair.sides is None:
        return len(lost)
    own = pair.sides[side]
    middle = median(own.values())
    least = SERIOUS * abs(middle)
    return sum(sign * (middle - own[seed]) > max(least, (usual - gains[seed]) / 2) for seed in lost)


def _barred(pair: Pair, model: bool) -> str:
    """Why one of the sides may not win, as part of a sentence."""
    name, because = (pair.model, pair.model_barred) if model else (pair.reference, pair.reference_barred)
    return f"{name} has no rank, because {because}"


def is_constant(values: Sequence[float]) -> bool:
    """Whether these are one value, but for rounding."""
    return max(values) - min(values) <= ROUNDING * max(map(abs, values))


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
