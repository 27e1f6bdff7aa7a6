"""Negative log-likelihood, of the samples under the oracle and of held-out text under the model."""

from __future__ import annotations

from typing import ClassVar

from bench.metrics.base import Estimate
from bench.metrics.density import RULED_OUT, Evidence
from bench.metrics.ranges import NEGATIVE_LOG_PROB
from bench.metrics.signature import Signature


class NLL:
    """Mean negative log-likelihood per token.

    ``nll_oracle`` = -E_G (1/T) log P(y): the model's samples under the oracle (Yu et al. 2017, eq. 13, per token as
    in their code and tables). ``nll_test`` = -E_P (1/T) log G(y): the entire test set under the model. The sum over
    sequences is divided by the number of tokens that count: all up to and including the end mark, none after it.

    How it can be gamed: repeating one probable sequence gives an ``nll_oracle`` far below the oracle's entropy, at the
    price of an infinite ``nll_test``; a lower temperature moves any model the same way. Read both, or a divergence.
    ``nll_test`` alone is a proper score, lowest for the true distribution, but it forgives a model that gives
    probability to what is not text at all. The row of real data shows the floor: the oracle's own entropy, estimated on
    real sequences.

    An oracle may rule sequences out: a single such sample makes ``nll_oracle`` infinite, so that it is absent, with
    that as the reason. The share of the others, which is finite, is in :mod:`bench.metrics.grammar`. A mean over these
    alone would get better where more of what is difficult goes wrong.
    """

    version: ClassVar[str] = "2"

    def scores(self, evidence: Evidence) -> list[Estimate]:
        """``nll_oracle`` where there is an oracle, and ``nll_test``."""
        held_out, samples = evidence.held_out, evidence.samples
        found = []
        if held_out.oracle is not None:
            value = -float(evidence.oracle_log_prob_of_samples.sequences.sum()) / evidence.tokens_of(samples)
            signature = Signature.of(n=len(samples), v=self.version)
            about = "nats/token", "lower", signature
            if evidence.ruled_out:
                found.append(Estimate("nll_oracle", None, *about, f"{RULED_OUT}: nll_oracle is inf", answered=True))
            else:
                found.append(Estimate("nll_oracle", value, *about, possible=NEGATIVE_LOG_PROB))
        signature = Signature.of(n=len(held_out.tokens), tok=held_out.tokenizer, v=self.version)
        if evidence.no_density:
            return [*found, Estimate("nll_test", None, "nats/token", "lower", signature, evidence.no_density)]
        value = -float(evidence.model_log_prob_of_test.sequences.sum()) / evidence.tokens_of(held_out.tokens)
        return [*found, Estimate("nll_test", value, "nats/token", "lower", signature, possible=NEGATIVE_LOG_PROB)]
