"""One network, one judgement: what several models and checkpoints share is judged once, with the same scores."""

from dataclasses import replace
from typing import ClassVar

import pytest
import torch

from bench.api import Decoding
from bench.metrics.base import Estimate
from bench.metrics.signature import Signature
from bench.plans import registry
from bench.plans.plan import Request, make_plan
from bench.records.frames import REAL_DATA
from bench.runs import judge
from bench.runs.checkpoints import CheckpointFolder
from bench.runs.judge import forget_task, load_task, require_applicable, score
from bench.runs.runner import load_planned, run
from bench.runs.session import Session
from bench.tasks.base import TaskData
from seqgan.mle import MLE

SETTINGS = ("toy.train_size=200", "toy.valid_size=50", "toy.test_size=60", "seqgan.rounds=1", "pg-bleu.rounds=1")
MODELS = ("mle", "seqgan", "pg-bleu")


@pytest.fixture
def judged(monkeypatch):
    """How many networks were judged: the density of each is checked once."""
    count = []
    whole = judge.DensityChecks

    def checks(*arguments):
        count.append(arguments)
        return whole(*arguments)

    monkeypatch.setattr(judge, "DensityChecks", checks)
    return count


def specs():
    return [spec for spec in make_plan(Request(MODELS, ("toy",), ("all",), 1, "smoke", SETTINGS)) if spec.target]


def quality(record):
    return {
        checkpoint: [found for found in scores if found.kind == "quality"]
        for checkpoint, scores in record.scores.items()
    }


def test_what_models_share_is_judged_once_with_the_same_scores(tmp_path, judged):
    folder = CheckpointFolder(tmp_path / "together")
    together = {spec.model: run(spec, folder) for spec in specs()}
    networks, alone = len(judged), {}
    for spec in specs():
        forget_task(spec)  # and with it all judgements
        alone[spec.model] = run(spec, CheckpointFolder(tmp_path / spec.model))
    checkpoints = sum(len(record.scores) for record in together.values())
    distinct = {str(found) for record in together.values() for found in quality(record).values()}
    assert networks == len(distinct) < checkpoints
    assert len(judged) - networks > networks
    for model, record in together.items():
        assert record.status == "ok", record.reason
        assert quality(record) == quality(alone[model])
        assert record.density == alone[model].density
        assert record.frontier == alone[model].frontier


class Sampler:
    """The same sequences, whatever its density says."""

    density = "bound"

    def __init__(self, data: TaskData, shift: float) -> None:
        self.rows, self.oracle, self.shift = data.training.train, data.oracle, shift

    def sample(self, n, decoding, rng):
        return self.rows[:n].clone()

    def token_log_prob(self, tokens, temperature=1.0):
        return self.oracle.token_log_prob(tokens) - self.shift


def test_the_same_samples_under_another_density_are_another_network():
    spec = next(spec for spec in specs() if spec.model == "mle")
    forget_task(spec)
    task = load_task(spec)
    metrics = {name: judge.registry.find("metric", name).load()() for name in ("nll", "distinct")}
    small = [score(Sampler(task.data, shift), task, metrics, spec).scores for shift in (0.0, 0.5, 0.0)]
    assert small[0] == small[2]
    of = [{found.metric: found.value for found in found_of} for found_of in small]
    assert of[1]["nll_test"] == pytest.approx(of[0]["nll_test"] + 0.5, abs=1e-6)
    assert of[1]["distinct2"] == of[0]["distinct2"]
    assert len(task.judgements) == 2


def test_a_task_keeps_the_last_judgements_only(monkeypatch):
    monkeypatch.setattr(judge, "KEPT_JUDGEMENTS", 2)
    spec = next(spec for spec in specs() if spec.model == "mle")
    forget_task(spec)
    task = load_task(spec)
    for shift in range(4):
        score(Sampler(task.data, float(shift)), task, {}, spec)
        assert len(task.judgements) == min(shift + 1, 2)
    forget_task(spec)
    assert not load_task(spec).judgements
    assert torch.equal(load_task(spec).data.training.train, task.data.training.train)


class Asks:
    """A stranger's metric that asks the sampler for more than its samples."""

    version = "1"

    def scores(self, evidence):
        return [Estimate("asked", float(evidence.sampler.secret), "", "lower", Signature.of(v="1"))]


def test_a_strangers_metric_is_asked_every_time():
    spec = next(spec for spec in specs() if spec.model == "mle")
    forget_task(spec)
    task, found = load_task(spec), []
    for secret in (1, 2):
        sampler = Sampler(task.data, 0.0)
        sampler.secret = secret
        found += score(sampler, task, {"asks": Asks()}, spec).scores
    assert [each.value for each in found] == [1, 2]


class Recorded:
    """A trained policy that notes what it, or a copy of it, is asked."""

    asked: ClassVar[list] = []

    def __init__(self, policy):
        self.policy, self.spec = policy, policy.spec
        self.asked.clear()

    def sample(self, n, decoding, rng):
        return self.policy.sample(n, decoding, rng)

    def token_log_prob(self, tokens, temperature=1.0):
        self.asked.append("tokens")
        return self.policy.token_log_prob(tokens, temperature)

    def next_token_log_probs(self, prefixes):
        self.asked.append("laws")
        return self.policy.next_token_log_probs(prefixes)


def test_a_stranger_is_asked_for_laws_before_it_is_shown_a_token(judged):
    """It might remember the test set, and say afterwards that it had always found it likely."""
    spec = replace(next(spec for spec in specs() if spec.model == "mle"), target="mine:Own")
    forget_task(spec)
    task = load_task(spec)
    policy = Session("judge/0").train(MLE(epochs=2), task.data.training)
    metrics = {"nll": judge.registry.find("metric", "nll").load()()}
    for times in (1, 2):  # the second time as well: nothing of a stranger is reused
        sampler = Recorded(policy)
        assert score(sampler, task, metrics, spec).density == "exact"
        assert sampler.asked[0] == "laws"
        assert len(judged) == times
    assert not task.judgements


def test_a_density_that_no_metric_reads_is_not_asked_for():
    class Refuses(Sampler):
        def token_log_prob(self, tokens, temperature=1.0):
            raise AssertionError

    spec = replace(next(spec for spec in specs() if spec.model == "mle"), target="mine:Own")
    task = load_task(spec)
    metrics = {"distinct": judge.registry.find("metric", "distinct").load()()}
    assert score(Refuses(task.data, 0.0), task, metrics, spec).scores


def test_what_a_grammar_makes_infinite_does_not_fail_a_run_that_asked_for_it(tmp_path):
    """The number is known to be infinite: that is the task's nature, and the run's other scores are kept."""
    settings = ("grammar.seq_len=12", "grammar.train_size=40", "grammar.valid_size=10", "grammar.test_size=30")
    request = Request(("bigram",), ("grammar",), ("nll", "divergence", "grammar"), 1, "smoke", settings)
    records = {spec.model: run(spec, CheckpointFolder(tmp_path)) for spec in make_plan(request)}
    for record in records.values():
        assert record.status == "ok", record.reason
    found = {name: {each.metric: each for each in record.scores["final"]} for name, record in records.items()}
    model, real = found["bigram"], found[REAL_DATA]
    reason = "the oracle never writes some of the samples"
    assert {name: each.absent for name, each in model.items() if each.value is None} == {
        "nll_oracle": f"{reason}: nll_oracle is inf",
        "kl_reverse": f"{reason}: kl_reverse is inf",
    } | {name: each.absent for name, each in model.items() if name.startswith("bracket") and each.value is None}
    assert 0 <= model["grammatical"].value < 1
    assert real["grammatical"].value == 1
    assert [real[name].value for name in ("kl_reverse", "jsd_token")] == pytest.approx([0, 0], abs=1e-12)
    assert real["nll_oracle"].value > 0


@pytest.mark.parametrize("name", ["toy", "grammar", "surnames", "smiles", "flights", "folk-tunes"])
def test_a_task_rules_out_the_metrics_that_have_no_column_for_a_model(name):
    spec = make_plan(Request(("bigram",), (name,), ("all",), 1, "smoke"))[1]
    task = load_task(spec)
    sampler = Session(spec.stream).train(load_planned(spec)(), task.data.training)
    metrics = {metric: registry.find("metric", metric).load()() for metric in spec.metrics}
    samples = sampler.sample(100, Decoding(), torch.Generator().manual_seed(0))
    found = judge._judgement(sampler, samples, task, metrics, spec).results
    ruled_out = [metric for metric, results in found.items() if not results]
    named = replace(spec, explicit_metrics=True)
    assert ruled_out
    for metric in ruled_out:
        with pytest.raises(ValueError, match=f"metric '{metric}' was asked for and is absent: this task rules it out"):
            require_applicable(task, {metric: metrics[metric]}, named)
    require_applicable(task, {metric: each for metric, each in metrics.items() if metric not in ruled_out}, named)
