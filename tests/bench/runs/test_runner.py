"""From a specification to a record: whatever a plugin does wrong is written into the record, and is not raised."""

import dataclasses
import math
import re
import sys

import pytest
import torch

from bench.api import TrainingData
from bench.plans.plan import Request, make_plan
from bench.plans.presets import PRESETS, TEMPERATURES
from bench.records.frames import REAL_DATA
from bench.records.record import from_json, to_json
from bench.runs.checkpoints import CheckpointFolder
from bench.runs.examples import SHOWN_SAMPLES
from bench.runs.judge import load_task
from bench.runs.runner import Watcher, run
from bench.runs.session import Session
from bench.runs.streams import named_stream
from bench.tasks.toy import Toy
from seqgan.mle import MLE

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


def test_a_trained_model_has_a_frontier_and_others_have_none():
    record = run(plan("mle")["mle", 0])
    assert list(record.frontier) == ["0.7", "1", "1.3", "2"]
    values = {
        temperature: {score.metric: score.value for score in scores} for temperature, scores in record.frontier.items()
    }
    assert set(values["1"]) == {"nll_oracle", "nll_test", "lm_nll", "reverse_nll"}
    quality_of = [scores["nll_oracle"] for scores in values.values()]
    assert quality_of == sorted(quality_of)
    assert len(set(quality_of)) == 4
    assert run(plan("random")["random", 0]).frontier == {}


def test_the_frontiers_held_out_nll_is_that_of_the_tempered_density():
    record = run(plan("mle", settings=("mle.epochs=3",))["mle", 0])
    session = Session(plan("mle")["mle", 0].stream)
    task = load_task(plan("mle")["mle", 0])
    model = session.train(MLE(epochs=3), task.data.training)
    test = task.data.test[:100]
    expected = -float(model.token_log_prob(test, 0.7).double().sum()) / test.numel()
    found = {score.metric: score.value for score in record.frontier["0.7"]}["nll_test"]
    assert found == pytest.approx(expected, rel=1e-5)


def test_a_sampler_that_cannot_be_tempered_loses_its_frontier_and_nothing_else(write_plugin):
    write_plugin(
        "own_stubborn",
        """
from dataclasses import dataclass
from seqgan.mle import MLE

@dataclass(frozen=True)
class Stubborn:
    def fit(self, data, run):
        model = MLE(epochs=1).fit(data, run)
        draw = model.sample
        def sample(n, decoding, rng):
            if decoding.temperature != 1:
                raise RuntimeError("only as it is")
            return draw(n, decoding, rng)
        model.sample = sample
        return model
""",
    )
    record = run(plan("own_stubborn:Stubborn")["own_stubborn:Stubborn", 0])
    assert record.status == "ok"
    assert {score.absent for score in record.frontier["0.7"]} == {"RuntimeError: only as it is"}
    assert all(score.value is not None for score in record.frontier["1"])
    record = run(plan("own_stubborn:Stubborn", budget={"updates": 30.0})["own_stubborn:Stubborn", 0])
    assert (record.status, record.selected["temperature"]) == ("ok", 1.0)


def test_final_and_selected_are_both_scored():
    record = run(plan("mle", settings=("mle.epochs=40", "mle.lr=0.3"))["mle", 0])
    assert record.selected["phase"] == "mle"
    curve = {row["step"]: row["scalars"]["nll_valid"] for row in record.curve if "nll_valid" in row["scalars"]}
    assert record.selected["score"] == min(curve.values()) == curve[record.selected["step"]]
    assert quality(record, "selected")
    if record.selected["step"] == 40:
        assert quality(record, "selected") == quality(record)


OVERFITTED = {"updates": 120.0}
LOOPS = ("mle", "mle-longer", "scheduled-sampling", "constant-reward")


@pytest.fixture(scope="module")
def budgeted():
    """One run of each model that a budget prolongs far past its best step."""
    fast = ("mle.lr=0.05", "mle-longer.lr=0.05", "scheduled-sampling.lr=0.05", "constant-reward.rollouts=1")
    return {
        model: run(plan(model, settings=[each for each in fast if each.startswith(f"{model}.")], metrics=("nll",),
                        budget=OVERFITTED, temperatures=())[model, 0])
        for model in LOOPS
    }  # fmt: skip


def test_with_a_budget_every_model_is_looked_at_equally_often(budgeted):
    assert {model: record.reason for model, record in budgeted.items() if record.status != "ok"} == {}
    assert {model: record.selected["looks"] for model, record in budgeted.items()} == dict.fromkeys(LOOPS, 5)


def test_with_a_budget_the_selected_step_and_temperature_stand_beside_the_last_step(budgeted):
    """A prolonged maximum likelihood is overfitted; what validation data pick is not."""
    record = budgeted["mle"]
    final, selected = (
        {score.metric: score.value for score in quality(record, checkpoint)} for checkpoint in ("final", "selected")
    )
    assert record.selected["step"] < record.curve[-1]["step"]
    assert selected["nll_test"] < final["nll_test"] - 0.1
    assert from_json(to_json(record)).selected == record.selected


def test_the_selected_temperature_is_the_best_on_validation_data(budgeted):
    record = budgeted["mle"]
    data = load_task(record.spec).data.training
    session = Session(record.spec.stream)
    step = record.selected["step"]
    model = session.train(MLE(epochs=step, lr=0.05), data)
    valid = data.valid[: PRESETS["smoke"].curve_samples]
    nll = {each: -float(model.token_log_prob(valid, each).sum()) for each in TEMPERATURES}
    best = min(nll, key=nll.get)
    assert record.selected["temperature"] == best
    test = load_task(record.spec).data.test
    expected = -float(model.token_log_prob(test, best).double().mean())
    [found] = [score.value for score in quality(record, "selected") if score.metric == "nll_test"]
    assert found == pytest.approx(expected, rel=1e-5)


def test_in_paper_every_model_is_looked_at_equally_often_without_a_budget():
    fields = {
        "mle": ("mle.epochs=80",),
        "constant-reward": tuple(
            f"constant-reward.{each}" for each in ("pretrain_epochs=80", "rounds=40", "rollouts=1")
        ),
    }
    for model, settings in fields.items():
        record = run(plan(model, settings=settings, metrics=("nll",), preset="paper", temperatures=())[model, 0])
        assert (record.status, record.selected["looks"]) == ("ok", 40), record.reason
        assert record.selected["temperature"] in TEMPERATURES


def test_without_a_budget_other_presets_pick_no_temperature():
    record = run(plan("mle", metrics=("nll",))["mle", 0])
    assert set(record.selected) == {"phase", "step", "score"}


def test_real_data_and_untrained_models_have_nothing_to_select():
    assert run(plan("random")["random", 0]).selected is None


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


@pytest.fixture
def cheat(write_plugin):
    """The record of a run of a model that cheats somewhere."""
    write_plugin("own_cheats", CHEATS)

    def do(where):
        model = "own_cheats:Cheating"
        return run(plan(model, settings=(f"{model}.where={where!r}",))[model, 0])

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
    record = run(plan("random", metrics=("own_share:Share",))["random", 0])
    assert record.status == "failed"
    assert record.reason == (
        "Impossible: own is 1.5, which cannot be true: expected a number between 0 and 1. It is a share."
    )
