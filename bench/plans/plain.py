"""Values that a record can hold: run ids are made from the fields of models and tasks, and so they must be plain."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from bench.errors import UsageError

__all__ = ["require_plain"]

ALLOWED = "None, bool, int, float (finite), str, and lists, tuples and dicts (with str keys) of these"


def require_plain(owner: str, config: Mapping[str, Any]) -> None:
    """Accept only fields that JSON can hold.

    Args:
        owner: The model's or task's name.
        config: Field to value.

    Raises:
        UsageError: for the first other value, with its field, its type and what is allowed.
    """
    for field, value in config.items():
        try:
            odd = _odd(value)
        except RecursionError:
            odd = "a container that contains itself"
        if odd:
            raise UsageError(
                f"cannot keep the field '{owner}.{field}' in a record: it is or contains {odd}, "
                f"and allowed are {ALLOWED}."
            )


def _odd(value: Any) -> str:
    """The first part of a value that JSON cannot hold, in words; "" where there is none."""
    if isinstance(value, float):
        return "" if math.isfinite(value) else f"the float {value}"
    if value is None or isinstance(value, str | int):
        return ""
    if isinstance(value, list | tuple):
        return next(filter(None, map(_odd, value)), "")
    if isinstance(value, dict):
        strange = next((key for key in value if not isinstance(key, str)), None)
        if strange is not None:
            return f"a dict with a key of type {type(strange).__name__}"
        return next(filter(None, map(_odd, value.values())), "")
    return f"the class {value.__name__}" if isinstance(value, type) else f"a value of type {type(value).__name__}"
