"""``bench tune`` on a toy: equal trials, validation data alone, killed and continued, and taken by 'bench run'."""

import csv
import json
import os
import signal
import subprocess
import sys
import time

import pytest

from bench.records.store import Store
from bench.runs import runner

PLUGIN = """
from dataclasses import dataclass
from pathlib import Path

import torch

from bench.api import Count, Positive, Size


class Law:
    def __init__(self, spec, logits):
        self.spec, self.logits = spec, logits

    def sample(self, n, decoding, rng):
        law = (self.logits / decoding.temperature).softmax(-1).expand(n, -1)
        return torch.multinomial(law, self.spec.seq_len, replacement=True, generator=rng)

    def token_log_prob(self, tokens, temperature=1.0):
        return (self.logits / temperature).log_softmax(-1)[tokens]


@dataclass(frozen=True)
class Sharp:
    '''Word frequencies to a power; at 1 they are those of the data.'''

    power: Positive = 0.3
    width: Size = 8
    steps: Count = 1

    def fit(self, data, run):
        with Path("fits.log").open("a") as log:
            log.write(f"{self.power} {self.width}\\n")
        if self.width > 12:
            raise ValueError(f"{self.width} is too wide")
        counts = torch.bincount(data.train.reshape(-1), minlength=data.spec.vocab_size).double()
        model = self.made(Law(data.spec, self.power * (counts + 0.5).log()))
        run.track(model)
        for _ in run.phase("count", self.steps):
            pass
        return model

    def made(self, model):
        return model


@dataclass(frozen=True)
class Sharper(Sharp):
    power: Positive = 3.0


class Samples:
    def __init__(self, model):
        self.sample = model.sample


@dataclass(frozen=True)
class Implicit(Sharp):
    def made(self, model):
        return Samples(model)


@dataclass(frozen=True)
class Bare:
    steps: Count = 1

    def fit(self, data, run): ...
"""
OTHER_TEST = """
from dataclasses import dataclass, replace

from bench.tasks.toy import Toy


@dataclass(frozen=True)
class Other(Toy):
    '''The toy with another test split.'''

    stream_name = "bench.tasks.toy:Toy"

    def load(self):
        data = super().load()
        return replace(data, test=data.test.flip(0, 1)[:7] * 0 + 3)
"""
SMALL = ("--set", "toy.train_size=64", "--set", "toy.valid_size=40", "--set", "toy.test_size=30")
TOY = ("--task", "toy", "--preset", "smoke", "--workers", 0, *SMALL)
RUN = ("--tasks", "toy", "--workers", 0, "--seeds", 2, "--temperatures", "none", *SMALL)
NAME = "tuned-toy-test_size-30--train_size-64--valid_size-40--smoke-nll_valid"


@pytest.fixture
def plugin(write_plugin, no_figures):
    return write_plugin("mine", PLUGIN)


def lines(file):
    with file.open(encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def untimed(file):
    return [{name: value for name, value in row.items() if name != "seconds"} for row in lines(file)]


def test_every_model_gets_as_many_trials_and_the_best_fields_are_written(bench, plugin, tmp_path):
    folder = tmp_path / "results"
    answer = bench("tune", "mine:Sharp,mine:Sharper", *TOY, "--trials", 12, "--output", folder)
    assert (answer.code, answer.err) == (0, "")
    file = folder / f"{NAME}.json"
    assert f"bench run --preset {file}" in answer.out
    found = json.loads(file.read_text())
    rows = lines(file.with_suffix(".csv"))
    assert (found["preset"], found["metric"], found["trials"], found["seeds"]) == ("smoke", "nll_valid", 12, [1000])
    assert found["task"] == rows[0]["task"] == "toy[test_size=30, train_size=64, valid_size=40]"
    for model, power in (("mine:Sharp", 0.3), ("mine:Sharper", 3.0)):
        mine = [row for row in rows if row["model"] == model]
        assert [row["trial"] for row in mine] == [str(number) for number in range(12)]
        assert json.loads(mine[0]["fields"]) == {"power": power, "width": 8}
        best = found["models"][model]
        assert best["score"] < best["default_score"] == float(mine[0]["score"])
        assert abs(best["fields"]["power"] - 1) < abs(power - 1)
        assert best["space"] == {"power": f"{power / 10:g}..{power * 10:g} (log)", "width": "2..32 (log)"}
        assert [row["trial"] for row in mine if row["best"] == "yes"] == [str(best["trial"])]
        failed = [row for row in mine if row["status"] == "failed"]
        assert best["failed"] == len(failed)
        assert all("is too wide" in row["reason"] and row["score"] == "" for row in failed)
    assert any(row["status"] == "failed" for row in rows)


def test_trials_that_ended_are_not_repeated_even_if_they_failed(bench, plugin, tmp_path):
    wide = ("--space", "width=2..200")
    command = ("tune", "mine:Sharp", *TOY, *wide, "--trials", 6, "--output", tmp_path / "results")
    first = bench(*command)
    log = plugin.with_name("fits.log")
    fits = log.read_text().splitlines()
    assert any(int(line.split()[1]) > 12 for line in fits)
    assert (first.code, len(fits)) == (0, 6)
    again = bench(*command)
    assert (again.code, log.read_text().splitlines()) == (0, fits)
    assert again.out.splitlines()[-2:] == first.out.splitlines()[-2:]
    more = bench(*command[:-4], "--trials", 8, "--output", tmp_path / "results")
    assert (more.code, len(log.read_text().splitlines())) == (0, 8)


def test_a_search_that_was_killed_ends_like_one_that_was_not(bench, plugin, tmp_path):
    def command(folder):
        return ("tune", "mine:Sharp,mine:Sharper", *TOY, "--trials", 12, "--seeds", 2, "--output", tmp_path / folder)

    code = f"import sys; sys.path.insert(0, {str(plugin.parent)!r}); from bench.cli import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", code, *map(str, command("killed"))],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        cwd=plugin.parent, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    runs, deadline = tmp_path / "killed" / "tuning" / "runs", time.monotonic() + 120
    while len(list(runs.glob("*.json"))) < 5:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    begun = len(list(runs.glob("*.json")))
    assert 5 <= begun < 48
    assert not list((tmp_path / "killed").glob("*.csv"))
    assert bench(*command("killed")).code == bench(*command("whole")).code == 0
    for ending in ("json", "csv"):
        assert len(list((tmp_path / "killed").glob(f"*.{ending}"))) == 2 - (ending == "csv")  # and the store's marker
    assert (tmp_path / "killed" / f"{NAME}.json").read_bytes() == (tmp_path / "whole" / f"{NAME}.json").read_bytes()
    assert untimed(tmp_path / "killed" / f"{NAME}.csv") == untimed(tmp_path / "whole" / f"{NAME}.csv")
    ids = [
        {record.spec.run_id for record in Store(tmp_path / folder / "tuning").records()}
        for folder in ("killed", "whole")
    ]
    assert ids[0] == ids[1]


def test_ctrl_c_ends_it_in_order_and_the_same_command_continues(bench, plugin, tmp_path, monkeypatch):
    command = ("tune", "mine:Sharp", *TOY, "--trials", 5, "--output", tmp_path / "results")
    real, done = runner.run, []

    def run(spec, *others):
        done.append(spec)
        if len(done) == 3:
            os.kill(os.getpid(), signal.SIGINT)
        return real(spec, *others)

    monkeypatch.setattr("bench.runs.together.run", run)
    answer = bench(*command)
    assert answer.code == 130
    assert "Do the same again to continue" in answer.out
    assert not list((tmp_path / "results").glob("tuned*.json"))
    ended = lines(tmp_path / "results" / f"{NAME}.csv")
    assert 2 <= len(ended) < 5
    assert bench(*command).code == 0
    assert len(lines(tmp_path / "results" / f"{NAME}.csv")) == 5


def test_the_test_split_is_neither_there_nor_scored(bench, plugin, write_plugin, tmp_path, monkeypatch):
    seen, real = [], runner.load_task

    def load(spec):
        task = real(spec)
        seen.append((spec.is_trial, len(task.data.test), len(task.held_out.tokens)))
        return task

    monkeypatch.setattr(runner, "load_task", load)
    write_plugin("others", OTHER_TEST)
    answers = {}
    for task in ("toy", "others:Other"):
        folder = tmp_path / task.replace(":", "-")
        sizes = [part.replace("toy.", f"{task}.") if isinstance(part, str) else part for part in SMALL]
        options = ("--preset", "smoke", "--workers", 0, "--trials", 11, "--output", folder)
        assert bench("tune", "mine:Sharp", "--task", task, *sizes, *options).code == 0
        (file,) = folder.glob("*.csv")
        answers[task] = [{**row, "task": ""} for row in untimed(file)]
        for record in Store(folder / "tuning").records():
            assert all(score.kind == "cost" for scores in record.scores.values() for score in scores)
            assert record.frontier == {}
    assert answers["toy"] == answers["others:Other"]  # though nothing in their test splits is the same
    assert seen == [(True, 0, 0)] * 22
    assert bench("run", "--models", "mine:Sharp", *RUN, "--preset", "smoke", "--output", tmp_path / "toy").code == 0
    assert seen[-1] == (False, 30, 30)


def test_a_benchmark_of_tuned_fields_says_so(bench, plugin, tmp_path):
    folder = tmp_path / "results"
    assert (
        bench("tune", "mine:Sharp", *TOY, "--trials", 4, "--output", folder, "--to", tmp_path / "best.json").code == 0
    )
    fields = json.loads((tmp_path / "best.json").read_text())["models"]["mine:Sharp"]["fields"]
    assert lines(tmp_path / "best.csv")
    answer = bench("run", "--models", "mine:Sharp,random", *RUN, "--preset", tmp_path / "best.json", "--output", folder)
    assert (answer.code, answer.err) == (0, "")
    assert "mine:Sharp: 4 trials by nll_valid (best.json)" in answer.out
    assert "random: default settings (not in best.json)" in answer.out
    configs = {record.spec.model: record.spec.config for record in Store(folder).records()}
    assert configs["mine:Sharp"] == {"steps": 1, **fields}
    page = (folder / "leaderboard.md").read_text()
    assert "smoke with best.json" in page
    assert "- mine:Sharp: 4 trials by nll_valid (best.json)" in page
    assert "every row has the default settings" not in page
    tuned = {row["model"]: row["tuned"] for row in lines(folder / "leaderboard.csv")}
    assert tuned["mine:Sharp"] == "4 trials by nll_valid (best.json)"
    seeds = {record.spec.seed for record in Store(folder).records()}
    assert seeds.isdisjoint(record.spec.seed for record in Store(folder / "tuning").records())


def test_workers_find_the_same(bench, tmp_path):
    command = ("tune", "mle", *TOY, "--space", "lr", "--trials", 3, "--output")
    assert bench(*command, tmp_path / "serial").code == 0
    workers = [2 if part == 0 else part for part in command]
    assert bench(*workers, tmp_path / "workers").code == 0
    assert untimed(tmp_path / "serial" / f"{NAME}.csv") == untimed(tmp_path / "workers" / f"{NAME}.csv")


def test_jsd_valid_can_decide_where_the_truth_is_known(bench, plugin, tmp_path):
    command = ("tune", "mine:Sharp", *TOY, "--metric", "jsd_valid", "--trials", 3, "--output", tmp_path / "results")
    assert bench(*command).code == 0
    file = tmp_path / "results" / f"{NAME.removesuffix('nll_valid')}jsd_valid.csv"
    assert {row["metric"] for row in lines(file)} == {"jsd_valid"}
    assert 0 < float(lines(file)[0]["score"]) < 0.7


def test_a_model_without_a_density_fails_every_trial(bench, plugin, tmp_path):
    command = ("tune", "mine:Implicit,mine:Sharp", *TOY, "--trials", 2, "--output", tmp_path / "results")
    answer = bench(*command, "--space", "power")
    assert answer.code == 1
    assert "mine:Implicit: no trial succeeded: it has no nll_valid" in answer.out
    assert "No preset file was written" in answer.out
    assert not list((tmp_path / "results").glob("tuned*.json"))
    assert {row["model"]: row["status"] for row in lines(tmp_path / "results" / f"{NAME}.csv")} == {
        "mine:Implicit": "failed",
        "mine:Sharp": "ok",
    }


def test_nothing_is_overwritten_but_what_the_same_search_wrote(bench, plugin, tmp_path):
    search = ("tune", "mine:Sharp", *TOY, "--trials", 1, "--output", tmp_path / "out")
    assert bench(*search).code == 0
    found = {name: (tmp_path / "out" / f"{NAME}.{name}").read_bytes() for name in ("json", "csv")}
    answer = bench("tune", "mine:Sharper", *TOY, "--trials", 1, "--output", tmp_path / "out")
    assert answer.code == 2
    assert "has the fields of another search, of mine:Sharp; it is not overwritten: choose another file" in answer.err
    assert {name: (tmp_path / "out" / f"{NAME}.{name}").read_bytes() for name in found} == found
    assert bench("tune", "mine:Sharp,mine:Sharper", *TOY, "--trials", 1, "--output", tmp_path / "out").code == 0
    by_hand = '{"preset": "smoke", "models": {"mine:Sharp": {"fields": {"power": 2.0}}}}'
    strangers = (("mine.csv", "precious"), ("mine.json", '{"a": 1}'), ("mine.json", "no JSON"), ("mine.json", by_hand))
    for name, content in strangers:
        (tmp_path / name).write_text(content)
        answer = bench(*search, "--to", tmp_path / "mine.json")
        assert (answer.code, answer.out.count("trial 0 seed")) == (2, 0)
        assert "it is not overwritten" in answer.err
        assert (tmp_path / name).read_text() == content
        (tmp_path / name).unlink()
    answer = bench(*search, "--to", tmp_path / "nowhere" / "mine.json")
    assert (answer.code, answer.out) == (2, "")
    assert "expected --to in a folder that exists" in answer.err
    new = tmp_path / "new"
    assert bench("tune", "mine:Sharp", *TOY, "--trials", 1, "--output", new, "--to", new / "mine.json").code == 0
    assert (new / "mine.json").is_file()


def test_a_dry_run_says_what_would_be_searched(bench, plugin, tmp_path):
    folder = tmp_path / "results"
    answer = bench(
        "tune", "mine:Sharp,mine:Sharper", *TOY, "--trials", 9, "--output", folder, "--dry-run",
        "--space", "mine:Sharp.power=0.5..2", "--set", "mine:Sharper.width=4",
    )  # fmt: skip
    assert answer.code == 0
    assert "mine:Sharp: 9 trials of power 0.5..2 (log)\n" in answer.out
    assert "mine:Sharper: 9 trials of power 0.3..30 (log)\n" in answer.out
    assert not folder.exists()


MISTAKES = {
    "no trials": (["--trials", "0"], "expected 1 to 10000 trials, got 0"),
    "unknown metric": (["--metric", "nll_test"], "expected --metric to be nll_valid or jsd_valid, got 'nll_test'"),
    "all tasks": (["--task", "all"], "expected one task, got 'all'"),
    "unknown task": (["--task", "toi"], "unknown task 'toi'. Did you mean 'toy'"),
    "unknown preset": (["--preset", "smok"], "unknown preset 'smok'. Did you mean 'smoke'"),
    "a file as preset": (["--preset", "tuned.json"], "unknown preset 'tuned.json'"),
    "no seeds": (["--seeds", "0"], "expected 1 to 1000 seeds, got 0"),
    "unknown field": (["--space", "powr"], "cannot search powr: no chosen model (mine:Sharp) has that field"),
    "model not chosen": (["--space", "mle.lr"], "cannot search mle.lr: no chosen model (mine:Sharp) has that field"),
    "outside its range": (
        ["--space", "width=0..4"],
        "expected mine:Sharp.width to be an integer of 1 or more, got '0'",
    ),
    "not JSON": (["--to", "best.toml"], "expected --to to be a file that ends in .json, got 'best.toml'"),
    "too many workers": (["--workers", "999"], "expected --workers from 0 to 256, or auto, got 999"),
    "timeout without workers": (["--timeout", "5s", "--workers", "0"], "--timeout needs worker processes"),
    "no oracle": (
        ["--task", "quatrains-tang", "--metric", "jsd_valid"],
        "'quatrains-tang' has no oracle, so no jsd_valid can be computed: choose --metric nll_valid",
    ),
}


@pytest.mark.parametrize(("options", "sentence"), MISTAKES.values(), ids=MISTAKES)
def test_mistakes_are_one_sentence(bench, plugin, tmp_path, options, sentence):
    given = {"--task": "toy", "--trials": "2", "--preset": "smoke", "--output": str(tmp_path / "results")}
    given |= dict(zip(options[::2], options[1::2], strict=True))
    answer = bench("tune", "mine:Sharp", *(part for pair in given.items() for part in pair))
    assert answer.code == 2
    assert answer.err.startswith("bench: ")
    assert sentence in answer.err
    assert len(answer.err.splitlines()) == 1
    assert not (tmp_path / "results").exists()


def test_a_model_without_numbers_and_one_that_cannot_be_loaded_are_one_sentence(bench, plugin, tmp_path):
    options = (*TOY, "--trials", 2, "--output", tmp_path / "results")
    answer = bench("tune", "mine:Bare", *options)
    assert (answer.code, answer.err.count("\n")) == (2, 1)
    assert "'mine:Bare' has nothing to search" in answer.err
    answer = bench("tune", "mine:Missing", *options)
    assert (answer.code, answer.err.count("\n")) == (2, 1)
    assert "cannot load model 'mine:Missing'" in answer.err


def test_without_optuna_it_is_one_sentence(bench, plugin, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    answer = bench("tune", "mine:Sharp", *TOY, "--trials", 2, "--output", tmp_path / "results")
    assert (answer.code, answer.out) == (2, "")
    assert answer.err == (
        "bench: tuning needs Optuna, which is not installed: install it with 'pip install seqgan-bench[tune]'.\n"
    )
