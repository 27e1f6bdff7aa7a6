"""What is alike among models, and how each looks: the same in every figure, on every page and of every folder."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from typing import Any, NamedTuple

from bench.records.frames import REAL_DATA

__all__ = [
    "FAMILIES",
    "LABEL_WIDTH",
    "LINES",
    "MARKERS",
    "OTHERS",
    "PALETTE",
    "STRANGERS",
    "TOGETHER",
    "Group",
    "Style",
    "Styles",
    "groups",
    "styles_of",
]

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F5F3F")
"""Okabe and Ito's colours, which colour-blind readers can tell apart; brown replaces yellow, too pale on white."""
STRANGERS = "#882255"
"""The colour of models that are of none of the families."""
LINES = ("-", "--", "-.", ":")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
"""As many as there are models in a family, and more than lines, so that no two of a family share both."""
FAMILIES = {
    "likelihood": ("mle", "scheduled-sampling", "cnn-mle", "transformer-mle"),
    "policy gradient on a discriminator": ("seqgan", "rloo", "grpo", "seqgan-baselined"),
    "counts": ("ngram", "bigram", "random", "uniform"),
    "other adversarial training": ("cot", "relgan", "maligan", "residual-ebm"),
    "policy gradient on another reward": (
        "constant-reward",
        "random-reward",
        "random-reward-baselined",
        "pg-bleu",
        "permuted-reward",
    ),
    "controls of likelihood": (
        *("mle-tuned", "mle-longer", "mle-tempered", "mle-ensemble", "mle-ngram", "relational-mle"),
    ),
    "copies": ("repeat", "replay"),
}
"""What is alike, in the order of :data:`PALETTE`."""
OTHERS = "other models"
"""What models that are of none of the families are called together."""
TOGETHER = 6
"""Most models in one panel: of more, lines hide each other and bands become one."""
LABEL_WIDTH = 26
"""Most characters of a model's label on one line."""


class Style(NamedTuple):
    """How a model is drawn: its family's colour, and a line and a marker of its own."""

    colour: str
    line: Any
    marker: str


Styles = dict[str, Style]


def styles_of(models: Iterable[str]) -> Styles:
    """A style for each model; that of the project's own models is the same in every figure and folder.

    Of one model with several settings, ``seqgan[rounds=60]`` beside ``seqgan``, each has a line and a marker of its
    own, too, as long as there are so many. So has a stranger's model, by its place among the strangers.
    """
    names = sorted(set(models) - {REAL_DATA})
    strangers = [name for name in names if _family(name) is None]
    styles: Styles = {}
    for name in sorted(names, key=lambda name: "[" in name):  # what has settings gives way
        found = _family(name)
        colour, first = (STRANGERS, strangers.index(name)) if found is None else found
        looks = [
            Style(colour, LINES[index % len(LINES)], MARKERS[index % len(MARKERS)])
            for index in range(first, first + len(LINES) * len(MARKERS))
        ]
        styles[name] = next((style for style in looks if style not in styles.values()), looks[0])
    return {name: styles[name] for name in names}


def _family(name: str) -> tuple[str, int] | None:
    """The colour of a model's family, and the model's place in it; settings move it by a number of their own."""
    plain = name.partition("[")[0].partition("@")[0]
    moved = zlib.crc32(name.encode()) if name != plain else 0
    for colour, family in zip(PALETTE, FAMILIES.values(), strict=True):
        if plain in family:
            return colour, family.index(plain) + moved
    return None


class Group(NamedTuple):
    """Models that share a panel: of one family, whose name is the title, or all there are, without one."""

    title: str
    models: list[str]


def groups(models: Iterable[str], styles: Styles) -> list[Group]:
    """All models in one group where they are few, else those of each family, at most :data:`TOGETHER` in each group."""
    names = list(models)
    if len(names) <= TOGETHER:
        return [Group("", names)]
    families = dict(zip(PALETTE, FAMILIES, strict=True))
    found = []
    for title in (*FAMILIES, OTHERS):
        own = [name for name in names if families.get(styles[name].colour, OTHERS) == title]
        parts = [own[first : first + TOGETHER] for first in range(0, len(own), TOGETHER)]
        for number, part in enumerate(parts, start=1):
            found.append(Group(title + (f", {number} of {len(parts)}" if len(parts) > 1 else ""), part))
    return found
