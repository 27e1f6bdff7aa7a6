from __future__ import annotations

import dataclasses
import itertools
import json
import math

import pytest
import torch
from scipy import stats

from bench.tasks.toy import MarkovChain, Toy


@pytest.fixture(scope="module")
def toy():
    return Toy().load()


def test_log_prob_is_the_plain_product(toy):
    chain = toy.oracle
    log_prob = chain.log_prob(toy.test)
    assert log_prob.dtype == torch.float64
    for row, got in zip(toy.test[:20].tolist(), log_prob.tolist(), strict=False):
        total = math.log(chain.initial[row[0]])
        for before, after in itertools.pairwise(row):
            total += math.log(chain.transition[before, after])
        assert got == pytest.approx(total)


def test_samples_follow_log_prob():
    chain = MarkovChain(
        torch.tensor([0.2, 0.5, 0.3], dtype=torch.float64),
        torch.tensor([[0.1, 0.6, 0.3], [0.4, 0.4, 0.2], [0.25, 0.05, 0.7]], dtype=torch.float64),
    )
    sequences = torch.tensor(list(itertools.product(range(3), repeat=3)))
    probabilities = chain.log_prob(sequences).exp()
    assert float(probabilities.sum()) == pytest.approx(1)
    uniforms = torch.rand(20_000, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    counts = torch.bincount((chain.sample(uniforms) * torch.tensor([9, 3, 1])).sum(-1), minlength=27)
    assert stats.chisquare(counts.numpy(), (probabilities * 20_000).numpy()).pvalue > 1e-3


def test_rows_are_distributions_and_nothing_is_impossible(toy):
    for law in (toy.oracle.initial[None], toy.oracle.transition):
        torch.testing.assert_close(law.sum(-1), torch.ones(len(law), dtype=torch.float64))
        assert float(law.min()) > 0
    # Far from uniform, so that there is something to learn.
    entropy = -float(toy.oracle.log_prob(toy.training.train).mean()) / 8
    assert 0.3 < entropy < math.log(12) - 0.5


def test_two_loads_are_the_same_bytes(toy):
    assert Toy().load().sha256 == toy.sha256
    assert [tuple(part.shape) for part in (toy.training.train, toy.training.valid, toy.test)] == [
        (640, 8), (200, 8), (500, 8)
    ]  # fmt: skip
    assert toy.training.spec.bos == toy.training.spec.vocab_size == 12


def test_splits_are_different_draws(toy):
    assert not torch.equal(toy.training.train[:200], toy.training.valid)
    assert not torch.equal(toy.training.train[:500], toy.test)


@pytest.mark.parametrize(
    "change", [{"draw": 1}, {"seq_len": 9}, {"vocab_size": 13}, {"concentration": 0.3}, {"train_size": 641}]
)
def test_a_parameter_makes_another_task(change, toy):
    other = dataclasses.replace(Toy(), **change)
    assert other.fingerprint() != Toy().fingerprint()
    assert other.load().sha256 != toy.sha256


def test_the_fingerprint_names_every_parameter():
    assert json.loads(Toy().fingerprint()) == dataclasses.asdict(Toy())
