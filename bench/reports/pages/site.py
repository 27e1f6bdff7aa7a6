"""The page that opens in a browser, ``index.html``: the leaderboard's document, and the same numbers as data.

Without a script it shows the document, in parts. Its script draws the table that can be sorted and opened, the costs
and the samples from :mod:`bench.reports.pages.site_data`.
"""

from __future__ import annotations

from collections.abc import Sequence

from bench.analysis import throughput
from bench.analysis.frontier import sweeps
from bench.analysis.learning import learning
from bench.analysis.results import Results
from bench.records.frames import as_rows
from bench.reports.document import Block, Document
from bench.reports.families import styles_of
from bench.reports.grid import Grid
from bench.reports.html import as_data, filled, render
from bench.reports.pages import costs, kernels, outcome, samples, site_data, site_samples
from bench.reports.parts import parts

__all__ = ["SCRIPTS", "page"]

SCRIPTS = (
    *("nodes.js", "marks.js", "grid.js", "board.js", "charts.js", "families.js", "matrix.js", "samples.js"),
    *("detail.js", "theme.js", "page.js"),
)
"""Parts of the page's script, in their order."""
DRAWING = {site_samples.TUNE: ("notation.js", "player.js"), site_samples.MOLECULE: ("molecule.js",)}
"""More of them, where the samples of any task have this form."""


def page(
    results: Results, document: Document, figures: Sequence[tuple[str, str]] = (), timings: str | None = None
) -> str:
    """The complete page as text; the same results and timings give the same text.

    Args:
        results: All frames.
        document: Their leaderboard, from :func:`bench.reports.pages.leaderboard.page`, without figures.
        figures: Pairs of caption and path, relative to where the page will be, which it links.
        timings: The text of the folder's ``throughput.csv``; None where it has none.
    """
    sections = results.sections()
    found = parts(document, [section.title for section in sections])
    swept = {f"{each.task}, {each.preset}": each for each in sweeps(results.runs, results.frontier)}
    curves = {f"{each.task}, {each.preset}": each for each in learning(results.runs, results.curves)}
    tasks, data, styles = [], [], styles_of(results.runs["model"])
    for section in sections:
        grid, own, price = Grid(as_rows(section.board), section.best), found.tasks[section.title], costs.price(section)
        tasks.append(
            {
                "title": section.title,
                "answers": [(question, render(answer)) for question, answer in outcome.page(section, grid)],
                "remarks": render(own.remarks),
                "words": render(block for block in own.words if block not in price),  # it is one of the answers
                "samples": render(own.parts.pop(samples.TITLE, [])),
                "parts": _rendered(own.parts),
            }
        )
        data.append(site_data.task(section, grid, curves.get(section.title), swept.get(section.title), styles))
    forms = {task["form"] for task in data}
    drawing = [script for form, scripts in DRAWING.items() if form in forms for script in scripts]
    return filled(
        "index.html.j2", ["index.css", "charts.css", "samples.css"], [SCRIPTS[0], *drawing, *SCRIPTS[1:]],
        tasks=tasks, general=_rendered(found.general), figures=figures, data=as_data({"tasks": data}),
        kernels=None if timings is None else _kernels(timings),
    )  # fmt: skip


def _kernels(timings: str) -> list[kernels.Device]:
    """What is shown of timings: nothing of a file that is not one of them."""
    table = throughput.parse(timings)
    return [] if table is None else kernels.devices(table)


def _rendered(parts: dict[str, list[Block]]) -> list[tuple[str, str]]:
    return [(title, render(blocks)) for title, blocks in parts.items()]
