"""Scores of a text file of samples against real text, each with an interval; nothing is trained.

The metrics and their conventions are those of :mod:`bench.metrics`, on words instead of a model's vocabulary: no word
becomes ``<unk>``, and one that is spelled so in a sample matches nothing in BLEU. A blank line among samples is an
empty sample, and counts.

Intervals say how far a score would move had other samples been drawn from the same source; the references are held
fixed, and so is the model: another training run may differ by far more. They are bootstrap intervals (Efron, 1979) of a
mean over samples. A score that is no such mean is replaced by the falls that each sample causes when it is taken away
(:mod:`bench.kernels.leave_one_out`), resampled likewise around the score. For scores that count different n-grams or
look for the best match this errs on the wide side where no sample repeats another: nominal 95 % are 95 to 99 % in
simulations. Where few samples make the score it is too narrow. Of files of 200 real lines, drawn with replacement so
that one or two repeat another on average, only 77 to 83 % had an interval with the mean of all files in it for
self-BLEU-5, 83 to 90 % for self-BLEU-4, and 85 to 90 % for distinct-3. One repeated line moves these scores much, and a
file that happens to have none does not know of it: of such, about 30, 60 and 63 %. A share of samples has Wilson's
interval (1927), which says how much none of so many may be. There is none where all samples contribute alike to any
other score.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import numpy as np

from bench import tokenizers
from bench.errors import UsageError, unknown
from bench.kernels.ngrams import Floats
from bench.metrics.base import Estimate, RealText, Subject
from bench.metrics.bleu import BackwardBleu, Bleu, SelfBleu
from bench.metrics.copying import Copy
from bench.metrics.diversity import Distinct, Unseen, Vocabulary
from bench.metrics.length import Length, LengthDistance
from bench.metrics.overlap import MSJaccard
from bench.metrics.sequences import UNKNOWN, Tokens
from bench.protocols import OURS, Protocol

__all__ = ["FAMILIES", "Report", "Row", "Text", "chosen_families", "score"]

FAMILIES: dict[str, tuple[Any, ...]] = {
    "bleu": (Bleu(),),
    "self-bleu": (SelfBleu(),),
    "backward-bleu": (BackwardBleu(),),
    "ms-jaccard": (MSJaccard(),),
    "distinct": (Distinct(),),
    "copy": (Copy(),),
    "length": (Length(), LengthDistance()),
    "vocabulary": (Vocabulary(), Unseen()),
}
"""What ``bench score --metrics`` calls them to the metrics."""

RESAMPLES, SEED, CHUNK = 1000, 0, 50
NORMAL = 1.959963984540054
"""The 97.5 % point of the normal distribution."""
REAL = "real text"
LOOSE = re.compile(r"\w [.,;:!?](?: |$)")
"""A mark that is parted from the word before it."""


@dataclass(frozen=True, slots=True)
class Text:
    """The lines of a file.

    Attributes:
        name: What it is called.
        lines: All of them.
        blank: How many more were blank and left out.
    """

    name: str
    lines: tuple[str, ...]
    blank: int = 0


@dataclass(frozen=True, slots=True)
class Row:
    """The scores of one text.

    Attributes:
        name: The file, or "real text".
        real: Whether it is real text, scored for comparison.
        n: Its sequences.
        scores: In the order of the metrics, each with its interval.
    """

    name: str
    real: bool
    n: int
    scores: tuple[Estimate, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """What ``bench score`` found.

    Attributes:
        rows: The samples in the order they were given, then real text.
        notes: What to know of the numbers, in sentences.
        interval: How the intervals were made.
    """

    rows: tuple[Row, ...]
    notes: tuple[str, ...]
    interval: str = (
        f"95 %: mean, percentiles of {RESAMPLES} bootstrap means over sequences (seed {SEED}); leave-one-out, the same "
        "of how far the score falls without each sequence, around the score; wilson, the score interval of a share of "
        "sequences; all cut off at 0, and at 1 where there is no unit"
    )


def chosen_families(names: Sequence[str] | None, protocol: Protocol = OURS) -> list[str]:
    """The families of metrics to compute, in their order.

    Args:
        names: What was asked for; None, or ``all`` among them, is everything that the protocol knows.
        protocol: What limits the choice.

    Raises:
        UsageError: for a name that is no family, or one that the protocol does not know.
    """
    known = protocol.metrics or tuple(FAMILIES)
    for name in names or ():
        if name not in (*FAMILIES, "all"):
            raise unknown("metric", name, (*FAMILIES, "all"))
        if name not in (*known, "all"):
            raise UsageError(f"--protocol {protocol.name} defines {' and '.join(known)} only, not {name}.")
    wanted = known if names is None or "all" in names else names
    return [name for name in FAMILIES if name in wanted]


def score(
    samples: Sequence[Text],
    references: Text,
    train: Text | None = None,
    tokenizer: str = "word",
    families: Sequence[str] | None = None,
    protocol: Protocol = OURS,
) -> Report:
    """Score texts against references, and real text beside them.

    Real text is, with a training set, as many of its lines as there are samples, drawn at random with a fixed seed.
    Without one it is made of the references: in BLEU each against all others; in what describes one text as many of
    them as there are samples; in what compares two texts as many, but at most half, against those that are left.

    Args:
        samples: One text for each row; a blank line is an empty sample.
        references: Held-out real text; blank lines are left out.
        train: What the models were trained on; likewise.
        tokenizer: See :func:`bench.tokenizers.tokenizer`; a protocol brings its own.
        families: See :func:`chosen_families`.
        protocol: How to compute BLEU and self-BLEU.

    Raises:
        UsageError: for a text without words, texts that do not fit into memory, or a wrong name.
    """
    chosen = chosen_families(families, protocol)
    references, train = _without_blanks(references), _without_blanks(train) if train else None
    for text in (*samples, references, *([train] if train else [])):
        if not any(map(str.strip, text.lines)):
            raise UsageError(f"{text.name} has no line that is not blank: expected one sample a line.")
    ours, theirs = protocol.samples or tokenizer, protocol.references or tokenizer
    split, split_real = tokenizers.tokenizer(ours), tokenizers.tokenizer(theirs)
    real = [references, *([train] if train else [])]
    encoded = tokenizers.encode(
        [(text.name, [split(line) for line in text.lines]) for text in samples]
        + [
            (text.name, [split_real(line.lower() if protocol.lowercase else line) for line in text.lines])
            for text in real
        ]
    )
    made, test = encoded[: len(samples)], encoded[len(samples)][: protocol.first_references]
    against = RealText(test, encoded[-1] if train else None)
    subjects = [Subject.samples(text, against, tokenizers.signature(ours), protocol, intervals=True) for text in made]
    found = [list(_estimates(subject, chosen, len(subject.text))) for subject in subjects]
    names = [text.name for text in samples]
    sizes: dict[int, int] = {}
    for wanted in map(len, made):
        size = min(wanted, len(against.train or test))
        sizes[size] = min(wanted, sizes.get(size, wanted))
    for size, wanted in sizes.items():
        names.append(REAL if len(sizes) == 1 else f"{REAL}, n={size}")
        subjects.append(_real(size, against, tokenizers.signature(theirs), protocol))
        found.append(list(_estimates(subjects[-1], chosen, wanted)))
    scores = iter(_with_intervals([each for row in found for each in row]))
    rows = tuple(
        Row(name, bool(subject.real), len(subject.text), tuple(islice(scores, len(found[place]))))
        for place, (name, subject) in enumerate(zip(names, subjects, strict=True))
    )
    return Report(rows, tuple(_notes(samples, references, train, made, test, ours, protocol, rows)))


def _without_blanks(text: Text) -> Text:
    lines = tuple(filter(str.strip, text.lines))
    return Text(text.name, lines, text.blank + len(text.lines) - len(lines))


def _real(size: int, against: RealText, tokenizer: str, protocol: Protocol) -> Subject:
    """So many sequences of real text, beside real text that they have no part in."""
    rng = np.random.default_rng(SEED)
    train, test = against.train, against.references
    if train is not None:
        drawn = train[np.sort(rng.permutation(len(train))[:size])]
        return Subject(drawn, against, drawn, test, tokenizer, "train", protocol, intervals=True)
    order = rng.permutation(len(test))
    half = min(size, len(test) // 2)
    text, apart, rest = (test[np.sort(rows)] for rows in (order[:size], order[:half], order[half:]))
    text = test if size >= len(test) else text
    return Subject(text, against, apart, rest, tokenizer, "references", protocol, intervals=True)


def _estimates(subject: Subject, families: Sequence[str], wanted: int) -> Iterator[Estimate]:
    """The scores of some families; of less text than is wanted only those that do not depend on how much there is."""
    scored = subject.protocol.self_scored if subject.protocol.self_references == "others" else None
    too_few = len(subject.text) < min(wanted, scored or wanted)
    reason = f"there are only {len(subject.text):,} lines of real text"
    for metric in (metric for name in families for metric in FAMILIES[name]):
        for found in metric.estimates(subject):
            if too_few and getattr(metric, "sized", False):
                yield replace(found, value=None, contributions=None, absent=reason)
            else:
                yield found


def _with_intervals(found: Sequence[Estimate]) -> list[Estimate]:
    """The scores with their intervals; those of equally many sequences are resampled together."""
    together: dict[int, list[int]] = {}
    ends: dict[int, tuple[float, float]] = {}
    for place, each in enumerate(found):
        if each.contributions is not None and each.interval == "wilson":
            ends[place] = _wilson(float(each.contributions.mean()), len(each.contributions))
        elif each.contributions is not None and len(each.contributions) > 1:
            together.setdefault(len(each.contributions), []).append(place)
    for places in together.values():
        for place, low, high in zip(places, *_deviations([found[i].contributions for i in places]), strict=True):
            value, most = found[place].value or 0.0, np.inf if found[place].unit else 1.0
            if low < high:  # else all contribute alike, and nothing is known of others
                ends[place] = max(0.0, value + float(low)), min(most, value + float(high))
    scores = []
    for place, each in enumerate(found):
        low, high = ends.get(place, (None, None))
        interval = each.interval if place in ends else None
        scores.append(replace(each, contributions=None, interval=interval, low=low, high=high))
    return scores


def _wilson(share: float, n: int) -> tuple[float, float]:
    """The shares that so many sequences do not speak against, at 5 % (Wilson, 1927)."""
    square = NORMAL**2 / n
    middle = (share + square / 2) / (1 + square)
    half = math.sqrt(share * (1 - share) * square + square**2 / 4) / (1 + square)
    return max(0.0, middle - half) if share else 0.0, min(1.0, middle + half) if share < 1 else 1.0


def _deviations(contributions: Sequence[Floats | None]) -> Floats:
    """The 2.5 and 97.5 % points of resampled means less the mean: float64, (2, scores)."""
    values = np.stack([part for part in contributions if part is not None], axis=1)
    values = values - values.mean(axis=0)
    n = len(values)
    rng = np.random.default_rng(SEED)
    means = []
    for _ in range(RESAMPLES // CHUNK):
        drawn = rng.integers(n, size=(CHUNK, n)) + np.arange(CHUNK)[:, None] * n
        means.append(np.bincount(drawn.ravel(), minlength=CHUNK * n).reshape(CHUNK, n) @ values / n)
    points: Floats = np.quantile(np.concatenate(means), [0.025, 0.975], axis=0)
    return points


def _notes(
    samples: Sequence[Text],
    references: Text,
    train: Text | None,
    made: Sequence[Tokens],
    test: Tokens,
    tokenizer: str,
    protocol: Protocol,
    rows: Sequence[Row],
) -> Iterator[str]:
    """What a reader has to know, most important first."""
    if protocol.name:
        yield f"Protocol {protocol.name} ({protocol.source}): {protocol.note}"
    for text in samples:
        for other, role in ((references, "the references"), (train, "the training set")):
            if other is not None and _without_blanks(text).lines == other.lines:
                yield f"{text.name} is {role}, line by line: it says nothing about a model."
    held_out = set(references.lines)
    for text in samples:
        known = sum(line in held_out for line in text.lines)
        if known > len(text.lines) / 100:
            yield (
                f"{text.name}: lines that stand in the references, word for word: {known:,}. A model that has not seen "
                "them writes few, short ones apart."
            )
    if tokenizer == "word" and sum(bool(LOOSE.search(line)) for line in references.lines) > len(references.lines) / 2:
        yield (
            f"{references.name} looks tokenized already, with spaces around its marks: --tokenizer space keeps its "
            "words as they are, and is how bench run reads it."
        )
    if train is not None and train.lines == references.lines:
        yield "The training set is the references, line by line: every score is about text that was trained on."
    ns = sorted({row.n for row in rows if not row.real})
    if len(ns) > 1:
        yield (
            f"The files have from {ns[0]:,} to {ns[-1]:,} samples: self-BLEU, backward BLEU, MS-Jaccard, distinct-n "
            "and vocabulary depend on how many, so compare each with the real text of its n."
        )
    if train is not None:
        yield "Real text is as many lines of the training set as there are samples, so it copies everything."
    elif protocol.name:
        yield "Real text is the references, each against the others. With --train it is lines of the training set."
    else:
        yield (
            "Real text is the references themselves: in BLEU each against the others; in MS-Jaccard, length_distance "
            "and unseen_in_references at most half of them against the rest, which makes them look less alike than "
            "they are. With --train it is lines of the training set."
        )
    for text in (references, *([train] if train else [])):
        if text.blank:
            yield f"{text.name}: blank lines, left out: {text.blank:,}."
    for text, tokens in zip(samples, made, strict=True):
        if empty := int(np.count_nonzero(tokens.lengths == 0)):
            yield f"{text.name}: empty samples (blank lines), which count: {empty:,}."
        written = _without_blanks(text).lines
        if repeated := len(written) - len(set(written)):
            yield (
                f"{text.name}: lines that repeat another: {repeated:,}. They weigh much in self-BLEU and distinct-n, "
                "and other samples may have more of them, or none."
            )
        if not protocol.unknown_matches and tokens.unknown:
            copied = "; in copy rates each stands for any word that the file never writes" if train is not None else ""
            yield (
                f"{text.name}: words that are <unk>: {tokens.unknown:,}. They match nothing in BLEU and MS-Jaccard, "
                f"and are not counted as unseen{copied}."
            )
        if tokenizer == "nltk" and any(UNKNOWN in line for line in text.lines):
            yield f"{text.name}: nltk takes <unk> apart into three words; the other tokenizers do not."
    yield (
        "Intervals are 95 %, for other samples of the same model and the same references; another training run may "
        "differ by more."
    )
