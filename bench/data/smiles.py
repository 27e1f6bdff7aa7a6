"""SMILES, the line notation of molecules (Weininger 1988): how its text is split into tokens.

A token is an atom in brackets, such as ``[nH]``, one of the two elements of two letters that need no brackets, ``Br``
and ``Cl``, the number of a ring above nine, ``%12`` or ``%(123)``, or else one character. Nothing is lost: the tokens
of any text, joined, are the text, whether it is a molecule or not.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

__all__ = ["has_more", "is_token", "tokens", "words"]

TOKEN = re.compile(r"<unk>|\[[^\[\]]+\]|Br|Cl|%\d\d|%\(\d+\)|.", re.DOTALL)
"""``<unk>`` stands for a token that a task does not know: it is no SMILES, and no molecule has it."""


def tokens(text: str) -> list[str]:
    """The tokens of a text without white space.

    Example:
        >>> tokens("Clc1cc[nH]c1")
        ['Cl', 'c', '1', 'c', 'c', '[nH]', 'c', '1']
    """
    return TOKEN.findall(text)


def is_token(part: str) -> bool:
    """Whether this is exactly one token."""
    return TOKEN.fullmatch(part) is not None


def words(parts: Sequence[str]) -> list[str]:
    """The tokens of a line, from what stands between its white spaces.

    A molecule may be written as a whole, as chemists do, or with spaces between its tokens, as the corpora that ship do
    and ``bench sample`` writes them. Anything else is read as one text, without its spaces.

    Example:
        >>> words(["CCO"]) == words(["C", "C", "O"]) == ["C", "C", "O"]
        True
    """
    return list(parts) if all(map(is_token, parts)) else tokens("".join(parts))


def has_more(parts: Sequence[str]) -> bool:
    """Whether a line has something beside a molecule, such as the name that many files have after it."""
    return len(parts) > 1 and not all(map(is_token, parts))
