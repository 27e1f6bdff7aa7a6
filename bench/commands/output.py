"""What commands print: nothing that a terminal would obey, and nothing whose failure ends a benchmark.

Standard output may go away while a benchmark runs, as under ``| head``, or be a file on a full disk.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from collections.abc import Iterator
from typing import Any, TextIO, cast

import click

from bench.visible import visible

__all__ = ["lasting_output", "say", "silence"]

FIRST_FREE = 3
"""Those before are standard input, output and error."""


def say(text: str, err: bool = False) -> None:
    """Print a line, in which what is from elsewhere is shown, not obeyed."""
    click.echo(visible(text), err=err)


class Lasting:
    """A stream that never raises for want of a reader or of space: what cannot be written is dropped from then on.

    Args:
        stream: Where to write.
        whole: Whether what it prints is wanted whole, if at all: then it raises for want of space.
    """

    def __init__(self, stream: TextIO, whole: bool) -> None:
        self._stream, self._whole = stream, whole

    def __getattr__(self, name: str) -> Any:
        """Everything else is the stream's."""
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write a text, or drop it."""
        try:
            self._stream.write(text)
        except OSError as error:
            self._drop(error)
        return len(text)

    def flush(self) -> None:
        """Pass on what was written."""
        try:
            self._stream.flush()
        except OSError as error:
            self._drop(error)

    def _drop(self, error: OSError) -> None:
        if self._whole and error.errno != errno.EPIPE:
            raise error
        silence(self._stream)
        if error.errno != errno.EPIPE:  # whoever closed a pipe knows
            with contextlib.suppress(OSError, ValueError):
                print(f"bench: cannot print: {error.strerror or error}; it goes on silently.", file=sys.__stderr__)


def silence(stream: TextIO) -> None:
    """Let all that is written to a stream go nowhere, what is still buffered, too: Python would try it once more."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


@contextlib.contextmanager
def lasting_output(whole: bool = False) -> Iterator[None]:
    """Do what must not end because nobody reads what it prints.

    Args:
        whole: Whether it is to end where a disk is full.

    Raises:
        OSError: with ``whole``, where what is printed cannot be written for another reason than that nobody reads it.
    """
    while (free := os.open(os.devnull, os.O_RDWR)) < FIRST_FREE:  # what is closed would be the next pipe or file
        os.set_inheritable(free, True)  # in workers, too
    os.close(free)
    output, error = sys.stdout, sys.stderr
    lasting = [stream and cast(TextIO, Lasting(stream, whole)) for stream in (output, error)]  # None is a closed one
    sys.stdout, sys.stderr = lasting
    try:
        yield
    finally:
        sys.stdout, sys.stderr = output, error
        with contextlib.ExitStack() as ends:  # each is flushed, whatever comes of the other
            for stream in filter(None, lasting):
                ends.callback(stream.flush)
