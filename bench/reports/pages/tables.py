"""Tables of a results folder for papers and programs: LaTeX, Markdown, CSV and JSON of the same cells.

The cells, their order, what is bold and what is marked are those of the leaderboard (:class:`bench.reports.grid.Grid`).
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from bench.analysis import catalogue
from bench.analysis.catalogue import MEANINGS, Shown, headlines, kind_of_task
from bench.analysis.results import Results, Section
from bench.analysis.verdicts import BETTER, BETTER_IF_NORMAL, FEW
from bench.errors import UsageError, unknown
from bench.records.frames import FINAL, Row, as_rows, as_tuples
from bench.reports import latex, markdown
from bench.reports.document import Document, Group, Table, Words, bullets, text_of
from bench.reports.grid import UNRANKED, Grid
from bench.reports.pages.provenance import reasons
from bench.visible import cell, visible

__all__ = ["ALL", "COLUMNS", "FORMATS", "HEADLINE", "Scores", "as_csv", "as_json", "as_latex", "as_markdown", "chosen"]

SCHEMA = 1
HEADLINE, CHOSEN, ALL = "headline", "chosen scores", "all"
BEST = "better than every other contender"
COLUMNS = (
    *("task", "preset", "table", "role", "model", "checkpoint", "metric", "unit", "direction"),
    *("mean", "low", "high", "n", "best", "unranked_because", "absent", "signature"),
)
"""Columns of the CSV, one line for each cell; ``docs/report.md`` says what they hold."""


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """A table of one task: rows of models and columns of metrics.

    Attributes:
        section: The results of the task.
        grid: Its leaderboard, costs included.
        name: What the table is called: :data:`HEADLINE`, :data:`CHOSEN` or a theme of the catalogue.
        metrics: Its columns.
        rows: Its rows, as pairs of model and checkpoint.
    """

    section: Section
    grid: Grid
    name: str
    metrics: tuple[str, ...]
    rows: tuple[tuple[str, str], ...]

    @property
    def notes(self) -> list[Words]:
        """What marks in the table mean, and why rows of it have no numbers."""
        grid, why = self.grid, reasons(self.section.runs)
        empty = [model for model, checkpoint in self.rows if grid.of(model, checkpoint)[0]["metric"] == ""]
        last = all(checkpoint == FINAL for _, checkpoint in self.rows)  # of other steps, nothing is shown
        marked = [
            line for line in grid.reasons() if not last or any(line.startswith(f"{row[0]}: ") for row in self.rows)
        ]
        told = {
            f"{UNRANKED} No rank, and never called better.": marked,
            "Placed by another metric than the others.": grid.placed(),
        }
        return [
            *(f"{title} {'. '.join(lines)}." for title, lines in told.items() if lines),
            *(f"{model}: {why.get(model, 'no result')}." for model in empty),
        ]


def chosen(
    results: Results, names: Sequence[str] = (), metrics: Sequence[str] = (), steps: bool = False
) -> list[Scores]:
    """Tables of all tasks.

    Args:
        results: All frames.
        names: Tables: :data:`HEADLINE`, themes of the catalogue by the beginning of their names, or :data:`ALL`; by
            default the headline.
        metrics: Instead, one table of these columns for each task that has any of them.
        steps: Whether rows of other training steps than the last are in, too.

    Raises:
        UsageError: for a table or metric that no task has.
    """
    found = []
    for section in results.sections():
        grid = Grid(as_rows(section.board), section.best)
        rows = tuple((model, checkpoint) for model, checkpoint in grid.rows if steps or checkpoint == FINAL)
        measured = [metric for metric in grid.metrics if grid.measured(metric)]
        if metrics:
            parts = {CHOSEN: [metric for metric in metrics if metric in measured]}
        else:
            first = headlines(kind_of_task(measured), Shown.TERMINAL)
            parts = {HEADLINE: [metric for metric in first if metric in measured], **catalogue.themes(measured)}
        found += [Scores(section, grid, name, tuple(own), rows) for name, own in parts.items() if own]
    if metrics:
        known = {metric for metric in results.board["metric"] if metric}
        for metric in metrics:
            if metric not in known:
                raise unknown("metric", metric, known)
        return found
    if not found:
        raise UsageError("no run has a score: there is no table.")
    wanted = _names(names or (HEADLINE,), list(dict.fromkeys(each.name for each in found)))
    return [each for each in found if each.name in wanted]


def as_latex(tables: Sequence[Scores]) -> str:
    """Floats with captions, labels and notes, which compile after :data:`bench.reports.latex.PREAMBLE`."""
    beginning = latex.render([])
    return "\n".join([beginning, *(f"{latex.float_of(_table(each), _label(each), each.notes)}\n" for each in tables)])


def as_markdown(tables: Sequence[Scores]) -> str:
    """A table with its notes below it, one after the other."""
    document: Document = []
    for each in tables:
        document += [_table(each), *bullets("", each.notes)]
    return markdown.render(document)


def as_csv(tables: Sequence[Scores]) -> str:
    """One line for each cell, unrounded, empty where there is no value; see :data:`COLUMNS`."""
    written = io.StringIO()
    lines = csv.DictWriter(written, COLUMNS, lineterminator="\n", extrasaction="ignore")
    lines.writeheader()
    for table in tables:
        for row in _rows(table):
            common = {name: value for name, value in row.items() if name != "scores"} | _place(table)
            lines.writerows({name: cell(value) for name, value in (common | score).items()} for score in row["scores"])
    return written.getvalue()


def as_json(tables: Sequence[Scores]) -> str:
    """All tables, unrounded, as one object of strict JSON; what is not known is null."""
    listed = [
        {
            **_place(table),
            "columns": [
                {"metric": metric, "unit": table.grid.unit(metric), "direction": _direction(table, metric)}
                for metric in table.metrics
            ],
            "rows": _rows(table),
            "notes": [text_of(note) for note in table.notes],
        }
        for table in tables
    ]
    return json.dumps({"schema": SCHEMA, "tables": listed}, ensure_ascii=False, allow_nan=False, indent=1) + "\n"


FORMATS: Mapping[str, Callable[[Sequence[Scores]], str]] = {
    "latex": as_latex,
    "markdown": as_markdown,
    "csv": as_csv,
    "json": as_json,
}


def _names(wanted: Sequence[str], known: Sequence[str]) -> set[str]:
    """The tables that are meant: each by the beginning of its name, in small or large letters."""
    found: set[str] = set()
    for name in wanted:
        starts = [each for each in known if each.lower().startswith(name.lower())]
        exact = [each for each in starts if each.lower() == name.lower()]
        if name.lower() == ALL:
            found.update(known)
        elif len(exact or starts) == 1:
            found.update(exact or starts)
        elif starts:
            raise UsageError(
                f"expected the name of one table, got '{name}', which begins those of {', '.join(starts)}."
            )
        else:
            raise unknown("table", name, (*known, ALL))
    return found


def _place(table: Scores) -> dict[str, str]:
    run = as_rows(table.section.board[["task", "preset"]].head(1))[0]
    return {"task": run["task"], "preset": run["preset"], "table": table.name}


def _label(table: Scores) -> str:
    return " ".join(_place(table).values())


def _direction(table: Scores, metric: str) -> str:
    return next((row["direction"] for row in table.grid.lines if row["metric"] == metric and row["direction"]), "")


def _table(table: Scores) -> Table:
    """The table as people read it; a unit is on a line of its own below the metric's name."""
    grid = table.grid
    header = ["model", *("\n".join(filter(None, _named(table, metric))) for metric in table.metrics), "n"]
    groups: dict[str, list[tuple[Words, ...]]] = {"": [], "Controls": []}
    for model, checkpoint in table.rows:
        cells = [grid.brief(model, checkpoint, metric) or "n/a" for metric in table.metrics]
        line = (grid.label(model, checkpoint), *cells, grid.seeds(model, checkpoint))
        groups["Controls" if grid.roles[model] == "control" else ""].append(line)
    kept = tuple(Group(heading, tuple(lines)) for heading, lines in groups.items() if lines)
    return Table(tuple(header), kept, caption=_caption(table, kept))


def _named(table: Scores, metric: str) -> tuple[str, str]:
    return f"{metric} {table.grid.arrow(metric)}".strip(), table.grid.unit(metric)


def _caption(table: Scores, groups: Sequence[Group]) -> str:
    """What the table shows, and what is said of its numbers by arrows, weight and slant."""
    shown = {span.style for group in groups for cells in group.lines for words in cells for span in _spans(words)}
    arrows = {table.grid.arrow(metric): _direction(table, metric) for metric in table.metrics}
    said = [
        f"{table.section.title}: {table.name}.",
        "Mean ± half of Student's 95 % interval over n seeds.",
        *(f"{arrow} {MEANINGS[direction]}." for arrow, direction in arrows.items() if arrow and direction in MEANINGS),
        f"Bold: {BEST}." if "strong" in shown else "",
        f"Italics: {'the same' if 'strong' in shown else BEST}, if seeds scatter normally."
        if "emphasis" in shown
        else "",
    ]
    seeds = [row["n"] for row in table.grid.lines if row["n"]]
    if seeds and min(seeds) < FEW:
        said.append(f"n < {FEW}: intervals from fewer than five seeds are weak.")
    return " ".join(filter(None, said))


def _spans(words: Words) -> Sequence[Any]:
    return () if isinstance(words, str) else words


def _rows(table: Scores) -> list[Row]:
    """The rows with all that is known of their cells; of two signatures of one score, each is a cell."""
    grid, why = table.grid, reasons(table.section.runs)
    absent = _absent(table.section.scores)
    rows = []
    for model, checkpoint in table.rows:
        lines = {
            metric: [row for row in grid.of(model, checkpoint) if row["metric"] == metric] for metric in table.metrics
        }
        failed = grid.of(model, checkpoint)[0]["metric"] == ""
        scores = []
        for metric, own in lines.items():
            best = grid.best.get(metric)
            wins = best is not None and checkpoint == FINAL and best.model == model
            reason = (
                why.get(model, "no result")
                if failed
                else absent.get((model, checkpoint, metric), "no score was recorded")
            )
            for row in own or [{}]:
                known = bool(row.get("n"))
                scores.append(
                    {
                        "metric": metric,
                        "unit": grid.unit(metric),
                        "direction": _direction(table, metric),
                        **{name: _number(row.get(name)) for name in ("mean", "low", "high")},
                        "n": int(row.get("n") or 0),
                        "best": (BETTER if best.firm else BETTER_IF_NORMAL) if wins and best is not None else None,
                        "unranked_because": _text(row.get("unranked_because")),
                        "absent": None if known else visible(reason),
                        "signature": _text(row.get("signature")) if known else None,
                    }
                )
        role = grid.roles[model]
        rows.append({"role": role, "model": visible(model), "checkpoint": checkpoint, "scores": scores})
    return rows


def _absent(scores: pd.DataFrame) -> dict[tuple[str, str, str], str]:
    """Why scores have no value."""
    found: dict[tuple[str, str, str], set[str]] = {}
    columns = ["model", "checkpoint", "metric", "value", "absent"]
    for model, checkpoint, metric, value, reason in as_tuples(scores[columns]):
        if math.isnan(value):
            found.setdefault((model, checkpoint, metric), set()).add(str(reason))
    return {key: "; ".join(sorted(why)) for key, why in found.items()}


def _number(value: Any) -> float | None:
    return None if value is None or pd.isna(value) else float(value)


def _text(value: Any) -> str | None:
    return None if value is None or pd.isna(value) or value == "" else visible(str(value))
