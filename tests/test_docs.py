"""The pages in docs/ say what is true of the code: fields, defaults, presets, names, files and links."""

from __future__ import annotations

import csv
import dataclasses
import doctest
import functools
import importlib
import json
import os
import re
import tarfile
from pathlib import Path

import pytest
from click.testing import CliRunner

from bench.cli import main
from bench.commands.settings import page as settings_page
from bench.plans.fields import configuration
from bench.plans.settings import settings
from bench.records.frames import REAL_DATA
from bench.reports import markdown
from bench.reports.numbers import cell

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10, where pytest depends on tomli
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
TASKS = DOCS / "tasks"
PAGES = sorted([*DOCS.glob("*.md"), *TASKS.glob("*.md")])
OTHERS = (
    *(
        "README",
        "arms",
        "augmented",
        "ci",
        "cluster",
        "density",
        "files",
        "known-reward",
        "gpu",
        "performance",
        "python",
        "rate",
        "reliability",
        "report",
        "samples",
        "scaling",
        "score",
        "settings",
        "statistics",
        "study",
        "tuning",
        "tutorial",
    ),
    "use",
)
OF_GENERATORS = [page for page in PAGES if page.parent == DOCS and page.stem not in OTHERS]
GROUPS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["entry-points"]
GENERATORS = {**GROUPS["bench.generators"], **GROUPS["bench.controls"]}
AS_SEQGAN = ("seqgan-baselined", "constant-reward", "random-reward", "random-reward-baselined", "permuted-reward")
"""Their tables leave out the rows that are SeqGAN's."""
HEADER = "| field | default | medium | quick | smoke | meaning |"
MEASURED = "<!-- measured: oracle-published -->\n\n| setting | nll_oracle | nll_test | n | command |\n"


def load(target):
    """The object that ``module:name`` refers to."""
    module, _, name = target.partition(":")
    return functools.reduce(getattr, name.split("."), importlib.import_module(module))


def section(name):
    """What the pages say of a generator: its page without the sections of others, or its section of a shared page."""
    page = DOCS / f"{name}.md"
    if page.exists():
        first, *others = re.split(r"^## ", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
        return "## ".join([first, *(part for part in others if part.partition("\n")[0] not in GENERATORS)])
    for page in PAGES:
        for part in re.split(r"^## ", page.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
            if part.partition("\n")[0] == name:
                return part
    return ""


def field_rows(plugin):
    """The lines of a generator's table."""
    configs = {preset: configuration(plugin, preset, {}) for preset in ("paper", "medium", "quick", "smoke")}
    text = {setting.name: setting.meaning for setting in settings(plugin)}

    def cell(preset, field):
        changed = field in getattr(plugin, "presets", {}).get(preset, {})
        return f"`{configs[preset][field]!r}`" if changed else ""

    return [
        " ".join(
            f"| `{name}` | `{default!r}` | {cell('medium', name)} | {cell('quick', name)} | {cell('smoke', name)} | "
            f"{text[name]} |".split()
        )
        for name, default in configs["paper"].items()
    ]


def shown_rows(text):
    """Lines of all tables of fields in a text."""
    tables = re.findall(rf"^{re.escape(HEADER)}\n\|[-| ]+\|\n((?:\|.*\n)*)", text, re.MULTILINE)
    return [" ".join(line.split()) for table in tables for line in table.splitlines()]


def slug(heading):
    """The anchor that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def test_a_row_is_what_the_class_says():
    rows = field_rows(load("seqgan.seqgan:SeqGAN"))
    assert "| `lr` | `0.01` | | | | Adam's step size in policy gradient, which has its own optimizer. |" in rows
    assert "| `rollouts` | `16` | `4` | `4` | `2` | Completions of each prefix (the paper's N). |" in rows
    assert len(rows) == len(dataclasses.fields(load("seqgan.seqgan:SeqGAN")))


@pytest.mark.parametrize("name", GENERATORS)
def test_every_field_of_every_generator_is_on_its_page(name):
    text, rows = section(name), field_rows(load(GENERATORS[name]))
    assert text, f"no docs/{name}.md, and no page has a section '## {name}'"
    expected = rows
    if name in AS_SEQGAN:
        seqgan = field_rows(load(GENERATORS["seqgan"]))
        expected = [row for row in rows if row not in seqgan]
        assert re.search(r"\]\((seqgan\.md)?#fields\)", text), "no link to SeqGAN's fields"
    assert shown_rows(text) == expected, f"the table of {name} should be\n{HEADER}\n" + "\n".join(expected)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_index_links_every_page(page):
    index = (DOCS / "README.md").read_text(encoding="utf-8")
    assert page.parent == TASKS or page.name == "README.md" or f"]({page.name})" in index


@pytest.mark.parametrize("name", GROUPS["bench.tasks"])
def test_every_task_is_in_the_index_of_tasks_with_its_page(name):
    rows = [line.split("|") for line in (TASKS / "README.md").read_text(encoding="utf-8").splitlines()]
    [page] = [row[2] for row in rows if len(row) > 2 and f"`{name}`" in row[1]]
    file = TASKS / re.search(r"\]\((.*)\)", page)[1]
    text = file.read_text(encoding="utf-8")
    assert f"`{name}`" in text or text.startswith(f"# {name}\n")


@pytest.mark.parametrize("page", sorted(TASKS.glob("*.md")), ids=lambda page: page.name)
def test_the_index_of_tasks_links_every_page(page):
    index = (TASKS / "README.md").read_text(encoding="utf-8")
    assert page.name == "README.md" or f"]({page.name})" in index


def test_the_index_names_every_generator():
    index = (DOCS / "README.md").read_text(encoding="utf-8")
    assert [name for name in GENERATORS if f"`{name}`" not in index] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if target.startswith("https://"):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), target
        headings = re.findall(r"^#+ (.*)$", file.read_text(encoding="utf-8"), re.MULTILINE) if anchor else []
        assert not anchor or anchor in map(slug, headings), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_is_named_in_the_code_is_there(page):
    text = page.read_text(encoding="utf-8")
    names = re.findall(r"`((?:bench|seqgan|baselines)(?:\.\w+)*:[\w.]+)`", text)
    files = re.findall(r"`((?:tests|bench|seqgan|baselines|results)/[\w/.-]+)`", text)
    assert names
    for name in names:
        load(name)
    assert [file for file in files if not (ROOT / file).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_tables_are_whole(page):
    for block in re.findall(r"(?:^\|.*\n)+", page.read_text(encoding="utf-8"), re.MULTILINE):
        lines = block.splitlines()
        assert set(lines[1]) <= set("|-: "), lines[0]
        assert {len(re.findall(r"(?<!\\)\|", line)) for line in lines} == {lines[0].count("|")}, lines[0]


def test_the_python_page_runs_as_it_is_printed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    result = doctest.testfile(str(DOCS / "python.md"), module_relative=False, optionflags=flags)
    assert result.failed == 0
    assert result.attempted > 20


def test_the_study_is_computed_from_its_records(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "results").symlink_to(ROOT / "results")
    for name, folder in (("records", "study"), ("attempt", "attempt"), ("permuted", "permuted"), ("second", "second")):
        with tarfile.open(ROOT / "results" / "study" / f"{name}.tar.gz") as archive:
            archive.extractall(tmp_path / folder, filter="data")
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    result = doctest.testfile(str(DOCS / "study.md"), module_relative=False, optionflags=flags)
    assert result.failed == 0
    assert result.attempted > 20


def test_the_page_of_all_arms_is_computed_from_its_records(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with tarfile.open(ROOT / "results" / "arms" / "records.tar.gz") as archive:
        archive.extractall(tmp_path / "arms", filter="data")
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    result = doctest.testfile(str(DOCS / "arms.md"), module_relative=False, optionflags=flags)
    assert result.failed == 0
    assert result.attempted > 10


def test_the_page_on_rloo_is_computed_from_its_records(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, folder in (("mine", "."), ("corpora", "corpora")):
        with tarfile.open(ROOT / "results" / folder / "records.tar.gz") as archive:
            archive.extractall(tmp_path / name, filter="data")
    result = doctest.testfile(str(DOCS / "rloo.md"), module_relative=False, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert result.failed == 0
    assert result.attempted > 5


@pytest.mark.parametrize("page", ["tuning", "known-reward"])
def test_a_page_is_computed_from_committed_tables(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "results").symlink_to(ROOT / "results")
    result = doctest.testfile(str(DOCS / f"{page}.md"), module_relative=False, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert result.failed == 0
    assert result.attempted > 5


SEARCHES = sorted((ROOT / "results" / "tuned").glob("*-nll_valid.csv"))


@pytest.mark.parametrize("file", SEARCHES, ids=lambda file: file.name)
def test_what_quick_sets_on_a_task_is_what_its_search_found(file):
    """The fewest epochs among the trials within .01 nats of the best (docs/tuning.md)."""
    with file.open(encoding="utf-8", newline="") as lines:
        trials = [(float(row["score"]), json.loads(row["fields"]), row) for row in csv.DictReader(lines)]
    best = min(score for score, _, _ in trials)
    taken = min((fields for score, fields, _ in trials if score <= best + 0.01), key=lambda fields: fields["epochs"])
    row = trials[0][2]
    assert (row["preset"], row["model"], len(trials)) == ("quick", "mle", 16)
    assert taken.items() <= configuration(load(GENERATORS["mle"]), "quick", {}, row["task"]).items()


BOARD = re.compile(r"(?<=<!-- board: )(\w+)( -->\n\n)((?:\|.*\n)*)")
"""Before a table of results/tasks: the task. Its header names the columns."""


def board_table(found):
    """The comment, and the table as it should be: rows as in the leaderboard, mean ± half of Student's interval."""
    task, comment, table = found.groups()
    names = re.findall(r"`(\w+)`", table.splitlines()[0])
    with (ROOT / "results" / "tasks" / "leaderboard.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if (row["task"], row["checkpoint"]) == (task, "final")]
    cells, most = {}, max(int(row["n"]) for row in rows)
    for row in rows:
        numbers = {name: float(row[name]) if row[name] else None for name in ("mean", "low", "high")}
        few = f" (n={row['n']})" if int(row["n"]) < most else ""
        cells.setdefault(row["model"], {})[row["metric"]] = cell({**row, **numbers}) + few if row["mean"] else ""
    lines = [f"| model | {' | '.join(f'`{name}`' for name in names)} |", f"| --- |{' ---: |' * len(names)}"]
    for model, own in cells.items():
        shown = model if model == REAL_DATA else f"`{model}`"
        lines.append(f"| {shown} | {' | '.join(own.get(name, '') for name in names)} |")
    return "".join([task, comment, *(f"{line}\n" for line in lines)])


@pytest.mark.parametrize("page", sorted(TASKS.glob("*.md")), ids=lambda page: page.name)
def test_tables_of_the_tasks_are_those_of_their_board(page):
    """``GOLDEN=write pytest tests/test_docs.py`` writes them anew."""
    text = page.read_text(encoding="utf-8")
    expected = BOARD.sub(board_table, text)
    if os.environ.get("GOLDEN") == "write":
        page.write_text(expected, encoding="utf-8", newline="\n")
    assert page.read_text(encoding="utf-8") == expected


def test_all_tasks_of_the_board_have_a_table():
    with (ROOT / "results" / "tasks" / "leaderboard.csv").open(encoding="utf-8", newline="") as file:
        tasks = {row["task"] for row in csv.DictReader(file)}
    pages = [page.read_text(encoding="utf-8") for page in TASKS.glob("*.md")]
    assert tasks == {name for text in pages for name, *_ in BOARD.findall(text)}


def test_what_quick_sets_for_mle_tuned_on_a_task_is_the_best_trial_of_its_search():
    plugin = load(GENERATORS["mle-tuned"])
    names = [name.partition("/")[2] for name in plugin.presets if "/" in name]
    assert names
    for task in names:
        file = ROOT / "results" / "mle-tuned" / f"tuned-{task}-quick-nll_valid.csv"
        with file.open(encoding="utf-8", newline="") as lines:
            best = min(csv.DictReader(lines), key=lambda row: float(row["score"]))
        assert json.loads(best["fields"]).items() <= configuration(plugin, "quick", {}, task).items()


def test_what_quick_sets_on_a_task_was_searched():
    tasks = {name.partition("/")[2] for name in load(GENERATORS["mle"]).presets if "/" in name}
    assert {f"tuned-{task}-quick-nll_valid.csv" for task in tasks} <= {file.name for file in SEARCHES}


@pytest.mark.parametrize("page", OF_GENERATORS, ids=lambda page: page.name)
def test_measured_rows_of_five_seeds_are_those_of_the_study(page):
    with (ROOT / "results" / "study" / "leaderboard.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["checkpoint"] == "final"]
    found = {}
    for row in rows:
        half = (float(row["high"] or "nan") - float(row["low"] or "nan")) / 2
        found.setdefault(row["model"], {})[row["metric"]] = f"{float(row['mean'] or 'nan'):.3f} ± {half:.3f}"
    there = {(cells["nll_oracle"], cells["nll_test"]) for cells in found.values()}
    table = page.read_text(encoding="utf-8").partition(MEASURED)[2].partition("\n\n")[0]
    for line in table.splitlines():
        if "±" in line:
            assert tuple(line.split(" | ")[1:3]) in there, line


def test_the_page_on_scores_shows_what_the_command_prints(monkeypatch):
    page = (DOCS / "score.md").read_text(encoding="utf-8")
    block = page.partition("<!-- score -->")[2].partition("<!-- /score -->")[0]
    commands, shown = re.search(r"```console\n((?:(?:\$|      --)[^\n]*\n)+)(.*?)```", block, re.DOTALL).groups()
    change, score = commands.replace("\\\n", "").replace("$ ", "").splitlines()
    monkeypatch.chdir(ROOT / change.removeprefix("cd "))
    monkeypatch.setenv("COLUMNS", "80")
    answer = CliRunner().invoke(main, score.removeprefix("bench ").split())
    assert answer.exit_code == 0
    printed = [line.rstrip() for line in answer.output.splitlines()]
    assert printed[: len(shown.splitlines())] == shown.splitlines()


@pytest.mark.parametrize("page", OF_GENERATORS, ids=lambda page: page.name)
def test_every_page_has_a_table_of_what_was_measured_or_says_that_nothing_was(page):
    text = page.read_text(encoding="utf-8")
    rows = text.partition(MEASURED)[2].partition("\n\n")[0].splitlines()[1:]  # after the line below the header
    assert bool(rows) == (MEASURED in text)
    assert bool(rows) != ("**Not run** at the paper's settings" in text)


def test_the_page_of_settings_is_what_the_classes_say():
    """``GOLDEN=write pytest tests/test_docs.py`` writes it anew."""
    page, text = DOCS / "settings.md", markdown.render(settings_page())
    if os.environ.get("GOLDEN") == "write":
        page.write_text(text, encoding="utf-8", newline="\n")
    assert page.read_text(encoding="utf-8") == text
    assert all(f"`{name}`" in text for name in (*GENERATORS, *GROUPS["bench.tasks"], "text", "midi", "checkins"))
