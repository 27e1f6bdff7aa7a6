"""The workflow in docs/ci.md is YAML of the right shape, and its commands are those of the program."""

import re
import shlex
from pathlib import Path

import click
import pytest
import yaml

from bench.cli import main

PAGE = (Path(__file__).parents[1] / "docs" / "ci.md").read_text(encoding="utf-8")
WORKFLOW = yaml.safe_load(re.search(r"^```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL).group(1))
STEPS = WORKFLOW["jobs"]["gate"]["steps"]
SHOWN = re.findall(r"^\$ (bench .*)$", PAGE, re.MULTILINE)


def parsed(command):
    """The command, with its options checked but not run; what a shell would redirect is left out."""
    words = shlex.split(command.partition(">>")[0])
    assert words[0] == "bench"
    with click.Context(main) as context:
        name, found, rest = main.resolve_command(context, words[1:])
        return name, found.make_context(name, list(rest), parent=context).params


def runs():
    """The bench commands of the workflow."""
    return [step["run"] for step in STEPS if step.get("run", "").startswith("bench ")]


def test_the_workflow_has_what_github_asks_of_one():
    assert WORKFLOW["name"] == "gate"
    assert set(WORKFLOW[True]) == {"push", "pull_request"}  # "on" is true in YAML 1.1, also for GitHub's own reader
    assert set(WORKFLOW["jobs"]["gate"]) == {"runs-on", "timeout-minutes", "env", "steps"}
    assert all(("run" in step) != ("uses" in step) for step in STEPS)
    assert all(re.fullmatch(r"actions/[a-z-]+@v\d+", step["uses"]) for step in STEPS if "uses" in step)
    assert all(isinstance(value, str) for value in WORKFLOW["jobs"]["gate"]["env"].values())


def test_its_commands_are_those_of_the_program():
    assert [parsed(command)[0] for command in runs()] == ["validate", "run", "compare", "compare"]
    with pytest.raises(click.UsageError):
        parsed("bench compare accepted.csv gate --fail-on-regressions")


def test_the_gate_is_the_one_that_the_page_explains():
    shown = [parsed(command) for command in SHOWN]
    assert parsed(runs()[1]) == shown[0]
    assert [name for name, _ in shown] == ["run", "accept", "compare", "compare"]
    params = parsed(runs()[2])[1]
    assert params["fail_on_regression"]
    assert params["min_seeds"] == int(shown[0][1]["seeds"])
    assert {**params, "report": None, "min_seeds": 1} == shown[2][1]
