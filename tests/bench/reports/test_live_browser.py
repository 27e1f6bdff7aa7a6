"""The page of ``bench watch`` in a real browser: it follows runs, and keeps what its reader was at."""

import json
import threading
from importlib import resources
from types import SimpleNamespace

import pytest

from bench.commands import watched as module
from bench.commands.outlook import outlook
from bench.commands.server import Site, serve
from bench.commands.watched import Watched
from bench.plans.costs import Costs
from bench.records import under_way
from bench.records.leases import Leases
from bench.records.record import RunRecord, Score
from bench.records.store import Store
from bench.records.under_way import UnderWay
from bench.reports.html import as_data

NASTY = "<script>document.title = 'hacked'</script>"
MODELS = ("bigram", "mle", "seqgan")
FIRST = {"bigram": 3.5, "mle": 3.1, "seqgan": 3.3}
NOW = "document.dispatchEvent(new Event('visibilitychange'))"
"""Makes the page ask at once."""
IDLE = "about.touched = 0"
"""Makes it believe that nobody has touched anything for a while."""


@pytest.fixture
def folder(make_spec, tmp_path, monkeypatch):
    """A folder of three models and two seeds on two tasks, served; nothing was done yet."""
    for name, value in {"LOOK_SECONDS": 0.0, "SHARE": 1e9, "SHARE_AT_REST": 1e9}.items():
        monkeypatch.setattr(module, name, value)
    store = Store(tmp_path / "results")
    store.open()
    specs = {
        (task, model, seed): make_spec(task=task, model=model, seed=seed)
        for task in ("sotu", "toy")
        for model in MODELS
        for seed in (0, 1)
    }
    store.intend(list(specs.values()))
    leases, watched = Leases(store.leases), Watched(store, store.path)
    leases.take("command-test")

    def begin(*key, **facts):
        spec = specs[key]
        leases.take(spec.run_id)
        store.begin(spec)
        labels = (spec.run_id, spec.task_label, spec.label, spec.preset_label, spec.seed, spec.device)
        usual = {"phase": "adversarial", "done": 1, "steps": 8, "seconds": 70.0, "expected": 200.0}
        under_way.keep(store.progress, UnderWay(*labels, **{**usual, **facts}))

    def end(*key, value=None, status="ok", reason=None):
        spec = specs[key]
        scores = [
            Score("nll_test", value or FIRST[spec.model] + spec.seed / 50, "nats/token", "lower", "nll:1"),
            Score("seconds", 10.0 + spec.seed, "s", "lower", "clock:1", "cost"),
        ]
        curve = [
            {"phase": "mle", "step": step, "seconds": float(step), "tokens": step, "updates": step,
             "scalars": {"nll_valid": 4.0 / step}}
            for step in (1, 2, 3)
        ]  # fmt: skip
        done = {
            "scores": {"final": tuple(scores)},
            "curve": tuple(curve),
            "samples": ("one / two",),
            "density": "exact",
        }
        store.write(RunRecord(spec, status, reason=reason, **(done if status == "ok" else {})))
        under_way.forget(store.progress, spec.run_id)
        leases.release(spec.run_id)

    def progress():
        look = watched.look()
        said = {"there": look.there, "problem": watched.problem, "version": watched.version}
        return as_data({**outlook(look, Costs({}, {}, 1.0)), **said}).encode()

    with serve(Site(watched.page, progress, store.path, watched.files), 0) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield SimpleNamespace(url=server.url, begin=begin, end=end, store=store, leases=leases, server=server)
        server.shutdown()
        thread.join()
    leases.close()


@pytest.fixture
def visit(browser, folder):
    """Opens the page; nobody else may have been asked, and nothing complained of."""
    contexts, complaints, requests = [], [], []

    def open_page(state="", width=1280, height=900, **options):
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(8000)
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: requests.append(request.url.partition("#")[0]))
        page.goto(folder.url + state)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []
    assert set(requests) == {folder.url, f"{folder.url}progress.json"}


def counts(page, words):
    page.evaluate(NOW)
    page.locator("#live .counts", has_text=words).wait_for()


def all_of(folder, seed):
    for task in ("sotu", "toy"):
        for model in MODELS:
            folder.end(task, model, seed)


def test_progress_moves_and_the_page_comes_with_the_first_result(visit, folder):
    page = visit()
    assert page.locator("#live .none").inner_text() == "No run has finished."
    curve = {"curves": {"nll_valid": ((1.0, 9.0), (2.0, 5.0), (3.0, 4.0))}, "phases": (("mle", 0), (NASTY, 2))}
    folder.begin("toy", "seqgan", 0, phase=NASTY, done=3, steps=8, scalars={"nll_valid": 4.0, "loss": 0.5}, **curve)
    counts(page, "12 runs: 0 done, 1 under way, 11 waiting")
    card = page.locator("#live .run")
    text = card.inner_text()
    for words in (
        "seqgan",
        "toy, smoke, seed 0",
        f"{NASTY}, step 3 of 8",
        "nll_valid 4",
        "loss 0.5",
        "about 3 min 20 s",
    ):
        assert words in text
    label = card.locator(".spark").get_attribute("aria-label")
    assert label == "nll_valid of seqgan so far, from 9 to 4 after 3 steps"
    folder.begin("toy", "seqgan", 0, phase="adversarial", done=4, steps=8)
    page.evaluate(NOW)
    page.locator("#live .run", has_text="adversarial, step 4 of 8").wait_for()
    folder.end("toy", "mle", 0)
    folder.end("toy", "bigram", 0, status="failed", reason=NASTY)
    page.evaluate(NOW)
    page.locator("section.task .provisional", has_text="2 of 6 runs have ended").wait_for()  # it loaded itself again
    assert page.locator("section.task h2").inner_text() == "toy, smoke"
    assert not page.locator(".answers").count()
    page.locator("#live .more:visible summary", has_text="1 failed").click()
    assert f"toy bigram seed 0: {NASTY}" in page.locator("#live .more:visible").inner_text()
    assert page.title() == "Leaderboard: toy, smoke"


def test_the_reader_stays_where_he_was(visit, folder):
    all_of(folder, 0)
    folder.begin("toy", "mle", 1)
    page = visit("#task=toy%2C+smoke&sort=-nll_test", height=500)
    section = page.locator("section.task:visible")
    section.locator(".parts summary").first.click()
    heading = section.locator(".parts h3")
    heading.evaluate("each => window.scrollTo(0, window.scrollY + each.getBoundingClientRect().top - 30)")
    assert heading.bounding_box()["y"] == pytest.approx(30, abs=1)
    focused = (
        "document.activeElement.closest('tr').querySelector('.model').textContent + document.activeElement.className"
    )
    section.locator(".board tbody tr", has_text="seqgan").locator(".cell").nth(1).evaluate(
        "each => each.focus({preventScroll: true})"
    )
    assert page.evaluate(focused) == "seqgancell"
    old = page.locator("#live").get_attribute("data-version")
    folder.end("toy", "mle", 1, value=1.234)
    folder.begin("toy", "seqgan", 1)
    folder.begin("toy", "bigram", 1)
    folder.end("toy", "seqgan", 1)
    folder.end("toy", "bigram", 1)
    page.evaluate(IDLE)
    page.evaluate(NOW)
    page.locator(f'#live:not([data-version="{old}"])').wait_for(state="attached")
    assert page.evaluate(focused) == "seqgancell"
    assert "sort=-nll_test" in page.url
    assert page.locator("section.task:visible h2").inner_text() == "toy, smoke"
    assert page.locator("section.task:visible .board tbody .model").all_inner_texts() == ["bigram", "seqgan", "mle"]
    assert page.locator("section.task:visible .parts h3").bounding_box()["y"] == pytest.approx(30, abs=3)
    assert page.locator("section.task:visible .parts details").first.get_attribute("open") is not None


def test_it_waits_while_a_dialog_is_open_or_somebody_types_and_can_be_told_to(visit, folder):
    all_of(folder, 0)
    folder.begin("toy", "mle", 1)
    page = visit()
    cell = page.locator(".board:visible tbody .cell").first
    cell.click()
    old = page.locator("#live").get_attribute("data-version")
    folder.end("toy", "mle", 1)
    page.evaluate(IDLE)
    page.evaluate(NOW)
    page.locator("#live button:not([hidden])", has_text="Show new results").wait_for(state="attached")
    assert page.locator("#detail").is_visible()
    assert page.locator("#live").get_attribute("data-version") == old
    page.keyboard.press("Escape")
    page.locator("input[type=search]:visible").press_sequentially("ml")
    page.evaluate(NOW)
    page.wait_for_timeout(300)
    assert page.locator("#live").get_attribute("data-version") == old
    page.locator("#live").get_by_label("Refresh by itself").uncheck()
    page.get_by_role("button", name="Show new results").click()
    page.locator(f'#live:not([data-version="{old}"])').wait_for(state="attached")
    assert page.locator("input[type=search]:visible").input_value() == "ml"
    assert page.locator(".board:visible tbody .model").all_inner_texts() == ["mle"]
    assert not page.locator("#live").get_by_label("Refresh by itself").is_checked()


def test_axe_finds_nothing_serious_and_a_phone_is_wide_enough(visit, folder):
    axe = pytest.importorskip("axe_playwright_python", reason="NOT TESTED BY AXE: axe-playwright-python is not there")
    all_of(folder, 0)
    folder.end("sotu", "mle", 1, status="failed", reason="expected a|b, got nothing")
    for model in MODELS:
        folder.begin("toy", model, 1, curves={"loss": ((1.0, 3.0), (2.0, 2.0), (9.0, 1.0))}, scalars={"loss": 1.0})
    page = visit(width=360, height=740, color_scheme="light")
    page.locator("#live summary", has_text="3 runs under way").click()  # on a phone they are folded
    page.locator("#live .run").nth(2).wait_for()
    page.locator("#live .more:visible summary").click()
    page.reload()
    page.locator("#live .run").nth(2).wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    page.evaluate((resources.files(axe) / "axe.min.js").read_text(encoding="utf-8"))
    for _ in range(2):
        found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
        serious = {each["id"]: each["nodes"][0]["html"] for each in found if each["impact"] in ("serious", "critical")}
        assert serious == {}
        page.locator("#theme").click()


def test_a_server_that_has_ended_is_said(browser, folder):
    all_of(folder, 0)
    page = browser.new_page()
    page.goto(folder.url)
    page.locator("#live .counts", has_text="6 done").wait_for()
    page.route("**/progress.json", lambda route: route.abort())
    page.evaluate(NOW)
    page.locator("#live .muted", has_text="is bench watch still running?").wait_for()
    assert page.locator("section.task:visible h2").inner_text() == "sotu, smoke"
    page.unroute("**/progress.json")
    page.evaluate(NOW)
    page.locator("#live .muted", has_text="as of").wait_for()
    assert json.loads(page.evaluate("sessionStorage.getItem('live')"))["data"]["counts"]["done"] == 6
    page.close()
