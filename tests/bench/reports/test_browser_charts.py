"""What ``index.html`` draws of all 28 models, in a real browser: every model is there, and no text is on another."""

import math
import re

import pytest

from bench.analysis.learning import course, learning
from bench.reports.families import OTHERS, STRANGERS, styles_of
from bench.reports.pages import leaderboard, site

NASTY = '<b>"it\'s"</b> [rounds=3]'
OVERLAPS = """(all) => all.flatMap((svg) => {
  const within = svg.getBoundingClientRect();
  const texts = [...svg.querySelectorAll("text")].filter((text) => text.textContent);
  const boxes = texts.map((text) => [text.textContent, text.getBoundingClientRect()]);
  const off = boxes.filter(([, a]) =>
    a.left < within.left - 2 || a.right > within.right + 2 || a.top < within.top - 2 || a.bottom > within.bottom + 2);
  const on = boxes.flatMap(([one, a], at) => boxes.slice(at + 1).filter(([, b]) =>
    Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1 &&
    Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 2.5).map(([other]) => `${one} on ${other}`));
  return [...off.map(([text]) => `${text} is off`), ...on];
})"""


@pytest.fixture(scope="module")
def index(arms, timings, tmp_path_factory):
    """The page of all models; one of them has the name of an element."""
    frames = {
        name: getattr(arms, name).assign(model=getattr(arms, name)["model"].replace("grpo", NASTY))
        for name in ("runs", "scores", "curves", "frontier")
    }
    results = type(arms)(**frames)
    path = tmp_path_factory.mktemp("charts") / "index.html"
    path.write_text(site.page(results, leaderboard.page(results), (), timings), encoding="utf-8")
    return path, results


@pytest.fixture
def visit(visitor, index):
    """Opens the page."""
    return visitor(index[0], "Leaderboard: ")


def names(page, part):
    """Names in the legends of a part, without what stands beside them."""
    shown = page.locator(f"{part}:visible .legend li > span")
    return sorted(shown.evaluate_all("all => all.map((each) => each.firstChild.data)"))


def of(section, model):
    """What a model's runs went through, by the first score."""
    lines = section.lines
    return course(lines[(lines["name"] == "jsd_valid") & (lines["model"] == model)])


def test_every_model_has_its_line_its_mark_and_its_name_in_the_chart_of_its_family(visit, index):
    page, results = visit(), index[1]
    (section,) = learning(results.runs, results.curves)
    models = sorted(set(section.lines.loc[section.lines["name"] == "jsd_valid", "model"]))
    assert len(models) == 22
    assert names(page, ".courses") == models
    assert page.locator(".courses:visible figure polyline.line").count() == 2 * len(models)  # chart and legend
    assert page.locator(".courses:visible figure .band").count() == len(models)
    assert page.locator(".courses:visible figcaption").all_inner_texts()[-1] == OTHERS
    assert names(page, ".frontiers") == models
    scored = results.board[(results.board["metric"] == "jsd_token") & (results.board["checkpoint"] == "final")]
    assert names(page, ".cost") == sorted(set(scored.loc[scored["n"] > 0, "model"]) - {"real data"})
    assert page.locator(".cost:visible .point").count() == 27  # residual-ebm has no exact density
    style = styles_of(results.runs["model"])[NASTY]
    assert style.colour == STRANGERS
    assert page.locator(".courses:visible figure").last.locator(".line.f7").count() == 2


def test_what_is_drawn_is_the_mean_over_seeds_with_its_borders(visit, index):
    page, results = visit(), index[1]
    (section,) = learning(results.runs, results.curves)
    page.locator(".courses:visible select").nth(1).select_option("updates")
    chart = page.locator(".courses:visible figure", has_text="seqgan-baselined")
    assert f"seqgan {of(section, 'seqgan').mean[-1]:.5g}" in chart.locator(".legend").inner_text()
    hollow = chart.locator("svg.chart .mark.hollow").count()
    borders = [len(of(section, model).borders) - 1 for model in ("rloo", "seqgan", "seqgan-baselined")]
    assert hollow == sum(borders) > 3


@pytest.mark.parametrize("width", [1280, 360])
def test_no_text_of_a_chart_is_on_another_or_off_it(visit, width):
    page = visit(width=width)
    assert page.locator("svg.chart:visible").count() > 10
    assert page.locator("svg.chart:visible").evaluate_all(OVERLAPS) == []
    assert page.evaluate("document.documentElement.scrollWidth") == width


def test_the_matrix_has_the_verdicts_as_signs_and_words(visit, index):
    page, results = visit(), index[1]
    asked = [each for each in results.answers if each.stated]
    cells = page.locator(".matrix:visible td:not(.none)")
    assert cells.count() == len(asked)
    signs = {"better": "▲", "worse": "▼", "not separable": "="}
    for each in [each for each in asked if each.verdict.model == "seqgan"]:
        row = page.locator(".matrix:visible tr", has=page.get_by_role("rowheader", name="seqgan", exact=True))
        headers = page.locator(".matrix:visible thead th").all_inner_texts()
        cell = row.locator("th, td").nth(headers.index(f"against {each.verdict.reference}"))
        word, _, condition = each.verdict.outcome.partition(", ")
        assert cell.inner_text().split("\n")[0] == f"{signs[word]} {word}" + "*" * bool(condition)
        assert cell.get_attribute("title") == each.verdict.words(each.metric, each.unit)
    page.locator(".matrix:visible select").select_option("nll_test")
    assert page.locator(".matrix:visible caption").inner_text() == "by nll_test"
    assert cells.count() == sum(each.metric == "nll_test" for each in results.answers)


def test_kernels_stand_against_their_bounds_also_without_a_script(visit):
    page = visit(java_script_enabled=False)
    rows = page.locator(".kernels tbody tr")
    assert [[cell.strip() for cell in row.split("\t")] for row in rows.all_inner_texts()] == [
        ["<i>scoring</i>", "N=16 T=20", "250 ms", "375 ms", "150% copy", "", ""],
        ["rollouts", "N=16 T=20", "0.50 s", "125 ms", "25% matmul", "", "4.00×"],
    ]
    lengths = [float(re.search(r"h([\d.]+)v", path)[1]) for path in rows.locator(".bar").evaluate_all(
        "all => all.map((each) => each.getAttribute('d')).filter((path) => path.includes('v'))")]  # fmt: skip
    assert lengths == [160, 40]
    (line,) = page.locator(".kernels polyline").evaluate_all("all => all.map((each) => each.getAttribute('points'))")
    (x, y), (x_2, y_2) = ([float(number) for number in point.split(",")] for point in line.split())
    assert x < x_2
    assert y > y_2
    assert "rollouts 1.00" in page.locator(".kernels .legend").inner_text()
    assert math.isclose((y - y_2) / (230 - 44) * 1.12, (x_2 - x) / (360 - 74) * 1.12, rel_tol=0.05)


def test_axe_finds_nothing_serious_in_either_theme(visit, axe):
    page = visit(color_scheme="light")
    page.evaluate("document.querySelectorAll('.parts, .board, .samples, .words').forEach((each) => each.remove())")
    violations = axe(page)
    assert violations() == {}
    page.locator("#theme").click()
    assert violations(["color-contrast"]) == {}


def test_charts_are_printed_without_their_choices(visit):
    page = visit()
    page.emulate_media(media="print")
    for kept in (".courses svg.chart", ".frontiers svg.chart", ".matrix table", ".kernels svg.chart"):
        assert page.locator(kept).locator("visible=true").count(), kept
    assert not page.locator("select").locator("visible=true").count()
