"""The types of fields and their ranges: whether a value is inside, and what to say in words.

A range is written with the library annotated-types: ``Annotated[int, Ge(0)]``, or one of the names in ``bench.api``.
"""

from __future__ import annotations

import contextlib
import dataclasses
import inspect
import math
import sys
import types
import typing
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from annotated_types import BaseMetadata, Ge, GroupedMetadata, Gt, Le, Lt, MaxLen, MinLen, Unit

__all__ = ["fitted", "has_bounds", "hints", "interval", "is_bounded", "spell", "unknown_bounds"]

BOUNDS = (Ge, Gt, Le, Lt, MinLen, MaxLen)
"""The bounds that are checked; ``Interval`` and ``Len`` are made of them."""
UNIONS = (typing.Union, types.UnionType)


def hints(plugin: type) -> dict[str, Any]:
    """The types of a dataclass's fields, with their ranges; other annotations are not evaluated."""
    names = {field.name for field in dataclasses.fields(plugin)}
    found: dict[str, Any] = {}
    for owner in reversed(plugin.__mro__):
        own = {name: hint for name, hint in inspect.get_annotations(owner).items() if name in names}
        module = vars(sys.modules[owner.__module__])
        fields = types.SimpleNamespace(__annotations__=own)
        found |= typing.get_type_hints(fields, module, dict(vars(owner)), include_extras=True)
    return found


def fitted(value: Any, hint: Any) -> Any:
    """The value as its type keeps it: an integer given for a number becomes a float.

    Raises:
        ValueError: for a value of another type, or outside the range.
    """
    kind, bounds = _parts(hint)
    value = _typed(value, kind)
    if value is not None and not all(_keeps(value, bound) for bound in bounds):
        raise ValueError(f"expected {spell(hint)}, got {value!r}")
    return value


def spell(hint: Any) -> str:
    """A type and its range in words, as in "an integer of 1 or more"."""
    kind, bounds = _parts(hint)
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in UNIONS:
        options = [_bounded(option, bounds) for option in arguments if option is not type(None)]
        return " or ".join(map(spell, options)) + (", or none" if type(None) in arguments else "")
    if origin is Literal:
        return " or ".join(map(str, arguments))
    if origin is tuple or kind is tuple:
        return "a tuple" + _length(bounds) + _items(arguments)
    plain = {int: "an integer", float: "a number", bool: "true or false", str: "a text", type(None): "none"}
    noun = plain.get(kind) or (kind.__name__ if isinstance(kind, type) else str(kind).replace("typing.", ""))
    return " ".join(filter(None, [noun, _interval(bounds)]))


def interval(hint: Any) -> tuple[type, float, float] | None:
    """What a number may be: ``int`` or ``float``, its least and its greatest value, infinite where there is none.

    The ends belong to the range, except those that a type excludes (``above 0``). None for anything but a number, and
    for a number with alternatives other than none.
    """
    kind, bounds = _parts(hint)
    if typing.get_origin(kind) in UNIONS:
        options = [option for option in typing.get_args(kind) if option is not type(None)]
        return interval(_bounded(options[0], bounds)) if len(options) == 1 else None
    if kind not in (int, float):
        return None
    lows: list[Any] = [
        bound.ge if isinstance(bound, Ge) else bound.gt for bound in bounds if isinstance(bound, Ge | Gt)
    ]
    highs: list[Any] = [
        bound.le if isinstance(bound, Le) else bound.lt for bound in bounds if isinstance(bound, Le | Lt)
    ]
    return kind, max(lows, default=-math.inf), min(highs, default=math.inf)


def is_bounded(hint: Any) -> bool:
    """Whether every number in a type has a least or a greatest value."""
    kind, bounds = _parts(hint)
    if kind in (int, float):
        return any(isinstance(bound, Ge | Gt | Le | Lt) for bound in bounds)
    if typing.get_origin(kind) is Literal:
        return True
    return all(is_bounded(_bounded(option, bounds)) for option in typing.get_args(kind) if option is not Ellipsis)


def has_bounds(hint: Any) -> bool:
    """Whether a type, or a part of it, has a range."""
    kind, bounds = _parts(hint)
    literal = typing.get_origin(kind) is Literal
    return bool(bounds) or literal or any(has_bounds(option) for option in typing.get_args(kind))


def unknown_bounds(hint: Any) -> Iterator[str]:
    """Names of the bounds in a type that are not checked, so that nothing looks checked that is not."""
    kind, bounds = _parts(hint)
    yield from (type(bound).__name__ for bound in bounds if not isinstance(bound, BOUNDS))
    for option in () if typing.get_origin(kind) is Literal else typing.get_args(kind):
        yield from unknown_bounds(option)


def _parts(hint: Any) -> tuple[Any, list[BaseMetadata]]:
    """A type without its range, and the bounds of the range."""
    if typing.get_origin(hint) is not Annotated:
        return hint, []
    kind, *notes = typing.get_args(hint)
    bounds: list[Any] = []
    for note in notes:
        bounds += note if isinstance(note, GroupedMetadata) else [note]
    return kind, [bound for bound in bounds if isinstance(bound, BaseMetadata) and not isinstance(bound, Unit)]


def _bounded(option: Any, bounds: list[BaseMetadata]) -> Any:
    """One option of a union that has bounds as a whole."""
    for bound in bounds:
        option = Annotated[option, bound]
    return option


def _typed(value: Any, kind: Any) -> Any:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in UNIONS:
        for option in sorted(arguments, key=lambda option: _parts(option)[0] is float):  # 5 for int | float stays int
            with contextlib.suppress(ValueError):
                return fitted(value, option)
    elif origin is Literal:
        if any(value == known and type(value) is type(known) for known in arguments):
            return value
    elif origin is tuple:
        items = arguments[:1] * len(value) if isinstance(value, tuple) and Ellipsis in arguments else arguments
        if isinstance(value, tuple) and len(value) == len(items):
            return tuple(map(fitted, value, items))
    elif kind is float:
        if isinstance(value, int | float) and not isinstance(value, bool):
            with contextlib.suppress(OverflowError):
                if math.isfinite(value):
                    return float(value)
    elif kind is int:
        if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63:
            return value
    elif kind is str:
        if isinstance(value, str) and "\0" not in value:
            with contextlib.suppress(UnicodeEncodeError):
                value.encode()  # what a terminal could not decode cannot be stored either
                return value
    elif kind is Any or not isinstance(origin or kind, type) or isinstance(value, origin or kind):
        return value
    raise ValueError(f"expected {spell(kind)}, got {value!r}")


def _keeps(value: Any, bound: BaseMetadata) -> bool:
    match bound:
        case Ge(least):
            return bool(value >= least)
        case Gt(least):
            return bool(value > least)
        case Le(most):
            return bool(value <= most)
        case Lt(most):
            return bool(value < most)
        case MinLen(least):
            return len(value) >= least
        case MaxLen(most):
            return len(value) <= most
    return True


def _interval(bounds: list[BaseMetadata]) -> str:
    low = [f"above {_number(bound.gt)}" for bound in bounds if isinstance(bound, Gt)]
    high = [f"below {_number(bound.lt)}" for bound in bounds if isinstance(bound, Lt)]
    least = [_number(bound.ge) for bound in bounds if isinstance(bound, Ge)]
    most = [_number(bound.le) for bound in bounds if isinstance(bound, Le)]
    if least and most:
        return f"from {least[0]} to {most[0]}"
    if not (low or high):
        return f"of {least[0]} or more" if least else f"of {most[0]} or less" if most else ""
    return " and ".join([*low, *(f"at least {n}" for n in least), *(f"at most {n}" for n in most), *high])


def _length(bounds: list[BaseMetadata]) -> str:
    least = max((bound.min_length for bound in bounds if isinstance(bound, MinLen)), default=0)
    most = min((bound.max_length for bound in bounds if isinstance(bound, MaxLen)), default=None)
    if most is not None:
        return f" of {least} to {most} items"
    return f" of {least} or more items" if least else ""


def _items(arguments: tuple[Any, ...]) -> str:
    if not arguments:
        return ""
    if Ellipsis in arguments:
        return f" (x, ...), each {spell(arguments[0])}"
    return f" ({', '.join(map(spell, arguments))})"


def _number(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
