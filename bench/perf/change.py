"""Whether one commit's kernels are faster than another's: runs in turns, and a rank test."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from bench.analysis.stats import holm, rank_test, smallest_p
from bench.perf.throughput import as_table
from bench.records.frames import Row, as_rows
from bench.reports.document import Document, Heading, Paragraph, bullets, prose
from bench.reports.timings import duration

__all__ = ["BASE", "FASTER", "HEAD", "OTHER_WORK", "SLOWER", "UNCLEAR", "brief", "changes", "page", "reach"]


BASE, HEAD = "base", "head"
FASTER, SLOWER, UNCLEAR = "faster", "slower", "no difference shown"
NEW, MISSING, OTHER_WORK = "new", "missing", "not the same work"
LEVEL = 0.05
COLUMNS = ("id", "then_s", "base_s", "head_s", "ratio", "p", "p_corrected", "verdict", "base_runs", "head_runs")

READING = """\
Both commits ran on this machine in turns; a run is one process, and its time is the median of its rounds. *base* and
*head* are medians over runs, *ratio* is head / base (below 1: head is faster), and *p* is that of the exact two-sided
Mann-Whitney test on the runs, after Holm's correction for the number of benchmarks compared. A verdict needs a
corrected p of at most 0.05; "no difference shown" does not mean that there is none. *then* is the time of the base in
the earlier report: where it is far from *base*, the machine or its software has changed, not the code."""


def changes(runs: pd.DataFrame, then: pd.DataFrame) -> pd.DataFrame:
    """One row per benchmark: how its time changed from base to head.

    Args:
        runs: The frames of all runs (see :func:`bench.perf.throughput.frame`), with their ``side``.
        then: The frame of the earlier report.

    Returns:
        A frame with :data:`COLUMNS`, in the order of the suite; what does not apply is missing.
    """
    before = dict(zip(then["id"], then["median_s"], strict=True))
    rows = []
    for name, timings in runs.groupby("id", sort=False):
        base, head = (timings.loc[timings["side"] == side] for side in (BASE, HEAD))
        row: Row = {"id": name, "then_s": before.get(name), "base_runs": len(base), "head_runs": len(head)}
        row |= {f"{side}_s": mine["median_s"].median() for side, mine in ((BASE, base), (HEAD, head))}
        if base.empty or head.empty:
            row["verdict"] = NEW if base.empty else MISSING
        elif _work(base) & _work(head) == set():
            row["verdict"] = OTHER_WORK
        else:
            row["ratio"] = row["head_s"] / row["base_s"]
            row["p"] = rank_test(base["median_s"].tolist(), head["median_s"].tolist())
        rows.append(row)
    compared = [row for row in rows if "p" in row]
    for row, p in zip(compared, holm([row["p"] for row in compared]), strict=True):
        row["p_corrected"] = p
        row["verdict"] = UNCLEAR if p > LEVEL else FASTER if row["ratio"] < 1 else SLOWER
    table: pd.DataFrame = pd.DataFrame(rows, columns=list(COLUMNS))
    return table


def reach(pairs: int, compared: int) -> str:
    """What a number of pairs of runs can show about a number of benchmarks, in a sentence or two."""
    least = smallest_p(pairs, pairs)
    told = f"With {pairs} pairs of runs, p is at least {least:.2g}; after the correction for {compared} "
    told += f"benchmark{'s' if compared != 1 else ''}, at least {min(1.0, least * compared):.2g}."
    if least * compared <= LEVEL:
        return told
    enough = pairs
    while smallest_p(enough, enough) * compared > LEVEL:
        enough += 1
    return f"{told} That cannot show any difference: use --pairs {enough}, or fewer benchmarks with -k."


def page(table: pd.DataFrame, facts: Sequence[str]) -> Document:
    """The complete page ``throughput-compare.md``.

    Args:
        table: What :func:`changes` gave.
        facts: Which commits ran where, one fact per line.
    """
    return [
        Heading(1, "Throughput of two commits"),
        Paragraph(prose(READING)),
        *bullets("How it was made:", facts),
        as_table(*_cells(table)),
    ]


def brief(table: pd.DataFrame) -> Document:
    """Only the table of the page."""
    return [as_table(*_cells(table), caption="head against base")]


def _work(rows: pd.DataFrame) -> set[tuple[str, Any]]:
    """Which work the runs of a benchmark did: its shape and its amount, as far as its suite gave them."""
    return {(row["shape"], None if pd.isna(row["amount"]) else row["amount"]) for row in as_rows(rows)}


def _cells(table: pd.DataFrame) -> tuple[list[str], list[list[str]]]:
    cells = []
    for row in as_rows(table):
        seconds = [duration(row[name]) if pd.notna(row[name]) else "" for name in ("then_s", "base_s", "head_s")]
        ratio = f"{row['ratio']:.2f}" if pd.notna(row["ratio"]) else ""
        p = f"{row['p_corrected']:.2g}" if pd.notna(row["p_corrected"]) else ""
        cells.append([_short(row["id"]), *seconds, ratio, p, row["verdict"]])
    return ["benchmark", "then", "base", "head", "ratio", "p", "verdict"], cells


def _short(name: str) -> str:
    """A benchmark's name without the folders of its file."""
    path, _, test = name.partition("::")
    return f"{path.rpartition('/')[2]}::{test}"
