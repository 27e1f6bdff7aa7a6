"""The page that opens in a browser, ``index.html``: the leaderboard's document, and the same numbers as data.

Without a script it shows the document, in parts. Its script draws the table that can be sorted and opened, the costs
and the samples from :mod:`bench.reports.pages.site_data`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.analysis.frontier import sweeps
from bench.analysis.learning import learning
from bench.analysis.provisional import Provisional
from bench.analysis.results import Results
from bench.records.frames import as_rows
from bench.reports.document import Block, Document, Heading, Table, text_of
from bench.reports.grid import Grid
from bench.reports.html import as_data, filled, render
from bench.reports.pages import costs, outcome, samples, site_data

__all__ = ["SCRIPTS", "Live", "page", "waiting"]

BEGINNING = "How to read it, and how it was made"
"""The name of what stands before the first task."""
SCRIPTS = ("nodes.js", "board.js", "charts.js", "detail.js", "page.js")
"""Parts of the page's script, in their order."""
LIVE = "live"
"""The name of the script and the style of what shows the progress of runs that are under way."""


@dataclass(frozen=True, slots=True)
class Live:
    """What makes the page one that follows runs, and asks its server how far they are.

    Attributes:
        version: Of the results on it; where the server has another, the page loads itself again.
        provisional: Title of a task that is not over to how far it is. Without a complete seed nothing is compared.
    """

    version: str
    provisional: Mapping[str, Provisional]


def page(
    results: Results, document: Document, figures: Sequence[tuple[str, str]] = (), live: Live | None = None
) -> str:
    """The complete page as text; the same results give the same text.

    Args:
        results: All frames.
        document: Their leaderboard, from :func:`bench.reports.pages.leaderboard.page`, without figures.
        figures: Pairs of caption and path, relative to where the page will be, which it links.
        live: For a page that follows runs; None for one that is a file.
    """
    sections = results.sections()
    parts = _parts(document, [section.title for section in sections])
    swept = {f"{found.task}, {found.preset}": found for found in sweeps(results.runs, results.frontier)}
    curves = {f"{found.task}, {found.preset}": found for found in learning(results.runs, results.curves)}
    tasks, data = [], []
    for section in sections:
        grid, own, price = Grid(as_rows(section.board), section.best), parts.tasks[section.title], costs.price(section)
        so_far = live.provisional.get(section.title) if live else None
        early = so_far is not None and not so_far.complete
        tasks.append(
            {
                "title": section.title,
                "answers": [
                    (question, render(answer)) for question, answer in outcome.page(section, grid) if not early
                ],
                "remarks": render(own.remarks),
                "words": render(block for block in own.words if block not in price and not early),  # an answer
                "samples": render(own.parts.pop(samples.TITLE, [])),
                "parts": _rendered(own.parts),
                "provisional": so_far.words() if so_far else "",
            }
        )
        own_data = site_data.task(section, grid, curves.get(section.title), swept.get(section.title))
        data.append({**own_data, "verdicts": [], "best": None} if early else own_data)
    return _filled(tasks, _rendered(parts.general), figures, data, live)


def waiting(live: Live) -> str:
    """The page of a folder in which no run has ended yet."""
    return _filled([], [], (), [], live)


def _filled(
    tasks: Sequence[Any],
    general: Sequence[tuple[str, str]],
    figures: Sequence[tuple[str, str]],
    data: Sequence[Any],
    live: Live | None,
) -> str:
    styles, scripts = ["index.css", *([f"{LIVE}.css"] if live else [])], [*SCRIPTS, *([f"{LIVE}.js"] if live else [])]
    return filled(
        "index.html.j2", styles, scripts, {"connect-src": "'self'"} if live else {},
        tasks=tasks, general=general, figures=figures, data=as_data({"tasks": data}), live=live,
    )  # fmt: skip


@dataclass(slots=True)
class Own:
    """What a document says of one task: before all else, in words, and the tables by their headings."""

    remarks: list[Block] = field(default_factory=list)
    words: list[Block] = field(default_factory=list)
    parts: dict[str, list[Block]] = field(default_factory=dict)


@dataclass(slots=True)
class Parts:
    """A document by tasks, and what it says of all."""

    tasks: dict[str, Own]
    general: dict[str, list[Block]]


def _parts(document: Document, titles: Iterable[str]) -> Parts:
    """Everything in the document once, but for introductions, which stand before the part of each task."""
    parts = Parts({title: Own() for title in titles}, {})
    for title, blocks in _split(document, 2):
        intro, *others = _split(blocks, 3)
        if title in parts.tasks:
            own = parts.tasks[title]
            own.remarks += intro[1]
            for name, below in others:
                if any(isinstance(block, Table) for block in below):
                    own.parts[name] = below
                else:
                    own.words += below
            continue
        kept: list[Block] = []
        for name, below in others:
            if name in parts.tasks:
                parts.tasks[name].parts[title] = [*intro[1], *below]
            else:
                kept += [Heading(3, name), *below]
        if kept or len(others) == 0:
            parts.general[title or BEGINNING] = [*intro[1], *kept]
    return parts


def _split(blocks: Iterable[Block], level: int) -> Iterator[tuple[str, list[Block]]]:
    """Headings of a level with the blocks below each, after those before the first one; the title is left out."""
    title, below = "", list[Block]()
    for block in blocks:
        if isinstance(block, Heading) and block.level == level:
            yield title, below
            title, below = text_of(block.words), []
        elif not (isinstance(block, Heading) and block.level == 1):
            below.append(block)
    yield title, below


def _rendered(parts: dict[str, list[Block]]) -> list[tuple[str, str]]:
    return [(title, render(blocks)) for title, blocks in parts.items()]
