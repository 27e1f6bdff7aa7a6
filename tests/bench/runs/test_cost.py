"""What training cost: what is counted, and what is not."""

from bench.runs.cost import Cost


def test_tokens_are_those_that_any_network_read_or_drew():
    amounts = {"train_tokens": 20, "critic_tokens": 12, "rollout_tokens": 10, "rollouts": 99, "updates": 4}
    cost = Cost(seconds=2.0, amounts=amounts)
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
