from __future__ import annotations

import math

import pytest
import torch

from bench.metrics.nll import NLL

SAMPLES = [[2, 3, 4], [2, 1, 0], [1, 0, 0], [2, 3, 4]]
TEST = [[4, 4, 4], [3, 1, 0]]
ORACLE = {(2, 3, 4): -3.0, (2, 1, 0): -1.5, (1, 0, 0): -0.25}
MODEL = {(4, 4, 4): -6.0, (3, 1, 0): -2.0}


def scores(evidence):
    return {result.metric: result for result in evidence.ask(NLL())}


def test_nats_a_token_by_hand(make_evidence):
    results = scores(make_evidence(SAMPLES, TEST, MODEL, ORACLE))
    assert list(results) == ["nll_oracle", "nll_test"]
    assert results["nll_oracle"].value == pytest.approx((3.0 + 1.5 + 0.25 + 3.0) / 12)
    assert results["nll_test"].value == pytest.approx(8.0 / 6)
    assert all((result.unit, result.direction) == ("nats/token", "lower") for result in results.values())
    assert all(result.absent is None for result in results.values())


def test_the_denominator_counts_tokens_up_to_and_including_the_end(make_evidence):
    results = scores(make_evidence(SAMPLES, TEST, MODEL, ORACLE, eos=1, pad=0))
    assert results["nll_oracle"].value == pytest.approx((3.0 + 1.5 + 0.25 + 3.0) / (3 + 2 + 1 + 3))
    assert results["nll_test"].value == pytest.approx(8.0 / (3 + 2))


def test_no_oracle_no_oracles_score(make_evidence):
    assert list(scores(make_evidence(SAMPLES, TEST, MODEL))) == ["nll_test"]


def test_no_density_is_a_reason_not_a_number(make_evidence):
    results = scores(make_evidence(SAMPLES, TEST, None, ORACLE))
    assert results["nll_oracle"].value is not None
    assert results["nll_test"].value is None
    assert results["nll_test"].absent == "the model has no log_prob"


def test_an_impossible_test_sequence_is_a_reason_not_a_number(make_evidence):
    results = scores(make_evidence(SAMPLES, [*TEST, [5, 5, 5]], MODEL, ORACLE))
    assert results["nll_test"].value is None
    assert results["nll_test"].absent == "nll_test is inf"
    assert math.isfinite(results["nll_oracle"].value)


def test_a_diverged_model_fails(make_evidence):
    with pytest.raises(ValueError, match="log_prob of a sequence is not a number"):
        scores(make_evidence(SAMPLES, TEST, {**MODEL, (4, 4, 4): math.nan}, ORACLE))


def test_signatures_say_how_many_and_which_version(make_evidence):
    results = scores(make_evidence(SAMPLES, TEST, MODEL, ORACLE, tokenizer="char"))
    assert str(results["nll_oracle"].signature) == "n=4|v=2"
    assert str(results["nll_test"].signature) == "n=2|tok=char|v=2"


def test_a_density_of_another_shape_is_refused(make_evidence, table):
    class PerToken(table):
        def log_prob(self, tokens):
            return torch.zeros(tokens.shape)

    with pytest.raises(ValueError, match=r"expected log_prob of shape \(2,\), got \(2, 3\)"):
        scores(make_evidence(SAMPLES, TEST, PerToken({}), ORACLE))


def test_a_trained_models_density_may_require_grad_and_be_float32(make_evidence, table):
    class Trained(table):
        def log_prob(self, tokens):
            return super().log_prob(tokens).float().requires_grad_()

    assert scores(make_evidence(SAMPLES, TEST, Trained(MODEL)))["nll_test"].value == pytest.approx(8.0 / 6)
