"""A sequence as people read it, in pieces: which parts of the text stand for some of its words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby

from bench.data.notation import MISSING, SPACE, TUNES, UNKNOWN, Note, abc_notes, read_note

__all__ = ["passages"]

SHOWN = {UNKNOWN: MISSING, SPACE: " ", "``": '"', "''": '"'}
"""What a word may be in a text, if it is not written as it is."""
VERSE = " / "
"""What separates lines of verse."""
Range = tuple[int, int]


def passages(text: str, words: Sequence[str], runs: Sequence[Range], kind: str) -> tuple[str, ...]:
    """The text in pieces: those outside the runs and those inside, by turns, outside first; a piece may be empty.

    A tune is written anew, note by note: a word that is not a note, which its ABC leaves out, is one of the pieces, and
    a note that stands for several steps of a grid is inside where all of them are. Elsewhere the pieces, joined, are
    the text; a word that cannot be found in it is inside nothing, and a line of verse ends a piece.

    Args:
        text: A line from :meth:`bench.api.Vocabulary.decode`.
        words: Its words.
        runs: Beginnings and ends of runs of words, rising, none over another.
        kind: The type of the words, as in :class:`bench.api.SequenceSpec`.

    Example:
        >>> passages("it's (nearly) done.", "it 's ( nearly ) done .".split(), [(0, 2), (3, 4)], "words")
        ('', "it's", ' (', 'nearly', ') done.')
    """
    if kind in TUNES:
        text, ranges = _notes(words, kind)
    else:
        ranges = _found(text, words)
    pieces, at = [""], 0
    for begin, end in _stretches(text, ranges, runs):
        pieces[-1] += text[at:begin]
        pieces += [text[begin:end], ""]
        at = end
    pieces[-1] += text[at:]
    return tuple(pieces)


def _stretches(text: str, ranges: Sequence[Range | None], runs: Sequence[Range]) -> Iterator[Range]:
    """The parts of the text that stand for whole runs, cut at what is not found and at the ends of lines."""
    words_of = Counter(ranges)
    for begin, end in runs:
        inside = Counter(ranges[begin:end])
        open_at: Range | None = None
        for place in dict.fromkeys(ranges[begin:end]):
            whole = place is not None and inside[place] == words_of[place]
            if open_at and (not whole or not place or text[open_at[1] : place[0]] == VERSE):
                yield open_at
                open_at = None
            if whole and place:
                open_at = (open_at[0] if open_at else place[0], place[1])
        if open_at:
            yield open_at


def _found(text: str, words: Sequence[str]) -> list[Range | None]:
    """Where each word is in the text, one after the other; None for one that is not next."""
    ranges: list[Range | None] = []
    at = 0
    for word in words:
        begin = next((start for start in _beginnings(text, at) if _written(text, word, start)), None)
        if begin is None or not word:
            ranges.append(None)
            continue
        at = begin + len(_written(text, word, begin))
        ranges.append((begin, at))
    return ranges


def _beginnings(text: str, at: int) -> Iterator[int]:
    """Where the next word may begin: here, or after a space or the end of a line."""
    yield at
    if text.startswith(VERSE, at):
        yield at + len(VERSE)
    if text.startswith(" ", at):
        yield at + 1


def _written(text: str, word: str, at: int) -> str:
    """How a word is written there; "" where it is not."""
    return next((form for form in (word, SHOWN.get(word, word)) if text.startswith(form, at)), "")


def _notes(words: Sequence[str], kind: str) -> tuple[str, list[Range | None]]:
    """A tune in ABC with the words that are no notes, and the range of each word; steps of one note have the same."""
    read = [read_note(word, kind) for word in words]
    if kind == "pitches":  # equal steps in a row are one note
        groups = [list(group) for _, group in groupby(range(len(words)), lambda step: read[step] or step)]
    else:
        groups = [[place] for place in range(len(words))]
    notes = [Note(note.pitch, note.sixteenths * len(group)) for group in groups if (note := read[group[0]])]
    written = iter(abc_notes(notes).split(" "))
    text, ranges = "", list[Range | None]()
    for group in groups:
        token = next(written) if read[group[0]] else words[group[0]]
        begin = len(text) + bool(text)
        text = f"{text} {token}" if text else token
        ranges += [(begin, begin + len(token))] * len(group)
    return text, ranges
