"""A fixed n-gram language model with Dirichlet smoothing: the judge's own, small and the same for every model.

With c the counts of n-grams, p_1(w) = (c(w) + a) / (n + a V) and, for each longer context h and the shorter h',
p_k(w | h) = (c(h w) + m_k p_(k-1)(w | h')) / (c(h) + m_k) (MacKay and Peto 1995, "A hierarchical Dirichlet language
model"). It gives no token probability zero, is fitted by counting, and depends on no seed.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["NgramModel", "reference_token_log_prob"]

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]

GAUSS = (0.5 - 0.75**0.5 / 3, 0.5 + 0.75**0.5 / 3)
"""The two points of Gauss's rule between 0 and 1, of equal weight."""


@dataclass(frozen=True, slots=True, eq=False)
class NgramModel:
    """Counts of n-grams; make it with :meth:`fit`.

    Attributes:
        vocab_size: V.
        add: a, added to the count of every word.
        strengths: m_2, m_3 and so on: the weight of the shorter context, as a number of words.
        keys: For each order, int64 (G,), ascending: the n-grams that were seen.
        counts: For each order, int64 (G,): how often.
        contexts: For each order, int64, ascending: the n-grams without their last word.
        context_counts: How often each of those was followed by any token.
    """

    vocab_size: int
    add: float
    strengths: tuple[float, ...]
    keys: tuple[Ints, ...]
    counts: tuple[Ints, ...]
    contexts: tuple[Ints, ...]
    context_counts: tuple[Ints, ...]

    @classmethod
    def fit(cls, tokens: Ints, counted: Bools, vocab_size: int, add: float, strengths: Sequence[float]) -> NgramModel:
        """Count the n-grams of the training sequences.

        Args:
            tokens: int64, (N, T), each in [0, V).
            counted: bool, (N, T): a run of True from the left in each row; what comes after it is not read.
            vocab_size: V.
            add: a, above 0.
            strengths: m_2 to m_K, each above 0; K - 1 of them make a model of order K.

        Raises:
            ValueError: If shapes or numbers are wrong, or n-grams of this order cannot be numbered in 64 bits.
        """
        order = len(strengths) + 1
        if not (add > 0 and all(strength > 0 for strength in strengths)):
            raise ValueError(f"expected add and strengths above 0, got {add} and {tuple(strengths)}")
        if (vocab_size + 1) ** order > np.iinfo(np.int64).max:
            raise ValueError(f"expected (V + 1)^{order} to fit into 64 bits, got V = {vocab_size}")
        if tokens.shape != counted.shape or tokens.ndim != 2:
            raise ValueError(f"expected tokens and counted of one shape (N, T), got {tokens.shape} and {counted.shape}")
        parts = []
        for context, key in _events(tokens, counted, vocab_size, order):
            parts.append((*np.unique(key, return_counts=True), *np.unique(context, return_counts=True)))
        keys, counts, contexts, context_counts = zip(*parts, strict=True)
        return cls(vocab_size, add, tuple(strengths), keys, counts, contexts, context_counts)

    def token_log_prob(self, tokens: Ints, counted: Bools) -> Floats:
        """Log-probability of each token given those before it in its sequence, in nats.

        Args:
            tokens: int64, (N, T).
            counted: bool, (N, T), as in :meth:`fit`.

        Returns:
            float64, (N, T); zero where ``counted`` is False.
        """
        events = _events(tokens, counted, self.vocab_size, len(self.keys))
        (_, words), *longer = events
        seen = self.counts[0].sum()
        p = (_counts_of(words, self.keys[0], self.counts[0]) + self.add) / (seen + self.add * self.vocab_size)
        for k, (context, key) in enumerate(longer, start=1):
            strength = self.strengths[k - 1]
            followed = _counts_of(context, self.contexts[k], self.context_counts[k])
            p = (_counts_of(key, self.keys[k], self.counts[k]) + strength * p) / (followed + strength)
        log_prob = np.zeros(tokens.shape)
        log_prob[counted] = np.log(p)
        return log_prob

    def mean_nll(self, tokens: Ints, counted: Bools, weights: Sequence[float] = (1.0,)) -> list[float]:
        """Mean NLL per token that counts, if everything that the model was fitted to counted so many times.

        Args:
            tokens: int64, (M, T), with at least one token that counts.
            counted: bool, (M, T), as in :meth:`fit`.
            weights: Each above 0. A weight of all counts is that much less smoothing.

        Returns:
            The NLL in nats per token, for each weight.
        """
        seen = self._seen(_events(tokens, counted, self.vocab_size, len(self.keys)))
        found = []
        for weight in weights:
            p: Floats | float = 1 / self.vocab_size
            for (count, followed), strength in zip(seen, self._all_strengths, strict=True):
                p = (weight * count + strength * p) / (weight * followed + strength)
            found.append(-float(np.log(p).mean()))
        return found

    def nll_falls(self, tokens: Ints, counted: Bools, others: Ints, others_counted: Bools) -> Floats:
        """How far the mean NLL of some tokens would fall without each of the sequences that the model was fitted to.

        It is estimated to within a few percent, at the price of reading the tokens twice more: fitting anew without
        each of N sequences would take N times as long. The fall is the integral, over a weight from 0 to 1 of the
        sequence in all counts, of the derivative of the NLL with respect to that weight (at 1 it is the infinitesimal
        jackknife, Jaeckel 1972, much too small for n-grams that nobody else has). It is computed by Gauss's rule of two
        points for sequences that have each n-gram once, as most do.

        Args:
            tokens: int64, (M, T): the text whose NLL it is.
            counted: bool, (M, T), as in :meth:`fit`.
            others: int64, (N, S): sequences that are among those the model was fitted to.
            others_counted: bool, (N, S).

        Returns:
            float64, (N,), nats per token.
        """
        read = _events(tokens, counted, self.vocab_size, len(self.keys))
        theirs = _events(others, others_counted, self.vocab_size, len(self.keys))
        rows = np.repeat(np.arange(len(others)), others_counted.sum(axis=1))
        found = np.zeros(len(others))
        seen = self._seen(read)
        for weight in GAUSS:
            slopes = self._slopes(seen, 1 - weight)
            for (context, key), (their_context, their_key), (by_count, by_size) in zip(
                read, theirs, slopes, strict=True
            ):
                moved = _sum_at(their_key, key, by_count) + _sum_at(their_context, context, by_size)
                found += np.bincount(rows, moved, len(others)) / len(GAUSS)
        return found

    @property
    def _all_strengths(self) -> tuple[float, ...]:
        """The weight of the shorter context, for every order; below the shortest every word has 1 / V."""
        return self.add * self.vocab_size, *self.strengths

    def _seen(self, events: list[tuple[Ints, Ints]]) -> list[tuple[Ints, Ints]]:
        """How often the n-gram and its context were seen, for every order: int64, (M,) each."""
        return [
            (
                _counts_of(key, self.keys[k], self.counts[k]),
                _counts_of(context, self.contexts[k], self.context_counts[k]),
            )
            for k, (context, key) in enumerate(events)
        ]

    def _slopes(self, seen: list[tuple[Ints, Ints]], less: float) -> list[tuple[Floats, Floats]]:
        """The derivatives of the mean NLL with respect to the counts behind each token, for every order.

        Args:
            seen: As :meth:`_seen` gives it.
            less: What is taken from every count that is not 0.

        Returns:
            float64, (M,) each: by the count of the n-gram that ends in the token, and by that of its context.
        """
        p, ps, sizes = np.full(len(seen[0][0]), 1 / self.vocab_size), [], []
        strengths = self._all_strengths
        for counts, strength in zip(seen, strengths, strict=True):
            count, followed = (times - less * np.minimum(times, 1) for times in counts)
            size = followed + strength
            p = (count + strength * p) / size
            ps.append(p)
            sizes.append(size)
        found, slope = [], -1 / (p * max(len(p), 1))  # with respect to the probability of each token
        for p, size, strength in zip(reversed(ps), reversed(sizes), reversed(strengths), strict=True):
            found.append((slope / size, -slope * p / size))
            slope = slope * strength / size  # with respect to that of the next shorter context
        return found[::-1]


def _sum_at(wanted: Ints, keys: Ints, values: Floats) -> Floats:
    """The sum of the values of each wanted key: float64; 0 for one that is not among the keys."""
    if len(keys) == 0:
        return np.zeros(len(wanted))
    unique, where = np.unique(keys, return_inverse=True)
    sums = np.bincount(where.ravel(), values, len(unique))
    indices = np.minimum(np.searchsorted(unique, wanted), len(unique) - 1)
    found: Floats = np.where(unique[indices] == wanted, sums[indices], 0.0)
    return found


def _events(tokens: Ints, counted: Bools, vocab_size: int, order: int) -> list[tuple[Ints, Ints]]:
    """For each order, the keys of the context and of the n-gram at each counted position: int64, (M,) each.

    A symbol that is not in the vocabulary, V, precedes each sequence.
    """
    read = np.where(counted, tokens, 0)
    padded = np.concatenate([np.full((len(tokens), order - 1), vocab_size), read], axis=1)
    length = tokens.shape[1]
    words, context = read[counted], np.zeros(int(counted.sum()), dtype=np.int64)
    events = []
    for k in range(order):
        if k:
            earlier = padded[:, order - 1 - k : order - 1 - k + length][counted]
            context = context + earlier * (vocab_size + 1) ** (k - 1)
        events.append((context, words * (vocab_size + 1) ** k + context))
    return events


def _counts_of(wanted: Ints, keys: Ints, counts: Ints) -> Ints:
    """The count of each wanted key, 0 where it was not seen."""
    if len(keys) == 0:
        return np.zeros(len(wanted), dtype=np.int64)
    indices = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    found: Ints = np.where(keys[indices] == wanted, counts[indices], 0)
    return found


def reference_token_log_prob(
    train: list[list[int]], test: list[list[int]], vocab_size: int, add: float, strengths: Sequence[float]
) -> list[list[float]]:
    """The plain twin of :meth:`NgramModel.fit` and :meth:`NgramModel.token_log_prob`, for sequences without padding."""
    order = len(strengths) + 1

    def padded(words: list[int]) -> list[int]:
        return [vocab_size] * (order - 1) + words

    grams: Counter[tuple[int, ...]] = Counter()
    followed: Counter[tuple[int, ...]] = Counter()
    for words in map(padded, train):
        for end in range(order - 1, len(words)):
            for k in range(order):
                grams[tuple(words[end - k : end + 1])] += 1
                followed[tuple(words[end - k : end])] += 1
    answers = []
    for words in map(padded, test):
        log_probs = []
        for end in range(order - 1, len(words)):
            p = (grams[(words[end],)] + add) / (followed[()] + add * vocab_size)
            for k in range(1, order):
                context = tuple(words[end - k : end])
                strength = strengths[k - 1]
                p = (grams[(*context, words[end])] + strength * p) / (followed[context] + strength)
            log_probs.append(math.log(p))
        answers.append(log_probs)
    return answers
