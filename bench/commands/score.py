"""``bench score``: score files of samples against real text, without training anything."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from bench.commands.options import Command, names
from bench.commands.output import say

if TYPE_CHECKING:
    from bench.metrics.text.report import Text

STANDARD_INPUT = "-"


@click.command(cls=Command)
@click.argument("samples", nargs=-1, required=True, metavar="SAMPLES...")
@click.option("--references", required=True, metavar="TEST", help="Held-out real text.")
@click.option("--train", metavar="TRAIN", help="The models' training text: for copy rates and the scores of real text.")
@click.option("--tokenizer", help="word (the default), char, space, nltk, 13a, zh or smiles.")
@click.option("--metrics", default=["all"], show_default=True, multiple=True, callback=names,
              help="Any of bleu, self-bleu, backward-bleu, ms-jaccard, distinct, copy, length, vocabulary, molecules, "
              "or all; and augmented, which all leaves out.")  # fmt: skip
@click.option("--protocol", help="BLEU as others compute it: texygen, texygen-fast, relgan or textgan.")
@click.option("--column", help="Which column of .csv, .tsv and .jsonl files holds the text.")
@click.option("--format", "form", type=click.Choice(["table", "json", "csv"]), default="table", show_default=True,
              help="For people or for programs.")  # fmt: skip
def score(
    samples: tuple[str, ...],
    references: str,
    train: str | None,
    tokenizer: str | None,
    metrics: tuple[str, ...],
    protocol: str | None,
    column: str | None,
    form: str,
) -> None:
    """Score text files of SAMPLES against held-out real text: one sample per line, a blank line is an empty sample.

    Every number has a 95 % interval and a signature that says how it was computed, and is shown next to that of real
    text. Of several files, each is compared with the first, over samples; or over seeds, where {seed} stands for their
    numbers, as in 'mle-{seed}.txt' 'seqgan-{seed}.txt'. Files may be packed by gzip; - is the standard input. Exit
    code 0, or 2 for a usage error.
    """
    from bench.data.reading import check_column
    from bench.data.seed_files import expand
    from bench.errors import UsageError
    from bench.metrics.text.report import SeedRows, Text
    from bench.metrics.text.scoring import options
    from bench.metrics.text.scoring import score as score_texts
    from bench.reports.pages import scores as score_table

    if form == "table":  # now, because importing takes longer when there is much in memory to collect
        from bench.reports import terminal
        from bench.reports.terminal import Screen

    files = (*samples, references, train or "")
    check_column(column, files)
    if STANDARD_INPUT in (references, train):
        raise UsageError("the standard input can be given as samples only.")
    chosen = options(metrics, tokenizer, protocol, train is not None)
    if samples.count(STANDARD_INPUT) > 1:
        raise UsageError("the standard input can be read once only: give one - among the samples.")
    seeds = expand(samples)
    named = [file for files in seeds.values() for file in files.values()] or samples
    made = [_standard_input() if name == STANDARD_INPUT else Text.read(name, column) for name in named]
    real = Text.read(references, column)
    trained = Text.read(train, column) if train else None
    _keep_freed_memory()
    places = iter(range(len(made)))
    models = [SeedRows(name, {seed: next(places) for seed in files}) for name, files in seeds.items()]
    report = score_texts(made, real, trained, *chosen, over_seeds=models)
    if form == "table":
        console = Screen()
        console.print(terminal.render(score_table.page(report, console.width), padding=1))
    elif form == "json":
        click.echo(score_table.as_json(report))
    else:
        click.echo(score_table.as_csv(report), nl=False)
        for note in report.notes:
            say(f"bench: {note}", err=True)


def _keep_freed_memory() -> None:
    """Let the next array use the memory of the one before: this saves about 5 % of the time for 10,000 lines.

    By default glibc gives each large array back to the system. Its threshold for that rises to the largest array that
    was freed, at most 32 MiB (mallopt(3), ``M_MMAP_THRESHOLD``). This array costs nothing: its memory is never touched.
    """
    import numpy as np

    np.empty((32 << 20) - (64 << 10), dtype=np.uint8)


def _standard_input() -> Text:
    from bench.data.packed import MAGIC
    from bench.data.reading import decoded
    from bench.errors import UsageError
    from bench.metrics.text.report import Text

    content = sys.stdin.buffer.read()
    if content.startswith(MAGIC):
        raise UsageError("the standard input is packed by gzip: give the file's name, or unpack it with gzip -dc.")
    return Text("standard input", tuple(decoded(content, "the standard input")))
