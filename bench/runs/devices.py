"""Where runs compute: which device the user means, and what a process does before the first run on it."""

from __future__ import annotations

import os
import random
from functools import lru_cache
from typing import Any

from bench.errors import UsageError, unknown
from bench.processor import instructions
from bench.records import environment
from bench.records.record import RunSpec

__all__ = ["VISIBLE", "cards", "choose_device", "describe", "prepare", "seed_global_streams"]

VISIBLE = "CUDA_VISIBLE_DEVICES"
"""The variable by which CUDA is told which devices a process may use."""


@environment.seldom_collecting()
def choose_device(device: str) -> str:
    """``cpu`` or ``cuda`` for the device that a user named; ``auto`` is CUDA where it is available.

    ``cuda:1`` is the second of the devices that this process sees: its runs use that one alone, until the next choice.

    Raises:
        UsageError: for another name, and for CUDA where it is not available.
    """
    kind, colon, number = device.partition(":")
    if kind not in ("auto", "cpu", "cuda") or (colon and not (kind == "cuda" and number.isdecimal())):
        raise unknown("device", device, ("auto", "cpu", "cuda", "cuda:0", "cuda:1"))
    if device == "cpu":
        return device
    import torch

    if not torch.cuda.is_available():
        if kind == "cuda":
            raise UsageError(f"expected a CUDA device for device {device}, but torch finds none; use cpu.")
        return "cpu"
    seen = _seen()
    if colon and int(number) >= len(seen):
        raise UsageError(f"expected a device from cuda:0 to cuda:{len(seen) - 1}, got {device}.")
    if colon or len(_CHOSEN) == 1:
        torch.cuda.set_device(int(number or 0))  # for runs in this process
    _CHOSEN[:] = [seen[int(number)]] if colon else seen
    return "cuda"


def cards() -> list[str]:
    """The CUDA devices of the last choice, by the names that CUDA gives them: worker processes get them in turn."""
    return list(_CHOSEN or _seen())


@lru_cache
def _seen() -> list[str]:
    """The CUDA devices that this process sees; CUDA looks at the variable once."""
    import torch

    named = os.environ.get(VISIBLE)
    if named is None:
        return [str(number) for number in range(torch.cuda.device_count())]
    return [name.strip() for name in named.split(",") if name.strip()]


_CHOSEN: list[str] = []


def describe(spec: RunSpec) -> dict[str, Any]:
    """The environment of a run."""
    import torch

    facts = {
        **environment.describe(),
        "instructions": instructions(),
        "threads": torch.get_num_threads(),
        "device": spec.device,
    }
    if spec.device == "cuda":
        facts["device_name"] = torch.cuda.get_device_name()
    return facts


@lru_cache
@environment.seldom_collecting()
def prepare(device: str) -> None:
    """Once per process: make CUDA repeatable and exact, and take the first optimizer step.

    By default torch lets cuDNN round the operands of convolutions and LSTMs to tf32, which has 10 bits of precision
    where float32 has 23. That step imports modules for seconds, which would otherwise be charged to the first run.
    """
    import torch

    if device == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.backends.cudnn.deterministic = True
        torch.backends.cudnn.benchmark = False
        torch.backends.cudnn.allow_tf32 = False
    parameter = torch.nn.Parameter(torch.zeros(1, device=device))
    optimizer = torch.optim.Adam([parameter])
    parameter.sum().backward()
    optimizer.step()


def seed_global_streams(stream: str) -> None:
    """Seed the global streams: our code uses named streams only, and a plugin that does not is at least repeatable.

    Args:
        stream: What a run's own streams are seeded by.
    """
    import numpy as np
    import torch

    from bench.runs.streams import named_stream

    seed = named_stream(stream, "global").initial_seed()
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 - for plugins that use it
    torch.manual_seed(seed)
