"""Check-ins of persons from a user's own file: Foursquare's TSMC2014 files and Gowalla's, as sequences of venues.

Both are tables without a header, columns separated by tabs. TSMC2014 (Yang et al. 2015, "Modeling user activity
preference by leveraging user spatial temporal characteristics in LBSNs") has eight: user, venue, category's id and
name, latitude, longitude, minutes by which the time zone is ahead, and the time in UTC as in
``Tue Apr 03 18:00:09 +0000 2012``. Gowalla (Cho, Myers and Leskovec 2011, "Friendship and mobility") has five: user,
time as in ``2010-10-19T23:55:27Z``, latitude, longitude, venue; the newest check-in of each user is first.
"""

from __future__ import annotations

import codecs
import io
import re
import stat
from array import array
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import lru_cache
from itertools import compress
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from bench.data.encoding import decoded_wrongly
from bench.data.packed import Unpacked, is_packed
from bench.data.splits import SPLITS, split_of
from bench.errors import UsageError

__all__ = ["Box", "CheckIns", "Windows", "cut_windows", "read_checkins"]

CHUNK = 2**23
"""Bytes of the lines that are parsed at a time."""
START = 2**13
"""Bytes by which a file is judged before it is read."""
NOWHERE = 0.01
"""Share of the lines whose coordinates may be off the globe; more is a mistake in the columns."""
FEWEST, FEWEST_DIFFERENT = 100, 2
"""Sequences of all splits together, and different ones that each split must have, at least."""
MONTHS = {name: number for number, name in enumerate(b"Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(), 1)}
_TSMC_TIME = re.compile(rb"[A-Z][a-z]{2} ([A-Z][a-z]{2}) (\d\d) (\d\d):(\d\d):(\d\d) \+0000 (\d{4})\s*")
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Box:
    """A part of the map, ends included, in degrees.

    Attributes:
        south: Lowest latitude.
        north: Highest latitude.
        west: Longitude where it begins.
        east: Longitude where it ends; less than ``west`` where the box crosses the 180th meridian.
    """

    south: float = -90.0
    north: float = 90.0
    west: float = -180.0
    east: float = 180.0

    @classmethod
    def parse(cls, text: str) -> Box:
        """A box as users spell it: ``SOUTH:NORTH:WEST:EAST``; all of the globe for "".

        Raises:
            ValueError: saying what was expected.

        Example:
            >>> Box.parse("30.1:30.5:-98.0:-97.5").north
            30.5
        """
        if not text:
            return cls()
        wanted = f"expected box=SOUTH:NORTH:WEST:EAST in degrees, as in 30.1:30.5:-98.0:-97.5, got '{text}'"
        try:
            south, north, west, east = map(float, text.split(":"))
        except ValueError as error:
            raise ValueError(wanted) from error
        if -90 <= north <= south <= 90:
            raise ValueError(f"{wanted}: its south, {south:g}, is not below its north, {north:g}.")
        if not (-90 <= south < north <= 90 and -180 <= west <= 180 and -180 <= east <= 180 and west != east):
            raise ValueError(wanted)
        return cls(south, north, west, east)

    def holds(self, latitudes: Floats, longitudes: Floats) -> NDArray[np.bool_]:
        """Which points are inside."""
        across = (longitudes >= self.west) & (longitudes <= self.east)
        if self.west > self.east:
            across = (longitudes >= self.west) | (longitudes <= self.east)
        return across & (latitudes >= self.south) & (latitudes <= self.north)


@dataclass(frozen=True, slots=True, eq=False)
class CheckIns:
    """Check-ins inside a box, those of a user together and in order of time.

    Attributes:
        users: Names of the users.
        venues: Names of the venues.
        user: int64, (M,), indices into ``users``, ascending.
        venue: int64, (M,), indices into ``venues``.
        seconds: int64, (M,), since 1970 in UTC.
        places: float64, (venues, 2), the medians of the latitudes and longitudes of each venue's check-ins.
        notes: What was read and left out, a line each.
    """

    users: list[str]
    venues: list[str]
    user: Ints
    venue: Ints
    seconds: Ints
    places: Floats
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Windows:
    """Sequences of venues, split by user.

    Attributes:
        venues: Names of the venues, those most visited in training first.
        places: float64, (venues, 2), latitude and longitude in degrees.
        parts: Split to its sequences: int64, (N, length), indices into ``venues``, -1 after the end of a shorter one.
        notes: What was read, left out and kept, a line each.
    """

    venues: list[str]
    places: Floats
    parts: dict[str, Ints]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Format:
    """How the lines of a source are written: its name, the number of columns, and where those are that are read."""

    name: str
    columns: int
    user: int
    venue: int
    latitude: int
    longitude: int
    time: int
    example: str
    seconds: Callable[[Sequence[bytes]], Ints]


def _tsmc_seconds(times: Sequence[bytes]) -> Ints:
    found = array("q")
    for time in times:
        parts = _TSMC_TIME.fullmatch(time)
        if parts is None or parts[1] not in MONTHS:
            raise ValueError
        day, hour, minute, second, year = map(int, parts.groups()[1:])
        moment = datetime(year, MONTHS[parts[1]], day, hour, minute, second, tzinfo=timezone.utc)
        found.append((moment - _EPOCH).days * 86_400 + hour * 3600 + minute * 60 + second)
    return np.array(found, dtype=np.int64)


def _gowalla_seconds(times: Sequence[bytes]) -> Ints:
    text = b"".join(times)
    signs = np.frombuffer(text, dtype=np.uint8)
    if len(text) != 20 * len(times) or set(map(len, times)) - {20}:
        raise ValueError
    signs = signs.reshape(-1, 20)
    if (signs[:, [4, 7, 10, 13, 16, 19]] != np.frombuffer(b"--T::Z", dtype=np.uint8)).any():
        raise ValueError
    seconds: Ints = signs[:, :19].copy().view("S19")[:, 0].astype("datetime64[s]").astype(np.int64)
    return seconds


FORMATS = (
    _Format("Foursquare's TSMC2014", 8, 0, 1, 4, 5, 7, "Tue Apr 03 18:00:09 +0000 2012", _tsmc_seconds),
    _Format("Gowalla", 5, 0, 4, 2, 3, 1, "2010-10-19T23:55:27Z", _gowalla_seconds),
)


@lru_cache(maxsize=2)
def cut_windows(
    path: Path, content: str, box: Box, length: int, shortest: int | None, min_count: int, gap_hours: float | None
) -> Windows:
    """Sequences of successive check-ins of a user at venues that are visited often enough.

    A user's split is chosen by a hash of the user's name, a tenth each in validation and test, so that nobody is in two
    splits. Check-ins at venues with less than ``min_count`` check-ins of training users are left out before sequences
    are cut: no sequence has an unknown word. The result is kept for the next call, and is only read.

    Args:
        path: The file.
        content: The file's hash, so that a changed file is read anew.
        box: Check-ins elsewhere are left out.
        length: Venues of a sequence, or the most where ``shortest`` is given.
        shortest: The fewest venues of a sequence; None where all have ``length``.
        min_count: Check-ins of training users that a venue must have.
        gap_hours: A check-in later than this after the one before begins another sequence; None for never.

    Raises:
        UsageError: as :func:`read_checkins`, and where too little is left.
    """
    found = read_checkins(path, box)
    split_of_user = np.array([SPLITS.index(split_of(name)) for name in found.users], dtype=np.int64)
    split = split_of_user[found.user]
    counts = np.bincount(found.venue[split == 0], minlength=len(found.venues))
    chosen = sorted(np.flatnonzero(counts >= min_count).tolist(), key=lambda at: (-counts[at], found.venues[at]))
    number = np.full(len(found.venues), -1, dtype=np.int64)
    number[chosen] = np.arange(len(chosen))
    kept = number[found.venue] >= 0
    user, venue, seconds, split = found.user[kept], number[found.venue[kept]], found.seconds[kept], split[kept]
    rare = (
        f"venues: {len(chosen):,} of {len(found.venues):,} have {min_count} or more check-ins of training users; "
        f"{(~kept).sum():,} check-ins at the others are left out"
    )
    begins = np.ones(len(user), dtype=bool)
    begins[1:] = user[1:] != user[:-1]
    if gap_hours is not None:
        begins[1:] |= np.diff(seconds) > gap_hours * 3600
    starts = np.flatnonzero(begins)
    sizes = np.diff(np.append(starts, len(user)))
    least = length if shortest is None else shortest
    cuts = [
        (start + offset, min(length, size - offset))
        for start, size in zip(starts.tolist(), sizes.tolist(), strict=True)
        for offset in range(0, size, length)
        if size - offset >= least
    ]
    firsts, lengths = np.array(cuts, dtype=np.int64).reshape(-1, 2).T
    inside = np.arange(length) < lengths[:, None]
    rows = np.where(inside, venue[np.minimum(firsts[:, None] + np.arange(length), max(0, len(venue) - 1))], -1)
    of_row = split[firsts]
    parts = {}
    for index, name in enumerate(SPLITS):
        part = rows[of_row == index]
        part = part[np.random.RandomState(0).permutation(len(part))]  # any prefix is a sample, any batch is mixed
        part.setflags(write=False)
        parts[name] = part
    _require(parts, min_count, length)
    used = [len(np.unique(user[firsts[of_row == index]])) for index in range(len(SPLITS))]
    shown = ", ".join(
        f"{len(part):,} {name} of {users:,} users" for (name, part), users in zip(parts.items(), used, strict=True)
    )
    left = len(venue) - int(lengths.sum())
    fewer = f"{left:,} check-ins in rests of fewer than {least} are left out"
    known = {row.tobytes() for row in parts["train"]}
    copies = np.mean([row.tobytes() in known for row in parts["test"]])
    notes = (
        *found.notes,
        rare,
        f"sequences: {shown}; {fewer}",
        f"in train, too: {copies:.1%} of the test sequences, venue by venue, although no user is",
    )
    places = found.places[chosen]
    places.setflags(write=False)
    return Windows([found.venues[at] for at in chosen], places, parts, notes)


def _require(parts: dict[str, Ints], min_count: int, length: int) -> None:
    """Refuse what is too little to learn and to test."""
    different = [len(np.unique(part, axis=0)) for part in parts.values()]
    if sum(map(len, parts.values())) < FEWEST or min(different) < FEWEST_DIFFERENT:
        left = ", ".join(f"{len(part):,} {name}" for name, part in parts.items())
        raise UsageError(
            f"too few sequences of check-ins: {left}; expected at least {FEWEST} in all and {FEWEST_DIFFERENT} "
            f"different ones in each: widen the box, or lower min_count={min_count} or length={length}."
        )


def read_checkins(path: Path, box: Box) -> CheckIns:
    """The check-ins of a file that are inside a box.

    Args:
        path: A file of either source, as it is distributed; gzip may have packed it. Six million lines take
            a quarter of a minute and 0.9 GiB of memory.
        box: The part of the map.

    Raises:
        UsageError: for a file that cannot be read or is another one, and, with the line, for one that does not fit.
    """
    form = _format(path)
    users: defaultdict[bytes, int] = defaultdict()
    venues: defaultdict[bytes, int] = defaultdict()
    users.default_factory, venues.default_factory = users.__len__, venues.__len__
    found: list[tuple[Ints, Ints, Ints, Floats, Floats]] = []
    lines = blank = nowhere = outside = 0
    for part, first, empty in _chunks(path, form):
        blank += empty
        lines += len(part)
        of_user, of_venue, latitude, longitude, seconds = _columns(part, form, first, path)
        on_globe = (np.abs(latitude) <= 90) & (np.abs(longitude) <= 180)
        inside = on_globe & box.holds(latitude, longitude)
        nowhere += int((~on_globe).sum())
        outside += int((on_globe & ~inside).sum())
        chosen = inside.tolist()
        found.append((
            np.array([users[name] for name in compress(of_user, chosen)], dtype=np.int64),
            np.array([venues[name] for name in compress(of_venue, chosen)], dtype=np.int64),
            seconds[inside], latitude[inside], longitude[inside],
        ))  # fmt: skip
    if nowhere > NOWHERE * lines:
        raise UsageError(
            f"{nowhere:,} of the {lines:,} lines of '{path}' have coordinates off the globe: expected the latitude in "
            f"column {form.latitude + 1} and the longitude in column {form.longitude + 1}."
        )
    if not users:
        raise UsageError(f"no check-in of '{path}' is inside the box: {outside:,} are elsewhere; widen it.")
    user, venue, seconds = (np.concatenate([part[at] for part in found]) for at in range(3))
    latitude, longitude = (np.concatenate([part[at] for part in found]) for at in (3, 4))
    places = _medians(venue, latitude, longitude, len(venues))
    order = np.lexsort((venue, seconds, user))
    user, venue, seconds = user[order], venue[order], seconds[order]
    same = np.zeros(len(user), dtype=bool)
    same[1:] = (np.diff(user) == 0) & (np.diff(venue) == 0) & (np.diff(seconds) == 0)
    notes = [
        f"{path.name}: {lines:,} check-ins in the format of {form.name}"
        + (f", {blank:,} blank lines" if blank else "")
        + (f"; {nowhere:,} off the globe are left out" if nowhere else "")
        + (f"; {same.sum():,} that repeat another are left out" if same.any() else ""),
        f"inside the box: {len(user) - same.sum():,} check-ins of {len(users):,} users at {len(venues):,} venues; "
        f"{outside:,} are elsewhere",
    ]
    names = [[name.decode("latin-1") for name in of] for of in (users, venues)]
    if odd := next((name for name in names[1] if len(name.split()) != 1 or name.startswith("<")), None):
        raise UsageError(f"expected the names of venues in '{path}' without white space or '<', got '{odd[:40]}'.")
    return CheckIns(names[0], names[1], user[~same], venue[~same], seconds[~same], places, tuple(notes))


def _medians(venue: Ints, latitude: Floats, longitude: Floats, size: int) -> Floats:
    """The median coordinates of each venue's check-ins: float64, (size, 2). Each venue has one, at least."""
    counts = np.bincount(venue, minlength=size)
    starts = counts.cumsum() - counts
    medians = []
    for values in (latitude, longitude):
        ordered = values[np.lexsort((values, venue))]
        medians.append((ordered[starts + (counts - 1) // 2] + ordered[starts + counts // 2]) / 2)
    return np.stack(medians, axis=1)


def _columns(
    lines: list[bytes], form: _Format, first: int, path: Path
) -> tuple[Sequence[bytes], Sequence[bytes], Floats, Floats, Ints]:
    """The columns that are read, of some lines; the first of them has this number in the file."""
    fields = b"\t".join(lines).split(b"\t")
    columns = [fields[at :: form.columns] for at in range(form.columns)]
    user, venue = columns[form.user], columns[form.venue]
    try:
        latitude, longitude = (
            np.array(columns[at], dtype=bytes).astype(np.float64) for at in (form.latitude, form.longitude)
        )
        seconds = form.seconds(columns[form.time])
        fine = bool(np.isfinite(latitude).all() and np.isfinite(longitude).all()) and all(user) and all(venue)
    except ValueError:
        fine = False
    if not fine:
        _refuse([line.split(b"\t") for line in lines], form, first, path)
    return user, venue, latitude, longitude, seconds


def _refuse(rows: list[list[bytes]], form: _Format, first: int, path: Path) -> None:
    """Name the first line that does not fit, and what was expected there."""
    for number, row in enumerate(rows, first):
        for at, what in ((form.user, "a user"), (form.venue, "a venue")):
            if not row[at]:
                raise _misfit(number, path, at, what, row[at], form, number == 1)
        for at, what in ((form.latitude, "a latitude in degrees"), (form.longitude, "a longitude in degrees")):
            try:
                fine = bool(np.isfinite(float(row[at])))
            except ValueError:
                fine = False
            if not fine:
                raise _misfit(number, path, at, what, row[at], form, number == 1)
        try:
            form.seconds([row[form.time]])
        except ValueError:
            raise _misfit(
                number, path, form.time, f"a time as in {form.example}", row[form.time], form, False
            ) from None
    raise UsageError(f"'{path}' changed while it was read: start again.")


def _misfit(number: int, path: Path, at: int, what: str, got: bytes, form: _Format, header: bool) -> UsageError:
    hint = f"; the format of {form.name} has no header: remove the first line" if header else ""
    shown = got.decode("latin-1").strip()[:40]
    return UsageError(f"expected {what} in column {at + 1} of line {number} of '{path}', got '{shown}'{hint}.")


def _chunks(path: Path, form: _Format) -> Iterator[tuple[list[bytes], int, int]]:
    """Many lines at a time without their ends, the number of the first, and how many blank lines were left out."""
    number, whole = 1, True
    with _open(path) as file:
        while lines := file.readlines(CHUNK):
            if not whole:
                raise _blank(number - 1, path)
            if number == 1:
                lines[0] = lines[0].removeprefix(codecs.BOM_UTF8)
            stripped = [line.rstrip(b"\r\n") for line in lines]
            tabs = form.columns - 1
            if not all(line.count(b"\t") == tabs for line in stripped):
                stripped = _checked(stripped, number, form, path)
            whole = len(stripped) == len(lines)
            if stripped:
                yield stripped, number, len(lines) - len(stripped)
            number += len(lines)


def _checked(lines: list[bytes], first: int, form: _Format, path: Path) -> list[bytes]:
    """The lines without blank ones, which may only be at the end of a file.

    Raises:
        UsageError: for a line with another number of columns.
    """
    for number, line in enumerate(lines, first):
        columns = line.count(b"\t") + 1
        if line.strip() and columns != form.columns:
            raise UsageError(
                f"expected {form.columns} columns separated by tabs in line {number} of '{path}', as in the format of "
                f"{form.name}, got {columns}."
            )
    filled = [line for line in lines if line.strip()]
    if lines[: len(filled)] != filled:
        raise _blank(next(number for number, line in enumerate(lines, first) if not line.strip()), path)
    return filled


def _blank(number: int, path: Path) -> UsageError:
    return UsageError(f"line {number} of '{path}' is blank: expected a check-in a line.")


def _format(path: Path) -> _Format:
    """The format of a file, by its first line."""
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            what = "folder" if stat.S_ISDIR(mode) else "pipe or device"
            raise UsageError(f"expected a file of check-ins, got the {what} '{path}'.")
        with _open(path) as file:
            start = file.read(START)
    except OSError as error:
        raise UsageError(f"cannot read '{path}': {error.strerror}.") from error
    if not start.strip():
        raise UsageError(f"'{path}' is empty: expected a check-in a line.")
    if encoding := decoded_wrongly(start):
        raise UsageError(f"'{path}' is {encoding}: expected the file as it is distributed, in ASCII or Latin-1.")
    if b"\0" in start:
        raise UsageError(f"'{path}' is binary: expected lines of text with a check-in each.")
    first = start.splitlines()[0].removeprefix(codecs.BOM_UTF8)
    columns = len(first.split(b"\t"))
    for form in FORMATS:
        if columns == form.columns:
            return form
    counts = " or ".join(f"{form.columns} columns ({form.name})" for form in FORMATS)
    commas = "; it has commas: write it with tabs, without a header" if columns == 1 and first.count(b",") > 3 else ""
    raise UsageError(f"expected {counts} separated by tabs in line 1 of '{path}', got {columns}{commas}.")


def _open(path: Path) -> BinaryIO:
    return io.BufferedReader(Unpacked(path), 2**16) if is_packed(path) else path.open("rb")
