"""``bench merge``: join results folders."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from bench.commands.options import Command


@click.command(cls=Command)
@click.argument("folders", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--output", required=True, type=click.Path(path_type=Path), help="The folder that they become.")
def merge(folders: tuple[Path, ...], output: Path) -> None:
    """Join results FOLDERS, as several machines make them, into one, and write its leaderboards.

    A run that two folders have must have found the same in both; what they cost may differ. Trained states are taken
    along. The folders stay as they are, unless --output is one of them. Exit code 0, 1 when a file cannot be read and
    is left out, or 2 for a usage error, as for a run that found something else in another folder; then nothing is
    merged.
    """
    from bench.commands.progress import warn_of
    from bench.commands.report import write_reports
    from bench.records.merge import merge as merged
    from bench.records.store import Store
    from bench.reports.terminal import Screen

    console = Screen()
    found = merged(folders, output)
    notes = list(map(str, found.unreadable))
    warn_of(console, notes)
    console.print(
        f"{found.taken} records merged, {found.repeated} were there already, with {found.states} trained states.",
        highlight=False,
    )
    if not write_reports(console, Store(output), notes) or notes:
        sys.exit(1)
