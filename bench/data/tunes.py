"""From tunes in ABC notation to lines of a corpus: pitches on a grid, and phrases of four bars; families of tunes.

ABC is read by music21: the first part only, without grace notes, chord symbols, words and repeats; of a chord only the
top note. The grid is the encoding of Yu et al. (2017, sec. 5.3), 88 keys and 32 steps, with a step as long as the
tune's commonest note instead of their 0.4 seconds.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

from bench.data.splits import assign
from bench.errors import UsageError

STEPS = 32
"""Steps of a line on the grid."""
BARS = 4
"""Bars of a phrase."""
LENGTHS = range(8, 49)
"""Tokens that a phrase may have."""
KEYS = range(21, 109)
"""MIDI numbers of a piano's keys; the lowest is pitch 1 on the grid, and 0 is a rest."""
MOST_RESTS, FEWEST_PITCHES = 4, 4
"""Lines with more rests or fewer different pitches are left out."""
GRID_STEPS = (Fraction(1, 4), Fraction(1, 2), Fraction(1))
"""Lengths that a step may have, in quarter notes."""
FINEST = 48
"""Durations are multiples of 1/n of a quarter note, with n at most this."""

SHAPE = 8
"""Number of intervals of a shape; tunes are compared by their shapes, whatever their key."""
KIN_SHAPES, KIN_SHARE = 8, 0.3
"""Two related tunes share at least this many shapes, and at least this share of the shapes of the one with fewer."""
COMMONPLACE = 60
"""A shape that occurs in more tunes than this is ignored."""


@dataclass(frozen=True, slots=True)
class Note:
    """A note or rest.

    Attributes:
        pitch: MIDI number; None is a rest.
        duration: In quarter notes.
        tied: Whether it continues the note before it.
    """

    pitch: int | None
    duration: Fraction
    tied: bool = False


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar.

    Attributes:
        nominal: Duration that the metre requires, in quarter notes.
        notes: Its notes and rests.
    """

    nominal: Fraction
    notes: tuple[Note, ...]

    @property
    def duration(self) -> Fraction:
        """Duration of its notes and rests together, in quarter notes."""
        return sum((note.duration for note in self.notes), Fraction(0))


@dataclass(frozen=True, slots=True)
class Tune:
    """A tune.

    Attributes:
        name: Folder, file, index in the file and number: its split depends on it.
        bars: From first to last.
    """

    name: str
    bars: tuple[Bar, ...]


def require_music21() -> None:
    """Check that music21 is installed.

    Raises:
        UsageError: when it is not.
    """
    try:
        import music21  # noqa: F401
    except ImportError as error:
        raise UsageError("tunes are read by music21, which is missing: pip install 'seqgan-bench[music]'.") from error


def read_tunes(path: Path) -> list[Tune]:
    """The tunes of an ABC file, UTF-8, in its order.

    Raises:
        UsageError: when music21 is missing, or cannot read the file.
    """
    require_music21()
    from music21 import converter

    origin = f"{path.parent.name}/{path.name}"
    try:
        with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            parsed = converter.parseData(path.read_text(encoding="utf-8"), format="abc")
            scores = parsed.scores if hasattr(parsed, "scores") else [parsed]
            return [_tune(score, f"{origin}#{index}") for index, score in enumerate(scores)]
    except Exception as error:
        raise UsageError(f"music21 cannot read '{path}': {error}; version 10.5.1 reads the corpora's files.") from error


def _tune(score: Any, origin: str) -> Tune:
    """A music21 score's first part."""
    number = getattr(score.metadata, "number", None) or origin.rpartition("#")[2]
    bars = tuple(
        Bar(
            Fraction(measure.barDuration.quarterLength).limit_denominator(FINEST),
            tuple(_notes(measure.flatten().notesAndRests)),
        )
        for measure in score.parts[0].getElementsByClass("Measure")
    )
    return Tune(f"{origin}:{number}", bars)


def _notes(elements: Iterable[Any]) -> Iterable[Note]:
    """Notes and rests from music21's notes, rests, chords and chord symbols."""
    from music21 import harmony

    for element in elements:
        if isinstance(element, harmony.ChordSymbol) or element.duration.isGrace or element.quarterLength == 0:
            continue
        pitches = [] if element.isRest else [pitch.midi for pitch in element.pitches]
        yield Note(
            max(pitches, default=None),
            Fraction(element.quarterLength).limit_denominator(FINEST),
            bool(pitches) and element.tie is not None and element.tie.type in ("stop", "continue"),
        )


def joined(bars: Iterable[Bar]) -> list[Note]:
    """The notes of bars, each tied note merged with the note before it."""
    notes: list[Note] = []
    for note in (note for bar in bars for note in bar.notes):
        if note.tied and notes and notes[-1].pitch == note.pitch:
            notes[-1] = Note(note.pitch, notes[-1].duration + note.duration, notes[-1].tied)
        else:
            notes.append(note)
    return notes


def grid(tune: Tune) -> list[str]:
    """Lines of 32 pitches: what sounds at each step, as the piano's key number from 1 to 88, or 0 for a rest.

    A step is the tune's commonest note, or a sixteenth where that is a dotted eighth. Tunes whose commonest note is not
    a sixteenth, eighth or quarter give no lines. The pick-up bar and the steps after the last 32 are left out.
    A held note looks like a repeated one.
    """
    bars = tune.bars[1:] if tune.bars and tune.bars[0].duration < tune.bars[0].nominal else tune.bars
    notes = joined(bars)
    durations = Counter(note.duration for note in notes if note.pitch is not None)
    if not durations:
        return []
    step = max(durations, key=lambda duration: (durations[duration], duration))
    step = Fraction(1, 4) if step == Fraction(3, 4) else step
    if step not in GRID_STEPS:
        return []
    keys: list[int] = []
    end = Fraction(0)
    for note in notes:
        end += note.duration
        while len(keys) * step < end:
            keys.append(0 if note.pitch is None else note.pitch - KEYS[0] + 1)
    windows = (keys[begin : begin + STEPS] for begin in range(0, len(keys) - STEPS + 1, STEPS))
    return [
        " ".join(map(str, window))
        for window in windows
        if all(0 <= key <= len(KEYS) for key in window)
        and window.count(0) <= MOST_RESTS
        and len(set(window)) >= FEWEST_PITCHES
    ]


def phrases(tune: Tune) -> list[str]:
    """Lines of four complete bars: ``pitch:duration``, a MIDI number or r for a rest, and a number of sixteenth notes.

    A bar that is empty, too short or too long breaks a phrase off. Of the others, only bar lines and key are lost.

    Example:
        ``69:2 71:2 r:4`` is an eighth A, an eighth B and a quarter's rest.
    """
    lines = []
    bars: list[Bar] = []
    for bar in tune.bars:
        bars = [*bars, bar] if bar.notes and bar.duration == bar.nominal else []
        if len(bars) == BARS:
            notes = joined(bars)
            bars = []
            pitches = [note.pitch for note in notes]
            if (
                len(notes) in LENGTHS
                and pitches.count(None) <= MOST_RESTS
                and len(set(pitches)) >= FEWEST_PITCHES
                and all(pitch is None or pitch in KEYS for pitch in pitches)
            ):
                lines.append(" ".join(_token(note) for note in notes))
    return lines


def _token(note: Note) -> str:
    return f"{'r' if note.pitch is None else note.pitch}:{4 * note.duration}"


def shapes(tune: Tune) -> set[tuple[int, ...]]:
    """Every run of eight intervals, in semitones, between notes that differ: the same in any key and rhythm."""
    pitches = [note.pitch for note in joined(tune.bars) if note.pitch is not None]
    steps = [after - before for before, after in pairwise(pitches) if after != before]
    return {tuple(steps[begin : begin + SHAPE]) for begin in range(len(steps) - SHAPE + 1)}


def families(tunes: Sequence[Tune]) -> list[int]:
    """For each tune, the index of the first tune of its family: variants of one tune, or one that is printed twice."""
    import numpy as np
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    of_tune = [shapes(tune) for tune in tunes]
    having: defaultdict[tuple[int, ...], list[int]] = defaultdict(list)
    for index, found in enumerate(of_tune):
        for shape in found:
            having[shape].append(index)
    shared = Counter(
        pair for indices in having.values() if len(indices) <= COMMONPLACE for pair in combinations(indices, 2)
    )
    kin = [
        (one, other)
        for (one, other), count in shared.items()
        if count >= KIN_SHAPES and count >= KIN_SHARE * min(len(of_tune[one]), len(of_tune[other]))
    ]
    pairs = np.array(kin, dtype=np.int64).reshape(-1, 2)
    links = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(len(tunes), len(tunes)))
    labels = connected_components(links, directed=False)[1]
    first = np.unique(labels, return_index=True)[1]
    return [int(index) for index in first[labels]]


def split_tunes(tunes: Sequence[Tune]) -> dict[str, dict[str, list[str]]]:
    """Splits of the grid's lines and of the phrases, under ``grid`` and ``phrases``: each family is in one split."""
    names = [tunes[first].name for first in families(tunes)]
    return {
        kind.__name__: assign((name, line) for name, tune in zip(names, tunes, strict=True) for line in kind(tune))
        for kind in (grid, phrases)
    }
