"""The order of rows: by one metric for those that have it, and where those stand that do not."""

import math

import pytest

from bench.analysis.ranking import places
from bench.analysis.standing import Standing

NOBODY_BARRED = Standing({}, {})


def rows(scores, role="contender", task="oracle"):
    """Rows of a leaderboard: model to metric to mean."""
    for model, means in scores.items():
        for metric, mean in means.items():
            yield {
                "task": task, "preset": "quick", "model": model, "role": role, "checkpoint": "final", "metric": metric,
                "mean": mean, "n": 0 if mean == math.inf else 5, "infinite": mean == math.inf,
                "direction": "higher" if metric == "ms_jaccard4" else "lower",
            }  # fmt: skip


def order(scores, who=NOBODY_BARRED, **about):
    found = places(rows(scores, **about), who)
    return [model for _, _, model in sorted(found, key=lambda key: found[key].order)]


def cell(model, metric):
    return "oracle", "quick", model, "final", metric


DENSE = {
    "worst": {"jsd_token": 0.4, "reverse_nll": 5.0, "ms_jaccard4": 0.2},
    "best": {"jsd_token": 0.1, "reverse_nll": 2.0, "ms_jaccard4": 0.8},
    "middle": {"jsd_token": 0.2, "reverse_nll": 3.0, "ms_jaccard4": 0.5},
}


def test_all_that_have_the_metric_are_in_its_order():
    assert order(DENSE) == ["best", "middle", "worst"]


@pytest.mark.parametrize(
    ("scores", "place"),
    [
        ({"reverse_nll": 1.0}, 0),
        ({"reverse_nll": 2.5}, 1),
        ({"reverse_nll": 4.0}, 2),
        ({"reverse_nll": 6.0}, 3),
        ({"reverse_nll": 2.5, "ms_jaccard4": 0.0}, 1),  # the first substitute decides
        ({"ms_jaccard4": 0.9}, 0),  # where higher is better
        ({"ms_jaccard4": 0.4}, 2),
        ({"nll_oracle": 0.1, "bleu2": 0.1}, 3),  # nothing that orders anything
    ],
)
def test_one_without_a_density_stands_below_as_many_as_are_better_in_another_metric(scores, place):
    found = order({**DENSE, "implicit": scores})
    assert found.index("implicit") == place
    assert [model for model in found if model != "implicit"] == ["best", "middle", "worst"]


def test_an_infinite_value_is_no_reason_for_another_metric():
    scores = {**DENSE, "endless": {"jsd_token": math.inf, "reverse_nll": 0.1}}
    assert order(scores) == ["best", "middle", "worst", "endless"]
    assert places(rows(scores), NOBODY_BARRED)["oracle", "quick", "endless"].metric == "jsd_token"
    everybody = {"b": {"nll_test": math.inf, "reverse_nll": 1.0}, "a": {"nll_test": math.inf, "reverse_nll": 2.0}}
    assert order(everybody) == ["b", "a"]  # then it orders nothing


def test_a_density_of_whole_sequences_comes_before_samples():
    scores = {model: {**means, "nll_test": means["jsd_token"] + 2} for model, means in DENSE.items()}
    scores["whole"] = {"nll_test": 2.15, "reverse_nll": 9.0}
    assert order(scores) == ["best", "whole", "middle", "worst"]


def test_the_orders_of_the_two_metrics_may_disagree():
    scores = {**DENSE, "best": {**DENSE["best"], "reverse_nll": 9.0}, "implicit": {"reverse_nll": 2.5}}
    assert order(scores) == ["implicit", "best", "middle", "worst"]  # nobody is better in reverse_nll


def test_several_without_a_density_are_in_order_too():
    scores = {**DENSE, "second": {"reverse_nll": 2.8}, "first": {"reverse_nll": 2.1}}
    assert order(scores) == ["best", "first", "second", "middle", "worst"]


def test_only_those_of_the_same_role_and_task_count():
    mixed = [*rows({"implicit": {"reverse_nll": 2.5}}), *rows(DENSE, role="control"), *rows(DENSE, task="toy")]
    found = places(mixed, NOBODY_BARRED)
    assert found["oracle", "quick", "implicit"].order[1] == -0.5
    assert found["oracle", "quick", "middle"].order[1] == 1


def test_a_bound_is_placed_like_no_density():
    scores = {**DENSE, "bound": {"jsd_token": 0.01, "reverse_nll": 4.0}}
    bar = {cell("bound", "jsd_token"): ("its density is a bound, not exact",)}
    who = Standing(bar, {}, frozenset(bar))
    assert order(scores, who) == ["best", "middle", "bound", "worst"]
    assert places(rows(scores), who)["oracle", "quick", "bound"].metric == "reverse_nll"
    without = {**DENSE, "bound": {"jsd_token": 0.01}}
    assert order(without, who) == ["best", "middle", "worst", "bound"]  # no other metric: no rank


def test_what_may_not_win_comes_last_whatever_places_it():
    scores = {**DENSE, "copier": {"reverse_nll": 1.0}}
    who = Standing({cell("copier", "reverse_nll"): ("copies",), cell("best", "jsd_token"): ("lost a seed",)}, {})
    assert order(scores, who) == ["middle", "worst", "best", "copier"]


def test_where_nobody_has_a_density_the_substitute_sorts():
    scores = {"b": {"reverse_nll": 1.0, "bleu2": 0.1}, "a": {"reverse_nll": 2.0, "bleu2": 0.9}}
    assert order(scores) == ["b", "a"]
    assert {place.metric for place in places(rows(scores), NOBODY_BARRED).values()} == {"reverse_nll"}


def test_without_any_such_metric_the_order_is_that_of_names():
    scores = {"b": {"bleu2": 0.1}, "a": {"bleu2": 0.9}}
    assert order(scores) == ["a", "b"]
    assert {place.metric for place in places(rows(scores), NOBODY_BARRED).values()} == {""}
