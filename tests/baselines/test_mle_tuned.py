"""Maximum likelihood done well: dropout that is right, and no worse than what it is meant to improve on."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from baselines.mle_tempered import MLETempered
from baselines.mle_tuned import MLETuned, dropout_nll, dropped
from bench.api import SequenceSpec, TrainingData
from bench.runs.session import Session
from bench.tasks.toy import Toy
from bench.testing import CHECKS, run_suite
from seqgan.lm import LSTMLanguageModel
from seqgan.mle import evenly
from seqgan.networks import new_policy

SPEC = SequenceSpec(6, 5, bos=6, eos=5, pad=5)


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def model():
    return LSTMLanguageModel(SPEC, rng(), 8, 8, 0.5)


@pytest.fixture
def tokens():
    tokens = torch.randint(0, 6, (40, 5), generator=rng(1))
    return tokens.where(SPEC.mask(tokens), SPEC.pad)


def test_a_unit_is_dropped_for_a_whole_sequence_or_not_at_all():
    units = torch.ones(2_000, 7, 5)
    found = dropped(units, 0.4, rng())
    assert found.unique().tolist() == [0, pytest.approx(1 / 0.6)]
    assert torch.equal(found, found[:, :1].expand_as(found))
    assert float((found[:, 0] == 0).float().mean()) == pytest.approx(0.4, abs=0.01)
    assert float(found.mean()) == pytest.approx(1, abs=0.02)
    assert not torch.equal(found[0], found[1]) or not torch.equal(found[1], found[2])  # sequences have their own
    assert dropped(units, 0.0, rng()) is units


def test_without_dropout_it_is_the_ordinary_loss_and_gradient(model, tokens):
    plain = LSTMLanguageModel(SPEC, rng(), 8, 8, 0.5)
    weights = evenly(SPEC, tokens)
    ours, log_prob = dropout_nll(model, tokens, weights, 0.0, rng())
    theirs, expected = plain.weighted_nll(tokens, weights)
    ours.backward()
    theirs.backward()
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(log_prob, expected)
    for one, other in zip(model.parameters(), plain.parameters(), strict=True):
        if other.grad is not None:
            torch.testing.assert_close(one.grad, other.grad)


def test_what_is_dropped_is_the_embedding_and_the_output_and_nothing_after_the_end_counts(model, tokens):
    """Against the network written out, with the same masks."""
    weights = evenly(SPEC, tokens)
    loss, _ = dropout_nll(model, tokens, weights, 0.5, rng(7))
    stream = rng(7)
    embedded = model.embedding(model.shift(tokens))
    embedded = embedded * (torch.rand(40, 1, 8, generator=stream) >= 0.5) * 2
    hidden, _ = model.lstm(embedded)
    logits = model.output(hidden * (torch.rand(40, 1, 8, generator=stream) >= 0.5) * 2)
    expected = torch.nn.functional.cross_entropy(logits[SPEC.mask(tokens)], tokens[SPEC.mask(tokens)])
    torch.testing.assert_close(loss, expected)


@pytest.mark.parametrize("network", ["lstm", "cnn", "transformer"])
def test_every_network_can_be_dropped_from_and_is_whole_afterwards(network, tokens):
    model = new_policy(network, SPEC, rng(), 8, 8, 0.5)
    before = model.log_prob(tokens)
    weights = evenly(SPEC, tokens)
    losses = [dropout_nll(model, tokens, weights, 0.5, rng(seed))[0].item() for seed in (1, 1, 2)]
    assert losses[0] == losses[1] != losses[2]
    assert torch.equal(model.log_prob(tokens), before)


def test_dropout_overfits_later():
    """The same network, as long: what it has lost on held-out data since its best epoch."""
    data = Toy(train_size=64, valid_size=400).load().training
    setting = {"epochs": 40, "lr": 0.02, "batch_size": 16, "embedding_dim": 64, "hidden_dim": 64}
    lost = {}
    for rate in (0.4, 0.0):
        run = Session("tuned/0")
        run.train(MLETuned(**setting, temperatures=(1.0,), dropout=rate), data)
        looked = [row["scalars"]["looked"] for row in run.curve]
        lost[rate] = looked[-1] - min(looked)
    assert lost[0.4] < 0.7 * lost[0.0]


def test_the_gradient_is_clipped(monkeypatch):
    data = Toy(train_size=64).load().training
    norms = []
    original = torch.optim.Adam.step

    def step(self, *arguments, **named):
        result = original(self, *arguments, **named)
        norms.append(float(sum(p.grad.square().sum() for p in self.param_groups[0]["params"]) ** 0.5))
        return result

    monkeypatch.setattr(torch.optim.Adam, "step", step)
    Session("tuned/0").train(MLETuned(epochs=2, batch_size=16, clip_norm=1e-3, hidden_dim=8, embedding_dim=8), data)
    assert norms
    assert max(norms) <= 1e-3 * 1.001


def test_the_best_epoch_and_temperature_are_kept():
    data = Toy(train_size=64).load().training
    run = Session("tuned/0")
    model = run.train(MLETuned(epochs=30, lr=0.02, batch_size=16, hidden_dim=32, embedding_dim=32, dropout=0.1), data)
    looked = [row["scalars"]["looked"] for row in run.curve]
    words = data.spec.count(data.valid)
    assert float(model.nll) == pytest.approx(min(looked), abs=1e-6)
    assert -float(model.log_prob(data.valid).double().sum()) / words == pytest.approx(min(looked), abs=1e-5)
    assert looked.index(min(looked)) < 29


def test_it_has_the_fields_of_mle_tempered_and_one_more():
    extra = {field.name for field in dataclasses.fields(MLETuned)} - {f.name for f in dataclasses.fields(MLETempered)}
    assert extra == {"dropout"}


def test_variable_lengths_are_learnt():
    """Sequences that end after as many tokens as their first says."""
    spec = SequenceSpec(5, 5, bos=5, eos=4, pad=4)
    first = torch.randint(1, 4, (400,), generator=rng(2))
    tokens = torch.where(torch.arange(5)[None] < first[:, None], first[:, None], 4)
    data = TrainingData(spec, tokens[:300], tokens[300:])
    model = Session("tuned/0").train(
        MLETuned(epochs=20, lr=0.02, batch_size=32, hidden_dim=32, embedding_dim=32, dropout=0.1), data
    )
    assert -float(model.log_prob(data.valid).mean()) < 1.25  # log 3 is 1.10


def test_it_keeps_the_contract():
    outcomes = list(run_suite(MLETuned))
    assert len(outcomes) == len(CHECKS)
    assert [outcome for outcome in outcomes if outcome.status != "ok"] == []
