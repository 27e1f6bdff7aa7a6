"""Ends of axes that leave what they show readable: a model that is far off does not squeeze the others."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from bench.analysis.frontier import Sweep

__all__ = ["limits", "near", "sweep_limits", "usual_limits"]

ROOM = 0.5
"""How far beyond the box the axes may extend to show a point at temperature 1, in sides of the box."""


def near(values: ArrayLike) -> NDArray[np.bool_]:
    """True for values that share an axis: within a fifth of their median, or three median absolute deviations."""
    every = np.asarray(values, dtype=float)
    middle = np.median(every)
    distance = np.abs(every - middle)
    found: NDArray[np.bool_] = distance <= max(3 * np.median(distance), 0.2 * abs(middle))
    return found


def limits(marks: Iterable[float], intervals: Iterable[float], references: Iterable[float]) -> tuple[float, float]:
    """Ends of an axis that leave the marks readable.

    Args:
        marks: Values that must be visible.
        intervals: Ends of intervals; those farther from the marks than the marks span are cut off.
        references: Values shown as well, unless the marks and intervals would be left with less than half the axis.
    """
    values = list(marks)
    low, high = min(values), max(values)
    span = max(high - low, 0.02 * abs(high), 1e-6)
    ends = [min(max(end, low - span), high + span) for end in intervals]
    low, high = min([low, *ends]), max([high, *ends])
    for value in references:
        if max(high, value) - min(low, value) <= 2 * max(high - low, span):
            low, high = min(low, value), max(high, value)
    margin = 0.08 * max(high - low, span)
    return low - margin, high + margin


def sweep_limits(sweep: Sweep, corner: tuple[float, float]) -> tuple[tuple[float, float], tuple[float, float]]:
    """Ends of both axes that keep the box readable.

    Close to greedy sampling coverage explodes, and a model that knows nothing is far off: axes that contain all points
    would show little of the others. They show the points in the box, and temperature 1 of a model that is near it.
    Temperature 1 of any other model is marked at the frame.
    """
    points = sweep.points
    inside = points[(points["quality"] <= corner[0]) & (points["coverage"] <= corner[1])]
    plain = points[points["temperature"] == 1.0].groupby("model")[["quality", "coverage"]].mean()
    axes, near = ("quality", "coverage"), plain
    for axis, worst in zip(axes, corner, strict=True):
        best = inside.loc[inside["model"] == sweep.reference, axis].min()
        near = near[near[axis] <= worst + ROOM * (worst - best)]
    ends = []
    for axis, worst in zip(axes, corner, strict=True):
        low, high = min([inside[axis].min(), *near[axis]]), max([worst, *near[axis]])
        ends.append((low - 0.1 * (high - low), high + 0.05 * (high - low)))
    return ends[0], ends[1]


def usual_limits(lines: pd.DataFrame) -> tuple[float, float]:
    """Ends of the y axis of curves, set by the values of the runs after their random start.

    What is far off does not count: more than one and a half interquartile ranges beyond the quartiles, as in a boxplot
    (Tukey 1977).

    Args:
        lines: The points of curves, with ``run_id`` and ``value``.
    """
    runs = lines.groupby("run_id")["value"]
    values = np.array([*runs.min(), *runs.quantile(0.9)])
    first, third = np.percentile(values, [25, 75])
    reach = 1.5 * (third - first)
    usual = values[(values >= first - reach) & (values <= third + reach)]
    low, high = float(usual.min()), float(usual.max())
    margin = 0.08 * max(high - low, 0.02 * abs(high), 1e-6)
    return low - margin, high + margin
