"""How much of everything: the harness's part of smoke, quick and paper, and how fields get their values.

What a preset means for a generator or a task stands beside its fields, in its ``presets``.
"""

from __future__ import annotations

import ast
import dataclasses
import math
import re
import types
import typing
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from bench.errors import UsageError, unknown


@dataclasses.dataclass(frozen=True, slots=True)
class Preset:
    """The judge's effort.

    Attributes:
        name: smoke, quick or paper.
        samples: Sequences drawn from each checkpoint for scoring.
        curve_points: Scored steps in each phase of training, at most.
        curve_samples: Sequences drawn and held-out sequences read at each of them.
        temperatures: Of the frontier: at each, a trained model is decoded anew.
        frontier_samples: Sequences drawn and held-out sequences read at each of them.
    """

    name: str
    samples: int
    curve_points: int
    curve_samples: int
    temperatures: tuple[float, ...]
    frontier_samples: int


TEMPERATURES = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3, 1.4)
MOST_TEMPERATURES = 100

PRESETS = {
    preset.name: preset
    for preset in (
        Preset("smoke", 200, curve_points=2, curve_samples=50, temperatures=(0.7, 1.0, 1.3), frontier_samples=100),
        Preset("quick", 2_000, curve_points=5, curve_samples=500, temperatures=TEMPERATURES, frontier_samples=1_000),
        Preset(
            "paper", 10_000, curve_points=40, curve_samples=2_000, temperatures=TEMPERATURES, frontier_samples=5_000
        ),
    )
}


def find_preset(name: str) -> Preset:
    """The preset of this name."""
    if name not in PRESETS:
        raise unknown("preset", name, PRESETS)
    return PRESETS[name]


def parse_temperatures(text: str) -> tuple[float, ...]:
    """``0.5..1.4`` in steps of 0.1, ``0.5..1.4:0.05`` in others, a list like ``0.7,1``, or ``none``.

    Raises:
        UsageError: for anything else, and for temperatures that are not above 0.

    Example:
        >>> parse_temperatures("0.9..1.1")
        (0.9, 1.0, 1.1)
    """
    try:
        if text.strip() == "none":
            return ()
        found = re.fullmatch(r"([^.:,]*(?:\.\d+)?)\.\.([^:,]+?)(?::([^:,]+))?", text.strip())
        if found:
            low, high, step = Decimal(found[1]), Decimal(found[2]), Decimal(found[3] or "0.1")
            if not 0 < low <= high or not step > 0 or (high - low) / step > MOST_TEMPERATURES:
                raise ValueError
            return tuple(float(low + step * place) for place in range(int((high - low) / step) + 1))
        values = sorted({float(part) for part in text.split(",")})
        if not all(0 < value < math.inf for value in values) or len(values) > MOST_TEMPERATURES:
            raise ValueError
        return tuple(values)
    except (ValueError, ArithmeticError) as error:
        raise UsageError(
            f"expected --temperatures like 0.5..1.4, 0.5..1.4:0.05, 0.7,1,1.3 or none, at most {MOST_TEMPERATURES} and "
            f"all above 0, got '{text}'."
        ) from error


def parse_override(text: str) -> tuple[str, str, str]:
    """``seqgan.lr=0.005`` to ("seqgan", "lr", "0.005")."""
    path, equals, value = text.partition("=")
    owner, dot, field = path.strip().rpartition(".")
    if not (equals and dot and owner and field.isidentifier()):
        raise UsageError(f"expected --set NAME.field=value (as in --set seqgan.lr=0.005), got '{text}'.")
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
        # A whole number given for a real one must name the same run as the real one.
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
