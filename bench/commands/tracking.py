"""Runs for trackers of experiments, while a benchmark runs and afterwards: --tensorboard and --wandb.

A tracker shows what is done, and has no part in it: it reads records, in the process that trains nothing; where that
process trains after all, between two runs. Whatever goes wrong with it is a warning.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from bench.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from bench.records.record import RunRecord
    from bench.records.store import Store
    from bench.reports.trackers.tensorboard import TensorBoard
    from bench.reports.trackers.wandb import Wandb
    from bench.runs.campaign import Campaign
    from bench.runs.executors.base import Event

__all__ = ["Tracking", "tracked", "tracking_options"]

Function = TypeVar("Function", bound=Callable[..., Any])


def tracking_options(command: Function) -> Function:
    """The options of every command that writes runs for trackers."""
    to_wandb = click.option(
        "--wandb", "project", metavar="[PROJECT]", is_flag=False, flag_value="", callback=_project,
        help="Write the runs to Weights & Biases, or with WANDB_MODE=offline into FOLDER/wandb, once they have ended; "
        "without PROJECT, $WANDB_PROJECT or seqgan-bench.",
    )  # fmt: skip
    to_tensorboard = click.option(
        "--tensorboard", "events", metavar="DIR", type=click.Path(path_type=Path),
        help="Write the curves, settings, scores and samples of the runs for TensorBoard, once they have ended.",
    )  # fmt: skip
    return to_tensorboard(to_wandb(command))


def _project(_: click.Context, __: click.Parameter, name: str | None) -> str | None:
    """The name of a project, if it is not the folder that was meant to follow a bare --wandb."""
    from bench.records.store import MARKER

    if name and (Path(name) / MARKER).exists():
        raise UsageError(f"--wandb took the results folder '{name}' for the name of a project: write --wandb after it.")
    return name


def tracked(events: Path | None, project: str | None, store: Store) -> Tracking:
    """The trackers that the options name.

    Args:
        events: The value of --tensorboard; None without it.
        project: The value of --wandb; "" without a project, and None without the option.
        store: The results folder.

    Raises:
        UsageError: where one of them cannot be used, with what to do about it. Nothing is written before.
    """
    from bench.reports.trackers.tensorboard import TensorBoard
    from bench.reports.trackers.wandb import Wandb

    if events is not None and (store.runs.resolve() in (events.resolve(), *events.resolve().parents)):
        raise UsageError(f"--tensorboard: '{store.runs}' is for the records; choose another folder.")
    board = TensorBoard(events) if events is not None else None
    wandb = Wandb(project, store.path) if project is not None else None
    for tracker in (board, wandb):
        if tracker is not None:
            tracker.check()
    return Tracking(board, wandb)


class Tracking:
    """Passes ended runs on to trackers.

    Args:
        board: TensorBoard, which is written to at once: that takes milliseconds.
        wandb: Weights & Biases, whose process is waited for in a thread; runs that end meanwhile are given to the next.
    """

    def __init__(self, board: TensorBoard | None = None, wandb: Wandb | None = None) -> None:
        self._board, self._wandb = board, wandb
        self._waiting: deque[RunRecord] = deque()
        self._thread = ThreadPoolExecutor(1, "wandb")
        self._sent: list[Future[None]] = []
        self._problems: list[str] = []
        self._told, self._given = 0, 0
        self._missed: dict[str, set[str]] = {}

    def __enter__(self) -> Tracking:
        return self

    def __exit__(self, *_: object) -> None:
        """Leave out what is still on its way, as after an error; after :meth:`finish` there is nothing."""
        self._waiting.clear()
        if self._wandb is not None:
            self._wandb.stop()
        self._thread.shutdown(cancel_futures=True)

    @property
    def is_on(self) -> bool:
        """Whether there is any tracker."""
        return self._board is not None or self._wandb is not None

    def begin(self, campaign: Campaign) -> None:
        """Write the runs that a benchmark needs not do again."""
        if self.is_on:
            there = (campaign.store.read(spec) for spec in campaign.plan if spec.run_id in campaign.finished)
            self.put(record for record in there if record is not None)

    def see(self, event: Event, store: Store) -> list[str]:
        """Write the run that has ended, if one has; and say what has gone wrong since the last event."""
        from bench.runs.executors.base import Adopted, Finished

        if isinstance(event, Finished | Adopted):
            self.put([store.read(event.record.spec) or event.record])
        return self.news()

    def put(self, records: Iterable[RunRecord]) -> None:
        """Write these runs; those that have not ended are left out."""
        from bench.reports.trackers.history import SHOWN

        for record in records:
            if record.status not in SHOWN:
                continue
            self._given += 1
            if self._board is not None:
                self._keep("TensorBoard", record.spec.run_id, _attempt(self._board, record))
            if self._wandb is not None:
                self._waiting.append(record)
        if self._waiting:
            self._sent.append(self._thread.submit(self._send))

    def news(self) -> list[str]:
        """What has gone wrong since the last look; the same words are said only once."""
        news = self._problems[self._told :]
        self._told += len(news)
        return news

    def finish(self, console: Console) -> bool:
        """Wait until all runs are written, and say what went wrong.

        Returns:
            Whether nothing did.
        """
        if not all(each.done() for each in self._sent):
            console.print("Writing runs to Weights & Biases; Ctrl-C leaves out the rest.", highlight=False)
        for each in self._sent:
            each.result()
        for line in [*self.news(), *(_missing(name, len(runs)) for name, runs in self._missed.items() if runs)]:
            console.print(f"warning: {line}", style="yellow", highlight=False, soft_wrap=True, markup=False)
        for tracker in (self._board, self._wandb):
            if tracker is not None and self._given:
                console.print(tracker.where, highlight=False, soft_wrap=True, markup=False)
        return not any(self._missed.values())

    def _send(self) -> None:
        """Give all that waits to one process."""
        assert self._wandb is not None
        batch = [self._waiting.popleft() for _ in range(len(self._waiting))]
        if not batch:
            return
        try:
            failed = self._wandb.write(batch)
        except Exception as error:
            failed = dict.fromkeys((record.spec.run_id for record in batch), _reason(error))
        for record in batch:
            self._keep("W&B", record.spec.run_id, failed.get(record.spec.run_id))

    def _keep(self, name: str, run_id: str, reason: str | None) -> None:
        missed = self._missed.setdefault(name, set())
        if reason is None:
            missed.discard(run_id)
            return
        missed.add(run_id)
        problem = f"a run could not be written to {name}: {reason}"
        if problem not in self._problems:
            self._problems.append(problem)


def _attempt(board: TensorBoard, record: RunRecord) -> str | None:
    """Write a run; why it could not be, if so."""
    try:
        board.write(record)
    except Exception as error:  # the benchmark goes on, whatever is wrong with what shows it
        return _reason(error)
    return None


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or f"{type(error).__name__}: {error}"


def _missing(name: str, number: int) -> str:
    runs = "one run is" if number == 1 else f"{number} runs are"
    return f"{runs} not in {name}: 'bench report' with the same option writes what is missing."
