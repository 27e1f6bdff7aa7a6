"""Figures of quality against cost: what each model reached for its seconds, tokens and updates, phase by phase."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import EngFormatter, LogLocator, NullLocator

from bench.analysis.learning import Course, Learning, course, equal_costs, learning
from bench.analysis.references import REFERENCE
from bench.records.frames import COSTS
from bench.reports.axis import usual_limits
from bench.reports.families import Group, Style, Styles, groups
from bench.reports.figures.marks import Position, inches, leaving, mark_at, nested
from bench.reports.figures.style import (
    BAND,
    GREY,
    INK,
    PALE,
    finish,
    key,
    legend_height,
    legend_in,
    legend_line,
    wrapped,
)

__all__ = ["figures"]

LABELS = {
    "seconds": "seconds, on one machine",
    "tokens": "tokens read or drawn by any network",
    "updates": "optimiser updates, all networks",
}
METRICS = 2
"""Most metrics that have a figure."""
WIDTH, HEIGHT, BESIDE = 3.2, 2.0, 2.2
"""Of a panel, and the width of the legends, in inches."""
END = 7
"""Size of the mark of the end of training, in points."""
Courses = dict[str, Course]
"""Model to what its runs went through."""


def figures(
    runs: pd.DataFrame, curves: pd.DataFrame, styles: Styles, reference: str = REFERENCE
) -> list[tuple[str, Figure, str]]:
    """Draw the learning of each task and preset against each cost that is counted, a figure for each metric.

    A row of panels shows a family of models, with the others in grey behind it.

    Args:
        runs: One row per run.
        curves: One row for each (run, phase, step, name), in the order of training.
        styles: Model to colour, line and marker.
        reference: The model whose final level the others are compared with.

    Returns:
        Caption, figure and stem of a file name of each.
    """
    drawn = []
    for section in learning(runs, curves):
        for index, metric in enumerate(section.metrics[:METRICS]):
            figure = _figure(section, metric, styles, reference)
            if figure is not None:
                which = f", {metric}" if index else ""
                caption = f"{section.task}, {section.preset}: quality against cost{which}"
                figure.suptitle(caption, fontsize=11)
                drawn.append((caption, figure, f"{section.task}-{section.preset}-cost{which.replace(', ', '-')}"))
    return drawn


def _figure(section: Learning, metric: str, styles: Styles, reference: str) -> Figure | None:
    lines = section.lines[section.lines["name"] == metric]
    courses = {str(model): course(own) for model, own in lines.groupby("model")}
    costs = [cost for cost in COSTS if any(_counts(each, cost) for each in courses.values())]
    if not costs:
        return None
    limits = usual_limits(lines)
    rows = groups(sorted(courses, key=lambda model: (model in section.controls, model)), styles)
    legends = [[_entry(model, courses[model], section, styles[model], limits) for model in row.models] for row in rows]
    height = max([HEIGHT, *(legend_height(marks, row.title) for marks, row in zip(legends, rows, strict=True))])
    figure = Figure(figsize=(WIDTH * len(costs) + BESIDE, 1.3 + height * len(rows)), layout="constrained")
    grid = figure.subplots(
        len(rows), len(costs) + 1, squeeze=False, sharex="col", sharey="row",
        gridspec_kw={"width_ratios": [*[WIDTH] * len(costs), BESIDE]},
    )  # fmt: skip
    for column, cost in enumerate(costs):
        counted = {model: each for model, each in courses.items() if _counts(each, cost)}
        _scale(grid[-1][column], cost, counted)
        equal = equal_costs(section, cost, metric)
        for row, panels in zip(rows, grid, strict=True):
            panels[column].set_ylim(*limits)
            _panel(panels[column], cost, row, counted, styles, reference)
            _ends(panels[column], cost, row, counted, styles, (WIDTH - 0.4, height - 0.4))
            panels[column].vlines(equal, *limits, color=GREY, linestyle=":", linewidth=0.8, zorder=0)
    for marks, row, panels in zip(legends, rows, grid, strict=True):
        panels[0].set_ylabel(f"{metric}\nlower is better", fontsize=9)
        legend_in(panels[-1], marks, row.title)
    key(figure, _key(courses, styles, reference, limits, len(rows) > 1))
    return figure


def _counts(each: Course, cost: str) -> bool:
    return not bool(np.isnan(each.costs[cost]).any())


def _scale(axes: Axes, cost: str, counted: Courses) -> None:
    """The axis of a column: logarithmic where the longest training costs many times the shortest."""
    ends = [each.costs[cost][-1] for each in counted.values()]
    paid = np.concatenate([each.costs[cost] for each in counted.values()])
    if max(ends) > 20 * min(ends) > 0:
        axes.set_xscale("log")
        axes.set_xlim(paid[paid > 0].min(), 1.12 * max(ends))
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 3)))
        axes.xaxis.set_minor_locator(NullLocator())  # each of some hundred would be laid out, three times
    else:
        axes.set_xlim(0, 1.04 * max(ends) or 1)
        axes.locator_params(axis="x", nbins=5)
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.set_xlabel(LABELS[cost], fontsize=9)


def _panel(axes: Axes, cost: str, row: Group, counted: Courses, styles: Styles, reference: str) -> None:
    """Mean and range over seeds of each model of the row, the ends of its phases, and where the reference ended."""
    behind = [
        np.column_stack((each.costs[cost], each.mean)) for name, each in counted.items() if name not in row.models
    ]
    axes.add_collection(LineCollection(behind, colors=PALE, linewidths=0.8, zorder=1), autolim=False)
    own = {name: counted[name] for name in row.models if name in counted}
    for name in sorted(own, key=lambda name: -own[name].costs[cost][-1]):  # the longest first: it shares its beginning
        each, style = own[name], styles[name]
        paid = each.costs[cost]
        axes.fill_between(paid, each.low, each.high, color=style.colour, alpha=BAND, linewidth=0, zorder=2)
        axes.plot(paid, each.mean, style.line, color=style.colour, linewidth=1.8, zorder=3)
        borders = each.borders[:-1]
        hollow: dict[str, Any] = {"markerfacecolor": "white", "markersize": 5, "zorder": 4, "linestyle": ""}
        axes.plot(paid[borders], each.mean[borders], marker=style.marker, color=style.colour, **hollow)
    if reference in counted:
        level = counted[reference].mean[-1]
        axes.axhline(level, color=INK, linestyle=(0, (4, 2)), linewidth=0.9, zorder=1.5)
    finish(axes)


def _ends(axes: Axes, cost: str, row: Group, counted: Courses, styles: Styles, panel: Position) -> None:
    """The marks of the ends of training, at the frame if they are beyond; and an arrow where a line leaves the axes."""
    limits, logarithmic = axes.get_ylim(), axes.get_xscale() == "log"
    ends = []
    for name in (name for name in row.models if name in counted):
        paid, mean = counted[name].costs[cost], counted[name].mean
        across = np.log10(np.maximum(paid, axes.get_xlim()[0])) if logarithmic else paid
        for x, y, up in leaving(across, mean, limits):
            at = 10**x if logarithmic else x
            axes.plot(at, y, "^" if up > 0 else "v", color=styles[name].colour, markersize=5, clip_on=False)
        ends.append((name, (paid[-1], min(max(mean[-1], limits[0]), limits[1])), mean[-1]))
    sizes = nested([inches(axes, at, panel) for _, at, _ in ends], END)
    for index, (name, end, value) in enumerate(ends):
        up = int(value > limits[1]) - int(value < limits[0])
        mark_at(axes, end, (0, up), styles[name], sizes[index], 5 + index / 100)


def _entry(model: str, each: Course, section: Learning, style: Style, limits: tuple[float, float]) -> Artist:
    """A model's entry in its legend, with the score at which it ended where that is beyond the axes."""
    label = wrapped(model + (" (control)" if model in section.controls else ""))
    end = float(each.mean[-1])
    number = f"{end:,.0f}" if abs(end) >= 1000 else f"{end:.3g}"
    return legend_line(style, label if limits[0] <= end <= limits[1] else f"{label}\nends at {number}")


def _key(courses: Courses, styles: Styles, reference: str, limits: tuple[float, float], several: bool) -> list[Artist]:
    """What the marks mean, those that are there."""
    mark: dict[str, Any] = {"color": INK, "marker": "o", "linestyle": ""}
    marks: list[Artist] = [
        Line2D([], [], label="end of training, mean over seeds", markersize=6, **mark),
        Patch(color=INK, alpha=BAND, linewidth=0, label="lowest to highest seed"),
    ]
    if any(len(each.borders) > 1 for each in courses.values()):
        marks.insert(1, Line2D([], [], label="end of a phase", markersize=5, markerfacecolor="white", **mark))
    if any(bool((each.mean > limits[1]).any() or (each.mean < limits[0]).any()) for each in courses.values()):
        marks.append(Line2D([], [], label="leaves the axes", markersize=5, **{**mark, "marker": "^"}))
    if reference in courses:
        level: dict[str, Any] = {"color": INK, "linestyle": (0, (4, 2)), "linewidth": 0.9}
        marks.append(Line2D([], [], label=f"where {reference} ended", **level))
    marks.append(Line2D([], [], color=GREY, linestyle=":", linewidth=0.8, label="equal costs of the tables"))
    if several:
        marks.append(Line2D([], [], color=PALE, linewidth=0.8, label="models of the other rows"))
    return marks
