"""How fields get their values: defaults, then the preset, then what the user set."""

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import pytest

from bench.api import StepSize
from bench.errors import UsageError
from bench.plans.fields import build, checked_build, configuration, convert, parse_override


@dataclass(frozen=True)
class Model:
    lr: float = 0.1
    epochs: int = 10
    flag: bool = True
    name: str = "plain"
    sizes: tuple[int, ...] = (1, 2)
    scales: tuple[float, ...] = (1.0,)
    limit: int | None = None
    extra: dict[str, int] = field(default_factory=dict)
    rate: StepSize = 0.5
    mode: Literal["slow", "fast"] = "slow"
    presets: ClassVar[dict[str, Any]] = {"smoke": {"epochs": 1, "limit": 5}}


@dataclass(frozen=True)
class Bare: ...


@dataclass(frozen=True)
class Untyped:
    lr = 0.1
    presets: ClassVar = {}


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("epochs", "5", 5),
        ("epochs", "-1", -1),
        ("lr", "0.5", 0.5),
        ("lr", "1e-4", 1e-4),
        ("lr", "1", 1.0),
        ("flag", "False", False),
        ("flag", "true", True),
        ("flag", "FALSE", False),
        ("sizes", "(3, 4)", (3, 4)),
        ("sizes", "()", ()),
        ("sizes", "(3,)", (3,)),
        ("scales", "(0.5, 2.0)", (0.5, 2.0)),
        ("rate", "1", 1.0),
        ("mode", "fast", "fast"),
        ("limit", "none", None),
        ("limit", "None", None),
        ("limit", "7", 7),
        ("name", "fancy", "fancy"),
        ("name", "'7'", "7"),
        ("name", "a.b=c", "a.b=c"),
    ],
)
def test_text_becomes_a_value_of_the_fields_type(name, text, value):
    converted = convert("model", Model, name, text)
    assert converted == value
    assert type(converted) is type(value)


@pytest.mark.parametrize(
    ("name", "text", "wanted"),
    [
        ("epochs", "5.0", "an integer"),
        ("epochs", "True", "an integer"),
        ("epochs", "many", "an integer"),
        ("epochs", "", "an integer"),
        ("epochs", "2 + 3", "an integer"),
        ("lr", "True", "a number"),
        ("lr", "fast", "a number"),
        ("lr", "nan", "a number"),
        ("lr", "inf", "a number"),
        ("flag", "1", "true or false"),
        ("flag", "yes", "true or false"),
        ("sizes", "3", r"a tuple \(x, \.\.\.\), each an integer"),
        ("sizes", "(1, 'a')", r"a tuple \(x, \.\.\.\), each an integer"),
        ("sizes", "[1, 2]", r"a tuple \(x, \.\.\.\), each an integer"),
        ("limit", "few", "an integer, or none"),
        ("limit", "1.5", "an integer, or none"),
    ],
)
def test_a_value_of_another_type_is_refused(name, text, wanted):
    with pytest.raises(UsageError, match=rf"^expected model.{name} to be {wanted}, got '.*'\.$"):
        convert("model", Model, name, text)


@pytest.mark.parametrize(
    ("name", "text", "wanted"),
    [
        ("rate", "0", "a number above 0 and at most 1"),
        ("rate", "1e30", "a number above 0 and at most 1"),
        ("rate", "-1", "a number above 0 and at most 1"),
        ("mode", "medium", "slow or fast"),
        ("epochs", "9223372036854775808", "an integer"),
    ],
)
def test_a_value_outside_the_range_is_refused(name, text, wanted):
    with pytest.raises(UsageError, match=rf"^expected model.{name} to be {wanted}, got '{text}'\.$"):
        convert("model", Model, name, text)


def test_a_long_value_is_not_repeated_whole():
    with pytest.raises(UsageError, match=r"got '9{60}\.\.\.'\.$"):
        convert("model", Model, "lr", "9" * 5000)


def test_a_value_of_several_lines_is_shown_in_one():
    with pytest.raises(UsageError, match=r"got '1 2'\.$"):
        convert("model", Model, "epochs", "1\n  2")


def test_an_integer_in_a_tuple_of_numbers_names_the_same_run_as_the_equal_number():
    assert list(map(type, convert("model", Model, "scales", "(1, 2.5)"))) == [float, float]


@dataclass(frozen=True)
class Paired:
    sizes: tuple[int, ...] = (1,)
    counts: tuple[int, ...] = (1,)

    def __post_init__(self):
        if len(self.sizes) != len(self.counts):
            raise ValueError(f"expected as many counts as sizes, got {len(self.counts)} and {len(self.sizes)}")


def test_fields_that_contradict_each_other_are_a_mistake():
    assert checked_build("paired", Paired, {"sizes": [1, 2], "counts": (3, 4)}) == Paired((1, 2), (3, 4))
    with pytest.raises(UsageError) as caught:
        checked_build("paired", Paired, {"sizes": (), "counts": (1,)})
    assert (
        str(caught.value) == "the fields of 'paired' do not go together: expected as many counts as sizes, got 1 and 0."
    )
    with pytest.raises(UsageError, match=r"do not go together: TypeError: .*len\(\)"):
        checked_build("paired", Paired, {"sizes": 5, "counts": (1,)})


@pytest.mark.parametrize("text", ["1e999", "{[]: 1}"])
def test_what_only_looks_like_a_value_is_refused(text):
    with pytest.raises(UsageError, match=r"expected model\.lr to be a number"):
        convert("model", Model, "lr", text)


def test_an_unknown_field_comes_with_a_hint():
    with pytest.raises(UsageError, match=r"unknown field of 'model' 'epoch'. Did you mean 'epochs'\? Known: .*lr"):
        convert("model", Model, "epoch", "5")
    with pytest.raises(UsageError, match="unknown field of 'model' 'presets'"):
        convert("model", Model, "presets", "{}")
    with pytest.raises(UsageError, match=r"'bare' has no fields to set, got 'bare\.lr=1'"):
        convert("bare", Bare, "lr", "1")
    with pytest.raises(UsageError, match=r"'lr' of 'own' has no type, so it is no field: write 'lr: float = 0.1' in"):
        convert("own", Untyped, "lr", "1")
    with pytest.raises(UsageError, match=r"'own' has no fields to set, got 'own\.presets=1'"):
        convert("own", Untyped, "presets", "1")


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("seqgan.lr=0.005", ("seqgan", "lr", "0.005")),
        (" seqgan.lr = 0.005 ", ("seqgan", "lr", "0.005")),
        ("own.models:Mine.lr=1", ("own.models:Mine", "lr", "1")),
        ("task.path='a=b.c'", ("task", "path", "'a=b.c'")),
        ("task.path=", ("task", "path", "")),
    ],
)
def test_an_override_names_owner_field_and_value(text, parts):
    assert parse_override(text) == parts


@pytest.mark.parametrize("text", ["", "seqgan", "seqgan.lr", "lr=1", ".lr=1", "seqgan.=1", "=1", "seqgan.l r=1"])
def test_a_malformed_override_is_refused_with_the_right_form(text):
    with pytest.raises(UsageError, match=r"expected a setting NAME.field=value, as in seqgan.lr=0.005, got '"):
        parse_override(text)


def test_defaults_then_preset_then_overrides():
    plain = configuration(Model, "paper", {})
    assert plain == {
        "lr": 0.1, "epochs": 10, "flag": True, "name": "plain", "sizes": (1, 2), "scales": (1.0,), "limit": None,
        "extra": {}, "rate": 0.5, "mode": "slow",
    }  # fmt: skip
    assert configuration(Model, "smoke", {}) == {**plain, "epochs": 1, "limit": 5}
    assert configuration(Model, "smoke", {"epochs": 7, "limit": None}) == {**plain, "epochs": 7, "limit": None}
    assert configuration(Bare, "smoke", {}) == {}


def test_a_configuration_that_was_json_builds_the_same_object():
    config = configuration(Model, "smoke", {})
    assert (
        build(Model, config) == build(Model, {**config, "sizes": [1, 2], "scales": [1.0]}) == Model(epochs=1, limit=5)
    )
