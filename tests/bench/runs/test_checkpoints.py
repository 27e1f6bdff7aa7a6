"""States on disk: complete or not at all, never another's, and never code."""

import collections
import errno
import io
import json
import math
import random
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from filelock import Timeout

from bench.runs.checkpoints import CheckpointFolder, Damage
from bench.runs.state import DamagedState, not_finite, pack, unpack


@pytest.fixture
def folder(tmp_path):
    return CheckpointFolder(tmp_path / "states")


@pytest.fixture(scope="module")
def state():
    """All that a training keeps."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
    optimizer = torch.optim.Adam(model.parameters(), fused=True)
    model(torch.randn(5, 3)).sum().backward()
    optimizer.step()
    return {
        "tracked": {"model": model.state_dict(), "optimizer": optimizer.state_dict()},
        "streams": {"init": torch.Generator().get_state()},
        "curve": [{"step": 1, "seconds": 0.1 + 0.2, "tokens": None, "scalars": {}}],
        "complete": False,
    }


def same(one, other):
    """Whether two states are equal, their types and those of their keys included."""
    if isinstance(one, torch.Tensor):
        return one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[name], other[name]) for name in one)
    if isinstance(one, list | tuple):
        return type(one) is type(other) and len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and one == other


def test_nothing_was_saved(folder):
    assert folder.load("abc") == (None, ())


def test_a_state_comes_back(folder, state):
    folder.save("abc", state)
    back = folder.load("abc").state
    assert same(state, back)
    assert folder.load("abd").state is None
    optimizer = torch.optim.Adam(torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4)).parameters())
    optimizer.load_state_dict(back["tracked"]["optimizer"])
    assert back["tracked"]["model"]._metadata == state["tracked"]["model"]._metadata  # versions of layers


@pytest.mark.parametrize(
    "part",
    [
        (1, [2.5, None], True), {1: "a", None: "b"}, {1, 2}, float("inf"), 10**30, "\ud800", torch.tensor(3),
        torch.empty(0, 3), torch.ones(2, dtype=torch.bfloat16), torch.ones(2, 3).T, torch.tensor([True]),
        b"bytes", 1 + 2j, torch.float16, torch.device("cuda:1"), torch.tensor([1 + 2j], dtype=torch.complex128).conj(),
    ],
)  # fmt: skip
def test_whatever_a_state_may_hold_comes_back(part):
    assert same(unpack(pack({"part": part}, "abc"), "abc"), {"part": part})


def test_what_is_nearly_a_plain_value_comes_back_as_one():
    tied = torch.arange(4.0)
    back = unpack(pack({"n": np.int64(3), "tied": [tied, tied[:2]], "count": collections.Counter("aab")}, "abc"), "abc")
    assert back["n"] == 3
    assert unpack(pack({"array": np.arange(3.0)}, "abc"), "abc")["array"].tolist() == [0, 1, 2]
    assert [part.tolist() for part in back["tied"]] == [[0, 1, 2, 3], [0, 1]]
    assert back["count"] == {"a": 2, "b": 1}


@pytest.mark.parametrize("odd", [object(), len, torch.ones(2, 2).to_sparse()])
def test_anything_else_is_refused_by_its_place(odd):
    with pytest.raises(TypeError, match=r"got .* at tracked\.model\[1\]"):
        pack({"tracked": {"model": [1, odd]}}, "abc")


def test_the_same_state_gives_the_same_bytes(state):
    assert pack(state, "abc") == pack(state, "abc")


def test_a_state_is_a_safetensors_file(state):
    tensors = safetensors.torch.load(pack(state, "abc"))
    assert torch.equal(tensors["0"], state["tracked"]["model"]["0.weight"])


def test_every_changed_bit_is_noticed(state):
    content = pack(state, "abc")
    for position in range(len(content)):
        changed = bytearray(content)
        changed[position] ^= 1 << position % 8
        with pytest.raises(DamagedState):
            unpack(bytes(changed), "abc")


def test_every_cut_and_every_hole_is_noticed(state):
    content = pack(state, "abc")
    random.seed(0)
    for position in [0, 1, 8, 60, *(random.randrange(len(content)) for _ in range(200))]:
        for changed in (content[:position], content[:position] + bytes(512) + content[position + 512 :]):
            with pytest.raises(DamagedState):
                unpack(changed, "abc")


def test_code_in_a_checkpoint_is_not_run(folder, tmp_path):
    class Bomb:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    folder.path.mkdir()
    last, _ = folder.files("abc")
    torch.save({"step": Bomb()}, last)
    assert folder.load("abc").state is None
    assert not (tmp_path / "ran").exists()
    torch.load(io.BytesIO(last.read_bytes()), weights_only=False)["step"].close()
    assert (tmp_path / "ran").exists()  # it would have run


def test_the_last_two_states_are_kept(folder):
    for step in range(4):
        folder.save("abc", {"step": step})
    assert [unpack(file.read_bytes(), "abc")["step"] for file in folder.files("abc")] == [3, 2]
    assert {file.name for file in folder.path.iterdir()} == {"abc.safetensors", "abc.previous.safetensors"}


@pytest.mark.parametrize("content", [b"", b"half a file", None])
def test_instead_of_a_damaged_state_the_one_before_it_is_used(folder, content):
    folder.save("abc", {"step": 1})
    folder.save("abc", {"step": 2})
    last, previous = folder.files("abc")
    last.write_bytes(last.read_bytes()[:-1] if content is None else content)
    found = folder.load("abc")
    assert found.state == {"step": 1}
    assert [(damage.file, damage.reason.partition(":")[0]) for damage in found.damage] == [(last, "is damaged")]
    previous.write_bytes(b"")
    assert folder.load("abc").state is None
    assert [damage.file for damage in folder.load("abc").damage] == [last, previous]


def test_a_kill_between_the_renames_leaves_the_state_before(folder):
    folder.save("abc", {"step": 1})
    last, previous = folder.files("abc")
    last.rename(previous)
    assert folder.load("abc") == ({"step": 1}, ())


def test_swapped_states_are_noticed(folder):
    for name in ("abc", "abd"):
        folder.save(name, {"name": name})
    one, other = folder.files("abc")[0], folder.files("abd")[0]
    kept = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(kept)
    assert folder.load("abc") == (None, (Damage(one, "is damaged: it is the state of abd, not of abc"),))


def test_a_damaged_state_that_is_set_aside_does_not_push_out_a_whole_one(folder):
    for step in (1, 2):
        folder.save("abc", {"step": step})
    folder.files("abc")[0].write_bytes(b"damaged")
    folder.set_aside(folder.load("abc").damage)
    folder.save("abc", {"step": 3})
    assert [folder.load("abc").state, folder.load("abc").damage] == [{"step": 3}, ()]
    folder.files("abc")[0].unlink()
    assert folder.load("abc").state == {"step": 1}


@pytest.mark.parametrize("moment", ["os.fsync", "Path.replace"])
def test_a_crash_while_writing_leaves_the_old_states(folder, monkeypatch, moment):
    for step in (1, 2):
        folder.save("abc", {"step": step})

    def crash(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(f"bench.records.files.{moment}", crash)
        with pytest.raises(OSError, match="No space left"):
            folder.save("abc", {"step": 3})
    assert folder.load("abc") == ({"step": 2}, ())
    assert list(folder.path.glob(".*")) == []


class Values:
    """A part of a training that is no module."""

    def __init__(self, **values):
        self.values = values

    def state_dict(self):
        return self.values


def test_what_is_not_finite_is_found():
    model = torch.nn.Linear(2, 2)
    model.register_buffer("best", torch.tensor(float("nan")))
    model.register_buffer("mask", torch.full((2, 2), float("-inf")).triu(1))
    optimizer = torch.optim.SGD(model.parameters(), momentum=0.9)
    fine = {"model": model, "optimizer": optimizer, "own": Values(least=torch.tensor(-math.inf), lr=math.nan)}
    assert list(not_finite(fine)) == []
    torch.nn.init.constant_(model.bias, math.inf)
    assert list(not_finite({**fine, "bad": Values(a=torch.tensor(math.nan))})) == ["model.bias", "bad.a"]


def test_a_state_with_a_long_curve_is_saved_fast_and_whole():
    curve = json.dumps([{"step": step, "scalars": {"loss": 1 / step}} for step in range(1, 500_000)])
    assert len(curve) > 25_000_000
    assert unpack(pack({"curve": curve}, "abc"), "abc") == {"curve": curve}


@pytest.mark.parametrize(("number", "damaged"), [(errno.EIO, True), (errno.EMFILE, False)])
def test_a_file_that_cannot_be_read_now_is_not_set_aside(folder, monkeypatch, number, damaged):
    folder.save("abc", {"step": 1})

    def refuse(_):
        raise OSError(number, "cannot")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    if damaged:
        assert [damage.reason for damage in folder.load("abc").damage] == ["cannot be read from its disk"]
    else:
        with pytest.raises(OSError, match="cannot"):
            folder.load("abc")


@pytest.mark.parametrize("which", [1, 2])
def test_a_rename_that_fails_leaves_the_last_state(folder, monkeypatch, which):
    for step in (1, 2):
        folder.save("abc", {"step": step})
    replace, calls = Path.replace, []

    def fail(file, target):
        calls.append(target)
        if len(calls) == which:
            raise OSError(28, "No space left on device")
        return replace(file, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", fail)
        with pytest.raises(OSError, match="No space left"):
            folder.save("abc", {"step": 3})
    assert folder.load("abc") == ({"step": 2}, ())
    assert unpack(folder.files("abc")[0].read_bytes(), "abc") == {"step": 2}


def test_one_training_at_a_time(folder):
    with folder.lock("abc"), pytest.raises(Timeout):
        folder.lock("abc").acquire(timeout=0)
    with folder.lock("abc"), folder.lock("abd"):
        pass
