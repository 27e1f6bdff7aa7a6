"""How a line of text becomes words, and how words become numbers."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from itertools import chain, count
from typing import Any

import numpy as np
import regex

from bench.data import smiles
from bench.data.notation import SPACE
from bench.errors import UsageError, unknown
from bench.metrics.sequences import UNKNOWN, UNKNOWN_ID, Tokens

__all__ = ["PACKAGES", "TOKENIZERS", "encode", "signature", "tokenizer"]

Tokenizer = Callable[[str], list[str]]

WORD = re.compile(
    r"""
    <unk>
    | \d+ (?: [.,:] \d+ )+     # 1,000   3.14   11:44
    | \w+ (?: ['’-] \w+ )*     # word   don't   twenty-one   1990s
    | \S                       # any other character by itself
    """,
    re.VERBOSE,
)
VERSIONS = {"word": 2, "char": 2, "smiles": 1}
"""Increased with every change of a rule of our own, since it is part of signatures."""
PLAIN = re.compile(r"[A-Za-z0-9 ]*\.? *")
CHARACTER = re.compile(rf"<unk>|[^\s{SPACE}]")
CLUSTER = regex.compile(r"[\U0001F1E6-\U0001F1FF]{2}[\p{M}\u200d]*|\X")
"""Extended grapheme clusters; of flags, two letters each, \\X alone would look back over all before it."""
INVISIBLE = ("Cc", "Cf")
"""Unicode's categories of controls and formats: joiners, soft hyphens, marks of direction or of byte order."""
BREAK = "\u200b"
"""The one format that separates words: the zero-width space, of scripts that show no spaces."""
LARGEST = 40_000_000
"""Positions in all sequences, short ones padded to the longest: 1 GB while they are scored, if most are short."""


def _nltk() -> Tokenizer:
    from nltk.tokenize.destructive import NLTKWordTokenizer

    split: Any = NLTKWordTokenizer()

    def words(text: str) -> list[str]:
        if PLAIN.fullmatch(text):
            spaced = f" {text.replace('.', ' .')} "  # as nltk has it by the time it looks for "wanna"
            if not any(pattern.search(spaced) for pattern in split.CONTRACTIONS2):
                return spaced.split()  # nltk's forty substitutions would find nothing else to do
        return list(split.tokenize(text))

    return words


def _13a() -> Tokenizer:
    try:
        from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a
    except ImportError as error:
        raise _not_installed("13a") from error
    made: Any = Tokenizer13a  # its methods have no types
    split = made()
    return lambda text: list(split(text).split())


def _zh() -> Tokenizer:
    try:
        from sacrebleu.tokenizers.tokenizer_zh import TokenizerZh
    except ImportError as error:
        raise _not_installed("zh") from error
    made: Any = TokenizerZh
    split = made()
    return lambda text: list(split(text).split())


def _not_installed(name: str) -> UsageError:
    return UsageError(
        f"tokenizer {name} is sacreBLEU's, whose package is not installed: install it with "
        "python -m pip install 'seqgan-bench[sacrebleu]', or take another tokenizer."
    )


class _Parts(dict[str, tuple[str, ...]]):
    """What stands between two white spaces to its words; found once each, for most texts repeat themselves."""

    def __missing__(self, part: str) -> tuple[str, ...]:
        shape, clusters = (part, list(part)) if part.isascii() and part.isprintable() else _clusters(part)
        found = (found.span() for found in WORD.finditer(shape))
        self[part] = words = tuple("".join(clusters[start:end]) for start, end in found)
        return words


def _clusters(part: str) -> tuple[str, list[str]]:
    """What a reader sees as characters, and one character of each by which the rule for words knows it.

    They are Unicode's extended grapheme clusters (UAX 29), with two additions: a mark that it leaves alone joins the
    character before it, and formats and controls that stand by themselves are left out.
    """
    bases: list[str] = []
    clusters: list[list[str]] = []
    for cluster in CLUSTER.findall(part):
        base = next((character for character in cluster if unicodedata.category(character) not in INVISIBLE), "")
        if base and bases and bases[-1] != " " and unicodedata.category(base)[0] == "M":
            clusters[-1].append(cluster)
        elif base or cluster == BREAK:
            bases.append(base or " ")
            clusters.append([cluster])
    return "".join(bases), list(map("".join, clusters))


def _word() -> Tokenizer:
    words_of = _Parts().__getitem__
    return lambda text: list(chain.from_iterable(map(words_of, text.split())))


TOKENIZERS: dict[str, Callable[[], Tokenizer]] = {
    "word": _word,
    "char": lambda: CHARACTER.findall,
    "space": lambda: str.split,
    "nltk": _nltk,
    "13a": _13a,
    "zh": _zh,
    "smiles": lambda: lambda line: smiles.words(line.split()),
}
PACKAGES = {"nltk": "nltk", "13a": "sacrebleu", "zh": "sacrebleu"}
"""Tokenizer to the package that it is from. They know no ``<unk>``, and split it into three words."""


def tokenizer(name: str) -> Tokenizer:
    """The function that splits a line into words.

    ``word`` yields words, with the parts that apostrophes and hyphens join, numbers, and every other sign by itself. A
    combining mark belongs to the character before it, and what is invisible is no word (a zero-width space separates
    two). ``char`` yields every character, by code point, that is neither white space nor ▁, as which ``bench sample``
    writes a space that is a word of its task. ``space`` splits at white space, for text that has been
    tokenized already, such as the corpora that ship and what their models write. ``nltk`` is nltk's word tokenizer as
    it is without downloaded data: a line is one sentence, so that a full stop is split off only at its end. ``13a`` and
    ``zh`` are sacreBLEU's (Post 2018), from its package: the former does as NIST's mteval-v13a, the latter so, too, but
    for Chinese characters, each of which is a word. ``smiles`` splits a molecule into the tokens of its SMILES,
    :mod:`bench.data.smiles`. All distinguish upper and lower case. ``<unk>`` is one word for our own, the first three
    and ``smiles``; the others split it.

    Args:
        name: One of the seven.

    Raises:
        UsageError: for another name, and without sacreBLEU's package for its tokenizers.

    Example:
        >>> tokenizer("word")("They don't pay $1,000, do they?")
        ['They', "don't", 'pay', '$', '1,000', ',', 'do', 'they', '?']
    """
    if name not in TOKENIZERS:
        raise unknown("tokenizer", name, TOKENIZERS)
    return TOKENIZERS[name]()


def signature(name: str) -> str:
    """The tokenizer's name, and its version where that matters: of the rule for words, or of a package."""
    if name not in PACKAGES:
        return f"{name}:{VERSIONS[name]}" if name in VERSIONS else name
    from importlib.metadata import version

    package = PACKAGES[name]
    return f"{name}:{version(package)}" if name == package else f"{name}:{package}-{version(package)}"


def encode(texts: Iterable[tuple[str, Sequence[Sequence[str]]]], symbols: list[str] | None = None) -> list[Tokens]:
    """Number the words of several texts together; every word gets a number of its own.

    Args:
        texts: For each text a name, for error messages, and its sequences of words, at least one; any may be empty.
        symbols: Where the word of every number is put, in their order; None where nobody wants them.

    Raises:
        UsageError: for a sequence so long that the texts would not fit into memory.
    """
    ids: defaultdict[str, int] = defaultdict(count(UNKNOWN_ID).__next__)
    ids[UNKNOWN]  # the first to be numbered
    encoded = []
    texts = list(texts)
    rows = sum(len(sequences) for _, sequences in texts)
    for name, sequences in texts:
        lengths = np.fromiter(map(len, sequences), dtype=np.int64, count=len(sequences))
        longest = int(lengths.max())
        if rows * longest > LARGEST:
            raise UsageError(
                f"sequence {int(lengths.argmax()) + 1} of {name} has {longest:,} words; with {rows:,} sequences to "
                f"score, at most {LARGEST // rows:,} words each fit into memory: expected one sample a line."
            )
        flat = np.fromiter(
            map(ids.__getitem__, chain.from_iterable(sequences)), dtype=np.int64, count=int(lengths.sum())
        )
        tokens = np.full((len(sequences), longest), -1, dtype=np.int64)
        tokens[np.arange(longest) < lengths[:, None]] = flat
        encoded.append(Tokens(tokens, lengths))
    if symbols is not None:
        symbols.extend(ids)
    return encoded
