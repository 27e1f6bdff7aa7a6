"""Text files, one record at a time, in any of the formats: plain lines, CSV, TSV or JSON lines."""

from __future__ import annotations

import codecs
import csv
import io
import json
import shlex
import stat
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from functools import partial
from os import PathLike
from pathlib import Path
from typing import BinaryIO, Literal, TextIO

from bench.data.packed import PACKED, Unpacked, is_packed
from bench.errors import UsageError, unknown

LONGEST = 2**24
"""Most characters of a line or a CSV field. A longer one is not a sentence but another format, or an open quote."""
TABLES = {".csv": ",", ".tsv": "\t"}
JSON_LINES = (".jsonl", ".ndjson", ".json")
USUAL_COLUMN = "text"
"""The column to read where there are several and none is named."""
KINDS = {bool: "true or false", int: "a number", float: "a number", str: "a string", list: "a list"}


def read_lines(path: Path, column: str | None = None) -> Iterator[str]:
    """The text of every record of a file, also of blank ones, without its newline; never the entire file at once.

    The file name's extension decides how it is read. ``.csv`` and ``.tsv`` have a header; fields of CSV may be quoted,
    those of TSV are never, as in IANA's text/tab-separated-values. ``.jsonl``, ``.ndjson`` and ``.json`` contain one
    object, or one string, per line. All others are plain text, one record per line. Text is UTF-8, with or without a
    byte-order mark; lines end as on Unix, on Windows or on an old Macintosh. A newline inside a record becomes a space.
    A file that gzip packed, whatever its name, is read as what it holds; ``a.csv.gz`` holds CSV.

    Args:
        path: The file.
        column: Which column, or key, holds the text. None means the only one there is, or else the one called "text".

    Raises:
        UsageError: in one sentence, with the line's number where there is one: at once for a file that cannot be read,
            a folder, a binary file, another encoding, or a column of plain text; while reading for errors further down
            the file: a bad byte, a line that never ends, a missing column, a row that does not fit its header, a line
            that is not JSON, a value that is not text, or a packed file that is damaged or holds no text.

    Example:
        ``list(read_lines(Path("notes.csv"), "body"))``
    """
    _check_start(path)
    suffix = extension(path)
    if suffix in TABLES:
        return _table_column(path, column, TABLES[suffix])
    if suffix in JSON_LINES:
        return _json_values(path, column)
    if column is not None:
        raise UsageError(
            f"'{path}' is plain text and has no column '{column}': columns are read from .csv, .tsv and .jsonl files."
        )
    return (line.rstrip("\n") for line in _lines(path))


def check_column(column: str | None, files: Iterable[str | PathLike[str]]) -> None:
    """Refuse the name of a column where no file has columns.

    Raises:
        UsageError: if none of the files has them.
    """
    if column and not any(has_columns(Path(name)) for name in files):
        raise UsageError("a column goes with .csv, .tsv and .jsonl files, and none is given.")


def has_columns(path: Path) -> bool:
    """Whether a file's name says that its records have several parts, of which one must be the text."""
    return extension(path) in (*TABLES, *JSON_LINES)


def extension(path: Path) -> str:
    """The end of a file's name that says how its records are read, in lower case: that before ``.gz``, if it has one.

    Example:
        >>> extension(Path("samples.CSV.gz"))
        '.csv'
    """
    suffix = path.suffix.lower()
    return Path(path.stem).suffix.lower() if suffix == PACKED else suffix


def one_line(text: str) -> str:
    """A record's text with spaces for newlines."""
    return text.replace("\r\n", " ").replace("\n", " ").replace("\r", " ")


def _check_start(path: Path) -> None:
    """Refuse anything but a file of UTF-8 text before its first record is read."""
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise UsageError(f"expected a file, got the folder '{path}'.")
        if not stat.S_ISREG(mode):  # it would be read more than once
            raise UsageError(f"expected a file, got the pipe or device '{path}': write it to a file first.")
        with _bytes(path) as file:
            start = file.read(2**13)
    except OSError as error:
        raise UsageError(f"cannot read '{path}': {error.strerror}.") from error
    except ValueError as error:  # a NUL in the name
        raise UsageError(f"cannot read {str(path)!r}: {error}.") from error
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise UsageError(f"'{path}' is UTF-16, expected UTF-8; {_conversion('UTF-16', path)}")
    if b"\0" in start:
        raise _binary(path, start[: start.index(b"\0")].count(b"\n") + 1)


def _lines(path: Path) -> Generator[str, None, None]:
    """Decoded lines, each with its newline, except perhaps the last."""
    with io.TextIOWrapper(_bytes(path), encoding="utf-8-sig") as file:
        try:
            yield from _checked_lines(path, file)
        except UnicodeDecodeError as error:
            number = _undecodable_line(path)
            raise UsageError(
                f"line {number} of '{path}' is not UTF-8; if it is Latin-1 (Chinese is likely GB18030), "
                f"{_conversion('ISO-8859-1', path)}"
            ) from error


def _bytes(path: Path) -> BinaryIO:
    """The bytes of a file, unpacked where gzip packed it."""
    return io.BufferedReader(Unpacked(path), 2**16) if is_packed(path) else path.open("rb")


def _checked_lines(path: Path, file: TextIO) -> Iterator[str]:
    for number, line in enumerate(iter(partial(file.readline, LONGEST), ""), 1):
        if len(line) == LONGEST and line[-1] != "\n":
            raise UsageError(f"line {number} of '{path}' has over {LONGEST:,} characters: expected one record a line.")
        if "\0" in line:
            raise _binary(path, number)
        yield line


def _undecodable_line(path: Path) -> int:
    """The number of the first line that is not UTF-8, counted as Python's text files count lines."""
    number = 1
    with _bytes(path) as file:
        for line in file:
            try:
                line.decode()
            except UnicodeDecodeError as error:
                return number + _breaks(line[: error.start])
            number += _breaks(line)
    return number


def _breaks(text: bytes) -> int:
    return text.count(b"\n") + text.count(b"\r") - text.count(b"\r\n")


def _binary(path: Path, line: int) -> UsageError:
    return UsageError(f"'{path}' is binary: line {line} holds a NUL byte, expected UTF-8 text.")


def _conversion(encoding: str, path: Path) -> str:
    source, plain = shlex.quote(str(path)), path.with_suffix("") if path.suffix.lower() == PACKED else path
    target = shlex.quote(f"{plain.with_suffix('')}.utf8{plain.suffix}")
    if is_packed(path):
        return f"convert it with: gzip -dc < {source} | iconv -f {encoding} -t UTF-8 > {target}"
    return f"convert it with: iconv -f {encoding} -t UTF-8 {source} > {target}"


def _table_column(path: Path, column: str | None, delimiter: str) -> Iterator[str]:
    csv.field_size_limit(LONGEST)
    quoting: Literal[0, 3] = csv.QUOTE_NONE if delimiter == "\t" else csv.QUOTE_MINIMAL
    lines = _lines(path)
    rows = csv.reader(lines, delimiter=delimiter, quoting=quoting, strict=True)
    try:
        header = next(rows, None)
        if not header:
            raise UsageError(f"'{path}' has no header: expected the names of its columns in its first line.")
        index = header.index(_column(path, column, header))
        for row in rows:
            if row and len(row) != len(header):
                where = f"line {rows.line_num} of '{path}'"
                raise UsageError(f"expected {len(header)} fields in {where}, as in its header, got {len(row)}.")
            yield one_line(row[index]) if row else ""
    except csv.Error as error:
        raise UsageError(f"line {rows.line_num} of '{path}' is not CSV: {error}.") from error
    finally:
        lines.close()


def _json_values(path: Path, column: str | None) -> Iterator[str]:
    with closing(_lines(path)) as lines:
        for number, line in enumerate(lines, 1):
            yield _json_value(path, column, number, line)


def _json_value(path: Path, column: str | None, number: int, line: str) -> str:
    if not line.strip():
        return ""
    where = f"line {number} of '{path}'"
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{where} is not JSON: expected one object a line.") from error
    if isinstance(value, dict):
        name = _column(path, column, list(value), number)
        value, what = value[name], f"'{name}'"
    elif column is not None:
        raise UsageError(f"expected an object with '{column}' in {where}, got {_kind(value)}.")
    else:
        what = "the record"
    if not isinstance(value, str):
        raise UsageError(f"expected text for {what} in {where}, got {_kind(value)}.")
    if not value.isascii() and not _is_text(value):
        raise UsageError(f"{what} in {where} holds half a surrogate pair, which is not text.")
    return one_line(value)


def _column(path: Path, column: str | None, names: list[str], line: int = 1) -> str:
    """The name of the requested column, which must occur exactly once."""
    if column is None:
        column = names[0] if len(names) == 1 else USUAL_COLUMN
        if column not in names:
            raise UsageError(
                f"'{path}' has several columns: choose one of {', '.join(names)} with --column, or with column= in "
                "Python and after text:."
            )
    if column not in names:
        raise UsageError(f"line {line} of '{path}': {unknown('column', column, names)}")
    if names.count(column) > 1:
        raise UsageError(f"'{path}' has {names.count(column)} columns called '{column}': expected one.")
    return column


def _kind(value: object) -> str:
    return "null" if value is None else KINDS.get(type(value), "an object")


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
