"""The input of a metric on words, and the output of every metric. Imports no torch.

A metric reads a :class:`Subject`, a text together with the real text that it is compared with, and returns
:class:`Estimate`. A checkpoint of ``bench run`` has a subject and a file of ``bench score`` is one, so that both are
scored by the same code. Metrics that need the model's density read :class:`bench.metrics.density.Evidence` instead.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar, Literal, Protocol

import numpy as np

from bench.kernels.leave_one_out import Occurrences, self_bleu_falls
from bench.kernels.ngrams import Floats, Ints, ReferenceCounts, self_bleu
from bench.metrics import protocols
from bench.metrics.ranges import SHARE, Range
from bench.metrics.sequences import Bools, Tokens, read_only
from bench.metrics.signature import Signature

if TYPE_CHECKING:
    from bench.api import SequenceSpec
    from bench.kernels.ngram_model import NgramModel

__all__ = [
    "EPSILON",
    "ORDERS",
    "SMOOTHING",
    "Estimate",
    "Metric",
    "RealText",
    "Subject",
    "falls",
    "per_order",
    "self_bleu_among",
    "share",
    "too_few",
]

ORDERS = (2, 3, 4, 5)
"""The orders of every BLEU."""
EPSILON = 0.1
SMOOTHING = f"method1({EPSILON})"
"""The smoothing of every BLEU, as its signature names it."""
ADD, STRENGTHS = 0.5, (300.0, 300.0)
"""For the judge's trigram model: nearly the best for 500 to 13,000 sequences of ``oracle`` and of ``quatrains``."""
COPIER = (100.0, 5.0)
"""For a trigram model that goes on as the training text does wherever it can."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """The result of a metric: one column of a table, a number or the reason why there is none.

    Records keep it as :class:`bench.records.record.Score`, which has the same fields as plain text and no
    intervals over sequences: in a benchmark the unit of variation is the run.

    Attributes:
        metric: The column.
        value: The score; None where ``absent`` says why. An infinite score becomes None, with that as the reason.
        unit: "nats/token", "words", "types" for different words, "" for pure numbers.
        direction: "lower", "higher" or "real" (the nearer to the real text's value the better).
        signature: What a comparable score must share.
        absent: Why there is no value.
        contributions: float64, (n,), where the subject requests intervals: what each sequence adds to the score, from
            the statistics that the score was computed from. The score of other sequences differs by the difference of
            the mean contributions. None where nothing is known, or the score is certain.
        interval: What the contributions are: "mean", the sequences' own values; "wilson", the sequences' own values,
            each 0 or 1; "leave-one-out", how far the score falls without each sequence, times their number.
        low: Lower end of the 95 % interval, once it is computed; None where there is none.
        high: Upper end.
        possible: What the score can be, as far as its metric says so.
        answered: Whether being absent says something of the samples, as where the true distribution rules some of them
            out: then a run that asked for the metric does not fail.

    Raises:
        ValueError: for NaN.
        Impossible: for a value outside what is possible.
    """

    metric: str
    value: float | None
    unit: str
    direction: str
    signature: Signature
    absent: str | None = None
    contributions: Floats | None = field(default=None, compare=False, repr=False)
    interval: str | None = None
    low: float | None = None
    high: float | None = None
    possible: Range = field(default=Range(), compare=False, repr=False)
    answered: bool = field(default=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        if self.value is not None and math.isnan(self.value):
            raise ValueError(f"{self.metric} is not a number: the model has diverged")
        if self.value is not None:
            self.possible.check(self.metric, self.value)
        if self.value is not None and not math.isfinite(self.value):
            object.__setattr__(self, "absent", f"{self.metric} is {self.value}")
            object.__setattr__(self, "value", None)

    @property
    def n(self) -> int:
        """The number of sequences that were scored."""
        return self.signature.n


@dataclass(frozen=True, eq=False)
class RealText:
    """The real text that texts are compared with, and what is computed from it once and used for all of them.

    Attributes:
        references: Held-out sequences.
        train: What the models were trained on; None where that is not known.
        spec: The shape of a task's sequences; None for the words of files.
        symbols: The symbol of every id, V of them, where the ids of a task have symbols.
        verse: Words per line, where sequences are made of lines.
        given: What the models were given, training and validation sequences; None where it is the training set alone.
        places: float64, (V, 2), latitude and longitude in degrees of every id, NaN for those that are no places; None
            where the ids are no places.
        listed: All real sequences that there are; None where nobody knows them.
        kind: What the words of files are, where that is known: "molecules". Those of a task's are in ``spec``.
    """

    references: Tokens
    train: Tokens | None
    spec: SequenceSpec | None = None
    symbols: tuple[str, ...] | None = None
    verse: int | None = None
    given: Tokens | None = None
    places: Floats | None = None
    listed: Tokens | None = None
    kind: str = ""

    @property
    def copied_from(self) -> Tokens | None:
        """The sequences that a model may have copied."""
        return self.train if self.given is None else self.given

    @cached_property
    def counts(self) -> ReferenceCounts:
        """The n-grams of the references, up to the longest of :data:`ORDERS`."""
        counts = ReferenceCounts.build(self.references.ids, self.references.lengths, max(ORDERS))
        read_only(*counts.keys, *counts.largest, *counts.second, counts.lengths)
        return counts

    @cached_property
    def self_bleu(self) -> tuple[Floats, Floats]:
        """Self-BLEU of the references, and what each contributes to it."""
        found = self_bleu_among(self.references)
        read_only(*found)
        return found

    @cached_property
    def language_model(self) -> NgramModel:
        """The judge's own language model of the training text."""
        if self.train is None:
            raise ValueError("expected a training set")
        return self.fit_language_model(self.train)

    @cached_property
    def copier(self) -> NgramModel:
        """What a copier of the training text would write, as a trigram model."""
        if self.train is None:
            raise ValueError("expected a training set")
        return self.fit_language_model(self.train, COPIER)

    def fit_language_model(self, tokens: Tokens, strengths: tuple[float, ...] = STRENGTHS) -> NgramModel:
        """The judge's trigram model of some sequences, including their end marks."""
        if self.spec is None:
            raise ValueError("expected the sequences of a task, whose vocabulary is known")
        from bench.kernels.ngram_model import NgramModel

        model = NgramModel.fit(tokens.ids, self.counted(tokens), self.spec.vocab_size, ADD, strengths)
        read_only(*model.keys, *model.counts, *model.contexts, *model.context_counts)
        return model

    def counted(self, tokens: Tokens) -> Bools:
        """Which tokens count in a likelihood, including the end mark: bool, (N, T)."""
        ends = self.spec is not None and self.spec.eos is not None
        return np.arange(tokens.ids.shape[1]) < (tokens.lengths + ends)[:, None]


@dataclass(frozen=True, eq=False)
class Subject:
    """A text to be scored, and everything that it is scored against.

    Attributes:
        text: Its sequences.
        against: Real text.
        apart: The sequences that are compared with ``rest``: all of them, unless the text is taken from the references.
        rest: Real text that ``apart`` is not taken from.
        tokenizer: Signature of the tokenizer that split the text.
        real: For real text, where its lines are taken from; "" for samples.
        protocol: Whose conventions to follow.
        intervals: Whether intervals will be computed, so that estimates carry contributions.
        trained: Whether the text is training sequences, which are certain to be copies.
    """

    text: Tokens
    against: RealText
    apart: Tokens
    rest: Tokens
    tokenizer: str
    real: Literal["", "references", "train", "list"] = ""
    protocol: protocols.Protocol = protocols.OURS
    intervals: bool = False
    trained: bool = False

    @classmethod
    def samples(
        cls,
        text: Tokens,
        against: RealText,
        tokenizer: str,
        protocol: protocols.Protocol = protocols.OURS,
        intervals: bool = False,
        trained: bool = False,
    ) -> Subject:
        """Samples, all of which are compared with all references."""
        return cls(text, against, text, against.references, tokenizer, "", protocol, intervals, trained)

    def signature(self, version: str, *remarks: str, **parts: object) -> Signature:
        """A signature of the parts, followed by those that all signatures end with."""
        about = {"real": self.real, "protocol": self.protocol.name}
        named = {key: value for key, value in about.items() if value}
        return Signature.of(*remarks, **parts, tok=self.tokenizer, **named, v=version)

    @property
    def is_references(self) -> bool:
        """Whether the text is the references themselves."""
        return self.real == "references"

    @property
    def hides_words(self) -> bool:
        """Whether the text is a file with ``<unk>`` in place of words that the training set may spell out."""
        return self.against.spec is None and not self.real and self.text.unknown > 0

    def words(self, tokens: Tokens) -> Ints:
        """Ids in which ``<unk>`` matches nothing, unless the protocol treats it as an ordinary word."""
        return tokens.masked if tokens.unknown and not self.protocol.unknown_matches else tokens.ids

    @cached_property
    def occurrences(self) -> Occurrences:
        """The n-grams of the text, with ``<unk>`` as an ordinary word, and of ``rest``."""
        return self._occurrences(self.text.ids, self.text.lengths)

    @cached_property
    def occurrences_apart(self) -> Occurrences:
        """The n-grams of ``apart``, where ``<unk>`` matches nothing, and of ``rest``."""
        words = self.words(self.apart)
        if words is self.text.ids:
            return self.occurrences
        return self._occurrences(words, self.apart.lengths)

    def _occurrences(self, words: Ints, lengths: Ints) -> Occurrences:
        found = Occurrences.build(words, lengths, self.rest.ids, self.rest.lengths, max(ORDERS))
        read_only(*(array for triple in (*found.first, *found.second) for array in triple))
        return found


class Metric(Protocol):
    """A family of scores that share their computation. Needs no arguments to build.

    Every estimate says in ``possible`` what its column can be; a value outside fails the run. What a metric is given is
    shared with other metrics and runs: it is only read.

    It has ``estimates`` where a text is enough, or else ``scores``, which is given
    :class:`bench.metrics.density.Evidence` and returns a list. A column that the task rules out (an oracle's score on
    real text) is left out; one that the subject cannot have is returned with the reason.

    A class that needs a package which may be missing has a class method ``unavailable``, which says what to install, ""
    if nothing: whoever names the metric is told before anything is trained.
    """

    version: ClassVar[str]

    def estimates(self, subject: Subject) -> Iterable[Estimate]:
        """Score one text."""
        ...


def self_bleu_among(texts: Tokens, occurrences: Occurrences | None = None) -> tuple[Floats, Floats]:
    """Self-BLEU of at least two sequences, and what each contributes: its own score and what it adds to the others'.

    Returns:
        float64, (4, N) each, a row for each of :data:`ORDERS`.
    """
    if occurrences is None:
        occurrences = Occurrences.build(texts.ids, texts.lengths, texts.ids[:0], texts.lengths[:0], max(ORDERS))
    scores = self_bleu(texts.ids, texts.lengths, ORDERS, EPSILON)
    return scores, scores + self_bleu_falls(occurrences, scores, ORDERS, EPSILON)


def per_order(
    name: str, scores: Floats, contributions: Floats | None, direction: str, signature: Signature
) -> Iterator[Estimate]:
    """An estimate for each of :data:`ORDERS`: the mean of the sequences' scores, float64 (4, N), and contributions.

    Where the contributions are the scores themselves, no sequence adds anything to the scores of the others.

    BLEU-m is at most BLEU-n ** (n / m) for n < m, and not at most BLEU-n. Among the m precisions whose product BLEU-m
    is the m-th root of, those after the n-th, and the brevity penalty, are at most 1; without them it is
    BLEU-n ** (n / m), a concave function of BLEU-n, so that the same is true of means. A longer n-gram may match better
    than a shorter one: "a b a b" has two of three bigrams in common with "a b a" or with "b a b", and both trigrams.
    """
    interval = "mean" if contributions is scores else "leave-one-out"
    possible = SHARE
    for row, order in enumerate(ORDERS):
        value = float(scores[row].mean())
        estimate = Estimate(f"{name}{order}", value, "", direction, signature, possible=possible)
        most = f"It is at most {name}{order} to the power of {order}/{order + 1}."
        possible = Range(0, value ** (order / (order + 1)), most)  # of the next order, which is larger by one
        yield (
            estimate
            if contributions is None
            else replace(estimate, contributions=contributions[row], interval=interval)
        )


def too_few(
    name: str, subject: Subject, version: str, direction: str, reason: str, orders: Sequence[int] = ORDERS
) -> Iterator[Estimate]:
    """Estimates without a score, with the reason: one for each order, or a single one if there are no orders."""
    signature = subject.signature(version, n=len(subject.text))
    for metric in [f"{name}{order}" for order in orders] or [name]:
        yield Estimate(metric, None, "", direction, signature, reason)


def share(metric: str, part: int, lost: Ints | None, wholes: Ints, direction: str, signature: Signature) -> Estimate:
    """A part of a sum over sequences, divided by the sum; 0 where the sum is 0.

    Args:
        metric: The column.
        part: The part.
        lost: How much of the part is lost without each sequence, int64 (N,); None where no interval is wanted.
        wholes: What each adds to the sum, int64 (N,).
        direction: As in :class:`Estimate`.
        signature: As in :class:`Estimate`.
    """
    whole = int(wholes.sum())
    value = part / whole if whole else 0.0
    found = Estimate(metric, value, "", direction, signature, possible=SHARE)
    if lost is None:
        return found
    rest = whole - wholes
    without = np.divide(part - lost, rest, out=np.zeros(len(lost)), where=rest > 0)
    return replace(found, contributions=falls(value, without), interval="leave-one-out")


def falls(value: float, without: Floats) -> Floats:
    """Contributions to a score that is not a mean: how far it falls without each sequence, times their number."""
    return len(without) * (value - without)
