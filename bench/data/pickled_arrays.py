"""Arrays out of a pickle without unpickling: the few instructions that numpy writes are followed, all others refused.

A pickle is a program, and Python's unpickler lets it call what it names, index memory as it likes and allocate before
it has read. Here the file is parsed by :mod:`pickletools`, which executes nothing, and what is built is lists, tuples,
numbers, bytes and float32 arrays whose size is that of bytes in the file. So no file takes more than a few times its
own size, and none can do anything.
"""

from __future__ import annotations

import ast
import io
import math
import pickletools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["Refused", "float32_arrays"]

Array: TypeAlias = NDArray[np.float32]

NUMPY = ("numpy.core", "numpy._core")
"""Where numpy's own names are, before version 2 and since."""
RECONSTRUCT = {f"{core}.multiarray _reconstruct" for core in NUMPY}
FROM_BUFFER = {f"{core}.numeric _frombuffer" for core in NUMPY}
NAMES = {*RECONSTRUCT, *FROM_BUFFER, "numpy ndarray", "numpy dtype", "_codecs encode"}
"""All that a pickled array mentions."""
LITERALS = {
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "NONE", "NEWTRUE", "NEWFALSE"),
    *("UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"),
    *("STRING", "SHORT_BINBYTES", "BINBYTES", "BINBYTES8", "BYTEARRAY8"),
}
INSTRUCTIONS = {operation.code: operation for operation in pickletools.opcodes}
STOP = "."
QUOTED = re.compile(r"""(['"])(?:(?!\1)[ -\[\]-~]|\\(?:x[0-9a-f]{2}|[nrt\\'"]))*\1""")
"""A string between quotation marks, with the escapes that Python 2 wrote."""
STRINGS = {"BINSTRING", "SHORT_BINSTRING"}
"""Python 2's byte strings, which pickletools gives as latin1 text."""
CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
PUTS, GETS = {"PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"}, {"GET", "BINGET", "LONG_BINGET"}
TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
MOST_DIMENSIONS = 8


class Refused(Exception):  # noqa: N818 - what happened to the file
    """What a pickle holds beside float32 arrays, in a few words."""


class Mark:
    """Where on the stack the parts of a tuple or a list begin."""


@dataclass(frozen=True)
class Name:
    """One of :data:`NAMES`."""

    text: str


@dataclass
class Dtype:
    """A type of numbers, as numpy spells it, and its byte order."""

    kind: object
    order: object = "="


@dataclass
class Unfilled:
    """An array before its content."""

    array: Array | None = None


def float32_arrays(content: bytes) -> list[Any]:
    """The list that a pickle holds, of float32 arrays; what else is in the list is not one, and any value.

    Raises:
        Refused: for a pickle of anything else, and for bytes that are no pickle.

    Example:
        >>> import pickle
        >>> float32_arrays(pickle.dumps([np.ones(2, np.float32)]))
        [array([1., 1.], dtype=float32)]
    """
    machine = Machine()
    try:
        for instruction, argument in _instructions(content):
            machine.follow(instruction, argument)
        result = machine.stack.pop()
    except (ValueError, IndexError, KeyError, TypeError, OverflowError, MemoryError) as error:
        raise Refused(f"it is damaged ({type(error).__name__})") from error
    if not isinstance(result, list):
        raise Refused("expected a list")
    return [part.array if isinstance(part, Unfilled) else part for part in result]


def _instructions(content: bytes) -> Iterator[tuple[str, Any]]:
    """The instructions of a pickle before its end, each with its argument, as :func:`pickletools.genops` has them.

    Two are read here: names, and Python 2's byte strings between quotation marks, which pickletools takes for ASCII.
    """
    file = io.BytesIO(content)
    while (code := file.read(1).decode("latin1")) != STOP:
        if code not in INSTRUCTIONS:
            raise Refused(f"byte {file.tell()} is no instruction" if code else "it has no end")
        instruction = INSTRUCTIONS[code].name
        if instruction not in FOLLOWED:
            raise Refused(f"it has the instruction {instruction}")
        argument: Any = None
        if instruction == "GLOBAL":
            argument = " ".join(file.readline().decode("latin1").rstrip("\n") for _ in range(2))
        elif instruction == "STRING":
            argument = _quoted(file.readline().decode("ascii").rstrip("\n"))
        elif reader := INSTRUCTIONS[code].arg:
            argument = reader.reader(file)
        yield instruction, argument


def _quoted(text: str) -> bytes:
    """A byte string as Python 2 wrote it."""
    if not QUOTED.fullmatch(text):
        raise Refused("it has a string that Python never wrote")
    return bytes(ast.literal_eval(f"b{text}"))


class Machine:
    """A stack and a memo, as the pickle protocol has them."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def follow(self, instruction: str, argument: Any) -> None:
        """Do what an instruction says."""
        stack = self.stack
        if instruction in ("PROTO", "FRAME"):
            return
        if instruction in LITERALS:
            stack.append(CONSTANTS.get(instruction, argument))
        elif instruction in STRINGS:
            stack.append(argument.encode("latin1"))
        elif instruction in PUTS:
            self.memo[len(self.memo) if argument is None else argument] = stack[-1]
        elif instruction in GETS:
            stack.append(self.memo[argument])
        elif instruction in TUPLES:
            stack[-TUPLES[instruction] :] = [tuple(stack[-TUPLES[instruction] :])]
        else:
            OTHERS[instruction](self, argument)

    def to_mark(self) -> list[Any]:
        """What stands on the stack above the last mark, taken off with the mark."""
        at = max(index for index, value in enumerate(self.stack) if isinstance(value, Mark))
        values = self.stack[at + 1 :]
        del self.stack[at:]
        return values

    def name(self, text: str) -> None:
        """A name, which is never looked up."""
        if text not in NAMES:
            raise Refused(f"it names {text.replace(' ', '.')[:100]!a}")
        self.stack.append(Name(text))

    def append(self, values: list[Any]) -> None:
        """Add to the list on the stack."""
        if not isinstance(self.stack[-1], list):
            raise Refused("it appends to what is no list")
        self.stack[-1].extend(values)

    def call(self) -> None:
        """The call of a name: for the few that build arrays, what they would build."""
        arguments, name = self.stack.pop(), self.stack.pop()
        if not (isinstance(name, Name) and isinstance(arguments, tuple)):
            raise Refused("it calls what is no name")
        self.stack.append(_called(name.text, arguments))

    def build(self) -> None:
        """The state of a type or of an array."""
        state, built = self.stack.pop(), self.stack[-1]
        if not isinstance(state, tuple):
            raise Refused("it has a state that is no tuple")
        if isinstance(built, Dtype):
            built.order = state[1]
        elif isinstance(built, Unfilled):
            _, shape, dtype, by_columns, data = state
            built.array = _array(data, dtype, shape, bool(by_columns))
        else:
            raise Refused("it gives a state to what is no array")


OTHERS: dict[str, Callable[[Machine, Any], None]] = {
    "MARK": lambda machine, _: machine.stack.append(Mark()),
    "EMPTY_LIST": lambda machine, _: machine.stack.append([]),
    "EMPTY_TUPLE": lambda machine, _: machine.stack.append(()),
    "LIST": lambda machine, _: machine.stack.append(machine.to_mark()),
    "TUPLE": lambda machine, _: machine.stack.append(tuple(machine.to_mark())),
    "APPEND": lambda machine, _: machine.append([machine.stack.pop()]),
    "APPENDS": lambda machine, _: machine.append(machine.to_mark()),
    "GLOBAL": lambda machine, text: machine.name(text),
    "STACK_GLOBAL": lambda machine, _: machine.name(
        " ".join(map(str, [machine.stack.pop(), machine.stack.pop()][::-1]))
    ),
    "REDUCE": lambda machine, _: machine.call(),
    "BUILD": lambda machine, _: machine.build(),
}


FOLLOWED = {"PROTO", "FRAME", *LITERALS, *STRINGS, *PUTS, *GETS, *TUPLES, *OTHERS}


def _called(name: str, arguments: tuple[Any, ...]) -> Any:
    """What a call of one of :data:`NAMES` gives."""
    if name in RECONSTRUCT:
        if arguments[0] != Name("numpy ndarray"):
            raise Refused("it builds another kind of array")
        return Unfilled()
    if name in FROM_BUFFER:
        data, dtype, shape, order = arguments
        return Unfilled(_array(data, dtype, shape, order == "F"))
    if name == "numpy dtype":
        return Dtype(arguments[0])
    if name == "_codecs encode":
        text, encoding = arguments
        if isinstance(text, str) and encoding == "latin1":
            return text.encode("latin1")
    raise Refused(f"it calls {name.replace(' ', '.')} otherwise than numpy does")


def _array(data: object, dtype: object, shape: object, by_columns: bool) -> Array:
    """The array of some bytes, of which there must be as many as it takes."""
    kinds = ("f4", b"f4", "<f4")
    if not (isinstance(dtype, Dtype) and dtype.kind in kinds and dtype.order in ("<", b"<", "=")):
        raise Refused("it holds numbers that are not float32, or not in the usual byte order")
    if not isinstance(data, bytes | bytearray):
        raise Refused("it holds an array without bytes")
    if not (
        isinstance(shape, tuple) and len(shape) <= MOST_DIMENSIONS and all(type(n) is int and n >= 0 for n in shape)
    ):
        raise Refused("it holds an array whose shape is none")
    if math.prod(shape) * np.dtype(np.float32).itemsize != len(data):
        raise Refused("it holds an array whose shape is not that of its bytes")
    return np.frombuffer(data, "<f4").reshape(shape, order="F" if by_columns else "C").astype(np.float32, order="C")
