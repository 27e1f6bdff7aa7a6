"""The overlap of the samples and the real text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from bench.kernels.leave_one_out import multiset_jaccard_without
from bench.kernels.overlap import multiset_jaccard
from bench.metrics.base import Estimate, Subject, falls, too_few
from bench.metrics.ranges import SHARE

__all__ = ["MSJaccard"]

ORDER = 4


class MSJaccard:
    """MS-Jaccard-4: the overlap of the n-grams of the samples with those of the test set (Alihosseini et al. 2019).

    For each n, the sum over n-grams of min(a, b) divided by the sum of max(a, b), where a and b are an n-gram's counts
    divided by the number of sequences on their sides; then the geometric mean over n = 1 to 4. Too many of an n-gram
    and too few both lower the score.

    How it can be gamed: by handing back the training set, which the copy rates show. Fewer samples get less, so their
    number is in the signature; the real-data row shows what that many real sequences get.
    """

    version: ClassVar[str] = "1"
    sized: ClassVar[bool] = True

    def estimates(self, subject: Subject) -> Iterator[Estimate]:
        """``ms_jaccard4``."""
        samples, test = subject.apart, subject.rest
        if not len(samples):
            reason = "it takes two references to compare halves"
            yield from too_few("ms_jaccard4", subject, self.version, "higher", reason, orders=())
            return
        signature = subject.signature(self.version, n=len(samples), test=len(test))
        if subject.intervals:
            value, without = multiset_jaccard_without(subject.occurrences_apart, ORDER)
            part = falls(value, without)
            yield Estimate("ms_jaccard4", value, "", "higher", signature, None, part, "leave-one-out", possible=SHARE)
        else:
            value = multiset_jaccard(subject.words(samples), samples.lengths, test.ids, test.lengths, ORDER)
            yield Estimate("ms_jaccard4", value, "", "higher", signature, possible=SHARE)
