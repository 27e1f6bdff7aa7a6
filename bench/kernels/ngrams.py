"""Exact n-gram overlap: sentence BLEU against many references, leave-one-out self-BLEU, distinct-n.

A k-gram is two (k-1)-grams that overlap in all but one word, so the pair of their indices identifies it. Numbering the
n-grams of the references order by order in this way fits any vocabulary into int64, and an n-gram with a part that is
not known is dropped before it is looked up. Every function costs O(n log n) in tokens, whatever the number of
references. The functions named ``reference_*`` compute the same in plain loops; the tests compare the two.

A negative token is a symbol that equals nothing, not even itself: an out-of-vocabulary word. It counts in the
length of a sequence and in the number of its n-grams, and never matches.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "ReferenceCounts",
    "checked",
    "distinct",
    "numbered",
    "reference_distinct",
    "reference_self_bleu",
    "reference_sentence_bleu",
    "self_bleu",
    "sentence_bleu",
    "word_keys",
]

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class ReferenceCounts:
    """The counts that BLEU needs of a set of references; build them once with :meth:`build`, score against them often.

    Entry k-1 of each tuple is about the k-grams; G_k is the number of different ones.

    Attributes:
        keys: int64, (G_k,), ascending. A word is its own key; a longer n-gram has the key ``prefix * G_(k-1) +
            suffix``, made of the indices of its two (k-1)-grams in the previous entry.
        largest: int64, (G_k,): the largest count of the n-gram in one reference.
        second: int64, (G_k,): the same without one reference that reaches ``largest``; 0 where no other has it.
        lengths: int64, (M,), ascending.
    """

    keys: tuple[Ints, ...]
    largest: tuple[Ints, ...]
    second: tuple[Ints, ...]
    lengths: Ints

    @property
    def max_order(self) -> int:
        """The longest n-gram that was counted."""
        return len(self.keys)

    @classmethod
    def build(cls, tokens: Ints, lengths: Ints, max_order: int) -> ReferenceCounts:
        """Count the n-grams of every reference.

        Args:
            tokens: int64, (M, T); what comes after a row's length is not read.
            lengths: int64, (M,), each in [0, T].
            max_order: The longest n-gram to count, at least 1.

        Returns:
            The counts, in the memory of a few arrays of M x T integers per order.

        Raises:
            ValueError: If there is no reference, or shapes, lengths or ``max_order`` are wrong.
        """
        tokens, lengths = checked(tokens, lengths)
        if len(tokens) == 0:
            raise ValueError("expected at least one reference, got none")
        keys: list[Ints] = []
        largest: list[Ints] = []
        second: list[Ints] = []
        for known, _, grams, positions in numbered(word_keys(tokens, lengths), max_order):
            rows = positions // (tokens.shape[1] - len(keys))
            counted = np.flatnonzero((np.diff(grams, prepend=-1) != 0) | (np.diff(rows, prepend=-1) != 0))
            counts = np.diff(counted, append=len(grams))  # of each n-gram in each reference that has it
            seen = grams[counted]
            first = np.flatnonzero(np.diff(seen, prepend=-1))
            most = np.maximum.reduceat(counts, first) if len(first) else counts
            runner_up = np.minimum(np.diff(first, append=len(seen)) - 1, 1)  # 1 if several have it, 0 if one does
            # That is final for n-grams that no reference has twice; the few others are ranked.
            often = most > 1
            ranked = np.sort(seen[often[seen]] * (tokens.shape[1] + 1) + counts[often[seen]])
            ranked_grams, ranked_counts = np.divmod(ranked, tokens.shape[1] + 1)
            last = np.searchsorted(ranked_grams, np.flatnonzero(often), side="right") - 1
            runner_up[often] *= ranked_counts[last - 1]
            keys.append(known)
            largest.append(most)
            second.append(runner_up)
        return cls(tuple(keys), tuple(largest), tuple(second), np.sort(lengths))


def sentence_bleu(
    hypotheses: Ints,
    lengths: Ints,
    references: ReferenceCounts,
    orders: Sequence[int] = (2, 3, 4, 5),
    epsilon: float = 0.1,
) -> Floats:
    """BLEU of each hypothesis by itself against all references (Papineni et al., 2002).

    BLEU-n is the geometric mean, with weights 1/n, of the clipped precisions of the 1- to n-grams, times
    ``exp(1 - r / c)`` for a hypothesis of length c no longer than r, the closest reference length (of two equally
    close, the shorter). No match at all among k-grams counts as ``epsilon`` matches (smoothing method 1 of Chen and
    Cherry, 2014); no match among words makes the score 0. These are nltk's conventions.

    Args:
        hypotheses: int64, (N, T); what comes after a row's length is not read.
        lengths: int64, (N,), each in [0, T].
        references: What to compare with, counted at least up to ``max(orders)``.
        orders: The values of n to compute, at least one.
        epsilon: The number that replaces zero matches, above 0.

    Returns:
        float64, (len(orders), N), each in [0, 1] for ``epsilon <= 1``.

    Raises:
        ValueError: If a shape, a length, an order or ``epsilon`` is wrong.

    Example:
        >>> references = ReferenceCounts.build(np.array([[1, 2, 3, 4]]), np.array([4]), max_order=2)
        >>> sentence_bleu(np.array([[1, 2, 3, 4], [8, 7, 6, 5]]), np.array([4, 4]), references, orders=(2,))
        array([[1., 0.]])
    """
    return _bleu(*checked(hypotheses, lengths), references, orders, epsilon, leave_one_out=False)


def self_bleu(tokens: Ints, lengths: Ints, orders: Sequence[int] = (2, 3, 4, 5), epsilon: float = 0.1) -> Floats:
    """BLEU of each sequence against all the others: high when they are alike (Zhu et al., 2018, Texygen).

    Leaving a sequence out is exact and costs nothing. Its counts are clipped by the second largest, with multiplicity:
    that is the largest count of the others where its own is the largest, and at least its own everywhere else. Its
    length is removed from the reference lengths.

    Args:
        tokens: int64, (N, T), N >= 2; what comes after a row's length is not read.
        lengths: int64, (N,), each in [0, T].
        orders: The values of n to compute, at least one.
        epsilon: The number that replaces zero matches, above 0.

    Returns:
        float64, (len(orders), N). An identical copy elsewhere is a reference like any other, so both score 1.

    Raises:
        ValueError: If there are fewer than two sequences, or a shape, a length, an order or ``epsilon`` is wrong.
    """
    tokens, lengths = checked(tokens, lengths)
    if len(tokens) < 2:
        raise ValueError(f"expected at least 2 sequences, so that each has another to compare with, got {len(tokens)}")
    references = ReferenceCounts.build(tokens, lengths, max(orders, default=1))
    return _bleu(tokens, lengths, references, orders, epsilon, leave_one_out=True)


def distinct(tokens: Ints, lengths: Ints, order: int) -> float:
    """Different n-grams divided by all n-grams, over all sequences (Li et al., 2016). It falls as N grows: fix N.

    Args:
        tokens: int64, (N, T); what comes after a row's length is not read.
        lengths: int64, (N,), each in [0, T].
        order: The n of the n-grams, at least 1.

    Returns:
        A number in [0, 1], 0.0 where no sequence is as long as ``order``. An n-gram with a negative token differs
        from all others.

    Raises:
        ValueError: If a shape, a length or the order is wrong.

    Example:
        >>> distinct(np.array([[1, 1, 1, 2]]), np.array([4]), order=2)
        0.6666666666666666
    """
    tokens, lengths = checked(tokens, lengths)
    *_, (known, ids, _, _) = numbered(word_keys(tokens, lengths), order)
    total = int(np.maximum(lengths - order + 1, 0).sum())
    unlike_any = total - int(np.count_nonzero(ids >= 0))
    return (len(known) + unlike_any) / total if total else 0.0


def checked(tokens: Ints, lengths: Ints) -> tuple[Ints, Ints]:
    """Both as int64, after checks that they are integers of shape (N, T) and (N,) and that the lengths are in [0, T].

    Raises:
        ValueError: If they are not.
    """
    tokens, lengths = np.asarray(tokens), np.asarray(lengths)
    if tokens.ndim != 2 or tokens.dtype.kind not in "iu":
        raise ValueError(f"expected integer tokens of shape (N, T), got {tokens.dtype} of shape {tokens.shape}")
    if lengths.shape != tokens.shape[:1] or lengths.dtype.kind not in "iu":
        raise ValueError(
            f"expected integer lengths of shape ({len(tokens)},), got {lengths.dtype} of shape {lengths.shape}"
        )
    if lengths.size and not 0 <= lengths.min() <= lengths.max() <= tokens.shape[1]:
        raise ValueError(f"expected lengths in [0, {tokens.shape[1]}], got [{lengths.min()}, {lengths.max()}]")
    return tokens.astype(np.int64, copy=False), lengths.astype(np.int64, copy=False)


def word_keys(tokens: Ints, lengths: Ints) -> Ints:
    """The keys of the 1-grams: the tokens, and a negative number wherever nothing can match. int64, (N, T)."""
    return np.where(np.arange(tokens.shape[1]) < lengths[:, None], tokens, -1)


def pairs(ids: Ints, size: int) -> Ints:
    """From the indices of k-grams, (N, P), to the keys of (k+1)-grams, (N, max(P - 1, 0)); -1 means unknown."""
    prefix, suffix = ids[:, :-1], ids[:, 1:]
    return np.where((prefix | suffix) >= 0, prefix * size + suffix, -1)  # one negative index makes the "or" negative


def look_up(keys: Ints, known: Ints) -> Ints:
    """The index of each key in the ascending ``known``, -1 where it is negative or missing; shape of ``keys``."""
    ids = np.full(keys.shape, -1, dtype=np.int64)
    if len(known):
        active = keys >= 0
        wanted = keys[active]
        indices = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
        ids[active] = np.where(known[indices] == wanted, indices, -1)
    return ids


def numbered(keys: Ints, max_order: int) -> Iterator[tuple[Ints, Ints, Ints, Ints]]:
    """For each order, the different n-grams and their positions.

    Returns:
        ascending keys, (G_k,); the index of the n-gram that begins at each position, (N, P), -1 for none; and the same
        sorted by n-gram and then by position, (M,) each: the index, and the position in the flattened (N, P).
    """
    if max_order < 1:
        raise ValueError(f"expected an order >= 1, got {max_order}")
    for _ in range(max_order):
        found, positions = _sorted(keys)
        new = np.diff(found, prepend=-1) > 0
        known, grams = found[new], np.cumsum(new) - 1
        ids = np.full(keys.shape, -1, dtype=np.int64)
        ids.reshape(-1)[positions] = grams
        yield known, ids, grams, positions
        keys = pairs(ids, len(known))


def _sorted(keys: Ints) -> tuple[Ints, Ints]:
    """The non-negative keys, ascending, and their positions in the flattened array; equal keys by position."""
    positions = np.flatnonzero(keys >= 0)
    found = keys.reshape(-1)[positions]
    bits = int(keys.size).bit_length()
    if len(found) and int(found.max()) >> (62 - bits):
        order = np.argsort(found, kind="stable")
        return found[order], positions[order]
    packed = np.sort(found << bits | positions)  # many times faster than sorting positions by keys
    return packed >> bits, packed & ((1 << bits) - 1)


def _tally(ids: Ints, size: int) -> tuple[Ints, Ints, Ints]:
    """The rows, their n-grams, and how often: three int64 vectors, one entry for each n-gram that a row has."""
    codes = np.arange(len(ids))[:, None] * size + ids
    pairs = np.sort(codes[ids >= 0])
    starts = np.flatnonzero(np.diff(pairs, prepend=-1))
    rows, grams = np.divmod(pairs[starts], max(size, 1))
    return rows, grams, np.diff(starts, append=len(pairs))


def _matches(keys: Ints, references: ReferenceCounts, max_order: int, leave_one_out: bool) -> Floats:
    """Clipped matches of each row, (max_order, N); ``leave_one_out`` where the rows are the references themselves."""
    matches = np.zeros((max_order, len(keys)))
    for k in range(max_order):
        size = len(references.keys[k])
        ids = look_up(keys, references.keys[k])
        rows, grams, counts = _tally(ids, size)
        limit = references.second[k] if leave_one_out else references.largest[k]
        matches[k] = np.bincount(rows, weights=np.minimum(counts, limit[grams]), minlength=len(keys))
        keys = pairs(ids, size)
    return matches


def _closest(lengths: Ints, ascending: Ints, leave_one_out: bool) -> Floats:
    """The reference length nearest to each length, the shorter on a tie; ``leave_one_out`` skips one equal entry."""
    fenced = np.concatenate(([-np.inf], ascending, [np.inf]))
    index = np.searchsorted(ascending, lengths)
    below, above = fenced[index], fenced[index + 1 + leave_one_out]
    nearest: Floats = np.where(lengths - below <= above - lengths, below, above)
    return nearest


def _bleu(
    tokens: Ints,
    lengths: Ints,
    references: ReferenceCounts,
    orders: Sequence[int],
    epsilon: float,
    *,
    leave_one_out: bool,
) -> Floats:
    if len(orders) == 0 or not 1 <= min(orders) <= max(orders) <= references.max_order:
        raise ValueError(f"expected orders in [1, {references.max_order}], as counted, got {tuple(orders)}")
    if not epsilon > 0:
        raise ValueError(f"expected epsilon > 0, got {epsilon}")
    matches = _matches(word_keys(tokens, lengths), references, max(orders), leave_one_out)
    order = np.arange(1, max(orders) + 1)[:, None]
    precision = np.where(matches > 0, matches, epsilon) / np.maximum(lengths - order + 1, 1)
    mean = np.log(precision).cumsum(axis=0) / order
    brevity = np.minimum(0.0, 1.0 - _closest(lengths, references.lengths, leave_one_out) / np.maximum(lengths, 1))
    scores: Floats = np.where(matches[0] > 0, np.exp(mean + brevity), 0.0)[np.array(orders) - 1]
    return scores


def reference_sentence_bleu(
    hypotheses: list[list[int]], references: list[list[int]], order: int, epsilon: float = 0.1
) -> list[float]:
    """The plain twin of :func:`sentence_bleu`: one BLEU-``order`` for each hypothesis, by loops over all references."""

    def count(words: list[int], k: int) -> Counter[tuple[int, ...]]:
        grams = [tuple(words[i : i + k]) for i in range(len(words) - k + 1)]
        return Counter(gram for gram in grams if min(gram) >= 0)

    scores = []
    for hypothesis in hypotheses:
        logs, words_matched = 0.0, 0
        for k in range(1, order + 1):
            counted = [count(reference, k) for reference in references]
            matched = sum(min(n, max(c[gram] for c in counted)) for gram, n in count(hypothesis, k).items())
            logs += math.log((matched or epsilon) / max(1, len(hypothesis) - k + 1)) / order
            words_matched = matched if k == 1 else words_matched
        if words_matched == 0:
            scores.append(0.0)
            continue
        closest = min((abs(len(reference) - len(hypothesis)), len(reference)) for reference in references)[1]
        scores.append(math.exp(logs + min(0.0, 1 - closest / len(hypothesis))))
    return scores


def reference_self_bleu(sequences: list[list[int]], order: int, epsilon: float = 0.1) -> list[float]:
    """The plain twin of :func:`self_bleu`: each sequence against the list without it."""
    return [
        reference_sentence_bleu([sequence], sequences[:i] + sequences[i + 1 :], order, epsilon)[0]
        for i, sequence in enumerate(sequences)
    ]


def reference_distinct(sequences: list[list[int]], order: int) -> float:
    """The plain twin of :func:`distinct`: a set of n-grams, and each n-gram with a negative token by itself."""
    grams = [tuple(words[i : i + order]) for words in sequences for i in range(len(words) - order + 1)]
    ordinary = {gram for gram in grams if min(gram) >= 0}
    unlike_any = sum(min(gram) < 0 for gram in grams)
    return (len(ordinary) + unlike_any) / len(grams) if grams else 0.0
