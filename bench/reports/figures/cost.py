"""A figure of quality against cost: what each model reached for its seconds, tokens and updates."""

from __future__ import annotations

from textwrap import fill
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import EngFormatter

from bench.analysis.learning import Learning, equal_costs, learning, values_at
from bench.analysis.references import REFERENCE
from bench.records.frames import COSTS
from bench.reports.figures.style import (
    GREY,
    INK,
    LABEL_WIDTH,
    Styles,
    band,
    finish,
    legend_line,
    outside_legend,
    usual_limits,
)

__all__ = ["figures"]

LABELS = {
    "seconds": "seconds, on one machine",
    "tokens": "tokens read or drawn by any network",
    "updates": "optimiser updates, all networks",
}
ROWS = 2
"""Most metrics in a figure."""


def figures(
    runs: pd.DataFrame, curves: pd.DataFrame, styles: Styles, reference: str = REFERENCE
) -> list[tuple[str, Figure, str]]:
    """Draw the learning of each task and preset against each cost that is counted.

    Args:
        runs: One row per run.
        curves: One row for each (run, phase, step, name), in the order of training.
        styles: Model to colour and line.
        reference: The model whose final level the others are compared with.

    Returns:
        Caption, figure and stem of a file name of each.
    """
    drawn = []
    for section in learning(runs, curves):
        costs = [cost for cost in COSTS if section.counting(cost)]
        if costs:
            caption = f"{section.task}, {section.preset}: quality against cost"
            figure = _figure(section, costs, styles, reference)
            figure.suptitle(caption, fontsize=11)
            drawn.append((caption, figure, f"{section.task}-{section.preset}-cost"))
    return drawn


def _figure(section: Learning, costs: list[str], styles: Styles, reference: str) -> Figure:
    metrics = section.metrics[:ROWS]
    figure = Figure(figsize=(2.4 + 3.2 * len(costs), 1.1 + 2.7 * len(metrics)), layout="constrained")
    panels = figure.subplots(len(metrics), len(costs), squeeze=False, sharex="col", sharey="row")
    for row, metric in zip(panels, metrics, strict=True):
        lines = section.lines[section.lines["name"] == metric]
        for axes, cost in zip(row, costs, strict=True):
            counted = lines[["model", "run_id", "phase", "value", cost]].dropna(subset=[cost])
            _panel(axes, counted, cost, styles, reference)
            for amount in equal_costs(section, cost, metric):
                axes.axvline(amount, color=GREY, linestyle=":", linewidth=0.8, zorder=0)
        row[0].set_ylim(*usual_limits(lines))
        row[0].set_ylabel(f"{metric}\nlower is better", fontsize=9)
    for axes, cost in zip(panels[-1], costs, strict=True):
        axes.set_xlabel(LABELS[cost], fontsize=9)
    marks = _marks(section, styles, reference)
    outside_legend(figure, marks)
    return figure


def _panel(axes: Axes, lines: pd.DataFrame, cost: str, styles: Styles, reference: str) -> None:
    """Mean and range over seeds of each model, the ends of its phases, and the level at which the reference ended."""
    models = lines.groupby("model")
    ends = models[cost].max().sort_values(ascending=False)
    for model in ends.index:  # the longest first, so that what it shares with a shorter one stays visible
        own = models.get_group(model)
        colour, dashes, marker = styles[model]
        seeds = _over_seeds(own, cost)
        if seeds.empty:
            continue
        axes.fill_between(seeds.index, seeds["min"], seeds["max"], color=colour, alpha=band(len(ends)), linewidth=0)
        last = own.sort_values(cost).drop_duplicates("run_id", keep="last")  # each run's own end, fast or slow
        end = last[cost].mean(), last["value"].mean()
        axes.plot(seeds.index, seeds["mean"], dashes, color=colour, linewidth=1.8)
        axes.plot([seeds.index[-1], end[0]], [seeds["mean"].iloc[-1], end[1]], color=colour, linewidth=0.8, zorder=1)
        axes.plot(*end, marker, color=colour, markersize=6, markeredgecolor="white", zorder=4)
        phases = own.groupby(["run_id", "phase"], sort=False)[cost].max().groupby("phase", sort=False).mean().iloc[:-1]
        heights = np.interp(phases, seeds.index, seeds["mean"])
        axes.plot(phases, heights, marker, color=colour, markerfacecolor="white", markersize=5, zorder=3)
        if model == reference:
            axes.axhline(last["value"].mean(), color=colour, linestyle="--", linewidth=0.8, zorder=1)
    if ends.max() > 20 * ends.min() > 0:
        axes.set_xscale("log")
        axes.set_xlim(left=lines.loc[lines[cost] > 0, cost].min())
    else:
        axes.set_xlim(left=0)
        axes.locator_params(axis="x", nbins=5)
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    finish(axes)


def _over_seeds(own: pd.DataFrame, cost: str) -> pd.DataFrame:
    """Mean, minimum and maximum over one model's runs, at the costs that all of them passed through."""
    ends = own.groupby("run_id")[cost].agg(["min", "max"])
    points = own[cost].sort_values().drop_duplicates()
    grid = points[points.between(ends["min"].max(), ends["max"].min())]
    values = values_at(own, cost, grid)
    return pd.Series(values.ravel()).groupby(np.tile(grid, len(values))).agg(["mean", "min", "max"])


def _marks(section: Learning, styles: Styles, reference: str) -> list[Artist]:
    """The legend: contenders and controls, then what the marks mean."""
    marks: list[Artist] = []
    models = dict.fromkeys(model for cost in COSTS for model in section.counting(cost))
    for model in models:
        label = fill(model + (" (control)" if model in section.controls else ""), LABEL_WIDTH)
        marks.append(legend_line(styles[model], label))
    mark: dict[str, Any] = {"color": INK, "marker": "o", "markersize": 5, "linestyle": ""}
    marks.append(Patch(color=INK, alpha=0.15, linewidth=0, label="lowest to highest seed"))
    marks.append(Line2D([], [], label="end of training", **mark))
    if (section.lines.groupby("run_id")["phase"].nunique() > 1).any():
        marks.append(Line2D([], [], label="end of a phase", markerfacecolor="white", **mark))
    if reference in models:
        level: dict[str, Any] = {"color": styles[reference][0], "linestyle": "--", "linewidth": 0.8}
        marks.append(Line2D([], [], label=f"where {reference} ended", **level))
    marks.append(Line2D([], [], color=GREY, linestyle=":", linewidth=0.8, label="equal costs of the tables"))
    return marks
