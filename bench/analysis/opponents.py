"""Accepted results and new ones, rearranged so that each new model stands against chosen accepted ones.

``bench compare`` compares a model with itself, earlier. With ``--against`` it compares every model of head with models
of base: the pairs become cells of their own, so that all its rules, verdicts and corrections hold for them unchanged.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from bench.analysis.results import require_models
from bench.records.frames import FINAL, REAL_DATA

__all__ = ["opposed"]


def opposed(base: pd.DataFrame, head: pd.DataFrame, against: Sequence[str]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Base and head with a model "M against R" for each model M of head and each R of ``against``.

    On the side of base it has R's scores and on the side of head M's, of the last training step, in the metrics that
    both have: a metric that one of them lacks cannot compare them, and is no failure. The real data stay as they are.

    Args:
        base: What :func:`bench.analysis.accepted.read` gave.
        head: What :func:`bench.analysis.accepted.tidy` gave.
        against: Models of base.

    Raises:
        UsageError: for a model that base does not have.
    """
    require_models(against, base.loc[base["model"] != REAL_DATA, "model"])
    sides = [[frame[frame["model"] == REAL_DATA]] for frame in (base, head)]
    old, new = (frame[frame["checkpoint"].isin((FINAL, "")) & (frame["model"] != REAL_DATA)] for frame in (base, head))
    for (task, preset, model), mine in new.groupby(["task", "preset", "model"], sort=True):
        rivals = old[(old["task"] == task) & (old["preset"] == preset)]
        for reference in dict.fromkeys(against):
            theirs = rivals[rivals["model"] == reference]
            common = _metrics(mine) & _metrics(theirs) if len(_metrics(mine)) else _metrics(theirs)
            label = f"{model} against {reference}"
            for side, rows in zip(sides, (theirs, mine), strict=True):
                side.append(rows[rows["metric"].isin([*common, ""])].assign(model=label))
    whole_base, whole_head = (pd.concat(side, ignore_index=True) for side in sides)
    return whole_base, whole_head


def _metrics(rows: pd.DataFrame) -> set[str]:
    """The metrics of which there is any value."""
    return set(rows.loc[rows["value"].notna(), "metric"]) - {""}
