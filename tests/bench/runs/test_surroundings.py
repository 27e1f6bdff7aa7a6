"""What code changed in its process is put back."""

import gc
import os
import sys
import weakref

import pytest
import torch

from bench.records.environment import USUAL_COLLECTIONS, seldom_collecting
from bench.runs import surroundings
from bench.runs.surroundings import kept_surroundings, settled


def test_what_was_changed_is_put_back(tmp_path):
    before = sys.getrecursionlimit(), os.getcwd(), dict(os.environ), list(sys.path), torch.get_rng_state()
    with kept_surroundings():
        torch.use_deterministic_algorithms(True)  # imports modules
        torch.manual_seed(7)
        torch.set_default_dtype(torch.float64)
        sys.setrecursionlimit(500)
        os.chdir(tmp_path)
        os.environ.clear()
        sys.path.clear()
        gc.disable()
    assert (sys.getrecursionlimit(), os.getcwd(), dict(os.environ), sys.path) == before[:4]
    assert torch.equal(torch.get_rng_state(), before[4])
    assert torch.get_default_dtype() == torch.float32
    assert not torch.are_deterministic_algorithms_enabled()
    assert gc.isenabled()


def test_a_working_directory_that_was_removed_fails_no_run(tmp_path, monkeypatch):
    folder = tmp_path / "gone"
    folder.mkdir()
    monkeypatch.chdir(folder)
    with kept_surroundings():
        folder.rmdir()
    with kept_surroundings():
        os.chdir(tmp_path)


@pytest.fixture
def unsettled():
    """As in a process of a user's, which nobody has settled."""
    gc.unfreeze()
    surroundings._SETTLED.release()
    yield
    surroundings._SETTLED.acquire()
    gc.collect()
    gc.freeze()


@pytest.mark.usefixtures("unsettled")
def test_what_was_there_is_spared_the_collector_until_the_end():
    class Own:
        pass

    before, gone = Own(), Own()
    gone.me = gone
    left = weakref.ref(gone)
    assert gc.get_freeze_count() == 0
    with settled():
        assert not any(each is before for each in gc.get_objects())
        between = Own()
        between.me = between
        of_a_run = weakref.ref(between)
        with settled():
            pass
        assert gc.get_freeze_count() > 1_000  # what is inside does not end it
        del between
        gc.collect()
        assert of_a_run() is None  # nor does it keep what an earlier run left
        del gone
        inner = Own()
        inner.me = inner
        ended = weakref.ref(inner)
        del inner
        gc.collect()
        assert ended() is None  # what came later is collected
        assert left() is not None
    assert gc.get_freeze_count() == 0
    gc.collect()
    assert left() is None


@pytest.mark.usefixtures("unsettled")
def test_a_run_has_the_usual_collector_whoever_called():
    usual = gc.get_threshold()
    with seldom_collecting():
        seldom = gc.get_threshold()
        assert seldom[0] > usual[0]
        with settled():
            gc.set_threshold(1)  # as a plugin may
            with settled():
                assert gc.get_threshold() == USUAL_COLLECTIONS
        assert gc.get_threshold() == seldom
    assert gc.get_threshold() == usual
