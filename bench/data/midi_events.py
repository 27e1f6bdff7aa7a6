"""The notes of a standard MIDI file, and a reason where there are none to read.

Only what concerns notes is decoded; key signatures, tempo, text and system-exclusive data are skipped by their stated
lengths, whatever is in them. Chunks of other kinds are skipped, as the standard asks, and all tracks are read, whatever
number the header states. A data byte above 127 counts as 127. A file that ends within a track gives the notes up to
there and says so; a track that breaks a rule in its middle gives a reason, since what follows cannot be trusted.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

__all__ = ["DRUMS", "MOST_BYTES", "MidiNotes", "Note", "UnreadableMidi", "read_notes"]

DRUMS = 9
"""The channel that General MIDI keeps for drums, counted from 0."""
MOST_BYTES = 2**24
"""Of a file: a symphony takes a hundredth of it."""
MOST_NOTES = 500_000
"""Of a file: at ten a second, fourteen hours."""
MOST_TRACKS = 2**16 - 1
"""What a header can state."""
DATA_BYTES = {0x80: 2, 0x90: 2, 0xA0: 2, 0xB0: 2, 0xC0: 1, 0xD0: 1, 0xE0: 2}
"""Of a message on a channel, by the upper half of its status."""
SYSTEM_BYTES = {0xF1: 1, 0xF2: 2, 0xF3: 1, 0xF6: 0, 0xF8: 0, 0xFA: 0, 0xFB: 0, 0xFC: 0, 0xFE: 0}
"""Of a system message, which a file should not hold, but some do."""
META, END_OF_TRACK = 0xFF, 0x2F

Note = tuple[int, int, int]
"""Beginning and end, in ticks, and MIDI number."""


class UnreadableMidi(Exception):  # noqa: N818 - the file is at fault, not the program
    """A file that cannot be read as music; the message is the reason, a few words without a full stop."""


@dataclass
class MidiNotes:
    """What was read."""

    ticks_per_beat: int
    voices: list[list[Note]] = field(default_factory=list)
    """The notes of each pair of track and channel, drums left out."""
    cut: bool = False
    """The file ends within a track."""


def read_notes(content: bytes) -> MidiNotes:
    """The notes of a file.

    Raises:
        UnreadableMidi: for what is no MIDI file, one that counts in seconds, a broken track, and one beyond the limits.
    """
    if len(content) > MOST_BYTES:
        raise UnreadableMidi(f"over {MOST_BYTES >> 20} MiB")
    if content[:4] == b"RIFF" and content[8:12] == b"RMID":
        content = _unwrapped(content)
    if content[:4] != b"MThd":
        raise UnreadableMidi("no header" if content else "empty")
    size = int.from_bytes(content[4:8], "big")
    if size < 6 or len(content) < 14:
        raise UnreadableMidi("a header that is too short")
    division = int.from_bytes(content[12:14], "big", signed=True)
    if division <= 0:
        raise UnreadableMidi("time in seconds, not in beats" if division else "a beat of no ticks")
    found = MidiNotes(division)
    at, tracks, notes = 8 + size, 0, 0
    while at + 8 <= len(content):
        name, size = content[at : at + 4], int.from_bytes(content[at + 4 : at + 8], "big")
        at += 8
        if name == b"MTrk":
            tracks += 1
            if tracks > MOST_TRACKS:
                raise UnreadableMidi(f"over {MOST_TRACKS:,} tracks")
            track = _Track(content, at, min(len(content), at + size), tracks, MOST_NOTES - notes)
            track.read()
            if at + size > len(content):
                found.cut |= not track.ended
            elif track.broken:
                raise UnreadableMidi(f"track {tracks} ends within an event")
            notes += track.count
            found.voices += track.voices.values()
        at += size
    if not tracks:
        raise UnreadableMidi("no track")
    return found


def _unwrapped(content: bytes) -> bytes:
    """The MIDI file within a RIFF file, whose chunks have even lengths, lowest byte first."""
    at = 12
    while at + 8 <= len(content):
        size = int.from_bytes(content[at + 4 : at + 8], "little")
        if content[at : at + 4] == b"data":
            return content[at + 8 : at + 8 + size]
        at += 8 + size + size % 2
    raise UnreadableMidi("a RIFF file without music")


class _Track:
    """One track while it is read, from ``at`` up to ``end``."""

    def __init__(self, content: bytes, at: int, end: int, number: int, most: int) -> None:
        self.voices: dict[int, list[Note]] = defaultdict(list)
        self.count = 0
        self.ended = self.broken = False
        """Whether its end was marked, and whether its bytes ended within an event."""
        self._content, self._at, self._end, self._number, self._most = content, at, end, number, most
        self._sounding: dict[tuple[int, int], int] = {}
        self._now = 0

    def read(self) -> None:
        """Read all events; a note that is never released ends with the track."""
        try:
            self._events()
        except IndexError:
            self.broken = True
        for channel, pitch in list(self._sounding):
            self._release(channel, pitch)

    def _events(self) -> None:
        status = 0
        while self._at < self._end:
            self._now += self._length()
            byte = self._byte()
            if byte == META:
                kind = self._byte()
                self._skip(self._length())
                if kind == END_OF_TRACK:
                    self.ended = True
                    return
            elif byte in (0xF0, 0xF7):
                self._skip(self._length())
            elif byte >= 0xF0:
                if byte not in SYSTEM_BYTES:
                    raise UnreadableMidi(f"track {self._number} has an unknown event {byte:#x}")
                self._skip(SYSTEM_BYTES[byte])
            else:
                if byte >= 0x80:
                    status = byte
                    first = self._byte()
                elif status:
                    first = byte
                else:
                    raise UnreadableMidi(f"track {self._number} begins without an event")
                second = self._byte() if DATA_BYTES[status & 0xF0] == 2 else 0
                if status & 0xE0 == 0x80 and status & 0x0F != DRUMS:
                    self._note(status & 0x0F, min(first, 127), second if status & 0x10 else 0)

    def _note(self, channel: int, pitch: int, velocity: int) -> None:
        self._release(channel, pitch)  # a note that is struck again while it sounds ends, and a new one begins
        if velocity:
            self._sounding[channel, pitch] = self._now

    def _release(self, channel: int, pitch: int) -> None:
        start = self._sounding.pop((channel, pitch), None)
        if start is None:
            return
        self.count += 1
        if self.count > self._most:
            raise UnreadableMidi(f"over {MOST_NOTES:,} notes")
        self.voices[channel].append((start, self._now, pitch))

    def _byte(self) -> int:
        if self._at >= self._end:
            raise IndexError
        self._at += 1
        return self._content[self._at - 1]

    def _skip(self, size: int) -> None:
        if size > self._end - self._at:
            raise IndexError
        self._at += size

    def _length(self) -> int:
        """A number of variable length: seven bits a byte, at most four bytes."""
        number = 0
        for _ in range(4):
            byte = self._byte()
            number = number << 7 | byte & 0x7F
            if byte < 0x80:
                return number
        raise UnreadableMidi(f"track {self._number} has a number of over four bytes")
