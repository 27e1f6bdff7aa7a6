"""Quality against cost: what each model had reached at the same cost as the others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from bench.records.frames import COSTS, KEYS, REAL_DATA, as_tuples, completed

__all__ = ["QUALITY", "Course", "Learning", "at_cost", "course", "equal_costs", "learning", "values_at"]

QUALITY = ("jsd_valid", "nll_valid", "nll_oracle")
"""Curves of quality, lower is better; the first that a task has is its headline."""
FRACTIONS = (0.25, 0.5, 1.0)
"""Parts of the range of costs, from where the models part to the longest end, at which the tables show scores."""
APART = 0.05
"""Costs that differ by less than this part of the range are shown once."""


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
        models = self.lines.loc[self.lines[cost].notna(), "model"].unique()
        return sorted(models, key=lambda model: (model in self.controls, model))


class Course(NamedTuple):
    """What a model's runs went through, point by point of their training.

    Attributes:
        costs: Name of a cost to its means, shape (points,); NaN if a run does not count it.
        mean: Mean over runs, shape (points,).
        low: The lowest run, shape (points,).
        high: The highest run, shape (points,).
        borders: Index of the last point of each phase; the last one is the end of training.
    """

    costs: dict[str, NDArray[np.float64]]
    mean: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    borders: list[int]


def course(own: pd.DataFrame) -> Course:
    """One model's runs at equal progress, phase by phase: scores and costs are both means over runs.

    So a phase ends where the mean of its runs ends, whether these are equally fast or not. Where runs have different
    numbers of points in a phase, each gets as many as the longest has, on straight lines between its own; a run
    without a phase does not count in it.

    Args:
        own: The points of one type of curve, in the order of training.
    """
    phases: dict[str, dict[str, list[int]]] = {}
    for place, (phase, run_id) in enumerate(as_tuples(own[["phase", "run_id"]])):
        phases.setdefault(str(phase), {}).setdefault(run_id, []).append(place)
    points = own[[*COSTS, "value"]].to_numpy(dtype=float)
    parts = []
    for places in phases.values():
        runs = [points[of_one] for of_one in places.values()]
        most = max(map(len, runs))
        parts.append(
            [np.stack([_stretched(column, most) for column in run.T]) for run in runs]
        )  # runs x columns x points
    means = np.concatenate([np.mean(part, axis=0) for part in parts], axis=1)
    low, high = (np.concatenate([end(part, axis=0)[-1] for part in parts]) for end in (np.min, np.max))
    ends = np.cumsum([len(part[0][0]) for part in parts]) - 1
    return Course(dict(zip(COSTS, means[:-1], strict=True)), means[-1], low, high, ends.tolist())


def _stretched(values: NDArray[np.float64], points: int) -> NDArray[np.float64]:
    """As many points, on straight lines between these."""
    if len(values) == points:
        return values
    found: NDArray[np.float64] = np.interp(np.linspace(0, len(values) - 1, points), np.arange(len(values)), values)
    return found


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


def at_cost(curves: pd.DataFrame, cost: str, metric: str, amounts: ArrayLike, held: bool = False) -> pd.DataFrame:
    """The score of each run at given costs, on straight lines between the points of its curve.

    Of several points at one cost the last counts: it is what was reached once that much was spent.

    Args:
        curves: One row for each (run, phase, step, name), in the order of training.
        cost: One of :data:`bench.records.frames.COSTS`.
        metric: Name of the curve.
        amounts: The costs at which to read, in their unit.
        held: Whether a run that ended keeps its last value: it is what the run reached for at most that cost.

    Returns:
        One row for each run with such a curve and each amount: the columns that name the run, ``amount`` and ``value``,
        which is NaN before the run's first point, after its last one unless ``held``, and if the run does not count the
        cost.
    """
    wanted = np.asarray(amounts, dtype=float)
    lines = curves[curves["name"] == metric]
    values = values_at(lines, cost, wanted, held)
    first = lines.drop_duplicates("run_id")[KEYS]
    found = first.iloc[np.arange(len(values)).repeat(len(wanted))].reset_index(drop=True)
    return found.assign(amount=np.tile(wanted, len(values)), value=values.ravel())


def values_at(lines: pd.DataFrame, cost: str, amounts: ArrayLike, held: bool = False) -> NDArray[np.float64]:
    """What :func:`at_cost` reads off one type of curve, as an array.

    Args:
        lines: One row for each (run, phase, step) of these curves, in the order of training.
        cost: As there.
        amounts: As there.
        held: As there.

    Returns:
        Shape (runs, amounts); the runs are in the order of their first rows.
    """
    wanted = np.asarray(amounts, dtype=float)
    run_of, named = pd.factorize(lines["run_id"])
    costs, scores = lines[cost].to_numpy(dtype=float), lines["value"].to_numpy(dtype=float)
    known = np.flatnonzero(~np.isnan(costs) & ~np.isnan(scores))
    ordered = known[np.lexsort((costs[known], run_of[known]))]  # by run and cost, and then as before
    ends = np.searchsorted(run_of[ordered], np.arange(len(named)), side="right")
    values = np.full((len(named), len(wanted)), np.nan)
    for run, rows in enumerate(np.split(ordered, ends[:-1])):
        if len(rows):
            last = np.append(np.diff(costs[rows]) > 0, True)
            after = None if held else np.nan
            values[run] = np.interp(wanted, costs[rows[last]], scores[rows[last]], left=np.nan, right=after)
    return values


def equal_costs(section: Learning, cost: str, metric: str) -> list[float]:
    """The costs at which models are compared, in ascending order: from where they part to the longest end.

    As long as models share a pre-training they have one curve, and there is nothing to compare. So the first cost is
    that at which the last shared pre-training ended; then follow a quarter, a half and all of the way to the end of the
    contender that trained longest, and the first end of a contender on this way. Without a shared pre-training the way
    begins at 0, which is not shown. Controls set no cost unless no contender goes on after the pre-training.

    Args:
        section: The curves.
        cost: One of :data:`bench.records.frames.COSTS`.
        metric: Name of the curve.

    Returns:
        Amounts in the unit of the cost; none when no contender counts it.
    """
    every = section.lines[section.lines["name"] == metric].dropna(subset=[cost])
    parting = _parting(every, cost)
    contenders = every[~every["model"].isin(section.controls)]
    ends = contenders.groupby(["model", "run_id"])[cost].max()
    if contenders.empty or not ends.max() > 0:  # no run counts it
        return []
    if not (ends > parting).any():
        ends = every.groupby(["model", "run_id"])[cost].max()
    longest = float(ends.groupby("model").min().max())
    if not longest > parting:
        return [parting]
    way = longest - parting
    amounts = [*([parting] if parting else []), *(parting + part * way for part in FRACTIONS)]
    first = float(ends[ends > parting].min())
    if all(abs(first - amount) > APART * way for amount in amounts):
        amounts.append(first)
    return sorted(amounts)


def _parting(lines: pd.DataFrame, cost: str) -> float:
    """The cost at which the last shared pre-training ended: a first phase of which two models have the same points."""
    first: dict[str, str] = {}
    models: dict[tuple[int, str, int, float], set[str]] = {}
    ends: dict[tuple[int, str, int, float], float] = {}
    columns = ["run_id", "model", "seed", "phase", "step", "value", cost]
    for run_id, model, seed, phase, step, value, spent in as_tuples(lines[columns]):
        if first.setdefault(run_id, phase) == phase:
            point = seed, phase, step, value
            models.setdefault(point, set()).add(model)
            ends[point] = max(spent, ends.get(point, spent))
    return max((ends[point] for point, who in models.items() if len(who) > 1), default=0.0)
