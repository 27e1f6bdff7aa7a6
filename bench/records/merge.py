"""Join results folders, as several machines make them, into one."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.errors import Halted, UsageError
from bench.records.files import partial_name, write_atomically
from bench.records.frames import REAL_DATA
from bench.records.record import RunRecord, to_json
from bench.records.store import DONE, Store, Unreadable

__all__ = ["Merged", "merge"]

MEASURED = ("started", "finished", "environment", "warnings", "sha256", "traceback", "schema")
"""What differs between two runs that did the same: when, where and how long."""


@dataclass(frozen=True, slots=True)
class Merged:
    """What was joined.

    Attributes:
        taken: Records that the target did not have.
        repeated: Records of runs that were there already, with the same outcome.
        states: Files of trained states that were taken along.
        unreadable: Files that do not count.
    """

    taken: int
    repeated: int
    states: int
    unreadable: tuple[Unreadable, ...]


def merge(sources: Sequence[Path], target: Path) -> Merged:
    """Write the records, plans, ratings and trained states of results folders into one, new or not.

    Of a run that several folders have, a finished record comes before an unfinished one; two finished ones must have
    found the same, and the earlier is kept. Nothing is written before all folders were compared.

    Args:
        sources: Results folders, each once; they stay as they are, unless one of them is the target.
        target: A results folder, or a new or empty one.

    Raises:
        UsageError: for what is not such a folder, and for a run that found something else in another folder.
        Halted: where something cannot be written.
    """
    stores = [Store(source) for source in sources]
    for store in stores:
        store.require()
    for index, store in enumerate(stores):
        if any(store.path.samefile(before.path) for before in stores[:index]):
            raise UsageError(f"expected each folder once, got '{store.path}' twice.")
    into = Store(target)
    into.check()
    with contextlib.ExitStack() as alone:

        def enter() -> None:
            into.open()
            alone.enter_context(into.alone())

        there = target.exists()
        if there:
            enter()
            stores = [store for store in stores if not store.path.samefile(target)]
        scanned = [(store, *store.scan()) for store in (into, *stores)]
        kept, origin = _compared([(store, records) for store, records, _ in scanned])
        rated = _ratings([into, *stores])
        if not there:  # what is refused leaves no new folder
            enter()
        taken = [run_id for run_id, store in origin.items() if store is not into]
        for run_id in taken:
            into.write(kept[run_id])
        states = 0
        finished = {
            f"{kept[run_id].spec.fit_id}.safetensors": origin[run_id] for run_id in taken if kept[run_id].status in DONE
        }
        for store in stores:
            into.adopt(store)
            states += _states(store, into, {name for name, owner in finished.items() if owner is store})
        _take_ratings([file for file in rated if file.parent != into.ratings], into)
        repeated = sum(len(records) for _, records, _ in scanned[1:]) - len(taken)
        return Merged(len(taken), repeated, states, tuple(file for *_, damaged in scanned for file in damaged))


def _compared(stores: Sequence[tuple[Store, Sequence[RunRecord]]]) -> tuple[dict[str, RunRecord], dict[str, Store]]:
    """The record to keep of each run, and the folder that it is of."""
    kept: dict[str, RunRecord] = {}
    origin: dict[str, Store] = {}
    for store, records in stores:
        for record in records:
            run_id = record.spec.run_id
            before = kept.get(run_id)
            if before is not None and before.status in DONE and record.status in DONE:
                different = _difference(before, record)
                if different:
                    raise UsageError(
                        f"run {run_id} ({record.spec.label} on {record.spec.task_label}, seed {record.spec.seed}) has "
                        f"other {different} in '{store.path}' than in '{origin[run_id].path}': two machines may round "
                        "differently. Remove its record from one of them; nothing was merged."
                    )
            if before is None or _rank(record) < _rank(before):
                kept[run_id], origin[run_id] = record, store
    return kept, origin


def _rank(record: RunRecord) -> tuple[bool, str]:
    """Finished records first, and of these the earlier."""
    return record.status not in DONE, record.finished or "~"


def _difference(one: RunRecord, other: RunRecord) -> str:
    """The first part in which two finished records of a run differ, other than in time and place; empty if none."""
    parts = [_found(record) for record in (one, other)]
    unlike = _kept_since(one) if bool(one.kind) != bool(other.kind) else ()
    return next((name for name in parts[0] if name not in unlike and parts[0][name] != parts[1].get(name)), "")


def _kept_since(record: RunRecord) -> tuple[str, ...]:
    """What records did not keep before they kept the kind of the words; real data showed training sequences then."""
    return ("nearest", "kind", "samples") if record.spec.model == REAL_DATA else ("nearest", "kind")


def _found(record: RunRecord) -> Mapping[str, Any]:
    """What a run found: all of its record but :data:`MEASURED` and what it cost."""
    content = {name: part for name, part in json.loads(to_json(record)).items() if name not in MEASURED}
    content.pop("spec")  # its run id is the same; the rest is labels and where files are
    content.pop("densities")  # it follows from the model, and earlier schemas did not keep it
    for part in ("scores", "frontier"):
        content[part] = {
            checkpoint: [score for score in scores if score["kind"] == "quality"]
            for checkpoint, scores in content[part].items()
        }
    content["curve"] = [[row["phase"], row["step"], row["scalars"]] for row in content["curve"]]
    return content


def _ratings(stores: Sequence[Store]) -> list[Path]:
    """What people said of texts: the file of each sheet, of the first folder that has it."""
    kept: dict[str, Path] = {}
    for store in stores:
        for file in sorted(store.ratings.glob("[!.]*.json")):
            before = kept.setdefault(file.name, file)
            try:
                same = before.read_bytes() == file.read_bytes()
            except OSError as error:
                raise UsageError(f"cannot read '{error.filename}': {error.strerror}; nothing was merged.") from error
            if not same:
                raise UsageError(
                    f"'{before}' and '{file}' have other ratings of the same sheet: read the answers of all its raters "
                    "together with 'bench rate read', and remove one of them; nothing was merged."
                )
    return list(kept.values())


def _take_ratings(files: Sequence[Path], into: Store) -> None:
    """Copy ratings to the target."""
    try:
        for file in files:
            into.ratings.mkdir(exist_ok=True)
            write_atomically(into.ratings / file.name, file.read_bytes())
    except OSError as error:
        raise Halted(f"cannot copy ratings: {error.strerror or error}; the records are merged.") from error


def _states(store: Store, into: Store, finished: Collection[str]) -> int:
    """Take along trained states: by hard links where the disk is the same.

    Those that the target lacks, and in any case those of ``finished``, runs of which the record came from this folder,
    too: in the target there may be one of a training that was interrupted.
    """
    number = 0
    try:
        names = sorted(os.listdir(store.checkpoints)) if store.checkpoints.exists() else []
        for name in names:
            file, target = store.checkpoints / name, into.checkpoints / name
            if not name.endswith(".safetensors") or (target.exists() and name not in finished):
                continue
            target.parent.mkdir(exist_ok=True)
            new = partial_name(target)
            with contextlib.suppress(OSError):
                os.link(file, new)  # states are replaced as a whole, never written into
            if not new.exists():
                shutil.copy2(file, new)
            new.replace(target)
            number += 1
    except OSError as error:
        where = error.filename or store.checkpoints
        raise Halted(f"cannot copy '{where}': {error.strerror or error}; the records are merged.") from error
    return number
