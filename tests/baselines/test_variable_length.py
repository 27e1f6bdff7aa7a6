"""Every generator of the package on sentences that end before T, with an end mark that is also the padding."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from scipy import stats

from baselines.pg_bleu import BleuReward, PGBleu
from baselines.scheduled_sampling import ScheduledSampling, mixed_inputs
from bench.api import Decoding, HasTokenLogProb, SequenceSpec, TrainingData
from bench.kernels.device_ngrams import DeviceCounts, sentence_bleu_on_device
from bench.plans.fields import build, configuration
from bench.plans.registry import available, find
from bench.runs.session import Session
from bench.tasks.toy import Toy
from seqgan.mle import MLE

NAMES = sorted(available("model"))
COPYISTS = {"replay", "repeat"}
WHOLE = {"residual-ebm"}
"""Models with a density of whole sentences alone, and an estimated one."""
TINY = SequenceSpec(4, 4, bos=4, eos=3, pad=3)
SPEC = SequenceSpec(12, 10, bos=12, eos=11, pad=11)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def ended(spec, tokens):
    """The sentences with the end mark after the end."""
    return tokens.masked_fill(~spec.mask(tokens), spec.pad)


def chain(spec, **fields):
    """Sequences of a Markov chain in which the last word of the vocabulary ends a sentence."""
    data = Toy(vocab_size=spec.vocab_size, seq_len=spec.seq_len, draw=3, **fields).load().training
    return TrainingData(spec, ended(spec, data.train), ended(spec, data.valid))


def every(spec):
    """Every sentence there is, int64 (M, T)."""
    tokens = torch.tensor(list(itertools.product(range(spec.vocab_size), repeat=spec.seq_len)))
    return tokens[(tokens == ended(spec, tokens)).all(-1)]


def train(name, data):
    plugin = find("model", name).load()
    run = Session("ends/0")
    return run.train(build(plugin, configuration(plugin, "smoke", {})), data), run


@pytest.fixture(scope="module")
def tiny():
    return chain(TINY, train_size=200, concentration=1.0)


@pytest.fixture(scope="module")
def fitted(tiny):
    """Each generator, trained once."""
    return {name: train(name, tiny) for name in NAMES}


def test_all_generators_of_the_package_are_registered():
    assert {"mle", "seqgan", "pg-bleu", "scheduled-sampling", "random", "bigram", "replay", "uniform"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_samples_are_sentences_and_the_cost_counts_their_words(name, fitted, tiny):
    model, run = fitted[name]
    tokens = model.sample(500, Decoding(0.8), generator())
    assert tokens.dtype == torch.int64
    assert torch.equal(tokens, ended(TINY, tokens))
    lengths = set(TINY.lengths(tokens).tolist())
    assert lengths == ({int(TINY.lengths(tokens)[0])} if name == "repeat" else set(range(5)))
    if name == "mle":
        assert run.cost.amounts["train_tokens"] == 2 * TINY.count(tiny.train) < 2 * tiny.train.numel()
    assert all(math.isfinite(value) for point in run.curve for value in point["scalars"].values())


@pytest.mark.parametrize("temperature", [1.0, 0.5])
@pytest.mark.parametrize("name", [name for name in NAMES if name not in WHOLE])
def test_the_density_is_that_of_the_samples(name, temperature, fitted):
    model, _ = fitted[name]
    sentences = every(TINY)
    if temperature == 1.0:
        log_prob = model.log_prob(sentences)
        summed = model.token_log_prob(sentences).sum(-1)
        torch.testing.assert_close(summed, log_prob)
    elif name in COPYISTS:
        pytest.skip("its temperature applies to complete sentences, not to words")
    else:
        assert isinstance(model, HasTokenLogProb)
        log_prob = model.token_log_prob(sentences, temperature).sum(-1)
    law = log_prob.double().exp()
    assert float(law.sum()) == pytest.approx(1, abs=1e-5)
    tokens = model.sample(20_000, Decoding(temperature), generator(1))
    powers = TINY.vocab_size ** torch.arange(TINY.seq_len)
    counts = torch.bincount((tokens * powers).sum(-1), minlength=TINY.vocab_size**TINY.seq_len)
    counts = counts[(sentences * powers).sum(-1)]
    assert int(counts.sum()) == len(tokens)
    expected = law * len(tokens)
    assert not counts[expected == 0].any()
    common = expected >= 5
    if common.sum() > 1:
        observed = [*counts[common].tolist(), int(counts[~common].sum())]
        wanted = [*expected[common].tolist(), max(float(expected[~common].sum()), 1e-9)]
        scale = sum(observed) / sum(wanted)
        assert stats.chisquare(observed, [value * scale for value in wanted]).pvalue > 1e-4


@pytest.mark.parametrize("name", NAMES)
def test_what_follows_the_end_has_no_probability(name, fitted):
    model, _ = fitted[name]
    density = model.log_prob if name in WHOLE else model.token_log_prob
    sentences = every(TINY)
    anything = torch.randint(4, sentences.shape, generator=generator(2))
    other = torch.where(TINY.mask(sentences), sentences, anything)
    assert not torch.equal(sentences, other)
    assert torch.equal(density(sentences), density(other))


@pytest.mark.parametrize("name", [name for name in NAMES if name not in COPYISTS])
def test_what_follows_the_end_teaches_nothing(name, fitted, tiny):
    anything = torch.randint(4, tiny.train.shape, generator=generator(2))
    other = torch.where(TINY.mask(tiny.train), tiny.train, anything)
    assert not torch.equal(tiny.train, other)
    model, _ = train(name, TrainingData(TINY, other, tiny.valid))
    tokens = [each.sample(200, Decoding(), generator()) for each in (fitted[name][0], model)]
    assert torch.equal(*tokens)
    sentences = every(TINY)
    assert torch.equal(fitted[name][0].log_prob(sentences), model.log_prob(sentences))


def test_uniform_ends_a_sentence_at_each_position_with_probability_one_in_v(fitted):
    tokens = fitted["uniform"][0].sample(20_000, Decoding(), generator())
    counts = torch.bincount(TINY.lengths(tokens), minlength=5).numpy()
    law = [0.25 * 0.75**length for length in range(4)] + [0.75**4]  # the last: no end within T
    assert stats.chisquare(counts, [share * 20_000 for share in law]).pvalue > 1e-3


def test_random_ends_a_sentence_with_the_frequency_of_the_end_mark(fitted, tiny):
    model, _ = fitted["random"]
    ends, words = int((tiny.train[TINY.mask(tiny.train)] == 3).sum()), TINY.count(tiny.train)
    assert float(model.log_probabilities[3].exp()) == pytest.approx((ends + 0.5) / (words + 4 * 0.5))


def test_bleu_counts_neither_end_nor_unknown_words():
    references = torch.tensor([[1, 2, 3, 4, 11, 11], [0, 0, 5, 11, 11, 11]])
    spec = SequenceSpec(12, 6, bos=12, eos=11, pad=11)
    reward = BleuReward(spec, references, 3, 0.1, unk=0)
    rows = torch.tensor(
        [
            [1, 2, 3, 4, 11, 11],  # a reference
            [1, 2, 3, 4, 11, 7],  # whatever follows the end
            [11, 11, 11, 11, 11, 11],  # no word at all
            [11, 1, 2, 3, 4, 11],  # no word before the end
            [0, 0, 11, 11, 11, 11],  # unknown words, which are also in a reference
            [0, 0, 5, 11, 11, 11],  # the same and a word
        ]
    )
    found = reward(rows)
    assert found[:5].tolist() == pytest.approx([1, 1, 0, 0, 0])
    assert float(found[5]) == pytest.approx((1 / 3 * 0.1 / 2 * 0.1 / 1) ** (1 / 3), rel=1e-5)


def test_bleu_on_a_device_agrees_at_every_length():
    data = chain(SPEC, train_size=300)
    hypotheses = chain(SPEC, train_size=600, concentration=0.5).train
    hypotheses[0] = SPEC.eos
    assert set(SPEC.lengths(hypotheses).tolist()) == set(range(11))
    reward = BleuReward(SPEC, data.train, 3, 0.1, unk=0)
    words, lengths = hypotheses.masked_fill(hypotheses == 0, -1), SPEC.lengths(hypotheses)
    twin = sentence_bleu_on_device(words, lengths, DeviceCounts.of(reward.references, torch.device("cpu")), (3,), 0.1)
    torch.testing.assert_close(reward(hypotheses), twin[0].float())
    assert bool(reward(hypotheses).isfinite().all())
    assert float(reward(hypotheses)[0]) == 0


def test_pg_bleu_raises_its_reward_without_giving_up_sentences():
    data = chain(SPEC, train_size=200)
    fields = {"pretrain_epochs": 3, "batch_size": 32}
    run = Session("ends/0")
    policy = run.train(PGBleu(**fields, rounds=15, rollouts=2), data)
    start = Session("ends/0").train(MLE(epochs=3, batch_size=32), data)
    reward = BleuReward(SPEC, data.train, 3, 0.1)
    samples = [model.sample(500, Decoding(), generator()) for model in (start, policy)]
    before, after = (float(reward(tokens).mean()) for tokens in samples)
    assert after > before + 0.1
    assert 1 < float(SPEC.lengths(samples[1]).double().mean()) < 10
    assert all(math.isfinite(value) for point in run.curve for value in point["scalars"].values())
    # Rollouts are counted only for prefixes that have not ended.
    assert 15 * 32 < run.cost.amounts["rollouts"] < 15 * 32 * (2 * 9 + 1)


def test_scheduled_sampling_draws_nothing_for_positions_after_the_end():
    data = chain(SPEC, train_size=500)
    model = Session("ends/0").train(ScheduledSampling(epochs=1), data)
    inputs, own = mixed_inputs(model, data.train, 0.0, generator())
    assert torch.equal(own, SPEC.mask(data.train)[:, 1:])
    assert torch.equal(inputs[:, 1:][~own], data.train[:, :-1][~own])
    assert 0.1 < float(own.double().mean()) < 0.9
    # What it reads before the end are its own words, including end marks.
    assert (inputs[:, 1:][own] != data.train[:, :-1][own]).double().mean() > 0.3
    assert (inputs[:, 1:][own] == SPEC.eos).any()
