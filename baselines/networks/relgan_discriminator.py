"""RelGAN's discriminator: many small embeddings of one sequence, each of them judged (Nie et al. 2019)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from baselines.networks.relational_memory import draw_parameters
from bench.api import SequenceSpec
from seqgan.kernels.convolution import Filters, max_over_time, reference_max_over_time

SCORING_ROWS = 64
"""Sequences scored at a time: with the default sizes their features are 4,096 x 1,200 numbers."""


class RelGANDiscriminator(nn.Module):
    """Several embeddings of a sequence; convolutions, a highway layer and two linear layers for each.

    All representations go through the same filters and layers, so that one sequence gets as many logits as there are
    representations. Their embeddings are stored side by side.

    Args:
        spec: The sequences' shape; filters longer than T are left out.
        rng: Draws the initial parameters; the model is created on its device.
        representations: R.
        embedding_dim: E, size of a word embedding in each representation.
        filter_sizes: Number of words that a filter spans.
        filter_count: Number of filters of each size.
        hidden_dim: Width of the layer before the logit.
        keep: Probability that a feature survives dropout.

    Raises:
        ValueError: where no filter fits into T words.
    """

    def __init__(
        self,
        spec: SequenceSpec,
        rng: torch.Generator,
        representations: int = 64,
        embedding_dim: int = 1,
        filter_sizes: Sequence[int] = (2, 3, 4, 5),
        filter_count: int = 300,
        hidden_dim: int = 100,
        keep: float = 0.75,
    ) -> None:
        super().__init__()
        sizes = [size for size in filter_sizes if size <= spec.seq_len]
        if not sizes:
            raise ValueError(
                f"expected a filter size of at most {spec.seq_len} (the sequence length), got {filter_sizes}"
            )
        self.spec, self.representations, self.keep = spec, representations, keep
        self.filters = Filters(sizes, [filter_count] * len(sizes), embedding_dim)
        features = len(self.filters)
        # Built without values: torch's own initialisation would draw from the global random state.
        with torch.device("meta"):
            self.embedding = nn.Embedding(spec.vocab_size, representations * embedding_dim)
            self.filter_weight = nn.Parameter(torch.empty(self.filters.numbers))
            self.filter_bias = nn.Parameter(torch.empty(features))
            self.highway = nn.Linear(features, 2 * features, bias=False)
            self.hidden = nn.Linear(features, hidden_dim)
            self.output = nn.Linear(hidden_dim, 1)
        self.to_empty(device=rng.device)
        draw_parameters(self, rng)
        with torch.no_grad():
            self.filter_bias.zero_()
            for size, _, numbers in self.filters.branches():
                std = math.sqrt(2 / (size * self.filters.dim))
                nn.init.trunc_normal_(self.filter_weight[numbers], std=std, a=-2 * std, b=2 * std, generator=rng)
        self.midpoint: Tensor
        self.register_buffer("midpoint", torch.zeros((), device=rng.device))

    def embed(self, tokens: Tensor) -> Tensor:
        """Embeddings of words, int64 (B, T) to float (B, T, R E); after the end of a sequence, that of pad."""
        if self.spec.pad is not None:
            tokens = tokens.masked_fill(~self.spec.mask(tokens), self.spec.pad)
        embedded: Tensor = self.embedding(tokens)
        return embedded

    def embed_relaxed(self, relaxed: Tensor, tokens: Tensor) -> Tensor:
        """Embeddings of words that are not sure: the mean of all embeddings under each distribution.

        Args:
            relaxed: float, (B, T, V), rows that sum to 1.
            tokens: int64, (B, T), what was drawn: after its end, a sequence has the embedding of pad, and no gradient.

        Returns:
            float, (B, T, R E).
        """
        embedded = relaxed @ self.embedding.weight
        if self.spec.pad is None:
            return embedded
        return embedded.where(self.spec.mask(tokens)[..., None], self.embedding.weight[self.spec.pad])

    def forward(self, words: Tensor, dropout: torch.Generator | None = None) -> Tensor:
        """Logits of embedded sequences, float (B, T, R E) to (B, R); ``dropout`` draws which features survive."""
        R = self.representations
        rows = words.unflatten(-1, (R, -1)).transpose(1, 2).flatten(0, 1)  # (B R, T, E)
        pool = reference_max_over_time if rows.is_cuda else max_over_time
        features = pool(rows.contiguous(), self.filter_weight, self.filter_bias, self.filters)  # (B R, F)
        change, gate = self.highway(features).chunk(2, -1)
        transform = torch.sigmoid(gate)
        features = transform * F.relu(change) + (1 - transform) * features
        if dropout is not None:
            drawn = torch.empty_like(features).bernoulli_(self.keep, generator=dropout)
            features = features * drawn / self.keep
        logits: Tensor = self.output(self.hidden(features))
        return logits.view(-1, R)

    @torch.no_grad()
    def real_probability(self, tokens: Tensor) -> Tensor:
        """P(real), int64 (N, T) to float (N,), without dropout.

        This discriminator only compares. Its mean logit is compared with ``midpoint``, half-way between the real and
        the generated sequences of its last step.
        """
        rows = tokens.split(SCORING_ROWS)
        return torch.cat([torch.sigmoid(self(self.embed(some)).mean(-1) - self.midpoint) for some in rows])
