"""The processor of this machine, by a name that tells it from others.

Numerical libraries choose their kernels by the processor's model, and so the last bits of what they compute. Its usual
name is not enough: virtual machines of several models call themselves "Intel(R) Xeon(R) Processor".
"""

from __future__ import annotations

import contextlib
import platform
from functools import lru_cache
from pathlib import Path

__all__ = ["processor"]

CPUINFO = Path("/proc/cpuinfo")
NUMBERS = {"cpu family": "family", "model": "model", "stepping": "stepping"}
"""What Linux calls them on x86, and we do."""


@lru_cache
def processor() -> str:
    """Name, family, model and stepping, as in "AMD EPYC (family 25, model 1, stepping 1)", as far as they are known."""
    known: dict[str, str] = {}
    with contextlib.suppress(OSError):
        first, *_ = CPUINFO.read_text().split("\n\n", 1)
        known = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in first.splitlines())}
    name = known.get("model name") or platform.processor() or platform.machine()
    numbers = ", ".join(f"{ours} {known[theirs]}" for theirs, ours in NUMBERS.items() if theirs in known)
    return f"{name} ({numbers})" if numbers else name
