"""A Markov source that is known and stationary: every position of its sequences has the same law."""

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
from bench.tasks.base import Draw, Several, TaskData, named_seeds
from bench.tasks.toy import MarkovChain

FLOOR = 0.01
"""Share of each law that is even: nothing is impossible."""


class StationaryChain(MarkovChain):
    """A first-order chain that begins in its stationary law pi, the one with pi P = pi.

    Attributes:
        backward: float64, (V, V), the law of the token before each token: backward[b, a] = pi[a] P[a, b] / pi[b].

    Args:
        transition: float64, (V, V), P, rows sum to 1, all entries positive.
    """

    def __init__(self, transition: Tensor) -> None:
        V = len(transition)
        # pi (P - 1) = 0 and pi summing to 1, in one system that is regular: pi (1 - P + all ones) = (1, ..., 1).
        system = torch.eye(V, dtype=torch.float64) - transition + 1
        stationary = torch.linalg.solve(system.t(), torch.ones(V, dtype=torch.float64))
        super().__init__(stationary / stationary.sum(), transition)
        joint = self.initial[:, None] * transition
        self.backward = (joint / joint.sum(0)).t().contiguous()

    def next_token_log_probs(self, prefixes: Tensor) -> Tensor:
        """The law of the next token after each prefix, int64 (N, k) to float64 (N, V), nats."""
        if not prefixes.shape[1]:
            return self.initial.log().repeat(len(prefixes), 1)
        return self.transition.log()[prefixes[:, -1]]


@dataclass(frozen=True, slots=True)
class Markov:
    """A stationary first-order Markov source over a hundred words, whose law after every word is known."""

    vocab_size: Annotated[int, Interval(ge=2, le=2_000)] = 100
    """V."""
    seq_len: Several = 20
    """T."""
    concentration: Annotated[float, Interval(ge=0.001, le=1000)] = 0.1
    """Parameter of each row's Dirichlet distribution: the smaller, the more predictable the source."""
    draw: Draw | None = None
    """Which source and which data; None gives each seed its own."""
    train_size: Several = 10_000
    """Training sequences."""
    valid_size: Several = 2_000
    """Validation sequences."""
    test_size: Several = 10_000
    """Held-out sequences."""

    version: ClassVar[str] = "1"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "quick": {"train_size": 1_000, "valid_size": 500, "test_size": 2_000},
        "smoke": {"vocab_size": 30, "train_size": 320, "valid_size": 100, "test_size": 500},
    }

    def fingerprint(self) -> str:
        """All parameters: the source and its data follow from them."""
        return json.dumps(asdict(self), sort_keys=True)

    def load(self) -> TaskData:
        """Draw the source, then walk it."""
        V, draw = self.vocab_size, self.draw or 0
        stream = np.random.RandomState(named_seeds("markov/source", draw))
        rows = stream.dirichlet(np.full(V, self.concentration), size=V)
        chain = StationaryChain(torch.from_numpy((1 - FLOOR) * rows + FLOOR / V))
        train, valid, test = (
            chain.sample(
                torch.from_numpy(
                    np.random.RandomState(named_seeds(f"markov/{split}", draw)).random_sample((size, self.seq_len))
                )
            )
            for split, size in (("train", self.train_size), ("valid", self.valid_size), ("test", self.test_size))
        )
        return TaskData(TrainingData(SequenceSpec(V, self.seq_len, bos=V), train, valid), test, chain, "ids")
