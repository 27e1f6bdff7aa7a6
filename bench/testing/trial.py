"""A training and its samples, as every check of the contract suite needs them, and how a check fails."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from bench.api import Decoding, Generator, Sampler, SequenceSpec, TrainingData, Unsupported, density_of
from bench.plans.fields import build, configuration
from bench.runs.checkpoints import CheckpointFolder, Kept
from bench.runs.critic import CRITIC
from bench.runs.curve import CURVE
from bench.runs.devices import seed_global_streams
from bench.runs.session import Observer, Session
from bench.tasks.toy import Toy

PRESET = "smoke"
STREAM = "contract/0"
TRAIN, VALID = 200, 100
"""Sequences that are taken of a task of the user's choice."""

_given: ContextVar[TrainingData | None] = ContextVar("data", default=None)


class ContractViolation(AssertionError):  # noqa: N818 - what it is called in the suite's output
    """A generator that does not do what the contract says."""


class Hint(Exception):  # noqa: N818 - not an error
    """What keeps the contract, and is worth knowing."""


def expect(condition: bool, message: str) -> None:
    """Fail the check unless the condition holds.

    Raises:
        ContractViolation: with the message.
    """
    if not condition:
        raise ContractViolation(message)


@contextlib.contextmanager
def on(data: TrainingData | None) -> Iterator[None]:
    """Do the checks on these data, cut to a small part, in place of the toy task's."""
    token = _given.set(data and replace(data, train=data.train[:TRAIN].clone(), valid=data.valid[:VALID].clone()))
    try:
        yield
    finally:
        _given.reset(token)


def data_at_hand(task: Toy | None = None) -> TrainingData:
    """The data that were chosen, or those of a toy task."""
    chosen = _given.get()
    if chosen is not None and task is None:
        return replace(chosen, train=chosen.train.clone(), valid=chosen.valid.clone())
    return (task or Toy(train_size=128)).load().training


def tiny() -> TrainingData:
    """Sequences of three tokens out of three."""
    return data_at_hand(Toy(vocab_size=3, seq_len=3, train_size=200, concentration=1.0))


def data_with_ends() -> TrainingData:
    """Sentences of one or two words out of two, with the end mark 2."""
    spec = SequenceSpec(3, 3, bos=3, eos=2, pad=2, kind="words")
    train = torch.tensor([[0, 2, 2], [0, 1, 2], [1, 2, 2], [1, 1, 2], [0, 0, 2]]).repeat(40, 1)
    return TrainingData(spec, train, train[:50].clone())


def triples() -> Tensor:
    """All sequences of length three over a vocabulary of three, in order: int64 (27, 3)."""
    return torch.tensor(list(itertools.product(range(3), repeat=3)))


def built(generator: type, **fields: Any) -> Generator:
    """The generator with the values of its preset ``smoke``, but for some fields."""
    made: Generator = build(generator, configuration(generator, PRESET, fields))
    return made


def fit(
    generator: type | Generator,
    data: TrainingData,
    observer: Observer | None = None,
    checkpoints: CheckpointFolder | None = None,
    session: Session | None = None,
) -> Sampler:
    """Train as a run does: global streams are seeded by the run's, whatever was drawn before."""
    observer = replace(observer or Observer(), reserved=(*CURVE, *CRITIC))
    kept = None if checkpoints is None else Kept(checkpoints, "whole")
    session = session or Session(STREAM, kept=kept, observer=observer)
    seed_global_streams(session.stream)
    return trained(session, built(generator) if isinstance(generator, type) else generator, data)


def trained(session: Session, generator: Generator, data: TrainingData) -> Sampler:
    """What a training returns, which must be a sampler."""
    sampler = session.train(generator, data)
    expect(
        callable(getattr(sampler, "sample", None)),
        f"expected fit() to return a sampler with sample(n, decoding, rng), got {type(sampler).__name__}",
    )
    return sampler


def draw(sampler: Sampler, n: int, temperature: float = 1.0, seed: int = 1) -> Tensor:
    """N sequences, int64 (n, T)."""
    return sampler.sample(n, Decoding(temperature), torch.Generator().manual_seed(seed)).cpu()


def expect_same(one: Sampler, other: Sampler, what: str) -> None:
    """Two samplers must draw the same."""
    expect(torch.equal(draw(one, 50), draw(other, 50)), f"expected the same tokens from {what}")


def require_exact(sampler: Sampler) -> None:
    """Raises Unsupported for a density that need not sum to 1."""
    if (density := density_of(sampler)) != "exact":
        raise Unsupported(f"the sampler says that its density is '{density}', not exact")
