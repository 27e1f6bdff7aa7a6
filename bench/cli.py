"""The command line. Each command imports what it needs inside the function, so that ``bench --help`` is instant."""

from __future__ import annotations

import io
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bench.commands.data import data
from bench.commands.gate import accept, compare
from bench.commands.sample import sample
from bench.commands.score import score
from bench.errors import UsageError, unknown

if TYPE_CHECKING:
    from rich.console import Console

    from bench.runs.campaign import Campaign
    from bench.store import Store

INTERRUPTED = 130


class Group(click.Group):
    """Turns a user's mistake into one sentence and exit code 2, whatever command it was made in."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command."""
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="replace")  # a terminal without arrows shows question marks
        try:
            return super().invoke(ctx)
        except UsageError as error:
            click.echo(f"bench: {error}", err=True)
            ctx.exit(2)
        except KeyboardInterrupt:
            click.echo("Interrupted.", err=True)
            ctx.exit(INTERRUPTED)


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="seqgan-bench")
def main() -> None:
    """Train sequence generators under the same conditions and compare them honestly."""


def _names(_: click.Context, __: click.Parameter, value: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in value.split(",") if name.strip())
    if not names:
        raise click.BadParameter("expected one or more names, parted by commas")
    return names


def _task_names(_: click.Context, __: click.Parameter, value: str) -> tuple[str, ...]:
    from bench.own_tasks import split_names

    names = split_names(value)
    if not names:
        raise click.BadParameter("expected one or more names, parted by commas")
    return names


@main.command()
@click.option(
    "--models",
    default="all",
    callback=_names,
    help="Names, package.module:Class, contenders, or all: the controls too.",
)
@click.option("--tasks", default="oracle,quatrains", show_default=True, callback=_task_names,
              help="Likewise; your own data as text:FILE,level=word|char,... or midi:FOLDER.")  # fmt: skip
@click.option("--metrics", default="all", callback=_names, help="Likewise; one named here must not be absent.")
@click.option("--seeds", default=3, show_default=True, help="How many seeds, from 0.")
@click.option("--preset", default="quick", show_default=True, help="smoke (seconds), quick (minutes) or paper (days).")
@click.option("--set", "settings", multiple=True, metavar="NAME.FIELD=VALUE", help="Set a model's or task's field.")
@click.option("--budget", metavar="AMOUNT", help="What each may use up: 60s, 5m, 2M-tokens or 20000-updates.")
@click.option("--temperatures", metavar="RANGE", help="Of the frontier: 0.5..1.4, 0.7,1 or none; else the preset's.")
@click.option("--oracle-weights", type=click.Path(path_type=Path), help="Released weights, for oracle-published.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda.")
@click.option("--execution", default="eager", show_default=True,
              help="On CUDA: eager, graph (recorded) or triton (graphs, and rollouts in one kernel).")  # fmt: skip
@click.option("--bfloat16/--no-bfloat16", default=True, show_default=True,
              help="Whether rewards may be rounded so, on processors that multiply it.")  # fmt: skip
@click.option("--workers", default=2, show_default=True, help="Worker processes, one thread each; 0: this process.")
@click.option("--output", default="results", show_default=True, type=click.Path(path_type=Path), help="Results folder.")
@click.option("--dry-run", is_flag=True, help="Print the plan and stop.")
def run(
    models: tuple[str, ...],
    tasks: tuple[str, ...],
    metrics: tuple[str, ...],
    seeds: int,
    preset: str,
    settings: tuple[str, ...],
    budget: str | None,
    temperatures: str | None,
    oracle_weights: Path | None,
    device: str,
    execution: str,
    bfloat16: bool,
    workers: int,
    output: Path,
    dry_run: bool,
) -> None:
    """Run the benchmark; what is done already is not done again.

    Leaves leaderboard.csv, leaderboard.md and figures in the results folder. Exit code 0 when every run is ok or
    skipped, 1 when one failed, 2 for a mistake in use, 130 after Ctrl-C.
    """
    from rich.console import Console

    from bench.cost import parse_budget
    from bench.own_tasks import own_reports
    from bench.plan import Request, make_plan
    from bench.presets import parse_temperatures
    from bench.progress import plan_table
    from bench.runs.campaign import begin
    from bench.store import Store

    if workers < 0:
        raise UsageError(f"expected --workers of 0 or more, got {workers}.")
    request = Request(
        models,
        tasks,
        metrics,
        seeds,
        preset,
        _with_weights(settings, tasks, oracle_weights),
        _choose_device(device),
        {} if budget is None else parse_budget(budget),
        None if temperatures is None else parse_temperatures(temperatures),
        execution,
        bfloat16,
    )
    plan = make_plan(request)
    console = Console()
    for task, notes in own_reports(plan).items():
        console.print(f"{task}\n  " + "\n  ".join(notes), highlight=False, markup=False)
    if tasks == ("all",):
        _tell_left_out(console, {spec.task for spec in plan})
    store = Store(output)
    if dry_run:
        finished = store.finished()
        console.print(plan_table(plan, finished))
        for spec in plan:
            state = finished.get(spec.run_id, "to do")
            click.echo(f"{spec.run_id} {spec.task_label} {spec.label} seed {spec.seed}: {state}")
        return
    with begin(plan, store) as campaign:
        console.print(plan_table(plan, campaign.finished))
        code = _execute(console, campaign, workers)
    sys.exit(code)


def _tell_left_out(console: Console, planned: set[str]) -> None:
    """Which tasks are not among "all", because their data were never fetched."""
    from bench.registry import available

    missing = [name for name in available("task") if name not in planned]
    if missing:
        console.print(
            f"Left out, for their data are not here (bench data fetch NAME): {', '.join(missing)}.", highlight=False
        )


def _execute(console: Console, campaign: Campaign, workers: int) -> int:
    """Do the missing runs before the user's eyes, write the reports, and say how it went."""
    from contextlib import closing

    from bench.progress import Display
    from bench.runs.campaign import executor

    store, interrupted = campaign.store, False
    display = Display(console, campaign.missing, workers)
    try:
        with display, closing(campaign.events(executor(store, workers, display.see))) as events:
            for event in events:
                display.see(event)
    except KeyboardInterrupt:
        interrupted = True
    _write_reports(console, store)
    for record in campaign.failures:
        console.print(
            f"failed: {record.reason} (see {store.file(record.spec)})", style="red", soft_wrap=True, markup=False
        )
    if interrupted:
        console.print(f"Interrupted, {campaign.left} runs left: the same command continues.", style="yellow")
    counts = campaign.counts
    click.echo(f"{counts['ok']} ok, {counts['skipped']} skipped, {counts['failed']} failed")
    return INTERRUPTED if interrupted else 1 if counts["failed"] else 0


def _choose_device(device: str) -> str:
    if device not in ("auto", "cpu", "cuda"):
        raise unknown("device", device, ("auto", "cpu", "cuda"))
    if device == "cpu":
        return device
    import torch

    if not torch.cuda.is_available():
        if device == "cuda":
            raise UsageError("expected a CUDA device for --device cuda, but torch finds none; use --device cpu.")
        return "cpu"
    return "cuda"


def _with_weights(settings: tuple[str, ...], tasks: tuple[str, ...], weights: Path | None) -> tuple[str, ...]:
    """--oracle-weights is a short way of setting the published task's field."""
    if weights is None:
        return settings
    if "oracle-published" not in tasks and tasks != ("all",):
        raise UsageError("--oracle-weights goes with --tasks oracle-published, or all.")
    return (*settings, f"oracle-published.weights={str(weights.resolve())!r}")


def _write_reports(console: Console, store: Store) -> None:
    """Make leaderboard.csv, leaderboard.md and the figures anew from the records."""
    from bench.reports import terminal, write_reports

    frames = store.load()
    if not frames.runs["status"].isin(["ok", "skipped", "failed"]).any():
        console.print("No run is finished: there is nothing to report, and nothing was written.")
        return
    console.print(
        terminal.render(write_reports(frames.runs, frames.scores, frames.curves, frames.frontier, store.path))
    )
    if frames.superseded:
        console.print(f"{frames.superseded} older runs of changed code or settings are left out.", highlight=False)
    console.print(f"Leaderboard: {store.path / 'leaderboard.md'}", highlight=False, soft_wrap=True)


@main.command()
@click.argument("folder", default="results", type=click.Path(path_type=Path))
def report(folder: Path) -> None:
    """Rebuild the leaderboards and figures of a results FOLDER from its records."""
    from rich.console import Console

    from bench.store import Store

    store = Store(folder)
    store.require()
    _write_reports(Console(), store)


@main.command()
@click.option("--device", default="auto", show_default=True, help="cpu, cuda, or auto: the CPU, and CUDA if there is.")
@click.option("--quick", is_flag=True, help="Fewer rounds and shapes.")
@click.option("--threads", type=int, help="Threads of a kernel; by default as many as there are processors.")
@click.option("--output", default="results", show_default=True, type=click.Path(path_type=Path), help="Results folder.")
@click.option(
    "--suite", default="tests/perf", show_default=True, type=click.Path(path_type=Path), help="The benchmarks."
)
@click.option("-k", "keyword", metavar="EXPR", help="Only the benchmarks that match, as in pytest.")
@click.option("--compare", "old", metavar="OLD.json", type=click.Path(path_type=Path),
              help="Against the commit of an earlier throughput.json, both run in turns.")  # fmt: skip
@click.option("--pairs", default=5, show_default=True, help="With --compare: how many runs of each.")
def perf(
    device: str,
    quick: bool,
    threads: int | None,
    output: Path,
    suite: Path,
    keyword: str | None,
    old: Path | None,
    pairs: int,
) -> None:
    """Time the kernels, in a clone of the repository.

    Leaves throughput.json, throughput.csv, throughput.md and a figure in the results folder; with --compare only
    throughput-compare.md. Exit code 0, 1 when a benchmark failed or none ran, 2 for a mistake in use, 130 after Ctrl-C.
    """
    from rich.console import Console

    from bench.perf import compare, find_suite, measure, read_report
    from bench.store import Store

    earlier = read_report(old) if old else None
    found = find_suite(suite, device, threads, quick, keyword)
    chosen = _choose_device(device)
    found = replace(found, devices="cpu,cuda" if (device, chosen) == ("auto", "cuda") else chosen)
    store = Store(output)
    store.open()
    with store.alone():  # a benchmark run at the same time would slow the kernels down
        if earlier is None:
            code = measure(found, output, Console())
        else:
            code = compare(found, earlier, pairs, output, Console())
    sys.exit(code)


@main.command("list")
@click.argument("kind", type=click.Choice(["models", "tasks", "metrics"]))
def list_plugins(kind: str) -> None:
    """List the installed models, tasks or metrics; imports none of them."""
    from rich.console import Console
    from rich.table import Table

    from bench.registry import available

    table = Table(box=None, pad_edge=False)
    roles = ("role",) if kind == "models" else ()
    for column in ("name", *roles, "what", "from"):
        table.add_column(column, no_wrap=column != "what")
    for plugin in available(kind[:-1]).values():
        table.add_row(plugin.name, *(plugin.role for _ in roles), plugin.description, plugin.distribution)
    Console().print(table)


@main.command()
@click.argument("name")
def validate(name: str) -> None:
    """Run the contract suite on the generator NAME (or package.module:Class)."""
    from bench.registry import PluginError, find
    from bench.testing import run_suite

    plugin = find("model", name)
    try:
        generator = plugin.load()
    except PluginError as error:
        click.echo(f"FAILED {error}")
        sys.exit(1)
    failures = held = 0
    for outcome in run_suite(generator):
        failures += outcome.status == "FAILED"
        held += outcome.status == "ok"
        click.echo(f"{outcome.status:7} {outcome.check}" + (f": {outcome.detail}" if outcome.detail else ""))
    verdict = f"{failures} checks failed" if failures else "keeps the contract" if held else "nothing could be checked"
    click.echo(f"{name}: {verdict}")
    sys.exit(1 if failures else 0)


main.add_command(accept)
main.add_command(compare)
main.add_command(data)
main.add_command(sample)
main.add_command(score)
