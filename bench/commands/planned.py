"""What is said before a plan begins: which runs it has, what verdicts they allow, and how long they take."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from bench.plans import registry
from bench.plans.costs import jobs
from bench.plans.own_files import own_reports
from bench.plans.plan import left_out
from bench.plans.presets import processors
from bench.plans.sets import members
from bench.records.frames import REAL_DATA
from bench.records.record import RunSpec
from bench.visible import visible

if TYPE_CHECKING:
    from bench.plans.costs import Costs

__all__ = ["announce", "expected_seconds", "plan_table", "roughly", "say_cost", "say_grade", "say_took"]

START = 5.0
"""Seconds until a worker has begun."""
MOST_TASKS = 4
"""Most tasks side by side in the table of the plan."""


def announce(console: Console, plan: Sequence[RunSpec], tasks: Sequence[str]) -> None:
    """Say how a user's own data were read, what is odd about plugins or packs, and what is not among "all" and why.

    Args:
        console: Where to write.
        plan: All runs.
        tasks: The tasks that the user requested.
    """
    for task, notes in own_reports(plan).items():
        console.print(f"{task}\n  " + "\n  ".join(notes), highlight=False, markup=False)
    for fault in _faults(plan):
        console.print(
            f"warning: {fault}: its rows will fail.", style="yellow", highlight=False, markup=False, soft_wrap=True
        )
    for remark in registry.remarks():
        console.print(f"warning: {remark}", style="yellow", highlight=False, markup=False)
    if any(spec.pack > 1 and spec.device == "cpu" for spec in plan):
        console.print(
            "warning: a pack is for CUDA: a CPU trains the same seeds faster without, in as many workers as cores.",
            style="yellow", highlight=False, soft_wrap=True,
        )  # fmt: skip
    planned = {spec.task for spec in plan}
    missing = [name for name in registry.available("task") if name not in planned] if list(tasks) == ["all"] else []
    unused = [] if plan[0].explicit_metrics else registry.available("metric").keys() - plan[0].metrics.keys()
    for plugin in (*(registry.find("metric", name) for name in unused), *(registry.find("task", n) for n in missing)):
        if reason := left_out(plugin):
            console.print(f"warning: left out: {reason}.", style="yellow", highlight=False, markup=False)
            missing = [name for name in missing if name != plugin.name]
    if missing:
        console.print(
            f"Left out because their data are not here (bench data fetch NAME): {', '.join(missing)}.", highlight=False
        )


def _faults(plan: Sequence[RunSpec]) -> Iterator[str]:
    """Why models of the plan cannot be loaded: their rows will say so, after all that comes before them."""
    for model in dict.fromkeys(spec.model for spec in plan if spec.target and not spec.source):
        try:
            registry.find("model", model).load()
        except registry.PluginError as error:
            yield str(error)


def plan_table(plan: Sequence[RunSpec], missing: Sequence[RunSpec]) -> Table:
    """Models by tasks: how many runs there are and how many of them are still to be done.

    Many tasks do not fit side by side: then there is one row per task, with all models together.
    """
    whole = Counter((spec.label, spec.task_label) for spec in plan)
    to_do = Counter((spec.label, spec.task_label) for spec in missing)
    tasks = list(dict.fromkeys(task for _, task in whole))
    title = f"{len(plan)} runs, {len(missing)} to do (preset {plan[0].preset}, {plan[0].device})"
    table = Table(title=title, min_width=len(title) + 4)
    if len(tasks) > MOST_TASKS:
        for column in ("task", "models", "runs", "to do"):
            table.add_column(column, justify="left" if column == "task" else "right", overflow="fold")
        for task in tasks:
            models = {model for model, its_task in whole if its_task == task}
            runs, left = (sum(counted[model, task] for model in models) for counted in (whole, to_do))
            table.add_row(Text(visible(task)), f"{len(models)}", f"{runs}", f"{left}" if left else "done")
        return table
    table.add_column("model", overflow="fold")
    for task in tasks:
        table.add_column(Text(visible(task)), justify="right")
    for model in dict.fromkeys(model for model, _ in whole):
        cells = []
        for task in tasks:
            runs, left = whole[model, task], to_do[model, task]
            seeds = f"{runs} seed{'s' if runs > 1 else ''}"
            cells.append(seeds if left == runs else f"{left} of {runs} left" if left else "done")
        table.add_row(Text(visible(model)), *cells)
    return table


def say_grade(console: Console, plan: Sequence[RunSpec], against: Sequence[str] = ()) -> None:
    """Say which verdicts so many seeds allow, and how many it takes for those that assume nothing."""
    from bench.analysis.references import most_comparisons
    from bench.analysis.stats import seeds_of_sign_test

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


def say_cost(console: Console, plan: Sequence[RunSpec], missing: Sequence[RunSpec], workers: int, costs: Costs) -> None:
    """Say how long the missing runs take on this machine, and what the named sets of models would take.

    Args:
        console: Where to write.
        plan: All runs.
        missing: Those to be done.
        workers: Worker processes; 0 for this process.
        costs: What is known of this machine.
    """
    if not missing:
        return
    at_once = max(1, min(workers, jobs(missing)))
    _, unknown = costs.total(missing)
    expected = expected_seconds(missing, workers, costs)
    if expected is None:
        said = "How long they take is not known: most of them are of a kind that was never timed."
    else:
        said = f"They take about {roughly(expected)}"
        said += f" on {at_once} workers" if at_once > 1 else ""
        said += f", without {unknown} run{'s' * (unknown > 1)} of a kind that was never timed" if unknown else ""
        said += "."
    sets = {name: _set_seconds(name, plan, costs) for name in ("core", "all", "everything")}
    known = {
        name: found / max(1, min(workers, processors()))
        for name, found in sets.items()
        if found and len(missing) == len(plan)
    }
    if len(known) > 1:
        said += f" With --models {', '.join(f'{name} {roughly(found)}' for name, found in known.items())}."
    console.print(said, highlight=False, markup=False)


def expected_seconds(missing: Sequence[RunSpec], workers: int, costs: Costs) -> float | None:
    """Seconds until the missing runs are done by so many workers; None where most of them were never timed."""
    seconds, unknown = costs.total(missing)
    if not missing or 2 * unknown > len(missing):
        return None
    at_once = max(1, min(workers, jobs(missing), processors()))
    longest = max(costs.of(spec) or 0.0 for spec in missing)
    return max(seconds / at_once, longest) + START * (workers > 0)


def say_took(console: Console, seconds: float, expected: float | None) -> None:
    """Say how long the runs took, beside what was expected."""
    if expected is not None:
        said = f"The runs took {roughly(seconds)}; about {roughly(expected)} were expected."
        console.print(said, highlight=False, markup=False)


def _set_seconds(name: str, plan: Sequence[RunSpec], costs: Costs) -> float | None:
    """Seconds of all runs if the plan were one of all models of a set; None where one of them was not timed."""
    chosen = [plugin.name for plugin in members(name)]
    tasks = {spec.task_label: spec for spec in plan if spec.model == REAL_DATA}
    usual = [replace(spec, model=model) for spec in tasks.values() for model in (REAL_DATA, *chosen)]
    seconds, unknown = costs.total(usual)
    return None if unknown else seconds * len({spec.seed for spec in plan})


def roughly(seconds: float) -> str:
    """As in "7 min 30 s", coarser the longer it is."""
    if seconds >= 2 * 3600:
        return f"{seconds / 3600:.0f} h"
    minutes, rest = divmod(max(1, round(seconds)), 60)
    return f"{minutes} min" + (f" {rest} s" if minutes < 10 and rest else "") if minutes else f"{rest} s"
