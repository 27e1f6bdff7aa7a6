"""``bench report``: rebuild leaderboards and figures from the records."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench.commands.options import Command

if TYPE_CHECKING:
    from rich.console import Console

    from bench.records.store import Store


@click.command(cls=Command)
@click.argument("folder", default="results", type=click.Path(path_type=Path))
def report(folder: Path) -> None:
    """Rebuild the leaderboards and figures of a results FOLDER from its records."""
    from rich.console import Console

    from bench.records.store import Store

    store = Store(folder)
    store.require()
    write_reports(Console(markup=False, emoji=False), store)


def write_reports(console: Console, store: Store) -> None:
    """Rebuild leaderboard.csv, leaderboard.md and the figures from the records."""
    from bench import reports
    from bench.analysis.results import Results
    from bench.reports import terminal

    frames = store.load()
    results = Results.of(frames)
    if not results.any_ended:
        console.print("No run is finished: there is nothing to report, and nothing was written.")
        return
    console.print(terminal.render(reports.write_reports(results, store.path)))
    if frames.superseded:
        console.print(f"{frames.superseded} older runs of changed code or settings are left out.", highlight=False)
    console.print(f"Leaderboard: {store.path / 'leaderboard.md'}", highlight=False, soft_wrap=True)
