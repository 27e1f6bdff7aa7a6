"""Joining results folders: what is kept, what is refused, and what the reports of the whole are."""

import json
import shutil
from dataclasses import replace

import pytest
from click.testing import CliRunner

from bench.cli import main
from bench.errors import UsageError
from bench.records.merge import merge
from bench.records.store import Store

COMMAND = ["run", "--models", "mle,random", "--tasks", "toy", "--preset", "smoke", "--workers", "0", "--output"]


def bench(*arguments):
    return CliRunner().invoke(main, [*map(str, arguments)])


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Two folders with one seed each, a folder with both, and one with the first seed again."""
    folder = tmp_path_factory.mktemp("merge")
    for name, seeds in (("zero", "0-0"), ("one", "1-1"), ("both", "0-1"), ("again", "0-0")):
        assert bench(*COMMAND, folder / name, "--seeds", seeds).exit_code == 0
    return folder


@pytest.fixture
def folders(made, tmp_path):
    for name in ("zero", "one", "both", "again"):
        shutil.copytree(made / name, tmp_path / name)
    return tmp_path


def contents(folder):
    return {file.name: file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def quality(store):
    return {
        record.spec.run_id: [score for score in record.scores["final"] if score.kind == "quality"]
        for record in store.records()
    }


def test_the_whole_is_what_one_command_would_have_made(folders):
    before = contents(folders / "zero")
    answer = bench("merge", folders / "zero", folders / "one", "--output", folders / "whole")
    assert answer.exit_code == 0
    assert answer.output.startswith("6 records merged, 0 were there already, with 2 trained states.")
    whole, both = Store(folders / "whole"), Store(folders / "both")
    assert quality(whole) == quality(both)
    assert json.loads((whole.runs / "plan.list").read_text()) == json.loads((both.runs / "plan.list").read_text())
    assert json.loads((whole.runs / "chosen.list").read_text()) == json.loads((both.runs / "chosen.list").read_text())
    assert {file.name for file in whole.checkpoints.glob("*.safetensors")} == {
        file.name for file in both.checkpoints.glob("*.safetensors")
    }
    assert (folders / "whole" / "leaderboard.md").exists()
    assert contents(folders / "zero") == before
    again = bench(*COMMAND, folders / "whole", "--seeds", "2")
    assert again.exit_code == 0
    assert "started" not in again.output  # nothing is left to do


def test_samples_are_drawn_from_what_was_merged(folders):
    merge([folders / "zero", folders / "one"], folders / "whole")
    (record,) = (r for r in Store(folders / "whole").records() if (r.spec.model, r.spec.seed) == ("mle", 1))
    drawn = [
        bench("sample", record.spec.run_id, "-n", "5", "--results", folders / name).output for name in ("whole", "one")
    ]
    assert drawn[0] == drawn[1] != ""


def test_a_run_that_both_have_counts_once(folders):
    found = merge([folders / "zero", folders / "again", folders / "one"], folders / "whole")
    assert (found.taken, found.repeated) == (6, 3)
    first = {record.spec.run_id: record for record in Store(folders / "zero").records()}
    for record in Store(folders / "whole").records():
        if record.spec.seed == 0:
            assert record == first[record.spec.run_id]  # the earlier


def test_into_a_folder_that_has_results_and_twice(folders):
    for taken, repeated in ((3, 0), (0, 3)):
        found = merge([folders / "zero", folders / "one"], folders / "zero")
        assert (found.taken, found.repeated) == (taken, repeated)
    assert quality(Store(folders / "zero")) == quality(Store(folders / "both"))


def test_another_outcome_of_the_same_run_is_refused(folders):
    store = Store(folders / "again")
    (record,) = (record for record in store.records() if record.spec.model == "mle")
    score = record.scores["final"][0]
    other = (replace(score, value=score.value + 0.125), *record.scores["final"][1:])
    store.write(replace(record, scores={**record.scores, "final": other}))
    answer = bench("merge", folders / "zero", folders / "again", "--output", folders / "whole")
    assert answer.exit_code == 2
    assert len(answer.stderr.splitlines()) == 1
    assert f"run {record.spec.run_id} (mle on toy, seed 0) has other scores in" in answer.stderr
    assert not (folders / "whole").exists()


def test_a_record_of_an_earlier_version_is_no_other_outcome(folders):
    again = Store(folders / "again")
    for record in again.records():
        shown = ("1 2 3",) * len(record.samples) if record.spec.model == "real data" else record.samples
        again.write(replace(record, nearest=(), kind="", samples=shown))
    merged = merge([folders / "zero", folders / "again"], folders / "whole")
    assert (merged.taken, merged.repeated) == (3, 3)
    for record in again.records():
        again.write(replace(record, samples=("1 2 3",) * len(record.samples)))
    with pytest.raises(UsageError, match="has other samples in"):
        merge([folders / "zero", folders / "again"], folders / "other")


def test_what_was_finished_comes_before_what_was_not(folders):
    store = Store(folders / "again")
    for record in store.records():
        store.write(replace(record, status="interrupted", reason="stopped", scores={}, frontier={}, curve=()))
    merge([folders / "again", folders / "zero"], folders / "whole")
    assert {record.status for record in Store(folders / "whole").records()} == {"ok"}
    merge([folders / "zero", folders / "again"], folders / "other")
    assert quality(Store(folders / "other")) == quality(Store(folders / "zero"))


@pytest.mark.parametrize("order", [("again", "zero"), ("zero", "again")])
def test_the_trained_state_is_that_of_the_finished_record(folders, order):
    stopped = Store(folders / "again")
    for record in stopped.records():
        stopped.write(replace(record, status="interrupted", reason="stopped", scores={}, frontier={}, curve=()))
    for file in stopped.checkpoints.glob("*.safetensors"):
        file.write_bytes(b"half of it")
    half = contents(folders / "again")
    merge([folders / name for name in order], folders / "whole")
    merge([folders / "zero"], folders / "again")
    (record,) = (each for each in Store(folders / "zero").records() if each.spec.model == "mle")
    wanted = bench("sample", record.spec.run_id, "-n", "5", "--results", folders / "zero")
    for name in ("whole", "again"):
        drawn = bench("sample", record.spec.run_id, "-n", "5", "--results", folders / name)
        assert (drawn.exit_code, drawn.output) == (0, wanted.output)
        assert not [file for file in Store(folders / name).checkpoints.iterdir() if file.name.startswith(".")]
    assert half.keys() <= contents(folders / "again").keys()


def test_what_cannot_be_read_is_said(folders):
    shutil.rmtree(folders / "zero" / "runs" / "checkpoints")
    (folders / "zero" / "runs" / "checkpoints").touch()
    answer = bench("merge", folders / "zero", "--output", folders / "new")
    assert (answer.exit_code, len(answer.stderr.splitlines())) == (1, 1)
    assert "checkpoints': Not a directory; the records are merged." in answer.stderr
    (folders / "one" / "ratings" / "sheet.json").mkdir(parents=True)
    answer = bench("merge", folders / "one", "--output", folders / "other")
    assert (answer.exit_code, len(answer.stderr.splitlines())) == (2, 1)
    assert "sheet.json': Is a directory; nothing was merged." in answer.stderr
    assert not (folders / "other").exists()


def test_a_damaged_record_is_told_and_left_out(folders):
    file = next(Store(folders / "one").runs.glob("*.mle.*.json"))
    file.write_text("{")
    answer = bench("merge", folders / "zero", folders / "one", "--output", folders / "whole")
    assert answer.exit_code == 1
    assert f"'{file}' is left out" in " ".join(answer.output.split()).replace(" /", "/") or file.name in answer.output
    assert len(Store(folders / "whole").records()) == 5


def test_what_is_no_results_folder_is_refused(folders):
    (folders / "notes").mkdir()
    (folders / "notes" / "thesis.tex").write_text("all my work")
    for arguments, message in (
        ((folders / "notes", "--output", folders / "new"), "expected a results folder"),
        ((folders / "absent", "--output", folders / "new"), "expected a results folder"),
        ((folders / "zero", "--output", folders / "notes"), "is not empty and is not a results folder"),
        ((folders / "zero", folders / "zero", "--output", folders / "new"), "expected each folder once"),
    ):
        answer = bench("merge", *arguments)
        assert answer.exit_code == 2
        assert message in answer.stderr
        assert len(answer.stderr.splitlines()) == 1
    with pytest.raises(UsageError):
        merge([folders / "notes"], folders / "new")
    assert not (folders / "new").exists()
