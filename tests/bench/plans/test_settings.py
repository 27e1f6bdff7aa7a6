"""Every field of every model and task has a range: what is outside is refused, what is inside is planned."""

import math
import typing
from dataclasses import dataclass
from typing import Annotated, ClassVar

import pytest
from annotated_types import Ge, Gt, Le, Lt

from bench.api import Count, Size
from bench.errors import NotFetched
from bench.plans import registry
from bench.plans.fields import LONGEST_SHOWN, configuration, convert
from bench.plans.own_files import OWN
from bench.plans.plan import Request, make_plan
from bench.plans.ranges import _parts, hints, is_bounded
from bench.plans.settings import Setting, settings, settings_by_task

PLUGINS = [
    *registry.available("model").values(),
    *(plugin for plugin in registry.available("task").values()),
    *OWN.values(),
]


def borders(hint, default):
    """Values just inside and just outside the bounds of a type; in a tuple, of its first item."""
    kind, bounds = _parts(hint)
    for option in typing.get_args(kind) if typing.get_origin(kind) in (typing.Union, type(int | str)) else ():
        yield from borders(option, default)
    if typing.get_origin(kind) is tuple:
        for value, inside in borders(typing.get_args(kind)[0], None):
            yield (value, *default[1:]), inside
        if bounds:
            yield (), False
    if typing.get_origin(kind) is typing.Literal:
        yield from ((known, True) for known in typing.get_args(kind))
        yield "something else", False
    for bound in bounds:
        if isinstance(bound, Ge | Le):
            edge, away = (bound.ge, -math.inf) if isinstance(bound, Ge) else (bound.le, math.inf)
            yield edge, True
            yield edge + int(math.copysign(1, away)) if kind is int else math.nextafter(edge, away), False
        elif isinstance(bound, Gt | Lt):
            edge, toward = (bound.gt, math.inf) if isinstance(bound, Gt) else (bound.lt, -math.inf)
            yield edge, False
            yield math.nextafter(edge, toward), True
    if kind is bool:
        yield from ((True, True), (False, True), (2, False))


def cases(plugin):
    loaded = plugin.load()
    defaults = configuration(loaded, "smoke", {})
    for field, hint in hints(loaded).items():
        yield from ((field, value, inside) for value, inside in borders(hint, defaults[field]))


def request(plugin, *settings):
    model, task = (plugin.name, "toy") if plugin.kind == "model" else ("uniform", plugin.name)
    return Request((model,), (task,), ("nll",), 1, "smoke", settings, temperatures=())


@pytest.fixture(autouse=True)
def sources_read_once(monkeypatch):
    """Each plan reads all sources anew, in case that they were edited; here nobody edits any."""
    monkeypatch.setattr(registry, "forget", lambda: None)


@pytest.mark.parametrize("plugin", PLUGINS, ids=lambda plugin: plugin.name)
def test_every_number_has_a_range(plugin):
    assert [field for field, hint in hints(plugin.load()).items() if not is_bounded(hint)] == []


@pytest.mark.parametrize("plugin", PLUGINS, ids=lambda plugin: plugin.name)
def test_every_field_has_a_description(plugin):
    assert [setting.name for setting in settings(plugin.load()) if not setting.meaning] == []


@pytest.mark.parametrize("plugin", PLUGINS, ids=lambda plugin: plugin.name)
def test_what_is_just_inside_is_planned(plugin):
    for field, value, inside in cases(plugin):
        if inside and plugin.name in OWN:
            assert convert(plugin.name, plugin.load(), field, repr(value)) == value
        elif inside:
            try:
                planned = make_plan(request(plugin, f"{plugin.name}.{field}={value!r}"))[-1]
            except NotFetched:
                return
            config = planned.config if plugin.kind == "model" else planned.task_config
            assert config[field] == value


@pytest.mark.parametrize("plugin", [each for each in PLUGINS if each.name not in OWN], ids=lambda plugin: plugin.name)
def test_what_is_just_outside_is_refused(bench, plugin):
    chosen = request(plugin)
    for field, value, inside in cases(plugin):
        if not inside:
            command = ("--models", *chosen.models, "--tasks", *chosen.tasks, "--device", "cpu", "--dry-run")
            answer = bench("run", *command, "--set", f"{plugin.name}.{field}={value!r}")
            assert (answer.code, answer.out) == (2, "")
            assert answer.err.startswith(f"bench: expected {plugin.name}.{field} to be ")
            shown = repr(value) if len(repr(value)) <= LONGEST_SHOWN else f"{repr(value)[:LONGEST_SHOWN]}..."
            assert answer.err.endswith(f", got '{shown}'.\n")


def test_the_borders_that_are_tried():
    assert list(borders(Count, 1)) == [(0, True), (-1, False)]
    assert list(borders(Annotated[tuple[Size, ...], "remark"], (7, 8))) == [((1, 8), True), ((0, 8), False)]
    tried = {(field, value) for field, value, _ in cases(registry.find("model", "seqgan"))}
    assert {("d_samples", 0), ("d_keep", 1), ("lr", 0), ("d_filter_sizes", ()), ("d_steps", -1)} <= tried


@dataclass(frozen=True)
class Base:
    epochs: Count = 120
    """Passes over
    the training set."""
    presets: ClassVar = {"smoke": {"epochs": 2}, "quick": {"epochs": 120}}


@dataclass(frozen=True, slots=True)
class Derived(Base):
    flag: bool = False
    name: str = "plain"
    """A name."""
    """Another string."""


def test_a_setting_is_what_the_class_says():
    assert settings(Derived) == [
        Setting("epochs", "an integer of 0 or more", "120", {"smoke": "2"}, "Passes over the training set."),
        Setting("flag", "true or false", "False", {}, ""),
        Setting("name", "a text", "'plain'", {}, "A name."),
    ]


def test_what_a_preset_sets_on_one_task_alone_is_told_apart():
    @dataclass(frozen=True)
    class Special(Base):
        presets: ClassVar = {"quick": {"epochs": 3}, "quick/sotu": {"epochs": 4}}

    assert settings(Special)[0].presets == {"quick": "3"}
    assert settings_by_task(Special) == {"quick on sotu": {"epochs": "4"}}
    assert settings_by_task(Base) == {}


def test_a_class_without_source_has_no_descriptions():
    made = dataclass(frozen=True)(type("Made", (), {"__annotations__": {"size": Size}, "size": 1}))
    assert settings(made) == [Setting("size", "an integer of 1 or more", "1", {}, "")]
