"""What the tests of the pages share."""

import os
import shutil
import tarfile
from dataclasses import replace
from importlib import resources
from pathlib import Path

import pandas as pd
import pytest

from bench.analysis import throughput
from bench.analysis.results import Results
from bench.records.store import Store

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
