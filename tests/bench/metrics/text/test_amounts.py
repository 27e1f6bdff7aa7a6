"""How many samples a score needs: the rule, and whether real text keeps to it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import bench
from bench.metrics.base import Estimate, RealText, Subject
from bench.metrics.bleu import Bleu
from bench.metrics.signature import Signature
from bench.metrics.text.amounts import samples_needed, too_few_note
from bench.metrics.text.report import Text
from bench.metrics.text.scoring import score
from bench.metrics.text.tokenizers import encode

SOTU = Path(bench.__file__).parent / "corpora" / "sotu"


def lines(split):
    return tuple((SOTU / f"{split}.txt").read_text("utf-8").splitlines())


def estimate(values, unit="", metric="bleu4", value=None):
    values = None if values is None else np.asarray(values, dtype=float)
    value = float(np.mean(values)) if value is None else value
    return Estimate(metric, value, unit, "higher", Signature.of(n=9), contributions=values)


def few(report):
    return [note for note in report.notes if "too few samples" in note]


def test_the_rule():
    assert samples_needed(estimate([0.0, 0.5] * 500)) == 97  # (1.96 * 0.25 / 0.05) ** 2
    assert samples_needed(estimate([0.0, 0.05] * 500)) == 30  # moves of 0.02 are accepted
    assert samples_needed(estimate([0.4] * 500)) == 30
    assert samples_needed(estimate([10.0, 30.0] * 500, "words")) == 30
    assert samples_needed(estimate([0.0, 10.0] * 500, "words", value=0.5)) == 97  # a word is accepted
    assert samples_needed(estimate([0.0, 10.0] * 500, "types", value=5.0)) == 97
    assert samples_needed(estimate(None, value=1.0)) == 189  # 1.96 ** 2 / (1.96 ** 2 + 189) is 2 %
    assert samples_needed(replace(estimate([0.0] * 500), interval="wilson")) == 189
    assert samples_needed(estimate([0.7])) == 30
    assert samples_needed(estimate([0.0] * 9, "types")) == 30
    assert samples_needed(Estimate("x", None, "", "real", Signature.of(n=9), "there is none")) == 30


def test_the_note_names_each_score_and_what_it_needs():
    scores = [estimate([0.5] * 40, metric=name) for name in ("a", "b", "c")]
    needed = {"a": 30, "b": 41, "c": 1500}
    assert too_few_note("x.txt", scores, needed).startswith("x.txt has too few samples for b (41) and c (1,500): with")
    assert too_few_note("x.txt", scores[:1], needed) is None
    some = [estimate([0.5] * 29, metric=name) for name in ("a", "b")]
    assert "for b (41) and any other score (30): " in too_few_note("x.txt", some, needed)
    assert "for any score (30): " in too_few_note("x.txt", some[:1], needed)


@pytest.mark.parametrize("trained", [True, False])
def test_two_lines_are_too_few_for_everything(trained):
    references, train = Text("test", lines("test")), Text("train", lines("train"))
    report = score([Text("two", lines("valid")[:2])], references, train if trained else None, "space", ["bleu"])
    (note,) = few(report)
    assert report.notes[0] == note
    assert note.startswith("two has too few samples for ")
    assert "bleu4 (" in note
    assert "any other score (30)" in note
    enough = Text("enough", lines("valid")[:600])
    assert few(score([enough], references, train if trained else None, "space", ["bleu"])) == []


def test_with_as_many_samples_as_a_score_needs_real_text_keeps_near_its_score():
    """BLEU is a mean over samples, so that draws of lines are draws of their own scores."""
    known, test = encode([(name, [line.split() for line in lines(name)]) for name in ("train", "test")])
    against = RealText(test, known)
    rng = np.random.default_rng(0)
    for each in Bleu().estimates(Subject.samples(known[:4000], against, "space", intervals=True)):
        some = replace(each, value=each.contributions[:500].mean(), contributions=each.contributions[:500])
        n, accepted = samples_needed(some), max(0.02, each.value / 5)
        drawn = rng.choice(each.contributions, (2000, n)).mean(axis=1)
        assert np.mean(np.abs(drawn - each.value) <= accepted) > 0.92
        drawn = rng.choice(each.contributions, (2000, 2)).mean(axis=1)
        assert np.mean(np.abs(drawn - each.value) <= accepted) < 0.85, each.metric
    assert n > 50  # of BLEU-5
