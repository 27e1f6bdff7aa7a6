from __future__ import annotations

import builtins
from pathlib import Path

import numpy as np
import pytest

from bench import tokenizers
from bench.errors import UsageError
from bench.tokenizers import encode, signature, tokenizer

SOTU = Path(tokenizers.__file__).parent / "corpora" / "sotu" / "test.txt"


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
    words = pytest.importorskip("nltk.tokenize", reason="nltk is not installed").word_tokenize
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
        assert split(line) == words(line, preserve_line=True)


def test_a_missing_nltk_is_a_sentence(monkeypatch):
    real = builtins.__import__

    def refuse(name, *args, **kwargs):
        if name.startswith("nltk"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(UsageError, match="pip install nltk"):
        tokenizer("nltk")


def test_an_unknown_tokenizer_is_refused_with_the_nearest():
    with pytest.raises(UsageError, match=r"unknown tokenizer .wrod.\. Did you mean .word.\?"):
        tokenizer("wrod")


def test_signatures():
    nltk = pytest.importorskip("nltk", reason="nltk is not installed")
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
    with pytest.raises(UsageError, match=r"sequence 2 of two has 5 words; beside the 3 sequences .* at most 4 words"):
        encode([("one", [["a"]]), ("two", [["a"], ["a"] * 5])])
