"""Everything that is written to a results folder: which files, complete, and with the same bytes each time."""

import csv
import dataclasses
import struct

import matplotlib
import pandas as pd
import pytest
from rich.console import Console

from bench.analysis.results import Results
from bench.commands.report import FORMATS
from bench.reports import write_reports
from bench.reports.figures import drawing, drawn
from bench.reports.figures.drawing import METADATA, write_figures

NAMES = [
    *("oracle-quick-scores.png", "quatrains-quick-scores.png"),
    "oracle-quick-frontier.png",
    *("oracle-quick-cost.png", "oracle-quick-cost-nll-oracle.png", "quatrains-quick-cost.png"),
    "oracle-quick-rounds.png",
]
PAGES = ["leaderboard/oracle-quick.md", "leaderboard/quatrains-quick.md"]
FILES = ["index.html", "leaderboard.csv", "leaderboard.md", "verdicts.csv"]
KEPT = [*NAMES, drawn.FILE]


def size(png):
    """Width and height in pixels, from the header chunk."""
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    assert png[-8:-4] == b"IEND"
    return struct.unpack(">II", png[16:24])


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def frames_of(results):
    return [getattr(results, field.name) for field in dataclasses.fields(results)[:4]]


def write(results, folder):
    """All reports of the results, and the text of a terminal."""
    console = Console(width=80)
    with console.capture() as captured:
        console.print(*write_reports(results, folder))
    return captured.get()


@pytest.fixture(scope="module")
def written(results, tmp_path_factory):
    """A results folder, and what the terminal showed."""
    folder = tmp_path_factory.mktemp("results")
    return folder, write(results, folder)


def test_a_folder_gets_tables_verdicts_and_figures(written):
    folder, text = written
    assert sorted(contents(folder)) == sorted([*FILES, *PAGES, *(f"figures/{name}" for name in KEPT)])
    for name in NAMES:
        png = (folder / "figures" / name).read_bytes()
        assert all(300 < side < 2500 for side in size(png))
        assert 5_000 < len(png) < 300_000
        assert b"Software" not in png
    assert "seqgan: worse than mle and its own pre-training" in text


def test_the_same_results_give_the_same_bytes(results, written, tmp_path):
    folder, text = written
    assert write(Results(*frames_of(results)), tmp_path) == text
    assert contents(tmp_path) == contents(folder)


def test_the_page_links_every_figure(written):
    folder, _ = written
    pages = "".join((folder / name).read_text(encoding="utf-8") for name in PAGES)
    assert all(pages.count(f"](../figures/{name})") == 1 for name in NAMES)
    page = (folder / "leaderboard.md").read_text(encoding="utf-8")
    assert "![oracle, quick: each seed and the mean](figures/oracle-quick-scores.png)" in page
    assert b"\r" not in (folder / "leaderboard.md").read_bytes()


def test_the_files_hold_the_board_and_all_verdicts(results, written):
    folder, _ = written
    for name, rows in (("leaderboard.csv", results.board), ("verdicts.csv", results.answers)):
        with (folder / name).open(encoding="utf-8", newline="") as file:
            assert len(list(csv.DictReader(file))) == len(rows) > 20


def test_one_seed_is_enough(results, tmp_path):
    one = Results(*(frame[frame["seed"] == 0] for frame in frames_of(results)))
    assert [name for _, name in write_figures(one, tmp_path)] == NAMES


def test_no_curve_and_no_sweep_no_figure_of_them(results, tmp_path):
    scored = dataclasses.replace(results, curves=results.curves.head(0), frontier=results.frontier.head(0))
    assert [name for _, name in write_figures(scored, tmp_path)] == NAMES[:2]


def test_nothing_but_failures(results, tmp_path):
    runs = results.runs[results.runs["status"] == "failed"]
    failures = Results(runs, *(frame.head(0) for frame in frames_of(results)[1:]))
    assert "broken: failed" in write(failures, tmp_path)
    assert sorted(contents(tmp_path)) == sorted([*FILES, PAGES[0]])


def test_labels_with_brackets_make_plain_file_names(results, tmp_path):
    frames = [frame[frame["task"] == "oracle"] for frame in frames_of(results)]
    renamed = Results(*(frame.assign(task="oracle[seq_len=40]", preset="quick, 60 seconds each") for frame in frames))
    written = write_figures(renamed, tmp_path / "new" / "folder")
    assert [name for _, name in written] == [
        f"oracle-seq-len-40-quick-60-seconds-each-{kind}.png"
        for kind in ("scores", "frontier", "cost", "cost-nll-oracle", "rounds")
    ]
    assert written[0][0] == "oracle[seq_len=40], quick, 60 seconds each: each seed and the mean"
    assert all((tmp_path / "new" / "folder" / name).stat().st_size > 5_000 for _, name in written)


@pytest.fixture
def many(results):
    """The same runs of one task, which has two figures, under four presets: more than are drawn alone."""

    def copies(frame):
        own = frame[frame["task"] == "quatrains"]
        return pd.concat([own.assign(preset=name, run_id=own["run_id"] + name) for name in "abcd"])

    return Results(*(copies(frame).reset_index(drop=True) for frame in frames_of(results)))


def test_several_processes_draw_the_same_figures(many, tmp_path, monkeypatch):
    started = []
    original = drawing.Share.__init__

    def start(self, sections, folder):
        started.append([section.runs["preset"].unique().tolist() for section in sections])
        original(self, sections, folder)

    monkeypatch.setattr(drawing.Share, "__init__", start)
    monkeypatch.setattr(drawing, "_processors", lambda: 3)
    written = write_figures(many, tmp_path / "three")
    assert len(started) == 2
    monkeypatch.setattr(drawing, "_processors", lambda: 1)
    assert write_figures(many, tmp_path / "one") == written
    assert len(started) == 2
    assert contents(tmp_path / "three") == contents(tmp_path / "one")
    assert len(written) == 4 * 2


@pytest.mark.parametrize("executable", ["/bin/false", "/bin/true", "/nowhere/python"])
def test_what_another_process_could_not_draw_is_drawn_here(executable, many, tmp_path, monkeypatch):
    monkeypatch.setattr(drawing, "_processors", lambda: 2)
    monkeypatch.setattr(drawing.sys, "executable", executable)
    assert len(write_figures(many, tmp_path)) == len(list(tmp_path.glob("*.png"))) == 4 * 2


def test_figures_for_papers_stand_beside_the_others_and_have_the_same_bytes_each_time(results, tmp_path):
    task = results.runs["task"].iloc[0]
    some = Results(*(frame[frame["task"] == task] for frame in frames_of(results)))
    for folder in ("one", "two"):
        assert [name for _, name in write_figures(some, tmp_path / folder, ["pdf", "svg"])]
    files = contents(tmp_path / "one")
    assert files == contents(tmp_path / "two")
    del files[drawn.FILE]
    stems = {name.partition(".")[0] for name in files}
    assert set(files) == {f"{stem}.{form}" for stem in stems for form in ("png", "pdf", "svg")}
    for name, content in files.items():
        beginning = {"png": b"\x89PNG", "pdf": b"%PDF", "svg": b"<?xml"}[name.rpartition(".")[2]]
        assert content.startswith(beginning), name
    assert METADATA.keys() == set(FORMATS)


@pytest.fixture
def counted(monkeypatch):
    """The tasks whose figures are drawn, in one process."""
    found = []
    original = drawing.Drawing.write

    def write(section, folder):
        found.extend(section.runs["task"].unique())
        return original(section, folder)

    monkeypatch.setattr(drawing.Drawing, "write", write)
    monkeypatch.setattr(drawing, "_processors", lambda: 1)
    return found


def test_only_what_has_changed_is_drawn_again(results, tmp_path, counted):
    first = write_figures(results, tmp_path)
    before = contents(tmp_path)
    assert sorted(counted) == ["oracle", "quatrains"]
    assert write_figures(Results(*frames_of(results)), tmp_path) == first
    assert len(counted) == 2
    (tmp_path / "quatrains-quick-cost.png").write_bytes(b"damaged")
    (tmp_path / "quatrains-quick-scores.png").unlink()
    assert write_figures(results, tmp_path) == first
    assert counted[2:] == ["quatrains"]
    assert contents(tmp_path) == before
    runs = results.runs.copy()
    runs.loc[runs.index[runs["task"] == "quatrains"][0], "reason"] = "another"
    write_figures(dataclasses.replace(results, runs=runs), tmp_path)
    assert counted[3:] == ["quatrains"]


@pytest.mark.parametrize("part", ["scores", "curves", "frontier"])
def test_a_value_that_differs_in_its_last_digits_changes_one_task(part, results):
    def digests(results):
        return {section.runs["task"].iloc[0]: section.digest for section in drawing._sections(results, ())}

    frame = getattr(results, part).copy()
    row = frame.index[(frame["task"] == "oracle") & frame["value"].notna()][0]
    frame.loc[row, "value"] *= 1 + 1e-12
    before, after = digests(results), digests(dataclasses.replace(results, **{part: frame}))
    assert before["oracle"] != after["oracle"]
    assert before["quatrains"] == after["quatrains"]


@pytest.mark.parametrize("content", ["", "[1]", '{"a": [[["b"]]]}', "\udcff"])
def test_a_damaged_list_of_what_is_drawn_is_written_anew(content, results, tmp_path, counted):
    some = Results(*(frame[frame["task"] == "quatrains"] for frame in frames_of(results)))
    write_figures(some, tmp_path)
    before = contents(tmp_path)
    (tmp_path / drawn.FILE).write_bytes(content.encode("utf-8", "surrogateescape"))
    write_figures(some, tmp_path)
    assert counted == 2 * ["quatrains"]
    assert contents(tmp_path) == before


def test_a_list_that_names_a_file_elsewhere_is_not_believed(results, tmp_path, counted):
    some = Results(*(frame[frame["task"] == "quatrains"] for frame in frames_of(results)))
    folder = tmp_path / "figures"
    written = write_figures(some, folder)
    (tmp_path / "elsewhere.png").write_bytes((folder / written[0][1]).read_bytes())
    listed = (folder / drawn.FILE).read_text()
    (folder / drawn.FILE).write_text(listed.replace(written[0][1], "../elsewhere.png"))
    assert write_figures(some, folder) == written
    assert counted == 2 * ["quatrains"]


def test_other_libraries_settings_and_formats_draw_anew(results, monkeypatch):
    def found(formats=()):
        return drawing._sections(results, formats)[0].digest

    digests = [found(), found(("svg",)), found(("pdf", "svg"))]
    with matplotlib.rc_context({"lines.linewidth": 3}):
        digests.append(found())
    drawn._program.cache_clear()
    monkeypatch.setattr(drawn, "version", lambda name: "0")
    digests.append(found())
    drawn._program.cache_clear()
    assert len(set(digests)) == 5
    monkeypatch.undo()
    assert found() == digests[0]


def test_a_paper_figure_that_is_gone_is_drawn_anew(results, tmp_path, counted):
    some = Results(*(frame[frame["task"] == "quatrains"] for frame in frames_of(results)))
    write_figures(some, tmp_path, ["svg"])
    before = contents(tmp_path)
    write_figures(some, tmp_path, ["svg"])
    assert len(counted) == 1
    (tmp_path / "quatrains-quick-scores.svg").unlink()
    write_figures(some, tmp_path, ["svg"])
    assert len(counted) == 2
    assert contents(tmp_path) == before
