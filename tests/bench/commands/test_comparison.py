"""``bench compare`` of two folders, ``bench report`` of two, and tables of one: what is written, and exit codes."""

import csv
import io
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from bench.records.store import Store

GOLDEN = Path(__file__).parents[2] / "golden" / "store"


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A few records of the golden store, and the same with one score moved in each seed."""
    root = tmp_path_factory.mktemp("folders")
    for name in ("A", "B"):
        store = Store(root / name)
        store.open()
        for record in Store(GOLDEN).records():
            if (record.spec.task, record.spec.model) not in (("toy", "mle"), ("toy", "random"), ("toy", "real data")):
                continue
            moved = record.spec.model == "mle" and name == "B"
            final = [
                replace(score, value=score.value + 0.5 + 0.0001 * record.spec.seed)
                if moved and score.metric == "nll_test"
                else score
                for score in record.scores["final"]
            ]
            store.write(replace(record, scores={**record.scores, "final": tuple(final)}))
    return root


@pytest.fixture
def here(folders, tmp_path, monkeypatch):
    """A working directory with both folders in it."""
    for name in ("A", "B"):
        shutil.copytree(folders / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_two_folders_are_compared_as_the_accepted_file_of_the_first_is(bench, here):
    assert bench("accept", "A", "--to", "accepted.csv").code == 0
    both = [bench("compare", base, "B") for base in ("A", "accepted.csv")]
    assert both[0].out == both[1].out
    assert both[0].out.splitlines()[0] == "worse: toy, smoke: mle, final"
    assert "1 worse" in both[0].out.splitlines()[-1]
    assert [(each.code, each.err) for each in both] == [(0, "")] * 2
    assert bench("compare", "A", "B", "--fail-on-regression").code == 1
    assert bench("report", "A", "B").out == both[0].out
    against = ("A", "B", "--against", "random")
    assert bench("report", *against).out == bench("compare", *against).out != both[0].out


def test_both_spellings_write_the_same_page_and_nothing_else(bench, here):
    before = files(here)
    answer = bench("report", "A", "B", "--html")
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.splitlines()[-1] == "In a browser: comparison.html"
    assert "1 worse" in answer.out.splitlines()[0]
    page = Path("comparison.html").read_bytes()
    assert bench("compare", "A", "B", "--format", "html", "--output", "other.html").code == 0
    assert Path("other.html").read_bytes() == page
    printed = bench("compare", "A", "B", "--format", "html", "--output", "-")
    assert printed.out.encode() == page
    assert files(here) == sorted([*before, "comparison.html", "other.html"])


def test_a_text_is_written_where_a_file_is_named(bench, here):
    said = bench("compare", "A", "B", "--format", "markdown").out
    answer = bench("compare", "A", "B", "--format", "markdown", "--output", "said.md")
    assert (answer.code, answer.out.splitlines()[-1]) == (0, "Written: said.md")
    assert Path("said.md").read_text(encoding="utf-8") == said


def test_tables_are_printed_or_written_and_nothing_in_the_folder_changes(bench, here):
    before = files(here)
    for form in ("latex", "markdown", "csv", "json"):
        printed = bench("report", "A", "--format", form)
        assert (printed.code, printed.err) == (0, "")
        assert "nll_test" in printed.out.replace("\\_", "_")
        written = bench("report", "A", "--format", form, "--output", "table")
        assert (written.code, written.out) == (0, "Written: table\n")
        assert Path("table").read_text(encoding="utf-8") == printed.out
    assert files(here) == sorted([*before, "table"])


def test_columns_tables_and_steps_are_chosen(bench, here):
    def cells(*options):
        return list(csv.DictReader(io.StringIO(bench("report", "A", "--format", "csv", *options).out)))

    own = cells("--metrics", "bleu2,nll_test")
    assert [row["metric"] for row in own[:2]] == ["bleu2", "nll_test"]
    assert {row["table"] for row in own} == {"chosen scores"}
    assert {row["table"] for row in cells("--table", "likelihood", "--table", "COSTS")} == {
        "Likelihood and divergence",
        "Costs",
    }
    assert len({row["table"] for row in cells("--table", "all")}) > 4
    assert {row["checkpoint"] for row in own} == {"final"}
    assert "selected" in {row["checkpoint"] for row in cells("--steps")}
    assert json.loads(bench("report", "A", "--format", "json").out)["schema"] == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["report", "A", "--html"], "--html is for two folders, as in 'bench report BEFORE AFTER --html'"),
        (["report", "A", "B", "--format", "latex"], "--format is for one folder; 'bench compare' has other formats"),
        (["report", "A", "B", "--figures", "pdf"], "--figures is for one folder"),
        (["report", "A", "--table", "all"], "--table chooses what --format prints: add --format latex"),
        (["report", "A", "--output", "x"], "--output chooses what --format prints"),
        (["report", "A", "--format", "csv", "--figures", "pdf"], "--figures does not change tables"),
        (["report", "A", "--format", "csv", "--against", "mle"], "--against does not change tables"),
        (["report", "A", "--format", "csv", "--table", "hedline"], "unknown table 'hedline'. Did you mean 'headline'?"),
        (["report", "A", "--format", "csv", "--table", "L"], "got 'L', which begins those of Likelihood"),
        (["report", "A", "--format", "csv", "--metrics", "nll"], "unknown metric 'nll'."),
        (["report", "A", "--format", "csv", "--metrics", "bleu2", "--table", "all"], "--metrics is a table of its own"),
        (["report", "A", "--format", "csv", "--output", "no/where"], "cannot write 'no/where'"),
        (["report", "empty", "--format", "csv"], "no run is finished in 'empty'"),
        (["report", "A", "nowhere"], "expected a results folder (with a store.json), got 'nowhere'"),
        (["report", "A", "B", "--against", "nobody"], "unknown model to compare with 'nobody'"),
        (["compare", "A", "B", "--format", "html", "--output", "no/where"], "cannot write 'no/where'"),
    ],
)
def test_misuse_is_reported_in_one_sentence(bench, here, arguments, message):
    Store(Path("empty")).open()
    before = files(here)
    answer = bench(*arguments)
    assert (answer.code, answer.out) == (2, "")
    assert message in answer.err
    assert len(answer.err.splitlines()) == 1
    assert files(here) == before


def test_a_damaged_record_is_left_out_and_said(bench, here):
    record = next((here / "B" / "runs").glob("*mle*.json"))
    record.write_text("{}")
    answer = bench("report", "B", "--format", "csv")
    assert answer.code == 1
    assert answer.err.startswith("warning: ")
    assert answer.out.startswith("task,preset,table")


def test_packed_records_are_no_mystery(bench, folders, tmp_path):
    """A folder whose records are in an archive has no runs: each command that wants them says where they are."""
    packed = tmp_path / "packed"
    Store(packed).open()
    assert bench("report", packed).code == 0
    (packed / "records.tar.gz").write_bytes(b"")
    for command in (
        ["report", packed],
        ["report", packed, "--format", "csv"],
        ["compare", packed, folders / "A"],
        ["compare", folders / "A", packed],
        ["merge", packed, folders / "A", "--output", tmp_path / "merged"],
    ):
        answer = bench(*command)
        assert answer.code == 2
        assert f"tar xzf {packed / 'records.tar.gz'} -C unpacked" in " ".join(answer.err.split())


@pytest.mark.parametrize("options", [["--format", "csv"], ["--format", "latex"]])
def test_an_empty_path_is_no_file(bench, folders, options):
    answer = bench("report", folders / "A", *options, "--output", "")
    assert answer.code == 2
    assert "expected a path for --output, got an empty one" in answer.err


def test_an_empty_path_is_no_page(bench, folders):
    sides = folders / "A", folders / "B"
    for command in (["report", *sides, "--html"], ["compare", *sides, "--format", "html"]):
        assert bench(*command, "--output", "").code == 2
