"""Scores compared with those of the harness, plain loops and scipy; intervals compared with repeated draws."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

import bench
from bench.api import SequenceSpec
from bench.commands.sample import render
from bench.errors import UsageError
from bench.metrics.bleu import BackwardBleu, Bleu, SelfBleu
from bench.metrics.copying import Copy
from bench.metrics.density import Evidence, HeldOut
from bench.metrics.diversity import Distinct
from bench.metrics.length import Length
from bench.metrics.overlap import MSJaccard
from bench.metrics.protocols import PROTOCOLS
from bench.metrics.text.report import Text
from bench.metrics.text.scoring import FAMILIES, NAMED, chosen_families, score
from bench.tasks.vocabulary import WordVocabulary

CORPUS = Path(bench.__file__).parent / "corpora" / "sotu-obama"


def lines(split, count):
    return tuple((CORPUS / f"{split}.txt").read_text("utf-8").splitlines()[:count])


@pytest.fixture(scope="module")
def texts():
    """Samples with an <unk>, an empty one, a copy and a training sequence; references; training set."""
    samples = list(lines("valid", 90))
    samples[3], samples[4] = samples[5], lines("train", 1)[0]
    samples[6], samples[9] = samples[6].replace(" the ", " <unk> "), ""
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
    results = [
        result
        for metric in (Bleu, SelfBleu, BackwardBleu, MSJaccard, Distinct, Copy, Length)
        for result in evidence.ask(metric())
        if result.metric != "unended"  # which does not exist for files
    ]
    found = by_metric(report)
    for result in results:
        ours = found[result.metric]
        # bench run knows its vocabulary; here <unk> may stand for more words, which adds no copy among these samples.
        assert str(ours.signature).replace("|unk=unwritten", "") == str(result.signature)
        assert ours.value == pytest.approx(result.value, abs=1e-12)
        assert (ours.unit, ours.direction) == (result.unit, result.direction)


def test_lengths_and_vocabulary(texts, report):
    samples, test, train = ([line.split() for line in text.lines] for text in texts)
    lengths = [[len(words) for words in text] for text in (samples, test)]
    flat = [word for words in samples for word in words]
    found = {name: each.value for name, each in by_metric(report).items()}
    assert found["length_mean"] == pytest.approx(np.mean(lengths[0]))
    assert found["length_distance"] == pytest.approx(stats.wasserstein_distance(*lengths))
    assert found["vocabulary"] == len(set(flat))
    for metric, text in (("unseen_in_references", test), ("unseen_in_train", train)):
        known = {"<unk>", *(word for words in text for word in words)}
        assert found[metric] == pytest.approx(np.mean([word not in known for word in flat]))
    assert [by_metric(report)[name].unit for name in ("length_mean", "vocabulary")] == ["words", "types"]


def test_real_text_is_training_lines_drawn_once(texts, report):
    samples, references, train = texts
    (real,) = (row for row in report.rows if row.real)
    assert (real.name, real.n) == ("real text", 90)
    found = by_metric(report, -1)
    assert found["unseen_in_train"].value == 0
    # They would all be copies: the copy rates are those of the references.
    direct = by_metric(score([references], references, train, "space", ["copy"]))
    for name, each in direct.items():
        assert (found[name].value, found[name].low, found[name].high) == (each.value, each.low, each.high)
    assert 0 < found["copy_4gram"].value < 1
    assert str(found["copy_4gram"].signature) == "n=71|train=120|tok=space|real=references|v=3"
    assert str(found["bleu2"].signature) == "n=90|refs=test:71|smooth=method1(0.1)|tok=space|real=train|v=1"
    # Lines are drawn from the training set: for more samples than it has lines, it is used completely.
    many = Text("many", samples.lines * 2)
    whole = score([many], references, train, "space")
    assert whole.rows[-1].n == 120
    rows = score([train], references, train, "space").rows
    direct = {each.metric: each.value for each in rows[0].scores}
    direct |= {each.metric: each.value for each in rows[1].scores if each.metric.startswith("copy_")}
    there = {each.metric: each.value for each in whole.rows[-1].scores if each.value is not None}
    assert there == {name: direct[name] for name in there}


def test_too_little_real_text_has_no_score_that_depends_on_how_much_there_is(texts):
    samples, references, train = texts
    many = Text("many", samples.lines * 2)
    for known, real in (train, 120), (None, 71):
        report = score([many], references, known, "space")
        found = by_metric(report, -1)
        missing = [name for name, each in found.items() if each.absent and "training text" not in each.absent]
        absent = {name.rstrip("2345") for name in missing}
        assert absent == {"self_bleu", "backward_bleu", "ms_jaccard", "distinct", "length_distance", "vocabulary"}
        assert {found[f"self_bleu{order}"].absent for order in (2, 5)} == {f"there are only {real} lines of real text"}
        assert all(each.low is None and each.interval is None for each in found.values() if each.absent)
        assert all(each.value is not None for each in report.rows[0].scores if each.metric[:4] != "copy")
    # A file of exactly that many lines has its real text, whatever other files there are.
    both = score([many, Text("as many", many.lines[:71])], references, None, "space", ["distinct"])
    assert by_metric(both, -1)["distinct2"].value is not None
    # Texygen's self-BLEU of the first 500 does not depend on how many come after them.
    fast = replace(PROTOCOLS["texygen-fast"], self_scored=70)
    assert by_metric(score([many], references, protocol=fast), -1)["self_bleu2"].value is not None


@pytest.mark.parametrize("count", [1, 30, None])
def test_copies_are_found_where_rare_words_are_unknown(bench, tmp_path, count):
    """Training sentences as a model without rare words writes them: encoded, spelled, and written to a file."""
    train = [line.split() for line in lines("train", None)]
    vocabulary = WordVocabulary.build(train, 3, ends=True)
    tokens = vocabulary.encode(train, max(map(len, train)) + 1)
    spelled = vocabulary.spell(tokens)
    replayed = [words for words in spelled if "<unk>" in words][:count] if count else spelled
    made = tmp_path / "samples.txt"
    made.write_text(render("lines", replayed, [], "words", None, ""), encoding="utf-8")
    asked = ("--references", CORPUS / "test.txt", "--train", CORPUS / "train.txt", "--metrics", "copy,vocabulary")
    answer = json.loads(bench("score", made, *asked, "--tokenizer", "space", "--format", "json").out)
    found = {each["metric"]: each for each in answer["rows"][0]["scores"]}
    assert [found[name]["value"] for name in ("copy_sequence", "copy_8gram", "unseen_in_train")] == [1, 1, 0]
    assert found["copy_8gram"]["signature"] == f"n={len(replayed)}|train=1755|unk=unwritten|tok=space|v=3"
    assert any("any word that the file never writes" in note for note in answer["notes"])


def test_an_unknown_word_is_no_word_that_the_file_writes():
    train = Text("train", ("a b c d e f g h i", "k l m"))
    made = ("a b <unk> d e f g h i", "<unk> l m", "b <unk> c", "<unk> <unk> <unk>", "c " + "<unk> " * 9)
    report = score([Text("made", made)], train, train, "space", ["copy", "vocabulary"])
    found = by_metric(report)
    # The file writes "c" elsewhere: the <unk> of the first line is another word.
    assert found["copy_sequence"].value == pytest.approx(1 / 5)
    assert found["copy_8gram"].value == 0
    assert found["unseen_in_train"].value == 0
    assert str(found["unseen_in_train"].signature) == "n=5|train=2|unk=unwritten|tok=space|v=1"
    assert "unk=" not in str(by_metric(report, -1)["copy_8gram"].signature)


def test_what_is_unknown_throughout_copies_nothing(texts):
    train = Text("train", ("a b c d e f g h i j", "x y"))
    made = ("<unk> <unk>", "<unk> " * 10, "q" + " <unk>" * 9, "a" + " <unk>" * 9)
    found = by_metric(score([Text("made", made)], train, train, "space", ["copy"]))
    assert found["copy_sequence"].value == 1 / 4  # "a" is written, and begins a sentence of ten words
    assert found["copy_8gram"].value == pytest.approx(3 / 9)


def test_an_empty_sample_counts(texts):
    _, references, train = texts
    some = lines("valid", 40)
    silent = Text("silent", tuple("" if index % 2 else line for index, line in enumerate(some)))
    few = Text("few", some[::2])
    empty, full = (by_metric(score([text], references, train, "space")) for text in (silent, few))
    for name in ("bleu2", "bleu5", "length_mean"):
        assert empty[name].value == pytest.approx(full[name].value / 2)
    for name in ("distinct2", "vocabulary", "unseen_in_train", "copy_8gram", *(f"backward_bleu{n}" for n in (2, 5))):
        assert empty[name].value == pytest.approx(full[name].value, abs=0.02)
    assert empty["length_distance"].value > full["length_distance"].value
    assert {each.n for name, each in empty.items() if not name.startswith("backward")} == {40}
    for each in empty.values():
        assert each.value is not None
        assert each.low is None or 0 <= each.low <= each.value <= each.high
    notes = score([silent], references, train, "space", ["length"]).notes
    assert "silent: empty samples (blank lines), which count: 20." in notes


@pytest.mark.parametrize("family", FAMILIES)
def test_a_single_word_among_empty_samples_is_scored(family):
    report = score([Text("made", ("", "", "a"))], Text("test", ("a b", "", "c")), Text("train", ("a", "b c")),
                   "space", [family])  # fmt: skip
    assert all(each.value is not None for each in report.rows[0].scores)
    assert "test: blank lines, left out: 1." in report.notes


def test_without_a_training_set_references_stand_for_real_text(texts):
    samples, references, _ = texts
    samples = Text("samples", samples.lines[:71])
    found = by_metric(score([samples], references, None, "space"), -1)
    own = by_metric(score([references], samples, None, "space"))
    for order in (2, 3, 4, 5):  # each against the others is self-BLEU
        for name in ("bleu", "self_bleu", "backward_bleu"):
            assert found[f"{name}{order}"].value == own[f"self_bleu{order}"].value
    assert found["distinct2"].value == own["distinct2"].value
    assert (found["ms_jaccard4"].n, str(found["ms_jaccard4"].signature)) == (
        35,
        "n=35|test=36|tok=space|real=references|v=1",
    )
    assert found["copy_8gram"].value is None
    assert "training text" in found["copy_8gram"].absent
    few = score([Text("few", samples.lines[:10])], references, None, "space")
    found = by_metric(few, -1)
    assert (found["self_bleu2"].n, found["backward_bleu2"].n, found["ms_jaccard4"].n) == (10, 61, 10)
    assert str(found["backward_bleu2"].signature).startswith("n=61|refs=samples:10|")


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
            if each.low is None:  # real text is training lines; and where nothing is copied, nothing varies
                assert (row.real, each.high, each.interval, each.value) == (True, None, None, 0)
                assert each.metric in ("copy_5gram", "copy_6gram", "copy_8gram", "unseen_in_train")
            else:
                assert 0 <= each.low <= each.value <= each.high
                assert each.unit or each.high <= 1


def test_intervals_are_named(report):
    names = {each.metric.rstrip("2345"): each.interval for each in report.rows[0].scores}
    assert {name for name, interval in names.items() if interval == "mean"} == {
        *("bleu", "length_mean", "copy_longest", "copy_nearest")
    }
    assert {name for name, interval in names.items() if interval == "wilson"} == {"copy_sequence"}
    assert all(f"{interval}, " in report.interval for interval in names.values())


@pytest.mark.parametrize(("copies", "n"), [(0, 100), (0, 1), (1, 1), (3, 40), (40, 40)])
def test_a_share_of_samples_has_wilsons_interval(copies, n):
    made = Text("made", ("a b",) * copies + ("b a",) * (n - copies))
    found = by_metric(score([made], Text("test", ("c",)), Text("train", ("a b",)), "space", ["copy"]))["copy_sequence"]
    expected = stats.binomtest(copies, n).proportion_ci(method="wilson")
    assert (found.value, found.interval) == (copies / n, "wilson")
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_the_interval_of_a_mean_is_the_percentile_bootstrap(texts, report):
    lengths = np.array([len(line.split()) for line in texts[0].lines], dtype=float)
    found = by_metric(report)["length_mean"]
    expected = stats.bootstrap((lengths,), np.mean, method="percentile", n_resamples=4000, rng=np.random.default_rng(1))
    interval = expected.confidence_interval
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high), abs=0.1 * (found.high - found.low))


def test_intervals_cover_repeated_draws(text):
    """Draws from one source against fixed references: how often do intervals contain the mean over draws?"""
    n, draws = 100, 150
    references, train = text(100), text(40)
    families = [name for name in FAMILIES if name not in ("copy", *NAMED)]  # the latter have tests of their own
    rows = [score([text(n)], references, train, "space", families).rows[0].scores for _ in range(draws)]
    values, low, high = (
        np.array([[getattr(each, end) for each in row] for row in rows]) for end in ("value", "low", "high")
    )
    center = values.mean(axis=0)
    covered = ((low <= center) & (center <= high)).mean(axis=0)
    names = [each.metric for each in rows[0]]
    assert dict(zip(names, covered, strict=True)) == pytest.approx(dict.fromkeys(names, 0.96), abs=0.04)
    assert 0.95 < covered.mean() < 0.98
    wide = (high - low).mean(axis=0) / (2 * 1.96 * values.std(axis=0))
    assert (wide > 0.93).all()
    assert (wide < 1.4).all()


def test_unknown_words_match_nothing_in_bleu(texts):
    report = score([Text("made", ("<unk> <unk> a", "<unk> b <unk>"))], Text("test", ("<unk> <unk> a", "c <unk> <unk>")))
    found = by_metric(report)
    assert found["bleu2"].value == pytest.approx(0.5 * (1 / 3 * 0.1 / 2) ** 0.5)  # of the two only "a" matches
    assert found["self_bleu2"].value == pytest.approx((2 / 3 * 0.1 / 2) ** 0.5)
    assert found["vocabulary"].value == 3
    assert any(note.startswith("made: words that are <unk>: 4. They match nothing in BLEU") for note in report.notes)


@pytest.mark.parametrize("family", FAMILIES)
def test_one_sample_and_one_reference_are_scored_as_far_as_they_can_be(family):
    report = score([Text("one", ("a b c d e f g h",))], Text("test", ("a b x",)), None, "space", [family])
    for row in report.rows:
        for each in row.scores:
            assert (each.value is None) != (each.absent is None)
            assert each.low is each.high is each.interval is None
    absent = {each.metric for each in report.rows[0].scores if each.absent}
    assert absent == {
        "self-bleu": {f"self_bleu{order}" for order in (2, 3, 4, 5)},
        "copy": {"copy_sequence", "copy_longest", "copy_nearest", *(f"copy_{order}gram" for order in (4, 5, 6, 8))},
        "augmented": {"augmented_nll", "augmented_gain", "augmented_gain_all"},
    }.get(family, set())


def test_notes_say_what_is_wrong_with_the_files(texts):
    samples, references, train = texts
    notes = "\n".join(score([references, train], references, train, families=["length"]).notes)
    assert "test is the references, line by line" in notes
    assert "train is the training set, line by line" in notes
    notes = "\n".join(score([Text("made", samples.lines[:9] * 2)], train, train, families=["length"]).notes)
    assert "The training set is the references" in notes
    assert "made: lines that repeat another: 10." in notes
    notes = "\n".join(score([Text("made", ("an <unk>", *samples.lines))], references, None, "nltk", ["length"]).notes)
    assert "splits <unk> into three words" in notes


def test_notes_compare_lines_by_their_words(texts):
    _, references, train = texts
    spaced = Text("spaced", tuple(f" {line.replace(' ', '  ')} " for line in references.lines))
    notes = "\n".join(score([spaced], references, Text("t", spaced.lines), families=["length"]).notes)
    assert "spaced is the references, line by line" in notes
    assert f"spaced: lines that are in the references, word for word: {len(references.lines):,}." in notes
    assert "The training set is the references, line by line" in notes
    other = Text("other", tuple(f"{line} x" for line in references.lines))
    assert "line by line" not in "\n".join(score([other], references, train, families=["length"]).notes)


def test_marks_of_other_tools_are_pointed_out(texts):
    samples, references, _ = texts
    for mark in ("<eos>", "</s>", "<PAD>", "[CLS]", "<|endoftext|>", "<|im_start|>", "_GO", "<UNK>"):
        made = Text("made", (f"a {mark}", "b", f"c {mark} d", *samples.lines[7:9]))
        notes = "\n".join(score([made], references, families=["length"]).notes)
        assert f"made: lines with another tool's marks, such as {mark}: 2." in notes
    glued = Text("made", ("a cat</s></s>", "b<eos>", "<|im_end|>user", *samples.lines[7:9]))
    assert any("such as </s>: 3." in note for note in score([glued], references, families=["length"]).notes)
    for word in ("<unk>", "<b>", "[1]", "[mask]", "snake_case", "my_GO", "_"):
        made = Text("made", (f"a {word} c", *samples.lines[7:9]))
        assert "another tool" not in "\n".join(score([made], references, families=["length"]).notes)


def test_text_written_character_by_character_is_read_back(texts):
    references = Text("test", texts[1].lines[:-1])  # the last has an <unk>, which is one word
    made = Text("made", tuple(" ".join("▁".join(line.split())) for line in references.lines))
    report = score([made], references, None, "char", ["bleu", "length"])
    found = by_metric(report)
    assert (found["bleu2"].value, found["length_distance"].value) == (1, 0)
    assert not any("character by character" in note for note in report.notes)
    for tokenizer in ("space", "word"):
        notes = "\n".join(score([made], references, None, tokenizer, ["length"]).notes)
        assert "made is written character by character, with ▁ for a space, and test is not" in notes


def test_what_is_known_of_how_a_file_was_read_is_noted(tmp_path, texts):
    path = tmp_path / "made.csv"
    path.write_text("id;text\n1;a b\n2;a c\n")
    notes = "\n".join(score([Text.read(str(path))], texts[1], families=["length"]).notes)
    assert "made.csv: its columns are separated by semicolons, and are read so." in notes


def test_samples_that_are_the_references_in_another_order_are_noticed(texts):
    _, references, _ = texts
    shuffled = Text("made", tuple(reversed(references.lines)))
    (note,) = [note for note in score([shuffled], references, families=["length"]).notes if "word for word" in note]
    assert f": {len(references.lines):,}." in note
    strangers = Text("made", tuple(f"{line} x" for line in references.lines))
    assert not any("word for word" in note for note in score([strangers], references, families=["length"]).notes)


def test_a_text_that_is_tokenized_already_is_noticed():
    made, loose = Text("made", ("a b",)), Text("test", ("it 's so , he said .", "so ?", "no mark here"))
    assert any("the tokenizer space" in note for note in score([made], loose, families=["length"]).notes)
    tight = Text("test", ("it's so, he said.", "so?", "a . here"))
    for references, tokenizer in ((tight, "word"), (loose, "space")):
        notes = score([made], references, None, tokenizer, ["length"]).notes
        assert not any("the tokenizer space" in note for note in notes)


def test_a_text_without_lines_is_refused(texts):
    samples, references, _ = texts
    for nothing in (), ("", " "):
        with pytest.raises(UsageError, match=r"^empty has no line that is not blank: expected one sample a line\.$"):
            score([samples], references, Text("empty", nothing))
        with pytest.raises(UsageError, match="empty has no line"):
            score([samples, Text("empty", nothing)], references)


def test_families_are_chosen_in_their_order():
    usual = [name for name in FAMILIES if name not in NAMED]
    assert chosen_families(None) == chosen_families(["all"]) == usual
    assert chosen_families(["augmented", "all"]) == [*usual, *NAMED] == list(FAMILIES)
    assert chosen_families(["augmented"]) == ["augmented"]
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


def test_texts_on_which_scores_say_little_are_pointed_out():
    train = Text("train", ("a b c d e",) * 20)

    def told(made, test):
        report = score([Text("made", made)], Text("test", test), train, "space", ["copy"])
        return [note for note in report.notes if note.startswith(("made:", "test:")) and "%" in note]

    fine = ("a b c", "d e a b")
    assert told(fine, fine) == []
    assert told(fine, ("<unk> <unk>", "<unk>"))[0].startswith("test: 100% of its words are <unk>, which match nothing")
    assert told(("a", "b", "c c c", "a b"), fine)[0].startswith("made: 75% of its lines have only one different word")
    assert told(fine, ("a b c d q", "a b c d e"))[:1] == []
    assert told(fine, ("a b c d q", "a b c d r"))[0].startswith(
        "test: 20% of its words never occur in the training set"
    )
    assert told(("", "a b"), fine) == []  # blank samples are told elsewhere
