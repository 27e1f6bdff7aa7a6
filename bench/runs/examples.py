"""What a record shows of a run: a few samples as people read them, each beside the training sequence nearest to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from bench.data.passages import passages
from bench.kernels.ngrams import Ints
from bench.kernels.subsequences import aligned, nearest_rows
from bench.records.frames import REAL_DATA
from bench.records.nearest import Nearest
from bench.records.record import RunSpec
from bench.runs.streams import named_stream
from bench.tasks.base import TaskData

__all__ = ["SHOWN_SAMPLES", "Examples", "examples"]

SHOWN_SAMPLES = 5
"""Of a run: the first, not hand-picked."""


@dataclass(frozen=True, slots=True)
class Examples:
    """A few samples in readable form, and each beside the training sequence nearest to it.

    Attributes:
        samples: The samples.
        nearest: As many; none for trials of a search, nor where the data are of persons.
        kind: What the words are, as in :class:`bench.api.SequenceSpec`.
    """

    samples: tuple[str, ...]
    nearest: tuple[Nearest, ...]
    kind: str


def examples(samples: Tensor, data: TaskData, spec: RunSpec) -> Examples:
    """The first samples and, as ``copy_nearest`` finds it, the training or validation sequence nearest to each.

    The nearest shares the largest part of the longer one's words with the sample, in the same order: it has the longest
    common subsequence, divided by the length of the longer of the two (:mod:`bench.kernels.subsequences`, Hyyrö 2004).
    Of several the first one is taken, training sequences before validation sequences. ``<unk>`` is equal to nothing.

    Beside real data this shows, as the copy rates do, what real sequences share that nobody copied: *test* sequences,
    or any of the list where all real sequences are listed. They are drawn from a random stream of their own.

    Args:
        samples: int64, (N, T), of the model; not read for real data.
        data: The data of the task.
        spec: The run.
    """
    rows = samples[:SHOWN_SAMPLES]
    if spec.model == REAL_DATA:
        real = data.test if data.listed is None else data.listed
        if len(real):
            rng = named_stream(spec.stream, "shown samples", "cpu")
            rows = real[torch.randperm(len(real), generator=rng)[:SHOWN_SAMPLES]]
    kind = data.training.spec.kind
    shown, words = _texts(rows, data), _words(rows, data)
    if spec.is_trial or data.of_persons:
        return Examples(tuple(shown), (), kind)
    given = torch.cat([data.training.train, data.training.valid])
    lengths = [data.training.spec.lengths(tokens).numpy() for tokens in (rows, given)]
    masked = _masked(rows.numpy(), data)
    _, found = nearest_rows(masked, lengths[0], given.numpy(), lengths[1])
    beside = given[torch.from_numpy(found)] if len(given) else given.new_zeros(rows.shape)
    texts, others = _texts(beside, data), _words(beside, data)
    nearest = []
    for index, row in enumerate(found.tolist()):
        mine, length = masked[index], int(lengths[0][index])
        if row < 0:
            nearest.append(Nearest((shown[index],), (), 0, 0, length, 0))
            continue
        common = aligned(mine[:length], given[row].numpy()[: (of := int(lengths[1][row]))])
        runs = _runs(common.mine, common.theirs)
        pieces = passages(shown[index], words[index], [(i, i + n) for i, _, n in runs], kind)
        example = passages(texts[index], others[index], [(j, j + n) for _, j, n in runs], kind)
        nearest.append(Nearest(pieces, example, len(common.mine), common.longest, length, of))
    return Examples(tuple(shown), tuple(nearest), kind)


def _runs(mine: Ints, theirs: Ints) -> list[tuple[int, int, int]]:
    """Where words follow each other in both: positions in the one and in the other, and how many."""
    runs: list[tuple[int, int, int]] = []
    for one, two in zip(mine.tolist(), theirs.tolist(), strict=True):
        if runs and (one, two) == (runs[-1][0] + runs[-1][2], runs[-1][1] + runs[-1][2]):
            runs[-1] = (*runs[-1][:2], runs[-1][2] + 1)
        else:
            runs.append((one, two, 1))
    return runs


def _masked(tokens: Ints, data: TaskData) -> Ints:
    """The tokens, with -1, which equals nothing, for words outside the vocabulary."""
    unk = data.vocabulary.unk if data.vocabulary else None
    return tokens if unk is None else np.where(tokens == unk, -1, tokens)


def _texts(tokens: Tensor, data: TaskData) -> list[str]:
    if data.vocabulary:
        return data.vocabulary.decode(tokens)
    return [" ".join(map(str, row)) for row in tokens.tolist()]


def _words(tokens: Tensor, data: TaskData) -> Sequence[Sequence[str]]:
    if data.vocabulary:
        return data.vocabulary.spell(tokens)
    return [[*map(str, row)] for row in tokens.tolist()]
