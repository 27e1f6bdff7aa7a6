"""The style that all figures share: colours and lines of models, the grid and the frame."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import fill
from typing import Literal

import matplotlib as mpl
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bench.reports.families import LABEL_WIDTH, Style

__all__ = [
    "BAND",
    "GREY",
    "INK",
    "LABEL_LINE",
    "PALE",
    "finish",
    "key",
    "legend_height",
    "legend_in",
    "legend_line",
    "wrapped",
]

mpl.rcParams["text.parse_math"] = False  # a dollar in somebody's label begins no formula

LABEL_LINE = 0.165
"""Height of a line of a legend or of a label, in inches."""
KEY_WIDTH = 2.7
"""Width of a column of the key below all axes, in inches."""
INK, GREY, PALE = "#333333", "#888888", "#d4d4d4"
"""The colours of words and of the reference, of lines that help, and of models that another panel shows."""
BAND = 0.15
"""How opaque the band of a model's seeds is."""


def legend_line(style: Style, label: str) -> Line2D:
    """A model's entry in a legend: its line with its marker."""
    looks = {"color": style.colour, "linestyle": style.line, "marker": style.marker}
    return Line2D([], [], markersize=5, linewidth=1.8, label=label, **looks)


def finish(axes: Axes) -> None:
    """The grid and the frame that all figures share."""
    axes.grid(color="#e6e6e6", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=9)


def legend_height(marks: Sequence[Artist], title: str) -> float:
    """Inches that :func:`legend_in` takes."""
    lines = sum(1 + str(mark.get_label()).count("\n") for mark in marks) + len(wrapped(title).splitlines())
    return LABEL_LINE * (lines + 0.4 * len(marks)) + 0.15


def legend_in(
    axes: Axes, marks: Sequence[Artist], title: str, loc: Literal["center left", "lower left"] = "center left"
) -> None:
    """A legend in a cell of the grid that has no other use, so that it covers nothing."""
    axes.set_axis_off()
    axes.legend(
        handles=list(marks), title=wrapped(title), loc=loc, frameon=False, fontsize=8, title_fontsize=8.5,
        alignment="left", borderaxespad=0, borderpad=0.2,
    )  # fmt: skip


def key(figure: Figure, marks: Sequence[Artist]) -> None:
    """What the marks mean that all models share, below all axes."""
    columns = max(1, min(len(marks), int(figure.get_figwidth() / KEY_WIDTH)))
    figure.legend(handles=list(marks), loc="outside lower center", ncols=columns, frameon=False, fontsize=8)


def wrapped(label: str) -> str:
    """A label in lines of at most :data:`LABEL_WIDTH` characters."""
    return fill(label, LABEL_WIDTH)
