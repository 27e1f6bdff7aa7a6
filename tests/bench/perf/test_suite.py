"""``bench perf`` on suites that take a second: files, sentences, exit codes, and a planted slowdown."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench.errors import UsageError
from bench.perf import suite as perf
from bench.perf.suite import Suite, find_suite
from bench.records import environment

SUITE = """
import os
import time

import pytest


@pytest.mark.parametrize("variant", ["fast", "reference"])
def test_nap(benchmark, variant):
    benchmark.extra_info |= {
        "kernel": "nap", "variant": variant, "device": "cpu", "device_name": "it", "threads": 2, "shape": {"V": 10},
        "unit": "naps", "amount": 1, "flops": 1e6, "bytes": None, "clock_mhz": None,
    }
    benchmark.pedantic(time.sleep, ({"fast": 0.002, "reference": 0.02}[variant],), rounds=3)


def test_surroundings(benchmark):
    names = ("OMP_WAIT_POLICY", "OMP_NUM_THREADS", "MALLOC_TRIM_THRESHOLD_", "BENCH_PERF_DEVICES", "BENCH_PERF_QUICK")
    benchmark.extra_info |= {"kernel": "surroundings", "device": "cpu", "threads": 2, "shape": {}}
    benchmark.extra_info["environment"] = {name: os.environ.get(name) for name in names}
    benchmark.pedantic(int, rounds=3)
"""
FAILING = """

def test_wrong(benchmark):
    benchmark.extra_info |= {"kernel": "wrong", "device": "cpu", "threads": 2, "shape": {}}
    assert benchmark.pedantic(int, rounds=3) == 1
"""
SLEEPING = """
import time

import pytest
from baselines import NAP


@pytest.mark.parametrize("device", ["cpu"])
def test_nap(benchmark, device):
    benchmark.pedantic(time.sleep, (NAP,), rounds=3)
"""


@pytest.fixture(autouse=True)
def in_one_process(monkeypatch):
    """pytest-benchmark times nothing in a worker of pytest-xdist, in which these tests may run."""
    for name in [name for name in os.environ if name.startswith("PYTEST_XDIST")]:
        monkeypatch.delenv(name)


@pytest.fixture
def clone(tmp_path, monkeypatch):
    """A working directory with a suite of its own."""
    folder = tmp_path / "clone"
    (folder / "tests" / "perf").mkdir(parents=True)
    (folder / "pyproject.toml").touch()
    (folder / "tests" / "perf" / "test_perf_nap.py").write_text(SUITE)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("COLUMNS", "200")
    return folder


@pytest.fixture
def no_figure(monkeypatch):
    monkeypatch.setattr("bench.perf.figure.png", lambda _: b"png")


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def lines(folder):
    return list(csv.DictReader((folder / "throughput.csv").read_text(encoding="utf-8").splitlines()))


def test_a_run_leaves_tables_and_a_figure(bench, clone):
    answer = bench("perf", "--device", "cpu", "--threads", 2, "--output", "out")
    assert (answer.code, answer.err) == (0, "")
    wanted = {"throughput.json", "throughput.csv", "throughput.md", "figures/throughput.png"}
    assert wanted <= set(files(clone / "out"))
    assert not [name for name in files(clone / "out") if Path(name).name.startswith(".throughput")]
    rows = {(row["kernel"], row["variant"]): row for row in lines(clone / "out")}
    assert 2 < float(rows["nap", "fast"]["ratio"]) < 20
    assert float(rows["nap", "reference"]["ratio"]) == 1
    assert (rows["nap", "fast"]["rounds"], rows["nap", "fast"]["commit"]) == ("3", "")
    assert "× reference" in answer.out
    assert "| nap" in (clone / "out" / "throughput.md").read_text(encoding="utf-8")
    assert (clone / "out" / "figures" / "throughput.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.usefixtures("no_figure")
def test_the_json_is_pytest_benchmarks_without_the_host(bench, clone):
    assert bench("perf", "--device", "cpu", "--threads", 3, "--quick", "--output", "out").code == 0
    report = json.loads((clone / "out" / "throughput.json").read_text())
    assert "node" not in report["machine_info"]
    assert report["machine_info"]["cpu"]
    assert all(len(one["stats"]["data"]) == 3 for one in report["benchmarks"])
    assert report["environment"]["threads"] == 3
    assert report["environment"]["packages"]["torch"]
    (told,) = [one["extra_info"]["environment"] for one in report["benchmarks"] if "surroundings" in one["name"]]
    assert told == {
        "OMP_WAIT_POLICY": "passive", "OMP_NUM_THREADS": "3", "MALLOC_TRIM_THRESHOLD_": "1000000000",
        "BENCH_PERF_DEVICES": "cpu", "BENCH_PERF_QUICK": "1",
    }  # fmt: skip
    assert "Shortened run (--quick)" in (clone / "out" / "throughput.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("device", "found", "asked"), [("auto", True, "cpu,cuda"), ("auto", False, "cpu"), ("cuda", True, "cuda")]
)
def test_auto_is_the_cpu_and_what_there_is(bench, clone, monkeypatch, device, found, asked):
    suites = []
    monkeypatch.setattr("torch.cuda.is_available", lambda: found)
    monkeypatch.setattr(perf, "measure", lambda suite, *_: suites.append(suite) or 0)
    assert bench("perf", "--device", device).code == 0
    assert [suite.devices for suite in suites] == [asked]
    assert suites[0].threads == os.cpu_count()
    assert (suites[0].root, suites[0].folder) == (clone, Path("tests/perf"))


@pytest.mark.usefixtures("no_figure")
def test_what_failed_is_named_and_the_rest_is_kept(bench, clone):
    with (clone / "tests" / "perf" / "test_perf_nap.py").open("a") as file:
        file.write(FAILING)
    answer = bench("perf", "--device", "cpu", "--output", "out")
    assert answer.code == 1
    assert "failed: tests.perf.test_perf_nap.test_wrong" in answer.out
    assert [row["kernel"] for row in lines(clone / "out")] == ["nap", "nap", "surroundings"]
    assert "Failed, and left out: tests.perf.test_perf_nap.test_wrong." in (clone / "out" / "throughput.md").read_text()


def test_nothing_ran(bench, clone):
    (clone / "tests" / "perf" / "test_perf_nap.py").write_text("def test_that_times_nothing():\n    pass\n")
    answer = bench("perf", "--device", "cpu", "--output", "out")
    assert answer.code == 1
    assert "No benchmark ran" in answer.out
    assert not (clone / "out" / "throughput.json").exists()


@pytest.mark.usefixtures("no_figure")
def test_a_part_does_not_take_the_place_of_the_whole(bench, clone):
    whole = ("perf", "--device", "cpu", "--output", "out")
    part = ("perf", "--device", "cpu", "--output", "part", "-k", "nap")
    assert [bench(*arguments).code for arguments in (part, part, whole, whole)] == [0, 0, 0, 0]
    before = (clone / "out" / "throughput.json").read_bytes()
    for option in (("-k", "nap"), ("--quick",)):
        answer = bench(*whole, *option)
        assert answer.code == 2
        assert "'out' holds a complete run; choose another --output" in answer.err
    assert (clone / "out" / "throughput.json").read_bytes() == before


def test_a_suite_that_cannot_be_imported(bench, clone):
    (clone / "tests" / "perf" / "test_perf_nap.py").write_text("import nowhere_to_be_found\n")
    answer = bench("perf", "--device", "cpu", "--output", "out")
    assert answer.code == 1
    assert "failed: tests.perf.test_perf_nap" in answer.out


def test_a_suite_that_dies(bench, clone):
    (clone / "tests" / "perf" / "conftest.py").write_text("import os\nos.kill(os.getpid(), 9)\n")
    answer = bench("perf", "--device", "cpu", "--output", "out")
    assert answer.code == 1
    assert "failed: pytest ended with signal SIGKILL" in answer.out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ("--suite", "nowhere"),
            "expected the suite in '{clone}/nowhere', which is not a folder: 'bench perf' runs in a",
        ),
        (
            ("-k", "nobody"),
            "no benchmark matches -k 'nobody'; it selects by the names of tests, which 'pytest tests/perf",
        ),
        (("--threads", 0), "expected --threads from 1 to 1024, got 0."),
        (("--device", "tpu"), "unknown device 'tpu'."),
        (("-k", "and and"), "is -k 'and and' a valid expression?"),
        (("--compare", "old.json"), "cannot read 'old.json': No such file or directory."),
        (("--compare", "pyproject.toml"), "expected the throughput.json of an earlier 'bench perf'"),
    ],
)
def test_usage_errors(bench, clone, arguments, sentence):
    device = () if "--device" in arguments else ("--device", "cpu")
    answer = bench("perf", *device, "--output", "out", *arguments)
    assert answer.code == 2
    assert sentence.format(clone=clone) in answer.err
    assert answer.err.startswith("bench: ")
    assert len(answer.err.splitlines()) == 1


def test_without_pytest_benchmark_it_says_what_to_install(bench, clone, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "pytest_benchmark" else name)
    answer = bench("perf", "--device", "cpu")
    assert answer.code == 2
    assert "pip install 'seqgan-bench[test]'" in answer.err


def test_ctrl_c_ends_the_suite_too(clone):
    (clone / "tests" / "perf" / "test_perf_nap.py").write_text(
        "import os, pathlib, time\n\n\n"
        "def test_long(benchmark):\n"
        "    pathlib.Path('busy').write_text(str(os.getpid()))\n"
        "    benchmark.pedantic(time.sleep, (60,), rounds=1)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", "from bench.cli import main; main()", "perf", "--device", "cpu", "--output", "out"],
        cwd=clone, start_new_session=True, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 60
        while not (clone / "busy").exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.1)
        time.sleep(0.2)
        os.kill(process.pid, signal.SIGINT)  # not the process group: the suite must still be ended
        _, err = process.communicate(timeout=30)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    assert (process.returncode, err) == (130, "Interrupted.\n")
    with pytest.raises(ProcessLookupError):
        os.kill(int((clone / "busy").read_text()), 0)
    assert not (clone / "out" / "throughput.json").exists()


# Two commits


def git(folder, *arguments):
    identity = ("-c", "user.name=tester", "-c", "user.email=tester@example.org", "-c", "commit.gpgsign=false")
    command = ["git", "-C", str(folder), *identity, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def repository(clone):
    """A clone whose package, named like an installed one, naps five times as long as in its first commit."""
    (clone / "baselines").mkdir()
    (clone / "baselines" / "__init__.py").write_text("NAP = 0.004\n")
    (clone / "tests" / "perf" / "test_perf_nap.py").write_text(SLEEPING)
    git(clone, "init", "--quiet")
    git(clone, "add", ".")
    git(clone, "commit", "--quiet", "-m", "base")
    old = clone.parent / "old.json"
    stats = {"median": 0.1, "iqr": 0.0, "min": 0.1, "rounds": 3}
    name = "tests/perf/test_perf_nap.py::test_nap[cpu]"
    report = {
        "commit_info": {"id": git(clone, "rev-parse", "HEAD"), "dirty": False},
        "environment": {"machine": "an abacus", "packages": {}},
        "benchmarks": [{"name": "test_nap[cpu]", "fullname": name, "extra_info": {}, "stats": stats}],
    }
    old.write_text(json.dumps(report))
    (clone / "baselines" / "__init__.py").write_text("NAP = 0.02\n")
    return clone


def rewrite(file, **commit):
    report = json.loads(file.read_text())
    report["commit_info"] = report["commit_info"] | commit if commit else None
    file.write_text(json.dumps(report))


@pytest.fixture
def watched(monkeypatch):
    """The trees in which suites ran, in order."""
    seen = []
    run = Suite.run
    monkeypatch.setattr(Suite, "run", lambda suite: seen.append(suite.root) or run(suite))
    return seen


def compare(bench, *arguments):
    return bench("perf", "--device", "cpu", "--output", "out", "--compare", "../old.json", *arguments)


def test_a_planted_slowdown_is_found(bench, repository, watched):
    answer = compare(bench, "--pairs", 4)
    assert (answer.code, answer.err) == (0, "")
    text = (repository / "out" / "throughput-compare.md").read_text(encoding="utf-8")
    (line,) = [line for line in text.splitlines() if line.startswith("| test_perf_nap.py::test_nap[cpu]")]
    *_, then, base, head, ratio, p, verdict, _ = (cell.strip() for cell in line.split("|"))
    assert (then, p, verdict) == ("100 ms", "0.029", "slower")
    assert base.endswith("ms")
    assert head.endswith("ms")
    assert 2 < float(ratio) < 6
    assert "slower" in answer.out
    assert "'then' had an abacus" in text
    assert "with uncommitted changes" in text
    assert "With 4 pairs of runs, p is at least 0.029" in answer.out
    head_first = [root == repository for root in watched]
    assert head_first == [False, True, True, False, False, True, True, False]
    assert not any(root.exists() for root in watched if root != repository)
    assert git(repository, "worktree", "list").count("\n") == 0
    assert not (repository / "out" / "throughput.json").exists()


def test_a_base_that_was_dirty_is_reported(bench, repository):
    rewrite(repository.parent / "old.json", dirty=True)
    answer = compare(bench, "--pairs", 1)
    assert answer.code == 0
    assert "The base was measured with uncommitted changes" in answer.out
    assert "That cannot show any difference: use --pairs 4" in answer.out


def test_a_suite_that_fails_gates_and_the_others_are_compared(bench, repository):
    (repository / "tests" / "perf" / "test_perf_wrong.py").write_text(FAILING)
    answer = compare(bench, "--pairs", 1)
    assert answer.code == 1
    assert "failed in head: tests.perf.test_perf_wrong.test_wrong" in answer.out
    text = (repository / "out" / "throughput-compare.md").read_text(encoding="utf-8")
    assert "- Failed in head: tests.perf.test_perf_wrong.test_wrong" in text
    assert "no difference shown" in text


def test_an_interrupt_leaves_no_tree_behind(bench, repository, monkeypatch):
    trees = []

    def run(suite):
        trees.append(suite.root)
        raise KeyboardInterrupt

    monkeypatch.setattr(Suite, "run", run)
    assert compare(bench).code == 130
    (tree,) = trees
    assert tree != repository
    assert not tree.exists()


@pytest.mark.parametrize(
    ("commit", "sentence"),
    [
        ({}, "names no commit"),
        ({"id": "unversioned"}, "names no commit"),
        ({"id": "c0ffee" * 6 + "c0ff"}, "commit c0ffeec0ffee is not in the repository"),
    ],
)
def test_a_base_that_cannot_be_had(bench, repository, commit, sentence):
    rewrite(repository.parent / "old.json", **commit)
    answer = compare(bench)
    assert answer.code == 2
    assert sentence in answer.err


def test_no_repository(bench, repository):
    (repository / ".git").rename(repository.parent / "was-git")
    answer = compare(bench)
    assert answer.code == 2
    assert "is not in a git repository" in answer.err


def test_no_pairs(bench, repository):
    answer = compare(bench, "--pairs", 0)
    assert (answer.code, answer.err) == (2, "bench: expected --pairs from 1 to 1000, got 0.\n")


def test_a_commit_without_the_suite(bench, repository):
    git(repository, "mv", "tests/perf", "tests/speed")
    answer = compare(bench, "--suite", "tests/speed")
    assert answer.code == 2
    assert "has no suite in 'tests/speed'" in answer.err


def test_a_suite_outside_a_clone_has_its_folder_as_root(tmp_path):
    (tmp_path / "perf").mkdir()
    found = find_suite(tmp_path / "perf", "cpu", None)
    assert found.folder.parts[-1] == "perf"
    assert found.root / found.folder == (tmp_path / "perf").resolve()
    with pytest.raises(UsageError):
        find_suite(tmp_path / "none", "cpu", None)


def test_workers_and_the_suite_start_with_the_same_settings(tmp_path):
    given = Suite(tmp_path, Path("perf"), "cpu", 1)._environment()
    assert environment.KERNEL_ENVIRONMENT.items() <= given.items()
    assert given["PYTHONPATH"].split(os.pathsep)[0] == str(tmp_path)
    assert given["BENCH_PERF_QUICK"] == ""
