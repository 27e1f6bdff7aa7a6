"""Text in another encoding than UTF-8: recognised as far as its bytes tell, and how to convert it."""

from __future__ import annotations

import codecs
import shlex
from collections.abc import Iterable
from pathlib import Path

from bench.data.packed import PACKED, is_packed

__all__ = ["conversion", "decoded_wrongly", "undecodable"]

MARKS = {
    # UTF-32's mark begins with that of UTF-16, so it is looked for first.
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}
UNMARKED = {4: ("UTF-32BE", "UTF-32LE"), 2: ("UTF-16BE", "UTF-16LE")}
"""Bytes of a unit to the encodings without a mark, in which a letter's first, or last, byte is not zero."""
MOSTLY = 0.7
"""Share of the units that must be a letter of ASCII: enough for a text with spaces and digits in a Latin script."""
FEWEST = 4
"""Letters from which on an encoding without a mark is told."""
CONTROLS = bytes(range(0x80, 0xA0))
"""Controls in ISO-8859-1, where no text has them; in Windows-1252 quotation marks, dashes and the euro sign."""


def decoded_wrongly(start: bytes) -> str | None:
    r"""The encoding of a file that is read as UTF-8 although it is UTF-16 or UTF-32, by its first bytes; else None.

    Example:
        >>> decoded_wrongly("\ufeffword".encode("utf-32-le"))
        'UTF-32'
        >>> decoded_wrongly("word".encode("utf-16-le"))
        'UTF-16LE'
    """
    for mark, encoding in MARKS.items():
        if start.startswith(mark):
            return encoding
    for width, (big, little) in UNMARKED.items():
        units = [start[i : i + width] for i in range(0, len(start) - width + 1, width)]
        for encoding, at in ((big, width - 1), (little, 0)):
            letters = sum(0 < unit[at] < 0x80 and unit.count(0) == width - 1 for unit in units)
            if letters >= max(FEWEST, MOSTLY * len(units)):
                return encoding
    return None


def undecodable(lines: Iterable[bytes]) -> tuple[int, str, str]:
    """What is known of a file that is not UTF-8.

    Args:
        lines: Its lines, as bytes.

    Returns:
        The number of the first line that is not UTF-8, counted as Python's text files count lines; the encoding to
        convert from; and what the file must be for that to be right, in words.
    """
    number, found, controls = 1, False, False
    for line in lines:
        try:
            line.decode()
        except UnicodeDecodeError as error:
            number += 0 if found else _breaks(line[: error.start])
            found = True
            controls = controls or any(byte in CONTROLS for byte in line)
        number += 0 if found else _breaks(line)
    others = "Chinese is likely GB18030, Japanese SHIFT_JIS, Cyrillic WINDOWS-1251"
    if controls:
        return number, "WINDOWS-1252", f"Windows-1252 ({others})"
    return number, "ISO-8859-1", f"Latin-1 ({others})"


def conversion(encoding: str, path: Path) -> str:
    """The command that converts a file to UTF-8."""
    source, plain = shlex.quote(str(path)), path.with_suffix("") if path.suffix.lower() == PACKED else path
    target = shlex.quote(f"{plain.with_suffix('')}.utf8{plain.suffix}")
    if is_packed(path):
        return f"convert it with: gzip -dc < {source} | iconv -f {encoding} -t UTF-8 > {target}"
    return f"convert it with: iconv -f {encoding} -t UTF-8 {source} > {target}"


def _breaks(text: bytes) -> int:
    return text.count(b"\n") + text.count(b"\r") - text.count(b"\r\n")
