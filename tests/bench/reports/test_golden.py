"""Whole pages as they were: any change of a page shows here as a difference, to be accepted on purpose.

``tests/golden/store`` holds the records of a benchmark of all models on ``toy`` and ``sotu-obama`` (smoke, two seeds),
written by version 0.1.0 at commit 285e706. They also represent the records that users keep: later versions must read
them. To accept what changed: ``GOLDEN=write pytest tests/bench/reports/test_golden.py``.
"""

import difflib
import io
import json
import os
import re
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console

from bench.analysis import accepted, answers
from bench.analysis.compare import compare
from bench.analysis.leaderboard import write_csv
from bench.analysis.results import Results
from bench.metrics.text.report import Text
from bench.metrics.text.scoring import score
from bench.perf import change as throughput_change
from bench.perf import throughput
from bench.records.frames import as_rows
from bench.records.store import Store
from bench.reports import markdown, terminal
from bench.reports.pages import comparison as verdict_table
from bench.reports.pages import leaderboard as tables
from bench.reports.pages import scores as score_table
from bench.reports.pages import summary

ROOT = Path(__file__).parents[3]
GOLDEN = ROOT / "tests" / "golden"
FIGURES = [("a figure, with | and _marks_", "figures/one.png"), ("another", "figures/two.png")]


@pytest.fixture(scope="module")
def recorded():
    """What the records of the golden store say."""
    frames = Store(GOLDEN / "store").load()
    return Results(frames.runs, frames.scores, frames.curves, frames.frontier)


@pytest.fixture(scope="module")
def compared(results):
    """The made-up results against a changed copy of themselves: some cells of every verdict that two seeds allow."""
    base = accepted.tidy(results.runs, results.scores)
    scores = results.scores.copy()
    worse = (scores["model"] == "seqgan") & (scores["metric"] == "nll_test")
    scores.loc[worse, "value"] += 0.5 + 0.01 * scores.loc[worse, "seed"]
    better = (scores["model"] == "random") & (scores["metric"] == "bleu2")
    scores.loc[better, "value"] += 0.3 + 0.001 * scores.loc[better, "seed"]
    moved = (scores["model"] == "real data") & (scores["metric"] == "self_bleu4")
    scores.loc[moved, "value"] += 0.01
    signed = (scores["model"] == "mle") & (scores["metric"] == "bleu4")
    scores.loc[signed, "signature"] = "n=10000|refs=test:10000|smooth=2"
    scores = scores[~((scores["model"] == "uniform") & (scores["metric"] == "copy_8gram"))]
    return compare(base, accepted.tidy(results.runs, scores))


def golden(name, text):
    """Compare a text with the file of that name; numbers to ten digits, since the last ones depend on the processor."""
    file = GOLDEN / "pages" / name
    text = re.sub(r"\d+\.\d{10,}(e-?\d+)?", lambda found: f"{float(found[0]):.10g}", text)
    if os.environ.get("GOLDEN") == "write":
        file.parent.mkdir(exist_ok=True)
        file.write_text(text, encoding="utf-8", newline="\n")
    kept = file.read_text(encoding="utf-8")
    changes = difflib.unified_diff(kept.splitlines(), text.splitlines(), name, "now", lineterm="", n=1)
    assert text == kept, "\n".join(list(changes)[:60])


def on_terminal(document, width, padding=0):
    """What a terminal of this width gets, bold letters included."""
    stream = io.StringIO()
    console = Console(file=stream, width=width, force_terminal=True, color_system="standard", legacy_windows=False)
    console.print(terminal.render(document, padding))
    return stream.getvalue()


def test_old_records_keep_their_names(recorded):
    files = [path.stem.split(".") for path in sorted((GOLDEN / "store" / "runs").glob("*.json"))]
    names = {(run["task"], run["model"], f"s{run['seed']}", run["run_id"]) for run in as_rows(recorded.runs)}
    assert {(task, model.replace(" ", "-"), seed, run_id) for task, model, _, seed, run_id in files} == {
        (task, model.replace(" ", "-"), seed, run_id) for task, model, seed, run_id in names
    }
    assert len(names) == 56


@pytest.mark.parametrize("name", ["recorded", "results"])
def test_leaderboard(name, request, tmp_path):
    results = request.getfixturevalue(name)
    golden(f"{name}.md", markdown.render(tables.page(results, FIGURES)))
    golden(f"{name}.terminal.txt", on_terminal(summary.page(results), 80))
    write_csv(tmp_path / "leaderboard.csv", results.board)
    golden(f"{name}.csv", (tmp_path / "leaderboard.csv").read_text(encoding="utf-8"))
    write_csv(tmp_path / "verdicts.csv", answers.table(results.answers))
    golden(f"{name}.verdicts.csv", (tmp_path / "verdicts.csv").read_text(encoding="utf-8"))


@pytest.mark.parametrize(("form", "ending"), [("text", "txt"), ("markdown", "md"), ("junit", "xml")])
def test_comparison(compared, form, ending):
    golden(f"comparison.{ending}", verdict_table.FORMATS[form](compared))


@pytest.mark.parametrize(
    ("name", "protocol", "with_train"), [("train", "", True), ("references", "", False), ("relgan", "relgan", False)]
)
def test_scores(name, protocol, with_train):
    from bench.metrics.protocols import OURS, PROTOCOLS

    def text(path):
        return Text(path.name, tuple(path.read_text(encoding="utf-8").splitlines()))

    corpus = ROOT / "bench" / "corpora" / "sotu-obama"
    samples = [text(ROOT / "results" / "samples" / f"sotu-{model}.txt") for model in ("mle", "pg-bleu")]
    shorter = Text("shorter.txt", (*samples[0].lines[:150], "", "the <unk> of <unk>"))
    train = text(corpus / "train.txt") if with_train else None
    chosen = PROTOCOLS[protocol] if protocol else OURS
    report = score([*samples, shorter], text(corpus / "test.txt"), train, "space", None, chosen)
    golden(f"score-{name}.txt", on_terminal(score_table.page(report, 100), 100, padding=1))
    golden(f"score-{name}.json", score_table.as_json(report))
    golden(f"score-{name}.csv", score_table.as_csv(report))


def test_throughput():
    report = json.loads((ROOT / "results" / "throughput.json").read_text(encoding="utf-8"))
    table = throughput.frame(report)
    page = throughput.page(table, report["datetime"][:10], ["a note."], "figures/throughput.png")
    golden("throughput.md", markdown.render(page))
    golden("throughput.terminal.txt", on_terminal(throughput.brief(table), 100))
    runs = throughput.frame({**report, "benchmarks": report["benchmarks"][:12]})
    slower = runs.assign(median_s=runs["median_s"] * 1.5)
    changed = throughput_change.changes(pd.concat([runs.assign(side="base"), slower.assign(side="head")]), runs)
    golden("throughput-compare.md", markdown.render(throughput_change.page(changed, ["Base: one", "Head: another"])))
    golden("throughput-compare.terminal.txt", on_terminal(throughput_change.brief(changed), 100))
