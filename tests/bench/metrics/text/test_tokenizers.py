from __future__ import annotations

import random
import sys
import unicodedata
from pathlib import Path

import nltk
import numpy as np
import pytest
import regex
import sacrebleu
from hypothesis import given, settings
from hypothesis import strategies as st
from nltk.tokenize import word_tokenize
from sacrebleu.metrics import BLEU

import bench
from bench.errors import UsageError
from bench.metrics.text import tokenizers
from bench.metrics.text.report import Text
from bench.metrics.text.scoring import score
from bench.metrics.text.tokenizers import encode, signature, tokenizer

SOTU = Path(bench.__file__).parent / "corpora" / "sotu" / "test.txt"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("They don't pay $1,000, do they?", ["They", "don't", "pay", "$", "1,000", ",", "do", "they", "?"]),
        ("a twenty-one 80-year-old's 1990s", ["a", "twenty-one", "80-year-old's", "1990s"]),
        ("3.14 at 11:44. End.", ["3.14", "at", "11:44", ".", "End", "."]),
        ("'quoted' -- rock’n’roll", ["'", "quoted", "'", "-", "-", "rock’n’roll"]),
        ("a <unk> b<unk>", ["a", "<unk>", "b", "<unk>"]),
        ("l'été cafe\u0301 हिन्दी में", ["l'été", "cafe\u0301", "हिन्दी", "में"]),
        ("床前 明月", ["床前", "明月"]),
        (
            "\u2764\ufe0flove x=\u0338y \u00a9\ufe0f2020",
            ["\u2764\ufe0f", "love", "x", "=\u0338", "y", "\u00a9\ufe0f", "2020"],
        ),
        (
            "\U0001f469\u200d\U0001f680\U0001f1eb\U0001f1f7!",
            ["\U0001f469\u200d\U0001f680", "\U0001f1eb\U0001f1f7", "!"],
        ),
        (
            "\u0dc3\u0dca\u200d\u0db8 \u0645\u06cc\u200c\u062e\u0648",
            ["\u0dc3\u0dca\u200d\u0db8", "\u0645\u06cc\u200c\u062e\u0648"],
        ),
        ("co\u00adoperate \u200fabc\u200e \ufeffx", ["cooperate", "abc", "x"]),
        ("a\u200bb \u200b \u200d a\x07 \x1b", ["a", "b", "a"]),
        ("\u0301a", ["\u0301", "a"]),
        ("1\u20e3 \u06dd12", ["1\u20e3", "\u06dd12"]),
        ("\tx  \u00a0y\n", ["x", "y"]),
        ("", []),
    ],
)
def test_words(text, words):
    assert tokenizer("word")(text) == words


def test_words_lose_no_character():
    for line in SOTU.read_text("utf-8").splitlines():
        assert "".join(tokenizer("word")(line)) == "".join(line.split())


def test_characters_and_spaces():
    assert tokenizer("char")("床前 a\t<unk>!") == ["床", "前", "a", "<unk>", "!"]
    assert tokenizer("char")("a ▁ b") == tokenizer("char")("a b") == ["a", "b"]
    assert tokenizer("space")(" a.  b\tc's ") == ["a.", "b", "c's"]


def test_nltk_is_nltks_without_downloads():
    split = tokenizer("nltk")
    lines = SOTU.read_text("utf-8").splitlines()
    lines += [line.replace(" .", ".").replace(" ,", ",") for line in lines]
    lines += [
        "I cannot go.",
        "we wanna",
        "Gonna go .",
        "more'n",
        "gimme 2.",
        ".",
        " . ",
        "x..",
        "a.b",
        "a,b",
        "",
        "e.g. no",
    ]
    for line in lines:
        assert split(line) == word_tokenize(line, preserve_line=True)


def test_nltk_is_nltks_where_words_are_contracted():
    rng = random.Random(0)
    words = "wanna gonna gotta cannot lemme gimme 'tis 'twas more'n d'ye Wanna CANNOT wannabe wan na do not isn't it's"
    split = tokenizer("nltk")
    assert split("i do not wanna.") == ["i", "do", "not", "wan", "na", "."]
    for _ in range(2000):
        line = rng.choice([" ", "", "  "]).join(
            [" ".join(rng.choices(words.split(), k=rng.randrange(5))), rng.choice(["", ".", ".  ", "?"])]
        )
        assert split(line) == word_tokenize(line, preserve_line=True), line


@pytest.mark.parametrize("name", ["13a", "zh"])
def test_sacrebleus_tokenizers_split_as_sacrebleu_does(name):
    theirs, ours = BLEU(tokenize=name).tokenizer, tokenizer(name)
    lines = SOTU.read_text("utf-8").splitlines()[:300]
    lines += (SOTU.parents[1] / "quatrains" / "test.txt").read_text("utf-8").splitlines()[:300]
    lines += [line.replace(" .", ".").replace(" ,", ",") for line in lines]
    lines += [
        "",
        " ",
        "Don't pay $1,000.50, e.g. 1990-95!",
        "it &amp; &quot;so&quot; <skipped>",
        "他说hello，世界。",
        "a <unk> b",
    ]
    for line in lines:
        assert ours(line) == theirs(line.rstrip()).split()
    assert ours("a <unk>") == ["a", "<", "unk", ">"]
    assert tokenizer("zh")("明月 ab") == ["明", "月", "ab"]


@pytest.mark.parametrize("name", ["13a", "zh"])
def test_bleu_is_sacrebleus_where_nothing_is_smoothed(name):
    lines = (SOTU.parents[1] / "sotu-obama" / "train.txt").read_text("utf-8").splitlines()
    samples = [f"{one} {two}" for one, two in zip(lines[:60], lines[60:120], strict=True)]
    references = lines[:400]
    scores = {n: BLEU(tokenize=name, max_ngram_order=n, smooth_method="none", effective_order=False) for n in (2, 3, 4)}
    found = score([Text("made", tuple(samples))], Text("test", tuple(references)), None, name, ["bleu"]).rows[0].scores
    for n, each in scores.items():
        theirs = [each.sentence_score(line, references).score / 100 for line in samples]
        (ours,) = (estimate for estimate in found if estimate.metric == f"bleu{n}")
        assert min(theirs) > 0
        assert ours.value == pytest.approx(np.mean(theirs), abs=1e-9)
        assert f"|tok={name}:sacrebleu-{sacrebleu.__version__}|" in str(ours.signature)


@pytest.mark.parametrize("name", ["13a", "zh"])
def test_without_sacrebleu_a_sentence_says_what_to_install(name, monkeypatch):
    for module in list(sys.modules):
        if module.partition(".")[0] == "sacrebleu":
            monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "sacrebleu", None)
    with pytest.raises(UsageError, match=r"pip install 'seqgan-bench\[sacrebleu\]'"):
        tokenizer(name)


def test_an_unknown_tokenizer_is_refused_with_the_nearest():
    with pytest.raises(UsageError, match=r"unknown tokenizer .wrod.\. Did you mean .word.\?"):
        tokenizer("wrod")


def test_signatures():
    assert [signature(name) for name in ("space", "word", "nltk")] == ["space", "word:2", f"nltk:{nltk.__version__}"]


def test_equal_words_have_equal_numbers_in_all_texts():
    one, two = encode([("one", [["a", "b"], ["b", "<unk>", "a"]]), ("two", [["b"], []])])
    a, b, _ = one.ids[0]
    assert one.ids.tolist() == [[a, b, -1], [b, 0, a]]
    assert two.ids.tolist() == [[b], [-1]]
    assert one.lengths.tolist() == [2, 3]
    assert two.lengths.tolist() == [1, 0]
    assert (one.unknown, two.unknown) == (1, 0)
    assert one.masked.tolist() == [[a, b, -1], [b, -1, a]]
    assert len(one) == 2
    assert one[1:].ids.tolist() == [[b, 0, a]]
    assert one[np.array([1, 0])].lengths.tolist() == [3, 2]


def test_a_sequence_that_would_not_fit_is_refused(monkeypatch):
    monkeypatch.setattr(tokenizers, "LARGEST", 12)
    encode([("one", [["a"] * 4, ["a"]]), ("two", [["a"]])])
    with pytest.raises(UsageError, match=r"sequence 2 of two has 5 words; with 3 sequences .* at most 4 words"):
        encode([("one", [["a"]]), ("two", [["a"], ["a"] * 5])])


@given(st.text(st.characters(exclude_categories=["Cs"])), st.sampled_from(["word", "char", "space"]))
@settings(max_examples=500)
def test_words_of_any_text_are_seen_and_in_order(text, name):
    words = tokenizer(name)(text)
    assert not any(len(word.split()) != 1 for word in words)
    if name == "word":
        assert all(any(unicodedata.category(c) not in ("Cc", "Cf") for c in word) for word in words)
        seen = "".join(c for c in text if not c.isspace() and unicodedata.category(c) not in ("Cc", "Cf"))
        assert "".join(c for c in "".join(words) if unicodedata.category(c) not in ("Cc", "Cf")) == seen


@given(st.text(st.sampled_from("\U0001f1e9\U0001f1ea\U0001f1ebax\u0301\ufe0f\u200d\U0001f469"), max_size=12))
@settings(max_examples=500)
def test_clusters_are_unicodes(text):
    assert tokenizers.CLUSTER.findall(text) == regex.findall(r"\X", text)


def test_a_hostile_line_takes_no_longer_than_another():
    """Each is one part between white spaces, of a million characters or nearly; quadratic time would be hours."""
    for text, words in (("a" + "\u102b" * 10**6, 1), ("\U0001f1e9" * 10**6, 5 * 10**5), ("\u200d" * 10**6, 0)):
        assert len(tokenizer("word")(text)) == words
