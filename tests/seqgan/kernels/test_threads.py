from __future__ import annotations

import os
import signal
import threading

import pytest
import torch

from seqgan.kernels.threads import across_threads, one_thread, parts, thread_count


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_results_come_in_order_from_that_many_threads(threads, torch_threads):
    torch_threads(threads)
    barrier = threading.Barrier(threads, timeout=20)

    def work(item):
        barrier.wait()  # only passed when all threads are at work at the same time
        return item * item, torch.get_num_threads(), thread_count(), torch.is_grad_enabled()

    results = across_threads(work, range(2 * threads))
    assert [result[0] for result in results] == [item * item for item in range(2 * threads)]
    if threads > 1:
        assert {result[1:] for result in results} == {(1, 1, False)}
    assert torch.get_num_threads() == threads
    assert torch.is_grad_enabled()


@pytest.mark.parametrize("threads", [1, 2])
def test_threads_come_back_after_a_failure(threads, torch_threads):
    torch_threads(threads)

    def fail(item):
        raise ValueError(f"item {item}")

    with pytest.raises(ValueError, match="item 0"):
        across_threads(fail, [0, 1])
    assert torch.get_num_threads() == threads
    assert torch.is_grad_enabled()


def test_nested_work_stays_on_its_thread(torch_threads):
    torch_threads(2)

    def outer(item):
        return across_threads(lambda inner: (item, inner, threading.get_ident()), range(3)), len(parts(100))

    for item, (rows, runs) in enumerate(across_threads(outer, range(4))):
        assert [row[:2] for row in rows] == [(item, inner) for inner in range(3)]
        assert len({row[2] for row in rows}) == 1
        assert runs == 1


def test_torch_has_one_thread_inside(torch_threads):
    torch_threads(2)
    with one_thread():
        assert torch.get_num_threads() == 1
        with one_thread():  # and work is still divided among threads
            assert set(across_threads(lambda _: (torch.get_num_threads(), thread_count()), range(4))) == {(1, 1)}
            assert (torch.get_num_threads(), thread_count(), len(parts(100))) == (1, 2, 2)
        assert (torch.get_num_threads(), thread_count()) == (1, 2)
    assert (torch.get_num_threads(), thread_count()) == (2, 2)


@pytest.mark.parametrize(
    ("rows", "multiple", "expected"),
    [
        (10, 1, [(0, 5), (5, 10)]),
        (11, 1, [(0, 6), (6, 11)]),
        (1, 1, [(0, 1)]),
        (0, 1, []),
        (300, 128, [(0, 256), (256, 300)]),
    ],
)
def test_parts(rows, multiple, expected, torch_threads):
    torch_threads(2)
    assert [(part.start, part.stop) for part in parts(rows, multiple)] == expected


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_process_has_threads_of_its_own(torch_threads):
    torch_threads(2)
    across_threads(lambda item: item, range(4))
    child = os.fork()
    if child == 0:
        signal.alarm(20)  # rather than hang forever
        os._exit(0 if across_threads(lambda item: item + 1, range(3)) == [1, 2, 3] else 1)
    assert os.waitpid(child, 0)[1] == 0
