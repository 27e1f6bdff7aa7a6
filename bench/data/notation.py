"""Sequences as people read them: poems in lines, prose without loose punctuation, tunes as ABC and as MIDI.

A tune is a sequence of words of one of two kinds. ``pitches`` are steps of a grid: a piano key from 1 to 88 or a rest,
0; a step is an eighth here. The grid cannot tell a note that is held from one that is struck again, so equal steps in a
row are written as one long note. ``notes`` carry their durations: ``73:2`` is MIDI pitch 73 for two sixteenths, ``r:4``
a rest of four. A word that is not a note, such as ``<unk>``, is left out. The words contain neither bars nor keys, so
the ABC has neither bar lines nor a key, and every accidental is written out.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache
from itertools import groupby
from typing import Any, NamedTuple

from bench.errors import UsageError

TUNES = ("pitches", "notes")
"""Kinds of words that are tunes."""
UNKNOWN, MISSING = "<unk>", "□"
"""A character outside the vocabulary, and how a poem shows it."""
SPACE = "▁"
"""The symbol for a space where characters are words: visible, and not lost when words are separated by spaces."""
STEP = Fraction(2)
"""Length of a step on the grid, in sixteenths."""
LOWEST_KEY, KEYS = 21, 88
"""MIDI pitch of a piano's first key, and the number of its keys."""
PITCHES = 128
"""Number of MIDI's pitches."""
TICKS = 2520
"""MIDI ticks of a sixteenth note: where it is divided into one to ten equal parts, each begins on a tick."""
BAR = 16
"""Sixteenths of silence between two tunes of one MIDI file."""
LETTERS = ("C", "^C", "D", "^D", "E", "F", "^F", "G", "^G", "A", "^A", "B")
_NOTE = re.compile(r"(r|\d{1,3}):([1-9]\d{0,3})(?:/([1-9]\d{0,3}))?")
_LOOSE = (
    (re.compile(r" (?=[.,;:!?%)\]}…]|n't\b|['’](?:s|m|d|t|re|ve|ll)\b)"), ""),
    (re.compile(r"(?<=[(\[{$#]) "), ""),
    (re.compile(r"(?:\"|``|'') (.*?) (?:\"|'')(?!\w)"), r'"\1"'),
)


class Note(NamedTuple):
    """A note or a rest.

    Attributes:
        pitch: MIDI note number, 60 is middle C; None for a rest.
        sixteenths: Duration.
    """

    pitch: int | None
    sixteenths: Fraction


@lru_cache(maxsize=4096)
def read_note(word: str, kind: str) -> Note | None:
    """The note that a word stands for; None for a word that is not a note.

    Example:
        >>> read_note("73:4/3", "notes")
        Note(pitch=73, sixteenths=Fraction(4, 3))
        >>> read_note("40", "pitches")
        Note(pitch=60, sixteenths=Fraction(2, 1))
    """
    if kind == "pitches":
        key = int(word) if word.isdecimal() else -1
        return Note(LOWEST_KEY - 1 + key if key else None, STEP) if 0 <= key <= KEYS else None
    found = _NOTE.fullmatch(word)
    if not found or (found[1] != "r" and int(found[1]) >= PITCHES):
        return None
    return Note(None if found[1] == "r" else int(found[1]), Fraction(int(found[2]), int(found[3] or 1)))


def tune(words: Sequence[str], kind: str) -> list[Note]:
    """The notes of a sequence; on the grid, equal steps in a row are one note."""
    notes = [note for word in words if (note := read_note(word, kind))]
    if kind != "pitches":
        return notes
    return [Note(pitch, STEP * len(list(steps))) for pitch, steps in groupby(note.pitch for note in notes)]


def abc_notes(notes: Sequence[Note]) -> str:
    """A tune's notes in ABC, in eighths; a natural is marked where its letter was sharp before.

    Example:
        >>> abc_notes([Note(61, Fraction(2)), Note(60, Fraction(1)), Note(None, Fraction(4)), Note(72, Fraction(4, 3))])
        '^C =C/2 z2 =c2/3'
    """
    written, sharpened = [], set()
    for pitch, sixteenths in notes:
        eighths = sixteenths / 2
        length = "" if eighths.numerator == 1 else str(eighths.numerator)
        length += "" if eighths.denominator == 1 else f"/{eighths.denominator}"
        if pitch is None:
            written.append(f"z{length}")
            continue
        letter, octave = LETTERS[pitch % 12], pitch // 12 - 1
        if letter.startswith("^"):
            sharpened.add(letter[1])
        elif letter in sharpened:
            letter = f"={letter}"
        letter = letter.lower() + "'" * (octave - 5) if octave > 4 else letter + "," * (4 - octave)
        written.append(f"{letter}{length}")
    return " ".join(written)


def abc(notes: Sequence[Note], number: int, title: str) -> str:
    """A tune in ABC (standard 2.1) with its header; in a book of tunes an empty line separates two."""
    return f"X:{number}\nT:{title}\nM:none\nL:1/8\nQ:1/4=120\nK:C\n{abc_notes(notes) or 'z'}\n"


def midi(tunes: Sequence[Sequence[Note]]) -> bytes:
    """One MIDI file of all the tunes, one after another with a bar's silence between; a marker names each.

    Raises:
        UsageError: without mido.
    """
    mido = _mido()
    track = mido.MidiTrack([mido.MetaMessage("set_tempo", tempo=mido.bpm2tempo(120))])
    now, last = Fraction(0), 0

    def add(message: Any, at: Fraction) -> None:
        nonlocal last
        ticks = round(at * TICKS)  # the position is rounded, not the duration: errors do not add up
        track.append(message.copy(time=ticks - last))
        last = ticks

    for number, notes in enumerate(tunes, 1):
        add(mido.MetaMessage("marker", text=f"tune {number}"), now)
        for pitch, sixteenths in notes:
            if pitch is not None:
                add(mido.Message("note_on", note=pitch, velocity=80), now)
                add(mido.Message("note_off", note=pitch), now + sixteenths)
            now += sixteenths
        now += BAR
    add(mido.MetaMessage("end_of_track"), now)
    content = io.BytesIO()
    mido.MidiFile(type=0, ticks_per_beat=4 * TICKS, tracks=[track]).save(file=content)
    return content.getvalue()


def line(words: Sequence[str], kind: str, verse: int | None = None) -> str:
    """A sequence in one line, as people read it: lines of verse separated by " / ", a tune as the notes of its ABC.

    Args:
        words: The symbols, without the end mark.
        kind: Their type, as in :class:`bench.api.SequenceSpec`.
        verse: Words per line of verse; None for anything but verse.
    """
    if kind in TUNES:
        return abc_notes(tune(words, kind))
    if kind == "characters":
        shown = [{UNKNOWN: MISSING, SPACE: " "}.get(word, word) for word in words]
        step = verse or len(shown) or 1
        return " / ".join("".join(shown[start : start + step]) for start in range(0, len(shown), step))
    if kind == "molecules":
        return "".join(words)
    return prose(words) if kind == "words" else " ".join(words)


def reading(words: Sequence[str], kind: str, verse: int | None, number: int, title: str) -> str:
    """A sequence as a separate text: a poem line by line, a tune as ABC with a header, else one line.

    Args:
        words: The symbols, without the end mark.
        kind: Their type.
        verse: Words per line of verse.
        number: Number of a tune, in its header.
        title: Title of a tune, in its header.
    """
    if kind in TUNES:
        return abc(tune(words, kind), number, title)
    text = line(words, kind, verse)
    return text.replace(" / ", "\n") + "\n" if verse else text


def prose(words: Sequence[str]) -> str:
    """Words as a sentence: no space before a full stop or an apostrophe, nor inside quotes and brackets.

    Example:
        >>> prose("it 's ( nearly ) done , they said .".split())
        "it's (nearly) done, they said."
    """
    text = " ".join(words)
    for loose, tight in _LOOSE:
        text = loose.sub(tight, text)
    return text


def _mido() -> Any:
    try:
        import mido
    except ImportError as error:
        raise UsageError("MIDI files need mido: pip install 'seqgan-bench[music]'.") from error
    return mido
