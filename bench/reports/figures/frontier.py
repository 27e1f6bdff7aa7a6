"""A figure of quality against diversity: one curve per model, from its lowest to its highest temperature."""

from __future__ import annotations

from textwrap import fill
from typing import Any

import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.patheffects import withStroke

from bench.analysis.catalogue import entry
from bench.analysis.frontier import Sweep, indicators, nondominated, sweeps
from bench.analysis.references import REFERENCE
from bench.records.frames import as_rows
from bench.reports.axis import sweep_limits
from bench.reports.figures.style import GREY, INK, LABEL_WIDTH, Styles, finish, outside_legend

__all__ = ["figures"]

SHADE = "#f0f0f0"
PLAIN: dict[str, Any] = {"marker": "o", "markersize": 9, "markeredgecolor": "white", "linestyle": ""}
"""The mark of temperature 1."""
BEYOND: dict[str, Any] = {"markersize": 11, "markeredgecolor": "white", "linestyle": ""}
"""The mark of temperature 1 beyond the axes, but for its arrow."""
ARROWS = {(1, 0): ">", (-1, 0): "<", (0, 1): "^", (0, -1): "v"}
"""Marks at the frame for a point beyond it, by how many sides it is beyond to the right and to the top."""


def figures(
    runs: pd.DataFrame, frontier: pd.DataFrame, styles: Styles, reference: str = REFERENCE
) -> list[tuple[str, Figure, str]]:
    """Draw the sweep of each task and preset on which the reference has a frontier.

    Args:
        runs: One row per run.
        frontier: One row for each (run, temperature, metric).
        styles: Model to colour and line; the reference's is not used.
        reference: The model that the others are measured against.

    Returns:
        Caption, figure and stem of a file name of each.
    """
    drawn = []
    for sweep in sweeps(runs, frontier, reference):
        if sweep.corner is not None:
            caption = f"{sweep.task}, {sweep.preset}: quality and diversity over temperatures"
            figure = _figure(sweep, sweep.corner, styles)
            figure.suptitle(caption, fontsize=11)
            drawn.append((caption, figure, f"{sweep.task}-{sweep.preset}-frontier"))
    return drawn


def _figure(sweep: Sweep, corner: tuple[float, float], styles: Styles) -> Figure:
    means = sweep.points.groupby(["model", "temperature"])[["quality", "coverage"]].mean().reset_index()
    area = indicators(sweep).groupby("model")["area"].mean()
    order = sorted(area.index, key=lambda model: (model in sweep.controls, -area[model], model))
    figure = Figure(figsize=(8.6, 5.2), layout="constrained")
    axes = figure.subplots()
    (left, right), (bottom, top) = sweep_limits(sweep, corner)
    axes.set(xlim=(left, right), ylim=(bottom, top))
    axes.plot([left, corner[0], corner[0]], [corner[1], corner[1], bottom], ":", color=GREY, linewidth=1, zorder=1)
    _reference(axes, means[means["model"] == sweep.reference])
    for model in order[::-1]:
        own = means[means["model"] == model]
        _curve(axes, sweep.of(model), own, _style(model, sweep, styles), styles[model].marker)
    for axis, metric in ((axes.xaxis, sweep.quality), (axes.yaxis, sweep.coverage)):
        axis.set_label_text(f"{metric} ({sweep.unit}), lower is better:\n{entry(metric).axis}", fontsize=9)
    finish(axes)
    plain = means[means["temperature"] == 1.0]
    inside = plain["quality"].between(left, right) & plain["coverage"].between(bottom, top)
    beyond = as_rows(plain[~inside])
    for row in beyond:
        _at_the_frame(axes, row, _style(row["model"], sweep, styles))
    marks = _marks(order, sweep, styles, beyond)
    outside_legend(figure, marks)
    return figure


def _reference(axes: Axes, mean: pd.DataFrame) -> None:
    """Shade what the reference beats at some temperature, and label its temperatures."""
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    front = nondominated(mean[["quality", "coverage"]].to_numpy(float))
    x, y = [front[0, 0], *front[:, 0], right], [top, *front[:, 1], front[-1, 1]]
    axes.fill_between(x, y, top, color=SHADE, linewidth=0, zorder=0)
    axes.annotate(
        *("better", (0.012, 0.015), (0.08, 0.1)),
        xycoords="axes fraction",
        color=GREY,
        fontsize=9,
        arrowprops={"arrowstyle": "->", "color": GREY},
    )
    for row in as_rows(mean[mean["quality"].isin(front[:, 0])]):
        if left < row["quality"] < right and bottom < row["coverage"] < top:
            axes.annotate(
                f"T = {row['temperature']:g}",
                (row["quality"], row["coverage"]),
                (-6, -4),
                textcoords="offset points",
                ha="right",
                va="top",
                fontsize=7,
                color=INK,
                zorder=8,
                path_effects=[withStroke(linewidth=2, foreground="white")],
            )


def _curve(axes: Axes, points: pd.DataFrame, mean: pd.DataFrame, style: dict[str, Any], marker: str) -> None:
    """A thin line per seed and a thick one for their mean, by rising temperature; temperature 1 is marked."""
    colour, above = style["color"], style["zorder"]
    seeds = [seed[["quality", "coverage"]].to_numpy() for _, seed in points.groupby("seed")]
    axes.add_collection(
        LineCollection(
            seeds, colors=colour, alpha=0.25, linewidths=0.6, capstyle="projecting", joinstyle="round", zorder=2
        )
    )
    axes.plot(mean["quality"], mean["coverage"], **style)
    axes.plot(mean["quality"], mean["coverage"], ".", color=colour, markersize=5, zorder=above)
    plain = mean[mean["temperature"] == 1.0]
    axes.plot(plain["quality"], plain["coverage"], color=colour, zorder=above + 2, **{**PLAIN, "marker": marker})


def _at_the_frame(axes: Axes, row: dict[str, Any], style: dict[str, Any]) -> None:
    """An arrow at the frame towards a model's temperature 1, which is beyond it."""
    at, towards = [], []
    for value, (low, high) in ((row["quality"], axes.get_xlim()), (row["coverage"], axes.get_ylim())):
        at.append(min(max(value, low), high))
        towards.append(int(value > high) - int(value < low))
    right, up = towards
    arrow: Any = ARROWS.get((right, up), (3, 0, -45 * right * up + (0 if up > 0 else 180)))  # a triangle, turned
    axes.plot(*at, marker=arrow, color=style["color"], clip_on=False, zorder=style["zorder"] + 3, **BEYOND)


def _style(model: str, sweep: Sweep, styles: Styles) -> dict[str, Any]:
    """The style of a model's curve; the reference, which all others are compared with, is thick and dark."""
    if model == sweep.reference:
        return {"color": INK, "linestyle": "-", "linewidth": 3.2, "zorder": 5}
    colour, dashes, _ = styles[model]
    return {"color": colour, "linestyle": dashes, "linewidth": 1.6, "zorder": 4}


def _marks(order: list[str], sweep: Sweep, styles: Styles, beyond: list[dict[str, Any]]) -> list[Artist]:
    """The legend: models in their order, with the position of those outside the axes; then what the marks mean."""
    role = dict.fromkeys(sweep.controls, " (control)") | {sweep.reference: " (reference)"}
    where = {row["model"]: f"\noutside at ({row['quality']:.2f}, {row['coverage']:.2f})" for row in beyond}
    outside = [Line2D([], [], color=INK, label="temperature 1, outside", marker=">", **BEYOND)] if beyond else []
    models = [
        Line2D(
            [],
            [],
            label=fill(model + role.get(model, ""), LABEL_WIDTH) + where.get(model, ""),
            marker=styles[model].marker,
            markersize=7,
            markeredgecolor="white",
            **_style(model, sweep, styles),
        )
        for model in order
    ]
    return [
        *models,
        Line2D([], [], color=INK, label="temperature 1: a model's own mark", **PLAIN),
        *outside,
        Line2D([], [], color=INK, marker=".", markersize=6, linestyle="", label="other temperatures"),
        Line2D([], [], color=INK, linewidth=0.6, alpha=0.5, label=f"one seed (n = {_seeds(sweep.points)})"),
        Patch(color=SHADE, label=fill(f"{sweep.reference} is better on both at some temperature", LABEL_WIDTH)),
        Line2D([], [], color=GREY, linestyle=":", linewidth=1, label="box of the dominated area"),
    ]


def _seeds(points: pd.DataFrame) -> str:
    counts = points.groupby("model")["seed"].nunique()
    return "–".join(str(number) for number in sorted({counts.min(), counts.max()}))
