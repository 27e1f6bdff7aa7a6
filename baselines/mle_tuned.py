"""Maximum likelihood done well: dropout, a larger network, and the epoch and temperature that validation picks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import torch
from annotated_types import Interval
from torch import Tensor, nn

from baselines.mle_tempered import MLETempered, TemperedLanguageModel
from bench.api import Count, Run, Size, StepSize, TrainingData
from seqgan.kernels.cross_entropy import weighted_nll
from seqgan.kernels.execution import training
from seqgan.mle import adam, evenly, minibatches, trainable
from seqgan.networks import new_policy
from seqgan.policy import Policy

Rate = Annotated[float, Interval(ge=0, le=0.95)]
"""Range of a field: probability that a unit is dropped."""


def dropout_nll(
    model: Policy, tokens: Tensor, weights: Tensor, rate: float, rng: torch.Generator
) -> tuple[Tensor, Tensor]:
    """:meth:`Policy.weighted_nll` of a model of which a part is left out (Gal and Ghahramani 2016, arXiv 1512.05287).

    A unit of the embedding or of the hidden state is dropped for all positions of a sequence or for none.

    Args:
        model: What is trained; its samples and densities are those of the whole network.
        tokens: int64, (B, T).
        weights: float32, (B, T).
        rate: Probability that a unit is dropped.
        rng: Draws what is.

    Returns:
        The sum, a scalar that carries the gradient, and the log-probabilities, (B, T), without gradient.
    """
    embedding = model.embedding.register_forward_hook(lambda _module, _inputs, units: dropped(units, rate, rng))
    try:
        hidden = model.hidden(model.shift(tokens))  # (B, T, H)
    finally:
        embedding.remove()
    positions = model.positions(tokens)
    loss, log_prob = weighted_nll(
        dropped(hidden, rate, rng).flatten(0, 1)[positions],
        model.output.weight,
        model.output.bias,
        tokens.flatten()[positions],
        weights.where(model.spec.mask(tokens), 0.0).flatten()[positions],
    )
    return loss, model.scattered(log_prob, positions, tokens)


def dropped(units: Tensor, rate: float, rng: torch.Generator) -> Tensor:
    """Units with some set to zero, the same at all positions, and the others made larger: float (B, T, H)."""
    if rate == 0:
        return units
    kept = torch.rand(len(units), 1, units.shape[-1], generator=rng, device=units.device) >= rate
    return units * kept / (1 - rate)


def clip(parameters: list[nn.Parameter], norm: float) -> None:
    """Clip the gradient by its global norm, in place."""
    nn.utils.clip_grad_norm_(parameters, norm)


SEARCHED: Mapping[str, Mapping[str, Any]] = {
    "quick/folk-tunes": {"epochs": 60, "lr": 0.00412, "batch_size": 64, "hidden_dim": 128, "dropout": 0.457},
    "quick/folk-tunes-phrases": {"epochs": 60, "lr": 0.0116, "batch_size": 32, "hidden_dim": 128, "dropout": 0.346},
    "quick/quatrains": {"lr": 0.00879, "batch_size": 64, "embedding_dim": 96, "hidden_dim": 128, "dropout": 0.593},
    "quick/sotu-obama": {"epochs": 60, "lr": 0.0051, "batch_size": 64, "hidden_dim": 96, "dropout": 0.518},
    "quick/tang5": {"lr": 0.00525, "batch_size": 64, "hidden_dim": 128, "dropout": 0.471},
}
"""The best trials of searches by validation NLL, where these gain .03 nats or more over the fields for all tasks
(docs/mle-tuned.md); fields that are not named are those of all tasks."""


@dataclass(frozen=True, slots=True)
class MLETuned(MLETempered):
    """Maximum likelihood as one who wants it to win would train it: what every adversarial model must beat.

    A larger LSTM with dropout, trained until it overfits, at the epoch and temperature with the lowest NLL on the
    validation split. Defaults follow the maximum likelihood that Caccia et al. 2018 (arXiv 1811.02549) selected.
    """

    epochs: Count = 300
    """Passes over the training set."""
    lr: StepSize = 0.001
    """Adam's step size."""
    batch_size: Size = 256
    """Sequences per update."""
    reshuffle: bool = True
    """Whether each epoch has a new order."""
    embedding_dim: Size = 128
    """Size of a word embedding."""
    hidden_dim: Size = 128
    """Size of the LSTM's state."""
    dropout: Rate = 0.6
    """Probability that a unit of the embedding or of the output is dropped in training."""

    execution: ClassVar[tuple[str, ...]] = ()  # its steps, with dropout, are not taken together
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "quick": {"epochs": 30, "lr": 0.005, "batch_size": 32, "embedding_dim": 64, "hidden_dim": 64, "dropout": 0.5},
        "medium": {"epochs": 8, "lr": 0.005, "batch_size": 64, "dropout": 0.4},
        "smoke": {"epochs": 4, "lr": 0.02, "batch_size": 32, "embedding_dim": 32, "hidden_dim": 32, "dropout": 0.2},
        **SEARCHED,
    }

    def fit(self, data: TrainingData, run: Run) -> TemperedLanguageModel:
        """Minimise the mean negative log-likelihood of a token, and keep the best epoch and temperature."""
        model = new_policy(self.policy, data.spec, run.rng("init"), self.embedding_dim, self.hidden_dim, self.init_std)
        optimizer = adam(model, self.lr)
        # The gradient is clipped as everywhere, at the last moment before the step that uses it.
        parameters = trainable(model)
        optimizer.register_step_pre_hook(lambda *_: clip(parameters, self.clip_norm))
        best = TemperedLanguageModel(model)
        run.track(best, best=best, model=model, optimizer=optimizer)
        rng = run.rng("dropout")

        def loss(tokens: Tensor) -> tuple[Tensor, ...]:
            return dropout_nll(model, tokens, evenly(data.spec, tokens), self.dropout, rng)

        step = training(run.execution, loss, optimizer, rng)
        train, valid = data.train.to(run.device), data.valid[: self.looked_at]
        order = run.rng("batches") if self.reshuffle else None
        grid = sorted(set(self.temperatures))
        for _ in run.phase("mle-tuned", self.epochs, open_ended=True):
            total, learnt = torch.zeros((), device=run.device), 0
            with run.measure() as count:
                for batch in minibatches(train, self.batch_size, order):
                    words = data.spec.count(batch)
                    total += words * step(batch)[0]
                    learnt += words
                    count(train_tokens=words, updates=1)
                    if run.spent():
                        break
            run.log(loss=float(total) / learnt)
            best.look(model, valid, grid, run)
        return best
