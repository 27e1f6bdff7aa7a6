"""From a request to a list of runs."""

import dataclasses
import hashlib
import os
import pickle
import subprocess
import sys

import numpy as np
import pytest

from baselines import mle_tuned
from bench.data import shipped as corpora
from bench.data.oracle_weights import NAMES
from bench.errors import UsageError
from bench.plans import registry
from bench.plans.fields import configuration
from bench.plans.plan import Request, make_plan
from bench.records.frames import REAL_DATA
from bench.tasks.corpus import Quatrains
from seqgan.mle import SEARCHED, LikelihoodGenerator
from seqgan.pretraining import PretrainedGenerator

PLAIN = Request(models=("mle", "random"), tasks=("toy",), metrics=("nll", "distinct"), seeds=2, preset="smoke")
GENERATOR = """
from dataclasses import dataclass

@dataclass(frozen=True)
class Mine:
    lr: float = 0.1
    presets = {"quick": {"lr": 0.2}}

    def fit(self, data, run): ...
"""


def ids(**changes):
    return [spec.run_id for spec in make_plan(dataclasses.replace(PLAIN, **changes))]


def test_a_metric_that_is_not_among_all_is_computed_where_it_is_named():
    assert "trips-published" in registry.marked("bench.heavy", "metric")
    named = make_plan(dataclasses.replace(PLAIN, metrics=("trips", "trips-published")))[0].metrics
    assert {"trips", "trips-published"} <= set(named)


def test_one_task_after_the_other_and_one_seed_after_the_other():
    plan = make_plan(dataclasses.replace(PLAIN, tasks=("toy", "oracle")))
    assert [(spec.model, spec.seed, spec.task) for spec in plan] == [
        (model, seed, task) for task in ("toy", "oracle") for seed in (0, 1) for model in (REAL_DATA, "mle", "random")
    ]
    assert len({spec.run_id for spec in plan}) == len(plan)


def test_a_plan_holds_all_that_decides_the_outcome():
    real, mle, *_ = make_plan(dataclasses.replace(PLAIN, settings=("mle.lr=1", "toy.draw=3")))
    assert (real.model, real.target, real.config) == (REAL_DATA, "", {})
    assert mle.target == "seqgan.mle:MLE"
    assert mle.source == registry.source_hash(registry.find("model", "mle"))
    assert (mle.config["epochs"], mle.config["lr"], mle.config["batch_size"]) == (2, 1.0, 64)
    assert mle.overrides == {"lr": 1.0}
    assert (mle.task_config["draw"], mle.task_config["seq_len"]) == (3, 8)
    assert mle.task_overrides == {"draw": 3}
    assert '"draw": 3' in mle.data
    assert (mle.metrics, mle.samples, mle.device, mle.budget) == (
        {"nll": "2", "distinct": "1", "copy": "3"},
        200,
        "cpu",
        {},
    )
    assert mle.explicit_metrics
    assert not make_plan(dataclasses.replace(PLAIN, metrics=("all",)))[0].explicit_metrics


def test_the_same_request_gives_the_same_names():
    assert ids() == ids()


def test_more_seeds_keep_the_runs_there_are():
    assert set(ids()) < set(ids(seeds=3))


@pytest.mark.parametrize(
    ("changes", "kept"),
    [
        ({"preset": "quick"}, 0),
        ({"metrics": ("nll",)}, 0),
        ({"metrics": ("all",)}, 0),
        ({"settings": ("toy.draw=1",)}, 0),
        ({"settings": ("mle.lr=0.5",)}, 4),  # real data and random stay
        ({"device": "cuda"}, 0),
    ],
)
def test_what_changes_a_run_changes_its_name(changes, kept):
    assert len(set(ids()) & set(ids(**changes))) == kept


TUNED = """
from dataclasses import dataclass

@dataclass(frozen=True)
class Mine:
    lr: float = 0.1
    size: int = 1
    presets = {"smoke": {"lr": 0.2, "size": 2}, "smoke/toy": {"lr": 0.3}}

    def fit(self, data, run): ...
"""


def test_a_preset_may_set_others_on_one_task(write_plugin):
    def fields(**changes):
        tasks = ("toy", "grammar")
        plan = make_plan(dataclasses.replace(PLAIN, models=("by_task:Mine",), tasks=tasks, seeds=1, **changes))
        return {spec.task: (spec.config["lr"], spec.config["size"]) for spec in plan if spec.model != REAL_DATA}

    write_plugin("by_task", TUNED)
    assert fields() == {"toy": (0.3, 2), "grammar": (0.2, 2)}
    assert fields(settings=("by_task:Mine.lr=0.7",)) == {"toy": (0.7, 2), "grammar": (0.7, 2)}  # the user's come last
    assert fields(preset="quick") == {"toy": (0.1, 1), "grammar": (0.1, 1)}


def test_the_fields_of_a_preset_file_come_after_those_of_a_task(write_plugin, tmp_path):
    write_plugin("by_task", TUNED)
    file = tmp_path / "own.json"
    file.write_text('{"preset": "smoke", "models": {"by_task:Mine": {"fields": {"lr": 0.5}}}}', encoding="utf-8")
    plan = make_plan(dataclasses.replace(PLAIN, models=("by_task:Mine",), seeds=1, preset=str(file)))
    assert (plan[-1].config["lr"], plan[-1].config["size"]) == (0.5, 2)


OTHER_NETWORKS = {"cnn-mle", "transformer-mle", "mle-tuned"}
"""Maximum likelihood of other networks, or with dropout: what a search found for ``mle`` is not theirs."""


@pytest.mark.parametrize("where", SEARCHED)
def test_models_that_begin_with_maximum_likelihood_share_it_on_every_task(where):
    """What a search found for ``mle`` on a task holds for all that start from it, or the comparison is none."""
    preset, _, task = where.partition("/")
    assert task in registry.available("task")
    kinds = {name: plugin.load() for name, plugin in registry.available("model").items()}
    began = {name for name, kind in kinds.items() if issubclass(kind, PretrainedGenerator)}
    alone = {name for name, kind in kinds.items() if issubclass(kind, LikelihoodGenerator)} - OTHER_NETWORKS
    assert len(began) >= 11
    assert {"mle", "mle-longer", "mle-ngram", "mle-tempered", "mle-ensemble"} == alone
    found = {name: configuration(kinds[name], preset, {}, task) for name in (*began, *alone, "scheduled-sampling")}
    for name, config in found.items():
        prefix = "pretrain_" if name in began else ""
        assert {field: config[prefix + field] for field in SEARCHED[where]} == SEARCHED[where], name
    decay = found["scheduled-sampling"]["decay"]
    assert decay * SEARCHED[where]["epochs"] == pytest.approx(0.24, abs=0.01)
    for name in OTHER_NETWORKS:
        own = mle_tuned.SEARCHED.get(where, {}) if name == "mle-tuned" else {}
        assert configuration(kinds[name], preset, {}, task) == configuration(kinds[name], preset, {}) | own


def test_a_task_that_is_named_by_its_class_has_the_same_presets():
    def mle(task):
        plan = make_plan(dataclasses.replace(PLAIN, models=("mle",), tasks=(task,), preset="quick", seeds=1))
        return next(spec.config for spec in plan if spec.model == "mle")

    assert mle("bench.tasks.corpus:FolkTunes") == mle("folk-tunes")
    assert mle("folk-tunes")["epochs"] == SEARCHED["quick/folk-tunes"]["epochs"]


def test_fields_of_a_task_alone_are_told():
    def tuned(**changes):
        plan = make_plan(dataclasses.replace(PLAIN, models=("mle", "ngram"), seeds=1, preset="quick", **changes))
        return {spec.model: spec.tuned for spec in plan if spec.model != REAL_DATA}

    usual = {"mle": "default settings", "ngram": "default settings"}
    assert tuned(tasks=("oracle",)) == usual
    assert tuned(tasks=("folk-tunes",)) == usual | {"mle": "default settings of this task"}
    by_hand = "default settings of this task, then lr by hand"
    assert tuned(tasks=("folk-tunes",), settings=("mle.lr=1",)) == usual | {"mle": by_hand}


def test_setting_a_field_to_what_it_is_keeps_the_training_but_is_another_row():
    def mle(**changes):
        return next(spec for spec in make_plan(dataclasses.replace(PLAIN, **changes)) if spec.model == "mle")

    assert mle(settings=("mle.epochs=2",)).fit_id == mle().fit_id
    assert mle(settings=("mle.epochs=2",)).label == "mle[epochs=2]"


def test_the_source_is_in_the_name(write_plugin):
    def own():
        return {spec.seed: spec for spec in make_plan(request) if spec.model == "own_plan:Mine"}

    request = dataclasses.replace(PLAIN, models=("random", "own_plan:Mine"))
    write_plugin("own_plan", GENERATOR)
    before, others = own(), ids()
    write_plugin("own_plan", GENERATOR + "# changed\n")
    after = own()
    assert before[0].run_id != after[0].run_id
    assert before[0].group_id != after[0].group_id
    assert before[0].config == after[0].config
    assert ids() == others
    assert before[0].group_id == before[1].group_id


def test_ids_are_stable_across_processes():
    code = f"from bench.plans.plan import Request, make_plan\nprint(*[spec.run_id for spec in make_plan({PLAIN!r})])"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONHASHSEED": "7"},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout.split() == ids()


def write_weights(path):
    rng = np.random.RandomState(0)
    shapes = {"emb": (9, 4), "Wo": (4, 9), "bo": (9,)}
    arrays = [
        rng.standard_normal(shapes.get(name) or ((4,) if name[0] == "b" else (4, 4))).astype(np.float32)
        for name in NAMES
    ]
    path.write_bytes(pickle.dumps(arrays, protocol=2))
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_path_of_the_weights_does_not_matter(tmp_path):
    def plan(path, *more):
        settings = (f"oracle-published.weights={str(path)!r}", f"oracle-published.sha256={digest!r}", *more)
        return make_plan(dataclasses.replace(PLAIN, tasks=("oracle-published",), settings=settings))

    here, there = tmp_path / "here.pkl", tmp_path / "the 're.pkl"
    digest = write_weights(here)
    there.write_bytes(here.read_bytes())
    assert [spec.run_id for spec in plan(here)] == [spec.run_id for spec in plan(there)]
    assert plan(there)[0].task_config["weights"] == str(there)
    assert plan(here)[0].run_id != plan(here, "oracle-published.draw=1")[0].run_id
    assert plan(here)[0].stream == plan(there)[0].stream


def test_a_model_that_cannot_be_loaded_stays_in_the_plan(write_plugin):
    write_plugin("own_broken", "import no_such_package")
    request = dataclasses.replace(PLAIN, models=("own_broken:Mine", "random"), settings=("own_broken:Mine.lr=1",))
    rows = [(spec.model, spec.config, spec.source) for spec in make_plan(request) if spec.seed == 0]
    assert rows[1] == ("own_broken:Mine", {}, "")
    assert rows[2][0] == "random"


def test_names_given_twice_count_once():
    assert ids(models=("mle", "random", "mle"), tasks=("toy", "toy"), metrics=("nll", "distinct", "nll")) == ids()


def test_all_is_every_installed_plugin_but_those_whose_data_were_not_fetched(tmp_path, monkeypatch):
    monkeypatch.setenv("SEQGAN_BENCH_DATA", str(tmp_path))
    plan = make_plan(Request(tasks=("all",), preset="smoke", seeds=1))
    there = {"oracle", "oracle-40", "grammar", "markov", "toy", *corpora.NAMES}
    assert {spec.task for spec in plan} == there < set(registry.available("task"))
    assert {spec.model for spec in plan} == {REAL_DATA, *registry.available("model")} - registry.marked("bench.heavy")
    assert set(plan[0].metrics) == set(registry.available("metric")) - registry.marked("bench.heavy", "metric")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"models": ("mel",)}, r"unknown model 'mel'\. Did you mean 'mle'\?"),
        ({"tasks": ("toi",)}, r"unknown task 'toi'\. Did you mean 'toy'\?"),
        ({"metrics": ("nlll",)}, r"unknown metric 'nlll'\. Did you mean 'nll'\?"),
        ({"preset": "huge"}, "unknown preset 'huge'"),
        ({"models": ()}, "expected at least one model"),
        ({"seeds": 0}, "expected 1 to 1000 seeds, got 0"),
        ({"execution": "grph"}, r"unknown execution 'grph'\. Did you mean 'graph'\?"),
        ({"execution": "graph"}, "execution 'graph' needs a CUDA device, and the runs are for the cpu"),
        ({"settings": ("seqgan.lr=1",)}, r"'seqgan' is not among the chosen models and tasks \(mle, random, toy\)"),
        ({"settings": ("mle.lrr=1",)}, r"unknown field of 'mle' 'lrr'\. Did you mean 'lr'\?"),
        ({"settings": ("mle.lr=fast",)}, "expected mle.lr to be a number above 0 and at most 1, got 'fast'"),
        ({"settings": ("toy.draw=-1",)}, "expected toy.draw to be an integer from 0 to 4294967295, or none, got '-1'"),
        ({"settings": ("mle.lr=1", "mle.lr=0.5")}, r"mle\.lr is set twice, to '1' and to '0\.5': set it once"),
        (
            {"settings": ("mle.lr=" + "9" * 5000,)},
            r"expected mle\.lr to be a number above 0 and at most 1, got '9+\.\.\.'",
        ),
        ({"settings": ("mle",)}, "expected a setting NAME.field=value"),
        ({"tasks": ("no_such_module:Task",)}, "cannot load task .*No module named 'no_such_module'"),
        ({"metrics": ("no_such_module:Metric",)}, "cannot load metric"),
        ({"models": ("no_such_module:Model",)}, "cannot load model .*No module named 'no_such_module'"),
        ({"tasks": ("oracle-published",)}, "needs its weights: `bench data fetch oracle-published`"),
        ({"tasks": ("seqgan.mle:MLE",)}, "breaks the contract: expected a class attribute 'version'"),
    ],
)
def test_a_mistake_is_reported_in_one_sentence(changes, message):
    with pytest.raises(UsageError, match=message) as caught:
        make_plan(dataclasses.replace(PLAIN, **changes))
    assert "\n" not in str(caught.value)
    assert str(caught.value).endswith(".")


CONTRADICTION = """
from dataclasses import dataclass
from typing import ClassVar

@dataclass(frozen=True)
class Mine:
    low: int = 1
    high: int = 2
    version: ClassVar[str] = "1"

    def __post_init__(self):
        if self.low > self.high:
            raise ValueError(f"expected low of at most high, got {self.low} and {self.high}")

    def fit(self, data, run): ...
    def fingerprint(self): return "mine"
    def load(self): ...
"""


@pytest.mark.parametrize("kind", ["models", "tasks"])
def test_fields_that_contradict_each_other_are_refused_before_anything_is_run(write_plugin, kind):
    write_plugin("own_pair", CONTRADICTION)
    request = dataclasses.replace(PLAIN, **{kind: ("own_pair:Mine",)})
    assert make_plan(request)
    with pytest.raises(UsageError) as caught:
        make_plan(dataclasses.replace(request, settings=("own_pair:Mine.low=3",)))
    sentence = "the fields of 'own_pair:Mine' do not go together: expected low of at most high, got 3 and 2."
    assert str(caught.value) == sentence


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("seqgan.d_filter_sizes=(1, 2)", "expected as many d_filter_counts as d_filter_sizes, got 12 and 2"),
        ("seqgan.d_steps=0", "expected g_steps or d_steps of 1 or more, got 0 for both"),
    ],
)
def test_what_does_not_go_together_in_seqgan(setting, sentence):
    request = dataclasses.replace(PLAIN, models=("seqgan",), settings=("seqgan.g_steps=0", setting))
    with pytest.raises(UsageError, match=f"the fields of 'seqgan' do not go together: {sentence}"):
        make_plan(request)


def test_each_seed_has_a_draw_of_its_own_in_one_group():
    plan = [spec for spec in make_plan(PLAIN) if spec.model == "mle"]
    assert [spec.task_config["draw"] for spec in plan] == [0, 1]
    assert plan[0].data != plan[1].data
    assert plan[0].group_id == plan[1].group_id
    assert {spec.task_label for spec in plan} == {"toy"}


def test_a_draw_that_is_set_is_the_same_for_all_seeds():
    plan = make_plan(dataclasses.replace(PLAIN, settings=("toy.draw=0",)))
    assert len({spec.data for spec in plan}) == 1
    assert {spec.task_label for spec in plan} == {"toy[draw=0]"}
    assert not {spec.group_id for spec in plan} & {spec.group_id for spec in make_plan(PLAIN)}


def test_text_is_the_same_for_all_seeds():
    plan = make_plan(dataclasses.replace(PLAIN, tasks=("quatrains",)))
    assert len({spec.data for spec in plan}) == 1
    assert {spec.family for spec in plan} == {""}


def test_sets_are_models_and_go_together():
    models = {name: [spec.model for spec in make_plan(dataclasses.replace(PLAIN, models=(name,)))]
              for name in registry.SETS}  # fmt: skip
    heavy = registry.marked("bench.heavy")
    assert set(models["everything"]) == {REAL_DATA, *registry.available("model")}
    assert set(models["everything"]) - set(models["all"]) == heavy
    assert set(models["core"]) < set(models["all"])
    assert {"mle", "seqgan", "pg-bleu", "constant-reward", "bigram"} < set(models["core"])
    assert {"seqgan", "seqgan-baselined"} <= set(models["adversarial"])
    assert not {"mle", "constant-reward"} & set(models["adversarial"])
    both = make_plan(dataclasses.replace(PLAIN, models=("adversarial", "mle", "core", "seqgan")))
    names = list(dict.fromkeys([*models["adversarial"], "mle", *models["core"]]))
    assert [spec.model for spec in both] == names * (len(both) // len(names))


def test_roles():
    everything = make_plan(dataclasses.replace(PLAIN, models=("everything",)))
    contenders = make_plan(dataclasses.replace(PLAIN, models=("contenders",)))
    assert {spec.role for spec in contenders} == {"", "contender"}
    controls = {spec.model for spec in everything} - {spec.model for spec in contenders}
    assert controls == {
        "constant-reward", "random-reward", "random-reward-baselined", "permuted-reward", "mle-longer", "mle-tempered",
        "mle-tuned", "mle-ngram", "mle-ensemble", "relational-mle", "bigram", "ngram", "replay", "repeat", "uniform",
    }  # fmt: skip
    assert {spec.run_id for spec in contenders} < {spec.run_id for spec in everything}


def test_temperatures_are_the_presets_unless_given_and_change_no_training():
    default, none = (make_plan(dataclasses.replace(PLAIN, temperatures=given)) for given in (None, ()))
    assert {spec.temperatures for spec in default} == {(0.7, 1.0, 1.3, 2.0)}
    assert {spec.temperatures for spec in none} == {()}
    assert [spec.fit_id for spec in default] == [spec.fit_id for spec in none]
    assert not {spec.run_id for spec in default} & {spec.run_id for spec in none}


def test_a_budget_makes_another_contest():
    budgeted = make_plan(dataclasses.replace(PLAIN, budget={"seconds": 60.0}))
    assert {spec.preset_label for spec in budgeted} == {"smoke, 60 seconds each"}
    assert not {spec.fit_id for spec in budgeted} & {spec.fit_id for spec in make_plan(PLAIN)}


MODELS = ("mle", "pg-bleu", "seqgan")


def execution(**changes):
    """For each model its execution options and the ids of its run and of its training."""
    plan = make_plan(dataclasses.replace(PLAIN, models=MODELS, seeds=1, **changes))
    return {spec.model: (dict(spec.execution), spec.run_id, spec.fit_id) for spec in plan}


def test_a_generator_gets_the_execution_options_that_it_declares():
    declared = {model: options for model, (options, *_) in execution(device="cuda", execution="triton").items()}
    assert declared == {
        REAL_DATA: {}, "mle": {}, "pg-bleu": {"mode": "triton"}, "seqgan": {"mode": "triton", "bfloat16": True}
    }  # fmt: skip


def test_only_what_an_execution_changes_has_another_name():
    usual, exact = execution(), execution(bfloat16=False)
    assert [model for model in usual if usual[model][1:] != exact[model][1:]] == ["seqgan"]
    eager, graph, triton = (execution(device="cuda", execution=mode) for mode in ("eager", "graph", "triton"))
    assert [model for model in eager if eager[model][1:] != graph[model][1:]] == []
    assert [model for model in eager if eager[model][1:] != triton[model][1:]] == ["pg-bleu", "seqgan"]


def test_random_streams_go_by_the_module_paths_of_tasks():
    """A task that is moved would draw other numbers: then it must be given its old path as its ``stream_name``."""
    found = {name: getattr(plugin.load(), "stream_name", plugin.target)
             for name, plugin in registry.available("task").items()}  # fmt: skip
    assert found == {
        "oracle": "bench.tasks.oracle:LSTMOracle",
        "oracle-published": "bench.tasks.oracle:PublishedOracle",
        "oracle-40": "bench.tasks.oracle:LSTMOracle40",
        "grammar": "bench.tasks.grammar:Grammar",
        "markov": "bench.tasks.markov:Markov",
        "quatrains": "bench.tasks.corpus:Quatrains",
        "quatrains-tang": "bench.tasks.corpus:QuatrainsTang",
        "tang5": "bench.tasks.corpus:Tang5",
        "sotu": "bench.tasks.corpus:Sotu",
        "sotu-obama": "bench.tasks.corpus:SotuObama",
        "folk-tunes": "bench.tasks.corpus:FolkTunes",
        "folk-tunes-phrases": "bench.tasks.corpus:FolkTunesPhrases",
        "coco-captions": "bench.tasks.corpus:CocoCaptions",
        "emnlp-news": "bench.tasks.corpus:EmnlpNews",
        "nottingham": "bench.tasks.corpus:Nottingham",
        "nottingham-phrases": "bench.tasks.corpus:NottinghamPhrases",
        "obama": "bench.tasks.corpus:Obama",
        "ptb": "bench.tasks.corpus:PennTreebank",
        "rnnpg": "bench.tasks.corpus:Rnnpg",
        "texygen-shi": "bench.tasks.corpus:TexygenShi",
        "smiles": "bench.tasks.corpus:Smiles",
        "flights": "bench.tasks.corpus:Flights",
        "surnames": "bench.tasks.corpus:Surnames",
        "toy": "bench.tasks.toy:Toy",
    }
    assert make_plan(PLAIN)[0].stream.startswith("bench.tasks.toy:Toy/1/")


def test_a_task_that_was_moved_may_keep_the_name_of_its_streams(write_plugin):
    source = (
        "from dataclasses import dataclass\nfrom typing import ClassVar\n\nfrom bench.tasks.toy import Toy\n\n\n"
        "@dataclass(frozen=True)\nclass Moved(Toy):\n    stream_name: ClassVar = 'bench.tasks.toy:Toy'\n"
    )
    write_plugin("own_moved", source)
    moved, there = (make_plan(dataclasses.replace(PLAIN, tasks=(task,)))[0] for task in ("own_moved:Moved", "toy"))
    assert moved.stream == there.stream
    assert moved.run_id != there.run_id


def test_a_task_that_is_the_same_for_all_seeds_is_prepared_once(monkeypatch):
    read = []
    whole = Quatrains.fingerprint
    monkeypatch.setattr(Quatrains, "fingerprint", lambda self: read.append(self) or whole(self))
    plan = make_plan(dataclasses.replace(PLAIN, tasks=("quatrains", "toy"), seeds=5))
    assert len(read) == 1
    assert len({spec.data for spec in plan if spec.task == "quatrains"}) == 1
    assert len({spec.data for spec in plan if spec.task == "toy"}) == 5


def test_a_tasks_field_set_to_what_the_preset_has_is_the_same_row():
    (plain, *_), (same, *_), (other, *_) = (
        make_plan(dataclasses.replace(PLAIN, settings=(f"toy.train_size={size}",) if size else ()))
        for size in (None, 640, 650)
    )
    assert plain.task_config["train_size"] == 640
    assert (plain.run_id, plain.task_label) == (same.run_id, same.task_label)
    assert other.task_label == "toy[train_size=650]"


def test_seeds_that_are_named():
    named = make_plan(dataclasses.replace(PLAIN, seeds=(1, 3)))
    assert [spec.seed for spec in named] == [1, 1, 1, 3, 3, 3]
    counted = make_plan(dataclasses.replace(PLAIN, seeds=4))
    assert [spec.run_id for spec in named] == [spec.run_id for spec in counted if spec.seed in (1, 3)]
