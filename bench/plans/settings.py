"""The fields of a model or a task for people to read: range, default, presets and description."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import itertools
from collections.abc import Mapping
from typing import Any

from bench.plans.fields import configuration
from bench.plans.ranges import hints, spell

__all__ = ["Setting", "settings", "settings_by_task"]


@dataclasses.dataclass(frozen=True, slots=True)
class Setting:
    """One field.

    Attributes:
        name: The field's name.
        range: Its type and range in words.
        default: Its value where no preset sets it, as ``--set`` reads it.
        presets: Preset to the value that the preset sets instead, on all tasks.
        meaning: The description below the field; "" for none.
    """

    name: str
    range: str
    default: str
    presets: Mapping[str, str]
    meaning: str


def settings(plugin: type) -> list[Setting]:
    """All fields of a generator or a task, in their order."""
    presets: Mapping[str, Mapping[str, Any]] = getattr(plugin, "presets", {})
    defaults, types, meanings = configuration(plugin, "", {}), hints(plugin), _meanings(plugin)
    return [
        Setting(
            name,
            spell(types[name]),
            repr(default),
            {
                preset: repr(values[name])
                for preset, values in presets.items()
                if "/" not in preset and name in values and values[name] != default
            },
            meanings.get(name, ""),
        )
        for name, default in defaults.items()
    ]


def settings_by_task(plugin: type) -> dict[str, dict[str, str]]:
    """What presets set on one task alone: "quick on sotu" to field and value, as ``--set`` reads it."""
    presets: Mapping[str, Mapping[str, Any]] = getattr(plugin, "presets", {})
    return {
        " on ".join(where.split("/")): {name: repr(value) for name, value in values.items()}
        for where, values in presets.items()
        if "/" in where
    }


def _meanings(plugin: type) -> dict[str, str]:
    """Field to the string below it, read from the source of the class and of those it inherits from."""
    found = {}
    for owner in reversed([owner for owner in plugin.__mro__ if dataclasses.is_dataclass(owner)]):
        try:
            body = ast.parse(inspect.cleandoc("\n" + inspect.getsource(owner))).body[0]
        except (OSError, TypeError, SyntaxError):  # no source to read, as for a class made by a function
            continue
        for node, below in itertools.pairwise(body.body if isinstance(body, ast.ClassDef) else []):
            if (
                isinstance(node, ast.AnnAssign)
                and isinstance(node.target, ast.Name)
                and isinstance(below, ast.Expr)
                and isinstance(below.value, ast.Constant)
                and isinstance(below.value.value, str)
            ):
                found[node.target.id] = " ".join(below.value.value.split())
    return found
