"""Tunes compared with the test set's: pitch classes, intervals, and a reading of the paper's mean squared error."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import numpy as np

from bench.data.notation import PITCHES, TUNES, read_note
from bench.kernels.ngrams import Floats, Ints, word_keys
from bench.metrics.base import Estimate, Subject
from bench.metrics.ranges import NOT_NEGATIVE, SHARE
from bench.metrics.sequences import Tokens
from bench.metrics.signature import Signature

NONE = -1
"""The pitch of a rest, of a word that is not a note, and of what follows the end of a tune."""
SILENCE = 20
"""The pitch of a line of the grid without a single note: key 0, below the first key."""
ROWS = 1024
"""Samples whose distances to all test lines are in memory at a time."""


class Music:
    """Pitch classes, intervals and mean squared error of tunes against the test set; nothing for other tasks.

    ``pitch_class_distance`` and ``interval_distance`` are total variation distances, half the sum of the absolute
    differences, between two histograms, the samples' and the test set's: the share of the samples' notes (or of their
    intervals) that would have to change. It is between 0 and 1, and unlike a Kullback-Leibler divergence it needs no
    smoothing where a bin is empty. Pitch classes are the twelve notes whatever the octave: on the grid every step
    counts once, so that a long note counts more; where notes carry durations every note counts once. Intervals are
    signed semitones from one note to the next of the same tune, skipping rests. The grid cannot distinguish a held note
    from a repeated one: there, only changes of pitch are intervals; where notes carry durations a repeated note is an
    interval of 0. Rests and words that are not notes count in neither.

    ``mse``, on the grid only, is the mean squared error of Yu et al. (2017, whose music task has 22.38 for MLE and
    20.62 for SeqGAN on Nottingham tunes). The paper gives no formula. Here it is, for each sample y, the smallest mean
    over positions of (y_t - x_t)^2 among all test lines x, averaged over samples; pitches in semitones, a rest keeping
    the pitch before it (at the start, the one after it). Like the paper's BLEU it takes the entire test set as
    references, and of the readings at hand only this one distinguishes music from noise: on Nottingham tunes on a grid
    like the paper's, 315 lines held out, training lines score 10.3, unsmoothed word pairs 11.8, notes drawn one by one
    21.5 (with 100 lines held out 12.1, 13.8 and 23.3), whereas the mean over all pairs of lines gives 47.8, 47.8 and
    48.2, and the distance to the mean test line 24.0 and 24.2 for training lines and notes drawn one by one. On
    ``folk-tunes`` the three score 9.4, 11.1 and 23.0. It falls as the test set grows, whose size is in the signature.

    How they can be gamed: the distances by a model without order (notes drawn one by one have the right pitch classes,
    word pairs the right intervals), all three by copying, which the copy rates show. ``mse`` rewards what is dull: the
    best single note, held forever, scores 1.8 on Nottingham and 1.1 on ``folk-tunes``, far below any music. Hence the
    real data's own value is the goal, although in the paper lower is better.
    """

    version: ClassVar[str] = "1"

    def estimates(self, subject: Subject) -> Iterator[Estimate]:
        """``pitch_class_distance``, ``interval_distance``, and on the grid ``mse``."""
        spec, symbols = subject.against.spec, subject.against.symbols
        if spec is None or spec.kind not in TUNES or symbols is None:
            return
        notes = [read_note(word, spec.kind) for word in symbols]
        pitch_of = np.array([NONE if note is None or note.pitch is None else note.pitch for note in notes] + [NONE])

        def pitches(tokens: Tokens) -> Ints:
            return pitch_of[word_keys(tokens.ids, tokens.lengths)]  # after the end of a tune, the last entry: NONE

        samples, test = pitches(subject.text), pitches(subject.against.references)
        grid = spec.kind == "pitches"
        sizes = {"n": len(samples), "test": len(test)}
        by_class = subject.signature(self.version, per="step" if grid else "note", **sizes)
        by_interval = subject.signature(self.version, of="changes" if grid else "notes", **sizes)
        made, real = (intervals(tunes, repeats=not grid) for tunes in (samples, test))
        yield _distance("pitch_class_distance", pitch_classes(samples), pitch_classes(test), by_class, "note")
        yield _distance("interval_distance", made, real, by_interval, "interval")
        if grid:
            errors = nearest_squared_error(held(samples), held(test))
            nearest = subject.signature(self.version, "nearest", rests="held", **sizes)
            yield Estimate("mse", float(errors.mean()), "semitones²", "real", nearest, possible=NOT_NEGATIVE)


def pitch_classes(tunes: Ints) -> Ints:
    """Counts of the twelve pitch classes: MIDI pitches, int64 (N, T), to int64 (12,)."""
    return np.bincount(tunes[tunes != NONE] % 12, minlength=12)


def intervals(tunes: Ints, repeats: bool) -> Ints:
    """Counts of the intervals from one note to the next, from 127 semitones down to 127 up.

    Args:
        tunes: MIDI pitches, int64 (N, T).
        repeats: Whether two equal notes in a row are an interval.

    Returns:
        int64, (255,).
    """
    rows, _ = np.nonzero(tunes != NONE)
    steps = np.diff(tunes[tunes != NONE])[rows[1:] == rows[:-1]]
    return np.bincount((steps if repeats else steps[steps != 0]) + PITCHES - 1, minlength=2 * PITCHES - 1)


def total_variation(first: Ints, second: Ints) -> float:
    """Half the sum of the absolute differences of two histograms' shares."""
    return float(np.abs(first / first.sum() - second / second.sum()).sum() / 2)


def held(tunes: Ints) -> Ints:
    """Lines of the grid whose rests keep the pitch before them, or else the one after: int64 (N, T) to (N, T)."""
    positions = np.maximum.accumulate(np.where(tunes == NONE, -1, np.arange(tunes.shape[1])), axis=1)
    first = (tunes != NONE).argmax(1)[:, None]
    filled = np.take_along_axis(tunes, np.where(positions < 0, first, positions), axis=1)
    return np.where(filled == NONE, SILENCE, filled)


def nearest_squared_error(samples: Ints, test: Ints) -> Floats:
    """Mean squared difference of each sample from the nearest test line: int64 (n, T) and (K, T) to float64 (n,).

    |y - x|^2 = |y|^2 - 2 yx + |x|^2, all whole numbers that float64 holds exactly.
    """
    references = test.astype(np.float64)
    lengths = (references**2).sum(1)
    nearest = []
    for start in range(0, len(samples), ROWS):
        rows = samples[start : start + ROWS].astype(np.float64)
        nearest.append((rows**2).sum(1) + (lengths - 2 * rows @ references.T).min(1))
    errors: Floats = np.concatenate(nearest) / samples.shape[1]
    return errors


def _distance(metric: str, made: Ints, real: Ints, signature: Signature, what: str) -> Estimate:
    if made.any() and real.any():
        return Estimate(metric, total_variation(made, real), "", "lower", signature, possible=SHARE)
    who = "test sequence" if made.any() else "sample"
    why = f"there is no {what} in any {who}"
    return Estimate(metric, None, "", "lower", signature, why, answered=bool(real.any() and not made.any()))
