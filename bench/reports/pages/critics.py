"""What the discriminators were worth: a part of the leaderboard's page."""

from __future__ import annotations

import pandas as pd

from bench.analysis.critics import critics
from bench.reports.document import Document, Heading, Paragraph, bullets, prose, table

__all__ = ["page"]

READING = """\
A discriminator at the last step that was scored, without dropout, on training sequences, validation sequences and
samples, as many of each; the mean over seeds. *Held out* is the share of
validation sequences and samples that it judges rightly: 0.5 by guessing. It has not been trained on validation
sequences, and they are as real as training sequences: where P(real) is much lower on them, it has learnt the training
set by heart."""
HEADER = ("model", "held out", "P(real) train", "validation", "samples", "n")
"""Of the table of discriminators."""


def page(curves: pd.DataFrame) -> Document:
    """A table of all discriminators of a task, and a sentence for each that is near chance or has learnt by heart.

    Args:
        curves: One row for each (run, phase, step, name) of completed runs.
    """
    found = critics(curves)
    if not found:
        return []
    blocks: Document = [Heading(2, "Discriminators"), Paragraph(prose(READING))]
    for task, preset in dict.fromkeys((each.task, each.preset) for each in found):
        here = [each for each in found if (each.task, each.preset) == (task, preset)]
        lines = [
            [each.model, *(f"{part:.3f}" for part in (each.held_out, *each.p_real)), str(each.seeds)] for each in here
        ]
        told = [prose("The discriminator of `{}` {}", each.model, words) for each in here for words in each.words]
        blocks += [Heading(3, f"{task}, {preset}"), table(HEADER, lines), *bullets("In words:", told)]
    return blocks
