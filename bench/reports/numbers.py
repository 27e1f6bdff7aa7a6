"""Numbers over seeds as text."""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.analysis.catalogue import entry
from bench.analysis.stats import mean_interval
from bench.analysis.verdicts import FEW
from bench.records.frames import Row

__all__ = ["DIGITS", "FEW_SEEDS", "cell", "estimate", "few", "missing", "rounded", "seed_count"]

DIGITS = 7
"""Of numbers in the data of a page: as many as single precision has. Files of tables have all."""
FEW_SEEDS = f"n < {FEW}: intervals from fewer than five seeds are wide, and assume normally distributed scores."


def estimate(values: Collection[float] | NDArray[np.float64], seeds: int, decimals: int = 3, sign: str = "") -> str:
    """Mean ± half of Student's 95% t interval, without the interval for one value.

    Args:
        values: One number per seed, none of them missing.
        seeds: How many there could be; if there are fewer, the text says how many.
        decimals: Number of decimals.
        sign: ``+`` to write a sign before positive numbers too.
    """
    if not len(values):
        return "n/a"
    interval = mean_interval(values)
    text = f"{round(interval.mean, decimals) + 0.0:{sign}.{decimals}f}"  # adding zero turns -0.0 into 0.0
    if interval.low is not None and interval.high is not None:
        text += f" ± {(interval.high - interval.low) / 2:.{decimals}f}"
    return text + (f" (n={interval.n})" if interval.n < seeds else "")


def rounded(value: Any) -> float | int | None:
    """A number as the data of a page hold it, with :data:`DIGITS` digits; None where there is none."""
    if missing(value):
        return None
    short = float(f"{value:.{DIGITS}g}")
    return int(short) if short.is_integer() else short


def missing(value: object) -> bool:
    """Whether a value of a frame is none, whatever stands for it there."""
    return math.isnan(value) if isinstance(value, float) else value is None or value is pd.NA


def few(n: int) -> bool:
    """Whether an interval from ``n`` seeds needs a warning."""
    return 1 < n < FEW


def seed_count(n: int) -> str:
    """The table cell with the number of seeds behind the row's intervals."""
    return f"{n} (< {FEW})" if few(n) else str(n)


def cell(row: Row) -> str:
    """Mean ± half of Student's interval of a row of the leaderboard."""
    decimals = _decimals(row["mean"]) if row["kind"] == "cost" else entry(row["metric"]).decimals
    mean = f"{round(row['mean'], decimals) + 0.0:,.{decimals}f}"  # adding zero turns -0.0 into 0.0
    return mean if missing(row["low"]) else f"{mean} ± {(row['high'] - row['low']) / 2:,.{decimals}f}"


def _decimals(cost: float) -> int:
    """The number of decimals that shows about three digits."""
    return 0 if cost >= 100 else 1 if cost >= 10 else 2
