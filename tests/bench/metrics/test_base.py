from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from bench.metrics.base import Estimate
from bench.metrics.density import HeldOut
from bench.metrics.signature import Signature

SIGNATURE = Signature.of(n=1, v="1")


@pytest.mark.parametrize("value", [math.inf, -math.inf])
def test_what_is_infinite_becomes_absent_with_a_reason(value):
    result = Estimate("kl", value, "nats", "lower", SIGNATURE)
    assert result.value is None
    assert result.absent == f"kl is {value}"


def test_not_a_number_is_refused():
    with pytest.raises(ValueError, match="kl is not a number: the model has diverged"):
        Estimate("kl", math.nan, "nats", "lower", SIGNATURE)


def test_a_number_stays():
    zero = Estimate("kl", 0.0, "nats", "lower", SIGNATURE)
    assert (zero.value, zero.absent, zero.n) == (0.0, None, 1)
    absent = Estimate("kl", None, "nats", "lower", SIGNATURE, "why")
    assert (absent.value, absent.absent) == (None, "why")


def test_unknown_words_are_negative_in_samples_alone(make_evidence):
    evidence = make_evidence([[0, 3, 4]], [[0, 3, 4]], unk=0)
    subject = evidence.subject
    assert subject.words(subject.text).tolist() == [[-1, 3, 4]]
    assert evidence.samples.tolist() == subject.text.ids.tolist() == [[0, 3, 4]]
    assert 0 in subject.against.counts.keys[0]
    without = make_evidence([[0, 3, 4]], [[0, 3, 4]]).subject
    np.testing.assert_array_equal(without.words(without.text), [[0, 3, 4]])


def test_lengths_leave_the_end_mark_out_and_tokens_count_it(make_evidence):
    evidence = make_evidence([[2, 3, 1, 0], [2, 3, 4, 5], [1, 0, 0, 0]], [[2, 1, 0, 0]], eos=1, pad=0)
    assert evidence.subject.text.lengths.tolist() == [2, 4, 0]
    assert evidence.subject.against.counted(evidence.subject.text).sum() == 3 + 4 + 1
    assert evidence.tokens_of(evidence.samples) == 3 + 4 + 1
    assert evidence.tokens_of(evidence.held_out.tokens) == 2


def test_a_sampler_without_log_prob_has_no_density(make_evidence):
    assert make_evidence([[2]], [[2]]).no_density == "the model has no log_prob"
    assert make_evidence([[2]], [[2]], {(2,): 0.0}).no_density is None
    with pytest.raises(ValueError, match="expected a sampler with log_prob"):
        _ = make_evidence([[2]], [[2]]).model_log_prob_of_test


def test_the_oracle_reads_the_test_set_once(make_evidence, table):
    class Counting(table):
        calls = 0

        def log_prob(self, tokens):
            self.calls += 1
            return super().log_prob(tokens)

    oracle = Counting({(2,): -1.0})
    held_out: HeldOut = make_evidence([[2]], [[2]], None, oracle).held_out
    for _ in range(3):
        assert torch.equal(held_out.oracle_log_prob.sequences, torch.tensor([-1.0], dtype=torch.float64))
    assert oracle.calls == 1
    with pytest.raises(ValueError, match="a task with an oracle"):
        _ = make_evidence([[2]], [[2]]).held_out.oracle_log_prob


class ByToken:
    """A density token by token, at any temperature."""

    asked = 0.0

    def token_log_prob(self, tokens, temperature=1.0):
        self.asked = temperature
        return torch.full(tokens.shape, -temperature)

    def sample(self, n, decoding, rng):
        raise AssertionError("the metrics are given samples")


def test_sequences_are_the_sums_of_their_tokens_at_the_temperature_of_the_samples(make_evidence):
    evidence = make_evidence([[2, 3]], [[4, 5], [2, 2]], ByToken())
    evidence.temperature = 0.5
    assert evidence.no_density is None
    assert evidence.model_log_prob_of_test.sequences.tolist() == [-1.0, -1.0]
    assert evidence.model_log_prob_of_test.tokens.shape == (2, 2)
    assert evidence.sampler.asked == 0.5


def test_a_density_for_temperature_one_alone_says_nothing_of_others(make_evidence):
    evidence = make_evidence([[2]], [[2]], {(2,): 0.0})
    evidence.temperature = 0.5
    assert evidence.no_density == "the model has no token_log_prob for other temperatures than 1"


def test_tokens_of_another_shape_are_refused(make_evidence):
    class Wrong(ByToken):
        def token_log_prob(self, tokens, temperature=1.0):
            return torch.zeros(len(tokens))

    with pytest.raises(ValueError, match=r"expected token_log_prob of shape \(1, 1\), got \(1,\)"):
        _ = make_evidence([[2]], [[2]], Wrong()).model_log_prob_of_test
