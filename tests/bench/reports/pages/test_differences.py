"""Differences between files as a table, in words, as JSON and as CSV."""

from __future__ import annotations

import csv
import io
import json
import sys
from types import SimpleNamespace

import pytest
from rich.console import Console

from bench.analysis.stats import holm
from bench.metrics.base import Estimate
from bench.metrics.signature import Signature
from bench.metrics.text.report import Difference, Report, Row
from bench.reports.pages.differences import judged
from bench.reports.pages.scores import as_csv, as_json, as_rows, page
from bench.reports.terminal import render


def estimate(metric, value, direction="higher", unit=""):
    signature = Signature.of(n=100, v=1)
    return Estimate(metric, value, unit, direction, signature, None, None, "mean", value - 0.01, value + 0.01)


def difference(metric, value, p, direction="higher", unit="", name="b.txt", **others):
    low, high = (None, None) if p is None else (value - 0.02, value + 0.02)
    others = {"test": "" if p is None else "bootstrap", "nearer_p": p, **others}
    return Difference(name, "a.txt", metric, value, unit, direction, low, high, p, **others)


def report(*found, copy=(0.0, 0.0, 0.0)):
    metrics = {each.metric: each for each in found}
    rows = []
    for name, copied in zip(("a.txt", "b.txt", "real text"), copy, strict=True):
        scores = [estimate(metric, 0.5, each.direction, each.unit) for metric, each in metrics.items()]
        if "copy_6gram" not in metrics:
            scores.append(estimate("copy_6gram", copied, "lower"))
        rows.append(Row(name, name == "real text", 100, tuple(scores)))
    return Report(tuple(rows), ("A note.",), (tuple(found),))


def outcomes(*found, **others):
    ((*each,),) = judged(report(*found, **others))
    return [(one.outcome, one.why) for one in each]


def shown(made, width=100):
    console = Console(width=width, file=io.StringIO(), color_system=None)
    console.print(render(page(made, width), padding=1))
    return console.file.getvalue()


def test_outcomes_follow_the_direction_of_a_metric():
    assert outcomes(
        difference("bleu2", 0.1, 1e-4),
        difference("bleu3", -0.1, 1e-4),
        difference("length_distance", 0.1, 1e-4, "lower", "words"),
        difference("ms_jaccard4", 0.1, 0.5),
        difference("self_bleu2", 0.1, 1e-4, "real", nearer=True),
        difference("self_bleu3", 0.1, 1e-4, "real", nearer=False),
        difference("self_bleu4", 0.1, 1e-4, "real", nearer=False, nearer_p=0.01),  # 0.09 after correction
        difference("self_bleu5", -0.1, 1e-4, "real", nearer=True, nearer_p=None),
        difference("copy_sequence", -0.1, 1e-4, "lower"),  # copying little is no merit
        difference("distinct2", 0.1, None, "real", untested="it has too few"),
        difference("distinct3", 0.0, None, "real", untested="identical"),
    ) == [
        ("better", None),
        ("worse", None),
        ("worse", None),
        ("not separable", None),
        ("nearer", None),
        ("farther", None),
        ("higher", None),
        ("lower", None),
        ("lower", None),
        ("not tested", "it has too few"),
        ("identical", "identical"),
    ]


def test_p_is_corrected_for_all_files_and_metrics():
    ps = [[0.01, 0.03, None], [0.02, 0.001, 0.2]]
    found = tuple(
        tuple(difference(f"x{place}", 0.1, p, name=name) for place, p in enumerate(part))
        for name, part in zip("bc", ps, strict=True)
    )
    made = Report((Row("a", False, 9, ()), Row("b", False, 9, ()), Row("c", False, 9, ())), (), found)
    corrected = [[each.corrected_p for each in part] for part in judged(made)]
    one, two, three, four, five = holm([0.01, 0.03, 0.02, 0.001, 0.2])
    assert corrected == [[one, two, None], [three, four, five]]
    assert [each.outcome for each in judged(made)[1]] == ["not separable", "better", "not separable"]


@pytest.fixture
def copying(monkeypatch):
    """Stands in for the rule of what copies: more than 0.1 above real text."""

    def copiers(frame):
        real = frame.loc[frame["model"] == "real data", "value"].max()
        above = frame[(frame["model"] != "real data") & (frame["value"] > real + 0.1)]
        return {
            ("", "", row.model, "final"): f"copies training text: {row.metric} {row.value}"
            for row in above.itertuples()
        }

    monkeypatch.setitem(sys.modules, "bench.analysis.copying", SimpleNamespace(copiers=copiers))


def test_a_file_that_copies_is_not_better(copying):
    found = (
        difference("bleu2", 0.1, 1e-4),
        difference("bleu3", -0.1, 1e-4),
        difference("self_bleu2", 0.1, 1e-4, "real", nearer=True),
        difference("bleu4", 0.1, 0.9),
    )
    why = "b.txt copies training text: copy_6gram 0.4"
    expected = [("no verdict", why), ("worse", None), ("no verdict", why), ("not separable", None)]
    assert outcomes(*found, copy=(0.0, 0.4, 0.1)) == expected
    why = "a.txt copies training text: copy_6gram 0.4"
    expected = [("better", None), ("no verdict", why), ("nearer", None), ("not separable", None)]
    assert outcomes(*found, copy=(0.4, 0.15, 0.1)) == expected
    assert outcomes(*found, copy=(0.15, 0.15, 0.1))[0] == ("better", None)


def test_the_table_and_the_words():
    made = report(
        difference("bleu2", 0.1, 1e-7),
        difference("length_mean", -12.0, 0.02, "real", "words", nearer=True),
        difference("vocabulary", -1234.0, 0.9, "real", "types"),
        difference("self_bleu2", 0.1, None, "real", untested="there is too little"),
        difference("self_bleu3", None, None, "real", untested="n differs"),
    )
    lines = [" ".join(line.split()) for line in shown(made).splitlines()]
    assert "b.txt minus a.txt difference 95 % interval p (Holm) outcome" in lines
    assert "bleu2 ↑ +0.100 +0.080 to +0.120 < 0.0001 better" in lines
    assert "length_mean → words -12.00 -12.02 to -11.98 0.04 nearer" in lines
    assert "vocabulary → types -1,234 -1,234 to -1,234 0.9 not separable" in lines
    assert "self_bleu2 → +0.100 not tested" in lines
    text = " ".join(lines)
    assert (
        "b.txt, beside a.txt, is better in bleu2 nearer to real text in length_mean not separable in vocabulary" in text
    )
    assert "not tested in self_bleu2: there is too little" in text
    assert "not tested in self_bleu3: n differs" in text
    assert "for all 3 comparisons shown" in text
    assert max(map(len, shown(made, 80).splitlines())) <= 80


def test_identical_files_have_no_table():
    text = shown(report(*(difference(f"bleu{n}", 0.0, None, untested="identical") for n in (2, 3))))
    assert "b.txt and a.txt have the same lines: there is no difference to test." in text
    assert "minus" not in text.partition("Differences are")[0]


def test_json_and_csv_have_the_same_differences():
    made = report(difference("bleu2", 0.1, 0.01), difference("self_bleu3", None, None, "real", untested="n differs"))
    found = json.loads(as_json(made))
    assert found["schema"] == 1
    assert found["differences"] == [
        {
            "name": "b.txt", "metric": "bleu2", "baseline": "a.txt", "difference": 0.1, "difference_low": 0.08,
            "difference_high": 0.12000000000000001, "p": 0.01, "corrected_p": 0.01, "test": "bootstrap",
            "outcome": "better", "untested": None,
        },
        {
            "name": "b.txt", "metric": "self_bleu3", "baseline": "a.txt", "difference": None, "difference_low": None,
            "difference_high": None, "p": None, "corrected_p": None, "test": None, "outcome": "not tested",
            "untested": "n differs",
        },
    ]  # fmt: skip
    assert "Holm" in found["comparison"]
    rows = list(csv.DictReader(io.StringIO(as_csv(made))))
    assert [(row["name"], row["metric"], row["difference"], row["outcome"]) for row in rows if row["baseline"]] == [
        ("b.txt", "bleu2", "0.1", "better"),
        ("b.txt", "self_bleu3", "", "not tested"),
    ]
    assert len(rows) == 9
    assert list(rows[0])[-9:] == ["baseline", "difference", "difference_low", "difference_high", "p", "corrected_p",
                                  "test", "outcome", "untested"]  # fmt: skip


def test_one_file_has_neither():
    made = report(difference("bleu2", 0.1, 0.01))
    alone = Report(made.rows[::2], made.notes)
    assert "differences" not in json.loads(as_json(alone))
    assert list(as_rows(alone)[0])[-1] == "absent"
