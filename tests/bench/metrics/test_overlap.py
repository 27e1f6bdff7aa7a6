from __future__ import annotations

import numpy as np
import pytest
import torch
from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu

from bench.api import SequenceSpec
from bench.kernels.overlap import reference_multiset_jaccard
from bench.metrics import overlap
from bench.metrics.base import Evidence, HeldOut
from bench.metrics.overlap import BackwardBleu, Copy, MSJaccard

METHOD1 = SmoothingFunction(epsilon=0.1).method1
SHAPES = [pytest.param({}, id="fixed"), pytest.param({"eos": 1, "pad": 0}, id="eos")]


def rows(n, seed, eos=None, pad=None):
    rng = np.random.default_rng(seed)
    tokens = rng.integers(2, 6, (n, 12))
    if eos is not None:
        for row, length in zip(tokens, rng.integers(0, 13, n), strict=True):
            row[length:] = pad
            if length < 12:
                row[length] = eos
    return tokens


def words(row, eos=None, **_):
    row = row.tolist()
    return row[: row.index(eos)] if eos in row else row


def evidence(samples, test, train=None, unk=None, **marks):
    tensors = [
        torch.as_tensor(tokens, dtype=torch.long) for tokens in (samples, test, test if train is None else train)
    ]
    spec = SequenceSpec(60, tensors[0].shape[1], bos=60, **marks)
    return Evidence(object(), tensors[0], HeldOut(spec, tensors[1], None, unk, "char", tensors[2]))


def values(metric, *arguments, **more):
    return {result.metric: result.value for result in metric().scores(evidence(*arguments, **more))}


@pytest.mark.parametrize("marks", SHAPES)
def test_backward_bleu_is_nltk_with_the_roles_exchanged(marks):
    samples, test = rows(9, 0, **marks), rows(14, 1, **marks)
    found = values(BackwardBleu, samples, test, **marks)
    references = [words(row, **marks) for row in samples]
    for order in (2, 3, 4, 5):
        weights = (1 / order,) * order
        expected = [sentence_bleu(references, words(row, **marks), weights, METHOD1) for row in test]
        assert found[f"backward_bleu{order}"] == pytest.approx(np.mean(expected), abs=1e-9)


def test_unknown_words_of_a_sample_cover_nothing():
    test = np.array([[2, 3, 2, 3]])
    assert values(BackwardBleu, test, test)["backward_bleu2"] == pytest.approx(1)
    assert values(BackwardBleu, test, test, unk=3)["backward_bleu2"] < 0.5


@pytest.mark.parametrize("marks", SHAPES)
def test_ms_jaccard_is_its_plain_sum(marks):
    samples, test = rows(9, 0, **marks), rows(14, 1, **marks)
    expected = reference_multiset_jaccard(*([words(row, **marks) for row in side] for side in (samples, test)), 4)
    assert values(MSJaccard, samples, test, **marks) == {"ms_jaccard4": pytest.approx(expected, abs=1e-12)}


def test_copies_are_whole_sequences_and_8grams():
    train = np.arange(24).reshape(2, 12)
    samples = np.stack([train[0], np.r_[train[1, :9], 50, 51, 52], np.full(12, 55)])
    found = values(Copy, samples, train, train)
    assert found["copy_sequence"] == pytest.approx(1 / 3)
    assert found["copy_8gram"] == pytest.approx((5 + 2 + 0) / 15)  # five 8-grams in twelve words


@pytest.mark.parametrize("marks", SHAPES)
@pytest.mark.parametrize("part", [1, 7, 1_000])
def test_copied_sequences_are_those_of_a_set(monkeypatch, marks, part):
    monkeypatch.setattr(overlap, "ROWS", part)
    train, samples = rows(40, 0, **marks), np.concatenate([rows(20, 1, **marks), rows(40, 0, **marks)[::3]])
    known = {tuple(words(row, **marks)) for row in train}
    expected = np.mean([tuple(words(row, **marks)) in known for row in samples])
    assert 0 < expected < 1
    assert values(Copy, samples, train, train, **marks)["copy_sequence"] == expected


def test_equal_checksums_are_no_copies(monkeypatch):
    monkeypatch.setattr(overlap, "_checksums", lambda tokens, lengths: lengths)
    train = np.arange(24).reshape(2, 12)
    assert values(Copy, np.concatenate([train[:1], train[:1] + 20]), train, train)["copy_sequence"] == 0.5


def test_padding_is_no_part_of_a_copied_sequence():
    train, samples = np.array([[5, 6, 1, 0]]), np.array([[5, 6, 1, 0], [5, 6, 7, 1]])
    assert values(Copy, samples, train, train, eos=1, pad=0)["copy_sequence"] == 0.5


def test_a_training_set_copies_itself_and_noise_copies_nothing():
    train = rows(50, 0)
    assert values(Copy, train[:20], train, train) == {"copy_sequence": 1, "copy_8gram": 1}
    assert values(Copy, train[:20] + 30, train, train) == {"copy_sequence": 0, "copy_8gram": 0}


def test_directions_and_signatures():
    three = evidence(rows(9, 0), rows(14, 1), rows(20, 2))
    about = {
        result.metric: (result.direction, result.signature)
        for metric in (BackwardBleu, MSJaccard, Copy)
        for result in metric().scores(three)
    }
    assert about["backward_bleu2"] == ("higher", "n=14|refs=samples:9|smooth=method1(0.1)|tok=char|v=1")
    assert about["ms_jaccard4"] == ("higher", "n=9|test=14|tok=char|v=1")
    assert about["copy_8gram"] == about["copy_sequence"] == ("lower", "n=9|train=20|tok=char|v=1")
