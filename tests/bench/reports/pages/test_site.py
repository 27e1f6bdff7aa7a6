"""``index.html`` as text: it says what the leaderboard says, with the same numbers, and the same bytes each time."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from bench.analysis.learning import course, learning
from bench.analysis.results import Results
from bench.records.frames import FINAL, as_rows
from bench.reports.families import LINES, PALETTE, STRANGERS, styles_of
from bench.reports.grid import Grid
from bench.reports.markdown import render as as_markdown
from bench.reports.pages import leaderboard, outcome, site, site_data


def page_of(results, figures=()):
    return site.page(results, leaderboard.page(results), figures)


def data_of(page):
    return json.loads(re.search(r'id="data">(.*?)</script>', page, re.DOTALL)[1])["tasks"]


def answers(results, title):
    """The answers of a task, by their questions."""
    (section,) = (section for section in results.sections() if section.title == title)
    found = outcome.page(section, Grid(as_rows(section.board), section.best))
    return {question: as_markdown(answer) for question, answer in found}


@pytest.fixture(scope="module")
def page(results):
    return page_of(results, [("a figure", "figures/one.png")])


@pytest.fixture(scope="module")
def tasks(page):
    return {task["title"]: task for task in data_of(page)}


def test_every_cell_is_that_of_the_leaderboard(results, tasks):
    for section in results.sections():
        task, grid = tasks[section.title], Grid(as_rows(section.board), section.best)
        names = [metric["name"] for metric in task["metrics"]]
        assert [(row["model"], row["checkpoint"]) for row in task["rows"]] == grid.rows
        for row in task["rows"]:
            lines = {line["metric"]: line for line in grid.of(row["model"], row["checkpoint"])}
            for name, cell in zip(names, row["cells"], strict=bool(row["cells"])):
                line = lines.get(name)
                if isinstance(cell, list):
                    assert cell[0].removesuffix(" †") == grid.cell(row["model"], row["checkpoint"], name)
                    assert cell[2] == pytest.approx(line["mean"], rel=1e-6)
                    assert sum(value is not None for value in cell[-1]) == cell[5] == line["n"]
                else:
                    assert line is None or line["n"] == 0
                    assert task["texts"][cell]


def test_the_seeds_of_a_cell_are_those_of_the_records(results, tasks):
    task = tasks["oracle, quick"]
    row = next(row for row in task["rows"] if (row["model"], row["checkpoint"]) == ("seqgan", FINAL))
    place = [metric["name"] for metric in task["metrics"]].index("nll_oracle")
    assert row["cells"][place][-1] == [8.8, 8.71, 8.92]
    assert [run["id"] for run in task["models"]["seqgan"]["runs"]] == [f"oracle-seqgan-{seed}" for seed in range(3)]
    assert "commit abc1234" in task["texts"][task["models"]["seqgan"]["runs"][0]["where"]]


def test_why_there_is_no_value_or_no_result(tasks):
    task = tasks["oracle, quick"]
    rows = {row["model"]: row for row in task["rows"] if row["checkpoint"] == FINAL}
    assert "expected a|b, got <None>" in rows["broken"]["failed"]
    assert rows["broken"]["cells"] == []
    place = [metric["name"] for metric in task["metrics"]].index("nll_test")
    assert task["texts"][rows["uncertain"]["cells"][place]] == "it has no log_prob"
    assert not rows["uncertain"]["ranked"]


def test_every_block_of_the_document_is_in_the_page(results, page):
    for block in leaderboard.page(results):
        shown = str(site.render([block]))
        assert shown in page or shown.startswith("<h"), shown[:200]  # a heading may be a summary
    assert page.count("<h1>") == 1
    assert '<a href="figures/one.png">a figure</a>' in page


def test_the_same_results_give_the_same_bytes(results, page):
    again = Results(results.runs, results.scores, results.curves, results.frontier)
    assert page_of(again, [("a figure", "figures/one.png")]) == page


def test_samples_and_names_that_are_elements_are_text(results):
    nasty = "</script><img src=x onerror=alert(1)>"
    runs = results.runs.copy()
    runs["samples"] = [[nasty] for _ in range(len(runs))]
    runs["reason"] = runs["reason"].mask(runs["reason"].notna(), nasty)
    frames = [
        frame.assign(model=frame["model"].replace("seqgan", nasty))
        for frame in (runs, results.scores, results.curves, results.frontier)
    ]
    page = page_of(Results(*frames))
    assert "<img" not in page
    assert page.count("</script>") == 2
    (task,) = (task for task in data_of(page) if task["title"] == "oracle, quick")
    assert {run["samples"][0] for run in task["models"][nasty]["runs"]} == {nasty}
    assert [row["failed"] for row in task["rows"] if row["model"] == "broken"] == [f"failed: {nasty}"]


def test_the_best_set_is_the_one_that_the_seeds_do_not_separate(with_twin):
    (task,) = (task for task in data_of(page_of(with_twin)) if task["title"] == "quatrains, quick")
    (section,) = (section for section in with_twin.sections() if section.title == "quatrains, quick")
    assert task["best"] == {"model": "mle", "metric": "nll_test", "alike": ["twin"], "compared": 3}
    assert section.cheapest.alike == 1


def test_the_answers_name_the_winner_the_doubt_the_margin_and_the_price(with_twin, results):
    found = answers(with_twin, "quatrains, quick")
    assert list(found) == ["Who won?", "Is it real?", "By how much?", "At what cost?"]
    assert "mle has the best mean of `nll_test`, 3.150 ± 0.051 nats/token." in found["Who won?"]
    assert "do not separate it from twin; they separate it from the other 2" in found["Is it real?"]
    assert "- behind: -0.042 nats/token, 95 % interval" in found["By how much?"]
    assert "12.4 s of training" in found["At what cost?"]
    sure = answers(results, "quatrains, quick")
    assert sure["Is it real?"].startswith(
        "Yes: the seeds separate it from the other one that may win, if seeds scatter"
    )


def test_a_control_that_wins_is_called_one(results):
    runs = results.runs.copy()
    runs.loc[runs["model"] == "mle", "role"] = "control"
    said = answers(replace(results, runs=runs), "quatrains, quick")["Who won?"]
    assert "It is a control, there to be beaten. The first of the contenders is random, 4.154" in said


def test_few_seeds_give_no_winner(results):
    found = answers(results, "oracle, quick")
    assert list(found) == ["Who is first?", "Is it real?"]
    assert (
        "Of the contenders, mle stands first, with 0.0120 ± 0.0005 (n=3) nats/token in `jsd_token`"
        in found["Who is first?"]
    )
    assert found["Is it real?"].startswith("Who is best cannot be told")


def test_one_seed_has_no_interval(results):
    names = ("runs", "scores", "curves", "frontier")
    one = Results(*(frame[frame["seed"] == 0] for frame in (getattr(results, name) for name in names)))
    cells = [cell for task in data_of(page_of(one)) for row in task["rows"] for cell in row["cells"]]
    assert {(cell[3], cell[4], cell[5]) for cell in cells if isinstance(cell, list)} == {(None, None, 1)}


def test_nothing_but_failures(results):
    runs = results.runs[results.runs["status"] == "failed"]
    page = page_of(Results(runs, results.scores.head(0), results.curves.head(0), results.frontier.head(0)))
    assert "OutOfMemoryError: no room" in page
    assert all(task["metrics"] == [] for task in data_of(page))


def test_a_long_curve_is_thinned_out_and_keeps_its_end(made, monkeypatch):
    (section,) = learning(*made.frames(*made.trained(1)))
    whole = section.lines[section.lines["name"] == "jsd_valid"].groupby("run_id")
    monkeypatch.setattr(site_data, "POINTS", 4)
    found = site_data._curves(section)["jsd_valid"]
    assert len(found) == 3
    for run_id, (seconds, tokens, updates, values) in found.items():
        last = whole.get_group(run_id).iloc[-1]
        assert 2 <= len(values) <= 4
        assert len(seconds) == len(tokens) == len(updates) == len(values)
        assert (seconds[-1], values[-1]) == pytest.approx((last["seconds"], last["value"]), rel=1e-6)


def test_courses_are_means_over_seeds_in_groups_that_hold_every_model(made, monkeypatch):
    (section,) = learning(*made.frames(*made.trained(3)))
    models = ["mle", "seqgan", "maligan"]
    monkeypatch.setattr(site_data, "POINTS", 4)
    found = site_data._courses(section, styles_of(models))["jsd_valid"]
    assert [group["models"] for group in found["groups"]] == [sorted(models)]
    for model in models:
        own = section.lines[(section.lines["name"] == "jsd_valid") & (section.lines["model"] == model)]
        whole, (*costs, mean, low, high, borders) = course(own), found["models"][model]
        assert {len(column) for column in (*costs, mean, low, high)} == {len(mean)}
        assert len(mean) < len(whole.mean)
        assert [mean[border] for border in borders] == pytest.approx(whole.mean[whole.borders], rel=1e-6)
        assert borders[-1] == len(mean) - 1
        assert all(least <= middle <= most for least, middle, most in zip(low, mean, high, strict=True))
    assert found["reference"] == found["models"]["mle"][len(costs)][-1]


def test_models_look_as_in_the_figures(results, tasks):
    styles = styles_of(results.runs["model"])
    for task in tasks.values():
        assert "real data" not in task["looks"]
        for model, (colour, line, marker) in task["looks"].items():
            assert (*PALETTE, STRANGERS)[colour] == styles[model].colour
            assert (LINES[line], marker) == styles[model][1:]


def test_scripts_of_one_page_share_no_names():
    """All parts of a page's script are one script: the second function of a name would take the place of the first."""
    parts = [*site.SCRIPTS, *(name for names in site.DRAWING.values() for name in names), f"{site.LIVE}.js"]
    folder = Path(site.__file__).parents[1] / "templates"
    names = [
        name
        for part in parts
        for name in re.findall(
            r"^(?:async )?(?:function|const|let|class) +([\w$]+)", (folder / part).read_text("utf-8"), re.MULTILINE
        )
    ]
    assert len(names) > 50
    assert sorted({name for name in names if names.count(name) > 1}) == []
