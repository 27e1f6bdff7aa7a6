"""What the performance tests share: devices, and a stopwatch that waits for the device.

Skipped by default; run with ``pytest tests/perf --benchmark-only``.
"""

from __future__ import annotations

import platform
from collections.abc import Callable
from typing import Any

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture


@pytest.fixture(params=["cpu", "cuda"])
def device(request: pytest.FixtureRequest) -> torch.device:
    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("no CUDA device on this machine")
    return torch.device(request.param)


@pytest.fixture
def generator(device: torch.device) -> torch.Generator:
    return torch.Generator(device).manual_seed(0)


@pytest.fixture
def measure(device: torch.device, benchmark: BenchmarkFixture) -> Callable[..., Any]:
    """Time a call after warming up, waiting for the device at the end; give ``unit``s a second as extra information."""

    def time_it(function: Callable[[], Any], amount: int, unit: str, rounds: int = 5) -> Any:
        def and_wait() -> Any:
            result = function()
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            return result

        result = benchmark.pedantic(and_wait, rounds=rounds, warmup_rounds=3 if device.type == "cuda" else 1)
        name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
        benchmark.extra_info |= {"device": name, "threads": torch.get_num_threads(), unit: amount}
        if benchmark.stats is not None:  # None with --benchmark-disable
            benchmark.extra_info[f"{unit}_per_second"] = round(amount / benchmark.stats.stats.median, 1)
        return result

    return time_it
