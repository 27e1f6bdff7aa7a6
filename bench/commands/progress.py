"""What a person sees of a benchmark: its plan, and the progress of its runs.

Bars on a terminal, and in a notebook that has ipywidgets; plain lines elsewhere.
"""

from __future__ import annotations

import math
import signal
import statistics
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from importlib.util import find_spec
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from bench.commands.so_far import SoFar
from bench.commands.tracking import Tracking
from bench.plans.costs import Costs, jobs
from bench.records.record import RunRecord, RunSpec
from bench.runs.campaign import Campaign, Cluster, executor
from bench.runs.executors.base import Adopted, Awaited, Event, Finished, Started, Stopping, Warned
from bench.runs.executors.base import Progress as Moved
from bench.runs.stopping import Stop
from bench.visible import visible

__all__ = ["Display", "conclude", "follow", "warn_of"]

HEARTBEAT_SECONDS = 30.0
SHOWN_SCALARS = ("nll_oracle", "grammatical", "nll_valid", "reward", "loss")


@dataclass(slots=True)
class UnderWay:
    """A run that has begun.

    Attributes:
        spec: The run.
        since: When it began, in seconds of :func:`time.monotonic`, as all moments here.
        phase: What it does now; empty until it says so.
        phase_since: When that was first heard of.
        first: The steps of the phase that were done by then: a run may continue from a checkpoint.
        heard: When the last step was heard of.
        done: The steps done by then.
        steps: All steps of the phase.
    """

    spec: RunSpec
    since: float
    phase: str = ""
    phase_since: float = 0.0
    first: int = 0
    heard: float = 0.0
    done: int = 0
    steps: int = 0

    def moved(self, phase: str, done: int, steps: int) -> None:
        """Keep what a run says of itself."""
        self.heard = time.monotonic()
        if phase != self.phase or done < self.done:
            self.phase, self.phase_since, self.first = phase, self.heard, done
        self.done, self.steps = done, steps

    def left(self, expected: float) -> float:
        """Seconds that it still takes: what is left of those expected, and at least what its phase seems to take."""
        now, done = time.monotonic(), self.done - self.first
        a_step = (self.heard - self.phase_since) / done if done > 0 else 0.0
        of_phase = a_step * (self.steps - self.done) - (now - self.heard)
        return max(expected - (now - self.since), of_phase, 0.0)


class Display:
    """Follows the events of an executor.

    Args:
        console: Where to write.
        plan: The runs to be done now.
        workers: The number of runs at once.
        costs: How long runs are expected to take; None where nothing is known.
    """

    def __init__(self, console: Console, plan: Sequence[RunSpec], workers: int, costs: Costs | None = None) -> None:
        self.console, self.workers = console, max(1, min(workers, jobs(plan)))
        self.total = len(plan)
        self.missing = Counter(map(_kind, plan))
        self.took: dict[tuple[str, str], list[float]] = {}
        self.packs = {_kind(spec): spec.pack for spec in plan}
        for kind, number in self.missing.items():
            self.packs[kind] = min(self.packs[kind], number)
        kinds = {_kind(spec): costs.of(spec) for spec in plan} if costs else {}
        self.expected = {kind: seconds for kind, seconds in kinds.items() if seconds is not None}
        self.now: dict[str, UnderWay] = {}
        self.done = 0
        self._warned: set[tuple[str, str, str]] = set()
        self._said = time.monotonic()
        self._bars: Progress | None = None
        self._rows: dict[str, TaskID] = {}
        self._free: list[TaskID] = []
        # A quiet console shows no bars, and these would hide what others print.
        if not console.quiet and (console.is_terminal or (console.is_jupyter and find_spec("ipywidgets"))):
            self._bars = Progress(
                TextColumn("{task.description}", markup=False),
                BarColumn(bar_width=20),
                TextColumn("{task.fields[state]}", markup=False),
                TimeElapsedColumn(),
                console=console,
                transient=True,
            )

    def __enter__(self) -> Display:
        if self._bars:
            self._bars.start()
            self._whole = self._bars.add_task("all runs", total=self.total, state="")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bars:
            self._bars.stop()

    def see(self, event: Event) -> None:
        """Show one event."""
        if isinstance(event, Started):
            self._started(event.spec)
        elif isinstance(event, Finished):
            self._finished(event.record)
        elif isinstance(event, Warned):
            spec = self.now[event.run_id].spec
            if (spec.task, spec.model, event.message) not in self._warned:  # other seeds have nothing to add
                self._warned.add((spec.task, spec.model, event.message))
                self._say(f"{_title(spec)}: warning: {event.message}", "yellow")
        elif isinstance(event, Stopping):
            number = len(event.run_ids)
            what = "the run under way saves its state" if number == 1 else f"{number} runs under way save their states"
            self._say(f"Stopping: {what} first. Once more stops at once." if number else "Stopped.", "yellow")
        elif isinstance(event, Adopted):
            self._ended_elsewhere(event.record)
        elif isinstance(event, Awaited):
            self._say(_awaited(event.holders), None)
        elif isinstance(event, Moved):
            self._moved(event.run_id, event.phase, event.done, event.steps, event.scalars)

    def show(self, so_far: SoFar, event: Event) -> None:
        """Show what is known after an event, if that is anything new."""
        from bench.reports import terminal

        try:
            known = so_far.see(event)
        except Exception as error:  # the runs go on, whatever is wrong with what they are summed up by
            self._say(f"warning: no provisional verdicts: {type(error).__name__}: {error}", "yellow")
            return
        if known:
            (self._bars.console if self._bars else self.console).print(terminal.render(known))

    def warn(self, lines: Iterable[str]) -> None:
        """Show what is wrong with something beside the runs, a line for each."""
        for line in lines:
            self._say(f"warning: {line}", "yellow")

    def _say(self, line: str, style: str | None) -> None:
        console = self._bars.console if self._bars else self.console
        console.print(line, style=style, highlight=False, soft_wrap=True, markup=False)

    def remaining(self) -> float | None:
        """Estimated seconds to the end, from how long runs of the same model and task took or were expected to take.

        A run that takes longer than that is expected to finish its phase, and takes nothing off what others take. All
        runs together take no less than the longest of them. None where nothing is known.
        """
        known = self.expected | {kind: statistics.mean(times) for kind, times in self.took.items()}
        if not known:
            return None
        overall = statistics.mean(known.values())
        going = [(_kind(run.spec), run.left(known.get(_kind(run.spec), overall))) for run in self.now.values()]
        waiting = self.missing - Counter(kind for kind, _ in going)
        jobs_left = {kind: math.ceil(count / self.packs[kind]) for kind, count in waiting.items()}
        each = [known.get(kind, overall) for kind in jobs_left]
        work = sum(count * seconds for count, seconds in zip(jobs_left.values(), each, strict=True))
        work += sum(seconds / self.packs[kind] for kind, seconds in going)
        return max([work / self.workers, *each, *(seconds for _, seconds in going)])

    def _started(self, spec: RunSpec) -> None:
        self.now[spec.run_id] = UnderWay(spec, time.monotonic())
        title = _title(spec)
        if self._bars is None:
            self.console.print(f"started {title}", highlight=False, soft_wrap=True, markup=False)
        elif self._free:
            self._rows[spec.run_id] = self._free.pop()
            self._bars.reset(self._rows[spec.run_id], description=title, total=1, state="")
        else:
            self._rows[spec.run_id] = self._bars.add_task(title, total=1, state="")

    def _moved(self, run_id: str, phase: str, done: int, steps: int, scalars: Mapping[str, float]) -> None:
        run, state = self.now[run_id], _state(phase, done, steps, scalars)
        run.moved(phase, done, steps)
        if self._bars is not None:
            self._bars.update(self._rows[run_id], completed=done, total=steps, state=state)
            self._show_whole()
        elif time.monotonic() - self._said > HEARTBEAT_SECONDS:
            self._said = time.monotonic()
            self.console.print(
                f"        {_title(run.spec)}: {state}{self._left()}",
                highlight=False, soft_wrap=True, markup=False,
            )  # fmt: skip

    def _finished(self, record: RunRecord) -> None:
        run = self.now.pop(record.spec.run_id)
        spec = run.spec
        if spec.run_id in self._rows:
            self._free.append(self._rows.pop(spec.run_id))
        seconds = time.monotonic() - run.since
        self.took.setdefault(_kind(spec), []).append(seconds)
        self.missing[_kind(spec)] -= 1
        self._end(record, f"in {_duration(seconds)}")

    def _ended_elsewhere(self, record: RunRecord) -> None:
        self.missing[_kind(record.spec)] -= 1
        self._end(record, "by another command in this folder")

    def _end(self, record: RunRecord, how: str) -> None:
        self.done += 1
        colour = {"ok": None, "skipped": "yellow"}.get(record.status, "red")
        line = f"[{self.done}/{self.total}] {_title(record.spec)}: {record.status} {how}"
        line += f" - {record.reason}" if record.reason else _outcome(record)
        self._say(line + ("" if self._bars else self._left()), colour)
        self._show_whole()

    def _show_whole(self) -> None:
        if self._bars is not None:
            self._bars.update(self._whole, completed=self.done, state=self._left().strip(", "))

    def _left(self) -> str:
        seconds = self.remaining()
        known = seconds is not None and round(seconds) > 0 and self.done < self.total
        return f", about {_duration(seconds)} left" if known and seconds is not None else ""


def follow(
    console: Console,
    campaign: Campaign,
    workers: int,
    timeout: float | None = None,
    so_far: SoFar | None = None,
    costs: Costs | None = None,
    cluster: Cluster | None = None,
    tracking: Tracking | None = None,
) -> int:
    """Do the missing runs of a campaign, and show their progress.

    Args:
        console: Where to write.
        campaign: The runs.
        workers: The number of worker processes; 0 for this process.
        timeout: Seconds that each run may take; None for any number.
        so_far: Says what is known while runs go on; None for nobody.
        costs: How long runs are expected to take; None where nothing is known.
        cluster: The Ray cluster that does the runs; None for this machine.
        tracking: Passes ended runs on to trackers; None for nobody.

    Returns:
        The number of the signal that ended them, as Ctrl-C does, and 0 where none did; by then the runs that it
        interrupted have saved their states and are marked.

    Raises:
        Halted: where records cannot be written.
    """
    display, stop = Display(console, campaign.missing, workers, costs), Stop()

    def see(event: Event) -> None:
        campaign.track(event)
        display.see(event)

    doing = executor(campaign.store, workers, see, stop, timeout, cluster)
    try:
        with stop.listening(), display, closing(campaign.events(doing)) as events:
            for event in events:
                display.see(event)
                if tracking:
                    display.warn(tracking.see(event, campaign.store))
                if so_far and not console.quiet:
                    display.show(so_far, event)
    except KeyboardInterrupt:  # the second signal, or one from elsewhere
        return stop.signal or signal.SIGINT
    return stop.signal


def conclude(console: Console, campaign: Campaign, interrupted: bool) -> None:
    """Say which runs failed, how many were interrupted, and which files do not count."""
    for record in campaign.failures:
        file = campaign.store.file(record.spec)
        console.print(f"failed: {record.reason} (see {file})", style="red", soft_wrap=True, markup=False)
    if campaign.vanished:
        console.print(
            f"The records of {campaign.vanished} finished run{'s' if campaign.vanished > 1 else ''} are not in "
            f"'{campaign.store.path}' any more: somebody removed them. Do the same again to repeat what is missing.",
            style="red", soft_wrap=True,
        )  # fmt: skip
    if interrupted:
        console.print(f"Interrupted, runs left: {campaign.left}. Do the same again to continue.", style="yellow")


def warn_of(console: Console, unreadable: Iterable[object]) -> None:
    """Show what is wrong with files of a results folder, a line for each."""
    for each in unreadable:
        console.print(f"warning: {each}", style="yellow", soft_wrap=True, highlight=False)


def _kind(spec: RunSpec) -> tuple[str, str]:
    """Runs that differ in their seed alone are of one kind: they take about as long."""
    return spec.task, spec.model


def _title(spec: RunSpec) -> str:
    return visible(f"{spec.task_label} {spec.label} seed {spec.seed}")


def _state(phase: str, done: int, steps: int, scalars: Mapping[str, float]) -> str:
    shown = next((f" {name} {scalars[name]:.3f}" for name in SHOWN_SCALARS if name in scalars), "")
    return f"{phase} {done}/{steps}{shown}" if steps > 1 else phase


def _awaited(holders: Mapping[str, str]) -> str:
    number, who = len(holders), sorted(set(holders.values()))
    runs = "one run, which is" if number == 1 else f"{number} runs, which are"
    return f"Waiting for {runs} done in this folder by {' and '.join(who)}. Ctrl-C stops waiting."


def _outcome(record: RunRecord) -> str:
    values = {score.metric: score.value for score in record.scores.get("final", ()) if score.value is not None}
    shown = [
        f"{name} {values[name]:.3f}" for name in ("nll_oracle", "grammatical", "nll_test", "bleu4") if name in values
    ]
    return f", {', '.join(shown)}" if shown else ""


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"
