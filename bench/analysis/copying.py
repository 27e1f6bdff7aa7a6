"""Which rows copy the training text more than real text does.

All texts of a language have phrases in common, so a copy rate means nothing by itself. It is compared with that of real
text which nobody copied: the *test* sequences against the same training set, in the row of the real data. A row copies
if one of its rates is above the real one by more than

    slack + 3 * sqrt(variance of the real mean + variance of the row's mean).

The square root is the standard error of the difference: even without slack, a row that copies as much as real text
would be marked by chance once in 700 columns. A sequence's share of copied n-grams is
between 0 and 1, so that its variance is at most p (1 - p), whatever its n-grams have to do with each other; the
standard deviation of a longest span is taken to be its mean, above that of any text that was tried. The variance of
``copy_nearest`` is taken to be p (1 - p) / 4: the standard deviation of real text was 0.04 to 0.12 on five corpora,
where that formula says 0.20 to 0.25.

The slack, :data:`SLACK` for shares and :data:`WORDS` for the longest span, is what an honest model may have above the
real rate: models that follow their training set closely or prefer common phrases. Under ``medium``, one seed each,
``mle``, ``mle-longer``, ``bigram`` and ``constant-reward`` were at most 0.001 above the real rate in all columns on
``oracle``, ``quatrains`` and ``quatrains-tang``; on ``sotu`` and ``folk-tunes``, ``constant-reward`` had 0.06 more in
``copy_nearest`` and 0.04 more of the 5-grams, within three standard errors. Two that policy gradient had collapsed to
few notes of folk tunes, ``pg-bleu`` and ``random-reward``, had up to 0.45 more of the 8-grams, and are marked. A text
with 30 % of its words replaced has 0.24 of its 4-grams and 0.12 of its 6-grams left; a poem of shuffled lines has a
quarter of its 5-grams, and all of its lines.

In ``copy_nearest``, up to 500 real sequences have 0.20 on ``quatrains-tang``, 0.22 on ``quatrains``, 0.66 on
``folk-tunes`` and 0.56 on ``folk-tunes-phrases``. Of 150 training sequences, with every fourth word changed they have
0.72, 0.74, 0.77 and 0.74, with every third 0.63, 0.64, 0.68 and 0.66, with every second 0.48, 0.50, 0.55 and 0.50, and
with all neighbours swapped 0.50, 0.50, 0.74 and 0.63. On poems, therefore, half of the words may be changed and it
shows; tunes have few different notes, and there one note in three can be changed unseen on ``folk-tunes``.

Where real text itself is mostly made of known n-grams, as short tunes of few notes are, there is no room above it, and
only longer units tell: therefore all grains are compared. A model that has collapsed to a few common phrases is marked,
too: what it writes is training text, however it came to write it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from bench.analysis.catalogue import entry
from bench.records.frames import CELL, FINAL, REAL_DATA, as_tuples

__all__ = ["COLUMNS", "SLACK", "WORDS", "copiers"]

COLUMNS = ("copy_sequence", "copy_line", "copy_8gram", "copy_6gram", "copy_5gram", "copy_4gram", "copy_nearest",
           "copy_longest")  # fmt: skip
"""From the largest unit to the smallest, then paraphrases; the longest span last, since it is a length."""
SLACK = 0.02
"""How far a share may be above the real one, beside sampling error."""
WORDS = 1.0
"""The same for the longest span, in words."""
ERRORS = 3
"""Standard errors that are granted to sampling."""
COUNTED = re.compile(r"(?:^|\|)n=(\d+)(?:\||$)")


@dataclass(frozen=True, slots=True)
class _Rate:
    """The copy rate of a row in one column.

    Attributes:
        mean: The mean over seeds.
        sequences: The number of sequences behind it; of the real data's row, that of one seed, since all seeds may have
            the same test set.
    """

    mean: float
    sequences: int

    def variance(self, metric: str) -> float:
        """At most how much the mean varies with the sequences that were drawn."""
        if metric == "copy_longest":
            return self.mean**2 / self.sequences
        each = self.mean * (1 - self.mean)
        return each / (4 if metric == "copy_nearest" else 1) / self.sequences


def copiers(scores: pd.DataFrame) -> dict[tuple[str, str, str, str], str]:
    """Which rows copy, and how one sees it.

    Rows and columns whose real rate is not known are not judged. In records of earlier versions it is not: there the
    row of the real data is about training sequences in all columns.

    Args:
        scores: One row for each (run, checkpoint, metric) of completed runs.

    Returns:
        (Task, preset, model, checkpoint) to a phrase that names the largest unit that is copied, its rate, and the real
        one.
    """
    rates: dict[tuple[str, str], dict[tuple[str, str, str], _Rate]] = {}
    copied = scores[scores["metric"].isin(COLUMNS) & scores["value"].notna()]
    measured: dict[tuple[str, ...], list[tuple[float, str]]] = {}
    for *key, value, signature in as_tuples(copied[[*CELL, "value", "signature"]]):
        measured.setdefault(tuple(map(str, key)), []).append((value, signature))
    for (task, preset, model, checkpoint, metric), rows in measured.items():
        rates.setdefault((task, preset), {})[model, checkpoint, metric] = _rate(rows, model == REAL_DATA)
    found: dict[tuple[str, str, str, str], str] = {}
    for (task, preset), here in rates.items():
        for model, checkpoint in dict.fromkeys((model, checkpoint) for model, checkpoint, _ in here):
            if model == REAL_DATA:
                continue
            for metric in COLUMNS:
                rate, real = here.get((model, checkpoint, metric)), here.get((REAL_DATA, FINAL, metric))
                if rate and real and rate.mean > _most(metric, rate, real):
                    found[task, preset, model, checkpoint] = _phrase(metric, rate.mean, real.mean)
                    break
    return found


def _most(metric: str, rate: _Rate, real: _Rate) -> float:
    """The highest rate that is not called copying."""
    slack = WORDS if metric == "copy_longest" else SLACK
    return real.mean + slack + ERRORS * math.sqrt(real.variance(metric) + rate.variance(metric))


def _rate(rows: Sequence[tuple[float, str]], real: bool) -> _Rate:
    """The rate of one cell, from the values of its seeds and their signatures."""
    counts = [_sequences(signature) for _, signature in rows]
    return _Rate(float(np.mean([value for value, _ in rows])), min(counts) if real else sum(counts))


def _sequences(signature: Hashable) -> int:
    """The number of sequences that a signature says; 1 where it does not, so that almost nothing is called copying."""
    counted = COUNTED.search(str(signature))
    return max(int(counted[1]), 1) if counted else 1


def _phrase(metric: str, rate: float, real: float) -> str:
    decimals = entry(metric).decimals
    unit = " words" if metric == "copy_longest" else ""
    return f"copies training text: {metric} {rate:.{decimals}f}{unit}, real text {real:.{decimals}f}"
