"""Figures of the leaderboard: what each seed scored, and how it got there."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from textwrap import fill
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bench.reports.leaderboard import FINAL, PRETRAINED, REAL_DATA, aggregate, completed, records

__all__ = ["GREY", "INK", "LINES", "PALETTE", "finish", "write_plots"]

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F5F3F")
"""Okabe and Ito's colours, which colour-blind readers can tell apart; brown stands in for yellow, too pale on white."""
LINES = ("-", "--", "-.", ":")
LABEL_WIDTH = 26
"""Characters of a model's label on one line."""
INK, GREY = "#333333", "#888888"
HEADLINES = {True: ("nll_oracle", "nll_test"), False: ("nll_test", "bleu4", "self_bleu4")}
"""What to show where an oracle knows the truth, and where it does not."""
CURVES = {"nll_oracle": "nll_oracle", "nll_valid": "nll_test"}
"""What is drawn against the clock, and the leaderboard's metric whose real-data value belongs to it."""
MEANINGS = {"lower": "lower is better", "higher": "higher is better", "real": "nearer to real data is better"}

Styles = dict[str, tuple[str, Any]]


def write_plots(runs: pd.DataFrame, scores: pd.DataFrame, curves: pd.DataFrame, folder: Path) -> list[tuple[str, str]]:
    """Draw the scores and the learning curves of each task and preset.

    Args:
        runs: One row a run.
        scores: One row for each (run, checkpoint, metric).
        curves: One row for each (run, phase, step, name).
        folder: Where the PNG files go; made when it does not exist.

    Returns:
        Caption and file name of each figure; the same frames give the same bytes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    board = aggregate(runs, scores)
    board, scores, curves = board[board["n"] > 0], completed(runs, scores), completed(runs, curves)
    styles = _styles(board["model"])
    figures = []
    for (task, preset), section in board.groupby(["task", "preset"], sort=False):
        seeds = scores[(scores["task"] == task) & (scores["preset"] == preset)]
        lines = curves[(curves["task"] == task) & (curves["preset"] == preset)]
        name = re.sub(r"[^A-Za-z0-9.]+", "-", f"{task}-{preset}").strip("-")
        for kind, title, figure in (
            ("scores", "each seed and the mean", _score_figure(section, seeds, styles)),
            ("curves", "learning curves", _curve_figure(section, lines, styles)),
        ):
            if figure is not None:
                caption = f"{task}, {preset}: {title}"
                figure.suptitle(caption, fontsize=11)
                figure.savefig(folder / f"{name}-{kind}.png", dpi=150, metadata={"Software": None})
                figures.append((caption, f"{name}-{kind}.png"))
    return figures


def _styles(models: Iterable[str]) -> Styles:
    """A colour and a line for each model, the same in every figure."""
    names = sorted(set(models) - {REAL_DATA})
    return {
        name: (PALETTE[place % len(PALETTE)], LINES[place // len(PALETTE) % len(LINES)])
        for place, name in enumerate(names)
    }


def _score_figure(board: pd.DataFrame, scores: pd.DataFrame, styles: Styles) -> Figure | None:
    """Models from top to bottom in the leaderboard's order, a panel a metric, a dot a seed."""
    measured = set(board.loc[board["model"] != REAL_DATA, "metric"])
    metrics = [metric for metric in HEADLINES["nll_oracle" in measured] if metric in measured]
    if not metrics:
        return None
    board = board[board["metric"].isin(metrics)]
    models = [model for model in dict.fromkeys(board["model"]) if model != REAL_DATA]
    figure = Figure(figsize=(1.5 + 3.3 * len(metrics), 1.8 + 0.55 * len(models)), layout="constrained")
    panels = figure.subplots(1, len(metrics), sharey=True, squeeze=False)[0]
    for axes, metric in zip(panels, metrics, strict=True):
        axes.set_yticks(range(len(models)), [fill(model, LABEL_WIDTH) for model in models])
        axes.set_ylim(len(models) - 0.35, -0.5)
        _score_panel(axes, board[board["metric"] == metric], scores[scores["metric"] == metric], models, styles)
    marks = [
        Line2D([], [], color=INK, marker="o", markersize=4, alpha=0.5, linestyle="", label="one seed"),
        Line2D([], [], color=INK, marker="o", markersize=6, label="mean, 95% interval"),
    ]
    if (board["checkpoint"] == PRETRAINED).any():
        marks.append(_hollow(6, label="its shared pre-training"))
    if (board["model"] == REAL_DATA).any():
        marks.append(Line2D([], [], color=GREY, linestyle="--", label=REAL_DATA))
    figure.legend(handles=marks, loc="outside lower center", ncols=len(marks), frameon=False, fontsize=8)
    return figure


def _score_panel(axes: Axes, board: pd.DataFrame, scores: pd.DataFrame, models: list[str], styles: Styles) -> None:
    real, board = board[board["model"] == REAL_DATA], board[board["model"] != REAL_DATA]
    references = real["mean"].tolist()
    metric, unit, direction = (board[column].iloc[0] for column in ("metric", "unit", "direction"))
    near = _near(board["mean"]) | (unit == "")  # a proportion has its bounds: nothing is far off
    marks = scores.merge(board.loc[near, ["model", "checkpoint"]])["value"].dropna()
    intervals = board[near].dropna(subset=["low"])
    low, high = _limits(marks, [*intervals["low"], *intervals["high"]], references)
    for row in records(board):
        colour, final = styles[row["model"]][0], row["checkpoint"] == FINAL
        place = models.index(row["model"]) + (0 if final else 0.36)
        if not low <= row["mean"] <= high:
            _beyond(axes, row["mean"], place, row["mean"] > high, colour)
            continue
        seeds = scores.loc[(scores["model"] == row["model"]) & (scores["checkpoint"] == row["checkpoint"]), "value"]
        axes.plot(seeds, [place - 0.16] * len(seeds), "o", markersize=4, color=colour, alpha=0.5, markeredgewidth=0)
        axes.plot([row["low"], row["high"]], [place, place], color=colour, linewidth=1.6 if final else 0.9)
        axes.plot(row["mean"], place, "o", markersize=6, color=colour, markerfacecolor=colour if final else "white")
    axes.set_xlim(low, high)
    for value in references:
        _reference(axes, value, vertical=True)
    axes.set_xlabel("\n".join((_titled(metric, unit), MEANINGS.get(direction, ""))), fontsize=9)
    axes.tick_params(axis="y", length=0)
    axes.locator_params(axis="x", nbins=6)
    finish(axes)


def _curve_figure(board: pd.DataFrame, curves: pd.DataFrame, styles: Styles) -> Figure | None:
    """Held-out scores against the clock: a thin line a seed, a thick one for their mean; one point is no curve."""
    curves = curves[curves["name"].isin(CURVES.keys()) & curves["model"].isin(styles.keys())].dropna(subset=["value"])
    curves = curves[curves.groupby(["run_id", "name"])["value"].transform("size") > 1]
    metrics = [metric for metric in CURVES if (curves["name"] == metric).any()]
    if not metrics:
        return None
    figure = Figure(figsize=(2.6 + 3.6 * len(metrics), 3.8), layout="constrained")
    panels = figure.subplots(1, len(metrics), squeeze=False)[0]
    for axes, metric in zip(panels, metrics, strict=True):
        _curve_panel(axes, board[board["metric"] == CURVES[metric]], curves[curves["name"] == metric], metric, styles)
    present = set(curves["model"])
    marks = [
        Line2D([], [], color=styles[model][0], linestyle=styles[model][1], linewidth=2, label=fill(model, LABEL_WIDTH))
        for model in dict.fromkeys(board["model"])
        if model in present
    ]
    if (curves.groupby("run_id")["phase"].nunique() > 1).any():
        marks.append(_hollow(5, label="end of a phase"))
    if board.loc[board["model"] == REAL_DATA, "metric"].isin(CURVES.values()).any():
        marks.append(Line2D([], [], color=GREY, linestyle="--", label=REAL_DATA))
    figure.legend(handles=marks, loc="outside right center", frameon=False, fontsize=8)
    return figure


def _curve_panel(axes: Axes, board: pd.DataFrame, curves: pd.DataFrame, metric: str, styles: Styles) -> None:
    ends = curves.groupby("model")["seconds"].max().sort_values(ascending=False)
    settled = []  # what each run does once it has left its random start
    for model in ends.index:  # the longest first, so that what it shares with a shorter one stays visible
        lines = curves[curves["model"] == model]
        colour, dashes = styles[model]
        for _, seed in lines.groupby("run_id"):
            points = seed.sort_values(["seconds", "step"])
            axes.plot(points["seconds"], points["value"], dashes, color=colour, alpha=0.4, linewidth=0.8)
            settled += points["value"].quantile([0.0, 0.9]).tolist()
        every = lines.groupby(["phase", "step"]).agg({"seconds": "mean", "value": "mean", "seed": "count"})
        mean = every[every["seed"] == lines["run_id"].nunique()].reset_index().sort_values(["seconds", "step"])
        ends_of_phases = mean.drop_duplicates("phase", keep="last").iloc[:-1]
        axes.plot(mean["seconds"], mean["value"], dashes, color=colour, linewidth=2)
        axes.plot(
            ends_of_phases["seconds"], ends_of_phases["value"], "o", color=colour, markerfacecolor="white", markersize=5
        )
    references = board.loc[board["model"] == REAL_DATA, "mean"].tolist()
    values = pd.Series(settled)
    axes.set_ylim(*_limits(values[_near(values)], (), references))
    if ends.max() > 20 * ends.min() > 0 and curves["seconds"].min() > 0:
        axes.set_xscale("log")
    else:
        axes.set_xlim(left=0)
    for value in references:
        _reference(axes, value, vertical=False)
    units = board["unit"].tolist()
    axes.set_xlabel("training seconds,\nshared pre-training included", fontsize=9)
    axes.set_ylabel(_titled(metric, units[0] if units else ""), fontsize=9)
    finish(axes)


def _near(values: pd.Series) -> pd.Series:
    """True for values that share an axis: within a fifth of their median, or three median absolute deviations."""
    middle = values.median()
    distance = (values - middle).abs()
    near: pd.Series = distance <= max(3 * distance.median(), 0.2 * abs(middle))
    return near


def _limits(marks: Iterable[float], intervals: Iterable[float], references: Iterable[float]) -> tuple[float, float]:
    """Axis limits that leave the marks readable.

    Args:
        marks: Values that must be visible.
        intervals: Ends of intervals; those wider than three times the span of the marks leave the axis.
        references: Values shown as well, unless the marks and intervals would be left with less than half the axis.
    """
    values = list(marks)
    low, high = min(values), max(values)
    span = max(high - low, 0.02 * abs(high), 1e-6)
    ends = [min(max(end, low - span), high + span) for end in intervals]
    low, high = min([low, *ends]), max([high, *ends])
    for value in references:
        if max(high, value) - min(low, value) <= 2 * max(high - low, span):
            low, high = min(low, value), max(high, value)
    margin = 0.08 * max(high - low, span)
    return low - margin, high + margin


def _beyond(axes: Axes, value: float, place: float, right: bool, colour: str) -> None:
    """Say in figures what lies outside the axis, on the side where it lies."""
    axes.text(
        0.985 if right else 0.015,
        place,
        f"{value:.2f} ▸" if right else f"◂ {value:.2f}",
        transform=axes.get_yaxis_transform(),
        ha="right" if right else "left",
        va="center",
        fontsize=8,
        color=colour,
    )


def _reference(axes: Axes, value: float, *, vertical: bool) -> None:
    """A dashed line for the real data, or its value above the panel where the axis does not reach so far."""
    low, high = axes.get_xlim() if vertical else axes.get_ylim()
    if low <= value <= high:
        (axes.axvline if vertical else axes.axhline)(value, color=GREY, linestyle="--", linewidth=1, zorder=0)
    else:
        arrow = ("◂" if value < low else "▸") if vertical else ("▾" if value < low else "▴")
        axes.set_title(
            f"{arrow} {REAL_DATA} {value:.2f}", fontsize=8, color=GREY, loc="left" if value < low else "right"
        )


def _hollow(size: int, label: str) -> Line2D:
    return Line2D([], [], color=INK, marker="o", markersize=size, markerfacecolor="white", linestyle="", label=label)


def _titled(metric: str, unit: str) -> str:
    return f"{metric} ({unit})" if unit else metric


def finish(axes: Axes) -> None:
    """The grid and the frame that all figures share."""
    axes.grid(color="#e6e6e6", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=9)
