"""The step of a training that scored best on the validation split, and how it is restored.

The more often a model is looked at, the better the best look. So where selected models are compared, each is looked at
equally often (:class:`Looks`): a look is a scored step that may be picked. Steps that are scored for the curve alone
may not.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from bench.api import Sampler, Stateful

__all__ = ["Looks", "Selected", "Selection", "made_of"]

CLOSE = 1e-9
"""Shares of a training that differ by less are the same."""


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


class Looks:
    """A fixed number of looks, spread over a training whose steps may take any share of it.

    The looks that are left are spread anew after each of them over what is left of the training. So a step that is
    longer than the distance between two looks delays the others and costs none, as long as there are steps enough. A
    model that is the same as at the look before, as a policy is while its discriminator is pre-trained, is not looked
    at again.

    Attributes:
        taken: Looks so far.

    Args:
        number: Looks in all.
        bend: The i-th look is due when ``(i / number) ** bend`` of the training is done: 1 for equal distances; 2 for
            more looks early, where a training that a budget prolongs passes its best step.
    """

    def __init__(self, number: int, bend: float = 1.0) -> None:
        self.number, self.bend = number, bend
        self.taken, self._limit, self._at, self._last = 0, number, 0.0, math.nan

    def begin(self, part: float) -> None:
        """From now on shares are those of a phase, which may use that part of the looks that are left."""
        self._limit = self.taken + math.ceil(part * max(self.number - self.taken, 0))
        self._at = 0.0

    def due(self, share: float) -> bool:
        """Whether it is time for a look, now that this share of the training, or of the phase, is done."""
        left = self._limit - self.taken
        return left > 0 and share >= (self._at + (1 - self._at) / left) ** self.bend - CLOSE

    def look(self, score: float, share: float) -> bool:
        """Take a look, and say whether it was at another model than the look before: only then it counts."""
        self._at = min(share, 1.0) ** (1 / self.bend)
        if score == self._last:
            return False
        self.taken, self._last = self.taken + 1, score
        return True

    def follow(self, other: Looks) -> None:
        """Go on from the looks at a shared pre-training."""
        self.taken, self._at, self._last = self.taken + other.taken, other._at, other._last

    def state(self) -> dict[str, float]:
        """What :meth:`restore` needs."""
        return {"taken": self.taken, "limit": self._limit, "at": self._at, "last": self._last}

    def restore(self, state: Mapping[str, float]) -> None:
        """Restore a state."""
        self.taken, self._limit = int(state["taken"]), int(state["limit"])
        self._at, self._last = state["at"], state["last"]


class Selection:
    """The best step so far; the lower the score the better.

    Attributes:
        best: None if no step was scored.
        looks: When to look; None for every scored step.

    Args:
        looks: As above.
        half: Another selection among half as many steps, for those who continue from this training: they are looked at
            equally often before and after. None where the training is prolonged by a budget, whose shares say how many
            looks are left.
    """

    def __init__(self, looks: Looks | None = None, half: Selection | None = None) -> None:
        self.best: Selected | None = None
        self.looks, self._half = looks, half

    @classmethod
    def among(cls, number: int, budget: bool) -> Selection:
        """A selection among that many looks in all, at shares of a budget or of phases; 0 for every scored step."""
        if not number:
            return cls()
        return cls(Looks(number, bend=2.0)) if budget else cls(Looks(number), cls(Looks(number // 2)))

    def begin(self, main: bool) -> None:
        """A phase begins, and shares are its own: a main phase may use all looks that are left, others half of them."""
        for looks in self._all_looks():
            looks.begin(1.0 if main else 0.5)

    def due(self, share: float) -> bool:
        """Whether it is time for a look."""
        return self.looks is not None and self.looks.due(share)

    def offer(self, score: float, phase: str, step: int, parts: Mapping[str, Stateful], share: float = 1.0) -> None:
        """Keep a copy of the parts' states if this is a look and their score is finite and better than all before."""
        if self._half is not None:
            self._half.offer(score, phase, step, parts, share)
        if not math.isfinite(score):
            return
        if self.looks is not None and not (self.looks.due(share) and self.looks.look(score, share)):
            return
        if self.best is None or score < self.best.score:
            state = {name: copy.deepcopy(part.state_dict()) for name, part in parts.items()}
            self.best = Selected(score, phase, step, state)

    def inherit(self, shared: Selection) -> None:
        """Go on from the selection of a shared pre-training: every model may also be selected at a step of it."""
        before = shared if shared._half is None else shared._half
        self.take(before.best)
        if self._half is not None:
            self._half.take(before.best)
        if before.looks is not None:
            for looks in self._all_looks():
                looks.follow(before.looks)

    def state(self) -> dict[str, Any]:
        """What :meth:`restore` needs."""
        return {
            "selected": asdict(self.best) if self.best else None,
            "looks": self.looks.state() if self.looks else None,
            "half": self._half.state() if self._half else None,
        }

    def restore(self, saved: Mapping[str, Any]) -> None:
        """Restore a state; those of earlier versions have no looks."""
        self.take(Selected(**saved["selected"]) if saved["selected"] else None)
        if self.looks is not None and saved.get("looks"):
            self.looks.restore(saved["looks"])
        if self._half is not None and saved.get("half"):
            self._half.restore(saved["half"])

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

    def _all_looks(self) -> Iterator[Looks]:
        if self.looks is not None:
            yield self.looks
        if self._half is not None:
            yield from self._half._all_looks()


def made_of(sampler: Sampler, tracked: Mapping[str, Stateful]) -> Mapping[str, Stateful]:
    """The tracked part that is the sampler itself; all tracked parts where it is made of several."""
    itself = {name: part for name, part in tracked.items() if id(part) == id(sampler)}
    return itself or tracked
