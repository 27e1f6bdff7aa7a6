from __future__ import annotations

import dataclasses

import pytest
import torch
from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu

from baselines.pg_bleu import BleuReward, PGBleu
from bench.api import Decoding, SequenceSpec
from bench.runs.session import Session
from bench.tasks.toy import Toy
from seqgan.mle import MLE

FIELDS = {
    "pretrain_epochs": 120,
    "pretrain_lr": 0.01,
    "policy": "lstm",
    "embedding_dim": 32,
    "hidden_dim": 32,
    "init_std": 0.1,
    "rounds": 200,
    "order": 3,
    "epsilon": 0.1,
    "rollouts": 16,
    "batch_size": 64,
    "lr": 0.01,
    "clip_norm": 5.0,
    "baseline": False,
    "standardize": False,
}
FIXED = SequenceSpec(6, 7, bos=6)
ENDED = SequenceSpec(6, 7, bos=6, eos=1, pad=0)
ENDED_BY_PAD = SequenceSpec(6, 7, bos=6, eos=5, pad=5)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def words(spec, row):
    row = row.tolist()
    return row[: row.index(spec.eos)] if spec.eos in row else row


@pytest.fixture(scope="module")
def trained():
    """The policy after pre-training, and after policy gradient."""
    data = Toy(train_size=130).load().training
    run = Session("pg-bleu/0")
    policy = run.train(PGBleu(pretrain_epochs=2, rounds=12, rollouts=2, batch_size=32), data)
    return Session("pg-bleu/0").train(MLE(epochs=2, batch_size=32), data), policy, run, data


def test_defaults():
    assert dataclasses.asdict(PGBleu()) == FIELDS


@pytest.mark.parametrize("order", [2, 3])
@pytest.mark.parametrize("spec", [FIXED, ENDED, ENDED_BY_PAD], ids=["fixed", "eos", "eos is pad"])
def test_the_reward_is_nltks_bleu_against_all_of_the_training_set(spec, order):
    references = torch.randint(6, (40, 7), generator=generator(1))
    hypotheses = torch.cat([torch.randint(6, (60, 7), generator=generator(2)), references[:3]])
    hypotheses[0] = spec.eos or 1  # begins with the end mark, if there is one: no words at all
    reward = BleuReward(spec, references, order, 0.1)(hypotheses)
    smoothing = SmoothingFunction(epsilon=0.1).method1
    expected = [
        sentence_bleu([words(spec, row) for row in references], words(spec, row), (1 / order,) * order, smoothing)
        for row in hypotheses
    ]
    assert reward.dtype == torch.float32
    torch.testing.assert_close(reward.double(), torch.tensor(expected).double(), atol=1e-6, rtol=0)
    assert float(reward.std()) > 0.05


def test_the_last_reference_counts_like_the_first():
    references = torch.zeros(200, 7, dtype=torch.long)
    references[-1] = torch.tensor([2, 3, 4, 5, 2, 3, 4])
    reward = BleuReward(FIXED, references, 3, 0.1)
    assert reward(references[-1:]).item() == pytest.approx(1)


def test_the_end_mark_and_what_follows_are_not_words():
    references = torch.tensor([[2, 3, 4, 1, 0, 0, 0], [2, 3, 4, 5, 1, 0, 0]])
    reward = BleuReward(ENDED, references, 3, 0.1)
    rows = torch.tensor([[2, 3, 4, 1, 0, 0, 0], [2, 3, 4, 1, 5, 5, 5], [0, 1, 0, 0, 0, 0, 0], [1, 0, 0, 0, 0, 0, 0]])
    assert reward(rows).tolist() == pytest.approx([1, 1, 0, 0])


def test_it_starts_from_the_shared_pretraining_and_raises_its_reward(trained):
    start, policy, run, data = trained
    reward = BleuReward(data.spec, data.train, 3, 0.1)
    before, after = (float(reward(model.sample(500, Decoding(), generator())).mean()) for model in (start, policy))
    assert after > before + 0.1
    first = next(point for point in run.curve if point["phase"] == "policy-gradient")["scalars"]["reward"]
    tokens, _ = start.sample_with_states(32, Session("pg-bleu/0").rng("policy"))
    assert first == pytest.approx(float(reward(tokens).mean()), rel=1e-5)


def test_the_curve_has_the_phases_in_order_and_everything_is_counted(trained):
    _, _, run, _ = trained
    assert [point["phase"] for point in run.curve] == ["mle"] * 2 + ["policy-gradient"] * 12
    assert run.cost.amounts == {
        "train_tokens": 2 * 130 * 8 + 12 * 32 * 8,
        "sampled_tokens": 12 * 32 * 8,
        "rollout_tokens": 12 * 32 * 2 * sum(range(1, 8)),  # BLEU is no network: what it reads is not counted
        "updates": 2 * 5 + 12,
        "rollouts": 12 * 32 * (2 * 7 + 1),
    }


def test_the_same_seed_gives_the_same_tokens(trained):
    _, policy, _, data = trained
    algorithm = PGBleu(pretrain_epochs=2, rounds=12, rollouts=2, batch_size=32)
    before = torch.random.get_rng_state()
    again = Session("pg-bleu/0").train(algorithm, data)
    assert torch.equal(torch.random.get_rng_state(), before)
    one, two = (model.sample(100, Decoding(), generator()) for model in (policy, again))
    assert torch.equal(one, two)


def test_an_unknown_word_earns_nothing():
    spec = SequenceSpec(5, 4, bos=5)
    references = torch.tensor([[0, 0, 0, 0], [1, 2, 3, 4]])
    reward = BleuReward(spec, references, 3, 0.1, unk=0)
    assert reward(torch.tensor([[0, 0, 0, 0], [1, 2, 3, 4]])).tolist() == pytest.approx([0.0, 1.0])
