"""The share of the samples that was copied from the training set."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import ClassVar

import numpy as np

from bench.kernels.ngrams import word_keys
from bench.kernels.overlap import ROWS, shared_counts
from bench.metrics.base import Estimate, Subject, share
from bench.metrics.ranges import SHARE, Range
from bench.metrics.sequences import UNKNOWN_ID, Bools, Ints, Tokens
from bench.metrics.signature import Signature

__all__ = ["Copy", "beside_train"]


class Copy:
    """The share of the samples that is verbatim in the training set: complete sequences, and 8-grams.

    ``copy_sequence``: the share of samples that are training sequences, word for word. ``copy_8gram``: the share of the
    samples' 8-grams that occur in one. The end mark is not a word; ``<unk>`` is an ordinary word, and the training set
    has it where the samples of its models have it.

    A file of samples does not say which words its ``<unk>`` stands for. There it stands for all training words that the
    file never writes, so that every copy is found, and some sequences that may not be copies. A sequence that is only
    ``<unk>`` matches anything of its length, and is not a copy; a file that is nearly so, "the <unk> <unk> <unk>",
    still seems to copy.

    How it can be gamed: it is not a goal by itself, since noise copies nothing, and one changed word in every eight
    hides a copy. High values invalidate every other score, since handing back the training set is enough for a good
    value of any. The real-data row is made of training sequences, so it copies everything.
    """

    version: ClassVar[str] = "1"

    def estimates(self, subject: Subject) -> Iterator[Estimate]:
        """``copy_sequence`` and ``copy_8gram``."""
        text, train = subject.text, subject.against.train
        if train is None:
            signature = subject.signature(self.version, n=len(text))
            for metric in ("copy_sequence", "copy_8gram"):
                yield Estimate(metric, None, "", "lower", signature, "copies can be found only with the training text")
            return
        if subject.hides_words:
            train = _as_written(train, text)
        signature = beside_train(subject, self.version, train)
        copies = _copies(text, train)
        if subject.hides_words:
            copies &= (text.ids > UNKNOWN_ID).any(axis=1)
        uncertain = subject.intervals and subject.real != "train"  # training lines are certain to be copies
        values = copies.astype(float) if uncertain else None
        share_of_copies = float(copies.mean())
        yield Estimate("copy_sequence", share_of_copies, "", "lower", signature, None, values, "wilson", possible=SHARE)
        room = np.maximum(text.lengths - 7, 0)
        shared, rest = room.copy(), text[~copies]  # a copy shares all of its 8-grams
        shared[~copies] = shared_counts(rest.ids, rest.lengths, train.ids, train.lengths, 8)
        if subject.hides_words and _nothing_but_unknown(train, 8).any():
            shared[~copies] -= _nothing_but_unknown(rest, 8)
        lost = shared if subject.intervals else None
        found = share("copy_8gram", int(shared.sum()), lost, room, "lower", signature)
        if len(room) and room.min() == room.max() > 0:  # then the copies have their share of the 8-grams, all shared
            found = replace(found, possible=Range(share_of_copies, 1, "A copied sequence has only copied 8-grams."))
        yield found


def beside_train(subject: Subject, version: str, train: Tokens) -> Signature:
    """The signature of a score against the training set."""
    hidden = {"unk": "unwritten"} if subject.hides_words else {}
    return subject.signature(version, n=len(subject.text), train=len(train), **hidden)


def _copies(text: Tokens, train: Tokens) -> Bools:
    """Which sequences are training sequences, word for word: bool, (N,)."""
    sums, known = _checksums(text.ids, text.lengths), set()
    for start in range(0, len(train), ROWS):
        part = train[start : start + ROWS]
        likely = np.isin(_checksums(part.ids, part.lengths), sums)  # these are compared word for word
        known |= set(_spelled(part.ids[likely], part.lengths[likely]))
    return np.array([words in known for words in _spelled(text.ids, text.lengths)], dtype=bool)


def _spelled(ids: Ints, lengths: Ints) -> Iterator[bytes]:
    return (row[:length].tobytes() for row, length in zip(ids, lengths, strict=True))


def _checksums(ids: Ints, lengths: Ints) -> Ints:
    """A number for each row, equal for equal sequences: a polynomial, modulo 2^64."""
    powers = np.cumprod(np.full(ids.shape[1], 0x9E3779B97F4A7C15, np.uint64))
    sums: Ints = ((word_keys(ids, lengths) + 1).astype(np.uint64) * powers).sum(1, dtype=np.uint64).astype(np.int64)
    return sums


def _as_written(train: Tokens, text: Tokens) -> Tokens:
    """The training set with ``<unk>`` for every word that a text never writes."""
    written = np.zeros(int(max(text.ids.max(), train.ids.max())) + 2, dtype=bool)
    written[text.ids] = written[-1] = True  # the last entry is that of -1, where there is no word
    return Tokens(np.where(written[train.ids], train.ids, UNKNOWN_ID), train.lengths)


def _nothing_but_unknown(text: Tokens, order: int) -> Ints:
    """The number of n-grams of each sequence that are only ``<unk>``: int64, (N,)."""
    unknown = np.pad(text.ids == UNKNOWN_ID, ((0, 0), (1, 0))).cumsum(axis=1)
    counts: Ints = np.count_nonzero(unknown[:, order:] - unknown[:, :-order] == order, axis=1)
    return counts
