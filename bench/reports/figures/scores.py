"""A figure of the scores of each seed."""

from __future__ import annotations

from textwrap import fill
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke

from bench.analysis.catalogue import MEANINGS, Shown, headlines, kind_of_task
from bench.records.frames import FINAL, PRETRAINED, REAL_DATA, as_rows, completed
from bench.reports.axis import limits, near
from bench.reports.families import LABEL_WIDTH, Styles
from bench.reports.figures.style import (
    GREY,
    INK,
    LABEL_LINE,
    finish,
)

__all__ = ["figures"]

EDGE = 0.015
"""A mean nearer to an end of the axis than this part of it is written as a number: its mark would be cut."""


def figures(
    runs: pd.DataFrame, scores: pd.DataFrame, board: pd.DataFrame, styles: Styles
) -> list[tuple[str, Figure, str]]:
    """Draw the scores of each seed on each task and preset.

    Args:
        runs: One row per run.
        scores: One row for each (run, checkpoint, metric).
        board: The result of :func:`bench.analysis.leaderboard.aggregate` on them.
        styles: Model to colour and line.

    Returns:
        Caption, figure and stem of a file name of each.
    """
    board = board[(board["n"] > 0) & board["checkpoint"].isin([FINAL, PRETRAINED])]
    scores = completed(runs, scores)
    drawn = []
    for (task, preset), section in board.groupby(["task", "preset"], sort=False):
        seeds = scores[(scores["task"] == task) & (scores["preset"] == preset)]
        figure = _score_figure(section, seeds, styles)
        if figure is not None:
            caption = f"{task}, {preset}: each seed and the mean"
            figure.suptitle(caption, fontsize=11)
            drawn.append((caption, figure, f"{task}-{preset}-scores"))
    return drawn


def _score_figure(board: pd.DataFrame, scores: pd.DataFrame, styles: Styles) -> Figure | None:
    """Models from top to bottom in the leaderboard's order, a panel per metric, a dot per seed."""
    measured = set(board.loc[board["model"] != REAL_DATA, "metric"])
    metrics = [metric for metric in headlines(kind_of_task(measured), Shown.FIGURE) if metric in measured]
    if not metrics:
        return None
    board = board[board["metric"].isin(metrics)]
    models = [model for model in dict.fromkeys(board["model"]) if model != REAL_DATA]
    controls = set(board.loc[board["role"] == "control", "model"])
    labels = [fill(model + " (control)" * (model in controls), LABEL_WIDTH) for model in models]
    row = max(0.55, LABEL_LINE * (1.5 + max(label.count("\n") for label in labels)))  # inches
    figure = Figure(figsize=(1.5 + 3.3 * len(metrics), 1.8 + row * len(models)), layout="constrained")
    panels = figure.subplots(1, len(metrics), sharey=True, squeeze=False)[0]
    for axes, metric in zip(panels, metrics, strict=True):
        axes.set_yticks(range(len(models)), labels)
        axes.set_ylim(len(models) - 0.35, -0.5)
        _score_panel(axes, board[board["metric"] == metric], scores[scores["metric"] == metric], models, styles)
    marks = [
        Line2D([], [], color=INK, marker="o", markersize=4, alpha=0.5, linestyle="", label="one seed"),
        Line2D([], [], color=INK, marker="o", markersize=6, label="mean, 95% interval"),
    ]
    if (board["checkpoint"] == PRETRAINED).any():
        hollow: dict[str, Any] = {"marker": "o", "markersize": 6, "markerfacecolor": "white", "linestyle": ""}
        marks.append(Line2D([], [], color=INK, label="its shared pre-training", **hollow))
    if (board["model"] == REAL_DATA).any():
        marks.append(Line2D([], [], color=GREY, linestyle="--", label=REAL_DATA))
    figure.legend(handles=marks, loc="outside lower center", ncols=len(marks), frameon=False, fontsize=8)
    return figure


def _score_panel(axes: Axes, board: pd.DataFrame, scores: pd.DataFrame, models: list[str], styles: Styles) -> None:
    real, board = board[board["model"] == REAL_DATA], board[board["model"] != REAL_DATA]
    references = real["mean"].tolist()
    metric, unit, direction = (board[column].iloc[0] for column in ("metric", "unit", "direction"))
    close = near(board["mean"]) | (unit == "")  # a proportion is bounded: nothing is far off
    marks = scores.merge(board.loc[close, ["model", "checkpoint"]])["value"].dropna()
    intervals = board[close].dropna(subset=["low"])
    low, high = limits(marks, [*intervals["low"], *intervals["high"]], references)
    values = dict(list(scores.groupby(["model", "checkpoint"])["value"]))
    edge = EDGE * (high - low)
    for row in as_rows(board):
        style, final = styles[row["model"]], row["checkpoint"] == FINAL
        colour, height = style.colour, models.index(row["model"]) + (0 if final else 0.36)
        if not low + edge <= row["mean"] <= high - edge:
            _beyond(axes, row["mean"], height, row["mean"] > high - edge, colour)
            continue
        seeds = values[row["model"], row["checkpoint"]]
        axes.plot(seeds, [height - 0.16] * len(seeds), "o", markersize=4, color=colour, alpha=0.5, markeredgewidth=0)
        for end, up in ((max(seeds), 1), (min(seeds), -1)):
            if not low <= end <= high:  # some seeds, though not their mean, are beyond
                axes.plot(
                    high if up > 0 else low, height - 0.16, "<>"[up > 0], markersize=4, color=colour, clip_on=False
                )
        axes.plot([row["low"], row["high"]], [height, height], color=colour, linewidth=1.6 if final else 0.9)
        looks: dict[str, Any] = {"markersize": 6, "color": colour, "markerfacecolor": colour if final else "white"}
        axes.plot(row["mean"], height, style.marker, **looks)
    axes.set_xlim(low, high)
    for value in references:
        _reference(axes, value)
    axes.set_xlabel("\n".join((_titled(metric, unit), MEANINGS.get(direction, ""))), fontsize=9)
    axes.tick_params(axis="y", length=0)
    axes.locator_params(axis="x", nbins=6)
    finish(axes)


def _beyond(axes: Axes, value: float, height: float, right: bool, colour: str) -> None:
    """Write the number of a mean outside the axis, on the side where it is."""
    axes.text(
        0.985 if right else 0.015,
        height,
        f"{value:.3g} ▸" if right else f"◂ {value:.3g}",
        transform=axes.get_yaxis_transform(),
        ha="right" if right else "left",
        va="center",
        fontsize=8,
        color=colour,
        path_effects=[withStroke(linewidth=2.5, foreground="white")],
    )


def _reference(axes: Axes, value: float) -> None:
    """A dashed line for the real data, or its value above the panel where the axis does not reach it."""
    low, high = axes.get_xlim()
    if low <= value <= high:
        axes.axvline(value, color=GREY, linestyle="--", linewidth=1, zorder=0)
    else:
        beyond = "◂" if value < low else "▸"
        axes.set_title(
            f"{beyond} {REAL_DATA} {value:.3g}", fontsize=8, color=GREY, loc="left" if value < low else "right"
        )


def _titled(metric: str, unit: str) -> str:
    return f"{metric} ({unit})" if unit else metric
