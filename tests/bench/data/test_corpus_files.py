"""From a user's files to three splits: what is kept, what is left out, and what is reported."""

import collections
import csv
import hashlib
import json
import random
import tracemalloc
from itertools import chain

import numpy as np
import pytest

from bench.data import corpus_files
from bench.data.corpus_files import file_hash, read_splits, remove_crossing
from bench.errors import UsageError

WORDS = [f"w{i}" for i in range(50)]


def text(n, seed=0, longest=12):
    """N different lines of words."""
    chance, found = random.Random(seed), {}
    while len(found) < n:
        found[" ".join(chance.choices(WORDS, k=chance.randint(3, longest)))] = None
    return list(found)


def write(path, lines):
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def read(files, level="word", max_len=40, max_lines=1_000_000, column=None):
    files = {"train": files} if not isinstance(files, dict) else files
    return read_splits(files, level, max_len, max_lines, column)


def lines_of(splits, joiner=" "):
    """Every split's lines, as text again."""
    found = {}
    for split, part in splits.parts.items():
        words = [splits.words[token] for token in part.tokens.tolist()]
        ends = np.cumsum(part.lengths).tolist()
        found[split] = [joiner.join(words[a:b]) for a, b in zip([0, *ends], ends, strict=False)]
    return found


def split_of(line):
    """The documented rule, in other words: the sha-256 as one number, its last 64 bits modulo ten."""
    return {0: "valid", 1: "test"}.get(int(hashlib.sha256(line.encode()).hexdigest(), 16) % 2**64 % 10, "train")


def refusal(*arguments, **more):
    with pytest.raises(UsageError) as caught:
        read(*arguments, **more)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_hash_of_the_line_splits_a_single_file(tmp_path):
    lines = text(600)
    found = lines_of(read(write(tmp_path / "a.txt", lines)))
    assert found == {split: [line for line in lines if split_of(line) == split] for split in ("train", "valid", "test")}
    assert all(30 < len(found[split]) < 90 for split in ("valid", "test"))


def test_the_position_of_a_line_does_not_matter(tmp_path):
    lines = text(300)
    one = lines_of(read(write(tmp_path / "a.txt", lines)))
    other = lines_of(read(write(tmp_path / "b.txt", [*text(80, seed=5), *lines[::-1]])))
    assert all(set(one[split]) <= set(other[split]) for split in one)


def test_the_training_file_of_a_shipped_corpus_can_be_split_again(tmp_path):
    # Its lines were chosen by another part of the same hash: by that part none would be held out.
    kept = [line for line in text(1_500) if int(hashlib.sha256(line.encode()).hexdigest()[:8], 16) % 10 > 1]
    found = lines_of(read(write(tmp_path / "a.txt", kept)))
    assert min(len(found["valid"]), len(found["test"])) > 60


def test_white_space_is_one_space(tmp_path):
    lines = text(200)
    messy = [f"  {line} ".replace(" ", " \t\u3000", 2) for line in lines]
    assert lines_of(read(write(tmp_path / "a.txt", messy))) == lines_of(read(write(tmp_path / "b.txt", lines)))


def test_characters(tmp_path):
    lines = text(200)
    splits = read(write(tmp_path / "a.txt", [line.replace(" ", "  ") for line in lines]), "char", max_len=100)
    assert sorted(chain.from_iterable(lines_of(splits, "").values())) == sorted(
        line.replace(" ", "▁") for line in lines
    )
    assert set(splits.words) == set("".join(lines).replace(" ", "▁"))


def test_what_is_left_out_is_counted(tmp_path):
    lines = text(200, longest=10)
    path = write(tmp_path / "a.txt", ["", *lines, "   ", " ".join(WORDS[:11]), " ".join(["x"] * 100_000), "\t"])
    splits = read(path, max_len=10)
    assert sorted(chain.from_iterable(lines_of(splits).values())) == sorted(lines)
    assert "a.txt: 205 lines, 3 blank, 2 longer than 10" in splits.notes


def test_lines_of_other_splits_are_removed_from_training(tmp_path):
    train, valid, test = text(300, 1), text(60, 2), text(60, 3)
    files = {
        "train": write(tmp_path / "a.txt", [*train, *valid[:7], *test[:5], valid[0], f" {test[0]}  "]),
        "valid": write(tmp_path / "b.txt", [*valid, *test[:4]]),
        "test": write(tmp_path / "c.txt", test),
    }
    splits = read(files)
    found = lines_of(splits)
    assert found == {"train": train, "valid": valid, "test": test}
    assert "removed: 14 of train and 4 of valid that also occur in a later split" in splits.notes
    assert "kept: 300 train, 60 valid, 60 test" in splits.notes
    assert "splits: as given" in splits.notes


@pytest.mark.parametrize("given", [{"valid"}, {"test"}])
def test_the_missing_split_is_taken_from_training(tmp_path, given):
    train, other = text(500, 1), text(50, 2)
    (split,) = given
    missing = {"valid": "test", "test": "valid"}[split]
    splits = read({"train": write(tmp_path / "a.txt", train), split: write(tmp_path / "b.txt", other)})
    assert lines_of(splits) == {
        "train": [line for line in train if split_of(line) != missing],
        missing: [line for line in train if split_of(line) == missing],
        split: other,
    }
    assert f"splits: a tenth of train each for {missing}, by a hash of the line" in splits.notes


def test_repetitions_stay_in_training_and_are_reported(tmp_path):
    lines = text(200)
    train = [line for line in lines if split_of(line) == "train"]
    splits = read(write(tmp_path / "a.txt", [*lines, *train[:10], *train[:10]]))
    assert collections.Counter(lines_of(splits)["train"]) == collections.Counter([*train, *train[:10], *train[:10]])
    assert "repeated: 20 of train occur there more than once" in splits.notes


def test_a_sample_of_a_long_file_is_random_and_always_the_same(tmp_path):
    lines = text(4_000)
    path = write(tmp_path / "a.txt", ["", *lines, ""])
    splits = read(path, max_lines=1_000)
    found = lines_of(splits)
    drawn = list(chain.from_iterable(found.values()))
    assert len(drawn) == 1_000
    assert set(drawn) <= set(lines)
    assert all(split_of(line) == split for split, part in found.items() for line in part)
    positions = sorted(map(lines.index, drawn))
    assert abs(np.mean(positions) - 2_000) < 4 * 4_000 / np.sqrt(12 * 1_000)  # four standard errors of a uniform draw
    assert lines_of(read(path, max_lines=1_000)) == found
    assert "a.txt: 4,002 lines, 2 blank, 0 longer than 40; of the others a random sample of 1,000" in splits.notes


def test_copies_of_a_line_are_drawn_as_often_as_they_occur(tmp_path):
    path = write(tmp_path / "a.txt", [*text(2_000), *["the same thing"] * 2_000])
    drawn = list(chain.from_iterable(lines_of(read(path, max_lines=1_000)).values()))
    assert abs(drawn.count("the same thing") - 500) < 60


def test_too_few_lines(tmp_path):
    assert "expected at least 100 lines in all and 2 different ones" in refusal(write(tmp_path / "a.txt", text(99)))
    assert "0 train" in refusal(dict.fromkeys(("train", "test"), write(tmp_path / "a.txt", text(300))))
    message = refusal(write(tmp_path / "a.txt", ["always the same"] * 1_000))
    assert "0 valid" in message or "0 test" in message or "0 train" in message
    few = "a.txt: expected at least 100 lines in all and 2 different ones in each split, got 1 train"
    assert few in refusal(write(tmp_path / "a.txt", ["one line only"]))


@pytest.mark.parametrize("lines", [[], ["", " ", "\t"]])
def test_no_text(tmp_path, lines):
    assert f"has no text: expected one sequence a line, got {len(lines)} blank lines" in refusal(
        write(tmp_path / "a.txt", lines)
    )


def test_mostly_too_long(tmp_path):
    long = [" ".join(["x"] * n) for n in range(1, 201)]
    message = refusal(write(tmp_path / "a.txt", long), max_len=40)
    assert "160 of the 200 lines" in message
    assert "max_len=191 would keep 95 %" in message
    assert sum(n <= 191 for n in range(1, 201)) >= 0.95 * 200
    message = refusal(write(tmp_path / "a.txt", ["all in one line " * 10_000]))
    assert "1 of the 1 lines" in message
    assert "expected one sentence a line, not documents" in message


def test_more_than_the_memory_holds(tmp_path, monkeypatch):
    monkeypatch.setattr(corpus_files, "MOST_POSITIONS", 1_000)
    path = write(tmp_path / "a.txt", text(200, longest=10))
    assert "lower max_len or max_lines until their product is at most 1,000" in refusal(path)
    assert len(read(path, max_lines=100).parts) == 3
    monkeypatch.setattr(corpus_files, "MOST_RECORDS", 199)
    assert "has over 199 lines" in refusal(path)


def test_columns(tmp_path):
    lines = text(150)
    with (tmp_path / "a.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["id", "body"], *enumerate(lines)])
    (tmp_path / "a.jsonl").write_text("".join(json.dumps({"id": i, "body": s}) + "\n" for i, s in enumerate(lines)))
    expected = lines_of(read(write(tmp_path / "a.txt", lines)))
    assert lines_of(read(tmp_path / "a.csv", column="body")) == expected
    assert lines_of(read(tmp_path / "a.jsonl", column="body")) == expected


def test_a_file_that_grows_meanwhile(tmp_path, monkeypatch):
    path = write(tmp_path / "a.txt", text(200))
    survey = corpus_files._survey

    def slow(*arguments):
        found = survey(*arguments)
        with path.open("a") as file:
            file.write("another line\n")
        return found

    monkeypatch.setattr(corpus_files, "_survey", slow)
    assert "changed while it was read" in refusal(path)


def test_rows_are_padded_and_mixed(tmp_path):
    lines = [f"{line} {index}" for index, line in enumerate(text(400))]
    splits = read(write(tmp_path / "a.txt", lines))
    rows = splits.parts["train"].padded(np.arange(len(splits.words)) + 7, 15, 6)
    assert rows.dtype == np.int64
    assert all(set(row[row.index(6) :]) == {6} for row in rows.tolist())
    found = [" ".join(splits.words[token - 7] for token in row if token != 6) for row in rows.tolist()]
    assert sorted(found) == sorted(lines_of(splits)["train"])
    order = [int(line.split()[-1]) for line in found]
    assert abs(np.corrcoef(order, range(len(order)))[0, 1]) < 0.2
    assert np.array_equal(rows, splits.parts["train"].padded(np.arange(len(splits.words)) + 7, 15, 6))


def test_crossing_is_removed_towards_the_later_split():
    keys = np.array([*range(300), 1, 2, 2, 3, 3], np.uint64)
    indices = np.array([0] * 100 + [1] * 100 + [2] * 100 + [1, 1, 2, 0, 2], np.uint8)
    found, notes = remove_crossing(keys, indices)
    # Key 1 occurs in train and valid, 2 in all three, 3 in train (twice) and test.
    assert found.tolist() == [0, 3, 3, 3, *[0] * 96, *[1] * 100, *[2] * 100, 1, 3, 2, 3, 2]
    assert notes[0] == "removed: 4 of train and 1 of valid that also occur in a later split"


def test_file_hashes(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"x" * 3_000_000)
    assert file_hash(path) == hashlib.sha256(b"x" * 3_000_000).hexdigest()
    path.write_bytes(b"another length")
    assert file_hash(path) == hashlib.sha256(b"another length").hexdigest()
    with pytest.raises(UsageError, match="cannot read"):
        file_hash(tmp_path / "missing")


def test_what_is_left_out_takes_no_memory(tmp_path):
    path = write(tmp_path / "a.txt", (f"{i}{' importance' * 30}" for i in range(10_000)))
    tracemalloc.start()
    read(path, max_lines=1_000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < path.stat().st_size / 4
