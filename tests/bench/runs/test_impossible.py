"""Numbers that cannot be true: wherever a model or a metric gives one, the run fails."""

import re

import pytest

from bench.plans.plan import Request, make_plan
from bench.runs.runner import run

TOY = ("toy.vocab_size=6", "toy.seq_len=5", "toy.train_size=60", "toy.valid_size=20", "toy.test_size=30")
CHEATS = """
from dataclasses import dataclass

import torch
from seqgan.mle import MLE

FINAL, CURVE, FRONTIER = 200, 50, 100  # the numbers of sequences that each asks for


class Cheat:
    def __init__(self, model, where):
        self.model, self.where, self.asked = model, where, 0

    def sample(self, n, decoding, rng):
        tokens = self.model.sample(n, decoding, rng)
        self.asked += n == FINAL
        if self.where == "few" and n == CURVE or self.where == "few, tempered" and n == FRONTIER:
            return tokens[1:]
        if (self.where == "final" and n == FINAL or self.where == "curve" and n == CURVE
                or self.where == "selected" and n == FINAL and self.asked == 2):
            # The same sequence over and over, beside the density of a trained model.
            many = self.model.sample(500, decoding, torch.Generator().manual_seed(0))
            return many[self.model.log_prob(many).argmin()].repeat(n, 1)
        return tokens

    def token_log_prob(self, tokens, temperature=1.0):
        found = self.model.token_log_prob(tokens, temperature)
        if self.where == "tempered" and temperature != 1:
            return found + 5
        if self.where == "no number, tempered" and temperature != 1:
            return found * float("nan")
        if self.where == "above one":
            return found.abs()
        return found

    def state_dict(self):
        return self.model.state_dict()

    def load_state_dict(self, state):
        self.model.load_state_dict(state)


class Watched:
    '''The run, which is told to watch the cheat in place of its model.'''

    def __init__(self, run, where):
        self.run, self.where, self.cheat = run, where, None

    def __getattr__(self, name):
        return getattr(self.run, name)

    def track(self, sampler, **state):
        self.cheat = Cheat(sampler, self.where)
        self.run.track(self.cheat, cheat=self.cheat)


@dataclass(frozen=True)
class Cheating:
    where: str = "nowhere"

    def fit(self, data, run):
        if self.where == "pretrained":
            run.pretrained(Cheating("final"), data)
            for _ in run.phase("nothing", 1):
                pass
        if self.where == "negative cost":
            with run.measure(train_tokens=-10**9):
                pass
        watched = Watched(run, self.where)
        MLE(epochs=60, lr=0.1).fit(data, watched)  # the last step is not the best, with one thread or two
        return watched.cheat
"""


def plan(model, settings=(), metrics=("all",)):
    return make_plan(Request((model,), ("toy",), metrics, 1, "smoke", (*TOY, *settings)))[1]


@pytest.fixture
def cheat(write_plugin):
    """The record of a run of a model that cheats somewhere."""
    write_plugin("own_cheats", CHEATS)

    def do(where):
        model = "own_cheats:Cheating"
        return run(plan(model, settings=(f"{model}.where={where!r}",)))

    return do


@pytest.mark.parametrize(
    ("where", "reason"),
    [
        ("final", r"The samples are not drawn from the density that the model claims"),
        ("pretrained", r"The samples are not drawn from the density that the model claims"),
        ("selected", r"The samples are not drawn from the density that the model claims"),
        ("curve", r"the half of jsd_valid along generated sequences is -\d"),
        ("tempered", r"token_log_prob of a token is \d.* expected at most 0"),
        ("above one", r"token_log_prob of a token is \d.* expected at most 0"),
        ("negative cost", r"tokens is -\d.* expected at least 0"),
    ],
)
def test_a_number_that_cannot_be_true_fails_the_run(cheat, where, reason):
    record = cheat(where)
    assert (record.status, record.scores, record.frontier, record.curve) == ("failed", {}, {}, ())
    assert re.match(f"Impossible: {reason}", record.reason), record.reason


def test_the_same_model_without_a_cheat_is_ok(cheat):
    record = cheat("nowhere")
    assert (record.status, record.reason) == ("ok", None)
    assert record.curve
    assert "selected" in record.scores
    assert len(record.frontier) == 4


def test_as_many_samples_as_were_asked_for_are_wanted_everywhere(cheat):
    assert cheat("few").reason == "ValueError: expected 50 samples, got 49"
    record = cheat("few, tempered")
    assert record.status == "ok"
    reasons = {score.absent for scores in record.frontier.values() for score in scores}
    assert reasons == {"ValueError: expected 100 samples, got 99"}


def test_a_tempered_density_that_is_no_number_is_a_failure_of_decoding(cheat):
    record = cheat("no number, tempered")
    assert record.status == "ok"
    assert all(score.value is not None for score in record.frontier["1"])
    (reason,) = {score.absent for score in record.frontier["0.7"]}
    assert "token_log_prob of a token is not a number" in reason


def test_a_strangers_metric_is_held_to_the_range_that_it_declares(write_plugin):
    source = """
from bench.metrics.base import Estimate
from bench.metrics.ranges import Range

class Share:
    version = "1"

    def estimates(self, subject):
        possible = Range(0, 1, "It is a share.")
        yield Estimate("own", 1.5, "", "lower", subject.signature("1", n=5), possible=possible)
"""
    write_plugin("own_share", source)
    record = run(plan("random", metrics=("own_share:Share",)))
    assert record.status == "failed"
    assert record.reason == (
        "Impossible: own is 1.5, which cannot be true: expected a number between 0 and 1. It is a share."
    )
