"""``bench compare`` and ``bench accept``: the regression gate."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from bench.commands.options import Command, against
from bench.commands.output import say
from bench.errors import UsageError


@click.command(cls=Command)
@click.argument("base", metavar="BASE.csv", type=click.Path(path_type=Path))
@click.argument("head", metavar="HEAD_DIR", type=click.Path(path_type=Path))
@click.option("--fail-on-regression", is_flag=True, help="Exit code 1 if anything is red.")
@against
@click.option("--format", "form", type=click.Choice(["text", "markdown", "junit"]), default="text", show_default=True,
              help="For a terminal, a summary page or a test report.")  # fmt: skip
@click.option("--min-seeds", type=click.IntRange(min=1), default=1, show_default=True, metavar="N",
              help="A score with fewer seeds on both sides is red, changed or not.")  # fmt: skip
@click.option("--junit", "report", metavar="FILE", type=click.Path(path_type=Path),
              help="Write the test report to this file, too.")  # fmt: skip
def compare(
    base: Path,
    head: Path,
    fail_on_regression: bool,
    against: tuple[str, ...],
    form: str,
    min_seeds: int,
    report: Path | None,
) -> None:
    """Compare a results folder, HEAD_DIR, with the accepted results of 'bench accept', BASE.csv.

    Every score gets a verdict. The verdicts worse, missing, failed and untested are red, and so is a comparison in
    which nothing could be compared. Untested is what changed where no test says how, as with one seed or another
    signature: 'bench accept' accepts it.

    With --against, every model of HEAD_DIR is compared with these models of BASE.csv instead of with itself, in the
    metrics that both have. Exit code 0, 1 with --fail-on-regression if anything is red, 2 for a usage error.
    """
    from bench.analysis import accepted
    from bench.analysis.compare import compare as compare_results
    from bench.analysis.opponents import opposed
    from bench.commands.progress import warn_of
    from bench.records.files import write_atomically
    from bench.records.store import Store
    from bench.reports.pages.comparison import FORMATS, junit
    from bench.reports.terminal import Screen

    old = accepted.read(base)
    store = Store(head)
    store.require()
    frames = store.load()
    warn_of(Screen(stderr=True), frames.notes)
    new = accepted.tidy(frames.runs, frames.scores)
    comparison = compare_results(*(opposed(old, new, against) if against else (old, new)), min_seeds)
    click.echo(FORMATS[form](comparison))
    if report:
        try:
            write_atomically(report, junit(comparison) + "\n")
        except OSError as error:
            raise UsageError(f"cannot write '{report}': {error.strerror}; choose another --junit.") from error
    sys.exit(1 if fail_on_regression and not comparison.passes else 0)


@click.command(cls=Command)
@click.argument("head", metavar="HEAD_DIR", type=click.Path(path_type=Path))
@click.option("--to", "target", default="results/accepted.csv", show_default=True, type=click.Path(path_type=Path),
              help="The file to write.")  # fmt: skip
def accept(head: Path, target: Path) -> None:
    """Accept the results in HEAD_DIR as the base of 'bench compare', and show what that changes.

    Every run must be ok or skipped. Exit code 0, however much worse the results are, or 2 for a usage error.
    """
    from bench.analysis import accepted
    from bench.analysis.compare import compare as compare_results
    from bench.records.files import write_atomically
    from bench.records.store import Store
    from bench.reports.pages.comparison import text

    store = Store(head)
    store.require()
    frames = store.load()
    if frames.notes:
        raise UsageError(f"cannot accept results of which a part cannot be read: {frames.notes[0]}")
    results = accepted.tidy(frames.runs, frames.scores)
    accepted.require_finished(results, head)
    try:
        old = accepted.read(target) if target.exists() else results.head(0)
    except UsageError as error:
        reason = str(error).removesuffix(".").removesuffix(f"; {accepted.MAKE}")
        raise UsageError(f"{reason}; it is not overwritten: remove it, or choose another --to.") from error
    content = accepted.text(results)
    if target.exists() and target.read_text(encoding="utf-8") == content:
        say(f"Nothing changed in {target}.")
        return
    try:
        write_atomically(target, content)
    except OSError as error:
        raise UsageError(f"cannot write '{target}': {error.strerror}; choose another --to.") from error
    before, after = accepted.cells(old), accepted.cells(results)
    if before:
        click.echo(text(compare_results(old, results)))
    say(f"{len(after - before)} cells added, {len(before - after)} removed; {target} has {len(after)}.")
