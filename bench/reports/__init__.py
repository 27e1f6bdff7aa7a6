"""Leaderboards, tables and plots: pure functions of the results frames."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import RenderableType


def write_reports(
    runs: pd.DataFrame, scores: pd.DataFrame, curves: pd.DataFrame, frontier: pd.DataFrame, folder: Path
) -> list[RenderableType]:
    """Write ``leaderboard.csv`` and ``.md``, ``verdicts.csv`` and ``figures/``; return what a terminal shows.

    Args:
        runs: One row a run.
        scores: One row a run, checkpoint and metric.
        curves: One row a run, step and name.
        frontier: One row a run, temperature and metric.
        folder: The results folder.
    """
    from bench.reports.answers import table
    from bench.reports.figures import write_figures
    from bench.reports.leaderboard import write_csv
    from bench.reports.results import Results
    from bench.reports.tables import markdown
    from bench.reports.terminal import terminal

    results = Results(runs, scores, curves, frontier)
    write_csv(folder / "leaderboard.csv", results.board)
    write_csv(folder / "verdicts.csv", table(results.answers))
    figures = write_figures(results, folder / "figures")
    shown = [(caption, f"figures/{name}") for caption, name in figures]
    (folder / "leaderboard.md").write_text(markdown(results, shown), encoding="utf-8", newline="\n")
    return terminal(results)
