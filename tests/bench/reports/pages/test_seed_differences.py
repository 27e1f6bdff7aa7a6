"""Scores over seeds, and the verdicts on them."""

from __future__ import annotations

import csv
import io
import json
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from rich.console import Console

from bench.analysis.stats import mean_interval
from bench.analysis.verdicts import Pair, judge
from bench.metrics.base import Estimate
from bench.metrics.signature import Signature
from bench.metrics.text.report import Report, Row, SeedRows
from bench.reports.pages.scores import as_csv, as_json, page
from bench.reports.pages.seed_differences import models, over_seeds, short
from bench.reports.terminal import render

METRICS = {"bleu2": ("", "higher"), "length_distance": ("words", "lower"), "self_bleu2": ("", "real"),
           "copy_6gram": ("", "lower")}  # fmt: skip
REAL = {"bleu2": 0.6, "length_distance": 0.1, "self_bleu2": 0.5, "copy_6gram": 0.5}


def row(name, values, real=False, n=200):
    scores = tuple(
        Estimate(metric, values[metric], unit, direction, Signature.of(n=n, v=1), None if values[metric] is not None
                 else "it is not defined")
        for metric, (unit, direction) in METRICS.items()
    )  # fmt: skip
    return Row(name, real, n, scores)


def report(*shifts, seeds=6, noise=0.01, **changes):
    """Models whose scores in each seed are a common value, some noise, and the model's own shift."""
    rng = np.random.default_rng(0)
    rows, groups = [], []
    for place, shift in enumerate(shifts):
        name, places = "abc"[place], {}
        for seed in range(seeds):
            values = {metric: 0.3 + shift.get(metric, 0.0) + noise * rng.normal() for metric in METRICS}
            places[seed] = len(rows)
            rows.append(row(f"runs/{name}-{seed}.txt", values | changes.get(f"{name}{seed}", {})))
        groups.append(SeedRows(f"runs/{name}-{{seed}}.txt", places))
    return Report((*rows, row("real text", REAL, True)), ("A note.",), over_seeds=tuple(groups))


def values(made, group, metric):
    rows = [made.rows[place] for place in made.over_seeds[group].rows.values()]
    return [next(score.value for score in each.scores if score.metric == metric) for each in rows]


def shown(made, width=100):
    console = Console(width=width, file=io.StringIO(), color_system=None)
    console.print(render(page(made, width), padding=1))
    return " ".join(console.file.getvalue().split())


def test_means_have_students_interval():
    made = report({}, {"bleu2": 0.1})
    one, other = models(made)
    assert (one.name, other.name) == ("runs/a-{seed}.txt", "runs/b-{seed}.txt")
    for place, model in enumerate((one, other)):
        for score in model.row.scores:
            expected = mean_interval(values(made, place, score.metric))
            assert (score.value, score.low, score.high) == (expected.mean, expected.low, expected.high)
            assert score.interval == "seeds"
    assert models(report({}, seeds=1))[0].row.scores[0].low is None


def test_differences_are_judged_as_bench_run_judges_them():
    made = report({}, {"bleu2": 0.1, "length_distance": 0.1}, {"self_bleu2": 0.1})
    found = {(each.name, each.metric): each for each in over_seeds(made)}
    assert len(found) == 8
    gains = []
    for place, name in ((1, "b"), (2, "c")):
        a, b = values(made, 0, "bleu2"), values(made, place, "bleu2")
        labels = f"{name}-{{seed}}.txt", "a-{seed}.txt"
        gains.append(Pair.of(*labels, dict(enumerate(b)), dict(enumerate(a)), 0.001))
    expected = judge(gains, "higher")
    for name, verdict in zip("bc", expected, strict=True):
        each = found[f"runs/{name}-{{seed}}.txt", "bleu2"]
        assert each.verdict == verdict
        assert each.words == verdict.words("bleu2", "")
        assert each.values[0] == pytest.approx(verdict.difference.mean)
    assert found["runs/b-{seed}.txt", "bleu2"].outcome.startswith("better")
    assert found["runs/b-{seed}.txt", "length_distance"].outcome.startswith("worse")
    assert found["runs/c-{seed}.txt", "length_distance"].outcome == "not separable"


def at(made, values):
    """A report in which all scores of a row, given by its place, have one value."""
    rows = (
        replace(row, scores=tuple(replace(score, value=values[place]) for score in row.scores))
        for place, row in enumerate(made.rows)
    )
    return replace(made, rows=tuple(rows))


def test_rounding_is_no_difference_and_one_text_is_one_observation():
    made = report({}, {"bleu2": 1e-9})
    same = at(made, dict.fromkeys(range(len(made.rows)), 0.5))
    assert {each.outcome for each in over_seeds(same) if each.verdict is not None} == {"identical"}
    two = report({}, {"bleu2": 0.1})
    of_b = set(two.over_seeds[1].rows.values())
    fixed = at(two, {place: 0.7 if place in of_b else 0.5 for place in range(len(two.rows))})
    outcomes = {each.outcome for each in over_seeds(fixed) if each.verdict is not None}
    assert outcomes <= {"one observation", "identical"}
    assert "one observation" in outcomes


def test_what_is_to_be_like_real_text_is_judged_by_its_distance():
    made = report({"self_bleu2": 0.1}, {"self_bleu2": 0.3})  # 0.4 and 0.6: each 0.1 from real text
    found = {each.metric: each for each in over_seeds(made)}["self_bleu2"]
    assert found.outcome == "not separable"
    assert found.values[1] > 0.15  # though the scores differ
    assert "in self_bleu2's distance from real text" in found.words
    found = {each.metric: each for each in over_seeds(report({}, {"self_bleu2": 0.15}))}["self_bleu2"]
    assert found.outcome.startswith("better")


def test_copying_little_is_no_merit():
    found = {each.metric: each for each in over_seeds(report({}, {"copy_6gram": -0.2}))}["copy_6gram"]
    assert (found.verdict, found.outcome, found.why) == (None, "not tested", "copying little is no merit")
    assert found.values[0] < -0.1


def test_a_model_that_copies_is_not_better(monkeypatch):
    def copiers(frame):
        copied = frame[(frame["model"] != "real data") & (frame["value"] > 0.85)]
        return {("", "", name, "final"): "copies training text: copy_6gram" for name in copied["model"]}

    monkeypatch.setitem(sys.modules, "bench.analysis.copying", SimpleNamespace(copiers=copiers))
    made = report({}, {"bleu2": 0.1, "length_distance": 0.1}, b3={"copy_6gram": 0.9})
    found = {each.metric: each for each in over_seeds(made)}
    assert found["bleu2"].outcome == "no verdict"
    assert found["bleu2"].words == (
        "No verdict on b-{seed}.txt and a-{seed}.txt in bleu2: b-{seed}.txt copies training text: copy_6gram (seed 3)."
    )
    assert found["length_distance"].outcome.startswith("worse")


def test_a_seed_without_a_score_or_with_another_signature_is_a_reason_not_to_judge():
    made = report({}, {"bleu2": 0.1}, b2={"bleu2": None})
    found = {each.metric: each for each in over_seeds(made)}
    assert (found["bleu2"].verdict, found["bleu2"].why) == (None, "seed 2 has none: it is not defined")
    assert found["length_distance"].verdict is not None
    assert models(made)[1].row.scores[0].value is None
    last = made.over_seeds[1].rows[5]
    scores = tuple(replace(score, signature=Signature.of(n=7, v=1)) for score in made.rows[last].scores)
    other = replace(made, rows=(*made.rows[:last], replace(made.rows[last], scores=scores), *made.rows[last + 1 :]))
    whys = {each.why for each in over_seeds(other) if each.metric != "bleu2"}
    assert whys == {"seeds 0 and 5 are scored in different ways, n=200|v=1 and n=7|v=1"}


def test_the_page_has_means_and_sentences():
    made = report({}, {"bleu2": 0.1})
    text = shown(made)
    assert "a-{seed}.txt b-{seed}.txt real text" in text
    assert "a-0.txt" not in text
    assert f"bleu2 ↑ {np.mean(values(made, 0, 'bleu2')):.3f} ± " in text
    assert "Over seeds: b-{seed}.txt is better than a-{seed}.txt in bleu2" in text
    assert "b-{seed}.txt and a-{seed}.txt are not tested in copy_6gram: copying little is no merit." in text
    assert "Values are means over seeds" in text
    assert "Over seeds:" not in shown(report({}))


def test_json_and_csv_have_every_seed_the_means_and_the_verdicts():
    made = report({}, {"bleu2": 0.1})
    found = json.loads(as_json(made))
    assert [row["name"] for row in found["rows"]][:2] == ["runs/a-0.txt", "runs/a-1.txt"]
    assert [model["name"] for model in found["models"]] == ["runs/a-{seed}.txt", "runs/b-{seed}.txt"]
    assert found["models"][1]["seeds"]["3"] == "runs/b-3.txt"
    assert found["models"][0]["scores"][0]["value"] == pytest.approx(np.mean(values(made, 0, "bleu2")))
    (bleu,) = (each for each in found["differences"] if each["metric"] == "bleu2")
    assert bleu["verdict"].startswith("b-{seed}.txt is better than a-{seed}.txt in bleu2")
    assert bleu["corrected_p"] < 0.05
    rows = list(csv.DictReader(io.StringIO(as_csv(made))))
    assert len(rows) == (12 + 1 + 2) * 4
    assert [row["seed"] for row in rows if row["metric"] == "bleu2"] == [*"012345", *"012345", "", "", ""]
    compared = [row for row in rows if row["baseline"]]
    assert [row["metric"] for row in compared] == list(METRICS)
    assert float(compared[0]["difference"]) == pytest.approx(bleu["difference"])
    assert compared[0]["verdict"] == bleu["verdict"]


def test_a_folder_is_left_out_of_a_name_unless_it_has_the_seed():
    assert short("runs/x/a-{seed}.txt") == "a-{seed}.txt"
    assert short("runs/{seed}/a.txt") == "runs/{seed}/a.txt"
