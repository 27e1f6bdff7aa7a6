"""Policy gradient from Monte-Carlo action values: SeqGAN, PG-BLEU and the controls differ only in the reward."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from bench.api import Count, Run, Size, StepSize
from seqgan.kernels.execution import Complete
from seqgan.mle import Descent
from seqgan.policy import Policy
from seqgan.pretraining import PretrainedGenerator
from seqgan.rollout import Reward, action_values, completion


@dataclass(frozen=True, slots=True)
class PolicyGradient:
    """REINFORCE with rollouts (Yu et al. 2017, eq. 6 to 8; Williams 1992).

    The loss is that of the released code: the sum, not the mean, over batch and positions of
    -log G(y_t | Y_{1:t-1}) Q_t. With rewards of order one its gradient is longer than ``clip_norm``, so that clipping
    gives every step a gradient of the same length; with rewards near zero, as of a discriminator that is sure of
    itself, it is not, and such steps are shorter.
    """

    descent: Descent
    """Of the policy; it clips the gradient."""
    batch_size: int
    rollouts: int
    complete: Complete | None = None
    """How prefixes are finished (:func:`seqgan.rollout.completion`), if not operation by operation."""
    baseline: bool = False
    """Whether the batch's mean at each position is subtracted from the action values (:func:`advantages`)."""
    standardize: bool = False
    """Whether they are then divided by their standard deviation."""
    exchange: torch.Generator | None = None
    """Draws whose action values each sequence gets, of those of its batch; None for its own."""

    def step(
        self,
        reward: Reward,
        run: Run,
        reads: bool = False,
    ) -> None:
        """Sample a batch, value every token of it by rollouts, and take one step.

        Args:
            reward: Scores finished sequences.
            run: Counts every token that is drawn, read or learnt from.
            reads: Whether a network computes the reward: what it reads is counted, too.
        """
        policy = self.descent.model
        tokens, states = policy.sample_with_states(self.batch_size, run.rng("policy"))
        mask, learnt = policy.spec.mask(tokens), policy.spec.count(tokens)
        finished = 0

        def judged(sequences: Tensor) -> Tensor:
            nonlocal finished
            finished = policy.spec.count(sequences)
            return reward(sequences)

        # Each prefix that has not ended, and each sequence itself.
        with run.measure(rollouts=self.rollouts * (learnt - self.batch_size) + self.batch_size) as count:
            values = action_values(
                policy, tokens, states, judged, self.rollouts, run.rng("rollouts"), self.complete
            )  # (B, T)
            begun = self.rollouts * prefix_tokens(mask)
            count(sampled_tokens=learnt, rollout_tokens=finished - learnt - begun)
            if reads:
                count(reward_tokens=finished)
        if self.exchange is not None:
            values = values[torch.randperm(len(values), generator=self.exchange, device=values.device)]
        weights = advantages(values, mask, self.baseline, self.standardize)
        with run.measure(train_tokens=learnt, updates=1):
            # Tokens after the end of a sequence have no effect: their log-probabilities are not part of the loss.
            log_prob, norm = self.descent(tokens, weights)
        # The mean over the policy's own draws is an estimate of its entropy, in nats per token.
        entropy = -float(log_prob.sum()) / learnt
        run.log(reward=float(values[:, -1].mean()), entropy=entropy, gradient_norm=float(norm))


def prefix_tokens(mask: Tensor) -> int:
    """Tokens of all proper prefixes that have not ended, which rollouts complete: bool (B, T) to their number."""
    lengths = torch.arange(1, mask.shape[1], device=mask.device)
    return int((mask[:, 1:] * lengths).sum())


def advantages(values: Tensor, mask: Tensor, baseline: bool, standardize: bool) -> Tensor:
    """Action values with less variance.

    What is subtracted from a value must not depend on its own action (Williams 1992; Greensmith et al. 2004). The mean
    over the batch at one position contains each value itself, which shrinks that position's part of the expected
    gradient by a factor of 1 - 1/B_t, where B_t is the number of sequences still running there. With sequences of one
    length, B_t is B everywhere, and the direction is unchanged. Where lengths differ, late positions count a little
    less, and the last words of a sequence that is longer than all others count for nothing. The standard deviation of
    a batch depends on its values, too, so dividing by it changes more than the length of the expected gradient.

    Args:
        values: float32, (B, T).
        mask: bool, (B, T), True where a token counts; other values are not read, and their results are arbitrary.
        baseline: Subtract the mean over the batch at each position.
        standardize: Divide by the standard deviation over batch and positions; without ``baseline``, subtract the mean
            over both first. Values that are all equal come out as zero.

    Returns:
        float32, (B, T); the values themselves if both are False.
    """
    if baseline:
        values = values - values.where(mask, 0.0).sum(0) / mask.sum(0).clamp(min=1)
    if standardize:
        values = values - values.where(mask, 0.0).sum() / mask.sum()
        deviation = (values.square().where(mask, 0.0).sum() / mask.sum()).sqrt()
        values = values / deviation.clamp(min=1e-8)
    return values


@dataclass(frozen=True, slots=True)
class PolicyGradientGenerator(PretrainedGenerator):
    """Fields and steps shared by all generators that are trained by policy gradient with rollouts."""

    rounds: Count = 200
    """Rounds of policy gradient after pre-training."""
    rollouts: Size = 16
    """Completions of each prefix (the paper's N)."""
    lr: StepSize = 0.01
    """Adam's step size in policy gradient, which has its own optimizer."""
    baseline: bool = False
    """Whether the batch's mean at each position is subtracted from the action values; not in the paper or its code."""
    standardize: bool = False
    """Whether action values are divided by their standard deviation; not in the paper or its code."""

    execution: ClassVar[tuple[str, ...]] = ("mode", "pack")
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        **PretrainedGenerator.presets,
        "quick": {**PretrainedGenerator.presets["quick"], "rounds": 50, "rollouts": 4},
        "medium": {**PretrainedGenerator.presets["medium"], "rounds": 20, "rollouts": 4},
        "smoke": {**PretrainedGenerator.presets["smoke"], "rounds": 3, "rollouts": 2},
    }

    def gradient(self, policy: Policy, optimizer: torch.optim.Optimizer, run: Run) -> PolicyGradient:
        """The policy-gradient step of this policy. Rollouts follow the policy itself, as in the paper and its code."""
        descent = Descent(policy, optimizer, self.clip_norm)
        complete = completion(run.execution, policy, self.rollouts, run.rng("rollouts"))
        return PolicyGradient(descent, self.batch_size, self.rollouts, complete, self.baseline, self.standardize)
