"""Divergences between model and oracle, whose densities are both known."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor

from bench.metrics.base import Estimate
from bench.metrics.density import RULED_OUT, Evidence
from bench.metrics.ranges import Range
from bench.metrics.signature import Signature

COLUMNS = {
    "jsd_token": ("nats/token", "lower"),
    "tv_token": ("", "lower"),
    "kl_forward": ("nats/token", "lower"),
    "kl_reverse": ("nats/token", "lower"),
    "jsd": ("nats/sequence", "lower"),
    "entropy_gap": ("nats/token", "real"),
}
"""Column to its unit and direction."""
INEXACT = {"bound": "a bound", "estimated": "an estimate"}
LUCK = math.log(1e9)
"""How far below 0 chance may lead a sum of log-ratios, in nats; see :func:`slack`."""
DRIFT = 1e-4
"""How far rounding may lead each token's share of such a sum: densities in few bits do not sum to exactly 1."""
SHARE_OF_LAW = Range(0, 1, "It is a share of the next token's probability.")
FALSE = "The density is not that of the samples, or its probabilities sum to more than 1."


class Divergence:
    """KL in both directions, Jensen-Shannon, total variation and the gap of entropies, by Monte Carlo.

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

    The oracle may rule sequences out, as a grammar does. A model that writes one of them has an infinite
    ``kl_reverse``, which is absent, with that as the reason. ``jsd`` takes them as what they are,
    sequences that only the model writes, ln 2 / 2 each; so does ``jsd_token``, from the first token on that the oracle
    never writes: after a prefix that it cannot write it has no law, and every further position counts as entirely
    different.

    ``tv_token`` is the total variation distance of the next-token laws, half the sum over all words of |p - g|,
    averaged over the prefixes of real sequences: the share of the next token's probability that the model has
    elsewhere, from 0 to 1. It needs no sum over words: it is E_P max(0, 1 - g/p), which the test tokens estimate
    without bias.

    ``entropy_gap`` = H(G) - H(P), the mean of -log G over the tokens of the samples less that of -log P over those of
    the test set. Above 0 the model writes more diversely than the truth, below 0 more narrowly. It says on which side a
    model errs, and not how far it is from the truth; 0 is best.

    How they can be gamed: each KL by itself, like ``nll_test`` and ``nll_oracle``. ``jsd_token`` cannot be gamed by
    dropping or inventing: one repeated sentence, and the training set by heart, score near ln 2. It counts every
    position alike, so a model may trade an absurd word at one position for a better guess at another. ``tv_token`` by
    dropping rare words, which costs no more than their share, and by what a model does after prefixes that only it
    writes, which are not looked at: read it beside ``kl_forward`` and ``kl_reverse``. ``entropy_gap``
    is 0 for any model at one of its temperatures, and for even draws from e^H(P) words: no merit, and it never ranks.
    """

    version: ClassVar[str] = "2"

    def scores(self, evidence: Evidence) -> list[Estimate]:
        """All of :data:`COLUMNS`; nothing where there is no oracle."""
        held_out = evidence.held_out
        if held_out.oracle is None:
            return []
        signature = Signature.of(n=len(evidence.samples), test=len(held_out.tokens), v=self.version)
        reason = evidence.no_density
        if not reason and evidence.density != "exact":
            reason = f"the model's density is {INEXACT[evidence.density]}: a divergence needs an exact one"
        if reason:
            return [Estimate(name, None, *about, signature, reason) for name, about in COLUMNS.items()]
        p_of_test, g_of_test = held_out.oracle_log_prob, evidence.model_log_prob_of_test
        p_of_samples, g_of_samples = evidence.oracle_log_prob_of_samples, evidence.model_log_prob_of_samples
        on_test = log_ratio(p_of_test.sequences, g_of_test.sequences)  # log P/G under P
        on_samples = log_ratio(g_of_samples.sequences, p_of_samples.sequences)  # log G/P under G
        tokens_of_test, tokens_of_samples = evidence.tokens_of(held_out.tokens), evidence.tokens_of(evidence.samples)
        sizes = tokens_of_test, tokens_of_samples
        values = {
            "kl_forward": float(on_test.sum()) / tokens_of_test,
            "kl_reverse": float(on_samples.sum()) / tokens_of_samples,
            "jsd": jensen_shannon(on_test, on_samples),
            "entropy_gap": float(p_of_test.sequences.sum()) / tokens_of_test
            - float(g_of_samples.sequences.sum()) / tokens_of_samples,
        }
        largest = math.log(evidence.spec.vocab_size)
        possible = {
            "entropy_gap": Range(-largest, largest, FALSE, sum(slack(size) / size for size in sizes)),
            "kl_forward": Range(0, because=FALSE, slack=slack(tokens_of_test) / tokens_of_test),
            "kl_reverse": Range(0, because=FALSE, slack=slack(tokens_of_samples) / tokens_of_samples),
            "jsd": possible_jsd("jsd", on_test, on_samples, *sizes),
        }
        tokens = (p_of_test.tokens, g_of_test.tokens, p_of_samples.tokens, g_of_samples.tokens)
        reason = "the model has no token_log_prob" if g_of_test.tokens is None else "the oracle has no token_log_prob"
        p_test, g_test, p_samples, g_samples = tokens
        if p_test is not None and g_test is not None and p_samples is not None and g_samples is not None:
            seen, made = evidence.spec.mask(held_out.tokens), evidence.spec.mask(evidence.samples)
            by_token = log_ratio(p_test, g_test)[seen], log_ratio(g_samples, p_samples)[made]
            values["jsd_token"] = jensen_shannon(*by_token)
            values["tv_token"] = float((1 - (-by_token[0]).exp()).clamp(min=0).mean())
            possible["tv_token"] = SHARE_OF_LAW
            possible["jsd_token"] = possible_jsd("jsd_token", *by_token, *sizes)
        absent = {name: reason for name in COLUMNS if name not in values}
        if evidence.ruled_out:
            absent["kl_reverse"] = f"{RULED_OUT}: kl_reverse is inf"
        return [
            Estimate(name, None, *about, signature, absent[name], answered=name == "kl_reverse")
            if name in absent
            else Estimate(name, values[name], *about, signature, possible=possible[name])
            for name, about in COLUMNS.items()
        ]


def log_ratio(own: Tensor, other: Tensor) -> Tensor:
    """The log of a density over another one, at draws from the first: float64 (...) each, nats.

    It is infinite where the other one never writes the draw. A draw that its own density calls impossible is a
    contradiction, whatever the other one says: there it is minus infinity, which no range allows.
    """
    return (own - other).masked_fill(own == -math.inf, -math.inf)


def jensen_shannon(log_ratio_p: Tensor, log_ratio_g: Tensor) -> float:
    """Jensen-Shannon divergence in nats from log P/G at draws from P and log G/P at draws from G.

    log(2P/(P+G)) = log 2 - log(1 + exp(-log P/G)): a softplus, which neither overflows nor loses small differences.
    """
    halves = [torch.nn.functional.softplus(-ratio).mean() for ratio in (log_ratio_p, log_ratio_g)]
    return math.log(2) - float(halves[0] + halves[1]) / 2


def possible_jsd(
    name: str, log_ratio_p: Tensor, log_ratio_g: Tensor, tokens_of_p: int, tokens_of_g: int, because: str = FALSE
) -> Range:
    """What :func:`jensen_shannon` of these can be, after the same check of each of its two halves.

    A half that cannot be true could be hidden by the other one.

    Args:
        name: The column.
        log_ratio_p: log P/G at draws from P, of sequences or of tokens.
        log_ratio_g: log G/P at draws from G.
        tokens_of_p: The number of tokens of the draws from P.
        tokens_of_g: The same of G.
        because: What else it would mean, in a sentence.

    Raises:
        Impossible: for a half that cannot be true.
    """
    together = 0.0
    for where, ratio, tokens in (("real", log_ratio_p, tokens_of_p), ("generated", log_ratio_g, tokens_of_g)):
        allowed = slack(tokens) / len(ratio)
        half = math.log(2) - float(torch.nn.functional.softplus(-ratio).mean())
        Range(0, math.log(2), because, allowed).check(f"the half of {name} along {where} sequences", half)
        together += allowed / 2
    return Range(0, math.log(2), because, together)


def slack(tokens: int) -> float:
    """How far below 0 chance and rounding may lead a sum of log-ratios over sequences with that many tokens in all.

    Let L be the sum, over sequences drawn independently from P, of log P/G, as in the KL divergence, or of
    log(2P/(P+G)), as in the Jensen-Shannon divergence, for entire sequences or token by token. e^-L is a product of
    ratios G/P or (P+G)/(2P), each with an expectation, given all factors before it, of at most 1, because the
    probabilities of G sum to at most 1. So the expectation of e^-L is at most 1, and by Markov's inequality L is below
    -log(1/a) with a probability of at most a. This holds for every number of sequences, for sequences of any length
    whose tokens depend on one another, and for all P and G, however alike; nothing is estimated, so that there is no
    standard error that might be zero. G may depend on anything but the draws. The same holds with P and G exchanged,
    along the model's own samples.

    With a of one in a billion (:data:`LUCK`) for each of up to a thousand checks of a run, those of its curve included,
    an honest run fails at most once in a million. In simulations of 50 to 1,000 sequences, with G so near P that
    negative sums are the likeliest, the lowest of 1.4 million sums was -8.7, and at most 0.9 % of the sums of one kind
    were below -log(20), where the bound says 5 %.

    What this finds: samples that the claimed density gives far less probability than the truth does, such as one
    sequence repeated beside another model's density; and densities that sum to so much more than 1 that they seem
    better than the truth. It does not find a density that sums to more than 1 and is still worse than the truth, nor
    samples to which a density that is not theirs gives as much probability as the truth does.
    """
    return LUCK + DRIFT * tokens
