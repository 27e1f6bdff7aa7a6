"""Words and their ids."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.data import notation, smiles

UNKNOWN, END = "<unk>", "<eos>"
CHARACTER = re.compile(rf"{UNKNOWN}|.", re.DOTALL)


@dataclass(frozen=True)
class WordVocabulary:
    """Every word seen often enough in training, commonest first, after ``<unk>`` at id 0; ``<eos>``, if any, is last.

    Attributes:
        words: The symbol of every id.
        eos: The id of the mark that ends a sequence and fills the positions after it; None where all lengths are equal.
        kind: The type of the words, as in :class:`bench.api.SequenceSpec`; it decides how they are shown to people.
        verse: Words per line of verse, each line shown separately; None for prose.
        places: float64, (V, 2), latitude and longitude in degrees of every id, NaN for those that are no places; None
            where words are no places.
    """

    words: tuple[str, ...]
    eos: int | None = None
    kind: str = "words"
    verse: int | None = None
    places: NDArray[np.float64] | None = field(default=None, compare=False, repr=False)

    @classmethod
    def build(
        cls,
        sequences: Iterable[Sequence[str]],
        min_count: int,
        ends: bool = False,
        kind: str = "words",
        verse: int | None = None,
    ) -> WordVocabulary:
        """Count the words of the training set; equal counts are ordered by code point.

        Args:
            sequences: The training set.
            min_count: Words seen less often are left out.
            ends: Whether sequences have an end mark.
            kind: As the attribute.
            verse: As the attribute.
        """
        counts = Counter(word for sequence in sequences for word in sequence)
        return cls.of_counts(counts, min_count, ends, kind, verse)

    @classmethod
    def of_counts(
        cls, counts: Counter[str], min_count: int, ends: bool = False, kind: str = "words", verse: int | None = None
    ) -> WordVocabulary:
        """:meth:`build`, from the count of each word."""
        kept = [word for word, count in counts.items() if count >= min_count and word not in (UNKNOWN, END)]
        words = (UNKNOWN, *sorted(kept, key=lambda word: (-counts[word], word)), *((END,) if ends else ()))
        return cls(words, len(words) - 1 if ends else None, kind, verse)

    @property
    def unk(self) -> int:
        """The id of every word outside the vocabulary."""
        return 0

    @cached_property
    def ids(self) -> dict[str, int]:
        """Word to id; the end mark is left out, so that a text that spells it out has an ordinary unknown word."""
        return {word: index for index, word in enumerate(self.words) if index != self.eos}

    def encode(self, sequences: Sequence[str | Sequence[str]], length: int | None = None) -> Tensor:
        """Sequences to int64 (N, T); words outside the vocabulary are ``<unk>``.

        Args:
            sequences: N texts, or the words of each. A text is split at white space; where words are characters, into
                these, with ``▁`` between the parts; a molecule into the tokens of its SMILES.
            length: T; by default as long as the longest needs.

        Raises:
            ValueError: for a sequence that does not fit: T words where there is no end mark, otherwise less than T.
        """
        split = [self._split(sequence) if isinstance(sequence, str) else sequence for sequence in sequences]
        if length is None:
            length = max(map(len, split), default=0) + (self.eos is not None)
        tokens = np.full((len(split), length), self.unk if self.eos is None else self.eos, dtype=np.int64)
        for row, sequence in zip(tokens, split, strict=True):
            if len(sequence) > length - 1 if self.eos is not None else len(sequence) != length:
                wanted = f"{length} words" if self.eos is None else f"less than {length} words"
                raise ValueError(f"expected {wanted} a sequence, got {len(sequence)}")
            row[: len(sequence)] = [self.ids.get(word, self.unk) for word in sequence]
        return torch.from_numpy(tokens)

    def _split(self, text: str) -> list[str]:
        """The words of a text as the task's own text was split."""
        parts = text.split()
        if self.kind == "molecules":
            return smiles.words(parts)
        if self.kind != "characters":
            return parts
        if notation.SPACE not in self.ids:  # as in verse, whose lines decode() separates by " / "
            parts = ["".join(part for part in parts if part != "/" or not self.verse)]
        words = [word for part in parts for word in (notation.SPACE, *CHARACTER.findall(part))]
        return words[1:]

    def spell(self, tokens: Tensor) -> list[list[str]]:
        """The words of each sequence up to its end mark: int64 (N, T)."""
        rows = tokens.tolist()
        ended = [row.index(self.eos) if self.eos in row else len(row) for row in rows]
        return [[self.words[token] for token in row[:end]] for row, end in zip(rows, ended, strict=True)]

    def decode(self, tokens: Tensor) -> list[str]:
        """One readable line a row: int64 (N, T); lines of verse are separated by " / ", tunes are ABC notes."""
        return [notation.line(words, self.kind, self.verse) for words in self.spell(tokens)]
