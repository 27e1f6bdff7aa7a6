from __future__ import annotations

import copy
import dataclasses

import pytest
import torch

from bench.api import Decoding, Execution, Unsupported
from bench.plans.fields import build, configuration
from bench.runs.session import Session
from bench.tasks.toy import Toy
from seqgan.discriminator import Discriminator
from seqgan.mle import MLE
from seqgan.seqgan import SeqGAN

PAPER = {
    "pretrain_epochs": 120,
    "pretrain_lr": 0.01,
    "policy": "lstm",
    "embedding_dim": 32,
    "hidden_dim": 32,
    "init_std": 0.1,
    "d_pretrain_steps": 50,
    "rounds": 200,
    "g_steps": 1,
    "d_steps": 5,
    "d_epochs": 3,
    "d_samples": None,
    "rollouts": 16,
    "batch_size": 64,
    "lr": 0.01,
    "clip_norm": 5.0,
    "baseline": False,
    "standardize": False,
    "d_lr": 1e-4,
    "d_embedding_dim": 64,
    "d_filter_sizes": (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 15, 20),
    "d_filter_counts": (100, 200, 200, 200, 200, 100, 100, 100, 100, 100, 160, 160),
    "d_keep": 0.75,
    "d_l2": 0.2,
    "d_pretrain_epochs": 0,
    "d_pretrain_samples": 0,
}
SMALL = SeqGAN(
    pretrain_epochs=3,
    d_pretrain_steps=2,
    rounds=3,
    g_steps=2,
    d_steps=2,
    d_epochs=2,
    d_samples=30,
    rollouts=2,
    batch_size=16,
    hidden_dim=12,
    embedding_dim=12,
    d_embedding_dim=8,
    d_filter_sizes=(1, 2, 3),
    d_filter_counts=(8, 8, 8),
)


class Witness(Session):
    """A session that records what was pre-trained, and keeps the policy as it was after pre-training."""

    def pretrained(self, generator, data):
        policy = super().pretrained(generator, data)
        self.asked, self.start = generator, copy.deepcopy(policy.state_dict())
        return policy


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def data():
    return Toy(train_size=120).load().training


@pytest.fixture(scope="module")
def trained(data):
    run = Witness("seqgan/0")
    return run.train(SMALL, data), run


def same(state, other):
    return state.keys() == other.keys() and all(torch.equal(state[name], other[name]) for name in state)


def test_defaults_are_the_released_codes():
    assert dataclasses.asdict(SeqGAN()) == PAPER


def test_the_adversarial_phase_starts_from_the_shared_pretraining(trained, data):
    policy, run = trained
    assert run.asked == MLE(epochs=3, batch_size=16, embedding_dim=12, hidden_dim=12)
    alone = Session("seqgan/0").train(run.asked, data)
    assert same(run.start, alone.state_dict())
    assert not same(policy.state_dict(), alone.state_dict())


def test_the_pretraining_has_the_policys_fields(data):
    run = Witness("seqgan/0")
    shape = dataclasses.replace(
        SMALL, rounds=0, d_pretrain_steps=0, pretrain_lr=0.02, embedding_dim=5, hidden_dim=7, pretrain_epochs=1
    )
    policy = run.train(shape, data)
    assert run.asked == MLE(epochs=1, lr=0.02, batch_size=16, embedding_dim=5, hidden_dim=7)
    assert same(policy.state_dict(), run.start)  # only pre-training changes it
    assert policy.output.weight.shape == (12, 7)


def test_the_discriminators_pretraining_leaves_the_policy_alone(data):
    run = Witness("seqgan/0")
    policy = run.train(dataclasses.replace(SMALL, rounds=0), data)
    assert same(policy.state_dict(), run.start)


def test_the_curve_has_the_phases_in_order(trained):
    _, run = trained
    assert [(point["phase"], point["step"]) for point in run.curve] == [
        *(("mle", step) for step in (1, 2, 3)),
        *(("discriminator", step) for step in (1, 2)),
        *(("adversarial", step) for step in (1, 2, 3)),
    ]
    assert {"d_loss", "d_accuracy"} <= run.curve[3]["scalars"].keys()
    assert {"reward", "entropy", "gradient_norm", "d_loss", "d_accuracy"} <= run.curve[-1]["scalars"].keys()


def test_everything_is_counted(trained):
    _, run = trained
    amounts = run.cost.amounts
    assert amounts["train_tokens"] == 3 * 120 * 8 + 3 * 2 * 16 * 8  # those of the shared pre-training, and its own
    assert amounts["rollouts"] == 3 * 2 * 16 * (2 * 7 + 1)
    assert amounts["discriminator_sequences"] == (2 + 3 * 2) * 2 * (30 + 30)
    assert amounts["discriminator_tokens"] == 8 * amounts["discriminator_sequences"]
    assert amounts["updates"] == 3 * 8 + 3 * 2 + (2 + 3 * 2) * 2 * 4
    # Drawn: the batches and the negatives; 8 - k words after each prefix of k, twice; rewards read it all again.
    assert amounts["sampled_tokens"] == 3 * 2 * 16 * 8 + (2 + 3 * 2) * 30 * 8
    assert amounts["rollout_tokens"] == 3 * 2 * 16 * 2 * sum(range(1, 8))
    assert amounts["reward_tokens"] == 8 * amounts["rollouts"]
    learnt = amounts["train_tokens"] + amounts["discriminator_tokens"]
    others = sum(amounts[f"{name}_tokens"] for name in ("sampled", "rollout", "reward"))
    assert run.cost.tokens == learnt + others
    assert 0 < run.cost.pretraining_seconds < run.cost.seconds


def test_the_same_seed_gives_the_same_tokens(trained, data):
    policy, _ = trained
    tokens = policy.sample(200, Decoding(), generator())
    assert tokens.shape == (200, 8)
    again = Session("seqgan/0").train(SMALL, data).sample(200, Decoding(), generator())
    other = Session("seqgan/1").train(SMALL, data).sample(200, Decoding(), generator())
    assert torch.equal(tokens, again)
    assert not torch.equal(tokens, other)


def test_the_global_random_state_is_left_alone(data):
    before = torch.random.get_rng_state()
    Session("seqgan/0").train(dataclasses.replace(SMALL, rounds=1), data)
    assert torch.equal(torch.random.get_rng_state(), before)


class Watched(Discriminator):
    """Keeps every batch that it was trained on."""

    batches: list

    def loss(self, tokens, real, l2, dropout):
        self.batches.append((tokens, real))
        return super().loss(tokens, real, l2, dropout)


@pytest.mark.parametrize("d_samples", [None, 30, 1_000])
def test_the_discriminator_sees_as_many_new_negatives_as_positives(d_samples, data, make_policy):
    policy = make_policy(data.spec)
    model = Watched(data.spec, generator(), 4, (1, 2), (4, 4))
    algorithm = dataclasses.replace(SMALL, d_samples=d_samples)
    run, sets = Session("seqgan/0"), []
    step = algorithm.discriminator_step(
        model, torch.optim.Adam(model.parameters(), lr=0.0), run.rng("negatives"), Execution()
    )
    for _ in range(2):
        model.batches = []
        algorithm.train_discriminator(step, policy, data.train, run)
        tokens, real = (torch.cat(parts) for parts in zip(*model.batches, strict=True))
        half = len(tokens) // 2
        assert half == 2 * min(d_samples or 120, 120)
        for label in (0, 1):  # each epoch shows every one of them once
            rows = [
                sorted(map(tuple, part[mask == label].tolist()))
                for part, mask in ((tokens[:half], real[:half]), (tokens[half:], real[half:]))
            ]
            assert rows[0] == rows[1]
            assert len(rows[0]) == half // 2
            sets.append(set(rows[0]))
        assert sets[-1] <= set(map(tuple, data.train.tolist()))  # the positives
        assert max(len(batch) for batch, _ in model.batches) == 16
        assert any(0 < batch.double().mean() < 1 for _, batch in model.batches)  # mixed, not all of one label first
    assert sets[0] != sets[2]  # new negatives every time


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
@pytest.mark.parametrize("mode", ["graph", "triton"])
def test_what_needs_a_gpu_is_refused_on_the_cpu(mode, data):
    with pytest.raises(Unsupported, match=f"--execution {mode} needs a CUDA device"):
        Session("seqgan/0", execution=Execution(mode)).train(SMALL, data)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")
@pytest.mark.parametrize("mode", ["graph", "triton"])
def test_every_execution_trains_on_cuda(mode, data):
    run = Session("seqgan/0", device="cuda", execution=Execution(mode))
    tokens = run.train(SMALL, data).sample(50, Decoding(), run.rng("sample"))
    assert 0 <= int(tokens.min()) <= int(tokens.max()) < 12
    if mode == "graph":
        eager = Session("seqgan/0", device="cuda")
        same = eager.train(SMALL, data).sample(50, Decoding(), eager.rng("sample"))
        assert (tokens == same).float().mean() > 0.9  # the same draws; sums may be rounded in another order


def test_presets_build_and_the_smoke_preset_trains(data):
    for preset in ("smoke", "quick", "paper"):
        assert isinstance(build(SeqGAN, configuration(SeqGAN, preset, {})), SeqGAN)
    smoke = build(SeqGAN, configuration(SeqGAN, "smoke", {"d_filter_sizes": (2,), "d_filter_counts": (4,)}))
    tokens = Session("seqgan/0").train(smoke, data).sample(10, Decoding(), generator())
    assert 0 <= int(tokens.min()) <= int(tokens.max()) < 12
