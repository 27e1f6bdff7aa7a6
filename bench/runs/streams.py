"""Random streams by name: each has a name and its own seed, so that draws from one never change another."""

from __future__ import annotations

import hashlib

import torch

__all__ = ["named_stream"]


def named_stream(stem: str, name: str, device: torch.device | str = "cpu") -> torch.Generator:
    """A random stream seeded by a hash of its name; streams of different names are independent."""
    digest = hashlib.sha256(f"{stem}/{name}".encode()).digest()
    return torch.Generator(device=device).manual_seed(int.from_bytes(digest[:7], "little"))
