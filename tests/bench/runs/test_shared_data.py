"""What a model or a metric writes into changes no other model's scores, and is told."""

import pytest
import torch

from bench.plans.plan import Request, make_plan
from bench.records.frames import REAL_DATA
from bench.runs.fingerprint import fingerprint, first_change
from bench.runs.judge import DataChanged, changed, forget_task, load_task, unchanged_data
from bench.runs.runner import run

MODELS = """
from dataclasses import dataclass

import torch
from seqgan.mle import MLE


class Vandal:
    '''A model that writes into everything it gets its hands on.'''

    def __init__(self, model, where):
        self.model, self.where = model, where

    def sample(self, n, decoding, rng):
        tokens = self.model.sample(n, decoding, rng)
        if self.where == "samples":
            self.drawn = getattr(self, "drawn", []) + [tokens]
        return tokens

    def token_log_prob(self, tokens, temperature=1.0):
        found = self.model.token_log_prob(tokens, temperature)
        if self.where == "tokens":
            tokens.zero_()
        for drawn in getattr(self, "drawn", []):
            drawn.zero_()
        return found


class Whole(Vandal):
    token_log_prob = None

    def log_prob(self, tokens):
        found = self.model.log_prob(tokens)
        tokens.zero_()
        return found


@dataclass(frozen=True)
class Own:
    where: str = "nowhere"

    def fit(self, data, run):
        model = MLE(epochs=2).fit(data, run)
        if self.where == "data":
            data.train.zero_(), data.valid.zero_()
        if self.where == "words":
            data.vocabulary.ids.clear()
        if self.where == "cache":
            from bench.runs import judge
            for task in judge._kept.values():
                task.data.training.valid.zero_()
        if self.where == "interrupted":
            from bench.runs import judge
            for task in judge._kept.values():
                task.data.test.zero_()
            raise KeyboardInterrupt
        if self.where == "whole":
            sampler = Whole(model, self.where)
            del Whole.token_log_prob
            return sampler
        return Vandal(model, self.where)
"""
METRIC = """
from bench.metrics.base import Estimate
from bench.metrics.ranges import Range
from bench.metrics.signature import Signature


class Own:
    '''Writes into what it is given.'''

    version = "1"
    part = "{part}"

    def scores(self, evidence):
        held_out = evidence.held_out
        if self.part == "test":
            held_out.tokens.zero_()
        if self.part == "train":
            held_out.real_text.train.ids.base[...] = 0
        if self.part == "oracle":
            held_out.oracle.transition.fill_(1 / 6)
        if self.part == "samples":
            evidence.samples.zero_()
        if self.part == "words":
            evidence.subject.text.ids[...] = 0
        if self.part == "log_prob":
            for found in (held_out.oracle_log_prob, evidence.oracle_log_prob_of_samples,
                          evidence.model_log_prob_of_test, evidence.model_log_prob_of_samples):
                found.sequences.zero_(), found.tokens is None or found.tokens.zero_()
        return [Estimate("own", {value}, "", "lower", Signature.of(n=1, v="1"), possible=Range(0, 1, "It is a share."))]
"""
SETTINGS = ("toy.vocab_size=6", "toy.seq_len=5", "toy.train_size=60", "toy.valid_size=20", "toy.test_size=30")


def plan(model, *settings, task="toy", metrics=("all",)):
    request = Request((model,), (task,), metrics, 1, "smoke", (*(SETTINGS if task == "toy" else ()), *settings))
    return {spec.model: spec for spec in make_plan(request)}[model]


def told(record):
    """All that a record says of a model, but for what was measured in seconds."""
    scores = {name: [score for score in part if score.kind == "quality"] for name, part in record.scores.items()}
    curve = [(row["phase"], row["step"], row["scalars"]) for row in record.curve]
    return record.status, scores, record.frontier, record.selected, curve, record.samples, record.data_sha256


@pytest.fixture
def clean():
    """The record of a model in a process where nobody wrote into anything."""

    def do(model="mle", **others):
        spec = plan(model, **others)
        forget_task(spec)
        record = told(run(spec))
        assert record[0] == "ok"
        return record

    return do


@pytest.mark.parametrize("where", ["tokens", "whole", "samples", "data"])
def test_a_model_that_writes_into_what_it_gets_changes_nobodys_scores_and_not_its_own(write_plugin, clean, where):
    write_plugin("own_vandal", MODELS)
    before = clean()
    record = run(plan("own_vandal:Own", f"own_vandal:Own.where={where}"))
    assert (record.status, record.reason) == ("ok", None)
    assert told(run(plan("mle"))) == before
    if where != "whole":
        peaceful = run(plan("own_vandal:Own"))
        assert told(record)[1:] == told(peaceful)[1:]


def test_a_model_has_its_own_vocabulary(write_plugin):
    write_plugin("own_vandal", MODELS)
    spec = plan("own_vandal:Own", "own_vandal:Own.where=words", task="folk-tunes", metrics=("distinct",))
    words = load_task(spec).data.vocabulary
    assert len(words.ids) > 30
    assert run(spec).status == "ok"
    assert load_task(spec).data.vocabulary is words
    assert len(words.ids) > 30


@pytest.mark.parametrize(
    ("part", "reason"),
    [
        (
            "test",
            "DataChanged: the test sequences, which all runs of this task share, are not what",
        ),
        ("train", "DataChanged: the training sequences"),
        ("oracle", "DataChanged: the parameters of the oracle"),
        ("samples", "ValueError: metric 'own_metric:Own' has written into the samples, which the other metrics read"),
        ("words", "ValueError: assignment destination is read-only"),
        ("log_prob", None),
    ],
)
def test_a_metric_that_writes_into_what_it_gets_fails_its_run_and_no_other(write_plugin, clean, part, reason):
    write_plugin("own_metric", METRIC.format(part=part, value=0.5))
    before = clean()
    record = run(plan("random", metrics=("own_metric:Own", "nll", "divergence", "bleu")))
    if reason:
        assert (record.status, record.scores) == ("failed", {})
        assert record.reason.startswith(reason), record.reason
    else:
        assert record.status == "ok"
        alone = run(plan("random", metrics=("nll", "divergence", "bleu")))
        assert told(record)[1]["final"][1:] == told(alone)[1]["final"]
    assert told(run(plan("mle"))) == before


def test_data_that_are_reached_by_other_ways_are_loaded_anew(write_plugin, clean):
    write_plugin("own_vandal", MODELS)
    before = clean()
    record = run(plan("own_vandal:Own", "own_vandal:Own.where=cache"))
    assert (record.status, record.scores) == ("failed", {})
    assert record.reason.startswith("DataChanged: the validation sequences")
    assert told(run(plan("mle"))) == before


def test_the_data_of_another_task_are_loaded_anew_without_a_blame(write_plugin, clean):
    write_plugin("own_vandal", MODELS)
    before = clean()
    settings = ("toy.draw=5", "own_vandal:Own.where=cache")
    assert run(plan("own_vandal:Own", *settings)).reason.startswith("DataChanged: the validation sequences")
    assert told(run(plan("mle"))) == before


def test_an_interruption_stays_one(write_plugin, clean):
    write_plugin("own_vandal", MODELS)
    before = clean()
    with pytest.raises(KeyboardInterrupt):
        run(plan("own_vandal:Own", "own_vandal:Own.where=interrupted"))
    assert told(run(plan("mle"))) == before


def test_what_a_run_raises_stays_in_the_traceback():
    spec = plan("random")

    def fail(write):
        with unchanged_data(spec):
            load_task(spec).data.test.mul_(0 if write else 1)
            raise ValueError("my own")

    with pytest.raises(ValueError, match="my own"):
        fail(write=False)
    with pytest.raises(DataChanged, match="test sequences") as error:
        fail(write=True)
    assert str(error.value.__context__) == "my own"
    with unchanged_data(spec):  # a run that failed before its data were loaded
        pass
    assert changed(load_task(spec)) is None


def test_as_many_tasks_are_kept_as_may_be_used_in_turns():
    specs = [
        spec
        for spec in make_plan(Request(("random",), ("toy",), ("nll",), 17, "smoke", SETTINGS))
        if spec.model != REAL_DATA
    ]
    first = load_task(specs[0])
    for spec in specs[:16]:
        load_task(spec)
    assert load_task(specs[0]) is first
    load_task(specs[16])
    assert load_task(specs[0]) is first
    forget_task(specs[0])
    assert load_task(specs[0]) is not first


class Oracle(torch.nn.Module):
    """Keeps what it knows in all the ways that there are."""

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(2, 3)
        self.register_buffer("buffer", torch.zeros(4, dtype=torch.bfloat16))
        self.tables = {"list": [torch.zeros(2, 2).t(), (torch.arange(3).numpy(),)], "none": torch.zeros(0)}
        self.itself = self


@pytest.mark.parametrize(
    "change",
    [
        lambda oracle: oracle.layer.weight.data.zero_(),
        lambda oracle: oracle.buffer.add_(1),
        lambda oracle: oracle.tables["list"][0].fill_(3),
        lambda oracle: oracle.tables["list"][1][0].fill(3),
        lambda oracle: oracle.tables.update(none=torch.zeros(1)),
        lambda oracle: oracle.tables.clear(),
        lambda oracle: setattr(oracle, "layer", None),
    ],
)
def test_a_change_is_found_wherever_it_is(change):
    oracle, other = Oracle(), torch.zeros(3)
    before = fingerprint({"other": other, "oracle": oracle})
    oracle.cache, oracle.calls = torch.ones(3), 5
    assert first_change(before, {"other": other, "oracle": oracle}) is None
    change(oracle)
    assert first_change(before, {"other": other, "oracle": oracle}) == "oracle"
    other.add_(1)
    assert first_change(before, {"other": other, "oracle": oracle}) == "other"
