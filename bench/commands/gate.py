"""``bench compare`` and ``bench accept``: the regression gate."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from bench.commands.comparison import HTML, PAGE, compared, show, write
from bench.commands.options import Command, against
from bench.commands.output import say
from bench.errors import UsageError


@click.command(cls=Command)
@click.argument("base", metavar="BASE", type=click.Path(path_type=Path))
@click.argument("head", metavar="HEAD_DIR", type=click.Path(path_type=Path))
@click.option("--fail-on-regression", is_flag=True, help="Exit code 1 if anything is red.")
@against
@click.option("--format", "form", type=click.Choice(["text", "markdown", "junit", HTML]), default="text",
              show_default=True, help="For a terminal, a summary page, a test report or a browser.")  # fmt: skip
@click.option("--min-seeds", type=click.IntRange(min=1), default=1, show_default=True, metavar="N",
              help="A score with fewer seeds on both sides is red, changed or not.")  # fmt: skip
@click.option("--output", metavar="FILE", type=click.Path(path_type=Path),
              help=f"Write to this file instead of printing it; a page goes to {PAGE} by default.")  # fmt: skip
@click.option("--junit", "report", metavar="FILE", type=click.Path(path_type=Path),
              help="Write the test report to this file, too.")  # fmt: skip
def compare(
    base: Path,
    head: Path,
    fail_on_regression: bool,
    against: tuple[str, ...],
    form: str,
    min_seeds: int,
    output: Path | None,
    report: Path | None,
) -> None:
    """Compare a results folder, HEAD_DIR, with BASE: another one, or the accepted results of 'bench accept'.

    Every score gets a verdict. The verdicts worse, missing, failed and untested are red, and so is a comparison in
    which nothing could be compared, or whose BASE lacks runs. Untested is what changed where no test says how, as with
    one seed or another signature: 'bench accept' accepts it.

    With --against, every model of HEAD_DIR is compared with these models of BASE instead of with itself, in the
    metrics that both have. With --format html, comparison.html opens in a browser, without a network. Exit code 0, 1
    with --fail-on-regression if anything is red, 2 for a usage error.
    """
    from bench.reports.pages.comparison import junit

    for option, file in (("--output", output), ("--junit", report)):
        if file is not None and file.is_dir():
            raise UsageError(f"expected a file for {option}, got the folder '{file}'.")
    found = compared(base, head, against, min_seeds, gates=fail_on_regression)
    show(found, form, output)
    if report:
        write(report, junit(found.comparison) + "\n", "--junit")
    sys.exit(1 if fail_on_regression and not found.comparison.passes else 0)


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
        target.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(target, content)
    except OSError as error:
        raise UsageError(f"cannot write '{target}': {error.strerror}; choose another --to.") from error
    before, after = accepted.cells(old), accepted.cells(results)
    if before:
        click.echo(text(compare_results(old, results)))
    say(f"{len(after - before)} cells added, {len(before - after)} removed; {target} has {len(after)}.")
