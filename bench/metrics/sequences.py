"""Sequences of words as numbers: what every metric on words reads, whether they come from a model or from a file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["UNKNOWN", "UNKNOWN_ID", "Bools", "Ints", "Tokens", "read_only"]

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

UNKNOWN = "<unk>"
UNKNOWN_ID = 0
"""The id of ``<unk>`` in files; a task may have another."""


def read_only(*arrays: NDArray[Any]) -> None:
    """Make arrays that several metrics read refuse to be written into."""
    for array in arrays:
        array.setflags(write=False)


@dataclass(frozen=True, slots=True, eq=False)
class Tokens:
    """Some sequences of words, as numbers.

    Attributes:
        ids: int64, (N, T); what comes after a sequence's length is not read.
        lengths: int64, (N,), the number of words in each, without an end mark.
        unknown_id: The id of ``<unk>``; None where there is no such word.

    Both arrays are read-only: all metrics read the same ones.
    """

    ids: Ints
    lengths: Ints
    unknown_id: int | None = UNKNOWN_ID

    def __post_init__(self) -> None:
        for name in ("ids", "lengths"):
            view = getattr(self, name).view()  # the caller's own array stays as it was
            read_only(view)
            object.__setattr__(self, name, view)

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
