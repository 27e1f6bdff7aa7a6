"""Negative log-likelihood, of the samples under the oracle and of held-out text under the model."""

from __future__ import annotations

import math
from typing import ClassVar

from bench.metrics.base import Estimate
from bench.metrics.density import RULED_OUT, Evidence
from bench.metrics.ranges import NEGATIVE_LOG_PROB, Range
from bench.metrics.signature import Signature

PERPLEXITY = Range(1, because="It would take probabilities above 1.", slack=NEGATIVE_LOG_PROB.slack)
LARGEST = 700.0
"""NLL above which the exponential is not a double."""


class NLL:
    """Mean negative log-likelihood per token.

    ``nll_oracle`` = -E_G (1/T) log P(y): the model's samples under the oracle (Yu et al. 2017, eq. 13, per token as
    in their code and tables). ``nll_test`` = -E_P (1/T) log G(y): the entire test set under the model. The sum over
    sequences is divided by the number of tokens that count: all up to and including the end mark, none after it.

    ``perplexity`` = exp(``nll_test``), where the tokens are words of real text: what tables of language models have
    (Mikolov et al. 2010, Zaremba et al. 2014, on the Penn Treebank). It says nothing that ``nll_test`` does not, and
    therefore has no verdicts and never ranks. Its signature says what published figures differ in: how text became
    tokens, the size of the vocabulary (V, with ``<unk>`` and the end mark), whether ``<unk>`` counts as a word, whether
    the end mark counts, and what a word is predicted from. Here each sentence is predicted from nothing before it; the
    usual figures read the sentences of the corpus in their order as one text, and are lower for that alone.

    How it can be gamed: repeating one probable sequence gives an ``nll_oracle`` far below the oracle's entropy, at the
    price of an infinite ``nll_test``; a lower temperature moves any model the same way. Read both, or a divergence.
    ``nll_test`` alone is a proper score, lowest for the true distribution, but it forgives a model that gives
    probability to what is not text at all. A perplexity falls with the vocabulary: the more words are ``<unk>``, the
    easier is each. The row of real data shows the floor: the oracle's own entropy, estimated on real sequences.

    An oracle may rule sequences out: a single such sample makes ``nll_oracle`` infinite, so that it is absent, with
    that as the reason. The share of the others, which is finite, is in :mod:`bench.metrics.grammar`. A mean over these
    alone would get better where more of what is difficult goes wrong.
    """

    version: ClassVar[str] = "2"
    perplexity_version: ClassVar[str] = "1"
    """Of the column that came later, so that nothing else changed with it."""

    def scores(self, evidence: Evidence) -> list[Estimate]:
        """``nll_oracle`` where there is an oracle, ``nll_test``, and ``perplexity`` where tokens are real words."""
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
        reason, nll = evidence.no_density, None
        if not reason:
            nll = -float(evidence.model_log_prob_of_test.sequences.sum()) / evidence.tokens_of(held_out.tokens)
        found.append(Estimate("nll_test", nll, "nats/token", "lower", signature, reason, possible=NEGATIVE_LOG_PROB))
        if held_out.oracle is None and evidence.spec.kind == "words":
            found.append(self._perplexity(evidence, nll, reason))
        return found

    def _perplexity(self, evidence: Evidence, nll: float | None, reason: str | None) -> Estimate:
        held_out, spec = evidence.held_out, evidence.spec
        signature = Signature.of(
            n=len(held_out.tokens),
            tok=held_out.tokenizer,
            V=spec.vocab_size,
            unk="none" if held_out.unk is None else "counted",
            end="none" if spec.eos is None else "counted",
            context="sentence",
            v=self.perplexity_version,
        )
        value = nll if nll is None else math.exp(nll) if nll < LARGEST else math.inf
        return Estimate("perplexity", value, "", "lower", signature, reason, possible=PERPLEXITY)
