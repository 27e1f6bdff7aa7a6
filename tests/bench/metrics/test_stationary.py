"""The distance of next-token laws, against loops over words, scipy, and values that are known."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cityblock

from bench.metrics.density import Evidence, HeldOut
from bench.metrics.ranges import Impossible
from bench.metrics.stationary import StationaryVariation, histories
from bench.tasks.markov import Markov
from bench.tasks.toy import MarkovChain, Toy

TASK = Markov(vocab_size=9, seq_len=8, train_size=60, valid_size=20, test_size=40, concentration=0.3)
LENGTHS = (1, 2, 4, 7)


@pytest.fixture(scope="module")
def task():
    return TASK.load()


class FirstOrder(MarkovChain):
    """A model that reads one word, with the law of the next token."""

    def token_log_prob(self, tokens, temperature=1.0):
        return super().token_log_prob(tokens)

    def next_token_log_probs(self, prefixes):
        return self.transition.log()[prefixes[:, -1]]


class WithoutLaws:
    """The same model, which gives only the probabilities of sequences."""

    def __init__(self, model):
        self.token_log_prob = model.token_log_prob


class Looking:
    """A model whose law depends on all words of the prefix: tilted by how often each has come."""

    def __init__(self, transition):
        self.transition = transition

    def next_token_log_probs(self, prefixes):
        counts = torch.nn.functional.one_hot(prefixes, len(self.transition)).sum(1)
        tilted = self.transition[prefixes[:, -1]] * (1 + counts)
        return (tilted / tilted.sum(-1, keepdim=True)).log()

    def token_log_prob(self, tokens, temperature=1.0):
        columns = [torch.full((len(tokens),), -math.log(len(self.transition)), dtype=torch.float64)]
        for position in range(1, tokens.shape[1]):
            law = self.next_token_log_probs(tokens[:, :position])
            columns.append(law.gather(1, tokens[:, position, None])[:, 0])
        return torch.stack(columns, dim=1)


def mixed(task, share):
    """The source, mixed with even draws."""
    V = len(task.oracle.initial)
    return FirstOrder(task.oracle.initial, (1 - share) * task.oracle.transition + share / V)


def ask(task, sampler):
    held_out = HeldOut(task.training.spec, task.test, task.oracle, None, "ids")
    return Evidence(sampler, task.training.train, held_out).ask(StationaryVariation())


def value(task, sampler):
    (found,) = ask(task, sampler)
    return found.value


def test_the_source_has_none_and_even_draws_what_a_formula_says(task):
    assert value(task, task.oracle) == pytest.approx(0, abs=1e-12)
    pi, P = task.oracle.initial.numpy(), task.oracle.transition.numpy()
    expected = sum(pi[c] * sum(abs(P[c, w] - 1 / 9) for w in range(9)) / 2 for c in range(9))
    assert 0.1 < expected < 1
    assert value(task, mixed(task, 1.0)) == pytest.approx(expected, abs=1e-12)
    assert value(task, mixed(task, 0.25)) == pytest.approx(expected / 4, abs=1e-12)


def test_it_is_the_distance_of_scipys_laws_for_a_model_that_looks_back(task):
    model, pi = Looking(task.oracle.transition), task.oracle.initial.tolist()
    parts = []
    for prefixes in histories(task.oracle.backward.numpy(), list(LENGTHS)):
        total = 0.0
        for c, prefix in enumerate(prefixes.tolist()):
            assert prefix[-1] == c
            counts = [1 + prefix.count(word) for word in range(9)]
            weights = [float(task.oracle.transition[c, word]) * counts[word] for word in range(9)]
            law = [weight / sum(weights) for weight in weights]
            total += pi[c] * cityblock(law, task.oracle.transition[c].tolist()) / 2
        parts.append(total)
    assert value(task, model) == pytest.approx(sum(parts) / 4, abs=1e-12)
    assert parts[0] != pytest.approx(parts[3], rel=0.05)  # it matters how far back one looks


def test_a_model_without_laws_has_the_same_value(task):
    for model in (Looking(task.oracle.transition), mixed(task, 0.5)):
        assert value(task, WithoutLaws(model)) == pytest.approx(value(task, model), abs=1e-12)


def test_what_came_before_is_what_the_source_writes():
    """Going back from the last word, each has the law of the word before, and in the long run the stationary one."""
    chain = Markov(vocab_size=3, seq_len=4, train_size=2, valid_size=2, test_size=2, concentration=1.0).load().oracle
    (prefixes,) = histories(chain.backward.numpy(), [4_000])
    assert prefixes[:, -1].tolist() == [0, 1, 2]
    later, before = prefixes[:, 1:].ravel(), prefixes[:, :-1].ravel()
    for word in range(3):
        shares = np.bincount(before[later == word], minlength=3) / (later == word).sum()
        np.testing.assert_allclose(shares, chain.backward[word], atol=0.03)
    np.testing.assert_allclose(np.bincount(before) / before.size, chain.initial, atol=0.03)


def test_it_is_gamed_by_dropping_what_is_rare_and_held_out_likelihood_is_not(task):
    pi, P = task.oracle.initial, task.oracle.transition.clone()
    rare = P < 0.02
    lost = float((pi[:, None] * P * rare).sum())
    P[rare] = 0
    model = FirstOrder(pi, P / P.sum(-1, keepdim=True))
    assert 0 < value(task, model) <= lost + 1e-12
    assert float(model.log_prob(task.test).sum()) == -math.inf


def test_no_law_after_a_prefix_is_entirely_different(task):
    """As of a model that knows a few sequences by heart."""
    model = mixed(task, 0.0)
    known = task.oracle.transition.log().clone()
    known[3] = -math.inf
    model.next_token_log_probs = lambda prefixes: known[prefixes[:, -1]]
    assert value(task, model) == pytest.approx(float(task.oracle.initial[3]), abs=1e-12)


def test_nothing_for_other_oracles_and_for_text(make_evidence):
    toy = Toy(train_size=10, valid_size=4, test_size=4).load()
    assert ask(toy, toy.oracle) == []
    assert make_evidence([[1, 2]], [[1, 2]]).ask(StationaryVariation()) == []


def test_reasons_and_signature(task):
    (found,) = ask(task, mixed(task, 0.5))
    assert (str(found.signature), found.unit, found.direction) == ("prefixes=1,2,4,7|n=36|v=1", "", "lower")

    class Sequences:
        def log_prob(self, tokens):
            return torch.zeros(len(tokens))

    bound = mixed(task, 0.5)
    bound.density = "bound"
    for model, reason in (
        (object(), "the model has no log_prob"),
        (Sequences(), "the model has no token_log_prob"),
        (bound, "the model's density is a bound: a distance of laws needs an exact one"),
    ):
        (found,) = ask(task, model)
        assert (found.value, found.absent) == (None, reason)
    large = Markov(vocab_size=200, train_size=4, valid_size=2, test_size=2).load()
    (found,) = ask(large, WithoutLaws(large.oracle))
    assert found.absent == "the model has no next_token_log_probs, and would have to score 160,000 sequences"


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (torch.zeros(9, 8), r"expected next_token_log_probs of shape \(9, 9\), got \(9, 8\)"),
        (torch.full((9, 9), math.nan), "next_token_log_probs is not a number"),
    ],
)
def test_answers_that_are_no_laws_are_refused(task, answer, message):
    model = mixed(task, 0.5)
    model.next_token_log_probs = lambda prefixes: answer
    with pytest.raises(ValueError, match=message):
        ask(task, model)


def test_probabilities_that_sum_to_more_than_one_are_refused(task):
    class Certain(FirstOrder):
        """Every next word is certain: the distance would be 0."""

        def next_token_log_probs(self, prefixes):
            return torch.zeros(len(prefixes), TASK.vocab_size, dtype=torch.float64)

    held_out = HeldOut(task.training.spec, task.test, task.oracle, None, "ids", task.training.train)
    model = Certain(task.oracle.initial, task.oracle.transition)
    with pytest.raises(Impossible, match="the sum of a law is 9"):
        Evidence(model, task.test, held_out).ask(StationaryVariation())
