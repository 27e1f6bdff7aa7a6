"""The CNN discriminator with highway layer (Yu et al. 2017, sec. 3; Kim 2014; Srivastava et al. 2015)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.api import SequenceSpec

FILTER_SIZES = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 15, 20)
FILTER_COUNTS = (100, 200, 200, 200, 200, 100, 100, 100, 100, 100, 160, 160)
"""The released code's filters for T = 20: 1,720 in all."""

SCORING_ROWS = 256
"""Sequences scored at a time."""


class Discriminator(nn.Module):
    """Embedding, convolutions, max over time, one highway layer, dropout, two logits.

    Args:
        spec: The sequences' shape; filters longer than T are left out.
        rng: Draws the initial parameters, on the device where the model shall live.
        embedding_dim: Size of a word's vector.
        filter_sizes: Words that a filter spans.
        filter_counts: Filters of each size.
        keep: Probability that a feature survives dropout in training.

    The initial parameters are the released code's: embedding U(-1, 1); filters and output N(0, 0.1) cut at two standard
    deviations, their biases 0.1; highway weights and biases uniform within sqrt(3 / features), which is what TensorFlow
    gives a variable without an initialiser (Glorot & Bengio 2010).
    """

    def __init__(
        self,
        spec: SequenceSpec,
        rng: torch.Generator,
        embedding_dim: int = 64,
        filter_sizes: Sequence[int] = FILTER_SIZES,
        filter_counts: Sequence[int] = FILTER_COUNTS,
        keep: float = 0.75,
    ) -> None:
        super().__init__()
        if len(filter_sizes) != len(filter_counts):
            raise ValueError(
                f"expected as many filter_counts as filter_sizes, got {len(filter_counts)} and {len(filter_sizes)}"
            )
        filters = [
            (size, count) for size, count in zip(filter_sizes, filter_counts, strict=True) if size <= spec.seq_len
        ]
        if not filters:
            raise ValueError(
                f"expected a filter size of at most {spec.seq_len} (the sequence length), got {filter_sizes}"
            )
        features = sum(count for _, count in filters)
        self.spec, self.keep = spec, keep
        # Built without values: torch's own initialisation would draw from the global random state.
        with torch.device("meta"):
            # Places after the end of a sequence read one symbol of their own, whatever the tokens there are.
            self.embedding = nn.Embedding(spec.vocab_size + (spec.eos is not None), embedding_dim)
            self.convolutions = nn.ModuleList(nn.Conv1d(embedding_dim, count, size) for size, count in filters)
            self.highway = nn.Linear(features, 2 * features)
            self.output = nn.Linear(features, 2)
        self.to_empty(device=rng.device)
        with torch.no_grad():
            self.embedding.weight.uniform_(-1, 1, generator=rng)
            for layer in [*self.convolutions, self.output]:
                nn.init.trunc_normal_(layer.weight, std=0.1, a=-0.2, b=0.2, generator=rng)
                layer.bias.fill_(0.1)
            for parameter in self.highway.parameters():
                parameter.uniform_(-math.sqrt(3 / features), math.sqrt(3 / features), generator=rng)

    def forward(self, tokens: Tensor, dropout: torch.Generator | None = None) -> Tensor:
        """Logits of (fake, real): int64 (B, T) to float (B, 2); ``dropout`` draws the mask in training."""
        if self.spec.eos is not None:
            tokens = tokens.masked_fill(~self.spec.mask(tokens), self.spec.vocab_size)
        words = self.embedding(tokens).transpose(1, 2)  # (B, E, T)
        features = torch.cat([F.relu(conv(words)).amax(-1) for conv in self.convolutions], dim=1)  # (B, F)
        gate, change = self.highway(features).chunk(2, dim=1)
        transform = torch.sigmoid(gate)
        features = transform * F.relu(change) + (1 - transform) * features
        if dropout is not None:
            features = features * torch.empty_like(features).bernoulli_(self.keep, generator=dropout) / self.keep
        logits: Tensor = self.output(features)
        return logits

    @torch.no_grad()
    def reward(self, tokens: Tensor) -> Tensor:
        """D(Y), the probability that a sequence is real: int64 (N, T) to float (N,), without dropout or gradient."""
        return torch.cat([self(rows).softmax(-1)[:, 1] for rows in tokens.split(SCORING_ROWS)])

    def loss(self, tokens: Tensor, real: Tensor, l2: float, dropout: torch.Generator) -> tuple[Tensor, Tensor]:
        """Mean cross-entropy with weight decay on the output layer, and the accuracy.

        Args:
            tokens: int64, (B, T).
            real: int64, (B,), 1 for real and 0 for generated.
            l2: Weight of (|W|^2 + |b|^2) / 2 of the output layer.
            dropout: Draws the dropout mask.
        """
        logits = self(tokens, dropout)
        decay = (self.output.weight.square().sum() + self.output.bias.square().sum()) / 2
        return F.cross_entropy(logits, real) + l2 * decay, (logits.argmax(-1) == real).float().mean()
