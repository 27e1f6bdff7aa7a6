"""The overlap of two sets of sequences: MS-Jaccard, and the spans of one set that occur in the other.

Both number the n-grams of the two sets together, so that equal ones have equal numbers. A negative token equals
nothing, as everywhere.
"""

from __future__ import annotations

from collections import Counter

import numpy as np

from bench.kernels.ngrams import Ints, checked, look_up, numbered, word_keys

__all__ = [
    "multiset_jaccard",
    "reference_multiset_jaccard",
    "reference_shared_spans",
    "shared_spans",
]

ROWS = 2**16
"""Sequences that are searched at a time."""


def multiset_jaccard(one: Ints, one_lengths: Ints, two: Ints, two_lengths: Ints, max_order: int) -> float:
    """MS-Jaccard: how far two sets of sequences have the same n-grams equally often (Alihosseini et al., 2019).

    Let a and b be the counts of a k-gram, each divided by the number of sequences on its side. The score is the
    geometric mean, over k up to ``max_order``, of the sum of min(a, b) divided by the sum of max(a, b).

    Args:
        one: int64, (N, T); what comes after a row's length is not read.
        one_lengths: int64, (N,), each in [0, T].
        two: int64, (M, S).
        two_lengths: int64, (M,), each in [0, S].
        max_order: The longest n-gram, at least 1.

    Returns:
        A number in [0, 1]; 1 for equal sets, 0.0 where some order has no n-gram in common.

    Raises:
        ValueError: If a shape, a length or the order is wrong, or a set is empty.
    """
    tokens, rows, lengths = _joined(one, one_lengths, two, two_lengths)
    if not 0 < rows < len(tokens):
        raise ValueError(f"expected sequences on both sides, got {rows} and {len(tokens) - rows}")
    sizes = rows, len(tokens) - rows
    product = 1.0
    for k, (known, ids, _, _) in enumerate(numbered(word_keys(tokens, lengths), max_order), start=1):
        sides = []
        unmatched = 0.0  # n-grams with a negative token are only in the union
        for part, part_lengths, size in zip((ids[:rows], ids[rows:]), np.split(lengths, [rows]), sizes, strict=True):
            matchable = part[part >= 0]
            sides.append(np.bincount(matchable, minlength=len(known)) / size)
            unmatched += (int(np.maximum(part_lengths - k + 1, 0).sum()) - len(matchable)) / size
        union = float(np.maximum(*sides).sum()) + unmatched
        product *= float(np.minimum(*sides).sum()) / union if union else 0.0
    return float(product ** (1 / max_order))


def shared_spans(tokens: Ints, lengths: Ints, others: Ints, other_lengths: Ints, longest: int) -> Ints:
    """The longest span that begins at each position and occurs in some others, in words ("matching statistics").

    An n-gram of a sequence occurs in the others where the span that begins with it has n words or more: one search
    answers for every n. From one order to the next only n-grams are looked at whose two parts were found.

    Args:
        tokens: int64, (N, T); what comes after a row's length is not read.
        lengths: int64, (N,), each in [0, T].
        others: int64, (M, S).
        other_lengths: int64, (M,), each in [0, S].
        longest: No longer spans are searched for, at least 1.

    Returns:
        int64, (N, T), each in [0, min(longest, T)]; 0 where the word itself is not found, and after a row's length.

    Raises:
        ValueError: If a shape, a length or ``longest`` is wrong.
    """
    (tokens, lengths), (others, other_lengths) = checked(tokens, lengths), checked(others, other_lengths)
    if longest < 1:
        raise ValueError(f"expected a longest span >= 1, got {longest}")
    width = tokens.shape[1] + 1  # an end behind each row, which nothing matches
    spans = np.zeros(len(tokens) * width, dtype=np.int64)
    for start in range(0, len(others), ROWS):  # a span lies in one sequence, and so in one part of the others
        part = others[start : start + ROWS]
        keys = _flat(tokens, lengths)
        theirs = _flat(part, other_lengths[start : start + ROWS])
        here, there = np.flatnonzero(keys >= 0), np.flatnonzero(theirs >= 0)
        mine, yours = keys[here], theirs[there]
        for order in range(1, longest + 1):
            known, ids = np.unique(mine, return_inverse=True)
            found = look_up(yours, known)
            shared = np.zeros(len(known), dtype=bool)
            shared[found[found >= 0]] = True
            kept = shared[ids]
            here, ids, there, found = here[kept], ids[kept], there[found >= 0], found[found >= 0]
            if not len(here):
                break
            spans[here] = np.maximum(spans[here], order)
            here, mine = _next(here, ids, len(known))
            there, yours = _next(there, found, len(known))
    return spans.reshape(len(tokens), width)[:, :-1]


def _flat(tokens: Ints, lengths: Ints) -> Ints:
    """The words of all sequences in one row, at least one negative number between two sequences: (N * (T + 1),)."""
    return np.pad(word_keys(tokens, lengths), ((0, 0), (0, 1)), constant_values=-1).reshape(-1)


def _next(positions: Ints, ids: Ints, size: int) -> tuple[Ints, Ints]:
    """From k-grams, by ascending position, to the (k+1)-grams made of two of them: positions and keys."""
    behind = np.flatnonzero(np.diff(positions) == 1)
    return positions[behind], ids[behind] * size + ids[behind + 1]


def _joined(one: Ints, one_lengths: Ints, two: Ints, two_lengths: Ints) -> tuple[Ints, int, Ints]:
    """Both sets of sequences in one array, the number of rows of the first set, and all lengths."""
    (one, one_lengths), (two, two_lengths) = checked(one, one_lengths), checked(two, two_lengths)
    tokens = np.full((len(one) + len(two), max(one.shape[1], two.shape[1])), -1, dtype=np.int64)
    tokens[: len(one), : one.shape[1]] = one
    tokens[len(one) :, : two.shape[1]] = two
    return tokens, len(one), np.concatenate([one_lengths, two_lengths])


def reference_multiset_jaccard(one: list[list[int]], two: list[list[int]], max_order: int) -> float:
    """The plain twin of :func:`multiset_jaccard`: sums over dictionaries of n-grams."""
    product = 1.0
    for order in range(1, max_order + 1):
        a, b = (
            Counter(tuple(words[i : i + order]) for words in side for i in range(len(words) - order + 1))
            for side in (one, two)
        )
        shared = sum(min(a[gram] / len(one), b[gram] / len(two)) for gram in a if min(gram) >= 0)
        union = sum(max(a[gram] / len(one), b[gram] / len(two)) for gram in a | b if min(gram) >= 0)
        union += sum(count / len(one) for gram, count in a.items() if min(gram) < 0)
        union += sum(count / len(two) for gram, count in b.items() if min(gram) < 0)
        product *= shared / union if union else 0.0
    return float(product ** (1 / max_order))


def reference_shared_spans(sequences: list[list[int]], others: list[list[int]], longest: int) -> list[list[int]]:
    """The plain twin of :func:`shared_spans`: each span made longer for as long as some other sequence has it."""

    def occurs(span: list[int]) -> bool:
        n = len(span)
        return min(span) >= 0 and any(other[i : i + n] == span for other in others for i in range(len(other) - n + 1))

    def length(words: list[int]) -> int:
        return next((n - 1 for n in range(1, len(words) + 1) if n > longest or not occurs(words[:n])), len(words))

    return [[length(words[i:]) for i in range(len(words))] for words in sequences]
