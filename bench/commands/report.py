"""``bench report``: rebuild leaderboards and figures from the records."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench.commands.options import Command, against, check_against
from bench.commands.tracking import tracked, tracking_options

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from rich.console import Console

    from bench.records.store import Store


FORMATS = ("pdf", "svg")
"""Of figures, beside PNG: those of :data:`bench.reports.figures.drawing.METADATA`, without importing it."""


@click.command(cls=Command)
@click.argument("folder", default="results", type=click.Path(path_type=Path))
@against
@click.option("--figures", metavar="FORMATS", default="png", show_default=True,
              help="Formats of the figures: pdf and svg for papers, beside png, as in pdf,svg.")  # fmt: skip
@tracking_options
def report(folder: Path, against: tuple[str, ...], figures: str, events: Path | None, project: str | None) -> None:
    """Rebuild the leaderboards and figures of a results FOLDER from its records.

    Writes index.html, which opens in a browser, without a network, leaderboard.md and a page for each task in
    leaderboard/, leaderboard.csv, verdicts.csv and figures/.

    Exit code 0, 1 when a file of the folder cannot be read and is left out, or a tracker lacks a run, or 2 for a usage
    error.
    """
    from bench.errors import unknown
    from bench.records.store import Store
    from bench.reports.terminal import Screen

    formats = dict.fromkeys(part.strip() for part in figures.split(",") if part.strip())
    for name in formats:
        if name not in ("png", *FORMATS):
            raise unknown("format of figures", name, ("png", *FORMATS))
    store = Store(folder)
    store.require()
    check_against(against, (), store)
    tracking, console = tracked(events, project, store), Screen()
    is_whole = write_reports(console, store, against=against, formats=[name for name in formats if name != "png"])
    if tracking.is_on:
        shown = set(store.load().runs["run_id"])  # without older runs of changed code or settings
        with tracking:
            tracking.put(record for record in store.records() if record.spec.run_id in shown)
            is_whole = tracking.finish(console) and is_whole
    if not is_whole:
        sys.exit(1)


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
