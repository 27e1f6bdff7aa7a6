from __future__ import annotations

import numpy as np
import pytest

from bench.kernels.leave_one_out import (
    Occurrences,
    bleu_falls,
    multiset_jaccard_without,
    reference_bleu_falls,
    reference_multiset_jaccard_without,
    reference_self_bleu_falls,
    reference_types_without,
    self_bleu_falls,
    types_without,
)
from bench.kernels.ngrams import ReferenceCounts, distinct, self_bleu, sentence_bleu
from bench.kernels.overlap import multiset_jaccard

# (vocabulary, longest sequence, shortest sequence, share of negative tokens)
CORPORA = [
    pytest.param((2, 12, 0, 0.0), id="two words"),
    pytest.param((4, 9, 1, 0.0), id="some shorter than the order"),
    pytest.param((5, 10, 0, 0.2), id="out-of-vocabulary words"),
    pytest.param((30, 20, 20, 0.0), id="fixed length"),
    pytest.param((5000, 20, 5, 0.05), id="hardly any match"),
]
ORDERS = (1, 2, 5)


def corpus(rng, rows, shape, width=0):
    vocabulary, longest, shortest, negative = shape
    tokens = rng.integers(0, vocabulary, (rows, longest + width))
    tokens = np.where(rng.random(tokens.shape) < negative, -rng.integers(1, 4, tokens.shape), tokens)
    lengths = rng.integers(shortest, longest + 1, rows)
    tokens[3], lengths[3] = tokens[7], lengths[7]  # a copy
    return tokens, lengths


def lists(tokens, lengths):
    return [row[:length].tolist() for row, length in zip(tokens, lengths, strict=True)]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("shape", CORPORA)
def test_falls_of_bleu_are_its_difference_without_a_reference(seed, shape):
    rng = np.random.default_rng(seed)
    hypotheses, references = corpus(rng, 14, shape), corpus(rng, 11, shape, width=3)
    scores = sentence_bleu(*hypotheses, ReferenceCounts.build(*references, 5), ORDERS)
    falls = bleu_falls(Occurrences.build(*references, *hypotheses, 5), scores, ORDERS)
    for found, order in zip(falls, ORDERS, strict=True):
        np.testing.assert_allclose(
            found, reference_bleu_falls(lists(*hypotheses), lists(*references), order), atol=1e-12
        )


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("shape", CORPORA)
def test_falls_of_self_bleu_are_its_difference_without_a_sequence(seed, shape):
    rng = np.random.default_rng(seed)
    texts, others = corpus(rng, 11, shape), corpus(rng, 9, shape)
    falls = self_bleu_falls(Occurrences.build(*texts, *others, 5), self_bleu(*texts, ORDERS), ORDERS)
    for found, order in zip(falls, ORDERS, strict=True):
        np.testing.assert_allclose(found, reference_self_bleu_falls(lists(*texts), order), atol=1e-12)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("shape", CORPORA)
def test_counts_without_a_sequence_are_those_of_the_rest(seed, shape):
    rng = np.random.default_rng(seed)
    one, two = corpus(rng, 17, shape), corpus(rng, 40, shape, width=3)
    occurrences = Occurrences.build(*one, *two, 4)
    for order in (1, 2, 4):
        kinds, without = types_without(occurrences, order)
        grams = np.maximum(one[1] - order + 1, 0).sum()
        assert kinds == pytest.approx(distinct(*one, order) * grams)
        assert without.tolist() == reference_types_without(lists(*one), order)
        value, rest = multiset_jaccard_without(occurrences, order)
        assert value == pytest.approx(multiset_jaccard(*one, *two, order), abs=1e-12)
        np.testing.assert_allclose(
            rest, reference_multiset_jaccard_without(lists(*one), lists(*two), order), atol=1e-12
        )


def test_taking_an_empty_sequence_away_changes_nothing():
    rng = np.random.default_rng(0)
    one, two = corpus(rng, 20, (6, 9, 3, 0.1)), corpus(rng, 30, (6, 9, 3, 0.1))
    one[1][5] = 0
    occurrences = Occurrences.build(*one, *two, 5)
    kinds, without = types_without(occurrences, 2)
    assert without[5] == kinds
    value, rest = multiset_jaccard_without(occurrences, 4)
    assert rest[5] == value
    scores = sentence_bleu(*two, ReferenceCounts.build(*one, 5))
    falls = bleu_falls(occurrences, scores)
    assert (falls[:, 5] == 0).all()
    assert (falls >= 0).all()
    assert falls.sum() > 0


def test_copies_stand_in_for_each_other():
    tokens, lengths = np.array([[1, 2, 3, 4], [1, 2, 3, 4], [5, 6, 7, 8]]), np.array([4, 4, 4])
    occurrences = Occurrences.build(tokens, lengths, tokens[:1], lengths[:1], 2)
    scores = self_bleu(tokens, lengths, (2,))
    # Each copy is the other's only matching reference; the third sequence matches neither.
    np.testing.assert_allclose(self_bleu_falls(occurrences, scores, (2,)), [[1, 1, 0]])
    scores = sentence_bleu(tokens[:1], lengths[:1], ReferenceCounts.build(tokens, lengths, 2), (2,))
    np.testing.assert_allclose(bleu_falls(occurrences, scores, (2,)), [[0, 0, 0]])
