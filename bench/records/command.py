"""The command that does a run again, from its specification."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from bench.records.record import RunSpec

__all__ = ["command", "with_seeds"]

OWN_FILES = ("text", "midi", "samples")
"""Prefixes of the names of tasks and models that are made of files, whose fields are part of the name."""
SUFFIXES = {"seconds": "s", "tokens": "-tokens", "updates": "-updates"}
"""What is limited to what is written after the amount."""


def command(spec: RunSpec) -> str:
    """The ``bench run`` that plans this run, for a shell; without ``--seeds``, so that all seeds share it.

    Files are named as tables name them, without their folders: of own texts and samples, of weights, and of presets.

    Args:
        spec: Of a model; of the real data, which every ``bench run`` on its task scores, there is no command: "".

    Example:
        ``bench run --models mle --tasks toy --preset smoke --set mle.lr=0.5 --temperatures none --device cpu``
    """
    if not spec.target:
        return ""
    task, task_settings = _named(spec.task, spec.task_overrides)
    model, settings = _named(spec.model, spec.overrides)
    options = {"models": model, "tasks": task, "preset": str(spec.tuning.get("preset", spec.preset))}
    parts = ["bench", "run", *(part for name, value in options.items() for part in (f"--{name}", value))]
    for setting in (*settings, *task_settings):
        parts += ["--set", setting]
    if spec.explicit_metrics:
        parts += ["--metrics", ",".join(spec.metrics)]
    for name, amount in spec.budget.items():
        parts += ["--budget", f"{amount:.10g}{SUFFIXES.get(name, name)}"]
    parts += ["--temperatures", ",".join(map(repr, spec.temperatures)) or "none", "--device", spec.device]
    if spec.device != "cpu" and "mode" in spec.execution:
        parts += ["--execution", str(spec.execution["mode"])]
    if spec.execution.get("bfloat16") is False:
        parts.append("--no-bfloat16")
    if spec.pack > 1:
        parts += ["--pack", str(spec.pack)]
    return shlex.join(parts)


def with_seeds(command: str, seeds: Sequence[int]) -> str:
    """The command for these seeds; "" stays so. One seed alone is written as a range, since a number counts seeds."""
    named = ",".join(map(str, seeds)) if len(seeds) > 1 else f"{seeds[0]}-{seeds[0]}"
    return f"{command} --seeds {named}" if command else ""


def _named(name: str, fields: Mapping[str, Any]) -> tuple[str, list[str]]:
    """A name as ``bench run`` takes it, and the settings that go with it."""
    if name.partition(":")[0] in OWN_FILES:
        return ",".join([name, *(f"{field}={value}" for field, value in fields.items())]), []
    return name, [f"{name}.{field}={_literal(value)}" for field, value in fields.items()]


def _literal(value: Any) -> str:
    """A field's value in Python's spelling; a record holds a list where a field holds a tuple."""
    return repr(tuple(value) if isinstance(value, list) else value)
