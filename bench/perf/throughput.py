"""How fast the kernels are: from pytest-benchmark's numbers to tidy data and to tables for people."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from bench.analysis.throughput import (
    CEILING,
    COLUMNS,
    FAST,
    REFERENCE,
    SAME_WORK,
    at_main_shape,
    growth,
    least,
    nearer,
    work_of,
)
from bench.records.frames import Row, as_rows
from bench.reports import document
from bench.reports.document import Document, Figure, Heading, Paragraph, Table, bullets, prose
from bench.reports.timings import digits, duration, percent, times

__all__ = ["as_table", "brief", "frame", "page", "provenance", "to_csv"]


TEXT = ("benchmark", "kernel", "shape", "variant", "device", "size", "median at each")
"""Columns of words, which come before those of numbers."""

READING = """\
A time is the median of its rounds, with the interquartile range in brackets: the rounds are of one process, so the
range does not show how another run would differ. Ratios are taken within this run: how many times as fast as the plain
`reference` in this repository, or as a library's function, at the same work on the same device. The ceilings are what
a large matrix product and a large copy reached in this run; a kernel is compared with the ceiling that it comes closer
to. *At least* is the time that the counted work would take at that ceiling, by the variant that has least of it: of
networks the products, of an optimiser its numbers, of BLEU one read of every n-gram. Exponentials, sorting and
whatever else is not counted come on top. Data that fits into a cache can beat the copy. Everything ran with an
allocator that keeps its memory and with OpenMP's idle threads asleep, as the workers of `bench run` do."""

GROWTH = """\
One size varies, the others stay the same. The exponent is that of a power law through the first and the last point: 1
means that the cost is proportional to the size, 0 that it does not depend on it."""


def frame(report: Mapping[str, Any]) -> pd.DataFrame:
    """One row per benchmark.

    Args:
        report: The JSON of pytest-benchmark; its ``extra_info`` describes each benchmark, its ``environment`` where
            they ran.

    Returns:
        :data:`COLUMNS`, ``id`` (pytest's) and ``clock_mhz``. ``ratio`` is how many times as fast as the reference of
        the same kernel, device, threads and shape the row is; the fractions are of the ceilings on the same device and
        threads. What was not measured is missing.
    """
    environment = report.get("environment", {})
    facts = {name: environment.get(name) for name in ("commit", "dirty", "python", "machine")}
    facts["torch"] = environment.get("packages", {}).get("torch")
    rows = [_row(benchmark) | facts for benchmark in report["benchmarks"]]
    references = {work_of(row): row["median_s"] for row in rows if row["variant"] == REFERENCE}
    for row in rows:
        row["ratio"] = _quotient(references.get(work_of(row)), row["median_s"])
        for name, rate in (("matmul", "gflops"), ("copy", "gbytes_per_s")):
            row[f"{name}_fraction"] = _quotient(row[rate], _ceiling(rows, name, rate, row))
    table = pd.DataFrame(rows, columns=[*COLUMNS, "id", "clock_mhz"])
    numbers = ["median_s", "iqr_s", "min_s", "per_second", "ratio", "gflops", "matmul_fraction", "gbytes_per_s"]
    numbers += ["copy_fraction", "clock_mhz"]
    counts = ["threads", "amount", "rounds", "peak_bytes"]
    return table.astype(dict.fromkeys(numbers, "float64") | dict.fromkeys(counts, "Int64"))


def to_csv(table: pd.DataFrame) -> str:
    """The frame with every digit; missing values are empty."""
    text: str = table[list(COLUMNS)].to_csv(index=False, lineterminator="\n")
    return text


def page(table: pd.DataFrame, date: str, notes: Sequence[str] = (), figure: str | None = None) -> Document:
    """The complete page ``throughput.md``; the same frame gives the same page.

    Args:
        table: What :func:`frame` gave.
        date: When it was measured.
        notes: What else must be known, such as which benchmarks failed.
        figure: Path of the figure, relative to where the page will be.
    """
    facts = [*provenance(table, date), *notes]
    blocks: Document = [Heading(1, "Throughput"), Paragraph(prose(READING)), *bullets("How it was made:", facts)]
    for device, chosen in at_main_shape(table).groupby("device", sort=False):
        ceilings = bullets("Ceilings:", _ceilings(table[table["device"] == device]))
        blocks += [Heading(2, f"Kernels on {device}"), *ceilings, as_table(*_main_cells(chosen))]
    grown = growth(table)
    if grown:
        blocks += [Heading(2, "How cost grows"), Paragraph(prose(GROWTH)), as_table(*_growth_cells(grown))]
    remembered = table[table["peak_bytes"].notna()]
    if not remembered.empty:
        blocks += [Heading(2, "Peak memory"), as_table(*_memory_cells(remembered))]
    if figure:
        blocks.append(Figure("Speed-up over the reference, and how cost grows", figure))
    return blocks


def brief(table: pd.DataFrame) -> Document:
    """The main table of each device."""
    return [
        as_table(*_main_cells(chosen, brief=True), caption=f"{device}, {threads} threads")
        for (device, threads), chosen in at_main_shape(table).groupby(["device", "threads"], sort=False)
    ]


def provenance(table: pd.DataFrame, date: str) -> list[str]:
    """How the numbers were made, one fact per line."""

    def each(column: str) -> str:
        return ", ".join(str(value) for value in sorted(table[column].dropna().unique()))

    commit = each("commit") + (" with uncommitted changes" if (table["dirty"] == True).any() else "")  # noqa: E712
    facts = {
        "Commit": commit,
        "Versions": f"Python {each('python')}, torch {each('torch')}",
        "Machine": each("machine"),
        "Threads": each("threads"),
        "Date": date,
    }
    for device, rows in table[table["device"] != "cpu"].groupby("device"):
        clocks = rows["clock_mhz"].dropna()
        clock = f", {clocks.min():,.0f} to {clocks.max():,.0f} MHz" if len(clocks) else ""
        facts[str(device)] = ", ".join(sorted(rows["device_name"].dropna().unique())) + clock
    return [f"{name}: {fact}" for name, fact in facts.items() if fact]


def _row(benchmark: Mapping[str, Any]) -> Row:
    extra, stats = benchmark["extra_info"], benchmark["stats"]
    seconds, shape, amount = stats["median"], extra.get("shape"), extra.get("amount")
    flops, moved = extra.get("flops"), extra.get("bytes")
    return {
        "id": benchmark["fullname"],
        "kernel": extra.get("kernel", benchmark["name"]),
        "variant": extra.get("variant", FAST),
        "device": extra.get("device", ""),
        "threads": extra.get("threads", 0),
        **{name: extra.get(name) for name in ("device_name", "unit", "clock_mhz", "peak_bytes")},
        "precision": extra.get("precision", "float32"),
        "shape": " ".join(f"{name}={shape[name]}" for name in sorted(shape)) if isinstance(shape, dict) else "",
        "amount": amount,
        "rounds": stats["rounds"],
        "median_s": seconds,
        "iqr_s": stats["iqr"],
        "min_s": stats["min"],
        "per_second": _quotient(amount, seconds),
        "gflops": _quotient(flops, seconds * 1e9),
        "gbytes_per_s": _quotient(moved, seconds * 1e9),
    }


def _ceiling(rows: list[Row], name: str, rate: str, like: Row) -> float | None:
    found = [
        row[rate]
        for row in rows
        if row["kernel"] == CEILING + name
        and (row["device"], row["threads"]) == (like["device"], like["threads"])
        and (name == "copy" or row["precision"] == like["precision"])
        and row[rate] is not None
    ]
    return max(found, default=None)


def _quotient(above: float | None, below: float | None) -> float | None:
    return None if above is None or not below else above / below


def _main_cells(rows: pd.DataFrame, brief: bool = False) -> tuple[list[str], list[list[str]]]:
    lines = as_rows(rows)
    medians = {(work_of(row | {"peak_bytes": None}), row["variant"]): row["median_s"] for row in lines}
    threads = len({row["threads"] for row in lines}) > 1
    bounds = least(rows)
    cells = []
    before = None
    for row in lines:
        work = work_of(row | {"peak_bytes": None})
        against = [] if row["variant"] == REFERENCE or pd.isna(row["ratio"]) else [f"{times(row['ratio'])} reference"]
        if row["variant"] == FAST:
            rivals = [name for of, name in medians if of == work and name not in (FAST, REFERENCE)]
            against += [f"{times(medians[work, name] / row['median_s'])} {name}" for name in rivals]
        label = row["shape"] + (f", {row['threads']} threads" if threads else "")
        cells.append(
            [
                *((row["kernel"], label) if work != before else ("", "")),
                row["variant"],
                duration(row["median_s"]) + (f" ({duration(row['iqr_s'])})" if row["rounds"] > 1 and not brief else ""),
                "" if brief else _rate(row),
                ("\n" if brief else ", ").join(against),
                "" if brief or work not in bounds else duration(bounds[work]),
                _of_ceiling(row),
            ]
        )
        before = work
    median = "median" if brief else "median (iqr)"
    header = ["kernel", "shape", "variant", median, "a second", "times as fast as", "at least", "of the ceiling"]
    used = [index for index in range(len(header)) if any(line[index] for line in cells)]
    return [header[index] for index in used], [[line[index] for index in used] for line in cells]


def _growth_cells(grown: list[Row]) -> tuple[list[str], list[list[str]]]:
    threads = len({line["threads"] for line in grown}) > 1
    cells = [
        [
            line["kernel"],
            line["variant"],
            line["device"] + (f", {line['threads']} threads" if threads else ""),
            line["size"],
            ", ".join(f"{value:,.0f}: {duration(seconds)}" for value, seconds in line["points"]),
            f"{line['exponent'] + 0.0:.2f}",
        ]
        for line in grown
    ]
    return ["kernel", "variant", "device", "size", "median at each", "exponent"], cells


def _memory_cells(rows: pd.DataFrame) -> tuple[list[str], list[list[str]]]:
    lines = as_rows(rows)
    references = {
        tuple(row[name] for name in SAME_WORK): row["peak_bytes"] for row in lines if row["variant"] == REFERENCE
    }
    cells = []
    for row in lines:
        reference = references.get(tuple(row[name] for name in SAME_WORK))
        share = "" if reference is None or row["variant"] == REFERENCE else f"{row['peak_bytes'] / reference:.0%}"
        peak = f"{digits(row['peak_bytes'] / 2**20)} MiB"
        cells.append([row["kernel"], row["shape"], row["variant"], row["device"], peak, share])
    return ["kernel", "shape", "variant", "device", "peak", "of the reference"], cells


def _ceilings(table: pd.DataFrame) -> list[str]:
    lines = []
    for threads, rows in table[table["kernel"].str.startswith(CEILING)].groupby("threads"):
        rates: dict[str, tuple[Any, str]] = {
            f"{precision} matrix product": (products["gflops"], "Gflop/s")
            for precision, products in rows.dropna(subset=["gflops"]).groupby("precision", sort=False)
        }
        rates |= {"copy": (rows["gbytes_per_s"], "GB/s")}
        reached = [f"{name} {digits(rate.max())} {unit}" for name, (rate, unit) in rates.items() if rate.notna().any()]
        lines.append(f"{threads} threads: {', '.join(reached)}")
    return lines


def _of_ceiling(row: Row) -> str:
    found = nearer(row)
    return f"{percent(found[1])} {found[0]}" if found else ""


def _rate(row: Row) -> str:
    rate: float = row["per_second"]
    if math.isnan(rate):
        return ""
    for factor, letter in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if rate >= factor:
            return f"{digits(rate / factor)}{letter} {row['unit']}"
    return f"{digits(rate)} {row['unit']}"


def as_table(header: list[str], lines: list[list[str]], caption: str = "") -> Table:
    """A table with words aligned left and numbers aligned right."""
    return document.table(header, lines, sum(name in TEXT for name in header), caption)
