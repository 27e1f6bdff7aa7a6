"""Values of the fields of generators and tasks: from defaults, presets and ``--set``."""

from __future__ import annotations

import ast
import dataclasses
import math
import types
import typing
from collections.abc import Mapping
from typing import Any

from bench.errors import UsageError, unknown

__all__ = ["build", "configuration", "convert", "parse_override"]


def parse_override(text: str) -> tuple[str, str, str]:
    """Split ``seqgan.lr=0.005`` into ("seqgan", "lr", "0.005")."""
    path, equals, value = text.partition("=")
    owner, dot, field = path.strip().rpartition(".")
    if not (equals and dot and owner and field.isidentifier()):
        raise UsageError(f"expected a setting NAME.field=value, as in seqgan.lr=0.005, got '{text}'.")
    return owner, field, value.strip()


def convert(owner: str, plugin: type, field: str, text: str) -> Any:
    """The text of an override as a value of the field's type.

    Raises:
        UsageError: for an unknown field or a value of another type.
    """
    hints = {name: hint for name, hint in typing.get_type_hints(plugin).items() if name in _field_names(plugin)}
    if field not in hints:
        if not hints:
            raise UsageError(f"'{owner}' has no fields to set, got '{owner}.{field}={text}'.")
        raise unknown(f"field of '{owner}'", field, hints)
    hint = hints[field]
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        value = {"true": True, "false": False, "none": None}.get(text.lower(), text)
    if _fits(value, hint):
        # An integer given for a float field must name the same run as the equal float.
        return float(value) if isinstance(value, int) and not _fits(True, hint) and not _is_int(hint) else value
    if _fits(text, hint):
        return text  # what looks like a number may be a name
    raise UsageError(f"expected {owner}.{field} to be {_spell(hints[field])}, got '{text}'.")


def configuration(plugin: type, preset: str, overrides: Mapping[str, Any]) -> dict[str, Any]:
    """The fields' values: defaults, then the plugin's own preset, then the overrides."""
    presets: Mapping[str, Mapping[str, Any]] = getattr(plugin, "presets", {})
    chosen = {**presets.get(preset, {}), **overrides}
    config = {}
    for field in dataclasses.fields(plugin):
        default = field.default if field.default is not dataclasses.MISSING else None
        if default is None and field.default_factory is not dataclasses.MISSING:
            default = field.default_factory()
        config[field.name] = chosen.get(field.name, default)
    return config


def build(plugin: type, config: Mapping[str, Any]) -> Any:
    """An instance from a configuration that may have been through JSON, where tuples become lists."""
    return plugin(**{name: tuple(value) if isinstance(value, list) else value for name, value in config.items()})


def _field_names(plugin: type) -> set[str]:
    return {field.name for field in dataclasses.fields(plugin)}


def _fits(value: Any, hint: Any) -> bool:
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        return any(_fits(value, option) for option in typing.get_args(hint))
    if origin is tuple:
        return isinstance(value, tuple) and all(_fits(item, typing.get_args(hint)[0]) for item in value)
    if hint is type(None):
        return value is None
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, hint) if isinstance(hint, type) else True


def _is_int(hint: Any) -> bool:
    return hint is int or int in typing.get_args(hint)


def _spell(hint: Any) -> str:
    return hint.__name__ if isinstance(hint, type) else str(hint).replace("typing.", "")
