"""Common subsequences: what part of a sequence the most similar of some others has in the same order.

A longest common subsequence takes a table of T x S cells. Here a column of the table is the bits of a few integers, and
one addition fills it (Hyyrö, 2004, "Bit-parallel LCS-length computation revisited"); numpy does so for thousands of
pairs at a time. A negative token equals nothing, as everywhere.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.kernels.ngrams import Floats, Ints, checked, look_up, word_keys

__all__ = ["BITS", "nearest", "reference_nearest"]

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
    (tokens, lengths), (others, other_lengths) = checked(tokens, lengths), checked(others, other_lengths)
    found = np.zeros(len(tokens))
    if not len(others):
        return found
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
        found[some] = _nearest(these, lengths[some], words, other_lengths, common, len(known))
    return found


def _nearest(mine: Ints, lengths: Ints, words: Ints, other_lengths: Ints, common: Ints, known: int) -> Floats:
    """The same for some sequences; words are indices into those that are known, negative where they are not.

    ``common``, int64, (N, M), is the number of words that each pair has in common, in any order.
    """
    count, positions = np.nonzero(mine >= 0)
    masks = np.zeros((max(-(-mine.shape[1] // BITS), 1), len(mine), known + 1), dtype=np.uint64)  # the last is unknown
    bits = np.uint64(1) << (positions % BITS).astype(np.uint64)
    np.bitwise_or.at(masks, (positions // BITS, count, mine[count, positions]), bits)
    longer = np.maximum(np.maximum(lengths[:, None], other_lengths), 1)
    bounds = common / longer
    found = np.zeros(len(mine))

    def compare(which: Ints, other: Ints) -> None:
        order = np.argsort(-other_lengths[other], kind="stable")
        which, other = which[order], other[order]
        for start in range(0, len(which), PAIRS):
            these, those = which[start : start + PAIRS], other[start : start + PAIRS]
            of = other_lengths[those]
            columns = np.ascontiguousarray(words[those, : of[0]].T)
            np.maximum.at(found, these, _common(masks, these, columns, of) / longer[these, those])

    few = min(FIRST, len(other_lengths))
    first = np.argpartition(-bounds, few - 1, axis=1)[:, :few]
    compare(np.repeat(np.arange(len(mine)), few), first.ravel())
    np.put_along_axis(bounds, first, 0.0, axis=1)
    compare(*np.nonzero(bounds > found[:, None]))
    return found


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
