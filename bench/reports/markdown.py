"""A document as GitHub's Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterable

from bench.reports.document import Block, Bullets, Figure, Heading, Item, Paragraph, Table, Words, line

__all__ = ["render"]


def render(document: Iterable[Block]) -> str:
    """The complete page; the same document gives the same text."""
    return "\n\n".join(map(_block, document)) + "\n"


def _block(block: Block) -> str:
    if isinstance(block, Heading):
        return f"{'#' * block.level} {_inline(block.words)}"
    if isinstance(block, Paragraph):
        return _inline(block.words)
    if isinstance(block, Bullets):
        items = "\n".join(map(_item, block.items))
        return f"{_inline(block.title)}\n\n{items}" if block.title else items
    if isinstance(block, Figure):
        return f"![{_inline(block.caption)}]({block.path})"
    return _table(block)


def _item(item: Item) -> str:
    return "\n  - ".join([f"- {_inline(item.words)}", *map(_start, item.below)])


def _start(words: Words) -> str:
    """Words that begin a line: what would turn it into a heading, a quotation or a nested list is escaped."""
    return re.sub(r"^(\d*)([-+#>.)])", r"\1\\\2", _inline(words))


def _table(table: Table) -> str:
    """A table whose pipes are aligned."""
    grid = [[_inline(cell) for cell in table.header]]
    for group in table.groups:
        if group.heading:
            grid.append([f"*{_inline(group.heading)}*", *([""] * (len(table.header) - 1))])
        grid += [[_inline(cell) for cell in cells] for cells in group.lines]
    widths = [max(3, *(len(cell) for cell in column)) for column in zip(*grid, strict=True)]
    rule = ["-" * width if index < table.left else "-" * (width - 1) + ":" for index, width in enumerate(widths)]
    padded = [
        [cell.ljust(width) if index < table.left else cell.rjust(width) for index, (cell, width) in enumerate(columns)]
        for columns in (list(zip(cells, widths, strict=True)) for cells in grid)
    ]
    shown = "\n".join(f"| {' | '.join(cells)} |" for cells in (padded[0], rule, *padded[1:]))
    return f"{_inline(table.caption)}\n\n{shown}" if table.caption else shown


def _inline(words: Words) -> str:
    """Spans in one line; data is escaped, code and our own sentences are not."""
    marks = {"code": "`", "strong": "**", "emphasis": "*"}
    shown = ""
    for span in line(words):
        mark, raw = marks.get(span.style, ""), span.style in ("code", "own")
        shown += mark + (span.text if raw else _escape(span.text)) + mark
    return shown.strip()


def _escape(text: str) -> str:
    """Plain text without emphasis, code, HTML, new cells or new lines; underscores inside words are kept."""
    return re.sub(r"([\\`*<|]|(?<![^\W_])_|_(?![^\W_]))", r"\\\1", re.sub(r"\s+", " ", text))
