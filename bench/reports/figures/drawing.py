"""All figures of a results folder."""

from __future__ import annotations

import io
import re
import warnings
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg

from bench.analysis.results import Results
from bench.records.files import write_atomically
from bench.reports.figures import cost, frontier, rounds, scores
from bench.reports.figures.style import styles_of

__all__ = ["write_figures"]


def write_figures(results: Results, folder: Path) -> list[tuple[str, str]]:
    """Draw the scores, the frontier, quality against cost and the rounds of policy gradient of each task and preset.

    Args:
        results: All frames.
        folder: Where the PNG files go; created if it does not exist.

    Returns:
        Caption and file name of each figure; the same results give the same bytes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    runs = results.runs
    styles = styles_of(runs["model"])
    drawn = [
        *scores.figures(runs, results.scores, results.board, styles),
        *frontier.figures(runs, results.frontier, styles),
        *cost.figures(runs, results.curves, styles),
        *rounds.figures(runs, results.curves, styles),
    ]
    written = []
    for caption, figure, stem in drawn:
        name = re.sub(r"(?:[^\w.]|_)+", "-", stem).strip("-") + ".png"
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Glyph .* missing")  # characters that the font lacks become boxes
            image = io.BytesIO()
            figure.set_dpi(150)
            # Not ``savefig``, which goes through all that is to be drawn once more, for the layout.
            FigureCanvasAgg(figure).print_png(image, metadata={"Software": None})  # type: ignore[no-untyped-call]
        write_atomically(folder / name, image.getvalue())
        written.append((caption, name))
    return written
