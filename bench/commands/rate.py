"""``bench rate``: a blind page on which people judge real and generated texts, and what their answers show."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench.commands.options import Command, labels
from bench.commands.output import say
from bench.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from bench.records.ratings import Key, Rated, Source

MOST = 500
"""Texts of each source: nobody judges more."""
ENDINGS = (".csv", ".md", ".json")
"""Files that results are written to."""
QUESTIONS = {"text": "Was this written by a human?", "tune": "Was this composed by a human?"}
PAPER_IS = "the paper's protocol has 20 texts of each source, all of which are judged"


@click.group()
def rate() -> None:
    """Let people judge texts: does it look as if a human wrote it?"""


@rate.command(cls=Command)
@click.argument("runs", nargs=-1, required=True, metavar="RUN...|FOLDER")
@click.option("-n", "--n", "number", type=int, help="Texts of each run, and real ones.  [default: 20]")
@click.option("--seed", default=0, show_default=True, help="Another number draws other texts in another order.")
@click.option("--output", required=True, type=click.Path(path_type=Path), help="The page to write: SHEET.html.")
@click.option("--task", help="Of a FOLDER, the task, by its name in the leaderboard.")
@click.option("--models", multiple=True, callback=labels, metavar="MODEL[,MODEL]",
              help="Of a FOLDER, these models, by their names in the leaderboard.")  # fmt: skip
@click.option("--seeds", default="0-0", show_default=True, help="Of a FOLDER, these seeds of each model.")
@click.option("--preset", help="Of a FOLDER, the preset, where it has several.")
@click.option("--results", default="results", show_default=True, type=click.Path(path_type=Path),
              help="Results folder of runs that are given by id.")  # fmt: skip
@click.option("--protocol", type=click.Choice(["paper"]), help="Insist on the paper's protocol, which is the default.")
@click.option("--skip", is_flag=True, help="Let raters leave a text unjudged; the paper did not.")
def export(
    runs: tuple[str, ...],
    number: int | None,
    seed: int,
    output: Path,
    task: str | None,
    models: tuple[str, ...],
    seeds: str,
    preset: str | None,
    results: Path,
    protocol: str | None,
    skip: bool,
) -> None:
    """Write a page on which people judge whether texts were written by humans, and its key beside it.

    RUN is a finished run, as in "bench sample"; or give a results FOLDER with --task and --models. From each run, N new
    sequences are drawn, and as many real ones from the held-out split. The page shows each once, in an order that is
    another one for each rater, and nothing in it says where a text is from. It is one file without a network: send it
    to raters. The key, SHEET.key.json, is not for them. "bench rate read" reads the files that they send back.
    """
    from bench.commands.sheet_texts import Choice, choose, draw
    from bench.records.ratings import PAPER, key_to_json, make_key
    from bench.reports import sheet

    if output.suffix.lower() not in (".html", ".htm"):
        raise UsageError(f"expected an --output that ends in .html, got '{output}'.")
    if not output.parent.is_dir():  # texts are drawn for minutes before it is written
        raise UsageError(f"cannot write '{output}': there is no folder '{output.parent}'; choose another --output.")
    if protocol is not None and (skip or number not in (None, PAPER)):
        raise UsageError(f"{PAPER_IS}: leave out --protocol, or {'--skip' if skip else '-n'}.")
    n = PAPER if number is None else number
    if not 1 <= n <= MOST:
        raise UsageError(f"expected -n from 1 to {MOST}, got {n}.")
    if not 0 <= seed < 2**63:
        raise UsageError(f"expected a --seed from 0, got {seed}.")
    chosen = choose(runs, results, Choice(task, models, seeds, preset))
    sources, draws, remarks = draw(chosen, n, seed)
    first = chosen[0][0].spec
    key = make_key(
        draws,
        sources,
        seed,
        task=first.task_label,
        preset=first.preset_label,
        data=first.data,
        n=n,
        skip=skip,
        question=QUESTIONS["tune" if any(each.notes for each in draws) else "text"],
    )
    key_file = _key_file(output)
    _keep_other(key_file, key_to_json(key))
    _write(key_file, key_to_json(key))
    _write(output, sheet.page(key))
    say(f"{output}: sheet {key.sheet}, {len(key.items)} texts on {key.task}: {n} of each of {_listed(sources)}.")
    say(f"{key_file}: where each is from; not for raters.")
    for note in _notes(key):
        say(note)
    for remark in remarks:
        say(remark)


def _key_file(output: Path) -> Path:
    return output.with_name(f"{output.stem}.key.json")


def _keep_other(file: Path, content: str) -> None:
    """Refuse to replace the key of another sheet, without which its answers say nothing."""
    if file.exists() and _bytes(file) != content.encode():
        raise UsageError(f"'{file}' is there already, and not of this sheet: choose another --output, or remove it.")


def _write(file: Path, content: str) -> None:
    from bench.records.files import write_atomically

    try:
        write_atomically(file, content)
    except OSError as error:
        raise UsageError(f"cannot write '{file}': {error.strerror}; choose another --output.") from error


def _listed(sources: Sequence[Source]) -> str:
    seeds = Counter(source.name for source in sources)
    names = [f"{name} ({count} seeds)" if count > 1 else name for name, count in seeds.items()]
    return f"{', '.join(names[:-1])} and {names[-1]}"


def _notes(key: Key) -> Iterable[str]:
    """What the experimenter should know about the texts."""
    names = [source.name for source in key.sources]
    several = [item for item in key.items if len(item.sources) > 1]
    if several:
        shared = sum(len({names[at] for at in item.sources}) > 1 for item in several)
        yield (
            f"{len(several)} texts were drawn more than once, {shared} of them from several sources: each is on the "
            "page once, and its answers count for each draw."
        )
    copies = Counter(name for item in key.items if item.copied for name in (names[at] for at in item.sources))
    for name, count in copies.items():
        yield f"{count} of the texts of {name} are in the training split word for word: those are real."


@rate.command(cls=Command)
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="ANSWERS...")
@click.option("--key", "key_file", type=click.Path(path_type=Path),
              help="The sheet's key; by default the one beside the answers.")  # fmt: skip
@click.option("--output", type=click.Path(path_type=Path), help="A file to write: .csv, .md or .json.")
@click.option("--results", type=click.Path(path_type=Path),
              help="The results folder of the runs: its leaderboard gets a column.")  # fmt: skip
def read(files: tuple[Path, ...], key_file: Path | None, output: Path | None, results: Path | None) -> None:
    """Read the ANSWERS of all raters to one sheet, files or folders of them, and say what they show.

    For each source: the share judged human, with Wilson's interval as if all answers were independent, and an interval
    for other raters and other texts; differences from the real texts and between models, with a test; and how far
    raters agree. Exit code 0, or 2 for answers that cannot be right, which are not read.
    """
    from bench.analysis.ratings import judgement, rated
    from bench.records.ratings import answers_of
    from bench.records.store import Store
    from bench.reports import markdown, terminal
    from bench.reports.pages import ratings as pages
    from bench.reports.terminal import Screen

    if output is not None and output.suffix.lower() not in ENDINGS:
        raise UsageError(f"expected an --output that ends in {', '.join(ENDINGS)}, got '{output}'.")
    if results is not None:
        Store(results).require()
    tables = _tables(files)
    if output is not None and output.resolve() in {table.resolve() for table in tables}:
        raise UsageError(f"'{output}' holds answers: choose another --output.")
    key = _key(key_file, tables)
    answers, notes = answers_of(((str(file), _bytes(file)) for file in tables), key)
    if not answers:
        raise UsageError(f"expected answers to sheet {key.sheet}, got none.")
    found = judgement(key, answers, notes)
    page = pages.page(found)
    Screen().print(terminal.render(page, padding=1))
    if output is not None:
        forms = {".csv": lambda: pages.as_csv(found), ".json": lambda: pages.as_json(found)}
        _write(output, forms.get(output.suffix.lower(), lambda: markdown.render(page))())
        say(f"Results: {output}")
    if results is not None:
        _keep(results, rated(found))


def _tables(files: Iterable[Path]) -> list[Path]:
    """The CSV files, each once; of folders all of theirs."""
    found: list[Path] = []
    for file in files:
        if file.is_dir():
            inside = sorted(each for each in file.iterdir() if each.suffix.lower() == ".csv" and each.is_file())
            if not inside:
                raise UsageError(f"there are no .csv files in '{file}'.")
            found += inside
        elif file.is_file():
            found.append(file)
        else:
            raise UsageError(f"there is no file '{file}'.")
    return list({each.resolve(): each for each in found}.values())


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read '{file}': {error.strerror}.") from error


def _key(file: Path | None, tables: Sequence[Path]) -> Key:
    """The key that was given, or the one beside the answers to its sheet."""
    from bench.records.ratings import key_from_json, sheets_of

    if file is not None:
        return key_from_json(_bytes(file).decode("utf-8", "replace"), str(file))
    wanted = {sheet for table in tables for sheet in sheets_of(_bytes(table))}
    beside = sorted({key for table in tables for folder in (table.parent, table.parent.parent)
                     for key in folder.glob("*.key.json")})  # fmt: skip
    keys = {}
    for each in beside:
        try:
            key = key_from_json(_bytes(each).decode("utf-8", "replace"), str(each))
        except UsageError:  # it may be that of something else
            continue
        keys[key.sheet] = key
    matching = [keys[sheet] for sheet in sorted(wanted) if sheet in keys]
    if len(matching) == 1:
        return matching[0]
    if len(matching) > 1:
        raise UsageError(f"expected answers to one sheet, got some to {', '.join(sorted(wanted))}: read them apart.")
    raise UsageError("the key of these answers is not beside them: name it with --key SHEET.key.json.")


def _keep(folder: Path, found: Rated) -> None:
    """Keep the ratings in a results folder, so that its leaderboard shows them."""
    from bench.records.ratings import write
    from bench.records.store import Store

    store = Store(folder)
    store.require()
    there = {record.spec.run_id for record in store.records()}
    lacking = [run for run in found.scores if run not in there]
    if lacking:
        raise UsageError(
            f"'{folder}' has no run {', '.join(lacking)}, which the sheet is about: name the folder of its runs."
        )
    try:
        file = write(store.ratings, found)
    except OSError as error:
        raise UsageError(f"cannot write to '{store.ratings}': {error.strerror}.") from error
    say(f"{file}: {len(found.scores)} runs rated; 'bench report {folder}' shows the column 'human'.")
