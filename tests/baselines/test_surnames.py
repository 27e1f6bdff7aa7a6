"""What generators learn of real names, letter by letter: more than their letters, and new ones that exist."""

from __future__ import annotations

import pytest
import torch

from baselines.ngram import Ngram
from bench.api import Decoding
from bench.metrics.density import Evidence, HeldOut
from bench.metrics.listed import Listed
from bench.runs.session import Session
from bench.tasks.corpus import Surnames
from seqgan.mle import MLE

UNIGRAM = 2.95
"""Nats per letter of the held-out names without any order, as docs/tasks/surnames.md has it."""


@pytest.fixture(scope="module")
def names():
    return Surnames(train_size=3_000).load()


def nll_and_finds(generator, data):
    """NLL of 1,000 held-out names, and the share of names among what is new in 500 samples."""
    sampler = Session("names/0").train(generator, data.training)
    test, spec = data.test[:1_000], data.training.spec
    nll = -float(sampler.token_log_prob(test)[spec.mask(test)].mean())
    samples = sampler.sample(500, Decoding(), torch.Generator().manual_seed(0))
    held_out = HeldOut(spec, test, None, 0, "char", data.training.train, valid=data.training.valid, listed=data.listed)
    found = {each.metric: each.value for each in Evidence(sampler, samples, held_out).ask(Listed())}
    return nll, found["listed_new"]


@pytest.mark.parametrize("generator", [MLE(epochs=6), Ngram()], ids=["mle", "ngram"])
def test_it_learns_more_than_letters_and_finds_names(generator, names):
    nll, found = nll_and_finds(generator, names)
    assert nll < UNIGRAM - 0.4
    assert found > 0.04  # letters at random are hardly ever a name
