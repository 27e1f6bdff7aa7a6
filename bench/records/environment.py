"""Where a run took place: commit, versions, processor, memory."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import platform
import resource
import subprocess
import sys
from collections.abc import Iterable, Iterator
from datetime import datetime, timezone
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from bench.processor import processor

PACKAGES = ("seqgan-bench", "torch", "numba", "numpy", "pandas", "scipy")
CODE = ("bench", "seqgan", "baselines")

KERNEL_ENVIRONMENT = {
    "MALLOC_TRIM_THRESHOLD_": "1000000000",
    "MALLOC_MMAP_THRESHOLD_": "1000000000",
    "OMP_WAIT_POLICY": "passive",
}
"""Environment variables of a process that trains or is timed.

Without them, glibc would return the memory of every large tensor to the system and fault its pages in again, which
takes a fifth of a training step. Threads that spin while they wait for work take the processor from those that have
work.
"""


USUAL_COLLECTIONS = gc.get_threshold()
"""How often the garbage collector looks, unless somebody says otherwise."""


@contextlib.contextmanager
def seldom_collecting() -> Iterator[None]:
    """Let the garbage collector look less often, as a decorator or in a block.

    Of the million objects of imported modules and of a report it finds next to none: looking for them takes a fifth of
    the import of torch, pandas and scipy. Not for the code of plugins, which may leave tensors in cycles: runs have the
    usual collector (:func:`bench.runs.surroundings.settled`).
    """
    before = gc.get_threshold()
    gc.set_threshold(50_000, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


def now() -> str:
    """The time, UTC, as ISO 8601 with seconds."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


@lru_cache
def describe() -> dict[str, Any]:
    """Versions, commit and machine, as kept in every record. Does not import torch."""
    commit, dirty = _commit()
    return {
        "commit": commit,
        "dirty": dirty,
        "machine": f"{processor()}, {os.cpu_count()} cores",
        "platform": platform.platform(),
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
    }


def commit_of(root: Path, paths: Iterable[str] = CODE) -> tuple[str | None, bool | None]:
    """Commit of a checkout and whether any of the paths was changed since; None where git fails."""
    try:
        return _git(root, "rev-parse", "HEAD"), bool(_git(root, "status", "--porcelain", "--", *paths))
    except (OSError, subprocess.SubprocessError):
        return None, None


def reset_peak_memory() -> None:
    """Forget the peak so far, so that :func:`peak_memory` reports that of what follows."""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)  # glibc: give back what earlier work freed
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # Linux: the peak becomes the present size


def peak_memory() -> int:
    """Largest resident memory of this process in bytes, since :func:`reset_peak_memory` where the system allows it."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _commit() -> tuple[str | None, bool | None]:
    """Commit of the code that runs and whether it was changed since; None where it is not in a checkout of ours.

    An installed package runs from site-packages: then the working directory counts if it is a checkout whose code
    equals the installed code, file by file.
    """
    package = Path(__file__).parents[1]
    for root in (package.parent, Path.cwd()):
        if (root / ".git").exists() and _same_code(package, root / "bench"):
            return commit_of(root)
    return None, None


def _same_code(installed: Path, checkout: Path) -> bool:
    if installed == checkout:
        return True
    files = sorted(path.relative_to(installed) for path in installed.rglob("*.py"))
    return all(
        (checkout / file).is_file() and (checkout / file).read_bytes() == (installed / file).read_bytes()
        for file in files
    )


def _git(root: Path, *arguments: str) -> str:
    command = ["git", "-C", str(root), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=10).stdout.strip()
