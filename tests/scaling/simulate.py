"""What a campaign of 10,000 runs would take on 100 to 1,000 workers, and where it would break first.

``python tests/scaling/simulate.py --output results/scaling`` measures, on this machine, what the driver does for a run
and for a message, and simulates the rest by events: how long runs take is that of ``bench/plans/costs.csv`` (measured),
the order in which they are handed out is that of the executors' own queue, and nodes fail at random. It takes minutes.
"""

from __future__ import annotations

import argparse
import csv
import heapq
import io
import itertools
import json
import random
import statistics
import tarfile
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bench.plans.costs import Costs
from bench.records.record import RunRecord, RunSpec, from_json
from bench.records.store import Store
from bench.runs.executors.queue import Queue

ROOT = Path(__file__).parents[2]
RUNS = 10_000
WORKERS = (100, 200, 500, 1_000)
TIMES = (1, 60)
"""How many times as long runs take: as measured in ``quick``, and a minute for each second."""
A_NODE = 10
"""Workers on a node: they fail together."""
NODE_HOURS = 24.0
"""Mean hours until a node fails."""
BACK_SECONDS = 120.0
"""Until a node is replaced."""
SAVED_SECONDS = 15.0
"""Between two saved states (bench.runs.checkpoints)."""
LEAST_SECONDS = 0.5
"""Of any run, whose table has whole tenths."""
START_SECONDS = 5.0
"""Of a run's process, where it is done again."""
SEED = 0
ORDERS = ("seeds", "longest", "longest of all")


@dataclass(frozen=True)
class Outcome:
    """A simulated campaign.

    Attributes:
        makespan: Seconds from the first start to the last end.
        bound: The least that any order could take without failures: all work evenly divided, or the longest run.
        work: Seconds of all runs.
        lost: Seconds of work that failures undid.
        failures: Nodes that failed.
    """

    makespan: float
    bound: float
    work: float
    lost: float
    failures: int


def plan(template: RunSpec, costs: Costs, runs: int = RUNS) -> list[RunSpec]:
    """So many runs of all models and tasks of ``quick`` that were timed, seed after seed within a task."""
    timed = [(task, model) for preset, task, model in costs.shipped if preset == "quick"]
    tasks = list(dict.fromkeys(task for task, _ in timed))
    seeds = -(-runs // len(timed))
    listed = [
        replace(template, task=task, model=model, seed=seed, task_stream=task, preset="quick", overrides={}, tuning={})
        for task in tasks
        for seed in range(seeds)
        for one, model in timed
        if one == task
    ]
    return listed[:runs]


def simulate(specs: Sequence[RunSpec], seconds: Callable[[RunSpec], float], workers: int, order: str) -> Outcome:
    """Hand out the runs as executors do, in simulated time.

    Args:
        specs: The runs.
        seconds: How long each takes.
        workers: Their number.
        order: ``seeds``: by the executors' queue, workers keep to a seed; ``longest``: the same, each seed's longest
            runs first; ``longest of all``: whatever is longest, without regard for what runs of a seed share.
    """
    nodes = [Node(random.Random(f"{SEED} {number}")) for number in range(-(-workers // A_NODE))]
    if order == "longest":
        specs = [spec for _, seed in _seeds(specs) for spec in sorted(seed, key=seconds, reverse=True)]
    queue = Queue(sorted(specs, key=seconds, reverse=True) if order == "longest of all" else specs)
    last: dict[int, RunSpec | None] = dict.fromkeys(range(workers))
    doing: dict[int, RunSpec] = {}
    again: list[tuple[RunSpec, float]] = []
    free = [(0.0, worker) for worker in range(workers)]
    heapq.heapify(free)
    end = lost = 0.0
    while free:
        now, worker = heapq.heappop(free)
        doing.pop(worker, None)
        down = nodes[worker // A_NODE].fails_after(now)
        if again:
            spec, left = again.pop()
            left += START_SECONDS
        else:
            keeps = None if order == "longest of all" else last[worker]
            found = queue.take(keeps, {each.stream for each in doing.values()})
            if found is None:
                continue
            spec, left = found, seconds(found)
        last[worker], doing[worker] = spec, spec
        if now + left <= down:
            end = max(end, now + left)
            heapq.heappush(free, (now + left, worker))
            continue
        done = down - now
        kept = done - done % SAVED_SECONDS
        lost += done - kept
        again.append((spec, left - kept))
        heapq.heappush(free, (down + BACK_SECONDS, worker))
    work = sum(map(seconds, specs))
    failures = sum(moment < end for node in nodes for moment in node.failures)
    return Outcome(end, max(work / workers, *map(seconds, specs)), work, lost, failures)


class Node:
    """A node that fails at random moments; nothing is known of them beforehand."""

    def __init__(self, rng: random.Random) -> None:
        self._rng, self.failures = rng, [0.0]
        self.failures[0] = self._next(0.0)

    def fails_after(self, now: float) -> float:
        """The moment of its next failure."""
        while self.failures[-1] <= now:
            self.failures.append(self._next(self.failures[-1]))
        return next(moment for moment in self.failures if moment > now)

    def _next(self, before: float) -> float:
        return before + self._rng.expovariate(1 / (NODE_HOURS * 3600))


def _seeds(specs: Sequence[RunSpec]) -> list[tuple[str, list[RunSpec]]]:
    return [(stream, list(each)) for stream, each in itertools.groupby(specs, key=lambda spec: spec.stream)]


def measured(record: RunRecord, folder: Path, runs: int) -> dict[str, float]:
    """Seconds of this machine: of the driver for a run, of reading so many records, and of a report on them."""
    from bench.analysis.results import Results
    from bench.reports import write_reports
    from bench.runs.campaign import Campaign

    store = Store(folder)
    store.open()
    records = [replace(record, spec=replace(record.spec, seed=seed)) for seed in range(runs)]
    campaign = Campaign([each.spec for each in records[:300]], store)
    since = time.perf_counter()
    for each in records[:300]:
        campaign._claim(each.spec)
        store.begin(each.spec)
        store.write(each)
        campaign._leases.release(each.spec.run_id)
    a_run = (time.perf_counter() - since) / 300
    campaign.close()
    for each in records[300:]:
        store.write(each)
    since = time.perf_counter()
    store.scan()
    scan = time.perf_counter() - since
    since = time.perf_counter()
    frames = store.load()
    load = time.perf_counter() - since
    since = time.perf_counter()
    write_reports(Results.of(frames), folder)
    report = time.perf_counter() - since
    return {"a run": a_run, "scan": scan, "load": load, "report": report}


def desk_rate() -> float | None:
    """Messages a second that the driver's actor takes on a Ray of this machine; None without Ray."""
    import os

    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    try:
        import ray
    except ImportError:
        return None
    from bench.runs.executors.ray import Desk

    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    try:
        desk = ray.remote(Desk).remote()
        ray.get(desk.collect.remote())
        message = (1, "progress", "adversarial", 17, 200, {"reward": 0.123, "loss": 4.56})
        since = time.perf_counter()
        ray.get([desk.tell.remote("0123456789ab", message) for _ in range(5_000)])
        seconds = time.perf_counter() - since
        ray.get(desk.collect.remote())
        return 5_000 / seconds
    finally:
        ray.shutdown()


def draw(rows: Sequence[dict[str, object]]) -> bytes:
    """Makespan by workers, and over the least possible, for each order."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4), layout="constrained")
    panels = figure.subplots(1, len(TIMES), sharey=True)
    mean = {1: "runs of 8 s on average", 60: "runs of 8 min on average"}
    for axes, times in zip(panels, TIMES, strict=True):
        for order, marker in zip(ORDERS, "os^", strict=True):
            own = [row for row in rows if (row["times"], row["order"]) == (times, order)]
            over = [100 * (float(str(row["over"])) - 1) for row in own]
            axes.plot([row["workers"] for row in own], over, marker=marker, label=order)
        axes.set(xscale="log", xlabel="workers", title=f"10,000 {mean[times]}")
        axes.set_xticks(WORKERS, [f"{workers:,}" for workers in WORKERS])
        axes.minorticks_off()
    panels[0].set_ylim(bottom=0)
    panels[0].set_ylabel("percent longer than the least possible")
    panels[0].legend(title="order", fontsize=8)
    image = io.BytesIO()
    figure.set_dpi(120)
    FigureCanvasAgg(figure).print_png(image, metadata={"Software": None})
    return image.getvalue()


def main() -> None:
    """Measure, simulate, write ``scaling.csv``, ``scaling.json`` and ``scaling.png``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--measured", type=Path, help="an earlier scaling.json, whose measurements are used again")
    output, earlier = parser.parse_args().output, parser.parse_args().measured
    output.mkdir(parents=True, exist_ok=True)
    with tarfile.open(ROOT / "results" / "records.tar.gz") as packed:
        name = next(name for name in packed.getnames() if "oracle.seqgan.quick.s0" in name)
        text = packed.extractfile(name)
        assert text is not None
        record = from_json(text.read().decode())
    costs = Costs.here({})
    specs = plan(record.spec, costs)
    known = {
        (spec.task, spec.model): found
        for spec in specs
        if (found := costs.shipped.get(("quick", spec.task, spec.model))) is not None
    }

    def seconds(spec: RunSpec) -> float:
        return max(LEAST_SECONDS, known[spec.task, spec.model])

    if earlier is None:
        with tempfile.TemporaryDirectory() as folder:
            facts = measured(record, Path(folder), RUNS)
        facts["desk messages a second"] = desk_rate() or 0.0
    else:
        facts = json.loads(earlier.read_text(encoding="utf-8"))
    rate = facts["desk messages a second"]
    rows = []
    for times, workers in itertools.product(TIMES, WORKERS):
        for order in ORDERS:
            found = simulate(specs, lambda spec, times=times: times * seconds(spec), workers, order)
            runs = len(specs) / found.makespan
            row = {
                "times": times,
                "workers": workers,
                "order": order,
                "makespan": found.makespan,
                "bound": found.bound,
                "over": found.makespan / found.bound,
                "failures": found.failures,
                "lost": found.lost,
                "runs_a_second": runs,
                "driver_busy": runs * facts["a run"],
                "desk_busy": 2 * workers / rate if rate else None,
            }
            rows.append({name: round(value, 4) if isinstance(value, float) else value for name, value in row.items()})
            print(rows[-1], flush=True)
    with (output / "scaling.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0].keys(), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    mean = statistics.mean(map(seconds, specs))
    facts |= {"runs": len(specs), "mean run": mean}
    facts["longest run"] = max(map(seconds, specs))
    (output / "scaling.json").write_text(
        json.dumps({name: round(value, 5) for name, value in facts.items()}, indent=1) + "\n"
    )
    (output / "scaling.png").write_bytes(draw(rows))
    print(facts)


if __name__ == "__main__":
    main()
