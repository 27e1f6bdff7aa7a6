"""What a plugin's class must have: a class that lacks it is refused when it is loaded, before anything runs."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Mapping
from typing import Any

from bench.plans.fields import build, configuration
from bench.plans.presets import PRESETS
from bench.plans.ranges import fitted, has_bounds, hints, spell, unknown_bounds
from bench.records.record import EXECUTION

__all__ = ["brief", "broken"]


def broken(kind: str, plugin: Any) -> str | None:
    """What of the contract (:mod:`bench.api`) a class does not keep; None if it keeps all of it.

    Args:
        kind: "model", "task" or "metric".
        plugin: What an entry point names; it may be anything.
    """
    check = {"model": _check_generator, "task": _check_task, "metric": _check_metric}[kind]
    return check(plugin)


def brief(error: BaseException) -> str:
    """An error in one line."""
    return f"{type(error).__name__}: {error}".partition("\n")[0]


def _check_dataclass(plugin: Any) -> str | None:
    if not (isinstance(plugin, type) and dataclasses.is_dataclass(plugin)):
        return "expected a frozen dataclass"
    if not plugin.__dataclass_params__.frozen:  # type: ignore[attr-defined]
        return "expected a frozen dataclass, got one that is not frozen"
    for field in dataclasses.fields(plugin):
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            return f"expected a default for every field, got none for '{field.name}'"
    presets = getattr(plugin, "presets", {})
    if not isinstance(presets, Mapping):
        return "expected 'presets' to map a preset's name to field values"
    names = {field.name for field in dataclasses.fields(plugin)}
    for preset, values in presets.items():
        usual, on_one_task, task = preset.partition("/")
        if usual not in PRESETS or (on_one_task and not task):
            return f"a preset '{preset}': expected {', '.join(PRESETS)}, or one of them on a task, as in quick/oracle"
        strangers = set(values) - names
        if strangers:
            return f"preset '{preset}' sets unknown field(s) {', '.join(sorted(strangers))}"
    return _check_ranges(plugin, presets)


def _check_ranges(plugin: type, presets: Mapping[str, Any]) -> str | None:
    """Whether defaults and presets are in the ranges of their fields, and go together."""
    try:
        types = hints(plugin)
    except Exception as error:
        return f"cannot read the types of its fields: {brief(error)}"
    for name, hint in types.items():
        if bounds := set(unknown_bounds(hint)):
            known = "Ge, Gt, Le, Lt, Interval, Len, MinLen and MaxLen"
            return (
                f"the type of '{name}' has a bound that is not checked, {', '.join(sorted(bounds))}; known are {known}"
            )
    for preset in ("", *presets):
        origin = f"preset '{preset}'" if preset else "its default"
        usual, _, task = preset.partition("/")
        config = configuration(plugin, usual, {}, task)
        for name, value in config.items():
            if not has_bounds(types[name]):  # such a default may be anything, as infinity for "no limit"
                continue
            try:
                fitted(value, types[name])
            except ValueError:
                return f"expected '{name}' to be {spell(types[name])}, {origin} is {value!r}"
        try:
            build(plugin, config)
        except Exception as error:
            return f"cannot be made with {f'the values of {origin}' if preset else 'its defaults'}: {brief(error)}"
    return None


def _check_generator(plugin: Any) -> str | None:
    problem = _check_dataclass(plugin)
    if problem:
        return problem
    if "seed" in {field.name for field in dataclasses.fields(plugin)}:
        return "a field named 'seed': the seed belongs to the run, use run.rng(name)"
    strangers = set(getattr(plugin, "execution", ())) - set(EXECUTION)
    if strangers:
        return f"'execution' names {', '.join(sorted(strangers))}; known are {' and '.join(EXECUTION)}"
    return _check_method(plugin, "fit", ("data", "run"))


def _check_task(plugin: Any) -> str | None:
    problem = (
        _check_dataclass(plugin)
        or _check_attribute(plugin, "version")
        or _check_method(plugin, "fingerprint", ())
        or _check_method(plugin, "load", ())
    )
    if problem:
        return problem
    for preset in getattr(plugin, "presets", {}):
        if "/" in preset:
            return f"a preset '{preset}': those of a task hold for it alone anyway, expected {', '.join(PRESETS)}"
    return None


def _check_metric(plugin: Any) -> str | None:
    asked = ("scores", "evidence") if hasattr(plugin, "scores") else ("estimates", "subject")
    problem = _check_attribute(plugin, "version") or _check_method(plugin, asked[0], asked[1:])
    if problem:
        return problem
    try:
        plugin()
    except Exception as error:
        return f"cannot be made without arguments: {brief(error)}"
    return None


def _check_attribute(plugin: Any, name: str) -> str | None:
    return None if isinstance(getattr(plugin, name, None), str) else f"expected a class attribute '{name}' (str)"


def _check_method(plugin: Any, name: str, arguments: tuple[str, ...]) -> str | None:
    method = getattr(plugin, name, None)
    wanted = f"{name}({', '.join(('self', *arguments))})"
    if not callable(method):
        return f"expected a method {wanted}"
    try:
        inspect.signature(method).bind(*(None,) * (1 + len(arguments)))
    except TypeError:
        return f"expected a method {wanted}, got {name}{inspect.signature(method)}"
    return None
