"""What may be said of a benchmark that is not over: which seeds count, and how much is still to come."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import pandas as pd

from bench.records.frames import Frames

__all__ = ["ENDED", "Provisional", "complete_seeds", "so_far"]

ENDED = ("ok", "skipped", "failed")


@dataclass(frozen=True, slots=True)
class Provisional:
    """How far the runs of a task and preset are.

    Attributes:
        ended: Runs that have ended.
        runs: All of them.
        complete: Seeds that have ended for every model.
        seeds: All of them.
    """

    ended: int
    runs: int
    complete: int
    seeds: int

    def words(self) -> str:
        """In sentences."""
        said = f"Provisional: {self.ended} of {self.runs} runs have ended. "
        if not self.complete:
            return said + (
                "No seed has ended for every model, so that nothing can be compared yet: the models below have "
                "different seeds."
            )
        has = "has" if self.complete == 1 else "have"
        return said + (
            f"{self.complete} of {self.seeds} seeds {has} ended for every model; only such seeds are shown and "
            "compared."
        )


def complete_seeds(runs: pd.DataFrame) -> set[int]:
    """The seeds of one task that have ended for every model that has a run or was ever planned.

    The others do not count, as if they had not been planned: so no model is ahead because its hardest seeds are still
    to be done.

    Args:
        runs: One row for each run of the task, also for those that are planned.
    """
    models = runs[runs["status"].isin(ENDED)].groupby("seed")["model"].nunique()
    return set(models.index[models == runs["model"].nunique()])


def so_far(frames: Frames) -> tuple[Frames, Mapping[str, Provisional]]:
    """What counts while runs go on: of each task the seeds that are complete, or what there is where none is.

    Args:
        frames: Everything in a results folder.

    Returns:
        The frames of these runs, and the titles of the tasks that are not over, with how far they are.
    """
    kept, found = [], {}
    for (task, preset), own in frames.runs.groupby(["task", "preset"], sort=False):
        ended = own["status"].isin(ENDED)
        if ended.all():
            kept.append(own)
            continue
        complete = complete_seeds(own)
        kept.append(own[ended & own["seed"].isin(complete)] if complete else own[ended])
        found[f"{task}, {preset}"] = Provisional(int(ended.sum()), len(own), len(complete), int(own["seed"].nunique()))
    if not found:
        return frames, {}
    runs = pd.concat(kept)
    ids = set(runs["run_id"])
    scores, frontier, curves = (
        frame[frame["run_id"].isin(ids)] for frame in (frames.scores, frames.frontier, frames.curves)
    )
    return replace(frames, runs=runs, scores=scores, frontier=frontier, curves=curves), found
