"""``bench run``: the benchmark."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench.commands.options import Command, against, check_against, names, required
from bench.errors import SIGNALLED, UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from bench.plans.costs import Costs
    from bench.runs.campaign import Campaign

LISTED = 500
"""Runs that a dry run lists one by one, at most."""


def _task_names(_: click.Context, option: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    from bench.plans.own_tasks import split_names

    return required(option, values, (name for value in values for name in split_names(value)))


@click.command(cls=Command)
@click.option(
    "--models",
    default=["all"],
    multiple=True,
    callback=names,
    help="Names, package.module:Class, contenders, all, which includes the controls, or everything, which includes "
    "the models that cost most, too.",
)
@click.option("--tasks", default=["oracle,quatrains-tang"], show_default=True, multiple=True, callback=_task_names,
              help="Names, package.module:Class, or all; "
              "your own data as text:FILE,level=word|char,... or midi:FOLDER.")  # fmt: skip
@click.option("--metrics", default=["all"], multiple=True, callback=names,
              help="Names, package.module:Class, or all; a run fails without a value of one named here.")  # fmt: skip
@click.option(
    "--seeds",
    default="5",
    show_default=True,
    help="Number of seeds, counted from 0; or these seeds, as in 3,5-7 or 3-3.",
)
@click.option("--preset", default="quick", show_default=True,
              help="smoke (seconds), quick (minutes), medium (hours) or paper (days), or a file that 'bench tune' "
              "wrote.")  # fmt: skip
@click.option("--set", "settings", multiple=True, metavar="NAME.FIELD=VALUE", help="Set a model's or task's field.")
@click.option("--budget", metavar="AMOUNT", help="What each run may use: 60s, 5m, 2M-tokens or 20000-updates.")
@click.option("--temperatures", metavar="RANGE",
              help="Temperatures of the frontier: 0.5..2, 0.7,1 or none; by default the preset's.")  # fmt: skip
@click.option("--oracle-weights", type=click.Path(path_type=Path), help="Released weights, for oracle-published.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda.")
@click.option("--execution", default="auto", show_default=True,
              help="On CUDA: eager, graph (recorded), triton (with fused rollouts), or auto: the fastest.")  # fmt: skip
@click.option("--bfloat16/--no-bfloat16", default=True, show_default=True,
              help="Whether rewards may be rounded to bfloat16, on processors that multiply it.")  # fmt: skip
@click.option("--workers", "wanted", default="auto", show_default=True, metavar="N",
              help="Worker processes, one thread each; 0: this process; auto: as many as processors, 4 on "
              "CUDA.")  # fmt: skip
@click.option("--timeout", metavar="TIME", help="What a run may take at most, a worker's start included: 90s, 30m, 8h.")
@click.option("--output", default="results", show_default=True, type=click.Path(path_type=Path), help="Results folder.")
@against
@click.option("--dry-run", is_flag=True, help="Print the plan and stop.")
def run(
    models: tuple[str, ...],
    tasks: tuple[str, ...],
    metrics: tuple[str, ...],
    seeds: str,
    preset: str,
    settings: tuple[str, ...],
    budget: str | None,
    temperatures: str | None,
    oracle_weights: Path | None,
    device: str,
    execution: str,
    bfloat16: bool,
    wanted: str,
    timeout: str | None,
    output: Path,
    against: tuple[str, ...],
    dry_run: bool,
) -> None:
    """Run the benchmark; finished runs are not repeated.

    Writes leaderboard.csv, leaderboard.md and figures to the results folder. Ctrl-C and SIGTERM end it in order: the
    runs under way save their states, and the same command continues; once more ends it at once. Exit code 0 when every
    run is ok or skipped, 1 when one failed, 2 for a usage error, 130 after Ctrl-C, 143 after SIGTERM. It goes on when
    nobody reads what it prints.
    """
    from rich.console import Console

    from bench.commands.output import lasting_output
    from bench.commands.planned import announce, plan_table, say_cost, say_grade
    from bench.commands.progress import warn_of
    from bench.plans.costs import Costs, timed
    from bench.plans.plan import Request, make_plan
    from bench.plans.presets import parse_budget, parse_seeds, parse_temperatures, parse_time, parse_workers
    from bench.records.store import DONE, Store
    from bench.runs.campaign import begin
    from bench.runs.devices import choose_device

    device = choose_device(device)
    workers = parse_workers(wanted, device)
    seconds = None if timeout is None else parse_time(timeout)
    if seconds is not None and workers == 0:
        raise UsageError("--timeout needs worker processes, which it can end: choose --workers of 1 or more.")
    request = Request(
        models,
        tasks,
        metrics,
        parse_seeds(seeds),
        preset,
        _with_weights(settings, tasks, oracle_weights),
        device,
        {} if budget is None else parse_budget(budget),
        None if temperatures is None else parse_temperatures(temperatures),
        execution,
        bfloat16,
    )
    plan = make_plan(request)
    store = Store(output)
    check_against(against, plan, store)
    console = Console(markup=False, emoji=False)
    if dry_run:
        announce(console, plan, tasks)
        store.check()
        records, unreadable = store.scan()
        warn_of(console, unreadable)
        finished = {record.spec.run_id: record.status for record in records if record.status in DONE}
        missing = [spec for spec in plan if spec.run_id not in finished]
        console.print(plan_table(plan, missing))
        say_grade(console, plan, against)
        say_cost(console, plan, missing, workers, Costs.here(timed(records)))
        for spec in plan[:LISTED]:
            state = finished.get(spec.run_id, "to do")
            click.echo(f"{spec.run_id} {spec.task_label} {spec.label} seed {spec.seed}: {state}")
        if len(plan) > LISTED:
            click.echo(f"and {len(plan) - LISTED:,} more; the table above counts all of them.")
        return
    with lasting_output():
        announce(console, plan, tasks)
        with begin(plan, store) as campaign:
            warn_of(console, campaign.unreadable)
            console.print(plan_table(plan, campaign.missing))
            say_grade(console, plan, against)
            costs = Costs.here(campaign.timed)
            say_cost(console, plan, campaign.missing, workers, costs)
            code = _execute(console, campaign, workers, seconds, against, costs)
    sys.exit(code)


def _execute(
    console: Console,
    campaign: Campaign,
    workers: int,
    timeout: float | None,
    against: tuple[str, ...],
    costs: Costs,
) -> int:
    """Do the missing runs and show their progress, write the reports, and print the outcome."""
    from bench.commands.progress import conclude, follow
    from bench.commands.report import write_reports
    from bench.commands.so_far import SoFar

    signal = follow(console, campaign, workers, timeout, SoFar(campaign, against), costs)
    try:
        write_reports(console, campaign.store, set(map(str, campaign.unreadable)), against)
    finally:  # what the runs did is said even if the reports cannot be written
        conclude(console, campaign, signal != 0)
        counts = campaign.counts
        click.echo(f"{counts['ok']} ok, {counts['skipped']} skipped, {counts['failed']} failed")
    return SIGNALLED + signal if signal else 1 if counts["failed"] or campaign.left else 0


def _with_weights(settings: tuple[str, ...], tasks: tuple[str, ...], weights: Path | None) -> tuple[str, ...]:
    """--oracle-weights is a short way of setting the published task's field."""
    if weights is None:
        return settings
    if "oracle-published" not in tasks and tasks != ("all",):
        raise UsageError("--oracle-weights goes with --tasks oracle-published, or all.")
    return (*settings, f"oracle-published.weights={str(weights.resolve())!r}")
