"""The samples of ``index.html``: each beside the nearest training sequence, with what a script needs to draw them."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from bench.analysis.catalogue import kind_of_task
from bench.records.frames import Row
from bench.records.nearest import Nearest
from bench.reports import molecules

__all__ = ["MOLECULE", "TUNE", "drawings", "form", "samples"]

TUNE, MOLECULE = "tune", "molecule"
"""Forms of samples that are drawn; "" is that of all others."""
FORMS = {"pitches": TUNE, "notes": TUNE, "molecules": MOLECULE}
"""Kinds of words, as in :class:`bench.api.SequenceSpec`, and the form of what is made of them."""
EARLIER = {"music": TUNE, "molecules": MOLECULE}
"""The same by the kind of the task, for records that do not have that of the words."""
NOUNS = {name: name for name in ("words", "characters", "notes", "places")} | {"pitches": "steps"}
"""Kinds of words and what they are called; all others are tokens."""
DRAWN = 800
"""Molecules that are drawn, at most: each takes about a kilobyte of the page."""


def form(runs: pd.DataFrame, metrics: Iterable[str]) -> str:
    """How the samples of a task are drawn: :data:`TUNE`, :data:`MOLECULE` or ""."""
    kinds = [kind for kind in runs.get("kind", ()) if isinstance(kind, str) and kind]
    return FORMS.get(kinds[0], "") if kinds else EARLIER.get(kind_of_task(metrics), "")


def samples(run: Row, texts: dict[str, int]) -> Row:
    """The samples of a run; where they are known, in pieces, and the nearest training sequences.

    Args:
        run: Its row.
        texts: Texts of the task, which are written once, and their numbers; what is said is added.

    Returns:
        ``samples``, each a text or its pieces, what is not shared and what is by turns; and ``nearest``: for each the
        number of what is to be said of it, the pieces of the training sequence, and whether the sample is a copy.
    """
    nearest: list[Nearest] = list(run.get("nearest") or ()) if isinstance(run.get("nearest"), list) else []
    if not nearest:
        return {"samples": [str(sample).strip() for sample in run["samples"]], "nearest": []}
    noun = NOUNS.get(str(run.get("kind")), "tokens")
    return {
        "samples": [_stripped(each.sample) for each in nearest],
        "nearest": [
            [texts.setdefault(_said(each, noun), len(texts)), _stripped(each.example), each.is_copy] for each in nearest
        ],
    }


def drawings(runs: Iterable[Row]) -> Row:
    """The molecules among samples and training sequences: SMILES to a drawing, or to why there is none.

    Returns:
        ``drawings``, as :func:`bench.reports.molecules.drawn` makes them, and ``undrawn``: why some have none at all.
    """
    known = list(runs)
    texts = [text for run in known for text in run["samples"]]
    texts += [example for run in known for _, example, _ in run["nearest"]]
    every = [smiles for smiles in dict.fromkeys("".join(text) for text in texts) if smiles]
    if molecules.unavailable():
        return {"drawings": {}, "undrawn": f"To see molecules drawn: {molecules.INSTALL}, then bench report."}
    found: Row = {}
    for smiles in every[:DRAWN]:
        try:
            found[smiles] = molecules.drawn(smiles)
        except molecules.Undrawable as reason:
            found[smiles] = str(reason)
    rest = len(every) - DRAWN
    return {"drawings": found, "undrawn": f"{rest:,} of the molecules are not drawn, to keep the page small."
            if rest > 0 else ""}  # fmt: skip


def _said(each: Nearest, noun: str) -> str:
    one = noun.removesuffix("s")
    if each.is_copy:
        return f"it is a training example, {one} for {one}"
    if not each.example:
        return f"no training example has any of its {noun}" if each.words else "the sample is empty"
    row = f", {each.longest} in a row" if each.longest > 1 else ""
    other = "" if each.example_words == each.words else f"; the example has {each.example_words}"
    return f"shares {each.shared} of {each.words} {one if each.words == 1 else noun}{row}{other}"


def _stripped(pieces: tuple[str, ...]) -> list[str]:
    """Pieces without the white space around their text."""
    kept = list(pieces)
    if kept:
        kept[0], kept[-1] = kept[0].lstrip(), kept[-1].rstrip()
    return kept
