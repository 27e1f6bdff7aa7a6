"""What the performance tests share: devices, shapes, and a timer that waits for the device.

Skipped by default; run with ``bench perf``, or ``pytest tests/perf --benchmark-only``. ``BENCH_PERF_DEVICES`` and
``BENCH_PERF_QUICK`` are how ``bench perf`` passes on its options.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # before torch: see seqgan/kernels/threads.py

import platform
import subprocess
from collections.abc import Callable, Iterable
from typing import Any

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from bench.api import MODES, Execution
from seqgan.discriminator import Discriminator

DEVICES = os.environ.get("BENCH_PERF_DEVICES", "cpu,cuda").split(",")
QUICK = os.environ.get("BENCH_PERF_QUICK") == "1"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Quick runs leave out the shapes that only show how cost grows."""
    if QUICK:
        items[:] = [item for item in items if item.get_closest_marker("growth") is None]


@pytest.fixture(params=["cpu", "cuda"])
def device(request: pytest.FixtureRequest) -> torch.device:
    if request.param not in DEVICES:
        pytest.skip(f"{request.param} was not requested")
    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("no CUDA device on this machine")
    return torch.device(request.param)


@pytest.fixture(params=MODES)
def execution(request: pytest.FixtureRequest, device: torch.device) -> Execution:
    """How it is executed; on the CPU in one way only."""
    if request.param != MODES[0] and device.type == "cpu":
        pytest.skip(f"{request.param} needs a CUDA device")
    return Execution(request.param)


@pytest.fixture
def generator(device: torch.device) -> torch.Generator:
    return torch.Generator(device).manual_seed(0)


@pytest.fixture
def measure(device: torch.device, benchmark: BenchmarkFixture) -> Callable[..., Any]:
    """Time a call after warming up, wait for the device at the end, and note what was done.

    Args of the function: what to call; ``kernel``, ``variant`` ("fast", "reference", a library's name, or a mode other
    than eager) and ``shape``, which say what is compared with what; ``amount`` of ``unit`` per call; ``flops`` and
    ``bytes`` per call that are really done, where counted, and the ``precision`` of most of them.
    """

    def time_it(
        function: Callable[[], Any],
        *,
        kernel: str,
        variant: str = "fast",
        shape: dict[str, int],
        amount: int,
        unit: str,
        flops: float | None = None,
        bytes_moved: float | None = None,
        precision: str = "float32",
        rounds: int = 7,
    ) -> Any:
        def and_wait() -> Any:
            result = function()
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            return result

        benchmark.group = f"{kernel}, {' '.join(f'{name}={size}' for name, size in shape.items())}"
        # Once, to compile and to fill caches; what runs for half a minute in plain torch has nothing to compile.
        warmup = 0 if rounds == 1 else 3 if device.type == "cuda" else 1
        result = benchmark.pedantic(and_wait, rounds=max(1, rounds // 2) if QUICK else rounds, warmup_rounds=warmup)
        cuda = device.type == "cuda"
        benchmark.extra_info |= {
            "kernel": kernel,
            "variant": variant,
            "device": device.type,
            "device_name": torch.cuda.get_device_name(device) if cuda else platform.processor() or platform.machine(),
            "threads": torch.get_num_threads(),
            "shape": shape,
            "unit": unit,
            "amount": amount,
            "flops": flops,
            "bytes": bytes_moved,
            "precision": precision,
            "clock_mhz": clock() if cuda else None,
        }
        return result

    return time_it


class Counts:
    """How much the kernels have to do at least, for the lower bounds: multiplications and additions, and bytes."""

    DIM = 32

    @classmethod
    def language_model(cls, tokens: int, vocab_size: int) -> float:
        """Of the output layer and the LSTM, forward; training needs three times as many."""
        return 2.0 * tokens * (vocab_size * cls.DIM + 4 * cls.DIM * 2 * cls.DIM)

    @classmethod
    def rollouts(cls, shape: dict[str, int]) -> float:
        """A softmax for each prefix, one for each later token, and an LSTM step for each of the latter."""
        laws = shape["B"] * (shape["T"] - 1) * (1 + shape["N"] * (shape["T"] - 2) / 2)
        steps = shape["B"] * shape["N"] * (shape["T"] - 1) * (shape["T"] - 2) / 2
        return 2 * (laws * shape["V"] * cls.DIM + steps * 4 * cls.DIM * cls.DIM)

    @staticmethod
    def convolution(model: Discriminator, length: int, rows: int) -> float:
        """Forward, every filter at every position."""
        products = sum(
            (numbers.stop - numbers.start) * (length - size + 1) for size, _, numbers in model.filters.branches()
        )
        return 2.0 * rows * products

    @staticmethod
    def highway(model: Discriminator, rows: int) -> float:
        """Forward."""
        return 4.0 * rows * len(model.filters) ** 2

    @staticmethod
    def ngrams(lengths: Iterable[int], order: int) -> float:
        """Bytes: every n-gram up to that order is read once, as a key and a count of eight bytes each."""
        return 16.0 * sum(max(length - n + 1, 0) for length in lengths for n in range(1, order + 1))


@pytest.fixture
def counts() -> type[Counts]:
    return Counts


def clock() -> float | None:
    """The GPU's current clock, MHz; None where ``nvidia-smi`` does not report it."""
    query = ["nvidia-smi", "--query-gpu=clocks.sm", "--format=csv,noheader,nounits"]
    try:
        return float(subprocess.run(query, capture_output=True, text=True, check=True, timeout=10).stdout.split()[0])
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return None
