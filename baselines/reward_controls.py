"""SeqGAN's loop without its discriminator: rewards that know nothing, as controls.

A constant reward was reported to lower ``nll_oracle`` as fast as the discriminator's, and a random one too
(github.com/LantaoYu/SeqGAN/issues/21). What SeqGAN gains over these, with steps as long as its own, is what its
discriminator is worth.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch
from annotated_types import Interval
from torch import Tensor

from bench.api import Run, TrainingData
from seqgan.mle import adam
from seqgan.policy import Policy
from seqgan.policy_gradient import PolicyGradientGenerator
from seqgan.rollout import Reward


@dataclass(frozen=True, slots=True)
class ConstantReward(PolicyGradientGenerator):
    """SeqGAN with the same reward for every sequence: what policy gradient does by itself.

    Pre-training, steps, rollouts and step sizes are SeqGAN's. If every action has the same value, the expected
    gradient is zero: the policy drifts towards whatever it has drawn, since its own draws are reinforced.
    """

    value: Annotated[float, Interval(ge=-1000, le=1000)] = 0.5
    """The reward; its size hardly matters, since gradients are clipped and Adam divides them by their own size."""

    def fit(self, data: TrainingData, run: Run) -> Policy:
        """Pre-train, then continue with the constant reward."""
        return reinforce(self, data, run, lambda tokens: torch.full((len(tokens),), self.value, device=tokens.device))


@dataclass(frozen=True, slots=True)
class RandomReward(PolicyGradientGenerator):
    """SeqGAN with a reward drawn from U[0, 1] for every finished sequence: a judge that guesses."""

    def fit(self, data: TrainingData, run: Run) -> Policy:
        """Pre-train, then continue with the random reward."""
        rng = run.rng("reward")

        def reward(tokens: Tensor) -> Tensor:
            return torch.rand(len(tokens), generator=rng, device=tokens.device)

        return reinforce(self, data, run, reward)


@dataclass(frozen=True, slots=True)
class BaselinedRandomReward(RandomReward):
    """``random-reward`` with less variance, as ``seqgan-baselined`` is to ``seqgan``: its match without a judge.

    The batch's mean at each position is subtracted and the rest is standardised, so that what is left of a random
    reward is pure noise, of the size that the discriminator's reward has in ``seqgan-baselined``.
    """

    baseline: bool = True
    """Whether the batch's mean at each position is subtracted from the action values."""
    standardize: bool = True
    """Whether action values are divided by their standard deviation."""


def reinforce(generator: PolicyGradientGenerator, data: TrainingData, run: Run, reward: Reward) -> Policy:
    """Pre-training and policy gradient on a reward that learns nothing."""
    policy = generator.pretrain(data, run)
    optimizer = adam(policy, generator.lr)
    run.track(policy, policy=policy, optimizer=optimizer)
    gradient = generator.gradient(policy, optimizer, run)
    for _ in run.phase("policy-gradient", generator.rounds, open_ended=True):
        gradient.step(reward, run)
    return policy
