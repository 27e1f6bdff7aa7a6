"""The harness: judge, clock and record keeper of the benchmark.

``run``, ``load`` and ``score`` are the commands from Python; see :mod:`bench.library`. They are imported on
first use, so that importing this package imports nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.library import Benchmark, load, run, score

__all__ = ["Benchmark", "load", "run", "score"]


def __getattr__(name: str) -> Any:
    """Import one of the names above, on first use."""
    if name not in __all__:
        raise AttributeError(f"module 'bench' has no attribute {name!r}")
    from bench import library

    return getattr(library, name)


def __dir__() -> list[str]:
    """The names in this module, with those above."""
    return sorted({*globals(), *__all__})
