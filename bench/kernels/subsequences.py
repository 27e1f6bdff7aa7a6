"""Common subsequences: what part of a sequence the most similar of some others has in the same order.

A longest common subsequence takes a table of T x S cells. Here a column of the table is the bits of a few integers, and
one addition fills it (Hyyrö, 2004, "Bit-parallel LCS-length computation revisited"); numpy does so for thousands of
other sequences at a time. A negative token equals nothing, as everywhere.
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
ROWS = 2**11
"""Other sequences that are read at a time: their integers stay in the processor's cache."""


def nearest(tokens: Ints, lengths: Ints, others: Ints, other_lengths: Ints) -> Floats:
    """How similar the most similar other sequence is to each sequence.

    The similarity of two sequences is the length of their longest common subsequence, divided by the length of the
    longer one: 1 for equal sequences, 0 for those without a common word or where one of them is empty.

    The others are sorted by length and read in parts. A part whose lengths alone rule out a higher similarity than what
    was found is not read.

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
    mine = word_keys(tokens, lengths)
    known = np.unique(mine[mine >= 0])
    parts = _parts(known, others, other_lengths)
    found = np.zeros(len(tokens))
    masks = np.zeros((-(-tokens.shape[1] // BITS), len(known) + 1), dtype=np.uint64)  # the last is of unknown words
    for row, length in enumerate(lengths):
        positions = np.flatnonzero(mine[row] >= 0)
        words = np.searchsorted(known, mine[row, positions])
        np.bitwise_or.at(masks, (positions // BITS, words), np.uint64(1) << (positions % BITS).astype(np.uint64))
        used = masks[: max(-(-int(length) // BITS), 1)]
        bounds = [_bound(int(length), of) for _, of in parts] if length else []
        for part in sorted(range(len(bounds)), key=lambda part: -bounds[part]):
            if bounds[part] <= found[row]:
                break
            columns, of = parts[part]
            shares = _common(used, columns, of) / np.maximum(of, length)
            found[row] = max(found[row], float(shares.max()))
        masks[:, words] = 0
    return found


def _parts(known: Ints, others: Ints, lengths: Ints) -> list[tuple[Ints, Ints]]:
    """The others without the empty ones, in parts: columns, int64 (S, R), and lengths, descending, int64 (R,).

    Words are indices into ``known``; those that are not known have its length as theirs.
    """
    order = np.argsort(-lengths, kind="stable")[: np.count_nonzero(lengths)]
    parts = []
    for start in range(0, len(order), ROWS):
        rows = order[start : start + ROWS]
        of = lengths[rows]
        words = look_up(others[rows, : of[0]], known)
        words[words < 0] = len(known)
        parts.append((np.ascontiguousarray(words.T), of))
    return parts


def _bound(length: int, of: Ints) -> float:
    """The highest similarity that lengths allow."""
    longest, shortest = int(of[0]), int(of[-1])
    if shortest <= length <= longest:
        return 1.0
    return longest / length if length > longest else length / shortest


def _common(masks: Bits, columns: Ints, lengths: Ints) -> Ints:
    """The length of the longest common subsequence with each of the other sequences: int64, (R,).

    Args:
        masks: uint64, (W, V + 1): the positions of each word, :data:`BITS` in an integer.
        columns: int64, (S, R): the words of the others.
        lengths: int64, (R,), descending.
    """
    state = np.full((len(masks), len(lengths)), FULL)
    ends = np.searchsorted(-lengths, -np.arange(1, len(columns) + 1), side="right")  # how many have a word there
    for words, end in zip(columns, ends, strict=True):
        carry: Bits | None = None
        for row, positions in zip(state, masks, strict=True):
            integer = row[:end]
            matches = positions.take(words[:end])
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
