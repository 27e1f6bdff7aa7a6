"""What the command that does runs keeps of their progress, whoever trains."""

import itertools
import os
from contextlib import closing
from types import SimpleNamespace

import pytest

from bench.plans.plan import Request, make_plan
from bench.records import under_way
from bench.records.record import RunRecord
from bench.records.store import Store
from bench.runs import progress_files
from bench.runs.campaign import begin
from bench.runs.executors.base import Finished, Progress, Started
from bench.runs.executors.serial import SerialExecutor
from bench.runs.progress_files import POINTS, ProgressFiles
from bench.runs.stopping import Stop


@pytest.fixture
def clock(monkeypatch):
    """A time.monotonic that tests can set; writing takes no time by it."""
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr(progress_files.time, "monotonic", lambda: clock.now)
    return clock


@pytest.fixture
def run(make_spec, tmp_path, clock):
    """A run that has started: tells of its progress, and returns what is on disk then."""
    spec, keeper = make_spec(), ProgressFiles(tmp_path / "progress")
    keeper.expected = lambda _: 60.0

    def tell(phase, done=0, steps=1, **scalars):
        keeper.see(Progress(0, spec.run_id, phase, done, steps, scalars))
        return under_way.read(tmp_path / "progress", [spec.run_id])[spec.run_id]

    keeper.see(Started(0, spec))
    return SimpleNamespace(spec=spec, keeper=keeper, tell=tell, files=lambda: list(tmp_path.glob("progress/*")))


def test_a_file_says_which_run_and_how_far(run, clock):
    clock.now += 7
    found = run.tell("mle", 3, 10, loss=2.0)
    assert (found.task, found.model, found.preset, found.seed, found.device) == ("toy", "mle", "smoke", 0, "cpu")
    assert (found.phase, found.done, found.steps, found.scalars, found.expected) == ("mle", 3, 10, {"loss": 2.0}, 60.0)
    assert found.seconds == pytest.approx(7, abs=1)


def test_it_is_written_once_a_second_and_when_another_phase_begins(run, clock):
    assert run.tell("mle", 1, 10).done == 1
    clock.now += 0.9
    assert run.tell("mle", 2, 10).done == 1
    clock.now += 0.2
    assert run.tell("mle", 3, 10).done == 3
    clock.now += 0.05
    assert run.tell("scoring final").phase == "mle"  # too soon even for that
    clock.now += 0.2
    assert run.tell("scoring final").phase == "scoring final"


def test_on_a_slow_disk_it_is_written_more_seldom(run, clock, monkeypatch):
    written = []

    def slowly(folder, now):
        written.append(now.done)
        clock.now += 0.1

    monkeypatch.setattr(under_way, "keep", slowly)
    for done in range(300):
        clock.now += 0.1
        run.keeper.see(Progress(0, run.spec.run_id, "mle", done, 300, {}))
    assert 5 <= len(written) <= 8  # of 30 seconds, 2 % were to be spent


def test_a_curve_goes_over_all_phases_that_log_and_stays_small(run, clock):
    run.tell("loading data")
    for step in range(1, 101):
        run.tell("mle", step, 100, loss=1000.0 - step, nll_valid=float("inf"))
    run.tell("scoring pretrained")
    for step in range(1, 901):
        clock.now += 1.5
        found = run.tell("adversarial", step, 900, loss=900.0 - step)
    points = found.curves["loss"]
    assert POINTS / 2 <= len(points) <= POINTS + 1
    assert points[0] == (1, 999.0)
    assert points[-1] == (1000, 0.0)
    assert all(y == 1000 - x for x, y in points)
    gaps = {after[0] - before[0] for before, after in itertools.pairwise(points[:-1])}
    assert len(gaps) == 1  # equally many everywhere
    assert found.phases == (("mle", 0), ("adversarial", 100))
    assert "nll_valid" not in found.curves


def test_a_plugin_that_logs_hundreds_of_values_does_not_fill_the_disk(run):
    found = run.tell("mle", 1, 2, **{f"value{number}": 1.0 for number in range(500)})
    assert len(found.curves) == len(found.scalars) == progress_files.NAMES


def test_the_file_goes_when_the_run_ends_or_is_left(run):
    run.tell("mle", 1, 2)
    run.keeper.see(Finished(0, RunRecord(run.spec, "ok")))
    assert not run.files()
    run.keeper.see(Progress(0, run.spec.run_id, "mle", 2, 2, {}))  # of nothing that is under way
    assert not run.files()
    run.keeper.see(Started(0, run.spec))
    run.tell("mle", 1, 2)
    run.keeper.close()
    assert not run.files()


def test_a_real_run_leaves_its_learning_curve_while_it_goes_on_and_nothing_afterwards(tmp_path, monkeypatch):
    settings = ("toy.train_size=64", "toy.valid_size=20", "toy.test_size=30", "mle.epochs=4")
    plan = make_plan(Request(("mle",), ("toy",), ("nll",), 1, "smoke", settings, temperatures=()))
    monkeypatch.setattr(progress_files, "PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(progress_files, "PHASE_SECONDS", 0.0)
    monkeypatch.setattr(progress_files, "SHARE", 1e9)
    kept, write = [], under_way.keep
    monkeypatch.setattr(under_way, "keep", lambda folder, now: (kept.append(now), write(folder, now)))
    store = Store(tmp_path / "results")
    with begin(plan, store) as campaign:
        executor = SerialExecutor(store.checkpoints, campaign.track, Stop())
        with closing(campaign.events(executor)) as events:
            records = [event.record for event in events if isinstance(event, Finished)]
    run = next(record for record in records if record.spec.model == "mle")
    (last,) = [now for now in kept if now.run_id == run.spec.run_id][-1:]
    judged = [(row["step"], row["scalars"]["nll_valid"]) for row in run.curve if "nll_valid" in row["scalars"]]
    assert len(judged) > 1
    assert last.curves["nll_valid"] == tuple((step, pytest.approx(value, rel=1e-5)) for step, value in judged)
    assert not list(store.progress.iterdir())


def test_a_campaign_sweeps_what_a_killed_one_left(make_spec, tmp_path):
    store = Store(tmp_path / "results")
    spec = make_spec()
    with begin([spec], store):
        pass
    keeper = ProgressFiles(store.progress)
    keeper.see(Started(0, spec))
    keeper.see(Progress(0, spec.run_id, "mle", 1, 2, {}))
    (store.progress / ".x.json.0.1.partial").write_text("{")  # while it wrote
    os.utime(store.progress / ".x.json.0.1.partial", (0, 0))
    assert len(list(store.progress.iterdir())) == 2
    with begin([spec], store):
        assert not list(store.progress.iterdir())
