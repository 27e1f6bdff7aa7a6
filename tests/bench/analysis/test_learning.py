"""Made-up curves, read run by run as numpy reads them."""

import numpy as np
import pytest

from bench.analysis.learning import at_cost, equal_costs, learning
from bench.records.frames import COSTS

NAN = float("nan")


@pytest.mark.parametrize("cost", COSTS)
def test_every_run_is_read_as_numpy_reads_it(mixed, cost):
    _, curves = mixed
    curves = curves[curves["task"] == "oracle"]
    amounts = np.array([0.0, 1.0, 40.0, 111.1, 300.0, 799.9, 3e5, 2.15e6, 1e9])
    found = at_cost(curves, cost, "nll_valid", amounts)
    assert len(found) == curves["run_id"].nunique() * len(amounts)
    for run_id, own in found.groupby("run_id"):
        lines = curves[(curves["run_id"] == run_id) & (curves["name"] == "nll_valid")]
        assert own[["model", "seed"]].drop_duplicates().to_numpy().tolist() == [
            lines[["model", "seed"]].iloc[0].tolist()
        ]
        x, y = lines[cost].to_numpy(), lines["value"].to_numpy()
        expected = np.where((amounts >= x[0]) & (amounts <= x[-1]), np.interp(amounts, x, y), NAN)
        np.testing.assert_array_equal(own["value"], expected)


def test_the_last_of_several_points_at_one_cost_counts(made):
    _, curves = made.frames(made.run("mle", 0, [("mle", 3, (10.0, 0.0, 1.0))], names=("nll_valid",)))
    curves["value"] = [3.0, 2.0, 1.0]
    assert at_cost(curves, "tokens", "nll_valid", [0.0])["value"].tolist() == [1.0]
    curves["tokens"] = [10.0, 20.0, 20.0]
    assert at_cost(curves, "tokens", "nll_valid", [10.0, 15.0, 20.0])["value"].tolist() == [3.0, 2.0, 1.0]


def test_points_without_a_value_are_passed_over(made):
    _, curves = made.frames(made.run("mle", 0, [("mle", 3, (10.0, 0.0, 1.0))], names=("nll_valid",)))
    curves["value"] = [3.0, NAN, 1.0]
    assert at_cost(curves, "seconds", "nll_valid", [20.0, 31.0])["value"].tolist()[:1] == [2.0]
    curves["value"] = NAN
    assert at_cost(curves, "seconds", "nll_valid", [20.0])["value"].isna().all()
    assert at_cost(curves, "seconds", "entropy", [20.0]).empty


def test_a_run_that_ended_may_keep_its_last_value(made):
    _, curves = made.frames(made.run("mle", 0, [("mle", 3, (10.0, 0.0, 1.0))], names=("nll_valid",)))
    curves["value"] = [3.0, 2.0, 1.0]
    assert at_cost(curves, "seconds", "nll_valid", [5.0, 15.0, 40.0], held=True)["value"].tolist()[1:] == [2.5, 1.0]
    assert np.isnan(at_cost(curves, "seconds", "nll_valid", [5.0], held=True)["value"]).all()


def test_equal_costs_begin_where_models_part_and_reach_the_longest_end(mixed):
    oracle = learning(*mixed)[0]
    # The pre-training takes 300 seconds, 4 % more in the slowest seed; the longest run takes 800 in the fastest one.
    assert equal_costs(oracle, "seconds", "jsd_valid") == pytest.approx([312.0, 434.0, 556.0, 700.0, 800.0])
    assert equal_costs(oracle, "tokens", "jsd_valid") == pytest.approx([2e6, 2.2e6, 2.4e6, 2.5e6, 2.8e6])
    assert equal_costs(oracle, "updates", "jsd_valid") == pytest.approx([1000.0, 1500.0, 1800.0, 2000.0, 3000.0])


def test_no_column_lies_within_the_shared_pretraining(mixed):
    section = learning(*mixed)[0]
    for cost in COSTS:
        amounts = equal_costs(section, cost, "jsd_valid")
        reached = at_cost(section.lines, cost, "jsd_valid", amounts, held=True)
        after = reached[(reached["amount"] > amounts[0]) & reached["model"].isin(["mle", "seqgan", "maligan"])]
        apart = after.groupby(["amount", "seed"])["value"].nunique()
        assert (apart > 1).all()


def test_without_a_shared_pretraining_the_way_begins_at_nothing(made):
    alone = made.frames(
        made.run("mle", 0, [("mle", 10, (100.0, 1, 1))]), made.run("other", 0, [("own", 6, (100.0, 1, 1))])
    )
    (section,) = learning(*alone)
    assert equal_costs(section, "seconds", "jsd_valid") == pytest.approx([250.0, 500.0, 600.0, 1000.0])


def test_a_control_sets_the_costs_only_if_nobody_else_goes_on(mixed, made):
    runs, curves = mixed
    oracle = learning(runs, curves[curves["model"] != "constant"])[0]
    assert equal_costs(learning(*mixed)[0], "seconds", "jsd_valid") == equal_costs(oracle, "seconds", "jsd_valid")
    longer = made.run("longer", 0, [made.PRETRAINING, ("longer", 10, (30.0, 2e5, 100.0))])
    (section,) = learning(*made.frames(made.run("mle", 0, [made.PRETRAINING]), longer, controls=("longer",)))
    assert equal_costs(section, "seconds", "jsd_valid") == pytest.approx([300.0, 375.0, 450.0, 600.0])
    (section,) = learning(*made.frames(made.run("mle", 0, [made.PRETRAINING]), made.run("twin", 0, [made.PRETRAINING])))
    assert equal_costs(section, "seconds", "jsd_valid") == pytest.approx([300.0])


def test_nearly_the_same_cost_is_not_shown_twice(made):
    both = made.frames(
        made.run("mle", 0, [("mle", 100, (10.0, 1, 1))]),
        made.run("gan", 0, [("gan", 99, (10.0, 1, 1))]),
    )
    (section,) = learning(*both)
    assert equal_costs(section, "seconds", "jsd_valid") == pytest.approx([250.0, 500.0, 1000.0])


def test_what_nobody_counts_has_no_equal_cost(made):
    (section,) = learning(*made.frames(*made.trained(counted=("seconds",))))
    assert equal_costs(section, "tokens", "jsd_valid") == []


def test_one_point_is_no_curve_and_a_failed_run_has_none(mixed, made):
    assert "uniform" not in set(learning(*mixed)[0].lines["model"])
    (section,) = learning(*made.frames(*made.trained(), failed=("seqgan",)))
    assert set(section.lines["model"]) == {"mle", "maligan"}
    assert learning(*made.frames(*made.trained(names=("reward",)))) == []
