"""Records as tidy frames, and what all readers of frames share: columns, checkpoints, and which rows count."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeAlias

from bench.records.command import command

if TYPE_CHECKING:
    import pandas as pd

    from bench.records.planned import Configured
    from bench.records.record import RunRecord, RunSpec, Score

__all__ = [
    "CELL",
    "CONFIGURATION",
    "COSTS",
    "CURVE_COLUMNS",
    "FINAL",
    "FRONTIER_COLUMNS",
    "KEYS",
    "MISSING",
    "PRETRAINED",
    "REAL_DATA",
    "RUN_COLUMNS",
    "SCORE_COLUMNS",
    "SELECTED",
    "Frames",
    "Row",
    "as_rows",
    "as_tuples",
    "completed",
    "frames",
    "usable",
]

Row: TypeAlias = dict[str, Any]
"""A row of a frame: column to value."""

REAL_DATA = "real data"
"""The model's name in the row of real sequences, which are scored as if a model had generated them."""
FINAL, SELECTED, PRETRAINED = "final", "selected", "pretrained"
"""Checkpoints: the last step, the one that validation data pick, and the result of a shared pre-training."""
MISSING = "missing"
"""Status of a run that was planned and has no record."""

CONFIGURATION = ["task", "preset", "model"]
"""What all seeds of one contestant share."""
CELL = [*CONFIGURATION, "checkpoint", "metric"]
"""What all seeds of one score share."""
KEYS = ["run_id", "group_id", *("task", "model", "preset", "seed")]
"""What identifies a run."""
COSTS = ("seconds", "tokens", "updates")
"""What training costs, cumulative and including the shared pre-training."""
RUN_COLUMNS = [
    *KEYS, "role", "status", "reason", "finished", "version", "commit", "dirty",
    "device", "machine", "python", "torch", "threads", "settings", "tuned", "samples", "data", "selected", "density",
    "budget", "warnings", "command", "nearest", "kind", "densities",
]  # fmt: skip
_SCORE = ["kind", "metric", "value", "absent", "unit", "direction", "signature"]
SCORE_COLUMNS = [*KEYS, "checkpoint", *_SCORE]
FRONTIER_COLUMNS = [*KEYS, "temperature", *_SCORE]
CURVE_COLUMNS = [*KEYS, "phase", "step", *COSTS, "name", "value"]


@dataclass(frozen=True, slots=True)
class Frames:
    """All records of a folder.

    Attributes:
        runs: One row for each run; also for a run that was planned and has no record, with status :data:`MISSING`.
        scores: One row for each run, checkpoint and metric; ``value`` is NaN where ``absent`` says why there is none.
        frontier: One row for each run, temperature and metric; ``value`` and ``absent`` as in ``scores``.
        curves: One row for each run, step and name.
        superseded: Number of runs that were left out because newer code or settings replaced them.
        notes: What is wrong with files of the folder, a sentence for each.
    """

    runs: pd.DataFrame
    scores: pd.DataFrame
    frontier: pd.DataFrame
    curves: pd.DataFrame
    superseded: int
    notes: tuple[str, ...] = ()


def frames(
    records: Sequence[RunRecord],
    superseded: int = 0,
    notes: tuple[str, ...] = (),
    missing: Sequence[tuple[Configured, int]] = (),
    rated: Mapping[str, Sequence[Score]] = MappingProxyType({}),
) -> Frames:
    """The records as frames, in their order, and the seeds of the plan that are missing after them.

    Args:
        records: The records.
        superseded: Number of runs that were left out.
        notes: What is wrong with files of the folder.
        missing: Seeds that were planned and have no record.
        rated: Run id to what people said of it: scores of its last step, after those of its record.
    """
    import pandas as pd

    keyed = [(_keys(record), record) for record in records]  # ids are hashes of whole plans: each is computed once
    runs = [*(_run_row(keys, record) for keys, record in keyed), *(_missing_row(*each) for each in missing)]
    scores = [
        (*keys, checkpoint, *_score_row(score))
        for keys, record in keyed
        for checkpoint, checkpoint_scores in (*record.scores.items(), (FINAL, rated.get(keys[0], ())))
        for score in checkpoint_scores
    ]
    frontier = [
        (*keys, float(temperature), *_score_row(score))
        for keys, record in keyed
        for temperature, tempered_scores in record.frontier.items()
        for score in tempered_scores
    ]
    place = operator.itemgetter("phase", "step", *COSTS)
    curves = [
        (*keys, *place(line), name, value)
        for keys, record in keyed
        for line in record.curve
        for name, value in line["scalars"].items()
    ]
    return Frames(
        pd.DataFrame(runs, columns=RUN_COLUMNS),
        pd.DataFrame(scores, columns=SCORE_COLUMNS),
        pd.DataFrame(frontier, columns=FRONTIER_COLUMNS),
        pd.DataFrame(curves, columns=CURVE_COLUMNS).astype(dict.fromkeys(COSTS, float)),
        superseded,
        notes,
    )


def as_rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of a frame as dictionaries."""
    names = list(map(str, frame.columns))
    return [dict(zip(names, row, strict=True)) for row in as_tuples(frame)]


def as_tuples(frame: pd.DataFrame) -> Iterator[tuple[Any, ...]]:
    """The rows of a frame as tuples of Python's own values."""
    # Column by column, because pandas takes many times as long to hand out strings one by one.
    return zip(*(frame[name].to_numpy(dtype=object) for name in frame.columns), strict=True)


def completed(runs: pd.DataFrame, lines: pd.DataFrame) -> pd.DataFrame:
    """The scores or curves, without those of runs that failed, were skipped or never ended."""
    unfinished = runs.loc[runs["status"] != "ok", "run_id"]
    kept: pd.DataFrame = lines[~lines["run_id"].isin(unfinished)]
    return kept


def usable(scores: pd.DataFrame) -> pd.Series:
    """True where there is a value and no seed's is infinite: the finite values alone would flatter the model."""
    mask: pd.Series = scores["value"].notna()
    infinite = scores["absent"].notna() & scores["absent"].astype(str).str.endswith("inf")
    if infinite.any():  # it takes a while, and most results have none
        mask &= ~infinite.groupby([scores[name] for name in CELL]).transform("any")
    return mask


def _keys(record: RunRecord) -> tuple[Any, ...]:
    """The values of :data:`KEYS`."""
    spec = record.spec
    return spec.run_id, spec.group_id, spec.task_label, spec.label, spec.preset_label, spec.seed


def _run_row(keys: tuple[Any, ...], record: RunRecord) -> Row:
    facts = record.environment
    packages = facts.get("packages", {})
    return {
        **dict(zip(KEYS, keys, strict=True)),
        "role": record.spec.role,
        "status": record.status,
        "reason": record.reason,
        "finished": record.finished,
        "version": packages.get("seqgan-bench"),
        "commit": facts.get("commit"),
        "dirty": facts.get("dirty"),
        "device": facts.get("device_name") or record.spec.device,
        "machine": facts.get("machine"),
        "python": facts.get("python"),
        "torch": packages.get("torch"),
        "threads": facts.get("threads"),
        "settings": _settings(record.spec),
        "tuned": record.spec.tuned,
        "samples": list(record.samples),
        "data": record.data_sha256,
        "selected": _selected(record.selected) if record.selected else None,
        "density": record.density,
        "budget": dict(record.spec.budget),
        "warnings": list(record.warnings),
        "command": command(record.spec),
        "nearest": list(record.nearest),
        "kind": record.kind,
        "densities": dict(record.densities),
    }


def _missing_row(plan: Configured, seed: int) -> Row:
    """What is known of a run without a record."""
    identity = (plan.runs[seed], plan.group, plan.task, plan.model, plan.preset, seed)
    return {
        **dict(zip(KEYS, identity, strict=True)),
        "role": plan.role,
        "status": MISSING,
        "reason": "it was planned, and there is no record of it that can be read",
        "tuned": plan.tuned,
        "samples": [],
        "density": "none",
        "warnings": [],
        "nearest": [],
        "densities": {},
    }


def _selected(found: Mapping[str, Any]) -> str:
    """Phase and step, and the temperature if it was selected, too."""
    at = f" at temperature {found['temperature']:g}" if "temperature" in found else ""
    return f"{found['phase']} {found['step']}{at}"


def _settings(spec: RunSpec) -> str:
    """Every field of the model, and how it was executed."""
    fields, execution = (
        ", ".join(f"{name}={value}" for name, value in sorted(part.items())) for part in (spec.config, spec.execution)
    )
    return f"{fields}; executed with {execution}" if execution else fields


def _score_row(score: Score) -> tuple[Any, ...]:
    """The values of the columns that describe a score."""
    value = float("nan") if score.value is None else score.value
    return score.kind, score.metric, value, score.absent, score.unit, score.direction, score.signature
