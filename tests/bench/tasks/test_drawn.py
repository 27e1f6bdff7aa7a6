"""Sequences that took long to draw are kept on disk, and never read where they are not whole."""

import os

import pytest
import torch

from bench.tasks import drawn as module
from bench.tasks.drawn import WORTH, drawn
from bench.tasks.oracle import LSTMOracle


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SEQGAN_BENCH_DATA", str(tmp_path))
    return tmp_path / "drawn"


class Draw:
    """Draws the same, and counts how often."""

    def __init__(self):
        self.times = 0

    def __call__(self):
        self.times += 1
        return {"train": torch.arange(12).view(4, 3), "test": torch.tensor([[7, 70_000, 0]])}


def same(one, other):
    return one.keys() == other.keys() and all(
        torch.equal(one[name], other[name]) and one[name].dtype == other[name].dtype for name in one
    )


def test_it_is_drawn_once(cache):
    draw = Draw()
    first, second = (drawn({"draw": 1}, WORTH, draw) for _ in range(2))
    assert draw.times == 1
    assert same(first, second)
    assert same(first, Draw()())
    (file,) = cache.iterdir()
    assert file.suffix == ".safetensors"


@pytest.mark.parametrize("other", ["made from", "torch", "processor", "threads"])
def test_another_draw_or_machine_is_drawn_for_itself(monkeypatch, other):
    draw, made_from = Draw(), {"draw": 1}
    drawn(made_from, WORTH, draw)
    if other == "made from":
        made_from = {"draw": 2}
    elif other == "torch":
        monkeypatch.setattr(torch, "__version__", "9.9")
    elif other == "processor":
        monkeypatch.setattr(module, "processor", lambda: "another")
    else:
        monkeypatch.setattr(torch, "get_num_threads", lambda: 77)
    drawn(made_from, WORTH, draw)
    assert draw.times == 2


def test_what_is_fast_to_draw_is_not_kept(cache):
    draw = Draw()
    for _ in range(2):
        drawn({"draw": 1}, WORTH - 1, draw)
    assert draw.times == 2
    assert not cache.exists()


@pytest.mark.parametrize("damage", ["cut", "changed", "empty"])
def test_a_damaged_file_is_drawn_anew(cache, damage):
    draw = Draw()
    first = drawn({}, WORTH, draw)
    (file,) = cache.iterdir()
    content = bytearray(file.read_bytes())
    if damage == "cut":
        content = content[:-5]
    elif damage == "changed":
        content[-3] ^= 1
    else:
        content = bytearray()
    file.write_bytes(content)
    assert same(drawn({}, WORTH, draw), first)
    assert draw.times == 2
    drawn({}, WORTH, draw)
    assert draw.times == 2


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_keeps_nothing(tmp_path):
    tmp_path.chmod(0o500)
    assert same(drawn({}, WORTH, Draw()), Draw()())


def test_where_there_is_no_folder_nothing_is_kept(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SEQGAN_BENCH_DATA", str(tmp_path / "file"))
    assert same(drawn({}, WORTH, Draw()), Draw()())


def test_an_oracle_from_the_disk_is_the_oracle_that_was_drawn(cache, monkeypatch):
    task = LSTMOracle(vocab_size=50, seq_len=5, draw=3, train_size=40, valid_size=10, test_size=20)
    plain = task.load()
    assert not cache.exists()
    monkeypatch.setattr(module, "WORTH", 0)
    for data in (task.load(), task.load()):
        assert torch.equal(data.training.train, plain.training.train)
        assert torch.equal(data.training.valid, plain.training.valid)
        assert torch.equal(data.test, plain.test)
    assert len(list(cache.iterdir())) == 1
    LSTMOracle(vocab_size=50, seq_len=5, draw=4, train_size=40, valid_size=10, test_size=20).load()
    assert len(list(cache.iterdir())) == 2


def test_without_a_home_directory_nothing_is_kept(monkeypatch):
    def homeless():
        raise RuntimeError("could not determine the home directory")

    monkeypatch.setattr(module, "folder", homeless)
    assert same(drawn({}, WORTH, Draw()), Draw()())


def test_the_oldest_make_room_and_what_was_abandoned_is_removed(cache, monkeypatch):
    monkeypatch.setattr(module, "MOST", 2)
    for number in range(3):
        drawn({"draw": number}, WORTH, Draw())
        for age, file in enumerate(sorted(cache.iterdir(), key=lambda each: each.stat().st_mtime, reverse=True)):
            os.utime(file, (1_000_000_000 - age, 1_000_000_000 - age))
    (cache / "old.part").write_bytes(b"half")
    os.utime(cache / "old.part", (1, 1))
    (cache / "new.part").write_bytes(b"half")
    drawn({"draw": 3}, WORTH, Draw())
    assert {file.suffix for file in cache.iterdir()} == {".safetensors", ".part"}
    assert [file.name for file in cache.glob("*.part")] == ["new.part"]
    draw = Draw()
    drawn({"draw": 3}, WORTH, draw)
    assert draw.times == 0
    drawn({"draw": 0}, WORTH, draw)
    assert draw.times == 1
