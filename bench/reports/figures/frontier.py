"""A figure of quality against diversity: a curve for each model, from its lowest to its highest temperature."""

from __future__ import annotations

from itertools import zip_longest
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
from bench.reports.families import Group, Style, Styles, groups
from bench.reports.figures.marks import Position, inches, mark_at, nested
from bench.reports.figures.style import (
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

SHADE = "#f0f0f0"
MARK = 8
"""Size of the mark of temperature 1, in points."""
THICK = 3.2
"""Width of the reference's line."""
BESIDE = 2.1
"""Width of a legend, in inches."""
PLACES = ((-1, -1), (-1, 0), (1, 1), (1, 0), (0, -1), (0, 1), (-1, 1), (1, -1))
"""Where a label may stand beside its point: left or right of it, below or above."""
Limits = tuple[tuple[float, float], tuple[float, float]]
Box = tuple[float, float, float, float]
"""Left, bottom, width and height."""


def figures(
    runs: pd.DataFrame, frontier: pd.DataFrame, styles: Styles, reference: str = REFERENCE
) -> list[tuple[str, Figure, str]]:
    """Draw the sweep of each task and preset on which the reference has a frontier.

    Args:
        runs: One row per run.
        frontier: One row for each (run, temperature, metric).
        styles: Model to colour, line and marker; of the reference's only the marker is used.
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
    """A panel for each family of models, the others in grey behind it; the reference is in all of them."""
    means = sweep.points.groupby(["model", "temperature"])[["quality", "coverage"]].mean().reset_index()
    area = indicators(sweep).groupby("model")["area"].mean()
    order = sorted(area.index, key=lambda model: (model in sweep.controls, -area[model], model))
    families = groups(order, styles)
    limits = sweep_limits(sweep, corner)
    outside = {
        row["model"]: row for row in as_rows(means[means["temperature"] == 1.0]) if _beyond(row, limits) != (0, 0)
    }
    legends = [[_entry(model, sweep, styles[model], outside) for model in own] for _, own in families]
    columns = min(2, len(families))
    rows = -(-len(families) // columns)
    width, height = (6.0, 4.6) if len(families) == 1 else (3.6, 2.7)
    height = max([height, *(legend_height(marks, own.title) for marks, own in zip(legends, families, strict=True))])
    figure = Figure(figsize=((width + BESIDE) * columns, 1.4 + height * rows), layout="constrained")
    grid = figure.subplots(rows, 2 * columns, squeeze=False, gridspec_kw={"width_ratios": [width, BESIDE] * columns})
    cells = [pair for row in grid for pair in zip(row[::2], row[1::2], strict=True)]
    for (axes, beside), own, marks in zip_longest(cells, families, legends):
        if own is None:
            axes.remove()
            beside.remove()
            continue
        axes.set(xlim=limits[0], ylim=limits[1])
        _panel(axes, own, sweep, means, corner, styles, (width - 0.6, height - 0.5))
        legend_in(beside, marks, own.title)
    for axes in grid[:, 0]:
        axes.set_ylabel(_axis_label(sweep.coverage, sweep.unit), fontsize=9)
    for column in range(columns):
        shown = [axes for axes in grid[:, 2 * column] if axes.figure is not None]
        shown[-1].set_xlabel(_axis_label(sweep.quality, sweep.unit), fontsize=9)
    key(figure, _key(sweep, bool(outside), len(families) > 1))
    return figure


def _axis_label(metric: str, unit: str) -> str:
    return f"{metric} ({unit}), lower is better:\n{entry(metric).axis}"


def _point(row: dict[str, Any]) -> tuple[float, float]:
    return row["quality"], row["coverage"]


def _beyond(row: dict[str, Any], limits: Limits) -> tuple[int, int]:
    """How many sides a point is beyond the axes to the right and to the top."""
    right, up = (int(value > high) - int(value < low) for value, (low, high) in zip(_point(row), limits, strict=True))
    return right, up


def _within(row: dict[str, Any], limits: Limits) -> Position:
    """The point, or where the frame is nearest to it."""
    x, y = (min(max(value, low), high) for value, (low, high) in zip(_point(row), limits, strict=True))
    return x, y


def _panel(
    axes: Axes, own: Group, sweep: Sweep, means: pd.DataFrame, corner: tuple[float, float], styles: Styles,
    panel: Position,
) -> None:  # fmt: skip
    """The curves of the group's models over those of all others."""
    curves = {str(model): mean for model, mean in means.groupby("model")}
    (left, _), (bottom, _) = axes.get_xlim(), axes.get_ylim()
    axes.plot([left, corner[0], corner[0]], [corner[1], corner[1], bottom], ":", color=GREY, linewidth=1, zorder=1)
    _shade(axes, curves[sweep.reference])
    behind = [mean[["quality", "coverage"]] for model, mean in curves.items() if model not in own.models]
    axes.add_collection(LineCollection(behind, colors=PALE, linewidths=0.8, zorder=1), autolim=False)
    if sweep.reference not in own.models:
        reference = curves[sweep.reference]
        axes.plot(reference["quality"], reference["coverage"], color=INK, linewidth=2.2, zorder=2)
    for model in own.models[::-1]:
        _curve(axes, sweep.of(model), curves[model], _look(model, sweep, styles), model == sweep.reference)
    limits = axes.get_xlim(), axes.get_ylim()
    plain = [row for model in own.models[::-1] for row in as_rows(curves[model][curves[model]["temperature"] == 1.0])]
    at = [_within(row, limits) for row in plain]
    marks = [inches(axes, each, panel) for each in at]
    for index, (row, size) in enumerate(zip(plain, nested(marks, MARK), strict=True)):
        look = _look(row["model"], sweep, styles)
        mark_at(axes, at[index], _beyond(row, limits), look, size, 8 + index / 100)
    if sweep.reference in own.models:
        _temperatures(axes, curves[sweep.reference], marks, panel)
    finish(axes)


def _front(mean: pd.DataFrame) -> Any:
    return nondominated(mean[["quality", "coverage"]].to_numpy(float))


def _shade(axes: Axes, mean: pd.DataFrame) -> None:
    """Shade what the reference beats at some temperature."""
    right, top, front = axes.get_xlim()[1], axes.get_ylim()[1], _front(mean)
    x, y = [front[0, 0], *front[:, 0], right], [top, *front[:, 1], front[-1, 1]]
    axes.fill_between(x, y, top, color=SHADE, linewidth=0, zorder=0)
    axes.annotate(
        *("better", (0.012, 0.015), (0.08, 0.1)), xycoords="axes fraction", color=GREY, fontsize=8,
        arrowprops={"arrowstyle": "->", "color": GREY},
    )  # fmt: skip


def _temperatures(axes: Axes, mean: pd.DataFrame, marks: list[Position], panel: Position) -> None:
    """Label the temperatures of the reference, where a label covers no mark and no other label."""
    taken = [(x - 0.09, y - 0.09, 0.18, 0.18) for x, y in marks]
    taken.append((0, 0, 0.13 * panel[0] + 0.5, 0.13 * panel[1] + 0.2))  # "better"
    for row in as_rows(mean[mean["quality"].isin(_front(mean)[:, 0])]):
        text = f"T = {row['temperature']:g}"
        x, y = inches(axes, _point(row), panel)
        width, height = 0.075 * len(text), 0.15
        for dx, dy in PLACES:
            box = (
                x + dx * 0.1 - width * (dx < 0) - width / 2 * (dx == 0),
                y + dy * 0.1 - height * (dy < 0) - height / 2 * (dy == 0),
                width,
                height,
            )
            inside = box[0] > 0 and box[1] > 0 and box[0] + width < panel[0] and box[1] + height < panel[1]
            if inside and not any(_overlap(box, other) for other in taken):
                taken.append(box)
                axes.annotate(
                    text, _point(row), (7.2 * dx, 7.2 * dy), textcoords="offset points",
                    ha={-1: "right", 0: "center", 1: "left"}[dx], va={-1: "top", 0: "center", 1: "bottom"}[dy],
                    fontsize=8, color=INK, zorder=10, path_effects=[withStroke(linewidth=2, foreground="white")],
                )  # fmt: skip
                break


def _overlap(one: Box, other: Box) -> bool:
    return all(one[side] < other[side] + other[side + 2] and other[side] < one[side] + one[side + 2] for side in (0, 1))


def _curve(axes: Axes, points: pd.DataFrame, mean: pd.DataFrame, style: Style, reference: bool) -> None:
    """A thin line per seed and a thick one for their mean, by rising temperature."""
    seeds = [seed[["quality", "coverage"]].to_numpy() for _, seed in points.groupby("seed")]
    axes.add_collection(
        LineCollection(
            seeds, colors=style.colour, alpha=0.3, linewidths=0.6, capstyle="projecting", joinstyle="round", zorder=3
        )
    )
    width, above = (THICK, 5) if reference else (1.6, 6)
    axes.plot(mean["quality"], mean["coverage"], style.line, color=style.colour, linewidth=width, zorder=above)
    axes.plot(mean["quality"], mean["coverage"], ".", color=style.colour, markersize=5, zorder=above)


def _look(model: str, sweep: Sweep, styles: Styles) -> Style:
    """The style of a model's curve; the reference, which all others are compared with, is dark."""
    return styles[model]._replace(colour=INK, line="-") if model == sweep.reference else styles[model]


def _entry(model: str, sweep: Sweep, style: Style, outside: dict[str, dict[str, Any]]) -> Artist:
    """A model's entry in its legend, with the position of temperature 1 where that is outside the axes."""
    role = {sweep.reference: " (reference)"}.get(model, " (control)" if model in sweep.controls else "")
    where = (
        f"\noutside at ({outside[model]['quality']:.2f}, {outside[model]['coverage']:.2f})" if model in outside else ""
    )
    line = legend_line(_look(model, sweep, {model: style}), wrapped(model + role) + where)
    line.set_linewidth(THICK if model == sweep.reference else 1.6)
    return line


def _key(sweep: Sweep, outside: bool, several: bool) -> list[Artist]:
    """What the marks mean, those that are there."""
    mark: dict[str, Any] = {"marker": "o", "markersize": MARK, "markeredgecolor": "white", "linestyle": ""}
    marks: list[Artist] = [
        Line2D([], [], color=INK, label="temperature 1: a model's own mark", **mark),
        Line2D([], [], color=INK, marker=".", markersize=6, linestyle="", label="other temperatures"),
        Line2D([], [], color=INK, linewidth=0.6, alpha=0.5, label=f"one seed (n = {_seeds(sweep.points)})"),
        Patch(color=SHADE, label=wrapped(f"{sweep.reference} is better on both at some temperature")),
        Line2D([], [], color=GREY, linestyle=":", linewidth=1, label="box of the dominated area"),
    ]
    if outside:
        beyond: dict[str, Any] = {"marker": "^", "markersize": 5, "linestyle": ""}
        marks.insert(1, Line2D([], [], color=INK, label="temperature 1, outside", **beyond))
    if several:
        marks.append(Line2D([], [], color=INK, linewidth=2.2, label=f"{sweep.reference}, in all panels"))
        marks.append(Line2D([], [], color=PALE, linewidth=0.8, label="models of the other panels"))
    return marks


def _seeds(points: pd.DataFrame) -> str:
    counts = points.groupby("model")["seed"].nunique()
    return "–".join(str(number) for number in sorted({counts.min(), counts.max()}))
