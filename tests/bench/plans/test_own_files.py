"""``--tasks text:FILE,...``: from the command line to a task, and a benchmark on the user's own file with one flag."""

import dataclasses
import json
import random

import pytest

from bench.errors import UsageError
from bench.plans import registry
from bench.plans.own_files import own_task, split_names
from bench.plans.plan import Request, make_plan

PLAIN = Request(models=("random",), tasks=("toy",), metrics=("nll",), seeds=1, preset="smoke")


@pytest.fixture
def lines(tmp_path, monkeypatch):
    """A file of 400 short lines in the working directory."""
    chance = random.Random(0)
    lines = [" ".join(chance.choices("abcdefgh", k=chance.randint(2, 6))) + f" {i % 50}" for i in range(400)]
    (tmp_path / "train.txt").write_text("\n".join(lines) + "\n")
    monkeypatch.chdir(tmp_path)
    return lines


def specs(*names, **changes):
    return make_plan(dataclasses.replace(PLAIN, tasks=names, **changes))


@pytest.mark.parametrize(
    ("value", "names"),
    [
        ("toy", ("toy",)),
        ("toy,oracle", ("toy", "oracle")),
        ("text:a.txt", ("text:a.txt",)),
        ("text:a.txt,level=char,max_len=9", ("text:a.txt,level=char,max_len=9",)),
        (" toy , text:a.txt , level=char , quatrains ", ("toy", "text:a.txt,level=char", "quatrains")),
        ("text:a.txt,valid=v.txt,text:b.txt,test=t.txt", ("text:a.txt,valid=v.txt", "text:b.txt,test=t.txt")),
        ("text:a=b.txt,text:c=d.txt", ("text:a=b.txt", "text:c=d.txt")),
        ("midi:tunes,min_count=2,toy", ("midi:tunes,min_count=2", "toy")),
        ("toy,level=char", ("toy", "level=char")),
        ("package.module:Class,level=char", ("package.module:Class", "level=char")),
        ("text:a.txt,,level=char,", ("text:a.txt,level=char",)),
        (" , ", ()),
    ],
)
def test_names_and_what_belongs_to_them(value, names):
    assert split_names(value) == names


def test_a_task_with_its_fields(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/me")
    plugin, fields = own_task("text:some/train.txt,valid=~/v.txt,level=char,max_len=9,column=7")
    assert (plugin.kind, plugin.name, plugin.target) == ("task", "text:train.txt", "bench.tasks.text:Text")
    assert fields == {
        "train": str(tmp_path / "some" / "train.txt"), "valid": "/home/me/v.txt", "level": "char", "max_len": 9,
        "column": "7",
    }  # fmt: skip
    plugin, fields = own_task("midi:tunes/,name=mine")
    assert (plugin.name, plugin.target) == ("midi:mine", "bench.tasks.text:Midi")
    assert fields == {"folder": str(tmp_path / "tunes")}
    assert plugin.load().__name__ == "Midi"


@pytest.mark.parametrize("name", ["toy", "text", "midi", "package.module:Class", "texts:a.txt", "all"])
def test_names_of_other_tasks(name):
    assert own_task(name) is None


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("text:", "expected a file after 'text:'"),
        ("midi: ", "expected a folder after 'midi:'"),
        ("text:,level=char", "expected a file after 'text:'"),
        ("text:a.txt,levle=char", "unknown key of 'text:' 'levle'. Did you mean 'level'?"),
        ("midi:tunes,level=char", "unknown key of 'midi:' 'level'. Known: folder, min_count, name."),
        ("text:a.txt,version=2", "unknown key of 'text:' 'version'"),
        ("text:a.txt,level", "expected key=value after 'text:a.txt,'"),
        ("text:a.txt,level=", "expected key=value"),
        ("text:a.txt,=char", "expected key=value"),
        ("text:a.txt,max_len=9,max_len=8", "'max_len' is given twice"),
        ("text:a.txt,train=b.txt", "'train' is given twice"),
        ("text:a.txt,max_len=long", "expected text.max_len to be an integer from 1 to 10000, got 'long'"),
        ("text:a.txt,min_count=0", "expected text.min_count to be an integer of 1 or more, got '0'"),
        ("text:a.txt,max_len=10001", "expected text.max_len to be an integer from 1 to 10000, got '10001'"),
        ("text:a.txt,level=words", "expected text.level to be word or char or smiles, got 'words'"),
        ("midi:tunes,min_count=-1", "expected midi.min_count to be an integer of 1 or more, got '-1'"),
        ("text:a.txt,min_count=2.5", "expected text.min_count to be an integer of 1 or more"),
    ],
)
def test_mistakes_in_a_name(name, shown):
    with pytest.raises(UsageError) as caught:
        own_task(name)
    assert shown in str(caught.value)


def test_a_plan_of_ones_own(lines):
    plain, char = specs("text:train.txt"), specs("text:train.txt,level=char")
    assert {spec.task_label for spec in plain} == {"text:train.txt"}
    assert {spec.task_label for spec in char} == {"text:train.txt[level=char]"}
    assert {spec.run_id for spec in plain}.isdisjoint(spec.run_id for spec in char)
    assert specs("text:train.txt", settings=("text:train.txt.level=char",))[0].run_id == char[0].run_id
    assert {spec.task for spec in specs("toy", "text:train.txt", "text:train.txt,name=b,level=char")} == {
        "toy", "text:train.txt", "text:b",
    }  # fmt: skip


def test_the_path_of_a_file_is_not_part_of_a_run(lines, tmp_path):
    before = [spec.run_id for spec in specs("text:train.txt")]
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "train.txt").rename(tmp_path / "elsewhere" / "train.txt")
    assert [spec.run_id for spec in specs("text:elsewhere/train.txt")] == before
    with (tmp_path / "elsewhere" / "train.txt").open("a") as file:
        file.write("one more\n")
    assert [spec.run_id for spec in specs("text:elsewhere/train.txt")] != before


def test_a_field_in_the_name_and_on_its_own(lines):
    with pytest.raises(UsageError, match=r"text:train.txt.level is set twice, in the task's name and on its own"):
        specs("text:train.txt,level=char", settings=("text:train.txt.level=word",))


def test_two_tasks_of_one_name(lines):
    with pytest.raises(UsageError, match=r"two tasks are called 'text:train.txt': rename one of them"):
        specs("text:train.txt", "text:train.txt,level=char")
    with pytest.raises(UsageError, match="got both"):
        specs("all", "text:train.txt")


def test_one_flag(lines, bench, tmp_path):
    arguments = ["--models", "random,bigram", "--preset", "smoke", "--seeds", "1", "--workers", "0"]
    done = bench("run", *arguments, "--tasks", "text:train.txt,level=word", "--output", tmp_path / "results")
    assert done.code == 0, done.err
    assert "train.txt: 400 lines, 0 blank, 0 longer than 40" in done.out
    assert "3 ok, 0 skipped, 0 failed" in done.out
    assert "text:train.txt" in (tmp_path / "results" / "leaderboard.md").read_text()
    records = [json.loads(path.read_text()) for path in (tmp_path / "results" / "runs").glob("*.json")]
    assert len(records) == 3
    written = [sample for record in records for sample in record["samples"]]
    assert all(
        set(sample.split()) <= {word for line in lines for word in line.split()} | {"<unk>"} for sample in written
    )
    assert bench("run", *arguments, "--tasks", "text:train.txt", "--output", tmp_path / "results").code == 0


@pytest.mark.parametrize(
    ("content", "shown"),
    [
        (b"one\ntwo\ncaf\xe9\n", "line 3 of"),
        (b"a b\n" * 50, "bad.txt: expected at least 100 lines in all"),
        (b"\n\n", "has no text"),
        (b"a\0b", "binary"),
    ],
)
def test_unusable_data_are_refused_before_anything_is_trained(bench, tmp_path, content, shown):
    (tmp_path / "bad.txt").write_bytes(content)
    done = bench("run", "--tasks", f"text:{tmp_path / 'bad.txt'}", "--output", tmp_path / "results")
    assert done.code == 2
    assert shown in done.err
    assert done.err.count("\n") == 1
    assert not (tmp_path / "results").exists()


def test_data_that_change_after_planning_are_noticed(lines, tmp_path):
    from bench.runs import runner

    plan = specs("text:train.txt")
    (tmp_path / "train.txt").write_text("\n".join(lines[::-1][:300]) + "\n")
    record = runner.run(plan[-1])
    assert record.status == "failed"
    assert "changed after the runs were planned" in record.reason


def test_the_tasks_keep_the_contract():
    for target in ("bench.tasks.text:Text", "bench.tasks.text:Midi"):
        assert registry.Plugin("task", "text", target).load().version


def test_a_comma_in_a_files_name_is_reported(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x,y.txt").write_text("a\n")
    with pytest.raises(UsageError, match=r"a file cannot have one in its name: rename 'y\.txt'"):
        split_names("text:x,y.txt,level=char")
    assert split_names("text:x,toy") == ("text:x", "toy")
