"""Runs that train together are the runs that they are alone: records, states, failures and stops are each one's own."""

import os
import threading
import time
from contextlib import contextmanager
from dataclasses import replace

import pytest

from bench.analysis.results import Results
from bench.plans.plan import Request, make_plan
from bench.records.frames import REAL_DATA
from bench.records.record import RunRecord
from bench.records.store import Store
from bench.runs import runner, together
from bench.runs.checkpoints import CheckpointFolder
from bench.runs.executors import processes
from bench.runs.executors.base import WAITING, Finished, Progress, Started, Stopping
from bench.runs.executors.processes import ProcessExecutor
from bench.runs.executors.queue import Queue
from bench.runs.executors.serial import SerialExecutor
from bench.runs.runner import Watcher
from bench.runs.stopping import Stop
from bench.runs.streams import named_stream
from bench.runs.together import run_together

PLUGINS = """
import os, signal, time
from dataclasses import dataclass

import torch

from seqgan.mle import MLE


@dataclass(frozen=True)
class Fails(MLE):
    def fit(self, data, run):
        model = super().fit(data, run)
        if run.rng("luck").initial_seed() == int(os.environ["UNLUCKY"]):
            raise ArithmeticError("no luck")
        return model


@dataclass(frozen=True)
class Global(MLE):
    def fit(self, data, run):
        model = super().fit(data, run)
        with torch.no_grad():
            model.output.bias += 0.1 * torch.randn(len(model.output.bias))
        return model


@dataclass(frozen=True)
class Dies(MLE):
    def fit(self, data, run):
        for _ in run.phase("die", 1):
            os.kill(os.getpid(), signal.SIGKILL)


@dataclass(frozen=True)
class Hangs(MLE):
    def fit(self, data, run):
        for _ in run.phase("hang", 3):
            time.sleep(600)


@dataclass(frozen=True)
class Counts(MLE):
    def fit(self, data, run):
        model = super().fit(data, run)
        for _ in run.phase("count", 6):
            time.sleep(0.1)
            with torch.no_grad():
                model.output.bias += torch.rand(1, generator=run.rng("steps"))
        return model
"""
SETTINGS = ("toy.train_size=64", "toy.valid_size=20", "toy.test_size=30")
QUICK = replace(Request((), ("toy",), ("all",), 3, "smoke", SETTINGS), pack=4)


def plan(*models, **more):
    """The seeds of each model, without the real data."""
    specs = make_plan(replace(QUICK, models=models, **more))
    return [spec for spec in specs if spec.model != REAL_DATA]


def done(specs, folder=None):
    """Records by seed."""
    states = CheckpointFolder(folder) if folder else None
    return {spec.seed: record for spec, record in run_together(specs, states, lambda spec: Watcher())}


def records(events):
    return {event.record.spec.seed: event.record for event in events if isinstance(event, Finished)}


def quality(record):
    return {
        checkpoint: [score for score in scores if score.kind == "quality"]
        for checkpoint, scores in record.scores.items()
    }


def assert_same(one, other):
    """The same bits."""
    assert one.spec == other.spec
    assert one.samples == other.samples
    assert quality(one) == quality(other)
    assert [row["scalars"] for row in one.curve] == [row["scalars"] for row in other.curve]


@contextmanager
def plugins_in(folder):
    (folder / "own_packed.py").write_text(PLUGINS)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.syspath_prepend("")
        yield


@pytest.fixture
def plugins(tmp_path):
    with plugins_in(tmp_path):
        yield tmp_path


@pytest.fixture(scope="module")
def packed():
    """SeqGAN, whose pre-training, policy gradient and discriminator take their steps together."""
    return done(plan("seqgan"))


def test_a_pack_is_part_of_what_a_run_is():
    (one, *_), (other, *_) = plan("seqgan"), plan("seqgan", pack=1)
    assert one.run_id != other.run_id
    assert one.fit_id != other.fit_id
    assert one.group_id != other.group_id
    assert one.label == other.label == "seqgan"  # what it is compared with is found by names
    assert "pack" not in other.execution


def test_a_model_that_cannot_is_trained_as_ever():
    for model in ("bigram", "mle-tuned", "cnn-mle"):
        assert [spec.run_id for spec in plan(model)] == [spec.run_id for spec in plan(model, pack=1)]


def test_all_that_go_on_from_the_same_pre_training_take_it_from_packs():
    """Otherwise they would not begin with the same checkpoint."""
    models = (
        *("mle", "scheduled-sampling", "seqgan", "constant-reward", "pg-bleu", "maligan", "rloo", "grpo"),
        *("residual-ebm", "mle-longer", "mle-tempered", "mle-ngram"),
    )
    assert {spec.model: spec.pack for spec in plan(*models)} == dict.fromkeys(models, 4)


def test_each_has_a_record_of_its_own(packed):
    assert sorted(packed) == [0, 1, 2]
    for seed, record in packed.items():
        assert record.status == "ok", record.traceback
        assert record.spec.seed == seed
        assert {"pretrained", "final"} <= record.scores.keys()


def test_whole_runs_are_nearly_those_of_each_alone(packed):
    """They differ by rounding, until one draw is another: then they agree in distribution."""
    alone = done(plan("seqgan", pack=1))
    for seed, record in packed.items():
        for checkpoint in ("pretrained", "final"):
            mine, its = (
                {score.metric: score.value for score in each.scores[checkpoint]} for each in (record, alone[seed])
            )
            assert mine["nll_test"] == pytest.approx(its["nll_test"], abs=0.02)
            assert mine["jsd_token"] == pytest.approx(its["jsd_token"], abs=0.03)
        assert [row["tokens"] for row in record.curve][:2] == [row["tokens"] for row in alone[seed].curve][:2]
        assert [row["updates"] for row in record.curve] == [row["updates"] for row in alone[seed].curve]


def test_a_run_gets_the_same_bits_whoever_is_beside_it(packed):
    specs = plan("seqgan")
    for some in ([specs[1]], [specs[2], specs[0]]):
        for seed, record in done(some).items():
            assert_same(record, packed[seed])


def test_workers_and_this_process_get_the_same(packed, tmp_path):
    specs = plan("seqgan")
    events = list(ProcessExecutor(1, tmp_path / "there").execute(specs))
    assert [event.spec for event in events[:3] if isinstance(event, Started)] == specs
    moved = {event.run_id for event in events if isinstance(event, Progress) and event.phase == "adversarial"}
    assert moved == {spec.run_id for spec in specs}
    there, here = records(events), records(SerialExecutor(tmp_path / "here").execute(specs))
    for seed, record in packed.items():
        assert_same(there[seed], record)
        assert_same(here[seed], record)


def test_two_workers_do_two_packs(tmp_path):
    """Seeds 0 and 4 have the same place in a pack of four, and so have 1 and 5."""
    events = list(ProcessExecutor(2, tmp_path / "states").execute(plan("mle", seeds=(0, 1, 4, 5))))
    packs = {}
    for event in events:
        if isinstance(event, Started):
            packs.setdefault(event.worker, set()).add(event.spec.seed)
    assert sorted(map(sorted, packs.values())) == [[0, 1], [4, 5]]
    assert {event.record.status for event in events if isinstance(event, Finished)} == {"ok"}


def test_a_run_outside_of_a_pack_is_refused():
    with pytest.raises(ValueError, match="expected a pack of 4 around a run that trains in one"):
        runner.run(plan("mle")[0])


def test_one_that_fails_costs_the_others_nothing(plugins, monkeypatch):
    specs = plan("own_packed:Fails")
    luck = [named_stream(spec.stream, "luck").initial_seed() for spec in specs]
    monkeypatch.setenv("UNLUCKY", str(luck[1]))
    found = done(specs)
    assert [found[seed].status for seed in range(3)] == ["ok", "failed", "ok"]
    assert found[1].reason == "ArithmeticError: no luck"


def test_one_that_draws_from_global_streams_gets_the_same_whoever_is_beside_it(plugins):
    specs = plan("own_packed:Global")
    beside = done(specs)
    assert_same(done([specs[1]])[1], beside[1])
    assert quality(beside[0]) != quality(beside[1])


def test_what_prepares_a_process_for_its_device_lasts(monkeypatch):
    """It is done once a process: what a pack puts back afterwards must not be that."""
    monkeypatch.delenv("PREPARED", raising=False)
    monkeypatch.setattr(together, "prepare", lambda device: os.environ.setdefault("PREPARED", device))
    done(plan("mle", seeds=1))
    assert os.environ["PREPARED"] == "cpu"


def test_the_time_in_which_all_that_are_left_wait_is_not_theirs(plugins):
    executor, (one, other, _) = ProcessExecutor(1, timeout=5.0), plan("mle")
    worker = processes.Worker(0, None, {each.run_id: each for each in (one, other)}, deadline=time.monotonic() + 5)
    executor._pause(worker, other.run_id, WAITING)
    assert worker.waiting is None  # the other one works
    list(executor._conclude(worker, {one.run_id: RunRecord(one, "failed", reason="it ended")}, Queue([])))
    assert worker.waiting is not None


def test_a_worker_that_was_stopped_does_not_go_on_though_its_last_run_ended_otherwise():
    class Dummy:
        ended = False

        def kill(self):
            self.ended = True

    executor, (one, other, _) = ProcessExecutor(1), plan("mle")
    worker = processes.Worker(0, Dummy(), {each.run_id: each for each in (one, other)})
    list(executor._conclude(worker, {one.run_id: None}, Queue([])))
    assert not worker.child.ended
    list(executor._conclude(worker, {other.run_id: RunRecord(other, "failed", reason="its own")}, Queue([])))
    assert worker.child.ended


def test_a_process_that_dies_costs_the_runs_of_its_pack_and_no_others(plugins):
    specs = [*plan("own_packed:Dies", seeds=2), *plan("mle", seeds=1)]
    events = list(ProcessExecutor(1, plugins / "states", plugins / "logs").execute(specs))
    found = {(event.record.spec.model, event.record.spec.seed): event.record for event in events
             if isinstance(event, Finished)}  # fmt: skip
    assert len(found) == 3
    for (model, _), record in found.items():
        assert record.status == ("ok" if model == "mle" else "failed")
        if model != "mle":
            assert record.reason.startswith("the worker process ended with signal SIGKILL")


def test_what_takes_too_long_is_ended_with_its_pack(plugins, monkeypatch):
    monkeypatch.setattr(processes, "GRACE_SECONDS", 0.5)
    found = records(ProcessExecutor(1, plugins / "states", timeout=2).execute(plan("own_packed:Hangs", seeds=2)))
    assert [record.status for record in found.values()] == ["failed", "failed"]
    assert all(record.reason.startswith("it took longer than the timeout of 2 s") for record in found.values())


@pytest.mark.parametrize("workers", [0, 1])
def test_asked_to_stop_they_save_their_states_and_continue_to_the_same_bits(workers, plugins):
    def executor(**more):
        states = plugins / "states"
        return ProcessExecutor(1, states, **more) if workers else SerialExecutor(states, **more)

    specs, stop, seen = plan("own_packed:Counts"), Stop(), []

    def see(event):
        seen.append(event)
        if isinstance(event, Progress) and event.phase == "count" and event.done == 2:
            stop.ask(15)

    for event in executor(stop=stop, **({} if workers else {"see": see})).execute(specs):
        see(event)
    assert any(isinstance(event, Stopping) for event in seen)
    assert not records(seen)
    states = CheckpointFolder(plugins / "states")
    for spec in specs:
        assert not states.load(spec.fit_id).state["complete"]
    again, whole = records(executor().execute(specs)), done(specs)
    for seed, record in whole.items():
        assert_same(again[seed], record)


def test_while_one_waits_for_a_training_elsewhere_the_others_end(tmp_path):
    states, specs = CheckpointFolder(tmp_path), plan("mle")
    lock = states.lock(specs[0].fit_id)
    waiting, ended = [], []

    def watcher(spec):
        def progress(phase, *_):
            if phase == WAITING:
                waiting.append(spec.seed)

        return Watcher(progress)

    def free():
        while len(ended) < 2:
            time.sleep(0.05)
        lock.release()

    # A file lock may be taken twice in one thread, so another one has it.
    taken = threading.Event()

    def hold():
        lock.acquire()
        taken.set()
        free()

    holder = threading.Thread(target=hold)
    holder.start()
    taken.wait()
    for spec, record in run_together(specs, states, watcher):
        assert record.status == "ok"
        ended.append(spec.seed)
    holder.join()
    assert waiting == [0]
    assert ended == [1, 2, 0]


def test_costs_of_packs_are_never_averaged_with_others(packed):
    costs = [score for score in packed[0].scores["final"] if score.kind == "cost"]
    assert costs
    assert all("|pack=4|" in score.signature for score in costs)


def test_packed_models_are_compared_with_what_others_are(tmp_path):
    """The reference of all, the control of rewards, and one that does not pack."""
    store = Store(tmp_path / "results")
    store.open()
    for model in ("mle", "seqgan", "constant-reward", "mle-tuned"):
        for record in done(plan(model)).values():
            store.write(record)
    found = Results.of(store.load()).answers
    of_seqgan = {each.verdict.reference for each in found if each.verdict.model == "seqgan"}
    assert of_seqgan == {"mle (its own pre-training)", "constant-reward", "mle-tuned"}


def test_costs_are_those_of_one(packed):
    """Of seconds each has its share: together they are no more than the process took."""
    since = time.perf_counter()
    found = done(plan("mle"))
    took = time.perf_counter() - since
    seconds = [
        score.value for record in found.values() for score in record.scores["final"] if score.metric == "seconds"
    ]
    assert len(seconds) == 3
    assert 0 < sum(seconds) < took


# Which runs are handed out together


def names(specs):
    return [(spec.model, spec.seed) for spec in specs]


def test_seeds_of_one_configuration_are_handed_out_together():
    queue, found = Queue(plan("mle", "ngram")), []
    while specs := queue.take_pack():
        found.append(names(specs))
    assert found == [
        [("mle", 0), ("mle", 1), ("mle", 2)], [("ngram", 0)], [("ngram", 1)], [("ngram", 2)],
    ]  # fmt: skip


def test_no_more_than_the_pack_and_none_twice_in_a_place():
    queue, found = Queue(plan("mle", pack=2, seeds=(0, 1, 2, 4, 5))), []
    while specs := queue.take_pack():
        found.append([spec.seed for spec in specs])
    assert found == [[0, 1], [2, 5], [4]]


def test_a_run_that_another_command_does_is_left_out_of_its_pack():
    specs = plan("mle")
    queue = Queue(specs, lambda spec: spec.seed != 1)
    assert names(queue.take_pack()) == [("mle", 0), ("mle", 2)]
    assert queue.take_pack() == ()


def test_runs_with_other_fields_are_no_pack():
    specs = [plan("mle")[0], plan("mle", settings=(*SETTINGS, "mle.lr=0.5"))[1]]
    queue = Queue(specs)
    assert [len(queue.take_pack()), len(queue.take_pack())] == [1, 1]


def test_the_environment_is_left_as_it_was():
    before = dict(os.environ)
    done(plan("mle"))
    assert dict(os.environ) == before
