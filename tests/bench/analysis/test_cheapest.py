"""The cheapest model that the seeds do not separate from the best one."""

import pandas as pd
import pytest

from bench.analysis.cheapest import cheapest
from bench.analysis.results import Section
from bench.reports.markdown import render
from bench.reports.pages.costs import price

NOISE = (0.011, -0.012, 0.004, 0.009, -0.012, 0.001, -0.001, 0.013)


def made(models, metric="nll_test", n=8, direction="lower"):
    """Runs and scores: model to (mean, jitter that it does not share, seconds, role)."""
    runs, scores = [], []
    for model, (mean, jitter, seconds, role) in models.items():
        for seed in range(n):
            keys = {"task": "t", "preset": "quick", "model": model, "seed": seed, "run_id": f"{model}-{seed}"}
            runs.append({**keys, "role": role, "status": "ok"})
            rows = [(metric, mean + seed / 10 + jitter * NOISE[seed], "quality", direction, "nats/token")]
            rows += [("seconds", seconds, "cost", "lower", "s")] if seconds is not None else []
            scores += [
                {**keys, "checkpoint": "final", "kind": kind, "metric": name, "value": value, "absent": None,
                 "unit": unit, "direction": good, "signature": "v=1"}
                for name, value, kind, good, unit in rows
            ]  # fmt: skip
    return pd.DataFrame(scores), pd.DataFrame(runs)


MODELS = {
    "seqgan": (5.0, 1, 40.0, "contender"),
    "mle-tuned": (4.0, 0, 10.0, "control"),
    "ngram": (4.001, 1, 0.5, "control"),
    "mle": (4.0005, 1, 3.0, "contender"),
    "uniform": (9.0, 1, 0.1, "control"),
}


def test_a_cheaper_one_that_is_as_good_is_named_and_a_cheaper_one_that_is_worse_is_not():
    found = cheapest(*made(MODELS))
    assert (found.metric, found.best, found.model) == ("nll_test", "mle-tuned", "ngram")
    assert found.seconds == {"mle-tuned": 10.0, "ngram": 0.5}
    assert (found.alike, found.compared) == (2, 4)
    assert found.not_separable == ("mle", "ngram")
    assert {each.reference for each in found.verdicts} == {"ngram", "mle", "uniform", "seqgan"}
    assert found.verdict.family == 4
    assert found.verdict.difference.mean == pytest.approx(-0.001 - sum(NOISE) / 8)


def test_the_best_may_be_the_cheapest_of_those_that_are_alike():
    found = cheapest(*made({**MODELS, "mle-tuned": (4.0, 0, 0.2, "control")}))
    assert (found.best, found.model, found.verdict, found.alike) == ("mle-tuned", "mle-tuned", None, 2)


def test_it_may_be_better_than_all():
    found = cheapest(*made({**MODELS, "mle-tuned": (3.0, 0, 10.0, "control")}))
    assert (found.model, found.alike, found.compared) == ("mle-tuned", 0, 4)


def test_what_has_no_cost_or_may_not_win_is_left_out():
    scores, runs = made({**MODELS, "samples:theirs": (1.0, 1, None, "contender")})
    assert cheapest(scores, runs).best == "mle-tuned"
    runs.loc[(runs["model"] == "mle-tuned") & (runs["seed"] == 3), "status"] = "failed"
    scores = scores[~((scores["model"] == "mle-tuned") & (scores["seed"] == 3))]
    assert cheapest(scores, runs).best == "mle"


@pytest.mark.parametrize("n", [1, 4, 5])
def test_few_seeds(n):
    found = cheapest(*made(MODELS, n=n))
    assert found is None if n < 5 else found.model == "ngram"


def test_a_model_with_a_lucky_seed_alone_is_left_out():
    scores, runs = made({**MODELS, "lucky": (1.0, 1, 0.1, "contender")})
    few = scores["model"].eq("lucky") & scores["seed"].gt(1)
    planned = runs["model"].eq("lucky") & runs["seed"].gt(1)
    assert cheapest(scores[~few], runs[~planned]).best == "mle-tuned"


def test_what_no_seed_changes_just_differs():
    scores, runs = made({"ngram": (4.0, 0, 1.0, "control"), "bigram": (4.5, 0, 0.5, "control")})
    scores.loc[scores["metric"] == "nll_test", "value"] -= scores["seed"] / 10
    assert (cheapest(scores, runs).model, cheapest(scores, runs).alike) == ("ngram", 0)


def test_nothing_to_compare():
    assert cheapest(*made({"mle": MODELS["mle"]})) is None
    assert cheapest(*made(MODELS, metric="length_mean", direction="real")) is None


def said(models):
    scores, runs = made(models)
    return " ".join(render(price(Section("t, quick", pd.DataFrame(), runs, scores, []))).split())


def test_the_sentence():
    assert said(MODELS) == (
        "Best on average by nll_test: mle-tuned, 10 s of training. The seeds do not separate it from 2 of 4 others "
        "that may win; the cheapest of these is ngram, 0.5 s; the best minus it: -0.003 nats/token, 95 % interval "
        "-0.011 to +0.005, n = 8."
    )
    better = said({**MODELS, "mle-tuned": (3.0, 0, 10.0, "control")})
    assert better.endswith("mle-tuned, 10 s of training; the seeds separate it from each of the 4 others that may win.")
    cheap = said({**MODELS, "mle-tuned": (4.0, 0, 0.2, "control")})
    assert cheap.endswith("the seeds do not separate it from 2 of 4 others that may win, which all cost more.")
    assert said({"mle": MODELS["mle"]}) == ""
