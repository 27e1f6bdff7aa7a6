"""Finished runs are restored exactly, and never trained again."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
import torch

from bench.api import Decoding
from bench.errors import UsageError
from bench.records.frames import REAL_DATA
from bench.records.record import to_json
from bench.records.store import Store
from bench.runs.checkpoints import CheckpointFolder
from bench.runs.restore import BATCH, find_run, restore
from bench.runs.streams import named_stream

TRAINED = (
    *("mle", "scheduled-sampling", "pg-bleu", "seqgan", "seqgan-baselined", "constant-reward", "random-reward"),
    *(
        "random-reward-baselined",
        "permuted-reward",
        "mle-longer",
        "mle-tempered",
        "mle-ngram",
        "mle-ensemble",
        "mle-tuned",
        "cnn-mle",
    ),
    *("transformer-mle", "rloo", "grpo", "maligan", "relgan", "relational-mle", "cot", "residual-ebm"),
)
COUNTED = ("random", "bigram", "repeat", "replay", "uniform")
SMALL = ("--set", "toy.train_size=64", "--set", "toy.valid_size=20", "--set", "toy.test_size=30")
PLUGINS = """
from dataclasses import dataclass
from pathlib import Path

import torch
from bench.api import Unsupported


class Numbers:
    def __init__(self, spec, probabilities):
        self.spec, self.probabilities = spec, probabilities

    def sample(self, n, decoding, rng):
        if decoding.top_k is not None:
            raise Unsupported("it has no top-k")
        if decoding.temperature > 5:
            return torch.zeros(n, 3, dtype=torch.long)
        drawn = torch.multinomial(self.probabilities, n * self.spec.seq_len, True, generator=rng)
        return drawn.view(n, self.spec.seq_len)


@dataclass(frozen=True)
class Drawing:
    '''Keeps nothing, and draws random numbers in fit.'''

    def fit(self, data, run):
        for _ in run.phase("draw", 3):
            probabilities = torch.rand(data.spec.vocab_size, generator=run.rng("init"))
        return Numbers(data.spec, probabilities)


@dataclass(frozen=True)
class Moody:
    '''Keeps nothing, and takes more steps if there is a file named go.'''

    def fit(self, data, run):
        for _ in run.phase("learn", 5 if Path("go").exists() else 2):
            pass
        return Numbers(data.spec, torch.ones(data.spec.vocab_size))
"""


@pytest.fixture(scope="module")
def finished(bench, tmp_path_factory):
    """The results of all models on the toy."""
    folder = tmp_path_factory.mktemp("finished") / "results"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bench.reports.figures.drawing.write_figures", lambda *_: [])
        answer = bench("run", "--models", "everything", "--tasks", "toy", "--preset", "smoke", "--workers", 0,
                       "--seeds", 1, "--temperatures", "none", *SMALL, "--output", folder)  # fmt: skip
    assert answer.out.splitlines()[-1] == "30 ok, 0 skipped, 0 failed"
    return Store(folder)


@pytest.fixture
def record_of(finished):
    records = {record.spec.model: record for record in finished.records()}
    return records.__getitem__


@pytest.fixture
def checkpoints(finished, tmp_path):
    """A copy of the trained states, which tests may damage."""
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    for file in finished.checkpoints.glob("*.safetensors"):
        (folder / file.name).write_bytes(file.read_bytes())
    return folder


@pytest.fixture
def run_plugin(write_plugin, bench, tmp_path, monkeypatch):
    """Runs a generator of this module on the toy, and returns its record and the store."""
    monkeypatch.setattr("bench.reports.figures.drawing.write_figures", lambda *_: [])
    write_plugin("moods", PLUGINS)

    def run(name):
        output = tmp_path / "own"
        bench("run", "--models", f"moods:{name}", "--tasks", "toy", "--preset", "smoke", "--workers", 0, "--seeds", 1,
              *SMALL, "--output", output)  # fmt: skip
        (record,) = [record for record in Store(output).records() if record.spec.model == f"moods:{name}"]
        assert record.status == "ok"
        return record, Store(output)

    return run


@pytest.fixture
def no_training(monkeypatch):
    """Every optimizer step is an error."""

    def step(*_, **__):
        raise AssertionError("something was trained")

    monkeypatch.setattr(torch.optim.Adam, "step", step)


def drawn_for_scoring(restored):
    """The first sequences that the judge drew: they are in the record."""
    spec = restored.record.spec
    rng = named_stream(spec.stream, "evaluation")
    rows = restored.sampler.sample(spec.samples, Decoding(), rng)[: len(restored.record.samples)]
    return tuple(" ".join(map(str, row)) for row in rows.tolist())


@pytest.mark.usefixtures("no_training")
@pytest.mark.parametrize("model", [*TRAINED, *COUNTED, REAL_DATA])
def test_the_restored_sampler_is_the_one_that_was_judged(model, finished, record_of):
    restored = restore(record_of(model), finished.checkpoints)
    if model == REAL_DATA:  # the record shows test sequences: nobody could have copied what is shown
        test = {" ".join(map(str, row)) for row in restored.data.test.tolist()}
        assert set(restored.record.samples) <= test
    else:
        assert drawn_for_scoring(restored) == restored.record.samples
    assert len(restored.record.samples) == 5
    assert restored.refitted == (model in COUNTED)


def test_nothing_is_written(finished, record_of):
    before = {file: file.stat().st_mtime_ns for file in finished.path.rglob("*")}
    restore(record_of("seqgan"), finished.checkpoints).draw(3, Decoding())
    assert {file: file.stat().st_mtime_ns for file in finished.path.rglob("*")} == before


@pytest.mark.parametrize("model", ["seqgan", "bigram"])
def test_the_same_arguments_draw_the_same_sequences(model, finished, record_of):
    many = restore(record_of(model), finished.checkpoints).draw(BATCH + 30, Decoding(0.9))
    again = restore(record_of(model), finished.checkpoints)
    assert many.shape == (BATCH + 30, 8)
    assert torch.equal(again.draw(BATCH + 30, Decoding(0.9)), many)
    assert torch.equal(again.draw(7, Decoding(0.9)), many[:7])
    assert not torch.equal(again.draw(7, Decoding(0.9), seed=1), many[:7])
    assert not torch.equal(many[:20], many[BATCH : BATCH + 20])


@pytest.mark.parametrize("model", [*TRAINED, "bigram", "random"])
def test_colder_is_less_diverse(model, finished, record_of):
    restored = restore(record_of(model), finished.checkpoints)
    different = [len(restored.draw(200, Decoding(temperature)).unique(dim=0)) for temperature in (0.001, 1.0)]
    assert different[0] < 100 < different[1]  # hardly trained, so nearly uniform at 1
    greedy = len(restored.draw(200, Decoding(top_k=1)).unique(dim=0))
    assert 1 < greedy <= 5 if model == "mle-ensemble" else greedy == 1  # of five members, each has its own


def test_real_data_are_training_sequences_each_once(finished, record_of):
    restored = restore(record_of(REAL_DATA), finished.checkpoints)
    rows = restored.draw(64, Decoding())
    assert sorted(rows.tolist()) == sorted(restored.data.training.train.tolist())
    with pytest.raises(UsageError, match="at most 64 real sequences"):
        restored.draw(65, Decoding())
    with pytest.raises(UsageError, match="not decoded: leave out --temperature"):
        restored.draw(5, Decoding(0.9))


@pytest.mark.usefixtures("no_training")
@pytest.mark.parametrize("model", TRAINED)
def test_a_missing_state_is_not_trained_anew(model, record_of, tmp_path):
    missing = r"\.safetensors among the checkpoints is missing or of an unfinished training"
    wanted = f"cannot sample from {model} on toy.*cannot be used, because .*{missing}; remove '.*toy.*json'"
    with pytest.raises(UsageError, match=wanted):
        restore(record_of(model), tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.usefixtures("no_training")
@pytest.mark.parametrize("damage", ["missing", "cut short", "half-finished"])
@pytest.mark.parametrize("whose", ["own", "pre-training"])
def test_nor_is_a_damaged_one(damage, whose, record_of, checkpoints):
    record = record_of("seqgan")
    folder = CheckpointFolder(checkpoints)
    file, _ = folder.files(record.spec.fit_id)
    if whose == "pre-training":
        # The state of the MLE that the adversarial models share.
        file, _ = folder.files(record_of("mle").spec.fit_id)
    if damage == "missing":
        file.unlink()
    elif damage == "cut short":
        file.write_bytes(file.read_bytes()[:1000])
    else:
        folder.save(file.stem, {**folder.load(file.stem).state, "complete": False})
    why = (
        "is damaged: its checksum" if damage == "cut short" else "among the checkpoints is missing or of an unfinished"
    )
    with pytest.raises(UsageError, match=f"its trained state cannot be used, because {file.name} {why}"):
        restore(record, checkpoints)


@pytest.mark.usefixtures("no_training")
def test_a_state_of_an_earlier_version_is_not_used(record_of, checkpoints):
    record = record_of("mle")
    file, _ = CheckpointFolder(checkpoints).files(record.spec.fit_id)
    file.rename(file.with_suffix(".pt"))
    with pytest.raises(UsageError, match=r"\.pt is of an earlier version, which wrote no checksum; remove"):
        restore(record, checkpoints)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"source": "0" * 64}, "the model's code has changed since"),
        ({"torch": "1.13.1"}, "it was trained with torch 1.13.1, and this is "),
        ({"data": "others"}, "the data of task 'toy' have changed since"),
        ({"task_version": "0"}, "the data of task 'toy' have changed since"),
        ({"target": "seqgan.mle:Forgotten"}, "cannot load model 'mle'"),
    ],
)
def test_a_changed_world_is_told(change, sentence, finished, record_of):
    record = record_of("mle")
    changed = replace(record, spec=replace(record.spec, **change))
    with pytest.raises(UsageError, match=f"cannot sample from mle on toy.*{sentence}") as error:
        restore(changed, finished.checkpoints)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("status", ["started", "skipped", "failed", "interrupted"])
def test_only_finished_runs_are_restored(status, finished, record_of):
    record = replace(record_of("mle"), status=status, reason=None if status == "started" else "for a reason")
    with pytest.raises(UsageError, match=f"it is {status}.*only a run that is ok"):
        restore(record, finished.checkpoints)


def test_a_run_of_another_device_is_restored_without_its_streams(record_of, checkpoints, monkeypatch):
    for model in ("seqgan", "mle"):  # as if they had been trained on CUDA, whose streams have states of 16 bytes
        record = record_of(model)
        elsewhere = replace(record, spec=replace(record.spec, device="cuda"))
        folder = CheckpointFolder(checkpoints)
        state = folder.load(record.spec.fit_id).state
        state["streams"] = dict.fromkeys(state["streams"], torch.zeros(16, dtype=torch.uint8))
        assert state["streams"]
        folder.save(elsewhere.spec.fit_id, state)
    shared = record_of("mle").spec
    monkeypatch.setattr("bench.runs.restore.name_fit", lambda *_: replace(shared, device="cuda").fit_id)
    here = replace(record_of("seqgan"), spec=replace(record_of("seqgan").spec, device="cuda"))
    restored = restore(here, checkpoints)
    assert drawn_for_scoring(restored) == restored.record.samples


def test_what_keeps_no_state_is_fitted_again(run_plugin):
    record, store = run_plugin("Drawing")
    restored = restore(record, store.checkpoints)
    assert restored.refitted
    assert drawn_for_scoring(restored) == record.samples
    elsewhere = replace(record, spec=replace(record.spec, device="cuda"))
    with pytest.raises(UsageError, match="its random numbers on cpu differ from those on cuda"):
        restore(elsewhere, store.checkpoints)


def test_what_takes_other_steps_than_it_did_is_told(run_plugin, tmp_path):
    record, store = run_plugin("Moody")
    assert restore(record, store.checkpoints).refitted
    (tmp_path / "plugins" / "go").touch()
    with pytest.raises(UsageError, match="took other steps than the original fit"):
        restore(record, store.checkpoints)


def test_what_a_sampler_refuses_is_one_sentence(run_plugin):
    record, store = run_plugin("Drawing")
    restored = restore(record, store.checkpoints)
    with pytest.raises(UsageError, match=re.escape("moods:Drawing cannot draw these samples: it has no top-k.")):
        restored.draw(3, Decoding(top_k=3))
    with pytest.raises(UsageError, match="cannot draw these samples: expected samples of dtype int64 and shape"):
        restored.draw(3, Decoding(6.0))


def test_runs_are_found_by_their_first_digits_or_by_file(finished, record_of):
    record = record_of("mle")
    run_id = record.spec.run_id
    for name in (run_id, run_id[:8].upper(), finished.file(record.spec)):
        found, store = find_run(str(name), finished.path)
        assert found == record
        assert store.checkpoints == finished.checkpoints
    found, store = find_run(str(finished.file(record.spec)), finished.path / "elsewhere")
    assert (found, store.path) == (record, finished.path)


@pytest.mark.parametrize("name", ["abc", "mle", "0123456789abc", "", "../x"])
def test_what_is_no_run_id_is_told(name, finished):
    with pytest.raises(UsageError, match="expected a run id, at least its first 4 hexadecimal digits"):
        find_run(name, finished.path)


def test_unknown_ambiguous_and_unreadable_runs_are_told(finished, record_of, tmp_path):
    with pytest.raises(UsageError, match="there is no run '123456789abc'"):
        find_run("123456789abc", finished.path)
    with pytest.raises(UsageError, match="expected a results folder"):
        find_run("1234", tmp_path)
    store = Store(tmp_path / "copy")
    store.open()
    text = to_json(record_of("mle"))
    for run_id in ("abcd00000000", "abcd11111111"):
        (store.runs / f"toy.mle.smoke.s0.{run_id}.json").write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match="begins several run ids: abcd00000000, abcd11111111; give more digits"):
        find_run("abcd", store.path)
    assert find_run("abcd1", store.path)[0] == record_of("mle")
    (store.runs / "toy.mle.smoke.s0.abcd11111111.json").write_text("{", encoding="utf-8")
    with pytest.raises(UsageError, match="cannot read the record"):
        find_run("abcd1", store.path)
    with pytest.raises(UsageError, match=r"expected a run's record, as in RESULTS/runs, got 'none\.json': No such"):
        find_run("none.json", store.path)
    with pytest.raises(UsageError, match=r"got '.*store\.json': it is not a run record\.$"):  # and is not to be removed
        find_run(str(store.path / "store.json"), store.path)
    with pytest.raises(UsageError, match=r"expected a run, got the folder '.*': 'bench sample --results .*' lists"):
        find_run(str(store.path), store.path)


def test_a_run_is_found_where_a_folder_has_its_name(finished, record_of, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run_id = record_of("mle").spec.run_id
    (tmp_path / run_id).mkdir()
    assert find_run(run_id, finished.path)[0] == record_of("mle")
