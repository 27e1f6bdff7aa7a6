"""Quality against cost: what each model had reached at the same cost as the others."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from bench.records.frames import KEYS, REAL_DATA, completed

__all__ = ["QUALITY", "Learning", "at_cost", "equal_costs", "learning"]

QUALITY = ("jsd_valid", "nll_valid", "nll_oracle")
"""Curves of quality, lower is better; the first that a task has is its headline."""
FRACTIONS = (0.25, 0.5, 1.0)
"""Parts of the largest common cost at which the tables show scores."""


@dataclass(frozen=True, slots=True)
class Learning:
    """The curves of quality on one task under one preset.

    Attributes:
        task: Label of the task.
        preset: Name of the preset.
        metrics: Which of :data:`QUALITY` it has, in that order.
        lines: Rows of the curves frame, in the order of training; a curve has two points or more.
        controls: Models that are controls.
    """

    task: str
    preset: str
    metrics: tuple[str, ...]
    lines: pd.DataFrame
    controls: frozenset[str] = frozenset()

    def counting(self, cost: str) -> list[str]:
        """The models whose runs count a cost: contenders by name, then controls."""
        models = set(self.lines.dropna(subset=[cost])["model"])
        return sorted(models, key=lambda model: (model in self.controls, model))


def learning(runs: pd.DataFrame, curves: pd.DataFrame) -> list[Learning]:
    """The learning curves of each task and preset that has at least one curve of quality.

    Args:
        runs: One row per run; if it has a ``role``, the costs of controls do not set the equal costs.
        curves: One row for each (run, phase, step, name), in the order of training.
    """
    controls = frozenset(runs.loc[runs["role"] == "control", "model"]) if "role" in runs else frozenset()
    kept = completed(runs, curves).dropna(subset=["value"])
    kept = kept[kept["name"].isin(QUALITY) & (kept["model"] != REAL_DATA)]
    kept = kept[kept.groupby(["run_id", "name"])["value"].transform("size") > 1]
    return [
        Learning(
            task=str(task),
            preset=str(preset),
            metrics=tuple(name for name in QUALITY if (lines["name"] == name).any()),
            lines=lines,
            controls=controls,
        )
        for (task, preset), lines in kept.groupby(["task", "preset"])
    ]


def at_cost(curves: pd.DataFrame, cost: str, metric: str, amounts: ArrayLike) -> pd.DataFrame:
    """The score of each run at given costs, on straight lines between the points of its curve.

    Of several points at one cost the last counts: it is what was reached once that much was spent.

    Args:
        curves: One row for each (run, phase, step, name), in the order of training.
        cost: One of :data:`bench.records.frames.COSTS`.
        metric: Name of the curve.
        amounts: The costs at which to read, in their unit.

    Returns:
        One row for each run with such a curve and each amount: the columns that name the run, ``amount`` and ``value``,
        which is NaN before the run's first point, after its last one, and if the run does not count the cost.
    """
    wanted = np.asarray(amounts, dtype=float)
    found = []
    for _, run in curves[curves["name"] == metric].groupby("run_id", sort=False):
        points = run.dropna(subset=[cost, "value"]).sort_values(cost, kind="stable").drop_duplicates(cost, keep="last")
        values = np.full(wanted.shape, np.nan)
        if not points.empty:
            values = np.interp(wanted, points[cost], points["value"], left=np.nan, right=np.nan)
        named = run[KEYS].iloc[0].tolist()
        found += [[*named, amount, value] for amount, value in zip(wanted.tolist(), values.tolist(), strict=True)]
    return pd.DataFrame(found, columns=[*KEYS, "amount", "value"])


def equal_costs(section: Learning, cost: str, metric: str) -> list[float]:
    """The costs at which models are compared, in ascending order.

    A quarter, a half and all of the largest cost that all runs of all contenders reached; then, unless it is nearly the
    same, the largest cost that all runs of the contenders with more than one phase of training reached.

    Args:
        section: The curves.
        cost: One of :data:`bench.records.frames.COSTS`.
        metric: Name of the curve.

    Returns:
        Amounts in the unit of the cost; none when no contender counts it.
    """
    lines = section.lines[(section.lines["name"] == metric) & ~section.lines["model"].isin(section.controls)]
    runs = lines.dropna(subset=[cost]).groupby("run_id")
    ends = runs[cost].max()
    common, later = ends.min(), ends[runs["phase"].nunique() > 1].min()
    if not common > 0:  # no run counts it
        return []
    amounts = [part * float(common) for part in FRACTIONS]
    return [*amounts, float(later)] if later > 1.05 * common else amounts
