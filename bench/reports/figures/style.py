"""The style that all figures share: colours and lines of models, the grid and the frame."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from matplotlib.axes import Axes

from bench.records.frames import REAL_DATA

__all__ = ["GREY", "INK", "LABEL_WIDTH", "LINES", "PALETTE", "Styles", "finish", "styles_of"]

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F5F3F")
"""Okabe and Ito's colours, which colour-blind readers can tell apart; brown replaces yellow, too pale on white."""
LINES = ("-", "--", "-.", ":")
LABEL_WIDTH = 26
"""Most characters of a model's label on one line."""
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
