"""Plugins whose packages choose the same names, or names that nobody can read: whose is run, and what is said."""

from __future__ import annotations

import sys

import pytest

from bench.errors import UsageError
from bench.plans import registry
from bench.plans.registry import available, find, remarks

MODEL = """
from dataclasses import dataclass

@dataclass(frozen=True)
class Mine:
    '''A model of {package}.'''

    def fit(self, data, run):
        return None
"""
METRIC = """
class Broken:
    version = "1"

    def __init__(self):
        raise RuntimeError("no licence")

    def estimates(self, subject):
        return []
"""


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Installs a package that registers one plugin, as an installer leaves it."""
    monkeypatch.syspath_prepend(str(tmp_path / "site"))

    def install(package, name, group="bench.generators", source=MODEL, attribute="Mine"):
        module = package.replace("-", "_").replace(".", "_")
        files = {
            f"{module}.py": source.format(package=package) if source is MODEL else source,
            f"{module}-1.0.dist-info/METADATA": f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n",
            f"{module}-1.0.dist-info/entry_points.txt": f"[{group}]\n{name} = {module}:{attribute}\n",
        }
        for file, text in files.items():
            path = tmp_path / "site" / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        registry.forget()

    yield install
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", None) or "").startswith(str(tmp_path)):
            del sys.modules[name]
    registry.forget()


def test_nothing_is_said_of_what_ships():
    assert list(remarks()) == []


def test_a_package_cannot_take_the_name_of_one_of_ours(install):
    install("evil", "mle")
    assert find("model", "mle").target == "seqgan.mle:MLE"
    assert find("model", "mle@seqgan-bench") == find("model", "mle")
    assert (find("model", "mle@evil").name, find("model", "mle@evil").target) == ("mle@evil", "evil:Mine")
    assert {"mle", "mle@evil"} <= available("model").keys()
    [said] = remarks()
    assert {"evil", "seqgan-bench"} <= set(said.split())
    assert said.endswith(" register a model of one name: 'mle' is ours, the others are mle@evil.")


def test_two_packages_of_one_name_are_two_models(install):
    install("first-one", "dice")
    assert find("model", "dice").name == find("model", "dice@first-one").name == "dice"
    install("second-one", "dice")
    assert {"dice@first-one", "dice@second-one"} <= available("model").keys()
    assert "dice" not in available("model")
    with pytest.raises(UsageError, match=r"both register a model named 'dice': choose dice@.*-one or dice@.*-one"):
        find("model", "dice")
    with pytest.raises(UsageError, match="both register a model named 'dice'"):
        find("model", "dice@third")
    assert find("model", "dice@second-one").load().__doc__ == "A model of second-one."
    [said] = remarks()
    assert "'dice' alone is none of them" in said


@pytest.mark.parametrize(
    "name",
    ["ml\u0435", "\x1b[31mmle", "mle[a]", "MLE", "mle@seqgan-bench", "a b", "m|le", "all", "contenders", "core", "_x"],
)
def test_a_name_that_could_be_taken_for_another_is_not_used(install, name):
    install("odd", name)
    assert name not in available("model")
    assert not any(plugin.distribution == "odd" for plugin in available("model").values())
    [said] = remarks()
    assert said.startswith(f"odd registers a model named {name!a}, which is not used: ")
    assert said.isprintable()
    with pytest.raises(UsageError, match="unknown model"):
        find("model", f"{name}@odd")


def test_a_package_cannot_hide_the_models_of_another(install):
    install("evil", "mle", "bench.heavy")
    assert "mle" not in registry.marked("bench.heavy")
    assert "mle-ensemble" in registry.marked("bench.heavy")


def test_fields_of_a_model_with_its_package_can_be_set(install, bench, tmp_path):
    install("first.one", "dice", source=MODEL.replace("def fit", "rate: float = 0.5\n\n    def fit"))
    install("second-one", "dice")
    answer = bench("run", "--models", "dice@first.one", "--set", "dice@first.one.rate=0.1", "--tasks", "toy",
                   "--preset", "smoke", "--seeds", 1, "--workers", 0, "--output", tmp_path / "results")  # fmt: skip
    assert "dice@first.one[rate=0.1]" in (tmp_path / "results" / "leaderboard.csv").read_text()
    assert "warning: " in answer.out + answer.err
    assert "register a model of one name" in " ".join((answer.out + answer.err).split())


def test_a_broken_metric_of_a_stranger_costs_nobody_a_run(install, bench, tmp_path):
    install("broken-package", "fine", "bench.metrics", METRIC, "Broken")
    asked = ("run", "--models", "random", "--tasks", "toy", "--preset", "smoke", "--seeds", 1, "--workers", 0,
             "--output", tmp_path / "results")  # fmt: skip
    answer = bench(*asked)
    assert answer.code == 0
    said = " ".join((answer.out + answer.err).split())
    assert (
        "warning: left out: metric 'fine' (broken_package:Broken, of package broken-package) breaks the contract: "
        "cannot be made without arguments: RuntimeError: no licence." in said
    )
    answer = bench(*asked, "--metrics", "fine")
    assert answer.code == 2
    assert "of package broken-package" in answer.err


def test_a_broken_task_of_a_stranger_costs_nobody_a_run(install, bench, tmp_path):
    install("broken-task", "thing", "bench.tasks", "import nothing_of_this_name\n", "Thing")
    answer = bench("run", "--models", "random", "--preset", "smoke", "--seeds", 1, "--dry-run",
                   "--output", tmp_path / "results", "--tasks", "all")  # fmt: skip
    assert answer.code == 0
    said = " ".join((answer.out + answer.err).split())
    assert "warning: left out: cannot load task 'thing' (broken_task:Thing, of package broken-task)" in said
    assert "bench data fetch NAME): thing" not in said


def test_a_module_that_ends_the_process_is_a_failed_row(install, bench, tmp_path):
    install("ends-it", "ender", source="import os\nos._exit(0)\n")
    answer = bench("run", "--models", "ender,random", "--tasks", "toy", "--preset", "smoke", "--seeds", 1,
                   "--workers", 0, "--metrics", "distinct", "--output", tmp_path / "results")  # fmt: skip
    assert answer.code == 1
    assert "cannot load model 'ender' (ends_it:Mine): SystemExit: os._exit(0)" in " ".join(answer.out.split())
    assert answer.out.splitlines()[-1] == "2 ok, 0 skipped, 1 failed"


def test_listing_survives_a_module_that_cannot_be_read(install, bench):
    install("unreadable", "bad", source="def (:\n")
    answer = bench("list", "models")
    assert answer.code == 0
    assert "bad" in answer.out
