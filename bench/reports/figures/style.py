"""The style that all figures share: colours and lines of models, the grid and the frame."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from textwrap import fill
from typing import Any, Literal, NamedTuple

import matplotlib as mpl
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.cbook import boxplot_stats
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bench.records.frames import REAL_DATA

__all__ = [
    "BAND",
    "FAMILIES",
    "GREY",
    "INK",
    "LABEL_LINE",
    "LABEL_WIDTH",
    "LINES",
    "MARKERS",
    "PALE",
    "PALETTE",
    "STRANGERS",
    "TOGETHER",
    "Group",
    "Style",
    "Styles",
    "finish",
    "groups",
    "key",
    "legend_height",
    "legend_in",
    "legend_line",
    "styles_of",
    "usual_limits",
    "wrapped",
]

mpl.rcParams["text.parse_math"] = False  # a dollar in somebody's label begins no formula

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F5F3F")
"""Okabe and Ito's colours, which colour-blind readers can tell apart; brown replaces yellow, too pale on white."""
STRANGERS = "#882255"
"""The colour of models that are of none of the families."""
LINES = ("-", "--", "-.", ":")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
"""As many as there are models in a family, and more than lines, so that no two of a family share both."""
FAMILIES = {
    "likelihood": ("mle", "scheduled-sampling", "cnn-mle", "transformer-mle"),
    "policy gradient on a discriminator": ("seqgan", "rloo", "grpo", "seqgan-baselined"),
    "counts": ("ngram", "bigram", "random", "uniform"),
    "other adversarial training": ("cot", "relgan", "maligan", "residual-ebm"),
    "policy gradient on another reward": ("constant-reward", "random-reward", "random-reward-baselined", "pg-bleu"),
    "controls of likelihood": (
        *("mle-tuned", "mle-longer", "mle-tempered", "mle-ensemble", "mle-ngram", "relational-mle"),
    ),
    "copies": ("repeat", "replay"),
}
"""What is alike, in the order of :data:`PALETTE`."""
OTHERS = "other models"
"""What models that are of none of the families are called together."""
TOGETHER = 6
"""Most models in one panel: of more, lines hide each other and bands become one."""
LABEL_WIDTH = 26
"""Most characters of a model's label on one line."""
LABEL_LINE = 0.165
"""Height of a line of a legend or of a label, in inches."""
KEY_WIDTH = 2.7
"""Width of a column of the key below all axes, in inches."""
INK, GREY, PALE = "#333333", "#888888", "#d4d4d4"
"""The colours of words and of the reference, of lines that help, and of models that another panel shows."""
BAND = 0.15
"""How opaque the band of a model's seeds is."""


class Style(NamedTuple):
    """How a model is drawn: its family's colour, and a line and a marker of its own."""

    colour: str
    line: Any
    marker: str


Styles = dict[str, Style]


def styles_of(models: Iterable[str]) -> Styles:
    """A style for each model; that of the project's own models is the same in every figure and folder.

    Of one model with several settings, ``seqgan[rounds=60]`` beside ``seqgan``, each has a line and a marker of its
    own, too, as long as there are so many. So has a stranger's model, by its place among the strangers.
    """
    names = sorted(set(models) - {REAL_DATA})
    strangers = [name for name in names if _family(name) is None]
    styles: Styles = {}
    for name in sorted(names, key=lambda name: "[" in name):  # what has settings gives way
        found = _family(name)
        colour, first = (STRANGERS, strangers.index(name)) if found is None else found
        looks = [
            Style(colour, LINES[index % len(LINES)], MARKERS[index % len(MARKERS)])
            for index in range(first, first + len(LINES) * len(MARKERS))
        ]
        styles[name] = next((style for style in looks if style not in styles.values()), looks[0])
    return {name: styles[name] for name in names}


def _family(name: str) -> tuple[str, int] | None:
    """The colour of a model's family, and the model's place in it; settings move it by a number of their own."""
    plain = name.partition("[")[0].partition("@")[0]
    moved = zlib.crc32(name.encode()) if name != plain else 0
    for colour, family in zip(PALETTE, FAMILIES.values(), strict=True):
        if plain in family:
            return colour, family.index(plain) + moved
    return None


class Group(NamedTuple):
    """Models that share a panel: of one family, whose name is the title, or all there are, without one."""

    title: str
    models: list[str]


def groups(models: Iterable[str], styles: Styles) -> list[Group]:
    """All models in one group where they are few, else those of each family, at most :data:`TOGETHER` in each group."""
    names = list(models)
    if len(names) <= TOGETHER:
        return [Group("", names)]
    families = dict(zip(PALETTE, FAMILIES, strict=True))
    found = []
    for title in (*FAMILIES, OTHERS):
        own = [name for name in names if families.get(styles[name].colour, OTHERS) == title]
        parts = [own[first : first + TOGETHER] for first in range(0, len(own), TOGETHER)]
        for number, part in enumerate(parts, start=1):
            found.append(Group(title + (f", {number} of {len(parts)}" if len(parts) > 1 else ""), part))
    return found


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
