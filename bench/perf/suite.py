"""The performance suite as a command: run it, keep its numbers, and compare those of two commits."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from bench.errors import UsageError
from bench.records import environment
from bench.records.files import write_atomically

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["Outcome", "Suite", "beside", "compare", "find_suite", "measure", "read_report"]

FAILURE = 1
MOST_THREADS, MOST_PAIRS = 1024, 1000
NOTHING_CHOSEN = 5
"""Pytest's exit code when no test was collected; its others are 0 for success and 1 for failed tests."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a run of the suite.

    Attributes:
        report: The JSON of pytest-benchmark without the benchmarks that failed, or None if none was left.
        failed: The names of the tests that failed, or how pytest ended.
    """

    report: dict[str, Any] | None
    failed: list[str]


@dataclass(frozen=True, slots=True)
class Suite:
    """A pytest-benchmark suite and the conditions it runs under.

    Attributes:
        root: The source tree whose packages are timed.
        folder: Where the suite is in it.
        devices: ``cpu``, ``cuda`` or ``cpu,cuda``.
        threads: Threads of a kernel.
        quick: Whether the suite should be brief.
        keyword: Which benchmarks, as an expression of pytest's; None for all.
    """

    root: Path
    folder: Path
    devices: str
    threads: int
    quick: bool = False
    keyword: str | None = None

    def run(self) -> Outcome:
        """Run it in a process of its own, which shows its progress; an interrupt ends the process.

        Raises:
            UsageError: when pytest does not understand the keyword.
        """
        with tempfile.TemporaryDirectory() as scratch:
            numbers, verdicts = Path(scratch, "benchmarks.json"), Path(scratch, "tests.xml")
            command = [
                *(sys.executable, "-m", "pytest", str(self.folder), f"--rootdir={self.root}", "-p", "no:cacheprovider"),
                *("-q", "-rfE", "--benchmark-only", "--benchmark-quiet", f"--benchmark-json={numbers}"),
                # The suite's tree may turn warnings into errors; that there is nothing to save is reported below.
                *("-W", "ignore::pytest_benchmark.logger.PytestBenchmarkWarning"),
                f"--junitxml={verdicts}",
                *(("-k", self.keyword) if self.keyword else ()),
            ]
            process = subprocess.Popen(command, cwd=self.root, env=self._environment())
            try:
                code = process.wait()
            finally:
                _end(process)
            if code == 4 and self.keyword:
                raise UsageError(f"pytest could not start (see above); is -k {self.keyword!r} a valid expression?")
            if code == NOTHING_CHOSEN and self.keyword:
                raise UsageError(
                    f"no benchmark matches -k {self.keyword!r}; it selects by the names of tests, which "
                    f"'pytest {self.folder} --collect-only -q' lists."
                )
            failed = _failures(verdicts)
            if not failed and code not in (0, NOTHING_CHOSEN):
                failed = [_ending(code)]
            written = numbers.exists() and numbers.stat().st_size > 0
            report = json.loads(numbers.read_text(encoding="utf-8")) if written else {"benchmarks": []}
        broken = set(failed)  # a test that failed did not time what it should have
        report["benchmarks"] = [one for one in report["benchmarks"] if _address(one["fullname"]) not in broken]
        return Outcome(report if report["benchmarks"] else None, failed)

    def _environment(self) -> dict[str, str]:
        paths = [str(self.root), os.environ.get("PYTHONPATH", "")]  # this tree comes before what is installed
        return {
            **os.environ,
            **environment.KERNEL_ENVIRONMENT,
            "OMP_NUM_THREADS": str(self.threads),
            "PYTHONPATH": os.pathsep.join(filter(None, paths)),
            "BENCH_PERF_DEVICES": self.devices,
            "BENCH_PERF_QUICK": "1" if self.quick else "",
        }


def find_suite(
    folder: Path, devices: str, threads: int | None, quick: bool = False, keyword: str | None = None
) -> Suite:
    """The suite in a folder of a source tree.

    Raises:
        UsageError: when there is no such folder, pytest-benchmark is missing, or the number of threads is below 1.
    """
    if threads is not None and not 1 <= threads <= MOST_THREADS:
        raise UsageError(f"expected --threads from 1 to {MOST_THREADS}, got {threads}.")
    if not folder.is_dir():
        raise UsageError(
            f"expected the suite in '{folder.resolve()}', which is not a folder: 'bench perf' runs in a clone of the "
            "repository; change to it, or name the suite's folder with --suite."
        )
    if any(importlib.util.find_spec(name) is None for name in ("pytest", "pytest_benchmark")):
        raise UsageError("'bench perf' needs pytest and pytest-benchmark: pip install 'seqgan-bench[test]'.")
    folder = folder.resolve()
    marks = ("pyproject.toml", ".git")
    root = next((up for up in folder.parents if any((up / mark).exists() for mark in marks)), folder.parent)
    return Suite(root, folder.relative_to(root), devices, threads or os.cpu_count() or 1, quick, keyword)


def measure(suite: Suite, output: Path, console: Console) -> int:
    """Run the suite and write ``throughput.json``, ``.csv``, ``.md`` and the figure.

    Returns:
        Exit code: 1 when a benchmark failed or none ran; the benchmarks that ran are written in any case.

    Raises:
        UsageError: when a part of the suite would replace a complete run, or nothing matches.
    """
    from bench.perf import throughput
    from bench.perf.figure import png
    from bench.reports import markdown, terminal

    _keep_whole(suite, output)
    outcome = suite.run()
    _tell(console, outcome)
    if outcome.report is None:
        return FAILURE
    report = _described(outcome.report, suite)
    table = throughput.frame(report)
    notes = ["Shortened run (--quick): fewer rounds and shapes."] if suite.quick else []
    notes += [f"Only the benchmarks that match -k {suite.keyword!r}."] if suite.keyword else []
    notes += [f"Failed, and left out: {name}." for name in outcome.failed]
    figure = "figures/throughput.png"
    (output / figure).parent.mkdir(parents=True, exist_ok=True)
    write_atomically(output / "throughput.json", json.dumps(report, indent=1) + "\n")
    write_atomically(output / "throughput.csv", throughput.to_csv(table))
    write_atomically(output / figure, png(table))
    page = throughput.page(table, report["datetime"][:10], notes, figure)
    write_atomically(output / "throughput.md", markdown.render(page))
    console.print(terminal.render(throughput.brief(table)))
    console.print(f"Throughput: {output / 'throughput.md'}", highlight=False, soft_wrap=True)
    return FAILURE if outcome.failed else 0


def beside(files: Sequence[tuple[str, Path]], output: Path, console: Console) -> None:
    """Write ``machines.md``: earlier reports side by side.

    Args:
        files: Name and ``throughput.json`` of each machine.
        output: The folder to write to.
        console: Where to say where it is.

    Raises:
        UsageError: for a file that is no report, or two with one name.
    """
    from bench.perf import machines
    from bench.reports import markdown

    names = [name for name, _ in files]
    if len(set(names)) < len(names):
        raise UsageError(f"expected machines with different names, as in --beside a=FILE --beside b=FILE, got {names}.")
    page = machines.page([(name, read_report(file)) for name, file in files])
    write_atomically(output / "machines.md", markdown.render(page))
    console.print(f"Machines: {output / 'machines.md'}", highlight=False, soft_wrap=True)


def _keep_whole(suite: Suite, output: Path) -> None:
    """Refuse to write a part of the suite, or a shortened run, over a complete one."""
    earlier = output / "throughput.json"
    if (suite.quick or suite.keyword) and earlier.exists():
        before = read_report(earlier).get("environment", {})
        if not (before.get("quick") or before.get("keyword")):
            raise UsageError(f"'{output}' holds a complete run; choose another --output for a run with --quick or -k.")


def read_report(file: Path) -> dict[str, Any]:
    """An earlier ``throughput.json``.

    Raises:
        UsageError: for a file that is not such a report.
    """
    try:
        report = json.loads(file.read_text(encoding="utf-8-sig"))
        if all("median" in one["stats"] and "fullname" in one for one in report["benchmarks"]):
            return dict(report)
    except OSError as error:
        raise UsageError(f"cannot read '{file}': {error.strerror}.") from error
    except (ValueError, LookupError, TypeError):
        pass
    raise UsageError(f"expected the throughput.json of an earlier 'bench perf', got '{file}'.")


def compare(suite: Suite, old: Mapping[str, Any], pairs: int, output: Path, console: Console) -> int:
    """Run the suites of the commit of an earlier report and of this tree in turns, and test the difference.

    Returns:
        Exit code: 1 when a suite failed, else 0, whatever the times are.

    Raises:
        UsageError: when the report does not say which commit that was, or it is not in this repository.
    """
    import pandas as pd

    from bench.perf import change, throughput
    from bench.perf.change import BASE, HEAD
    from bench.reports import markdown, terminal

    if not 1 <= pairs <= MOST_PAIRS:
        raise UsageError(f"expected --pairs from 1 to {MOST_PAIRS}, got {pairs}.")
    commit = _commit_of(old, suite.root)
    if (old.get("commit_info") or {}).get("dirty"):
        console.print(
            f"The base was measured with uncommitted changes; now {commit[:12]} runs without them.", style="yellow"
        )
    frames: list[pd.DataFrame] = []
    failed: list[str] = []
    since = time.monotonic()
    with _tree(suite.root, commit) as tree:
        base = replace(suite, root=tree)
        if not (tree / suite.folder).is_dir():
            raise UsageError(
                f"commit {commit[:12]} has no suite in '{suite.folder}': there is nothing to compare with."
            )
        for pair in range(pairs):
            sides = [(BASE, base), (HEAD, suite)]
            for side, tried in sides if pair % 2 == 0 else reversed(sides):
                left = f", about {_minutes(since, len(frames), 2 * pairs)} left" if frames else ""
                console.print(f"Run {len(frames) + 1} of {2 * pairs}: {side}{left}", highlight=False)
                outcome = tried.run()
                _tell(console, outcome, f" in {side}")
                failed += [f"{side}: {name}" for name in outcome.failed]
                if outcome.report is None:
                    return FAILURE
                frames.append(throughput.frame(outcome.report).assign(side=side))
            if pair == 0:
                compared = set.intersection(*(set(frame["id"]) for frame in frames))
                reach = change.reach(pairs, len(compared))
                console.print(reach, style="yellow", highlight=False)
    table = change.changes(pd.concat(frames), throughput.frame(old))
    now = _described({}, suite)["environment"]
    facts = [
        f"Base: commit {commit}",
        f"Head: {_head(now)}",
        f"Machine: {now['machine']}, {suite.threads} threads, {suite.devices}",
        reach,
        *(f"{name}: 'then' had {before}" for name, before in _moved(old, now)),
        *(f"Failed in {name}" for name in dict.fromkeys(failed)),
    ]
    write_atomically(output / "throughput-compare.md", markdown.render(change.page(table, facts)))
    console.print(terminal.render(change.brief(table)))
    console.print(f"Comparison: {output / 'throughput-compare.md'}", highlight=False, soft_wrap=True)
    return FAILURE if failed else 0


def _described(report: dict[str, Any], suite: Suite) -> dict[str, Any]:
    """A report with its commit and surroundings, and without the name of the host."""
    commit, dirty = environment.commit_of(suite.root, (*environment.CODE, str(suite.folder)))
    here: dict[str, Any] = {
        "commit": commit,
        "dirty": dirty,
        "threads": suite.threads,
        "devices": suite.devices,
        "quick": suite.quick,
        "keyword": suite.keyword,
    }
    machine = {name: value for name, value in report.get("machine_info", {}).items() if name != "node"}
    told = {"id": commit, "dirty": dirty} if commit else {}
    return report | {
        "machine_info": machine,
        "commit_info": report.get("commit_info", {}) | told,
        "environment": environment.describe() | here,
    }


def _commit_of(old: Mapping[str, Any], root: Path) -> str:
    commit = str((old.get("commit_info") or {}).get("id"))
    if not re.fullmatch("[0-9a-f]{7,64}", commit):
        raise UsageError("the earlier report names no commit, so it cannot be run again.")
    if _git(root, "rev-parse", "--show-toplevel") is None:
        raise UsageError(f"'{root}' is not in a git repository, so the earlier commit cannot be run.")
    if _git(root, "cat-file", "-e", f"{commit}^{{commit}}") is None:
        raise UsageError(f"the earlier report's commit {commit[:12]} is not in the repository of '{root}'; fetch it.")
    return commit


@contextlib.contextmanager
def _tree(root: Path, commit: str) -> Iterator[Path]:
    """The files of a commit in a temporary folder; the repository itself is only read."""
    packed = _git(root, "archive", "--format=zip", commit)
    if packed is None:
        raise UsageError(f"git could not unpack commit {commit[:12]}; is '{root}' in it?")
    with tempfile.TemporaryDirectory(prefix="bench-perf-") as folder:
        zipfile.ZipFile(io.BytesIO(packed)).extractall(folder)
        yield Path(folder).resolve()


def _git(root: Path, *arguments: str) -> bytes | None:
    """The output of git, or None if it fails or is not installed."""
    try:
        return subprocess.run(["git", "-C", str(root), *arguments], check=True, capture_output=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return None


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process that an interrupt left behind."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _failures(verdicts: Path) -> list[str]:
    """The dotted names of the tests that failed, from pytest's XML."""
    with contextlib.suppress(OSError, ElementTree.ParseError):
        cases = ElementTree.parse(verdicts).getroot().iter("testcase")
        bad = (case for case in cases if case.find("failure") is not None or case.find("error") is not None)
        names = (".".join(filter(None, (case.get("classname"), case.get("name")))) for case in bad)
        return list(dict.fromkeys(names))
    return []


def _address(name: str) -> str:
    """The dotted name that pytest's XML gives a test: ``tests.perf.test_it.test_that[cpu]``."""
    test, bracket, parameters = name.partition("[")
    return test.replace(".py::", ".").replace("::", ".").replace("/", ".") + bracket + parameters


def _ending(code: int) -> str:
    return f"pytest ended with {f'signal {signal.Signals(-code).name}' if code < 0 else f'exit code {code}'}"


def _tell(console: Console, outcome: Outcome, where: str = "") -> None:
    for name in outcome.failed:
        console.print(f"failed{where}: {name}", style="red", soft_wrap=True, markup=False, highlight=False)
    if outcome.report is None:
        console.print(f"No benchmark ran{where}: there are no tables to write.", style="red")


def _minutes(since: float, done: int, total: int) -> str:
    left = (time.monotonic() - since) / done * (total - done)
    return f"{left / 60:.0f} min" if left >= 90 else f"{left:.0f} s"


def _head(facts: Mapping[str, Any]) -> str:
    commit = f"commit {facts['commit']}" if facts["commit"] else "no commit"
    return commit + (" with uncommitted changes" if facts["dirty"] else "")


def _moved(old: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """What has changed since the earlier report was made."""
    before = old.get("environment", {})
    for name in ("machine", "threads", "python", "quick"):
        if name in before and before[name] != now[name]:
            yield name, before[name]
    torch = before.get("packages", {}).get("torch")
    if torch and torch != now["packages"]["torch"]:
        yield "torch", torch
