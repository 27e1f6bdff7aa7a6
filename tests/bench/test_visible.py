"""Text from elsewhere: what a terminal, a page or a spreadsheet would do with it is not done."""

from __future__ import annotations

import csv
import io
import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.visible import cell, uncell, visible


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_nothing_is_left_that_is_obeyed_and_lines_stay(text):
    shown = visible(text)
    left = {c for c in shown if unicodedata.category(c) == "Cc"}
    assert left <= {"\n", "\t"}
    assert shown.count("\n") == text.count("\n")
    assert visible(shown) == shown
    if not {c for c in text if unicodedata.category(c) in ("Cc", "Cf")}:
        assert shown == text


def test_joiners_are_part_of_words():
    assert (
        visible("\u0dc3\u0dca\u200d\u0db8 \U0001f469\u200d\U0001f680")
        == "\u0dc3\u0dca\u200d\u0db8 \U0001f469\u200d\U0001f680"
    )


@given(st.text(st.characters(exclude_categories=["Cs", "Cc", "Cf"])))
def test_a_cell_can_be_read_back(text):
    assert uncell(cell(text)) == text


@pytest.mark.parametrize(
    "text", ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "\uff1d1", "'=1"]
)
def test_no_cell_is_a_formula(text):
    assert cell(text)[0] == "'"


@pytest.mark.parametrize("value", [1, -0.5, None, True, "-0.5", "+1e3", "a=b", "mle", "", "it's"])
def test_what_is_no_formula_stays_as_it_is(value):
    assert cell(value) == value


def test_scores_of_a_file_with_a_strange_name(bench, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name = "=1+1\x1b[31m.txt"
    (tmp_path / name).write_text("a cat sat\n" * 3)
    (tmp_path / "r.txt").write_text("a cat ran\nthe dog sat\n")
    asked = ("score", name, "--references", "r.txt", "--metrics", "length")
    answer = bench(*asked, "--format", "csv")
    assert answer.code == 0
    assert next(csv.DictReader(io.StringIO(answer.out)))["name"] == "'=1+1␛[31m.txt"
    assert "\x1b" not in answer.out + answer.err
    assert "\x1b" not in (answer := bench(*asked)).out
    assert "=1+1␛[31m.txt" in "".join(answer.out.split())
    assert json.loads(bench(*asked, "--format", "json").out)["rows"][0]["name"] == name
    answer = bench("score", "missing\x1b[2J.txt", "--references", "r.txt")
    assert (answer.code, answer.err) == (2, "bench: cannot read 'missing␛[2J.txt': No such file or directory.\n")
