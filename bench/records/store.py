"""Results on disk: one JSON file for each run, written atomically; read as tidy pandas frames."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from filelock import FileLock, Timeout

from bench.errors import UsageError
from bench.records.frames import Frames, frames
from bench.records.record import RunRecord, RunSpec, from_json, to_json

MARKER = "store.json"
CHOSEN = "chosen.list"
MARKED = {"format": "seqgan-bench results", "version": 1}
DONE = ("ok", "skipped")


@dataclass(frozen=True, slots=True)
class Store:
    """A results folder: ``runs/`` with a file for each run, and the leaderboards next to it.

    Attributes:
        path: The folder.
    """

    path: Path

    @property
    def runs(self) -> Path:
        """The folder of the records."""
        return self.path / "runs"

    @property
    def checkpoints(self) -> Path:
        """The folder of the trained states."""
        return self.runs / "checkpoints"

    @property
    def logs(self) -> Path:
        """The folder of what workers print."""
        return self.runs / "logs"

    def open(self) -> None:
        """Make the folder, or accept one that is empty or was made here before.

        Raises:
            UsageError: for a file, a folder that cannot be written, or one that is neither empty nor a results folder.
        """
        marker = self.path / MARKER
        try:
            self.check()
            self.runs.mkdir(parents=True, exist_ok=True)
            if not marker.exists():
                write_atomically(marker, json.dumps(MARKED) + "\n")
            with tempfile.TemporaryFile(dir=self.runs):
                pass
        except OSError as error:
            raise UsageError(f"cannot write to '{self.path}': {error.strerror}; choose another folder.") from error

    def check(self) -> None:
        """Accept a folder that does not exist, is empty or was made here before.

        Raises:
            UsageError: for any other, and for a file.
        """
        if self.path.exists() and not self.path.is_dir():
            raise UsageError(f"expected a folder for the results, but '{self.path}' is a file.")
        if self.path.exists() and any(self.path.iterdir()) and not self._marked():
            raise UsageError(
                f"'{self.path}' is not empty and is not a results folder (it has no valid {MARKER}); "
                "choose an empty or new folder."
            )

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Lock the folder, so that nobody else works in it.

        Raises:
            UsageError: when another ``bench run`` is working there.
        """
        lock = FileLock(self.runs / "store.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout as error:
            raise UsageError(
                f"another 'bench run' is working in '{self.path}'; wait for it or choose another folder."
            ) from error
        try:
            yield
        finally:
            lock.release()

    def require(self) -> None:
        """Accept only a folder that was made here.

        Raises:
            UsageError: for any other.
        """
        if not self._marked():
            raise UsageError(f"expected a results folder (with a {MARKER}), got '{self.path}'.")

    def _marked(self) -> bool:
        with contextlib.suppress(OSError, ValueError):
            return bool(json.loads((self.path / MARKER).read_text(encoding="utf-8")) == MARKED)
        return False

    def file(self, spec: RunSpec) -> Path:
        """The file of a run's record: a readable name, made unique by the run id."""
        parts = (spec.task, spec.model, spec.preset, f"s{spec.seed}", spec.run_id)
        name = ".".join("".join(c if c.isalnum() or c in "-_" else "-" for c in part) for part in parts)
        return self.runs / f"{name}.json"

    def write(self, record: RunRecord) -> None:
        """Keep a record; a reader sees the complete old one or the complete new one."""
        write_atomically(self.file(record.spec), to_json(record))

    def begin(self, spec: RunSpec) -> None:
        """Write a run's first record, with status ``started``; the file is a valid record from its first byte."""
        self.write(RunRecord(spec, "started"))

    def read(self, spec: RunSpec) -> RunRecord | None:
        """The record of a run, or None."""
        file = self.file(spec)
        return from_json(file.read_text(encoding="utf-8")) if file.exists() else None

    def records(self) -> Iterator[RunRecord]:
        """All records, in order of their files' names.

        Raises:
            UsageError: for a file that is not a record.
        """
        for file in sorted(path for path in self.runs.glob("*.json") if path.is_file()):
            try:
                yield from_json(file.read_text(encoding="utf-8"))
            except ValueError as error:
                raise UsageError(f"cannot read '{file}': {error}; remove it and run again.") from error

    def finished(self) -> dict[str, str]:
        """Ids and statuses of the runs that need not be done again."""
        return {record.spec.run_id: record.status for record in self.records() if record.status in DONE}

    def choose(self, specs: Sequence[RunSpec]) -> None:
        """Make these configurations the ones that the reports show, whichever finished last."""
        chosen = self._chosen() | {_labels(spec): spec.group_id for spec in specs}
        write_atomically(self.runs / CHOSEN, json.dumps([[*labels, group] for labels, group in sorted(chosen.items())]))

    def _chosen(self) -> dict[tuple[str, ...], str]:
        with contextlib.suppress(OSError, ValueError):
            return {tuple(labels): group for *labels, group in json.loads((self.runs / CHOSEN).read_text("utf-8"))}
        return {}

    def interrupt(self, specs: list[RunSpec]) -> None:
        """Mark the runs that an interrupt kept from finishing."""
        for spec in specs:
            record = self.read(spec) or RunRecord(spec, "started")
            if record.status == "started":
                reason = "run the same command again to continue"
                self.write(replace(record, status="interrupted", reason=reason))

    def load(self) -> Frames:
        """Everything as tidy frames.

        Of the runs of one model on one task under one preset, only those of one configuration count, because code and
        versions change, and old rows must not mix with new ones: the configuration that was requested last or, where
        that is not known, the one that finished last. What the user set with ``--set`` is part of the model's and the
        task's label, so that variants are shown side by side.
        """
        records = list(self.records())
        chosen = set(self._chosen().values())
        newest: dict[tuple[str, ...], tuple[bool, str, str]] = {}
        for record in records:
            labels, group = _labels(record.spec), record.spec.group_id
            rank = (group in chosen, record.finished or "", group)
            newest[labels] = max(newest.get(labels, rank), rank)
        current = [record for record in records if newest[_labels(record.spec)][2] == record.spec.group_id]
        return frames(current, len(records) - len(current))


def write_atomically(file: Path, content: str | bytes) -> None:
    """Write a file such that it is never seen half-written, whatever happens meanwhile; text is encoded as UTF-8."""
    partial = file.with_name(f".{file.name}.{os.getpid()}")
    with partial.open("wb") as stream:
        stream.write(content.encode() if isinstance(content, str) else content)
        stream.flush()
        os.fsync(stream.fileno())
    partial.replace(file)


def _labels(spec: RunSpec) -> tuple[str, ...]:
    return spec.task_label, spec.label, spec.preset_label
