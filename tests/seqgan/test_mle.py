from __future__ import annotations

import dataclasses
import itertools
import math

import pytest
import torch

from bench.api import Decoding, SequenceSpec, TrainingData
from bench.runs.session import Session
from bench.tasks.toy import Toy
from seqgan.lm import LSTMLanguageModel
from seqgan.mle import MLE, descend, minibatches, trainable

PAPER = {
    "epochs": 120,
    "lr": 0.01,
    "batch_size": 64,
    "reshuffle": False,
    "clip_norm": 5.0,
    "policy": "lstm",
    "embedding_dim": 32,
    "hidden_dim": 32,
    "init_std": 0.1,
}


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def cycle(rows, stay=0.05, vocab_size=6, length=8, seed=0):
    """After each word its successor with probability 1 - stay, else the same word; the first is uniform."""
    rng = generator(seed)
    tokens = torch.randint(vocab_size, (rows, 1), generator=rng)
    steps = (torch.rand(rows, length - 1, generator=rng) >= stay).long()
    return torch.cat([tokens, tokens + steps.cumsum(1)], 1) % vocab_size


@pytest.fixture(scope="module")
def learnt():
    data = TrainingData(SequenceSpec(6, 8, bos=6), cycle(640), cycle(10, seed=1))
    run = Session("mle/0")
    return MLE(epochs=20).fit(data, run), run


def test_defaults_are_the_released_codes():
    assert dataclasses.asdict(MLE()) == PAPER


def test_it_learns_a_chain_to_its_entropy(learnt):
    model, _ = learnt
    entropy = (math.log(6) - 7 * (0.05 * math.log(0.05) + 0.95 * math.log(0.95))) / 8  # nats per token: 0.398
    held_out = cycle(2_000, seed=2)
    nll = -float(model.log_prob(held_out).mean()) / 8
    assert entropy - 0.03 < nll < entropy + 0.06
    tokens = model.sample(2_000, Decoding(), generator(3))
    steps = (tokens[:, 1:] - tokens[:, :-1]) % 6
    assert float((steps == 1).double().mean()) == pytest.approx(0.95, abs=0.03)
    assert float((steps > 1).double().mean()) < 0.02


def test_the_curve_and_the_cost_are_kept(learnt):
    _, run = learnt
    losses = [point["scalars"]["loss"] for point in run.curve]
    assert [(point["phase"], point["step"]) for point in run.curve] == [("mle", step) for step in range(1, 21)]
    assert losses[0] == pytest.approx(math.log(6), abs=0.2)  # nats per token
    assert losses[-1] < 0.5
    assert run.cost.amounts["train_tokens"] == 20 * 640 * 8


def test_the_loss_counts_only_tokens_up_to_the_end():
    spec = SequenceSpec(6, 8, bos=6, eos=5, pad=0)
    tokens = cycle(100)
    padded = tokens.masked_fill(~spec.mask(tokens), spec.pad)
    assert not torch.equal(padded, tokens)
    models, runs = [], []
    for train in (tokens, padded):
        runs.append(Session("mle/0"))
        models.append(MLE(epochs=3).fit(TrainingData(spec, train, train), runs[-1]))
    for one, other in zip(models[0].parameters(), models[1].parameters(), strict=True):
        torch.testing.assert_close(one, other)
    assert runs[0].cost.amounts["train_tokens"] == 3 * int(spec.mask(tokens).sum())
    assert runs[1].curve[0]["scalars"]["loss"] == pytest.approx(math.log(6), abs=0.2)


def test_the_loss_is_the_mean_over_the_tokens_of_a_batch_that_count(monkeypatch):
    seen = []

    def spy(model, optimizer, clip_norm, tokens, weights):
        loss, log_prob = model.weighted_nll(tokens, weights)
        seen.append((float(loss.detach()), clip_norm))
        return log_prob, torch.zeros(())  # and the model stays unchanged

    monkeypatch.setattr("seqgan.mle.descend", spy)
    spec = SequenceSpec(6, 8, bos=6, eos=5, pad=0)
    tokens = cycle(70)
    run = Session("mle/0")
    model = MLE(epochs=1, clip_norm=3.0).fit(TrainingData(spec, tokens, tokens), run)
    means = [-float(model.log_prob(rows).sum()) / int(spec.mask(rows).sum()) for rows in tokens.split(64)]
    assert [loss for loss, _ in seen] == pytest.approx(means, rel=1e-5)
    assert {clip_norm for _, clip_norm in seen} == {3.0}
    assert run.curve[0]["scalars"]["loss"] == pytest.approx(
        -float(model.log_prob(tokens).sum()) / int(spec.mask(tokens).sum()), rel=1e-5
    )


def test_a_pass_sees_every_sequence_once():
    tokens = torch.arange(150)[:, None].expand(-1, 3)
    rng = generator()
    first, second, kept = (list(minibatches(tokens, 64, order)) for order in (rng, rng, None))
    for batches in (first, second, kept):
        assert [len(batch) for batch in batches] == [64, 64, 22]
        assert sorted(torch.cat(batches)[:, 0].tolist()) == list(range(150))
    assert not torch.equal(torch.cat(first), torch.cat(second))
    assert not torch.equal(torch.cat(first), tokens)
    assert torch.equal(torch.cat(kept), tokens)


@pytest.mark.parametrize("reshuffle", [False, True])
def test_the_order_of_the_training_set_is_kept_or_redrawn_every_epoch(reshuffle, monkeypatch, torch_threads):
    torch_threads(1)
    batches = []

    def spy(model, tokens, *others):
        batches.append(tokens)
        return weighted_nll(model, tokens, *others)

    weighted_nll = LSTMLanguageModel.weighted_nll
    monkeypatch.setattr(LSTMLanguageModel, "weighted_nll", spy)
    data = Toy(train_size=100).load().training
    MLE(epochs=3, reshuffle=reshuffle).fit(data, Session("mle/0"))
    epochs = [torch.cat(batches[i : i + 2]) for i in (0, 2, 4)]
    assert len(batches) == 6
    assert all(sorted(epoch.tolist()) == sorted(data.train.tolist()) for epoch in epochs)
    same = [torch.equal(epoch, other) for epoch, other in itertools.combinations([data.train, *epochs], 2)]
    assert same == [not reshuffle] * 6


@pytest.mark.parametrize("clip_norm", [100.0, 0.01])
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_descend_is_a_step_down_the_clipped_gradient(threads, clip_norm, torch_threads):
    torch_threads(threads)
    spec = SequenceSpec(6, 8, bos=6)
    tokens, weights = cycle(7), torch.rand(7, 8, generator=generator(3))
    model, plain = (LSTMLanguageModel(spec, generator(), 5, 4) for _ in range(2))
    optimizer = torch.optim.SGD(trainable(model), lr=1.0)
    for parameter in trainable(model):
        parameter.grad = torch.full_like(parameter, 50.0)  # left over from before: must not count
    log_prob, norm = descend(model, optimizer, clip_norm, tokens, weights)

    law = torch.log_softmax(plain(plain.shift(tokens)), -1).gather(2, tokens[..., None])[..., 0]
    (-(weights * law).sum()).backward()
    expected = torch.sqrt(sum(parameter.grad.square().sum() for parameter in trainable(plain)))
    torch.testing.assert_close(log_prob, law.detach())
    torch.testing.assert_close(norm, expected)
    scale = min(1.0, clip_norm / float(expected))
    assert (scale < 1) == (clip_norm < 1)
    for moved, start in zip(trainable(model), trainable(plain), strict=True):
        torch.testing.assert_close(moved.detach(), start.detach() - scale * start.grad, atol=1e-6, rtol=1e-4)


def test_the_seed_decides_everything():
    data = Toy(train_size=100).load().training

    def tokens(stream):
        return MLE(epochs=2).fit(data, Session(stream)).sample(50, Decoding(), generator())

    assert torch.equal(tokens("mle/0"), tokens("mle/0"))
    assert not torch.equal(tokens("mle/0"), tokens("mle/1"))


def test_quick_and_smoke_are_shorter():
    assert MLE.presets["smoke"]["epochs"] <= MLE.presets["quick"]["epochs"] < MLE().epochs
