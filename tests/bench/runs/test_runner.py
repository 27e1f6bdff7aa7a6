"""From a specification to a record: whatever a plugin does wrong is written into the record, and is not raised."""

import dataclasses
import math
import re
import sys

import pytest
import torch

from bench.api import TrainingData
from bench.plans.plan import Request, make_plan
from bench.records.frames import REAL_DATA
from bench.records.record import from_json, to_json
from bench.runs.checkpoints import CheckpointFolder
from bench.runs.examples import SHOWN_SAMPLES
from bench.runs.judge import load_task
from bench.runs.runner import Watcher, run
from bench.runs.streams import named_stream
from bench.tasks.toy import Toy

TOY = {"vocab_size": 6, "seq_len": 5, "train_size": 60, "valid_size": 20, "test_size": 30}
SETTINGS = tuple(f"toy.{name}={value}" for name, value in TOY.items())
PLUGINS = """
import math
import random
from dataclasses import dataclass

import numpy
import asyncio
import torch
from bench.api import Unsupported


seen = []


class Drawn:
    def __init__(self, spec, fault):
        self.spec, self.fault = spec, fault

    def sample(self, n, decoding, rng):
        tokens = torch.randint(self.spec.vocab_size, (n, self.spec.seq_len), generator=rng)
        if self.fault == "int32":
            return tokens.int()
        if self.fault == "float":
            return tokens.float()
        if self.fault == "long":
            return torch.cat([tokens, tokens], 1)
        if self.fault == "flat":
            return tokens.flatten()
        if self.fault == "few":
            return tokens[1:]
        if self.fault == "many":
            return torch.cat([tokens, tokens])
        if self.fault == "impossible":
            tokens[:, 0] = 1
        if self.fault == "high":
            tokens[-1, -1] = self.spec.vocab_size
        if self.fault == "negative":
            tokens[-1, -1] = -1
        if self.fault == "list":
            return tokens.tolist()
        if self.fault == "sample":
            raise RuntimeError("cannot draw\\nand more")
        return tokens


class Dense(Drawn):
    def log_prob(self, tokens):
        shape = {"scalar": (), "column": (len(tokens), 1)}.get(self.fault, (len(tokens),))
        found = torch.full(shape, -self.spec.seq_len * math.log(self.spec.vocab_size))
        if self.fault == "impossible":
            found[tokens[:, 0] != 1] = float("-inf")
        return found


@dataclass(frozen=True)
class Faulty:
    fault: str = "none"
    dense: bool = False

    def fit(self, data, run):
        seen.append((data, run))
        if self.fault == "unsupported":
            raise Unsupported("no words here")
        if self.fault == "unsupported silently":
            raise Unsupported
        if self.fault == "fit":
            raise RuntimeError("cannot learn\\nand more")
        if self.fault == "exit":
            raise SystemExit(5)
        if self.fault == "cancelled":
            raise asyncio.CancelledError("so it is")
        if self.fault == "none returned":
            return None
        if self.fault == "vandal":
            data.train.zero_()
            data.valid.fill_(1)
        if self.fault == "no phase":
            return Drawn(data.spec, self.fault)
        for _ in run.phase("nothing", 1):
            pass
        return (Dense if self.dense else Drawn)(data.spec, self.fault)


@dataclass(frozen=True)
class Thirsty(Faulty):
    '''Draws from every stream that it can reach, and then does the same.'''

    def fit(self, data, run):
        for name in ("evaluation", "curve", "own"):
            torch.rand(100, generator=run.rng(name))
        torch.rand(100), random.random(), numpy.random.rand(100)
        return Faulty.fit(self, data, run)


@dataclass(frozen=True)
class Careless:
    '''Uses the global streams.'''

    def fit(self, data, run):
        for _ in run.phase("nothing", 1):
            pass
        self_made = Drawn(data.spec, "")
        words = [int(torch.randint(6, ())), random.randrange(6), int(numpy.random.randint(6)), 0, 0]
        self_made.sample = lambda n, decoding, rng: torch.tensor([words] * n)
        return self_made
"""


def plan(*models, settings=(), metrics=("all",), seeds=1, preset="smoke", **others):
    request = Request(models, ("toy",), metrics, seeds, preset, (*SETTINGS, *settings), **others)
    return {(spec.model, spec.seed): spec for spec in make_plan(request)}


@pytest.fixture
def do(write_plugin):
    """The record of one run of a plugin of :data:`PLUGINS`."""
    write_plugin("own_faulty", PLUGINS)

    def do(fault="none", name="Faulty", metrics=("all",), dense=False):
        model = f"own_faulty:{name}"
        settings = () if name == "Careless" else (f"{model}.fault={fault!r}", f"{model}.dense={dense}")
        return run(plan(model, settings=settings, metrics=metrics)[model, 0])

    return do


def quality(record, checkpoint="final"):
    return [score for score in record.scores[checkpoint] if score.kind == "quality"]


def test_a_run_that_works(do):
    record = do(dense=True)
    assert (record.status, record.reason, record.traceback) == ("ok", None, None)
    scores = {score.metric: score for score in record.scores["final"]}
    assert {"nll_oracle", "nll_test", "bleu4", "self_bleu4", "distinct2", "jsd", "seconds"} <= scores.keys()
    assert scores["nll_test"].value == pytest.approx(math.log(6))
    # Its density is of entire sequences, and it counts no amounts.
    assert {name for name, score in scores.items() if score.value is None} == {"jsd_token", "tv_token"}
    assert {score.kind for score in scores.values()} == {"quality", "cost"}
    assert len(record.samples) == SHOWN_SAMPLES
    assert len(record.samples[0].split()) == TOY["seq_len"]
    assert ["".join(nearest.sample) for nearest in record.nearest] == list(record.samples)
    given = Toy(**TOY).load().training
    known = {" ".join(map(str, row)) for part in (given.train, given.valid) for row in part.tolist()}
    assert {"".join(nearest.example) for nearest in record.nearest if nearest.shared} <= known
    assert record.kind == "synthetic"
    assert record.data_sha256 == Toy(**TOY).load().sha256
    assert record.started <= record.finished
    assert record.environment["threads"] == torch.get_num_threads()
    assert [row["phase"] for row in record.curve] == ["nothing"]
    assert from_json(to_json(record)) == from_json(to_json(from_json(to_json(record))))


def test_whoever_never_loops_over_a_phase_is_told_so(do):
    record = do("no phase")
    lost = "no budget can stop it, nothing of it is saved, and it has no curve"
    assert (record.status, record.warnings) == ("ok", (f"fit() never looped over run.phase(): {lost}",))
    assert do().warnings == ()


def test_real_data_are_scored_like_a_model():
    record = run(plan("random")[REAL_DATA, 0])
    assert record.status == "ok"
    assert {score.kind for score in record.scores["final"]} == {"quality"}
    test = {" ".join(map(str, row)) for row in Toy(**TOY).load().test.tolist()}
    assert set(record.samples) <= test
    assert ["".join(nearest.sample) for nearest in record.nearest] == list(record.samples)
    assert record.curve == ()


def test_what_a_model_cannot_do_is_skipped_with_its_reason(do):
    record = do("unsupported")
    assert (record.status, record.reason, record.traceback) == ("skipped", "no words here", None)
    assert record.scores == {}
    assert do("unsupported silently").reason == "the generator does not support this task"


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("int32", r"expected samples of dtype int64 and shape \(n, 5\), got torch.int32 \(\d+, 5\)"),
        ("float", "dtype int64 and .* got torch.float32"),
        ("long", r"shape \(n, 5\), got torch.int64 \(\d+, 10\)"),
        ("flat", r"shape \(n, 5\), got torch.int64 \(\d+,\)"),
        ("few", "expected 200 samples, got 199"),
        ("many", "expected 200 samples, got 400"),
        ("high", r"expected tokens in \[0, 6\), got 0 to 6"),
        ("negative", r"expected tokens in \[0, 6\), got -1 to 5"),
        ("list", "expected sample\\(\\) to give a tensor, got list"),
        ("sample", "RuntimeError: cannot draw$"),
        ("fit", "RuntimeError: cannot learn$"),
        ("none returned", "expected fit\\(\\) to return a sampler"),
    ],
)
def test_what_a_plugin_does_wrong_is_told(do, fault, reason):
    record = do(fault)
    assert record.status == "failed"
    assert re.search(reason, record.reason), record.reason
    assert "\n" not in record.reason
    assert record.traceback.startswith("Traceback")
    assert record.finished
    assert record.scores == {}


@pytest.mark.parametrize("fault", ["scalar", "column"])
def test_a_density_of_another_shape_is_told(do, fault):
    assert "expected log_prob of shape (" in do(fault, dense=True).reason


def test_the_traceback_leads_into_the_plugin(do):
    trace = do("fit").traceback
    assert "own_faulty.py" in trace
    assert "cannot learn\nand more" in trace


def test_a_plugin_that_cannot_be_loaded_fails_with_its_own_sentence(write_plugin):
    write_plugin("own_broken", "import no_such_package")
    record = run(plan("own_broken:Mine")["own_broken:Mine", 0])
    assert record.status == "failed"
    assert record.reason.startswith("cannot load model 'own_broken:Mine'")
    assert "No module named 'no_such_package'" in record.reason


def test_a_plugin_that_was_edited_before_a_worker_imports_it_fails(write_plugin):
    write_plugin("own_edited", PLUGINS)
    spec = plan("own_edited:Faulty")["own_edited:Faulty", 0]
    write_plugin("own_edited", PLUGINS + "\n# edited")
    assert run(spec).status == "ok"  # this process imported it when it planned
    del sys.modules["own_edited"]
    record = run(spec)
    assert record.status == "failed"
    assert record.reason.startswith("the source of 'own_edited:Faulty' was edited after the benchmark had started")
    assert record.scores == {}


def test_a_metric_that_was_asked_for_must_not_be_absent(do):
    record = do(metrics=("nll", "distinct"))
    assert record.status == "failed"
    assert record.reason == "ValueError: metric 'nll' was asked for and is absent: the model has no log_prob"
    assert do(metrics=("distinct",)).status == "ok"
    assert do(metrics=("nll", "distinct"), dense=True).status == "ok"


def test_a_metric_that_the_task_rules_out_is_told_before_anything_is_trained(do):
    record = do(metrics=("distinct", "trips"))
    assert record.status == "failed"
    assert record.reason == (
        "ValueError: metric 'trips' was asked for and is absent: this task rules it out; without --metrics, each task "
        "gets those that apply to it"
    )
    assert sys.modules["own_faulty"].seen == []


def test_what_a_metric_does_when_it_is_asked_before_the_training_changes_no_training(write_plugin):
    source = """
import torch
from bench.metrics.base import Estimate

class Rude:
    version = "1"
    asked = 0

    def estimates(self, subject):
        self.asked += 1
        if self.asked == 1:
            torch.set_default_dtype(torch.float64)
            torch.rand(5)
        yield Estimate("own", 1.0, "", "lower", subject.signature("1", n=5))
"""
    write_plugin("own_rude", source)
    spoilt, usual = (run(plan("mle", metrics=metrics)["mle", 0]) for metrics in (("own_rude:Rude",), ("distinct",)))
    assert (spoilt.status, spoilt.reason) == ("ok", None)
    assert spoilt.samples == usual.samples


def test_a_metric_that_was_not_asked_for_is_absent_with_a_reason(do):
    absent = {score.metric: score.absent for score in do().scores["final"] if score.value is None}
    assert absent["nll_test"] == absent["jsd"] == "the model has no log_prob"


def test_an_infinite_score_is_absent_and_fails_where_asked_for(do):
    record = do("impossible", dense=True)
    assert record.status == "ok"
    (score,) = [score for score in record.scores["final"] if score.metric == "nll_test"]
    assert (score.value, score.absent) == (None, "nll_test is inf")
    to_json(record)
    record = do("impossible", dense=True, metrics=("nll",))
    assert (record.status, record.reason.partition(": ")[2]) == (
        "failed",
        "metric 'nll' was asked for and is absent: nll_test is inf",
    )


def test_all_models_are_judged_with_the_same_random_numbers(do):
    one, other = do(), do(name="Thirsty")
    assert one.samples == other.samples
    assert quality(one) == quality(other)
    rng = named_stream(one.spec.stream, "evaluation")
    expected = torch.randint(6, (200, 5), generator=rng)[:SHOWN_SAMPLES]
    assert one.samples == tuple(" ".join(map(str, row)) for row in expected.tolist())


def test_careless_plugins_are_repeatable_at_least(do):
    first = do(name="Careless")
    torch.manual_seed(99)
    assert first.status == "ok"
    assert do(name="Careless").samples == first.samples


def test_fit_is_handed_training_data_and_nothing_else(do):
    do()
    ((data, lent),) = sys.modules["own_faulty"].seen
    assert type(data) is TrainingData
    assert [field.name for field in dataclasses.fields(data)] == ["spec", "train", "valid", "vocabulary"]
    whole = Toy(**TOY).load()
    assert torch.equal(data.train, whole.training.train)
    assert torch.equal(data.valid, whole.training.valid)
    assert not any("test" in name or "oracle" in name for name in dir(lent) if not name.startswith("_"))


def test_a_plugin_that_overwrites_the_data_spoils_nobody_elses(do):
    before = run(plan("random")[REAL_DATA, 0])
    record = do("vandal")
    assert record.status == "ok"
    after = run(plan("random")[REAL_DATA, 0])
    assert after.scores == before.scores
    assert after.data_sha256 == before.data_sha256 == record.data_sha256
    kept = load_task(record.spec).data
    whole = Toy(**TOY).load()
    assert torch.equal(kept.training.train, whole.training.train)
    assert torch.equal(kept.training.valid, whole.training.valid)
    ((data, _),) = sys.modules["own_faulty"].seen
    assert int(data.train.sum()) == 0


@pytest.mark.parametrize("shared", [True, False])
def test_adversarial_models_start_from_the_mle_checkpoint(tmp_path, shared):
    folder = CheckpointFolder(tmp_path) if shared else None
    specs = plan("mle", "seqgan", "pg-bleu", settings=("seqgan.rounds=1", "pg-bleu.rounds=1"), seeds=2)
    records = {name: run(spec, folder) for name, spec in specs.items() if name[0] != REAL_DATA}
    assert {record.status for record in records.values()} == {"ok"}
    for seed in (0, 1):
        mle = quality(records["mle", seed])
        assert quality(records["seqgan", seed], "pretrained") == mle
        assert quality(records["pg-bleu", seed], "pretrained") == mle
        assert quality(records["seqgan", seed]) != mle
    assert quality(records["mle", 0]) != quality(records["mle", 1])
    if shared:
        seconds = [
            {score.metric: score.value for score in records[model, 0].scores["final"]}
            for model in ("mle", "seqgan", "pg-bleu")
        ]
        assert seconds[0]["pretraining_seconds"] == 0
        assert seconds[1]["pretraining_seconds"] == seconds[2]["pretraining_seconds"] == seconds[0]["seconds"]
        assert seconds[1]["seconds"] > seconds[0]["seconds"]


def test_what_a_model_with_an_estimated_density_begins_as_has_an_exact_one():
    record = run(plan("residual-ebm", metrics=("nll",))["residual-ebm", 0])
    assert (record.density, record.densities) == ("estimated", {"pretrained": "exact"})


def test_a_generator_is_told_how_to_execute_what_it_obeys(write_plugin):
    source = """
from dataclasses import dataclass
from typing import ClassVar

from seqgan.mle import MLE

@dataclass(frozen=True)
class Deaf(MLE):
    def fit(self, data, run):
        assert run.execution.bfloat16 is True
        return super().fit(data, run)

@dataclass(frozen=True)
class Obedient(MLE):
    execution: ClassVar = ("bfloat16",)

    def fit(self, data, run):
        assert run.execution.bfloat16 is False
        return run.pretrained(Deaf(epochs=1), data)
"""
    write_plugin("own_execution", source)
    models = ("own_execution:Deaf", "own_execution:Obedient")  # the one also as a pre-training of the other
    for spec in make_plan(Request(models, ("toy",), seeds=1, preset="smoke", bfloat16=False))[1:]:
        record = run(spec)
        assert (record.status, record.reason) == ("ok", None)


def test_a_second_run_from_checkpoints_gives_the_same_record(tmp_path):
    spec = plan("mle")["mle", 0]
    first, second = (run(spec, CheckpointFolder(tmp_path)) for _ in range(2))
    assert quality(first) == quality(second)
    assert first.curve == second.curve
    assert first.samples == second.samples
    costs = [
        {score.metric: score.value for score in record.scores["final"] if score.kind == "cost"}
        for record in (first, second)
    ]
    for cost in costs:
        del cost["sampled_tokens_per_second"]  # measured again
    assert costs[0] == costs[1]


def test_the_curve_is_scored_on_the_validation_split():
    record = run(plan("mle")["mle", 0])
    assert [set(row["scalars"]) for row in record.curve] == [{"loss", "nll_oracle", "nll_valid", "jsd_valid"}] * 2


def test_signs_of_life_come_in_order():
    signs = []
    run(plan("seqgan")["seqgan", 0], watcher=Watcher(lambda phase, *_: signs.append(phase)))
    assert list(dict.fromkeys(signs)) == [
        "loading data", "mle", "scoring pretrained", "discriminator", "adversarial", "scoring final", "frontier",
    ]  # fmt: skip


def test_a_plugin_that_exits_fails_like_any_other(do):
    record = do("exit")
    assert record.status == "failed"
    assert "SystemExit" in record.reason


def test_a_plugin_that_raises_what_is_no_exception_fails_like_any_other(do):
    assert do("cancelled").reason == "CancelledError: so it is"


def test_a_run_of_installed_plugins_does_not_import_from_the_working_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    run(plan("random")["random", 0])
    assert "" not in sys.path[:1]
