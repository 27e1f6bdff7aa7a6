"""All runs in this process, one after another: for debuggers and tests."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from bench.records.record import RunSpec
from bench.runs.checkpoints import CheckpointFolder
from bench.runs.executors.base import Event, Finished, Progress, Started
from bench.runs.runner import run


@dataclass(frozen=True, slots=True)
class SerialExecutor:
    """One torch thread, as in a worker process, so that the results are bit-identical.

    Attributes:
        checkpoints: Folder of saved states.
        see: Called with the progress within runs, since nothing can be yielded from there.
    """

    checkpoints: Path | None = None
    see: Callable[[Event], None] | None = None

    def execute(self, specs: Sequence[RunSpec]) -> Generator[Event, None, None]:
        """Do the runs."""
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            for spec in specs:
                yield Started(0, spec)
                folder = CheckpointFolder(self.checkpoints) if self.checkpoints else None
                yield Finished(0, run(spec, folder, self._progress(spec)))
        finally:
            torch.set_num_threads(threads)

    def _progress(self, spec: RunSpec) -> Callable[[str, int, int, Mapping[str, float]], None]:
        def tell(phase: str, done: int, steps: int, scalars: Mapping[str, float]) -> None:
            if self.see is not None:
                self.see(Progress(0, spec.run_id, phase, done, steps, scalars))

        return tell
