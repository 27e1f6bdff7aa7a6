"""Sentences that end before T: tokens after an end mark must have no effect anywhere, from the data to the step."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from scipy import stats
from torch import Tensor

from bench.api import Decoding, SequenceSpec, TrainingData
from bench.runs.session import Session
from seqgan.discriminator import Discriminator
from seqgan.lm import LSTMLanguageModel
from seqgan.mle import MLE, Descent, descend, trainable
from seqgan.policy_gradient import PolicyGradient, advantages
from seqgan.rollout import action_values, complete_prefixes
from seqgan.seqgan import BaselinedSeqGAN, SeqGAN

APART = SequenceSpec(6, 7, bos=6, eos=1, pad=0)
ONE = SequenceSpec(6, 7, bos=6, eos=5, pad=5)
SPECS = [pytest.param(APART, id="pad is a word"), pytest.param(ONE, id="pad is eos")]


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def after(spec: SequenceSpec, tokens: Tensor) -> Tensor:
    """Which tokens are after an end mark, found in loops: bool (N, T)."""
    found = torch.zeros_like(tokens, dtype=torch.bool)
    for row, seen in zip(tokens.tolist(), found, strict=True):
        if spec.eos in row:
            seen[row.index(spec.eos) + 1 :] = True
    return found


def scribbled(spec: SequenceSpec, tokens: Tensor, seed: int = 9) -> Tensor:
    """The same sentences with random tokens after their end."""
    anything = torch.randint(spec.vocab_size, tokens.shape, generator=generator(seed))
    return torch.where(after(spec, tokens), anything, tokens)


def sentences_of(spec: SequenceSpec, lengths: Tensor, seed: int = 1) -> Tensor:
    """``lengths`` random words, an end mark and pads; no end mark where there is no room for it."""
    words = [word for word in range(spec.vocab_size) if word != spec.eos]
    drawn = torch.tensor(words)[torch.randint(len(words), (len(lengths), spec.seq_len), generator=generator(seed))]
    position = torch.arange(spec.seq_len)
    tokens = torch.where(position < lengths[:, None], drawn, spec.pad)
    return torch.where(position == lengths[:, None], spec.eos, tokens)


@pytest.mark.parametrize("spec", SPECS)
def test_what_follows_the_end_has_no_probability_and_no_gradient(spec, make_policy):
    model = make_policy(spec, init_std=0.6)
    tokens = model.sample(200, Decoding(), generator())
    other = scribbled(spec, tokens)
    assert 0.2 < float(after(spec, tokens).double().mean()) < 0.9
    assert not torch.equal(tokens, other)
    assert torch.equal(model.token_log_prob(tokens), model.token_log_prob(other))
    assert torch.equal(model.token_log_prob(tokens, 0.5), model.token_log_prob(other, 0.5))

    weights = torch.rand(tokens.shape, generator=generator(1))
    results = []
    # A weight of NaN must have no effect either: 0 * NaN is NaN.
    for written, given in ((tokens, weights), (other, weights.masked_fill(after(spec, tokens), math.nan))):
        loss, log_prob = model.weighted_nll(written, given)
        results.append([loss.detach(), log_prob, *torch.autograd.grad(loss, trainable(model))])
    assert all(bool(part.isfinite().all()) for part in results[0])
    assert all(torch.equal(one, two) for one, two in zip(*results, strict=True))


@pytest.mark.parametrize("spec", SPECS)
def test_a_sentence_without_an_end_counts_in_full(spec, make_policy):
    model = make_policy(spec, init_std=0.6)
    tokens = model.sample(8_000, Decoding(), generator())
    endless = (tokens != spec.eos).all(-1)
    log_law = torch.log_softmax(model(model.shift(tokens[endless])), -1).detach()
    expected = log_law.gather(2, tokens[endless][..., None])[..., 0].sum(-1)
    torch.testing.assert_close(model.log_prob(tokens[endless]), expected, atol=1e-4, rtol=1e-5)
    # Their share is the total probability of all sentences without an end.
    words = [word for word in range(spec.vocab_size) if word != spec.eos]
    every = torch.cartesian_prod(*[torch.tensor(words)] * spec.seq_len)
    share = float(model.log_prob(every).double().exp().sum())
    assert stats.binomtest(int(endless.sum()), len(tokens), share).pvalue > 1e-3
    assert 0.05 < share < 0.95


@pytest.mark.parametrize("spec", SPECS)
def test_an_ended_prefix_is_its_own_only_completion(spec, make_policy):
    policy = make_policy(spec, init_std=0.6)
    tokens, states = policy.sample_with_states(60, generator(1))
    finished = complete_prefixes(policy, tokens, states, 4, generator())
    ended = torch.stack([after(spec, tokens)[:, kept] for kept in range(1, spec.seq_len)])  # (T - 1, B)
    assert 0.2 < float(ended.double().mean()) < 0.9
    assert torch.equal(finished[ended], tokens.expand(spec.seq_len - 1, -1, -1)[ended][:, None].expand(-1, 4, -1))
    assert (finished[after(spec, finished.view(-1, spec.seq_len)).view(finished.shape)] == spec.pad).all()
    # Those that go on differ from each other, and end at other positions than the sentence itself.
    lengths = spec.lengths(finished)
    assert (lengths[~ended] != spec.lengths(tokens).expand(spec.seq_len - 1, -1)[~ended][:, None]).any()
    assert (lengths[ended] == spec.lengths(tokens).expand(spec.seq_len - 1, -1)[ended][:, None]).all()


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("rollouts", [1, 3])
def test_an_ended_prefix_is_worth_its_reward_and_scored_once(spec, rollouts, make_policy):
    policy = make_policy(spec, init_std=0.6)
    tokens, states = policy.sample_with_states(60, generator(1))
    asked = []

    def reward(rows):
        asked.append(rows)
        return (rows * torch.linspace(0.1, 0.7, spec.seq_len)).sum(-1)

    values = action_values(policy, tokens, states, reward, rollouts, generator())
    worth = reward(tokens)
    last = after(spec, tokens) | (tokens == spec.eos)  # the end mark's own value is certain, too
    last[:, -1] = True
    assert torch.equal(values[last], worth[:, None].expand(-1, spec.seq_len)[last])
    assert not torch.isclose(values[~last], worth[:, None].expand(-1, spec.seq_len)[~last]).all()
    assert len(asked[0]) == 60 + rollouts * int((~after(spec, tokens))[:, 1:].sum())


@pytest.mark.parametrize("baseline", [False, True])
@pytest.mark.parametrize("standardize", [False, True])
@pytest.mark.parametrize("spec", SPECS)
def test_values_after_the_end_do_not_move_the_policy(spec, baseline, standardize, make_policy, monkeypatch):
    start = make_policy(spec, init_std=0.5)

    def stepped(garbage):
        def garbled(policy, tokens, *others):
            values = action_values(policy, tokens, *others)
            assert after(spec, tokens).any()
            return values if garbage is None else values.masked_fill(after(spec, tokens), garbage)

        monkeypatch.setattr("seqgan.policy_gradient.action_values", garbled)
        policy = copy.deepcopy(start)
        descent = Descent(policy, torch.optim.SGD(trainable(policy), lr=0.1), 1e9)
        step = PolicyGradient(descent, 20, 2, baseline=baseline, standardize=standardize)
        step.step(lambda rows: (rows == 2).float().mean(-1), Session("gradient/0"))
        return policy.state_dict()

    clean = stepped(None)
    assert not torch.equal(clean["output.weight"], start.output.weight)
    assert all(bool(part.isfinite().all()) for part in clean.values())
    for garbage in (1e9, -math.inf, math.nan):
        moved = stepped(garbage)
        assert all(torch.equal(clean[name], moved[name]) for name in clean)


def test_means_and_deviations_are_of_those_still_running():
    values = torch.tensor([[1.0, 4.0, math.nan], [3.0, math.inf, math.nan], [5.0, 8.0, 2.0]])
    mask = torch.tensor([[True, True, False], [True, False, False], [True, True, True]])
    assert advantages(values, mask, True, False)[mask].tolist() == [-2, -2, 0, 2, 2, 0]
    left = advantages(values, mask, True, True)[mask]
    assert float(left.mean()) == pytest.approx(0, abs=1e-6)
    assert float(left.square().mean()) == pytest.approx(1)
    plain = advantages(values, mask, False, True)[mask]
    expected = stats.zscore(values[mask].double().numpy())
    torch.testing.assert_close(plain.double(), torch.from_numpy(expected), atol=1e-6, rtol=0)


@pytest.mark.parametrize("spec", SPECS)
def test_the_discriminator_reads_nothing_after_the_end(spec):
    model = Discriminator(spec, generator(), 3, (1, 2, 7), (4, 5, 6))
    tokens = sentences_of(spec, torch.arange(80) % (spec.seq_len + 1))
    other = scribbled(spec, tokens)
    assert not torch.equal(tokens, other)
    assert torch.equal(model.reward(tokens), model.reward(other))
    assert torch.equal(model.reference_reward(tokens), model.reference_reward(other))
    results = []
    for written in (tokens, other):
        loss, accuracy = model.loss(written, torch.arange(80) % 2, 0.2, generator(3))
        results.append([loss.detach(), accuracy, *torch.autograd.grad(loss, list(model.parameters()))])
    assert all(torch.equal(one, two) for one, two in zip(*results, strict=True))
    # The end itself is read, and its position: the words are equal, the lengths are not.
    same = torch.full((spec.seq_len + 1, spec.seq_len), 2)
    same = torch.where(torch.arange(spec.seq_len) < torch.arange(spec.seq_len + 1)[:, None], same, spec.eos)
    assert len(model.reference_reward(same).unique()) == spec.seq_len + 1


@pytest.mark.parametrize("length", [33, 49])
def test_scores_from_tables_are_those_of_the_plain_pass_at_every_length(length):
    # The paper's filters, up to 20 words, over sentences of 0 to T words, with and without an end.
    spec = SequenceSpec(60, length, bos=60, eos=59, pad=59)
    model = Discriminator(spec, generator())
    tokens = sentences_of(spec, torch.arange(2 * (length + 1)) % (length + 1))
    assert {0, length} <= set(spec.lengths(tokens).tolist())
    reward, reference = model.reward(tokens), model.reference_reward(tokens)
    torch.testing.assert_close(reward, reference, atol=2e-5, rtol=0)
    assert bool(reward.isfinite().all())
    assert float(reference.std()) > 1e-3


@pytest.mark.parametrize("pads", [0, 1, 4])
def test_the_discriminator_cannot_tell_sentences_apart_by_their_padding(pads, make_policy):
    """Real sentences are the policy's own with another padding: that is the only thing to learn."""
    policy = make_policy(APART, init_std=0.6)
    algorithm = SeqGAN(d_epochs=2, batch_size=50)
    train = policy.sample(2_000, Decoding(), generator(5))
    train = train.masked_fill(after(APART, train), pads)
    run = Session("padding/0")

    def accuracy(spec):
        model = Discriminator(spec, generator(), 8, (1, 2, 3), (10, 10, 10))
        optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
        step = algorithm.discriminator_step(model, optimizer, run.rng("negatives"), run.execution)
        for _ in range(2):
            algorithm.train_discriminator(step, policy, train, run)
        real = policy.sample(2_000, Decoding(), generator(6))
        real = real.masked_fill(after(APART, real), pads)
        fake = policy.sample(2_000, Decoding(), generator(7))
        return float(torch.cat([model.reward(real) > 0.5, model.reward(fake) <= 0.5]).double().mean())

    assert accuracy(APART) == pytest.approx(0.5, abs=0.05)
    if pads:  # one that read the tokens as they are could
        assert accuracy(SequenceSpec(6, 7, bos=6)) > 0.65


RUNS = torch.tensor([0.3, 0.0, 0.2, 0.0, 0.1, 0.4])
GRAMMAR = SequenceSpec(4, 9, bos=4, eos=3, pad=3)
PRETRAINING = {"pretrain_epochs": 25, "pretrain_lr": 0.02, "embedding_dim": 12, "hidden_dim": 16, "batch_size": 32}


def runs(rows: int, seed: int) -> Tensor:
    """Word 0 a random number of times, then word 1, and the end: int64 (N, 9)."""
    lengths = torch.multinomial(RUNS, rows, replacement=True, generator=generator(seed)) + 1
    position = torch.arange(GRAMMAR.seq_len)
    tokens = torch.where(position < lengths[:, None], 0, GRAMMAR.eos)
    return torch.where(position == lengths[:, None], 1, tokens)


def follows_the_grammar(tokens: Tensor) -> Tensor:
    known = {tuple(row) for row in runs(500, 0).tolist()}
    return torch.tensor([tuple(row) in known for row in tokens.tolist()])


@pytest.fixture(scope="module")
def grammar():
    return TrainingData(GRAMMAR, runs(640, 1), runs(50, 2))


def test_maximum_likelihood_learns_the_lengths(grammar):
    algorithm = MLE(epochs=25, lr=0.02, batch_size=32, embedding_dim=12, hidden_dim=16)
    model = Session("grammar/0").train(algorithm, grammar)
    tokens = model.sample(4_000, Decoding(), generator(3))
    assert float(follows_the_grammar(tokens).double().mean()) > 0.97
    shares = torch.bincount(GRAMMAR.lengths(tokens), minlength=9)[2:8] / len(tokens)
    taught = torch.bincount(GRAMMAR.lengths(grammar.train), minlength=9)[2:8] / len(grammar.train)
    assert float((shares - taught).abs().sum() / 2) < 0.06
    entropy = -float((RUNS * RUNS.clamp(min=1e-9).log()).sum())  # nats per sentence: all else is certain
    nll = -float(model.log_prob(runs(2_000, 4)).mean())
    assert entropy - 0.05 < nll < entropy + 0.1


@pytest.mark.parametrize("algorithm", [SeqGAN, BaselinedSeqGAN])
def test_adversarial_training_neither_empties_sentences_nor_prolongs_them(algorithm, grammar):
    run = Session("grammar/0")
    model = run.train(
        algorithm(
            **PRETRAINING,
            d_pretrain_steps=2,
            rounds=8,
            d_steps=1,
            d_epochs=1,
            d_samples=160,
            d_lr=1e-3,
            rollouts=4,
            lr=0.005,
            d_embedding_dim=8,
            d_filter_sizes=(1, 2, 3, 9),
            d_filter_counts=(8, 8, 8, 8),
        ),
        grammar,
    )
    assert len(run.curve) == 25 + 2 + 8
    assert all(math.isfinite(value) for point in run.curve for value in point["scalars"].values())
    assert all(bool(part.isfinite().all()) for part in model.state_dict().values())
    tokens = model.sample(2_000, Decoding(), generator(3))
    lengths = GRAMMAR.lengths(tokens)
    assert float((lengths == 0).double().mean()) < 0.05
    assert float((lengths == GRAMMAR.seq_len).double().mean()) < 0.05
    assert 2.5 < float(lengths.double().mean()) < 7
    assert float(follows_the_grammar(tokens).double().mean()) > 0.8
    assert bool(model.log_prob(tokens).isfinite().all())


def test_learning_follows_the_lengths_that_are_rewarded(make_policy):
    """Length is rewarded, then brevity: through rollouts that end, the end mark learns when to come."""
    spec = SequenceSpec(4, 8, bos=4, eos=3, pad=3)
    for sign in (1, -1):
        policy = make_policy(spec, init_std=0.1)
        descent = Descent(policy, torch.optim.Adam(trainable(policy), lr=0.05), 5.0)
        step = PolicyGradient(descent, 32, 2, baseline=True)
        run = Session("lengths/0")
        for _ in range(25):
            step.step(lambda rows, sign=sign: sign * spec.lengths(rows) / 8, run)
        mean = float(spec.lengths(policy.sample(500, Decoding(), generator())).double().mean())
        assert mean > 7 if sign > 0 else mean < 1


def test_a_step_on_short_sentences_is_the_step_on_a_shorter_t(make_policy):
    """Positions after the last end only cost time: the same batch with a larger T gives the same step."""
    short = SequenceSpec(6, 5, bos=6, eos=5, pad=5)
    tokens = sentences_of(short, torch.arange(20) % 5)
    moved = []
    for spec in (short, ONE):
        model = LSTMLanguageModel(spec, generator(2), 5, 6, 0.5)
        wide = torch.nn.functional.pad(tokens, (0, spec.seq_len - 5), value=5)
        weights = (1 / spec.mask(wide).sum()).expand(wide.shape)
        descend(model, torch.optim.SGD(trainable(model), lr=1.0), 5.0, wide, weights)
        moved.append(model.state_dict())
    for name, parameter in moved[0].items():
        torch.testing.assert_close(parameter, moved[1][name], atol=1e-6, rtol=1e-5)
