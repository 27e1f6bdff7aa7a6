"""Ends of an axis that leaves what it shows readable: a model that is far off does not squeeze the others."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

__all__ = ["limits", "near"]


def near(values: pd.Series) -> pd.Series:
    """True for values that share an axis: within a fifth of their median, or three median absolute deviations."""
    middle = values.median()
    distance = (values - middle).abs()
    found: pd.Series = distance <= max(3 * distance.median(), 0.2 * abs(middle))
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
