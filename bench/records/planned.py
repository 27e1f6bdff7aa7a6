"""The plan of a results folder: which runs were asked for, kept beside their records, which may be lost."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bench.records.record import RunSpec, checksum

__all__ = ["FORMAT", "Configured", "NewerPlan", "from_json", "merged", "planned", "to_json"]

FORMAT = 1
"""Version of the file's shape."""


class NewerPlan(ValueError):  # noqa: N818 - it is not damaged
    """A plan of a format that only a later version of the code knows."""


@dataclass(frozen=True, slots=True)
class Configured:
    """The planned runs of one configuration: a model on a task under a preset, for some seeds.

    Attributes:
        task: The task's label.
        model: The model's label.
        preset: The preset's label.
        group: The id that all seeds of the configuration share.
        role: "contender" or "control".
        tuned: How the model's fields were chosen, in words.
        runs: Seed to run id.
    """

    task: str
    model: str
    preset: str
    group: str
    role: str
    tuned: str
    runs: Mapping[int, str]

    @property
    def labels(self) -> tuple[str, ...]:
        """What tables show it under: task, model and preset."""
        return self.task, self.model, self.preset


def planned(specs: Iterable[RunSpec]) -> list[Configured]:
    """The plan that consists of these runs; trials of a search are nobody's plan, since nothing is ranked there."""
    return merged(
        Configured(
            spec.task_label, spec.label, spec.preset_label, spec.group_id, spec.role, spec.tuned,
            {spec.seed: spec.run_id},
        )
        for spec in specs
        if not spec.is_trial
    )  # fmt: skip


def merged(plans: Iterable[Configured]) -> list[Configured]:
    """One entry for each configuration, with all its seeds; of its other facts, the last ones."""
    found: dict[tuple[str, ...], Configured] = {}
    for each in plans:
        key = *each.labels, each.group
        runs = {**(found[key].runs if key in found else {}), **each.runs}
        found[key] = replace(each, runs=dict(sorted(runs.items())))
    return [found[key] for key in sorted(found)]


def to_json(plans: Sequence[Configured]) -> str:
    """The content of the file, with a checksum."""
    rows = [
        {
            **{name: getattr(each, name) for name in ("task", "model", "preset", "group", "role", "tuned")},
            "runs": {str(seed): run_id for seed, run_id in each.runs.items()},
        }
        for each in plans
    ]
    content: dict[str, Any] = {"format": FORMAT, "planned": rows}
    return json.dumps({**content, "sha256": checksum(content)}, indent=1, sort_keys=True) + "\n"


def from_json(text: str) -> list[Configured]:
    """The plan back from the file.

    Raises:
        NewerPlan: for a later format.
        ValueError: for a text that is not a plan, or is not what was written.
    """
    try:
        content = json.loads(text)
        if content["sha256"] != checksum(content):
            raise ValueError("its checksum does not match its content")
        if content["format"] > FORMAT:
            raise NewerPlan(f"it has format {content['format']}, and this version reads formats up to {FORMAT}")
        return [
            Configured(**{**row, "runs": {int(seed): str(run_id) for seed, run_id in row["runs"].items()}})
            for row in content["planned"]
        ]
    except (TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ValueError("it is not a plan") from error
