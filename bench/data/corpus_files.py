"""A user's files as a corpus: read in passes, never all at once; cleaned, split, and counted.

The first pass keeps ten bytes per line, a hash of its words and their number: enough to decide which lines are kept and
in which split. The second pass replaces the words of the kept lines by numbers. Whatever is left out is counted.
"""

from __future__ import annotations

import hashlib
from array import array
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.data import smiles
from bench.data.marks import foreign_mark, marks_note
from bench.data.notation import SPACE
from bench.data.reading import read_lines, remarks
from bench.data.splits import SPLITS
from bench.errors import UsageError

__all__ = ["LEVELS", "LONGEST", "SPLITS", "Sequences", "Splits", "file_hash", "read_splits", "remove_crossing"]

LEVELS: Mapping[str, Callable[[list[str]], Sequence[str]]] = {
    "word": lambda words: words,
    "char": SPACE.join,
    "smiles": smiles.words,
}
"""From the words between white space to tokens: the words, characters with a symbol for the space between words, or the
tokens of a molecule."""
FEWEST = 100
"""Lines of all splits together, at least."""
FEWEST_DIFFERENT = 2
"""Different lines that each split must have."""
MOST_RECORDS = 10**8
MOST_POSITIONS = 2 * 10**8
"""Lines times the length of the longest: 1.6 GB of tokens."""
MOST_TOO_LONG = 0.5
"""Share of the lines of a file that may be too long."""
FOLDS, VALID_FOLD, TEST_FOLD = 10, 0, 1
LONGEST = 10_000
"""The largest ``max_len``."""
LONGEST_COUNTED = np.iinfo(np.uint16).max
LEFT_OUT = len(SPLITS)

Keys = NDArray[np.uint64]
SplitIndices = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Sequences:
    """Sequences of any lengths.

    Attributes:
        tokens: int32, (all tokens,), one sequence after the other; indices into :attr:`Splits.words`.
        lengths: int64, (N,), all above 0.
    """

    tokens: NDArray[np.int32]
    lengths: NDArray[np.int64]

    def padded(self, ids: NDArray[np.int64], length: int, end: int) -> NDArray[np.int64]:
        """Padded rows, int64 (N, T), in a random but fixed order: any prefix is a sample, any batch is mixed.

        Args:
            ids: int64, (all words,): what to write for each token.
            length: T, at least the length of the longest sequence.
            end: Id that fills the positions after a sequence.
        """
        rows = np.full((len(self.lengths), length), end, dtype=np.int64)
        rows[np.arange(length) < self.lengths[:, None]] = ids[self.tokens]
        return rows[np.random.RandomState(0).permutation(len(rows))]


@dataclass(frozen=True, slots=True)
class Splits:
    """A corpus.

    Attributes:
        words: Every different word, in the order of their first occurrences.
        parts: The sequences of train, valid and test.
        notes: What was read, left out and kept, a line each.
        remarks: What looks like a mistake in the files, a line each.
    """

    words: list[str]
    parts: Mapping[str, Sequences]
    notes: tuple[str, ...]
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Survey:
    """What the first pass keeps of a file.

    Attributes:
        path: The file.
        lengths: uint16, (records,); 0 for a blank one.
        kept: int64, (N,): indices of the records that are neither blank, nor too long, nor left out of a sample.
        keys: uint64, (N,): the last 64 bits of the sha-256 of their words.
        remarks: What looks like a mistake in the file, a line each.
    """

    path: Path
    lengths: NDArray[np.uint16]
    kept: NDArray[np.int64]
    keys: Keys
    remarks: tuple[str, ...]


def read_splits(files: Mapping[str, Path], level: str, max_len: int, max_lines: int, column: str | None) -> Splits:
    """Read a corpus from one to three files.

    Where the validation or the test split has no file of its own, a tenth of the lines of ``train`` becomes that split:
    the last 64 bits of a line's sha-256, modulo ten, decide (0 valid, 1 test), so that equal lines stay together. (The
    first bits already split the corpora that ship: by them, their training files would have no test lines.) Lines of
    train and valid that also occur in test are removed, and lines of train that also occur in valid. Lines that occur
    more than once within train stay: they are what the text is like.

    Args:
        files: "train", and perhaps "valid" and "test".
        level: One of :data:`LEVELS`.
        max_len: Longer lines are left out: a truncated sentence is not a sentence.
        max_lines: From a longer file, this many lines are drawn at random, the same ones each time.
        column: Column of a CSV, TSV or JSON-lines file; None for the only one.

    Raises:
        UsageError: for a file that cannot be read, too few lines, or too many that are too long.
    """
    surveys = {split: _survey(path, level, max_len, max_lines, column) for split, path in files.items()}
    indices = {split: np.full(len(survey.keys), SPLITS.index(split), np.uint8) for split, survey in surveys.items()}
    fold = surveys["train"].keys % np.uint64(FOLDS)
    made = [split for split in SPLITS if split not in files]
    for split in made:
        indices["train"][fold == (VALID_FOLD if split == "valid" else TEST_FOLD)] = SPLITS.index(split)
    everything = np.concatenate([survey.keys for survey in surveys.values()])
    try:
        everywhere, kept = remove_crossing(everything, np.concatenate(list(indices.values())))
    except UsageError as error:
        raise UsageError(f"too little in {' and '.join(f'{path}' for path in files.values())}: {error}") from error
    ends = np.cumsum([len(survey.keys) for survey in surveys.values()])[:-1]
    ids: defaultdict[str, int] = defaultdict()
    ids.default_factory = ids.__len__
    found: dict[str, list[Sequences]] = {split: [] for split in SPLITS}
    for survey, part in zip(surveys.values(), np.split(everywhere, ends), strict=True):
        for split, sequences in _number(survey, part, level, column, ids).items():
            found[split].append(sequences)
    rule = f"a tenth of train each for {' and '.join(made)}, by a hash of the line" if made else "as given"
    notes = (*(_account(survey, max_len) for survey in surveys.values()), f"splits: {rule}", *kept)
    looks = tuple(remark for survey in surveys.values() for remark in survey.remarks)
    return Splits(list(ids), {split: _joined(parts) for split, parts in found.items()}, notes, looks)


def remove_crossing(keys: Keys, indices: SplitIndices, noun: str = "line") -> tuple[SplitIndices, list[str]]:
    """Leave out sequences that also occur in a later split, and report what is left.

    Args:
        keys: uint64, (N,): equal for equal sequences.
        indices: uint8, (N,): the split of each sequence, 0 for train, 1 for valid, 2 for test.
        noun: The word for a sequence in messages.

    Returns:
        The indices, 3 where a sequence is left out, and notes.

    Raises:
        UsageError: when too little is left.
    """
    train, valid, test = (indices == index for index in range(len(SPLITS)))
    in_test = np.isin(keys, keys[test])
    removed_train, removed_valid = train & (in_test | np.isin(keys, keys[valid])), valid & in_test
    indices = np.where(removed_train | removed_valid, np.uint8(LEFT_OUT), indices)
    counts = [int((indices == index).sum()) for index in range(len(SPLITS))]
    crossing = f"{removed_train.sum():,} of train and {removed_valid.sum():,} of valid that also occur in a later split"
    left = ", ".join(f"{count:,} {split}" for split, count in zip(SPLITS, counts, strict=True))
    different = [len(np.unique(keys[indices == index])) for index in range(len(SPLITS))]
    if sum(counts) < FEWEST or min(different) < FEWEST_DIFFERENT:
        unlike = ", ".join(f"{count:,}" for count in different)
        raise UsageError(
            f"expected at least {FEWEST} {noun}s in all and {FEWEST_DIFFERENT} different ones in each split, got {left}"
            f", of them different {unlike}; left out, as a later split has them: {removed_train.sum():,} of train, "
            f"{removed_valid.sum():,} of valid."
        )
    kept = keys[indices == 0]
    repeated = len(kept) - len(np.unique(kept))
    notes = [f"removed: {crossing}", f"kept: {left}"]
    return indices, notes + ([f"repeated: {repeated:,} of train occur there more than once"] if repeated else [])


def file_hash(path: Path) -> str:
    """Sha-256 of a file's bytes, read again only when its size or modification time has changed.

    Raises:
        UsageError: for a file that cannot be read.
    """
    try:
        state = path.stat()
        return _file_hash(path, state.st_size, state.st_mtime_ns)
    except OSError as error:
        raise UsageError(f"cannot read '{path}': {error.strerror}.") from error


@lru_cache(maxsize=10_000)
def _file_hash(path: Path, size: int, changed: int) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(2**20):
            digest.update(chunk)
    return digest.hexdigest()


def _survey(path: Path, level: str, max_len: int, max_lines: int, column: str | None) -> Survey:
    """The first pass over a file."""
    words_of = LEVELS[level]
    counted, digests = array("H"), bytearray()
    marks: Counter[str] = Counter()
    spelled = named = 0
    for line in read_lines(path, column):
        words = line.split()
        if level == "smiles":
            named += smiles.has_more(words)
            words = smiles.words(words)  # a molecule is the same, whether its tokens are written together or not
        if mark := foreign_mark(line):
            marks[mark] += 1
        spelled += level == "char" and SPACE in words
        length = len(words_of(words))
        counted.append(min(length, LONGEST_COUNTED))
        if 0 < length <= max_len:
            digests += hashlib.sha256(" ".join(words).encode()).digest()[-8:]
        if len(counted) > MOST_RECORDS:
            raise UsageError(f"'{path}' has over {MOST_RECORDS:,} lines: use only a part of it.")
    lengths, keys = np.array(counted, np.uint16), np.frombuffer(digests, ">u8").astype(np.uint64)
    written = lengths[lengths > 0]
    if not len(written):
        raise UsageError(f"'{path}' has no text: expected one sequence a line, got {len(lengths):,} blank lines.")
    too_long = int((written > max_len).sum())
    if too_long > MOST_TOO_LONG * len(written):
        enough = int(np.quantile(written, 0.95, method="higher"))
        advice = (
            f"max_len={enough} would keep 95 %" if enough <= LONGEST else "expected one sentence a line, not documents"
        )
        raise UsageError(
            f"{too_long:,} of the {len(written):,} lines of '{path}' are longer than max_len={max_len}: {advice}."
        )
    kept = np.flatnonzero((lengths > 0) & (lengths <= max_len))
    if len(kept) > max_lines:
        drawn = np.sort(np.random.RandomState(0).permutation(len(kept))[:max_lines])
        kept, keys = kept[drawn], keys[drawn]
    longest = int(lengths[kept].max())
    if len(kept) * longest > MOST_POSITIONS:
        raise UsageError(
            f"{len(kept):,} lines of '{path}' of up to {longest:,} words need too much memory: lower max_len or "
            f"max_lines until their product is at most {MOST_POSITIONS:,}."
        )
    looks = list(remarks(path, column))
    if marks:
        looks.append(marks_note(path.name, marks))
    if spelled:
        looks.append(
            f"{path.name}: {spelled:,} lines are written character by character, with {SPACE} for a space: level=word "
            "reads them as their characters"
        )
    if named:
        looks.append(
            f"{path.name}: {named:,} lines have more than a molecule, such as its name, which is read as a part of it: "
            "expected one SMILES a line, or a table with column="
        )
    return Survey(path, lengths, kept, keys, tuple(looks))


def _account(survey: Survey, max_len: int) -> str:
    """A note on how many of a file's lines were read and left out."""
    records, blank = len(survey.lengths), int((survey.lengths == 0).sum())
    too_long = int((survey.lengths > max_len).sum())
    undrawn = records - blank - too_long - len(survey.kept)
    sample = f"; of the others a random sample of {len(survey.kept):,}" if undrawn else ""
    return f"{survey.path.name}: {records:,} lines, {blank:,} blank, {too_long:,} longer than {max_len}{sample}"


def _number(
    survey: Survey, indices: SplitIndices, level: str, column: str | None, ids: defaultdict[str, int]
) -> dict[str, Sequences]:
    """The second pass over a file: the words of the lines that are kept, by split."""
    words_of, number, tokens = LEVELS[level], ids.__getitem__, array("i")
    chosen = indices != LEFT_OUT
    records, indices = survey.kept[chosen], indices[chosen]
    wanted = np.zeros(len(survey.lengths), bool)
    wanted[records] = True
    lengths = survey.lengths[records].astype(np.int64)
    changed = UsageError(f"'{survey.path}' changed while it was read: start again.")
    try:
        for line, is_wanted in zip(read_lines(survey.path, column), wanted.tobytes(), strict=True):
            if is_wanted:
                tokens.extend(map(number, words_of(line.split())))
    except ValueError as error:
        raise changed from error
    if len(tokens) != lengths.sum():
        raise changed
    found, by_token = np.array(tokens, np.int32), np.repeat(indices, lengths)
    return {split: Sequences(found[by_token == index], lengths[indices == index]) for index, split in enumerate(SPLITS)}


def _joined(parts: list[Sequences]) -> Sequences:
    return Sequences(*(np.concatenate([getattr(part, name) for part in parts]) for name in ("tokens", "lengths")))
