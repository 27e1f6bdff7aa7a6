"""Drawn sequences, kept on disk: a full-size oracle takes eleven seconds to draw, in every process that needs it.

What is drawn depends on how this machine rounds, so the name of a file is a hash of the processor, the versions and the
number of threads, beside all that the draw is made from. A file that is not whole is drawn anew; where nothing can be
kept, nothing is. The oldest files make room for new ones.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from bench.data.downloads import folder
from bench.processor import instructions, processor

__all__ = ["drawn"]

WORTH = 500_000_000
"""Words from which a law is made, V for each token, from which on a draw takes seconds and is kept."""


MOST = 200
"""Files, of about 2 MB each."""
ABANDONED_SECONDS = 3_600


def drawn(made_from: Mapping[str, object], work: int, draw: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
    """Sequences by the names of their splits, int64 (N, T), from the disk or else drawn and kept there.

    Args:
        made_from: All that decides what is drawn, as JSON knows it.
        work: V times the number of tokens.
        draw: Draws them.
    """
    file = _file(made_from) if work >= WORTH else None
    found = _read(file) if file else None
    if found is None:
        found = draw()
        if file:
            _keep(file, found)
    return found


def _file(made_from: Mapping[str, object]) -> Path | None:
    """Where a draw is kept; None where there is no such place, as without a home directory."""
    here = {
        "torch": torch.__version__,
        "numpy": np.__version__,
        "processor": processor(),
        "instructions": instructions(),
        "threads": torch.get_num_threads(),
    }
    name = hashlib.sha256(json.dumps([made_from, here], sort_keys=True).encode()).hexdigest()
    with contextlib.suppress(OSError, RuntimeError):
        return folder() / "drawn" / f"{name[:32]}.safetensors"
    return None


def _read(file: Path) -> dict[str, Tensor] | None:
    """The sequences in a file; None where there is none that is whole."""
    with contextlib.suppress(OSError, SafetensorError, KeyError), safe_open(file, framework="pt") as opened:
        splits = {name: opened.get_tensor(name).long() for name in opened.keys()}  # noqa: SIM118 - it is no mapping
        if opened.metadata()["sha256"] == _digest(splits):
            return splits
    return None


def _keep(file: Path, splits: Mapping[str, Tensor]) -> None:
    """Write the file at once, so that no other process reads half of it."""
    with contextlib.suppress(OSError, SafetensorError):
        file.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=file.parent, suffix=".part")
        os.close(handle)
        try:
            small = {split: tokens.to(torch.int32) for split, tokens in splits.items()}
            save_file(small, name, {"sha256": _digest(splits)})
            os.replace(name, file)
        finally:
            Path(name).unlink(missing_ok=True)
        _make_room(file.parent)


def _make_room(place: Path) -> None:
    """Remove the oldest files beyond :data:`MOST`, and what processes left behind that were killed."""
    files = sorted(place.glob("*.safetensors"), key=lambda each: each.stat().st_mtime)
    abandoned = [each for each in place.glob("*.part") if time.time() - each.stat().st_mtime > ABANDONED_SECONDS]
    for each in [*files[:-MOST], *abandoned]:
        each.unlink(missing_ok=True)


def _digest(splits: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name, tokens in sorted(splits.items()):
        digest.update(f"{name}{tuple(tokens.shape)}".encode() + tokens.to(torch.int32).numpy().tobytes())
    return digest.hexdigest()
