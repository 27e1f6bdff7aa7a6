"""Maximum likelihood with SeqGAN's compute: what the same pre-training becomes if it just goes on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, cast

import torch

from bench.api import Run, TrainingData
from seqgan.lm import LSTMLanguageModel, compile_language_model
from seqgan.mle import MLE, QUICK_EPOCHS, adam, maximize_likelihood, minibatches


@dataclass(frozen=True, slots=True)
class MLELonger:
    """Maximum likelihood that goes on from the shared pre-training for as long as SeqGAN's adversarial phase takes.

    The extra epochs are those that took the seconds of SeqGAN's adversarial phase on two cores: a whole number fixed
    here, because a clock would make runs unrepeatable. With a budget (``--budget``) it is exact instead.
    """

    pretrain_epochs: int = 120
    """Epochs of the shared pre-training."""
    extra_epochs: int = 18_600
    """Epochs after it, 2 s each; the paper's 982,800 discriminator updates and 200 generator steps take 37,700 s."""
    lr: float = 0.01
    """Adam's step size, before and after, each with an optimizer of its own."""
    batch_size: int = 64
    """Sequences an update."""
    clip_norm: float = 5.0
    """Largest global norm of a gradient."""
    embedding_dim: int = 32
    """Size of a word's vector."""
    hidden_dim: int = 32
    """Size of the LSTM's state."""
    init_std: float = 0.1
    """Standard deviation of the initial parameters."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "quick": {"pretrain_epochs": QUICK_EPOCHS, "extra_epochs": 12},
        "smoke": {"pretrain_epochs": 2, "extra_epochs": 4},
    }

    def warm_up(self, device: torch.device) -> None:
        """Compile before the clock starts."""
        compile_language_model(device)

    def fit(self, data: TrainingData, run: Run) -> LSTMLanguageModel:
        """Take the shared checkpoint and minimise the mean negative log-likelihood of a token further."""
        pretraining = MLE(
            epochs=self.pretrain_epochs,
            lr=self.lr,
            batch_size=self.batch_size,
            clip_norm=self.clip_norm,
            embedding_dim=self.embedding_dim,
            hidden_dim=self.hidden_dim,
            init_std=self.init_std,
        )
        model = cast(LSTMLanguageModel, run.pretrained(pretraining, data))
        optimizer = adam(model, self.lr)
        run.track(model, model=model, optimizer=optimizer)
        train = data.train.to(run.device)
        for _ in run.phase("longer", self.extra_epochs, open_ended=True):
            maximize_likelihood(model, optimizer, self.clip_norm, minibatches(train, self.batch_size), run)
        return model
