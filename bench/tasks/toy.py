"""A task that takes seconds, for tests and for trying things out: a small Markov chain whose truth is known."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
from annotated_types import Interval
from torch import Tensor

from bench.api import SequenceSpec, TrainingData
from bench.tasks.base import Draw, Several, TaskData


class MarkovChain:
    """p(y_1..y_T) = initial[y_1] prod_t transition[y_{t-1}, y_t].

    Args:
        initial: float64, (V,).
        transition: float64, (V, V), rows sum to 1.
    """

    def __init__(self, initial: Tensor, transition: Tensor) -> None:
        self.initial, self.transition = initial, transition

    def token_log_prob(self, tokens: Tensor) -> Tensor:
        """Log-probability of each token given those before it, int64 (N, T) to float64 (N, T), nats."""
        steps = self.transition.log()[tokens[:, :-1], tokens[:, 1:]]
        return torch.cat([self.initial.log()[tokens[:, :1]], steps], dim=1)

    def log_prob(self, tokens: Tensor) -> Tensor:
        """Log-probability of each sequence, int64 (N, T) to float64 (N,), nats."""
        return self.token_log_prob(tokens).sum(-1)

    def sample(self, uniforms: Tensor) -> Tensor:
        """Draw sequences by inverse CDF: float64 (N, T) to int64 (N, T)."""
        columns: list[Tensor] = []
        for uniform in uniforms.t().contiguous():
            probabilities = self.transition[columns[-1]] if columns else self.initial.expand(len(uniforms), -1)
            drawn = torch.searchsorted(probabilities.cumsum(-1), uniform[:, None], right=True)[:, 0]
            columns.append(drawn.clamp(max=len(self.initial) - 1))
        return torch.stack(columns, dim=1)


@dataclass(frozen=True, slots=True)
class Toy:
    """A first-order Markov chain over a dozen words: known truth, trained in a second."""

    vocab_size: Annotated[int, Interval(ge=2, le=5_000)] = 12
    """V."""
    seq_len: Several = 8
    """T."""
    draw: Draw | None = None
    """Which chain and which data; None gives each seed its own."""
    train_size: Several = 640
    """Training sequences."""
    valid_size: Several = 200
    """Validation sequences."""
    test_size: Several = 500
    """Held-out sequences."""
    concentration: Annotated[float, Interval(ge=0.001, le=1000)] = 0.2
    """Parameter of each row's Dirichlet distribution: the smaller, the more predictable the chain."""

    version: ClassVar[str] = "1"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}

    def fingerprint(self) -> str:
        """All parameters: the chain and its data follow from them."""
        return json.dumps(asdict(self), sort_keys=True)

    def load(self) -> TaskData:
        """Draw the chain, then walk it."""
        stream = np.random.RandomState(self.draw or 0)
        rows = stream.dirichlet(np.full(self.vocab_size, self.concentration), size=self.vocab_size + 1)
        rows = 0.99 * rows + 0.01 / self.vocab_size  # nothing is impossible
        chain = MarkovChain(torch.from_numpy(rows[0]), torch.from_numpy(rows[1:]))
        train, valid, test = (
            chain.sample(torch.from_numpy(stream.random_sample((size, self.seq_len))))
            for size in (self.train_size, self.valid_size, self.test_size)
        )
        spec = SequenceSpec(self.vocab_size, self.seq_len, bos=self.vocab_size)
        return TaskData(TrainingData(spec, train, valid), test, chain, "ids")
