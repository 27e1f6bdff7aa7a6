"""What is published: metadata, the contents of wheel and sdist, pins for every Python, and the ways to start it."""

import ast
import os
import re
import subprocess
import sys
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest
from hatchling.builders.sdist import SdistBuilder
from hatchling.builders.wheel import WheelBuilder
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10, where pytest depends on tomli
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
OLDEST, NEWEST = (3, 10), (3, 13)
PYTHONS = [f"3.{minor}" for minor in range(OLDEST[1], NEWEST[1] + 1)]
SOURCES = sorted(
    file for room in ("bench", "seqgan", "baselines", "docs/site", "tests") for file in ROOT.glob(f"{room}/**/*.py")
)
UNPINNED = {"fast-bleu", "triton"}
"""The first has no wheels, the second is pinned in tox.ini."""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The names of the wheel's files."""
    file = next(WheelBuilder(str(ROOT)).build(directory=str(tmp_path_factory.mktemp("wheel")), versions=["standard"]))
    with zipfile.ZipFile(file) as archive:
        yield archive.namelist()


def test_every_file_is_python_3_10():
    """Newer syntax would be found on the oldest Python alone, which CI may not have."""
    assert len(SOURCES) > 300
    for file in SOURCES:
        ast.parse(file.read_bytes(), filename=str(file), feature_version=OLDEST)
    with pytest.raises(SyntaxError):
        ast.parse("try:\n    pass\nexcept* ValueError:\n    pass", feature_version=OLDEST)


def test_the_supported_pythons_are_those_that_the_metadata_name():
    named = [line.rpartition(" ")[2] for line in PROJECT["classifiers"] if re.search(r":: 3\.\d+$", line)]
    assert named == PYTHONS
    assert PROJECT["requires-python"] == f">={PYTHONS[0]}"


def test_classifiers_are_known():
    known = pytest.importorskip("trove_classifiers").classifiers
    assert [line for line in PROJECT["classifiers"] if line not in known] == []


@pytest.mark.parametrize("python", PYTHONS)
def test_constraints_pin_every_named_package_once(python):
    environment = {"python_version": python, "python_full_version": f"{python}.0", "sys_platform": "linux", "extra": ""}
    pins = {}
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            pin = Requirement(line)
            if pin.marker is None or pin.marker.evaluate(environment):
                pins.setdefault(canonicalize_name(pin.name), []).append(str(pin.specifier).removeprefix("=="))
    assert [name for name, found in pins.items() if len(found) != 1] == []
    asked = [*PROJECT["dependencies"], *(each for extra in PROJECT["optional-dependencies"].values() for each in extra)]
    for requirement in map(Requirement, asked):
        if requirement.marker is not None and not requirement.marker.evaluate(environment):
            continue
        name = canonicalize_name(requirement.name)
        assert name in UNPINNED or requirement.specifier.contains(pins[name][0], prereleases=True), name


def test_the_wheel_has_each_notice_once_and_beside_its_corpus(wheel):
    corpora = sorted(file.parent.name for file in ROOT.glob("bench/corpora/*/NOTICE"))
    assert len(corpora) >= 10
    notices = sorted(name for name in wheel if name.endswith("NOTICE"))
    assert notices == sorted(f"bench/corpora/{corpus}/NOTICE" for corpus in corpora)
    assert [name for name in wheel if name.endswith("LICENSE")] == [
        f"seqgan_bench-{PROJECT['version']}.dist-info/licenses/LICENSE"
    ]


def test_the_wheel_has_the_packages_and_nothing_else(wheel):
    assert {name.split("/")[0] for name in wheel} == {
        *("bench", "seqgan", "baselines"),
        f"seqgan_bench-{PROJECT['version']}.dist-info",
    }
    there = {
        file.relative_to(ROOT).as_posix()
        for room in ("bench", "seqgan", "baselines")
        for file in ROOT.glob(f"{room}/**/*.py")
    }
    assert there <= set(wheel)
    assert {"bench/py.typed", "bench/plans/costs.csv", "bench/data/pins.json"} <= set(wheel)


def test_the_sdist_has_what_the_wheel_is_built_from_and_no_results(wheel):
    files = [Path(file.path) for file in SdistBuilder(str(ROOT)).recurse_included_files()]
    names = {file.relative_to(ROOT).as_posix() for file in files}
    assert {name.split("/")[0] for name in names} <= {
        *("bench", "seqgan", "baselines", "docs", "CHANGELOG.md", "CONTRIBUTING.md", "constraints.txt"),
        *("pyproject.toml", "README.md", "LICENSE", ".gitignore"),
    }
    assert {name for name in wheel if ".dist-info/" not in name} <= names
    assert {"CHANGELOG.md", "constraints.txt", "docs/use.md", "docs/tutorial.md"} <= names
    assert sum(file.stat().st_size for file in files) < 25e6


def test_the_changelog_has_a_dated_entry_for_this_version():
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(rf"^## \[{re.escape(PROJECT['version'])}\] - \d{{4}}-\d\d-\d\d$", changelog, re.MULTILINE)
    assert version("seqgan-bench") == PROJECT["version"]


@pytest.mark.parametrize("arguments", [("--version",), ("list", "tasks")])
def test_python_m_bench_is_the_command(arguments):
    done = subprocess.run([sys.executable, "-m", "bench", *arguments], capture_output=True, text=True, check=True)
    assert (
        (f"bench, version {PROJECT['version']}\n" == done.stdout)
        if arguments[0] == "--version"
        else "toy" in done.stdout
    )


def test_shells_complete_commands_and_options():
    """The commands of docs/use.md write such scripts; this is what they ask while somebody types."""
    use = (ROOT / "docs" / "use.md").read_text(encoding="utf-8")
    for shell in ("bash", "zsh", "fish"):
        assert f"_BENCH_COMPLETE={shell}_source bench" in use
    script = "from bench.cli import main; main(prog_name='bench')"
    for words, position, wanted in (("bench ru", "1", "plain,run"), ("bench score --proto", "2", "plain,--protocol")):
        environment = {"_BENCH_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": position}
        done = subprocess.run(
            [sys.executable, "-c", script],
            check=False,  # click ends it with 1
            capture_output=True,
            text=True,
            env={**os.environ, **environment},
        )
        assert wanted in done.stdout.splitlines()


def test_the_dockerfile_copies_what_is_there():
    """It is not built here; what can go wrong without that is a name."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    copied = [name for line in re.findall(r"^COPY (.*) \S+$", text, re.MULTILINE) for name in line.split()]
    assert {"constraints.txt", "pyproject.toml", "README.md", "LICENSE", "bench", "baselines", "seqgan"} == set(copied)
    allowed = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    for name in copied:
        assert (ROOT / name).exists()
        assert f"!{name}" in allowed
    assert re.search(r"^USER (?!root)\w+$", text, re.MULTILINE)
    assert "ntested" in text


def test_the_extra_docs_is_what_tox_installs():
    tox = (ROOT / "tox.ini").read_text(encoding="utf-8").partition("[testenv:docs]")[2].partition("\ncommands")[0]
    assert [line.strip() for line in tox.partition("deps =\n")[2].splitlines()] == PROJECT["optional-dependencies"][
        "docs"
    ]
