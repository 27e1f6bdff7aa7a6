"""Which step of a training scored best on the validation split, and the way back to it."""

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
        score: What it scored.
        phase: Where it was.
        step: After how many steps of it.
        state: Of what the sampler is made of.
    """

    score: float
    phase: str
    step: int
    state: dict[str, Any]


class Selection:
    """The best step so far; the lower the score the better.

    Attributes:
        best: None where none was scored.
    """

    def __init__(self) -> None:
        self.best: Selected | None = None

    def offer(self, score: float, phase: str, step: int, parts: Mapping[str, Stateful]) -> None:
        """Keep a copy of the parts if their score is finite and better than all before."""
        if math.isfinite(score) and (self.best is None or score < self.best.score):
            state = {name: copy.deepcopy(part.state_dict()) for name, part in parts.items()}
            self.best = Selected(score, phase, step, state)

    def take(self, other: Selected | None) -> None:
        """Take over what was selected elsewhere, if it is better."""
        if other and (self.best is None or other.score < self.best.score):
            self.best = other

    def put_back(self, parts: Mapping[str, Stateful]) -> None:
        """Put the parts of a sampler back to the step that scored best.

        Raises:
            ValueError: when none was scored.
        """
        if self.best is None:
            raise ValueError("expected a step that was scored while training")
        if len(parts) == 1:  # of one part, whatever it was called when it was selected
            parts = dict.fromkeys(self.best.state, *parts.values())
        for name, state in self.best.state.items():
            parts[name].load_state_dict(state)


def made_of(sampler: Sampler, tracked: Mapping[str, Stateful]) -> Mapping[str, Stateful]:
    """The tracked part that is the sampler; all of them where it is made of several."""
    itself = {name: part for name, part in tracked.items() if id(part) == id(sampler)}
    return itself or tracked
