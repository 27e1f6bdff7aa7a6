"""The loop of a benchmark, with a made-up executor: what is kept, which events come, and what Ctrl-C leaves."""

import json
import shutil
from contextlib import closing

import pytest

from bench.errors import Halted, UsageError
from bench.plans.costs import Costs
from bench.records.files import write_atomically
from bench.records.frames import REAL_DATA
from bench.records.record import RunRecord, checksum
from bench.records.store import Store
from bench.runs.campaign import Campaign, begin, executor, longest_first
from bench.runs.executors.base import Adopted, Finished, Progress, Started
from bench.runs.executors.processes import ProcessExecutor
from bench.runs.executors.serial import SerialExecutor
from bench.runs.stopping import Stop


class Packed:
    """One worker that has all runs under way at once, and ends each with the status that its seed selects."""

    ENDINGS = ("ok", "failed", "skipped")

    def __init__(self):
        self.closed, self.stop = False, Stop()

    def execute(self, specs, claim):
        specs = [spec for spec in specs if claim(spec)]
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

    def execute(self, specs, claim):
        for index, event in enumerate(super().execute(specs, claim)):
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
    assert statuses(store) == {0: "interrupted"}
    assert list(store.leases.iterdir()) == []


def test_a_command_that_shares_the_folder_with_nobody_is_refused_beside_others(plan, tmp_path):
    store = Store(tmp_path / "results")
    with begin(plan, store) as campaign, closing(campaign.events(Packed())) as events:
        next(events)
        with pytest.raises(UsageError, match=r"a 'bench run' is working in .* \(process \d+ on "), store.alone():
            pass
    with store.alone(), pytest.raises(UsageError, match="another command is working in"), begin(plan, store):
        pass
    with begin(plan, store) as campaign:
        assert campaign.plan == tuple(plan)


class Other:
    """Another command in the same folder: it does some of the runs, a step at a time."""

    def __init__(self, plan, store):
        self.campaign = Campaign(plan, store)
        self.events = self.campaign.events(Packed())
        self.left = 3 * len(plan)

    def step(self, steps=1):
        for _ in range(steps):
            next(self.events)
            self.left -= 1

    def finish(self):
        self.step(self.left)


def test_two_commands_share_a_folder_and_neither_does_what_the_other_does(plan, tmp_path, monkeypatch):
    """The other does seeds 0 and 1; it ends them while this one waits."""
    store = Store(tmp_path / "results")
    with begin(plan, store) as campaign:
        other = Other(plan[:2], store)
        other.step()
        waits = []
        monkeypatch.setattr("bench.runs.campaign.time.sleep", lambda seconds: (waits.append(seconds), other.finish()))
        seen = [
            (type(event).__name__, getattr(event, "run_id", None) and event.run_id)
            for event in campaign.events(Packed())
        ]
    ids = [spec.run_id for spec in plan]
    assert [name for name, run_id in seen if run_id == ids[2]] == ["Started", "Progress", "Finished"]
    assert [pair for pair in seen if pair[1] != ids[2]] == [("Awaited", None), ("Adopted", ids[0]), ("Adopted", ids[1])]
    assert len(waits) == 1
    assert campaign.counts == {"ok": 1, "failed": 1, "skipped": 1}
    assert statuses(store) == {0: "ok", 1: "failed", 2: "skipped"}
    assert list(store.leases.iterdir()) == []


def test_what_a_command_leaves_that_ends_is_done_by_the_other(plan, tmp_path, monkeypatch):
    store = Store(tmp_path / "results")
    with begin(plan, store) as campaign:
        other = Other(plan[:2], store)
        other.step()
        monkeypatch.setattr("bench.runs.campaign.time.sleep", lambda seconds: other.events.close())
        started = [event.spec.seed for event in campaign.events(Packed()) if isinstance(event, Started)]
    assert started == [2, 0, 1]
    assert statuses(store) == {0: "ok", 1: "failed", 2: "skipped"}


def test_a_stop_ends_the_waiting_and_leaves_the_others_alone(plan, tmp_path, monkeypatch):
    store, packed = Store(tmp_path / "results"), Packed()
    with begin(plan, store) as campaign:
        other = Other(plan[:2], store)
        other.step()
        monkeypatch.setattr("bench.runs.campaign.time.sleep", lambda seconds: packed.stop.ask(2))
        list(campaign.events(packed))
        assert campaign.left == 2
        assert statuses(store) == {0: "started", 2: "skipped"}
        other.finish()
    assert statuses(store) == {0: "ok", 1: "failed", 2: "skipped"}


def test_what_another_command_ended_since_the_folder_was_read_is_not_done_again(plan, tmp_path):
    store = Store(tmp_path / "results")
    with begin(plan, store) as campaign:
        Other(plan[:2], store).finish()
        events = list(campaign.events(Packed()))
    assert [event.run_id for event in events if isinstance(event, Adopted)] == [spec.run_id for spec in plan[:2]]
    assert [event.spec.seed for event in events if isinstance(event, Started)] == [2]


class Late(Packed):
    """All its runs fail, after somebody who took it for dead has done the first."""

    ENDINGS = ("failed",) * 3

    def __init__(self, store):
        super().__init__()
        self.store = store

    def execute(self, specs, claim):
        for event in super().execute(specs, claim):
            if isinstance(event, Finished) and event.record.spec.seed == 0:
                self.store.write(RunRecord(event.record.spec, "ok"))
            yield event


def test_what_another_commands_timeout_ended_is_tried_here(plan, tmp_path):
    store = Store(tmp_path / "results")
    with begin(plan, store) as campaign:
        for spec, reason in zip(
            plan, ("it took longer than the timeout of 6 s; it did not react", "no luck"), strict=False
        ):
            store.write(RunRecord(spec, "failed", reason=reason))
        events = list(campaign.events(Packed()))
    assert [event.spec.seed for event in events if isinstance(event, Started)] == [0, 2]
    assert [event.record.reason for event in events if isinstance(event, Adopted)] == ["no luck"]


def test_a_failure_replaces_no_finished_record(plan, tmp_path):
    store = Store(tmp_path / "results")
    with begin(plan, store) as campaign:
        list(campaign.events(Late(store)))
        assert campaign.counts == {"ok": 1, "failed": 2}
    assert statuses(store) == {0: "ok", 1: "failed", 2: "failed"}


def test_while_nothing_can_be_claimed_it_waits(plan, tmp_path, monkeypatch):
    """As after one who died between two writes: nobody holds the run, and it cannot be taken yet."""
    store, naps = Store(tmp_path / "results"), []
    with begin(plan, store) as campaign:
        take = campaign._leases.take
        monkeypatch.setattr(campaign._leases, "take", lambda name: len(naps) > 2 and take(name))
        monkeypatch.setattr("bench.runs.campaign.time.sleep", naps.append)
        list(campaign.events(Packed()))
        assert campaign.left == 0
    assert naps == [1.0] * 3


def test_who_shares_with_nobody_waits_for_a_command_that_has_nothing_to_do_yet(plan, tmp_path):
    store = Store(tmp_path / "results")
    with begin(plan, store), pytest.raises(UsageError, match="a 'bench run' is working in"), store.alone():
        pass
    with store.alone():
        pass


def test_a_run_that_failed_before_is_tried_again(plan, tmp_path):
    store = Store(tmp_path / "results")
    store.open()
    store.write(RunRecord(plan[0], "failed", reason="long ago"))
    with begin(plan, store) as campaign:
        assert [event.spec.seed for event in campaign.events(Packed()) if isinstance(event, Started)] == [0, 1, 2]


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

    def execute(self, specs, claim):
        for index, event in enumerate(super().execute(specs, claim)):
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
    assert statuses(store) == {1: "failed", 2: "skipped"}


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
    for whole in (None, plan):
        refused = pytest.raises(
            UsageError, match=r"it has schema 99.*install that version to read it\. Or choose another"
        )
        with refused, begin(plan, store, whole):
            pass


def test_of_each_seed_the_longest_runs_come_first(make_spec):
    names = [REAL_DATA, "quick", "unknown", "slow", "slower"]
    plan = [make_spec(model=name, seed=seed) for seed in (0, 1) for name in names]
    own = {(spec.preset_label, spec.task_label, spec.label, "cpu"): 1.0 for spec in plan if spec.model != "unknown"}
    for spec in plan:
        if spec.model.startswith("slow"):
            own[spec.preset_label, spec.task_label, spec.label, "cpu"] = float(len(spec.model))
    ordered = longest_first(plan, Costs(own, {}, 1.0))
    wanted = [REAL_DATA, "slower", "slow", "quick", "unknown"]
    assert [(spec.seed, spec.model) for spec in ordered] == [(seed, name) for seed in (0, 1) for name in wanted]
    assert longest_first(plan, Costs({}, {}, 1.0)) == plan
