"""The processor of this machine, by a name that tells it from others.

Numerical libraries choose their kernels by the processor's model, and so the last bits of what they compute. Its usual
name is not enough: virtual machines of several models call themselves "Intel(R) Xeon(R) Processor".
"""

from __future__ import annotations

import contextlib
import platform
from functools import lru_cache
from pathlib import Path
from typing import Any

__all__ = ["instructions", "multiplies_bfloat16", "processor"]

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


def instructions() -> str:
    """The widest instructions that torch uses here, as in "AVX2" or "AVX512 and bfloat16". Imports torch."""
    import torch

    return torch.backends.cpu.get_cpu_capability() + (" and bfloat16" if multiplies_bfloat16() else "")


def multiplies_bfloat16() -> bool:
    """Whether this processor has instructions for products of bfloat16 numbers. Imports torch."""
    import torch

    checks: list[Any] = [
        getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    ]
    return any(check is not None and check() for check in checks)
