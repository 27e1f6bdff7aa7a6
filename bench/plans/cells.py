"""A plan as a file of cells, one run a line, for those who start runs by their own means, as with a job array.

``bench plan --format jsonl`` writes the file, ``bench run --plan FILE --cell N`` does one of its runs. A line is all
that decides the outcome of a run (:class:`bench.records.record.RunSpec`) after what people choose cells by.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

from bench.errors import UsageError
from bench.plans.costs import Costs
from bench.plans.registry import Plugin, PluginError, find, source_hash
from bench.records.record import RunSpec

__all__ = ["check", "choose", "lines", "read"]

RUN_ID = re.compile("[0-9a-f]{12}")
NUMBERS = re.compile(r"(\d{1,7})(?:-(\d{1,7}))?")


def lines(plan: Sequence[RunSpec], costs: Costs) -> Iterator[str]:
    """The lines of the file: a JSON object for each run, with its number, counted from 1."""
    for number, spec in enumerate(plan, 1):
        seconds = costs.of(spec)
        cell = {
            "cell": number,
            "run_id": spec.run_id,
            "task": spec.task_label,
            "model": spec.label,
            "preset": spec.preset_label,
            "seed": spec.seed,
            "seconds": None if seconds is None else round(seconds, 1),
            "spec": dataclasses.asdict(spec),
        }
        yield json.dumps(cell, allow_nan=False)


def read(file: Path) -> dict[int, RunSpec]:
    """The plan back from the file, or from some of its lines: number to run.

    Raises:
        UsageError: for a file that cannot be read or is not such a plan.
    """
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise UsageError(f"cannot read the plan '{file}': {reason}.") from error
    plan: dict[int, RunSpec] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            cell = json.loads(line)
            spec = RunSpec(**{**cell["spec"], "temperatures": tuple(cell["spec"]["temperatures"])})
            place = cell["cell"]
            if cell["run_id"] != spec.run_id or not isinstance(place, int) or plan.get(place, spec) != spec:
                raise ValueError
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise UsageError(
                f"expected a plan that 'bench plan --format jsonl' wrote, but line {number} of '{file}' is none of its "
                "lines, or was changed: make it anew."
            ) from error
        plan[place] = spec
    if not plan:
        raise UsageError(f"expected a plan that 'bench plan --format jsonl' wrote, but '{file}' is empty.")
    return plan


def choose(plan: Mapping[int, RunSpec], cells: Iterable[str]) -> list[RunSpec]:
    """The runs that were named, each once, in the order of the plan.

    Args:
        plan: All runs by their numbers.
        cells: Run ids, numbers of runs, and ranges of numbers, as in ``3-7``; several with commas.

    Raises:
        UsageError: for what is none of these, or is not in the plan.
    """
    by_id = {spec.run_id: number for number, spec in plan.items()}
    chosen: set[int] = set()
    for text in (part.strip() for cell in cells for part in cell.split(",")):
        numbers = NUMBERS.fullmatch(text)
        if text in by_id:
            chosen.add(by_id[text])
        elif numbers:
            first, last = int(numbers[1]), int(numbers[2] or numbers[1])
            if not (first <= last and first in plan and last in plan):
                raise UsageError(f"expected cells from {min(plan)} to {max(plan)} that are in the plan, got {text}.")
            chosen.update(number for number in plan if first <= number <= last)
        elif RUN_ID.fullmatch(text):
            raise UsageError(
                f"no run of this plan has the id {text}: the same options, code and versions make the same plan."
            )
        else:
            raise UsageError(f"expected a run id, a number or a range of numbers for a cell, as in 3-7, got '{text}'.")
    return [plan[number] for number in sorted(chosen)]


def check(specs: Iterable[RunSpec]) -> None:
    """Accept only runs that were planned with the code and versions that would do them here.

    Raises:
        UsageError: for any other; its record would claim what is not so.
    """
    sources: dict[tuple[str, str], str] = {}
    for spec in specs:
        if spec.torch != (here := version("torch")):
            raise UsageError(f"the plan was made with torch {spec.torch}, and here is {here}: make it anew.")
        key = spec.model, spec.target
        if spec.target and key not in sources:
            try:
                sources[key] = source_hash(Plugin("model", *key))
            except PluginError as error:
                raise UsageError(f"{error}.") from error
        if spec.target and sources[key] != spec.source:
            raise UsageError(f"the plan was made with other code of {spec.model} than is here: make it anew.")
        for name, planned in spec.metrics.items():
            try:
                there = find("metric", name).load().version
            except PluginError as error:
                raise UsageError(f"{error}.") from error
            if there != planned:
                raise UsageError(f"the plan was made with version {planned} of {name}, and here is {there}.")
