"""The command line as its user meets it: files, sentences and exit codes."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from bench.record import REFERENCE
from bench.store import Store

pytestmark = pytest.mark.usefixtures("memory_not_measured")

MODELS = (
    *("mle", "pg-bleu", "random", "scheduled-sampling", "seqgan", "seqgan-baselined"),
    *("bigram", "constant-reward", "mle-longer", "random-reward", "repeat", "replay", "uniform"),
)
TOY = ("--tasks", "toy", "--preset", "smoke", "--workers", 0)
SMALL = ("--set", "toy.train_size=64", "--set", "toy.valid_size=20", "--set", "toy.test_size=30")
PLUGINS = """
import os
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from bench.api import Unsupported


class Constant:
    def __init__(self, spec):
        self.spec = spec

    def sample(self, n, decoding, rng):
        return torch.randint(self.spec.vocab_size, (n, self.spec.seq_len), generator=rng)


@dataclass(frozen=True)
class Failing:
    lr: float = 0.1

    def fit(self, data, run):
        raise RuntimeError("out of [bold]luck[/bold]")


@dataclass(frozen=True)
class Skipping:
    def fit(self, data, run):
        raise Unsupported("needs words")


@dataclass(frozen=True)
class Slow:
    '''Takes its time unless there is a file named go.'''

    def fit(self, data, run):
        for step in run.phase("slow", 1_000):
            if not Path("go").exists():
                Path("busy").write_text(str(os.getpid()))
                time.sleep(0.3)
        return Constant(data.spec)


@dataclass(frozen=True)
class Interrupted:
    '''As if its user pressed Ctrl-C unless there is a file named go.'''

    def fit(self, data, run):
        if not Path("go").exists():
            raise KeyboardInterrupt
        for _ in run.phase("nothing", 1):
            pass
        return Constant(data.spec)


@dataclass(frozen=True)
class WrongType:
    def fit(self, data, run):
        for _ in run.phase("nothing", 1):
            pass
        constant = Constant(data.spec)
        sampler = Constant(data.spec)
        sampler.sample = lambda n, decoding, rng: constant.sample(n, decoding, rng).int()
        return sampler
"""


def statuses(folder):
    return {(record.spec.model, record.spec.seed): record.status for record in Store(folder).records()}


def reports(folder):
    files = [folder / "leaderboard.csv", folder / "leaderboard.md", *sorted((folder / "figures").iterdir())]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.fixture(scope="module")
def benchmark_of_all(bench, memory_not_measured, tmp_path_factory):
    """The results of all models on the toy, and what the command said."""
    folder = tmp_path_factory.mktemp("all") / "results"
    answer = bench("run", "--models", "all", *TOY, "--seeds", 2, "--output", folder)
    return folder, answer


@pytest.fixture
def no_figures(monkeypatch):
    """Drawing takes longer than the runs of these tests."""
    monkeypatch.setattr("bench.reports.figures.write_figures", lambda *_: [])


@pytest.fixture
def results(benchmark_of_all, tmp_path):
    """A copy of them."""
    return shutil.copytree(benchmark_of_all[0], tmp_path / "results")


def test_one_command_benchmarks_all_models(benchmark_of_all):
    folder, answer = benchmark_of_all
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.splitlines()[-1] == "28 ok, 0 skipped, 0 failed"
    assert "28 runs, 28 to do" in answer.out
    assert statuses(folder) == {(model, seed): "ok" for model in (REFERENCE, *MODELS) for seed in (0, 1)}
    assert len(list((folder / "runs").glob("*.json"))) == 28


def test_it_leaves_leaderboards_and_figures(benchmark_of_all):
    files = reports(benchmark_of_all[0])
    csv, markdown = files["leaderboard.csv"].decode(), files["leaderboard.md"].decode()
    for model in (REFERENCE, *MODELS):
        assert f",{model}," in csv
        assert model in markdown
    figures = [name for name in files if name.endswith(".png")]
    assert figures
    for name in figures:
        assert files[name].startswith(b"\x89PNG")
        assert name in markdown
    assert "nan" not in csv.lower()


def test_running_again_does_nothing(bench, results):
    before = reports(results)
    records = {path: path.stat().st_mtime_ns for path in (results / "runs").glob("*.json")}
    answer = bench("run", "--models", "all", *TOY, "--seeds", 2, "--output", results)
    assert answer.code == 0
    assert "28 runs, 0 to do" in answer.out
    assert "started" not in answer.out
    assert answer.out.splitlines()[-1] == "28 ok, 0 skipped, 0 failed"
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
    assert lines == [f"toy {model} seed {seed}: to do" for model in (REFERENCE, "mle") for seed in (0, 1)]
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
    assert [line.rpartition(": ")[2] for line in answer.out.splitlines() if " seed " in line] == [
        "ok", "ok", "to do", "ok", "ok", "to do",
    ]  # fmt: skip
    assert {path: path.read_bytes() for path in results.rglob("*") if path.is_file()} == before


def test_a_dry_run_shows_what_was_set(bench, tmp_path):
    settings = ("--set", "mle.lr=0.5", "--set", "mle.hidden_dim=64", "--set", "mle.batch_size=32", *SMALL)
    answer = bench("run", "--models", "mle", *TOY, *settings, "--dry-run", "--output", tmp_path)
    assert (
        "toy[test_size=30, train_size=64, valid_size=20] mle[batch_size=32, hidden_dim=64, lr=0.5] seed 0: to do"
        in (answer.out)
    )


# Mistakes in use


def with_a_stranger(folder):
    (folder / "thesis.tex").write_text("all my work")
    return folder


def with_a_file(folder):
    (folder / "file").write_text("x")
    return folder / "file"


def with_weights(folder):
    (folder / "weights.pkl").write_bytes(b"not the released file")
    return ("--tasks", "oracle-published", "--oracle-weights", folder / "weights.pkl")


MISTAKES = {
    "unknown model": (["--models", "mle,seqgna"], r"unknown model 'seqgna'. Did you mean 'seqgan'\?"),
    "unknown task": (["--tasks", "toi"], r"unknown task 'toi'. Did you mean 'toy'\?"),
    "unknown metric": (["--metrics", "bleuu"], r"unknown metric 'bleuu'. Did you mean 'bleu'\?"),
    "unknown preset": (["--preset", "smok"], r"unknown preset 'smok'. Did you mean 'smoke'\?"),
    "unknown field": (["--set", "mle.lrr=1"], r"unknown field of 'mle' 'lrr'. Did you mean 'lr'\?"),
    "unknown device": (["--device", "gpu"], r"unknown device 'gpu'. .*Known: auto, cpu, cuda"),
    "malformed set": (["--set", "mle"], "expected --set NAME.field=value"),
    "model not chosen": (["--set", "seqgan.lr=1"], "'seqgan' is not among the chosen models and tasks"),
    "bad type": (["--set", "mle.epochs=many"], "expected mle.epochs to be int, got 'many'"),
    "bad value": (["--set", "toy.train_size=0"], "expected a larger toy.train_size, got 0"),
    "no seeds": (["--seeds", "0"], "expected 1 to 1000 seeds, got 0"),
    "negative workers": (["--workers", "-1"], "expected --workers of 0 or more, got -1"),
    "all and one": (["--models", "all,mle"], "expected 'all' or a list of models"),
    "no such module": (["--tasks", "no_such:Task"], "No module named 'no_such'"),
    "published without weights": (
        ["--tasks", "oracle-published"],
        "needs its weights: `bench data fetch oracle-published` gets them, or pass --oracle-weights FILE",
    ),
    "published with missing weights": (
        ["--tasks", "oracle-published", "--oracle-weights", "nowhere.pkl"],
        "cannot read the oracle's weights '.*nowhere.pkl': No such file",
    ),
    "published with other weights": (with_weights, "is not the expected file: sha256 .* wanted, .* found"),
    "weights for nobody": (["--oracle-weights", "w.pkl"], "--oracle-weights goes with --tasks oracle-published"),
    "no cuda": (["--device", "cuda"], "expected a CUDA device for --device cuda, but torch finds none"),
    "somebody else's folder": (with_a_stranger, "is not empty and no results folder"),
    "a file as output": (with_a_file, "expected --output to be a folder, but '.*' is a file"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_a_mistake_is_told_in_one_sentence(bench, tmp_path, monkeypatch, case):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.chdir(tmp_path)
    given, message = MISTAKES[case]
    given = given(tmp_path) if callable(given) else given
    given = ("--output", given) if isinstance(given, Path) else given
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    answer = bench("run", "--models", "mle", *TOY, "--output", tmp_path / "results", *given)
    assert answer.code == 2
    assert answer.out == ""
    (line,) = answer.err.splitlines()
    assert line.startswith("bench: ")
    assert line.endswith(".")
    assert re.search(message, line), line
    assert "Traceback" not in answer.err
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["report", "nowhere"], "expected a results folder"),
        (["report", "."], "expected a results folder"),
        (["validate", "mel"], "Did you mean 'mle'?"),
        (["validate", "a:b:c"], "expected a model as NAME or package.module:Class"),
    ],
)
def test_other_commands_tell_mistakes_likewise(bench, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    answer = bench(*arguments)
    assert (answer.code, answer.out) == (2, "")
    assert message in answer.err
    assert len(answer.err.splitlines()) == 1


@pytest.mark.parametrize(
    "arguments",
    [["run", "--seeds", "three"], ["run", "--models", ","], ["run", "--nonsense"], ["list", "nothing"], ["fly"]],
)
def test_what_click_refuses_has_exit_code_2_too(bench, arguments):
    answer = bench(*arguments)
    assert (answer.code, answer.out) == (2, "")
    assert "Error: " in answer.err


@pytest.mark.usefixtures("no_figures")
def test_a_corrupted_record_is_named(bench, results):
    (record,) = (results / "runs").glob("toy.mle.smoke.s0.*.json")
    record.write_text(record.read_text()[:100])
    for answer in (bench("report", results), bench("run", "--models", "mle", *TOY, "--output", results)):
        assert answer.code == 2
        assert f"cannot read '{record}'" in answer.err


@pytest.mark.usefixtures("no_figures")
def test_two_do_not_work_in_one_folder(bench, results):
    with Store(results).alone():
        answer = bench("run", "--models", "mle", *TOY, "--seeds", 2, "--output", results)
    assert answer.code == 2
    assert "another 'bench run' is working in" in answer.err
    assert bench("run", "--models", "mle", *TOY, "--seeds", 2, "--output", results).code == 0


# Broken and unfit plugins


@pytest.mark.usefixtures("no_figures")
def test_a_plugin_that_fails_costs_its_row_only(bench, write_plugin, tmp_path):
    write_plugin("own_cli", PLUGINS)
    folder = tmp_path / "results"
    command = ("run", "--models", "own_cli:Failing,own_cli:Nobody,random", *TOY, *SMALL, "--seeds", 1)
    answer = bench(*command, "--output", folder)
    assert answer.code == 1
    assert answer.out.splitlines()[-1] == "2 ok, 0 skipped, 2 failed"
    assert statuses(folder) == {
        (REFERENCE, 0): "ok", ("own_cli:Failing", 0): "failed", ("own_cli:Nobody", 0): "failed", ("random", 0): "ok",
    }  # fmt: skip
    (line,) = [line for line in answer.out.splitlines() if line.startswith("failed: RuntimeError")]
    assert line.startswith("failed: RuntimeError: out of [bold]luck[/bold] (see ")
    assert Path(line.rpartition("(see ")[2].rstrip(")")).exists()
    markdown = (folder / "leaderboard.md").read_text()
    (row,) = [line for line in markdown.splitlines() if line.startswith("|") and "own_cli:Failing" in line][:1]
    assert "fail" in row
    assert "| random" in markdown
    again = bench(*command, "--output", folder)  # what failed is tried again, and nothing else
    assert again.code == 1
    assert [line for line in again.out.splitlines() if line.startswith("started")] == [
        line for line in answer.out.splitlines() if line.startswith("started") and "own_cli" in line
    ]


@pytest.mark.usefixtures("no_figures")
def test_a_plugin_that_cannot_do_the_task_is_no_failure(bench, write_plugin, tmp_path):
    write_plugin("own_cli", PLUGINS)
    command = (
        "run",
        "--models",
        "own_cli:Skipping,random",
        *TOY,
        *SMALL,
        "--seeds",
        1,
        "--output",
        tmp_path / "results",
    )
    answer = bench(*command)
    assert answer.code == 0
    assert answer.out.splitlines()[-1] == "2 ok, 1 skipped, 0 failed"
    assert "needs words" in (tmp_path / "results" / "leaderboard.md").read_text()
    assert "started" not in bench(*command).out


# Ctrl-C


@pytest.mark.usefixtures("no_figures")
def test_ctrl_c_in_this_process(bench, write_plugin, tmp_path):
    folder = write_plugin("own_cli", PLUGINS).parent
    command = (
        "run", "--models", "random,own_cli:Interrupted,uniform", *TOY, *SMALL, "--seeds", 1,
        "--output", tmp_path / "results",
    )  # fmt: skip
    answer = bench(*command)
    assert answer.code == 130
    assert "Interrupted, 2 runs left: the same command continues." in answer.out
    assert answer.out.splitlines()[-1] == "2 ok, 0 skipped, 0 failed"
    assert set(statuses(tmp_path / "results").values()) == {"ok", "interrupted"}
    (folder / "go").touch()
    again = bench(*command)
    assert again.code == 0
    assert again.out.splitlines()[-1] == "4 ok, 0 skipped, 0 failed"
    assert set(statuses(tmp_path / "results").values()) == {"ok"}


@pytest.mark.usefixtures("no_figures")
def test_ctrl_c_in_the_terminal(bench, write_plugin, tmp_path):
    """The whole process group gets the signal, as in a shell; finished runs stay and the same command continues."""
    folder, results = write_plugin("own_cli", PLUGINS).parent, tmp_path / "results"
    command = [
        "run", "--models", "random,own_cli:Slow,uniform", "--tasks", "toy", "--preset", "smoke", *SMALL, "--seeds", 1,
        "--output", results,
    ]  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, "-c", "from bench.cli import main; main()", *map(str, command), "--workers", "1"],
        cwd=folder, start_new_session=True, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 60
        while not (folder / "busy").exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.1)
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=60)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    assert (process.returncode, err) == (130, "")
    assert "Interrupted, 2 runs left" in out
    assert out.splitlines()[-1] == "2 ok, 0 skipped, 0 failed"
    assert statuses(results) == {
        (REFERENCE, 0): "ok", ("random", 0): "ok", ("own_cli:Slow", 0): "interrupted", ("uniform", 0): "interrupted",
    }  # fmt: skip
    assert (results / "leaderboard.md").exists()
    worker = int((folder / "busy").read_text())
    assert worker != process.pid
    with pytest.raises(ProcessLookupError):
        os.kill(worker, 0)
    (folder / "go").touch()
    answer = bench(*command, "--workers", 0)
    assert answer.code == 0
    assert [line for line in answer.out.splitlines() if line.startswith("started")] == [
        f"started toy[test_size=30, train_size=64, valid_size=20] {model} seed 0"
        for model in ("own_cli:Slow", "uniform")
    ]
    assert set(statuses(results).values()) == {"ok"}


# Other commands


@pytest.mark.parametrize(
    ("kind", "names"),
    [("models", MODELS), ("tasks", ("oracle", "quatrains", "toy")), ("metrics", ("nll", "bleu", "self-bleu"))],
)
def test_plugins_are_listed_with_what_they_are_and_whose(bench, kind, names):
    answer = bench("list", kind)
    assert (answer.code, answer.err) == (0, "")
    for name in names:
        (line,) = [line for line in answer.out.splitlines() if line.split()[:1] == [name]]
        assert line.rstrip().endswith("seqgan-bench")


def test_validate_says_what_holds(bench):
    answer = bench("validate", "random")
    assert (answer.code, answer.err) == (0, "")
    *checks, summary = answer.out.splitlines()
    assert summary == "random: keeps the contract"
    assert len(checks) == 11
    assert all(line.startswith("ok      ") for line in checks)


def test_validate_says_what_is_broken(bench, write_plugin):
    write_plugin("own_cli", PLUGINS)
    answer = bench("validate", "own_cli:WrongType")
    assert (answer.code, answer.err) == (1, "")
    broken = [line for line in answer.out.splitlines() if line.startswith("FAILED  ")]
    assert broken[0].startswith("FAILED  Samples are int64, of the asked shape, inside the vocabulary: ValueError: ")
    assert answer.out.splitlines()[-1] == f"own_cli:WrongType: {len(broken)} checks failed"


def test_validate_tells_what_cannot_be_loaded(bench, write_plugin):
    write_plugin("own_cli", PLUGINS)
    answer = bench("validate", "own_cli:Nobody")
    assert answer.code == 1
    assert answer.out.startswith("FAILED cannot load model 'own_cli:Nobody'")
    assert len(answer.out.splitlines()) == 1


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
    assert "quality against cost" in (folder / "leaderboard.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--budget", "", "expected a budget like 60s"),
        ("--temperatures", "", "expected --temperatures like"),
        ("--budget", "60", "expected a budget like 60s, 5m, 2M-tokens or 20000-updates, got '60'"),
        ("--temperatures", "0..1", "expected --temperatures like 0.5..1.4"),
        ("--models", "contenders,mle", "expected 'contenders' or a list of models"),
    ],
)
def test_a_budget_or_temperatures_that_make_no_sense(bench, tmp_path, option, value, message):
    answer = bench("run", *TOY, option, value, "--output", tmp_path / "results")
    assert answer.code == 2
    assert message in answer.err


def test_contenders_are_all_but_the_controls(bench, tmp_path):
    answer = bench("run", "--models", "contenders", *TOY, "--seeds", 1, "--dry-run", "--output", tmp_path / "r")
    assert answer.code == 0
    assert "seqgan-baselined" in answer.out
    assert "repeat" not in answer.out
