"""A sampler that is asked is at rest: what it learns is learnt in ``fit``, where it is charged."""

from __future__ import annotations

import contextlib
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

__all__ = ["Restless", "at_rest", "first_answers"]

SAMPLES = 16


class Restless(Exception):  # noqa: N818 - it says what a sampler is
    """A sampler that changes while it is asked."""


def first_answers(sampler: Any, spec: RunSpec) -> None:
    """Ask a sampler what it will be asked later, so that work which it has put off until then is done now.

    To be called while the clock of the training runs. What is wrong with the answers is told when they are judged.
    """
    samples = _drawn(sampler, spec)
    if samples is not None:
        with contextlib.suppress(Exception), kept_surroundings():
            LogProb.of(sampler, samples)


@contextlib.contextmanager
def at_rest(sampler: Any, spec: RunSpec) -> Iterator[None]:
    """Around the asking of a sampler: from the same random stream it must write the same afterwards as before.

    Raises:
        Restless: where it does not.
    """
    before = _drawn(sampler, spec)
    yield
    if before is None:
        return
    after = _drawn(sampler, spec)
    if after is None or not torch.equal(before, after):
        raise Restless(
            "from the same random numbers the sampler writes other sequences after it was scored than before: it "
            "learns, or changes in another way, while it is asked. What it learns belongs into fit, which is charged."
        )


def _drawn(sampler: Any, spec: RunSpec) -> Tensor | None:
    """A few samples, always from the same random numbers; None where there are none."""
    with kept_surroundings():
        seed_global_streams(spec)  # for samplers that draw from them
        try:
            samples = sampler.sample(SAMPLES, Decoding(), named_stream(spec.stream, "at rest", spec.device))
        except Exception:  # the samples that are judged will tell it
            return None
    return samples.detach().cpu().clone() if isinstance(samples, Tensor) else None
