"""Are the samples of use? A fixed model of the next place learns from them and is tested on real trips."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from bench.kernels.ngrams import Floats, Ints, word_keys
from bench.metrics.base import Estimate, Subject
from bench.metrics.globe import RADIUS_KM, haversine_km
from bench.metrics.ranges import SHARE, Range
from bench.metrics.sequences import Bools, Tokens

__all__ = ["ADD", "GUESSES", "STRENGTHS", "Moves", "NextPlace", "NextPlaceModel"]

ADD, STRENGTHS = 0.5, (10.0, 10.0)
"""Of the model: a, and the weights of the shorter contexts, m_1 and m_2. On the validation split of ``flights``,
weights from 1 to 30 differ by less than 0.004 in accuracy, from 1,000 trips and from all."""
GUESSES = 5
"""Places that it names."""
ROWS = 256
"""Contexts whose laws are in memory at a time."""
WORK = 3 * 10**8
"""Probabilities that are computed, at most, as long as :data:`FEWEST` test trips are read: a few seconds."""
FEWEST = 50
FARTHEST = Range(0, float(np.pi) * RADIUS_KM, "No place on the globe is farther away.")


class NextPlace:
    """Train on synthetic, test on real: how well the next place of a real trip is predicted after reading the samples.

    The predictor is the same for everybody, counts of at most three successive places: with c the counts over the
    samples, p_0(w) = (c(w) + a) / (n + a V), and after the last place, and then after the last two,
    p_k(w | h) = (c(h w) + m_k p_(k-1)(w | h')) / (c(h) + m_k) (MacKay and Peto 1995). Nothing in it is random, and
    equal probabilities are ordered by id. It names the most probable places; words that are no places, such as
    ``<unk>`` and the end mark, are never named, and where one comes next nothing is asked. It is asked for every place
    of the test trips but the first of each, after the true places before.

    ``next_place_accuracy1`` and ``next_place_accuracy5``: the share of places that it names first, and among its first
    five. ``next_place_km``: the mean distance in km from the place that it names first to the true one, 0 where it is
    right; ``next_place_rmse_km``: the root of the mean squared distance, which a few far misses decide. Where the
    vocabulary is large, fewer test trips are read, the first ones: the number in the signature.

    The row of the real data is the same predictor after as many real training trips: what samples are worth is their
    distance from that row. Esteban, Hyland and Raetsch 2017 ("Real-valued (medical) time series generation with
    recurrent conditional GANs") call it TSTR.

    How it can be gamed: by copying training trips, which is as good as the real data, and which the copy rates show;
    and by writing only what matters to three successive places, whatever the trips are like as a whole. Accuracy
    asks for the likeliest place alone, so that samples more regular than real trips score better: word pairs of flights
    whose probabilities are raised to the power of 3 go from .256 to .269, while their distances get four times as far
    from the test set's (``trip_distance_jsd`` .109 to .456). So it is never read without the columns of ``trips``.
    One trip repeated names nothing but its own places.
    """

    version: ClassVar[str] = "1"

    def estimates(self, subject: Subject) -> Iterator[Estimate]:
        """``next_place_accuracy1``, ``next_place_accuracy5``, ``next_place_km`` and ``next_place_rmse_km``."""
        places, text = subject.against.places, subject.text
        if places is None:
            return
        known = np.isfinite(places[:, 0])
        test = subject.against.references
        read = test[: max(FEWEST, WORK // (len(places) * max(1, test.ids.shape[1])))]
        moves, asked = (Moves.of(tokens, known) for tokens in (text, read))
        about = {"order": 3, "add": ADD, "strengths": ",".join(f"{m:g}" for m in STRENGTHS), "ties": "id"}
        signature = subject.signature(self.version, "train-on-samples", **about, n=len(text), test=len(read))
        reasons = ("there is no move to a place in any sample", "there is no move to a place in any test sequence")
        why = next((why for why, some in zip(reasons, (moves, asked), strict=True) if not len(some)), None)
        values: dict[str, float] = {}
        if why is None:
            named = NextPlaceModel.fit(moves, known).guess(asked, GUESSES)
            right = named == asked.targets[:, None]
            errors = haversine_km(places[named[:, 0]], places[asked.targets])
            values = {
                "next_place_accuracy1": float(right[:, 0].mean()),
                "next_place_accuracy5": float(right.any(1).mean()),
                "next_place_km": float(errors.mean()),
                "next_place_rmse_km": float(np.sqrt((errors**2).mean())),
            }
        for name, unit, direction, possible in (
            ("next_place_accuracy1", "", "higher", SHARE),
            ("next_place_accuracy5", "", "higher", SHARE),
            ("next_place_km", "km", "lower", FARTHEST),
            ("next_place_rmse_km", "km", "lower", FARTHEST),
        ):
            empty = len(asked) > 0 and not len(moves)
            yield Estimate(name, values.get(name), unit, direction, signature, why, answered=empty, possible=possible)


@dataclass(frozen=True, slots=True, eq=False)
class Moves:
    """Every place that follows another word of its trip.

    Attributes:
        before: int64, (M,), the word two before it; V, the start, where there is none.
        last: int64, (M,), the word before it.
        targets: int64, (M,), the place.
    """

    before: Ints
    last: Ints
    targets: Ints

    @classmethod
    def of(cls, tokens: Tokens, known: Bools) -> Moves:
        """The moves of some trips.

        Args:
            tokens: N sequences.
            known: bool, (V,): which words are places.
        """
        ids = word_keys(tokens.ids, tokens.lengths)
        started = np.concatenate([np.full((len(ids), 1), len(known)), ids], axis=1)  # at t, the word at t - 1
        targets, last, before = ids[:, 1:], ids[:, :-1], started[:, : ids.shape[1] - 1]
        there = np.append(known, False)[targets]  # -1, after the end, is the last
        return cls(before[there], last[there], targets[there])

    def __len__(self) -> int:
        return len(self.targets)


@dataclass(frozen=True, slots=True, eq=False)
class NextPlaceModel:
    """Counts of moves; make it with :meth:`fit`.

    Attributes:
        shares: float64, (V,), p_0; -1 for words that are no places.
        keys: For contexts of one and of two words, int64, ascending: context times V plus the word that followed.
        counts: How often each of these was seen.
    """

    shares: Floats
    keys: tuple[Ints, Ints]
    counts: tuple[Ints, Ints]

    @classmethod
    def fit(cls, moves: Moves, known: Bools) -> NextPlaceModel:
        """Count moves."""
        V = len(known)
        seen = np.bincount(moves.targets, minlength=V)
        shares = np.where(known, (seen + ADD) / (len(moves) + ADD * V), -1.0)
        pairs = [np.unique(context * V + moves.targets, return_counts=True) for context in _contexts(moves, V)]
        return cls(shares, (pairs[0][0], pairs[1][0]), (pairs[0][1], pairs[1][1]))

    def guess(self, moves: Moves, most: int) -> Ints:
        """The most probable places after the words before each move, the likeliest first.

        Args:
            moves: Whose targets are not read.
            most: How many places.

        Returns:
            int64, (M, most); where there are fewer places than that, the last one is named again.
        """
        V = len(self.shares)
        distinct, index = np.unique(_contexts(moves, V)[1], return_inverse=True)
        named = np.empty((len(distinct), most), dtype=np.int64)
        for start in range(0, len(distinct), ROWS):
            context = distinct[start : start + ROWS]
            law = self._laws(context)
            rows, best = np.arange(len(law)), law.argmax(1)
            for rank in range(most):  # argmax takes the first of equals
                found = law.argmax(1)
                best = np.where(law[rows, found] >= 0, found, best)
                named[start : start + ROWS, rank] = best
                law[rows, found] = -1.0
        return named[index.reshape(-1)]

    def _laws(self, context: Ints) -> Floats:
        """The probability of each place after two words, below 0 for other words: int64 (B,) to float64 (B, V)."""
        V = len(self.shares)
        law = np.tile(self.shares, (len(context), 1))
        for shorter, keys, counts, strength in zip(
            (context % V, context), self.keys, self.counts, STRENGTHS, strict=True
        ):
            begin, end = np.searchsorted(keys, shorter * V), np.searchsorted(keys, (shorter + 1) * V)
            size = end - begin
            rows = np.repeat(np.arange(len(context)), size)
            at = np.arange(size.sum()) - np.repeat(size.cumsum() - size, size) + np.repeat(begin, size)
            law *= strength
            law[rows, keys[at] % V] += counts[at]
            law /= (np.bincount(rows, counts[at], minlength=len(context)) + strength)[:, None]
        return law


def _contexts(moves: Moves, size: int) -> tuple[Ints, Ints]:
    """The last word, and the last two as one number: int64, (M,) each."""
    return moves.last, moves.before * size + moves.last
