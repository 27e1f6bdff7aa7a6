"""What the tests of the harness share: the command line in this process, plugins of their own, made-up runs."""

import contextlib
import importlib
import io
import sys
from dataclasses import dataclass

import pytest

from bench import environment, registry
from bench.cli import main
from bench.record import RunSpec


@dataclass(frozen=True)
class Answer:
    """What a command gave."""

    code: int
    out: str
    err: str


@pytest.fixture(scope="session")
def bench():
    """``bench ARGUMENTS`` in this process."""

    def call(*arguments):
        out, err = io.StringIO(), io.StringIO()
        with (
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
            pytest.raises(SystemExit) as ending,
        ):
            main([str(argument) for argument in arguments], prog_name="bench")
        return Answer(ending.value.code or 0, out.getvalue(), err.getvalue())

    return call


@pytest.fixture
def write_plugin(tmp_path, monkeypatch):
    """Writes modules into a working directory of the test's own, and forgets them afterwards."""
    folder = tmp_path / "plugins"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", ["", *sys.path])
    before = set(sys.modules)
    registry._source_hash.cache_clear()

    def write(name, source):
        path = folder / f"{name.replace('.', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source, encoding="utf-8")
        importlib.invalidate_caches()
        registry._source_hash.cache_clear()
        return path

    yield write
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", None) or "").startswith(str(folder)):
            del sys.modules[name]
    registry._source_hash.cache_clear()


@pytest.fixture(scope="module")
def memory_not_measured():
    """Collecting garbage before every measurement takes longer than the trainings of these tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(environment, "reset_peak_memory", lambda: None)
        yield


@pytest.fixture
def make_spec():
    """A made-up specification of a run."""

    def make(**changes):
        fields = {
            "model": "mle",
            "target": "seqgan.mle:MLE",
            "source": "5" * 64,
            "config": {"lr": 0.01, "sizes": (1, 2)},
            "overrides": {},
            "task": "toy",
            "task_target": "bench.tasks.toy:Toy",
            "task_version": "1",
            "task_config": {"draw": 0},
            "task_overrides": {},
            "data": "fingerprint",
            "seed": 0,
            "preset": "smoke",
            "metrics": {"nll": "1"},
            "explicit_metrics": False,
            "samples": 200,
            "device": "cpu",
            "torch": "2.13.0",
            "budget": {},
        }
        return RunSpec(**{**fields, **changes})

    return make


@pytest.fixture
def no_figures(monkeypatch):
    """Drawing takes longer than the runs of these tests."""
    monkeypatch.setattr("bench.reports.figures.write_figures", lambda *_: [])
