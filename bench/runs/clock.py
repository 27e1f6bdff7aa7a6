"""What a training has cost so far, and whether its budget is used up."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

import torch

from bench.pack import member
from bench.records import environment
from bench.runs.cost import Cost

__all__ = ["Clock"]


class Clock:
    """Runs while ``fit`` does, and is stopped while the harness takes its turn.

    Attributes:
        cost: What was counted.
        budget: Limits: "steps" of all phases together, "seconds" of training, "tokens", "updates".

    Args:
        device: Where the training computes: a CUDA device is synchronized before the clock is read.
        budget: Limits; empty for none.
        now: Returns the time in seconds.
    """

    def __init__(
        self,
        device: torch.device,
        budget: Mapping[str, float] | None = None,
        now: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.cost, self.budget = Cost(), dict(budget or {})
        self._device, self._now = device, now
        self._since: float | None = None

    def start(self) -> None:
        """Start the clock."""
        self._since = self._now()

    def stop(self) -> None:
        """Stop the clock, if it runs, and add the time since its start to the cost."""
        if self._since is not None:
            self._synchronize()
            self.cost.seconds += self._now() - self._since
            self._since = None
            self.cost.peak_memory = max(self.cost.peak_memory, self._peak_memory())

    def set(self, cost: Cost) -> None:
        """Continue from a saved cost."""
        running = self._since is not None
        self._since, self.cost = None, cost
        if running:
            self.start()

    @contextlib.contextmanager
    def measure(self, **amounts: int) -> Iterator[Callable[..., None]]:
        """Count amounts, and the seconds that the block takes."""
        seen: set[str] = set()

        def count(**more: int) -> None:
            seen.update(more)
            for name, amount in more.items():
                self.cost.amounts[name] = self.cost.amounts.get(name, 0) + int(amount)

        self._synchronize()
        start = self._now()
        yield count
        count(**amounts)
        self._synchronize()
        seconds = self._now() - start
        for name in seen:
            self.cost.durations[name] = self.cost.durations.get(name, 0.0) + seconds

    def spent(self) -> bool:
        """Whether the budget is used up now, while the clock runs."""
        if not self.budget:
            return False
        self.stop()
        spent = self.ran_out()
        self.start()
        return spent

    def ran_out(self) -> bool:
        """Whether the budget was used up when the clock was stopped."""
        return any(self.cost.used(name) >= limit for name, limit in self.budget.items())

    def share(self) -> float:
        """The fraction of the budget that is used up: 1 for all of it."""
        return max(self.cost.used(name) / limit for name, limit in self.budget.items())

    def left(self) -> dict[str, float]:
        """What is left of the budget."""
        return {name: limit - self.cost.used(name) for name, limit in self.budget.items()}

    def forget_peak(self) -> None:
        """Measure the peak of memory from now on."""
        environment.reset_peak_memory()
        if self._device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self._device)

    def _peak_memory(self) -> int:
        if self._device.type == "cuda":
            return torch.cuda.max_memory_allocated(self._device)
        return environment.peak_memory()

    def _synchronize(self) -> None:
        if self._device.type != "cuda":
            return
        mine = member()
        if mine is None:
            torch.cuda.synchronize(self._device)
        else:  # together, so that each is charged with its share of what the device still had to do for all
            mine.meet(_synchronize, self._device, first=True)


def _synchronize(devices: Sequence[torch.device | None]) -> Sequence[None]:
    torch.cuda.synchronize(next(device for device in devices if device is not None))
    return [None] * len(devices)
