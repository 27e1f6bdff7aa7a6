"""Samples looked up in the list of all real sequences, against a plain loop; and how to have the scores for nothing."""

from __future__ import annotations

import random

import pytest
import torch

from bench.api import SequenceSpec
from bench.metrics.copying import Copy
from bench.metrics.density import Evidence, HeldOut
from bench.metrics.listed import Listed
from bench.tasks.corpus import Surnames

LETTERS = "abc"
SPEC = SequenceSpec(5, 4, bos=5, eos=4, pad=4)
TRAIN, VALID, TEST, OTHERS = ["a", "ab", "abc"], ["b"], ["ba", "cab"], ["ca"]


def rows(names):
    return torch.tensor([[*(LETTERS.index(letter) + 1 for letter in name), 4, 4, 4, 4][:4] for name in names])


def scores(samples, trained=False, listed=(*TRAIN, *VALID, *TEST, *OTHERS)):
    listed = rows(listed) if listed else None
    held_out = HeldOut(SPEC, rows(TEST), None, 0, "char", rows(TRAIN), valid=rows(VALID), listed=listed)
    return {found.metric: found for found in Evidence(None, rows(samples), held_out, trained=trained).ask(Listed())}


def values(samples):
    return [found.value for found in scores(samples).values()]


def test_samples_are_looked_up_and_copies_are_no_finds():
    #             copy  real and new twice   not real, twice  copy  real and new
    found = scores(["a", "ba", "ba", "cc", "cc", "b", "ca"])
    assert list(found) == ["listed", "listed_new", "new_distinct"]
    assert found["listed"].value == pytest.approx(5 / 7)
    assert found["listed_new"].value == pytest.approx(2 / 3)  # ba and ca of ba, cc, ca
    assert found["new_distinct"].value == pytest.approx(3 / 7)
    assert str(found["listed"].signature) == "n=7|list=7|given=4|tok=char|v=1"
    assert len({str(each.signature) for each in found.values()}) == 1  # the same whatever was found
    assert {each.direction for each in found.values()} == {"higher"}


def test_a_plain_loop_finds_the_same():
    draw = random.Random(0)
    every = [first + second + third for first in LETTERS for second in ("", *LETTERS) for third in ("", *LETTERS)]
    for _ in range(50):
        samples = draw.choices(every, k=draw.randint(1, 40))
        real, given = {*TRAIN, *VALID, *TEST, *OTHERS}, {*TRAIN, *VALID}
        new = set(samples) - given
        found = values(samples)
        assert found[0] == pytest.approx(sum(name in real for name in samples) / len(samples))
        assert found[1] == (pytest.approx(len(new & real) / len(new)) if new else None)
        assert found[2] == pytest.approx(len(new) / len(samples))


def test_neither_copies_nor_one_name_forever_look_like_finds():
    assert values(TRAIN * 10) == [1, None, 0]
    absent = scores(TRAIN)["listed_new"]
    assert "every sample is a training" in absent.absent
    assert absent.answered  # so that asking for it by name is no failure
    assert values(["ba"] * 10) == [1, 1, 0.1]


def test_the_real_datas_row_is_of_the_whole_list():
    found = scores(["a", "ab"], trained=True)
    assert [each.value for each in found.values()] == [1, 1, pytest.approx(3 / 7)]
    assert str(found["listed"].signature) == "n=7|list=7|given=4|tok=char|real=list|v=1"


def test_where_there_is_no_list_there_is_nothing_to_say():
    assert scores(["a"], listed=None) == {}


def test_the_list_of_surnames_is_whole_whatever_models_are_given():
    data = Surnames(train_size=500).load()
    assert (len(data.training.train), len(data.listed)) == (500, 88_799)
    spelled = {tuple(name) for name in data.vocabulary.spell(data.listed)}
    assert len(spelled) == 88_799
    for split in (data.training.train, data.training.valid, data.test):
        assert spelled >= {tuple(name) for name in data.vocabulary.spell(split)}
    held_out = HeldOut(data.training.spec, data.test, None, 0, "char", data.training.train, listed=data.listed)
    draws = torch.randint(1, 27, (400, 14), generator=torch.Generator().manual_seed(0))
    draws[:, 6:] = data.training.spec.eos
    found = Evidence(None, draws, held_out).ask(Listed())
    assert found[0].value < 0.01  # six letters at random are hardly ever a name
    assert found[2].value > 0.99


def test_real_names_are_copied_as_often_as_a_draw_from_the_list_would_be():
    held_out = HeldOut(
        SPEC, rows(TEST), None, 0, "char", rows(TRAIN), valid=rows(VALID), listed=rows([*TRAIN, *VALID, *TEST, *OTHERS])
    )
    copied = next(iter(Evidence(None, rows(TRAIN), held_out, trained=True).ask(Copy())))
    assert (copied.metric, copied.value) == ("copy_sequence", pytest.approx(4 / 7))
    assert str(copied.signature) == "n=7|train=4|tok=char|real=list|v=3"
