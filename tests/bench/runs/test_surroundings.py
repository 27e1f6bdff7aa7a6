"""What code changed in its process is put back."""

import gc
import os
import sys

import torch

from bench.runs.surroundings import kept_surroundings


def test_what_was_changed_is_put_back(tmp_path):
    before = sys.getrecursionlimit(), os.getcwd(), dict(os.environ), list(sys.path), torch.get_rng_state()
    with kept_surroundings():
        sys.setrecursionlimit(500)
        os.chdir(tmp_path)
        os.environ.clear()
        sys.path.clear()
        torch.manual_seed(7)
        torch.set_default_dtype(torch.float64)
        gc.disable()
    assert (sys.getrecursionlimit(), os.getcwd(), dict(os.environ), sys.path) == before[:4]
    assert torch.equal(torch.get_rng_state(), before[4])
    assert torch.get_default_dtype() == torch.float32
    assert gc.isenabled()


def test_a_working_directory_that_was_removed_fails_no_run(tmp_path, monkeypatch):
    folder = tmp_path / "gone"
    folder.mkdir()
    monkeypatch.chdir(folder)
    with kept_surroundings():
        folder.rmdir()
    with kept_surroundings():
        os.chdir(tmp_path)
