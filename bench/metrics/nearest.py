"""Which training sequence is nearest to a sample, and what both share: ``copy_nearest`` of one sample, to be shown."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bench.kernels.ngrams import Ints
from bench.kernels.subsequences import aligned, nearest_rows
from bench.metrics.sequences import Tokens

__all__ = ["Common", "nearest"]

Range = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Common:
    """What a sequence and the nearest of some others share, word for word and in the same order.

    Attributes:
        row: Which one of the others it is.
        mine: Beginnings and ends of runs of shared words in the sequence, rising.
        theirs: The same runs in the other one.
    """

    row: int
    mine: tuple[Range, ...]
    theirs: tuple[Range, ...]

    @property
    def shared(self) -> int:
        """How many words both share."""
        return sum(end - begin for begin, end in self.mine)

    @property
    def longest(self) -> int:
        """The most of them that follow each other in both."""
        return max(end - begin for begin, end in self.mine)


def nearest(text: Tokens, others: Tokens) -> list[Common | None]:
    """The nearest other sequence of each sequence; None where no other has a word of it.

    The nearest has the longest common subsequence, as a part of the longer of the two; of several it is the first. Of
    the longest common subsequences the one in the fewest pieces is shown. Unknown words equal nothing.
    """
    masked, found = text.masked, list[Common | None]()
    _, rows = nearest_rows(masked, text.lengths, others.ids, others.lengths)
    for words, length, row in zip(masked, text.lengths, rows.tolist(), strict=True):
        if row < 0:
            found.append(None)
            continue
        both = aligned(words[:length], others.ids[row, : others.lengths[row]])
        ends = np.flatnonzero((np.diff(both.mine) != 1) | (np.diff(both.theirs) != 1)) + 1
        mine, theirs = (_ranges(np.split(positions, ends)) for positions in (both.mine, both.theirs))
        found.append(Common(row, mine, theirs))
    return found


def _ranges(runs: list[Ints]) -> tuple[Range, ...]:
    return tuple((int(run[0]), int(run[-1]) + 1) for run in runs)
