from __future__ import annotations

import pytest

from bench.metrics.diversity import Distinct


def values(evidence):
    return [result.value for result in evidence.ask(Distinct())]


def test_distinct_by_hand(make_evidence):
    evidence = make_evidence([[2, 3, 2, 3], [2, 3, 4, 4]], [[0] * 4])
    # 23 32 34 44 of 6 pairs; 232 323 234 344 of 4 triples.
    assert values(evidence) == pytest.approx([4 / 6, 4 / 4])
    assert [result.metric for result in evidence.ask(Distinct())] == [f"distinct{k}" for k in (2, 3)]


def test_the_end_and_what_follows_is_no_word(make_evidence):
    samples = [[2, 3, 1, 0], [2, 3, 1, 3], [2, 3, 4, 5]]
    # pairs 23 23 23 34 45: 3 of 5; triples 234 345.
    assert values(make_evidence(samples, [[0] * 4], eos=1, pad=0)) == pytest.approx([3 / 5, 1])


def test_samples_shorter_than_the_order_have_none(make_evidence):
    assert values(make_evidence([[2, 1, 0, 0]], [[0] * 4], eos=1, pad=0)) == pytest.approx([0, 0])


def test_an_unknown_word_is_a_word(make_evidence):
    assert values(make_evidence([[0] * 4] * 2, [[0] * 4], unk=0)) == pytest.approx([1 / 6, 1 / 4])


def test_units_directions_and_signatures(make_evidence):
    for result in make_evidence([[2, 3], [4, 5]], [[0] * 2], tokenizer="char").ask(Distinct()):
        assert (result.unit, result.direction, result.absent) == ("", "real", None)
        assert str(result.signature) == "n=2|tok=char|v=1"
