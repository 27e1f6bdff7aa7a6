"""Maximum likelihood with another network: gated convolutions and a small transformer, as baselines of their own."""

from __future__ import annotations

from dataclasses import dataclass

from bench.api import StepSize
from seqgan.mle import MLE
from seqgan.networks import PolicyName


@dataclass(frozen=True, slots=True)
class CNNMLE(MLE):
    """``mle`` with causal gated dilated convolutions (:class:`seqgan.cnn.GatedCNN`) instead of the LSTM."""

    policy: PolicyName = "cnn"
    """The network: the paper's LSTM, gated convolutions, or a small transformer."""
    lr: StepSize = 0.01
    """Adam's step size."""


@dataclass(frozen=True, slots=True)
class TransformerMLE(MLE):
    """``mle`` with a small causal transformer (:class:`seqgan.transformer.Transformer`) instead of the LSTM."""

    policy: PolicyName = "transformer"
    """The network: the paper's LSTM, gated convolutions, or a small transformer."""
    lr: StepSize = 0.003
    """Adam's step size."""
