"""Trainings that differ only in what comes after a phase do it once, with the bits of one that does it alone."""

from collections import Counter
from dataclasses import dataclass, replace

import pytest
import torch

from bench.api import Decoding
from bench.runs.checkpoints import CheckpointFolder, Kept
from bench.runs.session import Observer, Session
from bench.tasks.toy import Toy
from seqgan.seqgan import BaselinedSeqGAN, SeqGAN


@pytest.fixture(scope="module")
def data():
    return Toy(vocab_size=6, seq_len=5, train_size=48, valid_size=8, test_size=8).load().training


@pytest.fixture
def folder(tmp_path):
    return CheckpointFolder(tmp_path)


class Weights:
    """A vector that noise is added to, and that is drawn from."""

    def __init__(self):
        self.values = torch.zeros(6)

    def sample(self, n, decoding, rng):
        return torch.multinomial(self.values.softmax(-1), n * 5, True, generator=rng).view(n, 5)

    def state_dict(self):
        return {"values": self.values}

    def load_state_dict(self, state):
        self.values = state["values"].clone()


@dataclass(frozen=True)
class Twofold:
    """A phase that all have in common, and one of its own; ``taken`` counts the steps that were really taken."""

    common: int = 4
    own: int = 3
    stop: int | None = None
    taken: Counter | None = None

    def fit(self, data, run):
        model = Weights()
        run.track(model, model=model)
        for step in run.phase("common", self.common, shared=Twofold(self.common, 0, self.stop)):
            self.step("common", model, run)
            if step == self.stop:
                break
        for _ in run.phase("own", self.own):
            self.step("own", model, run)
        return model

    def step(self, phase, model, run):
        with run.measure(updates=1):
            model.values = model.values * 0.9 + torch.randn(6, generator=run.rng("steps"))
        if self.taken is not None:
            self.taken[phase] += 1
        run.log(size=float(model.values.norm()))


def named(generator, budget):
    return f"{type(generator).__name__}-{getattr(generator, 'common', '')}-{sorted(budget.items())}"


def session(folder=None, fit_id="whole", observer=None, every=15.0, **more):
    kept = None if folder is None else Kept(folder, fit_id, named, every)
    return Session("toy/0", kept=kept, observer=observer, **more)


def tokens(sampler):
    return sampler.sample(40, Decoding(), torch.Generator().manual_seed(0))


def history(run):
    return [(row["phase"], row["step"], row["updates"], row["scalars"]) for row in run.curve]


def test_the_phase_is_done_once_and_charged_to_everybody(data, folder):
    taken = Counter()
    for own in (3, 5, 0):
        alone = session()
        expected = tokens(alone.train(Twofold(own=own), data))
        run = session(folder, f"run-{own}")
        assert torch.equal(tokens(run.train(Twofold(own=own, taken=taken), data)), expected)
        assert history(run) == history(alone)
        assert run.cost.updates == alone.cost.updates == 4 + own
        assert run.steps == 4 + own
    assert taken == {"common": 4, "own": 8}


def test_another_length_of_the_phase_is_another_phase(data, folder):
    taken = Counter()
    session(folder, "a").train(Twofold(4, taken=taken), data)
    run = session(folder, "b")
    sampler = run.train(Twofold(6, taken=taken), data)
    assert taken["common"] == 10
    assert torch.equal(tokens(sampler), tokens(session().train(Twofold(6), data)))


class Crash(Exception):
    pass


def crashing(phase, step):
    def progress(now, done, steps, scalars):
        if (now, done) == (phase, step):
            raise Crash

    return Observer(progress)


@pytest.mark.parametrize("moment", [("common", 1), ("common", 3), ("common", 4), ("own", 1), ("own", 3)])
@pytest.mark.parametrize("every", [-1, 15.0])
def test_interrupted_anywhere_another_run_goes_on(data, folder, monkeypatch, moment, every):
    monkeypatch.setattr("bench.runs.session.PROGRESS_SECONDS", -1)
    with pytest.raises(Crash):
        session(folder, "first", crashing(*moment), every).train(Twofold(), data)
    taken = Counter()
    second = session(folder, "second", every=every)
    assert torch.equal(
        tokens(second.train(Twofold(own=5, taken=taken), data)), tokens(session().train(Twofold(own=5), data))
    )
    done = 4 if moment[0] == "own" else moment[1] - 1 if every < 0 else 0
    assert taken["common"] == 4 - done
    first = session(folder, "first", every=every)
    assert torch.equal(tokens(first.train(Twofold(taken=taken), data)), tokens(session().train(Twofold(), data)))
    assert taken["common"] == 4 - done
    again = Counter()
    session(folder, "first").train(Twofold(taken=again), data)
    assert not again


def test_a_phase_that_ends_early(data, folder):
    expected = tokens(session().train(Twofold(10, stop=2), data))
    for fit_id in ("a", "b", "a"):
        assert torch.equal(tokens(session(folder, fit_id, every=-1).train(Twofold(10, stop=2), data)), expected)


def test_a_damaged_state_is_trained_anew(data, folder):
    session(folder, "a").train(Twofold(), data)
    (state,) = (file for file in folder.path.glob("*.safetensors") if file.stem != "a")
    state.write_bytes(state.read_bytes()[:100])
    warnings, taken = [], Counter()
    run = session(folder, "b", Observer(warn=warnings.append))
    sampler = run.train(Twofold(own=5, taken=taken), data)
    assert torch.equal(tokens(sampler), tokens(session().train(Twofold(own=5), data)))
    assert taken["common"] == 4
    assert len(warnings) == 1
    assert "the training begins anew" in warnings[0]


def test_within_a_budget(data, folder):
    for limit in (2, 4, 6):
        for fit_id in ("a", "b"):
            run = session(folder, f"{fit_id}-{limit}", budget={"updates": limit})
            run.train(Twofold(), data)
            assert run.cost.updates == limit


def test_nothing_kept_nothing_shared(data):
    taken = Counter()
    Session("toy/0", kept=None).train(Twofold(taken=taken), data)
    assert taken == {"common": 4, "own": 3}


SMALL = {
    "pretrain_epochs": 1,
    "hidden_dim": 4,
    "embedding_dim": 3,
    "batch_size": 16,
    "rollouts": 2,
    "d_pretrain_steps": 3,
    "d_filter_sizes": (1, 2),
    "d_filter_counts": (3, 3),
    "d_embedding_dim": 4,
}


def name_by_fields(generator, budget):
    return f"{type(generator).__name__}-{abs(hash(generator))}"


def learnt(run):
    """Steps of the discriminator's pre-training that the curve has, and its loss there."""
    return [row["scalars"]["d_loss"] for row in run.curve if row["phase"] == "discriminator"]


@pytest.mark.parametrize(
    "changed",
    [
        {"rounds": 1},
        {"d_steps": 0},
        {"d_samples": 16, "d_epochs": 1, "d_pretrain_samples": 48, "d_pretrain_epochs": 3},
        {"d_samples": 16, "d_epochs": 1, "d_pretrain_samples": 40, "d_pretrain_epochs": 3},
        {"rollouts": 3, "baseline": True, "standardize": True, "g_steps": 2},
    ],
)
def test_seqgans_that_differ_later_share_the_discriminators_pretraining(data, folder, changed, monkeypatch):
    """And give what each gives alone."""
    usual = SeqGAN(**{**SMALL, "rounds": 2, "d_steps": 1})
    other = replace(usual, **changed)
    shared = changed.get("d_pretrain_samples", 48) == 48  # all of the training set
    assert (other.beginning(48) == usual.beginning(48)) == shared
    Session("toy/0", kept=Kept(folder, "usual", name_by_fields)).train(usual, data)
    calls = []
    train = SeqGAN.train_discriminator
    monkeypatch.setattr(SeqGAN, "train_discriminator", lambda self, *args: calls.append(1) or train(self, *args))
    run = Session("toy/0", kept=Kept(folder, "other", name_by_fields))
    sampler = run.train(other, data)
    assert len(calls) == other.rounds * other.d_steps + (0 if shared else 3)
    alone = Session("toy/0")
    assert torch.equal(tokens(alone.train(other, data)), tokens(sampler))
    assert learnt(run) == learnt(alone)
    assert run.cost.amounts == alone.cost.amounts


def test_pretraining_has_its_own_sets_and_epochs(data):
    short = SeqGAN(**{**SMALL, "rounds": 0, "d_samples": 16, "d_epochs": 1})
    long = replace(short, d_pretrain_samples=48, d_pretrain_epochs=3)
    spent = {}
    for name, model in (("short", short), ("long", long), ("whole", replace(short, d_samples=None, d_epochs=3))):
        run = Session("toy/0")
        run.train(model, data)
        spent[name] = run.cost.amounts["discriminator_sequences"]
    assert spent == {"short": 3 * 1 * 32, "long": 3 * 3 * 96, "whole": 3 * 3 * 96}


@pytest.mark.parametrize("field", ["lr", "d_lr", "d_l2", "d_keep", "d_pretrain_steps", "pretrain_lr", "batch_size"])
def test_what_mattered_before_is_part_of_the_name(field):
    usual = SeqGAN(**SMALL)
    other = replace(usual, **{field: getattr(usual, field) * 2 if field != "d_keep" else 0.5})
    assert other.beginning(48) != usual.beginning(48)


def test_a_subclass_keeps_its_own():
    """It may train its discriminator in another way."""
    assert isinstance(BaselinedSeqGAN(**SMALL).beginning(48), BaselinedSeqGAN)
