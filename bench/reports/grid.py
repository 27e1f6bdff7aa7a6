"""The leaderboard of one task as a grid: rows of models, columns of metrics, cells rendered."""

from __future__ import annotations

import re
from collections.abc import Mapping

from bench.analysis.catalogue import ARROWS, in_order
from bench.analysis.verdicts import FEW
from bench.records.frames import FINAL, PRETRAINED, SELECTED, Row
from bench.reports.numbers import cell

__all__ = ["LABELS", "Grid"]


LABELS = {SELECTED: "↳ selected on validation", PRETRAINED: "↳ its shared pre-training"}


class Grid:
    """Cells of one task.

    Args:
        lines: Rows of :func:`bench.analysis.leaderboard.aggregate`.
        best: Metric to the model whose final score is separable from all other contenders'.
    """

    def __init__(self, lines: list[Row], best: Mapping[str, str] | None = None) -> None:
        self.lines, self.best = lines, best or {}
        self.rows = list(dict.fromkeys((row["model"], row["checkpoint"]) for row in lines))
        self.roles = {row["model"]: row["role"] for row in lines}
        self.metrics = in_order({row["metric"] for row in lines if row["metric"]})
        self._cells: dict[tuple[str, str], list[Row]] = {}
        for row in lines:
            self._cells.setdefault((row["model"], row["checkpoint"]), []).append(row)

    def measured(self, metric: str) -> bool:
        """Whether any row has a number for a metric."""
        return any(row["n"] for row in self.lines if row["metric"] == metric)

    def arrow(self, metric: str) -> str:
        """The arrow that points to better values of a metric."""
        return next((ARROWS.get(row["direction"], "") for row in self.lines if row["metric"] == metric), "")

    def unit(self, metric: str) -> str:
        """The unit of a metric, "" for pure numbers."""
        return next((row["unit"] for row in self.lines if row["metric"] == metric and row["unit"]), "")

    def of(self, model: str, checkpoint: str) -> list[Row]:
        """The lines of one row."""
        return self._cells[model, checkpoint]

    def label(self, model: str, checkpoint: str) -> str:
        """The label at the beginning of a row."""
        return model if checkpoint == FINAL else LABELS.get(checkpoint, f"↳ {checkpoint}")

    def is_best(self, model: str, checkpoint: str, metric: str) -> bool:
        """Whether the score is separable from all other contenders'."""
        return checkpoint == FINAL and self.best.get(metric) == model

    def cell(self, model: str, checkpoint: str, metric: str) -> str:
        """Mean ± half-width; also the number of seeds, where it is small or some of the row's seeds have no value."""
        rows = self.of(model, checkpoint)
        if rows[0]["metric"] == "":
            return ""
        most = max(row["n"] for row in rows)
        cells = [
            cell(row) + (f" (n={row['n']})" if row["n"] < max(most, FEW) else "")
            for row in rows
            if row["metric"] == metric and row["n"]
        ]
        return " / ".join(cells) or "n/a"

    def seeds(self, model: str, checkpoint: str) -> str:
        """The number of seeds behind a row; where some are missing, also how many were started."""
        rows = self.of(model, checkpoint)
        n = max(row["n"] for row in rows)
        begun = sum(int(number) for number in re.findall(r"\d+", rows[0]["status"]))
        return f"{n} of {begun}" if n < begun else str(n)
