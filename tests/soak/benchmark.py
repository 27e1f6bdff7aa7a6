"""The small benchmark that is disturbed, what two of its results must share, and what a trial says about it."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import bench
from bench.records.record import RunRecord
from bench.records.store import Store

MARK = "SEQGAN_BENCH_SOAK"
"""A variable in the environment of a trial, by which all processes are found that it started."""
SETTINGS = (
    *("toy.train_size=64", "toy.valid_size=20", "toy.test_size=30", "toy.draw=0"),
    *("mle.epochs=2", "seqgan.pretrain_epochs=2", "seqgan.rounds=2"),
)
GOOD = ("identical", "noticed", "harmless", "contained", "skipped")
"""Outcomes of trials that nobody need look at."""


@dataclasses.dataclass(frozen=True)
class Trial:
    """One disturbance and what came of it.

    Attributes:
        group: The row of the table in which it is counted.
        name: Which disturbance.
        outcome: "identical" results, damage that was "noticed" or is "harmless", a fault that was "contained";
            "different" results, "corrupt" files, left for a person to mend "by hand", "outlived" by a process,
            "unclear" in what it told the user; or "skipped".
        detail: Why, where it is not good.
    """

    group: str
    name: str
    outcome: str
    detail: str = ""

    @property
    def is_good(self) -> bool:
        """Whether all is as it must be."""
        return self.outcome in GOOD


class Case(NamedTuple):
    """A trial that is still to be done, by its name."""

    name: str
    do: Callable[[], Trial]


def arguments(models: str, output: Path, workers: int, *more: str) -> list[str]:
    """The command line of the benchmark, after ``bench``."""
    settings = [part for setting in SETTINGS if setting.split(".")[0] in ("toy", *models.split(","))
                for part in ("--set", setting)]  # fmt: skip
    fixed = ("--tasks", "toy", "--preset", "smoke", "--seeds", "1", "--temperatures", "none")
    return ["run", "--models", models, *fixed, *settings, "--output", str(output), "--workers", str(workers), *more]


def essence(record: RunRecord) -> dict[str, Any]:
    """What must not depend on when, where and how fast a run was done."""
    content = json.loads(json.dumps(dataclasses.asdict(record)))
    for name in ("started", "finished", "environment"):
        del content[name]
    for scores in (*content["scores"].values(), *content["frontier"].values()):
        for score in scores:
            if score["kind"] == "cost":
                score["value"] = score["absent"] = score["signature"] = None
    for row in content["curve"]:
        del row["seconds"]
    return content


def results(folder: Path) -> dict[str, dict[str, Any]]:
    """The essence of every record that can be read, by the model."""
    return {record.spec.label: essence(record) for record in Store(folder).records()}


def differences(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    """Which of the wanted records are not as they should be, and in what; "" where all are."""
    wrong = []
    for model, record in wanted.items():
        other = found.get(model)
        if other is None:
            wrong.append(f"{model} is missing")
        elif other != record:
            parts = [f"{name}={other[name]!r}"[:200] for name in record if other[name] != record[name]]
            wrong.append(f"{model} differs in {', '.join(parts)}")
    return "; ".join(wrong)


def damage(folder: Path) -> str:
    """What is not whole in a results folder at this moment; "" where all is."""
    from bench.runs.checkpoints import CheckpointFolder

    store = Store(folder)
    if not store.runs.is_dir():
        return ""
    wrong = [str(each) for each in store.scan()[1]]
    states = CheckpointFolder(store.checkpoints)
    for file in store.checkpoints.glob("*.safetensors"):
        wrong += [f"{each.file.name} {each.reason}" for each in states.load(file.name.partition(".")[0]).damage]
    return "; ".join(wrong)


def leftovers(folder: Path) -> str:
    """Files that nobody needs any more; "" for none."""
    kinds = ("**/.*.partial", "**/*.damaged")
    return ", ".join(str(file.relative_to(folder)) for kind in kinds for file in folder.glob(kind))


def living(mark: str) -> list[int]:
    """The processes that a trial started and that still run."""
    wanted = f"{MARK}={mark}".encode()
    return [pid for pid, process in _processes() if wanted in _read(process / "environ").split(b"\0")
            and b") Z" not in _read(process / "stat")]  # fmt: skip


def workers_of(mark: str) -> list[int]:
    """The worker processes among them."""
    return [pid for pid in living(mark) if b"spawn_main" in _read(Path(f"/proc/{pid}/cmdline"))]


def _processes() -> Iterator[tuple[int, Path]]:
    yield from ((int(process.name), process) for process in Path("/proc").iterdir() if process.name.isdigit())


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:
        return b""


def environment(mark: str = "", **more: str) -> dict[str, str]:
    """The environment of a trial's processes, which import what is tested here."""
    tested = str(Path(bench.__file__).parents[1])
    path = os.pathsep.join(filter(None, (tested, os.environ.get("PYTHONPATH", ""))))
    fixed = {"PYTHONPATH": path, "PYTHONUNBUFFERED": "1", "OMP_NUM_THREADS": "1", "COLUMNS": "200", MARK: mark}
    return {**os.environ, **fixed, **more}


def command(*words: str) -> list[str]:
    """The command line of ``bench`` in a process of its own."""
    return [sys.executable, "-m", "bench", *words]
