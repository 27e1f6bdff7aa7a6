"""A user's own data as tasks: text from files, and tunes from a folder of MIDI files."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import torch
from annotated_types import Interval
from numpy.typing import NDArray

from bench.api import SequenceSpec, Size, TrainingData
from bench.data.corpus_files import LONGEST, Splits, file_hash, read_splits
from bench.data.midi import STEPS, folder_hash, read_tunes
from bench.data.places import coordinates, read_places
from bench.data.reading import layout, read_lines
from bench.data.splits import SPLITS
from bench.errors import UsageError
from bench.tasks.base import TaskData
from bench.tasks.vocabulary import WordVocabulary

PUNCTUATION = ".,;:!?"
NEVER_SEEN = 0.15
"""Share of the words of a held-out split that training lacks, from which on it is pointed out; the most that a corpus
that ships has is 0.05."""
SHORT, UNKNOWN = 0.5, 0.5
"""The same for the share of sequences of one token, and for the share of ``<unk>``."""


@dataclass(frozen=True, slots=True)
class Text:
    """Your own text: one sequence per line of a text file, or per row of a CSV, TSV or JSON-lines file.

    Words are separated by white space: to separate punctuation from words, tokenize the text first. Case is kept. At
    level char a word is a character; a space is one, too, written ▁. At level smiles a line is a molecule, and a word
    is a token of its SMILES, :mod:`bench.data.smiles`. Words seen less than ``min_count`` times in training are
    ``<unk>``; ``<eos>`` ends each sequence and fills the positions after it. T is the length of the longest kept
    sequence of the three splits, with its end mark.

    Left out and counted are blank lines, lines longer than ``max_len``, and training lines that also occur in the
    validation or the test split. Where no file is given for one of these splits, a tenth of the training lines is
    taken, chosen by a hash of the line: the same lines each time, and equal lines together.
    """

    train: str = field(default="", metadata={"path": True})
    """The file: plain text, .csv, .tsv or .jsonl; gzip may have packed it."""
    valid: str = field(default="", metadata={"path": True})
    """A file for validation; by default a tenth of the training lines."""
    test: str = field(default="", metadata={"path": True})
    """A file that is held out; by default a tenth of the training lines."""
    column: str = ""
    """Which column, or key, holds the text; by default the only one, or "text"."""
    level: Literal["word", "char", "smiles"] = "word"
    """What a word of the task is."""
    max_len: Annotated[int, Interval(ge=1, le=LONGEST)] = 40
    """Longer lines are left out."""
    min_count: Size = 3
    """Words seen less often in training become <unk>."""
    max_lines: Size = 1_000_000
    """From a longer file, this many lines are drawn at random, the same ones each time."""
    places: str = field(default="", metadata={"path": True})
    """A CSV file with the columns code, latitude and longitude, where words are places."""

    version: ClassVar[str] = "1"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}

    def __post_init__(self) -> None:
        if self.places and self.level != "word":
            raise ValueError(f"places= goes with level=word, got level={self.level}")

    def fingerprint(self) -> str:
        """The files' content, how they are read, and the parameters; not the files' paths."""
        if not self.train:
            raise UsageError("task 'text' needs a file: text:FILE.")
        files = {}
        for split, path in self._files().items():
            read_lines(path, self.column or None)  # refuses at once what is not text
            files[split] = [file_hash(path), layout(path)]
        fields = {name: value for name, value in asdict(self).items() if name not in (*SPLITS, "places")}
        if self.places:
            read_places(Path(self.places))
            fields["places"] = file_hash(Path(self.places))
        return json.dumps({"files": files, **fields}, sort_keys=True)

    def load(self) -> TaskData:
        """Read the files; the vocabulary is the training split's."""
        return self._read()[0]

    def report(self) -> tuple[str, ...]:
        """What was read, left out and kept, and what to look at, a line each; reads the files like :meth:`load`."""
        return _report(self, self.fingerprint())

    def _read(self) -> tuple[TaskData, tuple[str, ...]]:
        self.fingerprint()
        splits = read_splits(self._files(), self.level, self.max_len, self.max_lines, self.column or None)
        kind, level = {
            "word": ("words", "word"),
            "char": ("characters", "char+space"),
            "smiles": ("molecules", "smiles"),
        }[self.level]
        tokenizer = f"{level},min_count={self.min_count},max_len={self.max_len}"
        if not self.places:
            return _task_data(splits, self.min_count, True, kind, tokenizer)
        data, notes = _task_data(splits, self.min_count, True, "places", tokenizer)
        return _located(data, notes, Path(self.places))

    def _files(self) -> dict[str, Path]:
        return {split: Path(name) for split in SPLITS if (name := getattr(self, split))}


@dataclass(frozen=True, slots=True)
class Midi:
    """Your own tunes: windows of 32 pitches from a folder of MIDI files.

    A tune is its melody on a grid, see :mod:`bench.data.midi`; a word is a piano key from 1 to 88, or 0 for a rest. All
    windows of a tune are in one split, a tenth of the tunes in validation and another in test, chosen by a hash of the
    tune; training windows that also occur in another split are removed.
    """

    folder: str = field(default="", metadata={"path": True})
    """The folder; its sub-folders are searched, too."""
    min_count: Size = 1
    """Pitches seen less often in training become <unk>."""

    version: ClassVar[str] = "2"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}

    def fingerprint(self) -> str:
        """The files' content, and the parameters; not the files' paths."""
        if not self.folder:
            raise UsageError("task 'midi' needs a folder: midi:FOLDER.")
        return json.dumps({"files": folder_hash(Path(self.folder)), "min_count": self.min_count}, sort_keys=True)

    def load(self) -> TaskData:
        """Read the files; the vocabulary is the training split's."""
        return self._read()[0]

    def report(self) -> tuple[str, ...]:
        """What was read, left out and kept, a line each; reads the files like :meth:`load`."""
        return _report(self, self.fingerprint())

    def _read(self) -> tuple[TaskData, tuple[str, ...]]:
        splits = read_tunes(Path(self.folder))
        tokenizer = f"pitch,steps={STEPS},min_count={self.min_count}"
        return _task_data(splits, self.min_count, False, "pitches", tokenizer)


@lru_cache(maxsize=16)
def _report(task: Text | Midi, fingerprint: str) -> tuple[str, ...]:
    return task._read()[1]


def _task_data(
    splits: Splits, min_count: int, ends: bool, kind: str, tokenizer: str
) -> tuple[TaskData, tuple[str, ...]]:
    """Replace words by ids and sequences by padded rows, and describe the result, a line each."""
    counts = {split: np.bincount(part.tokens, minlength=len(splits.words)) for split, part in splits.parts.items()}
    seen = Counter({word: count for word, count in zip(splits.words, counts["train"].tolist(), strict=True) if count})
    vocabulary = WordVocabulary.of_counts(seen, min_count, ends, kind)
    size, written = len(vocabulary.words), len(vocabulary.words) - 1 - ends
    if not written:
        raise UsageError(f"no word is seen {min_count} times in training: lower min_count.")
    ids = np.array([vocabulary.ids.get(word, vocabulary.unk) for word in splits.words], np.int64)
    length = max(int(part.lengths.max()) for part in splits.parts.values()) + ends
    spec = SequenceSpec(size, length, bos=size, eos=vocabulary.eos, pad=vocabulary.eos, kind=kind)
    end = vocabulary.unk if vocabulary.eos is None else vocabulary.eos
    train, valid, test = (torch.from_numpy(splits.parts[split].padded(ids, length, end)) for split in SPLITS)
    remarks = (*splits.remarks, *_degenerate(splits, counts, ids == vocabulary.unk))
    data = TaskData(TrainingData(spec, train, valid, vocabulary), test, None, tokenizer, remarks)
    counted = "tokens" if kind == "molecules" else kind
    unknown = ", ".join(f"{n[ids == vocabulary.unk].sum() / n.sum():.1%} of {split}" for split, n in counts.items())
    notes = [
        *splits.notes,
        f"vocabulary: {written:,} {counted} seen at least {min_count} times in training; <unk> is {unknown}",
        f"longest sequence: {length - ends}",
    ]
    notes += [f"look: {remark}" for remark in remarks]
    glued = [word for word in splits.words if len(word) > 1 and word[-1] in PUNCTUATION]
    share = sum(seen[word] for word in glued) / seen.total()
    if kind == "words" and share > 0.02:
        notes.append(
            f"look: {share:.1%} of the words end in punctuation, such as '{glued[0]}': tokenize the text first"
        )
    notes.append(f"first of train: {vocabulary.decode(train[:1])[0]}")
    return data, tuple(notes)


def _located(data: TaskData, notes: tuple[str, ...], path: Path) -> tuple[TaskData, tuple[str, ...]]:
    """The data with coordinates for their words, and one note more."""
    words = data.training.vocabulary.words if data.training.vocabulary else ()
    found = coordinates(words, read_places(path))
    known = np.isfinite(found[:, 0])
    if not known.any():
        raise UsageError(f"no word of the task is a place of '{path}': expected its words in the column 'code'.")
    eos = data.training.spec.eos
    strangers = [word for at, word in enumerate(words) if not known[at] and at not in (0, eos)]
    note = f"places: {known.sum():,} words have coordinates"
    if strangers:
        note += f"; look: {len(strangers):,} have none, such as '{strangers[0]}', and trips with them are unplaced"
    vocabulary = WordVocabulary(words, eos, "places", None, found)
    return replace(data, training=replace(data.training, vocabulary=vocabulary)), (*notes, note)


def _degenerate(splits: Splits, counts: dict[str, NDArray[np.int64]], unknown: NDArray[np.bool_]) -> Iterator[str]:
    """What makes scores on these data meaningless, or nearly so.

    Args:
        splits: The data.
        counts: Split to the number of occurrences of each word.
        unknown: bool, (all words,): which are ``<unk>``.
    """
    for split, n in counts.items():
        lost = n[unknown].sum() / n.sum()
        if lost >= UNKNOWN:
            part_of = "every word" if lost == 1 else f"{lost:.0%} of the words"
            yield f"{part_of} of {split} became <unk>, which matches nothing: give more text, or lower min_count"
    for split, n in counts.items():
        strange = n[counts["train"] == 0].sum() / n.sum()
        if strange >= NEVER_SEEN:
            yield (
                f"{strange:.0%} of the words of {split} never occur in training, so no model can write them: take all "
                "splits from the same text"
            )
    for split, part in splits.parts.items():
        starts = np.cumsum(part.lengths) - part.lengths
        alike = np.minimum.reduceat(part.tokens, starts) == np.maximum.reduceat(part.tokens, starts)
        if (share := float(alike.mean())) >= SHORT:
            yield (
                f"{share:.0%} of the sequences of {split} have only one different token, and no order to learn: put a "
                "sentence on a line"
            )
