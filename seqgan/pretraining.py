"""What generators share that go on from maximum likelihood: its fields, and one checkpoint for all of one seed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, cast

import torch

from bench.api import Count, Positive, Run, Size, StepSize, TrainingData
from seqgan.lm import compile_language_model
from seqgan.mle import EPOCHS, MLE, SEARCHED
from seqgan.networks import PolicyName
from seqgan.policy import InitStd, Policy


@dataclass(frozen=True, slots=True)
class PretrainedGenerator:
    """Fields and pre-training shared by all generators that begin with maximum likelihood."""

    pretrain_epochs: Count = 120
    """Epochs of maximum likelihood before anything else; the checkpoint is shared by all with the same pre-training."""
    pretrain_lr: StepSize = 0.01
    """Adam's step size in pre-training."""
    policy: PolicyName = "lstm"
    """Generator: the network: the paper's LSTM, gated convolutions, or a small transformer."""
    embedding_dim: Size = 32
    """Generator: size of a word embedding."""
    hidden_dim: Size = 32
    """Generator: size of the LSTM's state; width of another network."""
    init_std: InitStd = 0.1
    """Generator: standard deviation of the initial parameters."""
    batch_size: Size = 64
    """Sequences per update, in pre-training and after it, for all networks."""
    clip_norm: Positive = 5.0
    """Largest global norm of a generator's gradient, in pre-training and after it."""

    execution: ClassVar[tuple[str, ...]] = ("pack",)
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        **{preset: {"pretrain_epochs": epochs} for preset, epochs in EPOCHS.items()},
        **{where: {f"pretrain_{name}": value for name, value in found.items()} for where, found in SEARCHED.items()},
    }

    def warm_up(self, device: torch.device) -> None:
        """Compile before the clock starts."""
        compile_language_model(device)

    def pretrain(self, data: TrainingData, run: Run) -> Policy:
        """The model after maximum likelihood: the same checkpoint for all generators of one seed."""
        pretraining = MLE(
            epochs=self.pretrain_epochs,
            lr=self.pretrain_lr,
            batch_size=self.batch_size,
            clip_norm=self.clip_norm,
            policy=self.policy,
            embedding_dim=self.embedding_dim,
            hidden_dim=self.hidden_dim,
            init_std=self.init_std,
        )
        return cast(Policy, run.pretrained(pretraining, data))
