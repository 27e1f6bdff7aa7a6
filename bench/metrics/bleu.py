"""BLEU of the samples, of the test set against the samples, and among the samples (Papineni et al. 2002)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import ClassVar

from bench.kernels.leave_one_out import bleu_falls
from bench.kernels.ngrams import ReferenceCounts, self_bleu, sentence_bleu
from bench.metrics.base import EPSILON, ORDERS, SMOOTHING, Estimate, Subject, per_order, self_bleu_among, too_few

__all__ = ["BackwardBleu", "Bleu", "SelfBleu"]


class Bleu:
    """Sentence BLEU-2 to 5 of every sample against the entire test set, averaged over samples.

    Uniform weights, nltk's smoothing method 1, closest reference length. The end mark and what follows it are not
    words. ``<unk>`` in a sample matches nothing; words of the test set outside the vocabulary stay in it, as ``<unk>``.
    References that are scored as real text are each compared with all others.

    How it can be gamed: a single common sentence, repeated, scores high. Read it with self-BLEU.
    """

    version: ClassVar[str] = "1"

    def estimates(self, subject: Subject) -> Iterator[Estimate]:
        """``bleu2`` to ``bleu5``."""
        scored, references = subject.protocol.scored, subject.against.references
        if not subject.is_references:
            text = subject.text[:scored]
            scores = sentence_bleu(subject.words(text), text.lengths, subject.against.counts, ORDERS, EPSILON)
            contributions, against = scores, f"test:{len(references)}"
        elif len(references) > 1:
            scores, contributions = (each[:, :scored] for each in subject.against.self_bleu)
            against = "other references"
        else:
            reason = "there is no other reference to compare it with"
            yield from too_few("bleu", subject, self.version, "higher", reason)
            return
        signature = subject.signature(self.version, n=scores.shape[1], refs=against, smooth=SMOOTHING)
        yield from per_order("bleu", scores, contributions if subject.intervals else None, "higher", signature)


class SelfBleu:
    """Sentence BLEU-2 to 5 of every sample against all other samples, averaged: how alike they are (Zhu et al. 2018).

    The sample is never among its own references, unless a protocol puts it there. ``<unk>`` is an ordinary word here: a
    sampler that repeats it repeats itself. The value grows with the number of samples, which is in the signature.

    The real data's own value is the goal: lower values mean noise, higher ones repetition.

    How it can be gamed: by mixing noise with repetition until the mean is right, which NLL and distinct-n show, and by
    handing back the training set, which the copy rates show.
    """

    version: ClassVar[str] = "1"
    sized: ClassVar[bool] = True

    def estimates(self, subject: Subject) -> Iterator[Estimate]:
        """``self_bleu2`` to ``self_bleu5``."""
        count, against = subject.protocol.self_scored, subject.protocol.self_references
        text = subject.text
        fewest = (count or 0) + 1 if against == "rest" else 2
        if len(text) < fewest:
            reason = f"self-BLEU needs at least {fewest} sequences"
            yield from too_few("self_bleu", subject, self.version, "real", reason)
            return
        if against == "others":
            named, scored = "other samples", text[:count] if count else text
            if not subject.intervals:
                scores = contributions = self_bleu(scored.ids, scored.lengths, ORDERS, EPSILON)
            elif text is subject.against.references and not count:
                scores, contributions = subject.against.self_bleu
            else:
                scores, contributions = self_bleu_among(scored, None if count else subject.occurrences)
        else:
            last = against == "rest"
            scored, known = (text[-(count or 0) :], text[: -(count or 0)]) if last else (text[:count], text)
            counts = ReferenceCounts.build(known.ids, known.lengths, max(ORDERS))
            scores = contributions = sentence_bleu(scored.ids, scored.lengths, counts, ORDERS, EPSILON)
            named = f"{'rest' if last else 'all samples'}:{len(known)}"
        signature = subject.signature(self.version, n=scores.shape[1], refs=named, smooth=SMOOTHING)
        yield from per_order("self_bleu", scores, contributions if subject.intervals else None, "real", signature)


class BackwardBleu:
    """Sentence BLEU-2 to 5 of every test sequence against all samples, averaged (Shi et al. 2018): coverage.

    As :class:`Bleu` with the roles exchanged. ``<unk>`` in a sample matches nothing. References that are scored as real
    text are compared with the remaining ones, or each with the others where there are too few for that.

    How it can be gamed: by handing back the training set, which the copy rates show; noise in addition to the right
    words costs nothing, since every test sequence picks its best match. Read it with BLEU, the opposite direction.
    """

    version: ClassVar[str] = "1"
    sized: ClassVar[bool] = True

    def estimates(self, subject: Subject) -> Iterator[Estimate]:
        """``backward_bleu2`` to ``backward_bleu5``."""
        if subject.is_references and len(subject.text) > len(subject.against.references) // 2:
            for found in Bleu().estimates(subject):
                yield replace(found, metric=f"backward_{found.metric}")
            return
        samples, test = subject.apart, subject.rest
        counts = ReferenceCounts.build(subject.words(samples), samples.lengths, max(ORDERS))
        scores = sentence_bleu(test.ids, test.lengths, counts, ORDERS, EPSILON)
        contributions = None
        if subject.intervals:
            lost = bleu_falls(subject.occurrences_apart, scores, ORDERS, EPSILON)
            contributions = lost * len(samples) / len(test)
        signature = subject.signature(self.version, n=len(test), refs=f"samples:{len(samples)}", smooth=SMOOTHING)
        yield from per_order("backward_bleu", scores, contributions, "higher", signature)
