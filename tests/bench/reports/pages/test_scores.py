"""Scores as a table, as JSON and as CSV."""

import csv
import io
import json
from dataclasses import replace

import pytest
from rich.console import Console

from bench.metrics.base import Estimate
from bench.metrics.signature import Signature
from bench.metrics.text.report import Report, Row
from bench.reports.pages.scores import as_csv, as_json, page
from bench.reports.terminal import render


def made(metric, value, low, high, interval, n, unit, direction, references="", absent=None):
    signature = Signature.of(n=n, refs=references, v=1) if references else Signature.of(n=n, v=1)
    return Estimate(metric, value, unit, direction, signature, absent, None, interval, low, high)


def scores(shift=0.0, n=1000):
    return (
        made("bleu2", 0.5 + shift, 0.482 + shift, 0.52 + shift, "mean", n, "", "higher", "test:9"),
        made("bleu3", 0.25, 0.2, 0.31, "mean", n, "", "higher", "test:9"),
        made("self_bleu2", 0.75, 0.7, 0.812, "leave-one-out", n, "", "real"),
        made("copy_sequence", 0.0, 0.0, 0.037, "wilson", n, "", "lower"),
        made("copy_8gram", None, None, None, None, n, "", "lower", absent="give --train"),
        made("distinct2", 0.9, 0.8, 1.0, "leave-one-out", n, "", "real"),
        made("length_mean", 11.123, 11.0, 11.25, "mean", n, "words", "real"),
        made("vocabulary", 12345.0, 10345.0, 13345.0, "leave-one-out", n, "types", "real"),
        made("unseen_in_references", 0.5, None, None, None, n, "", "real"),
    )


def shown(report, width=100):
    console = Console(width=width, file=io.StringIO(), color_system=None)
    console.print(render(page(report, width), padding=1))
    return console.file.getvalue()


@pytest.fixture
def report():
    rows = (Row("runs/[bold]one.txt", False, 1000, scores()), Row("real text", True, 1000, scores(0.1)))
    return Report(rows, ("A note [of] its own.",))


def test_the_table_is_for_people(report):
    lines = [line.strip() for line in shown(report).splitlines()]
    body = [line.split("  ") for line in lines]
    cells = {line[0]: [cell.strip() for cell in line[1:] if cell.strip()] for line in body}
    assert lines[0].split("  ")[0] == "[bold]one.txt"
    assert lines[0].endswith("real text")
    assert cells["sequences"] == ["1,000", "1,000"]
    assert cells["bleu2 ↑"] == ["0.500 ± 0.019", "0.600 ± 0.019"]
    assert cells["bleu3 ↑"] == ["0.250 ± 0.055"] * 2
    assert cells["self_bleu2 →"] == ["0.750 ± 0.056"] * 2
    assert cells["copy_8gram ↓"] == ["n/a", "n/a"]
    assert cells["length_mean → words"] == ["11.12 ± 0.12"] * 2
    # Asymmetric, or cut off at 0 or 1: both ends, below the number.
    assert cells["copy_sequence ↓"] == ["0.000"] * 2
    assert cells["distinct2 →"] == ["0.900"] * 2
    assert cells["vocabulary → types"] == ["12,345"] * 2
    below = [
        lines[place + 1].split("  ") for place, line in enumerate(lines) if line.startswith(("copy_s", "dis", "voc"))
    ]
    assert [[cell.strip() for cell in line if cell.strip()] for line in below] == [
        ["[0.000, 0.037]"] * 2, ["[0.800, 1.000]"] * 2, ["[10345, 13345]"] * 2
    ]  # fmt: skip
    assert "A note [of] its own." in lines
    assert "No copy_8gram: give --train." in lines
    assert "bleu2, bleu3: n=1000|refs=test:9|v=1" in lines
    assert any(line.startswith("↓ lower is better") for line in lines)


def test_two_files_and_real_text_fit_a_terminal_of_80_places():
    rows = [Row(name, name == "real text", 1000, scores()) for name in ("one.txt", "two.txt", "real text")]
    headings, *lines = shown(Report(tuple(rows), ()), 80).splitlines()
    assert headings.split() == ["one.txt", "two.txt", "real", "text"]
    assert max(map(len, lines)) <= 80
    assert sum(line.count("[10345, 13345]") for line in lines) == 3


def test_what_real_text_alone_lacks_is_explained():
    first, real = (Row(name, name == "real", 9, scores()) for name in ("one.txt", "real"))
    lacking = replace(real.scores[2], value=None, low=None, high=None, absent="there are only 9 lines of real text")
    text = shown(Report((first, replace(real, scores=(*real.scores[:2], lacking, *real.scores[3:]))), ()))
    assert "No self_bleu2: there are only 9 lines of real text." in text


def test_files_that_do_not_fit_stand_in_another_table_with_real_text():
    rows = [Row(f"{place}/samples.txt", False, 1000, scores()) for place in "abcde"]
    report = Report((*rows, Row("real text", True, 1000, scores())), ())
    text = shown(report, 100)
    assert max(map(len, text.splitlines())) <= 100
    headings = [line.split() for line in text.splitlines() if "samples.txt" in line]
    assert headings == [
        ["a/samples.txt", "b/samples.txt", "c/samples.txt", "real", "text"],  # whole names: their ends are alike
        ["d/samples.txt", "e/samples.txt", "real", "text"],
    ]
    assert "…" not in text


def test_a_long_name_is_folded_and_no_number_is_cut():
    name = "a-very-long-name-of-a-file-with-samples-of-a-model-that-was-trained-for-long.txt"
    text = shown(Report((Row(name, False, 5, scores()), Row("real text", True, 5, scores())), ()), 60)
    assert text.count("0.500 ± 0.019") == 2
    assert "…" not in text


def test_metrics_that_some_rows_lack_are_not_available(report):
    first, real = report.rows
    text = shown(Report((first, Row(real.name, True, 5, real.scores[:2])), ()))
    line = next(line for line in text.splitlines() if "self_bleu2" in line)
    assert line.split()[-1] == "n/a"


def test_json_is_whole_and_strict(report):
    found = json.loads(as_json(report))
    assert found["schema"] == 1
    assert found["notes"] == ["A note [of] its own."]
    assert "1000 bootstrap means" in found["interval"]
    row = found["rows"][0]
    assert (row["name"], row["real"], row["n"]) == ("runs/[bold]one.txt", False, 1000)
    assert row["scores"][0] == {
        "metric": "bleu2", "value": 0.5, "low": 0.482, "high": 0.52, "interval": "mean", "n": 1000, "unit": "",
        "direction": "higher", "signature": "n=1000|refs=test:9|v=1", "absent": None,
    }  # fmt: skip
    assert row["scores"][4]["value"] is row["scores"][4]["interval"] is None
    assert row["scores"][4]["absent"] == "give --train"


def test_json_has_no_nan(report):
    bad = made("bleu2", 0.5, float("nan"), 1.0, "mean", 1, "", "higher")
    with pytest.raises(ValueError, match="JSON"):
        as_json(Report((Row("x", False, 1, (bad,)),), ()))


def test_csv_is_tidy(report):
    rows = list(csv.DictReader(io.StringIO(as_csv(report))))
    assert len(rows) == 18
    assert rows[0] == {
        "name": "runs/[bold]one.txt", "real": "False", "metric": "bleu2", "value": "0.5",
        "low": "0.482", "high": "0.52", "interval": "mean", "n": "1000", "unit": "", "direction": "higher",
        "signature": "n=1000|refs=test:9|v=1", "absent": "",
    }  # fmt: skip
    assert [row["value"] for row in rows if row["metric"] == "copy_8gram"] == ["", ""]
    assert [row["real"] for row in rows] == ["False"] * 9 + ["True"] * 9
