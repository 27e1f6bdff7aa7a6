"""The leaderboard for a terminal: one compact table a task, and what it says in words."""

from __future__ import annotations

from textwrap import shorten

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from bench.analysis.catalogue import Shown, headlines, kind_of_task
from bench.records.frames import FINAL, as_rows
from bench.reports.answers import Answer, best, in_headline, summary
from bench.reports.grid import Grid
from bench.reports.results import Results
from bench.reports.tables import reasons
from bench.verdicts import FEW

__all__ = ["terminal"]


def terminal(results: Results) -> list[RenderableType]:
    """One compact table a task with the main metrics, narrow enough for 80 columns, and its verdicts below."""
    shown: list[RenderableType] = []
    for section in results.sections():
        grid = Grid(as_rows(section.board), best(section.runs, section.scores))
        table = Table(
            box=box.SIMPLE_HEAD,
            padding=0,
            show_edge=False,
            title=Text(section.title, style="bold"),
            title_justify="left",
        )
        kind = kind_of_task(filter(grid.measured, grid.metrics))
        metrics = [metric for metric in headlines(kind, Shown.TERMINAL) if grid.measured(metric)]
        table.add_column("model", overflow="fold", min_width=10, max_width=22)
        for metric in metrics:
            name, _, rest = metric.rpartition("_")
            heading = f"{name} {grid.arrow(metric)}\n{rest}" if name else f"{rest}\n{grid.arrow(metric)}"
            table.add_column(heading, justify="right", no_wrap=True)
        table.add_column("n", justify="right")
        controls = False
        for model, checkpoint in grid.rows:
            if checkpoint != FINAL:
                continue
            if grid.roles[model] == "control" and not controls:
                controls = True
                table.add_section()
                table.add_row(Text("controls", style="italic"))
            seeds = grid.seeds(model, checkpoint)
            cells = [
                Text(
                    _narrow(grid.cell(model, checkpoint, metric), seeds),
                    style="bold" if grid.is_best(model, checkpoint, metric) else "",
                )
                for metric in metrics
            ]
            table.add_row(Text(model), *cells, seeds.replace(" of ", "/"))
        notes = ["mean ± 95% t interval over n seeds"]
        if any(0 < row["n"] < FEW for row in grid.lines):
            notes[0] += f"; n < {FEW}: intervals and verdicts are weak"
        notes += _verdicts(in_headline(section.answers))
        notes += [f"{model}: {shorten(reason, 160)}" for model, reason in reasons(section.runs).items()]
        shown.append(Group(table, Text("\n".join(notes)), Text()))
    return shown


def _narrow(cell: str, seeds: str) -> str:
    """The cell on several lines, without a number of seeds that the last column says."""
    cell = cell.replace(f" (n={seeds.partition(' ')[0]})", "").replace(" / ", "\n")
    return cell.replace(" ± ", "\n±").replace(" (n=", "\n(n=")


def _verdicts(asked: list[Answer]) -> list[str]:
    """How the contenders stand in the headline metric."""
    if not asked:
        return []
    family = asked[0].verdict.family
    corrected = f", Holm-corrected for {family} comparisons" if family > 1 else ""
    return [f"By {asked[0].metric}, paired by seed{corrected}:", *(f"  {line}" for line in summary(asked))]
