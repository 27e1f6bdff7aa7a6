"""``leaderboard.md`` is short, and with the pages it links it says all that the leaderboard says."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from bench.records.frames import FINAL
from bench.reports import markdown
from bench.reports.document import Bullets, Figure, Heading, Table
from bench.reports.names import stem, stems
from bench.reports.pages import front, leaderboard
from bench.reports.pages.provenance import provenance

ROOT = Path(__file__).parents[4]
DRAWN = [("oracle, quick: scores", "figures/a b.png"), ("quatrains, quick: cost", "figures/b.png")]
LINK = re.compile(r"\]\(([^)]+)\)")


def pages_of(results, figures=()):
    return front.pages(results, leaderboard.page(results), figures)


@pytest.fixture(scope="module")
def pages(results):
    return pages_of(results, DRAWN)


@pytest.fixture(scope="module")
def texts(pages):
    return {path: markdown.render(page) for path, page in pages.items()}


def test_one_page_a_task_and_links_between_them(texts):
    own = ["leaderboard/oracle-quick.md", "leaderboard/quatrains-quick.md"]
    assert list(texts) == ["leaderboard.md", *own]
    linked = LINK.findall(texts["leaderboard.md"])
    assert [path for path in dict.fromkeys(linked) if path.endswith(".md")] == own
    assert [path for path in linked if path.endswith(".png")] == ["figures/a%20b.png", "figures/b.png"]
    assert LINK.findall(texts[own[0]]) == ["../leaderboard.md", "../figures/a%20b.png"]
    assert LINK.findall(texts[own[1]]) == ["../leaderboard.md", "../figures/b.png"]


def test_nothing_of_the_leaderboard_is_lost(results, pages):
    """Whatever is neither a heading nor about the machine is on a task's page, or filtered by its task there."""
    kept = [block for path, page in pages.items() if path != "leaderboard.md" for block in page]
    made = provenance(results.runs)
    for block in leaderboard.page(results):
        if isinstance(block, Heading | Figure) or block in made:
            continue
        if isinstance(block, Bullets) and block not in kept:
            told = {item for other in kept if isinstance(other, Bullets) for item in other.items}
            assert set(block.items) <= told
        else:
            assert block in kept


def test_the_front_has_the_answers_the_final_scores_and_who_has_no_result(results, texts):
    text = texts["leaderboard.md"]
    finals = {row["model"] for row in results.board.to_dict("records") if row["checkpoint"] == FINAL}
    for model in finals:
        assert re.search(rf"^\| {re.escape(model)}[ †]", text, re.MULTILINE), model
    assert "↳" not in text
    assert "- **Is it real?** " in text
    assert "- broken: failed: " in text
    assert re.search(r"^\| broken +\| +failed \|", text, re.MULTILINE)
    assert "- Machine: " in text


def test_the_tables_on_the_front_are_those_of_the_terminal(results, pages):
    from bench.reports.pages import summary

    mine, theirs = (
        [[group.lines for group in block.groups] for block in page if isinstance(block, Table)]
        for page in (pages["leaderboard.md"], summary.page(results))
    )
    assert mine == theirs


def test_committed_leaderboards_are_read_to_the_end():
    """Below 200 lines for as many as two tasks, and each has the pages that it links."""
    found = sorted((ROOT / "results").rglob("leaderboard"))
    assert ROOT / "results" / "leaderboard" in found
    for path in (folder.with_suffix(".md") for folder in found):
        text = path.read_text(encoding="utf-8")
        tasks = text.count("\n## ") - 1  # the last heading is on how it was made
        assert tasks > 0
        assert text.count("\n") < max(200, 100 * tasks), path
        assert all((path.parent / link).exists() for link in LINK.findall(text)), path


def test_hostile_tasks_stay_text(results):
    name = "a](x)<script>/../b"
    frames = {each: getattr(results, each).assign(task=name) for each in ("runs", "scores", "curves", "frontier")}
    pages = pages_of(replace(results, **frames))
    (path,) = [path for path in pages if path != "leaderboard.md"]
    assert path == "leaderboard/a-x-script-..-b-quick.md"
    for page in pages.values():
        assert not re.search(r"(?<!\\)<script>", markdown.render(page))


def test_names_of_files_are_each_ones_own():
    titles = ["a_b, quick", "a-b, quick", "A b, quick", "a-b-quick-2", "../x", "…"]
    names = stems(titles)
    assert len({name.casefold() for name in names.values()}) == len(titles)
    assert list(names.values())[:3] == ["a-b-quick", "a-b-quick-2", "A-b-quick-3"]
    assert all("/" not in name and name not in ("", ".", "..") for name in names.values())
    assert stem("oracle, quick") == "oracle-quick"
