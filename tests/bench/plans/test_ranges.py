"""Ranges of fields: checked, spelled in words, and refused where nobody would check them."""

import sys
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import pytest
from annotated_types import Ge, Gt, Interval, Le, Len, Lt, MinLen, MultipleOf, Unit

from bench.api import Count, Positive, Share, Size, StepSize
from bench.plans.ranges import fitted, hints, is_bounded, spell, unknown_bounds


@pytest.mark.parametrize(
    ("hint", "words"),
    [
        (int, "an integer"),
        (float, "a number"),
        (bool, "true or false"),
        (str, "a text"),
        (Count, "an integer of 0 or more"),
        (Size, "an integer of 1 or more"),
        (Positive, "a number above 0"),
        (Share, "a number from 0 to 1"),
        (StepSize, "a number above 0 and at most 1"),
        (Annotated[float, Le(2.5)], "a number of 2.5 or less"),
        (Annotated[int, Lt(3)], "an integer below 3"),
        (Annotated[int, Ge(1), Lt(3)], "an integer at least 1 and below 3"),
        (Annotated[float, Interval(gt=-1, lt=1)], "a number above -1 and below 1"),
        (Annotated[int, Interval(ge=0, le=2**32 - 1)], "an integer from 0 to 4294967295"),
        (Size | None, "an integer of 1 or more, or none"),
        (Annotated[int | None, Ge(1)], "an integer of 1 or more, or none"),
        (Size | Literal["all"], "an integer of 1 or more or all"),
        (Literal["word", "char"], "word or char"),
        (tuple[int, ...], "a tuple (x, ...), each an integer"),
        (Annotated[tuple[Size, ...], MinLen(1)], "a tuple of 1 or more items (x, ...), each an integer of 1 or more"),
        (Annotated[tuple[Size, ...], Len(0, 3)], "a tuple of 0 to 3 items (x, ...), each an integer of 1 or more"),
        (tuple[int, str], "a tuple (an integer, a text)"),
        (tuple, "a tuple"),
        (dict[str, int], "dict[str, int]"),
    ],
)
def test_a_range_in_words(hint, words):
    assert spell(hint) == words


@pytest.mark.parametrize(
    ("hint", "given", "kept"),
    [
        (Count, 0, 0),
        (float, 3, 3.0),
        (float | int, 3, 3),
        (Share, 1, 1.0),
        (StepSize, 1e-300, 1e-300),
        (Size | None, None, None),
        (Annotated[int | None, Ge(1)], None, None),
        (tuple[float, ...], (1, 2.5), (1.0, 2.5)),
        (tuple[int, str], (1, "a"), (1, "a")),
        (Literal["word", "char"], "char", "char"),
        (dict[str, int], {"a": 1}, {"a": 1}),
        (Annotated[int, "a remark", Unit("s"), Ge(0)], 0, 0),
        (int, 2**63 - 1, 2**63 - 1),
    ],
)
def test_a_value_inside_is_kept_as_its_type_keeps_it(hint, given, kept):
    found = fitted(given, hint)
    assert found == kept
    assert type(found) is type(kept)
    if isinstance(kept, tuple):
        assert list(map(type, found)) == list(map(type, kept))


@pytest.mark.parametrize(
    ("hint", "given"),
    [
        (Count, -1),
        (Count, True),
        (Count, 1.0),
        (int, 2**63),
        (Positive, 0),
        (Annotated[float, Gt(0), Lt(1)], 1),
        (Share, 1.0000001),
        (float, float("nan")),
        (float, float("inf")),
        (float, 10**400),
        (Size | None, 0),
        (Annotated[int | None, Ge(1)], 0),
        (Annotated[tuple[Size, ...], MinLen(1)], ()),
        (Annotated[tuple[Size, ...], Len(0, 1)], (1, 1)),
        (tuple[Size, ...], (1, 0)),
        (tuple[int, str], (1,)),
        (tuple[int, ...], [1]),
        (Literal["word", "char"], "words"),
        (Literal[1], True),
        (dict[str, int], [1]),
        (str, "a\0b"),
        (str, "\udcff"),
    ],
)
def test_a_value_outside_is_refused(hint, given):
    with pytest.raises(ValueError, match="expected"):
        fitted(given, hint)


def test_every_number_in_a_type_needs_a_bound():
    bounded = (Count, Size | None, tuple[Size, ...], Annotated[int | None, Ge(1)], Literal[1, 2], str, bool)
    assert [hint for hint in bounded if not is_bounded(hint)] == []
    unbounded = (int, float | None, tuple[int, ...], Annotated[tuple[float, ...], MinLen(1)], Annotated[int, "remark"])
    assert [hint for hint in unbounded if is_bounded(hint)] == []


def test_a_bound_that_nobody_checks_is_named():
    assert list(unknown_bounds(tuple[Annotated[int, MultipleOf(2), Ge(0)], ...])) == ["MultipleOf"]
    assert list(unknown_bounds(Annotated[float, Interval(ge=0, le=1), Unit("m"), "a remark"])) == []


def test_only_the_fields_types_are_read(write_plugin):
    write_plugin(
        "own_typed",
        "from __future__ import annotations\nfrom dataclasses import dataclass\nfrom typing import ClassVar\n"
        "from bench.api import Count\n\n@dataclass(frozen=True)\nclass Mine:\n    presets: ClassVar[Unknown] = {}\n"
        "    epochs: Count = 1\n\n@dataclass(frozen=True, slots=True)\nclass Other(Mine):\n"
        "    size: int | None = None\n",
    )
    import own_typed

    assert hints(own_typed.Other) == {"epochs": Count, "size": int | None}
    assert "own_typed" in sys.modules


def test_fields_are_those_of_the_dataclass():
    @dataclass(frozen=True)
    class Mine:
        other: ClassVar[int] = 1
        epochs: Count = 1

    assert hints(Mine) == {"epochs": Count}
