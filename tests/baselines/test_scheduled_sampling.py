from __future__ import annotations

import dataclasses

import pytest
import torch
from scipy import stats

from baselines.scheduled_sampling import ScheduledSampling, mixed_inputs
from bench.api import Decoding, SequenceSpec
from bench.runs.session import Session
from bench.tasks.toy import Toy
from seqgan.lm import LSTMLanguageModel
from seqgan.mle import MLE

PAPER = {
    "epochs": 120,
    "decay": 0.002,
    "floor": 0.0,
    "lr": 0.01,
    "batch_size": 64,
    "reshuffle": False,
    "clip_norm": 5.0,
    "policy": "lstm",
    "embedding_dim": 32,
    "hidden_dim": 32,
    "init_std": 0.1,
}
SPEC = SequenceSpec(20, 10, bos=20)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def model():
    """Never writes word 0."""
    model = LSTMLanguageModel(SPEC, generator(), 5, 6)
    with torch.no_grad():
        model.output.bias[0] = -torch.inf
    return model


@pytest.fixture(scope="module")
def data():
    return Toy(train_size=130).load().training


def test_defaults_are_the_papers():
    assert dataclasses.asdict(ScheduledSampling()) == PAPER


@pytest.mark.parametrize("truth", [0.9, 0.5, 0.2])
def test_the_coin_is_flipped_for_every_token(truth, model):
    tokens = torch.zeros(600, 10, dtype=torch.long)  # all true tokens are 0, so that the model's own are visible
    inputs, own = mixed_inputs(model, tokens, truth, generator(1))
    assert own.shape == (600, 9)
    assert torch.equal(inputs[:, 1:] != 0, own)
    assert (inputs[:, 0] == SPEC.bos).all()
    for position in range(9):
        assert stats.binomtest(int(own[:, position].sum()), 600, 1 - truth).pvalue > 1e-4
    # Rows are not entirely true or entirely own either: the number of own tokens in a row is binomial.
    expected = stats.binom(9, 1 - truth).pmf(range(10)) * 600
    counts = torch.bincount(own.sum(1), minlength=10).numpy()
    common = expected > 5
    statistic = ((counts - expected) ** 2 / expected)[common].sum()
    assert stats.chi2.sf(statistic, common.sum()) > 1e-4


def test_every_batch_has_new_coins(model):
    tokens, rng = torch.zeros(50, 10, dtype=torch.long), generator()
    (_, first), (_, second) = (mixed_inputs(model, tokens, 0.5, rng) for _ in range(2))
    assert 0.3 < float((first != second).double().mean()) < 0.7


def test_the_true_token_is_read_with_probability_one_at_first(model):
    tokens = torch.randint(20, (500, 10), generator=generator(2))
    inputs, own = mixed_inputs(model, tokens, 1.0, generator())
    assert not own.any()
    assert torch.equal(inputs, model.shift(tokens))


def test_the_teacher_can_leave_altogether(model):
    tokens = torch.zeros(500, 10, dtype=torch.long)
    inputs, own = mixed_inputs(model, tokens, 0.0, generator())
    assert own.all()
    assert (inputs[:, 1:] != 0).all()


def test_the_true_sequences_are_left_as_they_were(model):
    tokens = torch.randint(20, (50, 10), generator=generator(2))
    original = tokens.clone()
    mixed_inputs(model, tokens, 0.3, generator())
    assert torch.equal(tokens, original)


def test_own_tokens_follow_the_model_given_the_mixture_read_so_far():
    spec = SequenceSpec(3, 4, bos=3)
    model = LSTMLanguageModel(spec, generator(4), 5, 6, init_std=1.5)
    tokens = torch.randint(3, (40_000, 4), generator=generator(5))
    inputs, own = mixed_inputs(model, tokens, 0.5, generator(6))
    for position in (1, 2, 3):
        prefixes = inputs[:, :position]
        for prefix in prefixes.unique(dim=0):
            rows = (prefixes == prefix).all(1) & own[:, position - 1]
            law = torch.softmax(model(prefix[None])[0, -1].detach().double(), -1)
            counts = torch.bincount(inputs[rows, position], minlength=3).numpy()
            assert stats.chisquare(counts, (law * int(rows.sum())).numpy()).pvalue > 1e-4
    # They are the model's draws and not the true tokens, which the model did not see.
    agree = (inputs[:, 1] == tokens[:, 0])[own[:, 0]].double().mean()
    assert 0.28 < float(agree) < 0.39  # one in three, as true tokens are uniform here


def test_only_the_given_generator_is_used(model):
    tokens = torch.zeros(50, 10, dtype=torch.long)
    before = torch.random.get_rng_state()
    first, again = (mixed_inputs(model, tokens, 0.5, generator()) for _ in range(2))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.equal(first[0], again[0])
    assert not first[0].requires_grad


@pytest.mark.parametrize(
    ("fields", "truths"),
    [
        ({}, [1.0, 0.998, 0.996, 0.994]),
        ({"decay": 0.4}, [1.0, 0.6, 0.2, 0.0]),
        ({"decay": 0.4, "floor": 0.3}, [1.0, 0.6, 0.3, 0.3]),
    ],
)
def test_the_teacher_leaves_step_by_step(fields, truths, data):
    run = Session("scheduled/0")
    run.train(ScheduledSampling(epochs=4, hidden_dim=4, embedding_dim=4, **fields), data)
    assert [point["scalars"]["truth"] for point in run.curve] == pytest.approx(truths)
    assert run.cost.amounts["train_tokens"] == 4 * 130 * 8
    # The first epoch reads the truth alone, at once; the others are read once more, but for the last word.
    mixed = run.cost.amounts.get("mixing_tokens", 0)
    assert mixed == 3 * 130 * 7 if "decay" in fields else 0 < mixed <= 3 * 130 * 7


def test_training_uses_the_schedule(data, monkeypatch):
    seen = []

    def spy(model, tokens, truth, rng):
        seen.append((truth, len(tokens)))
        return mixed_inputs(model, tokens, truth, rng)

    monkeypatch.setattr("baselines.scheduled_sampling.mixed_inputs", spy)
    Session("scheduled/0").train(ScheduledSampling(epochs=2, decay=0.25), data)
    assert seen == [(truth, rows) for truth in (1, 0.75) for rows in (64, 64, 2)]


def weights(generator, data):
    return torch.cat([part.flatten() for part in Session("scheduled/0").train(generator, data).state_dict().values()])


def test_it_is_maximum_likelihood_while_the_teacher_stays_and_not_after(data):
    mle = weights(MLE(epochs=2), data)
    assert torch.equal(weights(ScheduledSampling(epochs=2, decay=0.0), data), mle)
    shuffled = weights(MLE(epochs=2, reshuffle=True), data)
    assert not torch.equal(shuffled, mle)
    assert torch.equal(weights(ScheduledSampling(epochs=2, decay=0.0, reshuffle=True), data), shuffled)
    own = weights(ScheduledSampling(epochs=2, decay=0.5), data)
    assert not torch.equal(own, mle)
    assert torch.equal(own, weights(ScheduledSampling(epochs=2, decay=0.5), data))


def test_it_learns_the_toy():
    task = Toy().load()
    model = Session("scheduled/0").train(ScheduledSampling(epochs=15), task.training)
    floor = -float(task.oracle.log_prob(task.test).mean()) / 8
    nll = -float(model.log_prob(task.test).mean()) / 8
    assert floor < nll < floor + 0.25
    assert model.sample(5, Decoding(), generator()).shape == (5, 8)
