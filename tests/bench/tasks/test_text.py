"""A user's own text and tunes as tasks: ids, end marks, fingerprints and reports."""

import collections
import gzip
import json
import os
import random
import re
import shutil
from pathlib import Path

import pytest
import torch

import bench
from bench.data import smiles
from bench.errors import UsageError
from bench.tasks.text import Midi, Text

WORDS = "the a cat dog sat ran on under mat log and then it was".split()  # noqa: SIM905


def text(n=400, seed=0):
    chance = random.Random(seed)
    return [
        " ".join(chance.choices(WORDS, weights=range(len(WORDS), 0, -1), k=chance.randint(3, 12))) for _ in range(n)
    ]


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "train.txt"
    path.write_text("\n".join(text()) + "\n")
    return path


@pytest.fixture
def task(path):
    return Text(train=str(path))


def test_what_a_generator_gets(task):
    data = task.load()
    spec, vocabulary = data.training.spec, data.vocabulary
    size = len(vocabulary.words)
    assert (spec.vocab_size, spec.bos, spec.eos, spec.pad, spec.kind) == (size, size, size - 1, size - 1, "words")
    assert (vocabulary.words[0], vocabulary.words[-1], vocabulary.unk, vocabulary.eos) == (
        "<unk>",
        "<eos>",
        0,
        size - 1,
    )
    assert spec.seq_len == max(map(len, map(str.split, text()))) + 1
    for tokens in (data.training.train, data.training.valid, data.test):
        assert tokens.dtype == torch.int64
        assert tokens.is_contiguous()
        ends = (tokens == spec.eos).int()
        assert (ends.diff(dim=1) >= 0).all()  # after an end mark only end marks
        assert ends[:, -1].all()
        assert not ends[:, 0].any()
    assert data.tokenizer == "word,min_count=3,max_len=40"
    assert data.oracle is None


def test_the_rows_are_the_lines(task):
    data = task.load()
    rows = torch.cat([data.training.train, data.training.valid, data.test])
    assert collections.Counter(data.vocabulary.decode(rows)) == collections.Counter(text())


def test_the_vocabulary_is_the_training_splits(path, tmp_path):
    (tmp_path / "test.txt").write_text("the cat saw neverseen <eos>\n" * 2 + "rare rare rare <unk>\n" * 2)
    with path.open("a") as file:
        file.write("rare words twice rare\n")
    data = Text(train=str(path), test=str(tmp_path / "test.txt"), min_count=3).load()
    counts = collections.Counter(
        word
        for row in data.vocabulary.spell(data.training.train)
        for word in row
    )  # fmt: skip
    known = data.vocabulary.words[1:-1]
    assert sorted(known, key=lambda word: (-counts[word], word)) == list(known)
    assert min(counts[word] for word in known) >= 3
    shown = data.vocabulary.decode(data.test)
    assert sorted(set(shown)) == ["<unk> <unk> <unk> <unk>", "the cat <unk> <unk> <unk>"]


def test_characters(path):
    task = Text(train=str(path), level="char", max_len=80)
    data = task.load()
    assert data.training.spec.kind == "characters"
    assert set(data.vocabulary.words[1:-1]) == set("▁".join(text()).replace(" ", "▁"))
    rows = torch.cat([data.training.train, data.training.valid, data.test])
    assert collections.Counter(data.vocabulary.decode(rows)) == collections.Counter(text())
    assert data.tokenizer == "char+space,min_count=3,max_len=80"


def test_two_loads_are_the_same_bytes(task):
    assert task.load().sha256 == task.load().sha256


def test_any_prefix_is_a_sample_of_all_lines(tmp_path):
    # A file sorted by topic: about half of any prefix of the rows belongs to each topic.
    lines = [f"{topic} {line} {i}" for topic in ("early", "late") for i, line in enumerate(text(1_000))]
    (tmp_path / "a.txt").write_text("\n".join(lines))
    data = Text(train=str(tmp_path / "a.txt")).load()
    first = [line.split()[0] for line in data.vocabulary.decode(data.training.train[:400])]
    assert 150 < first.count("early") < 250


def test_a_fingerprint_depends_on_content_and_parameters_not_on_the_path(task, path, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    copy = tmp_path / "elsewhere" / "other name.txt"
    shutil.copy(path, copy)
    assert Text(train=str(copy)).fingerprint() == task.fingerprint()
    shutil.copy(path, tmp_path / "a.csv")
    changes = [{"level": "char"}, {"max_len": 39}, {"min_count": 2}, {"max_lines": 999}, {"test": str(path)},
               {"valid": str(path)}, {"train": str(tmp_path / "a.csv")}]  # fmt: skip
    others = [Text(**{"train": str(path), **change}) for change in changes]
    assert len({other.fingerprint() for other in (task, *others)}) == len(others) + 1
    assert str(tmp_path) not in task.fingerprint()
    assert json.loads(task.fingerprint())["max_len"] == 40


def test_a_packed_file_is_read_as_what_it_holds(task, path, tmp_path):
    packed = tmp_path / "train.txt.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    found = Text(train=str(packed))
    assert torch.equal(found.load().training.train, task.load().training.train)
    shutil.copy(packed, tmp_path / "train.jsonl.gz")  # the same bytes, read in another way
    with pytest.raises(UsageError, match="is not JSON"):
        Text(train=str(tmp_path / "train.jsonl.gz")).load()
    assert Text(train=str(tmp_path / "train.jsonl.gz")).fingerprint() != found.fingerprint()


def test_a_file_that_changes_has_another_fingerprint(task, path):
    before, report = task.fingerprint(), task.report()
    state = path.stat()
    content = path.read_text()
    path.write_text(content[::-1])
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns + 1))  # of the same size, a nanosecond later
    assert task.fingerprint() != before
    assert task.report() != report


def test_the_report(path, tmp_path):
    with path.open("a") as file:
        file.write("\n\n" + "word " * 41 + "\n")
    report = Text(train=str(path)).report()
    assert report[0] == "train.txt: 403 lines, 2 blank, 1 longer than 40"
    data = Text(train=str(path)).load()
    unknown = float((data.test == 0).sum() / data.training.spec.lengths(data.test).sum())
    assert f"<unk> is 0.0% of train, 0.0% of valid, {unknown:.1%} of test" in "\n".join(report)
    assert report[-1] == f"first of train: {data.vocabulary.decode(data.training.train[:1])[0]}"
    assert not any(note.startswith("look") for note in report)


def test_text_that_is_not_tokenized_is_pointed_out(tmp_path):
    (tmp_path / "a.txt").write_text("\n".join(f"{line}." for line in text()))
    report = "\n".join(Text(train=str(tmp_path / "a.txt")).report())
    assert "of the words end in punctuation, such as" in report
    assert "look" not in "\n".join(Text(train=str(tmp_path / "a.txt"), level="char", max_len=90).report())


def strangers(n, share):
    """Lines of which a share of the words is in no training set."""
    chance = random.Random(3)
    return [" ".join(f"x{chance.randint(0, 9_999)}" if chance.random() < share else "the" for _ in range(20))
            for _ in range(n)]  # fmt: skip


@pytest.mark.parametrize(
    ("train", "test", "shown"),
    [
        (text(), strangers(30, 1.0), ["every word of test became <unk>", "100% of the words of test never occur"]),
        (text(), strangers(300, 0.2), ["20% of the words of test never occur in training, so no model can write them"]),
        (text(), strangers(300, 0.1), []),
        (text(), text(50, seed=9), []),
        ([f"w{i % 40} " * (1 + i // 40) for i in range(400)], None,
         [f"100% of the sequences of {split} have only one different token" for split in ("train", "valid", "test")]),
        ([f"the r{i}a r{i}b" for i in range(400)], None,
         [f"67% of the words of {split} became <unk>, which matches" for split in ("train", "valid", "test")]
         + [f"67% of the words of {split} never occur" for split in ("valid", "test")]),
    ],
)  # fmt: skip
def test_data_that_say_little_are_pointed_out(tmp_path, train, test, shown):
    (tmp_path / "a.txt").write_text("\n".join(train))
    files = {"train": str(tmp_path / "a.txt")}
    if test is not None:
        (tmp_path / "b.txt").write_text("\n".join(test))
        files["test"] = str(tmp_path / "b.txt")
    task = Text(**files, max_len=80)
    remarks = task.load().remarks
    assert len(remarks) == len(shown), remarks
    assert all(part in remark for part, remark in zip(shown, remarks, strict=True)), remarks
    assert [note for note in task.report() if note.startswith("look: ")] == [f"look: {remark}" for remark in remarks]


@pytest.mark.parametrize(
    ("fields", "shown"),
    [
        ({"train": ""}, "needs a file"),
        ({"column": "body"}, "no column 'body'"),
        ({"valid": "nowhere.txt"}, "cannot read 'nowhere.txt'"),
    ],
)
def test_what_is_refused_without_reading_it_all(path, fields, shown):
    with pytest.raises(UsageError) as caught:
        Text(**{"train": str(path), **fields}).fingerprint()
    assert shown in str(caught.value)


def test_words_that_are_all_rare(tmp_path):
    (tmp_path / "a.txt").write_text("\n".join(f"{i}a {i}b" for i in range(300)))
    with pytest.raises(UsageError, match="no word is seen 3 times in training: lower min_count"):
        Text(train=str(tmp_path / "a.txt")).load()
    assert Text(train=str(tmp_path / "a.txt"), min_count=1).load().training.spec.vocab_size > 400


def test_tunes(tmp_path):
    mido = pytest.importorskip("mido")
    for seed in range(60):
        file, track = mido.MidiFile(), mido.MidiTrack()
        for pitch in random.Random(seed).choices(range(60, 70), k=64):
            track += [mido.Message("note_on", note=pitch), mido.Message("note_off", note=pitch, time=240)]
        file.tracks.append(track)
        file.save(tmp_path / f"{seed}.mid")
    task = Midi(folder=str(tmp_path))
    data = task.load()
    spec = data.training.spec
    assert (spec.seq_len, spec.eos, spec.pad, spec.kind) == (32, None, None, "pitches")
    assert set(data.vocabulary.words) == {"<unk>", *(str(key) for key in range(40, 50))}
    assert (data.training.train != 0).all()
    everything = torch.cat([data.training.train, data.training.valid, data.test])
    windows = [" ".join(words) for words in data.vocabulary.spell(everything)]
    tune = [pitch - 20 for pitch in random.Random(7).choices(range(60, 70), k=64)]
    assert {" ".join(map(str, tune[:32])), " ".join(map(str, tune[32:]))} <= set(windows)
    assert len(windows) == 120
    assert data.tokenizer == "pitch,steps=32,min_count=1"
    assert json.loads(task.fingerprint())["min_count"] == 1
    assert task.report()[0].endswith("60 files, 0 unreadable, 0 without a window")
    with pytest.raises(UsageError, match="needs a folder"):
        Midi().fingerprint()


def test_what_looks_like_a_mistake_in_a_file_is_a_remark(tmp_path):
    table, marked, spelled = (tmp_path / name for name in ("a.csv", "marked.txt", "spelled.txt"))
    table.write_text("id;text\n" + "".join(f"{number};{line}\n" for number, line in enumerate(text())))
    marked.write_text("".join(f"{line} <eos>\n" for line in text()))
    spelled.write_text("".join(" ".join("▁".join(line.split())) + "\n" for line in text()))
    for task, remark in (
        (Text(train=str(table)), "a.csv: its columns are separated by semicolons, and are read so."),
        (Text(train=str(marked)), "marked.txt: lines with another tool's marks, such as <eos>: 400."),
        (Text(train=str(spelled), level="char", max_len=100), "spelled.txt: 400 lines are written character by char"),
    ):
        assert any(line.startswith(remark) for line in task.load().remarks)
        assert any(line.startswith(f"look: {remark}") for line in task.report())
    for task in (Text(train=str(spelled), max_len=100), Text(train=str(table), column="text")):
        assert not any("character by character" in line for line in task.load().remarks)


def test_what_separates_columns_is_part_of_the_fingerprint_where_it_is_not_usual(tmp_path):
    usual, other = tmp_path / "a.csv", tmp_path / "b.csv"
    usual.write_text("id,text\n" + "".join(f"{number},{line}\n" for number, line in enumerate(text())))
    other.write_text(usual.read_text().replace(",", ";"))
    forms = [json.loads(Text(train=str(path)).fingerprint())["files"]["train"][1] for path in (usual, other)]
    assert forms == [".csv", ".csv;"]


@pytest.mark.parametrize("level", ["word", "char"])
def test_text_is_encoded_as_the_task_reads_it(path, level):
    data = Text(train=str(path), level=level, max_len=200).load()
    vocabulary, train, length = data.vocabulary, data.training.train, data.training.spec.seq_len
    assert torch.equal(vocabulary.encode(vocabulary.spell(train), length), train)
    assert torch.equal(vocabulary.encode(vocabulary.decode(train), length), train)  # what nothing is left out of
    strange = vocabulary.encode(["the zebra", "<unk>", ""])
    assert strange[1, 0] == vocabulary.unk
    assert strange[2].eq(vocabulary.eos).all()
    if level == "word":
        assert strange.tolist()[0] == [vocabulary.ids["the"], vocabulary.unk, vocabulary.eos]
    with pytest.raises(ValueError, match="expected less than 2 words a sequence, got 2"):
        vocabulary.encode(["the cat" if level == "word" else "th"], 2)


def test_words_may_be_places(task, path):
    places = path.with_name("places.csv")
    places.write_text("code,latitude,longitude\ncat,1,2\nthe,3.5,-4\n")
    located = Text(train=str(path), places=str(places))
    data, plain = located.load(), task.load()
    assert data.sha256 == plain.sha256
    assert (data.training.spec.kind, data.vocabulary.words) == ("places", plain.vocabulary.words)
    at = {word: point.tolist() for word, point in zip(data.vocabulary.words, data.vocabulary.places, strict=True)}
    assert (at["cat"], at["the"]) == ([1, 2], [3.5, -4])
    assert all(point[0] != point[0] for word, point in at.items() if word not in ("cat", "the"))
    note = "places: 2 words have coordinates; look: 12 have none, such as 'a', and trips with them are unplaced"
    assert note in located.report()
    prints = [located.fingerprint(), task.fingerprint()]
    assert "places" not in prints[1]
    places.write_text("code,latitude,longitude\ncat,1,2\nthe,3.5,-5\n")
    assert located.fingerprint() not in prints
    places.write_text("code,latitude,longitude\nParis,1,2\n")
    with pytest.raises(UsageError, match="no word of the task is a place of"):
        located.load()
    with pytest.raises(ValueError, match="places= goes with level=word"):
        Text(train=str(path), places=str(places), level="char")


def molecules():
    """200 molecules; every second one has its tokens separated, as the corpora that ship have them."""
    folder = Path(bench.__file__).parent / "corpora" / "smiles"
    lines = (folder / "valid.txt").read_text("utf-8").splitlines()[:200]
    return [line if number % 2 else line.replace(" ", "") for number, line in enumerate(lines)]


def test_molecules(tmp_path):
    path = tmp_path / "mine.smi"
    path.write_text("\n".join(molecules()) + "\n")
    task = Text(train=str(path), level="smiles", max_len=60, min_count=1)
    data = task.load()
    assert (data.training.spec.kind, data.tokenizer) == ("molecules", "smiles,min_count=1,max_len=60")
    assert {"[nH]", "Cl"} < set(data.vocabulary.words)
    splits = (data.training.train, data.training.valid, data.test)
    found = [line for tokens in splits for line in data.vocabulary.decode(tokens)]
    assert sorted(found) == sorted(line.replace(" ", "") for line in molecules())
    assert any(note.startswith(f"vocabulary: {len(data.vocabulary.words) - 2} tokens seen") for note in task.report())
    assert data.remarks == ()


def test_a_molecule_that_is_written_in_two_ways_is_one_line(tmp_path):
    path, other = tmp_path / "train.smi", tmp_path / "test.smi"
    whole = [line.replace(" ", "") for line in molecules()]
    path.write_text("\n".join(whole) + "\n")
    other.write_text("\n".join(" ".join(smiles.tokens(line)) for line in whole[:20]) + "\n")
    found = Text(train=str(path), test=str(other), level="smiles", max_len=60)
    (removed,) = (note for note in found.report() if note.startswith("removed: "))
    assert sum(map(int, re.findall(r"\d+", removed))) == 20  # of train and of valid
    assert not set(found.load().vocabulary.decode(found.load().training.train)) & set(whole[:20])


def test_names_after_molecules_are_pointed_out(tmp_path):
    path = tmp_path / "named.smi"
    path.write_text("".join(f"{line.replace(' ', '')} m{number}\n" for number, line in enumerate(molecules())))
    found = Text(train=str(path), level="smiles", max_len=60).load()
    assert found.remarks[0].startswith("named.smi: 200 lines have more than a molecule, such as its name")
