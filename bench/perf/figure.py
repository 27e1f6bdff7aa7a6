"""A figure of the kernels: how many times as fast as the reference they are, and how their cost grows."""

from __future__ import annotations

import io
import math
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, NullLocator

from bench.analysis.throughput import FAST, REFERENCE, at_main_shape, growth
from bench.records.frames import Row, as_rows
from bench.reports.families import LINES, PALETTE
from bench.reports.figures.style import (
    GREY,
    INK,
    finish,
)
from bench.reports.timings import times

__all__ = ["png"]

Styles = dict[tuple[str, str], dict[str, Any]]

SIZES = ("V", "T", "N", "B", "samples")
"""Sizes with a panel of their own: vocabulary, length, rollouts, batch, and the lines of a file that is scored."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
RIVALS = ("D", "o", "s", "^")
RIVAL: dict[str, Any] = {"color": INK, "markerfacecolor": "white", "markersize": 5.5, "zorder": 3}
"""The style of the marks of libraries, which have no bars."""


def png(table: pd.DataFrame) -> bytes:
    """Draw the throughput; the same frame gives the same bytes.

    Args:
        table: What :func:`bench.perf.throughput.frame` gave.
    """
    bars, lines = _speed_ups(table), _lines(table)
    panels = [size for size in SIZES if any(line["size"] == size for line in lines)]
    columns, rows, named = min(2, len(panels)), -(-len(panels) // 2), len({_name(line) for line in lines})
    height = max(3.2, 1.6 + 0.42 * len(bars), 2.7 * rows + 0.1 * named)
    figure = Figure(figsize=(6.2 + 3.1 * columns, height), layout="constrained")
    if panels:
        sides = figure.subfigures(1, 2, squeeze=False, width_ratios=(6.2, 3.1 * columns))[0]
        _speed_panel(sides[0], bars)
        _growth_panels(sides[1], lines, panels)
    else:
        _speed_panel(figure, bars)
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=150, metadata={"Software": None})
    return file.getvalue()


def _speed_ups(table: pd.DataFrame) -> list[Row]:
    """The fast variants with a reference, and the libraries that do the same; or with libraries only."""
    rows = as_rows(at_main_shape(table))
    bars = []
    for row in rows:
        if row["variant"] == FAST:
            alike = [
                other
                for other in rows
                if all(other[name] == row[name] for name in ("kernel", "device", "threads"))
                and other["variant"] not in (FAST, REFERENCE)
            ]
            if not pd.isna(row["ratio"]):
                bars.append(row | {"rivals": [(other["variant"], other["ratio"]) for other in alike]})
            elif alike:
                label, ratio = f"{row['kernel']} (to {alike[0]['variant']})", alike[0]["median_s"] / row["median_s"]
                bars.append(row | {"kernel": label, "ratio": ratio, "rivals": []})
    return sorted(bars, key=lambda bar: str(bar["device"]))


def _speed_panel(figure: Any, bars: list[Row]) -> None:
    axes = figure.subplots()
    if not bars:
        axes.set_axis_off()
        axes.text(0.5, 0.5, "no kernel ran with its reference", ha="center", color=GREY, transform=axes.transAxes)
        return
    colours = _colours(bars)
    threads = len({bar["threads"] for bar in bars}) > 1
    devices = list(colours)
    rivals = sorted({name for bar in bars for name, _ in bar["rivals"]})
    ends = [1.0]
    for y, bar in enumerate(bars):
        colour = colours[bar["device"]]
        axes.barh(y, bar["ratio"] - 1, left=1, height=0.6, color=colour)
        farthest = max([bar["ratio"], 1.0, *(ratio for _, ratio in bar["rivals"])])
        axes.annotate(
            times(bar["ratio"]),
            (farthest, y),
            (7, 0),
            textcoords="offset points",
            va="center",
            fontsize=9,
            color=INK,
        )
        for name, ratio in bar["rivals"]:
            axes.plot(ratio, y, RIVALS[rivals.index(name) % len(RIVALS)], **RIVAL)
        ends += [bar["ratio"], *(ratio for _, ratio in bar["rivals"])]
    labels = [
        ", ".join(
            [bar["kernel"]]
            + ([bar["device"]] if len(devices) > 1 else [])
            + ([f"{bar['threads']} threads"] if threads else [])
        )
        for bar in bars
    ]
    axes.set_yticks(range(len(bars)), labels)
    axes.set_ylim(len(bars) - 0.4, -0.6)
    axes.set_xscale("log")
    low, high = min(ends), max(ends)
    room = max(high / low, 2.0) ** 0.16  # for the labels beyond the longest bar
    axes.set_xlim(low / (room if low < 1 else 1.0), max(high, 2.0) * room)
    ticks = [tick for tick in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 10_000)
             if low / 1.01 <= tick <= max(high, 2.0) * room]  # fmt: skip
    axes.set_xticks(ticks if len(ticks) < 8 else [tick for tick in ticks if f"{tick:g}".strip("0.") == "1"])
    axes.xaxis.set_major_formatter(FuncFormatter(lambda ratio, _: f"{ratio:g}×"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.axvline(1, color=INK, linewidth=1)
    axes.set_xlabel("times as fast as the reference, or as the library named", fontsize=9)
    marks = [Line2D([], [], color=colours[name], linewidth=7, label=name) for name in devices if len(devices) > 1]
    marks += [
        Line2D([], [], linestyle="", marker=RIVALS[index % len(RIVALS)], label=name, **RIVAL)
        for index, name in enumerate(rivals)
    ]
    if marks:
        figure.legend(handles=marks, loc="outside lower center", ncols=3, frameon=False, fontsize=8)
    axes.set_title("Speed-up in one run", fontsize=10, loc="left")
    finish(axes)
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)


def _lines(table: pd.DataFrame) -> list[Row]:
    """The growth of the variants in use: the fast ones, with all threads."""
    grown = [line for line in growth(table) if line["variant"] == FAST]
    most = {_name(line): max(other["threads"] for other in grown if _name(other) == _name(line)) for line in grown}
    return [line for line in grown if line["threads"] == most[_name(line)]]


def _growth_panels(figure: Any, lines: list[Row], panels: list[str]) -> None:
    grid = list(figure.subplots(-(-len(panels) // 2), min(2, len(panels)), squeeze=False, sharey="row").flat)
    lines = [line for line in lines if line["size"] in panels]
    kernels = list(dict.fromkeys(line["kernel"] for line in lines))
    devices = list(dict.fromkeys(line["device"] for line in lines))
    styles: Styles = {
        _name(line): {
            "color": PALETTE[kernels.index(line["kernel"]) % len(PALETTE)],
            "marker": MARKERS[
                (kernels.index(line["kernel"]) + kernels.index(line["kernel"]) // len(PALETTE)) % len(MARKERS)
            ],
            "linestyle": LINES[devices.index(line["device"]) % len(LINES)],
        }
        for line in lines
    }
    relative = [line | {"points": _relative(line)} for line in lines]
    for axes, size in zip(grid, panels, strict=False):
        _growth_panel(axes, [line for line in relative if line["size"] == size], size, styles)
    for first in range(0, len(panels), 2):
        beside = panels[first : first + 2]
        costs = [cost for line in relative if line["size"] in beside for _, cost in line["points"]]
        _power_ticks(grid[first], "y", min(costs), max(costs))
    for axes in grid[len(panels) :]:
        axes.set_axis_off()
    shown = 2 if len(devices) > 1 else 1
    marks = [Line2D([], [], markersize=4, label=", ".join(name[:shown]), **style) for name, style in styles.items()]
    marks.append(Line2D([], [], color=GREY, linestyle=":", label="proportional"))
    figure.legend(handles=marks, loc="outside lower center", ncols=2, frameon=False, fontsize=8)
    figure.supylabel("time, main shape = 1", fontsize=9)


def _growth_panel(axes: Axes, lines: list[Row], size: str, styles: Styles) -> None:
    axes.set_xscale("log")
    axes.set_yscale("log")
    for line in lines:
        values, costs = zip(*line["points"], strict=True)
        axes.plot(values, costs, markersize=4, linewidth=1.4, **styles[_name(line)])
    reached = [value for line in lines for value, _ in line["points"]]
    axes.axline((1, 1), (10, 10), color=GREY, linestyle=":", linewidth=1, zorder=0)
    _power_ticks(axes, "x", min(reached), max(reached))
    mains = sorted({line["main"] for line in lines})
    axes.set_title(f"{size} (1 is {', '.join(f'{main:,.0f}' for main in mains)})", fontsize=9, loc="left")
    finish(axes)


def _relative(line: Row) -> list[tuple[float, float]]:
    unit = dict(line["points"])[line["main"]]
    return [(value / line["main"], seconds / unit) for value, seconds in line["points"]]


def _power_ticks(axes: Axes, which: str, low: float, high: float) -> None:
    """A logarithmic axis labelled at powers of two, or of four or more where those would be crowded."""
    first, last = math.floor(math.log2(low) + 0.1), math.ceil(math.log2(high) - 0.1)
    step = max(1, -(-(last - first) // 6))
    ticks = [2.0**power for power in range(first, last + 1) if power % step == 0]
    names = [f"{tick:g}" if tick >= 1 else f"1/{1 / tick:g}" for tick in ticks]
    room = (high / low) ** 0.06
    axes.set(**{f"{which}lim": (low / room, high * room)})
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_minor_locator(NullLocator())
    axis.set_ticks(ticks, names)


def _name(line: Row) -> tuple[str, str]:
    return line["kernel"], line["device"]


def _colours(rows: list[Row]) -> dict[str, str]:
    return {device: PALETTE[index] for index, device in enumerate(sorted({row["device"] for row in rows}))}
