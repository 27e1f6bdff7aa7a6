"""Preset files: what they may hold, and what they do to a plan."""

import dataclasses
import json

import pytest

from bench.errors import UsageError
from bench.plans.plan import Request, make_plan
from bench.plans.tuned import is_file, read_preset, write_preset
from bench.records.frames import REAL_DATA

PLAIN = Request(models=("mle", "random"), tasks=("toy",), metrics=("nll",), seeds=1, preset="smoke")
CONTENT = {
    "preset": "smoke",
    "task": "toy",
    "metric": "nll_valid",
    "trials": 20,
    "models": {"mle": {"fields": {"lr": 0.03, "hidden_dim": 64}}},
}


@pytest.fixture
def make_file(tmp_path):
    def make(name="tuned.json", **changes):
        path = tmp_path / name
        path.write_text(json.dumps({**CONTENT, **changes}), encoding="utf-8")
        return path

    return make


def planned(path, **changes):
    plan = make_plan(dataclasses.replace(PLAIN, preset=str(path), **changes))
    return {spec.model: spec for spec in plan}


def test_its_fields_come_before_the_presets_and_after_the_users(make_file):
    mle = planned(make_file(), settings=("mle.hidden_dim=16",))["mle"]
    assert (mle.config["lr"], mle.config["hidden_dim"], mle.config["epochs"]) == (0.03, 16, 2)
    assert mle.preset == "smoke"


def test_all_rows_of_a_plan_stand_together_and_say_how_they_were_tuned(make_file):
    plan = planned(make_file())
    assert {spec.preset_label for spec in plan.values()} == {"smoke with tuned.json"}
    assert plan["mle"].label == "mle"
    assert plan["mle"].tuned == "20 trials by nll_valid (tuned.json)"
    assert plan["random"].tuned == "default settings (not in tuned.json)"
    by_hand = planned(make_file(), settings=("mle.hidden_dim=16",))["mle"]
    assert by_hand.tuned == "20 trials by nll_valid (tuned.json), then hidden_dim by hand"
    elsewhere = planned(make_file(task="oracle"))["mle"]
    assert elsewhere.tuned == "20 trials by nll_valid on oracle (tuned.json)"


def test_the_ids_follow_from_the_content_and_the_name(make_file):
    def ids(path):
        return {model: spec.run_id for model, spec in planned(path).items()}

    first = ids(make_file())
    assert ids(make_file()) == first
    assert ids(make_file(models={"mle": {"fields": {"lr": 0.02}}}))["mle"] != first["mle"]
    assert ids(make_file(trials=21))["mle"] != first["mle"]
    assert ids(make_file("other.json"))[REAL_DATA] != first[REAL_DATA]  # it stands in another table
    plain = {spec.model: spec for spec in make_plan(PLAIN)}
    assert plain["mle"].run_id not in first.values()


def test_without_a_file_the_ids_are_those_there_were(make_spec):
    spec = make_spec()
    assert "tuning" not in spec._identity()
    assert spec.tuned == "default settings"
    assert make_spec(overrides={"lr": 1.0}).tuned == "default settings, then lr by hand"


def test_a_person_may_write_one(make_file):
    path = make_file()
    path.write_text('{"preset": "quick", "models": {"mle": {"fields": {"lr": 0.003}}}}')
    mle = planned(path)["mle"]
    assert (mle.config["lr"], mle.config["epochs"]) == (0.003, 12)
    assert mle.tuned == "fields of tuned.json, without a search"


def test_tuples_come_back_from_json(make_file):
    fields = {"d_filter_sizes": [1, 2], "d_filter_counts": [10, 20]}
    spec = planned(make_file(models={"seqgan": {"fields": fields}}), models=("seqgan",))["seqgan"]
    assert spec.config["d_filter_sizes"] == (1, 2)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"models": {"mle": {"fields": {"lrr": 1}}}}, "tuned.json': unknown field of 'mle' 'lrr'. Did you mean 'lr'"),
        ({"models": {"mle": {"fields": {"lr": 7}}}}, "expected mle.lr to be a number above 0 and at most 1, got 7"),
        ({"models": {"mle": {"fields": {"lr": None}}}}, "expected mle.lr to be a number above 0 .*, got null"),
        ({"models": {"seqgan": {"fields": {}}}}, "sets fields of seqgan, and none of these is among the chosen models"),
        ({"models": {}}, "expected a preset file like"),
        ({"models": {"mle": {"lr": 1}}}, "expected a preset file like"),
        ({"models": ["mle"]}, "expected a preset file like"),
        ({"preset": "qick"}, r"unknown preset 'qick'. Did you mean 'quick'\?"),
        ({"trials": "20"}, "expected task, metric and number of trials"),
        ({"trials": True}, "expected task, metric and number of trials"),
    ],
)  # fmt: skip
def test_mistakes_are_sentences(make_file, changes, sentence):
    with pytest.raises(UsageError, match=sentence):
        planned(make_file(**changes))


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"{", "is not strict JSON"),
        (b"[1]", "expected a preset file like"),
        (b'{"preset": NaN}', "is not strict JSON: NaN is no number"),
        (b"\xff\xfe", "is not strict JSON"),
        (b"[" * 200_000, "is not strict JSON"),
        (None, "cannot read the preset file .*: No such file or directory; 'bench tune' writes one"),
    ],
)
def test_other_files_are_refused(tmp_path, content, sentence):
    path = tmp_path / "tuned.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UsageError, match=sentence):
        planned(path)


def test_a_presets_name_is_no_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "quick").write_text("")
    (tmp_path / "mine").write_text("")
    assert [is_file(name) for name in ("quick", "qick", "mine", "./quick", "new.json")] == [
        *(False, False, True, True, True)
    ]


def test_what_is_written_is_read(tmp_path):
    path = tmp_path / "tuned.json"
    about = {"task": "toy", "metric": "nll_valid", "trials": 3, "seeds": [1000]}
    write_preset(path, "quick", about, {"mle": {"fields": {"lr": 0.02}, "score": 1.5}})
    found = read_preset(path)
    assert (found.name, found.preset, found.fields) == ("tuned.json", "quick", {"mle": {"lr": 0.02}})
    assert found.search == {"task": "toy", "metric": "nll_valid", "trials": 3}
    with pytest.raises(UsageError, match=r"cannot write .*No such file or directory"):
        write_preset(tmp_path / "no" / "tuned.json", "quick", about, {})
