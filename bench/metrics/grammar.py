"""Whether samples are sentences of the grammar that wrote the data, and whether they close the right brackets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar, Protocol, runtime_checkable

import numpy as np

from bench.kernels.ngrams import Ints
from bench.metrics.base import Estimate
from bench.metrics.ranges import SHARE
from bench.metrics.sequences import Bools
from bench.metrics.signature import Signature

if TYPE_CHECKING:
    from bench.metrics.density import Evidence

FAR = 10
"""Positions from a bracket to the one that closes it, from which on it was opened far away: beyond any 5-gram's view,
and beyond the flat brackets around a few names."""


@runtime_checkable
class HasBrackets(Protocol):
    """An oracle that gives most sequences a probability of 0: those that are no sentences of its grammar."""

    @property
    def brackets(self) -> tuple[tuple[int, int], ...]:
        """The ids of each opening bracket and of the one that closes it."""
        ...


class Grammaticality:
    """Shares of samples, positions and brackets that a grammar allows; nothing for tasks whose oracle has none.

    ``grammatical`` is the share of the samples that the oracle can write at all, so that their probability is above 0.
    A sample without an end mark is none of them. ``grammatical_prefix`` says how far the others come: of the positions
    that count, end marks included, the share before the first token that the oracle never writes there, averaged over
    samples; 1 for a grammatical one.

    ``bracket_match`` is above all a matter of memory. While brackets are open, what ends the innermost one is a closing
    bracket, or the end mark, which closes nothing. Of all such tokens up to the first that the oracle never writes
    there, this one included, it is the share that is the bracket which closes the innermost one.
    ``bracket_match_far`` counts only brackets that were opened at least ten positions before (``far`` in the
    signature). Its floor is not one in K for K types: some types are commoner than others, and each prefers other words
    inside, which give it away. On five draws at full size, whoever guesses by the frequencies of closing brackets has
    .37 to .45, by the four words before .61 to .80, and .70 to .87 with the likeliest bracket each time.

    The definitions are ours. Linzen, Dupoux and Goldberg (2016, "Assessing the ability of LSTMs to learn
    syntax-sensitive dependencies") count agreement by distance in the same way.

    How they can be gamed: one short sentence, repeated, has 1 in ``grammatical`` and ``grammatical_prefix``, and so
    have copies of the training set; a lower temperature helps, too. The others are 1 for a model that opens
    few brackets and closes them at once, and absent for one that opens none. So none of them ranks: read them beside
    ``jsd_token``, ``nll_test`` and the copy rates, none of which improve in that way. They are what is finite where
    ``nll_oracle`` and ``kl_reverse`` are infinite: a single sample with a probability of 0 makes them so.
    """

    version: ClassVar[str] = "1"

    def scores(self, evidence: Evidence) -> list[Estimate]:
        """``grammatical``, ``grammatical_prefix``, ``bracket_match`` and ``bracket_match_far``."""
        oracle: object = evidence.held_out.oracle
        if not isinstance(oracle, HasBrackets) or not len(evidence.samples):
            return []
        tokens = evidence.oracle_log_prob_of_samples.tokens
        if tokens is None:
            return []
        impossible: Bools = np.asarray(tokens.numpy() == -np.inf)
        counted = evidence.spec.mask(evidence.samples).numpy().sum(1)
        wrong: Bools = np.asarray(impossible.any(1))
        first = np.where(wrong, impossible.argmax(1), counted)  # the position of the first impossible token
        signature = Signature.of(n=len(wrong), v=self.version)
        columns = [
            Estimate("grammatical", float(1 - wrong.mean()), "", "higher", signature, possible=SHARE),
            Estimate("grammatical_prefix", float((first / counted).mean()), "", "higher", signature, possible=SHARE),
        ]
        read, end = np.minimum(first + 1, counted), evidence.spec.eos
        found = list(ended_brackets(evidence.samples.numpy(), read, oracle.brackets, end))
        for name, least in (("bracket_match", 0), ("bracket_match_far", FAR)):
            kept = [right for distance, right in found if distance >= least]
            about = Signature.of(**({"far": FAR} if least else {}), n=len(wrong), v=self.version)
            if kept:
                columns.append(Estimate(name, sum(kept) / len(kept), "", "higher", about, possible=SHARE))
            else:
                reason = f"no sample ends a bracket{f' {FAR} or more positions after it was opened' if least else ''}"
                columns.append(Estimate(name, None, "", "higher", about, reason, answered=True))
        return columns


def ended_brackets(
    samples: Ints, lengths: Ints, brackets: tuple[tuple[int, int], ...], end: int | None
) -> Iterator[tuple[int, bool]]:
    """What ends the innermost open bracket, each time that something does.

    Args:
        samples: int64, (N, T).
        lengths: int64, (N,), the number of tokens of each that are read.
        brackets: The ids of each opening bracket and of the one that closes it.
        end: The end mark; None where there is none.

    Yields:
        The distance from the opening bracket, in positions, and whether it is the bracket that closes it.
    """
    closes = dict(brackets)
    ends = {*closes.values(), end}
    for row, length in zip(samples.tolist(), lengths.tolist(), strict=True):
        open_: list[tuple[int, int]] = []
        for position, token in enumerate(row[:length]):
            if token in closes:
                open_.append((position, closes[token]))
            elif token in ends and open_:
                opened, right = open_.pop()
                yield position - opened, token == right
