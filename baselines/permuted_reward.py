"""SeqGAN whose rewards go to the wrong sequences, as a control: what its rewards say of a sequence is lost."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import torch

from bench.api import Run
from seqgan.policy import Policy
from seqgan.policy_gradient import PolicyGradient
from seqgan.seqgan import SeqGAN


@dataclass(frozen=True, slots=True)
class PermutedReward(SeqGAN):
    """SeqGAN whose rewards go to the wrong sequences: within each batch they are exchanged at random.

    In the first step rewards are SeqGAN's own; from then on the discriminator follows this policy, and rewards differ
    as the policies do.
    """

    def beginning(self, sequences: int) -> SeqGAN:
        """SeqGAN's own, which both share."""
        same = SeqGAN(**{field.name: getattr(self, field.name) for field in fields(SeqGAN)})
        return same.beginning(sequences)

    def gradient(self, policy: Policy, optimizer: torch.optim.Optimizer, run: Run) -> PolicyGradient:
        """SeqGAN's step, in which the action values of whole sequences are exchanged within the batch."""
        own = SeqGAN.gradient(self, policy, optimizer, run)
        return replace(own, exchange=run.rng("exchange"))
