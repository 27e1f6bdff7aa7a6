"""Lengths of sequences, where sequences may differ in length."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import numpy as np

from bench.metrics.base import Estimate, Subject, falls, too_few
from bench.metrics.ranges import SHARE, Range

__all__ = ["Length", "LengthDistance"]


class Length:
    """Mean length, and the share of sequences without an end mark.

    ``length_mean``: words of a sample, without its end mark. ``unended``, where there are end marks: the share of
    samples that have none within the T positions, so that they were cut; no sequence of the corpora is. Absent where
    all sequences have one length.

    How it can be gamed: a sampler of random words with the right distribution of lengths has both right. They are there
    to explain other scores: BLEU punishes what is shorter than the references and not what is longer, and n-gram counts
    grow with length.
    """

    version: ClassVar[str] = "1"

    def estimates(self, subject: Subject) -> Iterator[Estimate]:
        """``length_mean`` and ``unended``."""
        text, spec = subject.text, subject.against.spec
        if spec is not None and spec.eos is None:
            return
        signature = subject.signature(self.version, n=len(text))
        lengths = text.lengths.astype(float)
        part = lengths if subject.intervals else None
        possible = Range(0, text.ids.shape[1], "No sequence is longer than its positions.")
        yield Estimate(
            "length_mean", float(lengths.mean()), "words", "real", signature, None, part, "mean", possible=possible
        )
        if spec is not None:
            unended = float((text.lengths == text.ids.shape[1]).mean())
            yield Estimate("unended", unended, "", "lower", signature, possible=SHARE)


class LengthDistance:
    """How far the lengths are from the references': the earth mover's distance, in words.

    It is the mean over all quantiles of the difference between the two lengths there; chance alone makes it greater
    than 0, and real text shows by how much. ``bench score`` reports it.
    """

    version: ClassVar[str] = "1"
    sized: ClassVar[bool] = True

    def estimates(self, subject: Subject) -> Iterator[Estimate]:
        """``length_distance``."""
        samples, test = subject.apart, subject.rest
        n = len(samples)
        if not n:
            reason = "it takes two references to compare halves"
            yield from too_few("length_distance", subject, self.version, "lower", reason, orders=())
            return
        bins = int(max(samples.lengths.max(), test.lengths.max())) + 1
        counts = np.bincount(samples.lengths, minlength=bins)
        target = np.bincount(test.lengths, minlength=bins).cumsum() / len(test)
        below = counts.cumsum()
        value = float(np.abs(below / n - target).sum())
        without = np.full(bins, value)
        for length in np.flatnonzero(counts) if n > 1 else ():
            rest = below - (np.arange(bins) >= length)
            without[length] = np.abs(rest / (n - 1) - target).sum()
        part = falls(value, without[samples.lengths]) if subject.intervals else None
        signature = subject.signature(self.version, n=n, test=len(test))
        possible = Range(0, bins - 1, "Two lengths differ by no more than the longer of them.")
        yield Estimate(
            "length_distance", value, "words", "lower", signature, None, part, "leave-one-out", possible=possible
        )
