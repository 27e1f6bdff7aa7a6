"""Quality against diversity over temperatures: does a model beat maximum likelihood sampled at lower temperatures?"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.analysis.references import REFERENCE
from bench.records.frames import REAL_DATA, completed

__all__ = [
    "AXES",
    "Sweep",
    "coverage_at",
    "dominated_area",
    "indicators",
    "nondominated",
    "reference_corner",
    "sweeps",
]

Points = NDArray[np.float64]

AXES = (("nll_oracle", "nll_test"), ("lm_nll", "reverse_nll"))
"""Pairs of quality and coverage, both in nats per token, lower is better; the first that a task has is used, unless its
quality is infinite at some temperature of the reference: a frontier in it would have gaps where models are worst."""
MARGIN = 0.1
"""Distance of the corner beyond the reference's worst, in parts of its range: the ends of its frontier count too."""


@dataclass(frozen=True)  # without slots, so that it keeps its parts
class Sweep:
    """The temperatures of all models on one task under one preset.

    Attributes:
        task: Label of the task.
        preset: Name of the preset.
        quality: Metric of how good the samples are, on the x axis.
        coverage: Metric of how much of the test text the model accounts for, on the y axis.
        unit: The unit of both metrics.
        reference: The model that the others are measured against.
        points: Columns model, seed, temperature, quality, coverage; all finite; sorted by the first three.
        corner: Worst quality and coverage that count, or None where the reference has no frontier.
        left_out: Model to the reason why it has no point.
        controls: Models that are controls.
        instead_of: The quality that the task has and that is not used because it is infinite; "" for none.
    """

    task: str
    preset: str
    quality: str
    coverage: str
    unit: str
    reference: str
    points: pd.DataFrame
    corner: tuple[float, float] | None
    left_out: dict[str, str] = field(default_factory=dict)
    controls: frozenset[str] = frozenset()
    instead_of: str = ""

    def of(self, model: str) -> pd.DataFrame:
        """The points of one model."""
        return self._parts.get(model, self.points.head(0))

    @cached_property
    def _parts(self) -> dict[str, pd.DataFrame]:
        return {str(model): own for model, own in self.points.groupby("model")}


def sweeps(runs: pd.DataFrame, frontier: pd.DataFrame, reference: str = REFERENCE) -> list[Sweep]:
    """One sweep for each task and preset with at least one point.

    Args:
        runs: One row per run; where it has a ``role``, models of role ``control`` are judged apart from the others.
        frontier: One row for each (run, temperature, metric); ``value`` is NaN where the metric is absent.
        reference: The model that the others are measured against.
    """
    controls = frozenset(runs.loc[runs["role"] == "control", "model"]) if "role" in runs else frozenset()
    scores = completed(runs, frontier)
    scores = scores[scores["model"] != REAL_DATA]
    found = []
    for (task, preset), section in scores.groupby(["task", "preset"]):
        measured = set(section.dropna(subset=["value"])["metric"])
        known = [pair for pair in AXES if pair[0] in measured]
        if not known:
            continue
        infinite = [quality for quality, _ in AXES if _infinite(section, quality, reference)]
        axes = next((pair for pair in known if pair[0] not in infinite), known[0])
        rows = section[section["metric"].isin(axes)]
        alike = _alike(rows, reference)
        points = _points(alike, axes)
        if points.empty:
            continue
        models, arm = set(points["model"]), points[points["model"] == reference]
        found.append(
            Sweep(
                task=str(task),
                preset=str(preset),
                quality=axes[0],
                coverage=axes[1],
                unit=str(rows["unit"].iloc[0]),
                reference=reference,
                points=points,
                corner=reference_corner(_pairs(seed) for _, seed in arm.groupby("seed")),
                left_out={model: _reason(rows, alike, model) for model in sorted(set(rows["model"]) - models)},
                controls=controls & models,
                instead_of=next((quality for quality in infinite if quality != axes[0]), ""),
            )
        )
    return found


def nondominated(points: Points) -> Points:
    """The points that no other point matches or beats on both coordinates.

    Args:
        points: Shape (n, 2), lower is better on both.

    Returns:
        Shape (m, 2), m <= n, the first coordinate rising and the second one falling.
    """
    ordered = points[np.lexsort((points[:, 1], points[:, 0]))]
    best_before = np.minimum.accumulate(np.append(np.inf, ordered[:-1, 1]))
    return ordered[ordered[:, 1] < best_before]


def reference_corner(seeds: Iterable[Points]) -> tuple[float, float] | None:
    """The corner of the box in which areas are measured, fixed by the reference arm alone.

    It is beyond the worst of the reference's own trade-offs over all seeds, by a tenth of their range: so a new
    contender changes no other model's area, and both ends of the reference's frontier count. Trade-offs are
    non-dominated points: temperatures too high to be good at anything do not move the corner. Neither do temperatures
    that are too low: close to greedy sampling coverage explodes, and the area would depend on one such point alone. So
    a seed's trade-offs end where, counted from its best coverage, it loses more nats of coverage than it gains in
    quality; the first step always counts.

    Args:
        seeds: For each seed of the reference arm its points, shape (n, 2), lower is better.

    Returns:
        The worst first and second coordinate that count, or None when no seed has two trade-offs.

    References:
        Ishibuchi et al. (2018), "How to specify a reference point in hypervolume calculation for fair performance
        comparison", Evolutionary Computation 26(3): why a little beyond the worst.
    """
    fronts = [nondominated(points) for points in seeds]
    if all(len(front) < 2 for front in fronts):
        return None
    kept = []
    for front in fronts:
        fair = front.sum(axis=1) <= front[-1:].sum()
        fair[-2:] = True
        kept.append(front[fair])
    pooled = np.concatenate(kept)
    best, worst = pooled.min(axis=0), pooled.max(axis=0)
    quality, coverage = worst + MARGIN * (worst - best)
    return float(quality), float(coverage)


def dominated_area(points: Points, corner: tuple[float, float]) -> float:
    """The area between a staircase of points and a corner: more is better, and only the part in the box counts.

    Args:
        points: Shape (n, 2), lower is better on both.
        corner: The worst values that count.

    Returns:
        The hypervolume in two dimensions, in the product of the two units; 0 when no point is inside the box.

    References:
        Zitzler and Thiele (1999), "Multiobjective evolutionary algorithms: a comparative case study and the strength
        Pareto approach", IEEE Transactions on Evolutionary Computation 3(4).

    Example:
        >>> dominated_area(np.array([[1.0, 2.0], [2.0, 1.0]]), (3.0, 3.0))
        3.0
    """
    front = nondominated(points[(points < corner).all(axis=1)])
    widths = np.append(front[1:, 0], corner[0]) - front[:, 0] if len(front) else np.empty(0)
    return float((widths * (corner[1] - front[:, 1])).sum())


def coverage_at(points: Points, quality: float) -> float:
    """The coverage of a sweep at a given quality, read between those it was measured at.

    Straight lines join the non-dominated points. Between the point of the best coverage and the hottest temperature,
    the best coverage counts: it was reached at an even better quality than the requested one. Frontiers bend towards
    the good corner, so the lines are a little pessimistic, the more so the farther apart the temperatures are.

    Args:
        points: Shape (n, 2), quality and coverage, lower is better.
        quality: The quality at which to read the coverage.

    Returns:
        The coverage, NaN outside the range of qualities measured.
    """
    front = nondominated(points)
    if not len(front) or not front[0, 0] <= quality <= points[:, 0].max():
        return float("nan")
    return float(np.interp(quality, front[:, 0], front[:, 1]))


def indicators(sweep: Sweep) -> pd.DataFrame:
    """The dominated area and the excess coverage of each model, seed by seed.

    Returns:
        One row for each model and seed: ``area``, the dominated area (NaN without a corner); ``excess``, the coverage
        at temperature 1 minus that of the reference at the same quality in the same seed, positive where the model
        forgets more (NaN where there is nothing to compare); ``outside``, ``better`` or ``worse`` where ``excess`` is
        missing because that quality is better or worse than any of the reference's, else empty.
    """
    pairs, plain = _pairs(sweep.points), sweep.points["temperature"].to_numpy() == 1.0
    positions: dict[Any, Any] = sweep.points.groupby(["model", "seed"]).indices
    arm = {seed: pairs[rows] for (model, seed), rows in positions.items() if model == sweep.reference}
    found: list[dict[str, Any]] = []
    for (model, seed), rows in positions.items():
        area = float("nan") if sweep.corner is None else dominated_area(pairs[rows], sweep.corner)
        excess, outside = float("nan"), ""
        own, rival = pairs[rows][plain[rows]], arm.get(seed)
        if len(own) and rival is not None:
            quality, coverage = own[0].tolist()
            excess = coverage - coverage_at(rival, quality)
            if math.isnan(excess):
                outside = "better" if quality < rival[:, 0].min() else "worse"
        found.append({"model": model, "seed": seed, "area": area, "excess": excess, "outside": outside})
    return pd.DataFrame(found)


def _infinite(section: pd.DataFrame, metric: str, reference: str) -> bool:
    """Whether a metric is infinite at some temperature of the reference; where there is none, of any model."""
    rows = section[section["metric"] == metric]
    arm = rows[rows["model"] == reference]
    absent = (rows if arm.empty else arm)["absent"].astype(str)
    return bool(absent.str.endswith("inf").any())


def _alike(rows: pd.DataFrame, reference: str) -> pd.DataFrame:
    """The values computed as the reference's were: of each metric, those with its most frequent signature."""
    kept = []
    for _, metric in rows.dropna(subset=["value"]).groupby("metric"):
        arm = metric[metric["model"] == reference]
        signature = (metric if arm.empty else arm)["signature"].mode(dropna=False)
        kept.append(metric[metric["signature"].isin(signature[:1])])
    return pd.concat(kept)


def _points(values: pd.DataFrame, axes: tuple[str, str]) -> pd.DataFrame:
    """One row per model, seed and temperature for which both metrics are known."""
    where = ["model", "seed", "temperature"]
    both = values.pivot(index=where, columns="metric", values="value").reindex(columns=list(axes)).dropna()
    return both.set_axis(["quality", "coverage"], axis="columns").sort_index().reset_index()


def _pairs(points: pd.DataFrame) -> Points:
    return points[["quality", "coverage"]].to_numpy(float)


def _reason(rows: pd.DataFrame, alike: pd.DataFrame, model: str) -> str:
    """Why a model has no point."""
    own = rows[rows["model"] == model]
    absent = own[own["value"].isna()].dropna(subset=["absent"]).groupby("metric")["absent"].first()
    if not absent.empty:
        return "; ".join(f"{metric}: {reason}" for metric, reason in absent.items())
    others = sorted(set(own.dropna(subset=["value"])["metric"]) - set(alike.loc[alike["model"] == model, "metric"]))
    return f"{', '.join(others)} was computed differently from the reference's" if others else "no score was recorded"
