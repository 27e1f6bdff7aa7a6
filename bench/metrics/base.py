"""What a metric is given, and what it gives."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, Protocol

import numpy as np
from torch import Tensor

from bench.api import HasLogProb, Sampler, SequenceSpec
from bench.kernels.ngrams import ReferenceCounts

Ids = np.ndarray[Any, np.dtype[np.int64]]


class Density(Protocol):
    """Anything that knows how probable a sequence is."""

    def log_prob(self, tokens: Tensor) -> Tensor:
        """Int64 (N, T) to (N,), nats."""
        ...


@dataclass(frozen=True, slots=True)
class Result:
    """A metric's answer for one column of the leaderboard.

    Attributes:
        metric: The column.
        value: The score; None together with ``absent``, which an infinite one becomes.
        unit: "nats/token", "" for pure numbers.
        direction: "lower", "higher" or "real" (the nearer to the real data's value the better).
        signature: What a comparable score must share, "key=value" joined by "|".
        absent: Why there is no value.

    Raises:
        ValueError: for NaN.
    """

    metric: str
    value: float | None
    unit: str
    direction: str
    signature: str
    absent: str | None = None

    def __post_init__(self) -> None:
        if self.value is not None and math.isnan(self.value):
            raise ValueError(f"{self.metric} is not a number: the model has diverged")
        if self.value is not None and not math.isfinite(self.value):
            object.__setattr__(self, "absent", f"{self.metric} is {self.value}")
            object.__setattr__(self, "value", None)


class HeldOut:
    """A task's test set, with what is computed from it once and used for every model.

    Args:
        spec: The sequences' shape.
        tokens: int64, (K, T).
        oracle: The true distribution, or None.
        unk: The id that stands for words outside the vocabulary, or None.
        tokenizer: How text became tokens.
    """

    def __init__(
        self, spec: SequenceSpec, tokens: Tensor, oracle: Density | None, unk: int | None, tokenizer: str
    ) -> None:
        self.spec, self.tokens, self.oracle, self.unk, self.tokenizer = spec, tokens, oracle, unk, tokenizer

    @cached_property
    def references(self) -> ReferenceCounts:
        """The n-grams of the whole test set, up to order 5."""
        return ReferenceCounts.build(self.tokens.numpy(), self.spec.lengths(self.tokens).numpy(), 5)

    @cached_property
    def oracle_log_prob(self) -> Tensor:
        """The oracle's log-probability of each test sequence, float64 (K,)."""
        if self.oracle is None:
            raise ValueError("expected a task with an oracle")
        return self.oracle.log_prob(self.tokens)


@dataclass
class Evidence:
    """One checkpoint as the judge sees it.

    Attributes:
        sampler: What is judged.
        samples: int64, (n, T), drawn from it at temperature 1, on the CPU.
        held_out: The test set.
    """

    sampler: Sampler
    samples: Tensor
    held_out: HeldOut
    spec: SequenceSpec = field(init=False)

    def __post_init__(self) -> None:
        self.spec = self.held_out.spec

    @property
    def density(self) -> Density | None:
        """The sampler's own density, None where it has none."""
        return self.sampler if isinstance(self.sampler, HasLogProb) else None

    @cached_property
    def model_log_prob_of_test(self) -> Tensor:
        """float64, (K,)."""
        return self._log_prob(self.density, self.held_out.tokens)

    @cached_property
    def model_log_prob_of_samples(self) -> Tensor:
        """float64, (n,)."""
        return self._log_prob(self.density, self.samples)

    @cached_property
    def oracle_log_prob_of_samples(self) -> Tensor:
        """float64, (n,)."""
        return self._log_prob(self.held_out.oracle, self.samples)

    def tokens_of(self, tokens: Tensor) -> int:
        """Tokens that count, the end mark included: the denominator of every NLL."""
        return int(self.spec.mask(tokens).sum())

    @property
    def words(self) -> Ids:
        """The samples with ``<unk>`` as -1, a word that equals nothing: int64 (n, T)."""
        words = self.samples.numpy()
        return words if self.held_out.unk is None else np.where(words == self.held_out.unk, -1, words)

    @property
    def lengths(self) -> Ids:
        """Words of each sample, its end mark not among them: int64 (n,)."""
        lengths: Ids = self.spec.lengths(self.samples).numpy()
        return lengths

    @staticmethod
    def _log_prob(density: Density | None, tokens: Tensor) -> Tensor:
        if density is None:
            raise ValueError("expected a sampler with log_prob")
        log_prob = density.log_prob(tokens).detach().cpu().double()
        if log_prob.shape != (len(tokens),):
            raise ValueError(f"expected log_prob of shape ({len(tokens)},), got {tuple(log_prob.shape)}")
        return log_prob


class Metric(Protocol):
    """A family of scores that share their computation. Needs no arguments to build.

    A column that the task rules out (an oracle's score on real text) is simply not returned; one that the sampler
    cannot give is returned with the reason.
    """

    version: ClassVar[str]

    def scores(self, evidence: Evidence) -> list[Result]:
        """Score one checkpoint."""
        ...
