"""Leaderboards, tables and plots: pure functions of the results frames."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table


def write_reports(runs: pd.DataFrame, scores: pd.DataFrame, curves: pd.DataFrame, folder: Path) -> list[Table]:
    """Write ``leaderboard.csv``, ``leaderboard.md`` and ``figures/``; return the tables for a terminal.

    Args:
        runs: One row a run.
        scores: One row a run, checkpoint and metric.
        curves: One row a run, step and name.
        folder: The results folder.
    """
    from bench.reports.leaderboard import aggregate, write_csv
    from bench.reports.plots import write_plots
    from bench.reports.tables import markdown, terminal

    write_csv(folder / "leaderboard.csv", aggregate(runs, scores))
    figures = write_plots(runs, scores, curves, folder / "figures")
    shown = [(caption, f"figures/{name}") for caption, name in figures]
    (folder / "leaderboard.md").write_text(markdown(runs, scores, curves, shown), encoding="utf-8", newline="\n")
    return terminal(runs, scores)
