"""Maximum likelihood with teacher forcing: the MLE baseline, and the pre-training of every adversarial generator."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor

from bench.api import Count, Positive, Run, SequenceSpec, Size, StepSize, TrainingData
from seqgan import packed_lm
from seqgan.kernels import execution
from seqgan.kernels.packing import Seat, together
from seqgan.lm import LSTMLanguageModel, compile_language_model
from seqgan.networks import PolicyName, new_policy
from seqgan.policy import InitStd, Policy

EPOCHS = {"quick": 12, "medium": 4, "smoke": 2}
"""Pre-training epochs, for all. In ``medium``, NLL on the validation split of ``oracle`` is lowest after four. The
small problems of ``quick`` are trained until it is lowest there, after twelve; other tasks: :data:`SEARCHED`."""

SEARCHED: Mapping[str, Mapping[str, Any]] = {
    "quick/quatrains-tang": {"epochs": 7, "lr": 0.0151},
    "quick/quatrains": {"epochs": 17, "lr": 0.00401},
    "quick/tang5": {"epochs": 24, "lr": 0.00385},
    "quick/sotu-obama": {"epochs": 8, "lr": 0.0187},
    "quick/folk-tunes": {"epochs": 24, "lr": 0.0116},
    "quick/folk-tunes-phrases": {"epochs": 40, "lr": 0.00455},
    "quick/smiles": {"epochs": 40, "lr": 0.0058},
    "quick/flights": {"epochs": 23, "lr": 0.00421},
}
"""Epochs and step size where a search by validation NLL found better ones than those for all tasks (docs/tuning.md)."""


@dataclass(frozen=True, slots=True)
class LikelihoodGenerator:
    """Fields shared by all generators that are trained by maximum likelihood with teacher forcing alone."""

    epochs: Count = 120
    """Passes over the training set."""
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
    """Standard deviation of the initial parameters, drawn from a normal distribution."""

    execution: ClassVar[tuple[str, ...]] = ("pack",)
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        **{preset: {"epochs": n} for preset, n in EPOCHS.items()},
        **SEARCHED,
    }

    def warm_up(self, device: torch.device) -> None:
        """Compile before the clock starts."""
        compile_language_model(device)


@dataclass(frozen=True, slots=True)
class MLE(LikelihoodGenerator):
    """Maximum likelihood with teacher forcing (Yu et al. 2017, sec. 3; Williams & Zipser 1989).

    Defaults are those of the released code (LantaoYu/SeqGAN @ e2b52fb). That code reads its training file in the same
    order in every epoch, and so does ``reshuffle = False``. The order matters: on one draw of the published oracle's
    data, one seed had an ``nll_oracle`` of 9.14 at epoch 40, and 9.01 with a new order in each epoch. The released code
    also leaves out the last 16 of 10,000 sequences, which do not fill a batch; here they are a batch of their own.
    """

    def fit(self, data: TrainingData, run: Run) -> Policy:
        """Minimise the mean negative log-likelihood of a token."""
        model = new_policy(self.policy, data.spec, run.rng("init"), self.embedding_dim, self.hidden_dim, self.init_std)
        optimizer = adam(model, self.lr)
        run.track(model, model=model, optimizer=optimizer)
        descent = Descent(model, optimizer, self.clip_norm)
        train = data.train.to(run.device)
        order = run.rng("batches") if self.reshuffle else None
        for _ in run.phase("mle", self.epochs, open_ended=True):
            maximize_likelihood(descent, minibatches(train, self.batch_size, order), run)
        return model


def maximize_likelihood(
    descent: Descent,
    batches: Iterable[Tensor],
    run: Run,
    inputs: Callable[[Tensor], Tensor] | None = None,
) -> float:
    """One epoch: a step on each batch, int64 (B, T), while the budget lasts; ``inputs`` gives what is read for it.

    Returns:
        The mean loss of a token, in nats, which is also logged.
    """
    spec, total, tokens = descent.model.spec, torch.zeros((), device=descent.model.device), 0
    with run.measure() as count:
        for batch in batches:
            read = None if inputs is None else inputs(batch)
            log_prob, _ = descent(batch, evenly(spec, batch), read)
            total -= log_prob.sum()
            tokens += (learnt := spec.count(batch))
            count(train_tokens=learnt, updates=1)
            if run.spent():
                break
    loss = float(total) / tokens
    run.log(loss=loss)
    return loss


def evenly(spec: SequenceSpec, tokens: Tensor) -> Tensor:
    """Weights that make a sum over tokens their mean: int64 (B, T) to float32 (B, T)."""
    return (1 / spec.mask(tokens).sum()).expand(tokens.shape)


def trainable(model: torch.nn.Module) -> list[torch.nn.Parameter]:
    """The parameters that are trained."""
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


def minibatches(tokens: Tensor, size: int, rng: torch.Generator | None = None) -> Iterator[Tensor]:
    """One pass, in random order if ``rng`` is given: (N, ...) to batches of (size, ...); the last may be smaller."""
    if rng is not None:
        tokens = tokens[torch.randperm(len(tokens), generator=rng, device=tokens.device)]
    yield from tokens.split(size)


def adam(model: torch.nn.Module, lr: float) -> torch.optim.Adam:
    """Adam over all trained parameters, in torch's fused form: one pass over them instead of a dozen."""
    return torch.optim.Adam(trainable(model), lr=lr, fused=True)


@dataclass(frozen=True, slots=True)
class Descent:
    """Steps of gradient descent of one model: :func:`descend`, which on CUDA is recorded as a graph.

    In a pack, an LSTM takes them together with those of the other seeds (:func:`seqgan.packed_lm.descent`).

    Attributes:
        model: What is trained.
        optimizer: Of its parameters; on CUDA a fused one.
        clip_norm: Largest global norm of a gradient.
    """

    model: Policy
    optimizer: torch.optim.Optimizer
    clip_norm: float
    _step: execution.Step = field(init=False, repr=False)

    def __post_init__(self) -> None:
        def step(*batch: Tensor) -> tuple[Tensor, Tensor]:
            return descend(self.model, self.optimizer, self.clip_norm, *batch)

        taken = execution.recorded(step, optimizers=[self.optimizer])
        if type(self.model) is LSTMLanguageModel:
            kind = "descent", self.model.spec, self.clip_norm
            build, check = partial(packed_lm.descent, clip_norm=self.clip_norm), partial(packed_lm.check, self.model)
            taken = together(taken, kind, Seat(self.model, self.optimizer), build, check)
        object.__setattr__(self, "_step", taken)

    def __call__(self, tokens: Tensor, weights: Tensor, inputs: Tensor | None = None) -> tuple[Tensor, ...]:
        """One step: the log-probability of each token before it, (B, T), and the norm before clipping, a scalar."""
        return self._step(tokens, weights, *(() if inputs is None else (inputs,)))


def descend(
    model: Policy,
    optimizer: torch.optim.Optimizer,
    clip_norm: float,
    tokens: Tensor,
    weights: Tensor,
    inputs: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """One step down :meth:`Policy.weighted_nll`, the gradient clipped by its global norm.

    Returns:
        The log-probability of each token before the step, (B, T), and the norm before clipping, a scalar.
    """
    parameters = trainable(model)

    def loss(rows: slice) -> tuple[Tensor, Tensor]:
        return model.weighted_nll(tokens[rows], weights[rows], None if inputs is None else inputs[rows])

    def update() -> Tensor:
        norm = torch.nn.utils.clip_grad_norm_(parameters, clip_norm)
        optimizer.step()
        return norm

    return execution.descend(loss, len(tokens), parameters, update)
