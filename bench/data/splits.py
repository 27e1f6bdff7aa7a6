"""The split that a line belongs to (train, valid or test), the order of lines, and how they are written."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

SPLITS = ("train", "valid", "test")

Splits = Mapping[str, Sequence[str]]
"""The lines of each split, in any order."""


def bucket(key: str) -> int:
    """A number from 0 to 9 that depends only on the key: its sha-256's first 32 bits, modulo 10."""
    return int(hashlib.sha256(key.encode()).hexdigest()[:8], 16) % 10


def split_of(key: str) -> str:
    """The split of a key: a tenth of all keys is valid, a tenth test, the rest train.

    Example:
        ``split_of("once upon a time")`` is the same word today, tomorrow and on every machine.
    """
    return {0: "valid", 1: "test"}.get(bucket(key), "train")


def assign(keyed: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """Splits of (key, line) pairs: lines of one key stay together; a line that already occurred is left out."""
    splits: dict[str, list[str]] = {split: [] for split in SPLITS}
    seen = set()
    for key, line in keyed:
        if line not in seen:
            seen.add(line)
            splits[split_of(key)].append(line)
    return splits


def ordered(lines: Iterable[str]) -> list[str]:
    """Lines in the order of sha-256("order:" + line): random, yet always the same, so that any prefix is a sample."""
    return sorted(lines, key=lambda line: (hashlib.sha256(f"order:{line}".encode()).hexdigest(), line))


def content(lines: Iterable[str]) -> bytes:
    """The bytes of a split's file: UTF-8, one line each, in hash order, each ended by a newline."""
    return "".join(f"{line}\n" for line in ordered(lines)).encode()


def write(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write files, by their names, as the only content of a folder: all of them or, when interrupted, none.

    Raises:
        OSError: for a folder that cannot be written.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as scratch:
        fresh = Path(scratch) / folder.name
        fresh.mkdir()
        for name, data in files.items():
            (fresh / name).write_bytes(data)
        if folder.exists():
            folder.rename(Path(scratch) / "old")
        fresh.rename(folder)
