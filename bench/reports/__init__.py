"""Leaderboards, tables and plots: pure functions of the results frames."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bench.errors import Halted

if TYPE_CHECKING:
    from bench.analysis.results import Results
    from bench.reports.document import Document


def write_reports(results: Results, folder: Path, formats: Sequence[str] = ()) -> Document:
    """Write the leaderboard and its pages; return it in brief.

    They are ``leaderboard.csv`` and ``.md``, ``leaderboard/`` with a page for each task, ``index.html``,
    ``verdicts.csv`` and ``figures/``.

    Args:
        results: What to show.
        folder: The results folder.
        formats: Of figures, beside PNG: "pdf", "svg".

    Raises:
        Halted: for a file that cannot be written.
    """
    try:
        return _write_reports(results, folder, formats)
    except OSError as error:
        raise Halted(
            f"cannot write the reports to '{folder}': {error.strerror or error}. The runs are kept: 'bench report' "
            "makes the reports of them."
        ) from error


def _write_reports(results: Results, folder: Path, formats: Sequence[str]) -> Document:
    from bench.analysis.answers import table
    from bench.analysis.leaderboard import write_csv
    from bench.records.files import write_atomically
    from bench.reports import markdown
    from bench.reports.figures.drawing import write_figures
    from bench.reports.pages import front, leaderboard, site, summary

    write_csv(folder / "leaderboard.csv", results.board)
    write_csv(folder / "verdicts.csv", table(results.answers))
    drawn = write_figures(results, folder / "figures", formats)
    figures = [(caption, f"figures/{name}") for caption, name in drawn]
    document = leaderboard.page(results)
    (folder / front.FOLDER).mkdir(exist_ok=True)
    for path, page in front.pages(results, document, figures).items():
        write_atomically(folder / path, markdown.render(page))
    write_atomically(folder / "index.html", site.page(results, document, figures, throughput_of(folder)))
    return summary.page(results)


def throughput_of(folder: Path) -> str | None:
    """What ``bench perf`` wrote into the folder; None where it wrote nothing, and "" where it cannot be read."""
    try:
        return (folder / "throughput.csv").read_text(encoding="utf-8-sig", errors="replace")
    except FileNotFoundError:
        return None
    except OSError:
        return ""
