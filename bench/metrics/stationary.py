"""How far a model's next-token laws are from those of a Markov source, after every word."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from bench.api import HasNextTokenLogProbs, HasTokenLogProb
from bench.kernels.ngrams import Floats, Ints
from bench.metrics.base import Estimate
from bench.metrics.density import LogProb
from bench.metrics.divergence import INEXACT
from bench.metrics.ranges import Range
from bench.metrics.signature import Signature

if TYPE_CHECKING:
    from bench.api import SequenceSpec
    from bench.metrics.density import Evidence

SHARE_OF_LAW = Range(0, 1, "It is a share of the next token's probability.", slack=1e-3)
LAW = Range(0, 1, "The probabilities of the next token sum to more than 1.", slack=1e-3)
MOST = 100_000
"""Sequences that are scored at most where a model gives no laws, only the probabilities of sequences."""


@runtime_checkable
class HasStationaryLaw(Protocol):
    """An oracle that is a stationary first-order Markov chain over V words.

    Attributes:
        initial: float64, (V,), the stationary law pi.
        transition: float64, (V, V), the law of the next word after each word.
        backward: float64, (V, V), the law of the word before each word.
    """

    initial: Tensor
    transition: Tensor
    backward: Tensor


class StationaryVariation:
    """Total variation of next-token laws, weighted by the stationary law; nothing but for stationary Markov sources.

    With P the source's law after a word c, pi its stationary law, and G the model's law after a prefix that ends in c::

        tv_stationary = sum over c of pi(c) E[ sum over words w of max(0, P(w | c) - G(w | prefix)) ]

    The inner sum is half that of the absolute differences; after a prefix that the model cannot write, where it has no
    law, it is 1.

    The sum over c has a term for every word of the vocabulary, and weights that are computed, not counted. All laws are
    complete, so nothing is estimated from the words that happened to come, as in ``tv_token``. A model may look further
    back than one word, so the expectation is over what the source has written before c: prefixes of one word, of a
    quarter, of half and of nearly all of T words (``prefixes`` in the signature), each length with the same weight and
    one prefix for each word, drawn backwards from c by the law of the word before. They are the same for all models.
    For a model that reads one word only, the value is exact. It is 0 only for a model with the right law after every
    word, at most 1, and for even draws half the sum of pi(c) |P(w | c) - 1/V|.

    The distance is the usual one (Levin, Peres and Wilmer, "Markov chains and mixing times", sec. 4.1), and weighting
    the rows of a transition matrix by pi is what a long walk would do.

    How it can be gamed: like ``tv_token``, by dropping rare words, which costs no more than their share, and by what a
    model does after prefixes that only it writes. The first word is not looked at. It needs the model's density, which
    is verified, so that samples that are not drawn from it do not pass; but it looks at no sample itself. It does not
    rank.
    """

    version: ClassVar[str] = "1"

    def scores(self, evidence: Evidence) -> list[Estimate]:
        """``tv_stationary``; nothing where the oracle is no stationary Markov source."""
        oracle: object = evidence.held_out.oracle
        sampler, spec = evidence.sampler, evidence.spec
        if not isinstance(oracle, HasStationaryLaw):
            return []
        lengths = sorted({1, *(part for part in (spec.seq_len // 4, spec.seq_len // 2, spec.seq_len - 1) if part)})
        n = len(lengths) * spec.vocab_size
        signature = Signature.of(prefixes=",".join(map(str, lengths)), n=n, v=self.version)
        reason = evidence.no_density
        if not reason and evidence.density != "exact":
            reason = f"the model's density is {INEXACT[evidence.density]}: a distance of laws needs an exact one"
        known = isinstance(sampler, HasNextTokenLogProbs)
        if not reason and not known and not isinstance(sampler, HasTokenLogProb):
            reason = "the model has no token_log_prob"
        if not reason and not known and n * spec.vocab_size > MOST:
            reason = f"the model has no next_token_log_probs, and would have to score {n * spec.vocab_size:,} sequences"
        if reason:
            return [Estimate("tv_stationary", None, "", "lower", signature, reason)]
        ask: Callable[[Tensor], Tensor] = (
            sampler.next_token_log_probs
            if isinstance(sampler, HasNextTokenLogProbs)
            else lambda prefixes: substituted(sampler, prefixes, spec)
        )
        truth, weights = oracle.transition.numpy(), oracle.initial.numpy()
        distances = [
            stationary_variation(truth, weights, laws_after(ask, prefixes, spec.vocab_size))
            for prefixes in histories(oracle.backward.numpy(), lengths)
        ]
        value = float(np.mean(distances))
        return [Estimate("tv_stationary", value, "", "lower", signature, possible=SHARE_OF_LAW)]


def stationary_variation(truth: Floats, weights: Floats, laws: Floats) -> float:
    """The weighted mean of the total variation distances of rows: float64 (V, V), (V,) and (V, V).

    A row of zeros, where there is no law, has a distance of 1.
    """
    return float(weights @ np.maximum(truth - laws, 0).sum(1))


def histories(backward: Floats, lengths: list[int]) -> list[Ints]:
    """For each length, a prefix that ends in each word, drawn from a Markov source given that: int64 (V, length) each.

    Args:
        backward: float64, (V, V), the law of the word before each word.
        lengths: Words of the prefixes.
    """
    V = len(backward)
    cumulative = backward.cumsum(1)
    stream = np.random.RandomState(0)
    found = []
    for length in lengths:
        columns = [np.arange(V)]
        for _ in range(length - 1):
            uniform = stream.random_sample(V)
            drawn = (cumulative[columns[0]] <= uniform[:, None]).sum(1)
            columns.insert(0, drawn.clip(max=V - 1))
        found.append(np.stack(columns, axis=1))
    return found


def laws_after(ask: Callable[[Tensor], Tensor], prefixes: Ints, size: int) -> Floats:
    """A model's laws of the next token: int64 (N, k) to float64 (N, V).

    Raises:
        ValueError: for an answer of another shape, or one that is not a number.
        Impossible: for probabilities that sum to more than 1.
    """
    answer = ask(torch.from_numpy(prefixes.copy()))
    wanted = (len(prefixes), size)
    if not isinstance(answer, Tensor) or answer.shape != wanted:
        got = tuple(answer.shape) if isinstance(answer, Tensor) else type(answer).__name__
        raise ValueError(f"expected next_token_log_probs of shape {wanted}, got {got}")
    laws: Floats = answer.detach().to("cpu", torch.float64).exp().numpy()
    if np.isnan(laws).any():
        raise ValueError("next_token_log_probs is not a number: the model has diverged")
    if len(laws):
        LAW.check("the sum of a law", float(laws.sum(1).max()))
    return laws


def substituted(sampler: object, prefixes: Tensor, spec: SequenceSpec) -> Tensor:
    """The laws from ``token_log_prob``, of V sequences for each prefix: int64 (N, k) to float64 (N, V)."""
    position, rows = prefixes.shape[1], []
    for prefix in prefixes:
        asked = torch.zeros(spec.vocab_size, spec.seq_len, dtype=torch.long)
        asked[:, :position], asked[:, position] = prefix, torch.arange(spec.vocab_size)
        found = LogProb.of(sampler, asked).tokens
        assert found is not None
        rows.append(found[:, position])
    return torch.stack(rows)
