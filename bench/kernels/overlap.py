"""The overlap of two sets of sequences: MS-Jaccard, and the share of n-grams found in another set.

Both number the n-grams of the two sets together (:func:`bench.kernels.ngrams.numbered`), so that equal ones have equal
numbers, and count them. A negative token equals nothing, as everywhere.
"""

from __future__ import annotations

from collections import Counter

import numpy as np

from bench.kernels.ngrams import Ints, checked, look_up, numbered, pairs, word_keys

__all__ = [
    "multiset_jaccard",
    "reference_multiset_jaccard",
    "reference_shared_counts",
    "reference_shared_ngrams",
    "shared_counts",
    "shared_ngrams",
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


def shared_ngrams(tokens: Ints, lengths: Ints, others: Ints, other_lengths: Ints, order: int) -> float:
    """The share of the n-grams of some sequences, repeated ones included, that occur in some others.

    Args:
        tokens: int64, (N, T); what comes after a row's length is not read.
        lengths: int64, (N,), each in [0, T].
        others: int64, (M, S).
        other_lengths: int64, (M,), each in [0, S].
        order: The n of the n-grams, at least 1.

    Returns:
        A number in [0, 1]; 0.0 where no sequence is as long as ``order``.

    Raises:
        ValueError: If a shape, a length or the order is wrong.
    """
    counts = shared_counts(tokens, lengths, others, other_lengths, order)
    total = int(np.maximum(np.asarray(lengths) - order + 1, 0).sum())
    return int(counts.sum()) / total if total else 0.0


def shared_counts(tokens: Ints, lengths: Ints, others: Ints, other_lengths: Ints, order: int) -> Ints:
    """The number of n-grams of each sequence that occur in some others: :func:`shared_ngrams` before the sum.

    Args:
        tokens: int64, (N, T); what comes after a row's length is not read.
        lengths: int64, (N,), each in [0, T].
        others: int64, (M, S).
        other_lengths: int64, (M,), each in [0, S].
        order: The n of the n-grams, at least 1.

    Returns:
        int64, (N,).

    Raises:
        ValueError: If a shape, a length or the order is wrong.
    """
    (tokens, lengths), (others, other_lengths) = checked(tokens, lengths), checked(others, other_lengths)
    orders = list(numbered(word_keys(tokens, lengths), order))
    ids = orders[-1][1]
    there = np.zeros(len(orders[-1][0]) + 1, dtype=bool)
    for start in range(0, len(others), ROWS):  # numbering all n-grams of a million others would take half a minute
        keys = word_keys(others[start : start + ROWS], other_lengths[start : start + ROWS])
        for known, *_ in orders:
            found = look_up(keys, known)
            keys = pairs(found, len(known))
        there[found] = True
    there[-1] = False  # the entry of unknown n-grams, -1
    counts: Ints = there[ids].sum(axis=1)
    return counts


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


def reference_shared_ngrams(sequences: list[list[int]], others: list[list[int]], order: int) -> float:
    """The plain twin of :func:`shared_ngrams`: a set of the others' n-grams, and a look-up for each of ours."""

    def grams(side: list[list[int]]) -> list[tuple[int, ...]]:
        return [tuple(words[i : i + order]) for words in side for i in range(len(words) - order + 1)]

    known = {gram for gram in grams(others) if min(gram) >= 0}
    mine = grams(sequences)
    return sum(gram in known for gram in mine) / len(mine) if mine else 0.0


def reference_shared_counts(sequences: list[list[int]], others: list[list[int]], order: int) -> list[int]:
    """The plain twin of :func:`shared_counts`: the share of each sequence times its n-grams."""
    return [
        round(reference_shared_ngrams([words], others, order) * max(len(words) - order + 1, 0)) for words in sequences
    ]
