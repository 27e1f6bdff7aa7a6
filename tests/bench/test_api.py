"""The types of the contract: what they refuse, and where a sequence ends."""

import math

import pytest
import torch

from bench.api import Decoding, HasLogProb, SequenceSpec


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"vocab_size": 0, "seq_len": 5, "bos": 0}, "vocab_size >= 1 and seq_len >= 1, got vocab_size=0, seq_len=5"),
        ({"vocab_size": 5, "seq_len": 0, "bos": 0}, "got vocab_size=5, seq_len=0"),
        ({"vocab_size": 5, "seq_len": 5, "bos": 6}, r"expected bos in \[0, 5\], got 6"),
        ({"vocab_size": 5, "seq_len": 5, "bos": -1}, r"expected bos in \[0, 5\], got -1"),
        ({"vocab_size": 5, "seq_len": 5, "bos": 0, "eos": 1}, "eos and pad both or neither, got eos=1, pad=None"),
        ({"vocab_size": 5, "seq_len": 5, "bos": 0, "pad": 1}, "eos and pad both or neither, got eos=None, pad=1"),
    ],
)
def test_a_shape_that_cannot_be_is_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        SequenceSpec(**fields)


@pytest.mark.parametrize(("bos", "size"), [(0, 5), (4, 5), (5, 6)])
def test_a_bos_that_is_no_word_needs_a_place_of_its_own(bos, size):
    assert SequenceSpec(5, 3, bos).input_size == size


def test_without_an_end_mark_every_token_counts():
    spec = SequenceSpec(5, 3, 0)
    tokens = torch.tensor([[0, 1, 2], [0, 0, 0]])
    assert spec.mask(tokens).tolist() == [[True] * 3] * 2
    assert spec.lengths(tokens).tolist() == [3, 3]


@pytest.mark.parametrize(
    ("row", "counted", "words"),
    [
        ([2, 3, 1, 0], 3, 2),  # ends in the middle: the end mark counts, but is not a word
        ([1, 0, 0, 0], 1, 0),  # ends at once
        ([2, 2, 2, 1], 4, 3),  # ends at the last position
        ([2, 2, 2, 2], 4, 4),  # does not end
        ([2, 1, 1, 3], 2, 1),  # what follows the first end mark does not count, whatever it is
        ([0, 2, 1, 0], 3, 2),  # the padding symbol before the end is an ordinary word
    ],
)
def test_mask_and_lengths_stop_at_the_first_end_mark(row, counted, words):
    spec = SequenceSpec(4, 4, 0, eos=1, pad=0)
    tokens = torch.tensor([[row], [row]])  # any leading dimensions
    assert spec.mask(tokens).dtype == torch.bool
    assert spec.mask(tokens).tolist() == [[[True] * counted + [False] * (4 - counted)]] * 2
    assert spec.lengths(tokens).tolist() == [[words]] * 2


def test_padding_may_be_the_end_mark_itself():
    spec = SequenceSpec(4, 4, 0, eos=1, pad=1)
    assert spec.mask(torch.tensor([2, 1, 1, 1])).tolist() == [True, True, False, False]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        *(
            ({"temperature": temperature}, f"expected a temperature from 0.001 to 1000, got {temperature}")
            for temperature in (0.0, -1.0, 1e-300, 0.0009, 1001, math.inf, math.nan)
        ),
        ({"top_k": 0}, "top_k >= 1, got 0"),
        ({"top_p": 0.0}, "0 < top_p <= 1, got 0.0"),
        ({"top_p": 1.5}, "0 < top_p <= 1, got 1.5"),
        ({"top_p": math.nan}, "0 < top_p <= 1, got nan"),
    ],
)
def test_a_decoding_that_cannot_be_is_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        Decoding(**fields)


def test_plain_sampling_is_the_default():
    assert Decoding() == Decoding(1.0, None, None)
    Decoding(1e-3, top_k=1, top_p=1.0)


def test_a_density_is_recognised_by_its_method():
    class Blind:
        def sample(self, n, decoding, rng): ...

    class Seeing(Blind):
        def log_prob(self, tokens): ...

    assert isinstance(Seeing(), HasLogProb)
    assert not isinstance(Blind(), HasLogProb)
