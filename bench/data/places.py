"""Places on a map: a CSV file with the latitude and longitude of each, and coordinates for the words of a task."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.data.packed import is_packed
from bench.data.reading import decoded
from bench.errors import UsageError

__all__ = ["COLUMNS", "Place", "coordinate", "coordinates", "parse_places", "read_places"]

COLUMNS = ("code", "latitude", "longitude")
"""The columns that a file of places must have, in any order; others, such as ``name``, are not read."""
LIMITS = {"latitude": 90.0, "longitude": 180.0}
"""Coordinate to its largest absolute value, in degrees."""


class Place(NamedTuple):
    """A point on the globe, in degrees."""

    latitude: float
    longitude: float


def read_places(path: Path) -> dict[str, Place]:
    """The places of a CSV file.

    Args:
        path: UTF-8, a header with at least :data:`COLUMNS`, a place a line; codes are the words of the task.

    Raises:
        UsageError: as :func:`parse_places`, and for a file that cannot be read.
    """
    try:
        if is_packed(path):
            raise UsageError(f"'{path}' is packed by gzip: expected a plain CSV file; unpack it with gzip -d.")
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read '{path}': {error.strerror}.") from error
    return parse_places(content, f"'{path}'")


def parse_places(content: bytes, name: str) -> dict[str, Place]:
    """The places of a CSV file that came as bytes.

    Args:
        content: The file.
        name: What messages call it.

    Raises:
        UsageError: with the line: for another encoding, a missing column, a row that does not fit the header, a code
            that is empty, holds white space or is there twice, and a coordinate that is no number or not on the globe.
    """
    rows = csv.reader(decoded(content, name), strict=True)
    places: dict[str, Place] = {}
    try:
        header = [column.strip().lower() for column in next(rows, [])]
        if missing := [column for column in COLUMNS if header.count(column) != 1]:
            found = ", ".join(header) or "nothing"
            raise UsageError(f"expected one column '{missing[0]}' in line 1 of {name}, as in {HEADER}; got {found}.")
        at = [header.index(column) for column in COLUMNS]
        for row in filter(None, rows):
            where = f"line {rows.line_num} of {name}"
            if len(row) != len(header):
                raise UsageError(f"expected {len(header)} fields in {where}, as in its header, got {len(row)}.")
            code, *texts = (row[index].strip() for index in at)
            if not code or len(code.split()) != 1:
                raise UsageError(f"expected a code without white space in {where}, got '{code}'.")
            if code in places:
                raise UsageError(f"{where} has the place '{code}' again: expected each place once.")
            places[code] = Place(*(coordinate(text, of, where) for text, of in zip(texts, LIMITS, strict=True)))
    except csv.Error as error:
        raise UsageError(f"line {rows.line_num} of {name} is not CSV: {error}.") from error
    if not places:
        raise UsageError(f"{name} has no places: expected one a line after the header {HEADER}.")
    return places


HEADER = ",".join(COLUMNS)


def coordinate(text: str, of: str, where: str) -> float:
    """A latitude or a longitude in degrees, as a file spells it.

    Args:
        text: The number.
        of: "latitude" or "longitude".
        where: The line and the file, for messages.

    Raises:
        UsageError: for anything but a number on the globe.
    """
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not abs(value) <= LIMITS[of]:
        most = f"{LIMITS[of]:g}"
        raise UsageError(f"expected a {of} from -{most} to {most} degrees in {where}, got '{text}'.")
    return value


def coordinates(words: Sequence[str], places: Mapping[str, Place]) -> NDArray[np.float64]:
    """Latitude and longitude of every word, NaN for words that are no places: read-only float64, (V, 2), degrees."""
    nowhere = Place(math.nan, math.nan)
    found = np.array([places.get(word, nowhere) for word in words], dtype=np.float64).reshape(-1, 2)
    found.setflags(write=False)  # all metrics read the same array
    return found
