"""Scheduled sampling: teacher forcing that is withdrawn step by step (Bengio et al. 2015)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from bench.api import Count, Positive, Run, Share, Size, StepSize, TrainingData
from seqgan.kernels.execution import recorded
from seqgan.lm import compile_language_model
from seqgan.mle import EPOCHS, SEARCHED, Descent, adam, maximize_likelihood, minibatches
from seqgan.networks import PolicyName, new_policy
from seqgan.policy import InitStd, Policy


@dataclass(frozen=True, slots=True)
class ScheduledSampling:
    """Maximum likelihood in which the model reads, at each position, the true token or a draw of its own.

    The probability of the true token starts at 1 and falls by ``decay`` per epoch (Yu et al. 2017, sec. 3). The coin is
    flipped for every token of every batch; the released code flipped it once, when its graph was built, and was
    therefore plain maximum likelihood.
    """

    epochs: Count = 120
    """Passes over the training set."""
    decay: Share = 0.002
    """Decrease per epoch of the probability that the true token is read."""
    floor: Share = 0.0
    """The probability never falls below this."""
    lr: StepSize = 0.01
    """Adam's step size."""
    batch_size: Size = 64
    """Sequences per update."""
    reshuffle: bool = False
    """Whether each epoch has a new order; the released code keeps one order for all epochs."""
    clip_norm: Positive = 5.0
    """Largest global norm of a gradient."""
    policy: PolicyName = "lstm"
    """The network: the paper's LSTM, gated convolutions, or a small transformer."""
    embedding_dim: Size = 32
    """Size of a word embedding."""
    hidden_dim: Size = 32
    """Size of the LSTM's state; width of another network."""
    init_std: InitStd = 0.1
    """Standard deviation of the initial parameters."""

    execution: ClassVar[tuple[str, ...]] = ("pack",)
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        # As many epochs as MLE, and the same decrease over them as in 120 epochs of the paper: 1 to 0.76.
        "quick": {"epochs": EPOCHS["quick"], "decay": 0.02},
        "medium": {"epochs": EPOCHS["medium"], "decay": 0.08},
        "smoke": {"epochs": EPOCHS["smoke"], "decay": 0.24},
        **{where: {**fields, "decay": round(0.24 / fields["epochs"], 4)} for where, fields in SEARCHED.items()},
    }

    def warm_up(self, device: torch.device) -> None:
        """Compile before the clock starts."""
        compile_language_model(device)

    def fit(self, data: TrainingData, run: Run) -> Policy:
        """Minimise the mean negative log-likelihood of the true tokens given the mixture that was read."""
        model = new_policy(self.policy, data.spec, run.rng("init"), self.embedding_dim, self.hidden_dim, self.init_std)
        optimizer = adam(model, self.lr)
        run.track(model, model=model, optimizer=optimizer)
        descent = Descent(model, optimizer, self.clip_norm)
        train = data.train.to(run.device)
        order, coins = run.rng("batches") if self.reshuffle else None, run.rng("coins")
        mix = recorded(lambda batch, truth: mixed_inputs(model, batch, truth, coins), [coins])
        for epoch in run.phase("scheduled-sampling", self.epochs, open_ended=True):
            truth = max(self.floor, 1 - self.decay * epoch)
            heads = torch.tensor(truth, device=run.device)
            batches = minibatches(train, self.batch_size, order)

            def read(batch: Tensor, heads: Tensor = heads) -> Tensor:
                inputs, own = mix(batch, heads)
                if bool(own.any()):  # then the model has read the batch once before it learns from it
                    with run.measure(mixing_tokens=data.spec.count(batch) - len(batch)):
                        pass
                return inputs

            maximize_likelihood(descent, batches, run, read)
            run.log(truth=truth)
        return model


@torch.no_grad()
def mixed_inputs(model: Policy, tokens: Tensor, truth: float | Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """The model's inputs: at each position a coin chooses the true token or the model's own draw.

    No gradient flows through a draw, so the mixture is made first and the model is trained on it in one pass.

    Args:
        model: Draws its own tokens given the mixture read so far.
        tokens: int64, (B, T), the true sequences.
        truth: Probability of the true token, a number or a scalar on the model's device.
        rng: Flips the coins and draws the tokens.

    Returns:
        inputs, int64 (B, T), ``bos`` first; and own, bool (B, T - 1), where the coin chose the model. After the end
        of a true sequence nothing is drawn, as nothing is learnt there; an end mark that the model draws before it is
        read like any other word.
    """
    inputs = model.shift(tokens)
    coins = torch.rand(tokens.shape[0], tokens.shape[1] - 1, generator=rng, device=tokens.device)
    own = (coins >= truth) & model.spec.mask(tokens)[:, 1:]  # (B, T - 1)
    if not (tokens.is_cuda or bool(own.any())):
        return inputs, own
    state = model.initial_state(len(tokens))
    read = model.reader()
    for t in range(tokens.shape[1] - 1):
        read(inputs[:, t], *state)
        if tokens.is_cuda:  # a draw for every row: to select some, the host would wait for the device
            inputs[:, t + 1] = model.choose(state[0], rng).where(own[:, t], inputs[:, t + 1])
        else:
            rows = own[:, t].nonzero()[:, 0]
            inputs[rows, t + 1] = model.choose(state[0][rows], rng)
    return inputs, own
