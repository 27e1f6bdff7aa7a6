"""Files that are complete or not there: written beside their place under another name, and then renamed."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import time
from functools import lru_cache
from pathlib import Path

from bench.records.leases import machine

__all__ = ["partial_name", "sweep", "write_atomically"]

PARTIAL = ".partial"
"""Ending of a file that is being written."""
DAY_SECONDS = 86_400.0


def write_atomically(file: Path, content: str | bytes, keep: Path | None = None, lasting: bool = True) -> None:
    """Write a file such that it is never seen half-written, whatever happens meanwhile; a pipe is just written to.

    Args:
        file: The file; its folder must exist.
        content: Text is encoded as UTF-8. Halves of characters, which names of files may hold, are escaped as in JSON,
            which reads them back.
        keep: The name that the earlier file gets, if there is one.
        lasting: Whether it is to outlast a machine that goes down now: it is then waited for the disk.

    Raises:
        OSError: where it cannot be written; the earlier file is then as it was.
    """
    if not file.name:  # an empty path is the current folder
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(file))
    data = content.encode("utf-8", "backslashreplace") if isinstance(content, str) else content
    if file.exists() and not (file.is_file() or file.is_dir()):  # a pipe or a device is not to be replaced by a file
        file.write_bytes(data)
        return
    partial = partial_name(file)
    try:
        with partial.open("wb") as stream:
            stream.write(data)
            stream.flush()
            if lasting:
                os.fsync(stream.fileno())
        if keep is not None:
            with contextlib.suppress(FileNotFoundError):
                file.replace(keep)
        partial.replace(file)
    except BaseException:
        if keep is not None and not file.exists():
            with contextlib.suppress(OSError):
                keep.replace(file)
        with contextlib.suppress(OSError):
            partial.unlink()
        raise


def partial_name(file: Path) -> Path:
    """What a file is called while it is being written by this process; :func:`sweep` removes what is left of it."""
    # Cut, because the name may be as long as names may be.
    return file.with_name(f".{file.name[:40]}.{_here()}.{os.getpid()}{PARTIAL}")


def sweep(folder: Path) -> None:
    """Remove what killed processes left half-written: of this machine's at once, of others' after a day."""
    for file in folder.glob(f".*{PARTIAL}"):
        with contextlib.suppress(OSError):
            here, process = file.name.split(".")[-3:-1]
            if not _is_alive(process) if here == _here() else time.time() - file.stat().st_mtime > DAY_SECONDS:
                file.unlink()


@lru_cache
def _here() -> str:
    """A short name of this machine, as its process numbers mean nothing on others."""
    return hashlib.sha256(machine().encode()).hexdigest()[:8]


def _is_alive(process: str) -> bool:
    """Whether there is a process of this id on this machine, other than this one."""
    if not process.isdigit() or int(process) == os.getpid():
        return False
    try:
        os.kill(int(process), 0)
    except PermissionError:
        return True
    except (OSError, OverflowError):
        return False
    return True
