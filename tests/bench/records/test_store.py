"""Results on disk: which folders are accepted, complete files."""

import json
import os
import shutil
import tempfile
from pathlib import Path

import pytest

from bench.errors import Halted, UsageError
from bench.records import files
from bench.records.record import RunRecord, checksum
from bench.records.store import MARKED, MARKER, Store


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


def test_records_tell_whose_folder_it_is_where_the_marker_is_lost(store, finished, make_spec):
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


def test_a_record_is_found_by_its_specification(store, finished, make_spec):
    spec = make_spec(model="own.models:Mine", overrides={"lr": 0.5})
    assert store.read(spec) is None
    store.begin(spec)
    assert store.read(spec) == RunRecord(store.read(spec).spec, "started")
    store.write(finished(spec, 1))
    assert store.read(spec).status == "ok"
    assert [path.name for path in store.runs.iterdir()] == [f"toy.own-models-Mine.smoke.s0.{spec.run_id}.json"]


@pytest.mark.parametrize("moment", ["write", "replace"])
def test_a_crash_while_writing_leaves_the_old_record(store, finished, make_spec, monkeypatch, moment):
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


def test_a_record_that_cannot_be_written_as_json_leaves_the_old_one(store, finished, make_spec):
    store.write(finished(make_spec(), 1))
    with pytest.raises(ValueError, match="JSON"):
        store.write(finished(make_spec(), 2, environment={"load": float("nan")}))
    assert store.read(make_spec()).finished[:10] == "2026-01-01"


def test_finished_are_those_that_need_not_be_done_again(store, make_spec):
    for seed, status in enumerate(("started", "ok", "skipped", "failed", "interrupted")):
        store.write(RunRecord(make_spec(seed=seed), status))
    assert store.finished() == {make_spec(seed=1).run_id: "ok", make_spec(seed=2).run_id: "skipped"}


def test_reports_show_what_was_last_asked_for(store, finished, make_spec):
    old, new = make_spec(source="1" * 64), make_spec(source="2" * 64)
    store.write(finished(old, 1))
    store.write(finished(new, 2))
    assert store.load().runs["run_id"].tolist() == [new.run_id]
    store.choose([old])
    assert store.load().runs["run_id"].tolist() == [old.run_id]
    store.choose([new])
    assert store.load().runs["run_id"].tolist() == [new.run_id]


def test_a_configuration_stays_chosen_when_its_label_is_spelled_otherwise(store, finished, make_spec):
    old, new = make_spec(source="1" * 64), make_spec(source="2" * 64)
    store.write(finished(old, 1))
    store.write(finished(new, 2))
    labels = [old.task_label, f"{old.label}[cuda=graph]", old.preset_label]  # as an earlier version wrote it
    (store.runs / "chosen.list").write_text(json.dumps([[*labels, old.group_id]]))
    assert store.load().runs["run_id"].tolist() == [old.run_id]


def test_an_interrupt_marks_what_it_kept_from_finishing(store, finished, make_spec):
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
def test_a_record_that_cannot_be_read_is_told_and_blocks_nothing(store, finished, make_spec, content):
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


def test_a_file_that_may_not_be_read_is_told(store, finished, make_spec, monkeypatch):
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
def test_a_copy_of_a_record_counts_once(store, finished, make_spec, name):
    store.write(finished(make_spec(), 1))
    shutil.copy(store.file(make_spec()), store.runs / name)
    records, (found,) = store.scan()
    assert len(records) == 1
    assert found.file.name == name
    assert f"it is a copy of the record '{store.file(make_spec()).name}'" in str(found)
    assert len(store.load().runs) == 1


def test_a_record_under_the_name_of_another_is_not_taken_for_it(store, finished, make_spec):
    first, second = make_spec(seed=0), make_spec(seed=1)
    store.write(finished(first, 1))
    store.file(first).rename(store.file(second))
    assert store.read(second) is None
    assert store.finished() == {first.run_id: "ok"}


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[1]", b"5", b"null", b'[["a"]]', b'{"chosen": []}', b'{"chosen": [[[], 1, 2, 3]]}', b"\xff"],
)
def test_an_odd_list_of_what_was_chosen_is_told(store, finished, make_spec, content):
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
def test_long_names_are_cut(store, finished, make_spec, model):
    spec = make_spec(model=model)
    store.write(finished(spec, 1))
    assert len(store.file(spec).name.encode()) <= 255
    assert store.read(spec).spec.model == model


def test_a_folder_that_is_removed_in_the_middle_of_a_write_is_noticed(store, finished, make_spec, monkeypatch):
    def remove(*_):
        shutil.rmtree(store.path)
        raise FileNotFoundError(2, "No such file or directory")

    monkeypatch.setattr("bench.records.store.write_atomically", remove)
    with pytest.raises(Halted, match="was removed or replaced while it was in use"):
        store.write(finished(make_spec(), 1))


def test_a_folder_that_was_removed_is_noticed(store, finished, make_spec):
    shutil.rmtree(store.path)
    with pytest.raises(Halted, match=r"the results folder '.*' was removed or replaced while it was in use"):
        store.write(finished(make_spec(), 1))
    assert not store.path.exists()


# Frames
