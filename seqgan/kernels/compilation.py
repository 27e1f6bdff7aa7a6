"""Compilation of this package's loops: by numba, for this machine's processor, cached on disk."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import njit


def compiled(fastmath: set[str]) -> Callable[[Any], Any]:
    """Compile at the first call, to run without the GIL; a second process finds the result near the source or in ``~``.

    Args:
        fastmath: LLVM's flags. Write them in the file of the loop: what is cached on disk is rebuilt when that file
            changes, and not when these flags do.
    """
    options: dict[str, Any] = {"fastmath": fastmath, "nogil": True, "error_model": "numpy"}

    def decorate(function: Any) -> Any:
        try:
            return njit(cache=True, **options)(function)
        except RuntimeError:  # no folder that can be written to: every process compiles for itself
            return njit(**options)(function)

    return decorate
