"""One policy-gradient update from Monte-Carlo action values: shared by SeqGAN and PG-BLEU, which differ in reward."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from bench.api import Run
from seqgan.lm import LSTMLanguageModel
from seqgan.mle import descend
from seqgan.rollout import Complete, Reward, action_values


@dataclass(frozen=True, slots=True)
class PolicyGradient:
    """REINFORCE with rollouts (Yu et al. 2017, eq. 6 to 8; Williams 1992).

    The loss is the released code's: the sum, not the mean, over batch and places of -log G(y_t | Y_{1:t-1}) Q_t. Its
    gradient is nearly always longer than ``clip_norm``, so that the clip sets the length of a step and Adam its shape.
    """

    batch_size: int
    rollouts: int
    clip_norm: float
    complete: Complete | None = None
    """How prefixes are finished (:func:`seqgan.rollout.completion`), if not operation by operation."""

    def step(self, policy: LSTMLanguageModel, optimizer: torch.optim.Optimizer, reward: Reward, run: Run) -> None:
        """Sample a batch, value every token of it by rollouts, and take one step."""
        tokens, states = policy.sample_with_states(self.batch_size, run.rng("policy"))
        with run.measure(rollouts=self.batch_size * (self.rollouts * (tokens.shape[1] - 1) + 1)):
            values = action_values(
                policy, tokens, states, reward, self.rollouts, run.rng("rollouts"), self.complete
            )  # (B, T)
        with run.measure(train_tokens=int(policy.spec.mask(tokens).sum())):
            # What stands after the end of a sequence earns nothing: its log-probability is no part of the loss.
            _, norm = descend(policy, optimizer, self.clip_norm, tokens, values)
        run.log(reward=float(values[:, -1].mean()), gradient_norm=float(norm))
