"""Trained and half-trained states on disk, named by the content of the training that made them."""

from __future__ import annotations

import contextlib
import errno
import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from filelock import FileLock

from bench.api import Generator
from bench.records.files import write_atomically
from bench.runs.state import DamagedState, pack, unpack

SAVE_SECONDS = 15.0
"""Training time between two saved states."""

FitId = Callable[[Generator, Mapping[str, float]], str]
"""Gives the id of a generator's training under a budget."""


class Damage(NamedTuple):
    """A state that could not be used, and why."""

    file: Path
    reason: str


class Loaded(NamedTuple):
    """What was found under a fit id.

    Attributes:
        state: The newest state that is whole, on the CPU; None where there is none.
        damage: The newer ones, which could not be used.
    """

    state: dict[str, Any] | None
    damage: tuple[Damage, ...] = ()


@dataclass(frozen=True, slots=True)
class CheckpointFolder:
    """The last two states under each fit id; one process at a time may train one of them.

    Attributes:
        path: The folder, made when first written to, in a folder that exists: one that was removed is not made again.
    """

    path: Path

    def lock(self, fit_id: str) -> FileLock:
        """Held while a training runs: a second process waits, and then finds it done. Released if its holder dies."""
        self.path.mkdir(exist_ok=True)
        return FileLock(self.path / f"{fit_id}.lock")

    def files(self, fit_id: str) -> tuple[Path, Path]:
        """Where the last state and the one before it are kept."""
        return self.path / f"{fit_id}.safetensors", self.path / f"{fit_id}.previous.safetensors"

    def load(self, fit_id: str) -> Loaded:
        """The last state, or the one before it if the last is damaged: training then continues from there.

        A state is whole if its checksum fits its content and it carries this fit id. No code is ever read.

        Raises:
            OSError: where a file cannot be read, and its disk is not the reason.
        """
        damage: list[Damage] = []
        for file in self.files(fit_id):
            if not file.exists():
                continue
            try:
                return Loaded(unpack(file.read_bytes(), fit_id), tuple(damage))
            except DamagedState as error:
                damage.append(Damage(file, f"is damaged: {error}"))
            except OSError as error:
                if error.errno != errno.EIO:  # as with too many open files: the next attempt may read it
                    raise
                damage.append(Damage(file, "cannot be read from its disk"))
        return Loaded(None, tuple(damage))

    def save(self, fit_id: str, state: dict[str, Any]) -> None:
        """Keep a state, and the one before it; a reader sees complete ones only.

        Raises:
            TypeError: for a state that is not made of tensors, numbers, strings and containers of them.
            OSError: where it cannot be written; the earlier states are then as they were.
        """
        content = pack(state, fit_id)
        last, previous = self.files(fit_id)
        self.path.mkdir(exist_ok=True)
        # Between the two renames there is no last state: then the previous one is loaded.
        write_atomically(last, content, keep=previous)

    def set_aside(self, damage: Iterable[Damage]) -> None:
        """Rename damaged states, so that saving the next one does not replace a whole state by a damaged one."""
        for file, _ in damage:
            with contextlib.suppress(OSError):
                file.replace(file.with_suffix(".damaged"))


@dataclass(frozen=True, slots=True)
class Kept:
    """Where a training is kept, and under which name.

    Attributes:
        folder: The folder of all states.
        fit_id: The id of the training.
        name_fit: Gives the id of a shared pre-training; None to keep none.
        every: Seconds of training between two saved states.
    """

    folder: CheckpointFolder
    fit_id: str
    name_fit: FitId | None = None
    every: float = SAVE_SECONDS

    def shared(self, generator: Generator, budget: Mapping[str, float]) -> Kept | None:
        """Where a pre-training is kept."""
        return None if self.name_fit is None else replace(self, fit_id=self.name_fit(generator, budget))

    def begun(self, generator: Generator, budget: Mapping[str, float], phase: str) -> Kept | None:
        """Where the end of a phase is kept that several trainings begin with."""
        if self.name_fit is None:
            return None
        fit_id = self.name_fit(generator, budget)
        name = f"{fit_id}/{phase}".encode("utf-8", "backslashreplace")
        return replace(self, fit_id=hashlib.sha256(name).hexdigest()[: len(fit_id)])

    def lock(self) -> FileLock:
        """See :meth:`CheckpointFolder.lock`."""
        return self.folder.lock(self.fit_id)

    def load(self) -> Loaded:
        """See :meth:`CheckpointFolder.load`."""
        return self.folder.load(self.fit_id)

    def set_aside(self, damage: Iterable[Damage]) -> None:
        """See :meth:`CheckpointFolder.set_aside`."""
        self.folder.set_aside(damage)

    def save(self, state: dict[str, Any]) -> None:
        """See :meth:`CheckpointFolder.save`."""
        self.folder.save(self.fit_id, state)
