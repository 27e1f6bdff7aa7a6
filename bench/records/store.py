"""Results on disk: one JSON file for each run, written atomically; read as tidy pandas frames."""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from filelock import FileLock, Timeout

from bench.errors import Halted, UsageError
from bench.records import planned, ratings, under_way
from bench.records.files import sweep, write_atomically
from bench.records.frames import Frames, frames
from bench.records.leases import COMMAND, Holder, Leases
from bench.records.record import NewerRecord, RunRecord, RunSpec, checksum, from_json, to_json

PACKED = "records.tar.gz"
"""An archive of the records of a folder that is kept or passed on without them."""
MARKER = "store.json"
CHOSEN = "chosen.list"
PLAN = "plan.list"
LOCK = "store.lock"
MARKED = {"format": "seqgan-bench results", "version": 1}
DONE = ("ok", "skipped")
MADE_ANEW = "repeat the 'bench run' that made it, or remove it"
RATED_ANEW = "repeat the 'bench rate read' that made it, or remove it"
SHOWN_BY_RECORDS = "the plan of seeds is what the records show, until the next 'bench run' writes it anew"
ALONE = "alone"
"""The lease of a command that shares the folder with nobody."""
MOMENT_SECONDS = 300.0
"""How long a command waits for another one to write the plan of the folder."""
LONGEST = 200
"""Most bytes of a record's readable name; file systems allow 255 with the ending."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A file among the records that does not count.

    Attributes:
        file: The file.
        reason: What is wrong with it.
        todo: What to do about it.
        newer: Whether it is whole, but of a later version.
    """

    file: Path
    reason: str
    todo: str = MADE_ANEW
    newer: bool = False

    def __str__(self) -> str:
        """One sentence for people."""
        return f"'{self.file}' is left out, because {self.reason}: {self.todo}."


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

    @property
    def leases(self) -> Path:
        """The folder that says which runs are being done, and by whom."""
        return self.runs / "leases"

    @property
    def progress(self) -> Path:
        """The folder that says how far the runs under way are (:mod:`bench.records.under_way`)."""
        return self.runs / "progress"

    @property
    def ratings(self) -> Path:
        """The folder of what people said of texts, a file for each sheet (:mod:`bench.records.ratings`)."""
        return self.path / "ratings"

    def under_way(self) -> list[str]:
        """Ids of the runs that are being done now, here or elsewhere."""
        return [name for name in Leases(self.leases).held() if name != ALONE and not name.startswith(COMMAND)]

    def open(self) -> None:
        """Make the folder, or accept one that is empty or was made here before.

        Raises:
            UsageError: for a file, a folder that cannot be written, or one that is neither empty nor a results folder.
        """
        try:
            self.check()
            self.path.mkdir(parents=True, exist_ok=True)
            if self._marker() != MARKED:
                write_atomically(self.path / MARKER, json.dumps(MARKED) + "\n")
            self.runs.mkdir(exist_ok=True)
            with tempfile.TemporaryFile(dir=self.runs):
                pass
        except OSError as error:
            raise UsageError(f"cannot write to '{self.path}': {error.strerror}; choose another folder.") from error

    def check(self) -> None:
        """Accept a folder that does not exist, is empty or was made here before, even if it was killed while doing so.

        Raises:
            UsageError: for any other, and for a file.
        """
        if self.path.exists() and not self.path.is_dir():
            raise UsageError(f"expected a folder for the results, but '{self.path}' is a file.")
        if not self.path.exists() or self._is_ours():
            return
        # A kill while the folder was made may leave no more than the beginning of the marker or an empty folder.
        begun = (MARKER, self.runs.name)
        strangers = [file for file in self.path.iterdir() if not file.name.lstrip(".").startswith(begun)]
        if self.runs.exists():
            ours = (CHOSEN, PLAN, LOCK, self.checkpoints.name, self.logs.name, self.leases.name, self.progress.name)
            inside = list(self.runs.iterdir()) if self.runs.is_dir() else [self.runs]
            strangers += [file for file in inside if file.name not in ours]
        if self._is_ours():  # another command has just made it
            return
        if strangers or self._marker() is not None:
            raise UsageError(
                f"'{self.path}' is not empty and is not a results folder (it has no valid {MARKER}); "
                "choose an empty or new folder."
            )

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Lock the folder, so that nobody else works in it.

        Raises:
            UsageError: when another command is working there, or the file system cannot lock.
        """
        leases = Leases(self.leases)
        with self._locked():
            self._refuse_beside(leases.held())
            leases.take(ALONE)
        try:
            yield
        finally:
            leases.close()

    @contextlib.contextmanager
    def briefly(self) -> Iterator[None]:
        """Lock what all commands in the folder write, such as its plan, for a moment.

        Raises:
            UsageError: when a command is working there that shares the folder with nobody, or the file system cannot
                lock.
        """
        with self._locked():
            alone = Leases(self.leases).holder(ALONE)
            self._refuse_beside({} if alone is None else {ALONE: alone})
            yield

    def _refuse_beside(self, others: Mapping[str, Holder]) -> None:
        for name, holder in others.items():
            who = "another command" if name == ALONE else "a 'bench run'"
            raise UsageError(f"{who} is working in '{self.path}' ({holder}); wait for it or choose another folder.")

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Lock the folder for a moment, and remove what killed processes left half-written."""
        lock = FileLock(self.runs / LOCK)
        try:
            lock.acquire(timeout=MOMENT_SECONDS)
        except OSError as error:
            if isinstance(error, Timeout):
                raise UsageError(
                    f"'{self.path}' has been locked for {MOMENT_SECONDS:.0f} s; wait or choose another folder."
                ) from error
            raise UsageError(f"cannot lock '{self.path}': {error.strerror or error}; choose another folder.") from error
        try:
            for folder in (self.path, self.path / "figures", self.runs, self.checkpoints, self.progress):
                sweep(folder)
            under_way.sweep(self.progress, Leases(self.leases))
            yield
        finally:
            lock.release()

    def require(self) -> None:
        """Accept only a folder that was made here, and whose records are not packed.

        Raises:
            UsageError: for any other.
        """
        if not self._is_ours():
            if self._marker() is None:
                raise UsageError(f"expected a results folder (with a {MARKER}), got '{self.path}'.")
            raise UsageError(f"expected a results folder, got '{self.path}', whose {MARKER} is of no known form.")
        archive = self.path / PACKED
        if archive.is_file() and not any(self.files()):
            raise UsageError(
                f"the records of '{self.path}' are packed in {PACKED}: unpack them into a folder of their own, and "
                f"name that one: mkdir unpacked && tar xzf {archive} -C unpacked."
            )

    def _is_ours(self) -> bool:
        """Whether the folder was made here; records show it, too, where a disk lost the marker."""
        marker = self._marker()
        return marker == MARKED or (marker is None and bool(self.records()))

    def _marker(self) -> object:
        """The content of the marker; None where there is none, or a damaged one."""
        with contextlib.suppress(OSError, ValueError):
            return json.loads((self.path / MARKER).read_text(encoding="utf-8"))
        return None

    def file(self, spec: RunSpec) -> Path:
        """The file of a run's record: a readable name, made unique by the run id."""
        parts = (spec.task, spec.model, spec.preset, f"s{spec.seed}")
        name = ".".join("".join(c if c.isalnum() or c in "-_" else "-" for c in part) for part in parts)
        return self.runs / f"{name.encode()[:LONGEST].decode(errors='ignore')}.{spec.run_id}.json"

    def write(self, record: RunRecord) -> None:
        """Keep a record; a reader sees the complete old one or the complete new one.

        Raises:
            Halted: where it cannot be written, and when the folder is not there any more.
        """
        try:
            if self._is_there():
                write_atomically(self.file(record.spec), to_json(record))
                return
        except OSError as error:
            if self._is_there():
                raise Halted(
                    f"cannot write to '{self.path}': {error.strerror or error}. What was finished before is kept: mend "
                    "that, and repeat the command to continue."
                ) from error
        raise Halted(
            f"the results folder '{self.path}' was removed or replaced while it was in use; its records are lost. "
            "Repeat the command to do what is missing."
        )

    def _is_there(self) -> bool:
        """Whether the folder is still there, and still this one."""
        return (self.path / MARKER).exists()

    def begin(self, spec: RunSpec) -> None:
        """Write a run's first record, with status ``started``; the file is a valid record from its first byte."""
        self.write(RunRecord(spec, "started"))

    def read(self, spec: RunSpec) -> RunRecord | None:
        """The record of a run; None where there is none that can be read."""
        try:
            record = from_json(self.file(spec).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return record if record.spec.run_id == spec.run_id else None

    def scan(self, only: Sequence[RunSpec] | None = None) -> tuple[list[RunRecord], list[Unreadable]]:
        """All records, in order of their files' names, and the files that do not count.

        A second file with the record of the same run, as a copy leaves it, counts only once.

        Args:
            only: Look at the files of these runs alone.
        """
        found: dict[str, tuple[Path, RunRecord]] = {}
        unreadable = []
        for file in self.files() if only is None else filter(Path.is_file, map(self.file, only)):
            try:
                record = from_json(file.read_text(encoding="utf-8"))
            except (OSError, ValueError) as error:
                reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
                newer = isinstance(error, NewerRecord)
                todo = "install that version to read it" if newer else MADE_ANEW
                unreadable.append(Unreadable(file, reason, todo, newer))
                continue
            run_id = record.spec.run_id
            first = found.get(run_id)
            if first is not None:
                # The file that this run would write, if it is one of them.
                kept, copy = ((file, record), first[0]) if file == self.file(record.spec) else (first, file)
                unreadable.append(Unreadable(copy, f"it is a copy of the record '{kept[0].name}'", "remove it"))
                found[run_id] = kept
            else:
                found[run_id] = (file, record)
        if self._chosen() is None:
            todo = "where a row has several versions, the one that finished last is shown"
            unreadable.append(Unreadable(self.runs / CHOSEN, "it is damaged", todo))
        plan = self._planned()
        unreadable += [plan] if isinstance(plan, Unreadable) else []
        return [record for _, record in sorted(found.values(), key=lambda each: each[0])], unreadable

    def records(self) -> list[RunRecord]:
        """All records that can be read, in order of their files' names."""
        return self.scan()[0]

    def finished(self) -> dict[str, str]:
        """Ids and statuses of the runs that need not be done again."""
        return {record.spec.run_id: record.status for record in self.records() if record.status in DONE}

    def intend(self, plan: Sequence[RunSpec], locked: bool = False) -> None:
        """Add these runs to the plan of the folder, so that one whose record is lost later counts as missing.

        Their configurations are the ones that the reports show, whichever finished last. Of many commands with one
        plan, as in a job array, only the first has anything to write.

        Args:
            plan: The runs.
            locked: Whether the caller has locked the folder.

        Raises:
            UsageError: where a later version wrote the plan, or the folder cannot be locked.
            Halted: where that cannot be written.
        """
        more = planned.planned(plan)
        chosen = {_labels(spec): spec.group_id for spec in plan}  # also of trials, which are nobody's plan
        before = self._planned()
        if isinstance(before, list) and planned.merged([*before, *more]) == before:
            known = self._chosen()
            if known is not None and chosen.items() <= known.items():
                return
        with contextlib.nullcontext() if locked else self.briefly():
            self._plan(more)
            self._choose(chosen)

    def plan(self, specs: Sequence[RunSpec]) -> None:
        """The first half of :meth:`intend`, in a folder that is locked."""
        self._plan(planned.planned(specs))

    def choose(self, specs: Sequence[RunSpec]) -> None:
        """Its second half."""
        self._choose({_labels(spec): spec.group_id for spec in specs})

    def _choose(self, more: Mapping[tuple[str, ...], str]) -> None:
        before = self._chosen()
        chosen = {**(before or {}), **more}
        if before == chosen:
            return
        content: dict[str, object] = {"chosen": [[*labels, group] for labels, group in sorted(chosen.items())]}
        try:
            write_atomically(self.runs / CHOSEN, json.dumps({**content, "sha256": checksum(content)}))
        except OSError as error:
            raise Halted(f"cannot write to '{self.path}': {error.strerror or error}.") from error

    def _chosen(self) -> dict[tuple[str, ...], str] | None:
        """The chosen configurations; None where the file that names them is damaged."""
        try:
            content = json.loads((self.runs / CHOSEN).read_text("utf-8"))
            if isinstance(content, dict) and content["sha256"] != checksum(content):
                return None
            rows = content["chosen"] if isinstance(content, dict) else content  # a list, before it had a checksum
            return {(str(task), str(model), str(preset)): str(group) for task, model, preset, group in rows}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return None

    def adopt(self, other: Store) -> None:
        """Take over what another folder planned, and which configurations its reports show.

        Raises:
            UsageError: where a later version wrote the plan.
            Halted: where that cannot be written.
        """
        plan = other._planned()
        self._plan([] if isinstance(plan, Unreadable) else plan)
        self._choose(other._chosen() or {})

    def _plan(self, more: Sequence[planned.Configured]) -> None:
        before = self._planned()
        if isinstance(before, Unreadable):
            if before.newer:
                raise UsageError(f"{before} Or choose another folder.")
            before = []
        after = planned.merged([*before, *more])
        if after == before:
            return
        try:
            write_atomically(self.runs / PLAN, planned.to_json(after))
        except OSError as error:
            raise Halted(f"cannot write to '{self.path}': {error.strerror or error}.") from error

    def _planned(self) -> list[planned.Configured] | Unreadable:
        """The plan, empty where there is none, as in folders of earlier versions; or what is wrong with its file."""
        file = self.runs / PLAN
        try:
            return planned.from_json(file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return []
        except planned.NewerPlan as error:
            return Unreadable(file, str(error), "install that version to read it", newer=True)
        except (OSError, ValueError):
            return Unreadable(file, "it is damaged", SHOWN_BY_RECORDS)

    def interrupt(self, specs: Sequence[RunSpec]) -> None:
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
        task's label, so that variants are shown side by side. The same holds for the plan: a run that is planned for
        the configuration that is shown, and has no record, has a row with status ``missing``.
        """
        records, unreadable = self.scan()
        kept, missing = self.current(records)
        rated, damaged = ratings.load(self.ratings)
        unreadable += [Unreadable(file, reason, RATED_ANEW) for file, reason in damaged]
        return frames(kept, len(records) - len(kept), tuple(map(str, unreadable)), missing, rated)

    def current(self, records: Sequence[RunRecord]) -> tuple[list[RunRecord], list[tuple[planned.Configured, int]]]:
        """Those of the folder's records that count, and the planned seeds that have none; see :meth:`load`."""
        chosen, plan = self._chosen() or {}, self._planned()
        groups = set(chosen.values())
        newest: dict[tuple[str, ...], tuple[bool, str, str]] = {}
        found = [(record, _labels(record.spec), record.spec.group_id) for record in records]
        for record, labels, group in found:
            rank = (group in groups, record.finished or "", group)
            newest[labels] = max(newest.get(labels, rank), rank)
        kept = [(record, labels) for record, labels, group in found if newest[labels][2] == group]
        shown = chosen | {labels: group for labels, (_, _, group) in newest.items()}
        there = {(*labels, record.spec.seed) for record, labels in kept}
        missing = [
            (each, seed)
            for each in ([] if isinstance(plan, Unreadable) else plan)
            for seed in each.runs
            if shown.get(each.labels, each.group) == each.group and (*each.labels, seed) not in there
        ]
        return [record for record, _ in kept], missing

    def files(self) -> Iterator[Path]:
        """The files of the records."""
        yield from sorted(file for file in self.runs.glob("*.json") if file.is_file() and not file.name.startswith("."))


def _labels(spec: RunSpec) -> tuple[str, ...]:
    return spec.task_label, spec.label, spec.preset_label
