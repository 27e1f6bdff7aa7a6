"""The page that opens in a browser, ``index.html``: the leaderboard's document, and the same numbers as data.

Without a script it shows the document, in parts. Its script draws the table that can be sorted and opened, the costs
and the samples from :mod:`bench.reports.pages.site_data`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.analysis import throughput
from bench.analysis.learning import learning
from bench.analysis.provisional import Provisional
from bench.analysis.results import Results
from bench.records.frames import as_rows
from bench.reports.document import Block, Document
from bench.reports.families import styles_of
from bench.reports.grid import Grid
from bench.reports.html import as_data, filled, render
from bench.reports.pages import costs, kernels, outcome, samples, site_data, site_samples
from bench.reports.parts import parts

__all__ = ["SCRIPTS", "Live", "page", "waiting"]

SCRIPTS = (
    *("nodes.js", "marks.js", "grid.js", "board.js", "charts.js", "families.js", "matrix.js", "samples.js"),
    *("detail.js", "theme.js", "page.js"),
)
"""Parts of the page's script, in their order."""
DRAWING = {site_samples.TUNE: ("notation.js", "player.js"), site_samples.MOLECULE: ("molecule.js",)}
"""More of them, where the samples of any task have this form."""
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
    results: Results,
    document: Document,
    figures: Sequence[tuple[str, str]] = (),
    timings: str | None = None,
    live: Live | None = None,
) -> str:
    """The complete page as text; the same results and timings give the same text.

    Args:
        results: All frames.
        document: Their leaderboard, from :func:`bench.reports.pages.leaderboard.page`, without figures.
        figures: Pairs of caption and path, relative to where the page will be, which it links.
        timings: The text of the folder's ``throughput.csv``; None where it has none.
        live: For a page that follows runs; None for one that is a file.
    """
    sections = results.sections()
    found = parts(document, [section.title for section in sections])
    swept = {f"{each.task}, {each.preset}": each for each in results.sweeps}
    curves = {f"{each.task}, {each.preset}": each for each in learning(results.runs, results.curves)}
    tasks, data, styles = [], [], styles_of(results.runs["model"])
    for section in sections:
        grid, own, price = Grid(as_rows(section.board), section.best), found.tasks[section.title], costs.price(section)
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
        own_data = site_data.task(section, grid, curves.get(section.title), swept.get(section.title), styles)
        data.append({**own_data, "verdicts": [], "best": None} if early else own_data)
    return _filled(tasks, _rendered(found.general), figures, data, timings, live)


def waiting(live: Live) -> str:
    """The page of a folder in which no run has ended yet."""
    return _filled([], [], (), [], None, live)


def _filled(
    tasks: Sequence[Any],
    general: Sequence[tuple[str, str]],
    figures: Sequence[tuple[str, str]],
    data: Sequence[dict[str, Any]],
    timings: str | None,
    live: Live | None,
) -> str:
    forms = {task["form"] for task in data}
    drawing = [script for form, scripts in DRAWING.items() if form in forms for script in scripts]
    more = [LIVE] if live else []
    return filled(
        "index.html.j2",
        ["index.css", "charts.css", "samples.css", *(f"{name}.css" for name in more)],
        [SCRIPTS[0], *drawing, *SCRIPTS[1:], *(f"{name}.js" for name in more)],
        {"connect-src": "'self'"} if live else {},
        tasks=tasks, general=general, figures=figures, data=as_data({"tasks": data}), live=live,
        kernels=None if timings is None else _kernels(timings),
    )  # fmt: skip


def _kernels(timings: str) -> list[kernels.Device]:
    """What is shown of timings: nothing of a file that is not one of them."""
    table = throughput.parse(timings)
    return [] if table is None else kernels.devices(table)


def _rendered(parts: dict[str, list[Block]]) -> list[tuple[str, str]]:
    return [(title, render(blocks)) for title, blocks in parts.items()]
