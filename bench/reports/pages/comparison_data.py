"""What the script of ``comparison.html`` sorts, filters and draws: the cells of a comparison and what is behind them.

The verdicts are those of :mod:`bench.analysis.compare`; nothing is decided here. Numbers have seven digits; where there
is none it is null.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import pandas as pd

from bench.analysis.accepted import Key
from bench.analysis.catalogue import ARROWS, MEANINGS
from bench.analysis.compare import SAME, Cell, Comparison
from bench.analysis.verdicts import SIGNS
from bench.records.command import command, with_seeds
from bench.records.frames import Row, as_rows
from bench.records.record import RunRecord
from bench.reports.numbers import rounded

__all__ = ["FIELDS", "Difference", "Side", "data", "differences", "kind", "places"]

Configuration = tuple[str, str, str]
"""Task, preset and model."""
FIELDS = "field "
"""How the names of a generator's fields begin among :func:`differences`."""
HASH = 12
"""Digits of a hash that are shown."""


@dataclass(frozen=True, slots=True, eq=False)
class Side:
    """One of two results.

    Attributes:
        name: What the user called it.
        scores: Its scores, as :func:`bench.analysis.accepted.tidy` gives them.
        records: The records that the scores are of; None for a file of accepted results, which has scores alone.
    """

    name: str
    scores: pd.DataFrame
    records: Sequence[RunRecord] | None = None


@dataclass(frozen=True, slots=True)
class Difference:
    """What two groups of runs do not have in common.

    Attributes:
        name: What differs.
        base: Its values in base, sorted; empty where base has no such thing.
        head: Its values in head.
    """

    name: str
    base: tuple[str, ...]
    head: tuple[str, ...]


def data(comparison: Comparison, base: Side, head: Side, against: Sequence[str] = ()) -> dict[str, Any]:
    """The data of the page.

    Args:
        comparison: The verdicts on the scores of both sides.
        base: Those from before.
        head: Those from after.
        against: As for :func:`bench.analysis.opponents.opposed`, which made the scores of both sides.
    """
    texts: dict[str, int] = {}
    rows = (_by_cell(base.scores), _by_cell(head.scores))
    cells = [_cell(cell, rows[0].get(cell.key, {}), rows[1].get(cell.key, {}), texts) for cell in comparison.cells]
    return {
        "names": [base.name, head.name],
        "cells": cells,
        "models": _models(comparison, base, head, against),
        "texts": list(texts),
    }


def kind(cell: Cell) -> str:
    """The verdict on a cell, by which it is filtered: what did not change at all is apart from what did."""
    return SAME if cell.words == SAME else cell.verdict


def places(records: Iterable[RunRecord]) -> dict[str, str]:
    """Name to value of where runs were made, for all of them together: versions, commit and machine."""
    found: dict[str, set[str]] = {}
    for record in records:
        for name, value in _place(record).items():
            found.setdefault(name, set()).add(value)
    return {name: ", ".join(sorted(values)) for name, values in found.items()}


def differences(base: Iterable[RunRecord], head: Iterable[RunRecord]) -> list[Difference]:
    """What the runs of two groups do not have in common: fields, code, versions, machine, data.

    Of runs with seeds that both have, these alone count: other seeds may have other data.
    """
    sides = list(base), list(head)
    seeds = set.intersection(*({record.spec.seed for record in side} for side in sides))
    found: list[dict[str, set[str]]] = [{}, {}]
    for side, records in zip(found, sides, strict=True):
        for record in records:
            for name, value in _facts(record).items() if not seeds or record.spec.seed in seeds else ():
                side.setdefault(name, set()).add(value)
    names = dict.fromkeys([*found[0], *found[1]])
    listed = [Difference(name, *(tuple(sorted(side.get(name, ()))) for side in found)) for name in names]
    return [each for each in listed if each.base != each.head]


def _facts(record: RunRecord) -> dict[str, str]:
    """Everything of a run that may explain another score, but for its seed."""
    spec = record.spec
    return {
        **{f"{FIELDS}{name}": _shown(value) for name, value in spec.config.items()},
        **{f"execution: {name}": _shown(value) for name, value in spec.execution.items()},
        "how fields were chosen": spec.tuned if spec.target else "",
        "code of the generator": spec.source[:HASH],
        **{f"task's {name}": _shown(value) for name, value in spec.task_config.items()},
        "version of the task": spec.task_version,
        **{f"version of {name}": version for name, version in spec.metrics.items()},
        "sequences scored": str(spec.samples),
        "temperatures": _shown(spec.temperatures),
        "data (SHA-256)": (record.data_sha256 or "")[:HASH],
        "density": record.density,
        **_place(record),
    }


def _place(record: RunRecord) -> dict[str, str]:
    """Where a run was made."""
    facts = record.environment
    known = {
        "commit": f"{str(facts.get('commit') or '')[:HASH]}{' with uncommitted changes' if facts.get('dirty') else ''}",
        "machine": facts.get("machine"),
        "instructions": facts.get("instructions"),
        "platform": facts.get("platform"),
        "device": facts.get("device_name") or record.spec.device,
        "threads": facts.get("threads"),
        "Python": facts.get("python"),
        **facts.get("packages", {}),
    }
    return {name: str(value) for name, value in known.items() if value not in (None, "")}


def _shown(value: Any) -> str:
    """A value of a field; a record holds a list where a field holds a tuple."""
    return repr(tuple(value) if isinstance(value, list) else value)


def _by_cell(scores: pd.DataFrame) -> dict[Key, dict[int, Row]]:
    found: dict[Key, dict[int, Row]] = {}
    for row in as_rows(scores):
        found.setdefault(Key(*(row[name] for name in Key._fields)), {})[row["seed"]] = row
    return found


def _cell(cell: Cell, old: Mapping[int, Row], new: Mapping[int, Row], texts: dict[str, int]) -> Row:
    """One cell: its means are over the seeds that both sides have, where there are any."""
    about = next(iter((old or new).values()), {})
    direction = str(about.get("direction") or "")
    values = [{seed: row["value"] for seed, row in rows.items() if math.isfinite(row["value"])} for rows in (old, new)]
    seeds = sorted(old.keys() | new.keys())
    common = values[0].keys() & values[1].keys()
    means = [fmean(side[seed] for seed in common or side) if side else None for side in values]
    signatures = [sorted({str(row["signature"]) for row in rows.values() if row["signature"]}) for rows in (old, new)]
    return {
        "verdict": cell.verdict,
        "kind": kind(cell),
        "task": f"{cell.key.task}, {cell.key.preset}",
        "model": cell.key.model,
        "checkpoint": cell.key.checkpoint,
        "metric": cell.key.metric,
        "unit": str(about.get("unit") or ""),
        "arrow": ARROWS.get(direction, ""),
        "meaning": MEANINGS.get(direction, ""),
        "words": texts.setdefault(cell.words, len(texts)),
        "means": [rounded(mean) for mean in means],
        "difference": _difference(cell, direction),
        "distance": direction == "real",
        "n": cell.seeds,
        "p": rounded(cell.losses.corrected_p) if cell.losses else None,
        "test": cell.losses.test if cell.losses else "",
        "seeds": seeds,
        "values": [[rounded(side.get(seed)) for seed in seeds] for side in values],
        "signatures": [[texts.setdefault(text, len(texts)) for text in side] for side in signatures],
    }


def _difference(cell: Cell, direction: str) -> list[float | int | None]:
    """Mean and ends of the interval of head - base, as the words of the cell have it; empty where there is none."""
    found = cell.losses.difference if cell.losses else None
    if found is None:
        return []
    sign = -SIGNS.get(direction, -1)
    ends = sorted(sign * end for end in (found.low, found.high) if end is not None)
    return [rounded(sign * found.mean + 0.0), *(rounded(end + 0.0) for end in ends)]


def _models(comparison: Comparison, base: Side, head: Side, against: Sequence[str]) -> list[Row]:
    """How the models of all cells were run on both sides, and what differs between the two."""
    sides = [_by_configuration(side.records or ()) for side in (base, head)]
    found = []
    for task, preset, label in dict.fromkeys(cell.key[:3] for cell in comparison.cells):
        pair = _pair(label, [model for _, _, model in sides[1]], against)
        runs = [side.get((task, preset, model), []) for side, model in zip(sides, pair, strict=True)]
        known = all(side.records is not None for side in (base, head)) and all(runs)
        found.append(
            {
                "task": f"{task}, {preset}",
                "model": label,
                "sides": [_runs(each) for each in runs],
                "differences": [
                    [each.name, ", ".join(each.base), ", ".join(each.head)]
                    for each in (differences(*runs) if known else ())
                ],
                "known": known,
            }
        )
    return found


def _pair(label: str, models: Iterable[str], against: Sequence[str]) -> tuple[str, str]:
    """The models of base and of head that a label of :func:`bench.analysis.opponents.opposed` stands for."""
    named = {f"{model} against {reference}": (reference, model) for model in models for reference in against}
    return named.get(label, (label, label))


def _by_configuration(records: Iterable[RunRecord]) -> dict[Configuration, list[RunRecord]]:
    found: dict[Configuration, list[RunRecord]] = {}
    for record in records:
        found.setdefault((record.spec.task_label, record.spec.preset_label, record.spec.label), []).append(record)
    return {key: sorted(own, key=lambda record: record.spec.seed) for key, own in found.items()}


def _runs(records: Sequence[RunRecord]) -> Row:
    """The runs of one model on one side."""
    seeds = [record.spec.seed for record in records]
    return {
        "command": with_seeds(command(records[0].spec), seeds) if records else "",
        "runs": [
            {
                "seed": record.spec.seed,
                "id": record.spec.run_id,
                "status": f"{record.status}: {record.reason}" if record.reason else record.status,
            }
            for record in records
        ],
    }
