"""Text files, one record at a time, in any of the formats: plain lines, CSV, TSV or JSON lines."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import re
import shlex
import stat
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from functools import partial
from itertools import islice
from os import PathLike
from pathlib import Path
from typing import Any, BinaryIO, Literal, NamedTuple, TextIO

from bench.data.encoding import conversion, decoded_wrongly, undecodable
from bench.data.packed import PACKED, Unpacked, is_packed
from bench.errors import UsageError, unknown

LONGEST = 2**24
"""Most characters of a line or a CSV field. A longer one is not a sentence but another format, or an open quote."""
START = 2**13
"""Bytes by which a file is judged before it is read."""
TABLES = {".csv": ",", ".tsv": "\t"}
STATED = re.compile(r"sep=([,;\t|])", re.IGNORECASE)
"""The first line of a table that a spreadsheet wrote for itself."""
DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
"""What stands between the columns of a table, whatever its file is called."""
JSON_LINES = (".jsonl", ".ndjson", ".json")
USUAL_COLUMN = "text"
"""The column to read where there are several and none is named."""
KINDS = {bool: "true or false", int: "a number", float: "a number", str: "a string", list: "a list"}


def read_lines(path: Path, column: str | None = None) -> Iterator[str]:
    """The text of every record of a file, also of blank ones, without its newline; never the entire file at once.

    The file name's extension decides how it is read. ``.csv`` and ``.tsv`` have a header; fields of CSV may be quoted,
    those of TSV are never, as in IANA's text/tab-separated-values. Where the header has no comma, or no tab, but
    semicolons, bars, tabs or commas, and the first record as many of them, these separate the columns
    (:func:`remarks` says so). ``.jsonl``, ``.ndjson`` and ``.json`` contain one object per line, or one string per
    line; the first decides which, and under which key the text is. All others are plain text, one record per line. Text
    is UTF-8, with or without a byte-order mark; lines end as on Unix, on Windows or on an old Macintosh. A newline
    inside a record becomes a space. A file that gzip packed is unpacked, whatever its name; ``a.csv.gz`` holds CSV.

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
        return _table_column(path, column)
    if suffix in JSON_LINES:
        return _json_values(path, column)
    if column is not None:
        raise UsageError(
            f"'{path}' is plain text and has no column '{column}': columns are read from .csv, .tsv and .jsonl files."
        )
    return (line.rstrip("\n") for line in _lines(path))


def remarks(path: Path, column: str | None = None) -> Iterator[str]:
    """What to know about how a file that can be read is read, in sentences."""
    suffix = extension(path)
    if suffix not in TABLES:
        return
    delimiter, quoting, skipped = _dialect(path)
    if delimiter != TABLES[suffix]:
        yield f"{path.name}: its columns are separated by {DELIMITERS[delimiter]}, and are read so."
    with closing(_lines(path)) as lines:
        names = next(csv.reader(islice(lines, skipped, None), delimiter=delimiter, quoting=quoting), [])
    if column is None and len(names) == 1 and len(names[0].split()) > 1:
        yield (
            f"{path.name}: its first line, '{names[0]}', is read as the name of its only column; a file without such a "
            "name is plain text, and is called .txt."
        )


def decoded(content: bytes, name: str) -> list[str]:
    """The lines of plain text that came as bytes, as :func:`read_lines` reads those of a file.

    Args:
        content: The bytes.
        name: What messages call it.

    Raises:
        UsageError: as :func:`read_lines`.
    """
    _check_text(content[:START], name, None)
    with io.TextIOWrapper(io.BytesIO(content), encoding="utf-8-sig") as file:
        try:
            return [line.rstrip("\n") for line in _checked_lines(name, file)]
        except UnicodeDecodeError as error:
            number, encoding, likely = undecodable(io.BytesIO(content))
            convert = f"convert it with: iconv -f {encoding} -t UTF-8"
            raise UsageError(f"line {number} of {name} is not UTF-8; if it is {likely}, {convert}") from error


def check_text(text: str, what: str) -> None:
    """Refuse a string that no file of text can hold.

    Raises:
        UsageError: for a NUL character, or half a surrogate pair.
    """
    if "\0" in text:
        raise UsageError(f"{what} holds a NUL character, which is not text.")
    if not text.isascii() and not _is_text(text):
        raise UsageError(f"{what} holds half a surrogate pair, which is not text.")


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


def layout(path: Path) -> str:
    """What decides how a file's records are found: its extension, and what separates its columns if not the usual.

    Example:
        ``.csv`` for commas, ``.csv;`` for semicolons.
    """
    suffix = extension(path)
    if suffix not in TABLES:
        return suffix
    delimiter = _dialect(path).delimiter
    return suffix if delimiter == TABLES[suffix] else suffix + delimiter


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
            start = file.read(START)
    except OSError as error:
        raise UsageError(f"cannot read '{path}': {error.strerror}.") from error
    except ValueError as error:  # a NUL in the name
        raise UsageError(f"cannot read {str(path)!r}: {error}.") from error
    _check_text(start, f"'{path}'", path)


def _check_text(start: bytes, name: str, path: Path | None) -> None:
    """Refuse what is not UTF-8 text by its first bytes; only a file has a path."""
    if encoding := decoded_wrongly(start):
        convert = conversion(encoding, path) if path else f"convert it with: iconv -f {encoding} -t UTF-8"
        raise UsageError(f"{name} is {encoding}, expected UTF-8; {convert}")
    if b"\0" in start:
        raise _binary(name, start[: start.index(b"\0")].count(b"\n") + 1)


def _lines(path: Path) -> Generator[str, None, None]:
    """Decoded lines, each with its newline, except perhaps the last."""
    with io.TextIOWrapper(_bytes(path), encoding="utf-8-sig") as file:
        try:
            yield from _checked_lines(f"'{path}'", file)
        except UnicodeDecodeError as error:
            with _bytes(path) as again:
                number, encoding, likely = undecodable(again)
            raise UsageError(
                f"line {number} of '{path}' is not UTF-8; if it is {likely}, {conversion(encoding, path)}"
            ) from error


def _bytes(path: Path) -> BinaryIO:
    """The bytes of a file, unpacked where gzip packed it."""
    return io.BufferedReader(Unpacked(path), 2**16) if is_packed(path) else path.open("rb")


def _checked_lines(name: str, file: TextIO) -> Iterator[str]:
    for number, line in enumerate(iter(partial(file.readline, LONGEST), ""), 1):
        if len(line) == LONGEST and line[-1] != "\n":
            raise UsageError(f"line {number} of {name} has over {LONGEST:,} characters: expected one record a line.")
        if "\0" in line:
            raise _binary(name, number)
        yield line


def _binary(name: str, line: int) -> UsageError:
    return UsageError(f"{name} is binary: line {line} holds a NUL byte, expected UTF-8 text.")


class Dialect(NamedTuple):
    """How a table is written: what separates its columns, whether they may be quoted, and lines before its header."""

    delimiter: str
    quoting: Literal[0, 3]
    skipped: int


def _dialect(path: Path) -> Dialect:
    """How a table is written, by its first line and its first record."""
    usual = TABLES[extension(path)]
    with closing(_lines(path)) as lines:
        stated = STATED.fullmatch(next(lines, "").rstrip("\n"))
    if stated:
        return Dialect(stated[1], csv.QUOTE_MINIMAL, 1)
    fitting = [delimiter for delimiter in DELIMITERS if _separates(path, delimiter)]
    if len(fitting) > 1:
        found = " and ".join(DELIMITERS[other] for other in fitting)
        raise UsageError(
            f"line 1 of '{path}' can be parted by {found}, and so can the line after it: expected one kind of them."
        )
    delimiter = fitting[0] if fitting else usual
    return Dialect(delimiter, csv.QUOTE_NONE if delimiter == usual == "\t" else csv.QUOTE_MINIMAL, 0)


def _separates(path: Path, delimiter: str) -> bool:
    """Whether the header has several columns by this separator, and the first record as many."""
    with closing(_lines(path)) as lines, contextlib.suppress(csv.Error):
        rows = filter(None, _rows(lines, delimiter))
        header = next(rows, [])
        return len(header) > 1 and len(next(rows, header)) == len(header)
    return False


def _rows(lines: Iterable[str], delimiter: str) -> Iterator[list[str]]:
    csv.field_size_limit(LONGEST)
    quoting: Literal[0, 3] = csv.QUOTE_NONE if delimiter == "\t" else csv.QUOTE_MINIMAL
    return csv.reader(lines, delimiter=delimiter, quoting=quoting)


def _table_column(path: Path, column: str | None) -> Iterator[str]:
    csv.field_size_limit(LONGEST)
    delimiter, quoting, skipped = _dialect(path)
    lines = _lines(path)
    rows = csv.reader(islice(lines, skipped, None), delimiter=delimiter, quoting=quoting, strict=True)
    try:
        header = next(rows, None)
        if not header:
            raise UsageError(f"'{path}' has no header: expected the names of its columns in its first line.")
        index = header.index(_column(path, column, header))
        glued = [] if column or len(header) > 1 else [other for other in DELIMITERS if other in header[0]]
        for row in rows:
            if row and len(row) != len(header):
                where = f"line {rows.line_num + skipped} of '{path}'"
                apart = "" if delimiter == TABLES[extension(path)] else f" separated by {DELIMITERS[delimiter]}"
                raise UsageError(f"expected {len(header)} fields{apart} in {where}, as in its header, got {len(row)}.")
            if row and (inside := [other for other in glued if row[0].count(other) == header[0].count(other)]):
                raise UsageError(
                    f"line 1 of '{path}' names one column, '{one_line(header[0])}', which looks like several with "
                    f"{DELIMITERS[inside[0]]} between them, as in line {rows.line_num}: expected no quotation marks "
                    "around all of them, or that name with --column."
                )
            glued = [] if row else glued  # one record tells
            yield one_line(row[index]) if row else ""
    except csv.Error as error:
        raise UsageError(f"line {rows.line_num + skipped} of '{path}' is not CSV: {error}.") from error
    finally:
        lines.close()


def _json_values(path: Path, named: str | None) -> Iterator[str]:
    kind: type | None = None
    column = named
    with closing(_lines(path)) as lines:
        for number, line in enumerate(lines, 1):
            where = f"line {number} of '{path}'"
            if not line.strip():
                yield ""
                continue
            begun = line.strip()
            if kind is None and (begun.startswith("[") or begun == "{"):
                what, each = ("array", ".[]") if begun != "{" else ("object of several lines", ".")
                lines_of = shlex.quote(str(path.with_suffix(".lines.jsonl")))
                raise UsageError(
                    f"{where} begins a JSON {what}, expected one object a line; convert it with: jq -c '{each}' "
                    f"{shlex.quote(str(path))} > {lines_of}"
                )
            try:
                value = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise UsageError(f"{where} is not JSON: expected one object a line.") from error
            if named is None and isinstance(value, dict):
                if kind is None:
                    column = _column(path, None, list(value), number)
                elif kind is not dict:
                    raise UsageError(f"expected a string in {where}, as in the lines before it, got an object.")
                elif column != USUAL_COLUMN and USUAL_COLUMN in value:
                    raise UsageError(
                        f"{where} has the key '{USUAL_COLUMN}', and the first record has '{column}' alone: choose one "
                        "with --column, or with column= in Python and after text:."
                    )
            kind = kind or type(value)
            if column and line.count(json.dumps(column)) > 1 and _repeats(line, column):
                raise UsageError(f"{where} has the key '{column}' twice: expected it once.")
            yield _json_text(value, column, where)


def _repeats(line: str, key: str) -> bool:
    """Whether an object has a key twice, of which Python would silently take the last."""
    pairs: object = json.loads(line, object_pairs_hook=list)
    return isinstance(pairs, list) and [name for name, _ in pairs].count(key) > 1


def _json_text(value: Any, column: str | None, where: str) -> str:
    """The text of a record: the value of a key, or the record itself where there is no key."""
    what = "the record"
    if column is not None:
        if not isinstance(value, dict):
            raise UsageError(f"expected an object with '{column}' in {where}, got {_kind(value)}.")
        if column not in value:
            raise UsageError(f"{where}: {unknown('column', column, list(value))}")
        value, what = value[column], f"'{column}'"
    if not isinstance(value, str):
        raise UsageError(f"expected text for {what} in {where}, got {_kind(value)}.")
    check_text(value, f"{what} in {where}")
    return one_line(value)


def _column(path: Path, column: str | None, names: list[str], line: int = 1) -> str:
    """The name of the requested column, which must occur exactly once."""
    if column is None:
        if not names:
            raise UsageError(f"line {line} of '{path}' is an empty object: expected its text under '{USUAL_COLUMN}'.")
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
