"""Runs on a Ray cluster of several nodes on this machine: the same records, whatever dies."""

import dataclasses
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from bench.errors import UsageError
from bench.plans.plan import Request, make_plan
from bench.plans.registry import forget
from bench.records.store import Store
from bench.runs.campaign import Cluster, begin, executor
from bench.runs.executors.base import Finished, Progress, Started, Stopping, Warned
from bench.runs.stopping import Stop

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'seqgan-bench[ray]'")
on_ray = pytest.importorskip("bench.runs.executors.ray")
pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="several nodes on one machine are for Linux"),
    pytest.mark.filterwarnings("ignore"),  # Ray's own
]

PLUGIN = '''
"""Somebody's generator, which takes its time and is another with each step."""

import dataclasses
import time

import torch

from bench.api import Count


class Words(torch.nn.Module):
    def __init__(self, spec):
        super().__init__()
        self.spec, self.weight = spec, torch.nn.Parameter(torch.zeros(spec.vocab_size), requires_grad=False)

    def sample(self, n, decoding, rng):
        law = torch.softmax(self.weight / decoding.temperature, -1)
        return torch.multinomial(law, n * self.spec.seq_len, replacement=True, generator=rng).view(n, -1)


@dataclasses.dataclass(frozen=True)
class Steady:
    steps: Count = 3
    pause: float = 0.0

    def fit(self, data, run):
        words = Words(data.spec)
        run.track(words, words=words)
        for _ in run.phase("steps", self.steps):
            words.weight += torch.randn(words.weight.shape, generator=run.rng("steps")) / 10
            time.sleep(self.pause)
        return words
'''
OWN = "own_on_ray:Steady"
SMALL = ("toy.train_size=64", "toy.valid_size=20", "toy.test_size=30")
LONG = (f"{OWN}.steps=120", f"{OWN}.pause=0.2")
"""Twenty-four seconds, of which a state is saved after fifteen."""


@pytest.fixture(scope="module")
def stranger(tmp_path_factory):
    """The folder of somebody's module, where only the driver looks for modules."""
    folder = tmp_path_factory.mktemp("stranger")
    (folder / "own_on_ray.py").write_text(PLUGIN, encoding="utf-8")
    sys.path.insert(0, str(folder))
    forget()
    yield folder
    sys.path.remove(str(folder))


@pytest.fixture
def cluster():
    """A cluster without places for runs, to which nodes are added."""
    from ray.cluster_utils import Cluster as Nodes

    nodes = Nodes(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    yield nodes
    ray.shutdown()
    nodes.shutdown()


def plan_of(models, seeds, *settings):
    return make_plan(
        Request(models, ["toy"], seeds=seeds, preset="smoke", settings=(*SMALL, *settings), temperatures=())
    )


def found(store):
    """What runs found, without when, where and how fast."""
    return {
        record.spec.run_id: (
            record.status,
            record.reason,
            record.samples,
            [(row["phase"], row["step"], row["scalars"]) for row in record.curve],
            {
                name: [(score.metric, score.value) for score in scores if score.kind == "quality"]
                for name, scores in record.scores.items()
            },
        )
        for record in store.records()
    }


def alone(plan, folder):
    """What the runs find in this process."""
    store = Store(folder)
    with begin(plan, store) as campaign:
        list(campaign.events(executor(store, 0, lambda event: None)))
    return found(store)


def on(address, store, **options):
    return executor(store, 1, lambda event: None, cluster=Cluster(address, options.pop("most", None)), **options)


def do(plan, store, doing, see=lambda event: None):
    """All events of the plan's runs."""
    seen = []
    with begin(plan, store) as campaign, closing(campaign.events(doing)) as events:
        for event in events:
            seen.append(event)
            see(event)
    return seen


def processes(title):
    """Numbers of the processes of this machine that do such a task."""
    files = Path("/proc").glob("[0-9]*/cmdline")
    return [int(file.parent.name) for file in files if _content(file).startswith(f"ray::{title}")]


def _content(file):
    try:
        return file.read_text(errors="replace")
    except OSError:
        return ""


def saved(store):
    return list(store.checkpoints.glob("*.safetensors"))


def test_a_cluster_makes_the_records_of_one_process(cluster, stranger, tmp_path):
    """Two nodes; several models share a pre-training, and are there from the start."""
    for _ in range(2):
        cluster.add_node(num_cpus=1)
    plan = plan_of(["mle", "seqgan", "pg-bleu", OWN], 2)
    store, doing, submitted = Store(tmp_path / "cluster"), on(cluster.address, Store(tmp_path / "cluster")), []
    submit = doing._submit
    doing._submit = lambda ray, task, mark: (submitted.append(task.spec.run_id), submit(ray, task, mark))
    seen = do(plan, store, doing)
    assert len(submitted) <= len(plan) + 8  # what waits for a training comes again when that may be over, not before
    assert found(store) == alone(plan, tmp_path / "alone")
    for kind in (Started, Finished):
        assert sorted(event.run_id for event in seen if isinstance(event, kind)) == sorted(spec.run_id for spec in plan)
    assert any(isinstance(event, Progress) for event in seen)
    assert not [file for file in store.checkpoints.iterdir() if file.name.startswith(".")]
    assert list(store.leases.iterdir()) == []


@pytest.mark.slow
def test_nodes_that_share_no_folder_make_the_same_records(cluster, stranger, tmp_path, monkeypatch):
    monkeypatch.setattr(on_ray, "_leave", lambda mark: mark.parent.mkdir(exist_ok=True))  # so that no node finds it
    nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]
    plan = plan_of(["mle", "pg-bleu"], 2)
    store = Store(tmp_path / "cluster")
    doing = on(cluster.address, store)
    do(plan, store, doing)
    assert found(store) == alone(plan, tmp_path / "alone")
    assert saved(store) == []
    assert set(doing._homes) == {spec.stream for spec in plan}
    assert set(doing._homes.values()) <= {node.node_id for node in nodes}


@pytest.mark.slow
def test_what_takes_too_long_and_what_fails_costs_one_run(cluster, stranger, tmp_path):
    cluster.add_node(num_cpus=2)
    plan = [
        *plan_of([OWN], 1, f"{OWN}.steps=1000", f"{OWN}.pause=0.1"),
        *plan_of([OWN], 1, f"{OWN}.steps=3", f"{OWN}.pause=-1.0"),
    ]
    plan = [spec for spec in plan if spec.target]
    store = Store(tmp_path / "cluster")
    do(plan, store, on(cluster.address, store, timeout=3.0))
    reasons = [store.read(spec).reason for spec in plan]
    assert reasons[0] == "it took longer than the timeout of 3 s"
    assert "sleep length must be non-negative" in reasons[1]


@pytest.mark.slow
@pytest.mark.parametrize("has", [{"num_cpus": 0}, {"num_cpus": 1}], ids=["no processor", "no GPU"])
def test_a_cluster_that_can_never_do_a_run_is_refused(has, cluster, tmp_path):
    cluster.add_node(**has)
    plan = [dataclasses.replace(spec, device="cuda" if has["num_cpus"] else "cpu") for spec in plan_of(["mle"], 1)]
    store = Store(tmp_path / "cluster")
    with pytest.raises(UsageError, match="no node of the Ray cluster has a processor"):
        do(plan, store, on(cluster.address, store))
    assert not ray.is_initialized()


@pytest.mark.slow
def test_a_node_of_another_torch_does_nothing(cluster, tmp_path):
    cluster.add_node(num_cpus=1)
    plan = [dataclasses.replace(spec, torch="1.0") for spec in plan_of(["mle"], 1)][1:]
    store = Store(tmp_path / "cluster")
    do(plan, store, on(cluster.address, store))
    [record] = store.records()
    assert record.status == "failed"
    assert re.match(r"its node has torch 2.*, and the run was planned with 1\.0", record.reason)


def test_the_code_is_sent_along(stranger):
    paths = on_ray._code(plan_of(["mle", OWN], 1))
    names = [Path(path).name for path in paths]
    assert {"bench", "seqgan", "baselines", "own_on_ray.py"} <= set(names)
    assert any(re.fullmatch(r"seqgan_bench-.*\.dist-info", name) for name in names)


def test_without_a_cluster_it_is_said(bench, tmp_path):
    command = (
        "run",
        "--models",
        "mle",
        "--tasks",
        "toy",
        "--preset",
        "smoke",
        "--seeds",
        "1",
        "--output",
        tmp_path / "r",
    )
    for arguments, said in (
        (("--executor", "ray", "--address", "127.0.0.1:1"), "cannot reach a Ray cluster at '127.0.0.1:1'"),
        (("--address", "auto"), "--address is that of a Ray cluster: add --executor ray."),
        (("--executor", "ray", "--workers", "0"), "--workers 0 is this process alone"),
        (("--executor", "ray", "--device", "cuda:1"), "a Ray cluster chooses the devices itself"),
    ):
        answer = bench(*command, *arguments)
        assert (answer.code, said in answer.err) == (2, True), answer


@pytest.mark.slow
def test_a_node_and_a_process_that_are_lost_cost_only_what_was_not_saved(cluster, stranger, tmp_path):
    """Three nodes; one is killed in the middle of a training whose state was saved, a process on another one, too."""
    nodes = [cluster.add_node(num_cpus=1) for _ in range(3)]
    plan = [spec for spec in plan_of([OWN], 4, *LONG) if spec.target]
    store, killed = Store(tmp_path / "cluster"), []

    def see(event):
        if len(saved(store)) >= 3 and not killed:
            killed.append("node")
            own = ray.get_runtime_context().get_node_id()  # a driver dies with its own node
            cluster.remove_node(next(node for node in nodes if node.node_id != own), allow_graceful=False)
        if isinstance(event, Warned) and killed == ["node"]:
            pids = processes(plan[0].task_label)
            if pids:
                killed.append("process")
                os.kill(pids[0], signal.SIGKILL)

    seen = do(plan, store, on(cluster.address, store), see)
    assert killed == ["node", "process"]
    lost = [event.run_id for event in seen if isinstance(event, Warned)]
    assert len(lost) == 2
    assert {record.status for record in store.records()} == {"ok"}
    for run_id in lost:
        events = [event for event in seen if getattr(event, "run_id", None) == run_id]
        index = max(index for index, event in enumerate(events) if isinstance(event, Warned))
        first = next(event for event in events[index:] if isinstance(event, Progress) and event.phase == "steps")
        assert first.done > 60  # it goes on from what was saved after 15 of 24 seconds
    quick = [spec for spec in plan_of([OWN], 4, LONG[0]) if spec.target]  # the pause changes no number
    assert _numbers(found(store)) == _numbers(alone(quick, tmp_path / "alone"))


@pytest.mark.slow
def test_a_driver_that_is_killed_or_stopped_continues(cluster, stranger, tmp_path):
    for _ in range(2):
        cluster.add_node(num_cpus=1)
    store = Store(tmp_path / "cluster")
    command = [
        *(sys.executable, "-m", "bench", "run", "--models", OWN, "--tasks", "toy", "--preset", "smoke", "--seeds", "2"),
        *("--temperatures", "none", "--executor", "ray", "--address", cluster.address, "--output", str(store.path)),
        *(word for setting in (*SMALL, *LONG) for word in ("--set", setting)),
    ]
    root = Path(__file__).parents[3]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(root), str(stranger)])}

    def start():
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    for number, code in ((signal.SIGKILL, -9), (signal.SIGTERM, 143)):
        driver, since = start(), time.monotonic()
        while not (saved(store) and len(processes("toy")) == 2 and time.monotonic() - since > 12):
            assert driver.poll() is None, driver.communicate()
            assert time.monotonic() - since < 120
            time.sleep(0.2)
        driver.send_signal(number)
        said = driver.communicate()[0]
        assert driver.returncode == code, said
        until = time.monotonic() + 30
        while processes("toy") and time.monotonic() < until:
            time.sleep(0.2)
        assert not processes("toy")
    driver = start()
    said = driver.communicate()[0]
    assert driver.returncode == 0, said
    assert "4 ok, 0 skipped, 0 failed" in said
    quick = plan_of([OWN], 2, LONG[0])
    assert _numbers(found(store)) == _numbers(alone(quick, tmp_path / "alone"))


@pytest.mark.slow
def test_a_stop_saves_and_starts_nothing_more(cluster, stranger, tmp_path):
    cluster.add_node(num_cpus=1)
    plan = [spec for spec in plan_of([OWN], 3, *LONG) if spec.target]
    store, stop = Store(tmp_path / "cluster"), Stop()

    def see(event):
        if isinstance(event, Progress) and event.done > 20:
            stop.signal = signal.SIGTERM

    seen = do(plan, store, on(cluster.address, store, stop=stop), see)
    assert sum(isinstance(event, Stopping) for event in seen) == 1
    assert not any(isinstance(event, Finished) for event in seen)
    assert len(saved(store)) == 1
    assert {record.status for record in store.records()} == {"interrupted"}


def _numbers(rows):
    """What was found, whatever the ids are: they depend on the pause."""
    return sorted(str(row) for row in rows.values())
