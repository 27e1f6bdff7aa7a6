"""Records: strict JSON in both directions, and ids that hash all that decides a run's outcome."""

import dataclasses
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.records.nearest import Nearest
from bench.records.record import SCHEMA, NewerRecord, RunRecord, RunSpec, Score, checksum, from_json, migrate, to_json

STORE = Path(__file__).parents[2] / "golden" / "store" / "runs"
SCORE = Score("nll_oracle", 1 / 3, "nats/token", "lower", "n=200|v=1")
ABSENT = Score("nll_test", None, "nats/token", "lower", "n=200|v=1", absent="the model has no log_prob")


@pytest.fixture
def record(make_spec):
    return RunRecord(
        make_spec(
            config={"lr": 0.1 + 0.2, "sizes": [1, 2], "none": None}, budget={"steps": 5}, temperatures=(0.5, 1.0)
        ),
        "failed",
        reason="ValueError: a “reason”",
        traceback="Traceback\n  line",
        scores={"pretrained": (SCORE,), "final": (SCORE, ABSENT)},
        frontier={"0.5": (SCORE, ABSENT)},
        selected={"score": 1.5, "phase": "mle", "step": 1},
        curve=({"phase": "mle", "step": 1, "seconds": 0.1, "tokens": 9, "updates": None, "scalars": {"loss": 1e-300}},),
        samples=("天下", "1 2 3"),
        data_sha256="0" * 64,
        environment={"commit": None, "packages": {"torch": "2"}},
        started="2026-01-01T00:00:00+00:00",
        finished="2026-01-01T00:00:01+00:00",
        nearest=(Nearest(("", "天", "下"), ("地", "天", ""), 1, 1, 2, 2), Nearest(("1 2 3",), (), 0, 0, 3, 0)),
        kind="characters",
    )


def test_a_record_comes_back_as_it_was(record):
    assert from_json(to_json(record)) == record


def test_numbers_are_not_rounded(record):
    back = from_json(to_json(record))
    assert back.spec.config["lr"] == 0.30000000000000004
    assert back.scores["final"][0].value == 1 / 3


def test_the_text_is_strict_and_readable_json(record):
    def refuse(constant):
        raise AssertionError(constant)

    text = to_json(record)
    content = json.loads(text, parse_constant=refuse)
    assert content["schema"] == SCHEMA
    assert content["run_id"] == record.spec.run_id
    assert list(content) == sorted(content)
    assert "天下" in text
    assert text.endswith("}\n")


def test_tuples_do_not_change_the_name(make_spec):
    spec = make_spec()
    assert spec.config["sizes"] == (1, 2)
    assert from_json(to_json(RunRecord(spec, "ok"))).spec.run_id == spec.run_id


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_refused(record, value):
    with pytest.raises(ValueError, match="finite nll"):
        Score("nll", value, "", "lower", "")
    for part in ({"curve": ({"loss": value},)}, {"environment": {"x": value}}):
        with pytest.raises(ValueError, match="not JSON compliant"):
            to_json(dataclasses.replace(record, **part))


@pytest.mark.parametrize("fields", [{"value": None}, {"value": 1.0, "absent": "why"}])
def test_a_score_has_a_value_or_a_reason(fields):
    with pytest.raises(ValueError, match="a value or a reason"):
        Score("nll", unit="", direction="lower", signature="", **fields)


def test_a_status_is_one_of_five(make_spec):
    with pytest.raises(ValueError, match=r"expected status to be one of started, ok, .*, got 'fine'"):
        RunRecord(make_spec(), "fine")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema": SCHEMA + 1}, f"it has schema {SCHEMA + 1}, and this version reads schemas up to {SCHEMA}"),
        ({"schema": None}, "it is not a run record"),
        ({"schema": "1"}, "it is not a run record"),
        ({"schema": 0}, f"expected a run record of schema {SCHEMA} or earlier, got 0"),
        ({"run_id": ...}, f"not a run record of schema {SCHEMA}: 'run_id'"),
        ({"run_id": "0123456789ab"}, "it has the run id 0123456789ab, and its content that of"),
        ({"environment": None}, "'environment' is None"),
        ({"environment": {"packages": None}}, "'packages' is None"),
        ({"reason": 3}, "'reason' is 3"),
        ({"curve": [{"phase": "mle", "step": 1}]}, "not a run record"),
        ({"selected": {"step": 1}}, "'selected' is"),
        ({"scores": []}, "not a run record"),
        ({"status": "fine"}, "expected status to be one of"),
        ({"colour": "red"}, f"not a run record of schema {SCHEMA}: .*colour"),
        ({"spec": {}}, f"not a run record of schema {SCHEMA}: .*missing"),
        ({"spec": None}, f"not a run record of schema {SCHEMA}"),
        ({"scores": ...}, f"not a run record of schema {SCHEMA}: 'scores'"),
        ({"curve": 3}, f"not a run record of schema {SCHEMA}"),
        ({"scores": {"final": [{"metric": "nll"}]}}, f"not a run record of schema {SCHEMA}"),
        ({"scores": {"final": [dataclasses.asdict(SCORE) | {"value": math.nan}]}}, "not strict JSON: NaN"),
    ],
)
def test_what_is_no_record_of_this_schema_is_refused(record, change, message):
    content = json.loads(to_json(record)) | change
    content = {name: value for name, value in content.items() if value is not ...}
    with pytest.raises(ValueError, match=message):
        from_json(signed(content))


def signed(content):
    """A text with a checksum that fits."""
    finite = json.loads(json.dumps(content).replace("NaN", "null"))
    return json.dumps({**content, "sha256": checksum(finite)})


def unsigned(record, schema):
    """What is left of a record in the schemas that had no checksum and no warnings."""
    content = json.loads(to_json(record)) | {"schema": schema}
    later = ("sha256", "warnings", "nearest", "kind", "densities")
    return {name: value for name, value in content.items() if name not in later}


def without_nearest(record):
    """The record as schemas up to the sixth know it."""
    return dataclasses.replace(record, nearest=(), kind="")


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "3", '"schema"', "[" * 100_000])
def test_what_is_no_record_at_all_is_refused(text):
    with pytest.raises(ValueError, match=r"it is (not a run record|empty|cut off)"):
        from_json(text)


def test_every_changed_bit_is_noticed_or_changes_nothing(record):
    content = to_json(record).encode()
    noticed = 0
    for position in range(len(content)):
        changed = bytearray(content)
        changed[position] ^= 1 << position % 8
        try:
            read = from_json(changed.decode())
        except ValueError:
            noticed += 1
        else:
            assert read == record  # another kind of white space
    assert noticed > 0.9 * len(content)


def test_a_record_may_be_spaced_otherwise(record):
    assert from_json(json.dumps(json.loads(to_json(record)))) == record


def test_a_record_cannot_lose_its_checksum(record):
    content = json.loads(to_json(record))
    del content["sha256"]
    with pytest.raises(ValueError, match="its checksum does not match its content"):
        from_json(json.dumps(content))
    with pytest.raises(ValueError, match="its checksum does not match its content"):
        from_json(json.dumps(json.loads(to_json(record)) | {"schema": 3}))


def test_a_damaged_record_of_a_later_schema_is_damaged_and_not_later(record):
    later = json.loads(to_json(record)) | {"schema": SCHEMA + 1, "colour": "red"}
    with pytest.raises(NewerRecord):
        from_json(signed(later))
    with pytest.raises(ValueError, match="its checksum") as damaged:
        from_json(signed(later).replace("red", "rod"))
    assert not isinstance(damaged.value, NewerRecord)


def test_a_record_of_the_third_schema_is_understood(record):
    assert from_json(json.dumps(unsigned(record, 3))) == without_nearest(record)


@pytest.mark.parametrize(
    ("metric", "value", "density"),
    [("nll_test", 8.5, "exact"), ("jsd_token", 0.3, "exact"), ("nll_test", None, "none"), ("bleu2", 0.5, "none")],
)
def test_a_record_of_the_fourth_schema_had_an_exact_density_where_it_has_scores_of_one(record, metric, value, density):
    absent = None if value is not None else "the model has no log_prob"
    found = (Score(metric, value, "", "lower", "n=5|v=1", absent=absent),)
    content = json.loads(to_json(dataclasses.replace(record, scores={"final": found})))
    old = {name: part for name, part in content.items() if name not in ("sha256", "density", "densities")}
    assert from_json(signed(old | {"schema": 4})).density == density
    with pytest.raises(ValueError, match="expected density to be one of exact, bound, estimated, none, got 'sure'"):
        from_json(signed(old | {"density": "sure"}))
    with pytest.raises(ValueError, match="expected density to be one of exact, bound, estimated, none, got 'sure'"):
        from_json(signed(content | {"densities": {"pretrained": "sure"}}))


@pytest.mark.parametrize(
    ("target", "density", "densities"),
    [
        ("baselines.residual_ebm:ResidualEBM", "estimated", {"pretrained": "exact"}),
        ("seqgan.seqgan:SeqGAN", "exact", {}),
        ("strangers.models:VAE", "bound", {}),  # whose pre-training nobody knows
    ],
)
def test_a_record_of_the_seventh_schema_had_one_density_for_all_its_checkpoints(record, target, density, densities):
    spec = dataclasses.replace(record.spec, target=target)
    scores = {**record.scores, "pretrained": record.scores["final"]}
    whole = dataclasses.replace(record, spec=spec, scores=scores, density=density)
    old = {name: part for name, part in json.loads(to_json(whole)).items() if name not in ("sha256", "densities")}
    assert from_json(signed(old | {"schema": 7})).densities == densities


def test_a_record_of_the_sixth_schema_says_nothing_of_the_nearest_sequences(record):
    content = json.loads(to_json(record)) | {"schema": 6}
    old = {name: part for name, part in content.items() if name not in ("sha256", "nearest", "kind", "densities")}
    assert from_json(signed(old)) == without_nearest(record)
    assert from_json(signed(old)).spec.run_id == record.spec.run_id


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"shared": 2}, "expected longest <= shared <= words of either"),
        ({"longest": 2}, "expected longest <= shared"),
        ({"shared": 1.0}, "numbers of words"),
        ({"sample": "天下"}, "'nearest' has"),
        ({"example": [1]}, "in pieces"),
        ({"colour": "red"}, "'nearest' has"),
        ({"words": ...}, "'nearest' has"),
    ],
)
def test_what_is_no_nearest_sequence_is_refused(record, change, message):
    content = json.loads(to_json(record))
    first = {name: value for name, value in {**content["nearest"][0], **change}.items() if value is not ...}
    content["nearest"][0] = first | ({"example_words": 1, "words": 1} if change == {"shared": 2} else {})
    with pytest.raises(ValueError, match=message):
        from_json(signed(content))


def test_each_sample_has_a_nearest_sequence_or_none_has(record):
    with pytest.raises(ValueError, match="a nearest sequence for each sample or none, got 1"):
        dataclasses.replace(record, nearest=record.nearest[:1])


def test_a_record_of_the_first_schema_is_understood(record):
    content = unsigned(record, 1)
    old = {name: value for name, value in content.items() if name not in ("frontier", "selected")}
    old["spec"] = {
        name: value for name, value in content["spec"].items() if name not in ("temperatures", "role", "family")
    }
    old["curve"] = [{"phase": "mle", "step": 1, "seconds": 0.1, "scalars": {"loss": 2.0}}]
    read = from_json(json.dumps(old))
    assert (read.frontier, read.selected, read.spec.temperatures) == ({}, None, ())
    assert read.curve == (
        {"phase": "mle", "step": 1, "seconds": 0.1, "tokens": None, "updates": None, "scalars": {"loss": 2.0}},
    )
    assert read.scores == record.scores


OLD = {"lr": 0.1, "cuda": "graph", "d_bfloat16": False}


def second_schema(record, config, overrides):
    """The record as the second schema had it: execution among the fields, and another run id."""
    content = unsigned(record, 2)
    spec = {name: value for name, value in content["spec"].items()
            if name not in ("execution", "task_stream", "recorded_id", "recorded_group")}  # fmt: skip
    spec |= {"config": config, "overrides": overrides}
    return json.dumps(content | {"run_id": "0123456789ab", "spec": spec})


def test_execution_was_among_the_fields_in_the_second_schema(record):
    read = from_json(second_schema(record, OLD, {"d_bfloat16": False}))
    assert read.spec.execution == {"mode": "graph", "bfloat16": False}
    assert (read.spec.config, read.spec.overrides) == ({"lr": 0.1}, {})
    assert read.spec.label == "mle[bfloat16=False]"
    assert read.scores == record.scores
    assert read.spec.stream == record.spec.stream


def test_a_record_of_the_second_schema_keeps_its_run_id(record):
    read = from_json(second_schema(record, OLD, {}))
    assert read.spec.run_id == "0123456789ab"
    assert from_json(to_json(read)).spec.run_id == "0123456789ab"
    assert json.loads(to_json(read))["run_id"] == "0123456789ab"


@pytest.mark.parametrize("config", [{"cuda": True, "d_bfloat16": "auto"}, OLD])
def test_a_strangers_field_of_that_name_stays_a_field(record, config):
    theirs = dataclasses.replace(record, spec=dataclasses.replace(record.spec, target="their.models:Own"))
    read = from_json(second_schema(theirs, config, {"cuda": config["cuda"]}))
    assert (read.spec.execution, read.spec.config) == ({}, config)
    assert read.spec.label == f"mle[cuda={config['cuda']}]"


def test_a_record_of_the_second_schema_keeps_its_group_id():
    """The groups in the list were computed by the code of that schema."""
    chosen = {tuple(labels): group for *labels, group in json.loads((STORE / "chosen.list").read_text("utf-8"))}
    records = [from_json(file.read_text("utf-8")) for file in STORE.glob("*.json")]
    assert len(records) == 56
    for record in records:
        spec = record.spec
        assert chosen[spec.task_label, spec.label, spec.preset_label] == spec.group_id
        assert from_json(to_json(record)).spec.group_id == spec.group_id


def test_this_schema_needs_no_migration(record):
    content = json.loads(to_json(record))
    assert migrate(json.loads(to_json(record))) == content


OTHER = {
    "model": "seqgan", "target": "seqgan.seqgan:SeqGAN", "source": "6" * 64, "config": {"lr": 0.02},
    "overrides": {"lr": 0.02}, "task": "oracle", "task_target": "bench.tasks.oracle:LSTMOracle", "task_version": "2",
    "data": "another", "seed": 1, "preset": "quick", "metrics": {"nll": "2"}, "explicit_metrics": True, "samples": 201,
    "device": "cuda", "torch": "2.14.0", "budget": {"steps": 1}, "temperatures": (0.5, 1.0),
    "execution": {"mode": "triton"}, "task_stream": "a name that stays",
    "tuning": {"preset": "tuned.json"},
}  # fmt: skip


def test_every_field_is_in_the_name_but_where_the_data_lies(make_spec):
    names = {field.name for field in dataclasses.fields(RunSpec)}
    assert names - set(OTHER) == {
        "task_config", "task_overrides", "role", "family", "recorded_id", "recorded_group", "files",
    }  # fmt: skip
    ids = {make_spec().run_id, *(make_spec(**{name: value}).run_id for name, value in OTHER.items())}
    assert len(ids) == 1 + len(OTHER)
    assert make_spec(task_config={"weights": "/elsewhere"}, task_overrides={"x": 1}).run_id == make_spec().run_id
    assert make_spec(files={"file": "/elsewhere/samples.txt"}).run_id == make_spec().run_id


def test_recorded_graphs_give_the_numbers_of_what_they_recorded(make_spec):
    eager, graph, triton = (
        make_spec(execution={"mode": mode, "bfloat16": True}) for mode in ("eager", "graph", "triton")
    )
    assert eager.run_id == graph.run_id != triton.run_id
    assert eager.fit_id == graph.fit_id != triton.fit_id
    assert [spec.label for spec in (eager, graph, triton)] == ["mle", "mle", "mle[mode=triton]"]
    assert make_spec(execution={"mode": "eager", "bfloat16": False}).label == "mle[bfloat16=False]"


def test_random_streams_go_by_the_tasks_stable_name(make_spec):
    moved = {"task_target": "elsewhere:Toy", "task_stream": "bench.tasks.toy:Toy"}
    assert make_spec(**moved).stream == make_spec().stream == "bench.tasks.toy:Toy/1/fingerprint/0"
    assert make_spec(task_target="elsewhere:Toy").stream != make_spec().stream


def test_a_name_is_twelve_hexadecimal_digits(make_spec):
    assert len(make_spec().run_id) == 12
    int(make_spec().run_id, 16)


def test_seeds_with_a_draw_of_their_own_share_a_group(make_spec):
    first, second = (make_spec(seed=seed, data=f"draw {seed}", family="any draw") for seed in (0, 1))
    assert first.group_id == second.group_id
    assert first.stream != second.stream
    assert first.group_id != make_spec(data="draw 0", family="another family").group_id


def test_a_budget_is_part_of_the_presets_label(make_spec):
    assert make_spec().preset_label == "smoke"
    assert make_spec(budget={"tokens": 2e6}).preset_label == "smoke, 2,000,000 tokens each"


def test_the_role_is_no_part_of_the_name(make_spec):
    assert make_spec(role="control").run_id == make_spec(role="contender").run_id


def test_all_seeds_of_a_configuration_share_a_group(make_spec):
    assert make_spec(seed=0).group_id == make_spec(seed=1).group_id
    others = {make_spec(**{name: value}).group_id for name, value in OTHER.items() if name != "seed"}
    assert len(others | {make_spec().group_id}) == len(OTHER)


def test_trainings_are_shared_whatever_is_scored_afterwards(make_spec):
    same = {"model", "overrides", "task", "preset", "metrics", "explicit_metrics", "samples", "temperatures", "tuning"}
    for name, value in OTHER.items():
        assert (make_spec(**{name: value}).fit_id == make_spec().fit_id) == (name in same), name


def test_names_are_the_same_in_every_process(record):
    code = (
        "import sys; from bench.records.record import from_json\n"
        "spec = from_json(sys.stdin.read()).spec; print(spec.run_id, spec.group_id, spec.fit_id)"
    )
    spec = record.spec
    for salt in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", code], input=to_json(record),
            env={**os.environ, "PYTHONHASHSEED": salt, "PYTHONUTF8": "1"},
            capture_output=True, text=True, check=True, timeout=60, encoding="utf-8",
        )  # fmt: skip
        assert done.stdout.split() == [spec.run_id, spec.group_id, spec.fit_id]


def test_labels_show_what_the_user_set(make_spec):
    spec = make_spec(overrides={"lr": 0.1, "epochs": 5}, task_overrides={"draw": 1})
    assert (spec.label, spec.task_label) == ("mle[epochs=5, lr=0.1]", "toy[draw=1]")
    assert (make_spec().label, make_spec().task_label) == ("mle", "toy")
