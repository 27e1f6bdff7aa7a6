"""The curve's scores are those of the metrics, with the validation split in place of the test set."""

import math

import pytest
import torch

from bench.api import Decoding
from bench.metrics.density import Evidence, HeldOut
from bench.metrics.divergence import Divergence
from bench.metrics.nll import NLL
from bench.metrics.ranges import Impossible
from bench.runs.curve import CurveJudge
from bench.runs.session import Session
from bench.tasks.grammar import Grammar
from bench.tasks.toy import Toy
from seqgan.mle import MLE


class Constant:
    """The same log-probability for every token or sequence."""

    def __init__(self, log_prob, by_token=True):
        if by_token:
            self.token_log_prob = lambda tokens, temperature=1.0: torch.full(tokens.shape, log_prob)
        else:
            self.log_prob = lambda tokens: torch.full(tokens.shape[:1], log_prob)

    def sample(self, n, decoding, rng):
        raise AssertionError


@pytest.fixture(scope="module")
def task():
    return Toy(train_size=200, valid_size=60, test_size=70).load()


def judge(task, n=40, oracle=True):
    return CurveJudge(task.training.spec, task.training.valid[:n], task.oracle if oracle else None)


def test_the_numbers_are_those_of_the_metrics(task):
    model = Session("curve/0").train(MLE(epochs=2), task.training)
    samples = model.sample(50, Decoding(), torch.Generator().manual_seed(0))
    evidence = Evidence(model, samples, HeldOut(task.training.spec, task.training.valid[:40], task.oracle, None, ""))
    expected = {found.metric: found.value for metric in (NLL, Divergence) for found in evidence.ask(metric())}
    for _ in range(2):
        assert judge(task).scores(model, samples) == {
            "nll_oracle": expected["nll_oracle"], "nll_valid": expected["nll_test"], "jsd_valid": expected["jsd_token"]
        }  # fmt: skip


def test_what_is_not_known_is_left_out(task):
    samples = task.training.train[:30]
    assert set(judge(task).scores(object(), samples)) == {"nll_oracle"}
    assert set(judge(task).scores(Constant(-1.0, by_token=False), samples)) == {"nll_oracle", "nll_valid"}
    assert judge(task, oracle=False).scores(Constant(-1.5), samples) == {"nll_valid": 1.5}


@pytest.mark.parametrize(
    ("density", "known"),
    [("bound", {"nll_valid"}), ("estimated", {"nll_valid"}), ("none", set()), ("exact", {"nll_valid", "jsd_valid"})],
)
def test_a_divergence_needs_an_exact_density(task, density, known):
    sampler = Constant(-math.log(12))
    sampler.density = density
    samples = torch.randint(12, (30, 8), generator=torch.Generator().manual_seed(0))
    assert set(judge(task).scores(sampler, samples)) == {"nll_oracle", *known}


def test_what_is_infinite_is_left_out_and_what_is_no_number_is_refused(task):
    samples = task.training.train[:30]
    assert "nll_valid" not in judge(task).scores(Constant(-math.inf, by_token=False), samples)
    with pytest.raises(ValueError, match="is not a number: the model has diverged"):
        judge(task).scores(Constant(math.nan), samples)


def test_what_cannot_be_is_refused(task):
    samples = task.training.train[:30]
    with pytest.raises(Impossible, match=r"the half of jsd_valid along generated sequences is -inf"):
        judge(task).scores(Constant(-math.inf), samples)
    with pytest.raises(Impossible, match=r"the half of jsd_valid along real sequences is -0.8"):
        judge(task).scores(Constant(-0.1), samples)
    with pytest.raises(Impossible, match=r"token_log_prob of a token is 0.1"):
        judge(task, oracle=False).scores(Constant(0.1), samples)


def test_the_validation_sequences_are_nobody_elses(task):
    class Scribbler(Constant):
        def __init__(self):
            pass

        def token_log_prob(self, tokens, temperature=1.0):
            return torch.full(tokens.shape, -9.0) * tokens.zero_().add(1)

    before = task.training.valid.clone()
    judge(task, oracle=False).scores(Scribbler(), task.training.train[:30])
    assert torch.equal(task.training.valid, before)


def test_a_sampler_that_did_not_change_is_not_scored_anew(task):
    asked = []

    class Watched:
        def __init__(self, shift):
            self.shift = shift

        def token_log_prob(self, tokens, temperature=1.0):
            asked.append(len(tokens))
            return task.oracle.token_log_prob(tokens) - self.shift

        def sample(self, n, decoding, rng):
            raise AssertionError

    curve, samples = judge(task), task.training.train[:30]
    first = curve.scores(Watched(0.0), samples)
    assert asked == [40, 30]
    assert curve.scores(Watched(0.0), samples) == first
    assert asked == [40, 30, 40]  # only the validation sequences, to see whether it is the same
    before = dict(first)
    first["nll_valid"] = 7.0  # what is returned is the caller's
    assert curve.scores(Watched(0.0), samples) == before
    other = curve.scores(Watched(0.01), samples)
    assert other["nll_valid"] == pytest.approx(before["nll_valid"] + 0.01)
    assert asked == [40, 30, 40, 40, 40, 30]
    curve.scores(Watched(0.01), task.training.train[30:60])
    assert asked == [40, 30, 40, 40, 40, 30, 40, 30]


def test_the_oracle_is_asked_about_validation_sequences_once_for_all_curves(task):
    asked = []

    class Truth:
        def token_log_prob(self, tokens):
            asked.append(len(tokens))
            return task.oracle.token_log_prob(tokens)

    model = Session("curve/0").train(MLE(epochs=2), task.training)
    samples, known, found = model.sample(50, Decoding(), torch.Generator().manual_seed(0)), {}, []
    for _ in range(2):
        curve = CurveJudge(task.training.spec, task.training.valid[:40], Truth(), known)
        found.append(curve.scores(model, samples))
    assert asked == [50, 40, 50]
    assert found[0] == found[1] == judge(task).scores(model, samples)


def test_a_grammars_curve_has_the_share_that_it_allows_in_place_of_what_is_infinite():
    task = Grammar(seq_len=12, shortest=1, train_size=60, valid_size=30, test_size=20).load()
    model, spec = Constant(-math.log(19)), task.training.spec
    model.token_log_prob = lambda tokens, temperature=1.0: torch.where(spec.mask(tokens), -math.log(19), 0.0)
    samples = torch.randint(0, 19, (200, 12), generator=torch.Generator().manual_seed(0))
    samples[:3] = task.training.vocabulary.encode(["a", "a + b", "( a ]"], 12)
    found = judge(task, 30).scores(model, samples)
    assert set(found) == {"grammatical", "nll_valid", "jsd_valid"}
    allowed = task.oracle.log_prob(samples) > -math.inf
    assert bool(allowed[:2].all())
    assert not bool(allowed[2])
    assert found["grammatical"] == float(allowed.double().mean())
    assert 0 < found["jsd_valid"] < math.log(2)
    evidence = Evidence(model, samples, HeldOut(task.training.spec, task.training.valid[:30], task.oracle, None, ""))
    assert found["jsd_valid"] == next(each.value for each in evidence.ask(Divergence()) if each.metric == "jsd_token")
