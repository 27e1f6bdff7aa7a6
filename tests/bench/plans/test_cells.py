"""A plan as a file: each line is a run, the same as it was planned, and nothing else passes for one."""

import json

import pytest

from bench.errors import UsageError
from bench.plans.cells import check, choose, lines, read
from bench.plans.costs import Costs
from bench.plans.plan import Request, make_plan

NOTHING_KNOWN = Costs({}, {}, 1.0)


@pytest.fixture(scope="module")
def plan():
    settings = ["seqgan.d_filter_sizes=(2,3)", "seqgan.d_filter_counts=(4,4)", "toy.train_size=50"]
    return make_plan(
        Request(["mle", "seqgan"], ["toy"], seeds=3, preset="smoke", settings=settings, temperatures=(0.7, 1.0))
    )


@pytest.fixture
def file(plan, tmp_path):
    file = tmp_path / "cells.jsonl"
    file.write_text("".join(f"{line}\n" for line in lines(plan, NOTHING_KNOWN)))
    return file


def test_what_was_planned_comes_back(plan, file):
    again = list(read(file).values())
    assert [spec.run_id for spec in again] == [spec.run_id for spec in plan]
    assert [spec.label for spec in again] == [spec.label for spec in plan]
    assert [spec.stream for spec in again] == [spec.stream for spec in plan]
    check(again)


def test_a_line_says_what_people_choose_by(plan):
    costs = Costs({("smoke", "toy[train_size=50]", "mle", "cpu"): 12.34}, {}, 1.0)
    cells = [json.loads(line) for line in lines(plan, costs)]
    assert [cell["cell"] for cell in cells] == list(range(1, 10))
    chosen = {name: cells[1][name] for name in ("run_id", "task", "model", "preset", "seed", "seconds")}
    assert chosen == {
        "run_id": plan[1].run_id, "task": "toy[train_size=50]", "model": "mle", "preset": "smoke", "seed": 0,
        "seconds": 12.3,
    }  # fmt: skip
    assert cells[0]["seconds"] is None


def test_cells_are_chosen_by_number_range_and_id(plan):
    numbered = dict(enumerate(plan, 1))
    assert choose(numbered, ["2"]) == [plan[1]]
    assert choose(numbered, ["8-9,1", plan[3].run_id, "1-2"]) == [plan[index] for index in (0, 1, 3, 7, 8)]


def test_some_of_the_lines_are_a_plan_too(plan, file):
    """As ``grep`` and ``jq`` leave them: out of order, twice, with empty lines."""
    kept = file.read_text().splitlines()
    file.write_text("\n\n".join([kept[4], kept[1], kept[4], kept[7]]) + "\r\n")
    some = read(file)
    assert some == {5: plan[4], 2: plan[1], 8: plan[7]}
    assert choose(some, ["2-8"]) == [plan[1], plan[4], plan[7]]
    with pytest.raises(UsageError, match="expected cells from 2 to 8 that are in the plan, got 3"):
        choose(some, ["3"])


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ("0", "expected cells from 1 to 9 that are in the plan, got 0"),
        ("10", "expected cells from 1 to 9 that are in the plan, got 10"),
        ("5-3", "expected cells from 1 to 9 that are in the plan, got 5-3"),
        ("1-10", "expected cells from 1 to 9 that are in the plan, got 1-10"),
        ("0123456789ab", "no run of this plan has the id 0123456789ab"),
        ("", "expected a run id, a number or a range"),
        ("mle", "got 'mle'"),
        ("9" * 30, "expected a run id"),
    ],
)
def test_what_is_no_cell_is_refused(cell, said, plan):
    with pytest.raises(UsageError, match=said):
        choose(dict(enumerate(plan, 1)), [cell])


def changed(text):
    return text.replace('"lr": 0.01', '"lr": 0.02', 1)


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (changed, "line 2 of '.*' is none of its lines, or was changed"),
        (lambda text: text.replace('"cell": 2,', '"cell": 1,'), "line 2 of"),
        (lambda text: text[:-40], "line 9 of"),
        (lambda text: "[]\n", "line 1 of"),
        (lambda text: "[" * 100_000, "line 1 of"),
        (lambda text: '{"cell": 1, "run_id": "x", "spec": {"temperatures": 3}}', "line 1 of"),
        (lambda text: "", "is empty"),
    ],
)
def test_what_is_no_plan_is_refused(edit, said, file):
    file.write_text(edit(file.read_text()))
    with pytest.raises(UsageError, match=said):
        read(file)


def test_what_is_no_text_is_refused(tmp_path):
    file = tmp_path / "plan"
    with pytest.raises(UsageError, match=r"cannot read the plan '.*plan': No such file"):
        read(file)
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="it is not UTF-8"):
        read(file)


def test_a_plan_of_other_code_or_versions_is_refused(file, monkeypatch):
    planned = list(read(file).values())
    with monkeypatch.context() as patch:
        patch.setattr("bench.plans.cells.version", lambda name: "9.9")
        with pytest.raises(UsageError, match=r"the plan was made with torch .*, and here is 9\.9: make it anew"):
            check(planned)
    with monkeypatch.context() as patch:
        patch.setattr("bench.plans.cells.source_hash", lambda plugin: "other")
        with pytest.raises(UsageError, match="the plan was made with other code of mle than is here"):
            check(planned)
    planned[0].metrics["copy"] = "0"
    with pytest.raises(UsageError, match="the plan was made with version 0 of copy, and here is"):
        check(planned)
