"""All figures of a results folder, drawn by as many processes as there are processors."""

from __future__ import annotations

import contextlib
import io
import os
import pickle
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg

from bench.analysis.results import Results
from bench.records.files import write_atomically
from bench.reports import names
from bench.reports.families import Styles, styles_of
from bench.reports.figures import cost, frontier, rounds, scores

__all__ = ["METADATA", "write_figures"]

METADATA = {"pdf": ("CreationDate", "Creator", "Producer"), "svg": ("Date", "Creator")}
"""The formats for papers that figures can be written in beside PNG, and what would make their bytes differ."""
mpl.rcParams["svg.hashsalt"] = "bench"  # the same names in the same figure
FEW = 3
"""So many tasks and presets are drawn before another process has imported what it needs."""

Written = list[tuple[str, str]]
"""Caption and file name of figures."""


def write_figures(results: Results, folder: Path, formats: Sequence[str] = ()) -> Written:
    """Draw the scores, the frontier, quality against cost and the rounds of policy gradient of each task and preset.

    Args:
        results: All frames.
        folder: Where the PNG files go; created if it does not exist.
        formats: Of :data:`METADATA`, those to be written as well.

    Returns:
        Caption and name of the PNG file of each figure; the same results give the same bytes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    runs = results.runs
    frames = runs, results.scores, results.board, results.curves, results.frontier
    drawing = Drawing(*frames, styles_of(runs["model"]), tuple(formats))
    sections = list(dict.fromkeys(runs[["task", "preset"]].itertuples(index=False, name=None)))
    processes = 1 if len(sections) <= FEW or not sys.executable else min(_processors(), len(sections))
    shares = [drawing.of(sections[first::processes]) for first in range(processes)]
    others = [Share(share, folder) for share in shares[1:]]
    try:
        parts = [shares[0].write(folder), *(other.wait() for other in others)]
    finally:
        for other in others:
            other.end()
    return [one for kind in zip(*parts, strict=True) for one in sorted(figure for part in kind for figure in part)]


@dataclass(frozen=True, eq=False)
class Drawing:
    """What figures are drawn from: frames, as in :class:`bench.analysis.results.Results`, and how models look."""

    runs: pd.DataFrame
    scores: pd.DataFrame
    board: pd.DataFrame
    curves: pd.DataFrame
    frontier: pd.DataFrame
    styles: Styles
    formats: tuple[str, ...] = ()

    def of(self, sections: Sequence[tuple[str, str]]) -> Drawing:
        """The same for some tasks and presets alone; models look as they do among all."""
        if not sections:
            return self
        wanted = pd.MultiIndex.from_tuples(sections)

        def some(frame: pd.DataFrame) -> pd.DataFrame:
            return frame[pd.MultiIndex.from_frame(frame[["task", "preset"]]).isin(wanted)]

        runs, scores, board, curves, frontier = map(
            some, (self.runs, self.scores, self.board, self.curves, self.frontier)
        )
        return Drawing(runs, scores, board, curves, frontier, self.styles, self.formats)

    def write(self, folder: Path) -> list[Written]:
        """Draw, and write PNG files and those of the other formats; the figures of each kind."""
        kinds = (
            scores.figures(self.runs, self.scores, self.board, self.styles),
            frontier.figures(self.runs, self.frontier, self.styles),
            cost.figures(self.runs, self.curves, self.styles),
            rounds.figures(self.runs, self.curves, self.styles),
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
        drawing: What to draw; pickled.
        folder: Where the files go.
    """

    def __init__(self, drawing: Drawing, folder: Path) -> None:
        self._drawing, self._folder = drawing, folder
        self._answer = tempfile.TemporaryFile()  # noqa: SIM115 (closed by end)
        self._process: subprocess.Popen[bytes] | None = None
        paths = os.pathsep.join(path or os.getcwd() for path in sys.path)  # it imports from where this one imports
        with tempfile.TemporaryFile() as question, contextlib.suppress(OSError):
            pickle.dump((drawing, folder.absolute()), question)
            question.seek(0)
            self._process = subprocess.Popen(
                [sys.executable, "-c", f"from {__name__} import _draw_share; _draw_share()"],
                stdin=question,
                stdout=self._answer,
                stderr=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": paths},
            )

    def wait(self) -> list[Written]:
        """The figures of each kind, once they are drawn."""
        if self._process is None or self._process.wait() != 0 or not self._answer.seek(0, os.SEEK_END):
            return self._drawing.write(self._folder)
        self._answer.seek(0)
        try:
            written: list[Written] = pickle.load(self._answer)
        except Exception:  # something else printed there, too
            return self._drawing.write(self._folder)
        return written

    def end(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._answer.close()


def _draw_share() -> None:
    drawing, folder = pickle.load(sys.stdin.buffer)
    pickle.dump(drawing.write(folder), sys.stdout.buffer)


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
