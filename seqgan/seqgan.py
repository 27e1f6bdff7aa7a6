"""SeqGAN: sequence generative adversarial nets with policy gradient (Yu, Zhang, Wang, Yu 2017, algorithm 1)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, Any, ClassVar, Protocol

import torch
from annotated_types import Interval, MinLen
from torch import Tensor

from bench.api import Count, Decoding, Execution, Run, Sampler, SequenceSpec, Size, StepSize, TrainingData
from seqgan import packed_discriminator
from seqgan.discriminator import FILTER_COUNTS, FILTER_SIZES, Discriminator, compile_discriminator
from seqgan.kernels.execution import Step, scoring_type, training
from seqgan.kernels.packing import Seat, together
from seqgan.lm import compile_language_model
from seqgan.mle import adam, minibatches
from seqgan.policy import Policy
from seqgan.policy_gradient import PolicyGradientGenerator


class Writer(Sampler, Protocol):
    """What the discriminator's negatives are drawn from."""

    @property
    def spec(self) -> SequenceSpec:
        """The sequences' shape."""
        ...


@dataclass(frozen=True, slots=True)
class SeqGAN(PolicyGradientGenerator):
    """Policy gradient on the discriminator's score of finished sequences, carried to each token by rollouts.

    Defaults are those of the released code (LantaoYu/SeqGAN @ e2b52fb), which are the paper's best setting: one
    generator step, then five new sets of negatives with three epochs each.
    """

    d_pretrain_steps: Count = 50
    """Number of times that new negatives are drawn before the adversarial phase."""
    g_steps: Count = 1
    """Policy-gradient steps per round."""
    d_steps: Count = 5
    """Number of times per round that new negatives are drawn for the discriminator."""
    d_epochs: Size = 3
    """Epochs over each set of positives and negatives (the paper's k)."""
    d_samples: Size | None = None
    """Positives in such a set, and equally many negatives; None for the entire training set, as in the paper."""
    d_lr: StepSize = 1e-4
    """Discriminator: Adam's step size."""
    d_embedding_dim: Size = 64
    """Discriminator: size of a word embedding."""
    d_filter_sizes: Annotated[tuple[Size, ...], MinLen(1)] = FILTER_SIZES
    """Discriminator: number of words that a filter spans; sizes above the sequence length are left out."""
    d_filter_counts: Annotated[tuple[Size, ...], MinLen(1)] = FILTER_COUNTS
    """Discriminator: number of filters of each size."""
    d_keep: Annotated[float, Interval(ge=0.001, le=1)] = 0.75
    """Discriminator: probability that a feature survives dropout in training."""
    d_l2: Annotated[float, Interval(ge=0, le=1000)] = 0.2
    """Discriminator: weight of the squared norm of its output layer."""
    d_pretrain_epochs: Count = 0
    """Epochs over each set before the adversarial phase; 0 for as many as ``d_epochs``."""
    d_pretrain_samples: Count = 0
    """Positives in each set before the adversarial phase; 0 for as many as ``d_samples``."""

    execution: ClassVar[tuple[str, ...]] = ("mode", "bfloat16", "pack")
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        **PolicyGradientGenerator.presets,
        # A discriminator that gets a thousand updates instead of 982,800 needs larger steps to learn anything, and one
        # of a small problem fewer filters.
        "quick": {
            **PolicyGradientGenerator.presets["quick"],
            "d_pretrain_steps": 20,
            "d_lr": 1e-3,
            "d_steps": 1,
            "d_epochs": 1,
            "d_samples": 480,
            "d_filter_sizes": (1, 2, 3, 4, 5),
            "d_filter_counts": (64, 64, 64, 64, 64),
        },
        "medium": {
            **PolicyGradientGenerator.presets["medium"],
            "d_pretrain_steps": 10,
            "d_lr": 1e-3,
            "d_steps": 1,
            "d_epochs": 1,
            "d_samples": 320,
        },
        "smoke": {
            **PolicyGradientGenerator.presets["smoke"],
            "d_pretrain_steps": 1,
            "d_steps": 1,
            "d_epochs": 1,
            "d_samples": 64,
        },
    }

    def __post_init__(self) -> None:
        if len(self.d_filter_sizes) != len(self.d_filter_counts):
            raise ValueError(
                "expected as many d_filter_counts as d_filter_sizes, got "
                f"{len(self.d_filter_counts)} and {len(self.d_filter_sizes)}"
            )
        if not (self.g_steps or self.d_steps):  # such rounds could not use up a budget
            raise ValueError("expected g_steps or d_steps of 1 or more, got 0 for both; rounds=0 leaves out the rounds")

    def warm_up(self, device: torch.device) -> None:
        """Compile before the clock starts."""
        compile_language_model(device)
        compile_discriminator(device)

    def fit(self, data: TrainingData, run: Run) -> Policy:
        """Train by the paper's algorithm 1."""
        policy = self.pretrain(data, run)
        discriminator = Discriminator(
            data.spec,
            run.rng("discriminator"),
            self.d_embedding_dim,
            self.d_filter_sizes,
            self.d_filter_counts,
            self.d_keep,
            scoring_type(run.execution, run.device),
        )
        optimizer = adam(policy, self.lr)
        d_optimizer = adam(discriminator, self.d_lr)
        run.track(policy, policy=policy, optimizer=optimizer, discriminator=discriminator, d_optimizer=d_optimizer)
        train = data.train.to(run.device)
        gradient = self.gradient(policy, optimizer, run)
        step = self.discriminator_step(discriminator, d_optimizer, run.rng("negatives"), run.execution)

        begun = self.beginning(len(train))
        for _ in run.phase("discriminator", self.d_pretrain_steps, shared=begun):
            begun.train_discriminator(step, policy, train, run)
        for _ in run.phase("adversarial", self.rounds, open_ended=True):
            for _ in range(self.g_steps):
                gradient.step(discriminator.reward, run, reads=True)
            for _ in range(self.d_steps):
                if run.spent():
                    break
                self.train_discriminator(step, policy, train, run)
        return policy

    def beginning(self, sequences: int) -> SeqGAN:
        """What ends with the discriminator's pre-training, the same for all that differ only in what comes after it.

        Args:
            sequences: Size of the training set: a larger number of positives is all of them.
        """
        positives = self.d_pretrain_samples or self.d_samples
        return replace(
            self,
            d_epochs=self.d_pretrain_epochs or self.d_epochs,
            d_samples=None if positives is not None and positives >= sequences else positives,
            d_pretrain_epochs=0,
            d_pretrain_samples=0,
            rounds=0,
            rollouts=1,
            g_steps=0,
            d_steps=1,
            baseline=False,
            standardize=False,
        )

    def discriminator_step(
        self,
        discriminator: Discriminator,
        optimizer: torch.optim.Optimizer,
        dropout: torch.Generator,
        execution: Execution,
    ) -> Step:
        """A function of a batch, tokens (B, T) and labels (B,), that takes one step and returns loss and accuracy."""

        def loss(tokens: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
            return discriminator.loss(tokens, real, self.d_l2, dropout)

        alone = training(execution, loss, optimizer, dropout)
        filters = tuple(discriminator.filters.sizes), tuple(discriminator.filters.counts)
        kind = "discrimination", discriminator.spec, filters, discriminator.keep, self.d_l2
        build = partial(packed_discriminator.discrimination, l2=self.d_l2, execution=execution)
        check = partial(packed_discriminator.check, discriminator)
        return together(alone, kind, Seat(discriminator, optimizer, dropout), build, check)

    def train_discriminator(self, step: Step, policy: Writer, train: Tensor, run: Run) -> None:
        """Draw new negatives, as many as positives, and train for ``d_epochs`` on the mixture (eq. 5)."""
        rng = run.rng("negatives")
        positives = train
        if self.d_samples is not None and self.d_samples < len(train):
            positives = train[torch.randperm(len(train), generator=rng, device=train.device)[: self.d_samples]]
        negatives = policy.sample(len(positives), Decoding(), rng)
        tokens = torch.cat([positives, negatives])
        real = (torch.arange(len(tokens), device=train.device) < len(positives)).long()
        losses, accuracies = [], []
        with run.measure(sampled_tokens=policy.spec.count(negatives)) as count:
            mixed = torch.randperm(len(tokens), generator=rng, device=train.device)
            for rows in (rows for _ in range(self.d_epochs) for rows in minibatches(mixed, self.batch_size)):
                batch = tokens[rows]
                loss, accuracy = step(batch, real[rows])
                losses.append(loss)
                accuracies.append(accuracy)
                count(discriminator_sequences=len(rows), discriminator_tokens=policy.spec.count(batch), updates=1)
                if run.spent():
                    break
        run.log(d_loss=float(torch.stack(losses).mean()), d_accuracy=float(torch.stack(accuracies).mean()))


@dataclass(frozen=True, slots=True)
class BaselinedSeqGAN(SeqGAN):
    """SeqGAN with less variance: the batch's mean at each position is subtracted, and the rest is standardised.

    Not in the paper. All rewards of the paper's SeqGAN are positive, so whatever was drawn becomes more likely, whether
    it was rewarded well or not; here only what did better than the batch's mean becomes more likely.
    """

    baseline: bool = True
    """Whether the batch's mean at each position is subtracted from the action values."""
    standardize: bool = True
    """Whether action values are divided by their standard deviation."""
