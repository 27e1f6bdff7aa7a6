"""``index.html`` in a real browser without a screen: Chromium, driven by Playwright, with no network.

Where there is no Chromium (Debian's ``chromium``, or the path in ``CHROMIUM``) or no Playwright, all of it is skipped.
"""

import csv
import io
import json
import re
import tarfile
from pathlib import Path

import pandas as pd
import pytest

from bench.analysis.results import Results
from bench.records.store import Store
from bench.reports.pages import leaderboard, site

ROOT = Path(__file__).parents[3]

NASTY = "<script>document.title = 'hacked'</script><img src=x onerror=\"document.title = 'hacked'\">"
QUATRAINS = {"task": "quatrains, quick"}


@pytest.fixture(scope="module")
def index(with_twin, tmp_path_factory):
    """The page of made-up results: a model and a sample of them have the names of elements, and poems have verses."""
    frames = [
        frame.assign(model=frame["model"].replace("behind", NASTY))
        for frame in (with_twin.runs, with_twin.scores, with_twin.curves, with_twin.frontier)
    ]
    frames[0]["samples"] = [[NASTY, "床 前 / 疑 是"] for _ in range(len(frames[0]))]
    frames[0]["command"] = [
        "" if model == "real data" else f"bench run --models '{model}'" for model in frames[0]["model"]
    ]
    results = Results(*frames)
    path = tmp_path_factory.mktemp("page") / "index.html"
    path.write_text(site.page(results, leaderboard.page(results)), encoding="utf-8")
    return path


@pytest.fixture
def visit(visitor, index):
    """Opens the page."""
    return visitor(index, "Leaderboard: oracle, quick; quatrains, quick")


def quatrains(visit, **options):
    """The second task, which has five seeds."""
    page = visit(**options)
    page.select_option("#task", label=QUATRAINS["task"])
    return page


def shown(page):
    """Labels of the rows, in their order."""
    return page.locator("section.task:not([hidden]) .board tbody .model").all_inner_texts()


def column(page, name):
    return page.locator(f'section.task:not([hidden]) .board [data-sort="{name}"]')


def test_it_opens_with_the_answers_and_one_task(visit):
    page = visit()
    assert page.locator("section.task:visible h2").inner_text() == "oracle, quick"
    page.select_option("#task", label="quatrains, quick")
    assert page.locator("section.task:visible h2").inner_text() == "quatrains, quick"
    answers = page.locator(".answers:visible").inner_text()
    for words in ("Who won?", "mle has the best mean", "Is it real?", "do not separate it from twin", "12.4 s"):
        assert words in answers
    assert page.locator(".set:visible button").all_inner_texts() == ["mle", "twin (control)"]
    assert shown(page) == ["real data", "mle", "random", "pg-bleu", "twin", NASTY]
    assert page.locator(".board:visible tr.alike .mark").inner_text() == "best set"


def test_a_click_on_a_heading_sorts_best_first_then_worst_then_as_before(visit):
    page = quatrains(visit)
    states = []
    for _ in range(3):
        column(page, "nll_test").click()
        sorted_by = column(page, "nll_test").locator("..").get_attribute("aria-sort")
        states.append((shown(page)[1:4], shown(page)[4:], sorted_by))
    assert states == [
        (["mle", "random", "pg-bleu"], ["twin", NASTY], "ascending"),
        (["random", "mle", "pg-bleu"], [NASTY, "twin"], "descending"),
        (["mle", "random", "pg-bleu"], ["twin", NASTY], None),
    ]
    column(page, "bleu2").click()  # higher is better
    assert column(page, "bleu2").locator("..").get_attribute("aria-sort") == "descending"
    column(page, "model").click()
    assert column(page, "model").locator("..").get_attribute("aria-sort") == "ascending"
    assert shown(page)[1:4] == ["mle", "pg-bleu", "random"]
    column(page, "bleu2").click()
    assert "sorted by bleu2, best first" in page.locator(".shown:visible").inner_text()


def test_rows_are_filtered_by_name_role_and_step(visit):
    page = visit()
    assert "seqgan" in shown(page)
    page.locator("input[type=search]:visible").fill("MLE")
    assert shown(page) == ["real data", "mle"]
    page.locator("input[type=search]:visible").fill("")
    page.get_by_label("controls").uncheck()
    assert "uniform" not in shown(page)
    assert not any("pre-training" in label for label in shown(page))
    page.get_by_label("other training steps").check()
    assert "↳ its shared pre-training" in shown(page)


def test_columns_are_chosen_and_the_address_brings_all_of_it_back(visit):
    page = quatrains(visit)
    page.locator(".board:visible .columns summary").click()
    page.locator("input[value=self_bleu4]:visible").check()
    page.locator("input[value=bleu2]:visible").uncheck()
    column(page, "self_bleu4").click()
    page.locator("input[type=search]:visible").fill("r")
    page.locator(".board:visible").get_by_label("controls").uncheck()
    names = page.locator(".board:visible thead [data-sort]").all_inner_texts()
    assert not any(name.startswith("bleu2") for name in names)
    assert names[-1] == "self_bleu4 → ▲"
    again = visit(state=page.url[page.url.index("#") :])
    assert again.locator(".board:visible thead [data-sort]").all_inner_texts() == names
    assert shown(again) == shown(page) == ["real data", "random"]
    assert again.locator("input[type=search]:visible").input_value() == "r"


def test_a_cell_opens_all_that_is_behind_it(visit, with_twin):
    page = visit()
    cell = page.locator(".board:visible tbody tr", has_text="seqgan").locator(".cell").nth(2)
    cell.click()
    dialog = page.locator("#detail")
    assert dialog.locator("h2").inner_text() == "seqgan: nll_oracle"
    text = dialog.inner_text()
    for words in (
        "8.810 ± 0.262 (n=3) nats/token", "oracle-seqgan-1", "adversarial 12", "epochs=5, lr=0.01", "commit abc1234",
        "bench run --models 'seqgan' --seeds 0,1,2", "AMD EPYC, 2 cores", "nll_oracle: n=10000|v=1", "default settings",
        NASTY, "床 前\n疑 是",
    ):  # fmt: skip
        assert words in text, words
    said = [
        each.verdict.words(each.metric, each.unit)
        for each in with_twin.answers
        if (each.task, each.metric, each.verdict.model) == ("oracle", "nll_oracle", "seqgan")
    ]
    assert dialog.locator("li").all_inner_texts() == said
    assert len(said) == 3
    assert dialog.locator(".chart polyline").count() == 3
    dialog.locator("select").nth(1).select_option("tokens")
    assert dialog.locator(".chart polyline").count() == 3
    address = page.url
    page.keyboard.press("Escape")
    assert not dialog.is_visible()
    page.wait_for_function("() => !location.hash.includes('cell=')")  # the browser says later that it is closed
    assert cell.evaluate("each => each === document.activeElement")
    assert visit(state=address[address.index("#") :]).locator("#detail h2").inner_text() == "seqgan: nll_oracle"


def test_cells_without_a_value_and_rows_without_a_result_say_why(visit):
    page = visit()
    page.locator(".board:visible tbody tr", has_text="uncertain").locator(".cell", has_text="n/a").nth(1).click()
    assert "n/a: it has no log_prob." in page.locator("#detail").inner_text()
    page.get_by_role("button", name="Close").click()
    assert "expected a|b, got <None>" in page.locator(".board:visible tbody tr", has_text="broken").inner_text()


def test_it_is_used_by_keys_alone(visit):
    page = visit()
    page.locator(".board:visible thead [data-sort]").last.focus()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "real data"
    for key in ("ArrowDown", "ArrowRight"):
        page.keyboard.press(key)
    assert page.evaluate("document.activeElement.className") == "cell"
    page.keyboard.press("Enter")
    assert page.locator("#detail").is_visible()
    page.keyboard.press("Enter")  # Close has the focus
    assert not page.locator("#detail").is_visible()


def test_themes_follow_the_system_and_can_be_switched(visit):
    def back(page):
        return page.evaluate("getComputedStyle(document.body).backgroundColor")

    light, dark = visit(color_scheme="light"), visit(color_scheme="dark")
    bright, night = back(light), back(dark)
    assert bright == "rgb(255, 255, 255)" != night
    light.locator("#theme").click()
    assert (back(light), light.locator("#theme").inner_text()) == (night, "Light")
    light.reload()
    assert back(light) == night
    light.locator("#theme").click()
    assert back(light) == bright


def test_samples_stand_side_by_side_and_verses_below_each_other(visit):
    page = quatrains(visit)
    cards = page.locator(".samples:visible .card")
    assert cards.locator("h4").all_inner_texts() == ["real data", "mle", "random", "twin"]
    assert cards.nth(1).locator(".sample").all_inner_texts() == [NASTY, "床 前\n疑 是"]
    tops = [card.bounding_box()["y"] for card in cards.all()]
    assert max(tops) - min(tops) < 1
    page.locator(".samples:visible .columns summary").click()
    page.locator(".samples:visible").get_by_label("random", exact=True).uncheck()
    page.locator(".samples:visible .seed").select_option("3")
    assert cards.locator("h4").all_inner_texts() == ["real data", "mle", "twin"]
    assert "quatrains-mle-3" in cards.nth(1).inner_text()


def test_what_is_shown_can_be_saved(visit):
    page = quatrains(visit)
    page.locator("input[type=search]:visible").fill("m")
    saved = {}
    for name in ("CSV", "JSON"):
        with page.expect_download() as download:
            page.get_by_role("button", name=f"Save {name}").click()
        saved[name] = download.value.path().read_text(encoding="utf-8")
        assert download.value.suggested_filename == f"leaderboard.{name.lower()}"
    rows = list(csv.DictReader(io.StringIO(saved["CSV"])))
    assert [row["model"] for row in rows] == ["real data", "mle", "random", NASTY]
    assert float(rows[1]["nll_test"]) == pytest.approx(3.15)
    assert float(rows[1]["nll_test_low"]) < 3.15 < float(rows[1]["nll_test_high"])
    written = json.loads(saved["JSON"])
    assert [row["model"] for row in written] == [row["model"] for row in rows]
    assert written[1]["scores"]["nll_test"] | {"low": 0, "high": 0} == {
        "shown": "3.150 ± 0.051", "mean": 3.15, "low": 0, "high": 0, "n": 5, "signature": "nll:1|n=10000",
        "unit": "nats/token",
    }  # fmt: skip


def test_intervals_are_drawn_where_they_are(visit):
    page = quatrains(visit)
    drawn = [
        [float(number) for number in re.findall(r"[\d.]+", path)]
        for path in page.locator(".board:visible tr", has_text="mle")
        .first.locator(".interval")
        .evaluate_all("all => all.map((each) => each.getAttribute('d'))")
    ]
    assert drawn
    assert all(0 <= left < right <= 112 for left, _, right in drawn)
    assert page.locator(".cost:visible .point").count() == 4
    page.locator(".cost:visible .point", has_text="random").click()
    assert page.locator("#detail h2").inner_text() == "random: nll_test"


def test_on_a_phone_nothing_is_wider_than_the_screen(visit):
    page = quatrains(visit, width=360, height=740)
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    page.locator(".board:visible tbody .cell").first.click()
    assert page.locator("#detail").bounding_box()["width"] <= 360
    assert page.evaluate("document.querySelector('#detail').scrollWidth") <= 360


def test_on_paper_there_are_answers_scores_and_samples_but_no_buttons(visit):
    page = quatrains(visit)
    page.emulate_media(media="print")
    for kept in (".answers", ".board table", ".samples .card", ".cost svg"):
        assert page.locator(kept).locator("visible=true").count(), kept
    for gone in ("#task", "#theme", "input", ".save-csv", "summary"):
        assert not page.locator(gone).locator("visible=true").count(), gone
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    cut = "all => all.filter((each) => getComputedStyle(each).overflowY !== 'visible').length"
    assert page.locator(".scroll").locator("visible=true").evaluate_all(cut) == 0


def test_without_a_script_it_is_a_document(visit):
    page = visit(java_script_enabled=False)
    assert page.locator("section.task").locator("visible=true").count() == 2
    assert not page.locator(".tool").locator("visible=true").count()
    page.locator("summary", has_text="Headline").first.click()
    assert "0.0120 ± 0.0005" in page.locator("details[open]").first.inner_text()


def test_axe_finds_nothing_serious(visit, axe):
    page = quatrains(visit, color_scheme="light")
    violations = axe(page)
    for parts in page.locator(".parts").locator("visible=true").all():
        parts.locator("summary").first.click()

    page.evaluate("document.querySelector('main').append(document.createElement('button'))")
    assert list(violations(["button-name"])) == ["button-name"]  # it would find something
    page.evaluate("document.querySelector('main > button').remove()")
    assert violations() == {}
    page.locator("#theme").click()
    assert violations(["color-contrast"]) == {}
    page.locator(".board:visible tbody .cell").first.click()
    assert violations() == {}


@pytest.mark.slow
def test_a_thousand_runs_open_in_two_seconds(browser, tmp_path):
    """All models on seven tasks: the records of results/arms, with two of their tasks twice and one three times."""
    with tarfile.open(ROOT / "results" / "arms" / "records.tar.gz") as archive:
        archive.extractall(tmp_path, filter="data")
    frames = Store(tmp_path).load()
    tasks = sorted(frames.runs["task"].unique())
    copies = [(tasks[number % len(tasks)], number) for number in range(7)]
    larger = Results(
        *(
            pd.concat([
                frame[frame["task"] == task].assign(
                    task=f"{task} {number}", **{key: frame[key] + str(number) for key in ("run_id", "group_id")}
                )
                for task, number in copies
            ])
            for frame in (frames.runs, frames.scores, frames.curves, frames.frontier)
        )
    )  # fmt: skip
    path = tmp_path / "index.html"
    path.write_text(site.page(larger, leaderboard.page(larger)), encoding="utf-8")
    size_of_six = path.stat().st_size * 6 / 7
    assert len(larger.runs) > 850
    assert size_of_six < 8e6
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.goto(path.as_uri())
    assert page.evaluate("performance.getEntriesByType('navigation')[0].loadEventEnd") < 2000
    page.close()
