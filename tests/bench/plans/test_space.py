"""What a search may try, by default and as asked for."""

import math
from dataclasses import dataclass
from typing import Annotated, Literal

import pytest
from annotated_types import Interval

from bench.api import Count, Positive, Share, Size, StepSize
from bench.errors import UsageError
from bench.plans.fields import configuration
from bench.plans.ranges import interval
from bench.plans.space import Choice, Span, default_space, parse_space, requested_space


@dataclass(frozen=True)
class Everything:
    epochs: Count = 120
    lr: StepSize = 0.3
    clip: Positive = 5.0
    keep: Share = 0.75
    floor: Share = 0.0
    width: Size = 32
    narrow: Annotated[int, Interval(ge=1, le=20)] = 6
    least: Size = 1
    samples: Size | None = None
    some: Size | None = 8
    anything: float = 0.0
    mode: Literal["a", "b"] = "a"
    switch: bool = False
    sizes: tuple[int, ...] = (1, 2)

    def fit(self, data, run): ...


CONFIG = configuration(Everything, "", {})


def requested(*texts, fixed=()):
    return requested_space("all", Everything, CONFIG, texts, fixed)


def test_the_default_space_stays_near_the_defaults_and_inside_the_declared_ranges():
    assert default_space(Everything, CONFIG) == {
        "lr": Span(0.03, 1),
        "clip": Span(0.5, 50),
        "keep": Span(0.075, 1),
        "floor": Span(0, 1, log=False),
        "width": Span(8, 128, whole=True),
        "narrow": Span(2, 20, whole=True),
        "least": Span(1, 4, whole=True),
        "some": Span(2, 32, whole=True),
    }


def test_the_values_of_a_preset_are_what_it_stays_near():
    assert default_space(Everything, {**CONFIG, "width": 100, "lr": 0.001})["width"] == Span(25, 400, whole=True)


@pytest.mark.parametrize(
    ("hint", "found"),
    [
        (Size, (int, 1, math.inf)),
        (StepSize, (float, 0, 1)),
        (Size | None, (int, 1, math.inf)),
        (Annotated[int | None, Interval(ge=2, lt=5)], (int, 2, 5)),
        (float, (float, -math.inf, math.inf)),
        (bool, None),
        (int | str, None),
        (tuple[int, ...], None),
    ],
)
def test_the_ends_of_a_range(hint, found):
    assert interval(hint) == found


def test_what_is_asked_for_is_all_that_is_searched():
    assert requested("lr=0.001..0.1", "other.clip=1..2") == {"lr": Span(0.001, 0.1)}
    assert requested("all.epochs=0..9", "width") == {
        "epochs": Span(0, 9, whole=True, log=False),
        "width": Span(8, 128, whole=True),
    }
    assert requested("switch=true|false", "sizes=(1,)|(1,2)") == {
        "switch": Choice((True, False)),
        "sizes": Choice(((1,), (1, 2))),
    }


def test_what_is_fixed_is_not_searched():
    assert "lr" in requested()
    assert requested(fixed=("lr",)) == {field: span for field, span in requested().items() if field != "lr"}


@pytest.mark.parametrize(
    ("texts", "sentence"),
    [
        (["all.lrr=1..2"], "unknown field of 'all' 'lrr'. Did you mean 'lr'"),
        (["lr=0..1"], "expected all.lr to be a number above 0 and at most 1, got '0'"),
        (["lr=0.5..0.1"], r"expected a range LOW..HIGH of numbers for all.lr, got '0.5..0.1'"),
        (["lr=0.1..x"], "expected all.lr to be a number"),
        (["switch=false..true"], r"expected a range LOW..HIGH of numbers"),
        (["mode=a|a"], "two or more different values"),
        (["lr=0.1"], "expected all.lr as LOW..HIGH or two or more different values"),
        (["lr", "lr=0.1..0.2"], "all.lr is to be searched twice"),
        (["epochs"], "all.epochs has no usual range: give one"),
        (["lr="], "expected a space as in lr, seqgan.lr"),
        (["l-r=1..2"], "expected a space as in lr, seqgan.lr"),
    ],
)
def test_mistakes_are_sentences(texts, sentence):
    with pytest.raises(UsageError, match=sentence):
        requested(*texts)


def test_a_field_that_is_fixed_cannot_be_searched():
    with pytest.raises(UsageError, match=r"all\.lr is to be searched and is fixed by --set, too"):
        requested("lr", fixed=("lr",))


def test_nothing_to_search_is_a_sentence():
    @dataclass(frozen=True)
    class Bare:
        epochs: Count = 3

    with pytest.raises(UsageError, match="'bare' has nothing to search"):
        requested_space("bare", Bare, {"epochs": 3}, (), ())


def test_a_space_may_name_its_model_and_range_or_not():
    assert parse_space("mine:Class.lr=1..2") == ("mine:Class", "lr", "1..2")
    assert parse_space(" lr = 0.1|0.2 ") == ("", "lr", "0.1|0.2")


@pytest.mark.parametrize(
    ("span", "value", "tried"),
    [
        (Span(0.001, 0.1), 0.0123456, 0.0123),
        (Span(0.001, 0.1), 0.09999, 0.1),
        (Span(0.0012345, 0.1), 0.00123451, 0.0012345),  # never outside, however it is rounded
        (Span(1, 8, whole=True), 7.6, 8),
    ],
)
def test_tried_values_have_few_digits(span, value, tried):
    assert span.rounded(value) == tried
    assert type(span.rounded(value)) is type(tried)


def test_true_is_not_one():
    choice = Choice((1, True, 0.5))
    assert choice.index(True) == 1
    assert choice.index(1) == 0
    assert not choice.holds(1.0)
