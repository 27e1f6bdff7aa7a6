"""How many different n-grams there are (Li et al. 2016)."""

from __future__ import annotations

from typing import ClassVar

from bench.kernels.ngrams import distinct
from bench.metrics.base import Evidence, Result

ORDERS = (1, 2, 3, 4)


class Distinct:
    """Different n-grams over all n-grams of the samples together, n = 1 to 4; the end mark is no word.

    It falls as the number of samples grows, which is therefore in the signature. The real data's own value, at the same
    number of samples, is the goal: uniform noise is more diverse than any text.
    """

    version: ClassVar[str] = "1"

    def scores(self, evidence: Evidence) -> list[Result]:
        """``distinct1`` to ``distinct4``."""
        signature = f"n={len(evidence.samples)}|tok={evidence.held_out.tokenizer}|v={self.version}"
        tokens, lengths = evidence.samples.numpy(), evidence.lengths
        return [Result(f"distinct{k}", distinct(tokens, lengths, k), "", "real", signature) for k in ORDERS]
