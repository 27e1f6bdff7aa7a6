"""A comparison as a page that opens in a browser, ``comparison.html``: what changed, and whether it is real.

Without a script it shows the answers and the table of :mod:`bench.reports.pages.comparison`. Its script draws the table
that can be sorted, filtered and opened from :mod:`bench.reports.pages.comparison_data`.
"""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Sequence

from bench.analysis.compare import (
    ALPHA,
    FAILED,
    MISSING,
    NEW,
    NO_DIFFERENCE,
    NOT_COMPARABLE,
    RED,
    SAME,
    UNTESTED,
    Comparison,
)
from bench.analysis.verdicts import BETTER, WORSE
from bench.reports.document import Document, Paragraph, Words, bullets, prose, strong, table
from bench.reports.html import as_data, filled, render
from bench.reports.pages import comparison as tables
from bench.reports.pages.comparison_data import FIELDS, Side, data, differences, kind, places

__all__ = ["SCRIPTS", "page"]

STYLES = ("index.css", "comparison.css")
SCRIPTS = ("nodes.js", "marks.js", "grid.js", "theme.js", "comparison.js")
"""Parts of the page's script, in their order."""
NAMED = 6
"""Most models that a sentence names."""
MEANINGS = {
    FAILED: "a run of head failed or never ended, or a score that base had has no value",
    MISSING: "only base has it, or a seed of it",
    WORSE: "the test says so, after the correction for all tests; or it is mixed, and not all of it is for the better",
    UNTESTED: "it changed, and no test says how: one seed, another signature, other data, or the real data changed",
    NOT_COMPARABLE: "base has no number, or what seems better may not win or is one observation",
    BETTER: "the test says so, after the correction for all tests",
    NEW: "only head has it",
    NO_DIFFERENCE: "it changed, and no difference could be shown; that is no evidence that there is none",
    SAME: "equal, except for rounding",
}
"""What each verdict means, those that matter most first; cells that did not change are apart, and last."""
SAID = {NO_DIFFERENCE: "changed, but no difference could be shown"}
"""Verdicts that a sentence says in other words."""
INTERVALS = (
    "Differences are head - base, paired by seed, with Student's 95 % interval; where nearness to the real data is the "
    "goal, they are those of the distance from it. An interval is that of one cell alone, and p is corrected for the "
    "number of tests: an interval may exclude zero where no difference could be shown."
)
SILENT = "is a file of accepted results, which says nothing of fields, versions, commits and machines"


def page(comparison: Comparison, base: Side, head: Side, against: Sequence[str] = ()) -> str:
    """The complete page as text; the same results give the same text.

    Args:
        comparison: The verdicts on the scores of both sides.
        base: Those from before.
        head: Those from after.
        against: As for :func:`bench.analysis.opponents.opposed`, which made the scores of both sides.
    """
    answers = {
        "What changed?": _changes(comparison),
        "Is it real?": _reality(comparison),
        "What could not be compared?": _gaps(comparison, against),
        "What differs between the two?": _circumstances(base, head),
    }
    return filled(
        "comparison.html.j2", STYLES, SCRIPTS,
        base=base.name, head=head.name, passes=comparison.passes,
        ending=comparison.summary.partition(": ")[2], red=f"{', '.join(RED[:-1])} or {RED[-1]}",
        answers=[(question, render(answer)) for question, answer in answers.items()],
        table=render(tables.page(comparison)), obstacles=render(_obstacles(comparison)),
        meanings=render([table(["verdict", "what it means"], MEANINGS.items(), left=2), Paragraph(INTERVALS)]),
        data=as_data(data(comparison, base, head, against)),
    )  # fmt: skip


def _changes(comparison: Comparison) -> Document:
    """How many cells got each verdict, those that changed first."""
    counts = Counter(map(kind, comparison.cells))
    told = [
        f"{counts[each]} {SAID.get(each, each)}{_whose(comparison, each)}"
        for each in MEANINGS
        if counts[each] and each != SAME
    ]
    if not told:
        return [Paragraph(f"Nothing: all {len(comparison.cells)} cells are the same, except for rounding.")]
    same = f"{counts[SAME]} of {len(comparison.cells)} cells are the same, except for rounding; the others:"
    return bullets(same, told)


def _whose(comparison: Comparison, verdict: str) -> str:
    """The models that got a verdict most often, as the end of a sentence."""
    models = Counter(cell.key.model for cell in comparison.cells if kind(cell) == verdict)
    named = ", ".join(f"{model} ({count})" if count > 1 else model for model, count in models.most_common(NAMED))
    return f": {named}{f' and {len(models) - NAMED} others' if len(models) > NAMED else ''}"


def _reality(comparison: Comparison) -> Document:
    """What the tests can say."""
    counts = comparison.counts
    if not comparison.family:
        return [Paragraph("Nothing was tested: no cell that both have changed in two or more seeds.")]
    said = (
        f"{comparison.family} cells changed and were tested, paired by seed. The probability of calling any of them "
        f"better or worse by chance is at most {100 * ALPHA:g} %, for all of them together."
    )
    found = f"Called worse: {counts[WORSE]}; called better: {counts[BETTER]}."
    more = " Some changed on too few seeds to decide: use more seeds." if comparison.undecided else ""
    return [Paragraph(said), Paragraph(f"{found}{more}")]


def _gaps(comparison: Comparison, against: Sequence[str]) -> Document:
    """The cells without a comparison, and what may be done about them."""
    counts = comparison.counts
    told: list[Words] = [
        f"{counts[verdict]} {verdict}: {MEANINGS[verdict]}."
        for verdict in (FAILED, MISSING, UNTESTED, NOT_COMPARABLE, NEW)
        if counts[verdict]
    ]
    told += [] if against else _renamed(comparison)
    if comparison.vanished:
        told.append("No score of any model could be compared.")
    return bullets("", told) if told else [Paragraph("Nothing: every cell of either side was compared.")]


def _renamed(comparison: Comparison) -> list[Words]:
    """Models that are new in head, and are in base under the same name with other fields set."""
    missing, new = (
        dict.fromkeys(cell.key[:3] for cell in comparison.cells if cell.verdict == verdict)
        for verdict in (MISSING, NEW)
    )
    found: dict[tuple[str, str], None] = {}
    for task, preset, model in new:
        for other in missing:
            if other[:2] == (task, preset) and _plain(other[2]) == _plain(model):
                found[other[2], model] = None
    return [
        prose(
            "Fields that were set are part of a name: `--against {}` compares {} with {}.", shlex.quote(old), new, old
        )
        for old, new in found
    ]


def _plain(label: str) -> str:
    """A model's label without the fields that were set."""
    return label.partition("[")[0]


def _circumstances(base: Side, head: Side) -> Document:
    """Versions, commits and machines that differ, and how many fields."""
    for side in (base, head):
        if side.records is None:
            return [Paragraph(f"{side.name} {SILENT}.")]
    before, after = (places(side.records or ()) for side in (base, head))
    names = dict.fromkeys([*before, *after])
    told: list[Words] = [
        f"{name}: {before.get(name, 'none')} → {after.get(name, 'none')}"
        for name in names
        if before.get(name) != after.get(name)
    ]
    fields = [each.name for each in differences(base.records or (), head.records or ()) if each.name.startswith(FIELDS)]
    if fields:
        told.append("Fields of generators differ: a cell says which.")
    where = "Versions, commit, machine and fields are the same on both sides."
    return bullets("", told) if told else [Paragraph(where)]


def _obstacles(comparison: Comparison) -> Document:
    """Why cells could not be compared: a list for each verdict, an item for each reason."""
    blocks: Document = []
    for verdict in (FAILED, MISSING, UNTESTED, NOT_COMPARABLE, NEW):
        reasons: dict[str, list[str]] = {}
        for cell in comparison.cells:
            if cell.verdict == verdict:
                task, preset, model, checkpoint, metric = cell.key
                name = " ".join(filter(None, (model, checkpoint if checkpoint != "final" else "", metric)))
                reasons.setdefault(f"{task}, {preset}: {cell.words}", []).append(name)
        blocks += bullets(
            strong(verdict.capitalize()),
            (
                f"{reason} ({len(names)}): {', '.join(names[:NAMED])}{', ...' * (len(names) > NAMED)}"
                for reason, names in reasons.items()
            ),
        )
    return blocks
