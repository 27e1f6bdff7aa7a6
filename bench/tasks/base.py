"""What a task is: training data for the generators, and what only the judge may see."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Protocol

from torch import Tensor

from bench.api import TrainingData, Vocabulary


class Oracle(Protocol):
    """The true distribution of a synthetic task."""

    def token_log_prob(self, tokens: Tensor) -> Tensor:
        """Log-probability of each token given those before it, int64 (N, T) to float64 (N, T), nats."""
        ...

    def log_prob(self, tokens: Tensor) -> Tensor:
        """Log-probability of each sequence, int64 (N, T) to float64 (N,), nats."""
        ...


@dataclass(frozen=True)
class TaskData:
    """A loaded task.

    Attributes:
        training: All that a generator sees.
        test: int64, (K, T), held out.
        oracle: The true distribution, None for real data.
        tokenizer: How text became tokens, for signatures.
    """

    training: TrainingData
    test: Tensor
    oracle: Oracle | None
    tokenizer: str

    @property
    def vocabulary(self) -> Vocabulary | None:
        """Words of the ids; None on synthetic tasks."""
        return self.training.vocabulary

    @cached_property
    def sha256(self) -> str:
        """Hash of every token of the three splits: two runs that show the same saw the same data."""
        digest = hashlib.sha256()
        for tokens in (self.training.train, self.training.valid, self.test):
            digest.update(str(tuple(tokens.shape)).encode() + tokens.numpy().astype("<i8").tobytes())
        return digest.hexdigest()


class Task(Protocol):
    """A frozen dataclass: fields are parameters, with defaults; ``presets`` as for a generator.

    A field ``draw``, an int or None, says which data are drawn where data are synthetic. Left at None, each seed has
    the draw of its own number, so that what varies over seeds is the data, too; loaded so, it is draw 0.
    """

    version: ClassVar[str]
    presets: ClassVar[Mapping[str, Mapping[str, Any]]]

    def fingerprint(self) -> str:
        """A string that names the data and all parameters that shape it, made without loading anything large.

        Raises:
            UsageError: when what the task needs is not there or not what was expected.
        """
        ...

    def load(self) -> TaskData:
        """The data, the same at every call."""
        ...
