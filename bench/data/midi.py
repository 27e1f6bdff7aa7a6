"""A folder of MIDI files as windows of pitches, the encoding of the paper's music task (Yu et al. 2017, sec. 5.3).

One voice of each file is read: of all pairs of track and channel except drums, the one whose notes begin at the most
different times, and of two equal ones the higher. A chord counts once, so that an accompaniment of chords does not win
over a tune. The grid's step is the most frequent interval between the beginnings of its notes: a sixteenth, an eighth
or a quarter (a dotted eighth counts as a sixteenth). Notes begin and end at the nearest step and last at least one; the
highest that sounds is written, as a piano key from 1 to 88 (the MIDI number minus 20), or 0 for a rest. Steps are cut
into windows of 32 from the first note on. Windows with more than four rests, less than four different pitches, or a
note beyond the piano are left out. Held and repeated notes look the same; tempo and loudness are not read.

The paper sampled every 0.4 s instead; the folk-tune corpora, too, use steps of a note's length, which keep the beat.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.data.corpus_files import Sequences, Splits, file_hash, remove_crossing
from bench.data.midi_events import MOST_BYTES, Note, UnreadableMidi, read_notes
from bench.data.splits import SPLITS, split_of
from bench.errors import UsageError

__all__ = ["STEPS", "Tune", "folder_hash", "read_tune", "read_tunes"]

STEPS = 32
"""Steps of a window."""
LOWEST, HIGHEST = 21, 108
"""MIDI numbers of the piano's keys."""
MOST_RESTS, FEWEST_PITCHES = 4, 4
"""Limits for a window."""
STEP_LENGTHS = {1: 1, 2: 2, 3: 1, 4: 4}
"""Interval between notes to the step that shows it, both in sixteenths."""
LONGEST_TUNE = 100_000
"""Steps: more are hours of music, or a broken file."""
NAMED = 5
"""Files that a note mentions by name."""
ENDINGS = (".mid", ".midi")


def read_tunes(folder: Path) -> Splits:
    """Windows of pitches from all MIDI files below a folder, all windows of a tune in one split.

    A file that cannot be read, or has no window, is left out and counted; the notes name the first of them, and why.

    Raises:
        UsageError: for a folder without MIDI files, files of which none can be read, and too few windows.
    """
    files = _files(folder)
    texts: list[str] = []
    homes: list[str] = []
    unreadable: list[str] = []
    cut: list[str] = []
    unused = windows = 0
    for path in files:
        name = _shown(path.relative_to(folder))
        try:
            tune = read_tune(path)
        except UnreadableMidi as reason:
            unreadable.append(f"{name} ({reason})")
            continue
        if tune.cut:
            cut.append(name)
        pitches = tune.pitches
        candidates = [pitches[i : i + STEPS] for i in range(0, len(pitches) - STEPS + 1, STEPS)]
        kept = [_spell(window) for window in candidates if _is_music(window)]
        windows += len(candidates)
        unused += not kept
        texts += kept
        homes += [split_of(_spell(pitches))] * len(kept)
    if len(unreadable) == len(files):
        raise UsageError(
            f"none of the {len(files):,} MIDI files in '{folder}' could be read: {_first(unreadable)}; "
            "name a folder with standard MIDI files."
        )
    decided, notes = remove_crossing(
        _keys(texts), np.array([SPLITS.index(split) for split in homes], np.uint8), "window"
    )
    words = sorted({word for text in texts for word in text.split(" ")}, key=int)
    number = {word: index for index, word in enumerate(words)}
    tokens = np.array([[number[word] for word in text.split(" ")] for text in texts], np.int32)
    parts = {}
    for index, split in enumerate(SPLITS):
        rows = decided == index
        parts[split] = Sequences(tokens[rows].ravel(), np.full(rows.sum(), STEPS))
    read = f"{folder.name}: {len(files):,} files, {len(unreadable):,} unreadable, {unused:,} without a window"
    left_out = f"{windows - len(texts):,} with too many rests, too few pitches or notes beyond the piano"
    rule = "splits: a tenth of the tunes each for valid and test, by a hash of the tune"
    faults = []
    if unreadable:
        faults.append(f"{len(unreadable):,} unreadable: {_first(unreadable)}")
    if cut:
        faults.append(f"{len(cut):,} cut short, read up to the cut: {_first(cut)}")
    found = f"{windows:,} windows of {STEPS} steps, {left_out}"
    return Splits(words, parts, (read, found, rule, *faults, *notes))


def folder_hash(folder: Path) -> str:
    """Sha-256 over the contents of all MIDI files below a folder, whatever their names and order.

    Raises:
        UsageError: as :func:`read_tunes` for a folder without MIDI files.
    """
    return hashlib.sha256("".join(sorted(file_hash(path) for path in _files(folder))).encode()).hexdigest()


@dataclass(frozen=True)
class Tune:
    """The melody of a file."""

    pitches: list[int]
    """The MIDI number of each step, 0 for a rest; [] where no voice has a steady step."""
    cut: bool = False
    """The file ends within a track; these are the notes up to there."""


def read_tune(path: Path) -> Tune:
    """The melody of a file on its grid.

    Raises:
        UnreadableMidi: for a file that cannot be read.
    """
    try:
        with path.open("rb") as file:
            notes = read_notes(file.read(MOST_BYTES + 1))
    except OSError as error:
        raise UnreadableMidi(error.strerror or "not readable") from error
    return Tune(_melody([voice for voice in notes.voices if len(voice) > 1], notes.ticks_per_beat / 4), notes.cut)


def _melody(voices: list[list[Note]], sixteenth: float) -> list[int]:
    """The most prominent voice on the grid of its own step."""
    if not voices:
        return []
    starts, ends, pitches = np.array(max(voices, key=_prominence)).T
    onsets = np.unique(starts)
    intervals = _rounded(np.diff(onsets) / sixteenth).tolist()
    lengths = Counter(STEP_LENGTHS[interval] for interval in intervals if interval in STEP_LENGTHS)
    if not lengths:
        return []
    step = sixteenth * max(lengths, key=lambda length: (lengths[length], length))
    first = _rounded((starts - onsets[0]) / step)
    last = np.maximum(first + 1, _rounded((ends - onsets[0]) / step))
    if last.max() > LONGEST_TUNE:
        raise UnreadableMidi(f"over {LONGEST_TUNE:,} steps")
    grid = np.zeros(last.max(), np.int64)
    for begin, end, pitch in zip(first, last, pitches, strict=True):
        grid[begin:end] = np.maximum(grid[begin:end], pitch)
    return list(grid.tolist())


def _prominence(voice: list[Note]) -> tuple[int, float]:
    """The number of different times at which notes begin, and their mean pitch."""
    return len({start for start, _, _ in voice}), float(np.mean([pitch for _, _, pitch in voice]))


def _rounded(steps: NDArray[np.float64]) -> NDArray[np.int64]:
    """Round to the nearest integer, halves up: numpy's own rule would round halves to even."""
    return np.floor(steps + 0.5).astype(np.int64)


def _spell(pitches: list[int]) -> str:
    """Piano keys and rests as text."""
    return " ".join(str(max(0, pitch - LOWEST + 1)) for pitch in pitches)


def _is_music(window: list[int]) -> bool:
    on_piano = all(not pitch or LOWEST <= pitch <= HIGHEST for pitch in window)
    return on_piano and window.count(0) <= MOST_RESTS and len(set(window)) >= FEWEST_PITCHES


def _first(items: list[str]) -> str:
    more = f" and {len(items) - NAMED:,} more" if len(items) > NAMED else ""
    return ", ".join(items[:NAMED]) + more


def _shown(path: Path) -> str:
    """A name without control characters, which could rewrite the terminal it is shown on."""
    name = path.as_posix()
    return name if name.isprintable() else ascii(name)


def _keys(texts: list[str]) -> NDArray[np.uint64]:
    """The first 64 bits of each text's sha-256."""
    digests = b"".join(hashlib.sha256(text.encode()).digest()[:8] for text in texts)
    return np.frombuffer(digests, ">u8").astype(np.uint64)


def _files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise UsageError(f"expected a folder of MIDI files, got '{folder}', which is not a folder.")
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in ENDINGS and path.is_file())
    if not files:
        raise UsageError(f"'{folder}' holds no MIDI files: expected names that end in {' or '.join(ENDINGS)}.")
    return files
