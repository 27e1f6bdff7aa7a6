"""The kernels' part of ``index.html``: each against its lower bound, and how its cost grows, as it is drawn."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from bench.analysis.throughput import CEILING, FAST, REFERENCE, at_main_shape, growth, least, nearer, work_of
from bench.records.frames import Row, as_rows
from bench.reports.timings import digits, duration, percent, times

__all__ = ["Device", "Kernel", "Line", "Panel", "devices"]

BAR = 160
"""Width of a bar that reaches its bound, in pixels."""
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 360, 230, 62, 12, 10, 34
"""Of a panel of growth and the room around its axes, in pixels."""
COLOURS, LINES, MARKS = 7, 4, ("o", "s", "^", "v", "D")
SIZES = ("N", "T", "V", "B")
"""Sizes that are named in words; others stand after them."""
MEANINGS = {"N": "rollouts or sequences", "T": "length", "V": "vocabulary", "B": "batch"}


@dataclass(frozen=True, slots=True)
class Kernel:
    """A kernel at its main shape.

    Attributes:
        name: Its name, with the number of threads where there are several.
        shape: Sizes of what it did.
        median: Median time, as text.
        least: Time that its work takes at the ceiling, as text.
        share: The second as a part of the first, as text, and the ceiling that it is of.
        bar: The same as a length; at most :data:`BAR`, and ``beyond`` says that it would be longer.
        reference: The same for the plain reference, where there is one.
        faster: How many times as fast as the reference it is, as text.
    """

    name: str
    shape: str
    median: str
    least: str
    share: str
    bar: float
    beyond: bool
    reference: float | None
    faster: str


@dataclass(frozen=True, slots=True)
class Line:
    """How the cost of a kernel grows: its name, exponent, look (colour, dashes, mark) and points in pixels."""

    name: str
    exponent: str
    colour: int
    dashes: int
    mark: str
    points: list[tuple[float, float]]
    told: str


@dataclass(frozen=True, slots=True)
class Panel:
    """The growth with one size: ticks are pairs of a position and a label; ``guide`` is a proportional cost."""

    size: str
    lines: list[Line]
    across: list[tuple[float, str]]
    up: list[tuple[float, str]]
    guide: str


@dataclass(frozen=True, slots=True)
class Device:
    """What ran on one device: on what, at what ceilings, each kernel, and the growth with each size."""

    name: str
    about: str
    kernels: list[Kernel]
    panels: list[Panel]


def devices(table: pd.DataFrame) -> list[Device]:
    """What is to be shown of timings; the same frame gives the same.

    Args:
        table: What :func:`bench.analysis.throughput.parse` gave.
    """
    grown = [line for line in growth(table) if line["variant"] == FAST]
    found = []
    for device, rows in table.groupby("device", sort=False):
        kernels = _kernels(at_main_shape(rows))
        panels = _panels([line for line in grown if line["device"] == device])
        if kernels or panels:
            found.append(Device(str(device), _about(rows), kernels, panels))
    return found


def _about(rows: pd.DataFrame) -> str:
    """Machine, commit and the ceilings, in words."""

    def each(column: str) -> str:
        return ", ".join(sorted(str(value) for value in rows[column].dropna().unique()))

    dirty = " with uncommitted changes" if rows["dirty"].map(str).eq("True").any() else ""
    facts = [each("machine"), f"torch {each('torch')}", f"commit {each('commit')[:12]}{dirty}"]
    ceilings = rows[rows["kernel"].str.startswith(CEILING)]
    for column, unit in (("gflops", "Gflop/s in a large matrix product"), ("gbytes_per_s", "GB/s in a large copy")):
        if ceilings[column].notna().any():
            facts.append(f"at most {digits(ceilings[column].max())} {unit}")
    return "; ".join(facts)


def _kernels(rows: pd.DataFrame) -> list[Kernel]:
    """The kernels in use, of which any work is counted, those farthest from their bound last."""
    bounds, lines = least(rows), as_rows(rows)
    references = {work_of(row | {"peak_bytes": None}): row["median_s"] for row in lines if row["variant"] == REFERENCE}
    fast = [row for row in lines if row["variant"] == FAST and work_of(row | {"peak_bytes": None}) in bounds]
    several = len({row["threads"] for row in fast}) > 1
    shares = {}
    for row in fast:
        work = work_of(row | {"peak_bytes": None})
        bound, plain = bounds[work], references.get(work)
        share, of = bound / row["median_s"], nearer(row)
        kernel = Kernel(
            row["kernel"] + (f", {row['threads']} threads" if several else ""),
            row["shape"],
            duration(row["median_s"]),
            duration(bound),
            f"{percent(share)} {of[0] if of else ''}".strip(),
            round(BAR * min(share, 1.0), 1),
            share > 1,
            None if plain is None else round(BAR * min(bound / plain, 1.0), 1),
            "" if plain is None else times(plain / row["median_s"]),
        )
        shares[kernel] = share
    return sorted(shares, key=lambda kernel: -shares[kernel])


def _panels(grown: list[Row]) -> list[Panel]:
    kernels = list(dict.fromkeys(line["kernel"] for line in grown))
    known = dict.fromkeys(line["size"] for line in grown)
    order = [*(size for size in SIZES if size in known), *(size for size in known if size not in SIZES)]
    return [_panel(size, [line for line in grown if line["size"] == size], kernels) for size in order]


def _panel(size: str, grown: list[Row], kernels: list[str]) -> Panel:
    """One size: both axes are logarithmic."""
    most = {
        line["kernel"]: max(each["threads"] for each in grown if each["kernel"] == line["kernel"]) for line in grown
    }
    grown = [line for line in grown if line["threads"] == most[line["kernel"]]]
    values = [value for line in grown for value, _ in line["points"]]
    costs = [seconds for line in grown for _, seconds in line["points"]]
    (first, last), (short, long) = _ends(values), _ends(costs)

    def x(value: float) -> float:
        return round(LEFT + math.log(value / first) / math.log(last / first) * (WIDTH - LEFT - RIGHT), 1)

    def y(seconds: float) -> float:
        return round(HEIGHT - BOTTOM - math.log(seconds / short) / math.log(long / short) * (HEIGHT - TOP - BOTTOM), 1)

    lines = []
    for line in grown:
        place = kernels.index(line["kernel"])
        told = ", ".join(f"{value:,.0f}: {duration(seconds)}" for value, seconds in line["points"])
        look = place % COLOURS, place % LINES, MARKS[place % len(MARKS)]
        points = [(x(value), y(seconds)) for value, seconds in line["points"]]
        lines.append(Line(line["kernel"], f"{line['exponent'] + 0.0:.2f}", *look, points, told))
    end = min(last, first * long / short)
    guide = f"M{x(first)} {y(short)}L{x(end)} {y(short * end / first)}"
    across = [(x(value), f"{value:,.0f}") for value in _ticks(first, last)]
    up = [(y(seconds), duration(seconds)) for seconds in _ticks(short, long)]
    return Panel(f"{MEANINGS[size]}, {size}" if size in MEANINGS else size, lines, across, up, guide)


def _ends(values: Sequence[float]) -> tuple[float, float]:
    """Ends of a logarithmic axis, a little beyond the values."""
    room = max(max(values) / min(values), 1.5) ** 0.06
    return min(values) / room, max(values) * room


def _ticks(low: float, high: float) -> list[float]:
    """Powers of ten between the ends, or also twice and five times these where there are few."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for steps in ((1,), (1, 3), (1, 2, 5)):
        found = [step * 10.0**power for power in powers for step in steps if low <= step * 10.0**power <= high]
        if len(found) > 2:
            return found
    return found
