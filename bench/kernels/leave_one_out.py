"""The contribution of one sequence to a score of all: how far the score falls when that sequence's words are removed.

The square root of the sum of squares of such falls, each minus their mean, estimates how far the score would have moved
had other sequences been drawn (the jackknife, Tukey 1958); it tends to be too large (Efron and Stein, 1981). For a mean
over sequences, a fall is the sequence's own value divided by the number of sequences. For counts of different n-grams,
for overlaps and for BLEU with the sequences as references it is not, and this file finds it without recomputing the
score for each sequence.

A removed sequence leaves an empty slot: the number of sequences stays the same, and so do the lengths that BLEU's
brevity penalty reads. The functions named ``reference_*`` do that literally.

All functions read one :class:`Occurrences`, the n-grams of both sides counted together; building it takes most of the
time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.kernels.ngrams import (
    Floats,
    Ints,
    checked,
    numbered,
    reference_distinct,
    reference_sentence_bleu,
)
from bench.kernels.overlap import reference_multiset_jaccard

__all__ = [
    "Occurrences",
    "bleu_falls",
    "multiset_jaccard_without",
    "reference_bleu_falls",
    "reference_multiset_jaccard_without",
    "reference_self_bleu_falls",
    "reference_types_without",
    "self_bleu_falls",
    "types_without",
]

Triples = tuple[Ints, Ints, Ints]


@dataclass(frozen=True, slots=True, eq=False)
class Occurrences:
    """How often each n-gram occurs in each sequence, for two sets of sequences whose n-grams are numbered together.

    Entry k-1 of each tuple is about the k-grams. Occurrences are three int64 vectors with an entry for each n-gram in
    each sequence that has it: the n-gram, the sequence, and how often; sorted by n-gram and then by sequence. The
    second set's sequences are numbered after the first's. A negative token equals nothing, and no n-gram with one is
    counted.

    Attributes:
        sizes: The number of different k-grams.
        first: The occurrences in sequences of the first set.
        second: The occurrences in sequences of the second set.
        lengths: int64, (N,), of the first set's sequences.
        second_lengths: int64, (M,).
    """

    sizes: tuple[int, ...]
    first: tuple[Triples, ...]
    second: tuple[Triples, ...]
    lengths: Ints
    second_lengths: Ints

    @classmethod
    def build(cls, one: Ints, one_lengths: Ints, two: Ints, two_lengths: Ints, max_order: int) -> Occurrences:
        """Count the n-grams of both sets.

        Args:
            one: int64, (N, T); what comes after a row's length is not read.
            one_lengths: int64, (N,), each in [0, T].
            two: int64, (M, S).
            two_lengths: int64, (M,), each in [0, S].
            max_order: The longest n-gram, at least 1.

        Raises:
            ValueError: If a shape, a length or ``max_order`` is wrong.
        """
        sides = checked(one, one_lengths), checked(two, two_lengths)
        sizes: list[int] = []
        first: list[Triples] = []
        second: list[Triples] = []
        words, row_of = _end_to_end(*sides)
        for known, _, found, positions in numbered(words[None], max_order):
            where = row_of[positions]
            new = np.flatnonzero((np.diff(found, prepend=-1) != 0) | (np.diff(where, prepend=-1) != 0))
            grams, rows, counts = found[new], where[new], np.diff(new, append=len(found))
            sizes.append(len(known))
            for side, kept in ((first, rows < len(one)), (second, rows >= len(one))):
                side.append((grams[kept], rows[kept], counts[kept]))
        return cls(tuple(sizes), tuple(first), tuple(second), sides[0][1], sides[1][1])


def bleu_falls(
    occurrences: Occurrences, scores: Floats, orders: Sequence[int] = (2, 3, 4, 5), epsilon: float = 0.1
) -> Floats:
    """How far the sum of the second set's BLEU falls when a sequence of the first set, a reference, is removed.

    Removing a reference changes only the matches of n-grams that it alone has most often. They are collected for each
    pair of a hypothesis and a reference that share one, so that the new precisions are exact.

    Args:
        occurrences: The references and the hypotheses, counted at least up to ``max(orders)``.
        scores: float64, (len(orders), M), as :func:`bench.kernels.ngrams.sentence_bleu` gives them.
        orders: Those of the scores.
        epsilon: That of the scores.

    Returns:
        float64, (len(orders), N), none negative.
    """
    n, m = len(occurrences.lengths), len(occurrences.second_lengths)
    return _falls(occurrences.sizes, occurrences.second, occurrences.first, (n, n + m), scores, orders, epsilon)[:, :n]


def self_bleu_falls(
    occurrences: Occurrences, scores: Floats, orders: Sequence[int] = (2, 3, 4, 5), epsilon: float = 0.1
) -> Floats:
    """How far the sum of the others' self-BLEU falls when a sequence of the first set is no longer their reference.

    Args:
        occurrences: The sequences, and any second set, which is not read; counted at least up to ``max(orders)``.
        scores: float64, (len(orders), N), as :func:`bench.kernels.ngrams.self_bleu` gives them.
        orders: Those of the scores.
        epsilon: That of the scores.

    Returns:
        float64, (len(orders), N), none negative; the sequence's own score is not included.
    """
    n = len(occurrences.lengths)
    return _falls(occurrences.sizes, occurrences.first, occurrences.first, (0, n), scores, orders, epsilon)


def types_without(occurrences: Occurrences, order: int) -> tuple[int, Ints]:
    """The number of different n-grams in the first set, and that number without each of its sequences.

    Args:
        occurrences: The sequences, and any second set, which is not read.
        order: The n of the n-grams, at most the longest that was counted.

    Returns:
        the number, which :func:`bench.kernels.ngrams.distinct` divides by that of all n-grams, and int64, (N,). An
        n-gram with a negative token differs from all others.
    """
    n = len(occurrences.lengths)
    grams, rows, counts = occurrences.first[order - 1]
    sequences = np.bincount(grams, minlength=occurrences.sizes[order - 1])
    unlike_any = _room(occurrences.lengths, order) - np.bincount(rows, weights=counts, minlength=n).astype(np.int64)
    own = np.bincount(rows[sequences[grams] == 1], minlength=n) + unlike_any
    types = int(np.count_nonzero(sequences) + unlike_any.sum())
    return types, types - own


def multiset_jaccard_without(occurrences: Occurrences, max_order: int) -> tuple[float, Floats]:
    """MS-Jaccard of both sets, and MS-Jaccard without each sequence of the first set.

    Args:
        occurrences: Both sets.
        max_order: The longest n-gram, at most the longest that was counted.

    Returns:
        what :func:`bench.kernels.overlap.multiset_jaccard` gives, and float64, (N,).
    """
    n, m = len(occurrences.lengths), len(occurrences.second_lengths)
    product = np.ones(n + 1)  # the last one is with all sequences
    for order in range(1, max_order + 1):
        size, room = occurrences.sizes[order - 1], _room(occurrences.lengths, order)
        grams, rows, counts = occurrences.first[order - 1]
        other_grams, _, other_counts = occurrences.second[order - 1]
        mine = np.bincount(grams, weights=counts, minlength=size)
        theirs = np.bincount(other_grams, weights=other_counts, minlength=size)
        shared = np.minimum(mine / n, theirs / m)
        missed = shared[grams] - np.minimum((mine[grams] - counts) / n, theirs[grams] / m)
        intersection = shared.sum() - np.bincount(rows, weights=missed, minlength=n + 1)
        # The union has all n-grams of both sides, also those with a negative token, and shared ones once.
        other_room = _room(occurrences.second_lengths, order)
        union = (room.sum() - np.append(room, 0)) / n + other_room.sum() / m - intersection
        product *= np.divide(intersection, union, out=np.zeros(n + 1), where=union > 0).clip(min=0)
    values = product ** (1 / max_order)
    return float(values[-1]), values[:-1]


def _room(lengths: Ints, order: int) -> Ints:
    """The number of n-grams in each sequence, including those with a negative token."""
    return np.maximum(lengths - order + 1, 0)


def _end_to_end(*sets: tuple[Ints, Ints]) -> tuple[Ints, Ints]:
    """All sequences joined into one, with a negative token after each, so that short ones need no padding.

    Args:
        sets: Each is tokens, int64 (N, T), and lengths, int64 (N,).

    Returns:
        the tokens, and the number of each token's sequence; later sets are numbered after earlier ones.
    """
    lengths = np.concatenate([lengths for _, lengths in sets])
    rows = np.repeat(np.arange(len(lengths)), lengths + 1)
    words = np.full(len(rows), -1, dtype=np.int64)
    inside = np.ones(len(rows), dtype=bool)
    inside[np.cumsum(lengths + 1) - 1] = False
    words[inside] = np.concatenate([tokens[np.arange(tokens.shape[1]) < size[:, None]] for tokens, size in sets])
    return words, rows


def _falls(
    sizes: Sequence[int],
    scored: Sequence[Triples],
    serving: Sequence[Triples],
    rows_scored: tuple[int, int],
    scores: Floats,
    orders: Sequence[int],
    epsilon: float,
) -> Floats:
    """The falls for every row as a reference; ``rows_scored`` is the half-open range of the rows that are scored."""
    (begin, n), highest = rows_scored, max(orders)
    matches = np.zeros((highest, n))
    pairs: list[Ints] = []
    missed: list[Ints] = []
    for k in range(highest):
        holders, most = _three_largest(sizes[k], *serving[k])
        grams, rows, counts = scored[k]
        first, second = holders[0][grams] == rows, holders[1][grams] == rows  # a row is not its own reference
        holder = np.where(first, holders[1][grams], holders[0][grams])
        limit = np.where(first, most[1][grams], most[0][grams])
        without = np.where(first | second, most[2][grams], most[1][grams])
        matched = np.minimum(counts, limit)
        matches[k] = np.bincount(rows, weights=matched, minlength=n)
        lost = matched - np.minimum(counts, without)
        there = lost > 0
        pairs.append(rows[there] * n + holder[there])
        missed.append(lost[there])
    affected, index = np.unique(np.concatenate(pairs), return_inverse=True)
    losers, holder = np.divmod(affected, n)
    ends = np.cumsum([0, *map(len, pairs)])
    logs = np.zeros(len(affected))
    nothing = np.zeros(len(affected), dtype=bool)
    falls = np.zeros((len(orders), n))
    for k in range(highest):
        before = matches[k][losers]
        after = before - np.bincount(index[ends[k] : ends[k + 1]], weights=missed[k], minlength=len(affected))
        if k == 0:
            nothing = after < 0.5  # without a common word the score is 0
        logs += np.log(np.where(after > 0.5, after, epsilon) / np.where(before > 0.5, before, epsilon))
        for which, order in enumerate(orders):
            if order == k + 1:
                fall = scores[which][losers - begin] * (1 - np.where(nothing, 0, np.exp(logs / order)))
                falls[which] = np.bincount(holder, weights=fall, minlength=n)
    return falls


def _three_largest(size: int, grams: Ints, rows: Ints, counts: Ints) -> tuple[Ints, Ints]:
    """The three rows that have each n-gram most often, and how often: int64 (3, size) each; -1 and 0 for none."""
    order = np.lexsort((-counts, grams))
    rows, counts = rows[order], counts[order]
    holders, most = np.full((3, size), -1), np.zeros((3, size), dtype=np.int64)
    having = np.bincount(grams, minlength=size)
    starts = np.cumsum(having) - having
    for rank in range(3):
        there = np.flatnonzero(having > rank)
        holders[rank, there], most[rank, there] = rows[starts[there] + rank], counts[starts[there] + rank]
    return holders, most


def reference_bleu_falls(
    hypotheses: list[list[int]], references: list[list[int]], order: int, epsilon: float = 0.1
) -> list[float]:
    """The plain twin of :func:`bleu_falls`: BLEU again, each reference's words replaced by some that match nothing."""
    whole = sum(reference_sentence_bleu(hypotheses, references, order, epsilon))
    return [
        whole - sum(reference_sentence_bleu(hypotheses, blanked, order, epsilon)) for blanked in _blanked(references)
    ]


def reference_self_bleu_falls(sequences: list[list[int]], order: int, epsilon: float = 0.1) -> list[float]:
    """The plain twin of :func:`self_bleu_falls`, computed as in :func:`reference_bleu_falls`."""
    falls = []
    for j, blanked in enumerate(_blanked(sequences)):
        falls.append(0.0)
        for i, sequence in enumerate(sequences):
            if i != j:
                for references, sign in ((sequences, 1), (blanked, -1)):
                    others = references[:i] + references[i + 1 :]
                    falls[j] += sign * reference_sentence_bleu([sequence], others, order, epsilon)[0]
    return falls


def _blanked(sequences: list[list[int]]) -> Iterator[list[list[int]]]:
    for j, sequence in enumerate(sequences):
        yield [*sequences[:j], [-1] * len(sequence), *sequences[j + 1 :]]


def reference_types_without(sequences: list[list[int]], order: int) -> list[int]:
    """The plain twin of the second result of :func:`types_without`: distinct-n times the number of all n-grams."""
    return [
        round(reference_distinct(rest, order) * sum(max(len(words) - order + 1, 0) for words in rest))
        for rest in _emptied(sequences)
    ]


def reference_multiset_jaccard_without(one: list[list[int]], two: list[list[int]], max_order: int) -> list[float]:
    """The plain twin of :func:`multiset_jaccard_without`."""
    return [reference_multiset_jaccard(rest, two, max_order) for rest in _emptied(one)]


def _emptied(sequences: list[list[int]]) -> Iterator[list[list[Any]]]:
    for j in range(len(sequences)):
        yield [*sequences[:j], [], *sequences[j + 1 :]]
