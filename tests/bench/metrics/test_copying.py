"""Copy rates compared with those from sets."""

from __future__ import annotations

import numpy as np
import pytest

from bench.metrics import copying
from bench.metrics.copying import Copy

SHAPES = [pytest.param({}, id="fixed"), pytest.param({"eos": 1, "pad": 0}, id="eos")]


@pytest.fixture
def values(make_evidence):
    """Metric to value."""

    def ask(samples, test, train=None, **more):
        return {found.metric: found.value for found in make_evidence(samples, test, train=train, **more).ask(Copy())}

    return ask


def test_copies_are_whole_sequences_and_8grams(values):
    train = np.arange(24).reshape(2, 12)
    samples = np.stack([train[0], np.r_[train[1, :9], 50, 51, 52], np.full(12, 55)])
    found = values(samples, train, train)
    assert found["copy_sequence"] == pytest.approx(1 / 3)
    assert found["copy_8gram"] == pytest.approx((5 + 2 + 0) / 15)  # five 8-grams in twelve words


@pytest.mark.parametrize("marks", SHAPES)
@pytest.mark.parametrize("part", [1, 7, 1_000])
def test_copied_sequences_are_those_of_a_set(monkeypatch, marks, part, values, make_rows, spoken):
    monkeypatch.setattr(copying, "ROWS", part)
    train, samples = (
        make_rows(40, 0, **marks),
        np.concatenate([make_rows(20, 1, **marks), make_rows(40, 0, **marks)[::3]]),
    )
    known = {tuple(spoken(row, **marks)) for row in train}
    expected = np.mean([tuple(spoken(row, **marks)) in known for row in samples])
    assert 0 < expected < 1
    assert values(samples, train, train, **marks)["copy_sequence"] == expected


def test_equal_checksums_are_no_copies(monkeypatch, values):
    monkeypatch.setattr(copying, "_checksums", lambda tokens, lengths: lengths)
    train = np.arange(24).reshape(2, 12)
    assert values(np.concatenate([train[:1], train[:1] + 20]), train, train)["copy_sequence"] == 0.5


def test_padding_is_no_part_of_a_copied_sequence(values):
    train, samples = np.array([[5, 6, 1, 0]]), np.array([[5, 6, 1, 0], [5, 6, 7, 1]])
    assert values(samples, train, train, eos=1, pad=0)["copy_sequence"] == 0.5


def test_a_training_set_copies_itself_and_noise_copies_nothing(values, make_rows):
    train = make_rows(50, 0)
    assert values(train[:20], train, train) == {"copy_sequence": 1, "copy_8gram": 1}
    assert values(train[:20] + 30, train, train) == {"copy_sequence": 0, "copy_8gram": 0}


def test_direction_and_signature(make_evidence, make_rows):
    for found in make_evidence(make_rows(9, 0), make_rows(14, 1), train=make_rows(20, 2), tokenizer="char").ask(Copy()):
        assert (found.direction, str(found.signature)) == ("lower", "n=9|train=20|tok=char|v=1")
