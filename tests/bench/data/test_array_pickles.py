"""Pickles of arrays: what numpy writes is read, and nothing else runs, crashes or takes memory."""

import pickle
import random
import struct
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.data.array_pickles import ForeignPickle, read_arrays

PLAIN = [
    np.arange(6, dtype=np.float32).reshape(2, 3),
    np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3)),
    np.arange(6, dtype=np.float32)[::-2],
    np.array([10, np.nan, np.inf], np.float32),
]
VALID = [pickle.dumps(PLAIN, protocol) for protocol in range(6)]


@pytest.mark.parametrize("protocol", range(6))
def test_plain_arrays_are_read(protocol):
    for array, original in zip(read_arrays(VALID[protocol]), PLAIN, strict=True):
        assert array.dtype == np.float32
        assert array.flags.writeable
        np.testing.assert_array_equal(array, original)


def test_a_pickle_of_python_2_is_read():
    """As the released file was first written: byte strings without an encoding, numpy's old module names."""
    content = (
        b"(lp0\ncnumpy.core.multiarray\n_reconstruct\np1\n(cnumpy\nndarray\np2\n(I0\ntp3\nS'b'\np4\ntp5\nRp6\n"
        b"(I1\n(I2\ntp7\ncnumpy\ndtype\np8\n(S'f4'\np9\nI0\nI1\ntp10\nRp11\n(I3\nS'<'\np12\nNNNI-1\nI-1\nI0\ntp13\nb"
        b"I00\nS'\\x00\\x00\\x80?\\x00\\x00\\x00@'\np14\ntp15\nba."
    )
    (array,) = read_arrays(content)
    assert array.tolist() == [1.0, 2.0]


def stated(shape, data=bytes(8), kind="f4", order="<", protocol=2):
    """A pickle of one array in numpy's form, with what is stated chosen freely."""

    class Kind:
        def __reduce__(self):
            return np.dtype, (kind, False, True), (3, order, None, None, None, -1, -1, 0)

    class Array:
        def __reduce__(self):
            return np.zeros(1).__reduce__()[0], (np.ndarray, (0,), b"b"), (1, shape, Kind(), False, data)

    return pickle.dumps([Array()], protocol)


def test_a_stated_array_is_read_where_its_shape_is_right():
    assert read_arrays(stated((2,)))[0].tolist() == [0.0, 0.0]


HUGE = 2**62
HOSTILE = {
    "memo at two billion": (b"\x80\x02Nr" + b"\xff\xff\xff\x7f.", "holds no list"),
    "recall at two billion": (b"j" + b"\xff\xff\xff\x7f.", "never stored"),
    "memo by text": (b"Np" + b"9" * 70 + b"\n.", "holds no list"),
    "memo by endless text": (b"Np" + b"9" * 7000 + b"\n.", "line without an end"),
    "huge text": (b"\x8d" + struct.pack("<Q", HUGE), "ends too early"),
    "huge bytes": (b"\x8e" + struct.pack("<Q", HUGE), "ends too early"),
    "huge byte array": (b"\x80\x05\x96" + struct.pack("<Q", HUGE), "ends too early"),
    "negative length": (b"T" + struct.pack("<i", -5), "ends too early"),
    "huge frame": (b"\x80\x04\x95" + struct.pack("<Q", HUGE) + b"N.", "holds no list"),
    "a buffer from outside": (b"\x80\x05\x97.", "opcode NEXT_BUFFER"),
    "a read-only buffer": (b"\x80\x05\x98.", "opcode READONLY_BUFFER"),
    "nested tuples": (b")" + b"\x85" * 50_000 + b".", "more than 10,000 steps"),
    "marks": (b"(" * 50_000, "more than 10,000 steps"),
    "deep tuples": (b")" + b"\x85" * 9_000 + b".", "holds no list"),
    "a list in itself": (b"]q\x00h\x00a.", "other things than arrays"),
    "a call": (b"cos\nsystem\n(S'true'\ntR.", "names os.system"),
    "a call by name": (b"\x8c\x02os\x8c\x06system\x93.", "names os.system"),
    "a name that draws": (b"c\x1b[2J\nx\n.", r"names '\\x1b\[2J\.x'"),
    "another call": (b"cnumpy\nndarray\n(S'1'\ntR.", "calls numpy.ndarray"),
    "a call of a list": (b"])R.", "calls what is no name"),
    "a persistent id": (b"Pname\n.", "opcode PERSID"),
    "a persistent id on the stack": (b"NQ.", "opcode BINPERSID"),
    "an extension": (b"\x82\x01.", "opcode EXT1"),
    "an instance": (b"(ios\nsystem\n.", "opcode INST"),
    "an object": (b"(cnumpy\nndarray\no.", "opcode OBJ"),
    "a new object": (b"cnumpy\nndarray\n)\x81.", "opcode NEWOBJ"),
    "a long number": (b"\x8b\xff\xff\xff\x7f", "opcode LONG4"),
    "doubled": (b"N" + b"2" * 100, "opcode DUP"),
    "no opcode": (b"\xff", "no opcode"),
    "nothing": (b"", "ends too early"),
    "objects": (stated((1,), kind="O8", order="|"), "other numbers than float32"),
    "doubles": (stated((1,), kind="f8"), "other numbers than float32"),
    "big-endian": (stated((2,), order=">"), "not little-endian"),
    "no numbers": (stated((0,), b"", protocol=3), "shape does not fit"),
    "no rows": (stated((0, 2**30), b"", protocol=3), "shape does not fit"),
    "negative": (stated((-1, -2)), "shape does not fit"),
    "huge": (stated((2**31 - 1, 2**31 - 1)), "shape does not fit"),
    "too many dimensions": (stated((1,) * 40), "one to 2 dimensions"),
    "text for a shape": (stated("ab"), "one to 2 dimensions"),
    "numbers for bytes": (stated((2,), [1, 2]), "little-endian float32"),
}


@pytest.mark.parametrize(("content", "reason"), HOSTILE.values(), ids=HOSTILE)
def test_hostile_pickles_are_refused_with_a_reason_and_take_no_memory(content, reason):
    tracemalloc.start()
    try:
        with pytest.raises(ForeignPickle, match=reason):
            read_arrays(content)
        assert tracemalloc.get_traced_memory()[1] < 2**22
    finally:
        tracemalloc.stop()


def test_the_same_bytes_are_not_made_into_many_arrays():
    """One string of a million bytes, remembered, and a hundred arrays of it would be a bomb."""
    data = bytes(2**20)

    class Same:
        def __reduce__(self):
            build, arguments, state = np.frombuffer(data, np.float32).__reduce__()
            return build, arguments, (*state[:-1], data)

    content = pickle.dumps([Same() for _ in range(100)], 4)
    assert len(content) < 2**21
    with pytest.raises(ForeignPickle, match="same bytes more than once"):
        read_arrays(content)


def answers(content):
    """Read it, and hold the answer or the reason to what was promised."""
    reason = ""
    try:
        arrays = read_arrays(content)
    except ForeignPickle as error:
        arrays, reason = [], str(error)
    assert reason.isprintable()
    assert all(array.dtype == np.float32 for array in arrays)


@settings(max_examples=500, deadline=1000)
@given(st.binary(max_size=300))
def test_any_bytes_are_answered(content):
    answers(content)


def test_any_damage_to_a_valid_pickle_is_answered():
    stream = random.Random(0)
    for _ in range(6_000):
        content = bytearray(stream.choice(VALID))
        for _ in range(stream.randint(1, 4)):
            at, end = sorted(stream.choices(range(len(content) + 1), k=2))
            match stream.randrange(4):
                case 0:
                    content[at:at] = content[at:end]
                case 1:
                    del content[at : min(end, at + 9)]
                case 2:
                    content[at : at + 1] = bytes([stream.randrange(256)])
                case 3:
                    del content[max(end, 1) :]
        answers(bytes(content))
