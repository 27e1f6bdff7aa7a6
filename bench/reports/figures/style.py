"""The style that all figures share: colours and lines of models, the grid and the frame."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.cbook import boxplot_stats
from matplotlib.figure import Figure

from bench.records.frames import REAL_DATA

__all__ = [
    "GREY",
    "INK",
    "LABEL_LINE",
    "LABEL_WIDTH",
    "LINES",
    "PALETTE",
    "Styles",
    "finish",
    "outside_legend",
    "styles_of",
    "usual_limits",
]

mpl.rcParams["text.parse_math"] = False  # a dollar in somebody's label begins no formula

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F5F3F")
"""Okabe and Ito's colours, which colour-blind readers can tell apart; brown replaces yellow, too pale on white."""
LINES = ("-", "--", "-.", ":")
LABEL_WIDTH = 26
"""Most characters of a model's label on one line."""
LABEL_LINE = 0.165
"""Height of a line of a legend or of a label, in inches."""
INK, GREY = "#333333", "#888888"
Styles = dict[str, tuple[str, Any]]


def styles_of(models: Iterable[str]) -> Styles:
    """A colour and a line for each model, the same in every figure."""
    names = sorted(set(models) - {REAL_DATA})
    return {
        name: (PALETTE[index % len(PALETTE)], LINES[index // len(PALETTE) % len(LINES)])
        for index, name in enumerate(names)
    }


def finish(axes: Axes) -> None:
    """The grid and the frame that all figures share."""
    axes.grid(color="#e6e6e6", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=9)


def outside_legend(figure: Figure, marks: Sequence[Artist]) -> None:
    """A legend to the right of all axes, in a figure that is made tall enough for it."""
    lines = sum(1 + str(mark.get_label()).count("\n") for mark in marks)
    figure.set_figheight(max(figure.get_figheight(), LABEL_LINE * (lines + 0.4 * len(marks)) + 0.5))
    figure.legend(handles=list(marks), loc="outside right center", frameon=False, fontsize=8)


def usual_limits(lines: pd.DataFrame) -> tuple[float, float]:
    """Ends of the y axis, set by the values of the runs after their random start; what is far off does not count.

    Args:
        lines: The points of curves, with ``run_id`` and ``value``.
    """
    runs = lines.groupby("run_id")["value"]
    usual = boxplot_stats([*runs.min(), *runs.quantile(0.9)])[0]
    low, high = float(usual["whislo"]), float(usual["whishi"])
    margin = 0.08 * max(high - low, 0.02 * abs(high), 1e-6)
    return low - margin, high + margin
