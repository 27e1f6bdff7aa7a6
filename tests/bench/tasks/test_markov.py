from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import torch

from bench.tasks.markov import Markov, StationaryChain
from bench.tasks.toy import MarkovChain

SMALL = Markov(vocab_size=12, seq_len=6, train_size=40, valid_size=20, test_size=30)


@pytest.fixture(scope="module")
def chain():
    return Markov(train_size=2, valid_size=2, test_size=2).load().oracle


def test_the_first_law_is_the_one_that_a_step_does_not_change(chain):
    pi, P = chain.initial, chain.transition
    torch.testing.assert_close(pi @ P, pi, rtol=1e-12, atol=0)
    torch.testing.assert_close(P.sum(-1), torch.ones(100, dtype=torch.float64))
    assert float(pi.min()) > 0
    values, vectors = np.linalg.eig(P.numpy().T)  # another way to it
    leading = np.real(vectors[:, np.argmax(np.real(values))])
    np.testing.assert_allclose(pi.numpy(), leading / leading.sum(), rtol=1e-8)


def test_a_long_walk_has_the_stationary_law_and_the_backward_one(chain):
    walk = chain.sample(torch.from_numpy(np.random.RandomState(3).random_sample((20_000, 5))))
    for column in walk.t():
        shares = torch.bincount(column, minlength=100).double() / len(walk)
        assert float((shares - chain.initial).abs().max()) < 5 * (0.02 / 20_000) ** 0.5
    pairs = torch.zeros(100, 100, dtype=torch.float64)
    pairs.index_put_((walk[:, 3], walk[:, 2]), torch.ones(len(walk), dtype=torch.float64), accumulate=True)
    joint = chain.initial[:, None] * chain.backward
    assert float((pairs / len(walk) - joint).abs().max()) < 5 * (0.02 / 20_000) ** 0.5
    torch.testing.assert_close(chain.backward.sum(-1), torch.ones(100, dtype=torch.float64))


def test_it_is_the_toy_tasks_chain_and_tells_its_laws(chain):
    assert isinstance(chain, MarkovChain)
    prefixes = torch.tensor([[3, 5], [7, 7]])
    tokens = torch.tensor([[3, 5, 1, 0], [7, 7, 2, 0]])
    laws = chain.next_token_log_probs(prefixes)
    assert laws.shape == (2, 100)
    torch.testing.assert_close(laws[[0, 1], [1, 2]], chain.token_log_prob(tokens)[:, 2])
    torch.testing.assert_close(chain.next_token_log_probs(prefixes[:, :0])[0].exp(), chain.initial)


def test_two_words_by_hand():
    chain = StationaryChain(torch.tensor([[0.9, 0.1], [0.3, 0.7]], dtype=torch.float64))
    assert chain.initial.tolist() == pytest.approx([0.75, 0.25])
    assert chain.backward[0].tolist() == pytest.approx([0.9, 0.1])  # a chain of two words is reversible


def test_two_loads_are_the_same_bytes_and_a_parameter_makes_another_task():
    data = SMALL.load()
    assert SMALL.load().sha256 == data.sha256
    assert json.loads(SMALL.fingerprint()) == dataclasses.asdict(SMALL)
    assert (data.training.spec.bos, data.training.spec.eos, data.vocabulary) == (12, None, None)
    assert not torch.equal(data.training.train[:20], data.training.valid)
    for change in ({"draw": 1}, {"seq_len": 7}, {"vocab_size": 13}, {"concentration": 0.3}, {"train_size": 41}):
        other = dataclasses.replace(SMALL, **change)
        assert other.fingerprint() != SMALL.fingerprint()
        assert other.load().sha256 != data.sha256
