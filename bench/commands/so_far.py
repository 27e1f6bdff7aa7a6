"""Verdicts while the runs go on: what the seeds that are complete say, marked as provisional."""

from __future__ import annotations

import time
from dataclasses import replace

from bench.records.record import RunRecord, RunSpec
from bench.reports.document import Document
from bench.runs.campaign import Campaign
from bench.runs.executors.base import Event, Finished

__all__ = ["SoFar"]

FEWEST = 2
"""Seeds without which nothing can be compared."""
PAUSE_SECONDS = 60.0
"""Least time between two provisional verdicts on one task."""


class SoFar:
    """Follows a campaign, and says what is known of a task whenever another of its seeds is complete.

    A seed is complete when all planned runs of it have ended. Those of other seeds do not count, as if they had not
    been planned: so no model is ahead because its hardest seeds are still to be done.

    Args:
        campaign: The runs.
        against: Labels of the models that verdicts compare with; empty for the usual ones.
    """

    def __init__(self, campaign: Campaign, against: tuple[str, ...] = ()) -> None:
        self._campaign, self._against = campaign, against
        self._tasks: dict[tuple[str, str], dict[int, set[str]]] = {}
        for spec in campaign.plan:
            self._tasks.setdefault(_task(spec), {}).setdefault(spec.seed, set()).add(spec.run_id)
        self._ended: dict[str, RunRecord | None] = dict.fromkeys(campaign.finished)
        self._said: dict[tuple[str, str], float] = {}

    def see(self, event: Event) -> Document | None:
        """What is to be said after an event; None for nothing."""
        if not isinstance(event, Finished):
            return None
        self._ended[event.run_id] = _slim(event.record)
        task, seed = _task(event.record.spec), event.record.spec.seed
        seeds = self._tasks[task]
        complete = [each for each, runs in seeds.items() if runs <= self._ended.keys()]
        whole = len(complete) == len(seeds)
        if seed not in complete or len(complete) < FEWEST or not self._campaign.left:
            return None
        now = time.monotonic()
        if not whole and now - self._said.get(task, -PAUSE_SECONDS) < PAUSE_SECONDS:
            return None
        self._said[task] = now
        return self._answer(task, complete, whole)

    def _answer(self, task: tuple[str, str], complete: list[int], whole: bool) -> Document | None:
        from bench.analysis.results import Results
        from bench.records.frames import frames
        from bench.reports.pages.summary import so_far

        records = [
            record
            for spec in self._campaign.plan
            if _task(spec) == task and spec.seed in complete and (record := self._record(spec))
        ]
        results = Results.of(frames(records), self._against)
        return so_far(results, None if whole else f"{len(complete)} of {len(self._tasks[task])} seeds")

    def _record(self, spec: RunSpec) -> RunRecord | None:
        """The record of a run that has ended, now or before; None where it is not in the folder any more."""
        record = self._ended[spec.run_id]
        if record is None and (record := self._campaign.store.read(spec)):
            record = self._ended[spec.run_id] = _slim(record)
        return record


def _task(spec: RunSpec) -> tuple[str, str]:
    return spec.task_label, spec.preset_label


def _slim(record: RunRecord) -> RunRecord:
    """What verdicts read."""
    return replace(record, frontier={}, curve=(), samples=())
