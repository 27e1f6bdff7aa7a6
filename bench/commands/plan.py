"""``bench plan``: the runs of a request, as a table for people or as cells for a job array."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bench.commands.options import Command
from bench.commands.output import say
from bench.commands.request import request_options, requested

if TYPE_CHECKING:
    from rich.console import Console

    from bench.records.record import RunSpec
    from bench.records.store import Store

__all__ = ["plan", "print_plan"]

LISTED = 500
"""Runs that are listed one by one for people, at most."""


@click.command(cls=Command)
@request_options
@click.option("--workers", "wanted", default="auto", show_default=True, metavar="N",
              help="For how many worker processes the time is told.")  # fmt: skip
@click.option("--output", default="results", show_default=True, type=click.Path(path_type=Path),
              help="Results folder: the table says what of it is left to do.")  # fmt: skip
@click.option("--format", "form", default="table", show_default=True, type=click.Choice(["table", "jsonl"]),
              help="table, or jsonl: a line for each run, for 'bench run --plan'.")  # fmt: skip
def plan(wanted: str, output: Path, form: str, **asked: Any) -> None:
    """Print what 'bench run' with the same options would do, and do nothing.

    With --format jsonl, each line is a cell: all that one run needs. 'bench run --plan FILE --cell 17' does the 17th
    and writes no report, so that the jobs of an array can work in one folder; 'bench report' then makes the tables.
    """
    from bench.plans.cells import lines
    from bench.plans.costs import Costs, timed
    from bench.plans.plan import make_plan
    from bench.plans.presets import parse_workers
    from bench.records.store import Store
    from bench.reports.terminal import Screen

    request = requested(**asked)
    runs, store = make_plan(request), Store(output)
    store.check()
    if form == "jsonl":
        for line in lines(runs, Costs.here(timed(store.records()))):
            click.echo(line)
        return
    print_plan(Screen(), runs, request.tasks, store, parse_workers(wanted, request.device))


def print_plan(
    console: Console,
    plan: Sequence[RunSpec],
    tasks: Sequence[str],
    store: Store,
    workers: int,
    against: tuple[str, ...] = (),
) -> None:
    """Say what a plan consists of, what of it is left to do in a folder, and how long each run and all of them take."""
    from bench.commands.planned import announce, plan_table, roughly, say_cost, say_grade
    from bench.commands.progress import warn_of
    from bench.plans.costs import Costs, timed
    from bench.records.store import DONE

    announce(console, plan, tasks)
    records, unreadable = store.scan()
    warn_of(console, unreadable)
    finished = {record.spec.run_id: record.status for record in records if record.status in DONE}
    missing = [spec for spec in plan if spec.run_id not in finished]
    costs = Costs.here(timed(records))
    console.print(plan_table(plan, missing))
    say_grade(console, plan, against)
    say_cost(console, plan, missing, workers, costs)
    for spec in plan[:LISTED]:
        seconds = costs.of(spec)
        to_do = "to do" if seconds is None else f"to do, about {roughly(seconds)}"
        state = finished.get(spec.run_id, to_do)
        say(f"{spec.run_id} {spec.task_label} {spec.label} seed {spec.seed}: {state}")
    if len(plan) > LISTED:
        click.echo(f"and {len(plan) - LISTED:,} more; the table above counts all of them.")
