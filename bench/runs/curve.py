"""The judge of the training curve: cheap scores of a sampler while it trains, on the validation split alone."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from bench.api import Sampler, SequenceSpec, density_of
from bench.metrics.density import Density, LogProb
from bench.metrics.divergence import FALSE, jensen_shannon, log_ratio, possible_jsd
from bench.metrics.grammar import HasBrackets
from bench.metrics.ranges import NEGATIVE_LOG_PROB, SHARE, Range

__all__ = ["CURVE", "CurveJudge"]

CURVE = ("nll_oracle", "grammatical", "nll_valid", "jsd_valid")
"""The scores of a curve."""
SEEN = f"{FALSE[:-1]}, or the model was trained on the validation split."


class CurveJudge:
    """Has no access to the test set, so that what a curve selects cannot depend on it.

    Args:
        spec: The sequences' shape.
        valid: int64, (M, T), validation sequences.
        oracle: The true distribution, or None.
        known: Number of validation sequences to the oracle's log-probability of them, for all curves on one task.
    """

    def __init__(
        self, spec: SequenceSpec, valid: Tensor, oracle: Density | None, known: dict[int, LogProb] | None = None
    ) -> None:
        self.spec, self.valid, self.oracle = spec, valid, oracle
        self._known = {} if known is None else known
        self._last: tuple[tuple[type, str], Tensor, LogProb, dict[str, float]] | None = None

    def scores(self, sampler: Sampler, samples: Tensor) -> dict[str, float]:
        """The scores that are known for a sampler; infinite ones are left out.

        A sampler that writes the same and finds the validation sequences as likely as the one before it has the same
        scores: a policy whose discriminator is trained first is not scored anew at each of its steps.

        Args:
            sampler: What is judged.
            samples: int64, (n, T), drawn from it, on the CPU.

        Returns:
            ``nll_oracle``, the samples under the oracle, or ``grammatical``, the share that it can write, where it is a
            grammar: there the former is infinite at most steps, and the others alone would flatter the model;
            ``nll_valid``, the validation sequences under the model; and ``jsd_valid``, computed as ``jsd_token`` of
            :class:`bench.metrics.divergence.Divergence` between the two, where the density is exact.

        Raises:
            ValueError: for a score that is not a number.
            Impossible: for one that cannot be true; a ``jsd_valid`` below 0 may also come from training on the
                validation split.
        """
        found: dict[str, float] = {}
        possible: dict[str, Range] = {}
        seen, made = self.spec.mask(self.valid), self.spec.mask(samples)
        density = density_of(sampler)
        model = None if density == "none" else LogProb.of(sampler, self.valid)
        what = type(sampler), density
        if model is not None and self._last is not None:
            before, drawn, likely, scores = self._last
            if before == what and torch.equal(drawn, samples) and likely.equals(model):
                return dict(scores)
        if self.oracle is not None:
            truth = LogProb.of(self.oracle, samples)
            if isinstance(self.oracle, HasBrackets):
                found["grammatical"] = float((truth.sequences > -math.inf).double().mean())
                possible["grammatical"] = SHARE
            else:
                found["nll_oracle"] = -float(truth.sequences.sum()) / int(made.sum())
        if model is not None:
            found["nll_valid"] = -float(model.sequences.sum()) / int(seen.sum())
        if self.oracle is not None and model is not None and density == "exact":
            own = LogProb.of(sampler, samples)
            p_valid, g_valid = self._truth_of_valid(self.oracle).tokens, model.tokens
            p_made, g_made = truth.tokens, own.tokens
            if p_valid is not None and g_valid is not None and p_made is not None and g_made is not None:
                ratios = log_ratio(p_valid, g_valid)[seen], log_ratio(g_made, p_made)[made]
                found["jsd_valid"] = jensen_shannon(*ratios)
                possible["jsd_valid"] = possible_jsd("jsd_valid", *ratios, len(ratios[0]), len(ratios[1]), SEEN)
        for name, value in found.items():
            if math.isnan(value):
                raise ValueError(f"{name} is not a number: the model has diverged")
            possible.get(name, NEGATIVE_LOG_PROB).check(name, value)
        finite = {name: value for name, value in found.items() if math.isfinite(value)}
        if model is not None:
            self._last = what, samples, model, dict(finite)
        return finite

    def _truth_of_valid(self, oracle: Density) -> LogProb:
        n = len(self.valid)
        if n not in self._known:
            self._known[n] = LogProb.of(oracle, self.valid)
        return self._known[n]
