"""A user's own check-ins as a task: sequences of venues with coordinates."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
from annotated_types import Interval

from bench.api import Positive, SequenceSpec, Size, TrainingData
from bench.data.checkins import Box, Windows, cut_windows
from bench.data.corpus_files import file_hash
from bench.data.splits import SPLITS
from bench.errors import UsageError
from bench.tasks.base import TaskData
from bench.tasks.vocabulary import END, UNKNOWN, WordVocabulary

MANY = 20_000
"""Venues from which on it is said that there are many."""


@dataclass(frozen=True, slots=True)
class Checkins:
    """Your own check-ins: Foursquare's TSMC2014 files or Gowalla's, as sequences of venues on a map.

    A word is a venue with ``min_count`` or more check-ins of training users; check-ins at others are left out. Without
    ``gap`` a sequence is ``length`` successive check-ins of a user; with it, a check-in more than so many hours after
    the one before begins another sequence, sequences have 2 to ``length`` venues, and ``<eos>`` ends each. A user's
    sequences are all in one split, chosen by a hash of the user's name. They are movements of persons: read what the
    page says of their rights before you show any.
    """

    file: str = field(default="", metadata={"path": True})
    """The file as it is distributed; gzip may have packed it."""
    box: str = ""
    """A part of the map, as SOUTH:NORTH:WEST:EAST in degrees; by default all of it."""
    length: Annotated[int, Interval(ge=2, le=1_000)] = 16
    """Check-ins of a sequence; with gap, the most."""
    min_count: Size = 10
    """Check-ins of training users that a venue must have."""
    gap: Positive | None = None
    """Hours without a check-in after which another sequence begins, or none for never."""

    version: ClassVar[str] = "1"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}

    def __post_init__(self) -> None:
        Box.parse(self.box)

    def fingerprint(self) -> str:
        """The file's content and the parameters; not the file's path."""
        if not self.file:
            raise UsageError("task 'checkins' needs a file: checkins:FILE.")
        box = Box.parse(self.box)
        fields = {"length": self.length, "min_count": self.min_count, "gap": self.gap}
        edges = [box.south, box.north, box.west, box.east]
        return json.dumps({"file": file_hash(Path(self.file)), "box": edges, **fields}, sort_keys=True)

    def load(self) -> TaskData:
        """Read the file; the vocabulary is the training split's."""
        return self._data(self._windows())

    def report(self) -> tuple[str, ...]:
        """What was read, left out and kept, and what to look at, a line each; reads the file like :meth:`load`."""
        return _report(self, self.fingerprint())

    def _windows(self) -> Windows:
        self.fingerprint()
        shortest = None if self.gap is None else 2
        path = Path(self.file)
        how = Box.parse(self.box), self.length, shortest, self.min_count, self.gap
        return cut_windows(path, file_hash(path), *how)

    def _data(self, windows: Windows) -> TaskData:
        ends = self.gap is not None
        words = (UNKNOWN, *windows.venues, *((END,) if ends else ()))
        size, eos = len(words), len(words) - 1 if ends else None
        places = np.full((size, 2), np.nan)
        places[1 : 1 + len(windows.venues)] = windows.places
        places.setflags(write=False)
        vocabulary = WordVocabulary(words, eos, "places", None, places)
        spec = SequenceSpec(size, self.length + ends, bos=size, eos=eos, pad=eos, kind="places")
        splits = []
        for name in SPLITS:
            part = windows.parts[name]
            tokens = np.full((len(part), spec.seq_len), size - 1, dtype=np.int64)
            tokens[:, : self.length] = np.where(part < 0, size - 1, part + 1)
            splits.append(torch.from_numpy(tokens))
        train, valid, test = splits
        gap = "" if self.gap is None else f",gap={self.gap:g}h"
        tokenizer = f"venue,min_count={self.min_count},length={self.length}{gap}"
        return TaskData(TrainingData(spec, train, valid, vocabulary), test, None, tokenizer, of_persons=True)


@lru_cache(maxsize=16)
def _report(task: Checkins, fingerprint: str) -> tuple[str, ...]:
    windows = task._windows()
    data = task._data(windows)
    venues = len(windows.venues)
    notes = [*windows.notes, f"vocabulary: {venues:,} venues"]
    if venues > MANY:
        notes.append(f"look: {venues:,} venues make every model large: raise min_count, or cut out a city with box=")
    notes.append("look: these are movements of persons: models may reproduce them, so read the copy rates first")
    vocabulary = data.vocabulary
    if vocabulary is not None:
        notes.append(f"first of train: {vocabulary.decode(data.training.train[:1])[0]}")
    return tuple(notes)
