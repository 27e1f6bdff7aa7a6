"""What the tests of the pages share."""

import os
import shutil
import tarfile
from dataclasses import replace
from importlib import resources
from pathlib import Path

import pandas as pd
import pytest

from bench.analysis import accepted, throughput
from bench.analysis.compare import compare
from bench.analysis.results import Results
from bench.records.frames import frames
from bench.records.store import Store
from bench.reports.pages.comparison_data import Side

GOLDEN = Path(__file__).parents[2] / "golden"
ARMS = Path(__file__).parents[3] / "results" / "arms"
CHROMIUM = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)


@pytest.fixture(scope="module")
def browser():
    """One browser for all tests of a file."""
    missing = "NOT TESTED IN A BROWSER: Playwright is not installed"
    playwright = pytest.importorskip("playwright.sync_api", reason=missing)
    if not CHROMIUM:
        pytest.skip("NOT TESTED IN A BROWSER: there is no Chromium")
    sandbox = [] if os.geteuid() else ["--no-sandbox"]
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=sandbox)
        yield browser
        browser.close()


@pytest.fixture
def visitor(browser):
    """Opens pages; afterwards nothing may have been complained of, nor asked of any other file or host.

    ``visitor(file, title, script)`` is a function that opens the file, whose title then begins so; the script comes
    before those of the page.
    """
    contexts, complaints, requests, files = [], [], [], []

    def opener(file, title, script=None):
        files.append(file)

        def open_page(state="", width=1280, height=900, **options):
            context = browser.new_context(viewport={"width": width, "height": height}, offline=True, **options)
            contexts.append((context, title))
            page = context.new_page()
            page.set_default_timeout(5000)
            if script:
                page.add_init_script(script)
            page.on("console", lambda message: complaints.append(message.text))
            page.on("pageerror", lambda error: complaints.append(str(error)))
            page.on("request", lambda request: requests.append(request.url))
            page.goto(file.as_uri() + state)
            return page

        return open_page

    yield opener
    for context, title in contexts:
        assert context.pages[0].title().startswith(title)
        context.close()
    assert complaints == []
    assert {url.partition("#")[0] for url in requests if not url.startswith("blob:")} == {
        file.as_uri() for file in files
    }


@pytest.fixture
def axe():
    """Loads axe-core into a page; then ``violations(rules)`` are the serious ones, by rule, with an element each."""
    missing = "NOT TESTED BY AXE: axe-playwright-python is not there"
    script = resources.files(pytest.importorskip("axe_playwright_python", reason=missing)) / "axe.min.js"

    def load(page):
        page.evaluate(script.read_text(encoding="utf-8"))

        def violations(rules=None):
            asked = {"resultTypes": ["violations"], **({"runOnly": rules} if rules else {})}
            found = page.evaluate("(asked) => axe.run(document, asked)", asked)["violations"]
            return {each["id"]: each["nodes"][0]["html"] for each in found if each["impact"] in ("serious", "critical")}

        return violations

    return load


@pytest.fixture(scope="session")
def arms(tmp_path_factory):
    """The results of all models on ``oracle``, as they are in ``results/arms``; read-only."""
    if not ARMS.is_dir():
        pytest.skip("the tests are not beside results/")
    folder = tmp_path_factory.mktemp("arms")
    with tarfile.open(ARMS / "records.tar.gz") as archive:
        wanted = [each for each in archive.getmembers() if Path(each.name).name.startswith("oracle.")]
        archive.extractall(folder, wanted, filter="data")
    (folder / "store.json").write_bytes((ARMS / "store.json").read_bytes())
    return Results.of(Store(folder).load())


COLUMNS = "kernel,variant,threads,shape,rounds,median_s,ratio,gflops,matmul_fraction,gbytes_per_s,copy_fraction"
TIMINGS = (
    ("rollouts", "fast", 2, "N=16 T=20", 5, 0.5, 4, 10, 0.25, None, None),
    ("rollouts", "reference", 2, "N=16 T=20", 5, 2.0, 1, 10, 0.125, None, None),
    ("rollouts", "fast", 2, "N=4 T=20", 5, 0.125, 4, 10, 0.25, None, None),
    ("<i>scoring</i>", "fast", 2, "N=16 T=20", 5, 0.25, None, None, None, 9, 1.5),
)
"""A kernel that reaches a quarter of its bound, and one that beats it."""


@pytest.fixture(scope="session")
def timings():
    """A ``throughput.csv`` as ``bench perf`` writes it."""
    table = pd.DataFrame(TIMINGS, columns=COLUMNS.split(","))
    facts = {"device": "cpu", "commit": "c0ffee", "dirty": False, "torch": "2.13.0", "machine": "a machine"}
    return table.assign(**facts).reindex(columns=throughput.COLUMNS).to_csv(index=False)


@pytest.fixture(scope="session")
def with_twin(results):
    """The made-up results with a control that is as good as the best contender, and another one just behind it."""
    frames = {}
    for name in ("runs", "scores"):
        frame = getattr(results, name)
        own = frame[(frame["task"] == "quatrains") & (frame["model"] == "mle")]
        copies = []
        for model, shift in (("twin", (1, -1, 1, -1, 0)), ("behind", (20, 21, 22, 20, 21))):
            copy = own.assign(model=model, run_id=model + own["run_id"], group_id=model)
            if name == "runs":
                copy["role"] = "control"
            else:
                copy["value"] += copy["metric"].eq("nll_test") * copy["seed"].map(dict(enumerate(shift))) * 0.002
            copies.append(copy)
        frames[name] = pd.concat([frame, *copies], ignore_index=True)
    return replace(results, **frames)


NASTY = "<script>document.title = 'hacked'</script>"
"""A name that would be a script, if anything obeyed it."""


@pytest.fixture(scope="session")
def sides():
    """The records of the golden store on ``toy``, before and after a change: some cells of most verdicts.

    After it, ``seqgan`` has another field and is worse in one score, better in one and signed anew in one; ``mle`` was
    made at another commit and lacks a score, one seed of ``random`` failed, ``uniform`` is gone, ``replay`` is new.
    """
    records = [
        replace(each, spec=replace(each.spec, model=NASTY if each.spec.model == "bigram" else each.spec.model))
        for each in Store(GOLDEN / "store").records()
        if each.spec.task == "toy" and each.spec.model in ("real data", "mle", "seqgan", "bigram", "random", "uniform")
    ]
    (replay, *_) = [each for each in Store(GOLDEN / "store").records() if each.spec.model == "replay"]
    replay = replace(replay, spec=replace(replay.spec, task="toy"))
    after = [changed for each in records if (changed := _changed(each)) is not None]
    found = []
    for name, own in (("before", records), ("after", [*after, replay])):
        loaded = frames(own)
        found.append(Side(name, accepted.tidy(loaded.runs, loaded.scores), tuple(own)))
    return tuple(found)


@pytest.fixture(scope="session")
def compared(sides):
    """What :func:`sides` says of the change."""
    return compare(*(side.scores for side in sides))


def _changed(record):
    """What a change makes of a record; None for one that it loses."""
    model, seed = record.spec.model, record.spec.seed
    if model == "uniform":
        return None
    if model == "random" and seed == 1:
        return replace(record, status="failed", reason=f"ValueError: {NASTY}", scores={})
    if model == "mle":
        final = tuple(score for score in record.scores["final"] if score.metric != "bleu3")
        environment = {**record.environment, "commit": "f" * 40}
        return replace(record, scores={**record.scores, "final": final}, environment=environment)
    if model == "seqgan":
        moved = {"nll_test": 0.5 + 0.0001 * seed, "bleu2": 0.1 + 0.0001 * seed}
        final = tuple(
            replace(score, signature=f"{score.signature}|v=next")
            if score.metric == "bleu5"
            else replace(score, value=score.value + moved[score.metric])
            if score.metric in moved
            else score
            for score in record.scores["final"]
        )
        spec = replace(record.spec, config={**record.spec.config, "lr": 0.5})
        return replace(record, spec=spec, scores={**record.scores, "final": final})
    return record
