"""A fixed small language model as the judge, in both directions, where the truth is not known."""

from __future__ import annotations

from typing import ClassVar

from bench.metrics.base import ADD, STRENGTHS, Evidence, Result, fit_language_model


class LanguageModelScore:
    """Forward and reverse language-model scores (Caccia et al. 2018, sec. 4), with the judge's trigram model.

    ``lm_nll``: the samples under the model of the training text; low where the samples look like text three words at a
    time. ``reverse_nll``: the whole test set under the model of the *samples*; low where the samples cover the text.
    Both in nats a token that counts. The model is fixed: trigrams with Dirichlet smoothing, fitted by counting. Neither
    needs anything of the sampler but samples.

    How it can be gamed: ``lm_nll`` by repeating one common sentence, or by a lower temperature. ``reverse_nll`` by
    handing back the training set, which the copy rates show, and it does not see what goes wrong beyond three words.
    Both depend on the number of samples, which is in the signature; read them as a pair.
    """

    version: ClassVar[str] = "1"

    def scores(self, evidence: Evidence) -> list[Result]:
        """``lm_nll`` and ``reverse_nll``."""
        held_out, spec = evidence.held_out, evidence.spec
        model = f"lm=trigram,dirichlet({ADD},{','.join(f'{strength:g}' for strength in STRENGTHS)})"
        about = f"{model}|tok={held_out.tokenizer}|v={self.version}"
        n, train, test = len(evidence.samples), len(held_out.train), len(held_out.tokens)
        made, read = spec.mask(evidence.samples).numpy(), spec.mask(held_out.tokens).numpy()
        forward = held_out.language_model.token_log_prob(evidence.samples.numpy(), made)
        backward = fit_language_model(spec, evidence.samples).token_log_prob(held_out.tokens.numpy(), read)
        scores = {
            "lm_nll": (-float(forward.sum()) / made.sum(), f"n={n}|train={train}|{about}"),
            "reverse_nll": (-float(backward.sum()) / read.sum(), f"n={n}|test={test}|{about}"),
        }
        return [Result(name, value, "nats/token", "lower", signature) for name, (value, signature) in scores.items()]
