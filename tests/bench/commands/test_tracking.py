"""Trackers follow a benchmark and are no part of it: whatever goes wrong with them, the runs are as they would be."""

import contextlib
import json
import subprocess
import sys
import threading
import time
from dataclasses import replace
from io import StringIO

import numpy as np
import pytest
from rich.console import Console

from bench.commands.tracking import Tracking, tracked
from bench.errors import UsageError
from bench.records.record import RunRecord
from bench.records.store import Store
from bench.reports.trackers.history import history
from bench.reports.trackers.tensorboard import EVENTS, TensorBoard
from bench.reports.trackers.wandb import Wandb
from bench.runs.executors.base import Adopted, Finished, Started

accumulator = pytest.importorskip(
    "tensorboard.backend.event_processing.event_accumulator", reason="the package tensorboard is not installed"
)

SMALL = (
    "--tasks", "toy", "--preset", "smoke", "--metrics", "nll", "--temperatures", "none",
    "--set", "toy.train_size=64", "--set", "toy.valid_size=20", "--set", "toy.test_size=30",
)  # fmt: skip


@pytest.fixture(scope="module")
def finished(bench, tmp_path_factory):
    """A folder that was written with its events, and one that was written without."""
    place = tmp_path_factory.mktemp("tracked")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bench.reports.figures.drawing.write_figures", lambda *_: [])
        run = ("run", "--models", "mle", *SMALL, "--seeds", "2", "--workers", "0")
        plain = bench(*run, "--output", place / "plain")
        answer = bench(*run, "--output", place / "results", "--tensorboard", place / "events")
    assert (plain.code, answer.code) == (0, 0), answer.err
    assert f"tensorboard --logdir {place / 'events'}" in answer.out.replace("\n", "")
    return place


def tree(folder):
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_the_events_of_a_benchmark_are_its_records(finished):
    records = Store(finished / "results").records()
    assert len(records) == 4  # two seeds of the model and of real data
    assert len(tree(finished / "events")) == 4
    points = 0
    for record in records:
        told = history(record)
        folder = (finished / "events").joinpath(*told.place)
        found = accumulator.EventAccumulator(str(folder), size_guidance={"scalars": 0}).Reload()
        wanted = {}
        for point in told.points:
            for name, value in point.named.items():
                wanted.setdefault(name, []).append((point.step, float(np.float32(value))))
        wanted |= {name: [(0, float(np.float32(value)))] for name, value in told.scores.items()}
        read = {tag: [(each.step, each.value) for each in found.Scalars(tag)] for tag in found.Tags()["scalars"]}
        assert read == wanted
        points += len(told.points)
    assert points == 4


def test_the_runs_are_those_without_a_tracker(finished):
    def outcomes(folder):
        return [
            (record.spec.run_id, [dict(row["scalars"]) for row in record.curve], record.samples)
            for record in Store(folder).records()
        ]

    assert outcomes(finished / "results") == outcomes(finished / "plain")


def test_the_report_of_an_old_folder_writes_the_same_bytes(finished, bench, no_figures):
    answer = bench("report", finished / "plain", "--tensorboard", finished / "again")
    assert answer.code == 0
    assert set(tree(finished / "again")) == set(tree(finished / "events"))
    assert bench("report", finished / "results", "--tensorboard", finished / "again").code == 0
    assert tree(finished / "again") == tree(finished / "events")


def test_what_was_finished_before_is_written_too_and_nothing_twice(finished, bench, no_figures):
    run = ("run", "--models", "mle", *SMALL, "--workers", "0", "--output", finished / "results")
    first = bench(*run, "--seeds", "1", "--tensorboard", finished / "later")
    assert first.code == 0
    assert len(tree(finished / "later")) == 2
    second = bench(*run, "--seeds", "2", "--tensorboard", finished / "later")
    assert second.code == 0
    assert tree(finished / "later") == tree(finished / "events")


def test_worker_processes_make_no_difference(finished, bench, no_figures, tmp_path):
    answer = bench(
        "run", "--models", "mle", *SMALL, "--seeds", "1", "--workers", "1",
        "--output", tmp_path / "results", "--tensorboard", tmp_path / "results" / "events",
    )  # fmt: skip
    assert answer.code == 0, answer.err
    assert len(tree(tmp_path / "results" / "events")) == 2
    assert set(tree(tmp_path / "results" / "events")) < set(tree(finished / "events"))


def test_a_full_disk_is_a_warning_and_the_report_makes_up_for_it(finished, bench, no_figures, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(TensorBoard, "write", full)
        run = ("run", "--models", "mle", *SMALL, "--seeds", "2", "--workers", "0", "--output", finished / "results")
        answer = bench(*run, "--tensorboard", tmp_path / "events")
        assert answer.code == 0
        assert answer.out.count("could not be written to TensorBoard: No space left on device") == 1
        assert "4 runs are not in TensorBoard: 'bench report'" in answer.out
        assert "4 ok, 0 skipped, 0 failed" in answer.out
        assert bench("report", finished / "results", "--tensorboard", tmp_path / "events").code == 1
    assert bench("report", finished / "results", "--tensorboard", tmp_path / "events").code == 0
    assert tree(tmp_path / "events") == tree(finished / "events")


def test_without_the_package_nothing_begins(bench, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboard.summary.writer.record_writer", None)
    answer = bench(
        "run", "--models", "mle", *SMALL, "--output", tmp_path / "results", "--tensorboard", tmp_path / "events"
    )
    assert answer.code == 2
    assert "pip install 'seqgan-bench[tensorboard]'" in answer.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", [("report",), ("run", "--models", "mle", *SMALL, "--output")])
def test_wandb_that_cannot_be_used_is_an_error_before_anything_runs(command, finished, bench, monkeypatch):
    def refuse(_):
        raise UsageError("no key")

    monkeypatch.setattr(Wandb, "check", refuse)
    before = tree(finished / "results")
    answer = bench(*command, finished / "results", "--wandb")
    assert (answer.code, answer.err) == (2, "bench: no key\n")
    assert tree(finished / "results") == before


def test_a_folder_after_a_bare_wandb_is_no_project(finished, bench):
    answer = bench("report", "--wandb", finished / "results")
    assert answer.code == 2
    assert "write --wandb after it" in answer.err


def test_the_folder_of_the_records_is_not_for_events(finished, bench):
    answer = bench("report", finished / "results", "--tensorboard", finished / "results" / "runs" / "x")
    assert answer.code == 2
    assert "is for the records" in answer.err


def test_both_commands_hand_the_project_and_the_records_to_wandb(finished, bench, no_figures, monkeypatch):
    given = []

    def write(wandb, records):
        given.append((wandb.project, wandb.folder, sorted(record.spec.run_id for record in records)))
        return {}

    monkeypatch.setattr(Wandb, "check", lambda _: None)
    monkeypatch.setattr(Wandb, "write", write)
    results = finished / "results"
    ids = sorted(record.spec.run_id for record in Store(results).records())
    assert bench("report", results, "--wandb", "mine").code == 0
    assert bench("report", results, "--wandb").code == 0
    assert bench("run", "--models", "mle", *SMALL, "--seeds", "2", "--output", results, "--wandb=mine").code == 0
    assert given == [("mine", results, ids), ("seqgan-bench", results, ids), ("mine", results, ids)]


def test_older_runs_of_changed_code_are_left_out(bench, no_figures, make_spec, tmp_path):
    store = Store(tmp_path / "results")
    store.open()
    old, new = (
        RunRecord(make_spec(source=source * 64), "ok", started=f"2026-01-0{day}", finished=f"2026-01-0{day}")
        for source, day in (("1", 1), ("2", 2))
    )
    for record in (old, new):
        store.write(record)
    assert bench("report", store.path, "--tensorboard", tmp_path / "events").code == 0
    (file,) = tree(tmp_path / "events")
    assert new.spec.run_id in file
    assert file.endswith(EVENTS)


def test_a_renderer_for_tensorboard_needs_no_torch(finished):
    code = (
        "import json, pathlib, sys\n"
        "from bench.commands.tracking import tracked\n"
        "from bench.records.store import Store\n"
        "store = Store(pathlib.Path(sys.argv[1]))\n"
        "tracked(pathlib.Path(sys.argv[2]), None, store).put(store.records())\n"
        "print(json.dumps([name for name in ('torch', 'tensorflow', 'wandb', 'pandas') if name in sys.modules]))\n"
    )
    command = [sys.executable, "-c", code, finished / "results", finished / "fresh"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == []
    assert tree(finished / "fresh") == tree(finished / "events")


# What follows events


class Slow:
    """Weights & Biases that takes as long as it is told to."""

    where = "Weights & Biases: project mine"

    def __init__(self, failed=()):
        self.go, self.begun, self.stopped, self.failed = threading.Event(), threading.Event(), False, failed
        self.batches = []

    def write(self, records):
        self.begun.set()
        assert self.go.wait(10)
        self.batches.append([record.spec.seed for record in records])
        return {record.spec.run_id: "no route" for record in records if record.spec.seed in self.failed}

    def stop(self):
        self.stopped = True
        self.go.set()


@pytest.fixture
def records(make_spec):
    return [RunRecord(make_spec(seed=seed), "ok", started="2026-01-01", finished="2026-01-02") for seed in range(4)]


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "results")
    store.open()
    return store


def test_nobody_waits_for_wandb_until_the_end(records, store):
    wandb = Slow(failed=(2,))
    with Tracking(None, wandb) as tracking:
        begun = time.monotonic()
        assert tracking.see(Finished(0, records[0]), store) == []
        assert wandb.begun.wait(10)
        for record in records[1:]:
            assert tracking.see(Finished(0, record), store) == []
        assert time.monotonic() - begun < 5
        wandb.go.set()
        said = StringIO()
        assert not tracking.finish(Console(file=said, width=200))
    assert wandb.batches == [[0], [1, 2, 3]]  # what ends meanwhile is given to the next process
    lines = said.getvalue().splitlines()
    assert "warning: a run could not be written to W&B: no route" in lines
    assert "warning: one run is not in W&B: 'bench report' with the same option writes what is missing." in lines
    assert lines[-1] == wandb.where


def test_an_error_leaves_out_the_rest(records):
    wandb = Slow()
    with contextlib.suppress(KeyboardInterrupt), Tracking(None, wandb) as tracking:
        tracking.put(records[:1])
        assert wandb.begun.wait(10)
        tracking.put(records[1:])
        raise KeyboardInterrupt
    assert wandb.stopped
    assert wandb.batches == [[0]]


def test_only_runs_that_have_ended_are_written(records, store, tmp_path):
    board = TensorBoard(tmp_path / "events")
    with Tracking(board) as tracking:
        tracking.see(Started(0, records[0].spec), store)
        for status in ("started", "interrupted", "skipped"):
            tracking.put([replace(records[0], status=status)])
        assert not board.folder.exists()
        tracking.see(Adopted(records[0]), store)
        assert len(tree(board.folder)) == 1
        tracking.put([replace(records[1], status="failed", reason="diverged")])
        assert len(tree(board.folder)) == 2


def test_what_is_on_disk_counts(records, store, tmp_path):
    """A run that was taken for dead may have been done by somebody else meanwhile."""
    board = TensorBoard(tmp_path / "events")
    store.write(records[0])
    with Tracking(board) as tracking:
        tracking.see(Finished(0, replace(records[0], status="failed")), store)
    other = TensorBoard(tmp_path / "others")
    other.write(records[0])
    assert tree(board.folder) == tree(other.folder)


def test_without_options_there_is_nothing(store):
    tracking = tracked(None, None, store)
    assert not tracking.is_on
    with tracking:
        assert tracking.finish(Console(file=StringIO()))
