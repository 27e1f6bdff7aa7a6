"""Steps of the language model that are recorded as CUDA graphs are those taken operation by operation."""

from __future__ import annotations

import copy

import pytest
import torch
from scipy import stats

from baselines.scheduled_sampling import mixed_inputs
from bench.api import SequenceSpec
from seqgan.kernels.execution import recorded, rounded_convolutions
from seqgan.lm import LSTMLanguageModel
from seqgan.mle import Descent, adam, descend, evenly, trainable

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")

FIXED = SequenceSpec(50, 6, bos=50)
ENDED = SequenceSpec(50, 6, bos=50, eos=1, pad=0)
ENDED_BY_PAD = SequenceSpec(50, 6, bos=50, eos=49, pad=49)
specs = pytest.mark.parametrize("spec", [FIXED, ENDED, ENDED_BY_PAD], ids=["fixed", "eos", "eos is pad"])


def on_cuda(seed=0):
    return torch.Generator("cuda").manual_seed(seed)


def sentences(spec, rows, seed):
    """Random words; every third one ends the sequence where there is an end."""
    tokens = torch.randint(spec.vocab_size, (rows, spec.seq_len), device="cuda", generator=on_cuda(seed))
    if spec.eos is None or spec.pad is None:
        return tokens
    ends = torch.rand(tokens.shape, device="cuda", generator=on_cuda(seed + 1)) < 1 / 3
    tokens = tokens.masked_fill(ends, spec.eos)
    return tokens.masked_fill(~spec.mask(tokens), spec.pad)


@specs
@pytest.mark.parametrize("mixed", [False, True], ids=["teacher forcing", "other inputs"])
def test_recorded_steps_are_plain_steps(spec, mixed):
    plain, graphed = (LSTMLanguageModel(spec, on_cuda(1), 5, 6, 0.5) for _ in range(2))
    optimizer, descent = adam(plain, 0.01), Descent(graphed, adam(graphed, 0.01), 1.0)
    for index, rows in enumerate([8, 8, 3, 8, 3]):  # the last batch of an epoch is smaller: a graph of its own
        tokens = sentences(spec, rows, index)
        inputs = (sentences(spec, rows, 50 + index),) if mixed else ()
        weights = evenly(spec, tokens)
        expected = descend(plain, optimizer, 1.0, tokens, weights, *inputs)
        for one, other in zip(descent(tokens, weights, *inputs), expected, strict=True):
            torch.testing.assert_close(one, other, rtol=0, atol=0)
    for moved, other in zip(trainable(graphed), trainable(plain), strict=True):
        torch.testing.assert_close(moved, other, rtol=0, atol=0)


def test_recorded_steps_are_plain_steps_at_the_papers_shape():
    spec = SequenceSpec(5_000, 20, bos=0)
    plain, graphed = (LSTMLanguageModel(spec, on_cuda(1)) for _ in range(2))
    optimizer, descent = adam(plain, 0.01), Descent(graphed, adam(graphed, 0.01), 5.0)
    for index in range(20):
        tokens = sentences(spec, 64, index)
        descend(plain, optimizer, 5.0, tokens, evenly(spec, tokens))
        descent(tokens, evenly(spec, tokens))
    for moved, other in zip(trainable(graphed), trainable(plain), strict=True):
        torch.testing.assert_close(moved, other, rtol=0, atol=0)


@specs
def test_a_step_on_cuda_is_that_of_the_cpu(spec):
    """There only positions that count are computed; here all are, and the others have no weight, whatever it was."""
    tokens = sentences(spec, 9, 3)
    weights = torch.rand(tokens.shape, device="cuda", generator=on_cuda(4)).where(spec.mask(tokens), torch.nan)
    there = LSTMLanguageModel(spec, torch.Generator().manual_seed(1), 5, 6, 0.5)
    here = copy.deepcopy(there).cuda()
    expected = descend(there, torch.optim.SGD(trainable(there), lr=1.0), 1e9, tokens.cpu(), weights.cpu())
    with rounded_convolutions(False):  # nor LSTMs
        found = descend(here, torch.optim.SGD(trainable(here), lr=1.0), 1e9, tokens, weights)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one.cpu(), other, rtol=1e-4, atol=1e-5)
    for moved, other in zip(trainable(here), trainable(there), strict=True):
        torch.testing.assert_close(moved.cpu(), other, rtol=1e-4, atol=1e-4)


def test_recorded_mixtures_are_plain_mixtures():
    """Also after steps of the model, with another share of true tokens, and with draws from the stream in between."""
    model, (plain, graphed) = LSTMLanguageModel(ENDED, on_cuda(1), 5, 6, 0.5), (on_cuda(7), on_cuda(7))
    mix = recorded(lambda tokens, truth: mixed_inputs(model, tokens, truth, graphed), [graphed])
    for truth in (1.0, 0.6, 0.0):
        tokens, share = sentences(ENDED, 30, 5), torch.tensor(truth, device="cuda")
        expected, found = mixed_inputs(model, tokens, share, plain), mix(tokens, share)
        assert all(torch.equal(*pair) for pair in zip(expected, found, strict=True))
        assert torch.equal(plain.get_state(), graphed.get_state())
        assert torch.equal(
            torch.rand(3, generator=plain, device="cuda"), torch.rand(3, generator=graphed, device="cuda")
        )
        with torch.no_grad():
            model.output.bias.add_(torch.linspace(-3, 3, 50, device="cuda"))


def test_mixed_tokens_follow_the_coin_and_the_model():
    spec = SequenceSpec(3, 4, bos=3)
    model = LSTMLanguageModel(spec, on_cuda(4), 5, 6, init_std=1.5)
    tokens = torch.randint(3, (40_000, 4), device="cuda", generator=on_cuda(5))
    inputs, own = mixed_inputs(model, tokens, 0.6, on_cuda(6))
    assert torch.equal(inputs[:, 1:][~own], tokens[:, :-1][~own])
    for position in (1, 2, 3):
        assert stats.binomtest(int(own[:, position - 1].sum()), 40_000, 0.4).pvalue > 1e-6
        prefixes = inputs[:, :position]
        for prefix in prefixes.unique(dim=0):
            rows = (prefixes == prefix).all(1) & own[:, position - 1]
            law = torch.softmax(model(prefix[None])[0, -1].detach().double(), -1).cpu()
            counts = torch.bincount(inputs[rows, position], minlength=3).cpu().numpy()
            assert stats.chisquare(counts, (law * int(rows.sum())).numpy()).pvalue > 1e-6
