"""How much the samples and the real text share, seen from both sides, and how much was copied."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from bench.kernels.ngrams import ReferenceCounts, sentence_bleu, word_keys
from bench.kernels.overlap import ROWS, multiset_jaccard, shared_ngrams
from bench.metrics.base import Evidence, Ids, Result
from bench.metrics.bleu import EPSILON, ORDERS, SMOOTHING


class BackwardBleu:
    """Sentence BLEU-2 to 5 of every test sequence against all samples, averaged (Shi et al. 2018): what is covered.

    As :class:`bench.metrics.bleu.Bleu` with the roles exchanged. ``<unk>`` in a sample matches nothing.

    How it can be gamed: by handing back the training set, which the copy rates show; noise beside the right words
    costs nothing, since every test sequence picks its best match. Read it with BLEU, which is the other side.
    """

    version: ClassVar[str] = "1"

    def scores(self, evidence: Evidence) -> list[Result]:
        """``backward_bleu2`` to ``backward_bleu5``."""
        held_out = evidence.held_out
        samples = ReferenceCounts.build(evidence.words, evidence.lengths, max(ORDERS))
        test, lengths = held_out.tokens.numpy(), evidence.spec.lengths(held_out.tokens).numpy()
        means = sentence_bleu(test, lengths, samples, ORDERS, EPSILON).mean(1)
        signature = (
            f"n={len(held_out.tokens)}|refs=samples:{len(evidence.samples)}|{SMOOTHING}"
            f"|tok={held_out.tokenizer}|v={self.version}"
        )
        return [
            Result(f"backward_bleu{k}", float(mean), "", "higher", signature)
            for k, mean in zip(ORDERS, means, strict=True)
        ]


class MSJaccard:
    """MS-Jaccard-4: the overlap of the n-grams of the samples with those of the test set (Alihosseini et al. 2019).

    For each n the sum over n-grams of min(a, b) over the sum of max(a, b), a and b an n-gram's count over the number of
    sequences on either side; then the geometric mean over n = 1 to 4. Both too much and too little of an n-gram cost.

    How it can be gamed: by handing back the training set, which the copy rates show. It falls with the number of
    samples, which is in the signature; the real-data row shows what so many real sequences get.
    """

    version: ClassVar[str] = "1"

    def scores(self, evidence: Evidence) -> list[Result]:
        """``ms_jaccard4``."""
        held_out = evidence.held_out
        test, lengths = held_out.tokens.numpy(), evidence.spec.lengths(held_out.tokens).numpy()
        value = multiset_jaccard(evidence.words, evidence.lengths, test, lengths, 4)
        signature = f"n={len(evidence.samples)}|test={len(held_out.tokens)}|tok={held_out.tokenizer}|v={self.version}"
        return [Result("ms_jaccard4", value, "", "higher", signature)]


class Copy:
    """How much of the samples stands verbatim in the training set: whole sequences, and 8-grams.

    ``copy_sequence``: the share of samples that are training sequences, word for word. ``copy_8gram``: the share of the
    samples' 8-grams that occur in one. The end mark is no word; ``<unk>`` is one like another.

    Nothing to be improved by itself: noise copies nothing. High values void every other score, since all of them can be
    had by handing back the training set. The real-data row is made of training sequences, so it copies everything.
    """

    version: ClassVar[str] = "1"

    def scores(self, evidence: Evidence) -> list[Result]:
        """``copy_sequence`` and ``copy_8gram``."""
        held_out, spec = evidence.held_out, evidence.spec
        train, train_lengths = held_out.train.numpy(), spec.lengths(held_out.train).numpy()
        signature = f"n={len(evidence.samples)}|train={len(train)}|tok={held_out.tokenizer}|v={self.version}"
        results = []
        for name, share in (("copy_sequence", _copied), ("copy_8gram", _copied_8grams)):
            value = share(evidence.samples.numpy(), evidence.lengths, train, train_lengths)
            results.append(Result(name, value, "", "lower", signature))
        return results


def _copied(tokens: Ids, lengths: Ids, train: Ids, train_lengths: Ids) -> float:
    sums, known = _checksums(tokens, lengths), set()
    for start in range(0, len(train), ROWS):
        part, part_lengths = train[start : start + ROWS], train_lengths[start : start + ROWS]
        likely = np.isin(_checksums(part, part_lengths), sums)  # then word for word
        known |= {row[:length].tobytes() for row, length in zip(part[likely], part_lengths[likely], strict=True)}
    return float(np.mean([row[:length].tobytes() in known for row, length in zip(tokens, lengths, strict=True)]))


def _checksums(tokens: Ids, lengths: Ids) -> Ids:
    """A number a row, equal for equal sequences: a polynomial, modulo 2^64."""
    powers = np.cumprod(np.full(tokens.shape[1], 0x9E3779B97F4A7C15, np.uint64))
    sums: Ids = (word_keys(tokens, lengths).astype(np.uint64) * powers).sum(1, dtype=np.uint64).astype(np.int64)
    return sums


def _copied_8grams(tokens: Ids, lengths: Ids, train: Ids, train_lengths: Ids) -> float:
    return shared_ngrams(tokens, lengths, train, train_lengths, 8)
