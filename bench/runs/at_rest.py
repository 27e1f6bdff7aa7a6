"""A sampler that is asked is at rest: what it learns is learnt in ``fit``, and what it has put off is charged."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from bench.api import Decoding
from bench.metrics.density import LogProb
from bench.records.record import RunSpec
from bench.runs.devices import seed_global_streams
from bench.runs.streams import named_stream
from bench.runs.surroundings import kept_surroundings

__all__ = ["AtRest", "Restless"]

SAMPLES = 16
NOISE = 0.2
"""Seconds by which the first of two equal answers may be slower without being charged."""


class Restless(Exception):  # noqa: N818 - it says what a sampler is
    """A sampler that changes while it is asked."""


class AtRest:
    """The watch of one run over the samplers that it asks.

    Attributes:
        seconds: What first answers took longer than the same answers again: work that was put off until somebody asks.

    Args:
        spec: The run.
    """

    def __init__(self, spec: RunSpec) -> None:
        self._spec, self.seconds = spec, 0.0

    def first_answers(self, sampler: Any) -> None:
        """Ask a sampler what it will be asked later, so that work which it has put off until then is done now.

        To be called while the clock of the training runs. What is wrong with the answers is told when they are judged.
        """
        samples, _ = self._drawn(sampler)
        if samples is not None:
            with contextlib.suppress(Exception), kept_surroundings():
                LogProb.of(sampler, samples)

    @contextlib.contextmanager
    def asked(self, sampler: Any) -> Iterator[None]:
        """Around the asking of a sampler: from the same random stream it must write the same afterwards as before.

        Raises:
            Restless: where it does not.
        """
        before, first = self._drawn(sampler)
        yield
        if before is None:
            return
        after, second = self._drawn(sampler)
        self.compare(first, second)
        if after is None or not torch.equal(before, after):
            raise Restless(
                "from the same random numbers the sampler writes other sequences after it was scored than before. "
                "Either it draws from another stream than the rng that sample() is given, or keeps some of what it "
                "drew for the next call; or it learns while it is asked, and that belongs into fit, which is charged."
            )

    def compare(self, first: float, second: float) -> None:
        """Charge what the first of two equal answers took longer than the second, in seconds."""
        if first - second > NOISE:
            self.seconds += first - second

    def _drawn(self, sampler: Any) -> tuple[Tensor | None, float]:
        """A few samples, always from the same random numbers, and the seconds they took; None where there are none."""
        with kept_surroundings():
            seed_global_streams(self._spec.stream)  # for samplers that draw from them
            rng = named_stream(self._spec.stream, "at rest", self._spec.device)
            start = time.perf_counter()
            try:
                samples = sampler.sample(SAMPLES, Decoding(), rng)
            except Exception:  # the samples that are judged will tell it
                return None, 0.0
            kept = samples.detach().cpu().clone() if isinstance(samples, Tensor) else None
            return kept, time.perf_counter() - start
