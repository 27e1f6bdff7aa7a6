"""How long sequences are, where they may differ in length."""

from __future__ import annotations

from typing import ClassVar

from bench.metrics.base import Evidence, Result


class Length:
    """Mean length, and sequences without an end.

    ``length_mean``: words of a sample, its end mark not among them. ``unended``: the share of samples that have no end
    mark within the T places, so that they were cut; no sequence of the corpora is. Absent where all sequences have one
    length.

    How it can be gamed: a sampler of random words with the right law of lengths has both right. They are there to
    explain other scores: BLEU punishes what is shorter than the references and not what is longer, and n-gram counts
    grow with length.
    """

    version: ClassVar[str] = "1"

    def scores(self, evidence: Evidence) -> list[Result]:
        """``length_mean`` and ``unended``."""
        spec, samples = evidence.spec, evidence.samples
        if spec.eos is None:
            return []
        signature = f"n={len(samples)}|tok={evidence.held_out.tokenizer}|v={self.version}"
        unended = float((samples != spec.eos).all(-1).double().mean())
        return [
            Result("length_mean", float(evidence.lengths.mean()), "words", "real", signature),
            Result("unended", unended, "", "lower", signature),
        ]
