"""The best step, and how it is restored."""

import math

import pytest
from torch import nn

from bench.runs.selection import Looks, Selected, Selection, made_of


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


# Looks: the same number for every model.


def looked_at(looks, steps, scores=None):
    """The steps of a training that count as looks, its steps taking equal shares."""
    scores = scores or range(1, steps + 1)
    return [
        step
        for step, score in zip(range(1, steps + 1), scores, strict=True)
        if looks.due(step / steps) and looks.look(score, step / steps)
    ]


@pytest.mark.parametrize("bend", [1.0, 2.0])
@pytest.mark.parametrize("steps", [20, 21, 29, 57, 400, 12_345])
def test_every_training_is_looked_at_equally_often_and_at_its_last_step(steps, bend):
    found = looked_at(Looks(20, bend), steps)
    assert len(found) == 20
    assert found[-1] == steps


def test_looks_are_where_they_should_be():
    assert looked_at(Looks(4), 8) == [2, 4, 6, 8]
    assert looked_at(Looks(10, 2.0), 100) == [1, 4, 9, 16, 25, 36, 49, 64, 81, 100]
    assert looked_at(Looks(5), 3) == [1, 2, 3]  # fewer steps than looks: at every one


def test_a_long_step_delays_looks_and_costs_none():
    looks, shares = Looks(10, 2.0), [0.3, *(0.3 + 0.01 * step for step in range(1, 71))]
    found = [share for step, share in enumerate(shares) if looks.due(share) and looks.look(step, share)]
    assert len(found) == 10
    assert (found[0], found[-1]) == (0.3, pytest.approx(1.0))


def test_a_model_that_did_not_change_is_not_looked_at_again():
    scores = [5.0] * 10 + [4.0 - step / 100 for step in range(30)]
    found = looked_at(Looks(8), 40, scores)
    assert len(found) == 8
    assert [step for step in found if step <= 10] == [5]


def test_a_phase_before_the_main_one_leaves_it_half_of_the_looks():
    looks = Looks(8)
    looks.begin(0.5)
    assert len(looked_at(looks, 16)) == 4
    looks.begin(1.0)
    assert looked_at(looks, 8, range(100, 108)) == [2, 4, 6, 8]
    assert looks.taken == 8
    looks.begin(1.0)
    assert looked_at(looks, 8) == []


def test_looks_go_on_where_they_stopped():
    whole, first = Looks(7, 2.0), Looks(7, 2.0)
    expected = looked_at(whole, 50)
    found = []
    for step in range(1, 51):
        if step == 20:
            first, state = Looks(7, 2.0), first.state()
            first.restore(state)
        if first.due(step / 50) and first.look(step, step / 50):
            found.append(step)
    assert found == expected


@pytest.mark.parametrize("score", [3.0, math.nan])
def test_a_step_that_is_no_look_cannot_be_selected(model, score):
    selection = Selection(Looks(2))
    for step, each in enumerate((1.0, score, 0.5, 4.0), 1):
        put(model, step)
        selection.offer(each, "mle", step, {"model": model}, step / 4)
    if math.isnan(score):  # nothing to be seen there: the look is taken at the next step
        assert (selection.best.step, selection.looks.taken) == (3, 2)
    else:
        assert (selection.best.step, selection.looks.taken) == (2, 2)


def test_who_continues_from_a_training_has_half_of_the_looks_at_it_and_the_others_afterwards(model):
    alone, after = Selection.among(4, budget=False), Selection.among(4, budget=False)
    alone.begin(main=True)
    for step, score in enumerate((5.0, 4.0, 2.0, 3.0), 1):
        put(model, step)
        alone.offer(score, "mle", step, {"model": model}, step / 4)
    assert (alone.best.step, alone.looks.taken) == (3, 4)
    saved = Selection.among(4, budget=False)
    saved.restore(alone.state())
    after.inherit(saved)
    assert (after.best.step, after.looks.taken) == (4, 2)  # of steps 2 and 4; step 3 is for the model alone
    after.begin(main=True)
    for step in range(1, 11):
        put(model, 10 + step)
        after.offer(2.5 + step / 100, "adversarial", step, {"model": model}, step / 10)
    assert (after.best.phase, after.best.step, after.looks.taken) == ("adversarial", 5, 4)


def test_under_a_budget_looks_go_on_after_a_pretraining(model):
    shared, after = Selection.among(6, budget=True), Selection.among(6, budget=True)
    shares = [step / 60 for step in range(1, 61)]
    for step, share in enumerate(shares[:20], 1):
        shared.offer(9 - step / 100, "mle", step, {"model": model}, share)
    after.inherit(shared)
    taken = after.looks.taken
    assert 0 < taken == shared.looks.taken < 6
    for step, share in enumerate(shares[20:], 1):
        after.offer(5 - step / 100, "longer", step, {"model": model}, share)
    assert after.looks.taken == 6
    assert (after.best.phase, after.best.step) == ("longer", 40)


def test_a_state_of_an_earlier_version_is_restored():
    selection = Selection.among(4, budget=False)
    selection.restore({"selected": {"score": 1.0, "phase": "mle", "step": 2, "state": {}}})
    assert (selection.best.step, selection.looks.taken) == (2, 0)
