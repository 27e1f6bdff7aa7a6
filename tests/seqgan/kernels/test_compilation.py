"""Compiled loops: where they are cached, and what a damaged cache does."""

from __future__ import annotations

import numpy as np
import pytest

from seqgan.kernels.compilation import compiled


def add(left, right):
    return left + right


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr("numba.core.config.CACHE_DIR", str(tmp_path))
    return tmp_path


def files(cache):
    return sorted(path for path in cache.rglob("*.nb?") if path.is_file())


def hits(loop):
    """How often compiled code came from the disk."""
    return sum(loop.stats.cache_hits.values())


def test_without_a_cache_folder_a_loop_is_compiled_all_the_same(monkeypatch):
    def refuse(*_):
        raise RuntimeError("cannot cache function 'f': no locator available for file")

    monkeypatch.setattr("seqgan.kernels.compilation.CheckedCache", refuse)
    assert compiled({"nsz"})(add)(-3, 1) == -2


def test_a_second_process_finds_what_was_compiled(cache):
    assert compiled({"nsz"})(add)(1, 2) == 3
    assert {path.suffix for path in files(cache)} == {".nbi", ".nbc"}
    again = compiled({"nsz"})(add)
    assert again(1, 2) == 3
    assert hits(again) == 1


@pytest.mark.parametrize("suffix", [".nbi", ".nbc"])
@pytest.mark.parametrize("damage", ["empty", "cut", "bits"])
def test_a_damaged_cache_is_never_run_and_is_mended(cache, suffix, damage):
    compiled({"nsz"})(add)(1, 2)
    (file,) = (path for path in files(cache) if path.suffix == suffix)
    content = bytearray(file.read_bytes())
    if damage == "bits":
        for position in np.random.default_rng(0).integers(len(content) // 4, len(content), 20):
            content[position] ^= 4
    file.write_bytes({"empty": b"", "cut": bytes(content[:-20]), "bits": bytes(content)}[damage])
    mended = compiled({"nsz"})(add)
    assert mended(1, 2) == 3
    assert hits(mended) == 0
    again = compiled({"nsz"})(add)
    assert again(1, 2) == 3
    assert hits(again) == 1


def test_a_full_disk_costs_only_the_cache(cache, monkeypatch):
    def refuse(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("numba.core.caching.IndexDataCacheFile.save", refuse)
    assert compiled({"nsz"})(add)(1, 2) == 3
    assert files(cache) == []
