"""Plugins on the command line: listed, validated, failing, skipping, interrupted."""

import dataclasses
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench.records.frames import REAL_DATA
from bench.records.store import Store
from bench.testing import CHECKS, ON_ANY_DATA

MODELS = (
    *("mle", "pg-bleu", "random", "scheduled-sampling", "seqgan", "seqgan-baselined"),
    *("bigram", "constant-reward", "mle-ensemble", "mle-longer", "mle-ngram", "mle-tempered", "random-reward"),
    *("random-reward-baselined", "repeat", "replay", "uniform"),
)
TOY = ("--tasks", "toy", "--preset", "smoke", "--workers", 0)
SMALL = ("--set", "toy.train_size=64", "--set", "toy.valid_size=20", "--set", "toy.test_size=30")
PLUGINS = """
import os
import time
from pathlib import Path
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
class Treacherous:
    def fit(self, data, run):
        if data.spec.eos is not None:
            time.sleep(600)
        if data.spec.vocab_size == 3:  # in the checks of densities
            os._exit(5)
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


@pytest.mark.usefixtures("no_figures")
def test_a_plugin_that_fails_costs_its_row_only(bench, write_plugin, tmp_path):
    write_plugin("own_cli", PLUGINS)
    folder = tmp_path / "results"
    command = ("run", "--models", "own_cli:Failing,random", *TOY, *SMALL, "--seeds", 1)
    answer = bench(*command, "--output", folder)
    assert answer.code == 1
    assert answer.out.splitlines()[-1] == "2 ok, 0 skipped, 1 failed"
    assert statuses(folder) == {
        (REAL_DATA, 0): "ok", ("own_cli:Failing", 0): "failed", ("random", 0): "ok",
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
    assert "Interrupted, runs left: 2. Do the same again to continue." in answer.out
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
    assert "Interrupted, runs left: 2." in out
    assert out.splitlines()[-1] == "2 ok, 0 skipped, 0 failed"
    assert statuses(results) == {
        (REAL_DATA, 0): "ok", ("random", 0): "ok", ("own_cli:Slow", 0): "interrupted",
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
    first = {line.partition(" ")[0]: line for line in answer.out.splitlines() if not line.startswith(" ")}
    assert first.keys() > set(names)
    assert "from" not in first["name"]  # they are all ours


def test_whose_a_plugin_is_stands_there_where_there_are_strangers(bench, monkeypatch):
    from bench.plans import registry

    known = registry.available("metric")
    stranger = dataclasses.replace(known["nll"], name="zeal", distribution="elsewhere")
    monkeypatch.setattr(registry, "available", lambda kind: {**known, "zeal": stranger})
    lines = bench("list", "metrics").out.splitlines()
    assert lines[0].rstrip().endswith("from")
    assert {line.split()[0]: line.split()[-1] for line in lines[1:] if not line.startswith(" ")} == {
        **dict.fromkeys(known, "seqgan-bench"),
        "zeal": "elsewhere",
    }


def test_the_list_says_how_to_see_fields(bench):
    for kind in ("models", "tasks"):
        assert bench("list", kind).out.splitlines()[-1] == f"Fields of one of them: bench list {kind} NAME"
    shown = " ".join(bench("list", "tasks").out.split())
    assert "Of your own files: text:train.txt,level=char, midi:tunes, checkins:" in shown
    assert "Of your own files: samples:mine-{seed}.txt,name=mine\n" in bench("list", "models").out
    assert "Fields" not in (metrics := bench("list", "metrics").out)
    assert "Of your own" not in metrics


def test_the_fields_of_a_model_are_listed(bench, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    answer = bench("list", "models", "seqgan")
    assert (answer.code, answer.err) == (0, "")
    lines = [re.split(r"\s{2,}", line.strip()) for line in answer.out.splitlines()]
    assert lines[0][0].startswith("seqgan: Policy gradient on the discriminator's score")
    assert lines[1] == ["field", "range", "default (presets)", "meaning"]
    assert ["g_steps", "an integer of 0 or more", "1", "Policy-gradient steps per round."] in lines
    row = [
        "rollouts",
        "an integer of 1 or more",
        "16 (quick 4, medium 4, smoke 2)",
        "Completions of each prefix (the paper's N).",
    ]
    assert row in lines
    assert bench("list", "models", "uniform").out.splitlines()[-1] == "It has no fields to set."


@pytest.mark.parametrize(
    ("name", "field", "span"), [("toy", "draw", "from 0 to 4294967295, or none"), ("text:", "level", "word or char")]
)
def test_the_fields_of_a_task_are_listed(bench, monkeypatch, name, field, span):
    monkeypatch.setenv("COLUMNS", "200")
    answer = bench("list", "tasks", name)
    (line,) = [line for line in answer.out.splitlines() if line.split()[:1] == [field]]
    assert span in line


def test_the_fields_of_ones_own_model_are_listed(bench, write_plugin):
    write_plugin("own_cli", PLUGINS)
    answer = bench("list", "models", "own_cli:Failing")
    assert answer.code == 0
    assert re.search(r"lr +a number +0\.1", answer.out)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("models", "seqgn"), "unknown model 'seqgn'. Did you mean 'seqgan'?"),
        (("tasks", "toi"), "unknown task 'toi'. Did you mean 'toy'?"),
        (("models", "nowhere:Mine"), "cannot load model 'nowhere:Mine' (nowhere:Mine): ModuleNotFoundError"),
        (("metrics", "nll"), "metrics have no fields"),
    ],
)
def test_the_fields_of_what_is_not_there(bench, arguments, message):
    answer = bench("list", *arguments)
    assert (answer.code, answer.out) == (2, "")
    assert answer.err.startswith(f"bench: {message}")
    assert answer.err.count("\n") == 1


def test_validate_says_what_holds(bench):
    answer = bench("validate", "random")
    assert (answer.code, answer.err) == (0, "")
    *checks, summary = answer.out.splitlines()
    assert summary == "random: keeps the contract"
    assert len(checks) == len(CHECKS)
    [other] = [line for line in checks if not line.startswith("ok      ")]  # it counts, and draws nothing
    assert other.endswith("fit() draws from no random stream, so every seed gives the same model")


def test_validate_on_a_task_of_ones_own_choice(bench, tmp_path):
    answer = bench("validate", "random", "--task", "quatrains-tang")
    assert (answer.code, answer.err) == (0, "")
    assert len(answer.out.splitlines()) == len(ON_ANY_DATA) + 1
    (tmp_path / "own.txt").write_text("".join(f"a {'b ' * (i % 7)}c {i % 11}\n" for i in range(400)))
    assert bench("validate", "random", "--task", f"text:{tmp_path / 'own.txt'}").code == 0
    (tmp_path / "empty.txt").write_text("")
    answer = bench("validate", "random", "--task", f"text:{tmp_path / 'empty.txt'}")
    assert (answer.code, answer.out) == (2, "")
    assert "has no text" in answer.err
    answer = bench("validate", "random", "--task", "quatrain")
    assert answer.code == 2
    assert "unknown task 'quatrain'. Did you mean 'quatrains'?" in answer.err


@pytest.mark.parametrize(
    ("end", "told"),
    [
        ("os._exit(0)", "it ended with exit code 0"),
        ("sys.exit(0)", "SystemExit: 0 (own_end.py:7)"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt:  (own_end.py:7)"),
        ("raise GeneratorExit", "GeneratorExit:  (own_end.py:7)"),
    ],
)
def test_a_plugin_that_ends_the_process_has_failed(bench, write_plugin, monkeypatch, end, told):
    monkeypatch.setattr("bench.testing.suite.CHECKS", CHECKS[:1])
    write_plugin(
        "own_end",
        "import os, sys\nfrom dataclasses import dataclass\n\n@dataclass(frozen=True)\nclass Ends:\n"
        f"    def fit(self, data, run):\n        {end}\n",
    )
    answer = bench("validate", "own_end:Ends")
    assert answer.code == 1
    assert answer.out.splitlines()[0].endswith(f": {told}")
    assert answer.out.splitlines()[-1] == "own_end:Ends: 1 check failed"


def test_validate_says_what_is_broken(bench, write_plugin):
    write_plugin("own_cli", PLUGINS)
    answer = bench("validate", "own_cli:WrongType")
    assert (answer.code, answer.err) == (1, "")
    broken = [line for line in answer.out.splitlines() if line.startswith("FAILED  ")]
    title = "Samples are int64, of the requested shape, inside the vocabulary"
    assert broken[0].startswith(f"FAILED  {title}: ValueError: ")
    assert answer.out.splitlines()[-1] == f"own_cli:WrongType: {len(broken)} checks failed"


def test_validate_tells_what_cannot_be_loaded(bench, write_plugin):
    write_plugin("own_cli", PLUGINS)
    write_plugin("own_broken", "import own_missing")
    answer = bench("validate", "own_broken:Anything")
    assert answer.code == 1
    assert answer.out.startswith("FAILED cannot load model 'own_broken:Anything'")
    assert len(answer.out.splitlines()) == 1


@pytest.mark.parametrize("name", ["own_cli:Nobody", "own_nowhere:Mine"])
def test_validate_refuses_what_is_not_there(bench, write_plugin, name):
    write_plugin("own_cli", PLUGINS)
    answer = bench("validate", name)
    assert (answer.code, answer.out) == (2, "")
    assert answer.err.startswith(f"bench: cannot load model '{name}'")


def test_a_check_that_hangs_or_crashes_costs_that_check(bench, write_plugin):
    write_plugin("own_cli", PLUGINS)
    answer = bench("validate", "own_cli:Treacherous", "--timeout", "12s")
    assert answer.code == 1
    checks = dict(line[8:].split(": ")[:2] for line in answer.out.splitlines()[:-1] if line.startswith("FAILED"))
    assert list(checks.values()).count("it ended with exit code 5") == 3
    assert list(checks.values()).count("it took longer than 12 s") == 1
    assert answer.out.splitlines()[0].startswith("ok      Samples are int64")
    assert "\nok      Training stops within one step" in answer.out


@pytest.mark.parametrize("time", ["", "0s", "5", "-1m", "1e9h"])
@pytest.mark.parametrize("command", [("validate", "random"), ("run", "--models", "random", *TOY)])
def test_a_timeout_is_a_time(bench, command, time):
    answer = bench(*command, "--timeout", time)
    assert answer.code == 2
    assert "expected a time like 90s, 30m or 8h" in answer.err
