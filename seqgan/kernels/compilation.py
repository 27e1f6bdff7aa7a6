"""How the loops of this package are compiled: by numba, for the processor at hand, and kept on disk."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import njit


def compiled(fastmath: set[str]) -> Callable[[Any], Any]:
    """Compile at the first call, for any thread; a second process finds the result beside the source or in ``~``.

    Args:
        fastmath: LLVM's flags. They must stand in the file of the loop: what is kept on disk is made anew when that
            file changes, and not when these flags do.
    """
    options: dict[str, Any] = {"fastmath": fastmath, "nogil": True, "error_model": "numpy"}

    def decorate(function: Any) -> Any:
        try:
            return njit(cache=True, **options)(function)
        except RuntimeError:  # no folder that can be written to: every process compiles for itself
            return njit(**options)(function)

    return decorate
