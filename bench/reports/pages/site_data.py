"""What the script of ``index.html`` sorts, filters and draws: the rows, cells and verdicts of other pages, as data.

Nothing is computed here that decides anything. Numbers have seven digits; where there is none it is null.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import pandas as pd

from bench.analysis.answers import Answer
from bench.analysis.catalogue import MEANINGS, OTHERS, Shown, entry, headline, headlines, kind_of_task
from bench.analysis.frontier import Sweep
from bench.analysis.learning import Course, Learning, course
from bench.analysis.references import REFERENCE
from bench.analysis.results import Section
from bench.records.command import with_seeds
from bench.records.frames import COSTS, FINAL, REAL_DATA, Row, as_rows, as_tuples
from bench.reports.axis import limits, near, sweep_limits, usual_limits
from bench.reports.document import line, text_of
from bench.reports.families import LINES, PALETTE, Style, Styles, groups, styles_of
from bench.reports.grid import Grid
from bench.reports.numbers import missing
from bench.reports.numbers import rounded as _number
from bench.reports.pages import site_samples
from bench.reports.pages.provenance import reasons

__all__ = ["task"]

POINTS = 60
"""Most points of a run's curve: more would not be seen."""
CURVES = 2
"""Most metrics with curves."""
NUMBERS = ("mean", "low", "high", "n", "interquartile_mean", "bootstrap_low", "bootstrap_high")
"""Columns of the leaderboard that a cell holds."""
ENVIRONMENT = {
    "version": "seqgan-bench", "python": "Python", "torch": "torch", "commit": "commit", "machine": "machine",
    "device": "device", "threads": "threads",
}  # fmt: skip
"""Column of the frame of runs to its name on the page."""
Values = dict[tuple[str, str, str], dict[int, float]]
"""Model, checkpoint and metric to values by seed."""


def task(
    section: Section, grid: Grid, curves: Learning | None, sweep: Sweep | None, styles: Styles | None = None
) -> dict[str, Any]:
    """The data of one task and preset.

    Args:
        section: Its results.
        grid: Its leaderboard, costs included.
        curves: Its learning curves, where it has any.
        sweep: Its scores over temperatures, where it has any.
        styles: How models look in all figures; by default, as if there were no others.
    """
    styles = styles or styles_of(section.runs["model"])
    metrics = [metric for metric in grid.metrics if grid.measured(metric)]
    kind = kind_of_task(metrics)
    seeds = sorted({int(seed) for seed in section.runs["seed"]})
    texts: dict[str, int] = {}
    shown = [metric for metric in headlines(kind, Shown.TERMINAL) if metric in metrics]
    best = section.cheapest
    models, form = _models(section.runs, texts), site_samples.form(section.runs, metrics)
    molecules = [run for model in models.values() for run in model["runs"]] if form == site_samples.MOLECULE else []
    return {
        "title": section.title,
        "seeds": seeds,
        "headline": headline(metrics),
        "shown": shown,
        "metrics": [_metric(grid, metric) for metric in metrics],
        "rows": _rows(section, grid, metrics, seeds, texts),
        "best": best
        and {"model": best.best, "metric": best.metric, "alike": best.not_separable, "compared": best.compared},
        "verdicts": [_verdict(answer) for answer in section.answers if answer.metric in shown or answer.stated],
        "models": models,
        "form": form,
        **(site_samples.drawings(molecules) if molecules else {}),
        "looks": {model: _look(styles[model]) for model in dict.fromkeys(section.runs["model"]) if model in styles},
        "curves": _curves(curves) if curves else {},
        "courses": _courses(curves, styles) if curves else {},
        "sweep": _sweep(sweep, sweep.corner, styles) if sweep and sweep.corner else None,
        "texts": list(texts),  # the last, when all are known
    }


def _metric(grid: Grid, metric: str) -> Row:
    """What its column is called, and the ends of the axis of the intervals in it."""
    rows = [row for row in grid.column(metric) if row["n"]]
    final = [row for row in rows if row["checkpoint"] == FINAL] or rows
    real = [row["mean"] for row in final if row["model"] == REAL_DATA]
    made = [row for row in final if row["model"] != REAL_DATA] or final
    close = near([row["mean"] for row in made]) | (grid.unit(metric) == "")  # a proportion is bounded
    kept = [row for row, inside in zip(made, close, strict=True) if inside]
    ends = [end for row in kept for end in (row["low"], row["high"]) if not missing(end)]
    about = entry(metric)
    return {
        "name": metric,
        "arrow": grid.arrow(metric),
        "unit": grid.unit(metric),
        "direction": rows[0]["direction"],
        "meaning": MEANINGS.get(rows[0]["direction"], ""),
        "theme": about.theme or OTHERS,
        "about": about.axis,
        "cost": rows[0]["kind"] == "cost",
        "axis": [_number(end) for end in limits([row["mean"] for row in kept], ends, real)],
        "real": _number(real[0]) if real else None,
    }


def _rows(section: Section, grid: Grid, metrics: list[str], seeds: list[int], texts: dict[str, int]) -> list[Row]:
    """The rows of the leaderboard in its order; a cell without a number is why there is none."""
    values, absent, why = *_values(section.scores), reasons(section.runs)
    rows = []
    for model, checkpoint in grid.rows:
        lines = {row["metric"]: row for row in reversed(grid.of(model, checkpoint))}  # of two signatures the first
        cells: list[Any] = []
        for metric in metrics:
            key, row = (model, checkpoint, metric), lines.get(metric)
            if row is None or not row["n"]:
                reason = "; ".join(sorted(absent.get(key, ["no score was recorded"])))
                cells.append(texts.setdefault(reason, len(texts)))
                continue
            words = grid.shown(model, checkpoint, metric)
            because = _text(row["unranked_because"])
            cells.append(
                [
                    text_of(words),
                    line(words)[0].style,
                    *(_number(row[name]) for name in NUMBERS),
                    texts.setdefault(str(row["signature"]), len(texts)),
                    texts.setdefault(because, len(texts)),
                    [_number(values[key].get(seed)) for seed in seeds],
                ]
            )
        rows.append(
            {
                "model": model,
                "checkpoint": checkpoint,
                "label": grid.label(model, checkpoint),
                "group": "real" if model == REAL_DATA else "control" if grid.roles[model] == "control" else "contender",
                "ranked": model == REAL_DATA or (not grid.unranked(model, checkpoint) and bool(grid.ranked_by(model))),
                "seeds": grid.seeds(model, checkpoint),
                "failed": why.get(model, "") if "" in lines else "",
                "cells": [] if "" in lines else cells,
            }
        )
    return rows


def _values(scores: pd.DataFrame) -> tuple[Values, dict[tuple[str, str, str], set[str]]]:
    """The values of each score by seed, and why it has none."""
    values: Values = {}
    absent: dict[tuple[str, str, str], set[str]] = {}
    columns = ["model", "checkpoint", "metric", "seed", "value", "absent"]
    for model, checkpoint, metric, seed, value, reason in as_tuples(scores[columns]):
        if math.isnan(value):
            absent.setdefault((model, checkpoint, metric), set()).add(str(reason))
        else:
            values.setdefault((model, checkpoint, metric), {})[seed] = value
    return values, absent


def _verdict(answer: Answer) -> Row:
    verdict, between, decimals = answer.verdict, answer.verdict.difference, entry(answer.metric).decimals
    ends = [each for each in (between.mean, between.low, between.high) if each is not None] if between else []
    mean, *arms = (f"{round(each, decimals) + 0.0:+.{decimals}f}" for each in ends or (0.0,))
    return {
        "model": verdict.model,
        "reference": verdict.reference,
        "metric": answer.metric,
        "role": answer.role,
        "stated": answer.stated,
        "outcome": verdict.outcome,
        "difference": [_number(each) for each in ends],
        "shown": f"{mean} [{', '.join(arms)}]" if arms else mean,
        "words": verdict.words(answer.metric, answer.unit),
    }


def _models(runs: pd.DataFrame, texts: dict[str, int]) -> dict[str, Row]:
    """How each model was run: its fields, the command, and its runs with their environments and samples."""
    models: dict[str, Row] = {}
    for run in as_rows(runs.sort_values(["model", "seed", "run_id"])):
        known = models.setdefault(run["model"], {"settings": "", "tuned": "", "command": "", "runs": []})
        for name in ("settings", "tuned", "command"):
            known[name] = known[name] or _text(run.get(name))
        dirty = " with uncommitted changes" if run.get("dirty") is True else ""
        where = {name: _text(run.get(column)) for column, name in ENVIRONMENT.items()}
        where["commit"] += dirty if where["commit"] else ""
        place = ", ".join(f"{name} {value}" for name, value in where.items() if value)
        known["runs"].append(
            {
                "seed": int(run["seed"]),
                "id": run["run_id"],
                "status": run["status"],
                "reason": _text(run["reason"]),
                "selected": _text(run.get("selected")),
                "density": _text(run.get("density")),
                "data": _text(run.get("data"))[:12],
                "finished": _text(run["finished"])[:10],
                "where": texts.setdefault(place, len(texts)),
                "warnings": list(run.get("warnings") or ()),
                **site_samples.samples(run, texts),
            }
        )
    for known in models.values():
        known["command"] = with_seeds(known["command"], [run["seed"] for run in known["runs"]])
    return models


def _curves(section: Learning) -> dict[str, dict[str, list[Any]]]:
    """Metric to run to its costs and values while it trained, thinned out."""
    found: dict[str, dict[str, list[Any]]] = {metric: {} for metric in section.metrics[:CURVES]}
    for metric, run_id, *point in as_tuples(section.lines[["name", "run_id", *COSTS, "value"]]):
        if metric in found:
            found[metric].setdefault(run_id, []).append(point)
    for own in found.values():
        for run_id, points in own.items():
            step = math.ceil(len(points) / POINTS)
            columns = zip(*points[(len(points) - 1) % step :: step], strict=True)  # the last is kept
            own[run_id] = [[_number(value) for value in column] for column in columns]
    return found


def _look(style: Style) -> list[Any]:
    """Number of the family's colour, number of the line, and marker."""
    colour = PALETTE.index(style.colour) if style.colour in PALETTE else len(PALETTE)
    return [colour, LINES.index(style.line), style.marker]


def _groups(models: Iterable[str], styles: Styles) -> list[Row]:
    return [group._asdict() for group in groups(models, styles)]


def _courses(section: Learning, styles: Styles) -> Row:
    """Metric to the means over seeds while models trained, with their ranges and the ends of phases, thinned out."""
    found: Row = {}
    for metric in section.metrics[:CURVES]:
        lines = section.lines[section.lines["name"] == metric]
        models = {str(model): course(own) for model, own in lines.groupby("model")}
        order = sorted(models, key=lambda model: (model in section.controls, model))
        found[metric] = {
            "axis": [_number(end) for end in usual_limits(lines)],
            "reference": _number(models[REFERENCE].mean[-1]) if REFERENCE in models else None,
            "groups": _groups(order, styles),
            "models": {model: _course(models[model]) for model in order},
        }
    return found


def _course(each: Course) -> list[Any]:
    """Costs, mean, lowest and highest, and where among these points phases end."""
    points = len(each.mean)
    kept = sorted(
        {*range((points - 1) % math.ceil(points / POINTS), points, math.ceil(points / POINTS)), *each.borders}
    )
    columns = (*each.costs.values(), each.mean, each.low, each.high)
    return [
        *([_number(value) for value in column[kept]] for column in columns),
        [kept.index(border) for border in each.borders],
    ]


def _sweep(sweep: Sweep, corner: tuple[float, float], styles: Styles) -> Row:
    """Quality and coverage of each model by rising temperature, means over seeds, and the ends of both axes."""
    means = sweep.points.groupby(["model", "temperature"])[["quality", "coverage"]].mean().reset_index()
    return {
        "quality": sweep.quality,
        "coverage": sweep.coverage,
        "unit": sweep.unit,
        "reference": sweep.reference,
        "groups": _groups(sorted(set(means["model"]), key=lambda model: (model in sweep.controls, model)), styles),
        "axes": [[_number(end) for end in ends] for ends in sweep_limits(sweep, corner)],
        "models": {
            str(model): [
                [_number(value) for value in own[name].tolist()] for name in ("temperature", "quality", "coverage")
            ]
            for model, own in means.groupby("model")
        },
    }


def _text(value: Any) -> str:
    """A value of a frame as text; whole numbers beside gaps are floats."""
    if missing(value):
        return ""
    return f"{value:g}" if isinstance(value, float) else str(value)
