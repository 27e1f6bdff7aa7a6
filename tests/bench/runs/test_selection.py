"""The best step, and how it is restored."""

import math

import pytest
from torch import nn

from bench.runs.selection import Selected, Selection, made_of


@pytest.fixture
def model():
    return nn.Linear(1, 1, bias=False)


def value(model):
    return model.weight.item()


def put(model, number):
    nn.init.constant_(model.weight, number)


def test_the_lowest_finite_score_is_kept_as_it_was(model):
    selection = Selection()
    for step, score in enumerate((math.nan, 3.0, 1.0, math.inf, 2.0, 1.0), 1):
        put(model, step)
        selection.offer(score, "mle", step, {"model": model})
    assert (selection.best.score, selection.best.step) == (1.0, 3)
    put(model, 99)
    selection.put_back({"model": model})
    assert value(model) == 3


def test_one_part_may_have_another_name_by_now(model):
    selection = Selection()
    put(model, 7)
    selection.offer(1.0, "mle", 1, {"model": model})
    put(model, 8)
    selection.put_back({"policy": model})
    assert value(model) == 7


def test_a_better_selection_is_taken_over():
    selection, better = Selection(), Selected(1.0, "mle", 2, {})
    selection.take(None)
    assert selection.best is None
    selection.take(better)
    selection.take(Selected(2.0, "mle", 3, {}))
    selection.take(None)
    assert selection.best is better


def test_what_was_never_scored_cannot_be_put_back(model):
    with pytest.raises(ValueError, match="a step that was scored"):
        Selection().put_back({"model": model})


def test_a_sampler_is_made_of_itself_or_of_all_that_is_tracked(model):
    other = nn.Linear(1, 1)
    tracked = {"model": model, "optimizer": other}
    assert made_of(model, tracked) == {"model": model}
    assert made_of(object(), tracked) == tracked
