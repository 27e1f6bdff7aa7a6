"""A figure of what policy gradient does, round by round, after the shared pre-training."""

from __future__ import annotations

from itertools import zip_longest
from textwrap import fill

import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from bench.analysis.learning import QUALITY
from bench.records.frames import KEYS, completed
from bench.reports.figures.style import (
    INK,
    LABEL_WIDTH,
    Styles,
    band,
    finish,
    legend_line,
    outside_legend,
    usual_limits,
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
    names = [name for name in PANELS if (lines["name"] == name).any()]
    models = sorted(set(lines["model"]), key=lambda model: (model in controls, model))
    columns = min(COLUMNS, len(names))
    rows = -(-len(names) // columns)
    figure = Figure(figsize=(2.4 + 3.2 * columns, 1.1 + 2.7 * rows), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False, sharex=True)
    for axes, name in zip_longest(panels.flat, names):
        if name is None:
            axes.remove()
            continue
        _panel(axes, lines[lines["name"] == name], models, styles)
        axes.set_title(f"{name}\n{PANELS[name]}", fontsize=9)
        axes.set_xlabel("rounds", fontsize=9)
    marks: list[Artist] = []
    for model in models:
        label = fill(model + (" (control)" if model in controls else ""), LABEL_WIDTH)
        marks.append(legend_line(styles[model], label))
    marks.append(Patch(color=INK, alpha=0.15, linewidth=0, label="lowest to highest seed"))
    outside_legend(figure, marks)
    return figure


def _panel(axes: Axes, lines: pd.DataFrame, models: list[str], styles: Styles) -> None:
    """Mean and range over seeds of each model, at the steps that all of its runs have."""
    for model in models:
        own = lines[lines["model"] == model]
        seeds = own.groupby("step")["value"].agg(["size", "mean", "min", "max"])
        seeds = seeds[seeds["size"] == own["run_id"].nunique()]
        colour, dashes, marker = styles[model]
        axes.fill_between(seeds.index, seeds["min"], seeds["max"], color=colour, alpha=band(len(models)), linewidth=0)
        every = max(1, len(seeds) // 5)
        axes.plot(
            *(seeds.index, seeds["mean"]), linestyle=dashes, color=colour, linewidth=1.8, marker=marker, markersize=5,
            markevery=(min(models.index(model), every - 1), every),
        )  # fmt: skip
    if lines["name"].iloc[0] in QUALITY:  # one that collapses would flatten all others
        axes.set_ylim(*usual_limits(lines))
    axes.set_xlim(left=0)
    axes.locator_params(axis="x", nbins=5)
    finish(axes)
