"""Samples from a finished run: find it, restore its sampler, draw.

A finished training is restored as an interrupted one is resumed: ``fit`` runs again on the saved state, goes through
all its phases, and has nothing left to do. Here this is required: a generator that tracks parts and is about to take a
step is stopped with an error, because the user did not request a new training, which might not give the same model. A
generator that tracks no parts (it counts word pairs, or memorises the training set) keeps no state: it is fitted again
on the same data with the same random streams, step for step, which gives the same model.
"""

from __future__ import annotations

import string
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bench.api import Decoding, Execution, Generator, Sampler, Unsupported
from bench.errors import UsageError
from bench.plans import registry
from bench.plans.fields import build
from bench.records.frames import REAL_DATA
from bench.records.record import RunRecord, from_json
from bench.records.store import MADE_ANEW, Store
from bench.runs.checkpoints import CheckpointFolder, Kept
from bench.runs.judge import RealData, checked, load_task
from bench.runs.runner import name_fit
from bench.runs.session import Session, Untrained, private_copy
from bench.runs.streams import named_stream
from bench.tasks.base import TaskData

BATCH = 250
"""Sequences drawn at a time: a fixed number, so that a small draw is the beginning of a large one."""
DIGITS = (4, 12)
"""The digits of a run id: how many are needed, and how many there are."""
AGAIN = "train it again with 'bench run'"


@dataclass(frozen=True, slots=True)
class Restored:
    """A finished run from which samples can be drawn.

    Attributes:
        record: The record of the run.
        data: The data of its task.
        sampler: The sampler as it was at the end of training.
        device: Where the sampler computes.
        refitted: Whether the run kept no state and was fitted again.
    """

    record: RunRecord
    data: TaskData
    sampler: Sampler
    device: str
    refitted: bool = False

    def draw(self, n: int, decoding: Decoding, seed: int = 0) -> Tensor:
        """Draw n sequences, int64 (n, T), from a random stream of their own, named by the run's task and ``seed``.

        The same arguments give the same sequences on the same machine, and a smaller n gives the first of them.

        Raises:
            UsageError: when the sampler refuses, when its samples are not sequences of the task, or when n is larger
                than the number of real sequences.
        """
        spec, train = self.record.spec, self.data.training.train
        stream = named_stream(spec.stream, f"sample/{seed}", self.device)
        if spec.model == REAL_DATA:  # drawn without replacement, so all at once
            if decoding != Decoding():
                raise UsageError("real data are not decoded: leave out --temperature, --top-k and --top-p.")
            if n > len(train):
                raise UsageError(f"expected at most {len(train)} real sequences (there are no more), got {n}.")
            return self.sampler.sample(n, decoding, stream)
        try:
            batches = [self.sampler.sample(BATCH, decoding, stream) for _ in range(0, n, BATCH)]
            return torch.cat([checked(batch, self.data.training.spec) for batch in batches])[:n]
        except (Unsupported, NotImplementedError, ValueError) as error:
            reason = str(error) or type(error).__name__
            raise UsageError(f"{spec.label} cannot draw these samples: {reason}.") from error

    def spell(self, tokens: Tensor) -> list[list[str]]:
        """The symbols of each sequence up to its end mark; on synthetic tasks the ids: int64 (N, T)."""
        vocabulary, spec = self.data.vocabulary, self.data.training.spec
        rows = zip(tokens.tolist(), spec.lengths(tokens).tolist(), strict=True)
        words = vocabulary.words if vocabulary else tuple(map(str, range(spec.vocab_size)))
        return [[words[token] for token in row[:length]] for row, length in rows]


def find_run(name: str, results: Path) -> tuple[RunRecord, Store]:
    """The record of a run and the store that holds it.

    Args:
        name: The run's id, its first digits, or the path of its record.
        results: Where to look for an id.

    Raises:
        UsageError: when there is no such run or more than one, or its record cannot be read.
    """
    file = Path(name)
    named = file.suffix == ".json"
    store = Store(file.absolute().parent.parent if named else results)
    if not named:
        file = _record_file(name, store)
    try:
        return from_json(file.read_text(encoding="utf-8")), store
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        if named and file.absolute().parent.name != store.runs.name:  # whose file it is nobody knows
            raise UsageError(f"expected a run's record, as in RESULTS/runs, got '{file}': {reason}.") from error
        raise UsageError(f"cannot read the record '{file}': {reason}; {MADE_ANEW}.") from error


def _record_file(name: str, store: Store) -> Path:
    digits = name.lower()
    if not DIGITS[0] <= len(digits) <= DIGITS[1] or set(digits) - set(string.hexdigits):
        if name and Path(name).is_dir():
            raise UsageError(
                f"expected a run, got the folder '{name}': 'bench sample --results {name}' lists the runs of a results "
                "folder."
            )
        raise UsageError(
            f"expected a run id, at least its first {DIGITS[0]} hexadecimal digits, or the path of a record, got "
            f"'{name}'; 'bench sample' without a run id lists them."
        )
    store.require()
    found = {file.stem.rpartition(".")[2]: file for file in store.runs.glob(f"*.{digits}*.json")}
    found = {run_id: file for run_id, file in found.items() if run_id.startswith(digits)}
    if not found:
        raise UsageError(f"there is no run '{name}' in '{store.path}'; 'bench sample' without a run id lists them.")
    if len(found) > 1:
        raise UsageError(f"'{name}' begins several run ids: {', '.join(sorted(found))}; give more digits.")
    return found.popitem()[1]


def restore(record: RunRecord, checkpoints: Path, device: str = "cpu") -> Restored:
    """The sampler of a finished run, exactly as it was, and never trained again.

    Args:
        record: The record of the run.
        checkpoints: The folder of the trained states.
        device: Where to draw; it need not be the device of the training.

    Raises:
        UsageError: when the run is not ok, when code, data or torch have changed since, or when the trained state is
            missing.
    """
    spec = record.spec
    name = f"{spec.label} on {spec.task_label}, seed {spec.seed} (run {spec.run_id})"
    try:
        _check(record)
        data = load_task(spec).data
        if spec.model == REAL_DATA:
            return Restored(record, data, RealData(data), "cpu")
        kept = Kept(CheckpointFolder(checkpoints), spec.fit_id, lambda shared, budget: name_fit(shared, budget, spec))
        session = Session(spec.stream, device, kept, budget=spec.budget, execution=Execution(**spec.execution))
        generator: Generator = build(
            registry.Plugin("model", spec.model, spec.target).load(), {**spec.config, **spec.files}
        )
        sampler = session.restore(generator, private_copy(data.training))
        if not session.trained:
            _check_same(session, record, device)
    except UsageError as error:
        raise UsageError(f"cannot sample from {name}: {error}") from error
    except Untrained as missing:
        last = CheckpointFolder(checkpoints).files(missing.fit_id)[0]
        found = [f"{file.name} {reason}" for file, reason in missing.damage]
        if not found and last.with_suffix(".pt").exists():
            found = [f"{last.with_suffix('.pt').name} is of an earlier version, which wrote no checksum"]
        state = " and ".join(found) or f"{last.name} among the checkpoints is missing or of an unfinished training"
        file = Store(checkpoints.parent.parent).file(spec)
        raise UsageError(
            f"cannot sample from {name}: its trained state cannot be used, because {state}; remove '{file}' and repeat "
            "its 'bench run' to train it again."
        ) from missing
    except (registry.PluginError, Unsupported) as error:
        raise UsageError(f"cannot sample from {name}: {error}.") from error
    return Restored(record, data, sampler, device, not session.trained)


def _check(record: RunRecord) -> None:
    """Require that the run is ok, and that its code, data and torch are the present ones."""
    spec = record.spec
    if record.status != "ok":
        reason = f" ({record.reason})" if record.reason else ""
        raise UsageError(f"it is {record.status}{reason}, and only a run that is ok can be sampled from.")
    task = registry.Plugin("task", spec.task, spec.task_target).load()
    if task.version != spec.task_version or build(task, spec.task_config).fingerprint() != spec.data:
        raise UsageError(f"the data of task '{spec.task}' have changed since; {AGAIN}.")
    if spec.model == REAL_DATA:
        return
    if registry.source_hash(registry.Plugin("model", spec.model, spec.target)) != spec.source:
        raise UsageError(f"the model's code has changed since; check out the old code, or {AGAIN}.")
    if version("torch") != spec.torch:
        raise UsageError(f"it was trained with torch {spec.torch}, and this is {version('torch')}; {AGAIN}.")


def _check_same(session: Session, record: RunRecord, device: str) -> None:
    """Require that fitting again did the same as the original fit."""
    if session.drew and device != record.spec.device:
        differ = f"its random numbers on {device} differ from those on {record.spec.device}"
        raise UsageError(f"it keeps no state, and {differ}; {AGAIN}.")
    if _steps(session.curve) != _steps(record.curve):
        raise UsageError(f"it keeps no state, and fitting it again took other steps than the original fit; {AGAIN}.")


def _steps(curve: list[dict[str, Any]] | tuple[Mapping[str, Any], ...]) -> list[tuple[str, int]]:
    return [(row["phase"], row["step"]) for row in curve]
