"""Compilation of this package's loops: by numba, for this machine's processor, cached on disk."""

from __future__ import annotations

import contextlib
import hashlib
import pickle
from collections.abc import Callable
from typing import Any

from numba import njit
from numba.core.caching import FunctionCache
from numba.core.serialize import dumps


def compiled(fastmath: set[str]) -> Callable[[Any], Any]:
    """Compile at the first call, to run without the GIL; a second process finds the result near the source or in ``~``.

    Args:
        fastmath: LLVM's flags. Write them in the file of the loop: what is cached on disk is rebuilt when that file
            changes, and not when these flags do.
    """
    options: dict[str, Any] = {"fastmath": fastmath, "nogil": True, "error_model": "numpy"}

    def decorate(function: Any) -> Any:
        loop = njit(**options)(function)
        with contextlib.suppress(RuntimeError):  # no folder that can be written to: every process compiles for itself
            loop._cache = CheckedCache(function)
        return loop

    return decorate


class CheckedCache(FunctionCache):
    """numba's cache on disk, with a checksum: machine code that is not what was written is compiled anew, never run.

    Without it, a file that was cut makes every call fail, and a changed bit may change numbers or crash.
    """

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """The compiled code; None where there is none that is whole."""
        try:
            return super().load_overload(sig, target_context)
        except Exception:  # whatever unpickling damaged bytes raises
            with contextlib.suppress(OSError):
                self.flush()
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep compiled code, where the disk can take it."""
        with contextlib.suppress(OSError):
            super().save_overload(sig, data)

    def _load_overload(self, sig: Any, target_context: Any) -> Any:
        found = self._cache_file.load(self._index_key(sig, target_context.codegen()))
        if found is None:
            return None
        digest, content = found
        if hashlib.sha256(content).digest() != digest:
            raise ValueError("its checksum does not match its content")
        return self._impl.rebuild(target_context, pickle.loads(content))

    def _save_overload(self, sig: Any, data: Any) -> None:
        if not self._impl.check_cachable(data):
            return
        self._impl.locator.ensure_cache_path()
        content = dumps(self._impl.reduce(data))
        self._cache_file.save(self._index_key(sig, data.codegen), (hashlib.sha256(content).digest(), content))
