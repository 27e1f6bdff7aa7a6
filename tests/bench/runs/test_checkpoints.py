"""States on disk: complete or not at all, and never code."""

import pytest
import torch
from filelock import Timeout

from bench.runs.checkpoints import CheckpointFolder


@pytest.fixture
def folder(tmp_path):
    return CheckpointFolder(tmp_path / "not" / "there" / "yet")


def test_nothing_was_saved(folder):
    assert folder.load("abc") is None


def test_a_state_comes_back(folder):
    state = {"weights": torch.arange(3.0), "step": 3, "names": ["a"], "rng": torch.Generator().get_state()}
    folder.save("abc", state)
    back = folder.load("abc")
    assert back["weights"].tolist() == [0, 1, 2]
    assert (back["step"], back["names"]) == (3, ["a"])
    assert torch.equal(back["rng"], state["rng"])
    assert folder.load("abd") is None


def test_a_crash_while_writing_leaves_the_old_state(folder, monkeypatch):
    folder.save("abc", {"step": 1})

    def crash(state, path):
        path.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(torch, "save", crash)
    with pytest.raises(OSError, match="disk full"):
        folder.save("abc", {"step": 2})
    assert folder.load("abc") == {"step": 1}


def test_code_in_a_checkpoint_is_not_run(folder, tmp_path):
    class Bomb:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    folder.path.mkdir(parents=True)
    torch.save({"step": Bomb()}, folder.path / "abc.pt")
    assert folder.load("abc") is None
    assert not (tmp_path / "ran").exists()
    torch.load(folder.path / "abc.pt", weights_only=False)["step"].close()
    assert (tmp_path / "ran").exists()  # it would have run


@pytest.mark.parametrize(
    "content",
    [b"", b"PK", b"half a file"],
)
def test_a_damaged_state_is_none(folder, content):
    folder.save("abc", {"step": 1})
    file = folder.path / "abc.pt"
    file.write_bytes(content)
    assert folder.load("abc") is None
    folder.save("abc", {"step": 2})
    file.write_bytes(file.read_bytes()[:-40])
    assert folder.load("abc") is None


def test_one_training_at_a_time(folder):
    with folder.lock("abc"), pytest.raises(Timeout):
        folder.lock("abc").acquire(timeout=0)
    with folder.lock("abc"), folder.lock("abd"):
        pass
