"""Arrays out of pickles: the same as Python's, and of hostile ones neither code, nor memory, nor a crash."""

from __future__ import annotations

import pickle
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bench.data.pickled_arrays import Refused, float32_arrays

RELEASED = Path(__file__).parents[4] / "shared" / "data" / "oracle" / "target_params_py3.pkl"
ARRAYS = [
    np.arange(6, dtype=np.float32).reshape(2, 3),
    np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3)),
    np.arange(6, dtype=np.float32)[::-2],
    np.full((), 5, np.float32),
]
PICKLES = [pickle.dumps(ARRAYS, protocol) for protocol in range(2, 6)]


def attempt(content):
    """The list that a pickle holds, or why it is refused."""
    try:
        return float32_arrays(content)
    except Refused as reason:
        return str(reason)


@pytest.mark.parametrize("protocol", range(2, 6))
def test_arrays_are_those_that_were_pickled(protocol):
    for array, original in zip(float32_arrays(pickle.dumps(ARRAYS, protocol)), ARRAYS, strict=True):
        assert (type(array), array.dtype, array.shape) == (np.ndarray, np.float32, original.shape)
        assert array.tobytes() == original.tobytes()
        assert array.flags.writeable


def test_a_pickle_of_python_2_is_read():
    """Byte strings without an encoding, numpy's old module names."""
    content = (
        b"(lp0\ncnumpy.core.multiarray\n_reconstruct\np1\n(cnumpy\nndarray\np2\n(I0\ntp3\nS'b'\np4\ntp5\nRp6\n"
        b"(I1\n(I2\ntp7\ncnumpy\ndtype\np8\n(S'f4'\np9\nI0\nI1\ntp10\nRp11\n(I3\nS'<'\np12\nNNNI-1\nI-1\nI0\ntp13\nb"
        b"I00\nS'\\x00\\x00\\x80?\\x00\\x00\\x00@'\np14\ntp15\nba."
    )
    (array,) = float32_arrays(content)
    assert array.tolist() == [1.0, 2.0]


def test_the_released_file_is_read_to_the_bit():
    if not RELEASED.exists():
        pytest.skip("the released weights are not here")
    content = RELEASED.read_bytes()
    for array, original in zip(float32_arrays(content), pickle.loads(content, encoding="latin1"), strict=True):
        assert (array.shape, array.tobytes()) == (original.shape, original.tobytes())


HOSTILE = {
    "a memo of two billion": b"\x80\x02]r\xff\xff\xff\x7f.",
    "a memo that is not there": b"\x80\x02j\xff\xff\xff\x7f.",
    "text longer than the file": b"\x80\x04\x8d" + struct.pack("<Q", 2**62) + b"x.",
    "bytes longer than the file": b"\x80\x04\x8e" + struct.pack("<Q", 2**63 - 1) + b"x.",
    "a byte array longer than the file": b"\x80\x05\x96" + struct.pack("<Q", 2**40) + b"x.",
    "a frame longer than the file": b"\x80\x04\x95" + struct.pack("<Q", 2**60) + b"].",
    "a buffer from elsewhere": b"\x80\x05]\x97a.",
    "a name": b"cos\nsystem\n(S'true'\ntR.",
    "a name on the stack": b"\x80\x04\x8c\x02os\x8c\x06system\x93.",
    "a name with a terminal's codes": b"c\x1b[2J\nx\n.",
    "an object": b"(ios\nsystem\n.",
    "a persistent id": b"Px\n.",
    "the extension registry": b"\x80\x02\x82\x01.",
    "a set that holds itself": b"\x80\x04\x8f\x94(h\x00\x90.",
    "a dictionary": b"}.",
    "a number of many digits": b"I" + b"9" * 100_000 + b"\n.",
    "tuples in tuples": b"\x80\x02)" + b"\x85" * 200_000 + b".",
    "lists in lists": b"]" * 100_000 + b"a" * 99_999 + b".",
    "a string that calls": b"]S''.join(())\na.",
    "brackets in brackets": b"]S" + b"(" * 100_000 + b"\na.",
    "a strange escape": b"]S'\\-'\na.",
    "nothing": b"",
    "no end": b"]",
    "a list that holds itself": b"]q\x00h\x00a.",
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
def test_hostile_pickles_cost_nothing(content):
    tracemalloc.start()
    found = attempt(content)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.isprintable() if isinstance(found, str) else not any(isinstance(part, np.ndarray) for part in found)
    assert peak < 40e6


def state(shape=(2,), kind="f4", order="<", data=b"\0" * 8, by_columns=False):
    """A pickle of one array, with parts of it changed."""
    built = (1, shape, np.dtype(kind).newbyteorder(order), by_columns, data)
    parts = pickle.dumps([built], 2)
    return (
        parts[:2]
        + b"]cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85C\x01btR"
        + (pickle.dumps(built, 3)[2:-1] + b"ba.")
    )


def test_an_array_made_by_hand_is_read():
    assert float32_arrays(state())[0].tolist() == [0, 0]


@pytest.mark.parametrize(
    "changes",
    [
        {"shape": (2**40,)},
        {"shape": (2**62, 4)},
        {"shape": (-1,)},
        {"shape": (0, 2**70)},
        {"shape": (True, 2)},
        {"shape": [2]},
        {"shape": (1,) * 100},
        {"kind": "f8"},
        {"kind": "i4"},
        {"order": ">"},
        {"data": b"\0" * 7},
        {"data": "text"},
        {"data": None},
    ],
)
def test_an_array_is_as_large_as_its_bytes(changes):
    if changes == {"shape": (0, 2**70)}:  # empty, but numpy cannot index so far
        changes["data"] = b""
    with pytest.raises(Refused):
        float32_arrays(state(**changes))


@st.composite
def mutated(draw):
    """A pickle of arrays of which some bytes are others, are missing, or are there twice."""
    content = bytearray(draw(st.sampled_from(PICKLES)))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(content) - 1))
        change = draw(st.sampled_from(["set", "cut", "twice", "insert"]))
        until = min(len(content), at + draw(st.integers(1, 8)))
        if change == "set":
            content[at] = draw(st.integers(0, 255))
        elif change == "insert":
            content[at:at] = draw(st.binary(min_size=1, max_size=9))
        else:
            content[at:until] = content[at:until] * 2 if change == "twice" else b""
        content = content or bytearray(b".")
    return bytes(content)


@given(st.one_of(st.binary(max_size=100), mutated()))
@example(b"\x80\x02]r\xff\xff\xff\x7f.")
@settings(max_examples=1_500)
def test_any_bytes_are_a_list_or_refused(content):
    found = attempt(content)
    if isinstance(found, str):
        assert found.isprintable()
        return
    for part in found:
        assert not isinstance(part, np.ndarray) or (part.dtype == np.float32 and part.nbytes <= len(content))
