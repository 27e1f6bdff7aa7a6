"""How much of the samples was copied from the training set."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import numpy as np

from bench.kernels.ngrams import word_keys
from bench.kernels.overlap import ROWS, shared_counts
from bench.metrics.base import Estimate, Subject, share
from bench.metrics.sequences import UNKNOWN_ID, Bools, Ints, Tokens
from bench.metrics.signature import Signature

__all__ = ["Copy", "beside_train"]


class Copy:
    """How much of the samples stands verbatim in the training set: whole sequences, and 8-grams.

    ``copy_sequence``: the share of samples that are training sequences, word for word. ``copy_8gram``: the share of the
    samples' 8-grams that occur in one. The end mark is no word; ``<unk>`` is one like another, and the training set has
    it where the samples of its models have it.

    A file of samples does not say which words its ``<unk>`` stands for. There it stands for all training words that the
    file never writes, so that every copy is found, with some more that may be none. What is ``<unk>`` throughout fits
    anything as long, and is no copy; a file that is nearly so, "the <unk> <unk> <unk>", seems to copy all the same.

    Nothing to be improved by itself: noise copies nothing. High values void every other score, since all of them can be
    had by handing back the training set. The real-data row is made of training sequences, so it copies everything.
    """

    version: ClassVar[str] = "1"

    def estimates(self, subject: Subject) -> Iterator[Estimate]:
        """``copy_sequence`` and ``copy_8gram``."""
        text, train = subject.text, subject.against.train
        if train is None:
            signature = subject.signature(self.version, n=len(text))
            for metric in ("copy_sequence", "copy_8gram"):
                yield Estimate(metric, None, "", "lower", signature, "what was copied can be told with --train only")
            return
        if subject.hides_words:
            train = _as_written(train, text)
        signature = beside_train(subject, self.version, train)
        copies = _copies(text, train)
        if subject.hides_words:
            copies &= (text.ids > UNKNOWN_ID).any(axis=1)
        told = subject.intervals and subject.real != "train"  # of which it is certain
        values = copies.astype(float) if told else None
        yield Estimate("copy_sequence", float(copies.mean()), "", "lower", signature, None, values, "wilson")
        room = np.maximum(text.lengths - 7, 0)
        shared, rest = room.copy(), text[~copies]  # a copy has every 8-gram of itself
        shared[~copies] = shared_counts(rest.ids, rest.lengths, train.ids, train.lengths, 8)
        if subject.hides_words and _nothing_but_unknown(train, 8).any():
            shared[~copies] -= _nothing_but_unknown(rest, 8)
        lost = shared if subject.intervals else None
        yield share("copy_8gram", int(shared.sum()), lost, room, "lower", signature)


def beside_train(subject: Subject, version: str, train: Tokens) -> Signature:
    """The signature of a score against the training set."""
    hidden = {"unk": "unwritten"} if subject.hides_words else {}
    return subject.signature(version, n=len(subject.text), train=len(train), **hidden)


def _copies(text: Tokens, train: Tokens) -> Bools:
    """Which sequences are training sequences, word for word: bool, (N,)."""
    sums, known = _checksums(text.ids, text.lengths), set()
    for start in range(0, len(train), ROWS):
        part = train[start : start + ROWS]
        likely = np.isin(_checksums(part.ids, part.lengths), sums)  # then word for word
        known |= set(_spelled(part.ids[likely], part.lengths[likely]))
    return np.array([words in known for words in _spelled(text.ids, text.lengths)], dtype=bool)


def _spelled(ids: Ints, lengths: Ints) -> Iterator[bytes]:
    return (row[:length].tobytes() for row, length in zip(ids, lengths, strict=True))


def _checksums(ids: Ints, lengths: Ints) -> Ints:
    """A number a row, equal for equal sequences: a polynomial, modulo 2^64."""
    powers = np.cumprod(np.full(ids.shape[1], 0x9E3779B97F4A7C15, np.uint64))
    sums: Ints = ((word_keys(ids, lengths) + 1).astype(np.uint64) * powers).sum(1, dtype=np.uint64).astype(np.int64)
    return sums


def _as_written(train: Tokens, text: Tokens) -> Tokens:
    """The training set with ``<unk>`` for every word that a text never writes."""
    written = np.zeros(int(max(text.ids.max(), train.ids.max())) + 2, dtype=bool)
    written[text.ids] = written[-1] = True  # the last place is that of -1, where there is no word
    return Tokens(np.where(written[train.ids], train.ids, UNKNOWN_ID), train.lengths)


def _nothing_but_unknown(text: Tokens, order: int) -> Ints:
    """How many n-grams of each sequence are ``<unk>`` throughout: int64, (N,)."""
    met = np.pad(text.ids == UNKNOWN_ID, ((0, 0), (1, 0))).cumsum(axis=1)
    counts: Ints = np.count_nonzero(met[:, order:] - met[:, :-order] == order, axis=1)
    return counts
