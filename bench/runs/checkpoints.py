"""Trained and half-trained states on disk, named by the content of the training that made them."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock

from bench.api import Generator

SAVE_SECONDS = 15.0
"""Training time between two saved states."""

FitId = Callable[[Generator, Mapping[str, float]], str]
"""Gives the id of a generator's training under a budget."""


@dataclass(frozen=True, slots=True)
class CheckpointFolder:
    """States under their fit ids; one process at a time may train one of them.

    Attributes:
        path: The folder, made when first written to.
    """

    path: Path

    def lock(self, fit_id: str) -> FileLock:
        """Held while a training runs: a second process waits, and then finds it done. Released if its holder dies."""
        self.path.mkdir(parents=True, exist_ok=True)
        return FileLock(self.path / f"{fit_id}.lock")

    def load(self, fit_id: str) -> dict[str, Any] | None:
        """The state, on the CPU; None where there is none, or a damaged one: then training starts from scratch.

        Only tensors and plain containers are read, never code.
        """
        file = self.path / f"{fit_id}.pt"
        if not file.exists():
            return None
        try:
            state: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)
        except (RuntimeError, EOFError, KeyError, pickle.UnpicklingError):
            return None
        return state

    def save(self, fit_id: str, state: dict[str, Any]) -> None:
        """Write the state; a reader sees the complete old one or the complete new one."""
        self.path.mkdir(parents=True, exist_ok=True)
        partial = self.path / f"{fit_id}.{os.getpid()}.partial"
        torch.save(state, partial)
        partial.replace(self.path / f"{fit_id}.pt")


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

    def lock(self) -> FileLock:
        """See :meth:`CheckpointFolder.lock`."""
        return self.folder.lock(self.fit_id)

    def load(self) -> dict[str, Any] | None:
        """See :meth:`CheckpointFolder.load`."""
        return self.folder.load(self.fit_id)

    def save(self, state: dict[str, Any]) -> None:
        """See :meth:`CheckpointFolder.save`."""
        self.folder.save(self.fit_id, state)
