"""Work divided among threads, each of which runs torch and compiled loops on one core.

Two threads that each take half of the rows through a chain of small steps keep their data in their own caches, and
synchronize once, at the end of the chain; torch's own threads would synchronize after every step. While the chains run,
torch is set to use no threads of its own.

Torch's idle threads wait for work by spinning, which would take the cores away from these threads for milliseconds:
``OMP_WAIT_POLICY=passive``, set before torch is imported, puts them to sleep (``bench perf`` sets it; the workers of
``bench run`` have one thread each).
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from functools import lru_cache
from typing import TypeVar

import torch

Item = TypeVar("Item")
Result = TypeVar("Result")

_here = threading.local()  # ``threads``: number of threads to use, where it differs from torch's


def across_threads(function: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """``[function(item) for item in items]``, on as many threads as torch has been given.

    Args:
        function: Must not write where another call of it reads or writes. Called without recording gradients.
        items: In the order in which to start them: longest first.
    """
    threads = thread_count()
    if threads == 1 or len(items) < 2:
        with torch.no_grad():
            return [function(item) for item in items]
    inference = torch.is_inference_mode_enabled()  # a mode of this thread, which the others must enter too

    def work(item: Item) -> Result:
        with torch.inference_mode() if inference else nullcontext():
            return function(item)

    with one_thread():
        return list(_pool(threads).map(work, items))


@contextmanager
def one_thread() -> Iterator[None]:
    """Limit torch's own operations to one thread inside: small ones finish before a second thread has woken up.

    :func:`across_threads` still uses all threads.
    """
    before, threads = getattr(_here, "threads", None), thread_count()
    torch_threads = torch.get_num_threads()
    _here.threads = threads
    torch.set_num_threads(1)
    try:
        yield
    finally:
        _here.threads = before
        torch.set_num_threads(torch_threads)


def parts(rows: int, multiple: int = 1) -> list[slice]:
    """Cut rows into one slice per thread, about equally long; all but the last have a multiple of ``multiple`` rows."""
    size = -(-rows // thread_count())
    size = max(1, -(-size // multiple) * multiple)
    return [slice(start, min(start + size, rows)) for start in range(0, rows, size)]


def thread_count() -> int:
    """Number of threads that :func:`across_threads` uses: as many as torch was given; one inside its own threads."""
    return getattr(_here, "threads", None) or torch.get_num_threads()


@lru_cache
def _pool(threads: int) -> ThreadPoolExecutor:
    def enter() -> None:
        _here.threads = 1
        torch.set_num_threads(1)
        torch.set_grad_enabled(False)

    return ThreadPoolExecutor(threads, thread_name_prefix="kernel", initializer=enter)


os.register_at_fork(after_in_child=_pool.cache_clear)  # a forked process has none of the threads
