"""What is said of a plan before it begins: how long it takes on this machine."""

import io
from dataclasses import replace

import pytest
from rich.console import Console

from bench.commands import planned
from bench.commands.planned import say_cost
from bench.plans import registry
from bench.plans.costs import Costs
from bench.plans.plan import Request, make_plan
from bench.records.frames import REAL_DATA


@pytest.fixture(scope="module")
def plan():
    return make_plan(Request(("mle", "seqgan"), ("oracle",), ("copy",), 5, "quick"))


def costs(ratio=1.0, own=None, **seconds):
    known = {("quick", "oracle", name.replace("_", "-")): value for name, value in seconds.items()}
    return Costs(own or {}, known | {("quick", "oracle", REAL_DATA): 1.0}, ratio)


def said(plan, missing, workers, known):
    console = Console(file=io.StringIO(), width=300)
    say_cost(console, plan, missing, workers, known)
    return console.file.getvalue().strip()


@pytest.fixture(autouse=True)
def four_processors(monkeypatch):
    monkeypatch.setattr(planned, "processors", lambda: 4)


def test_a_model_that_cannot_be_loaded_is_told_before_others_are_trained(write_plugin):
    write_plugin("own_broken", "func = print")
    console = Console(file=io.StringIO(), width=300)
    planned.announce(console, make_plan(Request(("mle", "own_broken:func"), ("toy",), ("copy",), 2, "smoke")), ["toy"])
    assert console.file.getvalue() == (
        "warning: model 'own_broken:func' (own_broken:func) breaks the contract: expected a frozen dataclass: its rows "
        "will fail.\n"
    )


def test_the_time_is_shared_by_the_workers(plan):
    known = costs(mle=9.0, seqgan=50.0)
    assert said(plan, plan, 0, known) == "They take about 5 min."
    assert said(plan, plan, 2, known) == "They take about 2 min 35 s on 2 workers."
    assert said(plan, [], 2, known) == ""


def test_no_more_at_once_than_processors_and_never_less_than_the_longest_run(plan):
    known = costs(mle=9.0, seqgan=50.0)
    assert said(plan, plan, 15, known) == "They take about 1 min 20 s on 15 workers."
    assert said(plan, plan[:3], 8, known) == "They take about 55 s on 3 workers."


def test_another_machine_takes_another_time(plan):
    assert said(plan, plan, 2, costs(ratio=2.0, mle=9.0, seqgan=50.0)) == "They take about 5 min 5 s on 2 workers."


def test_what_was_timed_in_the_folder_comes_first(plan):
    own = {("quick", "oracle", "seqgan", "cpu"): 4.0}
    assert said(plan, plan, 0, costs(own=own, mle=9.0, seqgan=500.0)) == "They take about 1 min 10 s."


def test_what_was_never_timed_is_said(plan):
    assert said(plan, plan, 2, costs(mle=9.0)) == (
        "They take about 30 s on 2 workers, without 5 runs of a kind that was never timed."
    )
    odd = [replace(spec, preset="medium") for spec in plan]
    assert said(odd, odd, 2, costs(mle=9.0)) == (
        "How long they take is not known: most of them are of a kind that was never timed."
    )


def test_settings_budgets_and_devices_are_something_else(plan):
    known, spec = costs(mle=9.0), plan[1]
    assert known.of(spec) == 9.0
    for changed in ({"overrides": {"epochs": 3}}, {"budget": {"updates": 7}}, {"device": "cuda"}):
        assert known.of(replace(spec, **changed)) is None
    assert costs(own={("quick", "oracle", "mle[epochs=3]", "cpu"): 2.0}).of(replace(spec, overrides={"epochs": 3})) == 2


def test_the_sets_of_models_are_compared(plan):
    models = dict.fromkeys(registry.available("model"), 12.0)
    everything = 5 * (1 + 12 * len(models)) / 60
    whole = said(plan, plan, 0, Costs({}, {("quick", "oracle", name): value for name, value in models.items()} | {
        ("quick", "oracle", REAL_DATA): 1.0}, 1.0))  # fmt: skip
    assert "With --models core " in whole
    assert whole.endswith(f"everything {everything:.0f} min.")
    assert "With --models" not in said(plan, plan, 0, costs(mle=9.0, seqgan=50.0))


def test_the_shipped_table_knows_the_readmes_command():
    readme = make_plan(Request(models=("all",), metrics=("copy",), seeds=1))
    seconds, unknown = Costs.here({}).total(readme)
    assert unknown == 0
    assert 5 < seconds < 3_600
