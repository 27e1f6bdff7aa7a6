"""What the records of a folder are to reports: tidy frames, and the planned runs that have none."""

import json
from dataclasses import replace

import pytest

from bench.errors import UsageError
from bench.records.frames import CURVE_COLUMNS, KEYS, REAL_DATA, RUN_COLUMNS, SCORE_COLUMNS
from bench.records.record import RunRecord, checksum
from bench.records.store import PLAN


def test_frames_of_nothing_have_their_columns(store):
    frames = store.load()
    assert [list(frame.columns) for frame in (frames.runs, frames.scores, frames.curves)] == [
        RUN_COLUMNS, SCORE_COLUMNS, CURVE_COLUMNS,
    ]  # fmt: skip
    assert [len(frame) for frame in (frames.runs, frames.scores, frames.curves)] == [0, 0, 0]
    assert frames.superseded == 0


def test_frames_hold_what_the_records_hold(store, finished, make_spec):
    spec = make_spec(overrides={"lr": 0.5}, task_overrides={"draw": 1}, seed=3)
    environment = {
        "commit": "c0ffee", "dirty": True, "machine": "M", "python": "3.11", "threads": 1,
        "packages": {"torch": "2", "seqgan-bench": "0.1"},
    }  # fmt: skip
    curve = (
        {
            "phase": "mle",
            "step": 1,
            "seconds": 0.5,
            "tokens": 9,
            "updates": None,
            "scalars": {"loss": 1 / 3, "nll": 2.0},
        },
        {"phase": "mle", "step": 2, "seconds": 1.0, "tokens": 18, "updates": None, "scalars": {}},
    )
    facts = {"environment": environment, "curve": curve, "density": "exact"}
    first = finished(spec, 1, **facts, samples=("a b",), data_sha256="d" * 64)
    tempered = {"0.5": first.scores["final"]}
    store.write(replace(first, frontier=tempered, selected={"score": 2.0, "phase": "mle", "step": 2}))
    frames = store.load()
    keys = dict(zip(KEYS, (spec.run_id, spec.group_id, "toy[draw=1]", "mle[lr=0.5]", "smoke", 3), strict=True))
    assert frames.runs.to_dict("records") == [
        {
            **keys, "role": "contender",
            "status": "ok", "reason": None, "finished": "2026-01-01T00:00:00+00:00", "version": "0.1",
            "commit": "c0ffee", "dirty": True, "device": "cpu", "machine": "M", "python": "3.11", "torch": "2",
            "threads": 1, "settings": "lr=0.01, sizes=[1, 2]",
            "tuned": "default settings, then lr by hand", "samples": ["a b"],
            "data": "d" * 64, "selected": "mle 2", "density": "exact", "budget": {}, "warnings": [],
                "nearest": [], "kind": "", "densities": {},
            "command": "bench run --models mle --tasks toy --preset smoke --set mle.lr=0.5 --set toy.draw=1 "
            "--temperatures none --device cpu",
        }
    ]  # fmt: skip
    first, second = frames.scores.to_dict("records")
    assert first["value"] == 1 / 3
    assert {name: first[name] for name in keys} == keys
    assert [first[name] for name in ("checkpoint", "kind", "metric", "unit", "direction", "signature")] == [
        "final", "quality", "nll_oracle", "nats/token", "lower", "n=5|v=1",
    ]  # fmt: skip
    assert second["value"] != second["value"]
    assert second["absent"] == "the model has no log_prob"
    curves = frames.curves.drop(columns=KEYS)
    assert curves.pop("updates").isna().all()
    assert curves.to_dict("records") == [
        {"phase": "mle", "step": 1, "seconds": 0.5, "tokens": 9.0, "name": "loss", "value": 1 / 3},
        {"phase": "mle", "step": 1, "seconds": 0.5, "tokens": 9.0, "name": "nll", "value": 2.0},
    ]
    assert frames.frontier[["temperature", "metric"]].to_numpy().tolist() == [
        [0.5, first["metric"]], [0.5, second["metric"]],
    ]  # fmt: skip
    assert frames.frontier["value"][0] == 1 / 3
    assert set(frames.scores["checkpoint"]) == {"final"}


def test_runs_without_scores_are_in_the_frame_of_runs(store, make_spec):
    store.write(RunRecord(make_spec(), "failed", reason="broken", finished="2026-01-01"))
    frames = store.load()
    assert frames.runs[["status", "reason"]].to_numpy().tolist() == [["failed", "broken"]]
    assert len(frames.scores) == 0


def test_the_configuration_that_finished_last_counts_with_all_its_seeds(store, finished, make_spec):
    old, new = make_spec(source="old"), make_spec(source="new")
    for seed in (0, 1, 2):
        store.write(finished(replace(old, seed=seed), 1))
    store.write(finished(replace(new, seed=0), 2))
    frames = store.load()
    assert frames.runs["run_id"].tolist() == [new.run_id]
    assert frames.scores["run_id"].unique().tolist() == [new.run_id]
    assert frames.superseded == 3
    store.write(finished(replace(new, seed=1), 3))
    assert store.load().runs["seed"].tolist() == [0, 1]
    store.write(finished(replace(old, seed=0), 4))  # the old code ran again: it is the current one
    assert store.load().runs["group_id"].unique().tolist() == [old.group_id]


def test_what_has_not_finished_supersedes_nothing(store, finished, make_spec):
    store.write(finished(make_spec(source="old"), 1))
    store.begin(make_spec(source="new"))
    frames = store.load()
    assert frames.runs["status"].tolist() == ["ok"]
    assert frames.superseded == 1


def test_other_tasks_models_presets_and_settings_stand_side_by_side(store, finished, make_spec):
    specs = [
        make_spec(),
        make_spec(task="oracle"),
        make_spec(model="seqgan"),
        make_spec(model=REAL_DATA),
        make_spec(preset="quick"),
        make_spec(overrides={"lr": 0.5}, config={"lr": 0.5}),
        make_spec(task_overrides={"draw": 1}, data="other"),
    ]
    for day, spec in enumerate(specs, 1):
        store.write(finished(spec, day))
    frames = store.load()
    assert set(frames.runs["run_id"]) == {spec.run_id for spec in specs}
    assert frames.superseded == 0


def planned(store):
    runs = store.load().runs
    return {(row["model"], row["seed"]): row["status"] for row in runs.to_dict("records")}


def test_a_planned_run_without_a_record_is_missing(store, finished, make_spec):
    plan = [make_spec(model=model, seed=seed) for model in ("mle", REAL_DATA) for seed in (0, 1)]
    store.plan(plan)
    store.plan(plan[:1])  # plans are added up
    store.write(finished(plan[0], 1))
    assert planned(store) == {
        ("mle", 0): "ok", ("mle", 1): "missing", (REAL_DATA, 0): "missing", (REAL_DATA, 1): "missing",
    }  # fmt: skip
    rows = store.load().runs
    assert list(rows["run_id"])[1] == plan[1].run_id
    assert list(rows["reason"])[1] == "it was planned, and there is no record of it that can be read"
    (store.runs / PLAN).unlink()
    assert planned(store) == {("mle", 0): "ok"}


def test_the_plan_of_another_configuration_does_not_count(store, finished, make_spec):
    old, new = (
        [make_spec(source=source, seed=seed) for seed in range(n)] for source, n in (("1" * 64, 3), ("2" * 64, 2))
    )
    for plan in (old, new):
        store.plan(plan)
        store.choose(plan)
    assert planned(store) == {("mle", 0): "missing", ("mle", 1): "missing"}
    store.write(finished(old[0], 1))  # all that there is to show
    assert planned(store) == {("mle", 0): "ok", ("mle", 1): "missing", ("mle", 2): "missing"}
    store.write(finished(new[0], 2))
    assert planned(store) == {("mle", 0): "ok", ("mle", 1): "missing"}


def test_a_planned_field_of_several_values_is_that_of_its_record(store, finished, make_spec):
    spec = make_spec(config={"sizes": (1, 2)}, overrides={"sizes": (1, 2)})
    store.plan([spec])
    store.write(finished(spec, 1))
    assert planned(store) == {("mle[sizes=[1, 2]]", spec.seed): "ok"}


def test_trials_of_a_search_are_nobodys_plan(store, make_spec):
    store.plan([make_spec(tuning={"trial": 0, "study": "s", "metric": "nll_valid"})])
    assert not (store.runs / PLAN).exists()


@pytest.mark.parametrize("content", ["", "[]", "{}", "null", '{"format": 1}', "[" * 100_000])
def test_a_damaged_plan_is_told_and_written_anew(store, make_spec, content):
    (store.runs / PLAN).write_text(content)
    (note,) = store.load().notes
    assert "plan.list' is left out, because it is damaged: the plan of seeds is what the records show" in note
    store.plan([make_spec()])
    assert store.load().notes == ()
    assert planned(store) == {("mle", 0): "missing"}


def test_a_plan_that_was_changed_by_hand_is_noticed(store, make_spec):
    store.plan([make_spec(seed=seed) for seed in (0, 1)])
    file = store.runs / PLAN
    file.write_text(file.read_text().replace('"1":', '"2":'))
    assert "it is damaged" in store.load().notes[0]


def test_a_plan_of_a_later_version_is_left_alone(store, make_spec):
    content = {"format": 99, "planned": []}
    text = json.dumps({**content, "sha256": checksum(content)})
    (store.runs / PLAN).write_text(text)
    assert "it has format 99, and this version reads formats up to 1: install that version" in store.load().notes[0]
    with pytest.raises(UsageError, match=r"install that version to read it\. Or choose another folder"):
        store.plan([make_spec()])
    assert (store.runs / PLAN).read_text() == text
