"""The released weights as a file: what is read, and what is refused before anything in it is called."""

from __future__ import annotations

import hashlib
import io
import os
import pickle

import numpy as np
import pytest

from bench.data.oracle_weights import NAMES, PUBLISHED_SHA256, load_weights
from bench.errors import NotFetched, UsageError
from bench.tasks.oracle import PublishedOracle


def small_arrays(V=5, H=3):
    shapes = {"emb": (V, H), "Wo": (H, V), "bo": (V,)}
    shapes |= {name: {"W": (H, H), "U": (H, H), "b": (H,)}[name[0]] for name in NAMES[1:-2]}
    stream = np.random.RandomState(0)
    return [stream.standard_normal(shapes[name]).astype(np.float32) for name in NAMES]


def written(path, content, protocol=4):
    """A pickle of the content, and its hash, so that only the content can be wrong."""
    data = pickle.dumps(content, protocol=protocol)
    path.write_bytes(data)
    return path, hashlib.sha256(data).hexdigest()


def test_a_file_of_the_right_form_is_read(tmp_path):
    path, sha256 = written(tmp_path / "weights.pkl", small_arrays())
    weights = load_weights(path, sha256)
    assert list(weights) == list(NAMES)
    for name, array in zip(NAMES, small_arrays(), strict=True):
        np.testing.assert_array_equal(weights[name], array)
    task = PublishedOracle(str(path), sha256, seq_len=4, train_size=3, valid_size=2, test_size=2)
    task.fingerprint()
    assert task.load().training.spec.vocab_size == 5


def test_no_file_is_reported_in_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setenv("SEQGAN_BENCH_DATA", str(tmp_path))
    with pytest.raises(
        NotFetched, match=r"needs its weights: `bench data fetch oracle-published` gets them, or .*FILE"
    ):
        PublishedOracle().fingerprint()


def test_a_fetched_file_need_not_be_named(tmp_path, monkeypatch):
    path, sha256 = written(tmp_path / "weights.pkl", small_arrays())
    monkeypatch.setattr("bench.data.downloads.weights_path", lambda: path)
    named, fetched = PublishedOracle(str(path), sha256), PublishedOracle(sha256=sha256)
    assert fetched.fingerprint() == named.fingerprint()


def test_a_missing_file_is_reported(tmp_path):
    task = PublishedOracle(str(tmp_path / "nothing.pkl"))
    for use in (task.fingerprint, task.load):
        with pytest.raises(UsageError, match=r"cannot read the oracle's weights '.*nothing.pkl': No such file"):
            use()
    with pytest.raises(UsageError, match="cannot read"):
        load_weights(tmp_path, PUBLISHED_SHA256)  # a folder


def test_another_hash_is_reported_with_the_expected_one(tmp_path):
    path, sha256 = written(tmp_path / "weights.pkl", small_arrays())
    with pytest.raises(UsageError, match=f"sha256 {PUBLISHED_SHA256} wanted, {sha256} found"):
        PublishedOracle(str(path)).fingerprint()


class Call:
    """Pickles as a call, which an ordinary unpickler executes."""

    def __init__(self, function, *arguments):
        self.made_of = (function, arguments)

    def __reduce__(self):
        return self.made_of


def evil(marker):
    touch = f"touch '{marker}'"
    objects = np.empty(2, dtype=object)
    objects[:] = [Call(os.system, touch), 1]
    arrays = small_arrays()
    return {
        "os.system": Call(os.system, touch),
        "os.system among arrays": [*arrays[:-1], Call(os.system, touch)],
        "eval": Call(eval, f"open({str(marker)!r}, 'w')"),
        "open": [Call(open, str(marker), "w")],
        "getattr": Call(getattr, Call(__import__, "os"), "system"),
        "object array": [*arrays[:-1], objects],
        "subclass": [*arrays[:-1], np.memmap(str(marker) + ".map", np.float32, "w+", shape=(5,))],
    }


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("kind", ["os.system", "os.system among arrays", "eval", "open", "getattr", "object array"])
def test_a_pickle_that_calls_anything_is_refused_and_calls_nothing(kind, protocol, tmp_path):
    marker = tmp_path / "marker"
    path, sha256 = written(tmp_path / "evil.pkl", evil(marker)[kind], protocol)
    with pytest.raises(UsageError, match=r"was not opened: it (names|holds an array of other numbers)"):
        load_weights(path, sha256)
    assert not marker.exists()


def test_the_traps_above_do_work_on_an_ordinary_unpickler(tmp_path):
    for kind in ("os.system", "eval", "open", "object array"):
        marker = tmp_path / f"marker {kind}"
        path, _ = written(tmp_path / "evil.pkl", evil(marker)[kind])
        loaded = pickle.loads(path.read_bytes())
        for opened in loaded if isinstance(loaded, list) else [loaded]:
            if isinstance(opened, io.IOBase):
                opened.close()
        assert marker.exists()


def test_a_subclass_of_an_array_is_refused(tmp_path):
    path, sha256 = written(tmp_path / "evil.pkl", evil(tmp_path / "marker")["subclass"])
    with pytest.raises(UsageError, match="was not opened"):
        load_weights(path, sha256)


def test_an_array_of_harmless_objects_is_refused(tmp_path):
    objects = np.empty(5, dtype=object)
    objects[:] = 1.0
    path, sha256 = written(tmp_path / "objects.pkl", [*small_arrays()[:-1], objects])
    with pytest.raises(UsageError, match="expected a list of 15 float32 arrays"):
        load_weights(path, sha256)


def test_not_a_pickle_at_all(tmp_path):
    path = tmp_path / "page.pkl"
    for content in (b"<html>404</html>", b"", pickle.dumps(small_arrays())[:-40]):
        path.write_bytes(content)
        with pytest.raises(UsageError):
            load_weights(path, hashlib.sha256(content).hexdigest())


def with_(index, change):
    arrays = small_arrays()
    arrays[index] = change(arrays[index])
    return arrays


def not_a_number(array):
    array = array.copy()
    array.flat[0] = np.nan
    return array


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(small_arrays()[:-1], id="one too few"),
        pytest.param([*small_arrays(), small_arrays()[0]], id="one too many"),
        pytest.param(tuple(small_arrays()), id="a tuple"),
        pytest.param({"emb": small_arrays()[0]}, id="a dictionary"),
        pytest.param(with_(3, lambda array: array.astype(np.float64)), id="float64"),
        pytest.param(with_(3, lambda array: array.tolist()), id="a list of numbers"),
        pytest.param(with_(0, lambda array: array[:, :2]), id="a narrow embedding"),
        pytest.param(with_(0, lambda array: array[0]), id="an embedding of one dimension"),
        pytest.param(with_(2, lambda array: array[:, :2]), id="a recurrent matrix that is not square"),
        pytest.param(with_(13, lambda array: array.T.copy()), id="a transposed output layer"),
        pytest.param(with_(14, lambda array: array[:-1]), id="a bias too short"),
        pytest.param(with_(6, lambda array: array[:, None]), id="a bias of two dimensions"),
        pytest.param(with_(7, not_a_number), id="not finite"),
    ],
)
def test_arrays_that_are_not_an_oracles_are_refused_though_the_hash_is_right(content, tmp_path):
    path, sha256 = written(tmp_path / "weights.pkl", content)
    with pytest.raises(UsageError, match="expected"):
        load_weights(path, sha256)


def test_a_file_larger_than_weights_can_be_is_not_read(tmp_path):
    path = tmp_path / "weights.pkl"
    with path.open("wb") as file:
        file.truncate(2**26 + 1)
    with pytest.raises(UsageError, match="expected at most 64 MiB of weights, got more"):
        load_weights(path, PUBLISHED_SHA256)
