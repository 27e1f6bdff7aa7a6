import hashlib
from collections import Counter

import pytest

from bench.data.shipped import corpus_bytes
from bench.data.splits import SPLITS, assign, bucket, content, ordered, split_of, write

LINES = [f"line {number}" for number in range(3_000)]


def test_a_bucket_is_what_its_definition_says():
    for key in ("", "明 月", "a line"):
        assert bucket(key) == int(hashlib.sha256(key.encode()).hexdigest()[:8], 16) % 10
        assert split_of(key) == {0: "valid", 1: "test"}.get(bucket(key), "train")


def test_a_tenth_is_valid_and_a_tenth_is_test():
    counts = Counter(map(split_of, LINES))
    assert {split: round(counts[split] / len(LINES), 1) for split in SPLITS} == {
        "train": 0.8, "valid": 0.1, "test": 0.1,
    }  # fmt: skip


def test_lines_of_one_key_stay_together_and_none_comes_twice():
    splits = assign([("family", line) for line in LINES] + [("another", line) for line in LINES[:10]])
    assert splits[split_of("family")] == LINES
    assert sum(map(len, splits.values())) == len(LINES)


def test_the_order_is_that_of_the_corpora_that_ship():
    for split in SPLITS:
        shipped = corpus_bytes("sotu", split)
        assert content(reversed(shipped.decode().splitlines())) == shipped


def test_the_order_of_lines_is_random():
    first = ordered(LINES)[: len(LINES) // 2]
    numbers = [int(line.split()[1]) for line in first]
    assert abs(sum(numbers) / len(numbers) - len(LINES) / 2) < 60  # three and a half standard errors


def test_writing_replaces_the_entire_folder(tmp_path):
    place = tmp_path / "corpora" / "made-up"
    write(place, {"train.txt": b"old\n", "valid.txt": b"old\n"})
    write(place, {"train.txt": b"a\nb\n", "test.txt": b"c\n"})
    assert {path.name: path.read_bytes() for path in place.iterdir()} == {"train.txt": b"a\nb\n", "test.txt": b"c\n"}
    assert [path.name for path in place.parent.iterdir()] == ["made-up"]


def test_interrupted_writing_leaves_what_was_there(tmp_path):
    place = tmp_path / "made-up"
    write(place, {"train.txt": b"old\n"})
    with pytest.raises(TypeError):
        write(place, {"train.txt": b"new\n", "test.txt": None})
    assert [(path.name, path.read_bytes()) for path in tmp_path.rglob("*.txt")] == [("train.txt", b"old\n")]
