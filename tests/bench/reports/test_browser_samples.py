"""Samples beside training sequences in a real browser: marks, notation and its player, molecules, hostile texts."""

from importlib import resources

import pandas as pd
import pytest

from bench.analysis.results import Results
from bench.records.nearest import Nearest
from bench.reports.pages import leaderboard, site

NASTY = "<script>document.title = 'hacked'</script>"
WORDS = [
    Nearest(("", "the cat", f" {NASTY} ", "sat", ""), ("", "the cat", " / 𝄞 ", "sat", NASTY), 3, 2, 4, 5),
    Nearest(("", "a dog ran", ""), ("", "a dog ran", ""), 3, 3, 3, 3),
    Nearest(("nobody",), (), 0, 0, 1, 0),
]
TUNES = [
    Nearest(("^C D2 ", "E/2 F/2", f" <unk> z4 G,,3/2 c'' A2/3 {NASTY}"), ("", "E/2 F/2", " z"), 2, 2, 9, 3),
    Nearest(("<unk>",), (), 0, 0, 1, 0),
]
MOLECULES = [
    Nearest(("", "CC", "O"), ("", "CC", "N"), 2, 2, 3, 3),
    Nearest(("C1C",), (), 0, 0, 3, 0),
    Nearest((NASTY,), (), 0, 0, 3, 0),
]
KINDS = {"words": WORDS, "notes": TUNES, "molecules": MOLECULES, "earlier": []}
LISTEN = """
window.tones = [];
const start = OscillatorNode.prototype.start;
OscillatorNode.prototype.start = function (at) {
  tones.push({ at, hertz: this.frequency.value });
  start.call(this, at);
};
"""


@pytest.fixture(scope="module")
def index(results, tmp_path_factory):
    """Four tasks, one of each form, and one whose records are of an earlier schema."""

    def copies(frame):
        own = frame[(frame["task"] == "quatrains")]
        return pd.concat([own.assign(task=kind, run_id=kind + own["run_id"]) for kind in KINDS], ignore_index=True)

    frames = [copies(getattr(results, name)) for name in ("runs", "scores", "curves", "frontier")]
    runs = frames[0]
    shown = [KINDS[task] for task in runs["task"]]
    runs["nearest"] = shown
    runs["samples"] = [["".join(each.sample) for each in own] or ["old / verse"] for own in shown]
    runs["kind"] = ["" if task == "earlier" else task for task in runs["task"]]
    made = Results(*frames)
    path = tmp_path_factory.mktemp("samples") / "index.html"
    path.write_text(site.page(made, leaderboard.page(made)), encoding="utf-8")
    return path


@pytest.fixture
def visit(visitor, index):
    """Opens a task."""
    open_page = visitor(index, "Leaderboard: ", LISTEN)
    return lambda task, state="", **options: open_page(f"#task={task}%2C+quick{state}", **options)


def card(page, model="mle"):
    return page.locator(".samples:visible .card", has=page.get_by_role("heading", name=model, exact=True))


def until(page, expression):
    """Wait for something to be true in the page, whose policy forbids to have it tried there."""
    for _ in range(100):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"{expression} did not become true in 5 s")


def test_what_is_shared_is_marked_and_counted(visit):
    page = visit("words")
    first, second, third = card(page).locator(".specimen").all()
    assert first.locator(".sample mark").all_inner_texts() == ["the cat", "sat"]
    assert first.locator(".example mark").all_inner_texts() == ["the cat", "sat"]
    assert first.locator(".sample").inner_text() == f"the cat {NASTY} sat"
    assert first.locator(".example").inner_text() == f"the cat\n𝄞 sat{NASTY}"
    said = "Nearest training example: shares 3 of 4 words, 2 in a row; the example has 5."
    assert first.locator(".said").inner_text() == said
    assert second.locator(".said").inner_text() == "Identical: it is a training example, word for word."
    assert second.locator(".nearest.copy").count() == 1
    assert third.locator(".said").inner_text().endswith("no training example has any of its words.")
    assert third.locator(".example").count() == 0
    line = "each => getComputedStyle(each).textDecorationLine"
    assert first.locator("mark").first.evaluate(line) == "underline"
    assert not page.locator(".card script, .card svg").count()


def test_training_examples_can_be_hidden_and_the_address_keeps_it(visit):
    page = visit("words")
    page.get_by_label("nearest training examples").uncheck()
    assert card(page).locator(".sample").count() == 3
    assert not page.locator(".nearest").count()
    assert "alone=1" in page.url
    again = visit("words", "&alone=1")
    assert not again.locator(".nearest").count()
    again.get_by_label("nearest training examples").check()
    assert card(again).locator(".nearest").count() == 3


def test_earlier_records_say_that_nothing_was_kept(visit):
    page = visit("earlier")
    assert (
        "the runs were made by an earlier version, or their data are of persons"
        in page.locator(".samples:visible").inner_text()
    )
    assert card(page).locator(".sample").all_inner_texts() == ["old\nverse"]
    assert not page.get_by_label("nearest training examples").count()


def test_a_tune_is_drawn_as_far_as_it_can_be_read(visit):
    page = visit("notes")
    first, second = card(page).locator(".specimen").all()
    own = first.locator(".own")
    assert own.locator(".staff").get_attribute("aria-label") == ("mle, sample 1: 7 notes, 1 rest, 2 of them shared")
    assert own.locator(".staff .head").count() == 7
    assert own.locator(".staff .under").count() == 2
    assert own.locator(".staff text", has_text="× <unk>").count() == 1
    assert own.locator(".staff text", has_text="3").count() >= 1  # a triplet
    assert own.locator(".wrong").inner_text().startswith(f"4 words are no note: <unk>, {NASTY.split(maxsplit=1)[0]}")
    own.locator("summary").click()
    assert own.locator(".abc p mark").all_inner_texts() == ["E/2 F/2"]
    assert NASTY in own.locator(".abc p").inner_text()
    assert second.locator(".wrong").all_inner_texts() == ["One word is no note: <unk>.", "There is no note in it."]
    assert not second.locator(".play").count()
    assert not page.locator(".card script").count()
    box, limits = own.locator(".staff").bounding_box(), own.bounding_box()
    heads = [head.bounding_box() for head in own.locator(".staff .head").all()]
    assert all(box["x"] <= head["x"] <= box["x"] + box["width"] <= limits["x"] + limits["width"] + 1 for head in heads)
    assert all(box["y"] <= head["y"] <= box["y"] + box["height"] for head in heads)


def test_notes_are_higher_on_the_staff_where_they_sound_higher(visit):
    page = visit("notes")
    own = card(page).locator(".specimen .own").first
    tops = [head.bounding_box()["y"] for head in own.locator(".staff .head").all()[:4]]
    assert tops == sorted(tops, reverse=True)  # C D E F
    assert len(set(tops)) == 4


def test_one_tune_sounds_at_a_time_and_stops_by_key(visit):
    page = visit("notes")
    buttons = page.locator(".samples:visible .play")
    assert not page.evaluate(
        "player.context !== null || player.playing !== null || tones.length > 0"
    )  # by itself nothing
    first, second = buttons.nth(0), buttons.nth(1)
    first.focus()
    page.keyboard.press("Enter")
    assert (first.inner_text(), second.inner_text()) == ("■ Stop", "▶ Play")
    assert first.get_attribute("aria-label").startswith("Stop real data, sample 1")
    until(page, "player.context.state === 'running'")
    page.wait_for_selector(".sign.sounding")
    tones = page.evaluate("tones")
    assert len(tones) == 7
    assert tones[0]["hertz"] == pytest.approx(440 * 2 ** (-8 / 12), abs=0.1)  # C sharp under the A of 440 Hz
    assert [round(tone["at"] - tones[0]["at"], 3) for tone in tones] == [0, 0.25, 0.75, 0.875, 2, 2.375, 2.625]
    second.click()
    assert (first.inner_text(), second.inner_text()) == ("▶ Play", "■ Stop")
    page.keyboard.press("Escape")
    assert second.inner_text() == "▶ Play"
    assert not page.locator(".sign.sounding").count()
    first.click()
    first.click()
    assert first.inner_text() == "▶ Play"
    first.click()
    page.locator(".samples:visible .seed").select_option("3")
    assert page.evaluate("player.playing === null")


def test_a_tune_in_the_dialog_stops_when_it_is_closed(visit):
    page = visit("notes")
    page.locator(".board:visible tr", has_text="mle").locator(".cell").first.click()
    page.locator("#detail .play").first.click()
    assert page.evaluate("player.playing !== null")
    page.get_by_role("button", name="Close").click()
    until(page, "player.playing === null")


def test_a_tune_ends_by_itself(visit):
    page = visit("notes")
    example = card(page).locator(".nearest .play").first
    example.click()
    assert example.inner_text() == "■ Stop"
    until(page, "player.playing === null")  # after a second
    assert example.inner_text() == "▶ Play"


def test_molecules_are_drawn_and_what_is_none_says_so(visit):
    pytest.importorskip("rdkit", reason="NOT TESTED: RDKit is not installed")
    page = visit("molecules")
    first, second, third = card(page).locator(".specimen").all()
    assert first.locator(".molecule").count() == 2
    assert first.locator(".own .molecule").get_attribute("aria-label") == "mle, sample 1: drawing of CCO"
    assert sorted(first.locator(".own .molecule text").all_text_contents()) == ["H", "O"]
    assert first.locator(".sample mark").all_inner_texts() == ["CC"]
    assert second.locator(".wrong").inner_text().startswith("Not a molecule: it is no SMILES")
    assert third.locator(".sample").inner_text() == NASTY
    assert third.locator(".wrong").inner_text().startswith("Not a molecule: ")
    inside = page.locator(".molecule *").evaluate_all("all => all.map((each) => each.tagName)")
    assert set(inside) == {"path", "text"}
    ink = "each => getComputedStyle(each).stroke"
    colours = [first.locator(".molecule path.c").first.evaluate(ink)]
    page.locator("#theme").click()
    colours.append(first.locator(".molecule path.c").first.evaluate(ink))
    assert len(set(colours)) == 2


@pytest.mark.parametrize("task", ["words", "notes", "molecules"])
def test_axe_finds_nothing_serious(visit, task):
    axe = pytest.importorskip("axe_playwright_python", reason="NOT TESTED BY AXE: axe-playwright-python is not there")
    page = visit(task, color_scheme="light")
    page.evaluate((resources.files(axe) / "axe.min.js").read_text(encoding="utf-8"))

    def violations():
        asked = "(each) => axe.run(each, { resultTypes: ['violations'] })"
        found = card(page).evaluate(asked)["violations"]
        return {each["id"]: each["nodes"][0]["html"] for each in found if each["impact"] in ("serious", "critical")}

    assert violations() == {}
    page.locator("#theme").click()
    assert violations() == {}


@pytest.mark.parametrize("task", ["words", "notes", "molecules"])
def test_on_a_phone_nothing_is_wider_than_the_screen_and_paper_has_no_buttons(visit, task):
    page = visit(task)
    page.set_viewport_size({"width": 360, "height": 740})
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    page.emulate_media(media="print")
    assert not page.locator(".play, .abc").locator("visible=true").count()
    assert page.locator(".nearest").locator("visible=true").count()
