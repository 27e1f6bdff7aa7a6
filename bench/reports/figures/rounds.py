"""A figure of what policy gradient does, round by round, after the shared pre-training."""

from __future__ import annotations

from itertools import zip_longest
from typing import Any

import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from bench.analysis.learning import QUALITY
from bench.records.frames import KEYS, completed
from bench.reports.axis import usual_limits
from bench.reports.families import Group, Styles, groups
from bench.reports.figures.marks import leaving, mark_at
from bench.reports.figures.style import (
    BAND,
    INK,
    finish,
    key,
    legend_height,
    legend_in,
    legend_line,
    wrapped,
)

__all__ = ["figures", "rounds"]

REWARD = "reward"
"""What every training by policy gradient logs."""
PANELS = {
    "nll_oracle": "its samples under the oracle",
    "grammatical": "share of its samples that the grammar allows",
    "nll_valid": "held-out sequences under the model",
    "jsd_valid": "from the oracle's next words",
    "entropy": "of its samples, nats a token",
    "d_accuracy_valid": "held-out sequences that D takes for real",
    "p_real_train": "training sequences, to D",
    "p_real_valid": "held-out sequences, to D",
    "p_real_samples": "its samples, to D",
}
"""Names of curves, in the order in which they are drawn, and what each is of."""
COLUMNS = 4
"""Most panels side by side where all models share each of them."""
WIDTH, HEIGHT, LOWER, BESIDE = 3.2, 2.1, 1.75, 2.3
"""Of a panel, its height where a column is a family, and the width of a legend beside panels, in inches."""
LEAST_POINTS = 3
"""Scored rounds without which there is nothing to draw."""


def figures(runs: pd.DataFrame, curves: pd.DataFrame, styles: Styles) -> list[tuple[str, Figure, str]]:
    """Draw the rounds of each task and preset.

    Args:
        runs: One row per run.
        curves: One row for each (run, phase, step, name), in the order of training.
        styles: Model to colour and line.

    Returns:
        Caption, figure and stem of a file name of each.
    """
    drawn = []
    for (task, preset), lines in rounds(runs, curves).groupby(["task", "preset"]):
        caption = f"{task}, {preset}: what each round of policy gradient changes"
        figure = _figure(lines, set(runs.loc[runs["role"] == "control", "model"]), styles)
        figure.suptitle(caption, fontsize=11)
        drawn.append((caption, figure, f"{task}-{preset}-rounds"))
    return drawn


def rounds(runs: pd.DataFrame, curves: pd.DataFrame) -> pd.DataFrame:
    """The scored steps of the phase in which a model is rewarded, and as step 0 what it had before.

    Args:
        runs: One row per run.
        curves: One row for each (run, phase, step, name), in the order of training.

    Returns:
        Rows with the columns that name a run, ``step``, ``name``, one of :data:`PANELS`, and ``value``; only runs with
        :data:`LEAST_POINTS` or more.
    """
    kept = completed(runs, curves).dropna(subset=["value"])
    rewarded = kept.loc[kept["name"] == REWARD, ["run_id", "phase"]].drop_duplicates("run_id", keep="last")
    kept = kept[kept["name"].isin(PANELS)].merge(rewarded, on="run_id", suffixes=("", "_rewarded"))
    inside = kept["phase"] == kept["phase_rewarded"]
    scored = kept.loc[inside & kept["name"].isin(QUALITY), ["run_id", "step"]].drop_duplicates()
    scored = scored[scored.groupby("run_id")["step"].transform("size") >= LEAST_POINTS]
    during = kept[inside].merge(scored, on=["run_id", "step"])
    before = kept[~inside].drop_duplicates(["run_id", "name"], keep="last").assign(step=0)
    before = before[before["run_id"].isin(scored["run_id"])]
    return pd.concat([before, during])[[*KEYS, "step", "name", "value"]].reset_index(drop=True)


def _figure(lines: pd.DataFrame, controls: set[str], styles: Styles) -> Figure:
    """A panel for each curve, or for each curve and family of models: then a column is a family."""
    names = [name for name in PANELS if (lines["name"] == name).any()]
    families = groups(sorted(set(lines["model"]), key=lambda model: (model in controls, model)), styles)
    legends = [
        [legend_line(styles[model], wrapped(model + (" (control)" if model in controls else ""))) for model in own]
        for _, own in families
    ]
    limits = {name: _limits(lines[lines["name"] == name]) for name in names}
    if len(families) == 1:
        columns = min(COLUMNS, len(names))
        rows = -(-len(names) // columns)
        size = WIDTH * columns + BESIDE, 1.0 + (HEIGHT + 0.6) * rows
        figure = Figure(figsize=size, layout="constrained")
        widths = [*[WIDTH] * columns, BESIDE]
        grid = figure.subplots(rows, columns + 1, squeeze=False, gridspec_kw={"width_ratios": widths})
        legend_in(grid[0, -1], legends[0], "")
        for axes in grid[1:, -1]:
            axes.remove()
        cells = [(axes, name, families[0]) for axes, name in zip_longest(grid[:, :-1].flat, names)]
    else:
        above = max(legend_height(marks, own.title) for marks, own in zip(legends, families, strict=True))
        heights = [above, *[LOWER] * len(names)]
        figure = Figure(figsize=(WIDTH * len(families), 1.2 + sum(heights)), layout="constrained")
        grid = figure.subplots(
            len(heights), len(families), squeeze=False, sharey="row", gridspec_kw={"height_ratios": heights}
        )
        for axes, marks, own in zip(grid[0], legends, families, strict=True):
            legend_in(axes, marks, own.title, "lower left")
        cells = [(axes, name, own) for name, row in zip(names, grid[1:], strict=True)
                 for axes, own in zip(row, families, strict=True)]  # fmt: skip
    drawn: list[tuple[Axes, str]] = []
    crossed = False
    for axes, name, own in cells:
        here = lines[(lines["name"] == name) & lines["model"].isin(own.models)] if name else lines.head(0)
        if here.empty:
            axes.remove()
            continue
        drawn.append((axes, name))
        axes.set_xlim(0, 1.02 * float(lines["step"].max()))
        crossed |= _panel(axes, here, own, limits[name], styles)
    told: set[str] = set()
    for axes, name in drawn:  # once for all families
        if name not in told:
            axes.set_title(f"{name}\n{PANELS[name]}", fontsize=9, loc="left", pad=12)
        told.add(name)
        axes.set_xlabel("rounds", fontsize=9)
        axes.label_outer(remove_inner_ticks=False) if len(families) > 1 else None
    meaning: list[Artist] = [Patch(color=INK, alpha=BAND, linewidth=0, label="lowest to highest seed")]
    if crossed:
        beyond: dict[str, Any] = {"color": INK, "marker": "^", "markersize": 5, "linestyle": ""}
        meaning.append(Line2D([], [], label="leaves the axes", **beyond))
    key(figure, meaning)
    return figure


def _limits(lines: pd.DataFrame) -> tuple[float, float] | None:
    """Ends of the axis of a score of quality, of which one that collapses would flatten all others."""
    return usual_limits(lines) if lines["name"].iloc[0] in QUALITY else None


def _panel(axes: Axes, lines: pd.DataFrame, own: Group, limits: tuple[float, float] | None, styles: Styles) -> bool:
    """Mean and range over seeds of each model, at the steps that all of its runs have; whether any leaves the axes."""
    if limits:
        axes.set_ylim(*limits)
    crossed = False
    for index, model in enumerate(own.models):
        rows = lines[lines["model"] == model]
        seeds = rows.groupby("step")["value"].agg(["size", "mean", "min", "max"])
        seeds = seeds[seeds["size"] == rows["run_id"].nunique()]
        if seeds.empty:
            continue
        style = styles[model]
        axes.fill_between(seeds.index, seeds["min"], seeds["max"], color=style.colour, alpha=BAND, linewidth=0)
        every = max(1, len(seeds) // 5)
        axes.plot(
            *(seeds.index, seeds["mean"]), linestyle=style.line, color=style.colour, linewidth=1.8,
            marker=style.marker, markersize=5, markeredgecolor="white", markeredgewidth=0.5,
            markevery=(min(index, every - 1), every),
        )  # fmt: skip
        for x, y, up in leaving(seeds.index, seeds["mean"], limits) if limits else ():
            mark_at(axes, (x, y), (0, up), style, 6)
            crossed = True
    axes.locator_params(axis="x", nbins=5)
    finish(axes)
    return crossed
