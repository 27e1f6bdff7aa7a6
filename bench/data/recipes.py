"""Recipes for the downloaded corpora: one function each, from the raw files to the lines of the splits."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from bench.data import english
from bench.data.splits import Splits, assign, bucket

Watch = Callable[[str, int, int | None], None]
"""Called with the current activity, how much of it is done, and the total, if that is known."""
Recipe = Callable[[Sequence[Path], Watch], Mapping[str, Splits]]
"""From raw files, in the order of the pins, to the splits of one corpus or two."""

PRESIDENT = ("THE PRESIDENT", "PRESIDENT OBAMA", "SENATOR OBAMA", "BARACK OBAMA", "MR. OBAMA", "OBAMA")
VOICE = re.compile(r"(?:(Q)\b[:.]?|([A-Z][A-Z.' -]+):)\s+")
"""A transcript's label of who speaks: Q for a question from the press, otherwise capitals and a colon."""

POEM, VERSE = 20, 5
"""Characters of a quatrain and of one of its lines."""


def coco_captions(files: Sequence[Path], watch: Watch) -> Mapping[str, Splits]:
    """Captions, tokenized again, because the file leaves full stops attached to words; quotation marks dropped."""
    train, test = ([" ".join(english.unquoted(english.tokens(line))) for line in _lines(file)] for file in files)
    return {"coco-captions": _held_out(train, test)}


def emnlp_news(files: Sequence[Path], watch: Watch) -> Mapping[str, Splits]:
    """Sentences of news, in the file's own tokens."""
    train, test = (map(_spaced, _lines(file)) for file in files)
    return {"emnlp-news": _held_out(train, test)}


def nottingham(files: Sequence[Path], watch: Watch) -> Mapping[str, Splits]:
    """Tunes as pitches on a grid, and as phrases."""
    from bench.data import tunes

    found: list[tunes.Tune] = []
    for done, file in enumerate(sorted(files)):
        watch("reading tunes", done, len(files))
        found += tunes.read_tunes(file)
    splits = tunes.split_tunes(found)
    return {"nottingham": splits["grid"], "nottingham-phrases": splits["phrases"]}


def obama(files: Sequence[Path], watch: Watch) -> Mapping[str, Splits]:
    """Sentences of 4 to 32 tokens that the president spoke."""
    sentences = (line for file in files for line in english.spoken(presidents(_lines(file))))
    return {"obama": assign((line, line) for line in sentences)}


def presidents(paragraphs: Iterable[str]) -> Iterator[str]:
    """The president's paragraphs in a transcript, without the labels of who speaks.

    Paragraphs after a question, up to the next label, belong to it; after any other speaker the president goes on.

    Example:
        ``THE PRESIDENT: Thank you.`` gives ``Thank you.``, and ``AUDIENCE: Yes!`` nothing.
    """
    asked = False
    for paragraph in paragraphs:
        spoken = paragraph.strip().translate(english.PLAIN)
        voice = VOICE.match(spoken)
        if voice:
            asked = voice[1] is not None
        if not asked and (not voice or voice[2] in PRESIDENT):
            yield spoken[voice.end() :] if voice else spoken


def ptb(files: Sequence[Path], watch: Watch) -> Mapping[str, Splits]:
    """Sentences in Mikolov's 10,000 words and in the usual split; ``<unk>`` and ``N`` for a number are in the files."""
    train, valid, test = ([line for line in map(_spaced, _lines(file)) if line] for file in files)
    return {"ptb": {"train": train, "valid": valid, "test": test}}


def rnnpg(files: Sequence[Path], watch: Watch) -> Mapping[str, Splits]:
    """Quatrains in their authors' split, without those that have lost a character, ``<R>``."""
    train, valid, test = ([line for line in map(_spaced, _lines(file)) if line and "<R>" not in line] for file in files)
    return {"rnnpg": {"train": train, "valid": valid, "test": test}}


def texygen_shi(files: Sequence[Path], watch: Watch) -> Mapping[str, Splits]:
    """Poems of twenty characters without their marks; valid and test share no five-character line with train.

    A Latin letter, such as the ``ē`` that the file has, stands where a character was lost.
    """
    poems = ("".join(filter(str.isalnum, line)) for file in files for line in _lines(file))
    splits = assign((poem, poem) for poem in poems if len(poem) == POEM and not any(map(_is_latin, poem)))
    known = {verse for poem in splits["train"] for verse in _verses(poem)}
    return {
        "texygen-shi": {
            split: [" ".join(poem) for poem in lines if split == "train" or known.isdisjoint(_verses(poem))]
            for split, lines in splits.items()
        }
    }


RECIPES: Mapping[str, Recipe] = {
    "coco-captions": coco_captions,
    "emnlp-news": emnlp_news,
    "nottingham": nottingham,
    "obama": obama,
    "ptb": ptb,
    "rnnpg": rnnpg,
    "texygen-shi": texygen_shi,
}


def _lines(file: Path) -> Iterator[str]:
    with file.open(encoding="utf-8") as stream:
        yield from stream


def _spaced(line: str) -> str:
    return " ".join(line.split())


def _is_latin(letter: str) -> bool:
    return unicodedata.name(letter, "").startswith("LATIN ")


def _verses(poem: str) -> list[str]:
    return [poem[begin : begin + VERSE] for begin in range(0, len(poem), VERSE)]


def _held_out(train: Iterable[str], test: Iterable[str]) -> Splits:
    """A corpus with its own test split: a tenth of train is valid; no line occurs twice, and none of test in train."""
    known = dict.fromkeys(line for line in train if line)
    return {
        "train": [line for line in known if bucket(line) != 0],
        "valid": [line for line in known if bucket(line) == 0],
        "test": [line for line in dict.fromkeys(test) if line and line not in known],
    }
