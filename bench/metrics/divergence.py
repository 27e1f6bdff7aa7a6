"""Divergences between model and oracle, whose densities are both known."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor

from bench.metrics.base import Estimate
from bench.metrics.density import Evidence
from bench.metrics.signature import Signature

COLUMNS = {"jsd_token": "nats/token", "kl_forward": "nats/token", "kl_reverse": "nats/token", "jsd": "nats/sequence"}


class Divergence:
    """KL in both directions and Jensen-Shannon, by Monte Carlo on the test set and on the model's samples.

    With P the oracle and G the model: ``kl_forward`` = E_P log(P/G) on the test set, punishing what the model does not
    cover; ``kl_reverse`` = E_G log(G/P) on the samples, punishing what it makes up; both divided by the number of
    tokens that count, so that ``kl_forward`` = ``nll_test`` minus the oracle's entropy.

    ``jsd`` = E_P log(2P/(P+G))/2 + E_G log(2G/(P+G))/2 in nats per sequence, between 0 and ln 2 = 0.693 (Lin 1991).
    Where sequences are long, an imperfect model gives hardly any sequence a probability near the oracle's, and
    ``jsd`` is within 0.00001 of ln 2 for all models. They are therefore ranked by ``jsd_token``: the same two
    halves for the next token, p = P(y_t | y_<t) and g = G(y_t | y_<t), averaged over positions: E_P log(2p/(p+g))/2
    along real sequences, E_G log(2g/(p+g))/2 along the model's own. Each half is a KL divergence to the mixture of
    the two next-token distributions, so it is never negative in expectation, bounded by ln 2 / 2, and zero when the
    distributions agree after every prefix that its side writes. The sum is zero only for G = P, and finite even for
    a model that cannot write a test sequence: no term of its mean exceeds ln 2 / 2, so that rare tokens cannot
    dominate it as they do in importance weights.

    How they can be gamed: each KL by itself, like ``nll_test`` and ``nll_oracle``. ``jsd_token`` cannot be gamed by
    dropping or inventing: one repeated sentence, and the training set by heart, score near ln 2. It counts every
    position alike, so a model may trade an absurd word at one position for a better guess at another.
    """

    version: ClassVar[str] = "2"

    def scores(self, evidence: Evidence) -> list[Estimate]:
        """The four divergences; nothing where there is no oracle."""
        held_out = evidence.held_out
        if held_out.oracle is None:
            return []
        signature = Signature.of(n=len(evidence.samples), test=len(held_out.tokens), v=self.version)
        if evidence.no_density:
            return [
                Estimate(name, None, unit, "lower", signature, evidence.no_density) for name, unit in COLUMNS.items()
            ]
        p_of_test, g_of_test = held_out.oracle_log_prob, evidence.model_log_prob_of_test
        p_of_samples, g_of_samples = evidence.oracle_log_prob_of_samples, evidence.model_log_prob_of_samples
        on_test = p_of_test.sequences - g_of_test.sequences  # log P/G under P
        on_samples = g_of_samples.sequences - p_of_samples.sequences  # log G/P under G
        values = {
            "kl_forward": float(on_test.sum()) / evidence.tokens_of(held_out.tokens),
            "kl_reverse": float(on_samples.sum()) / evidence.tokens_of(evidence.samples),
            "jsd": jensen_shannon(on_test, on_samples),
        }
        tokens = (p_of_test.tokens, g_of_test.tokens, p_of_samples.tokens, g_of_samples.tokens)
        reason = "the model has no token_log_prob" if g_of_test.tokens is None else "the oracle has no token_log_prob"
        p_test, g_test, p_samples, g_samples = tokens
        if p_test is not None and g_test is not None and p_samples is not None and g_samples is not None:
            seen, made = evidence.spec.mask(held_out.tokens), evidence.spec.mask(evidence.samples)
            values["jsd_token"] = jensen_shannon((p_test - g_test)[seen], (g_samples - p_samples)[made])
        return [
            Estimate(name, values.get(name), unit, "lower", signature, None if name in values else reason)
            for name, unit in COLUMNS.items()
        ]


def jensen_shannon(log_ratio_p: Tensor, log_ratio_g: Tensor) -> float:
    """Jensen-Shannon divergence in nats from log P/G at draws from P and log G/P at draws from G.

    log(2P/(P+G)) = log 2 - log(1 + exp(-log P/G)): a softplus, which neither overflows nor loses small differences.
    """
    halves = [torch.nn.functional.softplus(-ratio).mean() for ratio in (log_ratio_p, log_ratio_g)]
    return math.log(2) - float(halves[0] + halves[1]) / 2
