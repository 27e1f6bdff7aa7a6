"""What quality costs: the cheapest model that the seeds do not separate from the best one."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from statistics import fmean

import pandas as pd

from bench.analysis.catalogue import entry, headline
from bench.analysis.standing import Standing, standing
from bench.analysis.verdicts import BETTER, BETTER_IF_NORMAL, FEW, ONE_OBSERVATION, SIGNS, Pair, Verdict, judge
from bench.records.frames import FINAL, REAL_DATA, as_tuples, usable

__all__ = ["Cheapest", "cheapest"]

SEPARATED = (BETTER, BETTER_IF_NORMAL, ONE_OBSERVATION)
"""Outcomes of the best model against another that tell them apart; where no seed changes either, they just differ."""
COST = "seconds"
"""What is paid: the one cost that every model counts, and that gradients and counts of words share."""


@dataclass(frozen=True, slots=True)
class Cheapest:
    """The best model of a task and the cheapest that is not separable from it.

    Attributes:
        metric: By which they are compared: the one that the rows are sorted by.
        unit: Of the metric.
        best: The model with the best mean.
        model: The cheapest of those that the best one is not better than; the best itself where none is cheaper.
        seconds: Model to its mean seconds of training, of these two.
        verdict: On ``best`` against ``model``; None where they are one.
        alike: How many models the best one is not better than.
        compared: How many it was compared with.
        verdicts: Those on ``best`` against each of the others.
    """

    metric: str
    unit: str
    best: str
    model: str
    seconds: dict[str, float]
    verdict: Verdict | None
    alike: int
    compared: int
    verdicts: tuple[Verdict, ...] = ()

    @property
    def not_separable(self) -> tuple[str, ...]:
        """The models that the best one is not better than, in the order of their names."""
        return tuple(sorted(each.reference for each in self.verdicts if each.outcome not in SEPARATED))


def cheapest(scores: pd.DataFrame, runs: pd.DataFrame, who: Standing | None = None) -> Cheapest | None:
    """Compare the best model of a task with all others, and take the cheapest that it is not better than.

    Contenders and controls alike: a control that is as good is what a contender's price must be held against. The best
    is compared with every other model over the seeds that all have, as one family
    (:func:`bench.analysis.verdicts.judge`). That no difference was shown is no evidence that there is none, and fewer
    than five seeds hardly ever show one: of these nothing is said, since the cheapest would be the worst.

    Args:
        scores: One row for each (run, checkpoint, metric) of the completed runs of one task and preset.
        runs: One row for each run of them.
        who: Which scores may not win; by default it is computed.

    Returns:
        None where less than two models may win, have a cost and five seeds, or these do not share five seeds.
    """
    who = who or standing(runs, scores)
    final = scores[(scores["checkpoint"] == FINAL) & (scores["model"] != REAL_DATA)]
    good = final[(final["kind"] == "quality") & usable(final)]
    metric = headline(good["metric"].unique())
    if metric is None:
        return None
    rows = good[good["metric"] == metric]
    spent = final[(final["metric"] == COST) & final["value"].notna()].groupby("model")["value"].mean()
    values: dict[str, dict[Hashable, float]] = {}
    columns = ["task", "preset", "model", "seed", "signature", "value"]
    for task, preset, model, seed, signature, value in as_tuples(rows[columns]):
        if model in spent.index and not who.why_not((task, preset, model, FINAL, metric)):
            values.setdefault(model, {})[seed, signature] = value
    values = {model: mine for model, mine in values.items() if len(mine) >= FEW}
    shared = set.intersection(*map(set, values.values())) if values else set()
    if len(values) < 2 or len(shared) < FEW:
        return None
    values = {model: {key: mine[key] for key in shared} for model, mine in values.items()}
    direction = rows["direction"].iloc[0]
    best = max(values, key=lambda model: (SIGNS[direction] * fmean(values[model].values()), -spent[model]))
    resolution = entry(metric).resolution(rows["value"])
    pairs = [Pair.of(best, other, values[best], mine, resolution) for other, mine in values.items() if other != best]
    verdicts = {verdict.reference: verdict for verdict in judge(pairs, direction)}
    alike = [name for name, verdict in verdicts.items() if verdict.outcome not in SEPARATED]
    model = min([best, *alike], key=lambda name: (spent[name], name != best))
    seconds = {name: float(spent[name]) for name in (best, model)}
    unit = rows["unit"].iloc[0]
    return Cheapest(
        metric, unit, best, model, seconds, verdicts.get(model), len(alike), len(pairs), tuple(verdicts.values())
    )
