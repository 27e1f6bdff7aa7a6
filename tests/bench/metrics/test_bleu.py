from __future__ import annotations

import numpy as np
import pytest
from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu

from bench.metrics.bleu import BackwardBleu, Bleu, SelfBleu

METHOD1 = SmoothingFunction(epsilon=0.1).method1
SHAPES = [
    pytest.param({}, id="fixed"),
    pytest.param({"eos": 1, "pad": 0}, id="eos"),
    pytest.param({"unk": 2}, id="unk"),
    pytest.param({"eos": 1, "pad": 0, "unk": 2}, id="eos and unk"),
]


def rows(n, seed, eos=None, pad=None, **_):
    """Random sequences with a few common phrases, padded after their end."""
    rng = np.random.default_rng(seed)
    tokens = rng.integers(2, 8, (n, 9))
    tokens[:, 2:5] = np.where(rng.random((n, 1)) < 0.5, [3, 4, 5], tokens[:, 2:5])
    if eos is not None:
        for row, length in zip(tokens, rng.integers(0, 12, n), strict=True):
            row[length:] = pad
            if length < 9:
                row[length] = eos
    return tokens.tolist()


def words(row, eos=None, **_):
    return row[: row.index(eos)] if eos in row else row


def nltk_bleu(references, hypothesis, order):
    return sentence_bleu(references, hypothesis, (1 / order,) * order, METHOD1)


def scores(metric, evidence):
    return {result.metric: result for result in evidence.ask(metric())}


@pytest.mark.parametrize("shape", SHAPES)
def test_bleu_is_nltks_mean_over_samples_against_the_whole_test_set(shape, make_evidence):
    samples, test = rows(25, 0, **shape), rows(30, 1, **shape)
    results = scores(Bleu, make_evidence(samples, test, **shape))
    references = [words(row, **shape) for row in test]
    for order in (2, 3, 4, 5):
        expected = np.mean(
            [
                # <unk> in a sample equals nothing, not even <unk> in a reference.
                nltk_bleu(references, [object() if w == shape.get("unk") else w for w in words(row, **shape)], order)
                for row in samples
            ]
        )
        assert results[f"bleu{order}"].value == pytest.approx(expected, abs=1e-9)
    assert list(results) == ["bleu2", "bleu3", "bleu4", "bleu5"]


@pytest.mark.parametrize("shape", SHAPES)
def test_self_bleu_is_nltks_against_all_others(shape, make_evidence):
    samples = rows(25, 2, **shape)
    samples[3] = samples[7]
    results = scores(SelfBleu, make_evidence(samples, rows(3, 1, **shape), **shape))
    spoken = [words(row, **shape) for row in samples]  # <unk> is a word like another here
    for order in (2, 3, 4, 5):
        expected = np.mean([nltk_bleu(spoken[:i] + spoken[i + 1 :], own, order) for i, own in enumerate(spoken)])
        assert results[f"self_bleu{order}"].value == pytest.approx(expected, abs=1e-9)
    assert list(results) == ["self_bleu2", "self_bleu3", "self_bleu4", "self_bleu5"]


def test_a_sample_is_not_among_its_own_references(make_evidence):
    different = [[i] * 9 for i in range(8)]
    assert all(r.value == 0 for r in make_evidence(different, different).ask(SelfBleu()))
    alike = [[3, 4, 5, 6, 7, 8, 9, 2, 1]] * 4
    assert all(r.value == pytest.approx(1) for r in make_evidence(alike, different).ask(SelfBleu()))


def test_unknown_words_match_nothing_in_bleu_and_themselves_in_self_bleu(make_evidence):
    unknown = make_evidence([[0] * 9] * 3, [[0] * 9] * 3, unk=0)
    assert all(result.value == 0 for result in unknown.ask(Bleu()))
    assert all(result.value == pytest.approx(1) for result in unknown.ask(SelfBleu()))
    # Where 0 is an ordinary word it matches itself.
    assert all(result.value == pytest.approx(1) for result in make_evidence([[0] * 9], [[0] * 9]).ask(Bleu()))


def test_what_follows_the_end_does_not_matter(make_evidence):
    test = [[3, 4, 5, 6, 1, 0, 0, 0, 0], [3, 4, 7, 1, 0, 0, 0, 0, 0]]
    one, other = [[3, 4, 5, 6, 1, 0, 0, 0, 0]] * 2, [[3, 4, 5, 6, 1, 7, 7, 8, 8]] * 2
    for metric in (Bleu, SelfBleu):
        values = [
            [result.value for result in make_evidence(samples, test, eos=1, pad=0).ask(metric())]
            for samples in (one, other)
        ]
        assert values[0] == values[1]
    assert scores(Bleu, make_evidence(one, test, eos=1, pad=0))["bleu4"].value == pytest.approx(1)


def test_the_end_mark_of_a_reference_is_no_word_either(make_evidence):
    # Counted as one, it would make the sample look too short.
    poem = [[3, 4, 5, 6, 1, 0]]
    results = scores(Bleu, make_evidence(poem, poem, eos=1, pad=0))
    assert [result.value for result in results.values()] == pytest.approx([1, 1, 1, 0.1**0.2])  # no 5-grams in 4 words


def test_the_last_reference_counts_like_the_first(make_evidence):
    test = [[2] * 9] * 600 + [[3, 4, 5, 6, 7, 8, 9, 3, 4]]
    results = scores(Bleu, make_evidence(test[-1:], test))
    assert all(result.value == pytest.approx(1) for result in results.values())
    assert str(results["bleu2"].signature) == "n=1|refs=test:601|smooth=method1(0.1)|tok=ids|v=1"


def test_units_directions_and_signatures(make_evidence):
    evidence = make_evidence(rows(5, 0), rows(6, 1), tokenizer="char")
    for result in evidence.ask(Bleu()):
        assert (result.unit, result.direction, result.absent) == ("", "higher", None)
        assert str(result.signature) == "n=5|refs=test:6|smooth=method1(0.1)|tok=char|v=1"
    for result in evidence.ask(SelfBleu()):
        assert (result.unit, result.direction, result.absent) == ("", "real", None)
        assert str(result.signature) == "n=5|refs=other samples|smooth=method1(0.1)|tok=char|v=1"


@pytest.mark.parametrize("marks", SHAPES[:2])
def test_backward_bleu_is_nltk_with_the_roles_exchanged(marks, make_evidence, make_rows, spoken):
    samples, test = make_rows(9, 0, **marks), make_rows(14, 1, **marks)
    found = scores(BackwardBleu, make_evidence(samples, test, **marks))
    references = [spoken(row, **marks) for row in samples]
    for order in (2, 3, 4, 5):
        expected = [nltk_bleu(references, spoken(row, **marks), order) for row in test]
        assert found[f"backward_bleu{order}"].value == pytest.approx(np.mean(expected), abs=1e-9)
        assert found[f"backward_bleu{order}"].direction == "higher"
    if not marks:
        assert str(found["backward_bleu2"].signature) == "n=14|refs=samples:9|smooth=method1(0.1)|tok=ids|v=1"


def test_unknown_words_of_a_sample_cover_nothing(make_evidence):
    test = [[2, 3, 2, 3]]
    assert scores(BackwardBleu, make_evidence(test, test))["backward_bleu2"].value == pytest.approx(1)
    assert scores(BackwardBleu, make_evidence(test, test, unk=3))["backward_bleu2"].value < 0.5
