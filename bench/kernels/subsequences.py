"""Common subsequences: what part of a sequence the most similar of some others has in the same order.

A longest common subsequence takes a table of T x S cells. Here a column of the table is the bits of a few integers, and
one addition fills it (Hyyrö, 2004, "Bit-parallel LCS-length computation revisited"); numpy does so for thousands of
pairs at a time. A negative token equals nothing, as everywhere.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.kernels.ngrams import Floats, Ints, checked, look_up, word_keys

__all__ = [
    "BITS",
    "Alignment",
    "aligned",
    "nearest",
    "nearest_rows",
    "reference_aligned",
    "reference_nearest",
    "reference_nearest_rows",
]  # fmt: skip

Bits = NDArray[np.uint64]

BITS = 63
"""Positions in one integer; the highest of its 64 bits is the carry of an addition."""
FULL = np.uint64(2**BITS - 1)
PAIRS = 2**14
"""Pairs of sequences that are compared at a time: their integers stay in the processor's cache."""
FIRST = 32
"""Others that are compared first: those with the most words in common, whatever their order."""
CELLS = 2**22
"""Pairs of which the words in common are counted at a time."""


def nearest(tokens: Ints, lengths: Ints, others: Ints, other_lengths: Ints) -> Floats:
    """How similar the most similar other sequence is to each sequence.

    The similarity of two sequences is the length of their longest common subsequence, divided by the length of the
    longer one: 1 for equal sequences, 0 for those without a common word or where one of them is empty.

    The number of words that two sequences have in common, in any order, bounds it. The others with the highest bounds
    are compared first, and then those whose bound is above what was found.

    Args:
        tokens: int64, (N, T); what comes after a row's length is not read.
        lengths: int64, (N,), each in [0, T].
        others: int64, (M, S).
        other_lengths: int64, (M,), each in [0, S].

    Returns:
        float64, (N,), each in [0, 1].

    Raises:
        ValueError: If a shape or a length is wrong.
    """
    return _searched(tokens, lengths, others, other_lengths, ties=False)[0]


def nearest_rows(tokens: Ints, lengths: Ints, others: Ints, other_lengths: Ints) -> tuple[Floats, Ints]:
    """:func:`nearest`, and which other sequence that is: of several that are equally similar, the first.

    Returns:
        float64, (N,), each in [0, 1], and int64, (N,): rows of the others; -1 where no other has a common word.

    Raises:
        ValueError: If a shape or a length is wrong.
    """
    return _searched(tokens, lengths, others, other_lengths, ties=True)


def _searched(tokens: Ints, lengths: Ints, others: Ints, other_lengths: Ints, ties: bool) -> tuple[Floats, Ints]:
    """Similarities and rows; without ``ties`` the row is any of those that are equally similar."""
    (tokens, lengths), (others, other_lengths) = checked(tokens, lengths), checked(others, other_lengths)
    found, nearest_of = np.zeros(len(tokens)), np.full(len(tokens), -1)
    if not len(others):
        return found, nearest_of
    mine = word_keys(tokens, lengths)
    known = np.unique(mine[mine >= 0])
    words = look_up(word_keys(others, other_lengths), known)
    size = len(known) * max(mine.shape[1], words.shape[1])
    rows, elements = _counted(words, len(known))
    rows = rows[np.argsort(elements, kind="stable")]
    ends = np.cumsum(np.bincount(elements, minlength=size))  # the rows with each element are those before its end
    starts = np.concatenate([[0], ends[:-1]]) if size else ends
    block = max(CELLS // len(others), 1)
    for start in range(0, len(tokens), block):
        some = slice(start, start + block)
        these = look_up(mine[some], known)
        common = np.zeros((len(these), len(others)), dtype=np.int64)
        sequences, wanted = _counted(these, len(known))
        for sequence in range(len(these)):
            with_each = [rows[starts[element] : ends[element]] for element in wanted[sequences == sequence]]
            if with_each:
                common[sequence] = np.bincount(np.concatenate(with_each), minlength=len(others))
        about = these, lengths[some], words, other_lengths, common, len(known)
        found[some], nearest_of[some] = _nearest(*about, ties)
    return found, nearest_of


def _nearest(
    mine: Ints, lengths: Ints, words: Ints, other_lengths: Ints, common: Ints, known: int, ties: bool
) -> tuple[Floats, Ints]:
    """The same for some sequences; words are indices into those that are known, negative where they are not.

    ``common``, int64, (N, M), is the number of words that each pair has in common, in any order.
    """
    count, positions = np.nonzero(mine >= 0)
    masks = np.zeros((max(-(-mine.shape[1] // BITS), 1), len(mine), known + 1), dtype=np.uint64)  # the last is unknown
    bits = np.uint64(1) << (positions % BITS).astype(np.uint64)
    np.bitwise_or.at(masks, (positions // BITS, count, mine[count, positions]), bits)
    longer = np.maximum(np.maximum(lengths[:, None], other_lengths), 1)
    bounds = common / longer
    found, nearest_of = np.zeros(len(mine)), np.full(len(mine), -1)

    def compare(which: Ints, other: Ints) -> None:
        order = np.argsort(-other_lengths[other], kind="stable")
        which, other = which[order], other[order]
        for start in range(0, len(which), PAIRS):
            these, those = which[start : start + PAIRS], other[start : start + PAIRS]
            of = other_lengths[those]
            columns = np.ascontiguousarray(words[those, : of[0]].T)
            similar = _common(masks, these, columns, of) / longer[these, those]
            before = found.copy()
            np.maximum.at(found, these, similar)
            nearest_of[found > before] = len(other_lengths)
            best = (similar == found[these]) & (similar > 0)
            np.minimum.at(nearest_of, these[best], those[best])

    few = min(FIRST, len(other_lengths))
    first = np.argpartition(-bounds, few - 1, axis=1)[:, :few]
    compare(np.repeat(np.arange(len(mine)), few), first.ravel())
    np.put_along_axis(bounds, first, 0.0, axis=1)
    further = bounds > found[:, None]
    if ties:
        further |= (bounds == found[:, None]) & (bounds > 0) & (np.arange(len(other_lengths)) < nearest_of[:, None])
    compare(*np.nonzero(further))
    return found, nearest_of


def _counted(words: Ints, known: int) -> tuple[Ints, Ints]:
    """The elements of each sequence, (word, how many of it came before), as numbers: rows and elements, int64, (E,).

    The words that two sequences have in common, each as often as both have it, are the elements of both.
    """
    ordered = np.sort(words, axis=1)
    places = np.broadcast_to(np.arange(words.shape[1]), words.shape)
    begins = np.ones(words.shape, dtype=bool)
    begins[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    before = places - np.maximum.accumulate(np.where(begins, places, 0), axis=1)
    rows, columns = np.nonzero(ordered >= 0)
    elements: Ints = before[rows, columns] * known + ordered[rows, columns]
    return rows, elements


def _common(masks: Bits, which: Ints, columns: Ints, lengths: Ints) -> Ints:
    """The length of the longest common subsequence of each pair: int64, (P,).

    Args:
        masks: uint64, (W, N, V + 1): the positions of each word in each sequence, :data:`BITS` in an integer.
        which: int64, (P,): the sequence of each pair.
        columns: int64, (S, P): the words of the other one; negative ones are not known.
        lengths: int64, (P,), descending: the number of its words.
    """
    state = np.full((len(masks), len(which)), FULL)
    ends = np.searchsorted(-lengths, -np.arange(1, len(columns) + 1), side="right")  # how many have a word there
    for words, end in zip(columns, ends, strict=True):
        carry: Bits | None = None
        for row, positions in zip(state, masks, strict=True):
            integer = row[:end]
            matches = positions[which[:end], words[:end]]
            np.bitwise_and(matches, integer, out=matches)
            total = integer + matches
            if carry is not None:
                total += carry
            if len(masks) > 1:
                carry = total >> np.uint64(BITS)
            np.bitwise_or(total, integer - matches, out=total)
            np.bitwise_and(total, FULL, out=integer)
    counts: Ints = _ones(state ^ FULL).sum(axis=0)
    return counts


def _ones(integers: Bits) -> Ints:
    """The number of bits that are 1: int64, in the shape of the integers."""
    count = integers.copy()
    for shift, mask in ((1, 0x5555555555555555), (2, 0x3333333333333333), (4, 0x0F0F0F0F0F0F0F0F)):
        half = np.uint64(mask)  # neighbours of so many bits are added, in all of the integer at once
        count = (count & half) + ((count >> np.uint64(shift)) & half)
    count *= np.uint64(0x0101010101010101)  # the highest byte of the product is the sum of all bytes
    return (count >> np.uint64(56)).astype(np.int64)


class Alignment(NamedTuple):
    """A longest common subsequence of two sequences.

    Attributes:
        mine: int64, (L,), rising: the positions of its words in the one.
        theirs: int64, (L,), rising: those in the other.
    """

    mine: Ints
    theirs: Ints


def aligned(one: Ints, two: Ints) -> Alignment:
    """A longest common subsequence: of all of them, one that is in the fewest pieces.

    A row of the table is filled at once, since what comes from the left is a running maximum. A word that continues a
    piece counts one more than a word that begins one, and any word counts more than all continuations together.

    Args:
        one: int64, (S,).
        two: int64, (T,).

    Returns:
        The same one at every call: from the end, a word is left out of ``one``, else of ``two``, as soon as it can be.
    """
    word = min(len(one), len(two)) + 1
    best = np.zeros((len(one) + 1, len(two) + 1), dtype=np.int64)
    ending = np.full(best.shape, -1)  # with a word that both have as the last; -1 where they differ
    for row, token in enumerate(one, 1):
        begun = best[row - 1, :-1] + word
        continued = np.where(ending[row - 1, :-1] >= 0, ending[row - 1, :-1] + word + 1, 0)
        ending[row, 1:] = np.where((two == token) & (token >= 0), np.maximum(begun, continued), -1)
        np.maximum.accumulate(np.maximum(ending[row], best[row - 1]), out=best[row])
    mine, theirs, row, column, piece = list[int](), list[int](), len(one), len(two), False
    while row and column:
        if not piece and best[row - 1, column] == best[row, column]:
            row -= 1
        elif not piece and best[row, column - 1] == best[row, column]:
            column -= 1
        else:
            mine, theirs = [row - 1, *mine], [column - 1, *theirs]
            before = ending[row - 1, column - 1]
            piece = bool(before >= 0 and ending[row, column] == before + word + 1)
            row, column = row - 1, column - 1
    return Alignment(np.array(mine, dtype=np.int64), np.array(theirs, dtype=np.int64))


def reference_aligned(one: list[int], two: list[int]) -> tuple[int, int]:
    """The plain twin of :func:`aligned`: the most words in common, and of the ways to align them the fewest pieces.

    Every way to align the sequences is tried.
    """

    def ways(row: int, column: int, joined: bool) -> tuple[int, int]:
        """Words and minus the pieces, from these positions on; ``joined`` where both words before were aligned."""
        if row == len(one) or column == len(two):
            return 0, 0
        found = max(ways(row + 1, column, False), ways(row, column + 1, False))
        if one[row] >= 0 and one[row] == two[column]:
            words, pieces = ways(row + 1, column + 1, True)
            found = max(found, (words + 1, pieces - (not joined)))
        return found

    words, pieces = ways(0, 0, False)
    return words, -pieces


def reference_nearest_rows(sequences: list[list[int]], others: list[list[int]]) -> list[int]:
    """The plain twin of :func:`nearest_rows`: each pair by itself, and the first of the most similar ones."""
    found = []
    for sequence in sequences:
        similar = [reference_nearest([sequence], [other])[0] for other in others]
        best = max(similar, default=0.0)
        found.append(similar.index(best) if best else -1)
    return found


def reference_nearest(sequences: list[list[int]], others: list[list[int]]) -> list[float]:
    """The plain twin of :func:`nearest`: the table of a longest common subsequence, row by row."""

    def common(one: list[int], two: list[int]) -> int:
        above = [0] * (len(two) + 1)
        for word in one:
            here = [0]
            for column, other in enumerate(two):
                equal = word >= 0 and word == other
                here.append(above[column] + 1 if equal else max(above[column + 1], here[-1]))
            above = here
        return above[-1]

    return [
        max((common(words, other) / max(len(words), len(other), 1) for other in others), default=0.0)
        for words in sequences
    ]
