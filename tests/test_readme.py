"""The README says what is true: its numbers are those of results/leaderboard.csv, its commands those of CI."""

import csv
import re
from importlib.metadata import entry_points
from pathlib import Path

from click.testing import CliRunner

from bench.cli import main

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PRETRAINED = "↳ its shared pre-training"


def excerpt_rows():
    """(task, model, checkpoint, metric, cell) of every cell of the README's leaderboard."""
    block = README.partition("<!-- leaderboard -->")[2].partition("<!-- /leaderboard -->")[0]
    task, header, model = "", [], ""
    for line in block.splitlines():
        if line.startswith("**"):
            task, header = line.strip("* ").split("**")[0], []
        if not line.startswith("|") or set(line) <= set("|-: ") or "*controls*" in line:
            continue
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not header:
            header = [re.sub(r" [↓↑→].*", "", cell) for cell in cells]
            continue
        checkpoint = "pretrained" if cells[0] == PRETRAINED else "final"
        model = model if checkpoint == "pretrained" else cells[0]
        for metric, cell in zip(header[1:], cells[1:], strict=True):
            yield task, model, checkpoint, metric, cell


def test_the_leaderboard_in_the_readme_is_that_of_the_results_folder():
    with (ROOT / "results" / "leaderboard.csv").open(encoding="utf-8", newline="") as file:
        board = {
            (row["task"], row["model"], row["checkpoint"], row["metric"]): row
            for row in csv.DictReader(file)
            if row["preset"] == "quick"
        }
    cells = list(excerpt_rows())
    assert {task for task, *_ in cells} == {"oracle"}
    assert len({model for _, model, *_ in cells}) >= 6
    for task, model, checkpoint, metric, cell in cells:
        row = board.get((task, model, checkpoint, metric))
        if cell == "n/a":
            assert row is None or row["mean"] == ""
            continue
        assert row is not None, (task, model, checkpoint, metric)
        half, digits = (float(row["high"]) - float(row["low"])) / 2, 4 if metric == "jsd_token" else 3
        assert cell == f"{float(row['mean']):.{digits}f} ± {half:.{digits}f}", (task, model, checkpoint, metric)


def test_the_first_example_prints_what_it_says(monkeypatch):
    block = README.partition("<!-- score -->")[2].partition("<!-- /score -->")[0]
    commands, shown = re.search(r"```console\n((?:(?:\$|      --)[^\n]*\n)+)(.*?)```", block, re.DOTALL).groups()
    change, score = commands.replace("\\" + "\n", "").replace("$ ", "").splitlines()
    monkeypatch.chdir(ROOT / change.removeprefix("cd "))
    monkeypatch.setenv("COLUMNS", "80")
    answer = CliRunner().invoke(main, score.removeprefix("bench ").split())
    assert answer.exit_code == 0
    printed = [line.rstrip() for line in answer.output.splitlines()]
    lines = shown.splitlines()
    assert len(lines) > 8
    assert set(lines) <= set(printed)
    assert "1,474" in shown


def seconds(text):
    number, unit = text.split()
    return float(number) * {"s": 1, "ms": 1e-3}[unit]


def test_the_times_on_the_page_of_performance_are_those_of_the_results_folder():
    with (ROOT / "results" / "throughput.csv").open(encoding="utf-8", newline="") as file:
        rows = {(row["kernel"], row["variant"], row["shape"]): row for row in csv.DictReader(file)}
    page = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
    block = page.partition("<!-- throughput -->")[2].partition("<!-- /throughput -->")[0]
    lines = [line.strip("| ").split("|") for line in block.splitlines() if line.startswith("|")][2:]
    assert len(lines) >= 8
    for cells in lines:
        kernel, shape, fast, slow, times = (cell.strip() for cell in cells)
        slow, _, variant = slow.partition(", ")
        fast_row, slow_row = (rows[kernel, name, shape] for name in ("fast", variant or "reference"))
        for text, row in ((fast, fast_row), (slow, slow_row)):
            assert abs(seconds(text) / float(row["median_s"]) - 1) < 0.01, (kernel, text)
        ratio = float(slow_row["median_s"]) / float(fast_row["median_s"])
        assert abs(float(times.removesuffix("×")) / ratio - 1) < 0.02, kernel


def test_there_are_exactly_two_set_up_commands():
    section = README.partition("## Set up")[2].partition("\n## ")[0]
    commands = [
        line for block in re.findall(r"```console\n(.*?)```", section, re.DOTALL) for line in block.splitlines()
    ]
    assert commands == [
        "python -m pip install -c constraints.txt . && bench run --models all --output mine",
        "python -m pip install tox && tox",
    ]


def test_it_counts_the_generators_of_all():
    names = {name for group in ("bench.generators", "bench.controls") for name in entry_points(group=group).names}
    heavy = entry_points(group="bench.heavy").names
    assert len(names - heavy) == 16
    assert "trains sixteen generators" in README


def test_it_is_short_enough_to_be_read():
    assert README.count("\n") < 150


def test_what_it_says_of_the_table_made_is_what_the_table_says_of_itself():
    page = (ROOT / "results" / "leaderboard.md").read_text(encoding="utf-8")
    commit = re.search(r"at\s+commit\s+`(\w+)`", README)[1]
    assert f"- Commit: {commit}" in page
    assert "with uncommitted changes" not in page.partition("## ")[0]


def test_ci_calls_the_readmes_test_command():
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert "python -m pip install tox && tox\n" in script
