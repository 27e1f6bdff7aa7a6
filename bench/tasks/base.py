"""The interface of tasks: training data for the generators, and data that only the judge may see."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, ClassVar, Protocol

from annotated_types import Ge, Interval
from torch import Tensor

from bench.api import TrainingData, Vocabulary

Several = Annotated[int, Ge(2)]
"""Range of a field: an integer of 2 or more."""
Draw = Annotated[int, Interval(ge=0, le=2**32 - 1)]
"""Range of a field: the seed of one of numpy's Mersenne Twister streams."""


def named_seeds(name: str, draw: int) -> Sequence[int]:
    """Seeds of one of numpy's Mersenne Twister streams, by its name and the number of the draw."""
    return [int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "little"), draw]


class Oracle(Protocol):
    """The true distribution of a synthetic task."""

    def token_log_prob(self, tokens: Tensor) -> Tensor:
        """Log-probability of each token given those before it, int64 (N, T) to float64 (N, T), nats.

        Zero after the end mark; minus infinity from the first token that it never writes, if there is any.
        """
        ...

    def log_prob(self, tokens: Tensor) -> Tensor:
        """Log-probability of each sequence, int64 (N, T) to float64 (N,), nats."""
        ...


@dataclass(frozen=True)
class TaskData:
    """A loaded task.

    Attributes:
        training: All that a generator sees.
        test: int64, (K, T), held out; where there is an oracle, drawn from it independently.
        oracle: The true distribution, None for real data. Tensors and arrays that it holds do not change.
        tokenizer: How text became tokens, for signatures.
        remarks: What is wrong with the data, so that scores on them say little: a sentence for each.
        listed: int64, (L, T), all real sequences that there are, as the names of a census; None where nobody knows.
        of_persons: Whether the sequences are of persons, so that none of training is shown beside a sample.
    """

    training: TrainingData
    test: Tensor
    oracle: Oracle | None
    tokenizer: str
    remarks: tuple[str, ...] = ()
    listed: Tensor | None = None
    of_persons: bool = False

    @property
    def vocabulary(self) -> Vocabulary | None:
        """The words of the ids; None for synthetic tasks."""
        return self.training.vocabulary

    @cached_property
    def sha256(self) -> str:
        """Hash of all tokens of the three splits: two runs with the same hash saw the same data."""
        digest = hashlib.sha256()
        for tokens in (self.training.train, self.training.valid, self.test):
            digest.update(str(tuple(tokens.shape)).encode() + tokens.numpy().astype("<i8").tobytes())
        return digest.hexdigest()


class Task(Protocol):
    """A frozen dataclass: fields are parameters, with defaults; ranges and ``presets`` as for a generator.

    In a synthetic task, a field ``draw``, an int or None, selects which data are drawn. Where it is None, each seed has
    the draw of its own number, so that the data vary over seeds, too; a task that is loaded with None has draw 0.
    """

    version: ClassVar[str]
    presets: ClassVar[Mapping[str, Mapping[str, Any]]]

    def fingerprint(self) -> str:
        """A string that identifies the data and all parameters that shape them, made without loading anything large.

        Raises:
            UsageError: when something that the task needs is missing or is not what was expected.
        """
        ...

    def load(self) -> TaskData:
        """The data, the same at every call."""
        ...
