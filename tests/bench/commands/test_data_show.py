from __future__ import annotations

import pytest
from click.testing import CliRunner

from bench.cli import main
from bench.data.shipped import NAMES


@pytest.fixture
def show(tmp_path, monkeypatch):
    monkeypatch.setenv("SEQGAN_BENCH_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("COLUMNS", "100")

    def run(*arguments):
        done = CliRunner().invoke(main, ["data", "show", *map(str, arguments)])
        assert done.exit_code in (0, 2), done.output
        return done.exit_code, done.output

    return run


def cells(output, name):
    line = next(line for line in output.splitlines() if line.startswith(name))
    return line.removeprefix(name).split()


def test_without_a_name_it_lists_all_corpora(show):
    _, output = show()
    for name in NAMES:
        assert cells(output, name + " ")[0] == "shipped"
    assert cells(output, "ptb")[:3] == ["to", "be", "fetched"]
    assert cells(output, "oracle-published ")[:3] == ["to", "be", "fetched"]
    assert not any(line.startswith("toy") for line in output.splitlines())


def test_what_is_out_of_vocabulary_and_what_leaked(show):
    _, output = show("sotu-obama")
    assert cells(output, "sequences ") == ["1,755", "218", "241"]
    assert cells(output, "out of vocabulary") == ["10.04%", "12.69%", "13.10%"]
    assert cells(output, "in train") == ["0", "0"]
    assert cells(output, "4-grams in train") == ["7.1%", "5.8%"]
    assert "American Presidency Project" in output
    assert "Numbers" not in output.split()


def test_another_policy_is_counted_anew(show):
    _, output = show("sotu-obama", "--set", "min_count=1")
    assert "word, min_count=1" in output
    assert cells(output, "out of vocabulary")[0] == "0.00%"


def test_own_data_give_their_account(show, tmp_path):
    lines = [f"line number {number} of the file" for number in range(300)]
    (tmp_path / "own.txt").write_text("\n".join([*lines, "", lines[0]]) + "\n")
    _, output = show(f"text:{tmp_path / 'own.txt'},min_count=2")
    assert "own.txt: 302 lines, 1 blank, 0 longer than 40" in output
    assert "seen at least 2 times in training" in output


@pytest.mark.parametrize("name", ["ptb", "oracle-published"])
def test_licence_and_traps_can_be_read_before_anything_is_fetched(show, name):
    code, output = show(name)
    assert code == 0
    assert f"`bench data fetch {name}`" in output
    assert {"Origin", "Licence", "Traps"} <= set(output.split())
    assert not any(line.startswith("out of vocabulary") for line in output.splitlines())


def test_a_fetched_corpus_that_was_changed_is_noticed(show, tmp_path):
    folder = tmp_path / "data" / "corpora" / "coco-captions"
    folder.mkdir(parents=True)
    for split in ("train", "valid", "test"):
        (folder / f"{split}.txt").write_text("a cat on a mat\na dog in a box\n")
    code, output = show("coco-captions")
    assert code == 2
    told = " ".join(output.split())
    assert "are not those that were fetched: `bench data fetch coco-captions` makes them anew." in told


def test_a_synthetic_task_has_nothing_to_show(show):
    assert "nothing to fetch" in show("toy")[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["sotuu"], "unknown task 'sotuu'. Did you mean 'sotu'?"),
        (["sotu", "--set", "min=1"], "unknown field of 'sotu' 'min'"),
        (["sotu", "--set", "min_count=0"], "expected sotu.min_count to be an integer of 1 or more, got '0'"),
        (["text:nowhere.txt"], "nowhere.txt"),
    ],
)
def test_a_mistake_is_reported_in_one_sentence(show, arguments, message):
    code, output = show(*arguments)
    assert code == 2
    assert message in output
    assert "Traceback" not in output


def test_a_name_is_shown_as_it_was_given(show, tmp_path):
    (tmp_path / "t.txt").write_text("".join(f"a b {number}\n" for number in range(100)), encoding="utf-8")
    code, output = show(f"text:{tmp_path / 't.txt'},name=a[/b] [x] :x:")
    assert code == 0
    assert output.startswith("text:a[/b] [x] :x: ")
