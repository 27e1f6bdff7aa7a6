"""What a search may try: ranges of a model's fields, around the values that the preset gives them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from bench.errors import UsageError, unknown
from bench.plans.fields import convert
from bench.plans.ranges import hints, interval

__all__ = ["Choice", "Dimension", "Space", "Span", "default_space", "parse_space", "requested_space"]

WIDER, LARGER = 10, 4
"""How far a number, and how far a size, is searched on either side of the preset's value."""
DIGITS = 3
"""Significant digits of a value that is tried."""


@dataclass(frozen=True, slots=True)
class Span:
    """A range of numbers.

    Attributes:
        low: The least.
        high: The greatest, at least ``low``.
        whole: Whether only integers are meant.
        log: Whether equal ratios are equally far apart, and not equal differences; ``low`` is then above 0.
    """

    low: float
    high: float
    whole: bool = False
    log: bool = True

    def __str__(self) -> str:
        """As ``--space`` reads it, and whether it is on a logarithmic scale."""
        return f"{self.low:g}..{self.high:g}{' (log)' * self.log}"

    def rounded(self, value: float) -> float:
        """A value in the range as it is tried: an integer, or a number with few digits that a person can repeat."""
        if self.whole:
            return int(min(max(round(value), self.low), self.high))
        return min(max(float(f"{value:.{DIGITS}g}"), self.low), self.high)

    def holds(self, value: Any) -> bool:
        """Whether a value is in the range."""
        kinds = int if self.whole else int | float
        return isinstance(value, kinds) and not isinstance(value, bool) and self.low <= value <= self.high


@dataclass(frozen=True, slots=True)
class Choice:
    """A few values, none of which is nearer to one than to another.

    Attributes:
        values: The values.
    """

    values: tuple[Any, ...]

    def __str__(self) -> str:
        """As ``--space`` reads it."""
        return "|".join(map(str, self.values))

    def holds(self, value: Any) -> bool:
        """Whether it is one of the values."""
        return repr(value) in map(repr, self.values)

    def index(self, value: Any) -> int:
        """The position of one of the values: by spelling, because ``True == 1``."""
        return list(map(repr, self.values)).index(repr(value))


Dimension: TypeAlias = Span | Choice
Space: TypeAlias = Mapping[str, Dimension]
"""Field to what is tried for it."""


def default_space(plugin: type, config: Mapping[str, Any]) -> dict[str, Dimension]:
    """The numbers of a generator that a search varies if nobody says which.

    Numbers above 0, such as step sizes, from a tenth to ten times their value and integers of 1 or more, such as sizes,
    from a quarter to four times, both on a logarithmic scale and inside the range that their type declares; a number
    that is 0, over its whole range if that has two ends. Integers that may be 0 are left out: they say how much work is
    done, as epochs do, which is the preset's to say. So are switches and tuples, which say what the algorithm is.

    Args:
        plugin: The generator's class.
        config: Its fields under a preset.
    """
    found: dict[str, Dimension] = {}
    for field, hint in hints(plugin).items():
        if (span := _default(hint, config[field])) is not None and span.low < span.high:
            found[field] = span
    return found


def _default(hint: Any, value: Any) -> Span | None:
    known = interval(hint)
    if known is None or isinstance(value, bool) or not isinstance(value, int | float):
        return None
    kind, least, greatest = known
    if kind is int:
        around = math.ceil(value / LARGER), min(value * LARGER, greatest)
        return Span(max(around[0], least), around[1], whole=True) if least >= 1 else None
    if value > 0:
        return Span(max(value / WIDER, least), min(value * WIDER, greatest))
    return Span(least, greatest, log=False) if value == 0 and math.isfinite(greatest - least) else None


def parse_space(text: str) -> tuple[str, str, str]:
    """Split ``seqgan.lr=0.001..0.1`` into ("seqgan", "lr", "0.001..0.1"); the model and the range may be left out.

    Raises:
        UsageError: for anything else.

    Example:
        >>> parse_space("lr")
        ('', 'lr', '')
    """
    path, equals, values = text.partition("=")
    owner, _, field = path.strip().rpartition(".")
    if not field.isidentifier() or (equals and not values.strip()):
        raise UsageError(
            f"expected a space as in lr, seqgan.lr=0.001..0.1 or seqgan.baseline=true|false, got '{text}'."
        )
    return owner, field, values.strip()


def requested_space(
    owner: str, plugin: type, config: Mapping[str, Any], texts: Sequence[str], fixed: Iterable[str]
) -> dict[str, Dimension]:
    """The space of one model: what the user named for it, or else its default space, without what the user fixed.

    Args:
        owner: The model's name.
        plugin: Its class.
        config: Its fields, with what the user fixed.
        texts: What the user asked for, for this and other models.
        fixed: Names of the fields that the user fixed.

    Raises:
        UsageError: for a field that the model does not have, a range that is none or leaves the field's own, a field
            that is named twice or also fixed, and where nothing is left to search.
    """
    usual, types = default_space(plugin, config), hints(plugin)
    chosen: dict[str, Dimension] = {}
    for text in texts:
        named, field, values = parse_space(text)
        if named not in ("", owner):
            continue
        if field not in types:
            if not named:
                continue
            raise unknown(f"field of '{owner}'", field, types)
        if field in chosen or field in fixed:
            how = "twice" if field in chosen else "and is fixed by --set, too"
            raise UsageError(f"{owner}.{field} is to be searched {how}: name it once.")
        if values:
            chosen[field] = _requested(owner, plugin, field, values)
        elif field in usual:
            chosen[field] = usual[field]
        else:
            raise UsageError(f"{owner}.{field} has no usual range: give one, as in {owner}.{field}=LOW..HIGH or A|B.")
    space = chosen or {field: span for field, span in usual.items() if field not in fixed}
    if not space:
        raise UsageError(f"'{owner}' has nothing to search: none of its fields is a number that is not fixed.")
    return space


def _requested(owner: str, plugin: type, field: str, text: str) -> Dimension:
    """A range or a list of values, each checked against the field's own range."""
    low, dots, high = text.partition("..")
    if not dots:
        values = tuple(convert(owner, plugin, field, part.strip()) for part in text.split("|"))
        if len(values) < 2 or len(set(map(repr, values))) < len(values):
            raise UsageError(
                f"expected {owner}.{field} as LOW..HIGH or two or more different values A|B, got '{text}'."
            )
        return Choice(values)
    ends = [convert(owner, plugin, field, end.strip()) for end in (low, high)]
    known = interval(hints(plugin)[field])
    numbers = all(isinstance(end, int | float) and not isinstance(end, bool) for end in ends)
    if known is None or not numbers or not ends[0] < ends[1]:
        raise UsageError(f"expected a range LOW..HIGH of numbers for {owner}.{field}, got '{text}'.")
    return Span(ends[0], ends[1], whole=known[0] is int, log=ends[0] > 0)
