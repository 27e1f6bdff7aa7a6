"""MaliGAN: its weights, the gradient that they estimate, its curriculum, and the contract."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from baselines.maligan import Continuation, MaliGAN, continued, importance_weights, likelihood_weights, log_ratio
from bench.api import Decoding, SequenceSpec, TrainingData
from bench.runs.checkpoints import CheckpointFolder, Kept
from bench.runs.session import Session
from bench.tasks.toy import Toy
from bench.testing import CHECKS, run_suite
from seqgan.discriminator import Discriminator
from seqgan.lm import LSTMLanguageModel
from seqgan.mle import MLE, Descent, trainable
from seqgan.seqgan import SeqGAN

FIXED = SequenceSpec(3, 3, bos=3)
ENDED = SequenceSpec(3, 3, bos=3, eos=2, pad=2)
APART = SequenceSpec(4, 3, bos=4, eos=1, pad=0)
SPECS = [
    pytest.param(FIXED, id="fixed"),
    pytest.param(ENDED, id="eos is pad"),
    pytest.param(APART, id="pad is a word"),
]
SMALL = {
    "pretrain_epochs": 2,
    "batch_size": 32,
    "d_pretrain_steps": 5,
    "d_epochs": 1,
    "d_samples": 200,
    "d_lr": 3e-3,
    "d_filter_sizes": (1, 2, 3),
    "d_filter_counts": (16, 32, 16),
    "d_steps": 1,
}


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def language_model(spec, seed=0, std=1.0):
    return LSTMLanguageModel(spec, generator(seed), 5, 6, std)


def every(spec):
    tokens = torch.tensor(list(itertools.product(range(spec.vocab_size), repeat=spec.seq_len)))
    return tokens if spec.eos is None else tokens[(spec.mask(tokens) | (tokens == spec.pad)).all(-1)]


def flat(gradients):
    return torch.cat([gradient.flatten() for gradient in gradients]).double()


def direction(policy, tokens, weights):
    """Minus the gradient of a step's loss: which way the parameters go."""
    loss, _ = policy.weighted_nll(tokens, weights)
    return -flat(torch.autograd.grad(loss, trainable(policy)))


def cosine(one, other):
    return float(one @ other / (one.norm() * other.norm()))


class Known(Discriminator):
    """The best discriminator there is: it knows both densities."""

    def __init__(self, spec, log_ratios, tokens):
        super().__init__(spec, generator(), 2, (1,), (2,))
        self.known = {tuple(row): value for row, value in zip(tokens.tolist(), log_ratios.tolist(), strict=True)}

    def forward(self, tokens, dropout=None):
        real = torch.tensor([self.known[tuple(row)] for row in tokens.tolist()])
        return torch.stack([torch.zeros_like(real), real], -1)


@pytest.mark.parametrize("baseline", [0.0, 0.5, 1.0])
def test_the_weights_by_hand(baseline):
    probabilities = torch.tensor([0.2, 0.5, 0.9, 0.6])
    ratios = [p / (1 - p) for p in probabilities.tolist()]  # 0.25, 1, 9, 1.5
    expected = [ratio / sum(ratios) - baseline / 4 for ratio in ratios]
    assert importance_weights(probabilities.logit(), baseline).tolist() == pytest.approx(expected, abs=1e-6)
    assert sum(expected) == pytest.approx(1 - baseline)
    # Far from rounding a probability to 0 or 1, as D / (1 - D) would.
    assert importance_weights(torch.tensor([200.0, 200.0, -200.0]), 0.0).tolist() == pytest.approx([0.5, 0.5, 0.0])
    twice = torch.stack([probabilities.logit(), probabilities.logit() + 3])  # groups of their own
    torch.testing.assert_close(*importance_weights(twice, baseline), atol=1e-6, rtol=1e-4)


def test_the_log_ratio_is_the_logit_of_the_discriminators_reward():
    model = Discriminator(FIXED, generator(), 4, (1, 2), (5, 5))
    tokens = every(FIXED)
    torch.testing.assert_close(log_ratio(model, tokens).sigmoid(), model.reward(tokens))
    assert torch.equal(log_ratio(model, tokens), log_ratio(model, tokens))  # no dropout
    assert not log_ratio(model, tokens).requires_grad


def test_weights_of_words_by_hand():
    mask = torch.tensor([[[True, True, True], [True, True, False]], [[True, False, False], [True, False, False]]])
    weights = torch.tensor([[0.3, -0.3], [0.1, -0.1]])
    found = likelihood_weights(mask, weights, 1)
    assert found[0].tolist() == [pytest.approx([0.25, 0.15, 0.15]), pytest.approx([0.25, -0.15, 0.0])]
    assert found[1].tolist() == [pytest.approx([0.25, 0.0, 0.0])] * 2
    torch.testing.assert_close(likelihood_weights(mask, weights, 0)[0, 0], torch.full((3,), 0.15))


def problem(spec):
    """A policy, a distribution of data over all sequences, and the best discriminator."""
    tokens, policy = every(spec), language_model(spec)
    data = torch.rand(len(tokens), generator=generator(3), dtype=torch.float64) ** 3 + 0.01
    data /= data.sum()
    return policy, tokens, data, Known(spec, data.log() - policy.log_prob(tokens).double(), tokens)


@pytest.mark.parametrize("spec", SPECS)
def test_with_the_best_discriminator_the_update_is_that_of_maximum_likelihood(spec):
    policy, tokens, data, best = problem(spec)
    likelihood = direction(policy, tokens, data.float()[:, None].expand(tokens.shape))
    drawn = policy.sample(60_000, Decoding(), generator(1))
    mask = spec.mask(drawn)[None]

    def towards(weights):
        return direction(policy, drawn, likelihood_weights(mask, weights[None], 0)[0])

    logits = log_ratio(best, drawn)
    for baseline in (0.0, 1.0):
        found = towards(importance_weights(logits, baseline))
        assert cosine(found, likelihood) > 0.995
        assert float(found.norm() / likelihood.norm()) == pytest.approx(1, abs=0.1)
    # Texygen's: D itself, divided by the sum over the batch, minus the mean. Neither weights nor direction are these.
    reward = logits.sigmoid()
    texygen = reward / reward.sum() - (reward / reward.sum()).mean()
    assert float((texygen - importance_weights(logits)).abs().sum()) > 0.3
    wrong = towards(texygen)
    assert cosine(wrong, likelihood) < 0.99
    assert float(wrong.norm() / likelihood.norm()) < 0.9
    # A softmax of D, as Texygen's RankGAN takes it of its scores, is another distribution again.
    assert float((reward.softmax(0) - logits.softmax(0)).abs().sum()) > 0.3


def test_the_baseline_lowers_the_variance_and_keeps_the_mean():
    policy, tokens, _, _ = problem(FIXED)
    best = Known(FIXED, torch.rand(len(tokens), generator=generator(3)), tokens)  # data that are near the policy
    rng, found = generator(1), {0.0: [], 1.0: []}
    for _ in range(150):
        drawn = policy.sample(32, Decoding(), rng)
        logits = log_ratio(best, drawn)
        for baseline, rows in found.items():
            weights = likelihood_weights(FIXED.mask(drawn)[None], importance_weights(logits, baseline)[None], 0)
            rows.append(direction(policy, drawn, weights[0]))
    plain, less = (torch.stack(rows) for rows in found.values())
    assert float(less.var(0).sum()) < 0.3 * float(plain.var(0).sum())
    error = ((plain - less).var(0).sum() / 150).sqrt()
    assert float((plain - less).mean(0).norm()) < 3 * float(error)


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("kept", [1, 2])
def test_with_words_given_it_is_still_maximum_likelihood(kept, spec):
    """Prefixes of data, their rest weighted within each prefix: the two parts add up to the gradient of all words."""
    policy, tokens, data, best = problem(spec)
    likelihood = direction(policy, tokens, data.float()[:, None].expand(tokens.shape))
    rng = generator(1)
    rows = tokens[torch.multinomial(data, 200, replacement=True, generator=rng)]
    drawn = continued(policy, rows.repeat_interleave(200, 0), kept, rng)
    weights = importance_weights(log_ratio(best, drawn).view(200, 200))
    found = direction(
        policy, drawn, likelihood_weights(spec.mask(drawn).view(200, 200, -1), weights, kept).flatten(0, 1)
    )
    assert cosine(found, likelihood) > 0.97


@pytest.mark.parametrize("spec", SPECS)
def test_prefixes_are_kept_and_continued_by_the_policy(spec):
    policy, tokens = language_model(spec, std=2.0), every(spec)
    for kept in range(4):
        drawn = continued(policy, tokens, kept, generator())
        assert torch.equal(drawn[:, :kept], tokens[:, :kept])
        assert bool((spec.mask(drawn) | (drawn == (spec.pad if spec.pad is not None else -1))).all())
        over = ~spec.mask(tokens)[:, min(kept, 2)] if kept < 3 else torch.ones(len(tokens), dtype=torch.bool)
        assert torch.equal(drawn[over], tokens[over])
    # The second word after a given first: its law is the policy's.
    drawn = continued(policy, tokens[:1].expand(20_000, -1), 1, generator())
    law = policy.next_token_log_probs(tokens[:1, :1])[0].exp()
    shares = torch.bincount(drawn[:, 1], minlength=spec.vocab_size) / 20_000
    torch.testing.assert_close(shares, law, atol=0.02, rtol=0)
    junk = torch.where(spec.mask(tokens), tokens, (tokens + 1) % spec.vocab_size)
    assert torch.equal(continued(policy, junk, 2, generator()), continued(policy, tokens, 2, generator()))


def test_fewer_and_fewer_words_are_given():
    algorithm = MaliGAN(mixed_rounds=4)
    assert [algorithm.given(index, 8) for index in range(6)] == [6, 4, 2, 0, 0, 0]
    assert [MaliGAN(mixed_rounds=each).given(0, 8) for each in (0, 1)] == [0, 0]
    assert max(MaliGAN().given(index, 20) for index in range(200)) == 19  # never all: nothing would be drawn


def test_negatives_have_the_prefixes_of_the_training_set():
    policy, train = language_model(FIXED), torch.tensor([[0, 1, 2], [2, 2, 0]])
    drawn = Continuation(policy, train, 2).sample(400, Decoding(), generator())
    assert set(map(tuple, drawn[:, :2].tolist())) == {(0, 1), (2, 2)}
    assert len(drawn[:, 2].unique()) == 3
    free = Continuation(policy, train, 0).sample(400, Decoding(), generator())
    assert torch.equal(free, policy.sample(400, Decoding(), generator()))


def test_a_step_is_the_weighted_likelihood_clipped_and_counted():
    policy, _, _, best = problem(ENDED)
    algorithm, train = MaliGAN(batch_size=30, completions=4), every(ENDED)
    for kept, rows in ((0, 30), (1, 28)):
        run = Session("maligan/0")
        before = flat(trainable(policy)).detach()
        for _ in run.phase("p", 1):
            algorithm.step(Descent(policy, torch.optim.SGD(trainable(policy), 1.0), 0.01), best, train, kept, run)
        assert float((flat(trainable(policy)).detach() - before).norm()) == pytest.approx(0.01, rel=1e-2)
        amounts = run.cost.amounts
        assert rows <= amounts["train_tokens"] == amounts["sampled_tokens"] == amounts["reward_tokens"] <= 3 * rows
        assert amounts["updates"] == 1
        scalars = run.curve[-1]["scalars"]
        assert 1 / 30 <= scalars["effective"] <= 1
        assert scalars["given"] == kept


def test_the_discriminator_is_seqgans():
    seqgan = MaliGAN(**SMALL, rounds=7).seqgan()
    assert {name: getattr(seqgan, name) for name in SMALL} == SMALL
    begun = seqgan.beginning(1_000)
    assert begun == MaliGAN(**SMALL, rounds=3, subtract=0.0, g_steps=2).seqgan().beginning(1_000)
    with pytest.raises(ValueError, match="as many d_filter_counts"):
        MaliGAN(d_filter_sizes=(1,))
    with pytest.raises(ValueError, match="g_steps or d_steps"):
        MaliGAN(g_steps=0, d_steps=0)


def test_the_discriminators_pretraining_is_shared_with_seqgan(tmp_path):
    data = Toy(train_size=100).load().training
    fields = {**SMALL, "pretrain_epochs": 1, "d_pretrain_steps": 1, "rounds": 2}

    def train(algorithm, name=""):
        folder = CheckpointFolder(tmp_path)
        kept = Kept(folder, name, lambda *parts: f"mle-{len(repr(parts))}", every=math.inf) if name else None
        return Session("maligan/0", kept=kept).train(algorithm, data).sample(50, Decoding(), generator())

    alone = train(MaliGAN(**fields))
    train(SeqGAN(**fields, rollouts=1), "seqgan")
    before = {path.name for path in tmp_path.rglob("*.safetensors")}
    assert torch.equal(train(MaliGAN(**fields), "maligan"), alone)
    assert {path.name for path in tmp_path.rglob("*.safetensors")} - before == {"maligan.safetensors"}


@pytest.mark.parametrize("mixed_rounds", [0, 15])
def test_it_learns_the_toy_task_beyond_its_pretraining(mixed_rounds):
    toy = Toy(train_size=400).load()
    fields = {**SMALL, "rounds": 30, "g_steps": 4, "mixed_rounds": mixed_rounds, "lr": 3e-3}
    run = Session("maligan/0")
    model = run.train(MaliGAN(**fields), toy.training)
    start = Session("maligan/0").train(MLE(epochs=2, batch_size=32), toy.training)
    before, after = (-float(each.log_prob(toy.test).mean()) / 8 for each in (start, model))
    assert after < before - 0.05
    written = [-float(toy.oracle.log_prob(each.sample(500, Decoding(), generator())).mean()) for each in (start, model)]
    assert written[1] < written[0] - 0.5
    assert [point["phase"] for point in run.curve] == ["mle"] * 2 + ["discriminator"] * 5 + ["adversarial"] * 30
    given = [point["scalars"]["given"] for point in run.curve[-30:]]
    assert given == sorted(given, reverse=True)
    assert (given[0] > 0, given[-1]) == (mixed_rounds > 0, 0)
    assert all(math.isfinite(value) for point in run.curve for value in point["scalars"].values())


def test_sentences_that_end():
    spec = SequenceSpec(12, 10, bos=12, eos=11, pad=11)
    train = Toy(vocab_size=12, seq_len=10, draw=3, train_size=200).load().training.train
    tokens = train.masked_fill(~spec.mask(train), spec.pad)
    junk = torch.where(spec.mask(train), train, torch.randint(11, train.shape, generator=generator(5)))
    assert not torch.equal(tokens, junk)
    algorithm = MaliGAN(**SMALL, rounds=6, mixed_rounds=4)
    runs = [Session("ends/0") for _ in range(2)]
    models = [
        run.train(algorithm, TrainingData(spec, each, each[:50]))
        for run, each in zip(runs, (tokens, junk), strict=True)
    ]
    drawn = [model.sample(500, Decoding(), generator()) for model in models]
    assert torch.equal(*drawn)  # what follows the end teaches nothing
    assert torch.equal(drawn[0], drawn[0].masked_fill(~spec.mask(drawn[0]), spec.pad))
    assert len(spec.lengths(drawn[0]).unique()) > 3


def test_it_keeps_the_contract():
    outcomes = list(run_suite(MaliGAN))
    assert len(outcomes) == len(CHECKS)
    assert [outcome for outcome in outcomes if outcome.status != "ok"] == []
