"""BLEU against the test set and among the samples themselves (Papineni et al. 2002; Zhu et al. 2018)."""

from __future__ import annotations

from typing import ClassVar

from bench.kernels.ngrams import self_bleu, sentence_bleu
from bench.metrics.base import Evidence, Result

ORDERS = (2, 3, 4, 5)
EPSILON = 0.1
SMOOTHING = f"smooth=method1({EPSILON})"


class Bleu:
    """Sentence BLEU-2 to 5 of every sample against the whole test set, averaged over samples.

    Uniform weights, nltk's smoothing method 1, closest reference length. The end mark and what follows it are no
    words. ``<unk>`` in a sample matches nothing; words of the test set outside the vocabulary stay in it, as ``<unk>``.

    How it can be gamed: a single common sentence, repeated, scores high. Read it with self-BLEU.
    """

    version: ClassVar[str] = "1"

    def scores(self, evidence: Evidence) -> list[Result]:
        """``bleu2`` to ``bleu5``."""
        held_out = evidence.held_out
        means = sentence_bleu(evidence.words, evidence.lengths, held_out.references, ORDERS, EPSILON).mean(1)
        signature = (
            f"n={len(evidence.samples)}|refs=test:{len(held_out.tokens)}|{SMOOTHING}"
            f"|tok={held_out.tokenizer}|v={self.version}"
        )
        return [Result(f"bleu{k}", float(mean), "", "higher", signature) for k, mean in zip(ORDERS, means, strict=True)]


class SelfBleu:
    """Sentence BLEU-2 to 5 of every sample against all other samples, averaged: how alike they are.

    The sample is never among its own references. ``<unk>`` is a word like another here: a sampler that repeats it
    repeats itself. The value grows with the number of samples, which is in the signature.

    The real data's own value is the goal: below it lies noise, above it repetition.
    """

    version: ClassVar[str] = "1"

    def scores(self, evidence: Evidence) -> list[Result]:
        """``self_bleu2`` to ``self_bleu5``."""
        means = self_bleu(evidence.samples.numpy(), evidence.lengths, ORDERS, EPSILON).mean(1)
        signature = (
            f"n={len(evidence.samples)}|refs=other samples|{SMOOTHING}"
            f"|tok={evidence.held_out.tokenizer}|v={self.version}"
        )
        return [
            Result(f"self_bleu{k}", float(mean), "", "real", signature) for k, mean in zip(ORDERS, means, strict=True)
        ]
