"""The outcome of a task in four answers: who won, whether that is real, by how much, and at what cost."""

from __future__ import annotations

import math

from bench.analysis.answers import listed
from bench.analysis.catalogue import entry
from bench.analysis.cheapest import SEPARATED, Cheapest
from bench.analysis.references import REFERENCE, TUNED
from bench.analysis.results import Section
from bench.analysis.verdicts import BETTER, BETTER_IF_NORMAL, FEW, IF_NORMAL, Verdict
from bench.records.frames import FINAL, REAL_DATA
from bench.reports.document import Document, Line, Paragraph, Words, bullets, prose
from bench.reports.grid import Grid
from bench.reports.pages.costs import sentence

__all__ = ["page"]

MOST_NAMES = 12
"""So many models that are not separable from the best one are named; of more, their number is said."""


def page(section: Section, grid: Grid) -> list[tuple[str, Document]]:
    """Questions and their answers, made of the verdicts and means of the other pages; nothing where nobody has a score.

    Args:
        section: The results of one task and preset.
        grid: Its leaderboard.
    """
    found = section.cheapest
    if found is None:
        return _few(grid)
    return [
        ("Who won?", [Paragraph(_winner(grid, found))]),
        ("Is it real?", [Paragraph(_separated(found))]),
        ("By how much?", bullets(prose("{} minus", found.best), _margins(found))),
        ("At what cost?", [Paragraph(sentence(found))]),
    ]


def _few(grid: Grid) -> list[tuple[str, Document]]:
    """What can be said without five seeds that two models share: who stands first, and that nothing follows."""
    ranked = _contenders(grid)
    if not ranked:
        return []
    metric = grid.ranked_by(ranked[0])
    value = _value(grid, ranked[0], metric)
    first = prose("Of the contenders, {} stands first, with {} in `{}`.", ranked[0], value, metric)
    doubt = (
        f"Who is best cannot be told: that takes two models that may win and share {FEW} seeds or more. Single "
        "comparisons are below, in words."
    )
    return [("Who is first?", [Paragraph(first)]), ("Is it real?", [Paragraph(doubt)])]


def _winner(grid: Grid, found: Cheapest) -> Line:
    """The best model, the best contender where that is another one, and the value of real data."""
    metric, best = found.metric, found.best
    said = prose("{} has the best mean of `{}`, {}.", best, metric, _value(grid, best, metric))
    if grid.roles.get(best) == "control":
        contenders = [model for model in _contenders(grid) if grid.ranked_by(model) == metric]
        said += prose(" It is a control, there to be beaten.")
        if contenders:
            first = contenders[0]
            said += prose(" The first of the contenders is {}, {}.", first, _value(grid, first, metric))
    if (REAL_DATA, FINAL) in grid.rows and grid.cell(REAL_DATA, FINAL, metric) != "n/a":
        said += prose(" Real data: {}.", _value(grid, REAL_DATA, metric))
    return said


def _separated(found: Cheapest) -> Line:
    """Which models the seeds separate from the best one."""
    outcomes = {each.outcome for each in found.verdicts}
    grade = IF_NORMAL if BETTER_IF_NORMAL in outcomes else ", by the sign test" if BETTER in outcomes else ""
    if not found.alike:
        others = f"each of the {found.compared} others" if found.compared > 1 else "the other one"
        return prose("Yes: the seeds separate it from {} that may win{}.", others, grade)
    names = listed(list(found.not_separable)) if found.alike <= MOST_NAMES else f"{found.alike} models"
    said = prose("The seeds do not separate it from {}", names)
    if found.alike < found.compared:
        said += prose("; they separate it from the other {}{}", str(found.compared - found.alike), grade)
    return said + prose(". That no difference was shown is no evidence that there is none.")


def _margins(found: Cheapest) -> list[Words]:
    """The best model against maximum likelihood, plain and done well, and against the nearest that is separated."""
    apart = [each for each in found.verdicts if each.outcome in SEPARATED]
    nearest = sorted(apart, key=lambda each: abs(each.difference.mean) if each.difference else math.inf)[:1]
    usual = [each for each in found.verdicts if each.reference in (REFERENCE, TUNED)]
    asked = {each.reference: each for each in (*usual, *nearest)}
    return [f"{name}: {_difference(found, verdict)}" for name, verdict in asked.items()]


def _difference(found: Cheapest, verdict: Verdict) -> str:
    between, decimals = verdict.difference, entry(found.metric).decimals
    if between is None:
        return "n/a"
    text = f"{round(between.mean, decimals) + 0.0:+.{decimals}f}{f' {found.unit}' if found.unit else ''}"
    if between.low is None or between.high is None:
        return text
    return f"{text}, 95 % interval {between.low:+.{decimals}f} to {between.high:+.{decimals}f}"


def _contenders(grid: Grid) -> list[str]:
    """Contenders with a rank and a score, in the leaderboard's order."""
    return [
        model
        for model, checkpoint in grid.rows
        if checkpoint == FINAL and grid.roles[model] == "contender" and grid.ranked_by(model)
        if not grid.unranked(model, checkpoint)
    ]


def _value(grid: Grid, model: str, metric: str) -> str:
    return " ".join(filter(None, (grid.cell(model, FINAL, metric), grid.unit(metric))))
