"""English text to sentences and tokens by fixed rules: the same bytes in, the same bytes out, and no model to load."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

SHORTEST, LONGEST = 4, 32
"""Fewest and most tokens of a spoken sentence that is kept."""

PLAIN = str.maketrans({
    "‘": "'", "’": "'", "“": '"', "”": '"', "–": "-", "—": " -- ", "…": " ... ", "⁄": "/",
    "\N{NO-BREAK SPACE}": " ", "•": " ",
    "\N{SOFT HYPHEN}": "", "\N{ZERO WIDTH SPACE}": "", "\N{ZERO WIDTH NO-BREAK SPACE}": "",
})  # fmt: skip
"""Typographic characters to plain ones."""

NOTE = re.compile(r"\[[^\[\]]*\]|\((?:applause|laughter|cheers)[^()]*\)", re.IGNORECASE)
"""A note that an editor put into a speech."""
MENDED = re.compile(r"\[(?!laughter\]|applause\])([a-z]+)\]")
"""A word that an editor corrected, such as [on]: it is kept, because the sentence needs it."""

TITLES = frozenset({
    "adm", "capt", "co", "col", "corp", "cpl", "dr", "ft", "gen", "gov", "hon", "inc", "jr", "lt", "maj", "messrs",
    "mr", "mrs", "ms", "mt", "no", "pres", "prof", "rep", "rev", "sec", "sen", "sgt", "sr", "st", "vs",
})  # fmt: skip
"""Abbreviations whose full stop does not end a sentence."""
INITIALS = re.compile(r"(?:[A-Za-z]\.){0,2}[A-Za-z]")
"""One to three initials, before the last full stop: J, U.S, a.m."""
STOP = re.compile(r"[.!?]+[\"')]*(?=\s+[\"'(]*[A-Z0-9])")
"""A possible end of a sentence: a mark before what looks like the beginning of the next."""
LAST_WORD = re.compile(r"[A-Za-z.]*$")

CONTRACTION = re.compile(r"\b([a-z]+?)(n't|'s|'re|'ve|'ll|'d|'m)\b", re.IGNORECASE)
TOKEN = re.compile(
    r"(?<!\S)n't(?!\S)"
    r"|\$?\d+(?:[.,:]\d+)*(?:st|nd|rd|th|s)?%?"  # 1,000 3.5% $20 21st 1990s
    r"|(?:[A-Za-z]\.){2,}"  # u.s. a.m.
    r"|[A-Za-zÀ-ɏ]+(?:-[A-Za-zÀ-ɏ]+)*"  # words, also hyphenated ones such as well-known
    r"|'[A-Za-z]+|--|\.\.\.|[^\sA-Za-z0-9]"
)
QUOTES = ("'", '"', "''", "``")
STRANGE = re.compile(r"[^a-z0-9à-ž'$%.,:;?!()\-]")
"""Characters that a transcript of spoken English does not have."""


def clean(text: str) -> str:
    """One line of plain characters and single spaces, without editors' notes such as [Laughter] and (Applause.)."""

    def mended(note: re.Match[str]) -> str:
        word = MENDED.fullmatch(note.group())
        return word[1] if word else " "

    return " ".join(NOTE.sub(mended, text.translate(PLAIN)).split())


def sentences(paragraph: str) -> list[str]:
    """The sentences of a cleaned paragraph; the full stops of titles and initials do not end one.

    Example:
        ``sentences("Mr. Smith left. He ran!")`` is ``["Mr. Smith left.", "He ran!"]``.
    """
    begin, found = 0, []
    for stop in STOP.finditer(paragraph):
        if not _abbreviates(paragraph[begin : stop.start()], stop.group()):
            found.append(paragraph[begin : stop.end()].strip())
            begin = stop.end()
    found.append(paragraph[begin:].strip())
    return [sentence for sentence in found if sentence]


def _abbreviates(before: str, mark: str) -> bool:
    """Whether a mark is the full stop of the abbreviation before it."""
    if mark[0] != "." or mark[1:2] == ".":
        return False
    last = LAST_WORD.search(before)
    word = last.group() if last else ""
    return word.lower().rstrip(".") in TITLES or (word != "I" and INITIALS.fullmatch(word) is not None)


def tokens(sentence: str) -> list[str]:
    """Words, numbers and marks in lower case; ``n't`` and ``'s`` are tokens.

    Example:
        ``tokens("It isn't 5%.")`` is ``["it", "is", "n't", "5%", "."]``.
    """
    return TOKEN.findall(CONTRACTION.sub(r"\1 \2", sentence.lower()))


def spoken(paragraphs: Iterable[str]) -> Iterator[str]:
    """Sentences of a speech, each a line of 4 to 32 tokens.

    Sentences without a mark at their end, with strange characters, or with half a pair of brackets are left out: mostly
    headings and notes. Quotation marks are dropped, because a sentence often contains only one of a pair.
    """
    for paragraph in paragraphs:
        for sentence in sentences(clean(paragraph)):
            words = unquoted(tokens(sentence))
            complete = bool(words) and words[-1] in (".", "?", "!", "...") and words.count("(") == words.count(")")
            if complete and SHORTEST <= len(words) <= LONGEST and not any(map(STRANGE.search, words)):
                yield " ".join(words)


def unquoted(words: Iterable[str]) -> list[str]:
    """The words without quotation marks, half of which are often missing, and with dashes only between words."""
    kept: list[str] = []
    for word in words:
        if word in QUOTES or (word == "--" and (not kept or kept[-1] == "--")):
            continue
        if word in (".", "?", "!", ",") and kept and kept[-1] == "--":
            kept.pop()
        kept.append(word)
    while kept and kept[-1] == "--":
        kept.pop()
    return kept
