"""The metrics of ``bench score``: what each says of one text, and what each sequence contributes to it.

They are those of :mod:`bench.metrics`, with the same conventions and signatures, on any words instead of the sequences
of a task; torch is not needed. The distance of lengths and the vocabulary are added.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np

from bench.kernels.leave_one_out import (
    Meetings,
    bleu_falls,
    kinds_without,
    multiset_jaccard_without,
    self_bleu_falls,
)
from bench.kernels.ngrams import Floats, Ints, ReferenceCounts, self_bleu, sentence_bleu
from bench.kernels.overlap import shared_counts
from bench.protocols import Protocol
from bench.tokenizers import UNKNOWN_ID, Tokens

__all__ = ["FAMILIES", "ORDERS", "Estimate", "Subject", "estimates"]

ORDERS = (2, 3, 4, 5)
EPSILON = 0.1
SMOOTHING = f"smooth=method1({EPSILON})"
VERSION = "v=1"
SIZED = ("self_bleu", "backward_bleu", "ms_jaccard", "distinct", "length_distance", "vocabulary")
"""How the names of metrics begin that depend on how many sequences there are."""


@dataclass(frozen=True, slots=True, eq=False)
class Estimate:
    """A score before it has an interval.

    Attributes:
        metric: Its name.
        value: The score; None together with ``absent``.
        contributions: float64, one for each sequence that was drawn: the score moves by their mean less the mean of
            the resampled ones when others are drawn. None where there is no score, or where it is certain.
        n: How many sequences it is a score of.
        direction: "lower", "higher" or "real".
        signature: What a comparable score must share.
        interval: What the contributions are: "mean", of the sequences' own values; "wilson", likewise, each 0 or 1;
            "leave-one-out", by how much the score falls without each.
        unit: "" for pure numbers between 0 and 1.
        absent: Why there is no value.
    """

    metric: str
    value: float | None
    contributions: Floats | None
    n: int
    direction: str
    signature: str
    interval: str = "leave-one-out"
    unit: str = ""
    absent: str | None = None


@dataclass(frozen=True, eq=False)
class Subject:
    """A text to be scored, beside all that it is scored against.

    Attributes:
        text: Its sequences.
        apart: Those of them that are compared with ``rest``; all but for references that stand for real text.
        rest: Real text that ``apart`` has no part in.
        references: All references.
        counts: Their n-grams.
        train: What the models were trained on, if it is known.
        real: For real text, what it is lines of; "" for samples.
        wanted: How many sequences it should have, to be held against as many.
        tokenizer: Signature of what split it.
        protocol: What to compute.
    """

    text: Tokens
    apart: Tokens
    rest: Tokens
    references: Tokens
    counts: ReferenceCounts
    train: Tokens | None
    real: Literal["", "references", "train"]
    wanted: int
    tokenizer: str
    protocol: Protocol

    def signature(self, *parts: str) -> str:
        """The parts, and what all signatures end with."""
        named = (("real", self.real), ("protocol", self.protocol.name))
        return "|".join((*parts, f"tok={self.tokenizer}", *(f"{key}={name}" for key, name in named if name), VERSION))

    @property
    def is_references(self) -> bool:
        """Whether the text is the references themselves."""
        return self.real == "references"

    @property
    def hides_words(self) -> bool:
        """Whether the text has ``<unk>`` in place of words that the training set may spell."""
        return not self.real and self.text.unknown > 0

    def words(self, tokens: Tokens) -> Ints:
        """Ids in which ``<unk>`` matches nothing, unless the protocol does not know it."""
        return tokens.masked if tokens.unknown and not self.protocol.unknown_matches else tokens.ids

    @cached_property
    def meetings(self) -> Meetings:
        """The n-grams of the text, ``<unk>`` a word like another, and of ``rest``."""
        return Meetings.build(self.text.ids, self.text.lengths, self.rest.ids, self.rest.lengths, max(ORDERS))

    @cached_property
    def meetings_apart(self) -> Meetings:
        """Those of ``apart``, where ``<unk>`` matches nothing, and of ``rest``."""
        words = self.words(self.apart)
        if words is self.text.ids:
            return self.meetings
        return Meetings.build(words, self.apart.lengths, self.rest.ids, self.rest.lengths, max(ORDERS))

    @cached_property
    def among_references(self) -> tuple[Floats, Floats]:
        """Self-BLEU of the references, and what each contributes to it."""
        return _among(self.references)


def estimates(subject: Subject, families: Sequence[str]) -> Iterator[Estimate]:
    """The scores of some families; of too little real text only those that do not depend on how much there is."""
    scored = subject.protocol.self_scored if subject.protocol.self_references == "others" else None
    too_few = len(subject.text) < min(subject.wanted, scored or subject.wanted)
    reason = f"there are only {len(subject.text):,} lines of real text"
    for name in families:
        for found in FAMILIES[name](subject):
            if too_few and found.metric.startswith(SIZED):
                yield replace(found, value=None, contributions=None, absent=reason)
            else:
                yield found


def _among(texts: Tokens, meetings: Meetings | None = None) -> tuple[Floats, Floats]:
    """Self-BLEU of at least two sequences, and what each contributes to it: its own and what it lends the others."""
    meetings = meetings or Meetings.build(texts.ids, texts.lengths, texts.ids[:0], texts.lengths[:0], max(ORDERS))
    scores = self_bleu(texts.ids, texts.lengths, ORDERS, EPSILON)
    return scores, scores + self_bleu_falls(meetings, scores, ORDERS, EPSILON)


def _bleu(subject: Subject) -> Iterator[Estimate]:
    """As :class:`bench.metrics.bleu.Bleu`; references that are scored are each compared with the others."""
    scored = subject.protocol.scored
    if not subject.is_references:
        text = subject.text[:scored]
        scores = contributions = sentence_bleu(subject.words(text), text.lengths, subject.counts, ORDERS, EPSILON)
        against = f"test:{len(subject.references)}"
    elif len(subject.references) > 1:
        scores, contributions = (each[:, :scored] for each in subject.among_references)
        against = "other references"
    else:
        yield from _too_few("bleu", subject, "higher", "a reference has no other to be compared with")
        return
    yield from _per_order("bleu", scores, contributions, "higher", subject, f"refs={against}", SMOOTHING)


def _self_bleu(subject: Subject) -> Iterator[Estimate]:
    """As :class:`bench.metrics.bleu.SelfBleu`, or as the protocol has it."""
    count, against = subject.protocol.self_scored, subject.protocol.self_references
    text = subject.text
    fewest = (count or 0) + 1 if against == "rest" else 2
    if len(text) < fewest:
        yield from _too_few("self_bleu", subject, "real", f"self-BLEU needs at least {fewest} sequences")
        return
    if against == "others":
        if count:
            scores, contributions = _among(text[:count])
        else:
            same = text is subject.references
            scores, contributions = subject.among_references if same else _among(text, subject.meetings)
        named = "other samples"
    else:
        last = against == "rest"
        scored, known = (text[-(count or 0) :], text[: -(count or 0)]) if last else (text[:count], text)
        counts = ReferenceCounts.build(known.ids, known.lengths, max(ORDERS))
        scores = contributions = sentence_bleu(scored.ids, scored.lengths, counts, ORDERS, EPSILON)
        named = f"{'rest' if last else 'all samples'}:{len(known)}"
    yield from _per_order("self_bleu", scores, contributions, "real", subject, f"refs={named}", SMOOTHING)


def _backward_bleu(subject: Subject) -> Iterator[Estimate]:
    """As :class:`bench.metrics.overlap.BackwardBleu`; references are compared with each other if there are few."""
    if subject.is_references and len(subject.text) > len(subject.references) // 2:
        yield from (replace(found, metric=f"backward_{found.metric}") for found in _bleu(subject))
        return
    samples, test = subject.apart, subject.rest
    counts = ReferenceCounts.build(subject.words(samples), samples.lengths, max(ORDERS))
    scores = sentence_bleu(test.ids, test.lengths, counts, ORDERS, EPSILON)
    contributions = bleu_falls(subject.meetings_apart, scores, ORDERS, EPSILON) * len(samples) / len(test)
    against = f"refs=samples:{len(samples)}"
    yield from _per_order("backward_bleu", scores, contributions, "higher", subject, against, SMOOTHING)


def _ms_jaccard(subject: Subject) -> Iterator[Estimate]:
    """As :class:`bench.metrics.overlap.MSJaccard`."""
    n = len(subject.apart)
    if not n:
        yield from _too_few("ms_jaccard4", subject, "higher", "it takes two references to compare halves", orders=())
        return
    value, without = multiset_jaccard_without(subject.meetings_apart, 4)
    signature = subject.signature(f"n={n}", f"test={len(subject.rest)}")
    yield Estimate("ms_jaccard4", value, _falls(value, without), n, "higher", signature)


def _distinct(subject: Subject) -> Iterator[Estimate]:
    """As :class:`bench.metrics.diversity.Distinct`."""
    n = len(subject.text)
    for order in (2, 3):
        room = np.maximum(subject.text.lengths - order + 1, 0)
        kinds, without = kinds_without(subject.meetings, order)
        yield _share(f"distinct{order}", kinds, kinds - without, room, "real", subject.signature(f"n={n}"))


def _copy(subject: Subject) -> Iterator[Estimate]:
    """As :class:`bench.metrics.overlap.Copy`, whose training set has ``<unk>`` where the samples of its models have it.

    A file of samples does not say which words its ``<unk>`` stands for. It stands for all training words that the file
    never writes, so that every copy is found, with some more that may be none. What is ``<unk>`` throughout fits
    anything as long, and is no copy; a file that is nearly so, "the <unk> <unk> <unk>", seems to copy all the same.
    """
    text, train = subject.text, subject.train
    if train is None:
        for metric in ("copy_sequence", "copy_8gram"):
            reason = "what was copied can be told with --train only"
            yield Estimate(metric, None, None, len(text), "lower", subject.signature(f"n={len(text)}"), absent=reason)
        return
    if subject.hides_words:
        train = _as_written(train, text)
    signature = _beside_train(subject, train)
    known = {row[:length].tobytes() for row, length in zip(train.ids, train.lengths, strict=True)}
    copies = np.array([row[:length].tobytes() in known for row, length in zip(text.ids, text.lengths, strict=True)])
    if subject.hides_words:
        copies &= (text.ids > UNKNOWN_ID).any(axis=1)
    values = copies.astype(float) if subject.real != "train" else None  # which is certain to be copied
    yield Estimate("copy_sequence", float(copies.mean()), values, len(text), "lower", signature, "wilson")
    room = np.maximum(text.lengths - 7, 0)
    shared, rest = room.copy(), text[~copies]  # a copy has every 8-gram of itself
    shared[~copies] = shared_counts(rest.ids, rest.lengths, train.ids, train.lengths, 8)
    if subject.hides_words and _nothing_but_unknown(train, 8).any():
        shared[~copies] -= _nothing_but_unknown(rest, 8)
    yield _share("copy_8gram", int(shared.sum()), shared, room, "lower", signature)


def _beside_train(subject: Subject, train: Tokens) -> str:
    hidden = ("unk=unwritten",) if subject.hides_words else ()
    return subject.signature(f"n={len(subject.text)}", f"train={len(train)}", *hidden)


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


def _length(subject: Subject) -> Iterator[Estimate]:
    """Mean length, and how far the lengths are from the references': the earth mover's distance, in words.

    The distance is the mean over all quantiles of the difference between the two lengths there; chance alone makes it
    greater than 0, by how much is what real text shows.
    """
    text, samples, test = subject.text, subject.apart, subject.rest
    signature = subject.signature(f"n={len(text)}")
    lengths = text.lengths.astype(float)
    yield Estimate("length_mean", float(lengths.mean()), lengths, len(text), "real", signature, "mean", "words")
    if not len(samples):
        yield from _too_few("length_distance", subject, "lower", "it takes two references to compare halves", orders=())
        return
    places = int(max(samples.lengths.max(), test.lengths.max())) + 1
    counts = np.bincount(samples.lengths, minlength=places)
    target = np.bincount(test.lengths, minlength=places).cumsum() / len(test)
    below, n = counts.cumsum(), len(samples)
    value = float(np.abs(below / n - target).sum())
    without = np.full(places, value)
    for length in np.flatnonzero(counts) if n > 1 else ():
        rest = below - (np.arange(places) >= length)
        without[length] = np.abs(rest / (n - 1) - target).sum()
    signature = subject.signature(f"n={n}", f"test={len(test)}")
    contributions = _falls(value, without[samples.lengths])
    yield Estimate("length_distance", value, contributions, n, "lower", signature, unit="words")


def _vocabulary(subject: Subject) -> Iterator[Estimate]:
    """Different words, and the share of all words that the references, or the training set, do not have.

    ``<unk>`` is one of the words, and is never one that they do not have.
    """
    text, samples, test, train = subject.text, subject.apart, subject.rest, subject.train
    kinds, without = kinds_without(subject.meetings, 1)
    contributions = _falls(float(kinds), without.astype(float))
    signature = subject.signature(f"n={len(text)}")
    yield Estimate("vocabulary", float(kinds), contributions, len(text), "real", signature, unit="types")
    if len(samples):
        signature = subject.signature(f"n={len(samples)}", f"test={len(test)}")
        yield _unseen("unseen_in_references", samples, test, signature)
    if train is not None:
        yield _unseen("unseen_in_train", text, train, _beside_train(subject, train))


def _unseen(metric: str, text: Tokens, others: Tokens, signature: str) -> Estimate:
    """The share of words that others do not have; ``<unk>`` may stand for one that they have."""
    seen = np.zeros(int(max(text.ids.max(), others.ids.max())) + 2, dtype=bool)
    seen[others.ids] = seen[UNKNOWN_ID] = seen[-1] = True  # the last place is that of -1, where there is no word
    strange = np.count_nonzero(~seen[text.ids], axis=1)
    return _share(metric, int(strange.sum()), strange, text.lengths, "real", signature)


def _per_order(
    name: str, scores: Floats, contributions: Floats, direction: str, subject: Subject, *about: str
) -> Iterator[Estimate]:
    n = scores.shape[1]
    signature = subject.signature(f"n={n}", *about)
    interval = "mean" if contributions is scores else "leave-one-out"  # then a sequence lends nothing to the others
    for order, values, part in zip(ORDERS, scores, contributions, strict=True):
        yield Estimate(f"{name}{order}", float(values.mean()), part, n, direction, signature, interval)


def _too_few(
    name: str, subject: Subject, direction: str, reason: str, orders: Sequence[int] = ORDERS
) -> Iterator[Estimate]:
    for metric in [f"{name}{order}" for order in orders] or [name]:
        signature = subject.signature(f"n={len(subject.text)}")
        yield Estimate(metric, None, None, len(subject.text), direction, signature, absent=reason)


def _share(metric: str, part: int, lost: Ints, wholes: Ints, direction: str, signature: str) -> Estimate:
    """A part of a sum over sequences, of which ``lost`` is lost with each; 0 where the sum is."""
    whole = int(wholes.sum())
    value = part / whole if whole else 0.0
    rest = whole - wholes
    without = np.divide(part - lost, rest, out=np.zeros(len(lost)), where=rest > 0)
    return Estimate(metric, value, _falls(value, without), len(lost), direction, signature)


def _falls(value: float, without: Floats) -> Floats:
    """Contributions to a score that is no mean: how far it falls without each sequence, times their number."""
    return len(without) * (value - without)


FAMILIES: dict[str, Callable[[Subject], Iterator[Estimate]]] = {
    "bleu": _bleu,
    "self-bleu": _self_bleu,
    "backward-bleu": _backward_bleu,
    "ms-jaccard": _ms_jaccard,
    "distinct": _distinct,
    "copy": _copy,
    "length": _length,
    "vocabulary": _vocabulary,
}
