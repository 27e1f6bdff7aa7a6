"""Whether data that several runs share are still what they were."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from types import ModuleType

import numpy as np
import torch

__all__ = ["Fingerprint", "fingerprint", "first_change"]

Fingerprint = Mapping[str, Mapping[str, int]]
"""For each name, the path of every tensor and array in the thing of that name, and a checksum of its content."""


def fingerprint(things: Mapping[str, object]) -> Fingerprint:
    """Checksums of all tensors and arrays in some things: in their attributes and items, and in theirs.

    It finds damage, not forgery: a CRC of 32 bits is several times faster than a cryptographic hash.
    """
    return {name: dict(_checksums(thing, "", set())) for name, thing in things.items()}


def first_change(before: Fingerprint, things: Mapping[str, object]) -> str | None:
    """The first name whose tensors and arrays are not all as they were; new ones, such as caches, do not count."""
    for name, now in fingerprint(things).items():
        if any(now.get(path) != checksum for path, checksum in before[name].items()):
            return name
    return None


def _checksums(thing: object, path: str, seen: set[int]) -> Iterator[tuple[str, int]]:
    if id(thing) in seen:
        return
    seen.add(id(thing))
    if isinstance(thing, torch.Tensor):
        whole = thing.detach().to_dense().cpu().contiguous()
        yield path, _checksum(whole.reshape(-1).view(torch.uint8).numpy(), whole.shape, whole.dtype)
    elif isinstance(thing, np.ndarray):
        if not thing.dtype.hasobject:
            yield path, _checksum(np.ascontiguousarray(thing).reshape(-1).view(np.uint8), thing.shape, thing.dtype)
    elif isinstance(thing, Mapping):
        for key, value in thing.items():
            yield from _checksums(value, f"{path}[{key!r}]", seen)
    elif isinstance(thing, list | tuple):
        for index, value in enumerate(thing):
            yield from _checksums(value, f"{path}[{index}]", seen)
    elif not isinstance(thing, type | ModuleType):
        slots = (name for kind in type(thing).__mro__ for name in getattr(kind, "__slots__", ()))
        held = {name: getattr(thing, name) for name in slots if hasattr(thing, name)}
        for name, value in (held | getattr(thing, "__dict__", {})).items():
            yield from _checksums(value, f"{path}.{name}", seen)


def _checksum(content: np.ndarray[tuple[int], np.dtype[np.uint8]], shape: tuple[int, ...], kind: object) -> int:
    return zlib.crc32(content.data, zlib.crc32(f"{tuple(shape)} {kind}".encode()))
