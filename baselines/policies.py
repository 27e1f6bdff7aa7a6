"""Maximum likelihood with another network: gated convolutions and a small transformer, as baselines of their own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from seqgan.mle import MLE
from seqgan.networks import PolicyName

EPOCHS = {"quick": 3, "medium": 2, "smoke": 2}
"""Epochs of both: NLL on the validation split is lowest after fewer than with the LSTM, which learns more slowly."""


@dataclass(frozen=True, slots=True)
class CNNMLE(MLE):
    """``mle`` with causal gated dilated convolutions (:class:`seqgan.cnn.GatedCNN`) instead of the LSTM."""

    policy: PolicyName = "cnn"
    """The network: the paper's LSTM, gated convolutions, or a small transformer."""

    execution: ClassVar[tuple[str, ...]] = ()  # only steps of the LSTM are taken together
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {preset: {"epochs": n} for preset, n in EPOCHS.items()}


@dataclass(frozen=True, slots=True)
class TransformerMLE(MLE):
    """``mle`` with a small causal transformer (:class:`seqgan.transformer.Transformer`) instead of the LSTM."""

    policy: PolicyName = "transformer"
    """The network: the paper's LSTM, gated convolutions, or a small transformer."""

    execution: ClassVar[tuple[str, ...]] = ()  # only steps of the LSTM are taken together
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {preset: {"epochs": n} for preset, n in EPOCHS.items()}
