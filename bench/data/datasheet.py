"""Counts of a corpus: what it contains, and how much of its held-out splits also occurs in training."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

__all__ = ["SplitFacts", "count_facts", "facts_table"]

COLUMNS = (
    "split",
    "sequences",
    "words",
    "types",
    "length min / median / max",
    "out of vocabulary",
    "repeated",
    "in train",
    "4-grams in train",
)


@dataclass(frozen=True, slots=True)
class SplitFacts:
    """Counts of one split of a corpus.

    Attributes:
        sequences: Number of sequences.
        words: Number of words of all sequences together.
        types: Number of different words.
        shortest: Words of the shortest sequence.
        median: Words of the median sequence.
        longest: Words of the longest sequence.
        unknown: Share of the words that become ``<unk>``.
        repeated: Sequences that already occurred earlier in this split.
        copied: Sequences that occur in train, word for word; None for train itself.
        known: Share of the 4-grams, each counted as often as it occurs, that occur in train; None for train itself, and
            where there are none.
    """

    sequences: int
    words: int
    types: int
    shortest: int
    median: float
    longest: int
    unknown: float
    repeated: int
    copied: int | None
    known: float | None


def count_facts(splits: Mapping[str, Sequence[Sequence[str]]], min_count: int) -> dict[str, SplitFacts]:
    """Count a corpus.

    Args:
        splits: Sequences of words by split; "train" is one of them, and none is empty.
        min_count: Words seen less often in train are out of vocabulary.

    Example:
        >>> count_facts({"train": [["a", "b"], ["a"]], "test": [["a", "c"]]}, min_count=2)["test"].unknown
        0.5
    """
    train = splits["train"]
    counts = Counter(word for words in train for word in words)
    sequences = {tuple(words) for words in train}
    grams = set(_fourgrams(train))
    facts = {}
    for split, lines in splits.items():
        lengths = [len(words) for words in lines]
        types = Counter(word for words in lines for word in words)
        unknown = sum(n for word, n in types.items() if counts[word] < min_count)
        found = [gram in grams for gram in _fourgrams(lines)] if split != "train" else []
        facts[split] = SplitFacts(
            sequences=len(lines),
            words=sum(lengths),
            types=len(types),
            shortest=min(lengths),
            median=median(lengths),
            longest=max(lengths),
            unknown=unknown / max(1, sum(lengths)),
            repeated=len(lines) - len({tuple(words) for words in lines}),
            copied=None if split == "train" else sum(tuple(words) in sequences for words in lines),
            known=sum(found) / len(found) if found else None,
        )
    return facts


def facts_table(facts: Mapping[str, SplitFacts]) -> list[tuple[str, ...]]:
    """A row of text for each split, in the order of :data:`COLUMNS`."""
    return [
        (
            split,
            f"{fact.sequences:,}",
            f"{fact.words:,}",
            f"{fact.types:,}",
            f"{fact.shortest} / {fact.median:g} / {fact.longest}",
            f"{fact.unknown:.2%}",
            f"{fact.repeated:,}",
            "" if fact.copied is None else f"{fact.copied:,}",
            "" if fact.known is None else f"{fact.known:.1%}",
        )
        for split, fact in facts.items()
    ]


def _fourgrams(lines: Iterable[Sequence[str]]) -> Iterable[tuple[str, ...]]:
    return (tuple(words[i : i + 4]) for words in lines for i in range(len(words) - 3))
