from __future__ import annotations

import itertools
import math

import pytest
import torch
from scipy import stats

from baselines.random_tokens import IndependentTokens, Uniform, Unigram
from bench.api import Decoding, SequenceSpec, TrainingData
from bench.runs.session import Session

FIXED = SequenceSpec(4, 3, bos=4)
ENDED = SequenceSpec(4, 3, bos=4, eos=1, pad=0)
ENDED_BY_PAD = SequenceSpec(4, 3, bos=4, eos=3, pad=3)
TRAIN = torch.tensor([[2, 3, 3], [2, 1, 0], [3, 3, 2]])


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def fit(algorithm, spec=FIXED, train=TRAIN):
    return Session("random/0").train(algorithm, TrainingData(spec, train, train))


@pytest.mark.parametrize(
    ("spec", "counts"),
    [
        pytest.param(FIXED, [1, 1, 3, 4], id="fixed"),
        pytest.param(ENDED, [0, 1, 3, 4], id="eos"),  # the end mark counts, the padding does not
    ],
)
@pytest.mark.parametrize("add", [0.5, 2.0])
def test_unigram_counts(spec, counts, add):
    total = sum(counts) + 4 * add
    expected = torch.tensor([(count + add) / total for count in counts], dtype=torch.float64)
    torch.testing.assert_close(fit(Unigram(add), spec).log_probabilities.exp(), expected)


def test_unigram_trains_in_one_counted_step():
    run = Session("random/0")
    run.train(Unigram(), TrainingData(ENDED, TRAIN, TRAIN))
    assert run.steps == 1
    assert run.cost.amounts == {"train_tokens": 8}


@pytest.mark.parametrize("algorithm", [Unigram(), Uniform()], ids=["unigram", "uniform"])
@pytest.mark.parametrize("spec", [FIXED, ENDED, ENDED_BY_PAD], ids=["fixed", "eos", "eos is pad"])
def test_log_prob_is_the_density_that_sample_draws_from(spec, algorithm):
    sampler = fit(algorithm, spec)
    sequences = torch.tensor(list(itertools.product(range(4), repeat=3)))
    if spec.eos is not None:
        sequences = sequences[(spec.mask(sequences) | (sequences == spec.pad)).all(-1)]
    probabilities = sampler.log_prob(sequences).double().exp()
    assert float(probabilities.sum()) == pytest.approx(1, abs=1e-9)
    powers = torch.tensor([16, 4, 1])
    tokens = sampler.sample(40_000, Decoding(), generator(1))
    assert tokens.dtype == torch.int64
    counts = torch.bincount((tokens * powers).sum(-1), minlength=64)[(sequences * powers).sum(-1)]
    assert int(counts.sum()) == 40_000
    assert stats.chisquare(counts.numpy(), (probabilities * 40_000).numpy()).pvalue > 1e-3


def test_log_prob_by_hand():
    probabilities = torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64)
    tokens = torch.tensor([[3, 2, 3], [2, 1, 0]])
    fixed = IndependentTokens(FIXED, probabilities).log_prob(tokens).tolist()
    assert fixed == pytest.approx([math.log(0.4 * 0.3 * 0.4), math.log(0.3 * 0.2 * 0.1)])
    ended = IndependentTokens(ENDED, probabilities).log_prob(tokens).tolist()
    assert ended == pytest.approx([math.log(0.4 * 0.3 * 0.4), math.log(0.3 * 0.2)])


def test_uniform_is_log_v_per_token():
    spec = SequenceSpec(5_000, 20, bos=0)
    tokens = torch.zeros(3, 20, dtype=torch.long)
    assert fit(Uniform(), spec, tokens).log_prob(tokens).tolist() == pytest.approx([-20 * math.log(5_000)] * 3)


@pytest.mark.parametrize(
    ("decoding", "expected"),
    [
        (Decoding(0.5), [1 / 30, 4 / 30, 9 / 30, 16 / 30]),
        (Decoding(top_k=2), [0, 0, 3 / 7, 4 / 7]),
        (Decoding(top_p=0.6), [0, 0, 3 / 7, 4 / 7]),
        (Decoding(top_p=0.3), [0, 0, 0, 1]),
        (Decoding(0.5, 3, 0.6), [0, 0, 9 / 25, 16 / 25]),
    ],
)
def test_decoding(decoding, expected):
    sampler = IndependentTokens(FIXED, torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64))
    counts = torch.bincount(sampler.sample(10_000, decoding, generator()).flatten(), minlength=4)
    possible = torch.tensor(expected) > 0
    assert not counts[~possible].any()
    if possible.sum() > 1:
        wanted = torch.tensor(expected, dtype=torch.float64)[possible] * 30_000
        assert stats.chisquare(counts[possible].numpy(), wanted.numpy()).pvalue > 1e-3


def test_only_the_given_generator_is_used():
    sampler = fit(Unigram())
    before = torch.random.get_rng_state()
    first, again, other = (sampler.sample(50, Decoding(), generator(seed)) for seed in (0, 0, 1))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert sampler.sample(0, Decoding(), generator()).shape == (0, 3)


def test_without_smoothing_a_padded_sequence_still_has_a_probability():
    sampler = fit(Unigram(add=0.0), ENDED)
    assert sampler.log_prob(torch.tensor([[2, 1, 0]])).tolist() == pytest.approx([math.log(3 / 8 * 1 / 8)])
