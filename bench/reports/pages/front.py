"""The leaderboard as files that are read to the end: ``leaderboard.md`` with the answers, and one file a task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from textwrap import shorten

from bench.analysis.answers import by_metric, in_headline, summary
from bench.analysis.results import Results, Section
from bench.records.frames import as_rows
from bench.reports.document import (
    Block,
    Bullets,
    Document,
    Figure,
    Heading,
    Item,
    Line,
    Paragraph,
    Words,
    bullets,
    joined,
    line,
    link,
    prose,
    strong,
)
from bench.reports.grid import UNRANKED, Grid
from bench.reports.names import stems
from bench.reports.pages import outcome
from bench.reports.pages.leaderboard import READING, figures_of
from bench.reports.pages.provenance import data_remarks, provenance, reasons, settings, tuning, unfinished
from bench.reports.pages.summary import brief
from bench.reports.parts import Own, parts

__all__ = ["FOLDER", "pages"]

FRONT, FOLDER = "leaderboard.md", "leaderboard"
"""The first page, and the folder of the others."""
LEGEND = """\
Each cell is the mean over runs ± half the width of Student's 95 % t interval over runs, never over sentences; *n* is
the number of seeds. Arrows show the good direction: ↓ lower, ↑ higher, → nearer to real data. Bold is better than every
other contender that may win, by the sign test over seeds after Holm's correction; italics is the same where seeds are
too few for that test, if they scatter normally. † may not win: the reason stands below its table. *Controls* are there
to be beaten. All scores are those of the last training step."""


def pages(results: Results, document: Document, figures: Sequence[tuple[str, str]] = ()) -> dict[str, Document]:
    """Each page by its path, relative to the results folder.

    Args:
        results: All frames.
        document: Their leaderboard, from :func:`bench.reports.pages.leaderboard.page`, without figures.
        figures: Pairs of caption and path, relative to the results folder.
    """
    sections = results.sections()
    titles = [section.title for section in sections]
    paths = {title: f"{FOLDER}/{name}.md" for title, name in stems(titles).items()}
    own = parts(document, titles).tasks
    drawn = {title: [each for each in figures if each[0].startswith(f"{title}: ")] for title in titles}
    front: Document = [Heading(1, "Leaderboard"), Paragraph(prose(LEGEND))]
    if len(sections) > 1:
        front += bullets("Tasks:", [_won(section, paths[section.title]) for section in sections])
    found = {FRONT: front}
    for section in sections:
        front += _brief(section, paths[section.title], drawn[section.title])
        found[paths[section.title]] = _whole(section, own[section.title], drawn[section.title])
    front += [Heading(2, "How it was made"), *_untitled(provenance(results.runs))]
    return found


def _won(section: Section, path: str) -> Line:
    """A line of the table of contents: the task, and the first of its answers."""
    answers = outcome.page(section, Grid(as_rows(section.board), section.best))
    told: list[Words] = [block.words for _, blocks in answers[:1] for block in blocks if isinstance(block, Paragraph)]
    named: list[Words] = [link(section.title, path)]
    return joined(": ", named + told[:1])


def _brief(section: Section, path: str, figures: Sequence[tuple[str, str]]) -> Document:
    """The answers of a task, its main table, and where the rest is."""
    grid = Grid(as_rows(section.board), section.best)
    answers = [
        Item(joined(" ", [strong(question), *_said(blocks)]), _below(blocks))
        for question, blocks in outcome.page(section, grid)
    ]
    found, note = brief(section, grid)
    groups = tuple(replace(group, heading=str(group.heading).capitalize()) for group in found.groups)
    verdicts = [
        block
        for metric, asked in by_metric(in_headline(section.answers)).items()
        for block in bullets(prose("By `{}`, paired by seed:", metric), (f"{each}." for each in summary(asked)))
    ]
    lost = [f"{model}: {shorten(reason, 160)}" for model, reason in reasons(section.runs).items()]
    remarks = data_remarks(section.runs)  # a list: another right below needs a title, or they would be one
    rest = "all metrics and steps, verdicts in full, costs, signatures, samples, settings and figures"
    return [
        Heading(2, section.title),
        *remarks,
        *bullets("The answers:" if remarks else "", answers),
        replace(found, groups=groups),
        Paragraph(f"{note[:1].upper()}{note[1:]}."),
        *tuning(section.runs),
        *bullets("Placed by another metric than the others:", grid.placed()),
        *bullets(f"{UNRANKED} No rank, because:", grid.reasons()),
        *verdicts,
        *bullets("Without a result:", lost),
        *(Figure(*each) for each in figures[:1]),
        Paragraph((*link("The rest of this task", path), *prose(": {}.", rest))),
    ]


def _said(blocks: Sequence[Block]) -> list[Line]:
    """What an answer says before its items."""
    return [
        line(block.words) if isinstance(block, Paragraph) else (*line(block.title), *line(":"))
        for block in blocks
        if isinstance(block, Paragraph) or (isinstance(block, Bullets) and block.title)
    ]


def _below(blocks: Sequence[Block]) -> tuple[Line, ...]:
    return tuple(line(item.words) for block in blocks if isinstance(block, Bullets) for item in block.items)


def _whole(section: Section, own: Own, figures: Sequence[tuple[str, str]]) -> Document:
    """Everything on one task."""
    back = f"../{FRONT}"
    blocks: Document = [Heading(1, section.title), Paragraph(link("All tasks", back)), *own.remarks]
    if own.words:
        blocks += [Heading(2, "In words"), *own.words]
    for title, below in own.parts.items():
        blocks += [Heading(2, title), *below]
    blocks += settings(section.runs)
    blocks += unfinished(section.runs)
    blocks += figures_of([(caption, f"../{path}") for caption, path in figures])
    return [*blocks, Heading(2, "How to read it"), Paragraph(prose(READING))]


def _untitled(document: Document) -> Document:
    return [replace(block, title="") if isinstance(block, Bullets) else block for block in document]
