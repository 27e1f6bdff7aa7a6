"""Input and output of ``bench score``: texts, and a report of their scores."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bench.data.reading import has_columns, read_lines
from bench.metrics.base import Estimate
from bench.metrics.text.intervals import RESAMPLES, SEED

__all__ = ["REAL", "Report", "Row", "Text", "without_blanks"]

REAL = "real text"


@dataclass(frozen=True, slots=True)
class Text:
    """The lines of a file.

    Attributes:
        name: Its name.
        lines: All of them, except those left out.
        blank: The number of blank lines that were left out.
    """

    name: str
    lines: tuple[str, ...]
    blank: int = 0

    @classmethod
    def read(cls, name: str, column: str | None = None) -> Text:
        """Read a file; the text has its name.

        Args:
            name: The path; see :func:`bench.data.reading.read_lines`.
            column: The column that holds the text; not used for plain text, which has no columns.

        Raises:
            UsageError: for a file that cannot be read as text.
        """
        path = Path(name)
        return cls(name, tuple(read_lines(path, column if has_columns(path) else None)))


@dataclass(frozen=True, slots=True)
class Row:
    """The scores of one text.

    Attributes:
        name: The file, or "real text".
        real: Whether it is real text, scored for comparison.
        n: The number of its sequences.
        scores: In the order of the metrics, each with its interval.
    """

    name: str
    real: bool
    n: int
    scores: tuple[Estimate, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """What ``bench score`` found.

    Attributes:
        rows: The samples in the order they were given, then real text.
        notes: What to know about the numbers, in sentences.
        interval: How the intervals were made.
    """

    rows: tuple[Row, ...]
    notes: tuple[str, ...]
    interval: str = (
        f"95 %: mean, percentiles of {RESAMPLES} bootstrap means over sequences (seed {SEED}); leave-one-out, the "
        "score plus such percentiles of how far it falls without each sequence; wilson, Wilson's interval of a share "
        "of sequences; all limited to 0 or more, and to 1 or less where there is no unit"
    )


def without_blanks(text: Text) -> Text:
    """The text without its blank lines, which are counted in ``blank``."""
    lines = tuple(filter(str.strip, text.lines))
    return Text(text.name, lines, text.blank + len(text.lines) - len(lines))
