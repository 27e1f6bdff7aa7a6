"""``bench run``: the benchmark."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bench.commands.options import Command, against, check_against
from bench.commands.request import given, request_options, requested
from bench.commands.tracking import Tracking, tracked, tracking_options
from bench.errors import SIGNALLED, UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from bench.plans.costs import Costs
    from bench.records.record import RunSpec
    from bench.runs.campaign import Campaign, Cluster


@click.command(cls=Command)
@request_options
@click.option("--plan", "file", metavar="FILE", type=click.Path(path_type=Path),
              help="Do what 'bench plan --format jsonl' wrote to a file, instead of the options above.")  # fmt: skip
@click.option("--cell", "cells", multiple=True, metavar="ID|N",
              help="Only these runs of the plan, by id or number, as in 3,5-7; writes no report.")  # fmt: skip
@click.option("--workers", "wanted", default="auto", show_default=True, metavar="N",
              help="Worker processes, one thread each; 0: this process; auto: as many as processors, 4 for "
              "each CUDA device.")  # fmt: skip
@click.option("--executor", "how", default="processes", show_default=True, type=click.Choice(["processes", "ray"]),
              help="Who does the runs: processes of this machine, or a Ray cluster; --workers is then how many runs it "
              "does at a time, auto for as many as fit.")  # fmt: skip
@click.option("--address", metavar="ADDRESS",
              help="Of the Ray cluster: auto, or host:port; without it, one is started here.")  # fmt: skip
@click.option("--timeout", metavar="TIME",
              help="What a run, or all runs of a pack, may take, a worker's start included: 90s, 30m, 8h.")  # fmt: skip
@click.option("--output", default="results", show_default=True, type=click.Path(path_type=Path), help="Results folder.")
@against
@tracking_options
@click.option("--dry-run", is_flag=True, help="Print the plan and stop.")
@click.pass_context
def run(
    context: click.Context,
    /,
    file: Path | None,
    cells: tuple[str, ...],
    wanted: str,
    how: str,
    address: str | None,
    timeout: str | None,
    output: Path,
    against: tuple[str, ...],
    events: Path | None,
    project: str | None,
    dry_run: bool,
    **asked: Any,
) -> None:
    """Run the benchmark; finished runs are not repeated.

    Writes index.html, which opens in a browser, leaderboard.md, leaderboard.csv and figures to the results folder;
    'bench watch' shows them, and the progress of the runs, in a browser meanwhile.
    Several commands, also on several machines that share the folder, may do one plan together: each run is done by one
    of them. Ctrl-C and SIGTERM end it in
    order: the runs under way save their states, and the same command continues; once more ends it at once. Exit code 0
    when every run is ok or skipped, 1 when one failed, 2 for a usage error, 130 after Ctrl-C, 143 after SIGTERM. It
    goes on when nobody reads what it prints.
    """
    from bench.commands.output import lasting_output
    from bench.commands.plan import print_plan
    from bench.commands.planned import announce, plan_table, say_cost, say_grade
    from bench.commands.progress import warn_of
    from bench.plans.cells import check, choose
    from bench.plans.costs import Costs
    from bench.plans.presets import parse_time, parse_workers
    from bench.records.store import Store
    from bench.reports.terminal import Screen
    from bench.runs.campaign import begin
    from bench.runs.devices import cards

    whole, tasks = _planned(context, file, asked, elsewhere=how == "ray")
    if cells and against:
        raise UsageError("--against is of the report, and --cell writes none: give it to 'bench report'.")
    plan = choose(whole, cells) if cells else list(whole.values())
    if file is not None:
        check(plan)
    device = plan[0].device
    workers = parse_workers(wanted, device, cards=len(cards()) if device == "cuda" and how != "ray" else 1)
    seconds = None if timeout is None else parse_time(timeout)
    if seconds is not None and workers == 0:
        raise UsageError("--timeout needs worker processes, which it can end: choose --workers of 1 or more.")
    cluster = _cluster(how, address, wanted, workers)
    if cluster:
        cluster.check(plan)
    store = Store(output)
    check_against(against, plan, store)
    tracking = tracked(events, project, store)
    console = Screen()
    if dry_run:
        store.check()
        print_plan(console, plan, tasks, store, workers, against)
        return
    with lasting_output():
        announce(console, plan, tasks)
        with begin(plan, store, list(whole.values()) if cells else None) as campaign, tracking:
            warn_of(console, campaign.unreadable)
            console.print(plan_table(plan, campaign.missing))
            if not cells:
                say_grade(console, plan, against)
            costs = Costs.here(campaign.timed)
            say_cost(console, plan, campaign.missing, workers, costs)
            code = _execute(console, campaign, workers, seconds, against, costs, cluster, tracking, report=not cells)
    sys.exit(code)


def _cluster(how: str, address: str | None, wanted: str, workers: int) -> Cluster | None:
    """The Ray cluster that the options name; None for this machine."""
    from bench.runs.campaign import Cluster

    if how == "processes":
        if address is not None:
            raise UsageError("--address is that of a Ray cluster: add --executor ray.")
        return None
    if workers == 0:
        raise UsageError("--workers 0 is this process alone: leave it out, or choose --executor processes.")
    return Cluster(address, None if wanted.strip() == "auto" else workers)


def _planned(
    context: click.Context, file: Path | None, asked: dict[str, Any], elsewhere: bool
) -> tuple[dict[int, RunSpec], Sequence[str]]:
    """All runs of the plan by their numbers, and the tasks that the user named."""
    from bench.plans.cells import read
    from bench.plans.plan import make_plan
    from bench.runs.devices import choose_device

    if file is None:
        if elsewhere and ":" in asked["device"]:
            raise UsageError(f"a Ray cluster chooses the devices itself: --device cuda, not {asked['device']}.")
        request = requested(**asked, elsewhere=elsewhere)
        return dict(enumerate(make_plan(request), 1)), request.tasks
    if others := given(context):
        raise UsageError(f"--plan says what to run: leave out {' and '.join(others)}.")
    plan = read(file)
    for device in set() if elsewhere else {spec.device for spec in plan.values()}:
        choose_device(device)
    return plan, list(dict.fromkeys(spec.task for spec in plan.values()))


def _execute(
    console: Console,
    campaign: Campaign,
    workers: int,
    timeout: float | None,
    against: tuple[str, ...],
    costs: Costs,
    cluster: Cluster | None,
    tracking: Tracking,
    report: bool,
) -> int:
    """Do the missing runs and show their progress, write the reports, and print the outcome."""
    from bench.commands.planned import expected_seconds, say_took
    from bench.commands.progress import conclude, follow
    from bench.commands.report import write_reports
    from bench.commands.so_far import SoFar

    # What a cluster takes depends on its nodes, of which nothing is known here.
    expected = None if cluster else expected_seconds(campaign.missing, workers, costs)
    since = time.monotonic()
    tracking.begin(campaign)
    so_far = SoFar(campaign, against) if report else None
    signal = follow(console, campaign, workers, timeout, so_far, costs, cluster, tracking)
    took = time.monotonic() - since
    try:
        if report:
            with campaign.store.briefly():  # another command in the folder may have ended at the same moment
                write_reports(console, campaign.store, set(map(str, campaign.unreadable)), against)
        tracking.finish(console)
    finally:  # what the runs did is said even if the reports cannot be written
        if signal == 0 and not campaign.left:
            say_took(console, took, expected)
        conclude(console, campaign, signal != 0)
        counts = campaign.counts
        click.echo(f"{counts['ok']} ok, {counts['skipped']} skipped, {counts['failed']} failed")
    return SIGNALLED + signal if signal else 1 if counts["failed"] or campaign.left else 0
