"""Copy rates compared with those from sets."""

from __future__ import annotations

from difflib import SequenceMatcher
from itertools import groupby

import numpy as np
import pytest

from bench.kernels.subsequences import reference_nearest
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
    train, rates = make_rows(50, 0), ("copy_sequence", *(f"copy_{n}gram" for n in (4, 5, 6, 8)))
    assert values(train[:20], train, train) == {**dict.fromkeys(rates, 1), "copy_longest": 12, "copy_nearest": 1}
    assert values(train[:20] + 30, train, train) == {**dict.fromkeys(rates, 0), "copy_longest": 0, "copy_nearest": 0}


def known_parts(words, n, unk):
    """The n-grams without ``<unk>``."""
    return [part for i in range(len(words) - n + 1) if unk not in (part := tuple(words[i : i + n]))]


def longest_piece(words, known, unk):
    """The longest block in common with a known sequence, by difflib, for the pieces of a sequence between ``<unk>``."""
    pieces = [[word for _, word in piece] for _, piece in groupby(enumerate(words), lambda pair: pair[1] == unk)]
    return max(
        (
            SequenceMatcher(None, piece, other, autojunk=False).find_longest_match(0, len(piece), 0, len(other)).size
            for piece in pieces
            if unk not in piece
            for other in known
        ),
        default=0,
    )


@pytest.mark.parametrize("unk", [None, 3])
@pytest.mark.parametrize("marks", SHAPES)
def test_every_grain_is_that_of_sets_and_of_difflib(marks, unk, values, make_rows, spoken):
    train = make_rows(30, 0, **marks)
    samples = np.concatenate([make_rows(30, 1, **marks), train[::9]])
    found = values(samples, train, train, unk=unk, **marks)
    known, made = ([spoken(row, **marks) for row in rows] for rows in (train, samples))
    for n in (4, 5, 6):
        grams = {gram for words in known for gram in known_parts(words, n, unk)}
        mine = [gram for words in made for gram in known_parts(words, n, unk)]
        assert found[f"copy_{n}gram"] == pytest.approx(np.mean([gram in grams for gram in mine]))
    assert all(0 < found[f"copy_{n}gram"] < 1 for n in (4, 5, 6))
    assert found["copy_longest"] == pytest.approx(np.mean([longest_piece(words, known, unk) for words in made]))
    assert "copy_line" not in found


@pytest.mark.parametrize("unk", [None, 2])
@pytest.mark.parametrize("marks", SHAPES)
def test_copied_lines_are_those_of_a_set(marks, unk, values, make_rows, spoken):
    train, samples = make_rows(20, 0, **marks), make_rows(30, 1, **marks)
    samples[::5, 4:8] = train[: len(samples[::5]), 0:4]  # the first line of a training sequence as another's second

    def lines(rows):
        spoke = [spoken(row, **marks) for row in rows]
        cut = [tuple(words[i : i + 4]) for words in spoke for i in range(0, len(words) - 3, 4)]
        return [line for line in cut if unk not in line]

    found = values(samples, train, train, unk=unk, verse=4, **marks)
    assert found["copy_line"] == pytest.approx(np.mean([line in set(lines(train)) for line in lines(samples)]))
    assert 0 < found["copy_line"] < 1


def test_shuffled_lines_are_copies_of_lines_alone(values):
    train = np.random.default_rng(0).permutation(60).reshape(3, 20)
    shuffled = train.reshape(12, 5)[[0, 5, 10, 3, 4, 9, 2, 7]].reshape(2, 20)
    found = values(shuffled, train, train, verse=5)
    assert (found["copy_sequence"], found["copy_8gram"], found["copy_6gram"]) == (0, 0, 0)
    assert (found["copy_line"], found["copy_5gram"], found["copy_longest"]) == (1, 8 / 32, 5)


def test_what_is_unknown_is_neither_copied_nor_counted(values):
    train = np.array([[0] * 12, [*range(1, 9), 0, 9, 10, 11]])
    found = values(train, train, train, unk=0)
    assert (found["copy_sequence"], found["copy_8gram"]) == (1, 1)  # there it is an ordinary word
    assert (found["copy_4gram"], found["copy_longest"]) == (1, 8 / 2)
    strange = values(np.array([[0] * 12]), train, train, unk=0)
    assert (strange["copy_4gram"], strange["copy_longest"]) == (0, 0)


def test_real_data_are_test_sequences_beside_the_training_set(make_evidence, make_rows):
    train, test = make_rows(40, 0), np.concatenate([make_rows(9, 1), make_rows(40, 0)[:1]])
    kept = make_evidence(train[:7], test, train=train, trained=True, verse=4).ask(Copy())
    direct = make_evidence(test, test, train=train, verse=4).ask(Copy())
    assert [(each.metric, each.value) for each in kept] == [(each.metric, each.value) for each in direct]
    assert kept[0].value == 0.1
    assert str(kept[0].signature) == "n=10|train=40|tok=ids|real=references|v=3"


def test_direction_and_signature(make_evidence, make_rows):
    *rates, longest, nearest = make_evidence(
        make_rows(9, 0), make_rows(14, 1), train=make_rows(20, 2), tokenizer="char"
    ).ask(Copy())
    for found in (*rates, nearest):
        assert (found.direction, found.unit, str(found.signature)) == ("lower", "", "n=9|train=20|tok=char|v=3")
    about = longest.direction, longest.unit, str(longest.signature)
    assert about == ("lower", "words", "n=9|train=20|longest=64|tok=char|v=3")


def test_the_longest_span_is_searched_for_up_to_a_length(values):
    train = np.arange(100)[None]
    samples = np.stack([train[0], np.r_[np.arange(90), [100] * 10]])
    assert values(samples, train, train, vocab_size=101)["copy_longest"] == (100 + 64) / 2


@pytest.mark.parametrize("unk", [None, 3])
@pytest.mark.parametrize("marks", SHAPES)
def test_the_nearest_sequence_is_that_of_plain_loops(marks, unk, values, make_rows, spoken):
    train, samples = make_rows(30, 0, **marks), make_rows(20, 1, **marks)
    known, made = (
        [[-1 if word == unk else word for word in spoken(row, **marks)] for row in rows] for rows in (train, samples)
    )
    expected = np.mean(reference_nearest(made, known))
    assert values(samples, train, train, unk=unk, **marks)["copy_nearest"] == pytest.approx(expected)


def test_of_many_samples_some_are_read_for_the_nearest(monkeypatch, make_evidence, make_rows):
    train, samples = make_rows(30, 0), make_rows(20, 1)
    monkeypatch.setattr(copying, "READ", 5)
    text = make_evidence(samples, train, train=train).subject.text
    rows = copying._read(text, text)
    assert len(set(rows.tolist())) == 5
    assert rows.tolist() != list(range(0, 20, 4))  # whoever writes samples must not know which are read
    *_, found = make_evidence(samples, train, train=train).ask(Copy())
    *_, some = make_evidence(samples[rows], train, train=train).ask(Copy())
    assert (found.metric, str(found.signature)) == ("copy_nearest", "n=5|train=30|tok=ids|v=3")
    assert found.value == pytest.approx(some.value)
    changed = samples.copy()
    changed[0, 0] = (changed[0, 0] + 1) % 3
    other = make_evidence(changed, train, train=train).subject.text
    assert copying._read(other, other).tolist() != rows.tolist()
    monkeypatch.setattr(copying, "WORK", 30 * 12 * 3)
    monkeypatch.setattr(copying, "FEWEST", 1)
    *_, found = make_evidence(samples, train, train=train).ask(Copy())
    assert found.signature.n == 3
