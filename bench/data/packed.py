"""Files that gzip packed: recognised by their content, unpacked while they are read, never to more than text can be."""

from __future__ import annotations

import gzip
import io
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

from bench.errors import UsageError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

__all__ = ["MAGIC", "MOST", "PACKED", "TIMES", "Unpacked", "is_packed"]

PACKED = ".gz"
MAGIC = b"\x1f\x8b"
"""How a packed file begins (RFC 1952, 2.3.1); no text in UTF-8 does."""
MOST = 2**26
"""Bytes that any file may unpack to. Beyond them, its content may be at most :data:`TIMES` its size."""
TIMES = 100
"""Text unpacks to three to ten times its size, zeros to a thousand times."""


def is_packed(path: Path) -> bool:
    """Whether a file is gzip's, by its first bytes: a browser may have unpacked what is called .gz.

    Raises:
        OSError: for a file that cannot be read.
    """
    with path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC


class Unpacked(io.RawIOBase):
    """The content of a packed file as a stream of bytes; reading it takes no more memory than reading any file.

    Args:
        path: The file.

    Raises:
        UsageError: while reading: for a damaged file, and for one that unpacks to too much.
        OSError: for a file that cannot be read.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self._most = max(MOST, TIMES * path.stat().st_size)
        self._file = gzip.open(path, "rb")  # noqa: SIM115 - closed by close()
        self._given = 0

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Fill a buffer, and return how many bytes were written into it; 0 at the end."""
        try:
            count = self._file.readinto(buffer)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            reason = "it ends too early" if isinstance(error, EOFError) else "its content does not fit its checksums"
            raise UsageError(
                f"'{self._path}' is packed by gzip and damaged: {reason}; make or fetch it again."
            ) from error
        self._given += count
        if self._given > self._most:
            raise UsageError(
                f"'{self._path}' unpacks to over {self._most / 2**20:,.0f} MiB, which is more than {TIMES} times its "
                "size and seems not to be text: if it is, unpack it with gzip -d."
            )
        return count

    def close(self) -> None:
        """Close the file."""
        if not self.closed:
            self._file.close()
        super().close()
