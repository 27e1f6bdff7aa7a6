"""The numbers of different words and n-grams, and the share of words that the real text does not have."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import numpy as np

from bench.kernels.leave_one_out import types_without
from bench.kernels.ngrams import distinct, word_keys
from bench.metrics.base import Estimate, Subject, falls, share
from bench.metrics.copying import beside_train
from bench.metrics.ranges import SHARE, Range
from bench.metrics.sequences import Tokens
from bench.metrics.signature import Signature

__all__ = ["Distinct", "Unseen", "Vocabulary"]

ORDERS = (2, 3)


class Distinct:
    """Different n-grams over all n-grams of the samples together, n = 2 and 3 (Li et al. 2016).

    The end mark is not a word. Neither n = 1, which independent draws from the unigrams match by construction, nor
    n = 4, where nearly every n-gram of a small sample is different, says anything about a model.

    It falls as the number of samples grows, which is therefore in the signature. The real data's own value, at the same
    number of samples, is the goal: uniform noise is more diverse than any text.

    How it can be gamed: by noise in some sequences until the share is right, which NLL and backward BLEU show, and by
    handing back the training set, which the copy rates show.
    """

    version: ClassVar[str] = "1"
    sized: ClassVar[bool] = True

    def estimates(self, subject: Subject) -> Iterator[Estimate]:
        """``distinct2`` and ``distinct3``."""
        text = subject.text
        signature = subject.signature(self.version, n=len(text))
        for order in ORDERS:
            metric = f"distinct{order}"
            if subject.intervals:
                types, without = types_without(subject.occurrences, order)
                room = np.maximum(text.lengths - order + 1, 0)
                yield share(metric, types, types - without, room, "real", signature)
            else:
                value = distinct(text.ids, text.lengths, order)
                yield Estimate(metric, value, "", "real", signature, possible=SHARE)


class Vocabulary:
    """The number of different words in the samples; ``<unk>`` is one of them.

    It grows with the number of samples, which is in the signature; the real text's own value is the goal.
    """

    version: ClassVar[str] = "1"
    sized: ClassVar[bool] = True

    def estimates(self, subject: Subject) -> Iterator[Estimate]:
        """``vocabulary``."""
        types, without = types_without(subject.occurrences, 1)
        part = falls(float(types), without.astype(float)) if subject.intervals else None
        signature = subject.signature(self.version, n=len(subject.text))
        possible = Range(0, float(subject.text.lengths.sum()), "There are no more different words than words.")
        yield Estimate(
            "vocabulary", float(types), "types", "real", signature, None, part, "leave-one-out", possible=possible
        )


class Unseen:
    """The share of the samples' words that the references, or the training set, do not have.

    ``<unk>`` may stand for a word that they have, and is never counted. A model with a fixed vocabulary has no words
    that the training set lacks; the real text's own value is the goal.
    """

    version: ClassVar[str] = "1"

    def estimates(self, subject: Subject) -> Iterator[Estimate]:
        """``unseen_in_references``, and ``unseen_in_train`` where there is a training set."""
        text, samples, test, train = subject.text, subject.apart, subject.rest, subject.against.train
        if len(samples):
            signature = subject.signature(self.version, n=len(samples), test=len(test))
            yield _unseen("unseen_in_references", samples, test, subject.intervals, signature)
        if train is not None:
            signature = beside_train(subject, self.version, train)
            yield _unseen("unseen_in_train", text, train, subject.intervals, signature)


def _unseen(metric: str, text: Tokens, others: Tokens, intervals: bool, signature: Signature) -> Estimate:
    words, known = (word_keys(tokens.ids, tokens.lengths) for tokens in (text, others))
    seen = np.zeros(int(max(words.max(), known.max())) + 2, dtype=bool)
    seen[known] = seen[-1] = True  # the last entry is that of -1, where there is no word
    if text.unknown_id is not None:
        seen[text.unknown_id] = True
    strange = np.count_nonzero(~seen[words], axis=1)
    return share(metric, int(strange.sum()), strange if intervals else None, text.lengths, "real", signature)
