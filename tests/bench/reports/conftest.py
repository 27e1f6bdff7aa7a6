"""What the tests of the pages share."""

import os
import shutil
from dataclasses import replace

import pandas as pd
import pytest

CHROMIUM = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)


@pytest.fixture(scope="module")
def browser():
    """One browser for all tests of a module, which are skipped where there is none."""
    if not CHROMIUM:
        pytest.skip("NOT TESTED IN A BROWSER: there is no Chromium")
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="NOT TESTED IN A BROWSER: Playwright is not installed"
    )
    sandbox = [] if os.geteuid() else ["--no-sandbox"]
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=sandbox)
        yield browser
        browser.close()


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
