"""Controls that only return training sequences: how metrics score copying, and one sequence repeated forever."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass

import torch
from torch import Tensor

from baselines.bigram import BigramModel, Strength
from bench.api import Decoding, Run, SequenceSpec, TrainingData


class MemorizedSequences:
    """Draws complete sequences from a list, each in proportion to its number of occurrences there.

    Args:
        spec: The sequences' shape.
        sequences: int64, (M, T), at least one.
    """

    def __init__(self, spec: SequenceSpec, sequences: Tensor) -> None:
        self.spec, self.sequences = spec, sequences
        self.ordered: list[list[int]] = sorted(sequences.tolist())
        self.prefixes: list[dict[bytes, int]] = []  # for each length, how many sequences begin with each prefix
        for length in range(spec.seq_len + 1):
            seen: dict[bytes, int] = {}
            for row in sequences[:, :length].numpy():
                seen[row.tobytes()] = seen.get(row.tobytes(), 0) + 1
            self.prefixes.append(seen)

    def sample(self, n: int, decoding: Decoding, rng: torch.Generator) -> Tensor:
        """Draw n sequences with replacement, int64 (n, T).

        The temperature applies to the distribution over complete sequences, where top-k and top-p have no meaning.
        """
        different, counts = torch.unique(self.sequences, dim=0, return_counts=True)
        weights = (counts.double() / counts.max()) ** (1 / decoding.temperature)
        cumulative = weights.cumsum(0)
        uniforms = torch.rand(n, dtype=torch.float64, generator=rng, device=rng.device).cpu() * cumulative[-1]
        rows = torch.searchsorted(cumulative, uniforms, right=True).clamp(max=len(different) - 1)
        drawn: Tensor = different[rows]
        return drawn

    def token_log_prob(self, tokens: Tensor) -> Tensor:
        """Log-probability of each token given the tokens before it, int64 (N, T) to float64 (N, T), nats.

        The log of the share of the sequences with the same prefix that continue with this token; minus infinity from
        the first token with which none continues.
        """
        shares = torch.zeros(tokens.shape, dtype=torch.float64)
        for index, row in enumerate(tokens.numpy()):
            before = len(self.sequences)
            for t in range(self.spec.seq_len):
                now = self.prefixes[t + 1].get(row[: t + 1].tobytes(), 0)
                if not now:
                    shares[index, t:] = -math.inf
                    break
                shares[index, t] = math.log(now / before)
                before = now
        return shares.masked_fill(~self.spec.mask(tokens), 0.0)

    def log_prob(self, tokens: Tensor) -> Tensor:
        """Log-probability of each sequence, int64 (N, T) to float64 (N,), nats."""
        return self.token_log_prob(tokens).sum(-1)

    def next_token_log_probs(self, prefixes: Tensor) -> Tensor:
        """The law of the next token after each prefix, int64 (N, k) to float64 (N, V), nats.

        All minus infinity after a prefix with which no sequence begins.
        """
        laws = torch.full((len(prefixes), self.spec.vocab_size), -math.inf, dtype=torch.float64)
        for law, prefix in zip(laws, prefixes.tolist(), strict=True):
            first, end = bisect_left(self.ordered, prefix), bisect_left(self.ordered, [*prefix, self.spec.vocab_size])
            for token, count in Counter(row[len(prefix)] for row in self.ordered[first:end]).items():
                law[token] = math.log(count / (end - first))
        return laws


@dataclass(frozen=True, slots=True)
class Replay:
    """Draws from the training set with replacement: perfect samples, and nothing learnt."""

    def fit(self, data: TrainingData, run: Run) -> MemorizedSequences:
        """Remember everything, in one step."""
        for _ in run.phase("remember", 1):
            pass
        return MemorizedSequences(data.spec, data.train)


@dataclass(frozen=True, slots=True)
class Repeat:
    """The most probable training sequence, forever: it beats every generator on NLL under the oracle.

    Most probable per token under smoothed bigram counts of the training set, since no generator sees the oracle.
    """

    strength: Strength = 200.0
    """Weight of the bigrams' smoothing, in words."""

    def fit(self, data: TrainingData, run: Run) -> MemorizedSequences:
        """Find the sequence, in one step."""
        best = 0
        for _ in run.phase("choose", 1):
            model = BigramModel(data.spec, data.train, self.strength, 0.5)
            best = int((model.log_prob(data.train) / data.spec.mask(data.train).sum(-1)).argmax())
        return MemorizedSequences(data.spec, data.train[best : best + 1])
