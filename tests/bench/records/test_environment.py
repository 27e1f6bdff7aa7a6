"""Where a run took place."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bench.records import environment


@pytest.fixture(autouse=True)
def _forget():
    environment.describe.cache_clear()
    yield
    environment.describe.cache_clear()


def test_the_description_names_versions_and_machine():
    facts = environment.describe()
    assert facts["python"] == ".".join(map(str, sys.version_info[:3]))
    assert facts["packages"]["seqgan-bench"]
    assert facts["packages"]["torch"].startswith("2")
    assert "cores" in facts["machine"]
    assert facts["dirty"] in (True, False, None)
    json.dumps(facts, allow_nan=False)


def test_a_package_that_is_not_there_has_no_version(monkeypatch):
    monkeypatch.setattr(environment, "PACKAGES", ("torch", "no-such-package"))
    assert environment.describe()["packages"]["no-such-package"] is None


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """An installed package, a checkout of the same code as the working directory, and what git would say there."""
    for root in ("site", "checkout"):
        (tmp_path / root / "bench" / "records").mkdir(parents=True)
        (tmp_path / root / "bench" / "records" / "environment.py").write_text("code")
    (tmp_path / "checkout" / ".git").mkdir()
    monkeypatch.setattr(environment, "__file__", str(tmp_path / "site" / "bench" / "records" / "environment.py"))
    monkeypatch.chdir(tmp_path / "checkout")
    says = {"rev-parse": "c0ffee", "status": ""}
    asked = []

    def git(root, command, *_):
        asked.append(root)
        if isinstance(says[command], Exception):
            raise says[command]
        return says[command]

    monkeypatch.setattr(environment, "_git", git)
    return says, asked


def commit():
    facts = environment.describe()
    return facts["commit"], facts["dirty"]


def test_an_installed_package_finds_the_checkout_that_it_came_from(checkout):
    says, asked = checkout
    assert commit() == ("c0ffee", False)
    assert set(asked) == {Path.cwd()}
    environment.describe.cache_clear()
    says["status"] = " M bench/api.py"
    assert commit() == ("c0ffee", True)


def test_a_checkout_of_other_code_does_not_count(checkout):
    Path("bench/records/environment.py").write_text("other code")
    assert commit() == (None, None)
    assert checkout[1] == []


def test_a_folder_that_is_no_checkout_does_not_count(checkout):
    Path(".git").rmdir()
    assert commit() == (None, None)


@pytest.mark.parametrize("error", [OSError("no git"), subprocess.TimeoutExpired("git", 10)])
def test_git_that_does_not_answer_is_no_disaster(checkout, error):
    checkout[0]["status"] = error
    assert commit() == (None, None)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux reports the peak since a given moment")
def test_peak_memory_forgets_what_was_before():
    size, slack = 96 * 2**20, 8 * 2**20  # the kernel counts pages separately for each processor
    block = np.ones(size // 8)
    environment.reset_peak_memory()
    held = environment.peak_memory()
    assert held > size
    del block
    assert environment.peak_memory() > held - slack  # the peak stays
    environment.reset_peak_memory()
    assert environment.peak_memory() < held - size + slack
