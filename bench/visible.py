"""Text from elsewhere, such as samples, names of files and reasons, as it may be shown or written into a table.

A sample can hold whatever a model or a file holds: codes that a terminal obeys, marks that turn the direction of what
follows, or a formula that a spreadsheet would compute. None of it does anything here; it is seen instead.
"""

from __future__ import annotations

import re
from typing import TypeVar

__all__ = ["cell", "uncell", "visible"]

Value = TypeVar("Value")

PICTURES, DELETE = 0x2400, 0x7F
"""Where Unicode has pictures of the first 32 controls, and the control after ASCII's last letter."""
OBEYED = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # controls, but for tab and newline
    "\u202a-\u202e\u2066-\u2069]"  # directions that hold until they are ended
)
FORMULA = re.compile(r"'*[=+\-@\t\r\n＝＋－＠]")  # wide ones count in Japanese
"""How a text begins that a spreadsheet computes, or that was written so that none does."""


def visible(text: str) -> str:
    r"""The text with a picture, or the code, of everything that a terminal or a page would obey; lines are kept.

    Example:
        >>> visible("a\x1b[31mred\u202e")
        'a␛[31mred<U+202E>'
    """
    return text if text.isprintable() else OBEYED.sub(_picture, text)


def _picture(found: re.Match[str]) -> str:
    code = ord(found[0])
    if code < ord(" "):
        return chr(PICTURES + code)
    return "␡" if code == DELETE else f"<U+{code:04X}>"


def cell(value: Value) -> Value | str:
    """A value of a table that programs and spreadsheets read: of a text, none is a formula; all else stays as it is.

    An apostrophe in front, which spreadsheets do not show, makes it text.

    Example:
        >>> cell("=1+1"), cell("-0.5"), cell("a"), cell(2)
        ("'=1+1", '-0.5', 'a', 2)
    """
    if not isinstance(value, str):
        return value
    return f"'{visible(value)}" if FORMULA.match(value) and not _is_number(value) else visible(value)


def uncell(text: str) -> str:
    """What :func:`cell` was given, as far as that was visible."""
    return text[1:] if text.startswith("'") and FORMULA.match(text) else text


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
