"""The leaderboard in brief, for a terminal: one compact table per task, and its verdicts in words."""

from __future__ import annotations

from dataclasses import replace
from textwrap import shorten

from bench.analysis.answers import Answer, by_metric, in_headline, summary
from bench.analysis.catalogue import Shown, headlines, kind_of_task
from bench.analysis.results import Results, Section
from bench.analysis.verdicts import FEW
from bench.records.frames import FINAL, as_rows
from bench.reports.document import Document, Group, Paragraph, Table, Words, bullets
from bench.reports.grid import UNRANKED, Grid
from bench.reports.pages.costs import price
from bench.reports.pages.provenance import reasons, tuning

__all__ = ["brief", "page", "so_far"]


def page(results: Results) -> Document:
    """One compact table per task with the main metrics, narrow enough for 80 columns, and its verdicts below."""
    return [block for section in results.sections() for block in _section(section)]


def so_far(results: Results, part: str | None = None) -> Document:
    """The verdicts on contenders, for those who watch the runs.

    Args:
        results: Of the seeds that are complete.
        part: Which these are, "2 of 5 seeds"; None where nothing of this task is left to be done.
    """
    blocks: Document = []
    for section in results.sections():
        verdicts = _verdicts(in_headline(section.answers), section.one_test_set)
        state = f"provisional, {part}" if part else "all its seeds are there"
        blocks += [Paragraph(f"{section.title} ({state})"), *verdicts] if verdicts else []
    return blocks


def _section(section: Section) -> Document:
    grid = Grid(as_rows(section.board), section.best)
    found, note = brief(section, grid)
    return [
        replace(found, caption=section.title),
        Paragraph(note),
        *tuning(section.runs),
        *bullets("Placed by another metric than the others:", grid.placed()),
        *bullets(f"{UNRANKED} No rank, because:", grid.reasons()),
        *bullets("Collapsed seeds:", grid.collapsed()),
        *_verdicts(in_headline(section.answers), section.one_test_set),
        *price(section),
        *(Paragraph(f"{model}: {shorten(reason, 160)}") for model, reason in reasons(section.runs).items()),
        Paragraph(""),
    ]


def brief(section: Section, grid: Grid) -> tuple[Table, str]:
    """The table of the main metrics, of final steps alone, and what its cells are."""
    kind = kind_of_task(filter(grid.measured, grid.metrics))
    metrics = [metric for metric in headlines(kind, Shown.TERMINAL) if grid.measured(metric)]
    header = ["model", *(f"{metric} {grid.arrow(metric)}".strip() for metric in metrics), "n"]
    groups: dict[str, list[tuple[Words, ...]]] = {"": [], "controls": []}
    why = reasons(section.runs)
    for model, checkpoint in grid.rows:
        if checkpoint == FINAL:
            seeds = grid.seeds(model, checkpoint)
            cells = [grid.brief(model, checkpoint, metric) for metric in metrics]
            if cells and not any(cells):
                cells[0] = why.get(model, "no result").partition(":")[0]
            groups["controls" if grid.roles[model] == "control" else ""].append(
                (grid.label(model, checkpoint), *cells, seeds.replace(" of ", "/"))
            )
    kept = tuple(Group(heading, tuple(lines)) for heading, lines in groups.items() if lines)
    note = "mean ± 95% t interval over n seeds"
    if any(0 < row["n"] < FEW for row in grid.lines):
        note += f"; n < {FEW}: intervals and verdicts are weak"
    if any(metric in grid.best and not grid.best[metric].firm for metric in metrics):
        note += "; italics: the best, if seeds scatter normally"
    return Table(tuple(header), kept, compact=True), note


def _verdicts(asked: list[Answer], one_test_set: bool) -> Document:
    """The verdicts on the contenders in the headline metric, and in another one where that says nothing."""
    blocks: Document = []
    place = " on this test set" if one_test_set else ""
    for metric, same in by_metric(asked).items():
        family = same[0].verdict.family
        corrected = f", Holm-corrected for {family} comparisons" if family > 1 else ""
        blocks += bullets(f"By {metric}{place}, paired by seed{corrected}:", summary(same))
    return blocks
