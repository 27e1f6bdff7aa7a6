"""What the tests of the pages share."""

import os
import shutil
from dataclasses import replace

import pandas as pd
import pytest


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


@pytest.fixture(scope="session")
def browser():
    """One browser for all tests: Debian's ``chromium``, or the path in ``CHROMIUM``."""
    playwright = pytest.importorskip("playwright.sync_api", reason="NOT TESTED IN A BROWSER: no Playwright")
    named = (os.environ.get("CHROMIUM"), *map(shutil.which, ("chromium", "chromium-browser")))
    path = next(filter(None, named), None)
    if not path:
        pytest.skip("NOT TESTED IN A BROWSER: there is no Chromium")
    sandbox = [] if os.geteuid() else ["--no-sandbox"]
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=sandbox)
        yield browser
        browser.close()
