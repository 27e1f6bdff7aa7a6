"""Scores of a text file of samples against real text, each with an interval; nothing is trained.

The metrics and their conventions are those of :mod:`bench.metrics`, on words instead of a model's vocabulary: no word
becomes ``<unk>``, and a word that a sample spells ``<unk>`` matches nothing in BLEU. A blank line among samples is an
empty sample, and counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np

from bench.errors import UsageError, unknown
from bench.metrics.augmented import Augmented
from bench.metrics.base import RealText, Subject
from bench.metrics.bleu import BackwardBleu, Bleu, SelfBleu
from bench.metrics.copying import Copy
from bench.metrics.diversity import Distinct, Unseen, Vocabulary
from bench.metrics.length import Length, LengthDistance
from bench.metrics.molecules import KIND, Molecules
from bench.metrics.overlap import MSJaccard
from bench.metrics.protocols import OURS, Protocol
from bench.metrics.protocols import protocol as find_protocol
from bench.metrics.text import tokenizers
from bench.metrics.text.amounts import ENOUGH, FEWEST, samples_needed, too_few_note
from bench.metrics.text.differences import Scored, differences
from bench.metrics.text.intervals import SEED, resampled
from bench.metrics.text.notes import ANOTHER_RUN, notes
from bench.metrics.text.report import REAL, Report, Row, SeedRows, Text, without_blanks

__all__ = ["FAMILIES", "NAMED", "chosen_families", "options", "score"]

FAMILIES: dict[str, tuple[Any, ...]] = {
    "bleu": (Bleu(),),
    "self-bleu": (SelfBleu(),),
    "backward-bleu": (BackwardBleu(),),
    "ms-jaccard": (MSJaccard(),),
    "distinct": (Distinct(),),
    "copy": (Copy(),),
    "length": (Length(), LengthDistance()),
    "vocabulary": (Vocabulary(), Unseen()),
    "molecules": (Molecules(),),
    "augmented": (Augmented(),),
}
"""The metrics of each name that ``bench score --metrics`` takes."""
NAMED = ("augmented",)
"""Those that are computed only where they are named: they answer another question than how good the samples are, and
every score more is one more comparison to be corrected for."""
SMILES = "smiles"
"""The tokenizer whose words are those of molecules."""


def chosen_families(names: Sequence[str] | None, protocol: Protocol = OURS) -> list[str]:
    """The families of metrics to compute, in the order of :data:`FAMILIES`.

    Args:
        names: The requested families; None, or ``all`` among them, means everything that the protocol defines, but of
            :data:`NAMED` only what is requested.
        protocol: It limits the choice.

    Raises:
        UsageError: for a name that is not a family, or a family that the protocol does not define.
    """
    known = protocol.metrics or tuple(FAMILIES)
    for name in names or ():
        if name not in (*FAMILIES, "all"):
            raise unknown("metric", name, (*FAMILIES, "all"))
        if name not in (*known, "all"):
            raise UsageError(f"protocol {protocol.name} defines {' and '.join(known)} only, not {name}.")
    usual = [name for name in known if name not in NAMED]
    wanted = usual if names is None else [*names, *usual] if "all" in names else names
    return [name for name in FAMILIES if name in wanted]


def options(
    names: Sequence[str], tokenizer: str | None, protocol: str | None, trained: bool
) -> tuple[str, list[str], Protocol]:
    """Check a user's tokenizer, families of metrics and protocol before any file is read, and return them.

    Args:
        names: Families, or ``all``.
        tokenizer: None for the default.
        protocol: None for our own.
        trained: Whether there is a training set.

    Raises:
        UsageError: for a wrong name, and for options that do not go together.
    """
    chosen = find_protocol(protocol) if protocol else OURS
    if tokenizer and protocol and {tokenizer} != {chosen.samples, chosen.references}:
        raise UsageError(f"protocol {protocol} brings its own tokenizer: leave tokenizer {tokenizer} out.")
    if not names:
        raise UsageError("expected one or more metrics, separated by commas, or all.")
    tokenizers.tokenizer(tokenizer or "word")
    families = chosen_families(names, chosen)
    if families == ["copy"] and not trained:
        raise UsageError("copies can be found only if the training text is given, too.")
    if "augmented" in names and not trained:
        raise UsageError("samples are added to the training text (augmented): give it, too, with --train.")
    if "molecules" in names and tokenizer != SMILES:
        raise UsageError(f"molecules are read by the tokenizer {SMILES}: choose it, too.")
    return tokenizer or "word", families, chosen


def score(
    samples: Sequence[Text],
    references: Text,
    train: Text | None = None,
    tokenizer: str = "word",
    families: Sequence[str] | None = None,
    protocol: Protocol = OURS,
    over_seeds: Sequence[SeedRows] = (),
) -> Report:
    """Score texts against references, and real text for comparison; of several texts, compare each with the first.

    With a training set, real text is as many of its lines as there are samples, drawn at random with a fixed seed; its
    copy rates are those of the references.
    Without one, it is made of the references: for BLEU, each against all others; for metrics of one text, as many of
    them as there are samples; for metrics that compare two texts, as many, but at most half, against those that remain.

    Args:
        samples: One text for each row; a blank line is an empty sample.
        references: Held-out real text; blank lines are left out.
        train: What the models were trained on; blank lines are left out.
        tokenizer: See :func:`bench.metrics.text.tokenizers.tokenizer`; a protocol brings its own.
        families: See :func:`chosen_families`.
        protocol: How to compute BLEU and self-BLEU.
        over_seeds: Which texts are the seeds of which models; texts are not compared with each other then.

    Raises:
        UsageError: for a text without words, texts that do not fit into memory, or a wrong name.
    """
    chosen = chosen_families(families, protocol)
    references, train = without_blanks(references), without_blanks(train) if train else None
    for text in (*samples, references, *([train] if train else [])):
        if not any(map(str.strip, text.lines)):
            raise UsageError(f"{text.name} has no line that is not blank: expected one sample a line.")
    ours, theirs = protocol.samples or tokenizer, protocol.references or tokenizer
    split, split_real = tokenizers.tokenizer(ours), tokenizers.tokenizer(theirs)
    real = [references, *([train] if train else [])]
    symbols: list[str] | None = [] if ours == SMILES else None
    encoded = tokenizers.encode(
        [(text.name, [split(line) for line in text.lines]) for text in samples]
        + [
            (text.name, [split_real(line.lower() if protocol.lowercase else line) for line in text.lines])
            for text in real
        ],
        symbols,
    )
    made, test = encoded[: len(samples)], encoded[len(samples)][: protocol.first_references]
    against = RealText(test, encoded[-1] if train else None)
    if symbols:
        against = replace(against, symbols=tuple(symbols), kind=KIND)
    subjects = [Subject.samples(text, against, tokenizers.signature(ours), protocol, intervals=True) for text in made]
    found = [list(_estimates(subject, chosen, len(subject.text))) for subject in subjects]
    names = [text.name for text in samples]
    smallest: dict[int, int] = {}
    sizes = [min(len(text), len(against.train or test)) for text in made]
    for size, wanted in zip(sizes, map(len, made), strict=True):
        smallest[size] = min(wanted, smallest.get(size, wanted))
    for size, wanted in smallest.items():
        names.append(REAL if len(smallest) == 1 else f"{REAL}, n={size}")
        subjects.append(_real(size, against, tokenizers.signature(theirs), protocol))
        found.append(list(_estimates(subjects[-1], chosen, wanted)))
    estimates, resamples = resampled([each.estimate for row in found for each in row])
    scores, moves = iter(estimates), iter(resamples)
    rows = tuple(
        Row(name, bool(subject.real), len(subject.text), tuple(islice(scores, len(found[index]))))
        for index, (name, subject) in enumerate(zip(names, subjects, strict=True))
    )
    enough = found[len(samples) + list(smallest).index(max(sizes))]
    known = min(ENOUGH, len(against.train or test))
    if max(sizes) < known:  # real text as short as the samples does not show how much it varies
        enough = list(_estimates(_real(known, against, tokenizers.signature(theirs), protocol), chosen, known))
    needed = {each.estimate.metric: samples_needed(each.estimate) for each in enough}
    found = [
        [replace(each, moves=next(moves), needed=needed.get(each.estimate.metric, FEWEST)) for each in row]
        for row in found
    ]
    real_rows = {size: row.scores for size, row in zip(smallest, rows[len(samples) :], strict=True)}
    first = samples[0]
    apart = [
        tuple(
            differences(
                text.name, first.name, found[index], found[0], real_rows[sizes[index]], text.lines == first.lines
            )
        )
        for index, text in enumerate(() if over_seeds else samples[1:], 1)
    ]
    few = [
        too_few_note(text.name, [each.estimate for each in row], needed)
        for text, row in zip(samples, found, strict=False)
    ]
    about = notes(samples, references, train, made, test, ours, protocol, rows, against.train)
    last = () if over_seeds else (ANOTHER_RUN,)
    return Report(rows, (*filter(None, few), *about, *last), tuple(apart), tuple(over_seeds))


def _real(size: int, against: RealText, tokenizer: str, protocol: Protocol) -> Subject:
    """``size`` sequences of real text, to be compared with real text that they are not taken from."""
    rng = np.random.default_rng(SEED)
    train, test = against.train, against.references
    if train is not None:
        drawn = train[np.sort(rng.permutation(len(train))[:size])]
        return Subject(drawn, against, drawn, test, tokenizer, "train", protocol, intervals=True, trained=True)
    order = rng.permutation(len(test))
    half = min(size, len(test) // 2)
    text, apart, rest = (test[np.sort(rows)] for rows in (order[:size], order[:half], order[half:]))
    text = test if size >= len(test) else text
    return Subject(text, against, apart, rest, tokenizer, "references", protocol, intervals=True)


def _estimates(subject: Subject, families: Sequence[str], wanted: int) -> Iterator[Scored]:
    """The scores of some families; from less text than wanted, only those that do not depend on its amount."""
    scored = subject.protocol.self_scored if subject.protocol.self_references == "others" else None
    too_few = len(subject.text) < min(wanted, scored or wanted)
    reason = f"there are only {len(subject.text):,} lines of real text"
    for metric in (metric for name in families for metric in FAMILIES[name]):
        sized = getattr(metric, "sized", False)
        for found in metric.estimates(subject):
            kept = replace(found, value=None, contributions=None, absent=reason) if too_few and sized else found
            yield Scored(kept, None, sized)
