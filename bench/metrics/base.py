"""What a metric on words is given, and what every metric gives. Imports no torch.

A metric is asked about a :class:`Subject`, a text beside the real text that it is held against, and answers with
:class:`Estimate`. A checkpoint of ``bench run`` offers a subject and a file of ``bench score`` is one, so that both are
scored by the same code. Metrics that need the model's density read :class:`bench.metrics.density.Evidence` instead.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar, Literal, Protocol

import numpy as np

from bench.kernels.leave_one_out import Meetings, self_bleu_falls
from bench.kernels.ngram_model import Bools, NgramModel
from bench.kernels.ngrams import Floats, Ints, ReferenceCounts, self_bleu
from bench.metrics import protocols
from bench.metrics.sequences import Tokens
from bench.metrics.signature import Signature

if TYPE_CHECKING:
    from bench.api import SequenceSpec

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
"""Of every BLEU."""
EPSILON = 0.1
SMOOTHING = f"method1({EPSILON})"
"""Of every BLEU, in its signature."""
ADD, STRENGTHS = 0.5, (300.0, 300.0)
"""Of the judge's trigram model: nearly the best for 500 to 13,000 sequences of ``oracle`` and of ``quatrains``."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a metric says: one column of a table, a number or why there is none.

    Records keep it as :class:`bench.records.record.Score`, which has the same fields as plain text and knows nothing of
    intervals over sequences: in a benchmark the unit of variation is the run.

    Attributes:
        metric: The column.
        value: The score; None together with ``absent``, which an infinite one becomes.
        unit: "nats/token", "words", "types" for different ones, "" for pure numbers.
        direction: "lower", "higher" or "real" (the nearer to the real text's value the better).
        signature: What a comparable score must share.
        absent: Why there is no value.
        contributions: float64, (n,), where the subject asked for intervals: what each sequence that was drawn adds to
            the score, from the statistics that the score was made of. The score moves by their mean less the mean of
            the resampled ones when others are drawn. None where nothing is known, or the score is certain.
        interval: What the contributions are: "mean", of the sequences' own values; "wilson", likewise, each 0 or 1;
            "leave-one-out", by how much the score falls without each, times their number.
        low: Lower end of the 95 % interval, once it is made; None where there is none.
        high: Upper end.

    Raises:
        ValueError: for NaN.
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

    def __post_init__(self) -> None:
        if self.value is not None and math.isnan(self.value):
            raise ValueError(f"{self.metric} is not a number: the model has diverged")
        if self.value is not None and not math.isfinite(self.value):
            object.__setattr__(self, "absent", f"{self.metric} is {self.value}")
            object.__setattr__(self, "value", None)

    @property
    def n(self) -> int:
        """How many sequences it is a score of."""
        return self.signature.n


@dataclass(frozen=True, eq=False)
class RealText:
    """What texts are held against, with what is computed from it once and used for all of them.

    Attributes:
        references: Held-out sequences.
        train: What the models were trained on; None where that is not known.
        spec: The shape of a task's sequences; None where the words are those of files.
        symbols: The symbol of every id, V of them, where ids of a task stand for something.
    """

    references: Tokens
    train: Tokens | None
    spec: SequenceSpec | None = None
    symbols: tuple[str, ...] | None = None

    @cached_property
    def counts(self) -> ReferenceCounts:
        """The n-grams of the references, up to the longest of :data:`ORDERS`."""
        return ReferenceCounts.build(self.references.ids, self.references.lengths, max(ORDERS))

    @cached_property
    def self_bleu(self) -> tuple[Floats, Floats]:
        """Self-BLEU of the references, and what each contributes to it."""
        return self_bleu_among(self.references)

    @cached_property
    def language_model(self) -> NgramModel:
        """The judge's own language model of the training text."""
        if self.train is None:
            raise ValueError("expected a training set")
        return self.fit_language_model(self.train)

    def fit_language_model(self, tokens: Tokens) -> NgramModel:
        """The judge's trigram model of some sequences, end marks among them."""
        if self.spec is None:
            raise ValueError("expected the sequences of a task, whose vocabulary is known")
        return NgramModel.fit(tokens.ids, self.counted(tokens), self.spec.vocab_size, ADD, STRENGTHS)

    def counted(self, tokens: Tokens) -> Bools:
        """Which tokens count in a likelihood, the end mark among them: bool, (N, T)."""
        ends = self.spec is not None and self.spec.eos is not None
        return np.arange(tokens.ids.shape[1]) < (tokens.lengths + ends)[:, None]


@dataclass(frozen=True, eq=False)
class Subject:
    """A text to be scored, beside all that it is scored against.

    Attributes:
        text: Its sequences.
        against: Real text.
        apart: Those of the sequences that are compared with ``rest``; all but for references that stand for real text.
        rest: Real text that ``apart`` has no part in.
        tokenizer: Signature of what split it.
        real: For real text, what it is lines of; "" for samples.
        protocol: By whose conventions.
        intervals: Whether intervals will be made, so that estimates carry contributions.
    """

    text: Tokens
    against: RealText
    apart: Tokens
    rest: Tokens
    tokenizer: str
    real: Literal["", "references", "train"] = ""
    protocol: protocols.Protocol = protocols.OURS
    intervals: bool = False

    @classmethod
    def samples(
        cls,
        text: Tokens,
        against: RealText,
        tokenizer: str,
        protocol: protocols.Protocol = protocols.OURS,
        intervals: bool = False,
    ) -> Subject:
        """Samples, all of which are compared with all references."""
        return cls(text, against, text, against.references, tokenizer, "", protocol, intervals)

    def signature(self, version: str, *remarks: str, **parts: object) -> Signature:
        """The parts, and what all signatures end with."""
        about = {"real": self.real, "protocol": self.protocol.name}
        named = {key: value for key, value in about.items() if value}
        return Signature.of(*remarks, **parts, tok=self.tokenizer, **named, v=version)

    @property
    def is_references(self) -> bool:
        """Whether the text is the references themselves."""
        return self.real == "references"

    @property
    def hides_words(self) -> bool:
        """Whether the text has ``<unk>`` in place of words that the training set spells, as files may."""
        return self.against.spec is None and not self.real and self.text.unknown > 0

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


class Metric(Protocol):
    """A family of scores that share their computation. Needs no arguments to build.

    It has ``estimates`` where a text is enough, or else ``scores``, which is given
    :class:`bench.metrics.density.Evidence` and returns a list. A column that the task rules out (an oracle's score on
    real text) is simply not given; one that the subject cannot have is given with the reason.
    """

    version: ClassVar[str]

    def estimates(self, subject: Subject) -> Iterable[Estimate]:
        """Score one text."""
        ...


def self_bleu_among(texts: Tokens, meetings: Meetings | None = None) -> tuple[Floats, Floats]:
    """Self-BLEU of at least two sequences, and what each contributes to it: its own and what it lends the others.

    Returns:
        float64, (4, N) each, a row for each of :data:`ORDERS`.
    """
    meetings = meetings or Meetings.build(texts.ids, texts.lengths, texts.ids[:0], texts.lengths[:0], max(ORDERS))
    scores = self_bleu(texts.ids, texts.lengths, ORDERS, EPSILON)
    return scores, scores + self_bleu_falls(meetings, scores, ORDERS, EPSILON)


def per_order(
    name: str, scores: Floats, contributions: Floats | None, direction: str, signature: Signature
) -> Iterator[Estimate]:
    """An estimate for each of :data:`ORDERS`, the mean over sequences: float64 (4, N), and what they contribute.

    Contributions that are the scores themselves are those of a sequence that lends nothing to the others.
    """
    interval = "mean" if contributions is scores else "leave-one-out"
    for place, order in enumerate(ORDERS):
        estimate = Estimate(f"{name}{order}", float(scores[place].mean()), "", direction, signature)
        yield (
            estimate
            if contributions is None
            else replace(estimate, contributions=contributions[place], interval=interval)
        )


def too_few(
    name: str, subject: Subject, version: str, direction: str, reason: str, orders: Sequence[int] = ORDERS
) -> Iterator[Estimate]:
    """Why there is no score, for each order or for the one that there is."""
    signature = subject.signature(version, n=len(subject.text))
    for metric in [f"{name}{order}" for order in orders] or [name]:
        yield Estimate(metric, None, "", direction, signature, reason)


def share(metric: str, part: int, lost: Ints | None, wholes: Ints, direction: str, signature: Signature) -> Estimate:
    """A part of a sum over sequences; 0 where the sum is.

    Args:
        metric: The column.
        part: The part.
        lost: How much of it is lost with each sequence, int64 (N,); None where no interval is wanted.
        wholes: What each adds to the sum, int64 (N,).
        direction: As in :class:`Estimate`.
        signature: Likewise.
    """
    whole = int(wholes.sum())
    value = part / whole if whole else 0.0
    if lost is None:
        return Estimate(metric, value, "", direction, signature)
    rest = whole - wholes
    without = np.divide(part - lost, rest, out=np.zeros(len(lost)), where=rest > 0)
    return Estimate(metric, value, "", direction, signature, None, falls(value, without), "leave-one-out")


def falls(value: float, without: Floats) -> Floats:
    """Contributions to a score that is no mean: how far it falls without each sequence, times their number."""
    return len(without) * (value - without)
