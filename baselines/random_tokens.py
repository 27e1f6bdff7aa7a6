"""Generators that know nothing about word order: each position is an independent draw."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch
from annotated_types import Interval
from torch import Tensor

from bench.api import Decoding, Run, SequenceSpec, TrainingData


class IndependentTokens:
    """Every position is drawn from one distribution over the vocabulary.

    Args:
        spec: The sequences' shape.
        probabilities: float64, (V,), summing to 1.
    """

    def __init__(self, spec: SequenceSpec, probabilities: Tensor) -> None:
        self.spec = spec
        self.log_probabilities = probabilities.log()

    def sample(self, n: int, decoding: Decoding, rng: torch.Generator) -> Tensor:
        """Draw n sequences, int64 (n, T)."""
        weights = torch.softmax(self.log_probabilities / decoding.temperature, -1)
        ordered, order = weights.sort(descending=True, stable=True)
        if decoding.top_k is not None:
            ordered[decoding.top_k :] = 0
        if decoding.top_p is not None:
            ordered[(ordered / ordered.sum()).cumsum(0) - ordered / ordered.sum() >= decoding.top_p] = 0
        cumulative = torch.zeros_like(weights).scatter_(0, order, ordered).cumsum(0)
        uniforms = torch.rand(n, self.spec.seq_len, dtype=torch.float64, generator=rng, device=rng.device)
        tokens = torch.searchsorted(cumulative.to(rng.device), uniforms * cumulative[-1].to(rng.device), right=True)
        tokens = tokens.clamp(max=self.spec.vocab_size - 1)
        if self.spec.pad is not None:
            tokens = tokens.masked_fill(~self.spec.mask(tokens), self.spec.pad)
        return tokens

    def token_log_prob(self, tokens: Tensor, temperature: float = 1.0) -> Tensor:
        """Log-probability of each token, int64 (N, T) to float64 (N, T), nats."""
        tokens = tokens.cpu()
        law = torch.log_softmax(self.log_probabilities / temperature, -1)
        return law[tokens].masked_fill(~self.spec.mask(tokens), 0.0)

    def log_prob(self, tokens: Tensor) -> Tensor:
        """Log-probability of each sequence, int64 (N, T) to float64 (N,), nats."""
        return self.token_log_prob(tokens).sum(-1)

    def next_token_log_probs(self, prefixes: Tensor) -> Tensor:
        """The same law after every prefix, int64 (N, k) to float64 (N, V), nats."""
        return self.log_probabilities.log_softmax(-1).expand(len(prefixes), -1)


@dataclass(frozen=True, slots=True)
class Unigram:
    """Independent draws from the training set's word frequencies: probably the paper's "Random" row.

    The paper does not say what its "Random" draws. On the published oracle this scores about 10.3 nats per token, close
    to the paper's 10.310; uniform tokens score 11.42.
    """

    add: Annotated[float, Interval(ge=0, le=1_000_000)] = 0.5
    """Added to every count, so that no held-out word is impossible."""

    def fit(self, data: TrainingData, run: Run) -> IndependentTokens:
        """Count the words, up to and including the end of each sequence."""
        counts = torch.zeros(data.spec.vocab_size, dtype=torch.float64)
        for _ in run.phase("count", 1):
            counted = data.train[data.spec.mask(data.train)]
            with run.measure(train_tokens=counted.numel()):
                counts = torch.bincount(counted, minlength=data.spec.vocab_size).double()
        counts += self.add
        return IndependentTokens(data.spec, counts / counts.sum())


@dataclass(frozen=True, slots=True)
class Uniform:
    """Every word equally likely at every position: the bottom of any scale."""

    def fit(self, data: TrainingData, run: Run) -> IndependentTokens:
        """Learn nothing, in one step."""
        for _ in run.phase("nothing to learn", 1):
            pass
        return IndependentTokens(data.spec, torch.full((data.spec.vocab_size,), 1 / data.spec.vocab_size).double())
