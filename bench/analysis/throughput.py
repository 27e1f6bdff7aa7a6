"""Timings of kernels, as ``bench perf`` writes them to ``throughput.csv``: main shapes, lower bounds and growth."""

from __future__ import annotations

import io
import math
import re
from collections import Counter
from typing import Any

import pandas as pd

from bench.records.frames import Row, as_rows

__all__ = [
    "CEILING",
    "COLUMNS",
    "FAST",
    "REFERENCE",
    "SAME_WORK",
    "at_main_shape",
    "growth",
    "least",
    "nearer",
    "parse",
    "sizes",
    "work_of",
]

FAST, REFERENCE = "fast", "reference"
CEILING = "ceiling: "
COLUMNS = (
    *("kernel", "variant", "device", "device_name", "threads", "shape", "unit", "amount", "rounds"),
    *("median_s", "iqr_s", "min_s", "per_second", "ratio", "precision", "gflops", "matmul_fraction"),
    *("gbytes_per_s", "copy_fraction", "peak_bytes", "commit", "dirty", "torch", "python", "machine"),
)
"""The columns of ``throughput.csv``."""
SAME_WORK = ("kernel", "device", "threads", "shape")
NUMBERS = (
    *("threads", "amount", "rounds", "median_s", "iqr_s", "min_s", "per_second", "ratio", "gflops", "matmul_fraction"),
    *("gbytes_per_s", "copy_fraction", "peak_bytes"),
)
"""Columns of numbers."""
SHAPE = re.compile(r"(?:[^\s=]+=\d+(?:\.\d+)?(?: [^\s=]+=\d+(?:\.\d+)?)*)?")


def parse(text: str) -> pd.DataFrame | None:
    """The timings in the text of a ``throughput.csv``; None where it is not what ``bench perf`` writes."""
    try:
        table = pd.read_csv(io.StringIO(text), keep_default_na=False, na_values=[""])
        table = table.astype(dict.fromkeys(NUMBERS, "float64"))
        table["threads"] = table["threads"].fillna(0).astype(int)
        for name in ("kernel", "variant", "device", "shape"):
            table[name] = table[name].fillna("").astype(str)
    except (ValueError, KeyError):
        return None
    if table.empty or not set(COLUMNS) <= set(table.columns):
        return None
    timed = table["median_s"].between(0, math.inf, inclusive="neither").all()
    shaped = all(SHAPE.fullmatch(shape) and all(sizes(shape).values()) for shape in table["shape"])
    return table if timed and shaped else None


def at_main_shape(table: pd.DataFrame) -> pd.DataFrame:
    """The timings of each kernel at its main shape on each device: kernels in the given order, the fast variant first.

    The main shape is the most common one that has a reference, or at least a library, to compare with; else the one
    from which most others differ in only one size, of these the one that was timed most often, else the largest.
    """
    kept = []
    for _, rows in _timed(table).groupby(["kernel", "device"], sort=False):
        here = rows[rows["shape"] == _main_shape(as_rows(rows))]
        kept.append(here.sort_values("variant", key=lambda names: names.map(_variant_order), kind="stable"))
    return pd.concat(kept) if kept else table.head(0)


def growth(table: pd.DataFrame) -> list[Row]:
    """How the cost of each kernel grows when one size differs from the main shape.

    Returns:
        For each kernel, variant, device, threads and size that was varied: its name as ``size``, the ``points``
        (value, seconds) sorted by value, the ``main`` value, and the ``exponent`` of the power law from first to last.
    """
    grown = []
    for _, rows in _timed(table).groupby(["kernel", "device"], sort=False):
        lines = as_rows(rows)
        main = sizes(_main_shape(lines))
        for variant, threads in dict.fromkeys((row["variant"], row["threads"]) for row in lines):
            mine = [row for row in lines if (row["variant"], row["threads"]) == (variant, threads)]
            for size in main:
                points = sorted(
                    {
                        sizes(row["shape"])[size]: row["median_s"]
                        for row in mine
                        if _differing(sizes(row["shape"]), main) <= {size}
                    }.items()
                )
                if len(points) > 1:
                    (first, short), (last, long) = points[0], points[-1]
                    grown.append(
                        {name: mine[0][name] for name in ("kernel", "variant", "device", "threads")}
                        | {"size": size, "points": points, "main": main[size]}
                        | {"exponent": math.log(long / short) / math.log(last / first)}
                    )
    return grown


def sizes(shape: str) -> dict[str, float]:
    """The sizes of a shape: ``B=64 V=5000`` as a dictionary."""
    return {name: float(size) for name, _, size in (part.partition("=") for part in shape.split())}


def work_of(row: Row) -> tuple[Any, ...]:
    """What must be equal for a ratio; a run that measures memory does not match one that measures time."""
    return (*(row[name] for name in SAME_WORK), row["peak_bytes"] is None)


def least(rows: pd.DataFrame) -> dict[tuple[Any, ...], float]:
    """Seconds that each work takes at least: what is counted of it, at the ceiling, in the variant with least of it.

    Args:
        rows: Of the frame, those that are compared.

    Returns:
        By :func:`work_of` without its memory; nothing where nothing is counted.
    """
    found: dict[tuple[Any, ...], float] = {}
    for row in as_rows(rows):
        same = work_of(row | {"peak_bytes": None})
        found[same] = min(found.get(same, math.inf), _least(row))
    return {same: seconds for same, seconds in found.items() if math.isfinite(seconds)}


def nearer(row: Row) -> tuple[str, float] | None:
    """The ceiling that a kernel comes closer to, and the share of it that it reaches; None where nothing is counted."""
    shares = {"matmul": row["matmul_fraction"], "copy": row["copy_fraction"]}
    present = {name: share for name, share in shares.items() if not pd.isna(share)}
    nearer = max(present, key=lambda name: present[name], default=None)
    return None if nearer is None else (nearer, present[nearer])


def _least(row: Row) -> float:
    """Seconds that the counted work takes at the ceiling; infinite where nothing is counted."""
    found = nearer(row)
    return row["median_s"] * found[1] if found else math.inf


def _timed(table: pd.DataFrame) -> pd.DataFrame:
    """The kernels' timings: no ceilings, and nothing that was run to measure memory."""
    timed: pd.DataFrame = table[~table["kernel"].str.startswith(CEILING) & table["peak_bytes"].isna()]
    return timed


def _main_shape(rows: list[Row]) -> str:
    counts: Counter[str] = Counter(row["shape"] for row in rows)
    referenced = {row["shape"] for row in rows if row["variant"] == REFERENCE}
    referenced = referenced or {row["shape"] for row in rows if row["variant"] != FAST}

    rounds = {row["shape"]: row["rounds"] for row in rows}

    def rank(shape: str) -> tuple[float, ...]:
        mine = sizes(shape)
        near = sum(len(_differing(mine, sizes(other))) == 1 for other in counts)
        return counts[shape] if referenced else 0, near, rounds[shape], math.prod(mine.values())

    return max(referenced or counts, key=rank)


def _differing(one: dict[str, float], other: dict[str, float]) -> set[str]:
    return {name for name in one.keys() | other.keys() if one.get(name) != other.get(name)}


def _variant_order(variant: str) -> tuple[int, str]:
    return {FAST: 0, REFERENCE: 1}.get(variant, 2), variant
