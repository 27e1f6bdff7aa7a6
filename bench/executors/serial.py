"""All runs in this process, one after another: for debuggers and tests."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from bench.checkpoints import CheckpointFolder
from bench.executors.base import Event, Finished, Started
from bench.record import RunSpec
from bench.runner import Progress, run


@dataclass(frozen=True, slots=True)
class SerialExecutor:
    """One torch thread, as in a worker process, so that the results are the same bits.

    Attributes:
        checkpoints: Folder of saved states.
        progress: Told of the progress within runs, since nothing can be yielded from there.
    """

    checkpoints: Path | None = None
    progress: Progress | None = None

    def execute(self, specs: Sequence[RunSpec]) -> Generator[Event, None, None]:
        """Do the runs."""
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            for spec in specs:
                yield Started(0, spec)
                folder = CheckpointFolder(self.checkpoints) if self.checkpoints else None
                yield Finished(0, run(spec, folder, self.progress))
        finally:
            torch.set_num_threads(threads)
