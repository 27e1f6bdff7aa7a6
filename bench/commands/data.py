"""``bench data``: fetch corpora, and show what is known about all corpora."""

from __future__ import annotations

import sys
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import click

from bench.commands.options import Command
from bench.commands.output import say
from bench.visible import visible

if TYPE_CHECKING:
    from rich.console import Console

    from bench.tasks.corpus import Corpus


@click.group()
def data() -> None:
    """Fetch corpora, and show what is in them."""


@data.command(cls=Command)
@click.argument("names", nargs=-1, required=True, metavar="NAME...|all")
@click.option("--mirror", metavar="URL", help="Address to fetch from; by default $SEQGAN_BENCH_MIRROR, else GitHub.")
def fetch(names: tuple[str, ...], mirror: str | None) -> None:
    """Fetch corpora from their pinned addresses, verify them, clean and split them.

    They go to $SEQGAN_BENCH_DATA, or to the user's cache folder. What is already there is not fetched again, and an
    interrupted download continues. Exit code 0, 1 when one failed, 2 for an unknown name, 130 after Ctrl-C.
    """
    from bench.data import downloads
    from bench.data.shipped import NAMES
    from bench.errors import UsageError, unknown
    from bench.reports.terminal import Screen

    known = downloads.names()
    names = tuple("nottingham" if name == "nottingham-phrases" else name for name in names)  # made of the same files
    for name in names:
        if name in NAMES:
            raise UsageError(f"'{name}' ships with the package: there is nothing to fetch.")
        if name not in (*known, "all"):
            raise unknown("download", name, (*known, "all"))
    downloads.source(mirror)  # a wrong address is reported once
    console = Screen()
    failed = 0
    for name in known if "all" in names else dict.fromkeys(names):
        say(f"{name}: licence: {downloads.downloads()[name].licence}")
        try:
            with _Display(console, name) as watch:
                paths = downloads.fetch(name, mirror, watch)
        except (downloads.FetchFailed, UsageError) as error:
            say(f"bench: {name}: {error}", err=True)
            failed += 1
            continue
        for path in paths:
            say(f"    {path.name if path.is_dir() else name}: {_size(path)} in {path}")
    if failed:
        say(f"{failed} failed; what has arrived is kept: fetch again to continue.", err=True)
        sys.exit(1)


@data.command(cls=Command)
@click.argument("name", required=False)
@click.option("--set", "settings", multiple=True, metavar="FIELD=VALUE", help="Set a field of the task: min_count=5.")
def show(name: str | None, settings: tuple[str, ...]) -> None:
    """Show what is in a corpus and where it comes from; without NAME, list the corpora.

    The numbers are sizes, words out of vocabulary, and how much of the held-out splits also occurs in train. Name your
    own data as in "bench run": text:FILE,..., midi:FOLDER or checkins:FILE.
    """
    from rich.text import Text

    from bench.reports.terminal import Screen

    console = Screen()
    if name is None:
        _list_corpora(console)
        return
    from bench.errors import NotFetched, UsageError
    from bench.plans.fields import checked_build, convert, parse_override
    from bench.plans.own_files import own_task
    from bench.plans.registry import find

    plugin, fields = own_task(name) or (find("task", name), {})
    task = plugin.load()
    for setting in settings:
        _, field, value = parse_override(f"{plugin.name}.{setting}")
        if field in fields:
            raise UsageError(f"{plugin.name}.{field} is set twice: set it once.")
        fields[field] = convert(plugin.name, task, field, value)
    described = checked_build(plugin.name, task, fields)
    missing = ""
    try:
        described.fingerprint()
    except NotFetched as error:
        missing = str(error)
    console.print(Text.assemble((visible(plugin.name), "bold"), f" {visible(plugin.description)}"), highlight=False)
    if missing:
        console.print(f"{missing} Until then there is nothing to count.\n", highlight=False, markup=False)
    if hasattr(described, "report"):
        for note in described.report():
            console.print(f"  {note}", highlight=False, markup=False)
    elif hasattr(described, "datasheet"):
        if not missing and hasattr(described, "lines"):
            _count(console, described)
        _print_datasheet(console, described.datasheet())
    else:
        console.print("Made by the task itself: there is nothing to fetch.")


def _list_corpora(console: Console) -> None:
    """Show the names of the corpora, and whether they are stored here."""
    from rich.table import Table

    from bench.data import downloads
    from bench.data.shipped import NAMES
    from bench.errors import NotFetched
    from bench.plans.registry import available

    table = Table(box=None, pad_edge=False)
    for column in ("name", "where", "what"):
        table.add_column(column, no_wrap=column != "what")
    for corpus, plugin in available("task").items():
        if corpus in NAMES:
            where = "shipped"
        elif corpus in (*downloads.corpora(), downloads.WEIGHTS):
            try:
                _ = downloads.weights_path() if corpus == downloads.WEIGHTS else downloads.corpus_path(corpus, "train")
                where = "fetched"
            except NotFetched:
                where = "to be fetched"
        else:
            continue
        table.add_row(corpus, where, plugin.description.replace(" (fetched)", ""))
    console.print(table)


def _count(console: Console, task: Corpus) -> None:
    """Count a corpus as the task reads it."""
    from rich.table import Table

    from bench.data.datasheet import COLUMNS, count_facts, facts_table

    splits = facts_table(count_facts(task.lines(), task.min_count))
    table = Table(title=f"{task.level}, min_count={task.min_count}", title_justify="left", pad_edge=False, box=None)
    names, *rows = zip(COLUMNS, *splits, strict=True)
    for index, name in enumerate(names):
        table.add_column(name if index else "", justify="right" if index else "left")
    for row in rows:
        table.add_row(*row)
    console.print(table)
    console.print(
        "Out of vocabulary: words that become <unk>. Repeated: sequences that occur earlier in their split. In train:\n"
        "sequences that also occur in train, word for word.\n"
    )


def _print_datasheet(console: Console, text: str) -> None:
    """Print a datasheet without its title and its numbers, which are counted instead."""
    import re

    from rich.markdown import Markdown

    text = re.sub(r"^# .*\n", "", text)
    console.print(Markdown(re.sub(r"## Numbers\n.*?(?=## )", "", text, flags=re.DOTALL)))


class _Display:
    """A bar on a terminal, removed at the end; elsewhere a line for each step that begins."""

    def __init__(self, console: Console, name: str) -> None:
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        self.name, self.said, self.console = name, "", console
        self.bars = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=30),
            TextColumn("{task.fields[state]}", markup=False),
            TimeElapsedColumn(),
            console=console,
            transient=True,
        )
        self.bar = self.bars.add_task(name, total=None, state="")

    def __enter__(self) -> _Display:
        if self.console.is_terminal:
            self.bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.console.is_terminal:
            self.bars.stop()

    def __call__(self, what: str, done: int, total: int | None) -> None:
        """Show the progress: bytes of a download, files of anything else."""
        title = f"{self.name}: {what}"
        if not self.console.is_terminal:
            if what != self.said:
                say(title)
            self.said = what
            return
        unit = 1e6 if what == "downloading" else 1
        of = "" if total is None else f" of {total / unit:.4g}"
        state = f"{done / unit:.4g}{of} {'MB' if unit > 1 else 'files'}" if done or total else ""
        self.bars.update(self.bar, description=title, completed=done, total=total, state=state)


def _size(path: Path) -> str:
    """The size of a corpus's folder, or of a file."""
    from bench.data.splits import SPLITS

    if path.is_file():
        return f"{path.stat().st_size:,} bytes"
    counts = {split: (path / f"{split}.txt").read_bytes().count(b"\n") for split in SPLITS}
    return ", ".join(f"{count:,} {split}" for split, count in counts.items())
