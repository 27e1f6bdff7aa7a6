"""What the training of a model takes at a preset that nobody wants to wait for, from the first steps of each phase.

``python tests/studies/training_cost.py --preset paper --models mle,seqgan`` trains each model on ``oracle`` for a few
steps of every phase, with the networks, batches and data of the preset, and multiplies the seconds of a step by their
number. The first step of a phase does not count where there are others: it may set things up. A shared pre-training
counts for each model that begins with it. A model that stops early, as ``mle-tuned`` does, takes less than this says.
Judging is not in it. The seconds are those of the processor, so that other work on the machine hardly counts; set
``OMP_NUM_THREADS=1`` to have one processor, as a worker of ``bench run`` has.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from bench.api import Generator, Sampler, TrainingData
from bench.plans.fields import build, configuration
from bench.plans.registry import find
from bench.runs.devices import seed_global_streams
from bench.runs.session import Session

STEPS = 4
"""Steps of each phase that are done."""


@dataclass
class Timed:
    """A phase, begun.

    Attributes:
        phase: Its name.
        steps: Its steps at this preset.
        seconds: What each step took that was done.
    """

    phase: str
    steps: int
    seconds: list[float] = field(default_factory=list)

    @property
    def expected(self) -> float:
        """Seconds of the whole phase."""
        return self.steps * statistics.mean(self.seconds[1:] or self.seconds)


class Beginning(Session):
    """A run of which only the first steps of each phase are done.

    Args:
        stream: The stem of every random stream's name.
        most: Steps of each phase.
    """

    def __init__(self, stream: str, most: int) -> None:
        super().__init__(stream)
        self.most = most
        self.timed: list[Timed] = []

    def phase(self, name: str, steps: int, open_ended: bool = False, shared: Generator | None = None) -> Iterator[int]:
        """The first steps, timed."""
        if not steps:
            return
        timed = Timed(name, steps)
        self.timed.append(timed)
        for step in range(min(steps, self.most)):
            start = time.process_time()
            yield step
            timed.seconds.append(time.process_time() - start)

    def pretrained(self, generator: Generator, data: TrainingData) -> Sampler:
        """The beginning of the shared pre-training."""
        return generator.fit(data, self)


def cost(model: str, preset: str, task: str, most: int = STEPS, **fields: Any) -> list[Timed]:
    """The phases of a model's training at a preset, with what their first steps took.

    Args:
        model: Its name.
        preset: Of the model and of the task.
        task: Its name.
        most: Steps of each phase that are done.
        fields: Fields of the model that are not the preset's.
    """
    described, generator = find("task", task).load(), find("model", model).load()
    data = build(described, configuration(described, preset, {})).load().training
    run = Beginning(f"{task}/0", most)
    seed_global_streams(run.stream)
    made = build(generator, configuration(generator, preset, fields))
    if hasattr(made, "warm_up"):
        made.warm_up(run.device)
    made.fit(data, run)
    return [timed for timed in run.timed if timed.seconds]


def main() -> None:
    """Print a line a model: its phases, and the seconds of all of them."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--preset", default="paper")
    parser.add_argument("--task", default="oracle")
    parser.add_argument("--models", required=True)
    parser.add_argument("--steps", type=int, default=STEPS)
    given = parser.parse_args()
    for model in given.models.split(","):
        phases = cost(model, given.preset, given.task, given.steps)
        parts = "; ".join(f"{timed.phase} {timed.steps} x {timed.expected / timed.steps:.3g} s" for timed in phases)
        print(f"{model}: {sum(timed.expected for timed in phases):.0f} s ({parts or 'no phase'})", flush=True)


if __name__ == "__main__":
    sys.exit(main())
