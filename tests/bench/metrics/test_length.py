from __future__ import annotations

import pytest
import torch

from bench.api import SequenceSpec
from bench.metrics.density import Evidence, HeldOut
from bench.metrics.length import Length


class Samples:
    def sample(self, n, decoding, rng):
        raise AssertionError


def scores(spec, tokens):
    tokens = torch.tensor(tokens)
    return Evidence(Samples(), tokens, HeldOut(spec, tokens, None, 0, "word,min_count=1")).ask(Length())


@pytest.mark.parametrize("pad", [4, 3])
def test_words_before_the_end_mark_are_counted(pad):
    spec = SequenceSpec(5, 4, bos=5, eos=4, pad=pad)
    mean, unended = scores(spec, [[1, 2, 4, pad], [4, pad, pad, pad], [1, 1, 1, 4], [2, 3, 1, 2]])
    assert (mean.metric, mean.value, mean.unit, mean.direction) == ("length_mean", (2 + 0 + 3 + 4) / 4, "words", "real")
    assert (unended.metric, unended.value, unended.direction) == ("unended", 1 / 4, "lower")
    assert str(mean.signature) == "n=4|tok=word,min_count=1|v=1"


def test_there_is_nothing_to_say_where_all_have_one_length():
    assert scores(SequenceSpec(5, 3, bos=5), [[1, 2, 3], [0, 1, 2]]) == []
