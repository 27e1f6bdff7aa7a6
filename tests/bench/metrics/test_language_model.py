from __future__ import annotations

import numpy as np
import pytest
import torch

from bench.kernels.ngram_model import reference_token_log_prob
from bench.metrics.base import ADD, STRENGTHS
from bench.metrics.density import Evidence, HeldOut
from bench.metrics.language_model import LanguageModelScore


def evidence(samples, test, train, eos=None, pad=None, vocab_size=6):
    from bench.api import SequenceSpec

    samples, test, train = (torch.as_tensor(rows, dtype=torch.long) for rows in (samples, test, train))
    spec = SequenceSpec(vocab_size, samples.shape[1], bos=vocab_size, eos=eos, pad=pad)
    return Evidence(object(), samples, HeldOut(spec, test, None, None, "char", train))


def scores(*arguments, **more):
    return {result.metric: result for result in evidence(*arguments, **more).ask(LanguageModelScore())}


def text(seed, rows):
    """A few phrases, so that there is something to learn."""
    rng = np.random.default_rng(seed)
    return rng.choice([[0, 1, 2, 3], [0, 1, 4, 5], [2, 2, 1, 0]], rows)


def mean_nll(train, test):
    log_probs = reference_token_log_prob(train.tolist(), test.tolist(), 6, ADD, STRENGTHS)
    return -np.concatenate(log_probs).mean()


def test_both_directions_are_the_plain_models():
    samples, test, train = text(0, 30), text(1, 40), text(2, 50)
    found = scores(samples, test, train)
    assert found["lm_nll"].value == pytest.approx(mean_nll(train, samples))
    assert found["reverse_nll"].value == pytest.approx(mean_nll(samples, test))
    assert mean_nll(train, samples) != pytest.approx(mean_nll(samples, test), abs=1e-3)


def test_end_marks_count_and_padding_does_not():
    samples, test = [[2, 1, 0, 0]], [[3, 2, 1, 0]]
    found = scores(samples, test, test, eos=1, pad=0)
    expected = reference_token_log_prob([[3, 2, 1]], [[2, 1]], 6, ADD, STRENGTHS)[0]
    assert found["lm_nll"].value == pytest.approx(-np.mean(expected))


def test_repetition_pleases_the_forward_model_and_not_the_reverse_one():
    test, train = text(1, 200), text(2, 2_000)
    once, varied = scores(np.tile([0, 1, 2, 3], (200, 1)), test, train), scores(text(3, 200), test, train)
    assert once["lm_nll"].value < varied["lm_nll"].value
    assert once["reverse_nll"].value > varied["reverse_nll"].value + 0.1


def test_signatures_say_the_model_and_both_sizes():
    found = scores(text(0, 30), text(1, 40), text(2, 50))
    assert str(found["lm_nll"].signature) == "n=30|train=50|lm=trigram,dirichlet(0.5,300,300)|tok=char|v=1"
    assert str(found["reverse_nll"].signature) == "n=30|test=40|lm=trigram,dirichlet(0.5,300,300)|tok=char|v=1"
    assert {(result.unit, result.direction) for result in found.values()} == {("nats/token", "lower")}
