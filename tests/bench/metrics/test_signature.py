"""What makes scores comparable, as text."""

import pytest

from bench.metrics.signature import Signature


def test_the_text_is_remarks_and_then_parts_in_order():
    signature = Signature.of("nearest", rests="held", n=20, test=7, v="1")
    assert str(signature) == "nearest|rests=held|n=20|test=7|v=1"
    assert (signature.n, signature["test"]) == (20, "7")
    assert str(Signature.of()) == ""


def test_equal_parts_are_equal_signatures():
    assert Signature.of(n=20, v="1") == Signature.of(n="20", v="1")
    assert Signature.of(n=20, v="1") != Signature.of(v="1", n=20)
    with pytest.raises(KeyError):
        Signature.of(v="1").n  # noqa: B018 - the look-up is what is tested
