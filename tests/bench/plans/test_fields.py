"""How fields get their values: defaults, then the preset, then what the user set."""

from dataclasses import dataclass, field
from typing import Any, ClassVar

import pytest

from bench.errors import UsageError
from bench.plans.fields import build, configuration, convert, parse_override


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
    presets: ClassVar[dict[str, Any]] = {"smoke": {"epochs": 1, "limit": 5}}


@dataclass(frozen=True)
class Bare: ...


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
        ("epochs", "5.0", "int"),
        ("epochs", "True", "int"),
        ("epochs", "many", "int"),
        ("epochs", "", "int"),
        ("epochs", "2 + 3", "int"),
        ("lr", "True", "float"),
        ("lr", "fast", "float"),
        ("lr", "nan", "float"),
        ("lr", "inf", "float"),
        ("flag", "1", "bool"),
        ("flag", "yes", "bool"),
        ("sizes", "3", r"tuple\[int, ...\]"),
        ("sizes", "(1, 'a')", r"tuple\[int, ...\]"),
        ("sizes", "[1, 2]", r"tuple\[int, ...\]"),
        ("limit", "few", r"int \| None"),
        ("limit", "1.5", r"int \| None"),
    ],
)
def test_a_value_of_another_type_is_refused(name, text, wanted):
    with pytest.raises(UsageError, match=rf"^expected model.{name} to be {wanted}, got '.*'\.$"):
        convert("model", Model, name, text)


@pytest.mark.parametrize("text", ["1e999", "{[]: 1}"])
def test_what_only_looks_like_a_value_is_refused(text):
    with pytest.raises(UsageError, match=r"expected model\.lr to be float"):
        convert("model", Model, "lr", text)


def test_an_unknown_field_comes_with_a_hint():
    with pytest.raises(UsageError, match=r"unknown field of 'model' 'epoch'. Did you mean 'epochs'\? Known: .*lr"):
        convert("model", Model, "epoch", "5")
    with pytest.raises(UsageError, match="unknown field of 'model' 'presets'"):
        convert("model", Model, "presets", "{}")
    with pytest.raises(UsageError, match=r"'bare' has no fields to set, got 'bare\.lr=1'"):
        convert("bare", Bare, "lr", "1")


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
        "extra": {},
    }  # fmt: skip
    assert configuration(Model, "smoke", {}) == {**plain, "epochs": 1, "limit": 5}
    assert configuration(Model, "smoke", {"epochs": 7, "limit": None}) == {**plain, "epochs": 7, "limit": None}
    assert configuration(Bare, "smoke", {}) == {}


def test_a_configuration_that_was_json_builds_the_same_object():
    config = configuration(Model, "smoke", {})
    assert (
        build(Model, config) == build(Model, {**config, "sizes": [1, 2], "scales": [1.0]}) == Model(epochs=1, limit=5)
    )
