"""A model at the temperature that validation data pick."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from bench.api import GREATEST_TEMPERATURE, LEAST_TEMPERATURE, Decoding, HasTokenLogProb, Sampler, SequenceSpec
from bench.metrics.density import LogProb
from bench.metrics.ranges import Impossible

__all__ = ["AtTemperature", "best_temperature"]


class AtTemperature:
    """A sampler whose own temperature is another than 1: what is asked for multiplies it.

    It is scored as any sampler is, by its samples and its density at temperature 1, which are those of the sampler
    inside at ``temperature``.

    Args:
        sampler: The sampler inside, with ``token_log_prob`` at any temperature.
        temperature: Its own temperature.
    """

    def __init__(self, sampler: Any, temperature: float) -> None:
        self._sampler, self.temperature = sampler, temperature
        if (density := getattr(sampler, "density", None)) is not None:
            self.density = density

    def sample(self, n: int, decoding: Decoding, rng: torch.Generator) -> Tensor:
        """Draw n sequences, int64 (n, T)."""
        inside = Decoding(self._times(decoding.temperature), decoding.top_k, decoding.top_p)
        drawn: Tensor = self._sampler.sample(n, inside, rng)
        return drawn

    def token_log_prob(self, tokens: Tensor, temperature: float = 1.0) -> Tensor:
        """Log-probability of each token given those before it, int64 (N, T) to float (N, T), nats."""
        found: Tensor = self._sampler.token_log_prob(tokens, temperature=self._times(temperature))
        return found

    def log_prob(self, tokens: Tensor) -> Tensor:
        """Log-probability of each sequence, int64 (N, T) to float (N,), nats."""
        return self.token_log_prob(tokens).sum(-1)

    def _times(self, temperature: float) -> float:
        return min(max(self.temperature * temperature, LEAST_TEMPERATURE), GREATEST_TEMPERATURE)


def best_temperature(
    sampler: Sampler, valid: Tensor, spec: SequenceSpec, temperatures: Sequence[float], rng: torch.Generator
) -> float:
    """The temperature with the lowest NLL on validation sequences; 1 where several have it, or where none is known.

    Args:
        sampler: What is decoded.
        valid: int64, (M, T), validation sequences.
        spec: Their shape.
        temperatures: The grid; 1 is part of it in any case.
        rng: Draws one sequence, to see whether it can be drawn at that temperature.

    Returns:
        1 for a sampler that has no density, or cannot be decoded, at other temperatures.

    Raises:
        Impossible: for a probability above 1.
    """
    if not isinstance(sampler, HasTokenLogProb):
        return 1.0
    words = spec.count(valid)

    def nll(temperature: float) -> float:
        found = -float(LogProb.of(sampler, valid, temperature).sequences.sum()) / words
        return math.inf if math.isnan(found) else found

    best, lowest = 1.0, nll(1.0)
    for temperature in temperatures:
        if temperature == 1.0:
            continue
        try:
            found = nll(temperature)
        except Impossible:
            raise
        except Exception:  # it takes no temperature: a finished training is not lost because of that
            return 1.0
        if found < lowest:
            best, lowest = temperature, found
    try:
        sampler.sample(1, Decoding(best), rng)
    except Exception:
        return 1.0
    return best
