from __future__ import annotations

import itertools
import math

import pytest
import torch

from baselines.mle_ensemble import Ensemble, MLEEnsemble
from bench.api import Decoding, SequenceSpec
from bench.runs.session import Session
from bench.tasks.toy import Toy
from seqgan.lm import LSTMLanguageModel
from seqgan.mle import MLE

FIXED = SequenceSpec(4, 3, bos=4)
ENDED = SequenceSpec(4, 3, bos=4, eos=3, pad=3)
SPECS = [pytest.param(FIXED, id="fixed"), pytest.param(ENDED, id="eos")]
SMALL = {"batch_size": 16, "hidden_dim": 16, "lr": 0.05}


def ensemble(spec, members=3):
    return Ensemble(
        [LSTMLanguageModel(spec, torch.Generator().manual_seed(each), 4, 4, 2.0) for each in range(members)]
    )


def every(spec):
    sequences = torch.tensor(list(itertools.product(range(4), repeat=3)))
    return sequences if spec.eos is None else sequences[(spec.mask(sequences) | (sequences == spec.pad)).all(-1)]


@pytest.fixture(scope="module")
def data():
    return Toy(train_size=64).load().training


@pytest.mark.parametrize("temperature", [1.0, 0.5])
@pytest.mark.parametrize("spec", SPECS)
def test_the_density_is_the_mean_over_members_of_whole_sequences(spec, temperature):
    model = ensemble(spec)
    each = torch.stack([member.token_log_prob(every(spec), temperature).double().sum(-1) for member in model.models()])
    found = model.token_log_prob(every(spec), temperature)
    torch.testing.assert_close(found.sum(-1), each.logsumexp(0) - math.log(3))
    torch.testing.assert_close(found.sum(-1).exp().sum(), torch.ones((), dtype=torch.float64), rtol=1e-5, atol=0)
    assert not found[~spec.mask(every(spec))].any()
    # It is not the mean of the members' next words: that would be another mixture.
    by_word = torch.stack([member.token_log_prob(every(spec), temperature).double() for member in model.models()])
    assert float((by_word.logsumexp(0) - math.log(3) - found)[:, 1:].abs().max()) > 0.01


@pytest.mark.parametrize("spec", SPECS)
def test_the_next_words_law_is_the_densitys(spec):
    model, tokens = ensemble(spec), torch.randint(3, (20, 3), generator=torch.Generator().manual_seed(1))
    for k in range(3):
        law = model.next_token_log_probs(tokens[:, :k])
        assert law.shape == (20, 4)
        torch.testing.assert_close(law.exp().sum(-1), torch.ones(20, dtype=torch.float64))
        expected = model.token_log_prob(tokens)[:, k]
        torch.testing.assert_close(law.gather(1, tokens[:, k : k + 1])[:, 0], expected, rtol=1e-5, atol=1e-5)


def test_a_sequence_is_written_by_one_member():
    """Members that each write one word only: no sequence has two different ones."""
    model = ensemble(FIXED)
    with torch.no_grad():
        for index, member in enumerate(model.models()):
            member.output.bias[index] = 1_000.0
    drawn = model.sample(3_000, Decoding(), torch.Generator().manual_seed(0))
    assert bool((drawn == drawn[:, :1]).all())
    assert torch.bincount(drawn[:, 0], minlength=4).tolist() == pytest.approx([1_000, 1_000, 1_000, 0], abs=100)


def test_the_first_member_is_mle_and_the_others_begin_elsewhere(data):
    run, alone = Session("ensemble/0"), Session("ensemble/0")
    model = run.train(MLEEnsemble(**SMALL, epochs=2, members=3), data)
    single = alone.train(MLE(**SMALL, epochs=2), data)
    first, *others = model.models()
    assert torch.equal(first.log_prob(data.valid), single.log_prob(data.valid))
    for one, other in itertools.combinations([first, *others], 2):
        assert not torch.equal(one.log_prob(data.valid), other.log_prob(data.valid))
    for amount in ("train_tokens", "updates"):
        assert run.cost.amounts[amount] == 3 * alone.cost.amounts[amount]


def test_each_member_reads_in_an_order_of_its_own_if_orders_are_new(data):
    seen = []

    class Spy(Session):
        def rng(self, name):
            seen.append(name)
            return super().rng(name)

    Spy("ensemble/0").train(MLEEnsemble(**SMALL, epochs=1, members=2, reshuffle=True), data)
    assert set(seen) == {"init", "init-2", "batches", "batches-2"}


def test_several_members_are_better_than_each(data):
    model = Session("ensemble/0").train(MLEEnsemble(**SMALL, epochs=6), data)
    assert len(model.models()) == 5
    alone = [-float(member.log_prob(data.valid).mean()) for member in model.models()]
    assert -float(model.log_prob(data.valid).mean()) < min(alone)


def test_a_budget_ends_all_members_at_the_same_batch(data):
    counted = []

    class Counting(Session):
        def track(self, sampler, **state):
            counted.append({name: part for name, part in state.items() if name.startswith("optimizer")})
            super().track(sampler, **state)

    run = Counting("toy/0", budget={"updates": 5})
    MLEEnsemble(members=3, epochs=4, **SMALL).fit(data, run)
    steps = [max(int(state["step"]) for state in part.state.values()) if part.state else 0
             for part in counted[0].values()]  # fmt: skip
    assert max(steps) - min(steps) <= 1
    assert sum(steps) in (5, 6)


def test_members_in_turn_learn_what_they_learn_one_after_another(data):
    alone = Session("toy/0").train(MLE(epochs=2, **SMALL), data)
    ensemble = Session("toy/0").train(MLEEnsemble(members=2, epochs=2, **SMALL), data)
    assert torch.equal(ensemble.models()[0].token_log_prob(data.train), alone.token_log_prob(data.train))
