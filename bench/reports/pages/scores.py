"""The results of ``bench score``, for people and for programs."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from bench.analysis.catalogue import ARROWS, UNIT_DECIMALS
from bench.reports.document import Document, Group, Paragraph, Table, bullets
from bench.reports.pages import differences, seed_differences
from bench.visible import cell

if TYPE_CHECKING:
    from bench.metrics.base import Estimate
    from bench.metrics.text.report import Report, Row

__all__ = ["as_csv", "as_json", "as_rows", "page"]

SCHEMA = 1
SKEW = 0.2
"""An interval is shown as ± if its arms differ by at most this part of the longer one."""
LEFT, CELL = 27, 17
"""Widths, in characters, of the names of metrics and of a cell with its surroundings."""
COLUMNS = ("metric", "value", "low", "high", "interval", "n", "unit", "direction", "signature", "absent")


def page(report: Report, width: int = 100) -> Document:
    """A line for each metric and a column for each file, real text last; below it, how to read the numbers.

    Of several files, a table for each but the first shows how far its scores are from the first one's.

    Args:
        report: What to show.
        width: Columns of the terminal; files that do not fit side by side go into another table.
    """
    real = [row for row in report.rows if row.real]
    samples = [row for row in report.rows if not row.real]
    if report.over_seeds:
        samples = [model.row for model in seed_differences.models(report)]
    fit = max(1, (width - LEFT) // CELL - len(real))
    legend = (
        "↓ lower is better, ↑ higher is better, → nearer to the real text is better; ± half of the 95 % interval, or "
        "[both ends] of an asymmetric one; no interval where all sequences contribute equally."
    )
    names = _names([*samples, *real])
    return [
        *(_columns([*samples[start : start + fit], *real], names) for start in range(0, len(samples), fit)),
        *(differences.blocks(report, names) if report.differences else ()),
        *(seed_differences.blocks(report) if report.over_seeds else ()),
        *map(Paragraph, (legend, *report.notes, *_absences([*samples, *real]))),
        *bullets("Signatures:", _signatures(samples[0])),
    ]


def as_json(report: Report) -> str:
    """The complete report, unrounded, as one object of strict JSON."""
    rows = [
        {"name": row.name, "real": row.real, "n": row.n, "scores": [_plain(score) for score in row.scores]}
        for row in report.rows
    ]
    content = {"schema": SCHEMA, "rows": rows, "notes": report.notes, "interval": report.interval}
    if report.differences:
        content["differences"] = [
            {"name": each.difference.name, "metric": each.difference.metric, **differences.as_fields(each)}
            for part in differences.judged(report)
            for each in part
        ]
        content["comparison"] = differences.method(report)
    if report.over_seeds:
        content |= _plain_seeds(report)
    return json.dumps(content, ensure_ascii=False, allow_nan=False, indent=1)


def as_csv(report: Report) -> str:
    """One line for each text and metric, unrounded; empty where there is no value."""
    rows, written = as_rows(report), io.StringIO()
    lines = csv.DictWriter(written, tuple(rows[0]), lineterminator="\n")
    lines.writeheader()
    lines.writerows({name: cell(value) for name, value in row.items()} for row in rows)
    return written.getvalue()


def as_rows(report: Report) -> list[dict[str, Any]]:
    """One row for each text and metric: the name of the text, whether it is real text, and :data:`COLUMNS`.

    Where texts are compared, :data:`bench.reports.pages.differences.COLUMNS` follow.
    """
    rows = [{"name": row.name, "real": row.real, **_plain(score)} for row in report.rows for score in row.scores]
    if report.over_seeds:
        return _seed_rows(report, rows)
    if not report.differences:
        return rows
    found = differences.judged(report)
    compared = {(place, each.difference.metric): each for place, part in enumerate(found, 1) for each in part}
    keys = [(place, score.metric) for place, row in enumerate(report.rows) for score in row.scores]
    return [row | differences.as_fields(compared.get(key)) for row, key in zip(rows, keys, strict=True)]


def _seed_rows(report: Report, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows of all files with their seeds, and of all models with their means and differences."""
    compared = {(each.name, each.metric): each for each in seed_differences.over_seeds(report)}
    seeds = {place: seed for model in report.over_seeds for seed, place in model.rows.items()}
    places = [place for place, row in enumerate(report.rows) for _ in row.scores]
    return [
        *(
            row | seed_differences.as_fields(None) | {"seed": seeds.get(place)}
            for row, place in zip(rows, places, strict=True)
        ),
        *(
            {"name": model.name, "real": False, **_plain(score)}
            | seed_differences.as_fields(compared.get((model.name, score.metric)))
            for model in seed_differences.models(report)
            for score in model.row.scores
        ),
    ]


def _plain_seeds(report: Report) -> dict[str, Any]:
    """The models, their means over seeds and their differences."""
    seeds = {
        model.name: {str(seed): report.rows[place].name for seed, place in model.rows.items()}
        for model in report.over_seeds
    }
    return {
        "models": [
            {"name": model.name, "seeds": seeds[model.name], "scores": [_plain(score) for score in model.row.scores]}
            for model in seed_differences.models(report)
        ],
        "differences": [
            {"name": each.name, "metric": each.metric, **seed_differences.as_fields(each)}
            for each in seed_differences.over_seeds(report)
        ],
        "comparison": seed_differences.METHOD,
    }


def _plain(score: Estimate) -> dict[str, Any]:
    """A score with :data:`COLUMNS`, its signature as text."""
    return {name: getattr(score, name) for name in COLUMNS} | {"signature": str(score.signature)}


def _columns(rows: Sequence[Row], names: dict[str, str]) -> Table:
    metrics = list(dict.fromkeys(score.metric for row in rows for score in row.scores))
    families: dict[str, list[tuple[str, ...]]] = {"sequences": [("sequences", *(f"{row.n:,}" for row in rows))]}
    for metric in metrics:
        scores = [next((score for score in row.scores if score.metric == metric), None) for row in rows]
        known = next(score for score in scores if score)
        heading = " ".join(filter(None, (metric, ARROWS[known.direction], known.unit)))
        families.setdefault(_family(metric), []).append((heading, *map(_cell, scores)))
    groups = tuple(Group("", tuple(lines)) for lines in families.values())
    return Table(("", *(names[row.name] for row in rows)), groups)


def _cell(score: Estimate | None) -> str:
    if score is None or score.value is None:
        return "n/a"
    decimals = UNIT_DECIMALS[score.unit]
    value = f"{score.value:,.{decimals}f}"
    if score.low is None or score.high is None:
        return value
    arms = score.value - score.low, score.high - score.value
    cut_off = score.low <= 0 or (not score.unit and score.high >= 1)
    if cut_off or max(arms) - min(arms) > SKEW * max(arms):
        return f"{value}\n[{score.low:.{decimals}f}, {score.high:.{decimals}f}]"
    return f"{value} ± {sum(arms) / 2:,.{decimals}f}"


def _names(rows: Sequence[Row]) -> dict[str, str]:
    """The names of files without their folders, where they still differ."""
    short = {row.name: row.name if row.real else PurePath(row.name).name for row in rows}
    alone = {name for name in short.values() if list(short.values()).count(name) == 1}
    return {name: shortened if shortened in alone else name for name, shortened in short.items()}


def _family(metric: str) -> str:
    return re.sub(r"\d+$", "", metric).partition("_")[0] if not metric.startswith(("self", "back")) else metric[:4]


def _absences(rows: Sequence[Row]) -> list[str]:
    """Why there is no value, once for each reason."""
    reasons: dict[str, list[str]] = {}
    for row in rows:
        for score in row.scores:
            if score.absent and score.metric not in reasons.setdefault(score.absent, []):
                reasons[score.absent].append(score.metric)
    return [f"No {', '.join(metrics)}: {reason}." for reason, metrics in reasons.items()]


def _signatures(row: Row) -> list[str]:
    """How the first file was scored: a line for each signature."""
    metrics: dict[str, list[str]] = {}
    for score in row.scores:
        if score.value is not None:
            metrics.setdefault(str(score.signature), []).append(score.metric)
    return [f"{', '.join(names)}: {signature}" for signature, names in metrics.items()]
