"""Divergences between model and oracle, whose densities are both known."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor

from bench.metrics.base import Evidence, Result
from bench.metrics.nll import NO_DENSITY


class Divergence:
    """KL in both directions and Jensen-Shannon, by Monte Carlo over whole sequences.

    With P the oracle and G the model: ``kl_forward`` = E_P log(P/G) on the test set, punishing what the model does not
    cover; ``kl_reverse`` = E_G log(G/P) on the samples, punishing what it makes up; both divided by the tokens that
    count, so that ``kl_forward`` = ``nll_test`` minus the oracle's entropy. ``jsd`` = E_P log(2P/(P+G))/2 +
    E_G log(2G/(P+G))/2 in nats a sequence, between 0 and ln 2 = 0.693 (Lin 1991).

    How it can be gamed: not by dropping or inventing sequences, which one of the KLs shows. At T = 20 and V = 5,000 two
    imperfect models hardly share a sequence, so that ``jsd`` lies next to ln 2 and separates little: read the KLs.
    """

    version: ClassVar[str] = "1"

    def scores(self, evidence: Evidence) -> list[Result]:
        """Three divergences; none where there is no oracle."""
        held_out = evidence.held_out
        if held_out.oracle is None:
            return []
        signature = f"n={len(evidence.samples)}|test={len(held_out.tokens)}|v={self.version}"
        columns = {"kl_forward": "nats/token", "kl_reverse": "nats/token", "jsd": "nats/sequence"}
        if evidence.density is None:
            return [Result(name, None, unit, "lower", signature, NO_DENSITY) for name, unit in columns.items()]
        on_test = held_out.oracle_log_prob - evidence.model_log_prob_of_test  # log P/G under P
        on_samples = evidence.model_log_prob_of_samples - evidence.oracle_log_prob_of_samples  # log G/P under G
        values = {
            "kl_forward": float(on_test.sum()) / evidence.tokens_of(held_out.tokens),
            "kl_reverse": float(on_samples.sum()) / evidence.tokens_of(evidence.samples),
            "jsd": jensen_shannon(on_test, on_samples),
        }
        return [Result(name, values[name], unit, "lower", signature) for name, unit in columns.items()]


def jensen_shannon(log_ratio_p: Tensor, log_ratio_g: Tensor) -> float:
    """Jensen-Shannon divergence in nats from log P/G at draws from P and log G/P at draws from G.

    log(2P/(P+G)) = log 2 - log(1 + exp(-log P/G)): a softplus, which neither overflows nor loses small differences.
    """
    halves = [torch.nn.functional.softplus(-ratio).mean() for ratio in (log_ratio_p, log_ratio_g)]
    return math.log(2) - float(halves[0] + halves[1]) / 2
