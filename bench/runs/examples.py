"""What a record shows of a run: a few samples as people read them, each beside the training sequence nearest to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from bench.metrics.nearest import nearest
from bench.metrics.sequences import Tokens
from bench.records.frames import REAL_DATA
from bench.records.nearest import Nearest
from bench.records.record import RunSpec
from bench.runs.streams import named_stream
from bench.tasks.base import TaskData
from bench.tasks.passages import passages

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
    text, known = _tokens(rows, data), _tokens(given, data)
    found = []
    for index, common in enumerate(nearest(text, known)):
        length = int(text.lengths[index])
        if common is None:
            found.append(Nearest((shown[index],), (), 0, 0, length, 0))
            continue
        other = given[common.row][None]
        sample = passages(shown[index], words[index], common.mine, kind)
        example = passages(_texts(other, data)[0], _words(other, data)[0], common.theirs, kind)
        counts = common.shared, common.longest, length, int(known.lengths[common.row])
        found.append(Nearest(sample, example, *counts))
    return Examples(tuple(shown), tuple(found), kind)


def _tokens(tokens: Tensor, data: TaskData) -> Tokens:
    unk = data.vocabulary.unk if data.vocabulary else None
    return Tokens(tokens.numpy(), data.training.spec.lengths(tokens).numpy(), unk)


def _texts(tokens: Tensor, data: TaskData) -> list[str]:
    if data.vocabulary:
        return data.vocabulary.decode(tokens)
    return [" ".join(map(str, row)) for row in tokens.tolist()]


def _words(tokens: Tensor, data: TaskData) -> Sequence[Sequence[str]]:
    if data.vocabulary:
        return data.vocabulary.spell(tokens)
    return [[*map(str, row)] for row in tokens.tolist()]
