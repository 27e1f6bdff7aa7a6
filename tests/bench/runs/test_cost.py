import pytest

from bench.errors import UsageError
from bench.plans.presets import parse_budget
from bench.runs.cost import Cost


@pytest.mark.parametrize(
    ("text", "budget"),
    [
        ("60s", {"seconds": 60}),
        ("1.5m", {"seconds": 90}),
        ("2h", {"seconds": 7200}),
        ("2M-tokens", {"tokens": 2e6}),
        ("500k-tokens", {"tokens": 5e5}),
        ("20000-updates", {"updates": 20_000}),
        (" 1k-updates ", {"updates": 1_000}),
    ],
)
def test_budgets(text, budget):
    assert parse_budget(text) == budget


@pytest.mark.parametrize("text", ["", "60", "s", "0s", "-5s", "5 s", "2M", "2Mtokens", "3-steps", "1e3s", "2X-tokens"])
def test_what_is_no_budget_is_refused(text):
    with pytest.raises(UsageError, match="expected a budget like 60s"):
        parse_budget(text)


def test_half_an_update_is_refused():
    with pytest.raises(UsageError, match=r"expected a whole number of updates, got '1\.5-updates'"):
        parse_budget("1.5-updates")
    assert parse_budget("1.5k-updates") == {"updates": 1_500}


def test_tokens_are_those_that_any_network_learnt_from():
    cost = Cost(seconds=2.0, amounts={"train_tokens": 30, "critic_tokens": 12, "rollouts": 99, "updates": 4})
    assert (cost.tokens, cost.updates) == (42, 4)
    assert [cost.used(name) for name in ("seconds", "tokens", "updates", "steps")] == [2.0, 42.0, 4.0, 0.0]


def test_what_was_not_counted_is_not_zero():
    cost = Cost(amounts={"rollouts": 9})
    assert (cost.tokens, cost.updates) == (None, None)
    assert cost.used("tokens") == 0


def test_a_shared_training_is_charged_with_all_it_took():
    shared = Cost(3.0, 0.0, 5, {"train_tokens": 10, "updates": 2}, {"train_tokens": 1.0, "updates": 1.0}, 100)
    cost = Cost(1.0, 0.0, 1, {"updates": 1}, {"updates": 0.5}, 50)
    cost.add_shared(shared)
    assert cost == Cost(4.0, 3.0, 6, {"updates": 3, "train_tokens": 10}, {"updates": 1.5, "train_tokens": 1.0}, 100)
