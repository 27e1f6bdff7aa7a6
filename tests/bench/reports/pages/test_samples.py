from __future__ import annotations

from dataclasses import replace

import pytest

from bench.reports.markdown import render
from bench.reports.pages import leaderboard as tables
from bench.reports.pages import samples


def parts(results):
    """The page in parts, as Markdown."""
    return [render([block]).removesuffix("\n") for block in samples.page(results)]


@pytest.fixture
def showing(results):
    """The made-up results with other samples of one run."""

    def make(run_id, texts):
        runs = results.runs.copy()
        place = runs.index[runs["run_id"] == run_id][0]
        runs.at[place, "samples"] = list(texts)
        return replace(results, runs=runs)

    return make


def listed(parts):
    """Task to model to its samples, as the Markdown has them."""
    found, title = {}, ""
    for part in parts:
        if part.startswith("### "):
            title = part[4:]
        for line in part.splitlines():
            if line.startswith("- "):
                model = found.setdefault(title, {}).setdefault(line[2:], [])
            elif line.startswith("  - "):
                model.append(line[4:])
    return found


def test_every_model_with_a_finished_run_is_quoted_in_the_leaderboards_order(results):
    found = listed(parts(results))
    assert list(found) == ["oracle, quick", "quatrains, quick"]
    assert list(found["quatrains, quick"]) == [
        "real data (`quatrains-real data-0`)",
        "mle (`quatrains-mle-0`)",
        "random (`quatrains-random-0`)",
    ]
    assert [name.partition(" (`")[0] for name in found["oracle, quick"]] == [
        *("real data", "mle", "seqgan", "uncertain", "constant-reward", "uniform"),
    ]
    assert all(texts == ["白 日", "3 4"] for models in found.values() for texts in models.values())


def test_they_are_those_of_the_first_seed_that_finished(results):
    runs = results.runs.copy()
    runs.loc[runs["run_id"] == "oracle-mle-0", "status"] = "failed"
    found = listed(parts(replace(results, runs=runs)))
    assert "mle (`oracle-mle-1`)" in found["oracle, quick"]


def test_three_of_each_are_shown_and_ids_too(showing):
    found = listed(parts(showing("oracle-mle-0", ["1 2", "3 4", "5 6", "7 8"])))
    assert found["oracle, quick"]["mle (`oracle-mle-0`)"] == ["1 2", "3 4", "5 6"]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("# no heading", r"\# no heading"),
        ("- no list", r"\- no list"),
        ("1. no number", r"1\. no number"),
        ("> no <unk> quote", r"\> no \<unk> quote"),
        ("^C z2 =c/2", "^C z2 =c/2"),
        ("12 billion", "12 billion"),
        ("", "(nothing)"),
    ],
)
def test_a_sample_is_text_and_nothing_else(text, shown, showing):
    found = listed(parts(showing("oracle-mle-0", [text])))
    assert found["oracle, quick"]["mle (`oracle-mle-0`)"] == [shown]


def test_the_leaderboard_has_them_and_says_how_to_get_more(results):
    text = render(tables.page(results))
    assert "\n\n".join(parts(results)) in text
    assert "`bench sample` draws more" in text


def test_without_finished_runs_there_is_nothing(results):
    assert parts(replace(results, runs=results.runs.assign(status="failed"))) == []
