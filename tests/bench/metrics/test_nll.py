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


def test_real_words_have_a_perplexity_the_exponential_of_the_nll(make_evidence):
    about = {"eos": 1, "pad": 0, "kind": "words", "tokenizer": "word,min_count=3", "unk": 2}
    results = scores(make_evidence(SAMPLES, TEST, MODEL, **about))
    assert list(results) == ["nll_test", "perplexity"]
    assert results["perplexity"].value == pytest.approx(math.exp(8 / 5))
    # As by hand: the root of the product of the inverse probabilities of all five tokens, end mark included.
    assert results["perplexity"].value == pytest.approx((1 / (math.exp(-6) * math.exp(-2))) ** (1 / 5))
    assert (results["perplexity"].unit, results["perplexity"].direction) == ("", "lower")
    expected = "n=2|tok=word,min_count=3|V=60|unk=counted|end=counted|context=sentence|v=1"
    assert str(results["perplexity"].signature) == expected
    assert str(results["nll_test"].signature) == "n=2|tok=word,min_count=3|v=2"  # as before there was a perplexity


def test_a_uniform_models_perplexity_is_the_size_of_the_vocabulary(make_evidence):
    uniform = {tuple(row): -3 * math.log(60) for row in TEST}
    found = scores(make_evidence(SAMPLES, TEST, uniform, kind="words"))["perplexity"]
    assert found.value == pytest.approx(60)
    assert "|unk=none|end=none|" in str(found.signature)


def test_only_real_words_have_a_perplexity(make_evidence):
    assert "perplexity" not in scores(make_evidence(SAMPLES, TEST, MODEL, ORACLE, kind="words"))
    for kind in ("synthetic", "characters", "pitches", "notes"):
        assert "perplexity" not in scores(make_evidence(SAMPLES, TEST, MODEL, kind=kind))


def test_a_perplexity_is_absent_where_the_nll_is(make_evidence):
    results = scores(make_evidence(SAMPLES, TEST, None, kind="words"))
    assert (results["perplexity"].value, results["perplexity"].absent) == (None, "the model has no log_prob")
    for test in ([*TEST, [5, 5, 5]], TEST[:1]):  # a probability of zero, and one too small for its inverse
        density = MODEL if len(test) > 1 else {tuple(TEST[0]): -3 * 800.0}
        results = scores(make_evidence(SAMPLES, test, density, kind="words"))
        assert (results["perplexity"].value, results["perplexity"].absent) == (None, "perplexity is inf")


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
