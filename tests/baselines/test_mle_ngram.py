from __future__ import annotations

import itertools

import pytest
import torch
from scipy import stats

from baselines.bigram import BigramModel
from baselines.mle_ngram import MLENgram, NgramMixture, mixture_nll
from bench.api import Decoding, SequenceSpec, TrainingData
from bench.runs.session import Session
from bench.tasks.toy import Toy
from seqgan.lm import LSTMLanguageModel
from seqgan.mle import MLE

FIXED = SequenceSpec(4, 3, bos=0)  # the symbol at the start is also a word, as on the synthetic oracle
ENDED = SequenceSpec(4, 3, bos=4, eos=3, pad=3)
SPECS = [pytest.param(FIXED, id="fixed"), pytest.param(ENDED, id="eos")]
TRAIN = torch.tensor([[2, 3, 3], [2, 1, 0], [1, 1, 2], [0, 2, 3]])
SMALL = {"batch_size": 16, "hidden_dim": 16}
GRID = {"strengths": (1.0, 30.0, 300.0), "weights": (0.0, 0.25, 0.5, 0.75)}


def mixture(spec, weight=0.4):
    inner = LSTMLanguageModel(spec, torch.Generator().manual_seed(0), 4, 4, 1.0)
    model = NgramMixture(inner, tuple(BigramModel(spec, TRAIN, strength, 0.5) for strength in (50.0, 0.5)))
    model.weight.fill_(weight)
    model.choice.fill_(1)
    return model


def every(spec):
    sequences = torch.tensor(list(itertools.product(range(4), repeat=3)))
    return sequences if spec.eos is None else sequences[(spec.mask(sequences) | (sequences == spec.pad)).all(-1)]


@pytest.fixture(scope="module")
def data():
    """Words of a chain, each followed by a quarter of itself: pairs of words tell a part of what there is to know."""
    chain = Toy(train_size=64).load().training
    splits = [tokens.clone() for tokens in (chain.train, chain.valid)]
    for tokens in splits:
        tokens[:, 1::2] = tokens[:, ::2] // 4
    return TrainingData(chain.spec, *splits)


def naive(model, tokens, temperature):
    """Each word among all that might stand in its place: the mixed law to the power of 1 / temperature, normalised."""
    found = torch.zeros(tokens.shape, dtype=torch.float64)
    for t in range(tokens.shape[1]):
        law = torch.empty(len(tokens), 4, dtype=torch.float64)
        for word in range(4):
            replaced = tokens.clone()
            replaced[:, t] = word
            neural, counted = (part.token_log_prob(replaced)[:, t].double() for part in (model.model, model.bigrams))
            law[:, word] = (1 - float(model.weight)) * neural.exp() + float(model.weight) * counted.exp()
        law = law ** (1 / temperature)
        found[:, t] = (law / law.sum(-1, keepdim=True)).log().gather(1, tokens[:, t : t + 1])[:, 0]
    return found.masked_fill(~model.spec.mask(tokens), 0.0)


@pytest.mark.parametrize("temperature", [1.0, 0.5, 1.7])
@pytest.mark.parametrize("spec", SPECS)
def test_the_density_is_the_tempered_mixture(spec, temperature):
    model = mixture(spec)
    found = model.token_log_prob(every(spec), temperature)
    torch.testing.assert_close(found, naive(model, every(spec), temperature), rtol=1e-6, atol=1e-6)
    assert float(found.sum(-1).exp().sum()) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("decoding", [Decoding(), Decoding(0.5), Decoding(1.7)])
@pytest.mark.parametrize("spec", SPECS)
def test_samples_follow_the_density(spec, decoding):
    model = mixture(spec)
    law = model.token_log_prob(every(spec), decoding.temperature).sum(-1).exp()
    powers = torch.tensor([16, 4, 1])
    drawn = model.sample(20_000, decoding, torch.Generator().manual_seed(0))
    counts = torch.bincount((drawn * powers).sum(-1), minlength=64)[(every(spec) * powers).sum(-1)]
    assert int(counts.sum()) == 20_000
    common = law * 20_000 >= 5
    observed = [*counts[common].tolist(), int(counts[~common].sum())]
    wanted = [*(law[common] * 20_000).tolist(), float(law[~common].sum() * 20_000)]
    expected = torch.tensor(wanted, dtype=torch.float64)
    keep = expected > 0
    expected = expected[keep] * sum(observed) / float(expected.sum())
    assert stats.chisquare([o for o, k in zip(observed, keep, strict=True) if k], expected.numpy()).pvalue > 1e-3


def test_both_ways_to_draw_at_temperature_1_are_the_same_law():
    """A coin for each word, and the mixed distribution of all words."""
    model = mixture(FIXED)
    drawn = [model.sample(20_000, each, torch.Generator().manual_seed(0)) for each in (Decoding(), Decoding(top_k=4))]
    counts = [torch.bincount((each * torch.tensor([16, 4, 1])).sum(-1), minlength=64).numpy() + 1 for each in drawn]
    assert stats.chi2_contingency(counts).pvalue > 1e-3


def test_truncation_applies_to_the_mixture():
    model = mixture(FIXED)
    law = model.next_token_log_probs(torch.empty(1, 0, dtype=torch.long))[0].exp()
    drawn = model.sample(4_000, Decoding(top_k=2), torch.Generator().manual_seed(0))[:, 0]
    assert set(drawn.tolist()) == set(law.topk(2).indices.tolist())
    assert set(model.sample(50, Decoding(top_p=1e-6), torch.Generator().manual_seed(0))[:, 0].tolist()) == {
        int(law.argmax())
    }


@pytest.mark.parametrize("spec", SPECS)
def test_the_next_words_law_is_the_densitys(spec):
    model, tokens = mixture(spec), torch.randint(3, (20, 3), generator=torch.Generator().manual_seed(1))
    for k in range(3):
        law = model.next_token_log_probs(tokens[:, :k])
        assert law.shape == (20, 4)
        torch.testing.assert_close(law.exp().sum(-1), torch.ones(20, dtype=torch.float64))
        torch.testing.assert_close(law.gather(1, tokens[:, k : k + 1])[:, 0], model.token_log_prob(tokens)[:, k])


@pytest.mark.parametrize(("weight", "part"), [(0.0, "model"), (1.0, "bigrams")])
def test_with_all_the_weight_a_part_is_alone(weight, part):
    model = mixture(FIXED, weight)
    expected = getattr(model, part).token_log_prob(every(FIXED)).double()
    torch.testing.assert_close(model.token_log_prob(every(FIXED)), expected)
    torch.testing.assert_close(model.token_log_prob(every(FIXED), 1 + 1e-9), expected, rtol=1e-6, atol=1e-6)
    drawn = model.sample(20, Decoding(), torch.Generator().manual_seed(0))
    assert bool(model.token_log_prob(drawn).isfinite().all())


def test_it_is_mle_with_the_best_mixture_of_all(data):
    """Against a plain search over epochs, strengths and weights."""
    run = Session("ngram/0")
    model = run.train(MLENgram(**SMALL, epochs=4, lr=0.05, **GRID), data)
    found = {}
    for epochs in range(1, 5):
        trained = Session("ngram/0").train(MLE(**SMALL, epochs=epochs, lr=0.05), data)
        neural = trained.token_log_prob(data.valid).double().exp()
        for strength in GRID["strengths"]:
            counted = BigramModel(data.spec, data.train, strength, 0.5).token_log_prob(data.valid).exp()
            for weight in GRID["weights"]:
                law = (1 - weight) * neural + weight * counted
                found[epochs, strength, weight] = -float(law.log().mean())
    epochs, strength, weight = min(found, key=found.get)
    assert (model.bigrams.strength, float(model.weight)) == (strength, weight)
    assert 0 < weight < 0.75
    assert float(model.nll) == pytest.approx(found[epochs, strength, weight])
    assert -float(model.token_log_prob(data.valid).mean()) == pytest.approx(found[epochs, strength, weight])
    # What mixing gains over the best epoch alone.
    assert float(model.nll) < min(found[each, 30.0, 0.0] for each in range(1, 5)) - 0.005
    assert run.cost.amounts["selection_tokens"] == 4 * data.valid.numel()


def test_an_impossible_word_is_not_chosen():
    sure, none = torch.ones(3, dtype=torch.float64), torch.zeros(3, dtype=torch.float64)
    assert mixture_nll(none, sure, 0.0) == float("inf")
    assert mixture_nll(none, sure, 0.5) == pytest.approx(0.6931472)
