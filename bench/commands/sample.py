"""``bench sample``: sequences from a finished run."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from bench.commands.options import Command
from bench.commands.output import say
from bench.errors import UsageError
from bench.visible import visible

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.records.store import Store

ENDINGS = {".txt": "lines", ".abc": "abc", ".mid": "midi", ".midi": "midi", ".jsonl": "jsonl"}
"""Ending of a file's name to the format written to it."""
MOST_SEQUENCES = 10_000_000
"""At a time, since all of them are in memory."""
FORMS = ("text", "lines", "abc", "midi", "jsonl")


@click.command(cls=Command)
@click.argument("run_id", required=False)
@click.option("-n", "--number", default=10, show_default=True, help="How many sequences.")
@click.option("--temperature", default=1.0, show_default=True, help="Logits are divided by it.")
@click.option("--top-k", type=int, help="Only the k most probable words at each position.")
@click.option("--top-p", type=float, help="Only the most probable words that together have this probability.")
@click.option("--seed", default=0, show_default=True, help="Another number draws other sequences.")
@click.option("--output", type=click.Path(path_type=Path), help="A file to write: .txt, .abc, .mid or .jsonl.")
@click.option("--format", "form", type=click.Choice(FORMS),
              help="By default that of the file's ending, or text on the terminal.")  # fmt: skip
@click.option("--results", default="results", show_default=True, type=click.Path(path_type=Path),
              help="Results folder of the run.")  # fmt: skip
@click.option("--device", type=click.Choice(["cpu", "cuda"]), default="cpu", show_default=True, help="Where to draw.")
def sample(
    run_id: str | None,
    number: int,
    temperature: float,
    top_k: int | None,
    top_p: float | None,
    seed: int,
    output: Path | None,
    form: str | None,
    results: Path,
    device: str,
) -> None:
    """Draw sequences from the model of the finished run RUN_ID; without RUN_ID, list the finished runs.

    RUN_ID is a run's id, its first four digits or more, or the path of its record. The sequences are drawn from the
    model at its last step; nothing is trained. The same command gives the same sequences. A record names code that is
    imported: only use records whose source you trust.

    Formats: "text", for people: poems line by line, sentences with normal punctuation, tunes as ABC. "lines", the
    format of a .txt file: one sequence per line, words separated by spaces, as in the corpora and as "bench score
    --tokenizer space" reads it; a space that is itself a word is written ▁. "jsonl": per sequence its line of "lines"
    as "text", and its "ids". For tunes only: "abc", a book of tunes, and "midi", all tunes in one file.
    """
    from bench.records.store import Store

    if run_id is None:
        context = click.get_current_context()
        for option in context.command.params:
            if option.name not in ("run_id", "results") and (
                context.get_parameter_source(str(option.name)) is not ParameterSource.DEFAULT
            ):
                raise UsageError(f"{option.opts[-1]} needs a RUN_ID; without one, the finished runs are listed.")
        _list(Store(results))
        return
    if not 1 <= number <= MOST_SEQUENCES:
        raise UsageError(f"expected -n from 1 to {MOST_SEQUENCES}, got {number}.")
    form = _form(form, output)

    from bench.api import Decoding
    from bench.runs.restore import find_run, restore

    if temperature == 0:
        raise UsageError("expected a temperature above 0, got 0: --top-k 1 takes the most probable word each time.")
    try:
        decoding = Decoding(temperature, top_k, top_p)
    except ValueError as error:
        raise UsageError(f"{error}.") from error
    record, store = find_run(run_id, results)
    if device == "cuda":
        import torch

        if not torch.cuda.is_available():
            raise UsageError("expected a CUDA device for --device cuda, but torch finds none; use --device cpu.")
    restored = restore(record, store.checkpoints, device)
    spec, data = record.spec, restored.data
    tokens = restored.draw(number, decoding, seed)
    title = f"{spec.label} on {spec.task_label}, seed {spec.seed}, run {spec.run_id}"
    verse = getattr(data.vocabulary, "verse", None)
    content = render(form, restored.spell(tokens), tokens.tolist(), data.training.spec.kind, verse, title)
    how = [f"temperature {temperature:g}"] if temperature != 1 else []
    how += [f"top-k {top_k}"] if top_k else []
    how += [f"top-p {top_p:g}"] if top_p else []
    how += [f"draw {seed}"] if seed else []
    note = ", ".join([title, *how, *(["fitted again, as it keeps no state"] if restored.refitted else [])])
    if output is None:
        say(note, err=True)
        # A pipe or a file gets what was drawn; a terminal would obey some of it.
        click.echo(visible(content) if isinstance(content, str) and sys.stdout.isatty() else content, nl=False)
        return
    from bench.records.files import write_atomically

    try:
        write_atomically(output, content)
    except OSError as error:
        raise UsageError(f"cannot write '{output}': {error.strerror}; choose another --output.") from error
    say(f"{output}: {number} sequences of {note}")


def render(
    form: str,
    sequences: Sequence[Sequence[str]],
    ids: Sequence[Sequence[int]],
    kind: str,
    verse: int | None,
    title: str,
) -> str | bytes:
    """The sequences in one of the formats.

    Args:
        form: One of :data:`FORMS`.
        sequences: The symbols of each sequence.
        ids: The ids of each sequence.
        kind: What the symbols are.
        verse: Words per line of verse, None for what is not verse.
        title: The title of tunes.

    Raises:
        UsageError: for a format of tunes, if the sequences are not tunes.
    """
    import json

    from bench.data import notation

    if form in ("abc", "midi") and kind not in notation.TUNES:
        raise UsageError(f"{form} is for tunes, and the words of this task are {kind}; use text, lines or jsonl.")
    if form == "midi":
        return notation.midi([notation.tune(words, kind) for words in sequences])
    if form == "jsonl":
        records = ({"text": " ".join(words), "ids": row} for words, row in zip(sequences, ids, strict=True))
        return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
    if form == "lines":
        return "".join(" ".join(words) + "\n" for words in sequences)
    texts = [notation.reading(words, kind, verse, number, title) for number, words in enumerate(sequences, 1)]
    return "\n".join(texts).rstrip("\n") + "\n"


def _form(form: str | None, output: Path | None) -> str:
    """The requested format, or that of the file's ending.

    Raises:
        UsageError: for an unknown ending, and for MIDI without a file.
    """
    if output is None:
        if form == "midi":
            raise UsageError("MIDI is for a file: name it with --output TUNES.mid.")
        return form or "text"
    if form is None and output.suffix.lower() not in ENDINGS:
        raise UsageError(
            f"expected an --output that ends in {', '.join(ENDINGS)}, got '{output}'; or choose a --format."
        )
    return form or ENDINGS[output.suffix.lower()]


def _list(store: Store) -> None:
    """The runs that can be sampled from."""
    from bench.commands.progress import warn_of
    from bench.reports.terminal import Screen

    store.require()
    records, unreadable = store.scan()
    warn_of(Screen(stderr=True), unreadable)
    runs = [record.spec for record in records if record.status == "ok"]
    for spec in sorted(runs, key=lambda spec: (spec.task_label, spec.preset_label, spec.label, spec.seed)):
        say(f"{spec.run_id}  {spec.task_label}, {spec.preset_label}: {spec.label}, seed {spec.seed}")
    if not runs:
        say(f"No run in '{store.path}' is finished.")
