"""Two results side by side, as ``bench compare`` and ``bench report`` read, judge and show them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.analysis.compare import Comparison
    from bench.reports.pages.comparison_data import Side

__all__ = ["HTML", "PAGE", "Compared", "compared", "show", "write"]

HTML = "html"
PAGE = Path("comparison.html")
"""Where the page goes that nobody named a file for."""


@dataclass(frozen=True, slots=True)
class Compared:
    """Two results and the verdicts on them.

    Attributes:
        base: Those from before.
        head: Those from after.
        against: Models of base that all models of head are compared with; empty for each with itself.
        comparison: The verdicts.
    """

    base: Side
    head: Side
    against: tuple[str, ...]
    comparison: Comparison


def compared(base: Path, head: Path, against: Sequence[str] = (), min_seeds: int = 1, gates: bool = False) -> Compared:
    """Read two results and judge them.

    Args:
        base: A results folder, or what ``bench accept`` wrote of one.
        head: A results folder.
        against: Labels of models of base, as for :func:`bench.analysis.opponents.opposed`.
        min_seeds: As for :func:`bench.analysis.compare.compare`.
        gates: Whether the outcome lets a change pass: then base must be whole, because what it lost would be new. Else
            a base that is not is red.

    Raises:
        UsageError: for what is no results, and for a model that base lacks.
    """
    from bench.analysis import accepted
    from bench.analysis.compare import compare
    from bench.analysis.opponents import opposed
    from bench.reports.pages.comparison_data import Side

    old, lacking = _folder(base) if base.is_dir() else (Side(str(base), accepted.read(base)), "")
    if gates and lacking:
        raise UsageError(lacking)
    new, _ = _folder(head)
    if against:
        scores = opposed(old.scores, new.scores, against)
        old, new = replace(old, scores=scores[0]), replace(new, scores=scores[1])
    found = compare(old.scores, new.scores, min_seeds)
    return Compared(old, new, tuple(against), replace(found, lacking=lacking.removesuffix(".")))


def show(found: Compared, form: str, output: Path | None = None) -> None:
    """Print a comparison in one of the formats, or write it to a file.

    A page goes to :data:`PAGE` where no file is named; ``-`` prints it, too.

    Raises:
        UsageError: for a file that cannot be written.
    """
    from bench.reports.pages import comparison, comparison_site

    if form == HTML:
        text = comparison_site.page(found.comparison, found.base, found.head, found.against)
        output = output or PAGE
    else:
        text = comparison.FORMATS[form](found.comparison)
    if output is None or str(output) == "-":
        click.echo(text)
        return
    write(output, f"{text}\n")
    click.echo(found.comparison.summary)
    click.echo(f"{'In a browser' if form == HTML else 'Written'}: {output}")


def write(output: Path, text: str, option: str = "--output") -> None:
    """Write a file that an option names.

    Raises:
        UsageError: where it cannot be written.
    """
    from bench.records.files import write_atomically

    try:
        write_atomically(output, text)
    except OSError as error:
        raise UsageError(f"cannot write '{output}': {error.strerror}; choose another {option}.") from error


def _folder(path: Path) -> tuple[Side, str]:
    """The results of a folder, and what it lacks, "" for nothing; what is wrong with its files is said, too."""
    from bench.analysis import accepted
    from bench.commands.progress import warn_of
    from bench.records.store import Store
    from bench.reports.pages.comparison_data import Side
    from bench.reports.terminal import Screen

    store = Store(path)
    store.require()
    frames = store.load()
    warn_of(Screen(stderr=True), frames.notes)
    results, lacking = accepted.tidy(frames.runs, frames.scores), ""
    if frames.notes:
        lacking = f"cannot compare with results of which a part cannot be read: {frames.notes[0]}"
    else:
        try:
            accepted.require_finished(results, path, accepted.LOST)
        except UsageError as error:
            lacking = str(error)
    shown = set(frames.runs["run_id"])
    records = tuple(record for record in store.records() if record.spec.run_id in shown)
    return Side(str(path), results, records), lacking
