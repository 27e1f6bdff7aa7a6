"""Differences between files of samples, as ``bench score`` shows them; those over seeds are in :mod:`.seeds`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from bench.analysis.catalogue import ARROWS, UNIT_DECIMALS, entry
from bench.reports.document import Block, Paragraph, bullets, table

if TYPE_CHECKING:
    from bench.metrics.text.report import Difference, Report, Row

__all__ = ["COLUMNS", "Judged", "as_fields", "blocks", "copies", "interval", "judged", "method"]

ALPHA = 0.05
COLUMNS = (
    *("baseline", "difference", "difference_low", "difference_high", "p", "corrected_p", "test", "outcome"),
    "untested",
)
BETTER, WORSE, NEARER, FARTHER, HIGHER, LOWER = "better", "worse", "nearer", "farther", "higher", "lower"
NOT_SEPARABLE, IDENTICAL, NO_VERDICT, NOT_TESTED = "not separable", "identical", "no verdict", "not tested"
WORDS = {
    BETTER: "better in",
    WORSE: "worse in",
    NEARER: "nearer to real text in",
    FARTHER: "farther from real text in",
    HIGHER: "higher in",
    LOWER: "lower in",
    NOT_SEPARABLE: "not separable in",
    NO_VERDICT: "no verdict in",
    NOT_TESTED: "not tested in",
}
"""Outcome to the beginning of what is said of it, in the order in which outcomes are listed."""
WINS, LOSSES = (BETTER, NEARER), (WORSE, FARTHER)


@dataclass(frozen=True, slots=True)
class Judged:
    """A difference between two files, and what it says.

    Attributes:
        difference: The difference.
        corrected_p: p after Holm's correction for all differences of the report; None where nothing was tested.
        outcome: What p says at 5 %: of scores of which higher or lower ones are better, "better" or "worse"; of those
            that are to be like real text's, "nearer" to it or "farther" from it, if that is certain, too; of others, as
            copy rates, "higher" or "lower"; or "not separable", which is no evidence that the two are equal.
            "identical" for files with the same lines, "not tested", and "no verdict" where the file that seems better
            copies its training text.
        why: Why nothing was tested, or why there is no verdict.
    """

    difference: Difference
    corrected_p: float | None
    outcome: str
    why: str | None = None


def judged(report: Report) -> list[list[Judged]]:
    """The differences of each further file, with p corrected for all of them together."""
    from bench.analysis.stats import holm  # not at the top: the scores of one file need no tests

    tested = [each.p for part in report.differences for each in part if each.p is not None]
    corrected = iter(holm(tested))
    copying = copies([row for row in report.rows if not row.real], [row for row in report.rows if row.real])
    return [
        [_judged(each, None if each.p is None else next(corrected), len(tested), copying) for each in part]
        for part in report.differences
    ]


def _judged(each: Difference, p: float | None, family: int, copying: dict[str, str]) -> Judged:
    if p is None:
        return Judged(each, None, IDENTICAL if each.untested == IDENTICAL else NOT_TESTED, each.untested)
    outcome = _outcome(each, p, family)
    winner = each.name if outcome in WINS else each.baseline if outcome in LOSSES else ""
    if winner in copying:
        return Judged(each, p, NO_VERDICT, f"{winner} {copying[winner]}")
    return Judged(each, p, outcome)


def _outcome(each: Difference, p: float, family: int) -> str:
    if p > ALPHA or not each.value:
        return NOT_SEPARABLE
    if each.direction in ("higher", "lower") and entry(each.metric).merit:
        return BETTER if (each.value > 0) == (each.direction == "higher") else WORSE
    distance_p = p if each.nearer_p == each.p else 1.0 if each.nearer_p is None else family * each.nearer_p
    if each.direction == "real" and distance_p <= ALPHA:
        return NEARER if each.nearer else FARTHER
    return HIGHER if each.value > 0 else LOWER


def copies(rows: Iterable[Row], real: Sequence[Row]) -> dict[str, str]:
    """Which files copy their training text more than real text does, as verdicts on runs have it, and how one sees it.

    Args:
        rows: Files.
        real: Real text, one row for each number of samples.
    """
    known = {score.metric: score for row in real for score in row.scores if score.metric.startswith("copy_")}
    above = [
        (row.name, score)
        for row in rows
        for score in row.scores
        if score.metric in known and (score.value or 0.0) > (known[score.metric].value or 0.0)
    ]
    if not above:
        return {}
    import pandas as pd

    from bench.records.frames import FINAL, REAL_DATA

    listed = [*above, *((REAL_DATA, score) for score in known.values())]
    frame = pd.DataFrame(
        {
            **{"task": "", "preset": "", "model": name, "checkpoint": FINAL, "metric": score.metric},
            **{"value": score.value, "signature": str(score.signature)},
        }
        for name, score in listed
    )
    copiers = import_module("bench.analysis.copying").copiers
    return {model: phrase for (_, _, model, _), phrase in copiers(frame).items()}


def as_fields(each: Judged | None) -> dict[str, Any]:
    """:data:`COLUMNS` of a difference, unrounded; all None for a score that is compared with nothing."""
    if each is None:
        return dict.fromkeys(COLUMNS)
    found = each.difference
    values = found.baseline, found.value, found.low, found.high, found.p, each.corrected_p, found.test or None
    return dict(zip(COLUMNS, (*values, each.outcome, each.why), strict=True))


def method(report: Report) -> str:
    """How differences over samples were made and tested, in sentences."""
    family = sum(each.p is not None for part in report.differences for each in part)
    return (
        "Differences are the file's scores minus the baseline's. Their 95 % intervals and p are made by resampling the "
        "samples of each file 1,000 times, independently, since no line of one belongs to a line of the other (shares "
        "of samples: Newcombe's interval, Fisher's exact test). They are about other samples of the same two models, "
        "given the references, which both share; other training runs of them may differ by more. p is corrected by "
        f"Holm's method for {'all ' * (family > 1)}{family:,} comparison{'s' * (family != 1)} shown, the intervals are "
        "not; an outcome is what p of at most 0.05 says."
    )


def blocks(report: Report, names: dict[str, str]) -> list[Block]:
    """A table for each further file, what it says in words, and how it was made.

    Args:
        report: What to show.
        names: File to the name that it is shown with.
    """
    found: list[Block] = []
    for part in filter(None, judged(report)):
        one, other = (names[name] for name in (part[0].difference.name, part[0].difference.baseline))
        header = (f"{one} minus {other}", "difference", "95 % interval", "p (Holm)", "outcome")
        if part[0].outcome == IDENTICAL:
            found.append(Paragraph(f"{one} and {other} have the same lines: there is no difference to test."))
            continue
        found.append(Paragraph(""))
        found.append(table(header, (_line(each) for each in part if each.difference.value is not None)))
        found += bullets(f"{one}, beside {other}, is", _in_words(part))
    return [*found, Paragraph(method(report))]


def _line(each: Judged) -> tuple[str, ...]:
    found = each.difference
    heading = " ".join(filter(None, (found.metric, ARROWS[found.direction], found.unit)))
    decimals = UNIT_DECIMALS[found.unit]
    p = "" if each.corrected_p is None else "< 0.0001" if each.corrected_p < 0.0001 else f"{each.corrected_p:.2g}"
    return heading, f"{found.value:+,.{decimals}f}", interval(found.low, found.high, found.unit), p, each.outcome


def interval(low: float | None, high: float | None, unit: str) -> str:
    """Both ends of an interval of a difference; "" where there is none."""
    if low is None or high is None:
        return ""
    return " to ".join(f"{end:+,.{UNIT_DECIMALS[unit]}f}" for end in (low, high))


def _in_words(part: Sequence[Judged]) -> list[str]:
    """Which metrics have each outcome, and why some have none."""
    metrics: dict[tuple[str, str], list[str]] = {}
    for each in part:
        metrics.setdefault((each.outcome, each.why or ""), []).append(each.difference.metric)
    order = list(WORDS)
    return [
        f"{WORDS[outcome]} {', '.join(listed)}" + (f": {why}" if why else "")
        for (outcome, why), listed in sorted(metrics.items(), key=lambda item: order.index(item[0][0]))
    ]
