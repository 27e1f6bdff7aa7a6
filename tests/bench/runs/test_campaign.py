"""The loop of a benchmark, with a made-up executor: what is kept, which events come, and what Ctrl-C leaves."""

import json
import shutil
from contextlib import closing

import pytest

from bench.errors import Halted, UsageError
from bench.records.files import write_atomically
from bench.records.record import RunRecord, checksum
from bench.records.store import Store
from bench.runs.campaign import begin, executor
from bench.runs.executors.base import Finished, Progress, Started
from bench.runs.executors.processes import ProcessExecutor
from bench.runs.executors.serial import SerialExecutor
from bench.runs.stopping import Stop


class Packed:
    """One worker that has all runs under way at once, and ends each with the status that its seed selects."""

    ENDINGS = ("ok", "failed", "skipped")

    def __init__(self):
        self.closed = False

    def execute(self, specs):
        try:
            for spec in specs:
                yield Started(0, spec)
            for spec in specs:
                yield Progress(0, spec.run_id, "mle", 1, 2, {})
            for spec in specs:
                yield Finished(0, RunRecord(spec, self.ENDINGS[spec.seed], reason="so it is"))
        except GeneratorExit:
            self.closed = True
            raise


class Interrupted(Packed):
    """Ctrl-C comes while it waits for the third run."""

    def execute(self, specs):
        for index, event in enumerate(super().execute(specs)):
            if index == 2 * len(specs) + 2:
                raise KeyboardInterrupt
            yield event


@pytest.fixture
def plan(make_spec):
    return [make_spec(seed=seed) for seed in (0, 1, 2)]


def statuses(store):
    return {record.spec.seed: record.status for record in store.records()}


def test_what_an_event_tells_is_on_disk_by_then(plan, tmp_path):
    store = Store(tmp_path / "results")
    with begin(plan, store) as campaign:
        assert campaign.missing == plan
        seen = [(type(event).__name__, event.run_id, store.read(plan[0]).status) for event in campaign.events(Packed())]
    ids = [spec.run_id for spec in plan]
    assert seen == [
        *(("Started", name, "started") for name in ids),
        *(("Progress", name, "started") for name in ids),
        *(("Finished", name, "ok") for name in ids),
    ]
    assert campaign.counts == {"ok": 1, "failed": 1, "skipped": 1}
    assert [record.spec.seed for record in campaign.failures] == [1]
    assert campaign.left == 0


def test_a_second_campaign_does_what_is_missing(plan, tmp_path):
    store = Store(tmp_path / "results")
    with begin(plan, store) as campaign:
        list(campaign.events(Packed()))
    with begin(plan, store) as campaign:
        assert [spec.seed for spec in campaign.missing] == [1]  # what failed is tried again
        assert campaign.counts == {"ok": 1, "skipped": 1}
        assert campaign.left == 1


def test_the_same_campaign_continues(plan, tmp_path):
    with begin(plan, Store(tmp_path / "results")) as campaign:
        with pytest.raises(KeyboardInterrupt):
            list(campaign.events(Interrupted()))
        assert [spec.seed for spec in campaign.missing] == [1, 2]
        started = [event.spec.seed for event in campaign.events(Packed()) if isinstance(event, Started)]
        assert started == [1, 2]
        assert campaign.counts == {"ok": 1, "failed": 1, "skipped": 1}
        assert [record.spec.seed for record in campaign.failures] == [1]
        assert campaign.left == 0


def test_ctrl_c_leaves_finished_runs_and_marks_the_others(plan, tmp_path):
    store = Store(tmp_path / "results")
    with begin(plan, store) as campaign, pytest.raises(KeyboardInterrupt):
        list(campaign.events(Interrupted()))
    assert statuses(store) == {0: "ok", 1: "failed", 2: "interrupted"}
    assert campaign.left == 1


def test_closing_ends_the_workers_and_marks_the_runs_under_way(plan, tmp_path):
    store, packed = Store(tmp_path / "results"), Packed()
    with begin(plan, store) as campaign, closing(campaign.events(packed)) as events:
        next(events)
        assert not packed.closed
    assert packed.closed
    assert statuses(store) == {0: "interrupted", 1: "interrupted", 2: "interrupted"}


def test_nobody_else_works_in_the_folder_meanwhile(plan, tmp_path):
    store = Store(tmp_path / "results")
    with begin(plan, store), pytest.raises(UsageError, match="another 'bench run'"), begin(plan, store):
        pass
    with begin(plan, store) as campaign:
        assert campaign.plan == tuple(plan)


def test_the_number_of_workers_says_who_does_the_runs(tmp_path):
    store = Store(tmp_path / "results")
    stop = Stop()
    here, elsewhere = executor(store, 0, print, stop), executor(store, 3, print, stop, 60.0)
    assert isinstance(here, SerialExecutor)
    assert isinstance(elsewhere, ProcessExecutor)
    assert (here.checkpoints, elsewhere.checkpoints, elsewhere.workers) == (store.checkpoints, store.checkpoints, 3)
    assert elsewhere.timeout == 60
    assert here.stop is elsewhere.stop is stop


class Meddling(Packed):
    """Somebody does something to the folder between two runs."""

    def __init__(self, meddle):
        super().__init__()
        self.meddle = meddle

    def execute(self, specs):
        for index, event in enumerate(super().execute(specs)):
            if index == 2 * len(specs) + 1:
                self.meddle()
            yield event


def test_a_folder_that_is_removed_meanwhile_ends_the_campaign(plan, tmp_path):
    store = Store(tmp_path / "results")
    with begin(plan, store) as campaign, pytest.raises(Halted, match="was removed or replaced while it was in use"):
        list(campaign.events(Meddling(lambda: shutil.rmtree(store.path))))


def test_a_record_that_is_removed_meanwhile_is_missing(plan, tmp_path):
    store = Store(tmp_path / "results")
    with begin(plan, store) as campaign:
        list(campaign.events(Meddling(store.file(plan[0]).unlink)))
        assert campaign.vanished == 1
        assert campaign.left == 1
        assert [spec.seed for spec in campaign.missing] == [0, 1]
    assert statuses(store) == {0: "interrupted", 1: "failed", 2: "skipped"}


@pytest.mark.parametrize(("written", "left"), [(0, 3), (3, 3), (4, 2), (5, 1)])
def test_a_full_disk_ends_the_workers_and_keeps_what_was_finished(plan, tmp_path, monkeypatch, written, left):
    store, packed, files = Store(tmp_path / "results"), Packed(), []

    def write(file, content):
        if len(files) == written:
            raise OSError(28, "No space left on device")
        files.append(file)
        return write_atomically(file, content)

    with begin(plan, store) as campaign:
        with monkeypatch.context() as patch:
            patch.setattr("bench.records.store.write_atomically", write)
            with pytest.raises(Halted, match="No space left on device"):
                list(campaign.events(packed))
        assert packed.closed
        assert campaign.left == left
        list(campaign.events(Packed()))
        assert campaign.left == 0


def test_only_a_record_of_a_later_version_of_a_planned_run_refuses(plan, tmp_path):
    store = Store(tmp_path / "results")
    store.open()
    later = {"schema": 99}
    (store.runs / "other.json").write_text(json.dumps({**later, "sha256": checksum(later)}))
    with begin(plan, store) as campaign:
        assert len(campaign.unreadable) == 1
    (store.runs / "other.json").rename(store.file(plan[1]))
    refused = pytest.raises(UsageError, match=r"it has schema 99.*install that version to read it\. Or choose another")
    with refused, begin(plan, store):
        pass
