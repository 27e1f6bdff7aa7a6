"""What a person sees of a benchmark: its plan, and the progress of its runs.

Bars on a terminal, and in a notebook that has ipywidgets; plain lines elsewhere.
"""

from __future__ import annotations

import signal
import statistics
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from importlib.util import find_spec
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from bench.plans.own_tasks import own_reports
from bench.plans.registry import available
from bench.records.record import RunRecord, RunSpec
from bench.runs.campaign import Campaign, executor
from bench.runs.executors.base import Event, Finished, Started, Stopping, Warned
from bench.runs.stopping import Stop

__all__ = ["Display", "announce", "conclude", "follow", "plan_table", "say_grade", "warn_of"]

HEARTBEAT_SECONDS = 30.0
MOST_TASKS = 4
"""Most tasks side by side in the table of the plan."""
SHOWN_SCALARS = ("nll_oracle", "nll_valid", "reward", "loss")


class Display:
    """Follows the events of an executor.

    Args:
        console: Where to write.
        plan: The runs to be done now.
        workers: The number of runs at once.
    """

    def __init__(self, console: Console, plan: Sequence[RunSpec], workers: int) -> None:
        self.console, self.workers = console, max(1, min(workers, len(plan)))
        self.total = len(plan)
        self.missing = Counter((spec.task, spec.model) for spec in plan)
        self.took: dict[tuple[str, str], list[float]] = {}
        self.now: dict[str, tuple[RunSpec, float]] = {}
        self.done = 0
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
            self._say(f"{_title(self.now[event.run_id][0])}: warning: {event.message}", "yellow")
        elif isinstance(event, Stopping):
            number = len(event.run_ids)
            what = "the run under way saves its state" if number == 1 else f"{number} runs under way save their states"
            self._say(f"Stopping: {what} first. Once more stops at once." if number else "Stopped.", "yellow")
        else:
            self._moved(event.run_id, event.phase, event.done, event.steps, event.scalars)

    def _say(self, line: str, style: str | None) -> None:
        console = self._bars.console if self._bars else self.console
        console.print(line, style=style, highlight=False, soft_wrap=True, markup=False)

    def remaining(self) -> float | None:
        """Estimated seconds to the end, from how long runs of the same model and task took; None at first."""
        if not self.took:
            return None
        overall = statistics.mean(seconds for times in self.took.values() for seconds in times)
        work = sum(
            count * statistics.mean(self.took.get(kind, [overall])) for kind, count in self.missing.items() if count
        )
        spent = sum(time.monotonic() - since for _, since in self.now.values())
        return max(0.0, work - spent) / self.workers

    def _started(self, spec: RunSpec) -> None:
        self.now[spec.run_id] = (spec, time.monotonic())
        title = _title(spec)
        if self._bars is None:
            self.console.print(f"started {title}", highlight=False, soft_wrap=True, markup=False)
        elif self._free:
            self._rows[spec.run_id] = self._free.pop()
            self._bars.reset(self._rows[spec.run_id], description=title, total=1, state="")
        else:
            self._rows[spec.run_id] = self._bars.add_task(title, total=1, state="")

    def _moved(self, run_id: str, phase: str, done: int, steps: int, scalars: Mapping[str, float]) -> None:
        state = _state(phase, done, steps, scalars)
        if self._bars is not None:
            self._bars.update(self._rows[run_id], completed=done, total=steps, state=state)
            self._show_whole()
        elif time.monotonic() - self._said > HEARTBEAT_SECONDS:
            self._said = time.monotonic()
            self.console.print(
                f"        {_title(self.now[run_id][0])}: {state}{self._left()}",
                highlight=False, soft_wrap=True, markup=False,
            )  # fmt: skip

    def _finished(self, record: RunRecord) -> None:
        spec, since = self.now.pop(record.spec.run_id)
        if spec.run_id in self._rows:
            self._free.append(self._rows.pop(spec.run_id))
        seconds = time.monotonic() - since
        self.took.setdefault((spec.task, spec.model), []).append(seconds)
        self.missing[spec.task, spec.model] -= 1
        self.done += 1
        colour = {"ok": "green", "skipped": "yellow"}.get(record.status, "red")
        line = f"[{self.done}/{self.total}] {_title(spec)}: {record.status} in {_duration(seconds)}"
        line += f" - {record.reason}" if record.reason else _outcome(record)
        self._say(line + ("" if self._bars else self._left()), colour if record.status != "ok" else None)
        self._show_whole()

    def _show_whole(self) -> None:
        if self._bars is not None:
            self._bars.update(self._whole, completed=self.done, state=self._left().strip(", "))

    def _left(self) -> str:
        seconds = self.remaining()
        known = seconds is not None and round(seconds) > 0 and self.done < self.total
        return f", about {_duration(seconds)} left" if known and seconds is not None else ""


def announce(console: Console, plan: Sequence[RunSpec], tasks: Sequence[str]) -> None:
    """Say how a user's own data were read, and which tasks are not among "all" because their data were never fetched.

    Args:
        console: Where to write.
        plan: All runs.
        tasks: The tasks that the user requested.
    """
    for task, notes in own_reports(plan).items():
        console.print(f"{task}\n  " + "\n  ".join(notes), highlight=False, markup=False)
    planned = {spec.task for spec in plan}
    missing = [name for name in available("task") if name not in planned] if list(tasks) == ["all"] else []
    if missing:
        console.print(
            f"Left out because their data are not here (bench data fetch NAME): {', '.join(missing)}.", highlight=False
        )


def follow(console: Console, campaign: Campaign, workers: int, timeout: float | None = None) -> int:
    """Do the missing runs of a campaign, and show their progress.

    Args:
        console: Where to write.
        campaign: The runs.
        workers: The number of worker processes; 0 for this process.
        timeout: Seconds that each run may take; None for any number.

    Returns:
        The number of the signal that ended them, as Ctrl-C does, and 0 where none did; by then the runs that it
        interrupted have saved their states and are marked.

    Raises:
        Halted: where records cannot be written.
    """
    display, stop = Display(console, campaign.missing, workers), Stop()
    doing = executor(campaign.store, workers, display.see, stop, timeout)
    try:
        with stop.listening(), display, closing(campaign.events(doing)) as events:
            for event in events:
                display.see(event)
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


def plan_table(plan: Sequence[RunSpec], finished: Mapping[str, str]) -> Table:
    """Models by tasks: how many runs there are and how many of them are still to be done.

    Many tasks do not fit side by side: then there is one row per task, with all models together.
    """
    missing = [spec for spec in plan if spec.run_id not in finished]
    tasks = list(dict.fromkeys(spec.task_label for spec in plan))
    whole = Counter((spec.label, spec.task_label) for spec in plan)
    to_do = Counter((spec.label, spec.task_label) for spec in missing)
    title = f"{len(plan)} runs, {len(missing)} to do (preset {plan[0].preset}, {plan[0].device})"
    table = Table(title=title, min_width=len(title) + 4)
    if len(tasks) > MOST_TASKS:
        for column in ("task", "models", "runs", "to do"):
            table.add_column(column, justify="left" if column == "task" else "right")
        for task in tasks:
            models = {model for model, its_task in whole if its_task == task}
            runs, left = (sum(counted[model, task] for model in models) for counted in (whole, to_do))
            table.add_row(Text(task), f"{len(models)}", f"{runs}", f"{left}" if left else "done")
        return table
    table.add_column("model")
    for task in tasks:
        table.add_column(Text(task), justify="right")
    for model in dict.fromkeys(spec.label for spec in plan):
        cells = []
        for task in tasks:
            runs, left = whole[model, task], to_do[model, task]
            seeds = f"{runs} seed{'s' if runs > 1 else ''}"
            cells.append(seeds if left == runs else f"{left} of {seeds}" if left else "done")
        table.add_row(Text(model), *cells)
    return table


def say_grade(console: Console, plan: Sequence[RunSpec], against: Sequence[str] = ()) -> None:
    """Say which verdicts so many seeds allow, and how many it takes for those that assume nothing."""
    from bench.analysis.answers import most_comparisons
    from bench.analysis.stats import seeds_of_sign_test
    from bench.records.frames import REAL_DATA

    roles: dict[tuple[str, str], dict[str, str]] = {}
    for spec in plan:
        if spec.model != REAL_DATA:
            roles.setdefault((spec.task_label, spec.preset_label), {})[spec.label] = spec.role
    family = max((most_comparisons(each, against) for each in roles.values()), default=0)
    if not family:
        return
    seeds, least = len({spec.seed for spec in plan}), seeds_of_sign_test(family)
    said = f"Verdicts, {'one comparison' if family == 1 else f'up to {family} comparisons in a family'}: "
    if seeds >= least:
        said += f"{seeds} seeds are enough for the sign test, which assumes nothing about how seeds scatter."
    else:
        said += (
            "one seed allows none" if seeds == 1 else f"{seeds} seeds allow those that hold if seeds scatter normally"
        )
        said += f"; --seeds {least} takes the sign test, which assumes nothing about that."
    console.print(said, highlight=False, markup=False)


def _title(spec: RunSpec) -> str:
    return f"{spec.task_label} {spec.label} seed {spec.seed}"


def _state(phase: str, done: int, steps: int, scalars: Mapping[str, float]) -> str:
    shown = next((f" {name} {scalars[name]:.3f}" for name in SHOWN_SCALARS if name in scalars), "")
    return f"{phase} {done}/{steps}{shown}" if steps > 1 else phase


def _outcome(record: RunRecord) -> str:
    values = {score.metric: score.value for score in record.scores.get("final", ()) if score.value is not None}
    shown = [f"{name} {values[name]:.3f}" for name in ("nll_oracle", "nll_test", "bleu4") if name in values]
    return f", {', '.join(shown)}" if shown else ""


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"
