"""What a metric is given, and what it gives."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, Protocol

import numpy as np
from torch import Tensor

from bench.api import HasLogProb, HasTokenLogProb, Sampler, SequenceSpec
from bench.kernels.ngram_model import NgramModel
from bench.kernels.ngrams import ReferenceCounts

Ids = np.ndarray[Any, np.dtype[np.int64]]
ADD, STRENGTHS = 0.5, (300.0, 300.0)
"""Of the judge's trigram model: nearly the best for 500 to 13,000 sequences of ``oracle`` and of ``quatrains``."""


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
        train: int64, (M, T), what the models were trained on; for what is copied from it, and nothing else.
        words: The symbol of every id, V of them, where ids stand for something.
    """

    def __init__(
        self,
        spec: SequenceSpec,
        tokens: Tensor,
        oracle: Density | None,
        unk: int | None,
        tokenizer: str,
        train: Tensor | None = None,
        words: tuple[str, ...] | None = None,
    ) -> None:
        self.spec, self.tokens, self.oracle, self.unk, self.tokenizer = spec, tokens, oracle, unk, tokenizer
        self.words = words
        self.train = tokens[:0] if train is None else train

    def first(self, n: int) -> HeldOut:
        """The same with the first n test sequences, and one language model for both."""
        part = HeldOut(self.spec, self.tokens[:n], self.oracle, self.unk, self.tokenizer, self.train, self.words)
        part.__dict__["language_model"] = self.language_model  # where a cached property keeps its value
        return part

    @cached_property
    def references(self) -> ReferenceCounts:
        """The n-grams of the whole test set, up to order 5."""
        return ReferenceCounts.build(self.tokens.numpy(), self.spec.lengths(self.tokens).numpy(), 5)

    @cached_property
    def oracle_log_prob(self) -> LogProb:
        """The oracle's log-probability of the test sequences."""
        if self.oracle is None:
            raise ValueError("expected a task with an oracle")
        return LogProb.of(self.oracle, self.tokens)

    @cached_property
    def language_model(self) -> NgramModel:
        """The judge's own language model of the training text."""
        return fit_language_model(self.spec, self.train)


@dataclass(frozen=True, slots=True)
class LogProb:
    """What a density says of N sequences.

    Attributes:
        tokens: float64, (N, T), nats; None where only whole sequences have a probability.
        sequences: float64, (N,), nats.
    """

    tokens: Tensor | None
    sequences: Tensor

    @classmethod
    def of(cls, density: Any, tokens: Tensor, temperature: float = 1.0) -> LogProb:
        """Ask a density, token by token if it can tell.

        Raises:
            ValueError: for an answer of the wrong shape.
        """
        given = {} if temperature == 1.0 else {"temperature": temperature}
        by_token = callable(getattr(density, "token_log_prob", None))
        answer = density.token_log_prob(tokens, **given) if by_token else density.log_prob(tokens)
        answer = answer.detach().cpu().double()
        if answer.shape != (tokens.shape if by_token else tokens.shape[:1]):
            name = "token_log_prob" if by_token else "log_prob"
            wanted = tuple(tokens.shape if by_token else tokens.shape[:1])
            raise ValueError(f"expected {name} of shape {wanted}, got {tuple(answer.shape)}")
        return cls(answer, answer.sum(-1)) if by_token else cls(None, answer)


def fit_language_model(spec: SequenceSpec, tokens: Tensor) -> NgramModel:
    """The judge's trigram model of some sequences, end marks among them: int64 (N, T)."""
    return NgramModel.fit(tokens.numpy(), spec.mask(tokens).numpy(), spec.vocab_size, ADD, STRENGTHS)


@dataclass
class Evidence:
    """One checkpoint as the judge sees it.

    Attributes:
        sampler: What is judged.
        samples: int64, (n, T), drawn from it, on the CPU.
        held_out: The test set.
        temperature: At which they were drawn.
    """

    sampler: Sampler
    samples: Tensor
    held_out: HeldOut
    temperature: float = 1.0
    spec: SequenceSpec = field(init=False)

    def __post_init__(self) -> None:
        self.spec = self.held_out.spec

    @property
    def no_density(self) -> str | None:
        """Why the sampler's density is not known, None where it is."""
        if isinstance(self.sampler, HasTokenLogProb) or (
            self.temperature == 1.0 and isinstance(self.sampler, HasLogProb)
        ):
            return None
        at = "" if self.temperature == 1.0 else " for other temperatures than 1"
        return f"the model has no {'token_log_prob' if at else 'log_prob'}{at}"

    @cached_property
    def model_log_prob_of_test(self) -> LogProb:
        """The test sequences under the model."""
        return self._log_prob(self.held_out.tokens)

    @cached_property
    def model_log_prob_of_samples(self) -> LogProb:
        """The samples under the model that wrote them."""
        return self._log_prob(self.samples)

    @cached_property
    def oracle_log_prob_of_samples(self) -> LogProb:
        """The samples under the oracle."""
        if self.held_out.oracle is None:
            raise ValueError("expected a task with an oracle")
        return LogProb.of(self.held_out.oracle, self.samples)

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

    def _log_prob(self, tokens: Tensor) -> LogProb:
        if self.no_density:
            raise ValueError("expected a sampler with log_prob")
        return LogProb.of(self.sampler, tokens, self.temperature)


class Metric(Protocol):
    """A family of scores that share their computation. Needs no arguments to build.

    A column that the task rules out (an oracle's score on real text) is simply not returned; one that the sampler
    cannot give is returned with the reason.
    """

    version: ClassVar[str]

    def scores(self, evidence: Evidence) -> list[Result]:
        """Score one checkpoint."""
        ...
