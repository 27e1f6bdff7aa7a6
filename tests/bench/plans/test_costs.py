"""How long runs take, from what was timed."""

import statistics
import tarfile
from pathlib import Path

from bench.plans import costs
from bench.plans.costs import Costs, jobs, timed, yardstick
from bench.records.record import RunRecord, from_json


def record(spec, seconds, status="ok"):
    return RunRecord(
        spec,
        status,
        started="2026-01-01T00:00:00+00:00",
        finished=f"2026-01-01T00:{seconds // 60:02}:{seconds % 60:02}+00:00",
    )


def test_the_mean_over_completed_runs(make_spec):
    spec, other = make_spec(), make_spec(seed=1)
    found = timed([record(spec, 30), record(other, 90), record(make_spec(seed=2), 3_000, "failed")])
    assert found == {("smoke", "toy", "mle", "cpu"): 60.0}


def test_a_run_without_times_is_left_out(make_spec):
    assert timed([RunRecord(make_spec(), "ok")]) == {}


def test_the_file_is_read_as_it_is_written(make_spec):
    records = [record(make_spec(), 30), record(make_spec(seed=1), 31), record(make_spec(overrides={"epochs": 3}), 7)]
    text = costs._write(records, 0.00123)
    assert text.splitlines()[2:] == ["preset,task,model,seconds", "smoke,toy,mle,30.5"]
    assert costs._read(text) == (0.00123, {("smoke", "toy", "mle"): 30.5})


def test_the_yardstick_measures_this_machine():
    assert 0 < yardstick() < 1
    assert 0.02 < Costs.here({}).ratio < 50


def test_the_shipped_table_is_that_of_the_committed_records():
    archive = Path(__file__).parents[3] / "results" / "records.tar.gz"
    took = {}
    with tarfile.open(archive) as tar:
        for member in tar.getmembers():
            if member.name.endswith(".json") and member.name != "store.json":
                record = from_json(tar.extractfile(member).read().decode())
                spec = record.spec
                took.setdefault((spec.preset, spec.task, spec.model), []).append(costs._seconds(record))
    shipped = Costs.here({}).shipped
    for name, seconds in took.items():
        assert abs(shipped[name] - statistics.mean(seconds)) <= 0.1, name


def test_a_pack_takes_as_long_as_each_of_its_runs(make_spec):
    def seeds(number, **more):
        return [make_spec(seed=seed, execution={"pack": 4}, **more) for seed in range(number)]

    own = timed([record(spec, 80) for spec in seeds(4)])
    known = Costs(own, {("smoke", "toy", "mle"): 5.0}, 1.0)
    assert [known.total(seeds(number)) for number in (1, 4, 5)] == [(80.0, 0), (80.0, 0), (160.0, 0)]
    assert [jobs(seeds(number)) for number in (1, 4, 5)] == [1, 1, 2]
    assert jobs([*seeds(4), make_spec(model="ngram"), make_spec(model="ngram", seed=1)]) == 3
    assert jobs([make_spec(seed=seed, execution={"pack": 4}) for seed in (0, 4, 8)]) == 3  # all in the first place
    # What the project was measured by was no pack.
    assert Costs({}, known.shipped, 1.0).total(seeds(4)) == (0, 4)
