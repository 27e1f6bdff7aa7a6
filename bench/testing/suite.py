"""The suite: all checks of a generator, one after another, in this process or in one of their own."""

from __future__ import annotations

import math
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from bench.api import TrainingData, Unsupported
from bench.errors import UsageError
from bench.plans import registry
from bench.plans.fields import build, configuration
from bench.plans.own_files import own_task
from bench.runs.executors.child import Child
from bench.testing import density, sampling, training
from bench.testing.trial import PRESET, ContractViolation, Hint, on

LOADING = "it can be loaded"
"""The check that comes before all others."""
POLL_SECONDS = 0.2

ON_ANY_DATA: tuple[Callable[[type], None], ...] = (
    sampling.check_samples,
    sampling.check_stream,
    training.check_seed,
    training.check_seeds_differ,
    training.check_streams,
    training.check_evaluation,
    training.check_data,
    density.check_scoring,
    training.check_resume,
    training.check_interruption,
    training.check_budget,
)
"""Checks that are done on a task of the user's choice, too."""
CHECKS: tuple[Callable[[type], None], ...] = (
    *ON_ANY_DATA,
    training.check_valid,
    sampling.check_temperature,
    density.check_density,
    density.check_token_density,
    density.check_next_token_laws,
    density.check_ends,
    training.check_fields,
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """A check's result: "ok", "skipped" or "FAILED", and why, or what is worth knowing; "refused" for a wrong task."""

    check: str
    status: str
    detail: str = ""


def run_suite(generator: type) -> Iterator[Outcome]:
    """Run all checks one after another; one that fails does not stop the others."""
    for check in CHECKS:
        yield _outcome(check, generator)


def run_suite_apart(name: str, timeout: float | None = None, task: str = "") -> Iterator[Outcome]:
    """Run all checks in a process of their own, so that one that hangs or crashes costs one check.

    Args:
        name: The generator: the name under which it is registered, or ``package.module:Class``.
        timeout: Seconds that each check may take, the import included; None for any number.
        task: A task on whose data :data:`ON_ANY_DATA` are done, in place of all checks on toy data; "" for none.

    Yields:
        The outcome of each check; a single one for a generator that cannot be loaded.
    """
    child = None
    checks = ON_ANY_DATA if task else CHECKS
    try:
        for index, check in enumerate(checks):
            deadline = math.inf if timeout is None else time.monotonic() + timeout
            child = child or Child(_check_apart, name, task)
            child.pipe.send(index)
            while not child.pipe.poll(POLL_SECONDS) and not child.is_over() and time.monotonic() < deadline:
                pass
            try:
                outcome = child.pipe.recv() if child.pipe.poll() else None
            except (EOFError, OSError):
                outcome = None
            if outcome is None:
                late = time.monotonic() >= deadline
                why = f"it took longer than {timeout:g} s" if late else f"it ended with {child.cause_of_death()}"
                outcome = Outcome(_title(check), "FAILED", why)
                child.kill()
                child = None
            yield outcome
            if outcome.check == LOADING:
                return
    finally:
        if child is not None:
            child.kill()


def _check_apart(pipe: Connection[Any, Any], name: str, task: str) -> None:
    """Do the checks whose numbers come through the pipe."""
    plugin = registry.find("model", name)
    try:
        generator = plugin.load()
        data = _data(task) if task else None
    except registry.PluginError as error:
        if ":" in name and plugin.is_missing:  # a typing error, and nothing that could be checked
            pipe.send(Outcome(LOADING, "refused", f"{error}."))
        else:
            pipe.send(Outcome(LOADING, "FAILED", str(error)))
        return
    except UsageError as error:  # of the task's data, not the generator
        pipe.send(Outcome(LOADING, "refused", str(error)))
        return
    checks = ON_ANY_DATA if task else CHECKS
    with on(data):
        while True:
            try:
                check = checks[pipe.recv()]
            except EOFError:
                return
            try:
                outcome = _outcome(check, generator)
            except BaseException as error:  # Ctrl-C does not reach this process, so the plugin raised it
                outcome = Outcome(_title(check), "FAILED", _told(error))
            pipe.send(outcome)


def _data(name: str) -> TrainingData:
    """The training data of a task, by the values of its preset ``smoke``."""
    plugin, fields = own_task(name) or (registry.find("task", name), {})
    task = plugin.load()
    data: TrainingData = build(task, configuration(task, PRESET, fields)).load().training
    return data


def _outcome(check: Callable[[type], None], generator: type) -> Outcome:
    title = _title(check)
    try:
        check(generator)
    except Unsupported as reason:
        return Outcome(title, "skipped", str(reason))
    except Hint as hint:
        return Outcome(title, "ok", f"but {hint}")
    except ContractViolation as violation:
        return Outcome(title, "FAILED", str(violation))
    except (Exception, SystemExit) as error:
        return Outcome(title, "FAILED", _told(error))
    return Outcome(title, "ok")


def _told(error: BaseException) -> str:
    """An exception of the generator's, with the line that raised it."""
    where = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} ({Path(where.filename).name}:{where.lineno})"


def _title(check: Callable[[type], None]) -> str:
    return (check.__doc__ or check.__name__).partition("\n")[0].rstrip(".")
