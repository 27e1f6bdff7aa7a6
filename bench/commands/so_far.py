"""Verdicts while the runs go on: what the seeds that are complete say, marked as provisional."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from bench.records.record import RunSpec
from bench.reports.document import Document
from bench.runs.campaign import Campaign
from bench.runs.executors.base import Adopted, Event, Finished

if TYPE_CHECKING:
    from bench.records.frames import Frames

__all__ = ["SoFar"]

FEWEST = 2
"""Seeds without which nothing can be compared."""
PAUSE_SECONDS = 60.0
"""Least time between two provisional verdicts on one task."""
SHARE = 0.02
"""Of the time, that reading the folder for verdicts may take: a large one is read more seldom."""


class SoFar:
    """Follows a campaign, and says what is known of a task whenever another of its seeds is complete.

    A seed is complete when it has ended for every model that the results folder has or ever planned, because all of
    them are in the family of the final verdicts. Seeds that are not complete do not count, as if they had not been
    planned: so no model is ahead because its hardest seeds are still to be done. Where nothing of a task is left to be
    done, all seeds count, as in the report.

    Args:
        campaign: The runs.
        against: Labels of the models that verdicts compare with; empty for the usual ones.
    """

    def __init__(self, campaign: Campaign, against: tuple[str, ...] = ()) -> None:
        self._campaign, self._against = campaign, against
        self._open: dict[tuple[str, str], dict[int, set[str]]] = {}
        for spec in campaign.missing:
            self._open.setdefault(_task(spec), {}).setdefault(spec.seed, set()).add(spec.run_id)
        self._again: dict[tuple[str, str], float] = {}

    def see(self, event: Event) -> Document | None:
        """What is to be said after an event; None for nothing."""
        if not isinstance(event, Finished | Adopted):
            return None
        task, seed = _task(event.record.spec), event.record.spec.seed
        seeds = self._open[task]
        seeds[seed].discard(event.run_id)
        if seeds[seed] or not self._campaign.left:
            return None
        del seeds[seed]
        now = time.monotonic()
        if seeds and now < self._again.get(task, now):
            return None
        known = self._answer(task, not seeds)
        if known:
            self._again[task] = time.monotonic() + max(PAUSE_SECONDS, (time.monotonic() - now) / SHARE)
        return known

    def _answer(self, task: tuple[str, str], whole: bool) -> Document | None:
        """The verdicts of the seeds that are complete, or of all where nothing of the task is left to be done."""
        from bench.analysis.provisional import complete_seeds
        from bench.analysis.results import Results
        from bench.reports.pages.summary import so_far

        frames = self._campaign.store.load()
        runs = frames.runs[(frames.runs["task"] == task[0]) & (frames.runs["preset"] == task[1])]
        complete = set(runs["seed"]) if whole else complete_seeds(runs)
        if len(complete) < FEWEST:
            return None
        results = Results.of(_only(frames, task, complete), self._against)
        return so_far(results, None if whole else f"{len(complete)} of {runs['seed'].nunique()} seeds")


def _task(spec: RunSpec) -> tuple[str, str]:
    return spec.task_label, spec.preset_label


def _only(frames: Frames, task: tuple[str, str], seeds: set[int]) -> Frames:
    """The runs and scores of some seeds of a task."""
    runs, scores = (
        frame[(frame["task"] == task[0]) & (frame["preset"] == task[1]) & frame["seed"].isin(seeds)]
        for frame in (frames.runs, frames.scores)
    )
    return replace(frames, runs=runs, scores=scores, frontier=frames.frontier[:0], curves=frames.curves[:0])
