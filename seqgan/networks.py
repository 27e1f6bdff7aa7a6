"""The networks that a policy can be, by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias

import torch

from bench.api import SequenceSpec
from seqgan.cnn import GatedCNN
from seqgan.lm import LSTMLanguageModel
from seqgan.policy import Policy
from seqgan.transformer import Transformer

__all__ = ["NETWORKS", "PolicyName", "new_policy"]

PolicyName: TypeAlias = Literal["lstm", "cnn", "transformer"]
"""Range of a field: the network that is trained."""

NETWORKS: Mapping[str, type[LSTMLanguageModel | GatedCNN | Transformer]] = {
    "lstm": LSTMLanguageModel,
    "cnn": GatedCNN,
    "transformer": Transformer,
}
"""Name to class."""


def new_policy(
    name: PolicyName, spec: SequenceSpec, rng: torch.Generator, embedding_dim: int, hidden_dim: int, init_std: float
) -> Policy:
    """An untrained policy on the device of ``rng``, which draws its parameters."""
    return NETWORKS[name](spec, rng, embedding_dim, hidden_dim, init_std)
