"""What compiled loops do not check: that an index is inside its table."""

from __future__ import annotations

from torch import Tensor


def check_range(tokens: Tensor, size: int) -> None:
    """Raise IndexError unless all of an int64 tensor lies in [0, size)."""
    if tokens.numel():
        smallest, largest = (int(end) for end in tokens.aminmax())
        if smallest < 0 or largest >= size:
            raise IndexError(f"expected tokens from 0 to {size - 1}, got {smallest} to {largest}")
