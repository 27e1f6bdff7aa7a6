"""Numbers over seeds as text."""

from __future__ import annotations

import pandas as pd

from bench.analysis.catalogue import entry
from bench.analysis.stats import mean_interval
from bench.analysis.verdicts import FEW
from bench.records.frames import Row

__all__ = ["FEW_SEEDS", "cell", "estimate", "few", "seed_count"]

FEW_SEEDS = (
    f"n < {FEW}: intervals from fewer than five seeds are wide, and lean on the seeds being normally distributed."
)


def estimate(values: pd.Series, seeds: int, decimals: int = 3, sign: str = "") -> str:
    """Mean ± half of Student's 95% t interval, without the interval for one value.

    Args:
        values: One number a seed, none of them missing.
        seeds: How many there could be; fewer are counted in the text.
        decimals: Digits after the point.
        sign: ``+`` to write it before positive numbers too.
    """
    if values.empty:
        return "n/a"
    interval = mean_interval(values)
    text = f"{round(interval.mean, decimals) + 0.0:{sign}.{decimals}f}"  # adding zero turns -0.0 into 0.0
    if interval.low is not None and interval.high is not None:
        text += f" ± {(interval.high - interval.low) / 2:.{decimals}f}"
    return text + (f" (n={interval.n})" if interval.n < seeds else "")


def few(n: int) -> bool:
    """Whether an interval from so many seeds needs a warning beside it."""
    return 1 < n < FEW


def seed_count(n: int) -> str:
    """The cell of a table that says how many seeds the row's intervals rest on."""
    return f"{n} (< {FEW})" if few(n) else str(n)


def cell(row: Row) -> str:
    """Mean ± half of Student's interval of a row of the leaderboard."""
    places = _places(row["mean"]) if row["kind"] == "cost" else entry(row["metric"]).decimals
    mean = f"{round(row['mean'], places) + 0.0:,.{places}f}"  # adding zero turns -0.0 into 0.0
    return mean if pd.isna(row["low"]) else f"{mean} ± {(row['high'] - row['low']) / 2:,.{places}f}"


def _places(cost: float) -> int:
    """Decimals that leave about three digits."""
    return 0 if cost >= 100 else 1 if cost >= 10 else 2
