"""Pages as data, independent of the format they are rendered in.

A page is a list of blocks. Words in them are either data, shown as they are, or :func:`prose`, our own sentences, in
which code and emphasis are marked. The renderers, :mod:`bench.reports.markdown` and :mod:`bench.reports.terminal`,
escape what has a meaning in their format.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

__all__ = [
    "Block",
    "Bullets",
    "Document",
    "Figure",
    "Group",
    "Heading",
    "Item",
    "Line",
    "Paragraph",
    "Span",
    "Table",
    "Words",
    "bullets",
    "code",
    "emphasis",
    "joined",
    "line",
    "link",
    "prose",
    "strong",
    "table",
]

Style = Literal["", "own", "code", "strong", "emphasis", "link"]


@dataclass(frozen=True, slots=True)
class Span:
    """Some text in one style: "" is data, "own" a sentence of ours in which nothing needs to be escaped.

    Attributes:
        text: What is read.
        style: How it is shown.
        to: Of a "link": the file that it leads to, relative to the page's folder.
    """

    text: str
    style: Style = ""
    to: str = ""


Line: TypeAlias = tuple[Span, ...]
Words: TypeAlias = str | Line
"""A string is data: it is shown as it is."""


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading; level 1 is the title of the page."""

    level: int
    words: Words


@dataclass(frozen=True, slots=True)
class Paragraph:
    """A paragraph."""

    words: Words


@dataclass(frozen=True, slots=True)
class Item:
    """An item of a list, and the items nested below it."""

    words: Words
    below: tuple[Words, ...] = ()


@dataclass(frozen=True, slots=True)
class Bullets:
    """A list and its title; "" for no title."""

    title: Words
    items: tuple[Item, ...]


@dataclass(frozen=True, slots=True)
class Group:
    """Lines of a table that belong together, under a heading of their own if it is not ""."""

    heading: Words
    lines: tuple[tuple[Words, ...], ...]


@dataclass(frozen=True, slots=True)
class Table:
    """A table.

    Attributes:
        header: A name for each column.
        groups: All lines.
        left: How many columns, from the first, hold words; the others hold numbers.
        caption: Its name, where no heading gives it.
        compact: Whether it must fit a narrow terminal: then its first column is folded, but numbers are not.
    """

    header: tuple[Words, ...]
    groups: tuple[Group, ...]
    left: int = 1
    caption: Words = ""
    compact: bool = False


@dataclass(frozen=True, slots=True)
class Figure:
    """A picture in a file; its path is relative to the page's folder."""

    caption: str
    path: str


Block: TypeAlias = Heading | Paragraph | Bullets | Table | Figure
Document: TypeAlias = list[Block]

_PARTS = re.compile(r"`(?P<code>[^`]*)`|\*(?P<emphasis>[^*]+)\*|(?P<field>\{\w*\})|(?P<plain>[^`*{]+)")


def prose(template: str, *values: Words, **named: Words) -> Line:
    """A sentence of ours: ```x``` is code, ``*x*`` is emphasised, ``{}`` and ``{name}`` are filled with data.

    Example:
        >>> prose("In `{}`: *{what}*", "a_b", what="c")
        (Span(text='In ', style='own'), Span(text='a_b', style='code'), Span(text=': ', style='own'),
         Span(text='c', style='emphasis'))
    """
    fields = iter(values)

    def value(field: str) -> Words:
        name = field.strip("{}")
        return named[name] if name else next(fields)

    parts = list(_PARTS.finditer(template.replace("\n", " ")))
    if sum(len(part[0]) for part in parts) != len(template):
        raise ValueError(f"expected each mark to be closed, got {template!r}")

    def spans() -> Iterator[Span]:
        for part in parts:
            if part["field"]:
                yield from line(value(part["field"]))
            else:
                style: Style = "code" if part["code"] is not None else "emphasis" if part["emphasis"] else "own"
                text = part["plain" if style == "own" else style]
                yield Span(re.sub(r"\{\w*\}", lambda found: text_of(value(found[0])), text), style)

    return tuple(spans())


def line(words: Words) -> Line:
    """Words as spans."""
    return (Span(words),) if isinstance(words, str) else words


def text_of(words: Words) -> str:
    """Words without their styles."""
    return words if isinstance(words, str) else "".join(span.text for span in words)


def code(text: str) -> Line:
    """Something to be typed or looked up."""
    return (Span(text, "code"),)


def strong(text: str) -> Line:
    """Something to be emphasised strongly."""
    return (Span(text, "strong"),)


def emphasis(text: str) -> Line:
    """Something to be emphasised, but less."""
    return (Span(text, "emphasis"),)


def link(text: str, to: str) -> Line:
    """A link to another file of the report, by its path relative to the page's folder."""
    return (Span(text, "link", to),)


def joined(separator: str, parts: Iterable[Words]) -> Line:
    """Several words as one line, with a separator between any two."""
    spans: list[Span] = []
    for part in parts:
        spans += [Span(separator)] if spans else []
        spans += line(part)
    return tuple(spans)


def bullets(title: Words, items: Iterable[Words | Item]) -> list[Block]:
    """A list with its title; nothing for an empty list."""
    listed = tuple(item if isinstance(item, Item) else Item(item) for item in items)
    return [Bullets(title, listed)] if listed else []


def table(header: Sequence[Words], lines: Iterable[Sequence[Words]], left: int = 1, caption: Words = "") -> Table:
    """A table of one group."""
    return Table(tuple(header), (Group("", tuple(tuple(cells) for cells in lines)),), left, caption)
