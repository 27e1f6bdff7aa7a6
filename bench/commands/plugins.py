"""``bench list`` and ``bench validate``: what can be run, and whether it keeps the contract."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from bench.commands.options import Command
from bench.commands.output import say

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table


TIMED = ("quick", "medium")
"""Presets whose cost is listed."""


@click.command("list", cls=Command)
@click.argument("kind", type=click.Choice(["models", "tasks", "metrics"]))
@click.argument("name", required=False)
def list_plugins(kind: str, name: str | None) -> None:
    """List the installed models, tasks or metrics; with the NAME of a model or a task, list its fields.

    The fields are what "bench run --set NAME.field=value" sets. NAME may be package.module:Class, and for your own
    files text, midi, checkins or samples. Without NAME nothing is imported.
    """
    from rich.table import Table

    from bench.plans.own_files import EXAMPLES, OWN
    from bench.plans.registry import OURS, available, remarks
    from bench.reports.terminal import Screen

    console = Screen()
    if name is not None:
        _show_fields(console, kind[:-1], name)
        return
    table = Table(box=None, pad_edge=False)
    models = kind == "models"
    plugins = available(kind[:-1]).values()
    strangers = any(plugin.distribution != OURS for plugin in plugins)
    for column in ("name", *(("role", *TIMED) if models else ()), "what", *(("from",) if strangers else ())):
        table.add_column(column, no_wrap=column != "what", justify="right" if column in TIMED else "left")
    for plugin in plugins:
        about = (plugin.role, *(_cost(plugin.name, preset) for preset in TIMED)) if models else ()
        table.add_row(plugin.name, *about, plugin.description, *((plugin.distribution,) if strangers else ()))
    console.print(table)
    if models:
        console.print(_sets(), highlight=False)
    for remark in remarks():
        say(f"bench: {remark}", err=True)
    own = ", ".join(EXAMPLES[prefix] for prefix, plugin in OWN.items() if plugin.kind == kind[:-1])
    if own:
        console.print(f"Of your own files: {own}", highlight=False)
    if kind != "metrics":
        console.print(f"Fields of one of them: bench list {kind} NAME", highlight=False)


def _cost(model: str, preset: str) -> str:
    """Seconds of a run on oracle, where that was measured."""
    from bench.plans.costs import Costs

    seconds = Costs.there()[0].shipped.get((preset, "oracle", model))
    return "" if seconds is None else f"{max(1, round(seconds))} s"


def _sets() -> Table:
    """The sets of models, with what the preset quick costs on the usual tasks and seeds."""
    from rich.table import Table

    from bench.commands.planned import roughly
    from bench.plans.costs import Costs
    from bench.plans.plan import DEFAULT_TASKS
    from bench.plans.sets import MEANINGS, members
    from bench.records.frames import REAL_DATA

    costs, machine = Costs.there()
    shown = Table(
        box=None, pad_edge=False, title_justify="left", caption_justify="left", title="\nSets, for --models",
        caption="quick, medium: one run on oracle, as the preset has it; of a set, quick, five seeds of oracle and "
        f"quatrains-tang on both processors of: {machine}. Preset paper: the table at the end of docs/arms.md",
    )  # fmt: skip
    for column in ("set", "models", "quick", "what"):
        shown.add_column(column, no_wrap=column != "what", justify="right" if column in ("models", "quick") else "left")
    for name, meaning in MEANINGS.items():
        chosen = [plugin.name for plugin in members(name)]
        known = [costs.shipped.get(("quick", task, model)) for task in DEFAULT_TASKS for model in (REAL_DATA, *chosen)]
        timed = [seconds for seconds in known if seconds is not None]
        whole = roughly(sum(timed) * 5 / 2)
        shown.add_row(name, f"{len(chosen)}", whole if len(timed) == len(known) else f"{whole} and more", meaning)
    return shown


def _show_fields(console: Console, kind: str, name: str) -> None:
    """Print the fields of a model or a task."""
    from bench.commands.settings import fields_of, found
    from bench.errors import UsageError
    from bench.reports import terminal

    if kind == "metric":
        raise UsageError("metrics have no fields: 'bench list metrics' lists all that there is to choose.")
    plugin = found(kind, name)
    fields = fields_of(plugin)
    say(" ".join(filter(None, [f"{plugin.name}:", plugin.description])))
    if fields:
        console.print(terminal.render(fields, padding=1))
    else:
        click.echo("It has no fields to set.")


@click.command(cls=Command)
@click.argument("name")
@click.option("--timeout", metavar="TIME", help="What each check may take at most, such as 90s or 30m.")
@click.option("--task", metavar="TASK", default="",
              help="Do the checks that need no toy data on this task's data; also text:FILE.")  # fmt: skip
def validate(name: str, timeout: str | None, task: str) -> None:
    """Run the contract suite on the generator NAME (or package.module:Class), in a process of its own.

    The checks train it on toy data for seconds. What is worth knowing, though it breaks nothing, follows "ok". Exit
    code 0 when it keeps the contract, 1 when a check failed, 2 for a usage error.
    """
    from bench.errors import UsageError
    from bench.plans.own_files import own_model, own_task
    from bench.plans.presets import parse_time
    from bench.plans.registry import find
    from bench.testing import LOADING, run_suite_apart

    seconds = None if timeout is None else parse_time(timeout)
    if own_model(name):
        raise UsageError(f"'{name}' is no generator, only what one wrote: there is nothing to validate.")
    find("model", name)
    failures = held = 0
    if task and own_task(task) is None:
        find("task", task)
    for outcome in run_suite_apart(name, seconds, task):
        if outcome.status == "refused":
            raise UsageError(outcome.detail)
        if outcome.check == LOADING:
            say(f"FAILED {outcome.detail}")
            sys.exit(1)
        failures += outcome.status == "FAILED"
        held += outcome.status == "ok"
        say(f"{outcome.status:7} {outcome.check}" + (f": {outcome.detail}" if outcome.detail else ""))
    failed = "1 check failed" if failures == 1 else f"{failures} checks failed"
    verdict = failed if failures else "keeps the contract" if held else "nothing could be checked"
    say(f"{name}: {verdict}")
    sys.exit(1 if failures else 0)
