"""A model at the temperature that validation data pick."""

import math

import pytest
import torch

from bench.api import Decoding, SequenceSpec
from bench.metrics.ranges import Impossible
from bench.runs.tempering import AtTemperature, best_temperature
from seqgan.lm import LSTMLanguageModel

SPEC = SequenceSpec(6, 4, bos=6)
GRID = (0.5, 1.0, 1.5, 2.0)


def rng():
    return torch.Generator().manual_seed(0)


@pytest.fixture
def model():
    return LSTMLanguageModel(SPEC, rng(), 4, 4, 2.0)


@pytest.fixture
def valid(model):
    """What the model itself writes at temperature 1.5."""
    return model.sample(2_000, Decoding(1.5), rng())


def pick(sampler, valid):
    return best_temperature(sampler, valid, SPEC, GRID, rng())


def test_the_temperature_is_that_of_the_data(model, valid):
    assert pick(model, valid) == 1.5
    assert pick(model, model.sample(2_000, Decoding(), rng())) == 1.0
    assert pick(AtTemperature(model, 3.0), valid) == 0.5


def test_scores_are_those_of_the_sampler_inside(model, valid):
    warm = AtTemperature(model, 1.5)
    assert torch.equal(warm.token_log_prob(valid), model.token_log_prob(valid, 1.5))
    assert torch.equal(warm.log_prob(valid), model.token_log_prob(valid, 1.5).sum(-1))
    assert torch.equal(warm.token_log_prob(valid, 0.5), model.token_log_prob(valid, 0.75))
    for decoding, inside in ((Decoding(), Decoding(1.5)), (Decoding(0.5, top_k=2), Decoding(0.75, top_k=2))):
        assert torch.equal(warm.sample(50, decoding, rng()), model.sample(50, inside, rng()))
    assert warm.sample(5, Decoding(1000.0), rng()).shape == (5, 4)


def test_what_the_density_is_said_to_be_stays(model):
    assert not hasattr(AtTemperature(model, 2.0), "density")
    model.density = "bound"
    assert AtTemperature(model, 2.0).density == "bound"


class Plain:
    """Has a density of complete sequences alone."""

    def sample(self, n, decoding, rng):
        return torch.zeros(n, 4, dtype=torch.long)

    def log_prob(self, tokens):
        return torch.zeros(len(tokens))


class NoTemperature(Plain):
    def token_log_prob(self, tokens):
        return torch.full(tokens.shape, -1.0)


class Undecodable(Plain):
    """Is the better the warmer, and cannot be sampled there."""

    def token_log_prob(self, tokens, temperature=1.0):
        return torch.full(tokens.shape, -1.0 / temperature)

    def sample(self, n, decoding, rng):
        if decoding.temperature != 1:
            raise RuntimeError("only as it is")
        return super().sample(n, decoding, rng)


class Certain(Undecodable):
    """Claims a probability above 1."""

    def token_log_prob(self, tokens, temperature=1.0):
        return torch.full(tokens.shape, 1.0 if temperature > 1 else -1.0)


class Nan(Undecodable):
    def token_log_prob(self, tokens, temperature=1.0):
        return torch.full(tokens.shape, -1.0 if temperature == 1 else math.nan)


@pytest.mark.parametrize("sampler", [Plain, NoTemperature, Undecodable, Nan])
def test_what_cannot_be_decoded_at_other_temperatures_stays_at_1(sampler, valid):
    assert pick(sampler(), valid) == 1.0


def test_what_cannot_be_true_is_no_temperature(valid):
    with pytest.raises(Impossible):
        pick(Certain(), valid)


def test_among_equals_it_is_1(valid):
    class Deaf(Plain):
        def token_log_prob(self, tokens, temperature=1.0):
            return torch.full(tokens.shape, -1.0)

    assert pick(Deaf(), valid) == 1.0
