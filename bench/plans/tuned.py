"""A preset file: a preset, and fields of models instead of those that it has; ``bench tune`` writes them.

A person may write one, too: ``{"preset": "quick", "models": {"mle": {"fields": {"lr": 0.003}}}}``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.errors import UsageError, unknown
from bench.plans.presets import PRESETS
from bench.plans.ranges import fitted, hints, spell
from bench.records.files import write_atomically

__all__ = ["PresetFile", "is_file", "read_preset", "write_preset"]

EXAMPLE = '{"preset": "quick", "models": {"mle": {"fields": {"lr": 0.003}}}}'
FORMAT = "seqgan-bench preset"
SEARCHED = ("task", "metric", "trials")
"""What a file says about the search that chose its fields."""


@dataclass(frozen=True, slots=True)
class PresetFile:
    """A preset, and the fields of some models.

    Attributes:
        name: The file's name, without its folder.
        preset: smoke, quick, medium or paper.
        fields: Model to its fields, as JSON has them; all others are those of the preset.
        search: How they were chosen: "task", "metric" and "trials"; empty if by no search.
    """

    name: str
    preset: str
    fields: Mapping[str, Mapping[str, Any]]
    search: Mapping[str, Any] = field(default_factory=dict)

    def of(self, model: str, plugin: type) -> dict[str, Any]:
        """The fields of one model, as its class has them.

        Raises:
            UsageError: for a field that it does not have, and a value of another type or outside its range.
        """
        types, found = hints(plugin), {}
        for name, value in self.fields.get(model, {}).items():
            if name not in types:
                raise UsageError(f"the preset file '{self.name}': {unknown(f'field of {model!r}', name, types)}")
            try:
                found[name] = fitted(tuple(value) if isinstance(value, list) else value, types[name])
            except ValueError as error:
                raise UsageError(
                    f"the preset file '{self.name}': expected {model}.{name} to be {spell(types[name])}, "
                    f"got {json.dumps(value)}."
                ) from error
        return found

    def tuning(self, model: str) -> dict[str, Any]:
        """What a run of a model says about how its fields were chosen."""
        if model not in self.fields:
            return {"preset": self.name}
        return {"preset": self.name, "fields": dict(self.fields[model]), **self.search}


def is_file(preset: str) -> bool:
    """Whether what the user named as a preset is meant to be a file."""
    return preset not in PRESETS and (preset.endswith(".json") or os.sep in preset or Path(preset).is_file())


def read_preset(path: Path) -> PresetFile:
    """Read a preset file.

    Raises:
        UsageError: for anything else, saying what is wrong with it.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"), parse_constant=_refuse)
    except OSError as error:
        raise UsageError(f"cannot read the preset file '{path}': {error.strerror}; 'bench tune' writes one.") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"the preset file '{path}' is not strict JSON: {error}.") from error
    models = content.get("models") if isinstance(content, dict) else None
    entries = list(models.values()) if isinstance(models, dict) else []
    shaped = entries and all(isinstance(each, dict) and isinstance(each.get("fields"), dict) for each in entries)
    if not shaped:
        raise UsageError(f"expected a preset file like {EXAMPLE}, got something else in '{path}'.")
    if content.get("preset") not in PRESETS:
        raise UsageError(f"the preset file '{path}': {unknown('preset', str(content.get('preset')), PRESETS)}")
    search = {name: content[name] for name in SEARCHED if name in content}
    kinds = {"task": str, "metric": str, "trials": int}
    if search and not all(type(search.get(name)) is kind for name, kind in kinds.items()):
        raise UsageError(f"the preset file '{path}': expected task, metric and number of trials of a search, or none.")
    fields = {str(model): dict(entry["fields"]) for model, entry in models.items()} if models else {}
    return PresetFile(path.name, content["preset"], fields, search)


def write_preset(path: Path, preset: str, about: Mapping[str, Any], models: Mapping[str, Mapping[str, Any]]) -> None:
    """Write a preset file.

    Args:
        path: The file.
        preset: smoke, quick, medium or paper.
        about: What a reader needs to know about the search, with all of :data:`SEARCHED`.
        models: Model to its "fields", and what else is known of it.

    Raises:
        UsageError: where it cannot be written.
    """
    content = {"format": FORMAT, "preset": preset, **about, "models": models}
    try:
        write_atomically(path, json.dumps(content, indent=1, allow_nan=False, ensure_ascii=False) + "\n")
    except OSError as error:
        raise UsageError(f"cannot write '{path}': {error.strerror}; choose another file.") from error


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no number of strict JSON")
