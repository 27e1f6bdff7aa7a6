"""Marks of models that stay visible: beside others, on others, and for what is beyond the axes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.transforms import ScaledTranslation
from numpy.typing import ArrayLike

from bench.reports.families import Style

__all__ = ["Position", "inches", "leaving", "mark_at", "nested"]

Position = tuple[float, float]
CLOSE, WIDER = 0.07, 3.5
"""Marks nearer than this, in inches, cover one another; then the lower one is so much wider, in points."""
ARROWS = {(1, 0): ">", (-1, 0): "<", (0, 1): "^", (0, -1): "v"}
"""Marks for what is beyond the frame, by how many sides it is beyond to the right and to the top."""
ARROW_AWAY = 8.5
"""How far beyond the frame they are, in points."""


def mark_at(
    axes: Axes, at: tuple[float, float], towards: tuple[int, int], style: Style, size: float = 8, above: float = 9
) -> None:
    """A model's marker, and an arrow away from it where it stands at the frame for what is beyond.

    Args:
        axes: Where to draw.
        at: Where the marker stands.
        towards: How many sides the point is beyond to the right and to the top: -1, 0 or 1 each.
        style: The model's.
        size: Of the marker, in points.
        above: Its place among all that is drawn.
    """
    right, up = towards
    looks: dict[str, Any] = {"color": style.colour, "clip_on": False, "linestyle": "", "zorder": above}
    axes.plot(*at, marker=style.marker, markersize=size, markeredgecolor="white", **looks)
    if right or up:
        arrow: Any = ARROWS.get(towards, (3, 0, -45 * right * up + (0 if up > 0 else 180)))  # a triangle, turned
        outwards = ScaledTranslation(right * ARROW_AWAY / 72, up * ARROW_AWAY / 72, axes.figure.dpi_scale_trans)
        axes.plot(*at, marker=arrow, markersize=5, markeredgewidth=0, transform=axes.transData + outwards, **looks)


def inches(axes: Axes, point: Position, panel: Position) -> Position:
    """About where a point is on its panel, in inches from the lower left; exact enough to keep marks apart.

    Args:
        axes: With their final scales and limits.
        point: In their data's units.
        panel: Width and height of the panel; the layout may make it a little smaller.
    """
    across, up = axes.transAxes.inverted().transform(axes.transData.transform(point))
    return float(across * panel[0]), float(up * panel[1])


def nested(places: Sequence[Position], size: float) -> list[float]:
    """Sizes of marks of which each covers those before it: what is covered by others is larger than they are.

    Args:
        places: Where each mark is, in inches.
        size: Of a mark that nothing covers, in points.
    """
    sizes: list[float] = []
    for place in reversed(places):
        over = [other for other, at in zip(sizes, reversed(places), strict=False) if math.dist(place, at) < CLOSE]
        sizes.append(max(over, default=size - WIDER) + WIDER)
    return sizes[::-1]


def leaving(x: ArrayLike, y: ArrayLike, limits: tuple[float, float]) -> list[tuple[float, float, int]]:
    """Where a line leaves the y axis: x, the end of the axis there, and 1 for above or -1 for below.

    A line that begins beyond leaves where it begins.
    """
    across, values = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    beyond = (values > limits[1]).astype(int) - (values < limits[0]).astype(int)
    before = np.concatenate([[0], beyond[:-1]])
    found = []
    for index in np.flatnonzero((beyond != 0) & (beyond != before)):
        up = int(beyond[index])
        end, part = limits[up > 0], slice(max(index - 1, 0), index + 1)
        found.append((float(np.interp(end * up, values[part] * up, across[part])), end, up))
    return found
