from __future__ import annotations

import math

import pytest
import torch

from bench.api import Decoding, SequenceSpec
from bench.runs.session import Session
from bench.tasks.toy import Toy
from seqgan.lm import SCORING_ROWS, LSTMLanguageModel
from seqgan.mle import MLE, trainable

FIXED = SequenceSpec(3, 3, bos=3)
WORD_AS_BOS = SequenceSpec(3, 3, bos=0)
ENDED = SequenceSpec(4, 4, bos=4, eos=1, pad=0)
ENDED_BY_PAD = SequenceSpec(4, 4, bos=4, eos=3, pad=3)
SPECS = [
    pytest.param(FIXED, id="fixed"),
    pytest.param(WORD_AS_BOS, id="bos=0"),
    pytest.param(ENDED, id="eos"),
    pytest.param(ENDED_BY_PAD, id="eos is pad"),
]


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_size_is_the_released_codes():
    model = LSTMLanguageModel(SequenceSpec(5_000, 20, bos=0), generator())
    assert sum(parameter.numel() for parameter in trainable(model)) == 333_320


def test_initial_parameters_are_normal_biases_included():
    model = LSTMLanguageModel(SequenceSpec(5_000, 20, bos=0), generator())
    for parameter in (parameter.detach() for parameter in trainable(model)):
        assert abs(float(parameter.mean())) < 5 * 0.1 / parameter.numel() ** 0.5
        assert float(parameter.std()) == pytest.approx(0.1, rel=0.25 if parameter.numel() < 1_000 else 0.05)
    wide = LSTMLanguageModel(SequenceSpec(50, 20, bos=0), generator(), 16, 24, init_std=0.5)
    assert wide.embedding.weight.shape == (50, 16)
    assert wide.output.weight.shape == (50, 24)
    assert float(wide.output.weight.detach().std()) == pytest.approx(0.5, rel=0.1)


def test_a_gate_has_one_bias():
    task = Toy(train_size=64).load()
    model = MLE(epochs=2).fit(task.training, Session("lm/0"))
    assert not model.lstm.all_weights[0][3].any()


@pytest.mark.parametrize("spec", SPECS)
def test_probabilities_of_all_sequences_sum_to_one(spec, make_policy, all_sequences):
    probabilities = make_policy(spec).log_prob(all_sequences(spec)).double().exp()
    assert float(probabilities.sum()) == pytest.approx(1, abs=1e-5)
    assert float(probabilities.max()) > 3 / len(probabilities)  # not flat: tests can distinguish distributions


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("seed", [0, 1])
def test_log_prob_is_the_density_that_sample_draws_from(spec, seed, make_policy, all_sequences, goodness_of_fit):
    model, sequences = make_policy(spec, seed), all_sequences(spec)
    tokens = model.sample(30_000, Decoding(), generator(1))
    assert tokens.dtype == torch.int64
    powers = torch.tensor([spec.vocab_size**t for t in range(spec.seq_len)])
    counts = torch.bincount((tokens * powers).sum(-1), minlength=spec.vocab_size**spec.seq_len)
    codes = (sequences * powers).sum(-1)
    assert int(counts[codes].sum()) == len(tokens)
    assert goodness_of_fit(counts[codes], model.log_prob(sequences).exp()) > 1e-3


def test_log_prob_is_the_sum_of_the_log_softmax_of_every_step(make_policy):
    model = make_policy(FIXED)
    tokens = model.sample(SCORING_ROWS + 3, Decoding(), generator())
    log_prob = model.log_prob(tokens)
    assert log_prob.shape == (SCORING_ROWS + 3,)
    assert not log_prob.requires_grad
    for row in (0, SCORING_ROWS - 1, SCORING_ROWS, SCORING_ROWS + 2):
        state, read, total = model.initial_state(1), torch.tensor([FIXED.bos]), 0.0
        for token in tokens[row]:
            state = model.read(read, state)
            logits = (model.output.weight @ state[0][0] + model.output.bias).tolist()
            total += logits[token] - math.log(sum(map(math.exp, logits)))
            read = token[None]
        assert float(log_prob[row]) == pytest.approx(total, abs=1e-5)


@pytest.mark.parametrize("spec", SPECS)
def test_reading_step_by_step_is_forward(spec, make_policy):
    model = make_policy(spec)
    inputs = model.shift(model.sample(20, Decoding(), generator()))
    whole = model(inputs)  # (B, T, V)
    assert whole.shape == (20, spec.seq_len, spec.vocab_size)
    state = model.initial_state(20)
    for t in range(spec.seq_len):
        state = model.read(inputs[:, t], state)
        torch.testing.assert_close(model.output(state[0]), whole[:, t], atol=1e-5, rtol=1e-5)


def test_forward_is_the_lstm_of_the_paper(make_lstm):
    model = make_lstm(FIXED)
    w, u, b, _ = (weights.detach().double() for weights in model.lstm.all_weights[0])
    hidden = cell = torch.zeros(6, dtype=torch.double)
    for token in (3, 0, 2):
        gates = w @ model.embedding.weight[token].double() + u @ hidden + b
        i, f, c, o = gates.chunk(4)
        cell = torch.sigmoid(f) * cell + torch.sigmoid(i) * torch.tanh(c)
        hidden = torch.sigmoid(o) * torch.tanh(cell)
    logits = model.output.weight.double() @ hidden + model.output.bias.double()
    torch.testing.assert_close(model(torch.tensor([[3, 0, 2]]))[0, -1].double(), logits, atol=1e-5, rtol=1e-5)


def test_the_start_token_is_read_first(make_policy):
    assert make_policy(FIXED).shift(torch.tensor([[0, 1, 2]])).tolist() == [[3, 0, 1]]
    assert make_policy(WORD_AS_BOS).shift(torch.tensor([[2, 1, 2]])).tolist() == [[0, 2, 1]]


def test_a_start_symbol_that_is_not_a_word_is_read_and_never_written(make_policy):
    model = make_policy(FIXED)
    assert model.embedding.weight.shape[0] == 4
    assert model.output.weight.shape[0] == 3
    assert make_policy(WORD_AS_BOS).embedding.weight.shape[0] == 3
    assert int(model.sample(2_000, Decoding(), generator()).max()) == 2
    # It is read: another embedding of it gives another distribution of the first word.
    tokens = torch.tensor([[0, 1, 2]])
    before = model.token_log_prob(tokens)[0, 0].item()
    with torch.no_grad():
        model.embedding.weight[3] += 1
    assert abs(model.token_log_prob(tokens)[0, 0].item() - before) > 1e-3


def test_every_word_that_is_read_learns(make_policy):
    # padding_idx=0 would freeze an ordinary word (and the released start token).
    model = make_policy(WORD_AS_BOS)
    model.weighted_nll(torch.tensor([[0, 1, 2], [1, 2, 0]]), torch.ones(2, 3))[0].backward()
    assert model.embedding.weight.grad.abs().sum(-1).gt(0).all()


@pytest.mark.parametrize("spec", SPECS)
def test_states_are_those_that_the_tokens_were_drawn_from(spec, make_policy):
    model = make_policy(spec)
    tokens, states = model.sample_with_states(30, generator())
    assert len(states) == spec.seq_len
    inputs = model.shift(tokens)
    for t, kept in enumerate(states):
        state = model.initial_state(30)
        for s in range(t + 1):
            state = model.read(inputs[:, s], state)
        for part, other in zip(kept, state, strict=True):
            torch.testing.assert_close(part, other)
        torch.testing.assert_close(model.output(kept[0]), model(inputs)[:, t], atol=1e-5, rtol=1e-5)
    assert torch.equal(model.sample(30, Decoding(), generator()), tokens)


@pytest.mark.parametrize(
    "decoding", [Decoding(0.5), Decoding(2.0), Decoding(top_k=2), Decoding(top_p=0.6), Decoding(0.7, 2, 0.9)]
)
def test_decoding_is_applied_to_every_step(decoding, make_policy, all_sequences, goodness_of_fit):
    model, sequences = make_policy(FIXED, seed=2, init_std=0.8), all_sequences(FIXED)
    conditional = torch.softmax(model(model.shift(sequences)).detach().double() / decoding.temperature, -1)
    for law in conditional.flatten(0, 1):  # views: what is cut here is cut in ``conditional``
        ordered = law.argsort(descending=True)
        kept, mass = [], 0.0
        total = float(law[ordered[: decoding.top_k]].sum())
        for word in ordered[: decoding.top_k].tolist():
            if decoding.top_p is None or mass < decoding.top_p:
                kept.append(word)
            mass += float(law[word]) / total
        law[[word for word in range(3) if word not in kept]] = 0
    conditional /= conditional.sum(-1, keepdim=True)
    probabilities = conditional.gather(2, sequences[..., None])[..., 0].prod(-1)
    tokens = model.sample(20_000, decoding, generator(3))
    counts = torch.bincount((tokens * torch.tensor([9, 3, 1])).sum(-1), minlength=27)
    assert goodness_of_fit(counts, probabilities) > 1e-3


def test_cold_is_greedy(make_policy):
    model = make_policy(FIXED)
    cold, narrow, top = (
        model.sample(50, decoding, generator())
        for decoding in (Decoding(temperature=1e-3), Decoding(top_p=1e-300), Decoding(top_k=1))
    )
    assert torch.equal(cold, top)
    assert torch.equal(narrow, top)
    assert torch.equal(top, model(model.shift(top)).argmax(-1))


def test_after_the_end_there_is_pad_and_it_costs_nothing(make_policy):
    model = make_policy(ENDED)
    tokens = model.sample(3_000, Decoding(), generator())
    after = (tokens == ENDED.eos).long().cumsum(-1) - (tokens == ENDED.eos).long() > 0
    assert 0.02 < after.float().mean() < 0.9
    assert (tokens[after] == ENDED.pad).all()
    log_prob = model.token_log_prob(tokens)
    assert not log_prob[after].any()
    assert (log_prob[~after] < 0).all()
    anything = tokens.clone()
    anything[after] = 3
    torch.testing.assert_close(model.log_prob(anything), model.log_prob(tokens))


def test_own_inputs_replace_the_true_ones(make_policy):
    model = make_policy(FIXED)
    tokens = torch.tensor([[0, 1, 2]])
    inputs = torch.tensor([[3, 2, 2]])
    expected = torch.log_softmax(model(inputs), -1)[0, torch.arange(3), tokens[0]]
    torch.testing.assert_close(model.weighted_nll(tokens, torch.ones(1, 3), inputs)[1][0], expected.detach())


@pytest.mark.parametrize("spec", SPECS)
def test_the_loss_and_its_gradient_are_the_plain_ones(spec, make_policy):
    model = make_policy(spec)
    tokens = model.sample(70, Decoding(), generator())
    weights = torch.rand(tokens.shape, generator=generator(1)) - 0.2
    plain = torch.log_softmax(model(model.shift(tokens)), -1).gather(2, tokens[..., None])[..., 0]
    plain = plain.masked_fill(~spec.mask(tokens), 0.0)
    loss, log_prob = model.weighted_nll(tokens, weights)
    torch.testing.assert_close(log_prob, plain.detach())
    assert not log_prob.requires_grad
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    expected = torch.autograd.grad(-(weights * plain).sum(), parameters)
    for one, other in zip(torch.autograd.grad(loss, parameters), expected, strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)
    # The log-probabilities without gradient are the same.
    torch.testing.assert_close(model.token_log_prob(tokens), log_prob)
    assert not model.token_log_prob(tokens).requires_grad


def test_nothing_touches_the_global_random_state(make_policy):
    before = torch.random.get_rng_state()
    model = make_policy(ENDED)
    tokens = model.sample(20, Decoding(), generator())
    model.sample(20, Decoding(top_k=2), generator())
    model.weighted_nll(tokens, torch.ones(tokens.shape))[0].backward()
    model.log_prob(tokens)
    MLE(epochs=2).fit(Toy(train_size=64).load().training, Session("lm/0"))
    assert torch.equal(torch.random.get_rng_state(), before)


def test_the_generator_decides_the_initial_parameters(make_policy):
    one, same, other = (make_policy(FIXED, seed).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["output.weight"], other["output.weight"])


def test_no_sequences(make_policy):
    model = make_policy(ENDED)
    empty = model.sample(0, Decoding(), generator())
    assert empty.shape == (0, 4)
    assert model.log_prob(empty).shape == (0,)
