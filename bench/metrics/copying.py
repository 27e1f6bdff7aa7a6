"""How much of the samples was copied from the training set, at every grain."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from bench.kernels.ngrams import word_keys
from bench.kernels.overlap import ROWS, shared_spans
from bench.kernels.subsequences import BITS, nearest
from bench.metrics.base import Estimate, Subject, share
from bench.metrics.ranges import SHARE, Range
from bench.metrics.sequences import UNKNOWN_ID, Bools, Ints, Tokens
from bench.metrics.signature import Signature

__all__ = ["Copy", "beside_train", "copies"]

ORDERS = (4, 5, 6)
"""The n-grams whose copies are counted, beside 8-grams."""
LONGEST = 64
"""Longer spans are not searched for, except whole sequences."""
READ = 200
"""Samples whose nearest training sequence is searched for, at most."""
WORK = 5 * 10**8
"""Steps of that search, at most, as long as :data:`FEWEST` samples are read: a second or two."""
FEWEST = 50


class Copy:
    """What part of the samples is verbatim in the training set: sequences, lines of verse, n-grams, and spans.

    Validation sequences, which models are given as well, count as training sequences here.

    ``copy_sequence``: the share of samples that are training sequences, word for word. ``copy_line``: the share of
    their lines that are lines of a training sequence, in any place; only for tasks of verse. ``copy_4gram``,
    ``copy_5gram``, ``copy_6gram``, ``copy_8gram``: the share of their n-grams that occur in a training sequence.
    ``copy_longest``: how many words of a sample occur in a training sequence in one piece, the mean over the samples;
    pieces of more than 64 words count as 64, unless the entire sample is a copy.

    ``copy_nearest``: the share of a sample's words that one training sequence has in the same order, with any others
    between them, the mean over samples. It is the longest common subsequence with the most similar training sequence,
    divided by the length of the longer of the two: a short training sequence is near to no long sample, nor is a long
    one near to every short sample. A changed word costs one word, and so does a swap of two neighbours, which counts
    as two in an edit distance. At most 200 samples are read, in an order that the samples themselves decide, and fewer
    where the training set is large: the number in its signature is that of samples that were read.

    Common phrases recur by chance: no text is new at every grain. A rate is therefore read beside that of real text
    which nobody copied, *test* sequences against the training set. In the real data's row all of these scores are of
    the test sequences, while its other scores are of training sequences, which copy everything. Where all real
    sequences are known and each is there once, as in a list of names, no test sequence is a training sequence by
    construction, while one who draws from the list hits the training set as often as its share of the list: there the
    real data's row is of the whole list. The number of samples does not change what is expected of a rate; that of
    training sequences does, and is the same in all rows.

    The end mark is not a word. In ``copy_sequence`` and ``copy_8gram``, ``<unk>`` is an ordinary word: the training set
    has it where the samples of its models have it. In the others it equals nothing: n-grams and lines with it are left
    out, and it ends a span.

    A file of samples does not say which words its ``<unk>`` stands for. In ``copy_sequence`` and ``copy_8gram`` it
    stands there for all training words that the file never writes, so that every copy is found, and some sequences that
    may not be copies. A sequence that is only ``<unk>`` matches anything of its length, and is not a copy; a file that
    is nearly so, "the <unk> <unk> <unk>", still seems to copy.

    How it can be gamed: it is not a goal by itself, since noise copies nothing; and a copy can be hidden from each
    grain: from sequences by changing one word, from 8-grams by changing one word in eight, from both by shuffling
    lines. Where one word in four is changed, all 4-grams are new, and ``copy_nearest`` is still 0.75. Pieces of several
    training sequences, with changed words in each, are near to none of them. Values above those of
    real text invalidate every other score, since handing back the training set is enough for a good value of any:
    :func:`bench.analysis.copying.copiers`. A model that repeats a few common phrases has them, too.
    """

    version: ClassVar[str] = "3"

    def estimates(self, subject: Subject) -> Iterator[Estimate]:
        """The columns above, those of the samples' own units first; all of them absent without a training set."""
        if subject.trained:
            whole = subject.against.listed
            if whole is None:
                subject = replace(subject, text=subject.against.references, real="references", trained=False)
            else:
                subject = replace(subject, text=whole, real="list", trained=False)
        text, train = subject.text, subject.against.copied_from
        if train is None:
            signature = subject.signature(self.version, n=len(text))
            units = dict.fromkeys(
                ["copy_sequence", *(f"copy_{order}gram" for order in (*ORDERS, 8)), "copy_nearest"], ""
            )
            for metric, unit in {**units, "copy_longest": "words"}.items():
                why = "copies can be found only with the training text"
                yield Estimate(metric, None, unit, "lower", signature, why)
            return
        if subject.hides_words:
            train = _as_written(train, text)
        signature = beside_train(subject, self.version, train)
        copied = copies(text, train)
        if subject.hides_words:
            copied &= (text.ids > UNKNOWN_ID).any(axis=1)
        share_of_copies = float(copied.mean())
        values = copied.astype(float) if subject.intervals else None
        yield Estimate("copy_sequence", share_of_copies, "", "lower", signature, None, values, "wilson", possible=SHARE)
        if subject.against.verse:
            lines = _lines(text, train, subject.against.verse)
            yield lines.share("copy_line", subject.intervals, signature)

        spans = np.maximum(text.lengths[:, None] - np.arange(text.ids.shape[1]), 0)  # of a copy, all that follows
        rest = text[~copied]
        spans[~copied] = shared_spans(rest.ids, rest.lengths, train.ids, train.lengths, LONGEST)
        clear = _words_ahead(text)
        known = np.minimum(spans, clear)
        for order in ORDERS:
            counts = _Counts(np.count_nonzero(known >= order, axis=1), np.count_nonzero(clear >= order, axis=1))
            yield counts.share(f"copy_{order}gram", subject.intervals, signature)

        eights = _Counts(np.count_nonzero(spans >= 8, axis=1), np.maximum(text.lengths - 7, 0))
        if subject.hides_words and _nothing_but_unknown(train, 8).any():
            eights.copied[~copied] -= _nothing_but_unknown(rest, 8)
        found = eights.share("copy_8gram", subject.intervals, signature)
        room = eights.all
        if len(room) and room.min() == room.max() > 0:  # then the copies have their share of the 8-grams, all shared
            found = replace(found, possible=Range(share_of_copies, 1, "A copied sequence has only copied 8-grams."))
        yield found

        longest = known.max(axis=1, initial=0).astype(float)
        searched = beside_train(subject, self.version, train, longest=LONGEST)
        most = Range(0, float(text.lengths.max()), "No span is longer than the longest sample.")
        values = longest if subject.intervals else None
        yield Estimate(
            "copy_longest", float(longest.mean()), "words", "lower", searched, None, values, "mean", possible=most
        )

        read = text[_read(text, train)]
        shares = nearest(read.masked, read.lengths, train.ids, train.lengths)
        signature = beside_train(subject, self.version, train, n=len(read))
        values = shares if subject.intervals else None
        yield Estimate(
            "copy_nearest", float(shares.mean()), "", "lower", signature, None, values, "mean", possible=SHARE
        )


@dataclass(frozen=True, slots=True)
class _Counts:
    """The units of each sequence: int64, (N,) each.

    Attributes:
        copied: How many of them are copied.
        all: How many there are.
    """

    copied: Ints
    all: Ints

    def share(self, metric: str, intervals: bool, signature: Signature) -> Estimate:
        """The share of all units that are copied."""
        lost = self.copied if intervals else None
        return share(metric, int(self.copied.sum()), lost, self.all, "lower", signature)


def _read(text: Tokens, train: Tokens) -> Ints:
    """Which samples are compared with all training sequences: int64, (R,).

    They are drawn at random, from a seed that is the sum of all samples: whoever writes them cannot know which are
    read. How many there are depends on the training set alone, so that samples and real text are read alike.
    """
    steps = int(train.lengths.sum()) * -(-int(train.lengths.max(initial=1)) // BITS)
    count = min(len(text), READ, max(WORK // max(steps, 1), FEWEST))
    seed = int(_checksums(text.ids, text.lengths).astype(np.uint64).sum(dtype=np.uint64))
    rows: Ints = np.sort(np.random.default_rng(seed).permutation(len(text))[:count])
    return rows


def beside_train(subject: Subject, version: str, train: Tokens, **parts: object) -> Signature:
    """The signature of a score against the training set."""
    hidden = {"unk": "unwritten"} if subject.hides_words else {}
    return subject.signature(version, **{"n": len(subject.text), "train": len(train), **parts, **hidden})


def _lines(text: Tokens, train: Tokens, words: int) -> _Counts:
    """Lines of so many words each: which are lines of the training set. Lines with ``<unk>`` are left out."""
    (lines, rows), (known, _) = _cut(text, words), _cut(train, words)
    found = copies(lines, known)
    return _Counts(np.bincount(rows[found], minlength=len(text)), np.bincount(rows, minlength=len(text)))


def _cut(tokens: Tokens, words: int) -> tuple[Tokens, Ints]:
    """All complete lines without ``<unk>``, and the sequence of each."""
    count = tokens.ids.shape[1] // words
    lines = tokens.ids[:, : count * words].reshape(-1, words)
    rows = np.arange(len(lines)) // count
    whole = (np.arange(len(lines)) % count + 1) * words <= tokens.lengths[rows]
    if tokens.unknown_id is not None:
        whole &= (lines != tokens.unknown_id).all(axis=1)
    return Tokens(lines[whole], np.full(np.count_nonzero(whole), words), tokens.unknown_id), rows[whole]


def _words_ahead(text: Tokens) -> Ints:
    """The number of words from each position up to the next ``<unk>`` or the end: int64, (N, T)."""
    positions = np.arange(text.ids.shape[1])
    stops = positions >= text.lengths[:, None]
    if text.unknown_id is not None:
        stops |= text.ids == text.unknown_id
    following = np.where(stops, positions, np.maximum(text.lengths, 0)[:, None])
    ahead: Ints = np.minimum.accumulate(following[:, ::-1], axis=1)[:, ::-1] - positions
    return np.maximum(ahead, 0)


def copies(text: Tokens, train: Tokens) -> Bools:
    """Which of N sequences are among others, word for word: bool, (N,)."""
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
