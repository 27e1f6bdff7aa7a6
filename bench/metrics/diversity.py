"""How many different n-grams there are (Li et al. 2016)."""

from __future__ import annotations

from typing import ClassVar

from bench.kernels.ngrams import distinct
from bench.metrics.base import Evidence, Result

ORDERS = (2, 3)


class Distinct:
    """Different n-grams over all n-grams of the samples together, n = 2 and 3; the end mark is no word.

    Neither n = 1, which independent draws from the unigrams match by construction, nor n = 4, where nearly every n-gram
    of a small sample is different, says anything about a model.

    It falls as the number of samples grows, which is therefore in the signature. The real data's own value, at the same
    number of samples, is the goal: uniform noise is more diverse than any text.
    """

    version: ClassVar[str] = "1"

    def scores(self, evidence: Evidence) -> list[Result]:
        """``distinct2`` and ``distinct3``."""
        signature = f"n={len(evidence.samples)}|tok={evidence.held_out.tokenizer}|v={self.version}"
        tokens, lengths = evidence.samples.numpy(), evidence.lengths
        return [Result(f"distinct{k}", distinct(tokens, lengths, k), "", "real", signature) for k in ORDERS]
