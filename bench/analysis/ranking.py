"""The order of a leaderboard's rows: by one metric for all models that have it, and the place of those that do not.

The metric is the first of :data:`bench.analysis.catalogue.PLACING` that the task has. It reads the model's density, so
a model without a density, or with a bound or an estimate of it, cannot be placed by it. Such a model is not worse than
all others for that: it is placed by the next of these metrics that it has, below as many of the others as are better in
that. An infinite value is a value: a model that thinks test sequences impossible is placed last by it. What may not win
for another reason has no rank.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from bench.analysis.catalogue import PLACING, headline
from bench.analysis.standing import Cell, Standing
from bench.analysis.standing import Place as Row
from bench.analysis.verdicts import SIGNS
from bench.records.frames import FINAL, REAL_DATA

__all__ = ["Configuration", "Place", "places", "stated_metric"]

Configuration: TypeAlias = tuple[str, str, str]
"""Task, preset and model."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a model stands among those of its role.

    Attributes:
        metric: By which it is placed; "" where it has none.
        order: Sort key; ranked models come before unranked ones.
    """

    metric: str
    order: tuple[bool, float, float, str]


@dataclass(frozen=True, slots=True)
class _Final:
    """The final scores of one model: metric to the mean over seeds, and to its direction."""

    role: str
    means: dict[str, float]
    directions: dict[str, str]

    def loss(self, metric: str) -> float:
        """The score in a metric, so that less is better; infinite where there is none."""
        return -SIGNS.get(self.directions[metric], -1) * self.means[metric] if metric in self.means else math.inf


def places(rows: Iterable[Mapping[str, Any]], who: Standing) -> dict[Configuration, Place]:
    """The place of every model, by task and preset.

    Args:
        rows: Rows of a leaderboard: task, preset, model, role, checkpoint, metric, mean, n and direction, and
            "infinite" where a seed's value is; all metrics that this matters for are better when lower.
        who: Who may win.
    """
    finals: dict[Configuration, _Final] = {}
    for row in rows:
        final = finals.setdefault((row["task"], row["preset"], row["model"]), _Final(row["role"], {}, {}))
        if row["checkpoint"] == FINAL and row.get("infinite"):
            final.means[row["metric"]], final.directions[row["metric"]] = math.inf, row["direction"]
        elif row["n"] and row["checkpoint"] == FINAL:
            final.means[row["metric"]], final.directions[row["metric"]] = row["mean"], row["direction"]
    measured: dict[tuple[str, str], set[str]] = {}
    for (task, preset, _), final in finals.items():
        finite = (metric for metric, mean in final.means.items() if math.isfinite(mean))
        measured.setdefault((task, preset), set()).update(finite)
    found: dict[Configuration, Place] = {}
    for key, final in finals.items():
        metric = "" if key[2] == REAL_DATA else _ranked_by(key, final, headline(measured[key[:2]]), who)
        barred = who.why_not((*key, FINAL, metric)) != ""
        found[key] = Place(metric, (barred, final.loss(metric), 0.0, key[2]))
    return {key: _inserted(key, found, finals, headline(measured[key[:2]])) for key in found}


def _ranked_by(key: Configuration, final: _Final, first: str | None, who: Standing) -> str:
    """The metric that a model is placed by, "" where it has none that orders anything."""
    if first is None:
        return ""
    for metric in PLACING[PLACING.index(first) :]:
        if metric in final.means and (*key, FINAL, metric) not in who.inexact:
            return metric
    return first if first in final.means else ""


def _inserted(
    key: Configuration, found: Mapping[Configuration, Place], finals: Mapping[Configuration, _Final], first: str | None
) -> Place:
    """The place among all: that of the first metric in its order, that of a substitute between two of these."""
    mine, (barred, loss, _, name) = finals[key], found[key].order
    metric = found[key].metric
    if barred or not metric:
        return Place(metric, (barred, loss, 0.0, name))
    rivals = sorted(
        (place.order, other)
        for other, place in found.items()
        if other[:2] == key[:2] and finals[other].role == mine.role and (place.metric, place.order[0]) == (first, False)
    )
    if metric == first:
        return Place(metric, (False, [other for _, other in rivals].index(key), 0.0, name))
    better = sum(finals[other].loss(metric) < loss for _, other in rivals if metric in finals[other].means)
    return Place(metric, (False, better - 0.5, loss, name))


def stated_metric(
    first: str | None,
    judged: Collection[str],
    sides: Iterable[Row],
    infinite: Collection[Cell],
    inexact: Collection[Cell],
) -> str:
    """The metric in which conclusions on a pair are drawn: the first that both have, and no inexact density went into.

    Args:
        first: The metric that sorts the rows, None where there is none.
        judged: The metrics in which there is a verdict on it.
        sides: Its two rows.
        infinite: Scores that are infinite: what stands behind them is no reason to look at another metric.
        inexact: Scores that read a density which is not exact.

    Returns:
        "" where there is none.
    """
    rows = list(sides)
    for metric in PLACING[PLACING.index(first) :] if first else ():
        cells = [(*row, metric) for row in rows]
        if any(cell in infinite for cell in cells):
            return ""
        if metric in judged and not any(cell in inexact for cell in cells):
            return metric
    return next((metric for metric in PLACING if metric in judged), "")
