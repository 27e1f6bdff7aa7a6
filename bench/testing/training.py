"""Checks of fit(): seeds, streams, data, evaluation, interruption, budget, and fields."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import random
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import numpy as np
import torch

from bench.api import HasLogProb, HasRealProbability, Sampler, TrainingData, Unsupported, density_of
from bench.plans.ranges import fitted, hints
from bench.runs.checkpoints import CheckpointFolder, Kept
from bench.runs.critic import CriticJudge
from bench.runs.judge import checked
from bench.runs.session import Observer, Session
from bench.runs.streams import named_stream
from bench.testing.trial import (
    STREAM,
    Hint,
    built,
    data_at_hand,
    draw,
    expect,
    expect_same,
    fit,
    trained,
)

MOST_MOVED = 0.2
"""Share of samples by which the validation sequences may move, as early stopping may, a token that training lacks."""
FACTORS = (2.0, 0.5, 0.9)
"""What a number is multiplied by to see whether it has an effect, in this order, until one is in its range."""


def check_seed(generator: type) -> None:
    """The same seed gives the same tokens."""
    data = data_at_hand()
    expect_same(fit(generator, data), fit(generator, data), "two trainings with one seed")


def check_seeds_differ(generator: type) -> None:
    """Another seed gives another model, if anything is drawn."""
    data = data_at_hand()
    sessions = [Session(f"contract/{seed}") for seed in (0, 1)]
    one, other = (fit(generator, data, session=session) for session in sessions)
    if _differ(one, other, data):  # also by a global stream, which check_streams tells
        return
    if all(
        torch.equal(stream.get_state(), named_stream(sessions[0].stream, name).get_state())
        for name, stream in sessions[0].streams.items()
    ):
        raise Unsupported("fit() draws from no random stream, so every seed gives the same model")
    said = "two seeds gave the same model, though fit() draws from random streams: is what they draw used?"
    expect(not sessions[0].trained, said)
    raise Hint(said)  # counts do not depend on the order of what is counted


def check_streams(generator: type) -> None:
    """Random streams are drawn from, not seeded: those of the run, and the global ones."""
    data = data_at_hand()
    samplers, ends = [], []
    for seed in (1, 2):
        _seed_globally(seed)
        session = Session(STREAM)
        samplers.append(trained(session, built(generator), data))
        draw(samplers[-1], 5)
        ends.append(_global_states())
        for name, stream in session.streams.items():
            expect(
                stream.initial_seed() == named_stream(STREAM, name).initial_seed(),
                f"fit() seeded the stream rng('{name}'), so that every seed of a run draws the same: draw from it as "
                "it is",
            )
    for library, one, other in zip(("torch", "numpy", "random"), *ends, strict=True):
        instead = ", or seed it within torch.random.fork_rng()" if library == "torch" else ""
        expect(
            one != other,
            f"fit() or sample() seeded {library}'s global stream, from which others draw: draw from run.rng(name) and "
            f"from the stream that sample() is given{instead}",
        )
    if _differ(samplers[0], samplers[1], data):
        raise Hint(
            "it draws from a global stream, as torch's own initialisation does. Each run seeds these, so it repeats, "
            "but a resumed run may not: streams of run.rng(name) are saved, global ones are not"
        )


def check_evaluation(generator: type) -> None:
    """Evaluating often or never gives the same tokens."""
    data = data_at_hand()

    judge = CriticJudge(data.train[:5], data.valid[:5], "cpu")

    def evaluate(sampler: Sampler, critic: HasRealProbability | None) -> dict[str, float]:
        samples = draw(sampler, 5)
        if isinstance(sampler, HasLogProb):
            sampler.log_prob(data.valid[:5])
        return judge.scores(critic, samples) if critic else {}

    often = fit(generator, data, Observer(evaluate=evaluate, curve_points=1_000_000))
    expect_same(fit(generator, data), often, "training with and without evaluation after every step")


def check_data(generator: type) -> None:
    """The training data are left as they were."""
    data = data_at_hand()
    train, valid = data.train.clone(), data.valid.clone()
    draw(fit(generator, data), 5)
    expect(torch.equal(train, data.train), "fit() or sample() changed data.train")
    expect(torch.equal(valid, data.valid), "fit() or sample() changed data.valid")


def check_valid(generator: type) -> None:
    """Validation sequences are not learnt."""
    data = data_at_hand()
    if data.spec.vocab_size < 4 or data.spec.eos is not None:
        raise Unsupported("the task has too few tokens, or sentences that end")
    unseen = (data.spec.vocab_size - 2, data.spec.vocab_size - 1)
    train = data.train.masked_fill(data.train >= unseen[0], 0)
    shares = []
    for token in unseen:
        sampler = fit(generator, replace(data, train=train, valid=torch.full_like(train, token)))
        shares.append(float((draw(sampler, 500) == unseen[0]).double().mean()))
    expect(
        shares[0] - shares[1] < MOST_MOVED,
        f"a token that only validation has is {shares[0]:.0%} of the samples, and {shares[1]:.0%} where validation "
        "lacks it, too: it was learnt from data.valid, which is for stopping and selection",
    )


def check_resume(generator: type) -> None:
    """A finished training restored from its checkpoint gives the same tokens."""
    data = data_at_hand()
    with tempfile.TemporaryDirectory() as folder:
        checkpoints = CheckpointFolder(Path(folder))
        expect_same(
            fit(generator, data, checkpoints=checkpoints),
            fit(generator, data, checkpoints=checkpoints),
            "training and its checkpoint (is all state given to run.track?)",
        )


def check_interruption(generator: type) -> None:
    """A training interrupted anywhere and resumed gives the same tokens."""
    data = data_at_hand()
    whole = Session(STREAM)
    sampler = fit(generator, data, session=whole)
    for step in sorted({1, whole.steps // 2 + 1, whole.steps}):
        resumed = _interrupted(generator, data, step)
        where = f"after {step} of its {whole.steps} steps"
        _expect_resumed(sampler, resumed, data, where)


def _interrupted(generator: type, data: TrainingData, step: int) -> Sampler:
    """The sampler of a training that ended at its evaluation after so many steps, and was done again from there."""
    seen = 0

    def interrupt(*_: object) -> dict[str, float]:
        nonlocal seen
        seen += 1
        if seen == step:
            raise KeyboardInterrupt
        return {}

    with tempfile.TemporaryDirectory() as folder:
        kept = Kept(CheckpointFolder(Path(folder)), "whole", lambda *_: "shared", every=-1)
        observer = Observer(evaluate=interrupt, curve_points=1_000_000)
        halves = [Session(STREAM, kept=kept, observer=watched) for watched in (observer, None)]
        with contextlib.suppress(KeyboardInterrupt):
            fit(generator, data, session=halves[0])
        return fit(generator, data, session=halves[1])


def _expect_resumed(sampler: Sampler, resumed: Sampler, data: TrainingData, where: str) -> None:
    expect_same(sampler, resumed, f"a complete training and one resumed {where} (is all state given to run.track?)")
    expect(
        not _differ(sampler, resumed, data),
        f"expected the same log-probabilities from a complete training and one resumed {where} (is all state given to "
        "run.track?)",
    )


def check_budget(generator: type) -> None:
    """Training stops within one step when the budget is spent."""
    data = data_at_hand()
    whole = Session("contract/0")
    whole.train(built(generator), data)
    expect(whole.steps > 0, "fit() never looped over run.phase(), so no budget can stop it")
    for limit in (0, 1):
        session = Session("contract/0", budget={"steps": limit})
        checked(draw(session.train(built(generator), data), 3), data.spec)
        expect(session.steps <= limit, f"expected at most {limit} steps with a budget of {limit}, got {session.steps}")


def check_fields(generator: type) -> None:
    """Fields have an effect."""
    data = data_at_hand()
    usual = fit(generator, data)
    config = dataclasses.asdict(built(generator))  # type: ignore[call-overload]
    idle = []
    for name, hint in hints(generator).items():
        for value in _others(config[name], hint):
            with contextlib.suppress(Exception):  # a size that does not fit to another, or to these data
                changed = built(generator, **{name: value})
                if not _differ(usual, fit(changed, data), data):
                    idle.append(name)
                break
    if idle:
        raise Hint(f"without effect on what is trained here: {', '.join(idle)}. Is it meant so?")


def _others(value: Any, hint: Any) -> Iterator[Any]:
    """Other values of a field, nearest first, if its type has any."""
    if isinstance(value, bool):
        yield not value
    elif get_origin(hint) is Literal:
        yield from (option for option in get_args(hint) if option != value)
    elif isinstance(value, int | float) and math.isfinite(value):
        for factor in FACTORS:
            other = (int if isinstance(value, int) else float)(value * factor if value else 1)
            with contextlib.suppress(ValueError):
                if fitted(other, hint) != value:
                    yield other


def _differ(one: Sampler, other: Sampler, data: TrainingData) -> bool:
    """Whether two samplers draw differently, or know densities that differ; one that is an estimate tells nothing."""
    if not torch.equal(draw(one, 200), draw(other, 200)):
        return True
    if not (isinstance(one, HasLogProb) and isinstance(other, HasLogProb)) or density_of(one) != "exact":
        return False
    first, second, theirs = (sampler.log_prob(data.valid[:20].clone()).detach().cpu() for sampler in (one, one, other))
    return torch.equal(first, second) and not torch.equal(first, theirs)


def _seed_globally(seed: int) -> None:
    """Seed the global streams of torch, numpy and Python."""
    torch.manual_seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - the global one is meant
    random.seed(seed)


def _global_states() -> tuple[bytes, ...]:
    """The states of the global streams of torch, numpy and Python."""
    numbers = np.random.get_state()  # noqa: NPY002 - the global one is meant
    return (
        bytes(torch.get_rng_state().numpy().tobytes()),
        repr((numbers[0], numbers[1].tolist(), *numbers[2:])).encode(),  # type: ignore[index]
        repr(random.getstate()).encode(),
    )
