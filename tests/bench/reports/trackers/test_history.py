"""What trackers show of a run: everything in its record, and names that lead out of no folder."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.reports.trackers.history import history

START = 1795773600.0
"""2026-11-27, 10:00 UTC."""


def test_every_value_of_the_curve_is_shown_by_phase_and_step(make_record):
    record = make_record()
    points = history(record).points
    assert [(point.phase, point.step, point.seconds, point.tokens, point.updates) for point in points] == [
        ("mle", 1, 1.5, 1000, 10), ("mle", 2, 3.0, 2000, 20), ("adversarial", 1, 4.5, 3000, 30),
    ]  # fmt: skip
    assert [point.named for point in points] == [
        {"mle/loss": 0.1},
        {"mle/loss": 1 / 3, "mle/nll_valid": 4 / 3},
        {"adversarial/loss": 2.5},
    ]


def test_scores_that_are_absent_are_not_shown(make_record):
    assert history(make_record()).scores == {"final/nll_oracle": 1.23456789012345, "selected/nll_oracle": 1.2}


def test_settings_have_what_curves_are_grouped_by_and_every_field(make_record):
    found = history(make_record(overrides={"lr": 0.01}, budget={"seconds": 60.0})).settings
    assert found == {
        "task": "toy", "preset": "smoke, 60 seconds each", "model": "mle[lr=0.01]", "seed": 0,
        "fields": {"lr": 0.01, "sizes": [1, 2]}, "task_fields": {"draw": 0}, "budget": {"seconds": 60.0},
    }  # fmt: skip


def test_files_are_named_without_their_folders(make_record):
    found = history(make_record(task_config={"train": "/home/somebody/train.txt", "level": "word"}))
    assert found.settings["task_fields"] == {"train": "train.txt", "level": "word"}
    assert "somebody" not in str(found)


@pytest.mark.parametrize(
    ("started", "seconds"),
    [
        ("2026-11-27T10:00:00+00:00", START),
        ("2026-11-27T10:00:00", START),
        ("2026-11-27T11:00:00+01:00", START),
        (None, 0.0),
        ("yesterday", 0.0),
    ],
)
def test_the_start_is_known_whatever_the_zone(make_record, started, seconds):
    assert history(make_record(started=started)).started == seconds


def test_what_is_no_number_is_no_point(make_record):
    record = make_record()
    odd = {**record.curve[0], "scalars": {"loss": 1.0, "note": "text", "flag": True}}
    assert history(replace(record, curve=(odd,))).points[0].values == {"loss": 1.0}


def test_all_seeds_of_a_configuration_and_no_others_share_its_name(make_record):
    first, second, other = (
        history(make_record(seed=seed, source=source)).configuration
        for seed, source in ((0, "5" * 64), (1, "5" * 64), (0, "6" * 64))
    )
    assert first == second != other
    assert first.startswith("toy, smoke: mle")


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("../x", "x"),
        ("..", "unnamed"),
        ("/etc/passwd", "etc-passwd"),
        (".hidden", "hidden"),
        ("a\\..\\b", "a-..-b"),
        ("mle[lr=0.5, epochs=3]", "mle-lr=0.5--epochs=3"),
        ("五言", "五言"),
        ("x" * 300, "x" * 80),
        ("五" * 100, "五" * 26),
        ("nul\x00\n", "nul"),
    ],
)
def test_names_become_harmless_folders(make_record, name, folder):
    assert history(make_record(model=name)).place[1] == folder


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(names=st.tuples(*[st.text(max_size=30)] * 3))
def test_no_name_leads_out_of_the_folder(make_record, names):
    model, task, run_id = names
    place = history(make_record(model=model, task=task, recorded_id=run_id)).place
    assert len(place) == 3
    for part in place:
        assert part == Path(part).name
        assert not part.startswith(".")
        assert 0 < len(part.encode()) < 255


def test_two_runs_never_share_a_folder(make_record):
    places = {history(make_record(model=model)).place for model in ("a/b", "a-b", "a:b")}
    assert len(places) == 3
