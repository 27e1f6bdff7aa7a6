"""The tutorial's generator does what the page says, step by step."""

import csv
import importlib
import re
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from bench.cli import main
from bench.records import environment
from bench.testing import run_suite, suite

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
FIRST, SECOND = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
BOARDS = re.findall(r"^positions:ByPosition +(\d\.\d{3}) ", PAGE, re.MULTILINE)


def versions():
    """The two versions of positions.py: "in place of the class"."""
    return FIRST, FIRST[: FIRST.index("@dataclass")] + SECOND


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(environment, "reset_peak_memory", lambda: None)  # longer than the trainings of these tests
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    sys.modules.pop("positions", None)
    yield tmp_path
    sys.modules.pop("positions", None)


@pytest.mark.parametrize("step", [0, 1])
def test_held_out_nll_is_what_the_page_shows(folder, step):
    (folder / "positions.py").write_text(versions()[step], encoding="utf-8")
    command = "run --models positions:ByPosition --tasks sotu-obama --preset smoke --seeds 1 --metrics nll"
    done = CliRunner().invoke(main, [*command.split(), "--temperatures", "none", "--workers", "0", "--output", "mine"])
    assert done.exit_code == 0, done.output
    with (folder / "mine" / "leaderboard.csv").open(encoding="utf-8", newline="") as file:
        rows = {
            (row["model"], row["metric"]): row["mean"] for row in csv.DictReader(file) if row["checkpoint"] == "final"
        }
    assert f"{float(rows['positions:ByPosition', 'nll_test']):.3f}" == BOARDS[step]


def test_the_second_version_is_better_than_random_and_the_first_is_not():
    shown = re.findall(r"^random +(\d\.\d{3}) ", PAGE, re.MULTILINE)
    assert BOARDS[1] < shown[0] == shown[1] < BOARDS[0]


def generator(folder, code):
    (folder / "positions.py").write_text(code, encoding="utf-8")
    return importlib.import_module("positions").ByPosition


def test_it_keeps_the_contract(folder):
    outcomes = list(run_suite(generator(folder, versions()[1])))
    assert [outcome for outcome in outcomes if outcome.status == "FAILED"] == []
    shown = re.findall(r"^(?:ok|skipped) +(.*)$", PAGE, re.MULTILINE)
    assert len(shown) > 5
    for line in shown:
        assert any(line in (outcome.check, f"{outcome.check}: {outcome.detail}") for outcome in outcomes), line


@pytest.mark.parametrize("code", [versions()[0], re.sub(r"return tokens if .*", "return tokens", versions()[0])])
def test_a_sentence_that_goes_on_after_its_end_is_found(folder, monkeypatch, code):
    found = [check for check in suite.CHECKS if (check.__doc__ or "").startswith("Where sentences differ in length")]
    monkeypatch.setattr(suite, "CHECKS", found)
    (outcome,) = run_suite(generator(folder, code))
    assert outcome.status == ("ok" if code == versions()[0] else "FAILED"), outcome
