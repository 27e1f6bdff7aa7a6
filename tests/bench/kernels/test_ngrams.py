from __future__ import annotations

import numpy as np
import pytest
from nltk.translate.bleu_score import SmoothingFunction
from nltk.translate.bleu_score import sentence_bleu as nltk_bleu

from bench.kernels.ngrams import (
    ReferenceCounts,
    distinct,
    reference_distinct,
    reference_self_bleu,
    reference_sentence_bleu,
    self_bleu,
    sentence_bleu,
)

ORDERS = (2, 3, 4, 5)

# (vocabulary, longest sequence, shortest sequence, share of negative tokens)
CORPORA = [
    pytest.param((2, 12, 0, 0.0), id="two words, clipped everywhere"),
    pytest.param((4, 9, 1, 0.0), id="four words, some shorter than the order"),
    pytest.param((6, 3, 0, 0.0), id="all shorter than the order"),
    pytest.param((5, 10, 0, 0.2), id="out-of-vocabulary words"),
    pytest.param((30, 20, 20, 0.0), id="fixed length"),
    pytest.param((5000, 20, 5, 0.05), id="hardly any match"),
]


def corpus(rng, rows, shape):
    vocabulary, longest, shortest, negative = shape
    tokens = rng.integers(0, vocabulary, (rows, longest))
    tokens = np.where(rng.random(tokens.shape) < negative, -rng.integers(1, 4, tokens.shape), tokens)
    return tokens, rng.integers(shortest, longest + 1, rows)


def lists(tokens, lengths):
    return [row[:length].tolist() for row, length in zip(tokens, lengths, strict=True)]


def padded(sequences, fill=0):
    tokens = np.full((len(sequences), max(map(len, sequences))), fill)
    for row, words in zip(tokens, sequences, strict=True):
        row[: len(words)] = words
    return tokens, np.array([len(words) for words in sequences])


def in_nltk(references, hypothesis, order, epsilon=0.1):
    """A negative token is spelled as an object that equals nothing else."""
    spell = [[word if word >= 0 else object() for word in words] for words in [hypothesis, *references]]
    smoothing = SmoothingFunction(epsilon=epsilon).method1
    return nltk_bleu(spell[1:], spell[0], (1 / order,) * order, smoothing)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("shape", CORPORA)
def test_sentence_bleu_is_nltk_and_its_twin(seed, shape):
    rng = np.random.default_rng(seed)
    references, hypotheses = corpus(rng, 12, shape), corpus(rng, 40, shape)
    counts = ReferenceCounts.build(*references, max_order=5)
    orders, epsilon = (1, *ORDERS), 0.1 + 0.2 * seed
    scores = sentence_bleu(*hypotheses, counts, orders, epsilon)
    assert scores.shape == (5, 40)
    assert scores.dtype == np.float64
    refs, hyps = lists(*references), lists(*hypotheses)
    for order, found in zip(orders, scores, strict=True):
        np.testing.assert_allclose(found, [in_nltk(refs, hyp, order, epsilon) for hyp in hyps], rtol=0, atol=1e-12)
        np.testing.assert_allclose(found, reference_sentence_bleu(hyps, refs, order, epsilon), rtol=0, atol=1e-12)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("shape", CORPORA)
def test_self_bleu_is_nltk_without_the_sentence_and_its_twin(seed, shape):
    tokens, lengths = corpus(np.random.default_rng(seed), 15, shape)
    tokens[7], lengths[7] = tokens[3], lengths[3]
    sequences = lists(tokens, lengths)
    for order, found in zip(ORDERS, self_bleu(tokens, lengths), strict=True):
        expected = [in_nltk(sequences[:i] + sequences[i + 1 :], words, order) for i, words in enumerate(sequences)]
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)
        np.testing.assert_allclose(found, reference_self_bleu(sequences, order), rtol=0, atol=1e-12)


def test_sentences_of_a_corpus_score_one_against_it():
    tokens, lengths = corpus(np.random.default_rng(0), 300, (5000, 20, 5, 0.0))
    scores = sentence_bleu(tokens, lengths, ReferenceCounts.build(tokens, lengths, 5))
    np.testing.assert_allclose(scores, 1.0, rtol=0, atol=1e-12)


def test_known_vector():
    """The example of fast-bleu's README, whose sentences are those of nltk's documentation."""
    references = [
        "It is a guide to action that ensures that the military will forever heed Party commands",
        "It is the guiding principle which guarantees the military forces always being under the command of the Party",
        "It is the practical guide for the army always to heed the directions of the party",
    ]
    hypotheses = [
        "It is a guide to action which ensures that the military always obeys the commands of the party",
        "he read the book because he was interested in world history",
    ]
    ids: dict[str, int] = {}
    refs, hyps = (
        padded([[ids.setdefault(word, len(ids)) for word in line.split()] for line in lines])
        for lines in (references, hypotheses)
    )
    scores = sentence_bleu(*hyps, ReferenceCounts.build(*refs, 3), orders=(3, 2))
    np.testing.assert_allclose(scores, [[0.624073, 0.013721], [0.745356, 0.019138]], rtol=0, atol=1e-6)


def test_closest_length_takes_the_shorter_of_two():
    counts = ReferenceCounts.build(*padded([[1] * 3, [1] * 5, [1] * 9]), max_order=1)
    hypotheses = padded([[1] * n for n in (2, 4, 5, 7, 8, 12)])
    # closest: 3, 3 rather than 5, 5, 5 rather than 9, 9, 9
    expected = [np.exp(1 - 3 / 2), 1, 1, 1, np.exp(1 - 9 / 8), 1 * 9 / 12]
    np.testing.assert_allclose(sentence_bleu(*hypotheses, counts, orders=(1,))[0], expected, rtol=0, atol=1e-12)


def test_self_bleu_leaves_out_its_own_length():
    scores = self_bleu(*padded([[1] * 4, [1] * 6, [1] * 6]), orders=(1,))[0]
    np.testing.assert_allclose(scores, [np.exp(1 - 6 / 4), 1, 1], rtol=0, atol=1e-12)


def test_self_bleu_excludes_the_sentence_and_keeps_its_copies():
    different = np.arange(24).reshape(4, 6)
    assert not self_bleu(different, np.full(4, 6)).any()
    with_a_copy = np.concatenate([different, different[2:3]])
    scores = self_bleu(with_a_copy, np.full(5, 6))
    np.testing.assert_allclose(scores, np.tile([0, 0, 1, 0, 1], (4, 1)), rtol=0, atol=1e-12)


def test_padding_is_not_read():
    rng = np.random.default_rng(0)
    tokens, lengths = corpus(rng, 20, (4, 10, 0, 0.0))
    other = np.where(np.arange(10) < lengths[:, None], tokens, rng.integers(-2, 9, tokens.shape))
    counts, other_counts = (ReferenceCounts.build(x, lengths, 5) for x in (tokens, other))
    np.testing.assert_array_equal(
        sentence_bleu(tokens, lengths, counts), sentence_bleu(other, lengths, other_counts), strict=True
    )
    np.testing.assert_array_equal(self_bleu(tokens, lengths), self_bleu(other, lengths), strict=True)
    assert distinct(tokens, lengths, 2) == distinct(other, lengths, 2)


def test_negative_tokens_do_not_match_each_other():
    tokens, lengths = np.full((2, 5), -1), np.array([5, 5])
    assert not self_bleu(tokens, lengths).any()
    assert distinct(tokens, lengths, 2) == 1.0


def test_huge_token_ids_do_not_overflow():
    tokens, lengths = corpus(np.random.default_rng(0), 30, (3, 8, 2, 0.0))
    huge = tokens + (np.iinfo(np.int64).max - 2)
    np.testing.assert_array_equal(self_bleu(huge, lengths), self_bleu(tokens, lengths), strict=True)


def test_narrow_integers_and_no_hypotheses():
    tokens, lengths = corpus(np.random.default_rng(0), 300, (3, 8, 2, 0.0))
    counts = ReferenceCounts.build(tokens.astype(np.int8), lengths.astype(np.uint8), 5)
    narrow = sentence_bleu(tokens.astype(np.int8), lengths.astype(np.uint8), counts)
    np.testing.assert_array_equal(narrow, sentence_bleu(tokens, lengths, counts), strict=True)
    assert sentence_bleu(tokens[:0], lengths[:0], counts).shape == (4, 0)


def test_counts_keep_the_two_largest():
    counts = ReferenceCounts.build(*padded([[7, 7, 7], [7, 7, 9], [9]]), max_order=2)
    assert counts.max_order == 2
    assert counts.lengths.tolist() == [1, 3, 3]
    assert [x.tolist() for x in (counts.keys[0], counts.largest[0], counts.second[0])] == [[7, 9], [3, 1], [2, 1]]
    # 7 7 is the pair of indices (0, 0), 7 9 is (0, 1)
    assert [x.tolist() for x in (counts.keys[1], counts.largest[1], counts.second[1])] == [[0, 1], [2, 1], [1, 0]]


@pytest.mark.parametrize("order", [1, 2, 5])
@pytest.mark.parametrize("shape", CORPORA)
def test_distinct_is_its_twin(order, shape):
    tokens, lengths = corpus(np.random.default_rng(order), 30, shape)
    assert distinct(tokens, lengths, order) == pytest.approx(reference_distinct(lists(tokens, lengths), order))


def test_distinct_by_hand():
    tokens, lengths = padded([[1, 2, 1, 2], [2, 1], [3]])
    assert distinct(tokens, lengths, 1) == 3 / 7
    assert distinct(tokens, lengths, 2) == 2 / 4
    assert distinct(tokens, lengths, 4) == 1.0
    assert distinct(tokens, lengths, 5) == 0.0
    assert distinct(tokens, lengths, 9) == 0.0
    assert distinct(tokens[:0], lengths[:0], 2) == 0.0


ROWS, LENGTHS = np.zeros((3, 4), dtype=np.int64), np.array([4, 4, 4])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ReferenceCounts.build(ROWS[:0], LENGTHS[:0], 2), "expected at least one reference, got none"),
        (lambda: ReferenceCounts.build(ROWS, LENGTHS, 0), "expected an order >= 1, got 0"),
        (lambda: ReferenceCounts.build(ROWS[0], LENGTHS, 2), r"expected integer tokens .* shape \(4,\)"),
        (lambda: ReferenceCounts.build(ROWS + 0.5, LENGTHS, 2), "expected integer tokens .* got float64"),
        (lambda: ReferenceCounts.build(ROWS, LENGTHS[:2], 2), r"expected integer lengths of shape \(3,\), .*\(2,\)"),
        (lambda: ReferenceCounts.build(ROWS, LENGTHS + 1, 2), r"expected lengths in \[0, 4\], got \[5, 5\]"),
        (lambda: self_bleu(ROWS, LENGTHS - 5), r"expected lengths in \[0, 4\], got \[-1, -1\]"),
        (lambda: self_bleu(ROWS[:1], LENGTHS[:1]), "expected at least 2 sequences, .* got 1"),
        (lambda: self_bleu(ROWS, LENGTHS, orders=()), r"expected orders .* got \(\)"),
        (lambda: self_bleu(ROWS, LENGTHS, orders=(0, 2)), r"expected orders in \[1, 2\], .* got \(0, 2\)"),
        (lambda: self_bleu(ROWS, LENGTHS, epsilon=0.0), "expected epsilon > 0, got 0.0"),
        (
            lambda: sentence_bleu(ROWS, LENGTHS, ReferenceCounts.build(ROWS, LENGTHS, 3)),
            r"expected orders in \[1, 3\], as counted, got \(2, 3, 4, 5\)",
        ),
        (lambda: distinct(ROWS, LENGTHS, 0), "expected an order >= 1, got 0"),
    ],
)
def test_what_cannot_be_scored_is_said(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_numbers_of_words_may_be_large():
    rng = np.random.default_rng(5)
    texts, lengths = rng.integers(6, size=(40, 9)), rng.integers(1, 10, size=40)
    for scale in (2**40, 2**55):  # too large to be packed together with their positions
        for function in (self_bleu, lambda *given: distinct(*given, order=3)):
            np.testing.assert_array_equal(function(texts * scale, lengths), function(texts, lengths))
