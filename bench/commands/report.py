"""``bench report``: rebuild leaderboards and figures from the records."""

from __future__ import annotations

import atexit
import gc
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench.commands.comparison import HTML, PAGE, compared, show, write
from bench.commands.options import Command, against, check_against, labels
from bench.commands.tracking import tracked, tracking_options
from bench.errors import UsageError
from bench.records.environment import seldom_collecting

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from rich.console import Console

    from bench.records.store import Store


FORMATS = ("pdf", "svg")
"""Of figures, beside PNG: those of :data:`bench.reports.figures.drawing.METADATA`, without importing it."""


@click.command(cls=Command)
@click.argument("folder", default="results", type=click.Path(path_type=Path))
@click.argument("other", required=False, metavar="[AFTER]", type=click.Path(path_type=Path))
@against
@click.option("--figures", metavar="FORMATS",
              help="Formats of the figures: pdf and svg for papers, beside png (the default).")  # fmt: skip
@click.option("--format", "form", type=click.Choice(["latex", "markdown", "csv", "json"]),
              help="Print tables for papers or programs instead; nothing in FOLDER is written.")  # fmt: skip
@click.option("--table", "tables", multiple=True, metavar="NAME",
              help="With --format: headline (the default), all, or a heading of a page in leaderboard/; may be "
              "repeated.")  # fmt: skip
@click.option("--metrics", multiple=True, metavar="METRIC[,METRIC]", callback=labels,
              help="With --format: a table of these columns, in this order.")  # fmt: skip
@click.option("--steps", is_flag=True, help="With --format: the selected step and the shared pre-training, too.")
@click.option("--html", is_flag=True, help=f"Of two folders: one page for a browser, {PAGE}.")
@click.option("--output", metavar="FILE", type=click.Path(path_type=Path),
              help="With --format or two folders: write to this file instead.")  # fmt: skip
@tracking_options
def report(
    folder: Path,
    other: Path | None,
    against: tuple[str, ...],
    figures: str | None,
    form: str | None,
    tables: tuple[str, ...],
    metrics: tuple[str, ...],
    steps: bool,
    html: bool,
    output: Path | None,
    events: Path | None,
    project: str | None,
) -> None:
    """Rebuild the leaderboards and figures of a results FOLDER from its records.

    Writes index.html, which opens in a browser, without a network, leaderboard.md and a page for each task in
    leaderboard/, leaderboard.csv, verdicts.csv and figures/.

    With --format, it prints tables of FOLDER instead. Of two folders, FOLDER and AFTER, it says what changed between
    them and whether that is real, as 'bench compare' does, and with --html writes one page of it.

    Exit code 0, 1 when a file of the folder cannot be read and is left out, or a tracker lacks a run, or 2 for a usage
    error.
    """
    from bench.errors import unknown
    from bench.records.store import Store
    from bench.reports.terminal import Screen

    trackers = {"--tensorboard": events, "--wandb": project is not None}
    if other is not None:
        chosen = {"--format": form, "--table": tables, "--metrics": metrics, "--steps": steps}
        _refuse({**trackers, "--figures": figures, **chosen},
                "is for one folder; 'bench compare' has other formats for two")  # fmt: skip
        show(compared(folder, other, against), HTML if html else "text", output)
        return
    _refuse({"--html": html}, "is for two folders, as in 'bench report BEFORE AFTER --html'; of one, 'bench report' "
            "always writes index.html")  # fmt: skip
    store = Store(folder)
    if form is not None:
        _refuse({**trackers, "--figures": figures, "--against": against},
                "does not change tables: leave it out, or --format")  # fmt: skip
        store.require()
        if not _print_tables(store, form, tables, metrics, steps, output):
            sys.exit(1)
        return
    _refuse({"--table": tables, "--metrics": metrics, "--steps": steps, "--output": output},
            "chooses what --format prints: add --format latex, markdown, csv or json")  # fmt: skip
    formats = dict.fromkeys(part.strip() for part in (figures or "png").split(",") if part.strip())
    for name in formats:
        if name not in ("png", *FORMATS):
            raise unknown("format of figures", name, ("png", *FORMATS))
    store.require()
    check_against(against, (), store)
    atexit.register(_end)
    tracking, console = tracked(events, project, store), Screen()
    is_whole = write_reports(console, store, against=against, formats=[name for name in formats if name != "png"])
    if tracking.is_on:
        shown = set(store.load().runs["run_id"])  # without older runs of changed code or settings
        with tracking:
            tracking.put(record for record in store.records() if record.spec.run_id in shown)
            is_whole = tracking.finish(console) and is_whole
    if not is_whole:
        sys.exit(1)


def _end() -> None:
    """End without a last search for garbage, a third of a second after a large report; no code of others ran here.

    With torch, as in a process of several commands, there is one: some of its libraries report what is left as leaks.
    """
    if "torch" not in sys.modules:
        gc.freeze()


def _refuse(given: Mapping[str, object], why: str) -> None:
    """Accept no option that would have no effect.

    Raises:
        UsageError: for the first one that was given.
    """
    for option, value in given.items():
        if value:
            raise UsageError(f"{option} {why}.")


def _print_tables(
    store: Store, form: str, tables: Sequence[str], metrics: Sequence[str], steps: bool, output: Path | None
) -> bool:
    """Print tables of a folder, or write them to a file; whether all files of the folder could be read."""
    from bench.analysis.results import Results
    from bench.commands.progress import warn_of
    from bench.reports.pages.tables import FORMATS, chosen
    from bench.reports.terminal import Screen

    if tables and metrics:
        raise UsageError("--metrics is a table of its own: leave out --table.")
    frames = store.load()
    warn_of(Screen(stderr=True), frames.notes)
    results = Results.of(frames)
    if not results.any_ended:
        raise UsageError(f"no run is finished in '{store.path}': there is nothing to report.")
    text = FORMATS[form](chosen(results, tables, metrics, steps))
    if output is None or str(output) == "-":
        click.echo(text, nl=False)
    else:
        write(output, text)
        click.echo(f"Written: {output}")
    return not frames.notes


@seldom_collecting()
def write_reports(
    console: Console,
    store: Store,
    told: Collection[str] = (),
    against: tuple[str, ...] = (),
    formats: Sequence[str] = (),
) -> bool:
    """Rebuild index.html, leaderboard.csv, leaderboard.md and the figures from the records.

    Args:
        console: Where to write.
        store: The results folder.
        told: What was already said about its files.
        against: Labels of the models that verdicts compare with; empty for the usual ones.
        formats: Of figures, beside PNG.

    Returns:
        Whether all files of the folder could be read.
    """
    from bench import reports
    from bench.analysis.results import Results
    from bench.commands.progress import warn_of
    from bench.reports import terminal

    frames = store.load()
    warn_of(console, [note for note in frames.notes if note not in told])
    results = Results.of(frames, against)
    if not results.any_ended:
        console.print("No run is finished: there is nothing to report, and nothing was written.")
        return not frames.notes
    console.print(terminal.render(reports.write_reports(results, store.path, formats)))
    if frames.superseded:
        console.print(f"{frames.superseded} older runs of changed code or settings are left out.", highlight=False)
    if going := len(store.under_way()):
        runs = "One run is" if going == 1 else f"{going} runs are"
        said = f"{runs} being done in this folder; above, these and what is planned after them count as missing."
        console.print(said, style="yellow", highlight=False)
    console.print(f"Leaderboard: {store.path / 'leaderboard.md'}", highlight=False, soft_wrap=True)
    console.print(f"In a browser: {store.path / 'index.html'}", highlight=False, soft_wrap=True)
    return not frames.notes
