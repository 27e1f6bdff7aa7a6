"""The study of estimators on a known reward: its optimum is one, and nothing passes it."""

from __future__ import annotations

import csv
import itertools
import math
import runpy
from pathlib import Path

import pytest
import torch

from bench.api import SequenceSpec
from seqgan.lm import LSTMLanguageModel

SCRIPT = runpy.run_path(str(Path(__file__).with_name("known_reward.py")))
ARMS, EXACT, Problem, Size = (SCRIPT[name] for name in ("ARMS", "EXACT", "Problem", "Size"))
climb, every_log_prob, measured, problem, study, table, train, write = (
    SCRIPT[name] for name in ("climb", "every_log_prob", "measured", "problem", "study", "table", "train", "write")
)
TINY = Size(vocab=4, length=3, beta=0.5, tokens=60_000, seeds=1, exact_steps=150)


@pytest.fixture(scope="module")
def given():
    return problem(0, TINY)


@pytest.fixture(scope="module")
def rows():
    return study(TINY, settings=[(0.01, 32)])


def test_all_sequences_are_listed_in_order_with_their_log_probabilities(given):
    sequences = torch.tensor(list(itertools.product(range(4), repeat=3)))
    found = every_log_prob(given.start)
    torch.testing.assert_close(found.detach().float(), given.start.log_prob(sequences), atol=1e-5, rtol=0)
    assert float(found.detach().exp().sum()) == pytest.approx(1, abs=1e-6)
    torch.testing.assert_close(given.rewards.float(), given.reward(sequences))
    model = LSTMLanguageModel(SequenceSpec(3, 2, bos=3), torch.Generator().manual_seed(0), 5, 6, 1.0)
    by_enumeration = torch.autograd.grad(every_log_prob(model)[5], model.output.weight)[0]
    loss, _ = model.weighted_nll(torch.tensor([[1, 2]]), torch.ones(1, 2))
    torch.testing.assert_close(by_enumeration, -torch.autograd.grad(loss, model.output.weight)[0])


def test_the_value_falls_short_of_the_optimum_by_the_divergence_from_it(given):
    """For any policy, E R - beta KL(G || G0) = beta log Z - beta KL(G || G*)."""
    best = given.optimum_log_prob
    assert float(given.value(best)) == pytest.approx(given.optimum)
    found = measured(given, given.start)
    assert found["value"] == pytest.approx(given.optimum - given.beta * found["kl_optimum"])
    assert found["share"] == found["kl_start"] == 0
    plain = sum(math.exp(float(p) + float(r) / 0.5) for p, r in zip(given.start_log_prob, given.rewards, strict=True))
    assert given.optimum == pytest.approx(0.5 * math.log(plain), rel=1e-5)
    other = torch.randn(64, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).log_softmax(0)
    kl = float((other.exp() * (other - best)).sum())
    assert float(given.value(other)) == pytest.approx(given.optimum - given.beta * kl)


def test_what_an_estimator_is_rewarded_with_is_the_value(given):
    """The mean of R - beta (log G - log G0) over all sequences of the start is the value of the start."""
    law = given.start_log_prob.exp()
    assert float((law * given.rewards).sum()) == pytest.approx(measured(given, given.start)["value"])


def test_no_estimator_passes_the_optimum_and_rloo_reaches_it(rows):
    ends = {row["estimator"]: row for row in rows}  # the last of each
    assert ends.keys() == {*ARMS, EXACT}
    for row in rows:
        assert row["value"] <= row["optimum"] + 1e-5
        assert row["value"] == pytest.approx(row["optimum"] - TINY.beta * row["kl_optimum"], abs=1e-4)
    assert ends[EXACT]["share"] > 0.98
    assert ends["rloo"]["share"] > 0.95
    assert ends["rloo"]["kl_optimum"] < 0.05
    assert all(row["share"] > 0.3 for row in ends.values())


def test_costs_are_equal_and_what_each_step_costs_is_what_it_says(rows):
    for name in ARMS:
        run = [row for row in rows if row["estimator"] == name]
        assert [row["tokens"] for row in run] == sorted(row["tokens"] for row in run)
        step = run[-1]["tokens"] / run[-1]["steps"]
        assert TINY.tokens <= run[-1]["tokens"] < TINY.tokens + step
        assert run[-1]["sequences"] == 32 * run[-1]["steps"]
        drawn, sequences = 32 * 3, 32 * 3
        expected = {
            "reinforce": drawn + 4 * sequences,  # drawn; read by the reward, by both policies and to learn
            "rloo": drawn + 4 * sequences,
            "grpo": drawn + 3 * sequences + 8 * sequences,  # four steps, each of which reads the batch twice
            "grpo-in-loss": drawn + 2 * sequences + 8 * sequences,
        }
        if name.startswith("rollouts"):
            number = 16 if "16" in name else 4
            finished = sequences * (1 + 2 * number)  # two proper prefixes, and the sequence itself
            expected[name] = drawn + 32 * number * (1 + 2) + 3 * finished + sequences
        assert step == expected[name]


def test_the_files_are_written(rows, tmp_path):
    write(rows, TINY, tmp_path)
    with (tmp_path / "known-reward.csv").open(encoding="utf-8") as file:
        found = list(csv.DictReader(file))
    assert len(found) == len(rows)
    assert float(found[-1]["optimum"]) == pytest.approx(rows[-1]["optimum"], rel=1e-4)
    text = (tmp_path / "known-reward.md").read_text(encoding="utf-8")
    assert text == table(rows)
    assert [line.split(" | ")[0] for line in text.splitlines()[2:]] == [f"| {name}" for name in (*ARMS, EXACT)]
    assert (tmp_path / "known-reward.png").read_bytes().startswith(b"\x89PNG")


def test_the_same_problem_gives_the_same_run(given):
    runs = [train("rloo", problem(0, TINY), 0, 0.01, 32, Size(vocab=4, length=3, tokens=3_000)) for _ in range(2)]
    assert runs[0] == runs[1]
    assert climb(given, 0, 0.01, Size(exact_steps=3))[0]["value"] > runs[0][0]["value"]
