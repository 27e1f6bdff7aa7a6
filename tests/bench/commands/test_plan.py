"""``bench plan``, and its cells, done one by one in processes of their own, as a job array does them."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bench.records.leases import Leases
from bench.records.store import Store

DOCS = Path(__file__).parents[3] / "docs" / "cluster.md"
WHAT = ("--models", "mle,seqgan", "--tasks", "toy", "--preset", "smoke", "--seeds", "3")


def found(folder):
    """What the runs of a folder found, without when, where and how fast."""
    rows = {}
    for record in Store(folder).records():
        scores = {
            name: [(score.metric, score.value) for score in scores if score.kind == "quality"]
            for name, scores in record.scores.items()
        }
        rows[record.spec.run_id] = record.status, scores, record.samples
    return rows


@pytest.fixture
def results(tmp_path):
    return tmp_path / "results"


@pytest.fixture
def cells(bench, tmp_path):
    answer = bench("plan", *WHAT, "--format", "jsonl", "--output", tmp_path / "nothing")
    assert (answer.code, answer.err) == (0, "")
    file = tmp_path / "cells.jsonl"
    file.write_text(answer.out)
    return file


def test_a_plan_for_people_says_what_is_left_and_how_long_it_takes(bench, results):
    assert bench("run", "--models", "mle", *WHAT[2:], "--output", results).code == 0
    answer = bench("plan", *WHAT, "--output", results)
    assert answer.code == 0
    assert "9 runs, 3 to do (preset smoke, cpu)" in answer.out
    assert answer.out.count(": ok\n") == 6
    assert len(re.findall(r"toy seqgan seed \d: to do\n", answer.out)) == 3
    dry = bench("run", *WHAT, "--output", results, "--dry-run")
    assert dry.out.splitlines()[-9:] == answer.out.splitlines()[-9:]
    again = bench("plan", "--models", "mle", "--seeds", "4", *WHAT[2:6], "--output", results)
    assert re.search(r"toy mle seed 3: to do, about \d+ s\n", again.out)
    assert not (results.parent / "nothing").exists()


def test_cells_of_a_job_array_are_the_runs_of_one_command(bench, cells, tmp_path):
    """The script of the documentation, for each number of the array at once, each in a process of its own."""
    [script] = re.findall(r"```bash\n(#!/bin/bash.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    assert f"bench plan {' '.join(WHAT)} --format jsonl >cells.jsonl" in script
    numbers = [int(number) for number in re.search(r"--array=(\d+)-(\d+)", script).groups()]
    script = script.replace("exec bench", f"exec {sys.executable} -m bench")
    root = str(Path(__file__).parents[3])
    jobs = [
        subprocess.Popen(
            ["bash", "-c", script],
            cwd=tmp_path,
            env={**os.environ, "SLURM_ARRAY_TASK_ID": str(number), "PYTHONPATH": root, "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for number in range(numbers[0], numbers[1] + 1)
    ]
    said = [job.communicate()[0] for job in jobs]
    assert [job.returncode for job in jobs] == [0] * 3, said
    assert all("3 ok, 0 skipped, 0 failed" in each for each in said)
    assert not (tmp_path / "shared" / "leaderboard.md").exists()
    assert bench("run", *WHAT, "--workers", "0", "--output", tmp_path / "alone").code == 0
    assert found(tmp_path / "shared") == found(tmp_path / "alone")
    assert bench("report", tmp_path / "shared").code == 0
    pages = [(tmp_path / name / "verdicts.csv").read_text() for name in ("shared", "alone")]
    assert pages[0] == pages[1]


def test_a_part_of_a_plan_is_no_campaign_of_its_own(bench, cells, results):
    """The seeds that are not done yet are missing, so that nothing is won before they are."""
    answer = bench("run", "--plan", cells, "--cell", "1-3", "--output", results, "--workers", "0")
    assert answer.code == 0
    assert "3 runs, 3 to do" in answer.out
    assert "Leaderboard" not in answer.out
    answer = bench("report", results)
    assert "planned" in answer.out or "missing" in answer.out
    again = bench("run", "--plan", cells, "--cell", "1-3", "--output", results, "--workers", "0")
    assert (again.code, "started" in again.out) == (0, False)


def test_a_report_says_that_runs_are_under_way(bench, cells, results):
    assert bench("run", "--plan", cells, "--cell", "1-3", "--output", results, "--workers", "0").code == 0
    leases = Leases(Store(results).leases)
    assert leases.take("0123456789ab")
    assert leases.take("command-1")
    assert "One run is being done in this folder; above, these and what is planned" in bench("report", results).out
    leases.close()
    assert "being done" not in bench("report", results).out


def test_a_cell_of_options_is_that_of_the_file(bench, cells, results):
    run_id = json.loads(cells.read_text().splitlines()[1])["run_id"]
    answer = bench("run", *WHAT, "--cell", run_id, "--output", results, "--workers", "0")
    assert answer.code == 0
    assert [record.spec.run_id for record in Store(results).records()] == [run_id]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--seeds", "2"), "--plan says what to run: leave out --seeds."),
        (("--models", "mle", "--device", "cpu"), "leave out --models and --device."),
        (("--cell", "1", "--against", "mle"), "--against is of the report, and --cell writes none"),
        (("--cell", "99"), "expected cells from 1 to 9 that are in the plan, got 99."),
    ],
)
def test_mistakes_are_told(arguments, said, bench, cells, results):
    answer = bench("run", "--plan", cells, *arguments, "--output", results)
    assert (answer.code, said in answer.err) == (2, True)
    assert not results.exists()
