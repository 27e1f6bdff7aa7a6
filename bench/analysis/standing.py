"""Who may win. Whether a score may be bold, ranked and called better is decided here, and nowhere else.

A row that may not win keeps its scores, and the pages say why it has no rank. Four things bar it:

- *Lost seeds.* The plan of a task and preset is every seed that was ever asked for, for any of its models
  (:meth:`bench.records.store.Store.plan`), and every seed that any of them, or the real data, has a record of. A seed
  that failed, was interrupted, never ended, is missing, or has no usable value of a metric is lost: a model that
  crashes where it would be worse must not win by the seeds that are left. Of a metric that people give, the plan is
  every seed that they were asked about, for any model. A model that was skipped in every seed is
  not applicable, and has lost nothing.
- *A density that is not exact*, in metrics that read the density (:attr:`bench.analysis.catalogue.Entry.density`): a
  bound or an estimate may be better than the truth.
- *Overspending*: training took more than the budget that all models have
  (:func:`bench.analysis.overspending.overspent`).
- *Copying*: the rate at which its samples copy the training text, in every metric of quality.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from bench.analysis.catalogue import entry
from bench.analysis.copying import copiers
from bench.analysis.overspending import overspent
from bench.records.frames import CELL, FINAL, PRETRAINED, REAL_DATA, SELECTED, as_rows, as_tuples, completed, usable

__all__ = ["Cell", "Place", "Standing", "standing"]

Place = tuple[str, str, str, str]
"""Task, preset, model and checkpoint: a row of a table."""
Cell = tuple[str, str, str, str, str]
"""The same, and a metric."""

ENDINGS = {"started": "never ended", "skipped": "skipped in this seed only"}
"""Status of a run that has no result to what is said of its seed."""
INEXACT = {
    "bound": "its density is a bound, not exact",
    "estimated": "its density is an estimate, not exact",
    "none": "it has no density of its own",
}
"""Kind of density to the reason why scores of it do not win."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Why scores may not win; those that may are not listed.

    Attributes:
        barred: Score to its reasons: plain phrases of which each completes "it has no rank, because ...".
        lost: Score to the phrase about its lost seeds alone, which are among its reasons, too.
        inexact: Scores that read a density which is not exact; another metric may say what these cannot.
    """

    barred: Mapping[Cell, tuple[str, ...]]
    lost: Mapping[Cell, str]
    inexact: frozenset[Cell] = frozenset()

    def why_not(self, cell: Cell) -> str:
        """Why a score may not win, "" where it may."""
        return "; ".join(self.barred.get(cell, ()))

    def losses(self, cell: Cell) -> str:
        """What is said of the seeds that a score lost, beginning with "it", "" where it lost none."""
        return self.lost.get(cell, "")


def standing(runs: pd.DataFrame, scores: pd.DataFrame) -> Standing:
    """Decide for every score of a model whether it may win.

    Args:
        runs: One row per run, those that were planned and have no record included; without a column ``density``, every
            density counts as exact.
        scores: One row for each (run, checkpoint, metric); those of runs that did not end well do not count.
    """
    done = completed(runs, scores)
    quality = done[(done["kind"] == "quality") & (done["model"] != REAL_DATA)]
    lost, copies, densities = _lost(runs, quality), copiers(done), _densities(runs)
    costly = overspent(runs, done)
    barred: dict[Cell, tuple[str, ...]] = {}
    inexact: set[Cell] = set()
    for cell in _cells(quality):
        task, preset, model, checkpoint, metric = cell
        density = densities.get((task, preset, model, checkpoint), "exact") if entry(metric).density else "exact"
        reasons = (
            lost.get(cell, ""),
            INEXACT.get(density, ""),
            costly.get(cell[:3], ""),
            copies.get((task, preset, model, checkpoint), ""),
        )
        if density != "exact":
            inexact.add(cell)
        if any(reasons):
            barred[cell] = tuple(filter(None, reasons))
    return Standing(barred, lost, frozenset(inexact))


def _cells(scores: pd.DataFrame) -> list[Cell]:
    """Each score once."""
    return list(as_tuples(scores[CELL].drop_duplicates().astype(str)))


def _lost(runs: pd.DataFrame, quality: pd.DataFrame) -> dict[Cell, str]:
    """Scores that lack a planned seed, with what became of these seeds."""
    planned: dict[tuple[str, str], set[int]] = {}
    endings: dict[tuple[str, str, str], dict[int, str]] = {}
    for run in as_rows(runs[["task", "preset", "model", "seed", "status"]]):
        planned.setdefault((run["task"], run["preset"]), set()).add(run["seed"])
        endings.setdefault((run["task"], run["preset"], run["model"]), {})[run["seed"]] = run["status"]
    kept: dict[Cell, set[int]] = {}
    there = quality[usable(quality)] if len(quality) else quality
    for task, preset, model, checkpoint, metric, seed in as_tuples(there[[*CELL, "seed"]]):
        kept.setdefault((task, preset, model, checkpoint, metric), set()).add(seed)
    asked: dict[tuple[str, str, str], set[int]] = {}
    for (task, preset, _, _, metric), seeds in kept.items():
        if entry(metric).asked:
            asked.setdefault((task, preset, metric), set()).update(seeds)
    found = {}
    for cell, seeds in kept.items():
        due = asked.get((*cell[:2], cell[4]), planned[cell[:2]])
        lacking = sorted(due - seeds)
        if lacking:
            ended = endings[cell[:3]]
            told: dict[str, list[int]] = {}
            for seed in lacking:
                told.setdefault(_ending(ended.get(seed)), []).append(seed)
            named = "; ".join(f"seed{'s' * (len(which) > 1)} {_listed(which)} {how}" for how, which in told.items())
            found[cell] = f"it lost {len(lacking)} of {len(due)} seeds ({named})"
    return found


def _ending(status: str | None) -> str:
    """What became of a seed without a score."""
    return "not run" if status is None else "without a value" if status == "ok" else ENDINGS.get(status, status)


def _listed(seeds: list[int]) -> str:
    return ", ".join(map(str, seeds[:5])) + (" ..." if len(seeds) > 5 else "")


def _densities(runs: pd.DataFrame) -> dict[Place, str]:
    """Row of a table to the weakest kind of density that the model has there in any of its completed runs."""
    if "density" not in runs:
        return {}
    found: dict[Place, str] = {}
    order = ("exact", *INEXACT)
    for run in as_rows(runs[runs["status"] == "ok"]):
        for checkpoint in (FINAL, SELECTED, PRETRAINED):
            place = run["task"], run["preset"], run["model"], checkpoint
            kind = str((run.get("densities") or {}).get(checkpoint, run["density"]))
            found[place] = max(found.get(place, "exact"), kind if kind in order else "none", key=order.index)
    return found
