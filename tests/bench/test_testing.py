"""The contract suite: sound generators pass, and every check fails on a generator that breaks only its rule."""

import random
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch

from bench.api import Unsupported
from bench.testing import CHECKS, ContractViolation, run_suite
from bench.testing.density import chi_square_p
from bench.testing.training import check_seeds_differ


class Blind:
    """Independent draws from one distribution that can be trained, saved and restored; no density."""

    def __init__(self, spec):
        self.spec = spec
        self.logits = torch.zeros(spec.vocab_size, dtype=torch.float64)

    def sample(self, n, decoding, rng):
        cumulative = (self.logits / decoding.temperature).softmax(-1).cumsum(0)
        uniforms = torch.rand(n, self.spec.seq_len, dtype=torch.float64, generator=rng)
        tokens = torch.searchsorted(cumulative, uniforms, right=True).clamp(max=self.spec.vocab_size - 1)
        return tokens if self.spec.eos is None else tokens.masked_fill(~self.spec.mask(tokens), self.spec.pad)

    def state_dict(self):
        return {"logits": self.logits}

    def load_state_dict(self, state):
        self.logits = state["logits"]


class Words(Blind):
    """The same with its density."""

    def token_log_prob(self, tokens, temperature=1.0):
        return (self.logits / temperature).log_softmax(-1)[tokens] * self.spec.mask(tokens)

    def log_prob(self, tokens):
        return self.token_log_prob(tokens).sum(-1)

    def next_token_log_probs(self, prefixes):
        return self.logits.log_softmax(-1).expand(len(prefixes), -1)


@dataclass(frozen=True)
class Sound:
    """Keeps the contract: noisy word counts."""

    def fit(self, data, run):
        model = self.model(data.spec)
        run.track(model, model=model)
        counts = torch.bincount(data.train.flatten(), minlength=data.spec.vocab_size).double()
        for _ in run.phase("count", 3):
            noise = torch.rand(data.spec.vocab_size, dtype=torch.float64, generator=run.rng("noise"))
            model.logits = (counts + 1).log() + noise
        return model

    model = Words


class NoDensity(Sound):
    model = Blind


class WrongType(Sound):
    class model(Words):
        def sample(self, n, decoding, rng):
            return super().sample(n, decoding, rng).int()


class WrongShape(Sound):
    class model(Words):
        def sample(self, n, decoding, rng):
            return super().sample(max(n, 1), decoding, rng)


class OutOfRange(Sound):
    class model(Words):
        def sample(self, n, decoding, rng):
            return super().sample(n, decoding, rng) + 1


class Unseeded(Sound):
    def fit(self, data, run):
        model = self.model(data.spec)
        run.track(model, model=model)
        for _ in run.phase("count", 3):
            model.logits = torch.rand(data.spec.vocab_size, dtype=torch.float64) * 3
        return model


class HalfTracked(Sound):
    """Its optimizer, here a running sum, is not tracked."""

    def fit(self, data, run):
        model = self.model(data.spec)
        run.track(model, model=model)
        momentum = torch.zeros(data.spec.vocab_size, dtype=torch.float64)
        for _ in run.phase("count", 4):
            momentum += torch.rand(data.spec.vocab_size, dtype=torch.float64, generator=run.rng("noise"))
            model.logits = model.logits + momentum
        return model


class EvaluationDependent(Sound):
    class model(Words):
        drawn = False

        def sample(self, n, decoding, rng):
            self.drawn = True
            return super().sample(n, decoding, rng)

    def fit(self, data, run):
        model = self.model(data.spec)
        run.track(model, model=model)
        for _ in run.phase("count", 3):
            model.logits = model.logits + torch.arange(data.spec.vocab_size).double() / (3 if model.drawn else 2)
        return model


class DeafToTemperature(Sound):
    class model(Words):
        def token_log_prob(self, tokens, temperature=1.0):
            return super().token_log_prob(tokens)


class NoTemperature(Sound):
    class model(Words):
        def token_log_prob(self, tokens):
            return super().token_log_prob(tokens)


class Vandal(Sound):
    def fit(self, data, run):
        data.train[0] = 0
        return Sound.fit(self, data, run)


class ValidVandal(Sound):
    def fit(self, data, run):
        data.valid.zero_()
        return Sound.fit(self, data, run)


class Forgetful(Sound):
    def fit(self, data, run):
        tracked = []

        class Quiet:
            rng, phase = run.rng, run.phase

            @staticmethod
            def track(sampler, **state):
                tracked.append(sampler)
                run.track(sampler, other=Blind(data.spec))

        return Sound.fit(self, data, Quiet)


class AlwaysWarm(Sound):
    class model(Words):
        def sample(self, n, decoding, rng):
            return super().sample(n, type(decoding)(), rng)


class WrongSum(Sound):
    class model(Words):
        def log_prob(self, tokens):
            return super().log_prob(tokens) + 0.01


class WrongDensity(Sound):
    class model(Words):
        def log_prob(self, tokens):
            return ((self.logits * 1.2).log_softmax(-1)[tokens] * self.spec.mask(tokens)).sum(-1)


class WrongLaw(Sound):
    class model(Words):
        def next_token_log_probs(self, prefixes):
            return super().next_token_log_probs(prefixes).flip(-1)


class OneLaw(Sound):
    class model(Words):
        def next_token_log_probs(self, prefixes):
            return self.logits.log_softmax(-1)


class NoLaws(Sound):
    class model(Words):
        next_token_log_probs = None


class Bound(Sound):
    class model(Words):
        density = "bound"

        def token_log_prob(self, tokens, temperature=1.0):
            return super().token_log_prob(tokens, temperature) - 0.1

        next_token_log_probs = None


class StrangeDensity(Sound):
    class model(Words):
        density = "perfect"


class DensityPerToken(Sound):
    class model(Words):
        def log_prob(self, tokens):
            return self.logits.log_softmax(-1)[tokens]


class WritesOn(Sound):
    """Draws tokens after the end of a sentence."""

    class model(Words):
        def sample(self, n, decoding, rng):
            free = Words(type(self.spec)(self.spec.vocab_size, self.spec.seq_len, self.spec.bos))
            free.logits = self.logits
            return free.sample(n, decoding, rng)


class CountsOn(Sound):
    """Adds the log-probabilities of tokens after the end."""

    class model(Words):
        def log_prob(self, tokens):
            return self.logits.log_softmax(-1)[tokens].sum(-1)


class ReadsOn(Sound):
    """Right for its own samples, but changed by tokens after the end."""

    class model(Words):
        def log_prob(self, tokens):
            after = ~self.spec.mask(tokens) & (tokens != self.spec.pad)
            return super().log_prob(tokens) - after.sum(-1)


class NoPhase(Sound):
    def fit(self, data, run):
        model = self.model(data.spec)
        model.logits = torch.bincount(data.train.flatten(), minlength=data.spec.vocab_size).double().log1p()
        return model


class NothingWithoutSteps(Sound):
    def fit(self, data, run):
        model = None
        for _ in run.phase("count", 1):
            model = NoPhase.fit(self, data, run)
        return model


class Crashes(Sound):
    def fit(self, data, run):
        raise RuntimeError("out of luck")


class SeedsItsStream(Sound):
    """Every call of sample() draws the same, whatever stream it is given."""

    class model(Words):
        def sample(self, n, decoding, rng):
            return super().sample(n, decoding, rng.manual_seed(0))


class DrawsFromItsOwnStream(Sound):
    """The stream that sample() is given has no effect."""

    class model(Words):
        def sample(self, n, decoding, rng):
            return super().sample(n, decoding, torch.Generator().manual_seed(0))


class SeedsTheRunsStream(Sound):
    def fit(self, data, run):
        run.rng("noise").manual_seed(0)
        return Sound.fit(self, data, run)


class SeedsTorch(Sound):
    """What a script does on its first line; the others' draws are then the same in every run."""

    def fit(self, data, run):
        torch.manual_seed(0)
        return Sound.fit(self, data, run)


class SeedsNumpyInSample(Sound):
    class model(Words):
        def sample(self, n, decoding, rng):
            np.random.seed(0)  # noqa: NPY002 - that is the fault
            return super().sample(n, decoding, rng)


class SeedsPython(Sound):
    def fit(self, data, run):
        random.seed(0)
        return Sound.fit(self, data, run)


class SeedWithoutEffect(Sound):
    def fit(self, data, run):
        model = self.model(data.spec)
        run.track(model, model=model)
        for _ in run.phase("count", 3):
            torch.rand(3, generator=run.rng("noise"))
            model.logits = torch.bincount(data.train.flatten(), minlength=data.spec.vocab_size).double().log1p()
        return model


class DriftsAtTheEnd(Sound):
    """What is not tracked, a running baseline, has an effect in the last step alone."""

    def fit(self, data, run):
        model = self.model(data.spec)
        run.track(model, model=model)
        baseline = torch.zeros(data.spec.vocab_size, dtype=torch.float64)
        for step in run.phase("count", 6):
            noise = torch.rand(data.spec.vocab_size, dtype=torch.float64, generator=run.rng("noise"))
            baseline = 0.5 * baseline + noise
            model.logits = noise * 3 if step < 5 else noise * 3 - baseline
        return model


class TrainsOnValid(Sound):
    def fit(self, data, run):
        model = self.model(data.spec)
        run.track(model, model=model)
        everything = torch.cat([data.train, data.valid]).flatten()
        for _ in run.phase("count", 3):
            noise = torch.rand(data.spec.vocab_size, dtype=torch.float64, generator=run.rng("noise"))
            model.logits = (torch.bincount(everything, minlength=data.spec.vocab_size) + 1).double().log() + 0.1 * noise
        return model


class DropoutStaysOn(Sound):
    """Its score is never the same."""

    class model(Words):
        calls = 0

        def log_prob(self, tokens):
            type(self).calls += 1
            return super().log_prob(tokens) + 1e-5 * (type(self).calls % 7)


class LooksAtTheBatch(Sound):
    class model(Words):
        def log_prob(self, tokens):
            return super().log_prob(tokens) + (0.05 if len(tokens) == 1 else 0.0)


class WritesIntoWhatItScores(Sound):
    class model(Words):
        def log_prob(self, tokens):
            found = super().log_prob(tokens)
            tokens.zero_()
            return found


class Exits(Sound):
    def fit(self, data, run):
        sys.exit(0)


class OwnClock(Sound):
    """Draws from what no run seeds."""

    stream: ClassVar = random.Random(0)

    def fit(self, data, run):
        model = self.model(data.spec)
        run.track(model, model=model)
        for _ in run.phase("count", 3):
            model.logits = torch.tensor([self.stream.random() * 3 for _ in range(data.spec.vocab_size)]).double()
        return model


BROKEN = {
    SeedsItsStream: {"check_stream"},
    DrawsFromItsOwnStream: {"check_stream"},
    OwnClock: {"check_seed", "check_evaluation", "check_interruption"},
    SeedsTheRunsStream: {"check_seeds_differ", "check_streams"},
    SeedsTorch: {"check_streams"},
    SeedsNumpyInSample: {"check_streams"},
    SeedsPython: {"check_streams"},
    SeedWithoutEffect: {"check_seeds_differ"},
    DriftsAtTheEnd: {"check_interruption"},
    TrainsOnValid: {"check_valid"},
    DropoutStaysOn: {"check_scoring"},
    LooksAtTheBatch: {"check_scoring"},
    WritesIntoWhatItScores: {*("check_scoring", "check_density", "check_token_density", "check_ends")},
    Exits: {check.__name__ for check in CHECKS},
    WrongType: {"check_samples", "check_budget", "check_ends"},
    WrongShape: {"check_samples"},
    OutOfRange: {"check_samples", "check_density", "check_budget", "check_token_density", "check_ends"},
    Unseeded: {"check_interruption"},
    HalfTracked: {"check_interruption"},
    EvaluationDependent: {"check_evaluation"},
    Vandal: {"check_data"},
    ValidVandal: {"check_data"},
    Forgetful: {"check_resume"},
    AlwaysWarm: {"check_temperature", "check_token_density"},
    WrongSum: {"check_density", "check_token_density", "check_ends"},
    WrongDensity: {"check_density", "check_token_density", "check_ends"},
    DensityPerToken: {"check_density", "check_token_density", "check_ends"},
    WritesOn: {"check_ends"},
    CountsOn: {"check_ends"},
    WrongLaw: {"check_next_token_laws"},
    OneLaw: {"check_next_token_laws"},
    StrangeDensity: {
        *("check_density", "check_token_density", "check_ends", "check_scoring", "check_interruption", "check_streams")
    },
    ReadsOn: {"check_ends"},
    DeafToTemperature: {"check_token_density"},
    NoPhase: {"check_budget"},
    NothingWithoutSteps: {"check_budget"},
    Crashes: {check.__name__ for check in CHECKS},
}


HINTED = {"check_fields", "check_streams"}
"""Checks that say what is worth knowing, though it breaks nothing."""
TITLES = {check.__name__: check.__doc__.strip().rstrip(".") for check in CHECKS}


def failing(generator):
    names = [check.__name__ for check in CHECKS]
    outcomes = list(run_suite(generator))
    assert len(outcomes) == len(names)
    return {name: outcome.detail for name, outcome in zip(names, outcomes, strict=True) if outcome.status == "FAILED"}


def test_a_sound_generator_passes():
    outcomes = list(run_suite(Sound))
    assert {outcome.status for outcome in outcomes} == {"ok"}
    assert [outcome.check for outcome in outcomes] == [check.__doc__.strip().rstrip(".") for check in CHECKS]


def test_without_a_density_its_check_is_skipped():
    skipped = [outcome.detail for outcome in run_suite(NoDensity) if outcome.status != "ok"]
    laws = "the sampler has no token_log_prob: its density, if it has one, is an estimate"
    neither = "the sampler has neither log_prob nor token_log_prob"
    assert skipped == [neither, "the sampler has no log_prob", "the sampler has no token_log_prob", laws]


def test_without_laws_their_check_is_skipped():
    [skipped] = [outcome for outcome in run_suite(NoLaws) if outcome.status != "ok"]
    assert (skipped.status, skipped.check) == ("skipped", TITLES["check_next_token_laws"])


def test_a_bound_need_not_sum_to_one():
    skipped = {outcome.detail for outcome in run_suite(Bound) if outcome.status != "ok"}
    assert "the sampler says that its density is 'bound', not exact" in skipped
    assert failing(Bound) == {}


def test_a_density_without_temperature_is_no_fault():
    [skipped] = [outcome for outcome in run_suite(NoTemperature) if outcome.status != "ok"]
    assert skipped.status == "skipped"
    assert "takes no temperature" in skipped.detail


@pytest.mark.parametrize("generator", BROKEN, ids=lambda generator: generator.__name__)
def test_a_broken_generator_fails_where_it_is_broken(generator):
    told = failing(generator)
    assert set(told) == BROKEN[generator]
    assert all(told.values())


def test_every_check_can_fail():
    found = set.union(*(names for generator, names in BROKEN.items() if generator not in (Crashes, Exits)))
    assert found == {check.__name__ for check in CHECKS} - {"check_fields"}  # it says what is worth knowing


def test_a_stream_that_no_run_seeds_does_not_repeat():
    assert {"check_seed", "check_evaluation", "check_interruption"} <= set(failing(OwnClock))


def hints(generator):
    names = [check.__name__ for check in CHECKS]
    return {
        name: o.detail for name, o in zip(names, run_suite(generator), strict=True) if o.status == "ok" and o.detail
    }


def test_a_global_stream_is_pointed_out():
    assert failing(GlobalInitialisation) == {}
    assert (
        "it draws from a global stream, as torch's own initialisation does"
        in hints(GlobalInitialisation)["check_streams"]
    )
    assert "check_streams" in hints(Unseeded)


class GlobalInitialisation(Sound):
    """Its first values are drawn as torch's layers draw theirs."""

    def fit(self, data, run):
        model = self.model(data.spec)
        model.logits = torch.rand(data.spec.vocab_size, dtype=torch.float64)
        run.track(model, model=model)
        for _ in run.phase("count", 3):
            model.logits = model.logits + torch.rand(data.spec.vocab_size, generator=run.rng("noise")).double()
        return model


class GloballyAlone(Sound):
    """Everything is drawn from the global stream, as a plain module of torch does."""

    def fit(self, data, run):
        model = self.model(data.spec)
        run.track(model, model=model)
        for _ in run.phase("count", 3):
            model.logits = torch.rand(data.spec.vocab_size, dtype=torch.float64)
        return model


def test_seeds_that_differ_by_a_global_stream_differ():
    check_seeds_differ(GloballyAlone)


@dataclass(frozen=True)
class CoinThatNeverFlips(Sound):
    """The released scheduled sampling: its coin is drawn once, and is above every rate of its schedule."""

    decay: float = 0.002
    noise: float = 1.0
    keep: bool = True

    coin: ClassVar[float] = 0.397

    def fit(self, data, run):
        model = self.model(data.spec)
        run.track(model, model=model)
        counts = torch.bincount(data.train.flatten(), minlength=data.spec.vocab_size).double()
        for step in run.phase("count", 3):
            uses_own = self.coin > max(0.4, 1 - self.decay * step)
            noise = torch.rand(data.spec.vocab_size, dtype=torch.float64, generator=run.rng("noise"))
            model.logits = (counts + 1).log() * (not uses_own) + self.noise * noise if self.keep else noise
        return model


class RandomEstimate(Sound):
    """A density that is a mean over random draws, as of a latent variable."""

    class model(Words):
        density = "estimated"
        next_token_log_probs = None
        calls = 0

        def log_prob(self, tokens):
            type(self).calls += 1
            return super().log_prob(tokens) + 0.01 * type(self).calls


class ShufflesWhatItCounts(Sound):
    """Draws an order that cannot matter, and tracks nothing."""

    def fit(self, data, run):
        model = self.model(data.spec)
        for _ in run.phase("count", 1):
            order = torch.randperm(len(data.train), generator=run.rng("order"))
            model.logits = torch.bincount(data.train[order].flatten(), minlength=data.spec.vocab_size).double().log1p()
        return model


@dataclass(frozen=True)
class SizesThatGoTogether(Sound):
    width: int = 12
    heads: int = 4

    def fit(self, data, run):
        assert self.width % self.heads == 0, "width must be divisible by heads"
        return Sound.fit(self, data, run)


def test_what_is_sound_in_another_way_passes():
    for generator in (RandomEstimate, ShufflesWhatItCounts, SizesThatGoTogether):
        assert failing(generator) == {}
    assert "two seeds gave the same model" in hints(ShufflesWhatItCounts)["check_seeds_differ"]
    assert hints(RandomEstimate) == {}


@dataclass(frozen=True)
class DropoutIsNeverPassed(Sound):
    dropout: float = 0.25


def test_a_field_that_is_never_passed_on_is_told():
    assert failing(DropoutIsNeverPassed) == {}
    assert hints(DropoutIsNeverPassed) == {
        "check_fields": "but without effect on what is trained here: dropout. Is it meant so?"
    }


def test_a_coin_that_never_flips_is_a_field_without_effect():
    assert failing(CoinThatNeverFlips) == {}
    assert hints(CoinThatNeverFlips) == {
        "check_fields": "but without effect on what is trained here: decay. Is it meant so?"
    }


@dataclass(frozen=True)
class ReturnsNothing(Sound):
    """Forgets to return what it trained."""

    def fit(self, data, run):
        super().fit(data, run)


@pytest.mark.parametrize(
    ("generator", "check", "message"),
    [
        (WrongType, "check_samples", "ValueError: expected samples of dtype int64"),
        (WrongShape, "check_samples", r"expected shape \(0, 8\), got \(1, 8\)"),
        (OwnClock, "check_seed", "expected the same tokens from two trainings with one seed"),
        (DrawsFromItsOwnStream, "check_stream", "drew the same from streams in other states"),
        (SeedsItsStream, "check_stream", r"sample\(\) seeded the stream that it was given"),
        (SeedsTheRunsStream, "check_streams", r"fit\(\) seeded the stream rng\('noise'\)"),
        (SeedsTorch, "check_streams", "seeded torch's global stream, from which others draw"),
        (SeedsNumpyInSample, "check_streams", "seeded numpy's global stream"),
        (SeedWithoutEffect, "check_seeds_differ", "two seeds gave the same model"),
        (DriftsAtTheEnd, "check_interruption", r"after \d of its 6 steps \(is all state given to run.track\?\)"),
        (TrainsOnValid, "check_valid", "it was learnt from data.valid"),
        (DropoutStaysOn, "check_scoring", "expected the same scores when asked again: is a dropout"),
        (LooksAtTheBatch, "check_scoring", "alone it is up to 0.05 nats away"),
        (WritesIntoWhatItScores, "check_scoring", "scoring changed the tokens"),
        (EvaluationDependent, "check_evaluation", "with and without evaluation after every step"),
        (Vandal, "check_data", r"fit\(\) or sample\(\) changed data.train"),
        (ValidVandal, "check_data", r"fit\(\) or sample\(\) changed data.valid"),
        (Forgetful, "check_resume", r"is all state given to run.track\?"),
        (AlwaysWarm, "check_temperature", "expected a lower entropy"),
        (WrongSum, "check_density", "expected the 27 probabilities to sum to 1, got 1.01"),
        (WrongDensity, "check_density", "do not fit log_prob: chi-square p = "),
        (DensityPerToken, "check_density", r"expected log_prob of shape \(27,\), got \(27, 3\)"),
        (WritesOn, "check_ends", "expected only pad after the first eos"),
        (CountsOn, "check_ends", "expected the 15 probabilities to sum to 1, got 0"),
        (ReadsOn, "check_ends", "expected log_prob to end with eos, but tokens after it change it by -1"),
        (WrongLaw, "check_next_token_laws", "agree with token_log_prob, but after 0 tokens they are .* nats apart"),
        (OneLaw, "check_next_token_laws", r"expected next_token_log_probs of shape \(27, 3\), got \(3,\)"),
        (StrangeDensity, "check_density", "to be one of exact, bound, estimated, none, got 'perfect'"),
        (ReturnsNothing, "check_streams", r"expected fit\(\) to return a sampler with sample\(.*\), got NoneType"),
        (ReturnsNothing, "check_seed", r"expected fit\(\) to return a sampler with sample\(.*\), got NoneType"),
        (NoPhase, "check_budget", r"never looped over run.phase\(\)"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_the_detail_says_what_is_wrong(generator, check, message):
    with pytest.raises((ContractViolation, ValueError), match=message.removeprefix("ValueError: ")):
        {check.__name__: check for check in CHECKS}[check](generator)


def test_an_exit_is_no_success():
    [detail] = set(failing(Exits).values())
    assert detail.startswith("SystemExit: 0 (test_testing.py:")


def test_a_crash_is_told_with_its_place():
    assert set(failing(Crashes).values()) == {f"RuntimeError: out of luck (test_testing.py:{line_of_fit(Crashes)})"}


def line_of_fit(generator):
    return generator.fit.__code__.co_firstlineno + 1


def test_what_cannot_be_done_is_skipped():
    class Picky(Sound):
        def fit(self, data, run):
            raise Unsupported("only poems")

    assert {(outcome.status, outcome.detail) for outcome in run_suite(Picky)} == {("skipped", "only poems")}


def test_chi_square_agrees_with_scipy():
    from scipy import stats

    expected = torch.tensor([20.0, 30.0, 50.0, 3.0, 1.0, 2.0], dtype=torch.float64)
    counts = torch.tensor([25.0, 28.0, 47.0, 3.0, 2.0, 1.0], dtype=torch.float64)
    pooled = stats.chisquare([25, 28, 47, 6], [20, 30, 50, 6]).pvalue
    assert chi_square_p(counts, expected) == pytest.approx(pooled, rel=1e-9)
    impossible = torch.tensor([5.0, 0.0], dtype=torch.float64)
    assert chi_square_p(torch.tensor([4.0, 1.0], dtype=torch.float64), impossible) == 0


PLANTED = {
    SeedsItsStream: "`sample` seeds the stream that it is given",
    DrawsFromItsOwnStream: "`sample` draws from a stream of its own",
    SeedsTheRunsStream: "`fit` seeds a stream of the run, so that every seed is one",
    SeedsTorch: "`torch.manual_seed(0)` on the first line of `fit`",
    SeedsNumpyInSample: "`numpy.random.seed(0)` in `sample`",
    OwnClock: "draws from what no run seeds, such as the clock (RelGAN ignores its seed on real data)",
    SeedWithoutEffect: "asks for random numbers and does not use them",
    HalfTracked: "an optimizer's state is not given to `run.track`",
    DriftsAtTheEnd: "a running baseline is not tracked, and matters in the last step alone",
    Forgetful: "the model itself is not tracked (TextGAN-PyTorch saves it before the adversarial phase only)",
    EvaluationDependent: "training goes another way once it was evaluated",
    TrainsOnValid: "validation sequences are counted with those of training",
    Vandal: "writes into the training data",
    DropoutStaysOn: "scores differ from call to call: dropout is still on (the discriminator of TextGAN-PyTorch)",
    LooksAtTheBatch: "a score depends on the sequences beside it",
    WritesIntoWhatItScores: "scoring overwrites the tokens",
    WrongDensity: "the density is not that of the samples (a start token that training had and rollouts lack)",
    WrongSum: "probabilities do not sum to 1 (a wrong divisor)",
    AlwaysWarm: "temperature has no effect on samples",
    WritesOn: "tokens go on after the end of a sentence",
    NoPhase: "never loops over `run.phase`, so that no budget can end it (other arms get fewer epochs)",
    Exits: "`sys.exit(0)`",
}
"""What was seen in the field, in the words of the documentation."""


def test_the_documentation_lists_what_is_caught_by_which_check():
    page = (Path(__file__).parents[2] / "docs" / "files.md").read_text(encoding="utf-8")
    listed = dict(re.findall(r"^\| (.+?) +\| (.+?) +\|$", page.partition("| planted fault")[2], re.MULTILINE))
    wanted = {}
    for generator, words in PLANTED.items():
        first, *others = (title for name, title in TITLES.items() if name in BROKEN[generator])
        wanted[words] = f"{first}, and {len(others)} more" if others else first
    coin = "the coin of scheduled sampling never flips (released SeqGAN): a field without effect"
    wanted[coin] = f"{TITLES['check_fields']} (said, not failed)"
    wanted["a field, such as dropout, that is never passed on (Texygen)"] = wanted[coin]
    wanted["parameters come from torch's global stream"] = f"{TITLES['check_streams']} (said, not failed)"
    assert {key: value for key, value in listed.items() if not key.startswith("--")} == wanted, "\n".join(
        f"| {words} | {checks} |" for words, checks in wanted.items()
    )
