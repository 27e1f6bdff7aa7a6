"""The leaderboard of one task as a grid: rows of models, columns of metrics, cells rendered."""

from __future__ import annotations

import re
from collections.abc import Mapping

from bench.analysis.catalogue import ARROWS, headline, in_order
from bench.analysis.verdicts import FEW, Best
from bench.records.frames import FINAL, PRETRAINED, REAL_DATA, SELECTED, Row
from bench.reports.document import Words, emphasis, strong
from bench.reports.numbers import cell, missing

__all__ = ["LABELS", "UNRANKED", "Grid"]

UNRANKED = "†"
"""Marks what may not win: a row if it has no rank, else single cells."""

LABELS = {SELECTED: "↳ selected on validation", PRETRAINED: "↳ its shared pre-training"}


class Grid:
    """Cells of one task.

    Args:
        lines: Rows of :func:`bench.analysis.leaderboard.aggregate`.
        best: Metric to the model whose final score is separable from all other contenders' that may win.
    """

    def __init__(self, lines: list[Row], best: Mapping[str, Best] | None = None) -> None:
        self.lines, self.best = lines, best or {}
        self.rows = list(dict.fromkeys((row["model"], row["checkpoint"]) for row in lines))
        self.roles = {row["model"]: row["role"] for row in lines}
        self.metrics = in_order({row["metric"] for row in lines if row["metric"]})
        self._lines: dict[tuple[str, str], list[Row]] = {}
        self._cells: dict[tuple[str, str, str], list[Row]] = {}
        self._models: dict[str, list[Row]] = {}
        self._columns: dict[str, list[Row]] = {}
        for row in lines:
            key = row["model"], row["checkpoint"]
            self._lines.setdefault(key, []).append(row)
            self._cells.setdefault((*key, row["metric"]), []).append(row)
            self._models.setdefault(row["model"], []).append(row)
            self._columns.setdefault(row["metric"], []).append(row)
        self._unranked: dict[tuple[str, str], bool] = {}
        self._most = {key: max(row["n"] for row in rows) for key, rows in self._lines.items()}

    def measured(self, metric: str) -> bool:
        """Whether any row has a number for a metric."""
        return any(row["n"] for row in self.column(metric))

    def arrow(self, metric: str) -> str:
        """The arrow that points to better values of a metric."""
        return next((ARROWS.get(row["direction"], "") for row in self.column(metric)), "")

    def unit(self, metric: str) -> str:
        """The unit of a metric, "" for pure numbers."""
        return next((row["unit"] for row in self.column(metric) if row["unit"]), "")

    def column(self, metric: str) -> list[Row]:
        """The lines of one metric."""
        return self._columns.get(metric, [])

    def of(self, model: str, checkpoint: str) -> list[Row]:
        """The lines of one row."""
        return self._lines[model, checkpoint]

    def label(self, model: str, checkpoint: str) -> str:
        """The label at the beginning of a row, marked where the row has no rank."""
        label = model if checkpoint == FINAL else LABELS.get(checkpoint, f"↳ {checkpoint}")
        return f"{label} {UNRANKED}" if self.unranked(model, checkpoint) else label

    def unranked(self, model: str, checkpoint: str) -> bool:
        """Whether a row has no rank: it may not win in the metric that it is placed by, or in none that it has."""
        known = self._unranked.get((model, checkpoint))
        if known is None:
            found = [row for row in self.of(model, checkpoint) if row["n"] and row["kind"] != "cost"]
            barred = {row["metric"] for row in found if _because(row)}
            known = bool(barred) and (
                self.ranked_by(model) in barred or len(barred) == len({row["metric"] for row in found})
            )
            self._unranked[model, checkpoint] = known
        return known

    def ranked_by(self, model: str) -> str:
        """The metric that a model is placed by, "" where it has none; the first where the lines do not say."""
        metrics = [row["ranked_by"] for row in self._models[model] if "ranked_by" in row]
        known = (str(metric) for metric in metrics if not missing(metric))
        return next(known, "") if metrics else str(headline(self.metrics))

    def placed(self) -> list[str]:
        """A line for each substitute of the metric that sorts the rows, with the models that are placed by it."""
        first = headline(metric for metric in self.metrics if self.measured(metric))
        found: dict[str, list[str]] = {}
        for model, checkpoint in self.rows:
            metric = self.ranked_by(model)
            if checkpoint == FINAL and metric and metric != first and not self.unranked(model, checkpoint):
                found.setdefault(metric, []).append(model)
        return [
            f"{', '.join(models)}: by {metric}, without an exact {first}: below as many others as are better in it"
            for metric, models in found.items()
        ]

    def reasons(self) -> list[str]:
        """Why rows or cells are marked: a line for each model, and for another checkpoint where its reasons differ."""
        lines: dict[tuple[str, str], str] = {}
        for model, checkpoint in self.rows:
            metrics: dict[str, list[str]] = {}
            for row in self.of(model, checkpoint):
                if _because(row):
                    metrics.setdefault(row["unranked_because"], []).append(row["metric"])
            whole = {row["metric"] for row in self.of(model, checkpoint) if row["n"] and row["kind"] != "cost"}
            said = "; ".join(
                why if whole <= set(where) else f"in {', '.join(in_order(where))}: {why}"
                for why, where in metrics.items()
            )
            if said and said != lines.get((model, FINAL)):
                lines[model, checkpoint] = said
        return [
            f"{model if checkpoint == FINAL else f'{model} ({LABELS.get(checkpoint, checkpoint)})'}: {said}".replace(
                "↳ ", ""
            )
            for (model, checkpoint), said in lines.items()
        ]

    def collapsed(self) -> list[str]:
        """How many seeds of each model are far worse than its others: a line for each model with such seeds."""
        lines = []
        for model, checkpoint in self.rows:
            found: dict[str, list[str]] = {}
            for row in self.of(model, checkpoint) if checkpoint == FINAL and model != REAL_DATA else ():
                if row["n"] and _collapsed(row):
                    found.setdefault(f"{_collapsed(row)} of {row['n']} in ", []).append(row["metric"])
            if found:
                lines.append(f"{model}: {'; '.join(count + ', '.join(which) for count, which in found.items())}")
        return lines

    def shown(self, model: str, checkpoint: str, metric: str, text: str | None = None) -> Words:
        """The cell as it is shown: bold or in italics where it is the best, marked where it may not win.

        Args:
            model: The model's label.
            checkpoint: Which of its rows.
            metric: The column.
            text: What stands in the cell, if not what :meth:`cell` says.
        """
        text = self.cell(model, checkpoint, metric) if text is None else text
        best = self.best.get(metric)
        if checkpoint == FINAL and best is not None and best.model == model:
            return strong(text) if best.firm else emphasis(text)
        barred = any(map(_because, self._cells.get((model, checkpoint, metric), ()))) and not self.unranked(
            model, checkpoint
        )
        return f"{text} {UNRANKED}" if barred else text

    def cell(self, model: str, checkpoint: str, metric: str) -> str:
        """Mean ± half-width; also the number of seeds, where it is small or some of the row's seeds have no value."""
        if self.of(model, checkpoint)[0]["metric"] == "":
            return ""
        expected = max(self._most[model, checkpoint], FEW)
        cells = [
            cell(row) + (f" (n={row['n']})" if row["n"] < expected else "")
            for row in self._cells.get((model, checkpoint, metric), ())
            if row["n"]
        ]
        return " / ".join(cells) or "n/a"

    def brief(self, model: str, checkpoint: str, metric: str) -> Words:
        """The cell as :meth:`shown`, without the number of seeds where that is what :meth:`seeds` says of the row."""
        seeds = self.seeds(model, checkpoint).partition(" ")[0]
        return self.shown(model, checkpoint, metric, self.cell(model, checkpoint, metric).replace(f" (n={seeds})", ""))

    def seeds(self, model: str, checkpoint: str) -> str:
        """The number of seeds behind a row; where some are missing, also how many were started."""
        rows = self.of(model, checkpoint)
        n = self._most[model, checkpoint]
        begun = sum(int(number) for number in re.findall(r"\d+", rows[0]["status"]))
        return f"{n} of {begun}" if n < begun else str(n)


def _because(row: Row) -> str:
    """Why a score may not win, "" where it may."""
    return "" if missing(row.get("unranked_because")) else str(row["unranked_because"])


def _collapsed(row: Row) -> int:
    """How many seeds collapsed; none where that is not known."""
    return 0 if missing(row.get("collapsed")) else int(row["collapsed"])
