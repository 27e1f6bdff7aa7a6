"""Notes: what a reader of the scores has to know about the files."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from bench.data import smiles
from bench.data.marks import foreign_mark, marks_note
from bench.data.notation import SPACE
from bench.kernels.ngrams import word_keys
from bench.metrics.protocols import Protocol
from bench.metrics.sequences import UNKNOWN, UNKNOWN_ID, Tokens
from bench.metrics.text.report import Row, Text, without_blanks
from bench.metrics.text.tokenizers import PACKAGES

__all__ = ["ANOTHER_RUN", "notes"]

ANOTHER_RUN = (
    "Intervals are 95 %, for other samples of the same model and the same references; another training run may differ "
    "by more."
)
SHORT, UNKNOWN_SHARE, NEVER_SEEN = 0.5, 0.5, 0.15
"""Shares from which on a text is pointed out: of lines of one word, of ``<unk>``, of words that training lacks."""
LOOSE = re.compile(r"\w [.,;:!?](?: |$)")
"""A mark that is separated from the word before it."""


def notes(
    samples: Sequence[Text],
    references: Text,
    train: Text | None,
    made: Sequence[Tokens],
    test: Tokens,
    tokenizer: str,
    protocol: Protocol,
    rows: Sequence[Row],
    known: Tokens | None = None,
) -> Iterator[str]:
    """What a reader has to know, most important first; ``known`` are the words of the training set."""
    if protocol.name:
        yield f"Protocol {protocol.name} ({protocol.source}): {protocol.note}"
    given = (*samples, references, *([train] if train else []))
    for text in given:
        yield from text.remarks
        if marks := Counter(filter(None, map(foreign_mark, text.lines))):
            yield marks_note(text.name, marks)
    spelled = [any(SPACE in line and SPACE in line.split() for line in text.lines) for text in given]
    if tokenizer != "char" and any(spelled) and not all(spelled):
        yield (
            f"{given[spelled.index(True)].name} is written character by character, with {SPACE} for a space, and "
            f"{given[spelled.index(False)].name} is not: the tokenizer char reads both alike, and bench sample writes "
            "running text with --format text."
        )
    if tokenizer == "smiles":
        for text in given:
            if named := sum(smiles.has_more(line.split()) for line in text.lines):
                yield (
                    f"{text.name}: lines with more than a molecule, such as its name, which is read as a part of it: "
                    f"{named:,}. Give the SMILES alone, or a table with --column."
                )
    # Lines are compared by their words: other tools write a space after each.
    parts = smiles.words if tokenizer == "smiles" else list
    by_words = {id(text): [" ".join(parts(line.split())) for line in without_blanks(text).lines] for text in given}
    for text in samples:
        for other, role in ((references, "the references"), (train, "the training set")):
            if other is not None and by_words[id(text)] == by_words[id(other)]:
                yield f"{text.name} is {role}, line by line: it says nothing about a model."
    held_out = set(by_words[id(references)])
    for text in samples:
        found = sum(line in held_out for line in by_words[id(text)])
        if found > len(text.lines) / 100:
            yield (
                f"{text.name}: lines that are in the references, word for word: {found:,}. A model that has not seen "
                "them writes few of them, except short ones."
            )
    if tokenizer == "word" and sum(bool(LOOSE.search(line)) for line in references.lines) > len(references.lines) / 2:
        yield (
            f"{references.name} looks tokenized already, with spaces around its marks: the tokenizer space keeps its "
            "words as they are, and is how bench run reads it."
        )
    if train is not None and by_words[id(train)] == by_words[id(references)]:
        yield "The training set is the references, line by line: every score is about text that was trained on."
    yield from _degenerate(samples, references, train, made, test, known)
    ns = sorted({row.n for row in rows if not row.real})
    if len(ns) > 1:
        yield (
            f"The files have from {ns[0]:,} to {ns[-1]:,} samples: self-BLEU, backward BLEU, MS-Jaccard, distinct-n "
            "and vocabulary depend on this number, so compare each file with the real text of the same n."
        )
    if train is not None:
        yield (
            "Real text is as many lines of the training set as there are samples. Its copy rates are those of the "
            "references: what text that nobody copied has in common with the training set."
        )
    elif protocol.name:
        yield "Real text is the references, each against the others. With a training set it is lines of that."
    else:
        yield (
            "Real text is the references themselves: in BLEU each against the others; in MS-Jaccard, length_distance "
            "and unseen_in_references at most half of them against the rest, which makes them look less alike than "
            "they are. With a training set it is lines of that."
        )
    for text in (references, *([train] if train else [])):
        if text.blank:
            yield f"{text.name}: blank lines, left out: {text.blank:,}."
    for text, tokens in zip(samples, made, strict=True):
        if empty := int(np.count_nonzero(tokens.lengths == 0)):
            yield f"{text.name}: empty samples (blank lines), which count: {empty:,}."
        written = by_words[id(text)]
        if repeated := len(written) - len(set(written)):
            yield (
                f"{text.name}: lines that repeat another: {repeated:,}. They strongly affect self-BLEU and distinct-n, "
                "and other samples may have more of them, or none."
            )
        if not protocol.unknown_matches and tokens.unknown:
            copied = "; in copy rates each stands for any word that the file never writes" if train is not None else ""
            yield (
                f"{text.name}: words that are <unk>: {tokens.unknown:,}. They match nothing in BLEU and MS-Jaccard, "
                f"and are not counted as unseen{copied}."
            )
        if tokenizer in PACKAGES and any(UNKNOWN in line for line in text.lines):
            yield f"{text.name}: {tokenizer} splits <unk> into three words; the tokenizers word, char and space do not."


def _degenerate(
    samples: Sequence[Text],
    references: Text,
    train: Text | None,
    made: Sequence[Tokens],
    test: Tokens,
    known: Tokens | None,
) -> Iterator[str]:
    """Texts on which scores say little."""
    real = [(references.name, test), *([(train.name, known)] if train is not None and known is not None else [])]
    for name, tokens in (*zip((text.name for text in samples), made, strict=True), *real):
        words = int(tokens.lengths.sum())
        if words and tokens.unknown >= UNKNOWN_SHARE * words:
            share = tokens.unknown / words
            yield f"{name}: {share:.0%} of its words are <unk>, which match nothing: scores say little."
        if (share := _of_one_word(tokens)) >= SHORT:
            yield f"{name}: {share:.0%} of its lines have only one different word: expected a sentence a line."
    if train is not None and known is not None:
        keys = word_keys(test.ids, test.lengths)
        written = keys[keys >= 0]
        strange = ~np.isin(written, known.ids) & (written != UNKNOWN_ID)
        if len(written) and float(strange.mean()) >= NEVER_SEEN:
            yield (
                f"{references.name}: {float(strange.mean()):.0%} of its words never occur in the training set: the two "
                "are not of one kind, and no model can have learnt to write them."
            )


def _of_one_word(tokens: Tokens) -> float:
    """The share of the lines that have one different word, once or again and again."""
    keys = word_keys(tokens.ids, tokens.lengths)
    alike = ((keys == keys[:, :1]) | (keys < 0)).all(axis=1)
    return float((alike & (tokens.lengths > 0)).mean())
