"""Scores beside those of the harness, plain loops and scipy; intervals beside repeated draws."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from bench import scoring
from bench.api import SequenceSpec
from bench.errors import UsageError
from bench.metrics.base import Evidence, HeldOut
from bench.metrics.bleu import Bleu, SelfBleu
from bench.metrics.diversity import Distinct
from bench.metrics.overlap import BackwardBleu, Copy, MSJaccard
from bench.protocols import PROTOCOLS
from bench.scoring import FAMILIES, Text, chosen_families, score
from bench.tasks.vocabulary import WordVocabulary

CORPUS = Path(scoring.__file__).parent / "corpora" / "sotu-obama"


def lines(split, count):
    return tuple((CORPUS / f"{split}.txt").read_text("utf-8").splitlines()[:count])


@pytest.fixture(scope="module")
def texts():
    """Samples with an <unk>, a copy and a training sequence; references; training set."""
    samples = list(lines("valid", 90))
    samples[3], samples[4] = samples[5], lines("train", 1)[0]
    samples[6] = samples[6].replace(" the ", " <unk> ")
    references = [*lines("test", 70), "the <unk> of the <unk> ."]
    return Text("samples", tuple(samples)), Text("test", tuple(references)), Text("train", lines("train", 120))


@pytest.fixture(scope="module")
def report(texts):
    samples, references, train = texts
    return score([samples], references, train, "space")


def by_metric(report, row=0):
    return {each.metric: each for each in report.rows[row].scores}


def test_scores_and_signatures_are_the_harness_own(texts, report):
    words = [[line.split() for line in text.lines] for text in texts]
    vocabulary = WordVocabulary.build([sequence for part in words for sequence in part], 1, ends=True)
    longest = max(len(sequence) for part in words for sequence in part) + 1
    samples, test, train = (vocabulary.encode(part, longest) for part in words)
    spec = SequenceSpec(len(vocabulary.words), longest, len(vocabulary.words), vocabulary.eos, vocabulary.eos)
    evidence = Evidence(None, samples, HeldOut(spec, test, None, vocabulary.unk, "space", train))
    found = by_metric(report)
    for metric in (Bleu, SelfBleu, BackwardBleu, MSJaccard, Distinct, Copy):
        for result in metric().scores(evidence):
            ours = found[result.metric]
            assert ours.value == pytest.approx(result.value, abs=1e-12)
            assert (ours.signature, ours.unit, ours.direction) == (result.signature, result.unit, result.direction)


def test_lengths_and_vocabulary(texts, report):
    samples, test, train = ([line.split() for line in text.lines] for text in texts)
    lengths = [[len(words) for words in text] for text in (samples, test)]
    flat = [word for words in samples for word in words]
    found = {name: each.value for name, each in by_metric(report).items()}
    assert found["length_mean"] == pytest.approx(np.mean(lengths[0]))
    assert found["length_distance"] == pytest.approx(stats.wasserstein_distance(*lengths))
    assert found["vocabulary"] == len(set(flat))
    for metric, text in (("unseen_in_references", test), ("unseen_in_train", train)):
        known = {word for words in text for word in words}
        assert found[metric] == pytest.approx(np.mean([word not in known for word in flat]))
    assert [by_metric(report)[name].unit for name in ("length_mean", "vocabulary")] == ["tokens", "words"]


def test_real_text_is_training_lines_drawn_once(texts, report):
    (real,) = (row for row in report.rows if row.real)
    assert (real.name, real.n) == ("real text", 90)
    found = by_metric(report, -1)
    assert found["copy_sequence"].value == found["copy_8gram"].value == 1
    assert found["unseen_in_train"].value == 0
    assert found["bleu2"].signature == "n=90|refs=test:71|smooth=method1(0.1)|tok=space|real=train|v=1"
    # The draw is one of the training set: more samples than it has lines make it the whole of it.
    samples, references, train = texts
    many = Text("many", samples.lines * 2)
    whole = score([many], references, train, "space")
    assert whole.rows[-1].n == 120
    direct = score([train], references, train, "space")
    assert [each.value for each in whole.rows[-1].scores] == [each.value for each in direct.rows[0].scores]


def test_without_a_training_set_references_stand_for_real_text(texts):
    samples, references, _ = texts
    report = score([samples], references, None, "space")
    found = by_metric(report, -1)
    own = by_metric(score([references], samples, None, "space"))
    for order in (2, 3, 4, 5):  # each against the others is what self-BLEU is
        for name in ("bleu", "self_bleu", "backward_bleu"):
            assert found[f"{name}{order}"].value == own[f"self_bleu{order}"].value
    assert found["distinct2"].value == own["distinct2"].value
    assert (found["ms_jaccard4"].n, found["ms_jaccard4"].signature) == (
        35,
        "n=35|test=36|tok=space|real=references|v=1",
    )
    assert found["copy_8gram"].value is None
    assert "--train" in found["copy_8gram"].absent
    few = score([Text("few", samples.lines[:10])], references, None, "space")
    found = by_metric(few, -1)
    assert (found["self_bleu2"].n, found["backward_bleu2"].n, found["ms_jaccard4"].n) == (10, 61, 10)
    assert found["backward_bleu2"].signature.startswith("n=61|refs=samples:10|")


def test_files_of_one_size_share_a_row_of_real_text(texts):
    samples, references, train = texts
    few, fewer = Text("few", samples.lines[:20]), Text("fewer", samples.lines[:10])
    assert [row.name for row in score([few, few], references, train).rows] == ["few", "few", "real text"]
    report = score([few, fewer], references, train, families=["distinct"])
    assert [row.name for row in report.rows] == ["few", "fewer", "real text, n=20", "real text, n=10"]
    assert [row.n for row in report.rows] == [20, 10, 20, 10]
    assert any("from 10 to 20 samples" in note for note in report.notes)


def test_the_same_call_gives_the_same_bits(texts):
    samples, references, train = texts
    assert score([samples], references, train) == score([samples], references, train)


def test_intervals_hold_their_value_and_stay_in_bounds(report):
    for row in report.rows:
        for each in row.scores:
            if each.low is None:  # real text is training lines: all of them copies
                assert (row.real, each.high) == (True, None)
                assert each.metric in ("copy_sequence", "copy_8gram", "unseen_in_train")
            else:
                assert 0 <= each.low <= each.value <= each.high
                assert each.unit or each.high <= 1


def test_the_interval_of_a_mean_is_the_percentile_bootstrap(texts, report):
    lengths = np.array([len(line.split()) for line in texts[0].lines], dtype=float)
    found = by_metric(report)["length_mean"]
    expected = stats.bootstrap((lengths,), np.mean, method="percentile", n_resamples=4000, rng=np.random.default_rng(1))
    interval = expected.confidence_interval
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high), abs=0.1 * (found.high - found.low))


def test_intervals_cover_repeated_draws():
    """Draws from one source against fixed references: how often do intervals hold the mean over draws?"""
    rng = np.random.default_rng(0)
    size, n, draws = 400, 100, 150
    law = np.arange(1, size + 1) ** -1.8
    nexts = np.stack([rng.permutation(law) for _ in range(size)])
    nexts = np.cumsum(nexts / nexts.sum(1, keepdims=True), axis=1)

    def text(count):
        texts = []
        for length in rng.integers(3, 9, count):
            words = [int(rng.integers(20))]
            while len(words) < length:
                words.append(int(np.searchsorted(nexts[words[-1]], rng.random())) % size)
            texts.append(" ".join(map(str, words)))
        return Text("made", tuple(texts))

    references, train = text(100), text(40)
    families = [name for name in FAMILIES if name != "copy"]
    rows = [score([text(n)], references, train, "space", families).rows[0].scores for _ in range(draws)]
    values, low, high = (
        np.array([[getattr(each, end) for each in row] for row in rows]) for end in ("value", "low", "high")
    )
    center = values.mean(axis=0)
    covered = ((low <= center) & (center <= high)).mean(axis=0)
    names = [each.metric for each in rows[0]]
    assert dict(zip(names, covered, strict=True)) == pytest.approx(dict.fromkeys(names, 0.97), abs=0.06)
    assert covered.mean() > 0.94
    wide = (high - low).mean(axis=0) / (2 * 1.96 * values.std(axis=0))
    assert (wide > 0.85).all()
    assert (wide < 1.7).all()


def test_unknown_words_match_nothing_in_bleu(texts):
    report = score([Text("made", ("<unk> <unk> a", "<unk> b <unk>"))], Text("test", ("<unk> <unk> a", "c <unk> <unk>")))
    found = by_metric(report)
    assert found["bleu2"].value == pytest.approx(0.5 * (1 / 3 * 0.1 / 2) ** 0.5)  # of the two only "a" matches
    assert found["self_bleu2"].value == pytest.approx((2 / 3 * 0.1 / 2) ** 0.5)
    assert found["vocabulary"].value == 3
    assert any("<unk>" in note and note.endswith("4.") for note in report.notes)


@pytest.mark.parametrize("family", FAMILIES)
def test_one_sample_and_one_reference_are_scored_as_far_as_they_can_be(family):
    report = score([Text("one", ("a b c d e f g h",))], Text("test", ("a b x",)), None, "space", [family])
    for row in report.rows:
        for each in row.scores:
            assert (each.value is None) != (each.absent is None)
            assert each.low is None
            assert each.high is None
    absent = {each.metric for each in report.rows[0].scores if each.absent}
    assert absent == {
        "self-bleu": {f"self_bleu{order}" for order in (2, 3, 4, 5)},
        "copy": {"copy_sequence", "copy_8gram"},
    }.get(family, set())


def test_notes_say_what_is_wrong_with_the_files(texts):
    samples, references, train = texts
    notes = "\n".join(score([references, train], references, train, families=["length"]).notes)
    assert "test is the references, line by line" in notes
    assert "train is the training set, line by line" in notes
    notes = "\n".join(score([Text("made", samples.lines, 3)], train, train, families=["length"]).notes)
    assert "The training set is the references" in notes
    assert "made: blank lines, left out: 3." in notes
    pytest.importorskip("nltk", reason="nltk is not installed")
    notes = "\n".join(score([Text("made", ("an <unk>", *samples.lines))], references, None, "nltk", ["length"]).notes)
    assert "takes <unk> apart" in notes
    assert f"fewer lines of real text, {len(references.lines)}, than samples" in notes


def test_a_text_that_is_tokenized_already_is_noticed():
    made, loose = Text("made", ("a b",)), Text("test", ("it 's so , he said .", "so ?", "no mark here"))
    assert any("--tokenizer space" in note for note in score([made], loose, families=["length"]).notes)
    tight = Text("test", ("it's so, he said.", "so?", "a . here"))
    for references, tokenizer in ((tight, "word"), (loose, "space")):
        notes = score([made], references, None, tokenizer, ["length"]).notes
        assert not any("--tokenizer space" in note for note in notes)


def test_a_text_without_lines_is_refused(texts):
    samples, references, _ = texts
    with pytest.raises(UsageError, match="empty has no line"):
        score([samples], references, Text("empty", (), 7))


def test_families_are_chosen_in_their_order():
    assert chosen_families(None) == chosen_families(["all"]) == list(FAMILIES)
    assert chosen_families(["length", "bleu"]) == ["bleu", "length"]
    assert chosen_families(None, PROTOCOLS["texygen"]) == ["bleu", "self-bleu"]
    with pytest.raises(UsageError, match=r"unknown metric 'self-blue'\. Did you mean 'self-bleu'"):
        chosen_families(["self-blue"])
    with pytest.raises(UsageError, match="texygen defines bleu and self-bleu only, not copy"):
        chosen_families(["bleu", "copy"], PROTOCOLS["texygen"])


def test_texts_are_scored_without_a_vocabulary_limit():
    # A word seen once is a word: only <unk> itself is unknown.
    report = score([Text("made", ("once upon", "a time"))], Text("test", ("once upon", "x y")), None, "space", ["bleu"])
    assert by_metric(report)["bleu2"].value == pytest.approx(0.5)
