"""Where fields of a model differ between tasks, the page says which are of which."""

from __future__ import annotations

import pandas as pd

from bench.reports import markdown
from bench.reports.pages.provenance import settings


def test_settings_that_differ_between_tasks_name_them():
    rows = [("mle", "oracle", "lr=1"), ("mle", "sotu", "lr=2"), ("mle", "toy", "lr=1"), ("random", "sotu", "")]
    runs = pd.DataFrame([(*row, "quick") for row in rows], columns=["model", "task", "settings", "preset"])
    assert markdown.render(settings(runs)).splitlines()[2:] == [
        "All fields of each model:",
        "",
        "- mle (quick on oracle, toy): lr=1",
        "- mle (quick on sotu): lr=2",
        "- random (quick): no fields",
    ]
