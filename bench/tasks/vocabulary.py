"""Words and their ids."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

UNKNOWN = "<unk>"


@dataclass(frozen=True)
class WordVocabulary:
    """Every word seen often enough in training, commonest first, after ``<unk>`` at id 0.

    Attributes:
        words: The symbol of every id.
        verse: Words of a line of verse, shown apart; None for prose.
        joiner: What stands between two words when people read them.
    """

    words: tuple[str, ...]
    verse: int | None = None
    joiner: str = " "

    @classmethod
    def build(
        cls, sequences: Iterable[Sequence[str]], min_count: int, verse: int | None = None, joiner: str = " "
    ) -> WordVocabulary:
        """Count the words of the training set; equal counts are ordered by code point."""
        counts = Counter(word for sequence in sequences for word in sequence if word != UNKNOWN)
        kept = sorted((word for word, count in counts.items() if count >= min_count), key=lambda w: (-counts[w], w))
        return cls((UNKNOWN, *kept), verse, joiner)

    @property
    def unk(self) -> int:
        """The id of every other word."""
        return 0

    @cached_property
    def ids(self) -> dict[str, int]:
        """Word to id."""
        return {word: index for index, word in enumerate(self.words)}

    def encode(self, sequences: Sequence[Sequence[str]]) -> Tensor:
        """Sequences of one length T to int64 (N, T)."""
        return torch.tensor([[self.ids.get(word, self.unk) for word in sequence] for sequence in sequences])

    def decode(self, tokens: Tensor) -> list[str]:
        """One readable line a row: int64 (N, T); lines of verse are parted by " / "."""
        lines = []
        for row in tokens.tolist():
            words = [self.words[token] for token in row]
            step = self.verse or len(words) or 1
            lines.append(" / ".join(self.joiner.join(words[i : i + step]) for i in range(0, len(words), step)))
        return lines
