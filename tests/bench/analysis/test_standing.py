"""Which scores may not win, and what is said of them."""

import math

import pandas as pd
import pytest

from bench.analysis.standing import standing

METRICS = {"nll_test": "lower", "bleu4": "higher"}


def frames(endings, densities=None, absent=(), task="sotu"):
    """Runs that ended as ``endings`` says, model -> seed -> status, and scores of those that are ok."""
    runs, scores = [], []
    for model, statuses in endings.items():
        for seed, status in statuses.items():
            keys = {"task": task, "preset": "quick", "model": model, "seed": seed, "run_id": f"{task}-{model}-{seed}"}
            runs.append({**keys, "role": "contender", "status": status})
            if densities is not None:
                runs[-1]["density"] = densities.get(model) if status == "ok" else None
            for metric, direction in METRICS.items() if status == "ok" else ():
                lost = (model, seed, metric) in absent
                scores.append(
                    {
                        **keys,
                        "checkpoint": "final",
                        "kind": "quality",
                        "metric": metric,
                        "value": math.nan if lost else 1.0 + seed,
                        "absent": "it is nan" if lost else None,
                        "unit": "",
                        "direction": direction,
                        "signature": "v=1",
                    }
                )
    return pd.DataFrame(runs), pd.DataFrame(scores)


def cell(model, metric="nll_test", checkpoint="final"):
    return "sotu", "quick", model, checkpoint, metric


OK = dict.fromkeys(range(4), "ok")


def test_complete_rows_may_win():
    found = standing(*frames({"mle": OK, "seqgan": OK}, {"mle": "exact", "seqgan": "exact"}))
    assert found.barred == found.lost == {}
    assert found.why_not(cell("mle")) == found.losses(cell("mle")) == ""


@pytest.mark.parametrize(
    ("status", "words"),
    [("failed", "failed"), ("interrupted", "interrupted"), ("started", "never ended"), (None, "not run"),
     ("skipped", "skipped in this seed only")],
)  # fmt: skip
def test_a_lost_seed_bars_every_metric(status, words):
    endings = {seed: status for seed in OK if status or seed < 3} | {0: "ok", 1: "ok", 2: "ok"}
    found = standing(*frames({"mle": OK, "seqgan": endings}))
    assert found.why_not(cell("seqgan")) == found.losses(cell("seqgan", "bleu4"))
    assert found.why_not(cell("seqgan")) == f"it lost 1 of 4 seeds (seed 3 {words})"
    assert found.why_not(cell("mle")) == ""
    assert {barred[-1] for barred in found.barred} == {"nll_test", "bleu4"}


def test_real_data_is_part_of_the_plan_and_no_contestant():
    found = standing(*frames({"real data": OK, "seqgan": {0: "ok", 1: "failed", 3: "ok"}}, {"real data": "none"}))
    assert found.why_not(cell("seqgan")).startswith("it lost 2 of 4 seeds (seed 1 failed; seed 2 not run)")
    assert found.why_not(cell("real data")) == ""


def test_a_model_that_cannot_do_a_task_has_lost_nothing():
    found = standing(*frames({"mle": OK, "pg-bleu": dict.fromkeys(OK, "skipped")}))
    assert found.barred == {}


def test_a_value_that_lacks_in_some_seeds_bars_that_metric_alone():
    found = standing(*frames({"mle": OK, "seqgan": OK}, absent={("seqgan", 2, "bleu4"), ("mle", 0, "nll_test")}))
    assert found.why_not(cell("seqgan", "bleu4")) == "it lost 1 of 4 seeds (seed 2 without a value)"
    assert found.why_not(cell("seqgan", "nll_test")) == ""
    assert list(found.barred) == [cell("mle"), cell("seqgan", "bleu4")]


def test_a_metric_that_a_model_never_has_is_no_loss():
    found = standing(*frames({"mle": OK, "repeat": OK}, absent={("repeat", seed, "nll_test") for seed in OK}))
    assert found.barred == {}


def test_seeds_that_people_were_not_asked_about_are_not_lost():
    runs, scores = frames({"mle": OK, "seqgan": OK})
    scores = scores.replace({"metric": {"bleu4": "human"}})
    asked = scores[(scores["metric"] != "human") | scores["seed"].isin([1, 2])]
    assert standing(runs, asked).barred == {}
    chosen = asked[(asked["metric"] != "human") | (asked["model"] != "seqgan") | (asked["seed"] == 2)]
    found = standing(runs, chosen)
    assert found.why_not(cell("seqgan", "human")) == "it lost 1 of 2 seeds (seed 1 without a value)"
    assert set(found.barred) == {cell("seqgan", "human")}


def test_another_task_has_another_plan():
    runs, scores = map(pd.concat, zip(frames({"mle": OK}), frames({"mle": {0: "ok"}}, task="toy"), strict=True))
    assert standing(runs, scores).barred == {}


@pytest.mark.parametrize(
    ("kind", "words"), [("bound", "a bound"), ("estimated", "an estimate"), ("none", "no density")]
)
def test_only_an_exact_density_wins_where_it_is_read(kind, words):
    found = standing(*frames({"mle": OK, "flow": OK}, {"mle": "exact", "flow": kind}))
    assert words in found.why_not(cell("flow"))
    assert found.why_not(cell("flow", "bleu4")) == found.losses(cell("flow")) == ""
    assert found.why_not(cell("mle")) == ""


def test_a_checkpoint_may_have_another_density_than_the_last_step():
    runs, scores = frames({"mle": OK, "ebm": OK}, {"mle": "exact", "ebm": "estimated"})
    runs["densities"] = [{"pretrained": "exact"} if model == "ebm" else {} for model in runs["model"]]
    begun = scores[scores["model"] == "ebm"].assign(checkpoint="pretrained")
    found = standing(runs, pd.concat([scores, begun]))
    assert "an estimate" in found.why_not(cell("ebm"))
    assert found.why_not(cell("ebm", checkpoint="pretrained")) == ""
    assert cell("ebm") in found.inexact
    assert cell("ebm", checkpoint="pretrained") not in found.inexact


def test_the_weakest_density_of_any_seed_counts():
    runs, scores = frames({"flow": OK}, {"flow": "exact"})
    runs.loc[2, "density"] = "estimated"
    assert "an estimate" in standing(runs, scores).why_not(cell("flow"))


def test_all_reasons_are_said():
    found = standing(*frames({"mle": OK, "flow": {0: "ok"}}, {"mle": "exact", "flow": "bound"}))
    assert found.why_not(cell("flow")) == (
        "it lost 3 of 4 seeds (seeds 1, 2, 3 not run); its density is a bound, not exact"
    )
