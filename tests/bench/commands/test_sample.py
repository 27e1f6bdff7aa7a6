"""``bench sample`` as its user meets it: forms, files and sentences."""

from __future__ import annotations

import io
import json
import sys

import pytest

from bench.data.notation import read_note
from bench.data.shipped import corpus_bytes
from bench.plans import registry
from bench.records.frames import REAL_DATA
from bench.records.store import Store

TASKS = ("quatrains-tang", "sotu-obama", "folk-tunes", "folk-tunes-phrases", "toy")
RARE = ("--set", "quatrains-tang.min_count=1", "--set", "sotu-obama.min_count=1")


@pytest.fixture(scope="module")
def finished(bench, tmp_path_factory):
    """The results of a model that returns training sequences, on tasks of all kinds, and of one that counts pairs."""
    folder = tmp_path_factory.mktemp("finished") / "results"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bench.reports.figures.drawing.write_figures", lambda *_: [])
        for models, tasks, settings in (("replay", TASKS, RARE), ("bigram", ("folk-tunes", "toy"), ())):
            answer = bench("run", "--models", models, "--tasks", ",".join(tasks), "--metrics", "distinct", *settings,
                           "--preset", "smoke", "--seeds", 1, "--workers", 0, "--temperatures", "none",
                           "--output", folder)  # fmt: skip
            assert answer.code == 0
    return folder


@pytest.fixture
def sample(bench, finished):
    """``bench sample`` of a model on a task."""
    ids = {(record.spec.task, record.spec.model): record.spec.run_id for record in Store(finished).records()}

    def call(task, *arguments, model="replay"):
        return bench("sample", ids[task, model], "--results", finished, *arguments)

    return call


def training_lines(task):
    return set(corpus_bytes(task, "train").decode().splitlines())


def test_poems_are_printed_in_four_lines(sample):
    answer = sample("quatrains-tang", "-n", 3)
    assert answer.code == 0
    poems = [poem.splitlines() for poem in answer.out.split("\n\n")]
    assert [[len(verse) for verse in poem] for poem in poems] == [[5, 5, 5, 5]] * 3
    assert {" ".join("".join(poem)) for poem in poems} <= training_lines("quatrains-tang")
    assert answer.out.endswith("\n")
    assert not answer.out.endswith("\n\n")
    assert answer.err.startswith("replay on quatrains-tang[min_count=1], seed 0, run ")


def test_sentences_are_printed_without_loose_punctuation(sample):
    lines = sample("sotu-obama", "-n", 200).out.splitlines()
    assert len(lines) == 200
    assert not any(" ." in line or " ," in line or " 's" in line or "<eos>" in line for line in lines)
    assert any("'s" in line for line in lines)
    assert {line.replace(" ", "") for line in lines} <= {line.replace(" ", "") for line in training_lines("sotu-obama")}


@pytest.mark.parametrize("task", ["folk-tunes", "folk-tunes-phrases"])
def test_tunes_are_printed_as_abc(sample, task, tmp_path):
    out = sample(task, "-n", 4).out
    tunes = out.split("\n\n")
    assert [tune.splitlines()[0] for tune in tunes] == ["X:1", "X:2", "X:3", "X:4"]
    assert f"T:replay on {task}, seed 0, run " in tunes[0]
    assert sample(task, "-n", 4, "--output", tmp_path / "tunes.abc").code == 0
    assert (tmp_path / "tunes.abc").read_text() == out


def test_ids_are_printed_where_they_stand_for_nothing(sample):
    rows = [line.split() for line in sample("toy", "-n", 5).out.splitlines()]
    assert [len(row) for row in rows] == [8] * 5
    assert all(0 <= int(token) < 12 for row in rows for token in row)


@pytest.mark.parametrize("task", TASKS[:4])
def test_a_text_file_has_the_corpus_format(sample, task, tmp_path):
    answer = sample(task, "-n", 300, "--output", tmp_path / "samples.txt")
    assert answer.code == 0
    assert answer.out.startswith(f"{tmp_path / 'samples.txt'}: 300 sequences of replay on {task}")
    assert answer.err == ""
    lines = (tmp_path / "samples.txt").read_text("utf-8").split("\n")
    assert lines.pop() == ""
    assert len(lines) == 300
    assert set(lines) <= training_lines(task)
    assert sample(task, "-n", 300, "--format", "lines").out.splitlines() == lines


def test_json_lines_have_text_and_ids(sample, tmp_path):
    sample("sotu-obama", "-n", 20, "--output", tmp_path / "samples.jsonl")
    records = [json.loads(line) for line in (tmp_path / "samples.jsonl").read_text("utf-8").splitlines()]
    assert len(records) == 20
    assert {record["text"] for record in records} <= training_lines("sotu-obama")
    lines = sample("sotu-obama", "-n", 20, "--format", "lines").out.splitlines()
    assert [record["text"] for record in records] == lines
    assert {len(record["ids"]) for record in records} == {33}


@pytest.mark.parametrize(("task", "kind"), [("folk-tunes", "pitches"), ("folk-tunes-phrases", "notes")])
def test_a_midi_file_holds_all_tunes(sample, task, kind, tmp_path):
    mido = pytest.importorskip("mido")
    assert sample(task, "-n", 6, "--output", tmp_path / "tunes.mid").code == 0
    track = mido.MidiFile(file=io.BytesIO((tmp_path / "tunes.mid").read_bytes())).tracks[0]
    assert [message.text for message in track if message.type == "marker"] == [f"tune {n}" for n in range(1, 7)]
    lines = sample(task, "-n", 6, "--format", "lines").out.splitlines()
    sounding = {read_note(word, kind).pitch for line in lines for word in line.split()} - {None}
    assert {message.note for message in track if message.type == "note_on"} == sounding


def test_a_reading_text_can_go_to_any_file(sample, tmp_path):
    sample("quatrains-tang", "-n", 2, "--format", "text", "--output", tmp_path / "poems.md")
    assert (tmp_path / "poems.md").read_text("utf-8") == sample("quatrains-tang", "-n", 2).out


def test_the_same_command_gives_the_same_bits(sample, tmp_path):
    for name in ("one.txt", "two.txt"):
        sample("folk-tunes", "-n", 1000, "--temperature", 0.9, "--output", tmp_path / name, model="bigram")
    text = (tmp_path / "one.txt").read_text("utf-8")
    assert (tmp_path / "two.txt").read_text("utf-8") == text
    cold = sample("folk-tunes", "-n", 1000, "--temperature", 0.1, "--format", "lines", model="bigram").out
    assert len(set(cold.splitlines())) < len(set(text.splitlines()))
    assert sample("folk-tunes", "--seed", 1, "--format", "lines", "--temperature", 0.9, model="bigram").out not in text


def test_it_says_how_they_were_drawn(sample):
    answer = sample("toy", "--temperature", 0.5, "--top-k", 3, "--top-p", 0.9, "-n", 1, model="bigram")
    assert "seed 0" in answer.err
    assert answer.err.endswith(", temperature 0.5, top-k 3, top-p 0.9, fitted again, as it keeps no state\n")
    assert len(sample("toy").out.splitlines()) == 10


def test_real_data_are_sampled_too(sample):
    answer = sample("quatrains-tang", "-n", 5, "--format", "lines", model=REAL_DATA)
    assert set(answer.out.splitlines()) <= training_lines("quatrains-tang")


def test_without_an_id_it_lists_the_runs(bench, finished, tmp_path):
    answer = bench("sample", "--results", finished)
    assert answer.code == 0
    listed = [line.split("  ", 1) for line in answer.out.splitlines()]
    assert {run_id for run_id, _ in listed} == {record.spec.run_id for record in Store(finished).records()}
    assert "folk-tunes, smoke: replay, seed 0" in [name for _, name in listed]
    store = Store(tmp_path / "empty")
    store.open()
    assert bench("sample", "--results", store.path).out == f"No run in '{store.path}' is finished.\n"


@pytest.mark.parametrize("option", [("--output", "q.txt"), ("--number", 3), ("--seed", 0), ("--format", "lines")])
def test_without_an_id_nothing_is_drawn(bench, finished, option):
    answer = bench("sample", "--results", finished, *option)
    assert (answer.code, answer.out) == (2, "")
    assert answer.err == f"bench: {option[0]} needs a RUN_ID; without one, the finished runs are listed.\n"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["-n", 0], "expected -n from 1 to 10000000, got 0."),
        (["-n", 10**12], "expected -n from 1 to 10000000, got 1000000000000."),
        (["--temperature", 1e-300], "expected a temperature from 0.001 to 1000, got 1e-300."),
        (["--temperature", "nan"], "expected a temperature from 0.001 to 1000, got nan."),
        (["--temperature", "inf"], "expected a temperature from 0.001 to 1000, got inf."),
        (
            ["--temperature", 0],
            "expected a temperature above 0, got 0: --top-k 1 takes the most probable word",
        ),
        (["--top-k", 0], "expected top_k >= 1, got 0."),
        (["--top-p", 1.5], "expected 0 < top_p <= 1, got 1.5."),
        (["--format", "abc"], "abc is for tunes, and the words of this task are characters"),
        (["--output", "poems.mid"], "midi is for tunes, and the words of this task are characters"),
        (["--output", "poems.doc"], "expected an --output that ends in .txt, .abc, .mid, .midi, .jsonl"),
        (["--format", "midi"], "name it with --output TUNES.mid"),
        (["--output", "no/such/folder/poems.txt"], "cannot write 'no/such/folder/poems.txt': No such file"),
    ],
)
def test_mistakes_are_one_sentence(sample, arguments, sentence, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    answer = sample("quatrains-tang", *arguments)
    assert (answer.code, answer.out) == (2, "")
    assert sentence in answer.err
    assert answer.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_holds_no_results_is_reported(bench, tmp_path):
    for arguments in ([], ["abcd"]):
        answer = bench("sample", *arguments, "--results", tmp_path)
        assert (answer.code, answer.out) == (2, "")
        assert "expected a results folder" in answer.err


def test_a_plugin_of_one_file_is_found_again(bench, write_plugin, tmp_path, monkeypatch):
    source = """
from dataclasses import dataclass
import torch

@dataclass(frozen=True)
class Coin:
    def fit(self, data, run):
        for _ in run.phase("toss", 1):
            pass
        return Sampler(data.spec)

class Sampler:
    def __init__(self, spec):
        self.spec = spec

    def sample(self, n, decoding, rng):
        return torch.zeros((n, self.spec.seq_len), dtype=torch.int64)
"""
    write_plugin("coin", source)
    folder = tmp_path / "results"
    answer = bench("run", "--models", "coin:Coin", "--tasks", "toy", "--preset", "smoke", "--seeds", 1, "--workers", 0,
                   "--metrics", "distinct", "--output", folder)  # fmt: skip
    assert answer.code == 0
    [run_id] = [record.spec.run_id for record in Store(folder).records() if record.spec.model == "coin:Coin"]
    # As a command that has just begun: the console script does not look into the working directory.
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    del sys.modules["coin"]
    registry.forget()
    answer = bench("sample", run_id, "--results", folder, "-n", 2)
    assert (answer.code, answer.out) == (0, "\n".join([" ".join(["0"] * 8)] * 2) + "\n")
