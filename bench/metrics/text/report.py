"""Input and output of ``bench score``: texts, and a report of their scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from bench.data.reading import has_columns, read_lines, remarks
from bench.metrics.base import Estimate
from bench.metrics.text.intervals import RESAMPLES, SEED

__all__ = ["REAL", "Difference", "Report", "Row", "SeedRows", "Text", "without_blanks"]

REAL = "real text"


@dataclass(frozen=True, slots=True)
class Text:
    """The lines of a file.

    Attributes:
        name: Its name.
        lines: All of them, except those left out.
        blank: The number of blank lines that were left out.
        remarks: What to know about how the file was read, in sentences.
    """

    name: str
    lines: tuple[str, ...]
    blank: int = 0
    remarks: tuple[str, ...] = ()

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
        column = column if has_columns(path) else None
        lines = tuple(read_lines(path, column))
        return cls(name, lines, remarks=tuple(remarks(path, column)))


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
class Difference:
    """How far a score of a file is from that of the first file, and how far chance in both may have moved it.

    Attributes:
        name: The file.
        baseline: The first file.
        metric: The metric.
        value: The file's score - the baseline's, in the metric's unit; None where they cannot be compared.
        unit: Its unit.
        direction: Which scores are better, as in :class:`bench.metrics.base.Estimate`.
        low: Lower end of the 95 % interval; None where there is none.
        high: Upper end.
        p: Two-sided p, not corrected; None where nothing was tested.
        test: How p was found: "bootstrap", "permutation" or "Fisher"; "" where nothing was tested.
        untested: Why not; "identical" for files with the same lines.
        nearer: Whether the file is nearer to real text than the baseline; None where real text has no such score, or
            both are as near.
        nearer_p: Two-sided p of the difference between the two distances from real text, whose score is held fixed;
            None where nothing was tested. Where both are on one side of real text, it is p.
    """

    name: str
    baseline: str
    metric: str
    value: float | None
    unit: str
    direction: str
    low: float | None = None
    high: float | None = None
    p: float | None = None
    test: str = ""
    untested: str | None = None
    nearer: bool | None = None
    nearer_p: float | None = None


@dataclass(frozen=True, slots=True)
class SeedRows:
    """The files of one model, one of each of its seeds.

    Attributes:
        name: What the files are called, with ``{seed}`` in place of the seed.
        rows: Seed to the index of its row in :attr:`Report.rows`.
    """

    name: str
    rows: Mapping[int, int]


@dataclass(frozen=True, slots=True)
class Report:
    """What ``bench score`` found.

    Attributes:
        rows: The samples in the order they were given, then real text.
        notes: What to know about the numbers, in sentences.
        differences: For each further file, its differences from the first; empty for one file.
        over_seeds: Which rows are the seeds of one model, where the files are those of several seeds.
        interval: How the intervals were made.
    """

    rows: tuple[Row, ...]
    notes: tuple[str, ...]
    differences: tuple[tuple[Difference, ...], ...] = ()
    over_seeds: tuple[SeedRows, ...] = ()
    interval: str = (
        f"95 %: mean, percentiles of {RESAMPLES} bootstrap means over sequences (seed {SEED}); leave-one-out, the "
        "score plus such percentiles of how far it falls without each sequence; wilson, Wilson's interval of a share "
        "of sequences; all limited to 0 or more, and to 1 or less where there is no unit"
    )


def without_blanks(text: Text) -> Text:
    """The text without its blank lines, which are counted in ``blank``."""
    lines = tuple(filter(str.strip, text.lines))
    return replace(text, lines=lines, blank=text.blank + len(text.lines) - len(lines))
