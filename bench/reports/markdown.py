"""A document as GitHub's Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import quote

from bench.reports.document import Block, Bullets, Figure, Heading, Item, Paragraph, Table, Words, line
from bench.visible import visible

__all__ = ["render"]


def render(document: Iterable[Block]) -> str:
    """The complete page; the same document gives the same text."""
    return "\n\n".join(map(_block, document)) + "\n"


def _block(block: Block) -> str:
    if isinstance(block, Heading):
        return f"{'#' * block.level} {_inline(block.words)}"
    if isinstance(block, Paragraph):
        return _start(block.words)
    if isinstance(block, Bullets):
        items = "\n".join(map(_item, block.items))
        return f"{_inline(block.title)}\n\n{items}" if block.title else items
    if isinstance(block, Figure):
        return f"![{_inline(block.caption)}]({quote(block.path)})"
    return _table(block)


def _item(item: Item) -> str:
    return "\n  - ".join([f"- {_start(item.words)}", *map(_start, item.below)])


def _start(words: Words) -> str:
    """Words that begin a line: data that would turn it into a heading, a quotation or a list are escaped."""
    shown = _inline(words)
    is_data = line(words)[:1] and line(words)[0].style == ""
    return re.sub(r"^(\d*)([-+#>.)=\[])", r"\1\\\2", shown) if is_data else shown


def _table(table: Table) -> str:
    """A table whose pipes are aligned."""
    grid = [[_cell(words) for words in table.header]]
    for group in table.groups:
        if group.heading:
            grid.append([f"*{_cell(group.heading)}*", *([""] * (len(table.header) - 1))])
        grid += [[_cell(words) for words in cells] for cells in group.lines]
    widths = [max(3, *(len(cell) for cell in column)) for column in zip(*grid, strict=True)]
    rule = ["-" * width if index < table.left else "-" * (width - 1) + ":" for index, width in enumerate(widths)]
    padded = [
        [cell.ljust(width) if index < table.left else cell.rjust(width) for index, (cell, width) in enumerate(columns)]
        for columns in (list(zip(cells, widths, strict=True)) for cells in grid)
    ]
    shown = "\n".join(f"| {' | '.join(cells)} |" for cells in (padded[0], rule, *padded[1:]))
    return f"{_inline(table.caption)}\n\n{shown}" if table.caption else shown


def _cell(words: Words) -> str:
    """Words in a cell of a table, where a pipe must be escaped even in code."""
    shown = _inline(words)
    return re.sub(r"(?<!\\)\|", r"\\|", shown) if "|" in shown else shown


def _inline(words: Words) -> str:
    """Spans in one line; data is escaped, code and our own sentences are not."""
    marks = {"strong": "**", "emphasis": "*"}
    shown = ""
    for span in line(words):
        if span.style == "link":
            shown += f"[{_escape(span.text)}]({quote(span.to)})"
            continue
        mark = marks.get(span.style, "")
        shown += _code(span.text) if span.style == "code" else span.text if span.style == "own" else ""
        shown += f"{mark}{_escape(span.text)}{mark}" if span.style not in ("code", "own") else ""
    return shown.strip()


def _code(text: str) -> str:
    """Code between backticks: one more than stand side by side in it."""
    text = visible(text)
    longest = max(map(len, re.findall("`+", text)), default=0)
    fence, space = "`" * (longest + 1), " " if longest else ""
    return f"{fence}{space}{text}{space}{fence}"


MARKS = re.compile(
    r"[\\`*<|~$]"  # emphasis, code, HTML, cells of tables, deletions, formulas
    r"|&(?=#?\w+;)"  # characters by name
    r"|(?<=\])[(:]"  # links and pictures, and the addresses of those that have only a name
    r"|:(?=//)|(?<=www)\."  # addresses that GitHub makes links of
    r"|(?<![^\W_])_|_(?![^\W_])"  # emphasis: underscores inside words are kept
)
"""What has a meaning in GitHub's Markdown."""
CALLS = re.compile(r"@(?=\w)|(?<=#)(?=\d)")
"""In mail addresses, names of people and numbers of issues, of which GitHub makes links whatever is escaped in them:
only a comment inside prevents that."""


PLAIN = re.compile(r"[0-9.,±+-]+(?: [0-9.,±+-]+)*")
"""Numbers, as most cells are, in which nothing has a meaning."""


def _escape(text: str) -> str:
    """Plain text in one line, in which nothing has a meaning."""
    if PLAIN.fullmatch(text):
        return text
    return CALLS.sub(r"<!-- -->\g<0>", MARKS.sub(r"\\\g<0>", visible(re.sub(r"\s+", " ", text))))
