from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from scipy import stats

from baselines.bigram import COLD, Bigram, BigramModel
from bench.api import LEAST_TEMPERATURE, Decoding, SequenceSpec, TrainingData
from bench.kernels.ngram_model import NgramModel
from bench.runs.session import Session

FIXED = SequenceSpec(4, 3, bos=4)
ENDED = SequenceSpec(4, 3, bos=4, eos=1, pad=0)
ENDED_BY_PAD = SequenceSpec(4, 3, bos=4, eos=3, pad=3)
SPECS = [pytest.param(FIXED, id="fixed"), pytest.param(ENDED, id="eos"), pytest.param(ENDED_BY_PAD, id="eos is pad")]
TRAIN = torch.tensor([[2, 3, 3], [2, 1, 0], [3, 3, 2], [0, 2, 3]])


def every(spec):
    sequences = torch.tensor(list(itertools.product(range(4), repeat=3)))
    return sequences if spec.eos is None else sequences[(spec.mask(sequences) | (sequences == spec.pad)).all(-1)]


@pytest.mark.parametrize("spec", SPECS)
def test_it_agrees_with_the_judges_bigram_model(spec):
    model = BigramModel(spec, TRAIN, 3.0, 0.5)
    plain = NgramModel.fit(TRAIN.numpy(), spec.mask(TRAIN).numpy(), 4, 0.5, (3.0,))
    expected = plain.token_log_prob(every(spec).numpy(), spec.mask(every(spec)).numpy())
    np.testing.assert_allclose(model.token_log_prob(every(spec)).numpy(), expected, rtol=1e-12)


@pytest.mark.parametrize("temperature", [1.0, 0.5, 2.0])
@pytest.mark.parametrize("spec", SPECS)
def test_samples_follow_the_density_at_each_temperature(spec, temperature):
    model = BigramModel(spec, TRAIN, 1.0, 0.5)
    law = model.token_log_prob(every(spec), temperature).sum(-1).exp()
    assert float(law.sum()) == pytest.approx(1)
    powers = torch.tensor([16, 4, 1])
    drawn = model.sample(20_000, Decoding(temperature), torch.Generator().manual_seed(0))
    counts = torch.bincount((drawn * powers).sum(-1), minlength=64)[(every(spec) * powers).sum(-1)]
    assert int(counts.sum()) == 20_000
    common = law * 20_000 >= 5
    observed = [*counts[common].tolist(), int(counts[~common].sum())]
    expected = [*(law[common] * 20_000).tolist(), float(law[~common].sum() * 20_000)]
    if expected[-1] == 0:
        observed, expected = observed[:-1], expected[:-1]
    assert stats.chisquare(observed, np.array(expected) * sum(observed) / sum(expected)).pvalue > 1e-3


@pytest.mark.parametrize("temperature", [LEAST_TEMPERATURE, 0.01, COLD / 2])
def test_a_cold_model_draws_the_likeliest_words(temperature):
    """No law of 5,000 words has a probability whose power of 1 / temperature is above 0."""
    spec = SequenceSpec(5_000, 4, bos=5_000)
    model = BigramModel(spec, torch.tensor([[1, 2, 3, 4]] * 20 + [[4, 3, 2, 1]] * 10), 30_000.0, 1_000.0)
    drawn = model.sample(50, Decoding(temperature), torch.Generator().manual_seed(0))
    likeliest = model.sample(1, Decoding(top_k=1), torch.Generator().manual_seed(0))
    mostly = (drawn == likeliest).float().mean()
    assert float(mostly) == (1.0 if temperature < 0.02 else pytest.approx(1, abs=0.999))
    log_prob = model.token_log_prob(drawn, temperature)
    assert bool((log_prob > -20).all())
    just_above = model.token_log_prob(drawn, COLD * (1 + 1e-12))
    torch.testing.assert_close(model.token_log_prob(drawn, COLD * (1 - 1e-12)), just_above)


def test_the_density_of_a_large_batch_is_that_of_a_small_one():
    """As many events as a real test set has: scipy indexes these in a different way than a few."""
    tokens = torch.randint(0, 50, (3_000, 20), generator=torch.Generator().manual_seed(0))
    model = BigramModel(SequenceSpec(50, 20, bos=50), tokens, 3.0, 0.5)
    exact = model.token_log_prob(tokens[:40])
    torch.testing.assert_close(model.token_log_prob(tokens)[:40], exact)
    torch.testing.assert_close(model.token_log_prob(tokens[:40], 1.0 + 1e-12), exact)


@pytest.mark.parametrize(("decoding", "allowed"), [(Decoding(top_k=1), 1), (Decoding(top_p=0.01), 1), (Decoding(), 4)])
def test_truncation(decoding, allowed):
    drawn = BigramModel(FIXED, TRAIN, 1.0, 0.5).sample(500, decoding, torch.Generator().manual_seed(0))
    assert len(drawn[:, 0].unique()) == allowed


def test_the_nucleus_holds_the_most_probable_words():
    model = BigramModel(FIXED, TRAIN, 1.0, 0.5)
    first = model.token_log_prob(torch.arange(4)[:, None].expand(4, 3))[:, 0].exp()
    ordered, order = first.sort(descending=True)
    drawn = model.sample(4_000, Decoding(top_p=float(ordered[:2].sum()) - 1e-6), torch.Generator().manual_seed(0))
    counts = torch.bincount(drawn[:, 0], minlength=4)[order]
    assert counts[2:].tolist() == [0, 0]
    assert stats.chisquare(counts[:2].numpy(), (ordered[:2] / ordered[:2].sum() * 4_000).numpy()).pvalue > 1e-3
    likeliest = model.sample(20, Decoding(top_k=1), torch.Generator().manual_seed(0))
    assert torch.equal(model.sample(20, Decoding(top_p=1e-300), torch.Generator().manual_seed(0)), likeliest)


def test_the_smoothing_is_the_one_with_the_lowest_validation_nll():
    rng = torch.Generator().manual_seed(0)
    train, valid = (torch.randint(0, 30, (60, 5), generator=rng) for _ in range(2))
    spec = SequenceSpec(30, 5, bos=30)
    data = TrainingData(spec, train, valid)
    strengths = (0.01, 1.0, 1_000.0)
    run = Session("bigram/0")
    chosen = run.train(Bigram(strengths), data)
    losses = [row["scalars"]["loss"] for row in run.curve]
    assert chosen.strength == strengths[losses.index(min(losses))] == 1_000.0  # there is nothing to learn here
    assert losses[2] == pytest.approx(-float(chosen.log_prob(valid).mean()) / 5)


def test_without_a_budget_for_a_single_step_it_knows_nothing():
    model = Session("bigram/0", budget={"steps": 0}).train(Bigram(), TrainingData(FIXED, TRAIN, TRAIN))
    assert float(model.log_prob(TRAIN).exp()[0]) == pytest.approx(1 / 64)


@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_no_sequences_have_no_log_probabilities(temperature):
    model = BigramModel(FIXED, TRAIN, 3.0, 0.5)
    assert model.token_log_prob(TRAIN[:0], temperature).shape == (0, 3)
