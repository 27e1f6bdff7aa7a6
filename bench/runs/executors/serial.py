"""All runs in this process, one after another: for debuggers and tests."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import torch

from bench.records.record import RunSpec
from bench.runs.checkpoints import CheckpointFolder
from bench.runs.executors.base import Claim, Event, Finished, Progress, Started, Stopping, Warned, unclaimed
from bench.runs.executors.queue import Queue
from bench.runs.runner import Watcher
from bench.runs.stopping import Stop, Stopped
from bench.runs.surroundings import settled
from bench.runs.together import run_together

__all__ = ["SerialExecutor"]


@dataclass(frozen=True, slots=True)
class SerialExecutor:
    """One torch thread, as in a worker process, so that the results are bit-identical.

    Attributes:
        checkpoints: Folder of saved states.
        see: Called with the progress within runs, since nothing can be yielded from there.
        stop: Whether to stop.
    """

    checkpoints: Path | None = None
    see: Callable[[Event], None] | None = None
    stop: Stop = field(default_factory=Stop)

    def execute(self, specs: Sequence[RunSpec], claim: Claim = unclaimed) -> Generator[Event, None, None]:
        """Do the runs."""
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        folder = CheckpointFolder(self.checkpoints) if self.checkpoints else None
        try:
            waiting = Queue(specs, claim)
            with settled():  # once for all runs, because each time takes a while
                while specs := waiting.take_pack():
                    self.stop.check()
                    for spec in specs:
                        yield Started(0, spec)
                    stopped = False
                    with closing(run_together(specs, folder, self._watcher)) as ended:
                        for _, record in ended:
                            if record is not None:
                                yield Finished(0, record)
                            stopped = stopped or record is None
                    if stopped:
                        raise Stopped
        except Stopped:
            yield Stopping(())
        finally:
            torch.set_num_threads(threads)

    def _watcher(self, spec: RunSpec) -> Watcher:
        see = self.see or (lambda event: None)

        def progress(phase: str, done: int, steps: int, scalars: Mapping[str, float]) -> None:
            see(Progress(0, spec.run_id, phase, done, steps, scalars))

        return Watcher(progress, lambda message: see(Warned(0, spec.run_id, message)), self.stop.check)
