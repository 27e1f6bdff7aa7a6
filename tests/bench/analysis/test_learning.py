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


def test_equal_costs_are_what_all_reached_and_what_the_pretrained_reached(mixed):
    oracle = learning(*mixed)[0]
    assert equal_costs(oracle, "seconds", "jsd_valid") == pytest.approx([75.0, 150.0, 300.0, 700.0])
    assert equal_costs(oracle, "tokens", "jsd_valid") == pytest.approx([5e5, 1e6, 2e6, 2.5e6])
    assert equal_costs(oracle, "updates", "jsd_valid") == pytest.approx([250.0, 500.0, 1000.0, 1800.0])


def test_a_control_does_not_set_the_costs_but_a_contender_does(mixed):
    runs, curves = mixed
    oracle = learning(runs.drop(columns="role"), curves)[0]
    assert equal_costs(oracle, "seconds", "jsd_valid") == pytest.approx([15.0, 30.0, 60.0, 700.0])


def test_nearly_the_same_cost_is_not_shown_twice(made):
    both = made.frames(
        made.run("mle", 0, [("mle", 100, (10.0, 1, 1))]),
        made.run("gan", 0, [("mle", 99, (10.0, 1, 1)), ("d", 2, (10.0, 1, 1))]),
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
