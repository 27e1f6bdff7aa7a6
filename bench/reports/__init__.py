"""Leaderboards, tables and plots: pure functions of the results frames."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from bench.reports.document import Document


def write_reports(
    runs: pd.DataFrame, scores: pd.DataFrame, curves: pd.DataFrame, frontier: pd.DataFrame, folder: Path
) -> Document:
    """Write ``leaderboard.csv`` and ``.md``, ``verdicts.csv`` and ``figures/``; return the same in brief.

    Args:
        runs: One row a run.
        scores: One row a run, checkpoint and metric.
        curves: One row a run, step and name.
        frontier: One row a run, temperature and metric.
        folder: The results folder.
    """
    from bench.analysis.answers import table
    from bench.analysis.leaderboard import write_csv
    from bench.analysis.results import Results
    from bench.reports import markdown
    from bench.reports.figures.drawing import write_figures
    from bench.reports.pages import leaderboard as tables
    from bench.reports.pages import summary

    results = Results(runs, scores, curves, frontier)
    write_csv(folder / "leaderboard.csv", results.board)
    write_csv(folder / "verdicts.csv", table(results.answers))
    figures = write_figures(results, folder / "figures")
    shown = [(caption, f"figures/{name}") for caption, name in figures]
    text = markdown.render(tables.page(results, shown))
    (folder / "leaderboard.md").write_text(text, encoding="utf-8", newline="\n")
    return summary.page(results)
