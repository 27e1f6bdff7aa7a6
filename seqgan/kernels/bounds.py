"""Checks that compiled loops do not make: an index is inside its table, and arrays have matching shapes."""

from __future__ import annotations

from torch import Tensor


def check_range(tokens: Tensor, size: int) -> None:
    """Raise IndexError unless all values of an int64 tensor are in [0, size)."""
    if tokens.numel():
        smallest, largest = (int(end) for end in tokens.aminmax())
        if smallest < 0 or largest >= size:
            raise IndexError(f"expected tokens from 0 to {size - 1}, got {smallest} to {largest}")


def check_rows(rows: int, **columns: Tensor) -> None:
    """Raise ValueError unless each of the named tensors has the shape (rows,)."""
    for name, column in columns.items():
        if column.shape != (rows,):
            raise ValueError(f"expected {name} of shape ({rows},), one per row, got {tuple(column.shape)}")
