"""How the loops of this package are compiled: by numba, for the processor at hand, and kept on disk."""

from __future__ import annotations

from typing import Any

from numba import njit

FAST = {"reassoc", "contract", "nsz", "arcp", "nnan"}
"""Sums may be reassociated, which makes them vectors; infinities keep their meaning; callers rule out NaN."""


def compiled(function: Any) -> Any:
    """Compile at the first call, for any thread; a second process finds the result beside the source or in ``~``."""
    options: dict[str, Any] = {"fastmath": FAST, "nogil": True, "error_model": "numpy"}
    try:
        return njit(cache=True, **options)(function)
    except RuntimeError:  # no folder that can be written to: every process compiles for itself
        return njit(**options)(function)
