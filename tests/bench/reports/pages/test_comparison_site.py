"""``comparison.html``: its data are the verdicts and what is behind them, and nothing in it is obeyed."""

import json
import re
from dataclasses import replace
from statistics import fmean

import pytest

from bench.analysis.catalogue import MEANINGS as GOOD
from bench.analysis.compare import SAME, VERDICTS, compare
from bench.analysis.opponents import opposed
from bench.reports.pages import comparison_site
from bench.reports.pages.comparison_data import Side, data, differences

NASTY = "<script>document.title = 'hacked'</script>"


@pytest.fixture(scope="module")
def found(sides, compared):
    return data(compared, *sides)


def cell_of(found, model, metric, checkpoint="final"):
    (cell,) = [
        each
        for each in found["cells"]
        if (each["model"], each["metric"], each["checkpoint"]) == (model, metric, checkpoint)
    ]
    return cell


def test_every_cell_has_the_verdict_and_the_words_of_the_comparison(compared, found):
    assert [
        (
            each["task"],
            each["model"],
            each["checkpoint"],
            each["metric"],
            each["verdict"],
            found["texts"][each["words"]],
        )
        for each in found["cells"]
    ] == [(f"{cell.key.task}, {cell.key.preset}", *cell.key[2:], cell.verdict, cell.words) for cell in compared.cells]
    assert {each["verdict"] for each in found["cells"]} == {*VERDICTS} - {"not comparable"}
    assert all((each["kind"] == SAME) == (found["texts"][each["words"]] == SAME) for each in found["cells"])


def test_what_is_drawn_is_what_the_words_say(found):
    worse, better = cell_of(found, "seqgan", "nll_test"), cell_of(found, "seqgan", "bleu2")
    assert (worse["verdict"], better["verdict"]) == ("worse", "better")
    for cell, moved in ((worse, 0.50005), (better, 0.10005)):
        mean, low, high = cell["difference"]
        assert mean == pytest.approx(moved, rel=1e-5)
        assert low < mean < high
        assert f"{mean:+.3g}" in found["texts"][cell["words"]]
        assert cell["means"][1] - cell["means"][0] == pytest.approx(moved, rel=1e-4)
        old, new = cell["values"]
        assert cell["seeds"] == [0, 1]
        assert fmean(b - a for a, b in zip(old, new, strict=True)) == pytest.approx(moved, rel=1e-4)
        assert (cell["n"], cell["test"]) == (2, "paired t")
        assert 0 < cell["p"] <= 0.05
    assert cell_of(found, "seqgan", "nll_test")["meaning"] == GOOD["lower"]
    assert cell_of(found, "seqgan", "self_bleu4")["distance"] is True


def test_signatures_runs_and_commands_of_both_sides_are_there(found, sides):
    signed = cell_of(found, "seqgan", "bleu5")
    (old,), (new,) = ([found["texts"][number] for number in side] for side in signed["signatures"])
    assert new == f"{old}|v=next"
    (model,) = [each for each in found["models"] if each["model"] == "seqgan"]
    assert [[run["seed"] for run in side["runs"]] for side in model["sides"]] == [[0, 1], [0, 1]]
    assert all(side["command"].endswith("--device cpu --seeds 0,1") for side in model["sides"])
    (random,) = [each for each in found["models"] if each["model"] == "random"]
    assert random["sides"][1]["runs"][1]["status"] == f"failed: ValueError: {NASTY}"
    (gone,) = [each for each in found["models"] if each["model"] == "uniform"]
    assert (gone["known"], gone["sides"][1]) == (False, {"command": "", "runs": []})


def test_what_differs_is_what_was_changed_and_nothing_else(found):
    listed = {each["model"]: each["differences"] for each in found["models"]}
    assert listed["seqgan"] == [["field lr", "0.01", "0.5"]]
    assert listed["mle"] == [["commit", "285e706e3b74", "f" * 12]]
    assert listed["real data"] == listed[NASTY] == []


def test_other_seeds_are_no_difference(sides):
    records = [each for each in sides[0].records if each.spec.model == "mle"]
    assert differences(records, records[:1]) == []
    other = replace(records[0], data_sha256="0" * 64)
    assert [(each.name, each.head) for each in differences(records, [other])] == [("data (SHA-256)", ("0" * 12,))]


def test_the_same_results_give_the_same_page(sides, compared):
    assert comparison_site.page(compared, *sides) == comparison_site.page(compared, *sides)


def test_the_answers_count_and_explain(sides, compared):
    page = comparison_site.page(compared, *sides)
    counts = compared.counts
    for words in (
        f"{counts['worse']} worse: seqgan", f"{counts['missing']} missing: uniform",
        "Called worse: 1; called better: 1.",
        f"commit: 285e706e3b74 → 285e706e3b74, {'f' * 12}", "Fields of generators differ: a cell says which.",
        f"{counts['new']} new: only head has it.", compared.summary.partition(": ")[2],
    ):  # fmt: skip
        assert words in page, words


def test_nothing_changed_is_said_so(sides):
    base, _ = sides
    same = compare(base.scores, base.scores)
    page = comparison_site.page(same, base, replace(base, name="again"))
    assert f"Nothing: all {len(same.cells)} cells are the same, except for rounding." in page
    assert "Versions, commit, machine and fields are the same on both sides." in page
    assert '<strong class="better">green</strong>' in page


def test_accepted_results_have_scores_alone(sides, compared):
    base, head = sides
    accepted = Side("accepted.csv", base.scores)
    assert [each["verdict"] for each in data(compared, accepted, head)["cells"]] == [
        cell.verdict for cell in compared.cells
    ]
    assert not any(model["known"] for model in data(compared, accepted, head)["models"])
    assert "accepted.csv is a file of accepted results, which says nothing of fields" in comparison_site.page(
        compared, accepted, head
    )


def test_against_pairs_each_model_with_the_runs_of_another(sides):
    base, head = sides
    old, new = (
        replace(side, scores=scores)
        for side, scores in zip(sides, opposed(base.scores, head.scores, ["mle"]), strict=True)
    )
    found = data(compare(old.scores, new.scores), old, new, ["mle"])
    (model,) = [each for each in found["models"] if each["model"] == "seqgan against mle"]
    assert ["--models mle " in model["sides"][0]["command"], "--models seqgan " in model["sides"][1]["command"]] == [
        True,
        True,
    ]
    assert "code of the generator" in [name for name, _, _ in model["differences"]]


def test_a_model_with_other_fields_is_missing_and_new_and_the_page_says_what_to_do(sides):
    renamed = [
        replace(side, scores=side.scores.assign(model=side.scores["model"].replace("seqgan", name)))
        for side, name in zip(sides, ("seqgan", "seqgan[lr=0.5]"), strict=True)
    ]
    page = comparison_site.page(compare(renamed[0].scores, renamed[1].scores), *renamed)
    assert "<code>--against seqgan</code> compares seqgan[lr=0.5] with seqgan." in page


def test_names_and_reasons_stay_text(sides, compared):
    base, head = (replace(side, name=f"{NASTY}{side.name}") for side in sides)
    page = comparison_site.page(compared, base, head)
    assert page.count("<script") == 2
    assert re.findall(r"<script[^>]*>", page) == ['<script type="application/json" id="data">', "<script>"]
    inside = page.partition('id="data">')[2].partition("</script>")[0]
    assert json.loads(inside)["names"] == [base.name, head.name]
