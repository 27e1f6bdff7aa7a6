from __future__ import annotations

import random
from pathlib import Path

import nltk
import numpy as np
import pytest
from nltk.tokenize import word_tokenize

import bench
from bench.errors import UsageError
from bench.metrics.text import tokenizers
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


def test_an_unknown_tokenizer_is_refused_with_the_nearest():
    with pytest.raises(UsageError, match=r"unknown tokenizer .wrod.\. Did you mean .word.\?"):
        tokenizer("wrod")


def test_signatures():
    assert [signature(name) for name in ("space", "word", "nltk")] == ["space", "word:1", f"nltk:{nltk.__version__}"]


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
