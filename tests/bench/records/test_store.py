"""Results on disk: which folders are accepted, complete files, tidy frames."""

import json
import os
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest

from bench.errors import Halted, UsageError
from bench.records import files
from bench.records.frames import CURVE_COLUMNS, KEYS, REAL_DATA, RUN_COLUMNS, SCORE_COLUMNS
from bench.records.record import RunRecord, Score, checksum
from bench.records.store import MARKED, MARKER, PLAN, Store

SCORES = {
    "final": (
        Score("nll_oracle", 1 / 3, "nats/token", "lower", "n=5|v=1"),
        Score("nll_test", None, "nats/token", "lower", "n=5|v=1", absent="the model has no log_prob"),
    )
}


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "deep" / "results")
    store.open()
    return store


def finished(spec, when, **more):
    return RunRecord(spec, "ok", scores=SCORES, finished=f"2026-01-{when:02}T00:00:00+00:00", **more)


def test_a_new_folder_is_made_and_marked(store):
    assert json.loads((store.path / MARKER).read_text()) == MARKED
    assert store.runs.is_dir()
    store.require()
    store.open()  # and accepted again
    assert {path.name for path in store.path.iterdir()} == {MARKER, "runs"}
    assert list(store.runs.iterdir()) == []


def test_an_empty_folder_is_accepted(tmp_path):
    Store(tmp_path).open()
    Store(tmp_path).require()


def strange_folder(path):
    (path / "thesis.tex").write_text("all my work")


def strange_marker(path):
    (path / MARKER).write_text('{"format": "something else"}')


def broken_marker(path):
    (path / MARKER).write_text("{")
    (path / "thesis.tex").write_text("all my work")


def other_runs(path):
    (path / "runs").mkdir()
    (path / "runs" / "events.json").write_text("{}")


def newer_marker(path):
    (path / MARKER).write_text(json.dumps({**MARKED, "version": 2}))


@pytest.mark.parametrize("make", [strange_folder, strange_marker, broken_marker, newer_marker, other_runs])
def test_somebody_elses_folder_is_refused_and_left_alone(tmp_path, make):
    make(tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.*")}
    with pytest.raises(UsageError, match=r"is not empty and is not a results folder .* choose an empty or new folder"):
        Store(tmp_path).open()
    with pytest.raises(UsageError, match=r"expected a results folder(,| \(with a store.json\),) got"):
        Store(tmp_path).require()
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.*")} == before


def nothing(path):
    path.rmdir()


def half_a_marker(path):
    (path / f".{MARKER}.{files._here()}.999999999.partial").write_text('{"form')


def only_the_folder_of_runs(path):
    (path / "runs").mkdir()


def what_a_worker_leaves(path):
    (path / "runs" / "checkpoints").mkdir(parents=True)
    (path / "runs" / "checkpoints" / "abc.safetensors").touch()
    (path / "runs" / "logs").mkdir()


def an_empty_marker(path):
    (path / MARKER).touch()


@pytest.mark.parametrize(
    "make", [nothing, half_a_marker, only_the_folder_of_runs, what_a_worker_leaves, an_empty_marker]
)
def test_a_kill_while_the_folder_was_made_does_not_block_it(tmp_path, make):
    make(tmp_path)
    Store(tmp_path).check()
    Store(tmp_path).open()
    with Store(tmp_path).alone():
        assert {file.name for file in tmp_path.iterdir()} == {MARKER, "runs"}
    Store(tmp_path).require()


def test_records_tell_whose_folder_it_is_where_the_marker_is_lost(store, make_spec):
    store.write(finished(make_spec(), 1))
    (store.path / MARKER).write_text("")
    store.require()
    store.open()
    assert json.loads((store.path / MARKER).read_text()) == MARKED
    assert len(store.records()) == 1


def test_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(UsageError, match=r"expected a folder for the results, but '.*file' is a file"):
        Store(tmp_path / "file").open()
    with pytest.raises(UsageError, match=r"cannot write to .*: Not a directory"):
        Store(tmp_path / "file" / "below").open()
    with pytest.raises(UsageError, match="expected a results folder"):
        Store(tmp_path / "missing").require()


def test_a_folder_that_cannot_be_written_is_told_before_any_work(store, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(tempfile, "TemporaryFile", refuse)
        with pytest.raises(UsageError, match=r"cannot write to '.*': Permission denied; choose another folder"):
            store.open()
    store.runs.rmdir()
    store.runs.write_text("in the way")
    with pytest.raises(UsageError, match=r"cannot write to '.*': File exists"):
        store.open()


def test_one_at_a_time(store):
    refused = pytest.raises(
        UsageError, match=r"another command is working in '.*results' \(process \d+ on .*\); wait for it"
    )
    with store.alone(), refused, store.alone():
        pass
    with store.alone():
        assert list(store.records()) == []


def test_a_record_is_found_by_its_specification(store, make_spec):
    spec = make_spec(model="own.models:Mine", overrides={"lr": 0.5})
    assert store.read(spec) is None
    store.begin(spec)
    assert store.read(spec) == RunRecord(store.read(spec).spec, "started")
    store.write(finished(spec, 1))
    assert store.read(spec).status == "ok"
    assert [path.name for path in store.runs.iterdir()] == [f"toy.own-models-Mine.smoke.s0.{spec.run_id}.json"]


@pytest.mark.parametrize("moment", ["write", "replace"])
def test_a_crash_while_writing_leaves_the_old_record(store, make_spec, monkeypatch, moment):
    spec = make_spec()
    store.write(finished(spec, 1))
    old = store.file(spec).read_bytes()

    def crash(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        if moment == "replace":
            patch.setattr(Path, "replace", crash)
        else:
            patch.setattr("bench.records.files.os.fsync", crash)
        with pytest.raises(Halted, match=r"cannot write to '.*': No space left on device. What was finished before is"):
            store.write(finished(spec, 2))
    assert store.file(spec).read_bytes() == old
    assert list(store.runs.glob(".*")) == []
    assert [record.finished[:10] for record in store.records()] == ["2026-01-01"]  # without the half-written one
    store.write(finished(spec, 3))
    assert [record.finished[:10] for record in store.records()] == ["2026-01-03"]


def test_a_record_that_cannot_be_written_as_json_leaves_the_old_one(store, make_spec):
    store.write(finished(make_spec(), 1))
    with pytest.raises(ValueError, match="JSON"):
        store.write(finished(make_spec(), 2, environment={"load": float("nan")}))
    assert store.read(make_spec()).finished[:10] == "2026-01-01"


def test_finished_are_those_that_need_not_be_done_again(store, make_spec):
    for seed, status in enumerate(("started", "ok", "skipped", "failed", "interrupted")):
        store.write(RunRecord(make_spec(seed=seed), status))
    assert store.finished() == {make_spec(seed=1).run_id: "ok", make_spec(seed=2).run_id: "skipped"}


def test_reports_show_what_was_last_asked_for(store, make_spec):
    old, new = make_spec(source="1" * 64), make_spec(source="2" * 64)
    store.write(finished(old, 1))
    store.write(finished(new, 2))
    assert store.load().runs["run_id"].tolist() == [new.run_id]
    store.choose([old])
    assert store.load().runs["run_id"].tolist() == [old.run_id]
    store.choose([new])
    assert store.load().runs["run_id"].tolist() == [new.run_id]


def test_a_configuration_stays_chosen_when_its_label_is_spelled_otherwise(store, make_spec):
    old, new = make_spec(source="1" * 64), make_spec(source="2" * 64)
    store.write(finished(old, 1))
    store.write(finished(new, 2))
    labels = [old.task_label, f"{old.label}[cuda=graph]", old.preset_label]  # as an earlier version wrote it
    (store.runs / "chosen.list").write_text(json.dumps([[*labels, old.group_id]]))
    assert store.load().runs["run_id"].tolist() == [old.run_id]


def test_an_interrupt_marks_what_it_kept_from_finishing(store, make_spec):
    specs = [make_spec(seed=seed) for seed in range(5)]
    store.write(finished(specs[0], 1))
    store.write(RunRecord(specs[1], "skipped", reason="cannot"))
    store.write(RunRecord(specs[2], "failed", reason="broken"))
    store.begin(specs[3])
    store.interrupt(specs)
    assert [store.read(spec).status for spec in specs] == ["ok", "skipped", "failed", "interrupted", "interrupted"]
    assert store.read(specs[4]).reason.endswith("run the same command again to continue")
    assert store.read(specs[1]).reason == "cannot"


UNREADABLE = {
    "empty": b"", "cut": b"{", "list": b"[]", "zero": b"\x00", "no text": b"\xff\xfe\x00", "no id": b'{"schema": 1}',
}  # fmt: skip


@pytest.mark.parametrize("content", UNREADABLE.values(), ids=UNREADABLE)
def test_a_record_that_cannot_be_read_is_told_and_blocks_nothing(store, make_spec, content):
    good, bad = make_spec(seed=0), make_spec(seed=1)
    store.write(finished(good, 1))
    store.file(bad).write_bytes(content)
    records, unreadable = store.scan()
    assert [record.spec for record in records] == [store.read(good).spec]
    assert [(each.file, each.newer) for each in unreadable] == [(store.file(bad), False)]
    assert str(unreadable[0]).endswith("repeat the 'bench run' that made it, or remove it.")
    assert store.read(bad) is None
    assert store.finished() == {good.run_id: "ok"}
    frames = store.load()
    assert frames.runs["run_id"].tolist() == [good.run_id]
    assert frames.notes == (str(unreadable[0]),)
    store.interrupt([bad])
    assert store.read(bad).status == "interrupted"


@pytest.mark.parametrize(
    ("content", "reason"), [("", "it is empty"), ('{"schema": 8, "ru', "it is cut off or damaged")]
)
def test_a_record_without_an_end_is_told_in_words(store, make_spec, content, reason):
    store.file(make_spec()).write_text(content)
    assert store.scan()[1][0].reason == reason


def test_a_folder_of_another_program_is_told(store):
    (store.path / MARKER).write_text('{"version": 99}')
    with pytest.raises(UsageError, match=r"got '.*', whose store\.json is of no known form"):
        store.require()


def test_a_file_that_may_not_be_read_is_told(store, make_spec, monkeypatch):
    store.write(finished(make_spec(), 1))

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_text", refuse)
    assert "because Permission denied" in str(store.scan()[1][0])


def test_a_record_of_a_later_version_is_not_called_damaged(store, make_spec):
    file = store.file(make_spec())
    content = {"schema": 99, "run_id": make_spec().run_id, "colour": "red"}
    file.write_text(json.dumps({**content, "sha256": checksum(content)}))
    (found,) = store.scan()[1]
    assert found.newer
    assert "it has schema 99" in str(found)
    assert "remove" not in str(found)
    assert "anew" not in str(found)


@pytest.mark.parametrize("name", ["a.json", "z.json"])
def test_a_copy_of_a_record_counts_once(store, make_spec, name):
    store.write(finished(make_spec(), 1))
    shutil.copy(store.file(make_spec()), store.runs / name)
    records, (found,) = store.scan()
    assert len(records) == 1
    assert found.file.name == name
    assert f"it is a copy of the record '{store.file(make_spec()).name}'" in str(found)
    assert len(store.load().runs) == 1


def test_a_record_under_the_name_of_another_is_not_taken_for_it(store, make_spec):
    first, second = make_spec(seed=0), make_spec(seed=1)
    store.write(finished(first, 1))
    store.file(first).rename(store.file(second))
    assert store.read(second) is None
    assert store.finished() == {first.run_id: "ok"}


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[1]", b"5", b"null", b'[["a"]]', b'{"chosen": []}', b'{"chosen": [[[], 1, 2, 3]]}', b"\xff"],
)
def test_an_odd_list_of_what_was_chosen_is_told(store, make_spec, content):
    old, new = make_spec(source="1" * 64), make_spec(source="2" * 64)
    for day, spec in ((1, old), (2, new)):
        store.write(finished(spec, day))
    (store.runs / "chosen.list").write_bytes(content)
    frames = store.load()
    assert frames.runs["run_id"].tolist() == [new.run_id]
    assert "chosen.list' is left out, because it is damaged" in frames.notes[0]
    store.choose([old])
    assert store.load().runs["run_id"].tolist() == [old.run_id]
    assert store.load().notes == ()


def test_a_changed_list_of_what_was_chosen_is_noticed(store, make_spec):
    store.choose([make_spec()])
    file = store.runs / "chosen.list"
    file.write_text(file.read_text().replace("toy", "top"))
    assert "chosen.list' is left out, because it is damaged" in store.load().notes[0]


def test_half_written_files_are_removed(store):
    folders = store.path, store.path / "figures", store.runs, store.checkpoints
    for folder in folders:
        folder.mkdir(exist_ok=True)
    here = files._here()
    left = [folder / f".a.json.{here}.999999999.partial" for folder in folders]
    old = store.path / ".a.json.0123abcd.1.partial"  # of a machine that went down days ago
    writing = store.path / f".leaderboard.md.{here}.{os.getppid()}.partial"  # by another process, at this moment
    there = store.path / ".leaderboard.md.0123abcd.999999999.partial"  # by a process of another machine
    for file in (*left, old, writing, there):
        file.touch()
    os.utime(old, (0, 0))
    with store.alone():
        assert not any(file.exists() for file in (*left, old))
        assert writing.exists()
        assert there.exists()


@pytest.mark.parametrize("model", ["x" * 300, "天" * 200])
def test_long_names_are_cut(store, make_spec, model):
    spec = make_spec(model=model)
    store.write(finished(spec, 1))
    assert len(store.file(spec).name.encode()) <= 255
    assert store.read(spec).spec.model == model


def test_a_folder_that_is_removed_in_the_middle_of_a_write_is_noticed(store, make_spec, monkeypatch):
    def remove(*_):
        shutil.rmtree(store.path)
        raise FileNotFoundError(2, "No such file or directory")

    monkeypatch.setattr("bench.records.store.write_atomically", remove)
    with pytest.raises(Halted, match="was removed or replaced while it was in use"):
        store.write(finished(make_spec(), 1))


def test_a_folder_that_was_removed_is_noticed(store, make_spec):
    shutil.rmtree(store.path)
    with pytest.raises(Halted, match=r"the results folder '.*' was removed or replaced while it was in use"):
        store.write(finished(make_spec(), 1))
    assert not store.path.exists()


# Frames


def test_frames_of_nothing_have_their_columns(store):
    frames = store.load()
    assert [list(frame.columns) for frame in (frames.runs, frames.scores, frames.curves)] == [
        RUN_COLUMNS, SCORE_COLUMNS, CURVE_COLUMNS,
    ]  # fmt: skip
    assert [len(frame) for frame in (frames.runs, frames.scores, frames.curves)] == [0, 0, 0]
    assert frames.superseded == 0


def test_frames_hold_what_the_records_hold(store, make_spec):
    spec = make_spec(overrides={"lr": 0.5}, task_overrides={"draw": 1}, seed=3)
    environment = {
        "commit": "c0ffee", "dirty": True, "machine": "M", "python": "3.11", "threads": 1,
        "packages": {"torch": "2", "seqgan-bench": "0.1"},
    }  # fmt: skip
    curve = (
        {
            "phase": "mle",
            "step": 1,
            "seconds": 0.5,
            "tokens": 9,
            "updates": None,
            "scalars": {"loss": 1 / 3, "nll": 2.0},
        },
        {"phase": "mle", "step": 2, "seconds": 1.0, "tokens": 18, "updates": None, "scalars": {}},
    )
    facts = {"environment": environment, "curve": curve, "density": "exact"}
    first = finished(spec, 1, **facts, samples=("a b",), data_sha256="d" * 64)
    tempered = {"0.5": first.scores["final"]}
    store.write(replace(first, frontier=tempered, selected={"score": 2.0, "phase": "mle", "step": 2}))
    frames = store.load()
    keys = dict(zip(KEYS, (spec.run_id, spec.group_id, "toy[draw=1]", "mle[lr=0.5]", "smoke", 3), strict=True))
    assert frames.runs.to_dict("records") == [
        {
            **keys, "role": "contender",
            "status": "ok", "reason": None, "finished": "2026-01-01T00:00:00+00:00", "version": "0.1",
            "commit": "c0ffee", "dirty": True, "device": "cpu", "machine": "M", "python": "3.11", "torch": "2",
            "threads": 1, "settings": "lr=0.01, sizes=[1, 2]",
            "tuned": "default settings, then lr by hand", "samples": ["a b"],
            "data": "d" * 64, "selected": "mle 2", "density": "exact", "budget": {}, "warnings": [],
                "nearest": [], "kind": "", "densities": {},
            "command": "bench run --models mle --tasks toy --preset smoke --set mle.lr=0.5 --set toy.draw=1 "
            "--temperatures none --device cpu",
        }
    ]  # fmt: skip
    first, second = frames.scores.to_dict("records")
    assert first["value"] == 1 / 3
    assert {name: first[name] for name in keys} == keys
    assert [first[name] for name in ("checkpoint", "kind", "metric", "unit", "direction", "signature")] == [
        "final", "quality", "nll_oracle", "nats/token", "lower", "n=5|v=1",
    ]  # fmt: skip
    assert second["value"] != second["value"]
    assert second["absent"] == "the model has no log_prob"
    curves = frames.curves.drop(columns=KEYS)
    assert curves.pop("updates").isna().all()
    assert curves.to_dict("records") == [
        {"phase": "mle", "step": 1, "seconds": 0.5, "tokens": 9.0, "name": "loss", "value": 1 / 3},
        {"phase": "mle", "step": 1, "seconds": 0.5, "tokens": 9.0, "name": "nll", "value": 2.0},
    ]
    assert frames.frontier[["temperature", "metric"]].to_numpy().tolist() == [
        [0.5, first["metric"]], [0.5, second["metric"]],
    ]  # fmt: skip
    assert frames.frontier["value"][0] == 1 / 3
    assert set(frames.scores["checkpoint"]) == {"final"}


def test_runs_without_scores_are_in_the_frame_of_runs(store, make_spec):
    store.write(RunRecord(make_spec(), "failed", reason="broken", finished="2026-01-01"))
    frames = store.load()
    assert frames.runs[["status", "reason"]].to_numpy().tolist() == [["failed", "broken"]]
    assert len(frames.scores) == 0


def test_the_configuration_that_finished_last_counts_with_all_its_seeds(store, make_spec):
    old, new = make_spec(source="old"), make_spec(source="new")
    for seed in (0, 1, 2):
        store.write(finished(replace(old, seed=seed), 1))
    store.write(finished(replace(new, seed=0), 2))
    frames = store.load()
    assert frames.runs["run_id"].tolist() == [new.run_id]
    assert frames.scores["run_id"].unique().tolist() == [new.run_id]
    assert frames.superseded == 3
    store.write(finished(replace(new, seed=1), 3))
    assert store.load().runs["seed"].tolist() == [0, 1]
    store.write(finished(replace(old, seed=0), 4))  # the old code ran again: it is the current one
    assert store.load().runs["group_id"].unique().tolist() == [old.group_id]


def test_what_has_not_finished_supersedes_nothing(store, make_spec):
    store.write(finished(make_spec(source="old"), 1))
    store.begin(make_spec(source="new"))
    frames = store.load()
    assert frames.runs["status"].tolist() == ["ok"]
    assert frames.superseded == 1


def test_other_tasks_models_presets_and_settings_stand_side_by_side(store, make_spec):
    specs = [
        make_spec(),
        make_spec(task="oracle"),
        make_spec(model="seqgan"),
        make_spec(model=REAL_DATA),
        make_spec(preset="quick"),
        make_spec(overrides={"lr": 0.5}, config={"lr": 0.5}),
        make_spec(task_overrides={"draw": 1}, data="other"),
    ]
    for day, spec in enumerate(specs, 1):
        store.write(finished(spec, day))
    frames = store.load()
    assert set(frames.runs["run_id"]) == {spec.run_id for spec in specs}
    assert frames.superseded == 0


def planned(store):
    runs = store.load().runs
    return {(row["model"], row["seed"]): row["status"] for row in runs.to_dict("records")}


def test_a_planned_run_without_a_record_is_missing(store, make_spec):
    plan = [make_spec(model=model, seed=seed) for model in ("mle", REAL_DATA) for seed in (0, 1)]
    store.plan(plan)
    store.plan(plan[:1])  # plans are added up
    store.write(finished(plan[0], 1))
    assert planned(store) == {
        ("mle", 0): "ok", ("mle", 1): "missing", (REAL_DATA, 0): "missing", (REAL_DATA, 1): "missing",
    }  # fmt: skip
    rows = store.load().runs
    assert list(rows["run_id"])[1] == plan[1].run_id
    assert list(rows["reason"])[1] == "it was planned, and there is no record of it that can be read"
    (store.runs / PLAN).unlink()
    assert planned(store) == {("mle", 0): "ok"}


def test_the_plan_of_another_configuration_does_not_count(store, make_spec):
    old, new = (
        [make_spec(source=source, seed=seed) for seed in range(n)] for source, n in (("1" * 64, 3), ("2" * 64, 2))
    )
    for plan in (old, new):
        store.plan(plan)
        store.choose(plan)
    assert planned(store) == {("mle", 0): "missing", ("mle", 1): "missing"}
    store.write(finished(old[0], 1))  # all that there is to show
    assert planned(store) == {("mle", 0): "ok", ("mle", 1): "missing", ("mle", 2): "missing"}
    store.write(finished(new[0], 2))
    assert planned(store) == {("mle", 0): "ok", ("mle", 1): "missing"}


def test_a_planned_field_of_several_values_is_that_of_its_record(store, make_spec):
    spec = make_spec(config={"sizes": (1, 2)}, overrides={"sizes": (1, 2)})
    store.plan([spec])
    store.write(finished(spec, 1))
    assert planned(store) == {("mle[sizes=[1, 2]]", spec.seed): "ok"}


def test_trials_of_a_search_are_nobodys_plan(store, make_spec):
    store.plan([make_spec(tuning={"trial": 0, "study": "s", "metric": "nll_valid"})])
    assert not (store.runs / PLAN).exists()


@pytest.mark.parametrize("content", ["", "[]", "{}", "null", '{"format": 1}', "[" * 100_000])
def test_a_damaged_plan_is_told_and_written_anew(store, make_spec, content):
    (store.runs / PLAN).write_text(content)
    (note,) = store.load().notes
    assert "plan.list' is left out, because it is damaged: the plan of seeds is what the records show" in note
    store.plan([make_spec()])
    assert store.load().notes == ()
    assert planned(store) == {("mle", 0): "missing"}


def test_a_plan_that_was_changed_by_hand_is_noticed(store, make_spec):
    store.plan([make_spec(seed=seed) for seed in (0, 1)])
    file = store.runs / PLAN
    file.write_text(file.read_text().replace('"1":', '"2":'))
    assert "it is damaged" in store.load().notes[0]


def test_a_plan_of_a_later_version_is_left_alone(store, make_spec):
    content = {"format": 99, "planned": []}
    text = json.dumps({**content, "sha256": checksum(content)})
    (store.runs / PLAN).write_text(text)
    assert "it has format 99, and this version reads formats up to 1: install that version" in store.load().notes[0]
    with pytest.raises(UsageError, match=r"install that version to read it\. Or choose another folder"):
        store.plan([make_spec()])
    assert (store.runs / PLAN).read_text() == text
