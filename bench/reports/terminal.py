"""A document on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from rich import box, table
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.measure import Measurement
from rich.text import Text

from bench.reports.document import Block, Bullets, Figure, Heading, Paragraph, Table, Words, line, text_of
from bench.visible import visible

__all__ = ["Screen", "plain", "render"]

STYLES = {"strong": "bold", "emphasis": "italic"}
NARROWEST, WIDEST = 10, 22
"""Least and greatest width of the first column of a compact table, in characters."""
BREAKS = {" / ": "\n", " ± ": "\n±", " (n=": "\n(n="}
"""Where the cells of a compact table are broken into lines."""


class Screen(Console):
    """A console on which strings are shown as they are: no markup, no emoji by name, nothing that a terminal obeys.

    Args:
        stderr: Whether to write to the standard error.
        quiet: Whether to write nothing.
    """

    def __init__(self, stderr: bool = False, quiet: bool = False) -> None:
        super().__init__(stderr=stderr, quiet=quiet, markup=False, emoji=False)

    def render_str(self, text: str, **how: Any) -> Text:
        """A string as rich shows it."""
        return super().render_str(visible(text), **how)


def render(document: Iterable[Block], padding: int = 0) -> RenderableType:
    """A document as rich prints it.

    Args:
        document: A page.
        padding: Spaces on both sides of a cell.
    """
    return Group(*(Fitted(block, padding) if isinstance(block, Table) else Text(plain([block])) for block in document))


def plain(document: Iterable[Block]) -> str:
    """Text without any style, also for pipes; of tables only their captions."""
    return visible("\n".join(text for block in document for text in _lines(block)))


def _lines(block: Block) -> list[str]:
    if isinstance(block, Heading | Paragraph):
        return [text_of(block.words)]
    if isinstance(block, Bullets):
        items = [text for item in block.items for text in (item.words, *item.below)]
        return [*([text_of(block.title)] if block.title else []), *(f"  {text_of(words)}" for words in items)]
    return [f"{block.caption}: {block.path}" if isinstance(block, Figure) else text_of(block.caption)]


class Fitted:
    """A table, as several with the same first columns where a terminal is too narrow for all: no number is cut.

    Args:
        block: What it shows.
        padding: Spaces on both sides of a cell.
    """

    def __init__(self, block: Table, padding: int) -> None:
        self._block, self._padding = block, padding

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The tables, one below the other."""
        names, numbers = range(self._block.left), list(range(self._block.left, len(self._block.header)))
        unlimited = options.update(max_width=sys.maxsize)

        def part(count: int) -> table.Table:
            return _table(self._block, self._padding, [*names, *numbers[:count]], caption=done == 0)

        def fits(count: int) -> bool:
            return Measurement.get(console, unlimited, part(count)).minimum <= options.max_width

        done = 0
        while not done or numbers:
            most = len(numbers)
            count = most if fits(most) else next((count for count in range(most - 1, 1, -1) if fits(count)), 1)
            if done:
                yield Text()
            yield part(count)
            done, numbers = done + 1, numbers[count:]


def _table(block: Table, padding: int, columns: Sequence[int], caption: bool) -> table.Table:
    """A table with words aligned left, numbers aligned right, and a rule between groups."""
    shown = table.Table(
        box=box.SIMPLE_HEAD, padding=(0, padding), show_edge=False,
        title=_text(block.caption, "bold") if block.caption and caption else None, title_justify="left",
    )  # fmt: skip
    for index in columns:
        name = block.header[index]
        if index < block.left:
            least, most = (NARROWEST, WIDEST) if block.compact else (None, None)
            shown.add_column(_text(name), overflow="fold", min_width=least, max_width=most)
        else:
            heading = _on_two_lines(text_of(name)) if block.compact else name
            least = max(map(_width, _cells(block, index, heading))) if block.compact else None
            shown.add_column(_text(heading), justify="right", overflow="fold", no_wrap=block.compact, min_width=least)
    for number, group in enumerate(block.groups):
        if number:
            shown.add_section()
        if group.heading:
            shown.add_row(_text(group.heading, "italic"), *[Text()] * (len(columns) - 1))
        for cells in group.lines:
            shown.add_row(*(_text(cells[index], breaks=BREAKS if block.compact else {}) for index in columns))
    return shown


def _cells(block: Table, index: int, heading: Words) -> list[Text]:
    """A column of a compact table, with its heading."""
    return [_text(heading), *(_text(cells[index], breaks=BREAKS) for group in block.groups for cells in group.lines)]


def _width(text: Text) -> int:
    """Of its longest line."""
    return max(map(cell_len, text.plain.splitlines()), default=0)


def _on_two_lines(heading: str) -> str:
    """A metric's name broken at its last underscore, with its arrow after the first part."""
    metric, _, arrow = heading.partition(" ")
    name, _, rest = metric.rpartition("_")
    return f"{name} {arrow}\n{rest}" if name else f"{rest}\n{arrow}".rstrip()


def _text(words: Words, style: str = "", breaks: Mapping[str, str] = MappingProxyType({})) -> Text:
    spans = []
    for span in line(words):
        text = visible(span.text)
        for sign, broken in breaks.items():
            text = text.replace(sign, broken)
        spans.append((text, STYLES.get(span.style, "")))
    return Text.assemble(*spans, style=style)
