"""A fixed small language model as the judge, in both directions, where the true distribution is not known."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from bench.metrics.base import ADD, STRENGTHS, Estimate, Subject
from bench.metrics.ranges import NEGATIVE_LOG_PROB

__all__ = ["LanguageModelScore"]

MODEL = f"trigram,dirichlet({ADD},{','.join(f'{strength:g}' for strength in STRENGTHS)})"


class LanguageModelScore:
    """Forward and reverse language-model scores (Caccia et al. 2018, sec. 4), with the judge's trigram model.

    ``lm_nll``: the samples under the model of the training text; low where the samples look like text three words at a
    time. ``reverse_nll``: the entire test set under the model of the *samples*; low where the samples cover the text.
    Both in nats per token that counts. The model is fixed: trigrams with Dirichlet smoothing, fitted by counting. Both
    need only samples from the sampler.

    How it can be gamed: ``lm_nll`` by repeating one common sentence, or by a lower temperature. ``reverse_nll`` by
    handing back the training set, which the copy rates show, and it does not see errors beyond three words.
    Both depend on the number of samples, which is in the signature; read them as a pair.
    """

    version: ClassVar[str] = "1"

    def estimates(self, subject: Subject) -> Iterator[Estimate]:
        """``lm_nll`` and ``reverse_nll``; neither for files, whose vocabulary is open."""
        real, samples = subject.against, subject.text
        if real.spec is None or real.train is None:
            return
        made, read = real.counted(samples), real.counted(real.references)
        forward = real.language_model.token_log_prob(samples.ids, made)
        backward = real.fit_language_model(samples).token_log_prob(real.references.ids, read)
        n = len(samples)
        signature = subject.signature(self.version, n=n, train=len(real.train), lm=MODEL)
        value = -float(forward.sum()) / made.sum()
        yield Estimate("lm_nll", value, "nats/token", "lower", signature, possible=NEGATIVE_LOG_PROB)
        signature = subject.signature(self.version, n=n, test=len(real.references), lm=MODEL)
        value = -float(backward.sum()) / read.sum()
        yield Estimate("reverse_nll", value, "nats/token", "lower", signature, possible=NEGATIVE_LOG_PROB)
