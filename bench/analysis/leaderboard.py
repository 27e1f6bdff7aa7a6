"""The leaderboard as tidy data: one row for the score of one model in one metric, over its seeds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from bench.analysis.catalogue import entry, position
from bench.analysis.ranking import Configuration, Place, places
from bench.analysis.standing import Standing, standing
from bench.analysis.stats import FAR, SERIOUS, bootstrap_intervals, collapses, mean_intervals
from bench.analysis.verdicts import SIGNS
from bench.records.files import write_atomically
from bench.records.frames import (
    CELL,
    CONFIGURATION,
    FINAL,
    MISSING,
    PRETRAINED,
    REAL_DATA,
    SELECTED,
    as_rows,
    as_tuples,
    completed,
    usable,
)
from bench.visible import cell

__all__ = [
    "COLUMNS",
    "aggregate",
    "write_csv",
]

COLUMNS = (
    *("task", "preset", "role", "model", "checkpoint", "metric", "mean", "low", "high", "n"),
    *("interquartile_mean", "bootstrap_low", "bootstrap_high", "seeds_failed", "status"),
    *("kind", "unit", "direction", "signature", "collapsed", "unranked_because", "ranked_by", "tuned"),
)

_PRESETS = {"smoke": 0, "quick": 1, "medium": 2, "paper": 3}
_ROLES = {"": 0, "contender": 1, "control": 2}
_CHECKPOINTS = {FINAL: 0, SELECTED: 1, PRETRAINED: 2}
_STATUSES = ("ok", "skipped", "failed", "interrupted", "started", MISSING)
_DESCRIPTION = ["metric", "kind", "unit", "direction", "signature"]


def aggregate(runs: pd.DataFrame, scores: pd.DataFrame, who: Standing | None = None) -> pd.DataFrame:
    """Mean and 95% t interval over seeds for each (task, preset, model, checkpoint, metric).

    Tasks come in alphabetical order. Within a task the real data is first, then contenders, then controls, each by
    their mean final score in the task's headline metric, and those that it cannot place by another one
    (:mod:`bench.analysis.ranking`): a metric that can be gamed by itself never decides the order. Those whose score in
    it may not win (:mod:`bench.analysis.standing`) come below all others: they have no rank. Scores with different
    signatures are never averaged; a metric with two signatures gets two rows. Each row has the mean with Student's
    interval, and the interquartile mean with a bootstrap interval (Agarwal et al. 2021), which a single outlying seed
    moves less.

    Args:
        runs: One row per run.
        scores: One row for each (run, checkpoint, metric); ``value`` is NaN where the metric is absent.
        who: Which scores may not win; by default it is computed.

    Returns:
        A frame with :data:`COLUMNS`. ``collapsed`` counts seeds that are far worse than their fellows,
        ``unranked_because`` says why a score may not win, where it may not, and ``ranked_by`` by which metric the model
        is placed. A metric absent for all seeds has n = 0 and no mean. A model without a single completed run has one
        row, with no metric, whose ``status`` says what happened.
    """
    done = completed(runs, scores)
    rows = _cells(done, usable(done).to_numpy())
    statuses: dict[Any, Counter[str]] = {}
    roles: dict[Any, str] = {}
    tuned: dict[Any, Any] = {}
    for run in as_rows(runs[[*CONFIGURATION, "status", "role", *({"tuned"} & set(runs))]]):
        key = _configuration(run)
        statuses.setdefault(key, Counter())[run["status"]] += 1
        roles.setdefault(key, run["role"])
        tuned.setdefault(key, run.get("tuned"))
    unscored = statuses.keys() - {_configuration(row) for row in rows}
    rows += [dict(zip(CELL, (*key, FINAL, ""), strict=True)) | {"n": 0} for key in unscored]
    for row in rows:
        row["tuned"] = tuned.get(_configuration(row))
        counts = statuses.get(_configuration(row), Counter())
        row["role"] = roles.get(_configuration(row), "contender")
        row["status"] = ", ".join(f"{name} {counts[name]}" for name in _STATUSES if name in counts)
        row["seeds_failed"] = counts.get("failed", 0) + counts.get("interrupted", 0)
    who = who or standing(runs, scores)
    for row in rows:
        row["unranked_because"] = who.why_not((*_configuration(row), row["checkpoint"], row["metric"])) or None
    placed = places(rows, who)
    for row in rows:
        row["ranked_by"] = placed[_configuration(row)].metric or None
    board: pd.DataFrame = pd.DataFrame(_ordered(rows, placed), columns=list(COLUMNS))
    return board.astype({"collapsed": "Int64"})


def write_csv(path: Path, aggregate: pd.DataFrame) -> None:
    """Write the leaderboard with every digit: ``float`` of a cell gives the same number; missing values are empty.

    Texts are no formulas to a spreadsheet: see :func:`bench.visible.cell`.
    """
    texts = aggregate.select_dtypes(include=["object", "string"]).columns
    safe = aggregate.assign(**{name: aggregate[name].map(cache(cell)) for name in texts})  # most texts repeat
    write_atomically(path, safe.to_csv(index=False, lineterminator="\n"))


def _configuration(row: dict[str, Any]) -> tuple[str, str, str]:
    return row["task"], row["preset"], row["model"]


def _cells(scores: pd.DataFrame, present: npt.NDArray[np.bool_]) -> list[dict[str, Any]]:
    """One row for each (task, preset, model, checkpoint, metric) and each signature of its values that are present."""
    values = scores["value"].to_numpy(dtype=float)
    counted = (present & ~np.isnan(values)).tolist()
    infinite = scores["absent"].astype(str).str.endswith("inf").to_numpy().tolist()
    described = list(as_tuples(scores[_DESCRIPTION]))
    cells: dict[tuple[str, ...], list[int]] = {}
    for row, key in enumerate(as_tuples(scores[CELL])):
        cells.setdefault(key, []).append(row)
    found = []
    for key, every in cells.items():
        alike: dict[Any, list[int]] = {}
        for row in [row for row in every if present[row]] or every[:1]:
            alike.setdefault(str(described[row][-1]), []).append(row)
        for same in alike.values():
            about = dict(zip(_DESCRIPTION, described[same[0]], strict=True))
            about |= dict(zip(CELL, key, strict=True)) | {"infinite": any(infinite[row] for row in every)}
            found.append((about, [row for row in same if counted[row]]))
    by_number: dict[int, list[tuple[dict[str, Any], list[int]]]] = {}
    for about, rows in found:
        by_number.setdefault(len(rows), []).append((about, rows))
    for n, alike_cells in by_number.items():
        _summarize(
            [about for about, _ in alike_cells], values[np.array([rows for _, rows in alike_cells], dtype=int)], n
        )
    return [about for about, _ in found]


def _summarize(cells: list[dict[str, Any]], values: npt.NDArray[np.float64], n: int) -> None:
    """Add the numbers to cells of n values each, (cells, n); no numbers where the metric is absent."""
    if not n:
        for cell_ in cells:
            cell_["n"] = 0
        return
    for about, sample, interval, middle in zip(
        cells, values.tolist(), mean_intervals(values), bootstrap_intervals(values), strict=True
    ):
        sign = SIGNS.get(about["direction"])
        if sign and entry(about["metric"]).merit and about["kind"] == "quality" and about["model"] != REAL_DATA:
            known = entry(about["metric"]).resolution(sample)
            about["collapsed"] = len(collapses(sample, sign, max(SERIOUS * abs(median(sample)), FAR * known)))
        about |= {"mean": interval.mean, "low": interval.low, "high": interval.high, "n": interval.n}
        about |= {"interquartile_mean": middle.mean, "bootstrap_low": middle.low, "bootstrap_high": middle.high}


def _ordered(rows: list[dict[str, Any]], placed: Mapping[Configuration, Place]) -> list[dict[str, Any]]:
    def order(row: dict[str, Any]) -> tuple[Any, ...]:
        return (
            *(row["task"], _PRESETS.get(row["preset"], len(_PRESETS)), row["preset"]),
            *(row["model"] != REAL_DATA, _ROLES.get(row["role"], 1), placed[_configuration(row)].order),
            *(_CHECKPOINTS.get(row["checkpoint"], len(_CHECKPOINTS)), row["checkpoint"]),
            *(*position(row["metric"]), str(row.get("signature"))),
        )

    return sorted(rows, key=order)
