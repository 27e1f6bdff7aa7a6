"""The benchmark from Python: the same runs, the same numbers and the same folder as from the command line."""

import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bench import library, load, run, score
from bench.commands import progress
from bench.errors import UsageError
from bench.plans.presets import PRESETS
from bench.runs.executors.base import Finished

ROOT = Path(__file__).parents[2]
SMALL = {"seq_len": 5, "train_size": 60, "valid_size": 20, "test_size": 30}
SETTINGS = {f"toy.{name}": value for name, value in SMALL.items()}
SAMPLES, TEST, TRAIN = ["the cat sat .", "a dog ran", ""], ["the cat ran .", "a dog sat"], ["the dog sat ."] * 3
FAILING = """
from dataclasses import dataclass


@dataclass(frozen=True)
class Failing:
    def fit(self, data, run):
        raise ValueError("no luck")
"""


def small(folder, models=("mle", "random"), **others):
    """A benchmark that takes a second."""
    given = {"preset": "smoke", "seeds": 2, "settings": SETTINGS, "workers": 0, "progress": False} | others
    return run(models, "toy", output=folder, **given)


def contents(folder):
    """The results in a folder, without those that depend on the clock."""
    board = pd.read_csv(folder / "leaderboard.csv")
    return board[board["kind"] == "quality"].reset_index(drop=True)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    return small(tmp_path_factory.mktemp("library") / "results")


def test_frames_are_those_of_the_folder(finished):
    folder = finished.folder
    assert str(finished) == f"6 runs in {folder}: 6 ok"
    written = pd.read_csv(folder / "leaderboard.csv", keep_default_na=False, na_values=[""])
    shown = pd.read_csv(io.StringIO(finished.leaderboard.to_csv(index=False)), keep_default_na=False, na_values=[""])
    pd.testing.assert_frame_equal(shown, written)
    assert len(finished.verdicts) == len(pd.read_csv(folder / "verdicts.csv"))
    assert set(finished.verdicts["outcome"]) <= {"better", "worse", "not separable", "identical", "one seed"}
    assert set(finished.scores["run_id"]) == set(finished.runs["run_id"])
    assert "mle" in set(finished.curves["model"])
    assert set(finished.frontier["temperature"]) == set(PRESETS["smoke"].temperatures)
    assert (folder / "leaderboard.md").exists()
    assert list((folder / "figures").glob("*.png"))


def test_data_that_say_little_are_told_on_the_page(tmp_path):
    lines = [f"{first} {second} {third}" for first in "abcdefg" for second in "hijklmn" for third in "opqrstu"]
    (tmp_path / "train.txt").write_text("\n".join(lines))
    (tmp_path / "test.txt").write_text("\n".join(f"x{index} y{index}" for index in range(40)))
    name = f"text:{tmp_path / 'train.txt'},test={tmp_path / 'test.txt'}"
    done = run("random", name, preset="smoke", seeds=2, workers=0, progress=False, output=tmp_path / "results")
    page = (tmp_path / "results" / "leaderboard.md").read_text(encoding="utf-8")
    assert page.count("Look at the data before the scores:") == 1
    assert page.count("- every word of test became ") == 1
    assert [bool(warnings) for warnings in done.runs["warnings"]] == list(done.runs["model"] == "real data")


def test_a_notebook_sees_the_leaderboard_in_brief(finished):
    shown = finished._repr_markdown_()
    assert shown.startswith(str(finished))
    header = next(line for line in shown.splitlines() if line.startswith("| model"))
    assert "nll_oracle ↓" in header
    assert " ± " in next(line for line in shown.splitlines() if line.startswith("| mle"))


def test_the_command_does_the_same_and_finds_it_done(finished, bench, tmp_path):
    arguments = ["run", "--models", "mle,random", "--tasks", "toy", "--preset", "smoke", "--seeds", "2"]
    arguments += ["--workers", "0", *(part for pair in SETTINGS.items() for part in ("--set", "{}={}".format(*pair)))]
    answer = bench(*arguments, "--output", tmp_path / "command")
    assert answer.code == 0
    pd.testing.assert_frame_equal(contents(tmp_path / "command"), contents(finished.folder))
    answer = bench(*arguments, "--output", finished.folder, "--dry-run")
    assert "6 runs, 0 to do" in answer.out


def test_load_reads_and_writes_nothing(finished):
    before = {path: path.stat().st_mtime_ns for path in finished.folder.rglob("*")}
    pd.testing.assert_frame_equal(load(finished.folder).leaderboard, finished.leaderboard)
    assert {path: path.stat().st_mtime_ns for path in finished.folder.rglob("*")} == before
    with pytest.raises(UsageError, match="expected a results folder"):
        load(finished.folder / "figures")


def test_a_class_of_a_module_is_named_by_it(write_plugin, tmp_path):
    write_plugin("own_model", FAILING)
    import own_model

    benchmark = small(tmp_path / "results", ["random", own_model.Failing], seeds=1)
    assert str(benchmark).endswith("3 runs in " + str(tmp_path / "results") + ": 1 failed, 2 ok")
    failed = benchmark.runs.set_index("model").loc["own_model:Failing"]
    assert (failed["status"], failed["reason"]) == ("failed", "ValueError: no luck")


def test_an_edited_model_is_another_model(write_plugin, tmp_path):
    write_plugin("own_model", FAILING)
    small(tmp_path / "results", "own_model:Failing", seeds=1)
    write_plugin("own_model", FAILING.replace("no luck", "other luck"))
    benchmark = small(tmp_path / "results", "own_model:Failing", seeds=1)
    assert set(benchmark.runs["reason"].dropna()) == {"ValueError: other luck"}


def test_a_class_that_is_registered_goes_by_its_name(tmp_path):
    from seqgan.mle import MLE

    benchmark = small(tmp_path / "results", [MLE, "mle"], seeds=1)
    assert set(benchmark.runs["model"]) == {"real data", "mle"}


def test_without_progress_what_others_print_is_shown(write_plugin, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("rich.console.Console.is_terminal", True)
    write_plugin("own_model", FAILING.replace("        raise", "        print('aloud')\n        raise"))
    small(tmp_path / "results", "own_model:Failing", seeds=1)
    assert capsys.readouterr().out == "aloud\n"


def test_a_class_that_no_worker_could_import_is_refused(tmp_path):
    class Local: ...

    Notebook = type("Notebook", (), {"__module__": "__main__"})
    for model in (Local, Notebook):
        with pytest.raises(UsageError, match=f"worker processes cannot import .*{model.__name__}.*%%writefile mine.py"):
            small(tmp_path / "results", model)
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"seeds": [0, "1"]}, "expected seeds to be int, got '1'"),
        ({"seeds": [0, 1, 0]}, r"expected each seed once, got 0 more than once in \[0, 1, 0\]"),
        ({"seeds": []}, r"expected seeds from 0 to 999, got \[\]"),
        ({"seeds": (-1,)}, r"expected seeds from 0 to 999, got \(-1,\)"),
        ({"seeds": "3-"}, "expected a number of seeds, as in 5, or seeds below 1000, as in 3,5-7, or 3-3 for one"),
        ({"workers": -1}, "expected workers from 0 to 256, or auto, got -1"),
        ({"workers": 10**9}, "expected workers from 0 to 256, or auto, got 1000000000"),
        ({"settings": {"toy.train_size": 1}}, "expected toy.train_size to be an integer of 2 or more, got '1'"),
        ({"settings": {"toy.draw": 1, " toy.draw": 2}}, r"toy\.draw is set twice, to '1' and to '2'"),
        ({"settings": {"toy.draw": object()}}, r"expected the value of toy\.draw to be .*, got <object object"),
        ({"settings": {1: 1}}, "expected a setting NAME.field=value, as in seqgan.lr=0.005, got '1=1'"),
        ({"temperatures": 1e-300}, "expected temperatures like .* all from 0.001 to 1000, got '1e-300'"),
        ({"budget": "9" * 400 + "s"}, "expected a budget like 60s"),
        ({"settings": ["toy.draw=1"]}, r"expected settings like \{'seqgan.lr': 0.005\}, got \['toy.draw=1'\]"),
        ({"settings": {"mle.lrr": 1}}, "unknown field of 'mle' 'lrr'"),
        ({"budget": 60}, "expected a budget like 60s, .* got '60'"),
        ({"temperatures": [0.7, -1]}, "expected temperatures like .* got '0.7,-1'"),
        ({"models": 5}, "expected names or classes, got 5"),
        ({"models": [5]}, "expected a name or a class, got 5"),
        ({"models": "mle,nobody"}, "unknown model 'nobody'"),
        ({"device": "gpu"}, "unknown device 'gpu'"),
        ({"settings": []}, "expected settings like"),
        ({"temperatures": b"12"}, "expected temperatures like .* got b'12'"),
        ({"models": "nowhere:Model"}, "No module named 'nowhere'"),
        ({"seeds": True}, "expected seeds to be int, got True"),
        ({"bfloat16": "no"}, "expected bfloat16 to be bool, got 'no'"),
        ({"temperatures": -1}, "expected temperatures like .* got '-1'"),
        ({"temperatures": object}, "expected temperatures like .* got '<class 'object'>'"),
        ({"settings": {"lr": 1}}, "expected a setting NAME.field=value, as in seqgan.lr=0.005, got 'lr=1'"),
    ],
)
def test_mistakes_in_use_are_told_in_one_sentence(tmp_path, given, message):
    with pytest.raises(UsageError, match=message):
        small(tmp_path / "results", **given)
    assert not (tmp_path / "results").exists()


def test_settings_and_temperatures_are_python_values(tmp_path):
    own = {**SETTINGS, "mle.epochs": np.int64(2), "mle.lr": np.float32(0.5)}
    benchmark = small(tmp_path / "results", "mle", seeds=1, temperatures=[0.7, 1], settings=own)
    assert sorted(benchmark.frontier["temperature"].unique()) == [0.7, 1.0]
    assert "mle[epochs=2, lr=0.5]" in set(benchmark.runs["model"])
    benchmark = small(tmp_path / "results", "mle", seeds=np.int64(1), temperatures=np.array(0.9), settings=own)
    assert list(benchmark.frontier["temperature"].unique()) == [0.9]


def test_paths_are_settings(tmp_path):
    weights = {"oracle-published.weights": tmp_path / "none.pkl"}
    with pytest.raises(UsageError, match=f"cannot read the oracle's weights '{tmp_path}/none.pkl'"):
        run("mle", "oracle-published", preset="smoke", settings=weights, output=tmp_path / "results")


@pytest.mark.parametrize("given", [5, None, "", "a\0b"])
def test_a_folder_is_a_path(given):
    for name, call in {"output": small, "folder": load}.items():
        with pytest.raises(UsageError, match=f"expected {name} to be "):
            call(given)


def test_a_benchmark_is_only_equal_to_itself(finished):
    assert load(finished.folder) != finished
    assert len({finished, finished, load(finished.folder)}) == 2


def test_ctrl_c_leaves_the_folder_as_the_command_does(tmp_path, monkeypatch, capsys):
    def see(display, event):
        if isinstance(event, Finished) and display.done == 2:
            raise KeyboardInterrupt
        kept(display, event)

    kept = progress.Display.see
    monkeypatch.setattr(progress.Display, "see", see)
    with pytest.raises(KeyboardInterrupt):
        small(tmp_path / "results", progress=True)
    assert "Interrupted, runs left: 3. Do the same again to continue." in capsys.readouterr().out
    stopped = load(tmp_path / "results")
    assert sorted(stopped.runs["status"]) == ["missing"] * 3 + ["ok"] * 3  # none was under way
    assert (tmp_path / "results" / "leaderboard.md").exists()
    monkeypatch.undo()
    assert str(small(tmp_path / "results")).endswith("6 runs in " + str(tmp_path / "results") + ": 6 ok")


def test_a_script_needs_no_main_guard_and_may_change_its_folder(tmp_path):
    script = f"""
import os
import sys
from bench import run
print("once")
os.makedirs("elsewhere")
os.chdir("elsewhere")
open("own_model.py", "w").write({FAILING!r})
sys.path.insert(0, "")
benchmark = run(["random", "own_model:Failing"], "toy", preset="smoke", seeds=1, workers=1, settings={SETTINGS!r})
print(benchmark)
print(*benchmark.runs["reason"].dropna())
"""
    (tmp_path / "script.py").write_text(script, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("once\n") == 1
    assert "3 runs in results: 1 failed, 2 ok\nValueError: no luck\n" in done.stdout
    assert (tmp_path / "elsewhere" / "results" / "leaderboard.md").exists()


def test_scores_are_those_of_the_command(bench, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, lines in (("samples", SAMPLES), ("test", TEST), ("train", TRAIN)):
        Path(f"{name}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    answer = bench("score", "samples.txt", "--references", "test.txt", "--train", "train.txt", "--format", "csv")
    expected = pd.read_csv(io.StringIO(answer.out))
    frames = [score(SAMPLES, TEST, TRAIN), score("samples.txt", Path("test.txt"), (line for line in TRAIN))]
    for frame in frames:
        shown = pd.read_csv(io.StringIO(frame.to_csv(index=False)))
        pd.testing.assert_frame_equal(shown.drop(columns="name"), expected.drop(columns="name"))
    assert [frame["name"][0] for frame in frames] == ["samples", "samples.txt"]
    assert [f"bench: {note}" for note in frames[1].attrs["notes"]] == answer.err.splitlines()


def test_several_samples_have_the_names_they_were_given(tmp_path):
    (tmp_path / "b.csv").write_text("id,text\n1,a dog ran\n", encoding="utf-8")
    frame = score({"a": SAMPLES, "b": tmp_path / "b.csv"}, TEST, metrics="distinct", column="text")
    assert list(frame["name"].unique()) == ["a", "b", "real text, n=2", "real text, n=1"]
    assert frame["value"].dtype == float


def test_several_samples_are_compared_with_the_first_of_them():
    frame = score({"a": SAMPLES * 20, "b": [f"{line} again" for line in SAMPLES] * 20}, TEST, metrics="length")
    assert set(frame.loc[frame["baseline"].notna(), ["name", "baseline"]].itertuples(index=False, name=None)) == {
        ("b", "a")
    }
    row = frame[(frame["name"] == "b") & (frame["metric"] == "length_mean")].iloc[0]
    assert row["difference"] == pytest.approx(1)
    assert row["difference_low"] < 1 < row["difference_high"]
    assert (frame["p"].dtype, frame["difference"].dtype) == (float, float)
    assert "baseline" not in score(SAMPLES, TEST, metrics="length")


def test_a_newline_within_a_sample_is_a_space():
    spaced, broken = (score([f"the{sign}cat sat"], TEST, metrics="bleu") for sign in (" ", "\r\n"))
    pd.testing.assert_frame_equal(spaced, broken)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"metrics": None}, "expected metrics to be str, got None"),
        ({"metrics": ["bleu", 5]}, "expected metrics to be str, got 5"),
        ({"tokenizer": 5}, "expected tokenizer to be str or None, got 5"),
        ({"metrics": "copy"}, "copies can be found only if the training text is given, too"),
        ({"column": "text"}, "a column goes with .csv, .tsv and .jsonl files, and none is given"),
    ],
)
def test_options_that_make_no_sense_are_refused(given, message):
    with pytest.raises(UsageError, match=message):
        score(SAMPLES, TEST, **given)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (([["the", "cat"]], TEST), "expected strings for samples, got list at position 0; join its tokens with spaces"),
        ((["a", None], TEST), "expected strings for samples, got NoneType at position 1"),
        ((SAMPLES, {"test": TEST}), "expected lines or the path of a file for references, got dict"),
        ((5, TEST), "expected lines or the path of a file for samples, got int"),
        ((pd.DataFrame({"text": ["a b"]}), TEST), "got a table: pass one column of it"),
        (({1: SAMPLES, "1": SAMPLES}, TEST), "expected names that differ"),
        (({"real text": SAMPLES}, TEST), "also from 'real text'"),
        (([], TEST), "samples has no line that is not blank"),
        (({}, TEST), "expected at least one text of samples"),
        (("nowhere.txt", TEST), "cannot read 'nowhere.txt'"),
        (([__file__], TEST), "the samples are names of files: pass one file by its path"),
        (([Path(__file__)], TEST), "the samples are names of files"),
    ],
)
def test_what_is_no_text_is_refused(given, message):
    with pytest.raises(UsageError, match=message):
        score(*given)


def test_lines_may_be_longer_than_the_name_of_a_file():
    assert not score(["a" * 5_000], TEST, metrics="distinct").empty


@pytest.mark.parametrize(
    ("code", "loaded"),
    [
        ("import bench; dir(bench)", []),
        ("from bench import run, load, score", []),
        ("import bench; bench.score(['a b'], ['a c'])", ["numpy", "pandas"]),
    ],
)
def test_importing_is_cheap_and_scoring_needs_no_torch(code, loaded):
    code += "\nimport json, sys; print(json.dumps([m for m in ('numpy', 'pandas', 'torch') if m in sys.modules]))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert json.loads(done.stdout.splitlines()[-1]) == loaded


def test_what_is_not_there_is_an_attribute_error():
    import bench

    assert set(library.__all__) == set(bench.__all__)
    assert {"run", "score"} <= set(dir(bench))
    with pytest.raises(AttributeError, match="module 'bench' has no attribute 'ran'"):
        bench.ran  # noqa: B018


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"executor": "slurm"}, "unknown executor 'slurm'"),
        ({"address": "auto"}, "an address is that of a Ray cluster: add executor='ray'"),
        ({"executor": "ray", "workers": 0}, "workers=0 is this process alone"),
        ({"executor": None}, "expected executor to be str"),
    ],
)
def test_who_does_the_runs_is_checked(options, said, tmp_path):
    with pytest.raises(UsageError, match=said):
        run("mle", "toy", preset="smoke", seeds=1, output=tmp_path / "results", **options)
    assert not (tmp_path / "results").exists()
