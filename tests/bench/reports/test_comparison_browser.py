"""``comparison.html`` in a real browser without a screen and without a network.

Where there is no Chromium or no Playwright, all of it is skipped.
"""

import re

import pytest

from bench.analysis.compare import SAME
from bench.reports.pages import comparison_site
from bench.reports.pages.comparison import text

NASTY = "<script>document.title = 'hacked'</script>"


@pytest.fixture(scope="module")
def file(sides, compared, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "comparison.html"
    path.write_text(comparison_site.page(compared, *sides), encoding="utf-8")
    return path


@pytest.fixture
def visit(visitor, file):
    """Opens the page."""
    return visitor(file, "Comparison: before → after")


def rows(page):
    """Model with its training step, metric and verdict of each row that is shown, in their order."""
    cells = page.locator("#cells tbody tr").evaluate_all(
        "all => all.map((row) => [row.cells[0].innerText, row.cells[1].innerText, "
        "row.cells[row.cells.length - 1].querySelector('span').innerText])"
    )
    return [(" ".join(model.split()), metric.split()[0], verdict) for model, metric, verdict in cells]


def named(cell):
    step = "" if cell.key.checkpoint in ("final", "") else f" {cell.key.checkpoint}"
    return (f"{cell.key.model}{step}", cell.key.metric or "(run)", SAME if cell.words == SAME else cell.verdict)


def only(page, *verdicts):
    """Choose these verdicts alone."""
    for box in page.locator(".kinds input").all():
        box.set_checked(box.get_attribute("value") in verdicts)


def test_every_verdict_is_that_of_bench_compare(visit, compared):
    page = visit()
    assert "before → after" in page.locator("h2").first.inner_text()
    assert not page.locator(".plain").is_visible()
    changed = [named(cell) for cell in compared.cells if cell.words != SAME]
    assert sorted(rows(page)) == sorted(changed)
    assert [verdict for _, _, verdict in rows(page)][:1] == ["failed"]
    assert f"{len(changed)} of {len(compared.cells)} cells" in page.locator(".shown").inner_text()
    page.locator(".kinds input").last.check()
    assert sorted(rows(page)) == sorted(map(named, compared.cells))


def test_it_filters_by_verdict_and_name_and_the_address_brings_that_back(visit):
    page = visit()
    only(page, "worse", "better")
    assert sorted(rows(page)) == [("seqgan", "bleu2", "better"), ("seqgan", "nll_test", "worse")]
    page.locator("input[type=search]").fill("BLEU")
    assert rows(page) == [("seqgan", "bleu2", "better")]
    again = visit(state=page.url[page.url.index("#") :])
    assert rows(again) == rows(page)
    assert again.locator("input[type=search]").input_value() == "BLEU"
    only(page)
    assert rows(page) == []
    assert rows(visit(state=page.url[page.url.index("#") :])) == []


def test_a_click_on_a_heading_sorts_then_turns_round_then_sorts_by_weight(visit):
    page = visit()
    by_weight = rows(page)
    found = []
    for _ in range(3):
        page.locator('[data-sort="metric"]').click()
        sorted_by = page.locator('[data-sort="metric"]').locator("..").get_attribute("aria-sort")
        found.append(([metric for _, metric, _ in rows(page)], sorted_by))
        assert page.evaluate("document.activeElement.dataset.sort") == "metric"
    metrics = sorted(metric.replace("(run)", "") for metric in found[0][0])
    assert [metric.replace("(run)", "") for metric in found[0][0]] == metrics
    assert [metric.replace("(run)", "") for metric in found[1][0]] == metrics[::-1]
    assert [sorted_by for _, sorted_by in found] == ["ascending", "descending", None]
    assert rows(page) == by_weight
    page.locator('[data-sort="difference"]').click()
    assert {metric for _, metric, _ in rows(page)[:2]} == {"nll_test", "bleu2"}  # only these two have one


def test_a_cell_opens_its_seeds_signatures_differences_and_commands(visit, compared, sides):
    page = visit()
    only(page, "worse")
    opener = page.locator("#cells tbody button")
    opener.click()
    dialog = page.locator("#detail")
    assert dialog.locator("h2").inner_text() == "seqgan: nll_test"
    (cell,) = [each for each in compared.cells if each.verdict == "worse"]
    shown = dialog.inner_text()
    runs = [each for side in sides for each in side.records if each.spec.model == "seqgan"]
    for words in (
        cell.words, "lower is better", "n = 2", *(each.spec.run_id for each in runs), "field lr", "0.01", "0.5",
        "--models seqgan", "--seeds 0,1",
    ):  # fmt: skip
        assert words in shown, words
    assert dialog.locator("svg .pair").count() == 2
    hollow, filled = (
        dialog.locator(f"svg circle{kind}").evaluate_all("all => all.map((each) => Number(each.getAttribute('cx')))")
        for kind in (".base", ":not(.base)")
    )
    assert len(hollow) == len(filled) == 2
    assert all(before < after for before, after in zip(hollow, filled, strict=True))  # it rose, in both seeds
    assert dialog.locator("svg circle.worse").count() == 2
    address = page.url
    page.keyboard.press("Escape")
    page.wait_for_function("() => !location.hash.includes('cell=')")  # the browser says later that it is closed
    assert not dialog.is_visible()
    assert opener.evaluate("each => each === document.activeElement")
    assert visit(state=address[address.index("#") :]).locator("#detail h2").inner_text() == "seqgan: nll_test"


def test_what_could_not_be_compared_says_why(visit):
    page = visit()
    only(page, "untested")
    assert rows(page) == [("seqgan", "bleu5", "untested")]
    page.locator("#cells tbody button").click()
    codes = page.locator("#detail dd code").all_inner_texts()
    assert len(codes) == 2
    assert codes[1] == f"{codes[0]}|v=next"
    page.get_by_role("button", name="Close").click()
    obstacles = page.locator("section", has=page.locator("#obstacles-title")).inner_text()
    for words in ("signature changed", f"ValueError: {NASTY}", "not run in head", "only in head", "not scored in head"):
        assert words in obstacles, words


def test_intervals_are_drawn_and_both_ends_are_in_the_picture(visit):
    page = visit()
    only(page, "worse", "better")
    assert (
        page.locator("#cells svg .interval.worse").count() == page.locator("#cells svg .interval.better").count() == 1
    )
    for path in page.locator("#cells svg .interval").evaluate_all("all => all.map((each) => each.getAttribute('d'))"):
        left, _, right = (float(number) for number in re.findall(r"[\d.]+", path))
        assert 0 <= left <= right <= 180


def test_it_is_used_by_keys_alone(visit):
    page = visit()
    page.locator("#cells thead button").last.focus()
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement.className") == "model"
    page.keyboard.press("Enter")
    assert page.locator("#detail").is_visible()
    page.keyboard.press("Enter")  # Close has the focus
    assert not page.locator("#detail").is_visible()


def test_on_a_phone_nothing_is_wider_than_the_screen(visit):
    page = visit(width=360, height=740)
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    page.locator("#cells tbody button").first.click()
    assert page.evaluate("document.querySelector('#detail').scrollWidth") <= 360


def test_on_paper_there_are_answers_and_cells_but_no_buttons_to_press(visit):
    page = visit()
    page.emulate_media(media="print")
    for kept in (".answers", "#cells table"):
        assert page.locator(kept).is_visible(), kept
    for gone in ("#theme", "input", "summary"):
        assert not page.locator(gone).locator("visible=true").count(), gone


def test_without_a_script_it_is_the_table_of_bench_compare(visit, compared):
    page = visit(java_script_enabled=False)
    assert not page.locator("#cells").is_visible()
    said = page.locator(".plain").inner_text()
    assert compared.summary in said
    wanted = [cell.words for cell in compared.cells if cell.words != SAME]
    assert wanted
    assert all(" ".join(words.split()) in " ".join(said.split()) for words in wanted)
    assert all(words in text(compared) for words in wanted)


def test_axe_finds_nothing_serious_in_either_theme(visit, axe):
    page = visit(color_scheme="dark")
    assert page.locator("#theme").inner_text() == "Light"
    only(page, "worse", "better", "failed", "missing", "untested")
    page.locator(".parts summary").click()
    violations = axe(page)
    page.evaluate("document.querySelector('main').append(document.createElement('button'))")
    assert list(violations(["button-name"])) == ["button-name"]  # it would find something
    page.evaluate("document.querySelector('main > button').remove()")
    assert violations() == {}
    page.locator("#theme").click()
    assert violations(["color-contrast"]) == {}
    page.locator("#cells tbody button").first.click()
    assert violations() == {}
