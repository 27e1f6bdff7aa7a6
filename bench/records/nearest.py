"""A sample beside the training sequence that is nearest to it, as a record keeps both. Imports none of our modules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

__all__ = ["Nearest"]


@dataclass(frozen=True, slots=True)
class Nearest:
    """A sample and the training sequence with which it shares the largest part of the longer one's words, in order.

    Both texts are in pieces: what is not shared and what is, by turns, and not shared first, so that the pieces with
    odd numbers are shared; a piece may be empty. Pieces in a row are the text as people read it.

    Attributes:
        sample: The sample in pieces.
        example: The training sequence in pieces; empty where none has a word of the sample.
        shared: How many words they share: the length of a longest common subsequence.
        longest: The most of these that follow each other in both.
        words: Words of the sample, without the end mark.
        example_words: Words of the training sequence.
    """

    sample: tuple[str, ...]
    example: tuple[str, ...]
    shared: int
    longest: int
    words: int
    example_words: int

    def __post_init__(self) -> None:
        counts = (self.shared, self.longest, self.words, self.example_words)
        pieces = (*self.sample, *self.example)
        if not all(type(count) is int for count in counts) or not all(isinstance(piece, str) for piece in pieces):
            raise TypeError(f"expected a sample and a training sequence in pieces, and numbers of words, got {self}")
        if not 0 <= self.longest <= self.shared <= min(self.words, self.example_words):
            raise ValueError(f"expected longest <= shared <= words of either, got {self}")

    @property
    def is_copy(self) -> bool:
        """Whether the sample is the training sequence, word for word."""
        return self.shared == self.words == self.example_words > 0

    @classmethod
    def read(cls, content: Mapping[str, Any]) -> Nearest:
        """What was written as JSON.

        Raises:
            TypeError: for anything else.
        """
        if not isinstance(content, Mapping) or set(content) != {each.name for each in fields(cls)}:
            raise TypeError(f"'nearest' has {content!r}")
        pieces = {name: content[name] for name in ("sample", "example")}
        if not all(isinstance(part, list) for part in pieces.values()):
            raise TypeError(f"'nearest' has {content!r}")
        return cls(**{**content, **{name: tuple(part) for name, part in pieces.items()}})
