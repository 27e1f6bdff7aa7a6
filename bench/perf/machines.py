"""The same kernels on several machines, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from bench.analysis.throughput import at_main_shape
from bench.perf.throughput import as_table, frame
from bench.records.frames import as_rows
from bench.reports.document import Document, Heading, Paragraph, bullets, prose
from bench.reports.timings import duration, times

__all__ = ["page"]

READING = """\
The fastest variant of each kernel at the main shape of that run, the median of its rounds; a shorter run may have
other shapes. In brackets, how many times as fast as the plain reference of this repository on the same machine and
device. Threads, libraries and commits differ as listed: a column says what its machine reached, and the ratio of two
columns is not that of two processors alone."""


def page(reports: Sequence[tuple[str, Mapping[str, Any]]]) -> Document:
    """Kernels in rows, machines and their devices in columns.

    Args:
        reports: Name and content of each ``throughput.json``.
    """
    columns: dict[str, dict[tuple[str, str], str]] = {}
    facts = []
    for name, report in reports:
        table = frame(report)
        for device, rows in table.groupby("device", sort=False):
            title = f"{name}, {device}"
            columns[title] = {(row["kernel"], row["shape"]): _cell(row) for row in _fastest(rows)}
            facts.append(f"{title}: {_about(rows)}")
    order = list(dict.fromkeys(kernel for cells in columns.values() for kernel, _ in cells))
    kernels = sorted(
        dict.fromkeys(key for cells in columns.values() for key in cells), key=lambda key: order.index(key[0])
    )
    lines = [
        [kernel, shape, *(cells.get((kernel, shape), "") for cells in columns.values())] for kernel, shape in kernels
    ]
    return [
        Heading(1, "Kernels on several machines"),
        Paragraph(prose(READING)),
        *bullets("Columns:", facts),
        as_table(["kernel", "shape", *columns], lines),
    ]


def _fastest(table: pd.DataFrame) -> list[dict[str, Any]]:
    """The fastest variant of ours of each kernel at its main shape."""
    ours = [row for row in as_rows(at_main_shape(table)) if row["variant"] in ("fast", "graph", "triton")]
    best: dict[str, dict[str, Any]] = {}
    for row in ours:
        if row["kernel"] not in best or row["median_s"] < best[row["kernel"]]["median_s"]:
            best[row["kernel"]] = row
    return list(best.values())


def _cell(row: Mapping[str, Any]) -> str:
    told = [row["variant"]] if row["variant"] != "fast" else []
    told += [times(row["ratio"])] if not pd.isna(row["ratio"]) else []
    return duration(row["median_s"]) + (f" ({', '.join(told)})" if told else "")


def _about(rows: pd.DataFrame) -> str:
    first = as_rows(rows)[0]
    where = first["machine"] if first["device"] == "cpu" else f"{first['device_name']} beside {first['machine']}"
    commit = str(first["commit"])[:12] + (" with uncommitted changes" if first["dirty"] is True else "")
    return f"{where}, {first['threads']} threads, torch {first['torch']}, commit {commit}"
