"""What code may change in its process and forget to change back: kept before a run, and put back after it.

So every run starts from the same, whatever the plugin before it did.
"""

from __future__ import annotations

import contextlib
import gc
import os
import random
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from bench.records.environment import USUAL_COLLECTIONS

__all__ = ["exchange_streams", "kept_surroundings", "settled"]


@contextlib.contextmanager
def kept_surroundings() -> Iterator[None]:
    """Put everything back afterwards that is listed here.

    The global random streams (Python, NumPy, torch), torch's threads, default type and device, gradient mode and
    switches of precision and determinism, NumPy's treatment of errors, the environment, the working directory, the
    import path, the handlers of signals, filters of warnings, standard output and error, the limit of
    recursion, and the garbage collector.
    """
    python, legacy, stream = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
    threads, dtype, device = torch.get_num_threads(), torch.get_default_dtype(), torch.get_default_device()
    precision, anomaly = torch.get_float32_matmul_precision(), torch.is_anomaly_enabled()
    strict = _determinism()
    switches = ("deterministic", "benchmark", "allow_tf32")
    cudnn = [getattr(torch.backends.cudnn, name) for name in switches]
    errors, environment, folder, path = np.geterr(), dict(os.environ), _folder(), list(sys.path)
    output, error, collects, recursion = sys.stdout, sys.stderr, gc.isenabled(), sys.getrecursionlimit()
    main = threading.current_thread() is threading.main_thread()
    handlers = {number: signal.getsignal(number) for number in signal.valid_signals()} if main else {}
    try:
        with warnings.catch_warnings(), torch.set_grad_enabled(torch.is_grad_enabled()):
            yield
    finally:
        if folder is not None:
            with contextlib.suppress(OSError):  # somebody removed it
                os.chdir(folder)
        sys.path[:] = path
        if dict(os.environ) != environment:
            os.environ.clear()
            os.environ.update(environment)
        random.setstate(python)
        np.random.set_state(legacy)  # noqa: NPY002
        torch.set_rng_state(stream)
        torch.set_num_threads(threads)
        torch.set_default_dtype(dtype)
        if torch.get_default_device() != device:
            torch.set_default_device(None)  # setting one, even the usual one, slows down every operation
        torch.set_float32_matmul_precision(precision)
        torch.autograd.set_detect_anomaly(anomaly)
        if _determinism() != strict:  # setting it imports torch's compiler, for seconds
            torch.use_deterministic_algorithms(strict[0], warn_only=strict[1])
        for name, value in zip(switches, cudnn, strict=True):
            setattr(torch.backends.cudnn, name, value)
        np.seterr(**errors)
        sys.stdout, sys.stderr = output, error
        sys.setrecursionlimit(recursion)
        if collects:
            gc.enable()
        for number, handler in handlers.items():
            if handler is not None and signal.getsignal(number) != handler:
                signal.signal(number, handler)


def exchange_streams(device: int | None, streams: Any) -> Any:
    """Set the global random streams, and return what they were.

    Args:
        device: The CUDA device whose stream is one of them, if any.
        streams: What this function returned before; None to change nothing.
    """
    before = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
    on_device = None if device is None else torch.cuda.get_rng_state(device)
    if streams is not None:
        (python, legacy, stream), its = streams
        random.setstate(python)
        np.random.set_state(legacy)  # noqa: NPY002
        torch.set_rng_state(stream)
        if device is not None:
            torch.cuda.set_rng_state(its, device)
    return before, on_device


@contextlib.contextmanager
def settled() -> Iterator[None]:
    """Spare the garbage collector all that is there now, a million objects of imported modules.

    A collection then takes milliseconds, not up to 0.15 s; before every measurement of memory there is one. In between
    the collector looks as often as it usually does, whoever called, and whatever a plugin did before.
    """
    outermost = _SETTLED.acquire(blocking=False)  # else the caller has done so, and decides when it ends
    before = gc.get_threshold()
    try:
        if outermost:
            gc.collect()
            gc.freeze()
        gc.set_threshold(*USUAL_COLLECTIONS)
        yield
    finally:
        gc.set_threshold(*before)
        if outermost:
            gc.unfreeze()
            _SETTLED.release()


_SETTLED = threading.Lock()
"""Held while a process is settled: to ask the collector takes longer, because it counts what it is spared."""


def _determinism() -> tuple[bool, bool]:
    """Whether torch insists on deterministic algorithms, and whether it only warns."""
    return torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()


def _folder() -> str | None:
    """The working directory; None where somebody removed it."""
    with contextlib.suppress(OSError):
        return os.getcwd()
    return None
