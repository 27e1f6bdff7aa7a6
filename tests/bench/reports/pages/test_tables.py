"""Tables for papers and programs: the same cells in four formats, those of the leaderboard."""

import csv
import io
import json
import math
import re
from dataclasses import replace

import pandas as pd
import pytest

from bench.errors import UsageError
from bench.records.frames import as_rows
from bench.reports import markdown
from bench.reports.pages import leaderboard
from bench.reports.pages.tables import ALL, COLUMNS, FORMATS, as_csv, as_json, as_latex, as_markdown, chosen

NASTY = r"a_b%$&#~^\{x}|<i>*é床"


@pytest.fixture
def tables(results):
    return chosen(results, [ALL])


def lines(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_the_headline_is_a_table_for_each_task_and_all_are_all_themes(results, tables):
    assert [(each.section.title, each.name) for each in chosen(results)] == [
        ("oracle, quick", "headline"),
        ("quatrains, quick", "headline"),
    ]
    names = [each.name for each in tables if each.section.title.startswith("oracle")]
    assert names[:2] == ["headline", "Likelihood and divergence"]
    assert names[-1] == "Costs"
    assert [each.name for each in chosen(results, ["likelihood", "COSTS"])] == [
        "Likelihood and divergence",
        "Costs",
    ] * 2
    headline, *_ = chosen(results)
    assert headline.metrics == ("jsd_token", "nll_test", "nll_oracle", "copy_8gram", "seconds")
    assert {checkpoint for _, checkpoint in headline.rows} == {"final"}
    assert len(chosen(results, steps=True)[0].rows) > len(headline.rows)


def test_csv_has_a_line_for_each_cell_with_every_digit(results, tables):
    found = lines(as_csv(tables))
    assert tuple(found[0]) == COLUMNS
    assert len(found) == sum(len(table.metrics) * len(table.rows) for table in tables)
    board = {(row["task"], row["model"], row["checkpoint"], row["metric"]): row for row in as_rows(results.board)}
    checked = 0
    for line in found:
        row = board.get((line["task"], line["model"], line["checkpoint"], line["metric"]))
        if row is None or not row["n"]:
            assert (line["mean"], line["n"]) == ("", "0")
            assert line["absent"]
            continue
        checked += 1
        assert line["absent"] == ""
        for name in ("mean", "low", "high"):
            assert math.isnan(row[name]) if line[name] == "" else float(line[name]) == row[name]
        assert (int(line["n"]), line["signature"]) == (row["n"], row["signature"])
        assert line["unranked_because"] == ("" if pd.isna(row["unranked_because"]) else row["unranked_because"])
    assert checked > 60
    reasons = {line["absent"] for line in found if line["model"] == "broken"}
    assert reasons == {"failed: ValueError: expected a|b, got <None>"}


def test_the_best_is_what_the_leaderboard_has_in_bold_or_italics(results, tables):
    won = {
        (line["task"], line["metric"]): (line["model"], line["best"]) for line in lines(as_csv(tables)) if line["best"]
    }
    wanted = {}
    for section in results.sections():
        for metric, best in section.best.items():
            task = section.title.partition(",")[0]
            wanted[task, metric] = (best.model, "better" if best.firm else "better, if seeds scatter normally")
    assert won == {
        key: value for key, value in wanted.items() if key[1] in {row["metric"] for row in lines(as_csv(tables))}
    }
    assert ("mle", "better, if seeds scatter normally") in won.values()
    page = as_latex(chosen(results, ["headline"]))
    assert r"\emph{3.150 $\pm$ 0.051}" in page
    assert "Italics: better than every other contender, if seeds scatter normally." in page


def test_json_is_strict_and_says_the_same_as_csv(tables):
    def refuse(constant):
        raise AssertionError(constant)

    content = json.loads(as_json(tables), parse_constant=refuse)
    assert content["schema"] == 1
    flat = [
        {"task": table["task"], "preset": table["preset"], "table": table["table"], **row, **score}
        for table in content["tables"]
        for row in table["rows"]
        for score in row["scores"]
    ]
    told = lines(as_csv(tables))
    assert len(flat) == len(told)
    for one, other in zip(flat, told, strict=True):
        assert {name: "" if one[name] is None else str(one[name]) for name in COLUMNS} == other
    first = content["tables"][0]
    assert first["columns"][0] == {"metric": "jsd_token", "unit": "nats/token", "direction": "lower"}
    assert any("No rank" in note for table in content["tables"] for note in table["notes"])


def test_markdown_has_the_cells_of_the_leaderboard(results):
    whole = markdown.render(leaderboard.page(results))
    text = as_markdown(chosen(results, ["likelihood"]))
    cells = re.findall(r"\d\.\d+ ± \d\.\d+", text)
    assert len(cells) > 15
    assert all(cell in whole for cell in cells)
    assert text.startswith("oracle, quick: Likelihood and divergence. Mean ± half of Student's 95 % interval")
    assert "- broken: failed: ValueError: expected a\\|b, got \\<None>." in text


def test_the_same_number_of_seeds_is_said_once(results):
    text = as_markdown(chosen(results, metrics=["nll_test"]))
    assert "(n=3)" not in text
    assert re.search(r"\| mle +\| +\*7\.700 ± 0\.050\* +\| +3 \|", text)


def test_columns_are_chosen_in_the_given_order(results):
    (only,) = chosen(results, metrics=["kl_forward", "nll_oracle"])
    assert (only.section.title, only.metrics) == ("oracle, quick", ("kl_forward", "nll_oracle"))
    with pytest.raises(UsageError, match=r"unknown metric 'bleu'\. Did you mean 'bleu4'"):
        chosen(results, metrics=["bleu"])


def test_latex_has_captions_labels_units_groups_and_notes(results):
    text = as_latex(chosen(results))
    assert text.count(r"\begin{table}") == text.count(r"\end{table}") == 2
    for words in (
        r"\caption{oracle, quick: headline. Mean $\pm$ half of Student's 95 \% interval over n seeds.",
        r"$\downarrow$ lower is better.", r"\label{tab:oracle-quick-headline}", r"\label{tab:quatrains-quick-headline}",
        r"jsd\_token $\downarrow$ \\ {\footnotesize nats/token}", r"\multicolumn{7}{l}{\emph{Controls}} \\",
        r"\dag{} No rank, and never called better.", r"broken: failed: ValueError: expected a\textbar{}b, got",
    ):  # fmt: skip
        assert words in text, words
    assert text.isascii()


def test_marked_rows_of_models_with_a_colon_in_their_names_have_their_reasons(results):
    frames = [
        frame.assign(model=frame["model"].replace("uncertain", "samples:mine.txt"))
        for frame in (results.runs, results.scores, results.curves, results.frontier)
    ]
    renamed = replace(results, **dict(zip(("runs", "scores", "curves", "frontier"), frames, strict=True)))
    marked = [label for label in as_markdown(chosen(renamed)).splitlines() if "samples:mine.txt †" in label]
    noted = [line for line in as_markdown(chosen(renamed)).splitlines() if line.startswith("- †")]
    assert bool(marked) == any("samples:mine.txt: " in line for line in noted)


@pytest.mark.parametrize("form", FORMATS)
def test_hostile_names_stay_text(results, form):
    frames = [frame.assign(model=frame["model"].replace("mle", NASTY)) for frame in (results.runs, results.scores)]
    renamed = replace(results, runs=frames[0], scores=frames[1])
    text = FORMATS[form](chosen(renamed))
    if form == "json":
        assert NASTY in {row["model"] for table in json.loads(text)["tables"] for row in table["rows"]}
    elif form == "csv":
        assert NASTY in {line["model"] for line in lines(text)}
    elif form == "markdown":
        assert r"a_b%\$&#\~^\\{x}\|\<i>\*é床" in text
    else:
        assert (
            r"a\_b\%\$\&\#\textasciitilde{}\textasciicircum{}\textbackslash{}\{x\}\textbar{}\textless{}i\textgreater{}"
            r"{*}\'{e}\benchtext{床}{U+5E8A} & \emph{0.0120" in text
        )
    assert FORMATS[form](chosen(renamed)) == text
