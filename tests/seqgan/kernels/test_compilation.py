from __future__ import annotations

from seqgan.kernels import compilation


def test_without_a_cache_folder_a_loop_is_compiled_all_the_same(monkeypatch):
    asked = []

    def njit(cache=False, **options):
        asked.append(cache)
        if cache:
            raise RuntimeError("cannot cache function 'f': no locator available for file")
        return lambda function: function

    monkeypatch.setattr(compilation, "njit", njit)
    assert compilation.compiled({"nsz"})(abs)(-3) == 3
    assert asked == [True, False]
