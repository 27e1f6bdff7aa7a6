from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from baselines.random_tokens import Unigram
from bench.api import Decoding
from bench.runs.session import Session
from bench.tasks.oracle import PublishedOracle
from seqgan.mle import MLE

RELEASED = Path(__file__).parents[3] / ".." / "shared" / "data" / "oracle" / "target_params_py3.pkl"
needs_weights = pytest.mark.skipif(not RELEASED.exists(), reason="the released weights are not beside the checkout")


@pytest.fixture(scope="module")
def published():
    return PublishedOracle(str(RELEASED), train_size=10_000, valid_size=2, test_size=1_000).load()


def per_token(log_prob):
    return -float(log_prob.mean()) / 20


@needs_weights
def test_the_entropy_is_the_known_one(published):
    assert per_token(published.oracle.log_prob(published.training.train[:4_000])) == pytest.approx(5.750, abs=0.02)


@needs_weights
def test_uniform_tokens_score_what_they_are_known_to(published):
    tokens = torch.randint(5_000, (10_000, 20), generator=torch.Generator().manual_seed(0))
    assert per_token(published.oracle.log_prob(tokens)) == pytest.approx(11.42, abs=0.02)


@needs_weights
def test_the_papers_random_row_is_the_training_sets_word_frequencies(published):
    sampler = Unigram().fit(published.training, Session("published/0"))
    tokens = sampler.sample(5_000, Decoding(), torch.Generator().manual_seed(0))
    assert per_token(published.oracle.log_prob(tokens)) == pytest.approx(10.29, abs=0.03)
    assert per_token(sampler.log_prob(published.test)) == pytest.approx(7.84, abs=0.04)


@needs_weights
def test_draws_and_lengths_make_other_tasks_and_the_path_of_the_file_does_not(tmp_path):
    copied = tmp_path / "elsewhere.pkl"
    copied.write_bytes(RELEASED.read_bytes())
    small = PublishedOracle(str(RELEASED), train_size=20, valid_size=2, test_size=2)
    same = dataclasses.replace(small, weights=str(copied))
    assert same.fingerprint() == small.fingerprint()
    assert same.load().sha256 == small.load().sha256
    for change in ({"draw": 1}, {"seq_len": 21}):
        other = dataclasses.replace(small, **change)
        assert other.fingerprint() != small.fingerprint()
        assert other.load().sha256 != small.load().sha256


@needs_weights
@pytest.mark.slow
def test_mle_with_the_papers_settings_reaches_the_known_score():
    task = PublishedOracle(str(RELEASED), valid_size=100, test_size=2_000).load()
    model = MLE(epochs=40).fit(task.training, Session("published/0"))
    tokens = model.sample(5_000, Decoding(), torch.Generator().manual_seed(0))
    assert per_token(task.oracle.log_prob(tokens)) == pytest.approx(9.11, abs=0.06)
    assert per_token(model.log_prob(task.test)) == pytest.approx(8.58, abs=0.10)
