"""The command line as its user meets it: files, sentences and exit codes."""

import csv
import json
import re
import shutil
from pathlib import Path

import pytest
import torch

from bench.records.frames import REAL_DATA
from bench.records.store import Store

MODELS = (
    *("mle", "pg-bleu", "random", "residual-ebm", "rloo", "scheduled-sampling", "seqgan"),
    *("bigram", "constant-reward", "mle-longer", "mle-ngram", "mle-tuned", "ngram", "repeat", "replay", "uniform"),
)
TOY = ("--tasks", "toy", "--preset", "smoke", "--workers", 0)
SMALL = ("--set", "toy.train_size=64", "--set", "toy.valid_size=20", "--set", "toy.test_size=30")


def statuses(folder):
    return {(record.spec.model, record.spec.seed): record.status for record in Store(folder).records()}


def reports(folder):
    pages = [*sorted((folder / "leaderboard").iterdir()), *sorted((folder / "figures").iterdir())]
    files = [folder / "leaderboard.csv", folder / "leaderboard.md", *pages]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.fixture(scope="module")
def benchmark_of_all(bench, tmp_path_factory):
    """The results of all models on the toy, and what the command said."""
    folder = tmp_path_factory.mktemp("all") / "results"
    answer = bench("run", "--models", "all", *TOY, "--seeds", 2, "--output", folder)
    return folder, answer


@pytest.fixture
def results(benchmark_of_all, tmp_path):
    """A copy of them."""
    return shutil.copytree(benchmark_of_all[0], tmp_path / "results")


def test_one_command_benchmarks_all_models(benchmark_of_all):
    folder, answer = benchmark_of_all
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.splitlines()[-1] == "34 ok, 0 skipped, 0 failed"
    assert "34 runs, 34 to do" in answer.out
    assert statuses(folder) == {(model, seed): "ok" for model in (REAL_DATA, *MODELS) for seed in (0, 1)}
    assert len(list((folder / "runs").glob("*.json"))) == 34


def test_it_leaves_leaderboards_and_figures(benchmark_of_all):
    files = reports(benchmark_of_all[0])
    csv, markdown = (files[name].decode() for name in ("leaderboard.csv", "leaderboard/toy-smoke.md"))
    for model in (REAL_DATA, *MODELS):
        assert f",{model}," in csv
        assert model in markdown
    figures = [name for name in files if name.endswith(".png")]
    assert figures
    for name in figures:
        assert files[name].startswith(b"\x89PNG")
        assert name in markdown
    assert "nan" not in csv.lower()


def references(folder):
    with (folder / "verdicts.csv").open(encoding="utf-8") as stream:
        return {row["reference"] for row in csv.DictReader(stream)}


def test_verdicts_may_be_against_any_model(bench, results):
    before = reports(results)
    assert references(results) == {"mle", "mle (its own pre-training)", "mle-tuned", "constant-reward"}
    answer = bench("report", results, "--against", "bigram,random", "--against", "bigram")
    assert answer.code == 0
    assert references(results) == {"bigram", "random"}
    page = (results / "leaderboard" / "toy-smoke.md").read_text()
    assert "each contender is compared with bigram and random, where they apply" in page
    assert "seeds better than bigram" in page
    assert "11 comparisons as one family" in page  # five contenders with two, and random with bigram alone
    answer = bench("run", "--models", "random", *TOY, "--seeds", 2, "--output", results, "--against", "replay")
    assert answer.code == 0
    assert references(results) == {"replay"}
    assert bench("report", results).code == 0
    assert reports(results) == before


def test_an_unknown_model_to_compare_with_is_one_sentence(bench, results, tmp_path):
    before = reports(results)
    for arguments in (["report", results], ["run", "--models", "mle", *TOY, "--output", results]):
        answer = bench(*arguments, "--against", "bigrm")
        assert (answer.code, answer.err.count("\n")) == (2, 1)
        assert "unknown model to compare with 'bigrm'. Did you mean 'bigram'? Known: bigram, " in answer.err
    assert reports(results) == before
    new = bench("run", "--models", "mle", *TOY, "--output", tmp_path / "new", "--against", "bigram")
    assert (new.code, "Known: mle." in new.err) == (2, True)
    assert not (tmp_path / "new").exists()


def test_running_again_does_nothing(bench, results):
    before = reports(results)
    records = {path: path.stat().st_mtime_ns for path in (results / "runs").glob("*.json")}
    answer = bench("run", "--models", "all", *TOY, "--seeds", 2, "--output", results)
    assert answer.code == 0
    assert "34 runs, 0 to do" in answer.out
    assert "started" not in answer.out
    assert answer.out.splitlines()[-1] == "34 ok, 0 skipped, 0 failed"
    assert reports(results) == before
    assert {path: path.stat().st_mtime_ns for path in (results / "runs").glob("*.json")} == records


@pytest.mark.usefixtures("no_figures")
def test_only_what_is_missing_is_done(bench, results):
    (lost,) = (results / "runs").glob("toy.seqgan.smoke.s1.*.json")
    old = json.loads(lost.read_text())
    lost.unlink()
    answer = bench("run", "--models", "all", *TOY, "--seeds", 2, "--output", results)
    assert answer.code == 0
    assert [line for line in answer.out.splitlines() if "started" in line] == ["started toy seqgan seed 1"]
    new = json.loads(lost.read_text())
    for checkpoint in ("pretrained", "final"):
        old_scores, new_scores = (
            [score for score in record["scores"][checkpoint] if score["kind"] == "quality"] for record in (old, new)
        )
        assert old_scores == new_scores
    assert new["samples"] == old["samples"]


def test_reports_are_rebuilt_to_the_byte(bench, results):
    before = reports(results)
    assert len(before) > 2
    shutil.rmtree(results / "figures")
    for name in ("leaderboard.csv", "leaderboard.md"):
        (results / name).unlink()
    shutil.rmtree(results / "runs" / "checkpoints")
    answer = bench("report", results)
    assert (answer.code, answer.err) == (0, "")
    assert reports(results) == before


def test_a_dry_run_writes_nothing(bench, tmp_path):
    answer = bench("run", "--models", "mle", *TOY, "--seeds", 2, "--output", tmp_path / "results", "--dry-run")
    assert answer.code == 0
    lines = [line.split(maxsplit=1)[1] for line in answer.out.splitlines() if ": to do" in line]
    assert lines == [f"toy {model} seed {seed}: to do" for seed in (0, 1) for model in (REAL_DATA, "mle")]
    assert list(tmp_path.iterdir()) == []


def test_all_tasks_are_those_whose_data_are_here_and_the_others_are_named(bench, tmp_path, monkeypatch):
    monkeypatch.setenv("SEQGAN_BENCH_DATA", str(tmp_path))
    answer = bench("run", "--models", "mle", "--tasks", "all", "--seeds", 1, "--dry-run", "--output", tmp_path / "r")
    planned = {line.split()[1] for line in answer.out.splitlines() if ": to do" in line}
    told = " ".join(answer.out.split()).partition("Left out")[2].partition(".")[0]
    assert {"quatrains", "sotu", "folk-tunes", "folk-tunes-phrases", "tang5", "sotu-obama", "oracle"} <= planned
    assert "bench data fetch NAME" in told
    assert all(f"{name}" in told for name in ("coco-captions", "emnlp-news", "oracle-published"))
    assert not planned & {"coco-captions", "ptb", "oracle-published"}


def test_a_dry_run_knows_what_is_done(bench, results):
    before = {path: path.read_bytes() for path in results.rglob("*") if path.is_file()}
    answer = bench("run", "--models", "mle", *TOY, "--seeds", 3, "--output", results, "--dry-run")
    states = [line.rpartition(": ")[2] for line in answer.out.splitlines() if " seed " in line]
    assert states[:4] == ["ok"] * 4
    assert [state.partition(", about ")[0] for state in states[4:]] == ["to do", "to do"]
    assert {path: path.read_bytes() for path in results.rglob("*") if path.is_file()} == before


def test_a_dry_run_shows_what_was_set(bench, tmp_path):
    settings = ("--set", "mle.lr=0.5", "--set", "mle.hidden_dim=64", "--set", "mle.batch_size=32", *SMALL)
    answer = bench("run", "--models", "mle", *TOY, *settings, "--dry-run", "--output", tmp_path)
    assert (
        "toy[test_size=30, train_size=64, valid_size=20] mle[batch_size=32, hidden_dim=64, lr=0.5] seed 0: to do"
        in (answer.out)
    )


# Usage errors


def with_a_stranger(folder):
    (folder / "thesis.tex").write_text("all my work")
    return folder


def with_a_file(folder):
    (folder / "file").write_text("x")
    return folder / "file"


ODD = (
    *("1e999", "nan", "-inf", "[[1]]", "{", "(" * 300, "0x", "1_", "b'a'", "'\\0'", "\udcff", "9" * 5000, "...", "1j"),
    "{}",
)


def with_weights(folder):
    (folder / "weights.pkl").write_bytes(b"not the released file")
    return ("--tasks", "oracle-published", "--oracle-weights", folder / "weights.pkl")


MISTAKES = {
    "no model": (["--models", ","], "expected one or more models, separated by commas, got ','"),
    "unknown model": (["--models", "mle,seqgna"], r"unknown model 'seqgna'. Did you mean 'seqgan'\?"),
    "unknown task": (["--tasks", "toi"], r"unknown task 'toi'. Did you mean 'toy'\?"),
    "unknown metric": (["--metrics", "bleuu"], r"unknown metric 'bleuu'. Did you mean 'bleu'\?"),
    "unknown preset": (["--preset", "smok"], r"unknown preset 'smok'. Did you mean 'smoke'\?"),
    "unknown field": (["--set", "mle.lrr=1"], r"unknown field of 'mle' 'lrr'. Did you mean 'lr'\?"),
    "unknown device": (["--device", "gpu"], r"unknown device 'gpu'. .*Known: auto, cpu, cuda"),
    "malformed set": (["--set", "mle"], "expected a setting NAME.field=value"),
    "model not chosen": (["--set", "seqgan.lr=1"], "'seqgan' is not among the chosen models and tasks"),
    "bad type": (["--set", "mle.epochs=many"], "expected mle.epochs to be an integer of 0 or more, got 'many'"),
    "bad value": (["--set", "toy.train_size=0"], "expected toy.train_size to be an integer of 2 or more, got '0'"),
    "no seeds": (["--seeds", "0"], "expected 1 to 1000 seeds, got 0"),
    "negative workers": (["--workers", "-1"], "expected --workers from 0 to 256, or auto, got -1"),
    "too many workers": (["--workers", "1000000000"], "expected --workers from 0 to 256, or auto, got 1000000000"),
    "too many seeds": (["--seeds", "1000000000"], "expected 1 to 1000 seeds, got 1000000000"),
    "seeds in words": (["--seeds", "three"], "expected a number of seeds, as in 5, or seeds below 1000, as in 3,5-7"),
    "a seed twice": (["--seeds", "1-3,2"], "expected each seed once, got 2 more than once in 1-3,2"),
    "too cold": (["--temperatures", "1e-300"], "all from 0.001 to 1000, got '1e-300'"),
    "too hot": (["--temperatures", "0.5..1e9:1e8"], "all from 0.001 to 1000"),
    "endless budget": (["--budget", "9" * 400 + "h"], "expected a budget like 60s"),
    "field twice": (
        ["--set", "mle.lr=1", "--set", "mle.lr=0.5"],
        "mle.lr is set twice, to '1' and to '0.5'",
    ),
    "no such module": (["--tasks", "no_such:Task"], "No module named 'no_such'"),
    "published without weights": (
        ["--tasks", "oracle-published"],
        "needs its weights: `bench data fetch oracle-published` gets them, or name their file: --oracle-weights FILE",
    ),
    "published with missing weights": (
        ["--tasks", "oracle-published", "--oracle-weights", "nowhere.pkl"],
        "cannot read the oracle's weights '.*nowhere.pkl': No such file",
    ),
    "published with other weights": (with_weights, "is not the expected file: sha256 .* wanted, .* found"),
    "weights for nobody": (["--oracle-weights", "w.pkl"], "--oracle-weights goes with --tasks oracle-published"),
    "no cuda": (["--device", "cuda"], "expected a CUDA device for device cuda, but torch finds none"),
    "somebody else's folder": (with_a_stranger, "is not empty and is not a results folder"),
    "a file as output": (with_a_file, "expected a folder for the results, but '.*' is a file"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_a_mistake_is_reported_in_one_sentence(bench, tmp_path, monkeypatch, case):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.chdir(tmp_path)
    given, message = MISTAKES[case]
    given = given(tmp_path) if callable(given) else given
    given = ("--output", given) if isinstance(given, Path) else given
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    usual = [("--models", "mle"), *zip(TOY[::2], TOY[1::2], strict=True), ("--output", tmp_path / "results")]
    answer = bench("run", *(word for pair in usual if pair[0] not in given for word in pair), *given)
    assert answer.code == 2
    assert answer.out == ""
    (line,) = answer.err.splitlines()
    assert line.startswith("bench: ")
    assert line.endswith(".")
    assert re.search(message, line), line
    assert "Traceback" not in answer.err
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("value", ODD)
@pytest.mark.parametrize("field", ["epochs", "lr", "reshuffle"])
def test_an_odd_value_is_refused_in_one_sentence(bench, tmp_path, field, value):
    answer = bench("run", "--models", "mle", *TOY, "--output", tmp_path / "results", "--set", f"mle.{field}={value}")
    assert (answer.code, answer.out) == (2, "")
    assert answer.err.startswith(f"bench: expected mle.{field} to be ")
    assert len(answer.err.splitlines()) == 1


@pytest.mark.parametrize("value", ["'\\0'", "\udcff"])
def test_text_that_cannot_be_stored_is_refused(bench, tmp_path, value):
    command = ("run", "--models", "uniform", "--tasks", "oracle-published", "--output", tmp_path / "results")
    answer = bench(*command, "--set", f"oracle-published.weights={value}")
    assert (answer.code, answer.out) == (2, "")
    assert "expected oracle-published.weights to be a text, got" in answer.err


def test_lists_of_names_are_joined(bench, tmp_path):
    models = ("--models", "random", "--models", "uniform, bigram", "--tasks", "toy", "--tasks", "oracle,toy")
    metrics = ("--metrics", "nll", "--metrics", "distinct")
    command = ("run", *models, *metrics, "--preset", "smoke", "--seeds", 1, "--output", tmp_path / "r", "--dry-run")
    answer = bench(*command)
    assert answer.code == 0
    planned = {tuple(line.split()[1:-4]) for line in answer.out.splitlines() if ": to do" in line}
    assert planned == {
        (task, *model.split()) for task in ("toy", "oracle") for model in (REAL_DATA, "random", "uniform", "bigram")
    }
    both = bench("run", "--tasks", "all", "--tasks", "toy", "--output", tmp_path / "r", "--dry-run")
    assert (both.code, "expected 'all' or a list of tasks, got both" in both.err) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["report", "nowhere"], "expected a results folder"),
        (["report", "."], "expected a results folder"),
        (["report", "nowhere", "--figures", "pdf,jpg"], "unknown format of figures 'jpg'. Did you mean 'png'?"),
        (["validate", "mel"], "Did you mean 'mle'?"),
        (["validate", "a:b:c"], "expected a model as NAME or package.module:Class"),
    ],
)
def test_other_commands_report_mistakes_in_the_same_way(bench, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    answer = bench(*arguments)
    assert (answer.code, answer.out) == (2, "")
    assert message in answer.err
    assert len(answer.err.splitlines()) == 1


@pytest.mark.parametrize(
    "arguments",
    [["tune", "mle", "--trials", "three"], ["run", "--nonsense"], ["list", "nothing"], ["fly"]],
)
def test_what_click_refuses_has_exit_code_2_too(bench, arguments):
    answer = bench(*arguments)
    assert (answer.code, answer.out) == (2, "")
    assert "Error: " in answer.err


@pytest.mark.usefixtures("no_figures")
def test_a_damaged_record_is_told_and_made_anew(bench, results):
    (record,) = (results / "runs").glob("toy.mle.smoke.s0.*.json")
    whole = record.read_bytes()
    record.write_bytes(whole.replace(b'"status": "ok"', b'"status": "OK"'))
    why = "its checksum does not match its content: repeat the 'bench run' that made it, or remove it."
    warning = f"'{record}' is left out, because {why}"
    answer = bench("report", results)
    assert (answer.code, warning in answer.out) == (1, True)
    assert (results / "leaderboard.md").exists()
    assert bench("accept", results, "--to", results / "new.csv").code == 2
    answer = bench("sample", "--results", results)
    assert (answer.code, warning in answer.err) == (0, True)
    command = ("run", "--models", "mle", *TOY, "--seeds", 2, "--output", results)
    answer = bench(*command, "--dry-run")
    assert (answer.code, warning in answer.out) == (0, True)
    assert "mle seed 0: to do" in answer.out
    answer = bench(*command)
    assert (answer.code, answer.out.count(warning)) == (0, 1)
    assert [line for line in answer.out.splitlines() if line.startswith("started")] == ["started toy mle seed 0"]
    assert warning not in bench("report", results).out
    again, before = json.loads(record.read_bytes()), json.loads(whole)
    assert again["samples"] == before["samples"]


@pytest.mark.usefixtures("no_figures")
def test_two_do_not_work_in_one_folder(bench, results):
    with Store(results).alone():
        answer = bench("run", "--models", "mle", *TOY, "--seeds", 2, "--output", results)
    assert answer.code == 2
    assert "another command is working in" in answer.err
    assert bench("run", "--models", "mle", *TOY, "--seeds", 2, "--output", results).code == 0


# Broken and unfit plugins


def test_a_budget_and_temperatures_are_those_of_every_run(bench, tmp_path):
    folder = tmp_path / "results"
    answer = bench(
        "run", "--models", "mle,constant-reward,random", *TOY, "--seeds", 1, "--output", folder,
        "--budget", "30-updates", "--temperatures", "0.8..1.2:0.2",
    )  # fmt: skip
    assert answer.code == 0, answer.out + answer.err
    frames = Store(folder).load()
    assert set(frames.runs["preset"]) == {"smoke, 30 updates each"}
    updates = frames.scores[frames.scores["metric"] == "updates"].set_index("model")["value"]
    assert updates.to_dict() == {"mle": 30, "constant-reward": 30}
    assert sorted(set(frames.frontier["temperature"])) == [0.8, 1.0, 1.2]
    assert set(frames.frontier["model"]) == {"mle", "constant-reward"}  # what is not trained has no frontier
    assert set(frames.frontier["metric"]) == {"nll_oracle", "nll_test", "lm_nll", "reverse_nll"}
    assert set(frames.scores.loc[frames.scores["model"] == "mle", "checkpoint"]) == {"final", "selected"}
    assert dict(zip(frames.runs["model"], frames.runs["role"], strict=True)) == {
        "real data": "", "mle": "contender", "constant-reward": "control", "random": "contender",
    }  # fmt: skip
    (page,) = (folder / "leaderboard").iterdir()
    assert "quality against cost" in page.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--budget", "", "expected a budget like 60s"),
        ("--temperatures", "", "expected temperatures like"),
        ("--budget", "60", "expected a budget like 60s, 5m, 2M-tokens or 20000-updates, got '60'"),
        ("--temperatures", "0..1", "expected temperatures like 0.5..2"),
    ],
)
def test_a_budget_or_temperatures_that_make_no_sense(bench, tmp_path, option, value, message):
    answer = bench("run", *TOY, option, value, "--output", tmp_path / "results")
    assert answer.code == 2
    assert message in answer.err


def test_a_dry_run_of_many_lists_some_and_counts_all(bench, tmp_path):
    answer = bench("run", "--models", "random,bigram", *TOY, "--seeds", 300, "--dry-run", "--output", tmp_path / "r")
    assert "900 runs, 900 to do" in answer.out
    assert len([line for line in answer.out.splitlines() if line.endswith(": to do")]) == 500
    assert answer.out.splitlines()[-1] == "and 400 more; the table above counts all of them."


def test_a_misspelt_class_is_a_mistake_in_use(bench, write_plugin, tmp_path):
    write_plugin("spelt", "class Model:\n    def fit(self, data, run): ...\n")
    answer = bench("run", "--models", "spelt:Modell", *TOY, "--output", tmp_path / "r")
    assert answer.code == 2
    assert "spelt:Modell" in answer.err
    assert not (tmp_path / "r").exists()


def test_contenders_are_all_but_the_controls(bench, tmp_path):
    answer = bench("run", "--models", "contenders", *TOY, "--seeds", 1, "--dry-run", "--output", tmp_path / "r")
    assert answer.code == 0
    assert "seqgan-baselined" in answer.out
    assert "repeat" not in answer.out


def test_a_folder_is_shown_by_its_name(bench, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    answer = bench("run", "--models", "uniform", "--seeds", 1, *TOY, "--output", "a[b] :x: [/c]")
    assert answer.code == 0
    assert "Leaderboard: a[b] :x: [/c]/leaderboard.md" in answer.out
    answer = bench("report", "a[b] :x: [/c]")
    assert "Leaderboard: a[b] :x: [/c]/leaderboard.md" in answer.out
