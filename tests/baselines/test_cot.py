"""Cooperative training: its loss against enumeration, its fixed point, and the contract."""

from __future__ import annotations

import copy
import itertools
import math

import pytest
import torch

from baselines.cot import CoT, Mediator, divergence, real_batch, reference_divergence, update_generator, update_mediator
from bench.api import Decoding, SequenceSpec, TrainingData
from bench.runs.session import Session
from bench.tasks.toy import Toy
from bench.testing import CHECKS, run_suite
from seqgan.lm import LSTMLanguageModel
from seqgan.mle import evenly, trainable

FIXED = SequenceSpec(3, 3, bos=3)
ENDED = SequenceSpec(3, 3, bos=3, eos=2, pad=2)
APART = SequenceSpec(4, 3, bos=4, eos=1, pad=0)
SPECS = [
    pytest.param(FIXED, id="fixed"),
    pytest.param(ENDED, id="eos is pad"),
    pytest.param(APART, id="pad is a word"),
]
SMALL = {"rounds": 30, "round_steps": 10, "batch_size": 32, "lr": 5e-3, "mediator_lr": 1e-2}


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def language_model(spec, seed=0, kind=LSTMLanguageModel, std=1.5):
    return kind(spec, generator(seed), 5, 6, std)


def every(spec):
    tokens = torch.tensor(list(itertools.product(range(spec.vocab_size), repeat=spec.seq_len)))
    return tokens if spec.eos is None else tokens[(spec.mask(tokens) | (tokens == spec.pad)).all(-1)]


def whole_law(laws, tokens, mask):
    """Probability of each sequence from the laws of its words, (N, T, V)."""
    return laws.gather(-1, tokens[..., None])[..., 0].where(mask, torch.ones(())).prod(-1)


def exact_laws(weights, tokens, vocab):
    """Next-word laws, (N, T, V), of a distribution over sequences that is known: sums over what has the prefix."""
    laws = torch.zeros(*tokens.shape, vocab, dtype=weights.dtype)
    for row, t in itertools.product(range(len(tokens)), range(tokens.shape[1])):
        same = (tokens[:, :t] == tokens[row, :t]).all(-1)
        laws[row, t].index_add_(0, tokens[same, t], weights[same])
    return laws / laws.sum(-1, keepdim=True)


@pytest.mark.parametrize("spec", SPECS)
def test_the_loss_is_the_divergence_of_each_law_written_out(spec):
    model, mediator = language_model(spec), language_model(spec, 1, Mediator)
    tokens = model.sample(20, Decoding(), generator(2))
    found = reference_divergence(model(model.shift(tokens)), mediator.log_laws(tokens), spec.mask(tokens)).detach()
    for row, t in itertools.product(range(20), range(spec.seq_len)):
        g, m = (each.next_token_log_probs(tokens[row : row + 1, :t])[0].tolist() for each in (model, mediator))
        expected = sum(math.exp(a) * (a - b) for a, b in zip(g, m, strict=True)) if spec.mask(tokens)[row, t] else 0.0
        assert float(found[row, t]) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("spec", SPECS)
def test_its_expected_value_is_the_divergence_of_whole_sequences(spec):
    """The chain rule: sum over sequences of G log(G / M), by enumeration."""
    model, mediator, tokens = language_model(spec), language_model(spec, 1, Mediator), every(spec)
    apart = reference_divergence(model(model.shift(tokens)).detach(), mediator.log_laws(tokens), spec.mask(tokens))
    log_g, log_m = (each.log_prob(tokens).double() for each in (model, mediator))
    assert float((log_g.exp() * apart.double().sum(-1)).sum()) == pytest.approx(
        float((log_g.exp() * (log_g - log_m)).sum()), rel=1e-5
    )


def test_with_the_exact_mixture_its_gradient_is_twice_that_of_the_jensen_shannon_reference_divergence():
    """One word: no prefix distribution to leave out, so that the two gradients are parallel."""
    logits = torch.randn(5, generator=generator(0), dtype=torch.float64).requires_grad_()
    data = torch.rand(5, generator=generator(1), dtype=torch.float64)
    data /= data.sum()
    law = logits.softmax(0)
    mixture = (data + law) / 2
    jensen_shannon = (data * (data / mixture).log()).sum() / 2 + (law * (law / mixture).log()).sum() / 2
    [exact] = torch.autograd.grad(jensen_shannon, logits, retain_graph=True)
    apart = reference_divergence(
        logits[None, None], mixture.log()[None, None], torch.ones(1, 1, dtype=torch.bool)
    ).sum()
    [found] = torch.autograd.grad(apart, logits)
    torch.testing.assert_close(found, 2 * exact)
    with torch.no_grad():  # softmax: G(v) (log G(v) / M(v) - KL)
        ratio = (law / mixture).log()
        torch.testing.assert_close(found, law * (ratio - (law * ratio).sum()))


@pytest.mark.parametrize("rows", [0, 1, 64, 150])
def test_a_few_rows_at_a_time_give_the_same_sum_and_gradient(rows):
    rng = generator()
    hidden, weight, bias = (torch.randn(*shape, generator=rng).requires_grad_() for shape in ((rows, 5), (7, 5), (7,)))
    log_mediator = torch.randn(rows, 7, generator=rng).log_softmax(-1)
    mask = torch.ones(rows, 1, dtype=torch.bool)
    plain = reference_divergence((hidden @ weight.t() + bias)[:, None], log_mediator[:, None], mask)[:, 0]
    total, apart = divergence(hidden, weight, bias, log_mediator)
    torch.testing.assert_close(apart, plain.detach(), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(total, plain.sum(), rtol=1e-4, atol=1e-5)
    wanted = torch.autograd.grad(2 * plain.sum(), (hidden, weight, bias))
    found = torch.autograd.grad(2 * total, (hidden, weight, bias))
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("spec", SPECS)
def test_a_step_follows_the_enumerated_gradient_and_leaves_the_mediator_alone(spec):
    """Prefixes are constants: the gradient is the mean over prefixes of the gradient of each law's divergence."""
    model, mediator = language_model(spec), language_model(spec, 1, Mediator)
    tokens, before = model.sample(40, Decoding(), generator(2)), copy.deepcopy(mediator.state_dict())
    total = torch.zeros(())
    for row, t in itertools.product(range(40), range(spec.seq_len)):
        if spec.mask(tokens)[row, t]:
            inputs = torch.cat([torch.tensor([spec.bos]), tokens[row, :t]])[None]
            g = torch.log_softmax(model(inputs)[0, -1], -1)
            m = mediator.next_token_log_probs(tokens[row : row + 1, :t])[0]
            total = total + (g.exp() * (g - m)).sum()
    expected = torch.autograd.grad(total, trainable(model))
    start = [parameter.detach().clone() for parameter in trainable(model)]
    apart = update_generator(model, torch.optim.SGD(trainable(model), 0.5), tokens, mediator.log_laws(tokens))
    assert float(apart.sum()) == pytest.approx(float(total.detach()), rel=1e-4)
    for parameter, old, gradient in zip(trainable(model), start, expected, strict=True):
        torch.testing.assert_close(parameter.detach(), old - 0.5 * gradient, rtol=1e-3, atol=1e-4)
    assert all(parameter.grad is None for parameter in mediator.parameters())
    assert all(torch.equal(value, before[name]) for name, value in mediator.state_dict().items())


@pytest.mark.parametrize("spec", SPECS)
def test_what_follows_the_end_has_no_gradient(spec):
    model, mediator = language_model(spec), language_model(spec, 1, Mediator)
    tokens = model.sample(40, Decoding(), generator(2))
    logits = model(model.shift(tokens)).detach().requires_grad_()
    reference_divergence(logits, mediator.log_laws(tokens), spec.mask(tokens)).sum().backward()
    assert not logits.grad[~spec.mask(tokens)].any()
    assert bool(logits.grad[spec.mask(tokens)].any(-1).all())


@pytest.mark.parametrize("spec", [SPECS[0], SPECS[1]])
def test_with_the_exact_mixture_the_fixed_point_is_the_data(spec):
    """A mediator that is exact at every step, by enumeration: the generator ends at the data's distribution."""
    tokens, model = every(spec), language_model(spec, std=0.5)
    mask = spec.mask(tokens)
    data = torch.rand(len(tokens), generator=generator(3), dtype=torch.float64) ** 2 + 0.02
    data /= data.sum()
    optimizer = torch.optim.Adam(trainable(model), 0.02)
    distances = []
    for _ in range(250):
        logits = model(model.shift(tokens))
        drawn = whole_law(logits.detach().double().softmax(-1), tokens, mask)
        distances.append(float((drawn - data).abs().sum()) / 2)
        mixture = exact_laws((data + drawn) / 2, tokens, spec.vocab_size)
        apart = reference_divergence(logits, mixture.clamp(min=1e-30).log().float(), mask).sum(-1)
        optimizer.zero_grad()
        (drawn.float() * apart).sum().backward()
        optimizer.step()
    assert distances[0] > 0.2
    assert distances[-1] < 0.01


@pytest.mark.parametrize("spec", SPECS)
def test_the_mediator_learns_the_likelihood_of_the_mixture(spec):
    model = language_model(spec, 1, Mediator)
    tokens = language_model(spec).sample(30, Decoding(), generator())
    nll, _ = model.weighted_nll(tokens, evenly(spec, tokens))
    expected = torch.autograd.grad(nll, trainable(model))
    start = [parameter.detach().clone() for parameter in trainable(model)]
    log_prob = update_mediator(model, torch.optim.SGD(trainable(model), 0.5), tokens, 0.0, generator())
    assert -float(log_prob.sum()) / spec.count(tokens) == pytest.approx(float(nll.detach()), rel=1e-5)
    for parameter, old, gradient in zip(trainable(model), start, expected, strict=True):
        torch.testing.assert_close(parameter.detach(), old - 0.5 * gradient, rtol=1e-4, atol=1e-5)


def test_dropout_keeps_the_mean_is_drawn_from_its_stream_and_is_off_when_it_teaches():
    model = language_model(FIXED, 1, Mediator)
    tokens = torch.zeros(2_000, 3, dtype=torch.long)
    survivors = model.survivors(tokens, 0.3, generator())
    assert sorted(set(survivors.flatten().tolist())) == pytest.approx([0.0, 1 / 0.7])
    assert float(survivors.mean()) == pytest.approx(1, abs=0.02)
    assert torch.equal(survivors, model.survivors(tokens, 0.3, generator()))
    assert not torch.equal(survivors, model.survivors(tokens, 0.3, generator(1)))
    assert torch.equal(model.log_laws(tokens[:2]), model.log_laws(tokens[:2]))
    weights = evenly(FIXED, tokens)
    hidden, _ = model.lstm(model.embedding(model.shift(tokens)))
    logits = model.output(hidden * survivors)
    expected = torch.nn.functional.cross_entropy(logits.flatten(0, 1), tokens.flatten())
    torch.testing.assert_close(model.dropped_nll(tokens, weights, survivors)[0], expected)


def test_the_training_set_is_read_in_its_order_again_and_again():
    train = torch.arange(10)[:, None]
    assert [real_batch(train, step, 4)[:, 0].tolist() for step in range(3)] == [
        [0, 1, 2, 3],
        [4, 5, 6, 7],
        [8, 9, 0, 1],
    ]
    assert real_batch(train, 0, 12)[:, 0].tolist() == [*range(10), 0, 1]


def test_defaults_are_those_of_the_released_code():
    model = CoT()
    assert model.rounds * model.round_steps == 200_000
    assert (model.lr, model.mediator_lr, model.beta1, model.beta2) == (1e-3, 3e-3, 0.9, 0.95)
    assert (model.embedding_dim, model.hidden_dim) == (32, 32)
    assert (model.mediator_embedding_dim, model.mediator_hidden_dim, model.mediator_dropout) == (64, 64, 0.5)


@pytest.fixture(scope="module")
def trained():
    toy = Toy(train_size=400).load()
    run = Session("cot/0")
    return run.train(CoT(**SMALL), toy.training), run, toy


def test_it_learns_the_toy_task(trained):
    model, run, toy = trained
    start = LSTMLanguageModel(toy.training.spec, Session("cot/0").rng("init"))
    truth = -float(toy.oracle.log_prob(toy.test).mean())
    before, after = (-float(each.log_prob(toy.test).mean()) for each in (start, model))
    assert after - truth < 0.3 * (before - truth)
    written = [-float(toy.oracle.log_prob(each.sample(500, Decoding(), generator())).mean()) for each in (start, model)]
    assert written[1] - truth < 0.3 * (written[0] - truth)
    assert {"divergence", "mediator_nll"} <= run.curve[-1]["scalars"].keys()


def test_everything_is_counted(trained):
    _, run, _ = trained
    words = 30 * 10 * 32 * 8
    assert run.cost.amounts == {
        "train_tokens": words,
        "sampled_tokens": 2 * words,
        "reward_tokens": words,
        "mediator_tokens": 2 * words,
        "updates": 2 * 30 * 10,
    }


def test_a_budget_ends_it_within_a_round():
    toy = Toy(train_size=100).load().training
    run = Session("cot/0", budget={"updates": 7})
    run.train(CoT(**SMALL), toy)
    assert run.cost.amounts["updates"] in (7, 8)


def test_sentences_that_end(trained):
    spec = SequenceSpec(12, 10, bos=12, eos=11, pad=11)
    train = Toy(vocab_size=12, seq_len=10, draw=3, train_size=300).load().training.train
    tokens = train.masked_fill(~spec.mask(train), spec.pad)
    junk = torch.where(spec.mask(train), train, torch.randint(11, train.shape, generator=generator(5)))
    assert not torch.equal(tokens, junk)
    runs = [Session("ends/0") for _ in range(2)]
    models = [
        run.train(CoT(**{**SMALL, "rounds": 12}), TrainingData(spec, each, each[:50]))
        for run, each in zip(runs, (tokens, junk), strict=True)
    ]
    drawn = [model.sample(500, Decoding(), generator()) for model in models]
    assert torch.equal(*drawn)  # what follows the end teaches nothing
    assert torch.equal(drawn[0], drawn[0].masked_fill(~spec.mask(drawn[0]), spec.pad))
    lengths = [float(spec.lengths(each).double().mean()) for each in (drawn[0], tokens)]
    assert lengths[0] == pytest.approx(lengths[1], rel=0.3)
    assert runs[0].cost.amounts["train_tokens"] < 12 * 10 * 32 * 10


def test_it_keeps_the_contract():
    outcomes = list(run_suite(CoT))
    assert len(outcomes) == len(CHECKS)
    assert [outcome for outcome in outcomes if outcome.status != "ok"] == []
