"""What ratings show: shares judged human, differences, and how far raters agree.

Answers are not independent. Every rater reads the same texts, so an easy text is easy for all, and a credulous rater is
so with all texts. An interval that counts each answer as one (Wilson's, as publications have it) is about these raters
and these texts; a claim about other raters and other texts of the same models needs both as units. Raters are crossed
with texts, and for that there is a classical answer: the error of a share has a part from raters and one from texts,

    SE² = Var(raters' means) / R + Var(texts' means) / n,

with Satterthwaite's degrees of freedom. For differences, the test on this error is Clark's min F'. Both count the
variance of single answers twice, and so err on the safe side.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import special

from bench.analysis.stats import holm
from bench.records.ratings import HUMAN, MACHINE, Answers, Key, Rated
from bench.records.record import Score

__all__ = [
    "BOTH",
    "FEW_RATERS",
    "METRIC",
    "TEXTS",
    "Difference",
    "Judgement",
    "Rater",
    "Share",
    "difference",
    "judgement",
    "krippendorff_alpha",
    "rated",
    "share",
    "wilson",
]

Floats: TypeAlias = NDArray[np.float64]
METRIC, VERSION = "human", "1"
"""The column of the leaderboard, and the version of its definition."""
LEVEL = 0.95
PERMUTATIONS = 10_000
"""Random exchanges of texts: a p of 0.05 is then right to about 0.004."""
FEW_RATERS = 5
"""With fewer, the scatter of raters is hardly known."""


BOTH = "other raters and other texts of these models"
TEXTS = "these raters, and other texts of these models"
"""What an interval or a test is about, as after "for"."""


@dataclass(frozen=True, slots=True)
class Share:
    """The share of a source's texts that was judged human.

    Attributes:
        name: The source.
        real: Whether these are the real texts.
        runs: Number of trained models, one for each seed.
        n: Texts that were drawn.
        texts: How many of them are different.
        copied: How many of them are in the training split, word for word.
        answers: Judgements of them; one of a text that was drawn twice counts once here, and twice in the share.
        value: The share, from 0 to 1; None without answers.
        wilson: Wilson's 95 % interval, as if all answers were independent.
        interval: The 95 % interval for :attr:`unit`.
        unit: What the interval is about.
        effective: How many independent answers would tell as much.
    """

    name: str
    real: bool
    runs: int
    n: int
    texts: int
    copied: int
    answers: int
    value: float | None
    wilson: tuple[float, float] | None
    interval: tuple[float, float] | None
    unit: str
    effective: float


@dataclass(frozen=True, slots=True)
class Difference:
    """How much more often one source was judged human than another.

    Attributes:
        name: The source.
        reference: The other one.
        value: Share of the first minus that of the second.
        interval: Its 95 % interval for :attr:`unit`; None where it has no variance.
        p: Two-sided, for :attr:`unit`.
        corrected_p: The same after Holm's correction for all differences of the sheet.
        p_texts: Two-sided p of exchanging texts between the two: for these raters alone.
        unit: What interval and p are about.
    """

    name: str
    reference: str
    value: float
    interval: tuple[float, float] | None
    p: float
    corrected_p: float
    p_texts: float
    unit: str


@dataclass(frozen=True, slots=True)
class Rater:
    """One rater.

    Attributes:
        name: As they gave it.
        answers: Judgements.
        human: The share of texts that they judged human.
        right: The share of judgements that were right; of a text that is real and was generated, too, none is counted.
        seconds: Median time for a text; None where it is not known.
    """

    name: str
    answers: int
    human: float | None
    right: float | None
    seconds: float | None


@dataclass(frozen=True, slots=True)
class Judgement:
    """All that the answers to a sheet show.

    Attributes:
        key: The sheet.
        shares: For each source, the real texts first.
        differences: Models against real texts, then against each other.
        alpha: Krippendorff's alpha; None where it has no value.
        raters: Each of them.
        notes: What was odd, a sentence for each.
        runs: Run id to the share of its texts that was judged human and the number of texts.
    """

    key: Key
    shares: tuple[Share, ...]
    differences: tuple[Difference, ...]
    alpha: float | None
    raters: tuple[Rater, ...]
    notes: tuple[str, ...]
    runs: Mapping[str, tuple[float | None, int]]


def judgement(key: Key, answers: Sequence[Answers], notes: Sequence[str] = ()) -> Judgement:
    """What the answers to a sheet show.

    Args:
        key: The sheet.
        answers: At least one rater's.
        notes: What was odd when they were read.
    """
    matrix = _matrix(key, answers)
    drawn = _drawn(key)
    names = list(dict.fromkeys(source.name for source in key.sources))
    members = {name: [at for at, source in enumerate(key.sources) if source.name == name] for name in names}
    columns = {name: np.concatenate([drawn[at] for at in members[name]]) for name in names}
    copied = np.array([item.copied for item in key.items])
    shares = []
    for name in names:
        found = share(matrix, columns[name])
        real = key.sources[members[name][0]].real
        shares.append(replace(found, name=name, real=real, runs=0 if real else len(members[name]),
                              copied=int(copied[columns[name]].sum())))  # fmt: skip
    pairs = [(name, names[0]) for name in names[1:]]
    pairs += [(b, a) for place, a in enumerate(names[1:], 1) for b in names[place + 1 :]]
    found_differences = [
        difference(matrix, columns[a], columns[b], a, b)
        for a, b in pairs
        if all(each.value is not None for each in shares if each.name in (a, b))
    ]
    corrected = holm([each.p for each in found_differences])
    differences = [replace(each, corrected_p=p) for each, p in zip(found_differences, corrected, strict=True)]
    runs = {
        source.run: (share(matrix, drawn[at]).value, len(drawn[at]))
        for at, source in enumerate(key.sources)
        if source.run
    }
    return Judgement(
        key,
        tuple(shares),
        tuple(differences),
        krippendorff_alpha(matrix),
        tuple(_rater(each, row, key) for each, row in zip(answers, matrix, strict=True)),
        tuple(notes),
        runs,
    )


def rated(found: Judgement) -> Rated:
    """What a results folder keeps of it: one score for each run."""
    key, raters = found.key, len(found.raters)
    scores = {}
    for run, (value, n) in found.runs.items():
        parts = f"n={n}|raters={raters}|texts={len(key.items)}|real=test|protocol={key.protocol}|sheet={key.sheet}"
        absent = None if value is not None else "nobody judged its texts"
        signature = f"{parts}|v={VERSION}"
        scores[run] = Score(METRIC, value, "", "higher", signature, absent=absent)
    return Rated(key.sheet, key.protocol, key.task, raters, scores)


def _matrix(key: Key, answers: Sequence[Answers]) -> Floats:
    """Raters' judgements, (R, items): 1 for human, 0 for machine, NaN for none."""
    values = {HUMAN: 1.0, MACHINE: 0.0}
    return np.array([[values.get(each.said.get(item.id, ""), math.nan) for item in key.items] for each in answers])


def _drawn(key: Key) -> list[NDArray[np.intp]]:
    """For each source the items of its draws; an item that was drawn twice is there twice."""
    found: list[list[int]] = [[] for _ in key.sources]
    for place, item in enumerate(key.items):
        for source in item.sources:
            found[source].append(place)
    return [np.array(items, dtype=np.intp) for items in found]


def _rater(answers: Answers, row: Floats, key: Key) -> Rater:
    """The row of one rater."""
    truths = [{key.sources[at].real for at in item.sources} for item in key.items]
    sure = np.array([truth.pop() if len(truth) == 1 else math.nan for truth in truths], dtype=float)
    judged, known = ~np.isnan(row), ~np.isnan(row) & ~np.isnan(sure)
    return Rater(
        answers.rater,
        int(judged.sum()),
        float(row[judged].mean()) if judged.any() else None,
        float((row[known] == sure[known]).mean()) if known.any() else None,
        float(np.median(list(answers.seconds.values()))) if answers.seconds else None,
    )


def wilson(value: float, n: float, quantile: float | None = None) -> tuple[float, float]:
    """Wilson's score interval of a share.

    Args:
        value: The share, from 0 to 1.
        n: The number of independent trials, above 0; it need not be whole.
        quantile: Of the standard normal distribution, at 1 - 0.05 / 2 by default.

    References:
        Wilson (1927), "Probable inference, the law of succession, and statistical inference", JASA 22(158).

    Example:
        >>> [round(end, 4) for end in wilson(0.6, 20)]
        [0.3866, 0.7812]
    """
    z = float(special.ndtri((1 + LEVEL) / 2)) if quantile is None else quantile
    center = (value + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(value * (1 - value) / n + z * z / (4 * n * n))
    return max(0.0, min(center - half, value)), min(1.0, max(center + half, value))


def share(matrix: Floats, columns: NDArray[np.intp]) -> Share:
    """The share of a source, without its name.

    The interval for other raters and texts is Wilson's for the number of independent answers that have the same
    standard error (Kish's effective sample size), with Student's quantile at Satterthwaite's degrees of freedom, as
    Korn and Graubard (1998, Survey Methodology 24(2)) do it for Clopper and Pearson's interval in surveys. Where all
    answers are equal, their standard error is zero and says nothing: then each rater, or each text if there are fewer
    of these, counts as one answer.
    With one rater the interval is about texts only.

    Args:
        matrix: Judgements, (R, items): 1, 0 or NaN.
        columns: The items of its draws.
    """
    own = matrix[:, columns]
    there = ~np.isnan(own)
    distinct = np.unique(columns)
    answers = int((~np.isnan(matrix[:, distinct])).sum())
    blank = Share("", False, 0, len(columns), len(distinct), 0, answers, None, None, None, TEXTS, 0.0)
    if not answers:
        return blank
    value = float(own[there].mean())
    by_rater, by_text = _means(own, 1), _means(own, 0)
    errors = [(_error(means), len(means) - 1) for means in (by_rater, by_text) if len(means) > 1]
    variance = sum(error for error, _ in errors)
    unit = BOTH if len(by_rater) > 1 else TEXTS
    least = float(min(len(by_rater), len(np.unique(columns))) if unit is BOTH else len(np.unique(columns)))
    if variance > 0 and 0 < value < 1:
        effective = min(float(answers), value * (1 - value) / variance)
        quantile = float(special.stdtrit(_degrees(errors), (1 + LEVEL) / 2))
        interval = wilson(value, effective, quantile)
    else:
        effective = least
        interval = wilson(value, least)
    return replace(blank, value=value, wilson=wilson(value, answers), interval=interval, unit=unit, effective=effective)


def difference(
    matrix: Floats, one: NDArray[np.intp], other: NDArray[np.intp], name: str = "", reference: str = ""
) -> Difference:
    """How much more often one source was judged human than another.

    The test is min F' (Clark 1973): of raters, each of whom judged both sources, and of texts, of which each is of one
    source. With complete answers to as many texts of either it is computed from the paired t of the raters and the
    two-sample t of the texts. With one rater, and where answers have no variance, it is the exchange of texts.

    Args:
        matrix: Judgements, (R, items): 1, 0 or NaN.
        one: The items of the first one's draws.
        other: Those of the other's.
        name: The first one.
        reference: The other.

    References:
        Clark (1973), "The language-as-fixed-effect fallacy", Journal of Verbal Learning and Verbal Behavior 12(4).
    """
    a, b = matrix[:, one], matrix[:, other]
    value = float(np.nanmean(a) - np.nanmean(b))
    both = ~np.isnan(a).all(1) & ~np.isnan(b).all(1)
    by_rater = np.nanmean(a[both], 1) - np.nanmean(b[both], 1) if both.any() else np.empty(0)
    texts = [_means(each, 0) for each in (a, b)]
    p_texts = _exchanged(*texts)
    blank = Difference(name, reference, value, None, p_texts, p_texts, p_texts, TEXTS)
    errors = [(_error(means), len(means) - 1) for means in texts if len(means) > 1]
    if len(errors) < 2:
        return blank
    unit = TEXTS
    if len(by_rater) > 1:
        errors.append((_error(by_rater), len(by_rater) - 1))
        unit = BOTH
    variance = sum(error for error, _ in errors)
    if variance == 0:
        return blank
    degrees = _degrees(errors)
    half = float(special.stdtrit(degrees, (1 + LEVEL) / 2)) * math.sqrt(variance)
    p = 2 * float(special.stdtr(degrees, -abs(value) / math.sqrt(variance))) if unit is BOTH else p_texts
    interval = max(-1.0, value - half), min(1.0, value + half)
    return replace(blank, interval=interval, p=p, corrected_p=p, unit=unit)


def _means(values: Floats, axis: int) -> Floats:
    """The mean of each row or column that has an answer."""
    kept = ~np.isnan(values).all(axis)
    means: Floats = np.nanmean(np.compress(kept, values, 1 - axis), axis)
    return means


def _error(means: Floats) -> float:
    """The variance of a mean; none where all are equal but for rounding."""
    return 0.0 if np.ptp(means) < 1e-12 else float(means.var(ddof=1)) / len(means)


def _degrees(errors: Sequence[tuple[float, int]]) -> float:
    """Satterthwaite's degrees of freedom of a sum of variances, each with its own."""
    return sum(error for error, _ in errors) ** 2 / sum(error**2 / degrees for error, degrees in errors if error)


def _exchanged(one: Floats, other: Floats) -> float:
    """The two-sided p of exchanging texts at random between two sources, given how each text was judged.

    Among :data:`PERMUTATIONS` random exchanges, the same at every call, the one that was seen counts, too, so that p is
    never 0 (Phipson and Smyth 2010).
    """
    together = np.concatenate([one, other])
    seen = abs(one.mean() - other.mean())
    rng = np.random.default_rng(0)
    mixed = rng.permuted(np.tile(together, (PERMUTATIONS, 1)), axis=1)
    gaps = np.abs(mixed[:, : len(one)].mean(1) - mixed[:, len(one) :].mean(1))
    return float((1 + (gaps >= seen - 1e-12).sum()) / (1 + PERMUTATIONS))


def krippendorff_alpha(matrix: Floats) -> float | None:
    """Krippendorff's alpha for nominal values: 1 is perfect agreement, 0 is what chance gives.

    Texts with fewer than two answers do not count.

    Args:
        matrix: Values, (R, items), NaN where there is none.

    Returns:
        Alpha; None where no text has two answers, and where all answers are the same, so that chance gives perfect
        agreement.

    References:
        Krippendorff (2011), "Computing Krippendorff's alpha-reliability".

    Example:
        >>> krippendorff_alpha(np.array([[1.0, 0.0, 1.0], [1.0, 0.0, 0.0]]))
        0.4444444444444444
    """
    values = np.unique(matrix[~np.isnan(matrix)])
    counts = np.array([(matrix == value).sum(0) for value in values], dtype=float).reshape(len(values), -1)
    answered = counts.sum(0)
    counts, answered = counts[:, answered > 1], answered[answered > 1]
    total = answered.sum()
    by_value = counts.sum(1)
    expected = total**2 - (by_value**2).sum()
    if expected == 0:
        return None
    observed = ((answered**2 - (counts**2).sum(0)) / (answered - 1)).sum()
    return float(1 - (total - 1) * observed / expected)
