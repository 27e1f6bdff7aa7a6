"""All figures of a results folder, drawn by as many processes as there are processors."""

from __future__ import annotations

import contextlib
import io
import itertools
import os
import pickle
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd

from bench.analysis.results import Results
from bench.records.files import write_atomically
from bench.reports import names
from bench.reports.figures import drawn
from bench.reports.figures.drawn import Written

__all__ = ["METADATA", "write_figures"]

METADATA = {"pdf": ("CreationDate", "Creator", "Producer"), "svg": ("Date", "Creator")}
"""The formats for papers that figures can be written in beside PNG, and what would make their bytes differ."""
FEW = 3
"""So many tasks and presets are drawn before another process has imported what it needs."""


def write_figures(results: Results, folder: Path, formats: Sequence[str] = ()) -> Written:
    """Draw the scores, the frontier, quality against cost and the rounds of policy gradient of each task and preset.

    Those that are there, and of which nothing changed, are left as they are (:mod:`bench.reports.figures.drawn`).

    Args:
        results: All frames.
        folder: Where the PNG files go; created if it does not exist.
        formats: Of :data:`METADATA`, those to be written as well.

    Returns:
        Caption and name of the PNG file of each figure; the same results give the same bytes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    sections = {section.digest: section for section in _sections(results, tuple(formats))}
    before = drawn.load(folder, formats)
    known = before | _drawn([section for key, section in sections.items() if key not in before], folder)
    parts = {key: known[key] for key in sections}
    if any(kind for part in parts.values() for kind in part):
        drawn.save(folder, parts, formats)
    return [one for kind in zip(*parts.values(), strict=True) for one in sorted(itertools.chain(*kind))]


def _sections(results: Results, formats: tuple[str, ...]) -> list[Drawing]:
    """What is drawn of each task and preset."""
    models = tuple(sorted(set(results.runs["model"])))
    frames = [results.runs, results.scores, results.board, results.curves, results.frontier]
    parts = [dict(list(frame.groupby(["task", "preset"], sort=False))) for frame in frames]
    return [
        Drawing(runs, scores, board, curves, swept, models, formats)
        for key in parts[0]
        for runs, scores, board, curves, swept in [
            [part.get(key, frame.head(0)) for part, frame in zip(parts, frames, strict=True)]
        ]
    ]


def _drawn(sections: Sequence[Drawing], folder: Path) -> dict[str, list[Written]]:
    """Digest to the figures of each kind, once they are drawn."""
    processes = 1 if len(sections) <= FEW or not sys.executable else min(_processors(), len(sections))
    others = [Share(sections[first::processes], folder) for first in range(1, processes)]
    try:
        parts = [_written(sections[::processes], folder), *(other.wait() for other in others)]
    finally:
        for other in others:
            other.end()
    return {key: kinds for part in parts for key, kinds in part.items()}


def _written(sections: Sequence[Drawing], folder: Path) -> dict[str, list[Written]]:
    return {section.digest: section.write(folder) for section in sections}


@dataclass(frozen=True, eq=False)
class Drawing:
    """What the figures of one task and preset are drawn from.

    Attributes:
        runs: Frames, as in :class:`bench.analysis.results.Results`.
        scores: The same.
        board: The same.
        curves: The same.
        frontier: The same.
        models: All models of the folder, since a model looks the same everywhere.
        formats: To be written beside PNG.
    """

    runs: pd.DataFrame
    scores: pd.DataFrame
    board: pd.DataFrame
    curves: pd.DataFrame
    frontier: pd.DataFrame
    models: tuple[str, ...]
    formats: tuple[str, ...] = ()

    @cached_property
    def digest(self) -> str:
        """What stands for its figures."""
        frames = self.runs, self.scores, self.board, self.curves, self.frontier
        return drawn.digest(frames, self.models, self.formats)

    def write(self, folder: Path) -> list[Written]:
        """Draw, and write PNG files and those of the other formats; the figures of each kind."""
        import matplotlib as mpl  # not at the top: most of the time nothing needs drawing
        from matplotlib.backends.backend_agg import FigureCanvasAgg

        from bench.reports.families import styles_of
        from bench.reports.figures import cost, frontier, rounds, scores

        mpl.rcParams["svg.hashsalt"] = "bench"  # the same names in the same figure
        styles = styles_of(self.models)
        kinds = (
            scores.figures(self.runs, self.scores, self.board, styles),
            frontier.figures(self.runs, self.frontier, styles),
            cost.figures(self.runs, self.curves, styles),
            rounds.figures(self.runs, self.curves, styles),
        )
        written = []
        for kind in kinds:
            files = []
            for caption, figure, words in kind:
                name = f"{names.stem(words)}.png"
                with warnings.catch_warnings():
                    warnings.filterwarnings("ignore", "Glyph .* missing")  # characters that the font lacks become boxes
                    image = io.BytesIO()
                    figure.set_dpi(150)
                    # Not ``savefig``, which goes through all that is to be drawn once more, for the layout.
                    FigureCanvasAgg(figure).print_png(image, metadata={"Software": None})  # type: ignore[no-untyped-call]
                    write_atomically(folder / name, image.getvalue())
                    for form in self.formats:
                        image = io.BytesIO()
                        figure.savefig(image, format=form, metadata=dict.fromkeys(METADATA[form]))
                        write_atomically((folder / name).with_suffix(f".{form}"), image.getvalue())
                files.append((caption, name))
            written.append(files)
        return written


class Share:
    """A part of the figures, drawn by a process of its own, or here where that process fails.

    Args:
        sections: What to draw; pickled.
        folder: Where the files go.
    """

    def __init__(self, sections: Sequence[Drawing], folder: Path) -> None:
        self._sections, self._folder = sections, folder
        self._answer = tempfile.TemporaryFile()  # noqa: SIM115 (closed by end)
        self._process: subprocess.Popen[bytes] | None = None
        paths = os.pathsep.join(path or os.getcwd() for path in sys.path)  # it imports from where this one imports
        with tempfile.TemporaryFile() as question, contextlib.suppress(OSError):
            pickle.dump((sections, folder.absolute()), question)
            question.seek(0)
            self._process = subprocess.Popen(
                [sys.executable, "-c", f"from {__name__} import _draw_share; _draw_share()"],
                stdin=question,
                stdout=self._answer,
                stderr=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": paths},
            )

    def wait(self) -> dict[str, list[Written]]:
        """Digest to the figures of each kind, once they are drawn."""
        if self._process is None or self._process.wait() != 0 or not self._answer.seek(0, os.SEEK_END):
            return _written(self._sections, self._folder)
        self._answer.seek(0)
        try:
            written: dict[str, list[Written]] = pickle.load(self._answer)
        except Exception:  # something else printed there, too
            return _written(self._sections, self._folder)
        return written

    def end(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._answer.close()


def _draw_share() -> None:
    sections, folder = pickle.load(sys.stdin.buffer)
    pickle.dump(_written(sections, folder), sys.stdout.buffer)


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
