"""Values of the fields of generators and tasks: from defaults, presets and ``--set``."""

from __future__ import annotations

import ast
import contextlib
import dataclasses
import inspect
from collections.abc import Mapping
from typing import Any

from bench.errors import UsageError, unknown
from bench.plans.ranges import fitted, hints, spell

__all__ = ["build", "checked_build", "configuration", "convert", "parse_override"]

LONGEST_SHOWN = 60
"""Characters of a refused value that are repeated to the user."""


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
        UsageError: for an unknown field, a value of another type, or one outside the field's range.
    """
    types = hints(plugin)
    if field not in types:
        if _has_no_type(plugin, field):
            there = getattr(plugin, field)
            hint = f"{field}: {type(there).__name__} = {there!r}"
            raise UsageError(f"'{field}' of '{owner}' has no type, so it is no field: write '{hint}' in its class.")
        if not types:
            raise UsageError(f"'{owner}' has no fields to set, got '{owner}.{field}={text}'.")
        raise unknown(f"field of '{owner}'", field, types)
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        value = {"true": True, "false": False, "none": None}.get(text.lower(), text)
    for meant in (value,) if isinstance(value, str) else (value, text):  # what looks like a number may be a name
        with contextlib.suppress(ValueError):
            return fitted(meant, types[field])
    shown = " ".join(text.split())
    shown = shown if len(shown) <= LONGEST_SHOWN else f"{shown[:LONGEST_SHOWN]}..."
    raise UsageError(f"expected {owner}.{field} to be {spell(types[field])}, got '{shown}'.")


def _has_no_type(plugin: type, name: str) -> bool:
    """Whether it is a plain value of the class, which :mod:`dataclasses` passes over."""
    annotated = any(name in inspect.get_annotations(each) for each in plugin.__mro__)
    return not annotated and isinstance(getattr(plugin, name, None), bool | int | float | str)


def configuration(plugin: type, preset: str, overrides: Mapping[str, Any], task: str = "") -> dict[str, Any]:
    """The fields' values: defaults, then the plugin's own preset, what it changes on a task, and the overrides.

    Example:
        >>> from seqgan.mle import MLE
        >>> configuration(MLE, "quick", {})["epochs"], configuration(MLE, "quick", {}, "folk-tunes")["epochs"]
        (12, 24)
    """
    presets: Mapping[str, Mapping[str, Any]] = getattr(plugin, "presets", {})
    chosen = {**presets.get(preset, {}), **presets.get(f"{preset}/{task}", {}), **overrides}
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


def checked_build(owner: str, plugin: type, config: Mapping[str, Any]) -> Any:
    """:func:`build`, where what the class itself refuses, such as fields that contradict each other, is a mistake.

    Raises:
        UsageError: with the sentence of the class.
    """
    try:
        return build(plugin, config)
    except UsageError:
        raise
    except Exception as error:
        named = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
        raise UsageError(f"the fields of '{owner}' do not go together: {named}{error}.") from error
