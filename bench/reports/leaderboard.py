"""The leaderboard as tidy data: one row for what one model scored in one metric, over its seeds."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from bench.stats import mean_interval

__all__ = [
    "COLUMNS",
    "COSTS",
    "FINAL",
    "GROUPS",
    "PRETRAINED",
    "REAL_DATA",
    "aggregate",
    "completed",
    "in_order",
    "records",
    "write_csv",
]

REAL_DATA = "real data"
FINAL, PRETRAINED = "final", "pretrained"
COSTS = "Costs"

GROUPS: dict[str, tuple[str, ...]] = {
    "Likelihood and divergence": ("nll_oracle", "nll_test", "kl_forward", "kl_reverse", "jsd"),
    "BLEU against the test set": ("bleu2", "bleu3", "bleu4", "bleu5"),
    "Diversity": (
        *("self_bleu2", "self_bleu3", "self_bleu4", "self_bleu5"),
        *("distinct2", "distinct3"),
    ),
    COSTS: (
        *("seconds", "pretraining_seconds", "train_tokens_per_second", "sampled_tokens_per_second"),
        *("rollouts_per_second", "discriminator_sequences_per_second", "peak_memory_mib"),
    ),
}
"""The metrics this project knows, by theme; the order here is the order of rows and columns everywhere."""

COLUMNS = (
    *("task", "preset", "model", "checkpoint", "metric", "mean", "low", "high", "n", "seeds_failed", "status"),
    *("kind", "unit", "direction", "signature"),
)

_METRICS = {name: place for place, name in enumerate(name for group in GROUPS.values() for name in group)}
_PRESETS = {"smoke": 0, "quick": 1, "paper": 2}
_STATUSES = ("ok", "skipped", "failed", "interrupted", "started")
_CONFIGURATION = ["task", "preset", "model"]
_CELL = [*_CONFIGURATION, "checkpoint", "metric"]
_DESCRIPTION = ["kind", "unit", "direction", "signature"]


def completed(runs: pd.DataFrame, lines: pd.DataFrame) -> pd.DataFrame:
    """The scores or curves, less those of runs that failed, were skipped or never ended."""
    unfinished = runs.loc[runs["status"] != "ok", "run_id"]
    kept: pd.DataFrame = lines[~lines["run_id"].isin(unfinished)]
    return kept


def aggregate(runs: pd.DataFrame, scores: pd.DataFrame) -> pd.DataFrame:
    """Mean and 95% t interval over seeds for each (task, preset, model, checkpoint, metric).

    Tasks come in alphabetical order. Within a task the real data is first, then models by their mean final
    ``nll_test``, and those without one by name: a metric that can be gamed alone never decides the order. Scores with
    different signatures are never averaged; should one metric have two, it gets two rows.

    Args:
        runs: One row a run.
        scores: One row for each (run, checkpoint, metric); ``value`` is NaN where the metric is absent.

    Returns:
        A frame with :data:`COLUMNS`. A metric absent for all seeds has n = 0 and no mean. A model without a single
        completed run has one row, with no metric, whose ``status`` says what happened.
    """
    rows: list[dict[str, Any]] = []
    for key, cell in completed(runs, scores).groupby(_CELL):
        present = cell.dropna(subset=["value"])
        if cell["absent"].astype(str).str.endswith("inf").any():
            present = present.head(0)  # a mean over the seeds that are not infinite would flatter
        for _, alike in (cell.head(1) if present.empty else present).groupby("signature", dropna=False):
            rows.append(dict(zip(_CELL, key, strict=True)) | _summary(alike))
    statuses = {key: group["status"].value_counts().to_dict() for key, group in runs.groupby(_CONFIGURATION)}
    unscored = statuses.keys() - {_configuration(row) for row in rows}
    rows += [dict(zip(_CELL, (*key, FINAL, ""), strict=True)) | {"n": 0} for key in unscored]
    for row in rows:
        counts = statuses.get(_configuration(row), {})
        row["status"] = ", ".join(f"{name} {counts[name]}" for name in _STATUSES if name in counts)
        row["seeds_failed"] = counts.get("failed", 0) + counts.get("interrupted", 0)
    board: pd.DataFrame = pd.DataFrame(_ordered(rows), columns=list(COLUMNS))
    return board


def in_order(metrics: Iterable[str]) -> list[str]:
    """Metrics in the order of :data:`GROUPS`, unknown ones last and by name."""
    return sorted(metrics, key=_place)


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of a frame as dictionaries."""
    return [{str(column): value for column, value in record.items()} for record in frame.to_dict("records")]


def write_csv(path: Path, aggregate: pd.DataFrame) -> None:
    """Write the leaderboard with every digit: ``float`` of a cell gives the same number; what is missing is empty."""
    aggregate.to_csv(path, index=False, lineterminator="\n", encoding="utf-8")


def _configuration(row: dict[str, Any]) -> tuple[str, str, str]:
    return row["task"], row["preset"], row["model"]


def _place(metric: str) -> tuple[int, str]:
    return _METRICS.get(metric, len(_METRICS)), metric


def _summary(scores: pd.DataFrame) -> dict[str, Any]:
    """The numbers of one cell; no numbers where the metric is absent."""
    described = {column: scores[column].iloc[0] for column in _DESCRIPTION}
    values = scores["value"].dropna()
    if values.empty:
        return described | {"n": 0}
    interval = mean_interval(values)
    return described | {"mean": interval.mean, "low": interval.low, "high": interval.high, "n": interval.n}


def _ordered(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    nll_test = {
        _configuration(row): row["mean"]
        for row in rows
        if row["metric"] == "nll_test" and row["checkpoint"] == FINAL and row["n"]
    }

    def order(row: dict[str, Any]) -> tuple[Any, ...]:
        return (
            *(row["task"], _PRESETS.get(row["preset"], len(_PRESETS)), row["preset"]),
            *(row["model"] != REAL_DATA, nll_test.get(_configuration(row), math.inf), row["model"]),
            *(row["checkpoint"] != FINAL, row["checkpoint"]),
            *(*_place(row["metric"]), str(row.get("signature"))),
        )

    return sorted(rows, key=order)
