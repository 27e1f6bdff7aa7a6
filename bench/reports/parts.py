"""A leaderboard's document by tasks, for pages that show one task at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from bench.reports.document import Block, Heading, Table, text_of

__all__ = ["BEGINNING", "Own", "Parts", "parts"]

BEGINNING = "How to read it, and how it was made"
"""The name of what stands before the first task."""


@dataclass(slots=True)
class Own:
    """What a document says of one task: before all else, in words, and the tables by their headings."""

    remarks: list[Block] = field(default_factory=list)
    words: list[Block] = field(default_factory=list)
    parts: dict[str, list[Block]] = field(default_factory=dict)


@dataclass(slots=True)
class Parts:
    """A document by tasks, and what it says of all."""

    tasks: dict[str, Own]
    general: dict[str, list[Block]]


def parts(document: Iterable[Block], titles: Iterable[str]) -> Parts:
    """Everything in the document once, but for introductions, which stand before the part of each task.

    Args:
        document: From :func:`bench.reports.pages.leaderboard.page`.
        titles: Those of the tasks, as they stand in its headings.
    """
    found = Parts({title: Own() for title in titles}, {})
    for title, blocks in _split(document, 2):
        intro, *others = _split(blocks, 3)
        if title in found.tasks:
            own = found.tasks[title]
            own.remarks += intro[1]
            for name, below in others:
                if any(isinstance(block, Table) for block in below):
                    own.parts[name] = below
                else:
                    own.words += below
            continue
        kept: list[Block] = []
        for name, below in others:
            if name in found.tasks:
                found.tasks[name].parts[title] = [*intro[1], *below]
            else:
                kept += [Heading(3, name), *below]
        if kept or len(others) == 0:
            found.general[title or BEGINNING] = [*intro[1], *kept]
    return found


def _split(blocks: Iterable[Block], level: int) -> Iterator[tuple[str, list[Block]]]:
    """Headings of a level with the blocks below each, after those before the first one; the title is left out."""
    title, below = "", list[Block]()
    for block in blocks:
        if isinstance(block, Heading) and block.level == level:
            yield title, below
            title, below = text_of(block.words), []
        elif not (isinstance(block, Heading) and block.level == 1):
            below.append(block)
    yield title, below
