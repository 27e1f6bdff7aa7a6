"""A run as trackers of experiments show it: a pure function of its record, which each writes in its own form."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import PurePath
from typing import Any

from bench.records.record import RunRecord, RunSpec
from bench.visible import visible

__all__ = ["SHOWN", "History", "Point", "history"]

SHOWN = ("ok", "failed")
"""Statuses of the runs that are written: the others have not ended, or have nothing to show."""
LONGEST = 80
"""Most bytes of a folder's name; file systems allow 255."""
HARMLESS = "-_.=+"
"""What names of folders keep, beside letters and digits."""


@dataclass(frozen=True, slots=True)
class Point:
    """One step of a training curve.

    Attributes:
        phase: The phase, such as "mle" or "adversarial".
        step: The step within the phase, from 1.
        seconds: Cost of the training so far, as are ``tokens`` and ``updates``; evaluations do not count.
        tokens: None where a record of an earlier schema has none.
        updates: As tokens.
        values: What was measured at this step, by name.
    """

    phase: str
    step: int
    seconds: float
    tokens: float | None
    updates: float | None
    values: Mapping[str, float]

    @property
    def named(self) -> dict[str, float]:
        """The values by ``phase/name``."""
        return {f"{self.phase}/{name}": value for name, value in self.values.items()}


@dataclass(frozen=True, slots=True)
class History:
    """All that a tracker shows of a run.

    Attributes:
        id: Identifies the run; letters, digits and hyphens.
        place: Names of three nested folders: the task under its preset, the model, the seed with the id. Whatever a
            model or a task is called, they lead out of no folder.
        configuration: What all seeds share, as text that no other configuration has.
        task: The task as tables show it.
        preset: The preset as tables show it.
        model: The model as tables show it.
        seed: The seed.
        status: "ok" or "failed".
        settings: What was asked for: labels, fields of model and task, execution, budget.
        facts: What else is known: role, reason, commit, versions, machine.
        started: Seconds since 1970, UTC; 0 where the record does not say it.
        ended: The same of the end.
        points: The training curve.
        scores: ``checkpoint/metric`` to value, where there is one.
        samples: A few generated sequences.
    """

    id: str
    place: tuple[str, str, str]
    configuration: str
    task: str
    preset: str
    model: str
    seed: int
    status: str
    settings: Mapping[str, Any]
    facts: Mapping[str, Any]
    started: float
    ended: float
    points: tuple[Point, ...]
    scores: Mapping[str, float]
    samples: tuple[str, ...]


def history(record: RunRecord) -> History:
    """What trackers show of a run; the same record gives the same."""
    spec = record.spec
    identity = _identity(spec.run_id)
    started = _seconds(record.started) or 0.0
    points = tuple(
        Point(
            visible(str(row["phase"])), int(row["step"]), float(row["seconds"] or 0.0), row["tokens"], row["updates"],
            {visible(name): float(value) for name, value in row["scalars"].items() if _is_number(value)},
        )
        for row in record.curve
    )  # fmt: skip
    return History(
        id=identity,
        place=(
            _folder(f"{spec.task_label}.{spec.preset_label}"),
            _folder(spec.label),
            f"seed-{spec.seed}.{identity}",
        ),
        configuration=visible(f"{spec.task_label}, {spec.preset_label}: {spec.label} ({spec.group_id})"),
        task=visible(spec.task_label),
        preset=visible(spec.preset_label),
        model=visible(spec.label),
        seed=spec.seed,
        status=record.status,
        settings=_settings(spec),
        facts=_facts(record),
        started=started,
        ended=_seconds(record.finished) or started,
        points=points,
        scores={
            f"{checkpoint}/{visible(score.metric)}": float(score.value)
            for checkpoint, scores in record.scores.items()
            for score in scores
            if score.value is not None
        },
        samples=tuple(map(visible, record.samples)),
    )


def _settings(spec: RunSpec) -> dict[str, Any]:
    """Labels, which curves are grouped by, and every field; files are named without their folders, as in tables."""
    parts = {
        "fields": spec.config, "task_fields": spec.task_config, "execution": spec.execution, "budget": spec.budget,
    }  # fmt: skip
    labels = {"task": spec.task_label, "preset": spec.preset_label, "model": spec.label, "seed": spec.seed}
    return {
        **{name: _plain(value) for name, value in labels.items()},
        **{name: {visible(key): _plain(value) for key, value in part.items()} for name, part in parts.items() if part},
    }


def _facts(record: RunRecord) -> dict[str, Any]:
    spec, environment = record.spec, record.environment
    facts = {
        "run_id": spec.run_id, "group_id": spec.group_id, "role": spec.role, "status": record.status,
        "reason": record.reason, "density": record.density, "tuned": spec.tuned,
        "device": environment.get("device_name") or spec.device, "torch": spec.torch,
        **{name: environment.get(name) for name in ("commit", "dirty", "machine", "python", "threads")},
        "version": environment.get("packages", {}).get("seqgan-bench"), "started": record.started,
        "finished": record.finished,
    }  # fmt: skip
    if record.selected is not None:
        facts["selected"] = f"{record.selected['phase']} {record.selected['step']}"
    if record.warnings:
        facts["warnings"] = "; ".join(map(str, record.warnings))
    return {name: _plain(value) for name, value in facts.items() if value is not None}


def _plain(value: Any) -> Any:
    """A setting of a record, which is JSON, with what could be obeyed made visible."""
    if isinstance(value, str):
        return visible(PurePath(value).name if os.sep in value and PurePath(value).is_absolute() else value)
    if isinstance(value, Mapping):
        return {visible(str(name)): _plain(part) for name, part in value.items()}
    if isinstance(value, Sequence):
        return [_plain(part) for part in value]
    return value


def _identity(run_id: str) -> str:
    """The run's id; a record of an earlier schema brings its own, which may be any text."""
    if run_id.isascii() and run_id.isalnum() and len(run_id) <= LONGEST:
        return run_id
    return hashlib.sha256(run_id.encode("utf-8", "backslashreplace")).hexdigest()[:12]


def _folder(name: str) -> str:
    """A name as that of a folder: never empty, hidden, "..", or a path. Two names may become one folder."""
    kept = "".join(letter if letter.isalnum() or letter in HARMLESS else "-" for letter in name)
    return kept.strip(".-").encode()[:LONGEST].decode(errors="ignore").rstrip(".-") or "unnamed"


def _seconds(when: str | None) -> float | None:
    try:
        moment = datetime.fromisoformat(when or "")
        return moment.replace(tzinfo=moment.tzinfo or timezone.utc).timestamp()
    except (ValueError, OverflowError):
        return None


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
