"""The step of a training that scored best on the validation split, and how it is restored."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bench.api import Sampler, Stateful

__all__ = ["Selected", "Selection", "made_of"]


@dataclass(frozen=True, slots=True)
class Selected:
    """The step that scored best while training.

    Attributes:
        score: Its score.
        phase: The phase that it belongs to.
        step: The number of steps of that phase, this one included.
        state: The state of the sampler's parts.
    """

    score: float
    phase: str
    step: int
    state: dict[str, Any]


class Selection:
    """The best step so far; the lower the score the better.

    Attributes:
        best: None if no step was scored.
    """

    def __init__(self) -> None:
        self.best: Selected | None = None

    def offer(self, score: float, phase: str, step: int, parts: Mapping[str, Stateful]) -> None:
        """Keep a copy of the parts' states if their score is finite and better than all before."""
        if math.isfinite(score) and (self.best is None or score < self.best.score):
            state = {name: copy.deepcopy(part.state_dict()) for name, part in parts.items()}
            self.best = Selected(score, phase, step, state)

    def take(self, other: Selected | None) -> None:
        """Take over a step that was selected elsewhere, if it is better."""
        if other and (self.best is None or other.score < self.best.score):
            self.best = other

    def put_back(self, parts: Mapping[str, Stateful]) -> None:
        """Restore the parts of a sampler to the step that scored best.

        Raises:
            ValueError: when no step was scored.
        """
        if self.best is None:
            raise ValueError("expected a step that was scored while training")
        if len(parts) == 1:  # a single part may have had another name when it was selected
            parts = dict.fromkeys(self.best.state, *parts.values())
        for name, state in self.best.state.items():
            parts[name].load_state_dict(state)


def made_of(sampler: Sampler, tracked: Mapping[str, Stateful]) -> Mapping[str, Stateful]:
    """The tracked part that is the sampler itself; all tracked parts where it is made of several."""
    itself = {name: part for name, part in tracked.items() if id(part) == id(sampler)}
    return itself or tracked
