"""Pieces of Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterable

__all__ = ["Markdown", "bullets", "escape", "pipe_table"]


class Markdown(str):
    """Text that is Markdown already: :func:`escape` leaves it as it is."""

    __slots__ = ()


def bullets(title: str, lines: Iterable[str]) -> list[str]:
    """A title and its list; nothing for an empty list."""
    listed = "\n".join(f"- {line}" for line in lines)
    return [f"{title}\n\n{listed}"] if listed else []


def pipe_table(header: list[str], lines: list[list[str]], left: int = 1) -> str:
    """A GitHub table whose pipes are aligned; the first ``left`` columns hold text, the others numbers."""
    grid = [[escape(cell) for cell in line] for line in (header, *lines)]
    widths = [max(3, *(len(cell) for cell in column)) for column in zip(*grid, strict=True)]
    rule = ["-" * width if place < left else "-" * (width - 1) + ":" for place, width in enumerate(widths)]
    padded = [
        [cell.ljust(width) if place < left else cell.rjust(width) for place, (cell, width) in enumerate(columns)]
        for columns in (list(zip(line, widths, strict=True)) for line in grid)
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in (padded[0], rule, *padded[1:]))


def escape(text: str) -> str:
    """Plain text for Markdown: no emphasis, code, HTML, new cell or new line; underscores inside words may stay."""
    if isinstance(text, Markdown):
        return text
    return re.sub(r"([\\`*<|]|(?<![^\W_])_|_(?![^\W_]))", r"\\\1", " ".join(text.split()))
