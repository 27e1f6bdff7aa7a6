"""Pickled lists of float32 arrays, read by a small machine of their own: nothing is imported, and nothing is called.

Python's unpickler, even one that looks up no names, can be made to crash the interpreter, and to reserve gigabytes
for nine bytes. This one knows the opcodes with which numpy writes arrays, in protocols 0 to 5, and refuses all others.
What a file states is checked before it is believed: a length against what is left of the file, an array's shape
against its bytes. Steps are limited, and with them the stack and the memo; the arrays together are no larger than the
file, whatever shares their bytes. Python 2's byte strings are read as well: the file that was released has them.
"""

from __future__ import annotations

import codecs
import math
import struct
import warnings
from dataclasses import dataclass
from pickletools import opcodes
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["ForeignPickle", "read_arrays"]

MOST_STEPS = 10_000
"""Opcodes: an array takes about 30."""
MOST_DIMENSIONS = 2
LONGEST_WORD = 80
"""Bytes of a name or a number that is written as text."""

RECONSTRUCT = {("numpy.core.multiarray", "_reconstruct"), ("numpy._core.multiarray", "_reconstruct")}
FROM_BUFFER = {("numpy.core.numeric", "_frombuffer"), ("numpy._core.numeric", "_frombuffer")}
NDARRAY, DTYPE, ENCODE = ("numpy", "ndarray"), ("numpy", "dtype"), ("_codecs", "encode")
OPCODES = {opcode.code: opcode.name for opcode in opcodes}
NAMES = {*RECONSTRUCT, *FROM_BUFFER, NDARRAY, DTYPE, ENCODE}

INTEGERS = {"BININT": "<i", "BININT1": "<B", "BININT2": "<H"}
CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
LENGTHS = {
    "SHORT_BINBYTES": "<B",
    "BINBYTES": "<I",
    "BINBYTES8": "<Q",
    "BYTEARRAY8": "<Q",
    "SHORT_BINSTRING": "<B",
    "BINSTRING": "<i",
}
"""Opcodes of bytes, and the form of their length."""
TEXT_LENGTHS = {"SHORT_BINUNICODE": "<B", "BINUNICODE": "<I", "BINUNICODE8": "<Q"}
MEMO_WRITES = {"BINPUT": "<B", "LONG_BINPUT": "<I"}
MEMO_READS = {"BINGET": "<B", "LONG_BINGET": "<I"}
TUPLES = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


class ForeignPickle(Exception):  # noqa: N818 - it is the file that is foreign
    """A pickle of anything but arrays, a damaged one, or no pickle; the message completes "it ..."."""


@dataclass(frozen=True)
class _Name:
    """What a file names: a mark on the stack, never looked up."""

    module: str
    name: str


class _Float32:
    """The type of an array's numbers; ``ordered`` once the file has said that they are little-endian."""

    ordered = False


class _Array:
    """An array that the file has announced, and its numbers once they have come."""

    numbers: NDArray[np.float32] | None = None


class _Mark:
    """Where a list or tuple begins on the stack."""


def read_arrays(content: bytes) -> list[NDArray[np.float32]]:
    """The arrays of a pickled list of float32 arrays of one or two dimensions; they are copies and can be written to.

    Raises:
        ForeignPickle: for anything else.
    """
    found = _Machine(content).run()
    if not isinstance(found, list):
        raise ForeignPickle("holds no list")
    arrays = [item.numbers if isinstance(item, _Array) else None for item in found]
    whole = [array for array in arrays if array is not None]
    if len(whole) < len(arrays) or len({id(array) for array in whole}) < len(whole):
        raise ForeignPickle("holds a list of other things than arrays, or one array twice")
    return whole


class _Machine:
    def __init__(self, content: bytes) -> None:
        self._content = content
        self._at = 0
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}
        self._copied = 0

    def run(self) -> Any:
        """Follow the opcodes to the end, and return what is left."""
        for _ in range(MOST_STEPS):
            code = self._take(1)
            name = OPCODES.get(code.decode("latin1"))
            if name is None:
                raise ForeignPickle(f"has a byte at {self._at - 1:,} that is no opcode of a pickle")
            if name == "STOP":
                return self._pop()
            self._step(name)
        raise ForeignPickle(f"takes more than {MOST_STEPS:,} steps to read")

    def _step(self, name: str) -> None:
        push = self._stack.append
        if name in INTEGERS:
            push(self._integer(INTEGERS[name]))
        elif name in CONSTANTS:
            push(CONSTANTS[name])
        elif name in LENGTHS:
            push(self._take(self._integer(LENGTHS[name])))
        elif name in TEXT_LENGTHS:
            push(_decoded(self._take(self._integer(TEXT_LENGTHS[name])), "utf-8"))
        elif name in MEMO_WRITES:
            self._memo[self._integer(MEMO_WRITES[name])] = self._top()
        elif name in MEMO_READS:
            push(self._remembered(self._integer(MEMO_READS[name])))
        elif name in TUPLES:
            count = TUPLES[name]
            push(tuple([self._pop() for _ in range(count)][::-1]))
        elif name in _Machine.OTHERS:
            _Machine.OTHERS[name](self)
        else:
            raise ForeignPickle(f"uses the opcode {name}, which no array of float32 needs")

    def _proto(self) -> None:
        if (protocol := self._integer("<B")) > 5:
            raise ForeignPickle(f"has the protocol {protocol}")

    def _int(self) -> None:
        word = self._line(LONGEST_WORD)
        self._stack.append({b"00": False, b"01": True}.get(word, _number(word)))

    def _string(self) -> None:
        quoted = self._line()
        if len(quoted) < 2 or quoted[:1] != quoted[-1:] or quoted[:1] not in (b"'", b'"'):
            raise ForeignPickle("has a string without quotes")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of escapes that Python knows not: they stay as they are
                self._stack.append(codecs.escape_decode(quoted[1:-1])[0])
        except ValueError as error:
            raise ForeignPickle("has a string with a broken escape") from error

    def _unicode(self) -> None:
        self._stack.append(_decoded(self._line(), "raw_unicode_escape"))

    def _mark(self) -> None:
        self._stack.append(_Mark())

    def _empty_list(self) -> None:
        self._stack.append([])

    def _list(self) -> None:
        self._stack.append(self._since_mark())

    def _tuple(self) -> None:
        self._stack.append(tuple(self._since_mark()))

    def _append(self) -> None:
        self._extend([self._pop()])

    def _appends(self) -> None:
        self._extend(self._since_mark())

    def _extend(self, items: list[Any]) -> None:
        target = self._top()
        if not isinstance(target, list):
            raise ForeignPickle("appends to what is no list")
        target.extend(items)

    def _put(self) -> None:
        self._memo[_number(self._line(LONGEST_WORD))] = self._top()

    def _get(self) -> None:
        self._stack.append(self._remembered(_number(self._line(LONGEST_WORD))))

    def _memoize(self) -> None:
        self._memo[len(self._memo)] = self._top()

    def _global(self) -> None:
        module, name = (_decoded(self._line(LONGEST_WORD), "utf-8") for _ in range(2))
        self._name(module, name)

    def _stack_global(self) -> None:
        name, module = self._pop(), self._pop()
        self._name(module, name)

    def _name(self, module: object, name: object) -> None:
        if not isinstance(module, str) or not isinstance(name, str):
            raise ForeignPickle("names something by what is no text")
        if (module, name) not in NAMES:
            full = f"{module[:LONGEST_WORD]}.{name[:LONGEST_WORD]}"
            raise ForeignPickle(f"names {full if full.isprintable() else ascii(full)}")
        self._stack.append(_Name(module, name))

    def _reduce(self) -> None:
        arguments, named = self._pop(), self._pop()
        if not isinstance(named, _Name) or not isinstance(arguments, tuple):
            raise ForeignPickle("calls what is no name")
        pair = (named.module, named.name)
        if pair in RECONSTRUCT and len(arguments) == 3 and arguments[0] == _Name(*NDARRAY):
            self._stack.append(_Array())
        elif pair in FROM_BUFFER and len(arguments) == 4 and arguments[3] in ("C", "F"):
            data, kind, shape, order = arguments
            array = _Array()
            array.numbers = self._numbers(shape, kind, order == "F", data)
            self._stack.append(array)
        elif pair == DTYPE and len(arguments) == 3:
            if _text(arguments[0]) != "f4":
                raise ForeignPickle("holds an array of other numbers than float32")
            self._stack.append(_Float32())
        elif pair == ENCODE and len(arguments) == 2 and isinstance(arguments[0], str) and arguments[1] == "latin1":
            self._count(len(arguments[0]))  # a text that is remembered may be encoded many times
            try:
                self._stack.append(arguments[0].encode("latin1"))
            except UnicodeEncodeError as error:
                raise ForeignPickle("encodes text that is not latin1") from error
        else:
            raise ForeignPickle(f"calls {named.module}.{named.name} as no array of numpy's does")

    def _build(self) -> None:
        state, target = self._pop(), self._top()
        if isinstance(target, _Float32):
            if not isinstance(state, tuple) or len(state) < 2 or _text(state[1]) != "<":
                raise ForeignPickle("holds numbers that are not little-endian")
            target.ordered = True
        elif isinstance(target, _Array) and target.numbers is None and isinstance(state, tuple) and len(state) == 5:
            _, shape, kind, fortran, data = state
            target.numbers = self._numbers(shape, kind, fortran in (1, True), data)
        else:
            raise ForeignPickle("fills in what is no empty array")

    def _numbers(self, shape: object, kind: object, fortran: bool, data: object) -> NDArray[np.float32]:
        if not isinstance(kind, _Float32) or not kind.ordered or not isinstance(data, bytes):
            raise ForeignPickle("holds an array of other numbers than little-endian float32")
        if not isinstance(shape, tuple) or not 1 <= len(shape) <= MOST_DIMENSIONS:
            raise ForeignPickle(f"holds an array of other than one to {MOST_DIMENSIONS} dimensions")
        if not all(type(size) is int and size > 0 for size in shape) or 4 * math.prod(shape) != len(data):
            raise ForeignPickle("holds an array whose shape does not fit its bytes")
        self._count(len(data))
        return np.frombuffer(data, "<f4").reshape(shape, order="F" if fortran else "C").copy(order="K")

    def _count(self, size: int) -> None:
        """Count what was copied: each byte of a file is copied once into text's bytes and once into an array."""
        self._copied += size
        if self._copied > 2 * len(self._content):
            raise ForeignPickle("uses the same bytes more than once")

    def _take(self, size: int) -> bytes:
        if not 0 <= size <= len(self._content) - self._at:
            raise ForeignPickle("ends too early")
        self._at += size
        return self._content[self._at - size : self._at]

    def _integer(self, form: str) -> int:
        return int(struct.unpack(form, self._take(struct.calcsize(form)))[0])

    def _line(self, most: int | None = None) -> bytes:
        end = self._content.find(b"\n", self._at, None if most is None else self._at + most + 1)
        if end < 0:
            raise ForeignPickle("has a line without an end")
        return self._take(end + 1 - self._at)[:-1]

    def _pop(self) -> Any:
        if not self._stack or isinstance(self._stack[-1], _Mark):
            raise ForeignPickle("uses a value that is not there")
        return self._stack.pop()

    def _top(self) -> Any:
        if not self._stack or isinstance(self._stack[-1], _Mark):
            raise ForeignPickle("uses a value that is not there")
        return self._stack[-1]

    def _since_mark(self) -> list[Any]:
        items: list[Any] = []
        while self._stack:
            item = self._stack.pop()
            if isinstance(item, _Mark):
                return items[::-1]
            items.append(item)
        raise ForeignPickle("ends a list that was not begun")

    def _remembered(self, key: int) -> Any:
        if key not in self._memo:
            raise ForeignPickle("recalls what it never stored")
        return self._memo[key]

    def _frame(self) -> None:
        self._take(8)  # its length says nothing that the opcodes do not

    OTHERS = {  # noqa: RUF012 - never written to
        "PROTO": _proto,
        "FRAME": _frame,
        "INT": _int,
        "STRING": _string,
        "UNICODE": _unicode,
        "MARK": _mark,
        "EMPTY_LIST": _empty_list,
        "LIST": _list,
        "TUPLE": _tuple,
        "APPEND": _append,
        "APPENDS": _appends,
        "PUT": _put,
        "GET": _get,
        "MEMOIZE": _memoize,
        "GLOBAL": _global,
        "STACK_GLOBAL": _stack_global,
        "REDUCE": _reduce,
        "BUILD": _build,
    }


def _decoded(content: bytes, encoding: str) -> str:
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        raise ForeignPickle("has text that cannot be decoded") from error


def _number(word: bytes) -> int:
    if not word.removeprefix(b"-").isdigit():
        raise ForeignPickle("has a number that is none")
    return int(word)


def _text(value: object) -> object:
    """Python 2's strings are bytes."""
    return value.decode("latin1") if isinstance(value, bytes) else value
