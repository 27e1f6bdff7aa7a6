"""All results of a folder, for the reports; what several reports need is computed once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from bench.analysis.answers import Answer, answers, best
from bench.analysis.cheapest import Cheapest, cheapest
from bench.analysis.frontier import Sweep, sweeps
from bench.analysis.leaderboard import aggregate
from bench.analysis.standing import Standing, standing
from bench.analysis.verdicts import Best
from bench.errors import unknown
from bench.records.frames import Frames, completed

__all__ = ["Results", "Section", "require_models"]


@dataclass(frozen=True, eq=False)
class Results:
    """Tidy frames, as :class:`bench.records.store.Store` loads them.

    Attributes:
        runs: One row per run.
        scores: One row for each (run, checkpoint, metric).
        curves: One row for each (run, phase, step, name).
        frontier: One row for each (run, temperature, metric).
        against: Labels of the models that verdicts compare with; empty for the usual references.
    """

    runs: pd.DataFrame
    scores: pd.DataFrame
    curves: pd.DataFrame
    frontier: pd.DataFrame
    against: tuple[str, ...] = ()

    @classmethod
    def of(cls, frames: Frames, against: Sequence[str] = ()) -> Results:
        """The results in the frames of a store."""
        return cls(frames.runs, frames.scores, frames.curves, frames.frontier, tuple(dict.fromkeys(against)))

    @property
    def any_ended(self) -> bool:
        """Whether any run ended, as ok, skipped or failed: without one there is nothing to report."""
        return bool(self.runs["status"].isin(["ok", "skipped", "failed"]).any())

    @cached_property
    def board(self) -> pd.DataFrame:
        """The leaderboard."""
        return aggregate(self.runs, self.scores, self.standing)

    @cached_property
    def completed_scores(self) -> pd.DataFrame:
        """The scores of completed runs."""
        return completed(self.runs, self.scores)

    @cached_property
    def standing(self) -> Standing:
        """Which scores may not win."""
        return standing(self.runs, self.scores)

    @cached_property
    def answers(self) -> list[Answer]:
        """All verdicts."""
        return answers(self.runs, self.completed_scores, self.against, self.standing)

    @cached_property
    def sweeps(self) -> list[Sweep]:
        """Quality and diversity over temperatures."""
        return sweeps(self.runs, self.frontier)

    def sections(self) -> list[Section]:
        """The results of each task and preset, in the leaderboard's order."""
        return self._sections

    @cached_property
    def _sections(self) -> list[Section]:
        frames = self.runs, self.completed_scores
        parts = [dict(list(frame.groupby(["task", "preset"], sort=False))) for frame in frames]
        listed = []
        for (task, preset), board in self.board.groupby(["task", "preset"], sort=False):
            runs, scores = (part.get((task, preset), frame.head(0)) for part, frame in zip(parts, frames, strict=True))
            found = [answer for answer in self.answers if (answer.task, answer.preset) == (task, preset)]
            listed.append(Section(f"{task}, {preset}", board, runs, scores, found, self.against, self.standing))
        return listed


@dataclass(frozen=True, eq=False)
class Section:
    """The results of one task and preset.

    Attributes:
        title: Task and preset.
        board: Their part of the leaderboard.
        runs: One row per run.
        scores: One row for each (run, checkpoint, metric) of completed runs.
        answers: Their verdicts.
        against: As in :class:`Results`.
        standing: Which scores may not win; None where it is still to be found out.
    """

    title: str
    board: pd.DataFrame
    runs: pd.DataFrame
    scores: pd.DataFrame
    answers: list[Answer]
    against: tuple[str, ...] = ()
    standing: Standing | None = None

    @cached_property
    def best(self) -> dict[str, Best]:
        """Metric to the contender that is better than every other one that may win."""
        return best(self.runs, self.scores, self.standing)

    @cached_property
    def cheapest(self) -> Cheapest | None:
        """The best model and the cheapest that is not separable from it; None where nothing can be said."""
        return cheapest(self.scores, self.runs, self.standing)

    @property
    def one_test_set(self) -> bool:
        """Whether all seeds have the same data: then verdicts are on this test set, and seeds vary only training."""
        known = self.runs.dropna(subset=["data"])
        return known["seed"].nunique() > 1 and known["data"].nunique() == 1


def require_models(against: Iterable[str], known: Iterable[str]) -> None:
    """Accept only models to compare with that are there.

    Raises:
        UsageError: for the first other one, with the known names.
    """
    names = set(known)
    for name in against:
        if name not in names:
            raise unknown("model to compare with", name, names)
