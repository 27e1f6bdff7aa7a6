"""``bench perf``: time the kernels."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from bench.commands.options import Command
from bench.errors import UsageError


@click.command(cls=Command)
@click.option("--device", default="auto", show_default=True, help="cpu, cuda, or auto: the CPU, and CUDA if available.")
@click.option("--quick", is_flag=True, help="Fewer rounds and shapes.")
@click.option("--threads", type=int, help="Threads of a kernel; by default as many as there are processors.")
@click.option("--output", default="results", show_default=True, type=click.Path(path_type=Path), help="Results folder.")
@click.option(
    "--suite", default="tests/perf", show_default=True, type=click.Path(path_type=Path), help="The benchmarks' folder."
)
@click.option("-k", "keyword", metavar="EXPR", help="Only the benchmarks that match, as in pytest.")
@click.option("--compare", "old", metavar="OLD.json", type=click.Path(path_type=Path),
              help="Compare with the commit of an earlier throughput.json: both run in turns.")  # fmt: skip
@click.option("--beside", "reports", metavar="[NAME=]FILE.json", multiple=True,
              help="Run nothing, and write machines.md: these earlier throughput.json side by side.")  # fmt: skip
@click.option("--pairs", default=5, show_default=True, help="With --compare: number of runs of each commit.")
def perf(
    device: str,
    quick: bool,
    threads: int | None,
    output: Path,
    suite: Path,
    keyword: str | None,
    old: Path | None,
    reports: tuple[str, ...],
    pairs: int,
) -> None:
    """Time the kernels, in a clone of the repository.

    Writes throughput.json, throughput.csv, throughput.md and a figure to the results folder; with --compare only
    throughput-compare.md, with --beside only machines.md. Exit code 0, 1 when a benchmark failed or none ran, 2 for a
    usage error, 130 after Ctrl-C.
    """
    from dataclasses import replace

    from bench.perf.suite import beside, compare, find_suite, measure, read_report
    from bench.records.store import Store
    from bench.reports.terminal import Screen
    from bench.runs.devices import choose_device

    if reports:
        if old:
            raise UsageError("--beside runs nothing, and --compare runs two commits: choose one of them.")
        store = Store(output)
        store.open()
        beside([_named(each) for each in reports], output, Screen())
        return
    earlier = read_report(old) if old else None
    found = find_suite(suite, device, threads, quick, keyword)
    chosen = choose_device(device)
    found = replace(found, devices="cpu,cuda" if (device, chosen) == ("auto", "cuda") else chosen)
    store = Store(output)
    store.open()
    with store.alone():  # a benchmark run at the same time would slow the kernels down
        screen = Screen()
        code = compare(found, earlier, pairs, output, screen) if earlier else measure(found, output, screen)
    sys.exit(code)


def _named(given: str) -> tuple[str, Path]:
    """NAME=FILE, or the file alone, which then has its folder's name."""
    name, separator, file = given.partition("=")
    if separator and not Path(given).exists():
        return name, Path(file)
    return Path(given).resolve().parent.name, Path(given)
