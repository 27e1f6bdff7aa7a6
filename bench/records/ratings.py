"""What people said of generated and real texts: the key of a rating sheet, the answers, and the ratings of a folder.

A sheet is a page that shows texts and not where they are from. Its key, which stays with the experimenter, says that.
Answers come back as one CSV file for each rater. What they amount to is kept in ``ratings/SHEET.json`` of a results
folder, as one score for each rated run: records are what runs did, and are not changed afterwards.
"""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import io
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.errors import UsageError
from bench.records.files import write_atomically
from bench.records.record import Score, checksum

__all__ = [
    "ANSWERS",
    "COLUMNS",
    "HUMAN",
    "MACHINE",
    "PAPER",
    "SKIP",
    "Answers",
    "Draw",
    "Item",
    "Key",
    "Rated",
    "Source",
    "answers_of",
    "key_from_json",
    "key_to_json",
    "load",
    "make_key",
    "sheets_of",
    "write",
]

HUMAN, MACHINE, SKIP = ANSWERS = ("human", "machine", "skip")
"""What a rater can say of a text; the last one only where the sheet offers it."""
COLUMNS = ("sheet", "item", "answer", "rater", "seconds")
"""Columns of a file of answers."""
PAPER = 20
"""Texts of each source in the paper's protocol, in which each text must be judged (Yu et al. 2017, table 2)."""
KEY = {"format": "seqgan-bench rating key", "version": 1}
RATINGS = {"format": "seqgan-bench ratings", "version": 1}
LETTERS = "abcdefghijkmnopq"
"""Sixteen of them, as digits of ids: a spreadsheet takes 12e45 for a number, and l for 1."""
LONGEST_NAME = 60
"""Most characters of a rater's name; the page does not let them write more."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where texts of a sheet are from: a run, or the held-out split.

    Attributes:
        name: What tables call it; the runs of one model, one for each seed, share it.
        run: Id of the run; of real texts, that of the run that scores the real data, "" where there is none.
        model: The model's label.
        seed: The run's seed.
        real: Whether these are the real texts.
    """

    name: str
    run: str
    model: str
    seed: int
    real: bool = False


@dataclass(frozen=True, slots=True)
class Draw:
    """A text that was drawn for a sheet.

    Attributes:
        source: Position among the sheet's sources.
        text: As raters see it.
        copied: Whether it is in the training split, word for word.
        notes: Of a tune, MIDI pitch (None for a rest) and sixteenths of each note; else empty.
    """

    source: int
    text: str
    copied: bool
    notes: tuple[tuple[int | None, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Item:
    """A text of a sheet, shown once, however often it was drawn.

    Attributes:
        id: Its name in the page and in the answers, which says nothing of where it is from.
        text: As raters see it.
        copied: Whether it is in the training split, word for word.
        sources: Position of the source of each of its draws: several for a text that was drawn several times.
        notes: As in :class:`Draw`.
    """

    id: str
    text: str
    copied: bool
    sources: tuple[int, ...]
    notes: tuple[tuple[int | None, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Key:
    """All about a sheet, with what raters must not know.

    Attributes:
        task: Label of the task.
        preset: Label of the preset of its runs.
        data: Fingerprint of the task's data.
        n: Texts of each source.
        seed: The number that texts and order were drawn with.
        skip: Whether raters may leave a text unjudged.
        question: What they are asked.
        sources: Where its texts are from; the real ones first.
        items: Its texts, in the order of the page.
    """

    task: str
    preset: str
    data: str
    n: int
    seed: int
    skip: bool
    question: str
    sources: tuple[Source, ...]
    items: tuple[Item, ...]

    @property
    def protocol(self) -> str:
        """``paper``, or what is other than in the paper."""
        own = [f"{self.n} of each"] * (self.n != PAPER) + ["may skip"] * self.skip
        return ", ".join(own) or "paper"

    @property
    def shown(self) -> dict[str, Any]:
        """All that the page holds but its hash."""
        items = [
            {"id": item.id, "text": item.text, **({"notes": [list(note) for note in item.notes]} if item.notes else {})}
            for item in self.items
        ]
        return {"question": self.question, "skip": self.skip, "items": items}

    @property
    def sheet(self) -> str:
        """Ten letters that identify the sheet: a hash of all that the page shows."""
        return _letters(json.dumps(self.shown, sort_keys=True), 10)


def make_key(draws: Sequence[Draw], sources: Sequence[Source], seed: int, **about: Any) -> Key:
    """The key of a sheet with these texts, in an order and with ids that say nothing of where they are from.

    Texts that look the same are one item. The order is that of hashes which depend on the seed and on all draws with
    their sources: who has the page alone cannot compute it, though the seed may be 0.

    Args:
        draws: Texts of all sources.
        sources: Where they are from.
        seed: Another number gives another order.
        **about: The other fields of :class:`Key`.
    """
    drawn = [[draw.source, draw.text] for draw in draws]
    runs = [[source.name, source.run, source.seed] for source in sources]
    secret = hashlib.sha256(json.dumps([seed, runs, drawn]).encode()).hexdigest()
    merged: dict[str, list[Draw]] = {}
    for draw in draws:
        merged.setdefault(draw.text, []).append(draw)
    texts = sorted(merged, key=lambda text: hashlib.sha256(f"{secret}/order/{text}".encode()).digest())
    items = (
        Item(
            _letters(f"{secret}/id/{place}", 10),
            text,
            any(draw.copied for draw in merged[text]),
            tuple(draw.source for draw in merged[text]),
            merged[text][0].notes,
        )
        for place, text in enumerate(texts)
    )
    return Key(seed=seed, sources=tuple(sources), items=tuple(items), **about)


def key_to_json(key: Key) -> str:
    """The key as strict JSON with a checksum."""
    content = {**KEY, "sheet": key.sheet, "protocol": key.protocol, **dataclasses.asdict(key)}
    content["sha256"] = checksum(content)
    return json.dumps(content, indent=1, sort_keys=True, allow_nan=False, ensure_ascii=False) + "\n"


def key_from_json(text: str, name: str) -> Key:
    """The key back from :func:`key_to_json`'s text.

    Args:
        text: The content of the file.
        name: The file, for errors.

    Raises:
        UsageError: for a text that is not a key, or is not what was written.
    """
    content = _content(text, name, KEY, "the key of a rating sheet, as 'bench rate export' writes it")
    try:
        fields = {field.name: content[field.name] for field in dataclasses.fields(Key)}
        sources = tuple(Source(**source) for source in fields.pop("sources"))
        items = tuple(
            Item(**{**item, "sources": tuple(item["sources"]), "notes": tuple(map(tuple, item["notes"]))})
            for item in fields.pop("items")
        )
        key = Key(**fields, sources=sources, items=items)
        if key.sheet != content["sheet"] or any(not 0 <= at < len(sources) for item in items for at in item.sources):
            raise ValueError("its sheet is another one")
        return key
    except (TypeError, KeyError, ValueError) as error:
        raise UsageError(f"'{name}' is not the key of a rating sheet: {error}; export the sheet again.") from error


def _content(text: str, name: str, marked: Mapping[str, Any], what: str) -> dict[str, Any]:
    """An object of ours with a valid checksum.

    Raises:
        UsageError: otherwise.
    """
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict) or content.get("format") != marked["format"]:
        raise UsageError(f"expected {what}, got '{name}'.")
    if content.get("version") != marked["version"]:
        raise UsageError(
            f"'{name}' has version {content.get('version')}, and this program reads version {marked['version']}."
        )
    if content.get("sha256") != checksum(content):
        raise UsageError(f"the checksum of '{name}' does not match its content: it was changed; make it again.")
    return content


@dataclass(frozen=True, slots=True)
class Answers:
    """What one rater said.

    Attributes:
        rater: The name that the rater gave.
        file: Where the answers were.
        said: Item to one of :data:`ANSWERS`.
        seconds: Item to the time that it took, where that is known.
    """

    rater: str
    file: str
    said: Mapping[str, str]
    seconds: Mapping[str, float]


def answers_of(files: Iterable[tuple[str, bytes]], key: Key) -> tuple[list[Answers], list[str]]:
    """What the raters said, each once, by name, and notes on what was odd.

    A file with the beginning of another one's answers, as when a rater saves twice, is left out with a note.

    Args:
        files: Names and contents of CSV files, of one rater or several each; semicolons may stand for commas.
        key: The sheet that they are about.

    Raises:
        UsageError: for a file that is not one of answers, answers to another sheet, unknown items, two answers of one
            rater to one item, and two files of one rater that say different things.
    """
    found: dict[str, Answers] = {}
    notes: list[str] = []
    for name, content in files:
        for answers in _read(name, content, key):
            who = answers.rater.casefold()
            before = found.get(who)
            if before is not None:
                less, more = sorted((before, answers), key=lambda each: len(each.said))
                if not less.said.items() <= more.said.items():
                    raise UsageError(
                        f"'{before.file}' and '{answers.file}' both have answers of '{answers.rater}', which differ: "
                        "leave one of them out, or give two raters two names."
                    )
                notes.append(
                    f"'{less.file}' is left out: all its answers are in '{more.file}', of '{more.rater}', too."
                )
                answers = more  # noqa: PLW2901 - the one that counts
            found[who] = answers
    raters = [found[who] for who in sorted(found)]
    for each in raters:
        lacking = len(key.items) - len(each.said)
        if lacking:
            notes.append(f"'{each.rater}' left {lacking} of {len(key.items)} texts unanswered ('{each.file}').")
        said = set(each.said.values())
        if len(each.said) > 1 and len(said) == 1:
            notes.append(f"'{each.rater}' said '{said.pop()}' of every text ('{each.file}').")
    return raters, notes


def _read(name: str, content: bytes, key: Key) -> list[Answers]:
    """The answers in one file, by rater."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"expected UTF-8 in '{name}', got other bytes: save the answers again as CSV.") from error
    header = text.partition("\n")[0]
    delimiter = ";" if header.count(";") > header.count(",") else ","  # as spreadsheets write it in much of the world
    try:
        rows = list(csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True))
    except csv.Error as error:
        raise UsageError(f"'{name}' is not a table of answers: {error}; save the answers again.") from error
    needed = COLUMNS[:4]
    if not rows or any(column not in rows[0] for column in needed):
        what = "other columns" if rows else "no answers" if header.strip() else "an empty file"
        raise UsageError(f"expected the columns {', '.join(needed)} and an answer in '{name}', got {what}.")
    allowed = ANSWERS if key.skip else ANSWERS[:2]
    items = {item.id for item in key.items}
    found: dict[str, tuple[dict[str, str], dict[str, float]]] = {}
    for line, row in enumerate(rows, 2):
        values = {column: (row.get(column) or "").strip() for column in COLUMNS}
        where = f"'{name}', row {line}"
        if values["sheet"] != key.sheet:
            raise UsageError(
                f"{where}: expected answers to sheet {key.sheet}, got sheet '{values['sheet']}': use that sheet's key."
            )
        if values["item"] not in items:
            raise UsageError(f"{where}: there is no text '{values['item']}' on the sheet.")
        if values["answer"] not in allowed:
            raise UsageError(f"{where}: expected an answer of {', '.join(allowed)}, got '{values['answer']}'.")
        if not 0 < len(values["rater"]) <= LONGEST_NAME:
            raise UsageError(f"{where}: expected a rater's name of 1 to {LONGEST_NAME} characters.")
        said, seconds = found.setdefault(values["rater"], ({}, {}))
        if values["item"] in said:
            raise UsageError(f"{where}: '{values['rater']}' answers text '{values['item']}' for the second time.")
        said[values["item"]] = values["answer"]
        spent = _seconds(values["seconds"])
        if spent is not None:
            seconds[values["item"]] = spent
    return [Answers(rater, name, said, seconds) for rater, (said, seconds) in found.items()]


def sheets_of(content: bytes) -> set[str]:
    """The sheets that a file of answers names, as far as it can be read."""
    text = content.decode("utf-8-sig", "replace")
    rows = csv.reader(io.StringIO(text.replace(";", ","), newline=""))
    try:
        return {row[0].strip() for row in rows if row} - {COLUMNS[0]}
    except csv.Error:
        return set()


def _seconds(text: str) -> float | None:
    """A time; None for what is none, which harms nothing."""
    try:
        value = float(text.replace(",", "."))
    except ValueError:
        return None
    return value if math.isfinite(value) and value >= 0 else None


@dataclass(frozen=True, slots=True)
class Rated:
    """The ratings of one sheet, as a results folder keeps them.

    Attributes:
        sheet: The sheet.
        protocol: As in :class:`Key`.
        task: Label of the task.
        raters: Number of raters, who are not named.
        scores: Run id to score.
    """

    sheet: str
    protocol: str
    task: str
    raters: int
    scores: Mapping[str, Score]


def write(folder: Path, rated: Rated) -> Path:
    """Keep the ratings of a sheet, in place of earlier ones of it.

    Args:
        folder: ``ratings/`` of a results folder; it is made where it is missing.
        rated: What is kept.

    Returns:
        The file.

    Raises:
        OSError: where it cannot be written.
    """
    folder.mkdir(exist_ok=True)
    content = {**RATINGS, **dataclasses.asdict(rated)}
    content["sha256"] = checksum(content)
    file = folder / f"{rated.sheet}.json"
    write_atomically(file, json.dumps(content, indent=1, sort_keys=True, allow_nan=False, ensure_ascii=False) + "\n")
    return file


def load(folder: Path) -> tuple[dict[str, list[Score]], list[tuple[Path, str]]]:
    """All ratings of a results folder.

    Args:
        folder: Its ``ratings/``, which need not be there.

    Returns:
        Run id to its scores, one for each sheet; and files that cannot be read, each with what is wrong with it.
    """
    found: dict[str, list[Score]] = {}
    damaged: list[tuple[Path, str]] = []
    for file in sorted(folder.glob("[!.]*.json")):
        try:
            content = _content(file.read_text(encoding="utf-8"), file.name, RATINGS, "ratings")
            scores = {str(run): Score(**score) for run, score in content["scores"].items()}
        except OSError as error:
            damaged.append((file, error.strerror or str(error)))
        except (UsageError, ValueError, KeyError, TypeError, AttributeError) as error:
            reason = "it is not what 'bench rate read' wrote" if not isinstance(error, UsageError) else str(error)
            damaged.append((file, reason.rstrip(".")))
        else:
            for run, score in scores.items():
                found.setdefault(run, []).append(score)
    return found, damaged


def _letters(content: str, number: int) -> str:
    """So many letters of a hash."""
    return "".join(LETTERS[int(digit, 16)] for digit in hashlib.sha256(content.encode()).hexdigest()[:number])
