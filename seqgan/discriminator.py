"""The CNN discriminator with highway layer (Yu et al. 2017, sec. 3; Kim 2014; Srivastava et al. 2015)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.api import SequenceSpec
from seqgan.kernels.convolution import WORDS_A_SENTENCE, Filters, features_from_tables, max_over_time
from seqgan.kernels.execution import concurrently, rounded_convolutions
from seqgan.kernels.linear import wide_linear

FILTER_SIZES = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 15, 20)
FILTER_COUNTS = (100, 200, 200, 200, 200, 100, 100, 100, 100, 100, 160, 160)
"""The released code's filters for T = 20: 1,720 in all."""

SCORING_ROWS = 256
"""Sequences scored at a time on the CPU."""
CUDA_SCORING_ROWS = 4_096
"""Sequences scored at a time on CUDA: limits the output of the widest convolution to 65 MB."""


class Discriminator(nn.Module):
    """Embedding, convolutions, max over time, one highway layer, dropout, two logits.

    Args:
        spec: The sequences' shape; filters longer than T are left out.
        rng: Draws the initial parameters; the model is created on its device.
        embedding_dim: Size of a word embedding.
        filter_sizes: Number of words that a filter spans.
        filter_counts: Number of filters of each size.
        keep: Probability that a feature survives dropout in training.
        scoring: The type to which :meth:`reward` may round the operands of the highway layer.

    The initial parameters are those of the released code: embedding U(-1, 1); filters and output N(0, 0.1) truncated at
    two standard deviations, their biases 0.1; highway weights and biases uniform within sqrt(3 / features), which is
    what TensorFlow gives a variable without an initialiser (Glorot & Bengio 2010).
    """

    def __init__(
        self,
        spec: SequenceSpec,
        rng: torch.Generator,
        embedding_dim: int = 64,
        filter_sizes: Sequence[int] = FILTER_SIZES,
        filter_counts: Sequence[int] = FILTER_COUNTS,
        keep: float = 0.75,
        scoring: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        if len(filter_sizes) != len(filter_counts):
            raise ValueError(
                f"expected as many filter_counts as filter_sizes, got {len(filter_counts)} and {len(filter_sizes)}"
            )
        shapes = [
            (size, count) for size, count in zip(filter_sizes, filter_counts, strict=True) if size <= spec.seq_len
        ]
        if not shapes:
            raise ValueError(
                f"expected a filter size of at most {spec.seq_len} (the sequence length), got {filter_sizes}"
            )
        self.spec, self.keep, self.scoring = spec, keep, scoring
        self.filters = Filters([size for size, _ in shapes], [count for _, count in shapes], embedding_dim)
        features = len(self.filters)
        # Built without values: torch's own initialisation would draw from the global random state.
        with torch.device("meta"):
            # All positions after the end of a sequence read one extra symbol, whatever tokens are there.
            self.embedding = nn.Embedding(spec.vocab_size + (spec.eos is not None), embedding_dim)
            self.filter_weight = nn.Parameter(torch.empty(self.filters.numbers))
            self.filter_bias = nn.Parameter(torch.empty(features))
            self.highway = nn.Linear(features, 2 * features)
            self.output = nn.Linear(features, 2)
        self.to_empty(device=rng.device)
        with torch.no_grad():
            self.embedding.weight.uniform_(-1, 1, generator=rng)
            for weight, bias in ((self.filter_weight, self.filter_bias), (self.output.weight, self.output.bias)):
                nn.init.trunc_normal_(weight, std=0.1, a=-0.2, b=0.2, generator=rng)
                bias.fill_(0.1)
            for parameter in self.highway.parameters():
                parameter.uniform_(-math.sqrt(3 / features), math.sqrt(3 / features), generator=rng)

    def forward(self, tokens: Tensor, dropout: torch.Generator | None = None) -> Tensor:
        """Logits of (fake, real): int64 (B, T) to float (B, 2); ``dropout`` draws the mask in training."""
        words = self.embedding(self.read(tokens))  # (B, T, E)
        features = max_over_time(words, self.filter_weight, self.filter_bias, self.filters)  # (B, F)
        features = self.pass_highway(features, wide_linear(features, self.highway.weight, self.highway.bias))
        if dropout is not None:
            features = features * self.survivors(features.shape, dropout)
        logits: Tensor = self.output(features)
        return logits

    def read(self, tokens: Tensor) -> Tensor:
        """The words whose embeddings are read: after the end of a sequence, one extra symbol."""
        if self.spec.eos is None:
            return tokens
        return tokens.masked_fill(~self.spec.mask(tokens), self.spec.vocab_size)

    @staticmethod
    def pass_highway(features: Tensor, signals: Tensor) -> Tensor:
        """``t relu(change) + (1 - t) features``: (B, F) and the highway layer's output, (B, 2 F), to (B, F)."""
        gate, change = signals.chunk(2, dim=1)
        transform = torch.sigmoid(gate)
        return transform * F.relu(change) + (1 - transform) * features

    def survivors(self, shape: torch.Size, rng: torch.Generator) -> Tensor:
        """1 / keep with probability ``keep`` (rounded to 1/65,536), else 0: four decisions per random number."""
        drawn = torch.empty(-(-shape.numel() // 4), dtype=torch.int64, device=rng.device)
        drawn.random_(-(2**63), None, generator=rng)
        decisions = drawn.view(torch.int16)[: shape.numel()].view(shape)
        return (decisions >= round((1 - self.keep) * 2**16) - 2**15).float() / self.keep

    @torch.no_grad()
    def reward(self, tokens: Tensor) -> Tensor:
        """D(Y), the probability that a sequence is real: int64 (N, T) to float (N,), without dropout or gradient.

        For many sequences on a CPU, the features come from tables made from the current parameters, and the operands of
        the highway layer's matrix product have the type ``scoring``. Rounding them to bfloat16 changes a probability by
        0.002 on average, and by up to 0.03 where the output layer is steep: less than the random draws of sixteen
        rollouts do. :meth:`reference_reward` is the plain form.
        """
        if tokens.is_cuda or len(tokens) * WORDS_A_SENTENCE < len(self.embedding.weight):
            return self.reference_reward(tokens)
        features = features_from_tables(
            self.read(tokens), self.embedding.weight, self.filter_weight, self.filter_bias, self.filters
        )
        weight, bias = self.highway.weight.to(self.scoring), self.highway.bias.to(self.scoring)

        def finish(rows: Tensor) -> Tensor:
            signals = F.linear(rows.to(self.scoring), weight, bias).float()
            logits: Tensor = self.output(self.pass_highway(rows, signals))
            return logits.softmax(-1)[:, 1]

        return torch.cat(concurrently(finish, features.split(SCORING_ROWS)))

    def real_probability(self, tokens: Tensor) -> Tensor:
        """:meth:`reward`, under the name by which the harness asks for it: int64 (N, T) to float (N,)."""
        return self.reward(tokens)

    @torch.no_grad()
    def reference_reward(self, tokens: Tensor) -> Tensor:
        """The same by the forward pass, whose convolutions cuDNN may round; used on CUDA and for few sequences."""
        size = CUDA_SCORING_ROWS if tokens.is_cuda else SCORING_ROWS
        with rounded_convolutions(self.scoring != torch.float32):
            return torch.cat([self(rows).softmax(-1)[:, 1] for rows in tokens.split(size)])

    @torch.no_grad()
    def logit(self, tokens: Tensor) -> Tensor:
        """Logit of D(Y), log D / (1 - D): int64 (N, T) to float (N,), without dropout or gradient, by the forward pass.

        It is not made from :meth:`reward`, which is rounded to 0 or 1 where the discriminator is sure.
        """
        size = CUDA_SCORING_ROWS if tokens.is_cuda else SCORING_ROWS
        with rounded_convolutions(self.scoring != torch.float32):
            logits = torch.cat([self(rows) for rows in tokens.split(size)])
        return logits[:, 1] - logits[:, 0]

    def loss(self, tokens: Tensor, real: Tensor, l2: float, dropout: torch.Generator) -> tuple[Tensor, Tensor]:
        """Mean cross-entropy with weight decay on the output layer, and the accuracy.

        Args:
            tokens: int64, (B, T).
            real: int64, (B,), 1 for real and 0 for generated.
            l2: Weight of (|W|^2 + |b|^2) / 2 of the output layer.
            dropout: Draws the dropout mask.
        """
        logits = self(tokens, dropout)
        return F.cross_entropy(logits, real) + l2 * self.decay(), (logits.argmax(-1) == real).float().mean()

    def decay(self) -> Tensor:
        """What weight decay weighs: (|W|^2 + |b|^2) / 2 of the output layer, a scalar."""
        return (self.output.weight.square().sum() + self.output.bias.square().sum()) / 2


@lru_cache
def compile_discriminator(device: torch.device) -> None:
    """Run the compiled loops once per process, on sentences of two words; on CUDA nothing is compiled."""
    if device.type == "cpu":
        rng = torch.Generator().manual_seed(0)
        model = Discriminator(SequenceSpec(2, 2, bos=0), rng, 1, (1, 2), (1, 1))
        tokens = torch.zeros(4, 2, dtype=torch.long)
        model.loss(tokens, torch.arange(4) % 2, 0.0, rng)[0].backward()
        model.reward(tokens)
