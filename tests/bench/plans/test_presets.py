"""Presets, and what a user may set for the judging instead: temperatures and budgets."""

import os

import pytest

from bench.errors import UsageError
from bench.plans import presets
from bench.plans.presets import PRESETS, find_preset, parse_budget, parse_seeds, parse_temperatures, parse_workers


def test_the_judges_presets():
    assert list(PRESETS) == ["smoke", "quick", "medium", "paper"]
    assert find_preset("paper").samples == 10_000
    with pytest.raises(
        UsageError, match=r"unknown preset 'qick'. Did you mean 'quick'\? Known: medium, paper, quick, smoke."
    ):
        find_preset("qick")


@pytest.mark.parametrize(
    ("text", "temperatures"),
    [
        ("0.5..1.4", (0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3, 1.4)),
        ("1.8..2", (1.8, 1.9, 2.0)),
        ("1.8..2.0", (1.8, 1.9, 2.0)),
        ("1..2:0.5", (1.0, 1.5, 2.0)),
        ("0.9..1:0.04", (0.9, 0.94, 0.98)),
        ("1.3, 0.7,1,1.0", (0.7, 1.0, 1.3)),
        ("none", ()),
        ("2", (2.0,)),
    ],
)
def test_temperatures(text, temperatures):
    assert parse_temperatures(text) == temperatures


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0",
        "-1",
        "1..0.5",
        "0..1",
        "a..b",
        "1..2:0",
        "1..2:-1",
        "nan",
        "inf",
        "0.1..9:0.001",
        "1;2",
        "1e-300",
        "0.0009",
        "1001",
        "0.5..1e9:1e8",
        "1e999999999",
    ],
)
def test_what_are_not_temperatures_is_refused(text):
    with pytest.raises(UsageError, match="expected temperatures like"):
        parse_temperatures(text)


@pytest.mark.parametrize(
    ("text", "budget"),
    [
        ("60s", {"seconds": 60}),
        ("1.5m", {"seconds": 90}),
        ("2h", {"seconds": 7200}),
        ("2M-tokens", {"tokens": 2e6}),
        ("500k-tokens", {"tokens": 5e5}),
        ("20000-updates", {"updates": 20_000}),
        (" 1k-updates ", {"updates": 1_000}),
    ],
)
def test_budgets(text, budget):
    assert parse_budget(text) == budget


@pytest.mark.parametrize(
    "text",
    [
        "",
        "60",
        "s",
        "0s",
        "-5s",
        "5 s",
        "2M",
        "2Mtokens",
        "3-steps",
        "1e3s",
        "2X-tokens",
        "9" * 400 + "s",
        "9" * 20 + "-tokens",
    ],
)
def test_what_is_not_a_budget_is_refused(text):
    with pytest.raises(UsageError, match="expected a budget like 60s"):
        parse_budget(text)


def test_half_an_update_is_refused():
    with pytest.raises(UsageError, match=r"expected a whole number of updates, got '1\.5-updates'"):
        parse_budget("1.5-updates")
    assert parse_budget("1.5k-updates") == {"updates": 1_500}


def test_temperatures_are_those_that_samplers_are_asked_for():
    from bench import api
    from bench.plans import presets

    assert (presets.LEAST_TEMPERATURE, presets.GREATEST_TEMPERATURE) == (
        api.LEAST_TEMPERATURE,
        api.GREATEST_TEMPERATURE,
    )
    for temperature in parse_temperatures("0.001,1000"):
        api.Decoding(temperature)


@pytest.mark.parametrize(
    ("text", "seeds"),
    [
        ("1", [0]),
        (" 3 ", [0, 1, 2]),
        ("3-3", [3]),
        ("3,5-7", [3, 5, 6, 7]),
        ("5-7, 3", [3, 5, 6, 7]),
        ("0-999", range(1_000)),
        ("1000", range(1_000)),
    ],
)
def test_seeds_are_counted_or_named(text, seeds):
    assert parse_seeds(text) == tuple(seeds)


@pytest.mark.parametrize("text", ["", "x", "3,", "7-5", "3--4", "1-2-3", "999-1000", "3,1000", "1.5", "٣,4-5"])
def test_other_seeds_are_refused(text):
    with pytest.raises(
        UsageError, match="expected a number of seeds, as in 5, or seeds below 1000, as in 3,5-7, or 3-3 for one"
    ):
        parse_seeds(text)


@pytest.mark.parametrize("text", ["0", "-1", "1001", "999999999"])
def test_too_few_and_too_many_seeds_are_refused(text):
    with pytest.raises(UsageError, match=f"expected 1 to 1000 seeds, got {int(text)}"):
        parse_seeds(text)


def test_a_seed_that_is_named_twice_is_refused():
    with pytest.raises(UsageError, match="expected each seed once, got 4, 5 more than once in 3-5,4-6"):
        parse_seeds("3-5,4-6")


def test_workers_are_as_many_as_processors_unless_the_user_says_how_many(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(6)), raising=False)
    monkeypatch.setattr(presets, "free_memory", lambda: None)
    assert parse_workers("auto", "cpu") == 6
    monkeypatch.setattr(presets, "free_memory", lambda: int(3.9 * 2**30))
    assert parse_workers("auto", "cpu") == 3
    assert parse_workers("5", "cpu") == 5
    monkeypatch.setattr(presets, "free_memory", lambda: 0)
    assert parse_workers("auto", "cpu") == 1
    monkeypatch.setattr(presets, "free_memory", lambda: 2**40)
    assert parse_workers("auto", "cuda") == 4
    assert [parse_workers(given, "cuda") for given in ("0", 3, " 8 ")] == [0, 3, 8]
    for wrong in ("-1", "257", "two", "", "1.5"):
        with pytest.raises(UsageError, match=r"expected --workers from 0 to 256, or auto, got"):
            parse_workers(wrong, "cpu")


def test_free_memory_is_the_systems_and_the_containers(tmp_path, monkeypatch):
    monkeypatch.setattr(presets, "MEMORY", tmp_path / "meminfo")
    monkeypatch.setattr(presets, "CONTAINER", tmp_path)
    assert presets.free_memory() is None
    (tmp_path / "meminfo").write_text("MemTotal:  9 kB\nMemAvailable:   2048 kB\n")
    assert presets.free_memory() == 2 << 20
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("1000\n")
    assert presets.free_memory() == 2 << 20
    (tmp_path / "memory.max").write_text("5000\n")
    assert presets.free_memory() == 2 << 20
    (tmp_path / "memory.stat").write_text("anon 800\ninactive_file 0\n")
    assert presets.free_memory() == 4000
    (tmp_path / "memory.stat").write_text("anon 800\ninactive_file 150\n")
    assert presets.free_memory() == 4150
    (tmp_path / "memory.current").write_text("6000\n")
    (tmp_path / "memory.stat").write_text("anon 800\n")
    assert presets.free_memory() == 0
