"""Sequences of words as numbers: what every metric on words reads, whether they come from a model or from a file."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["UNKNOWN", "UNKNOWN_ID", "Bools", "Ints", "Tokens"]

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

UNKNOWN = "<unk>"
UNKNOWN_ID = 0
"""The id of ``<unk>`` in files; a task may have another."""


@dataclass(frozen=True, slots=True, eq=False)
class Tokens:
    """Some sequences of words, as numbers.

    Attributes:
        ids: int64, (N, T); what comes after a sequence's length is not read.
        lengths: int64, (N,), the number of words in each, without an end mark.
        unknown_id: The id of ``<unk>``; None where there is no such word.
    """

    ids: Ints
    lengths: Ints
    unknown_id: int | None = UNKNOWN_ID

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, rows: slice | Ints | Bools) -> Tokens:
        """Some of the sequences."""
        return Tokens(self.ids[rows], self.lengths[rows], self.unknown_id)

    @property
    def unknown(self) -> int:
        """The number of words that are ``<unk>``."""
        return 0 if self.unknown_id is None else int(np.count_nonzero(self.ids == self.unknown_id))

    @property
    def masked(self) -> Ints:
        """The ids with ``<unk>`` as -1, a word that equals nothing: int64, (N, T)."""
        return self.ids if self.unknown_id is None else np.where(self.ids == self.unknown_id, -1, self.ids)
