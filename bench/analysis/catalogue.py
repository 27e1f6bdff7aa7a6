"""How every metric is shown: one row per metric. Nothing is computed here.

A metric that is not listed, such as a plugin's, is shown under :data:`OTHERS`, after all listed ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum

__all__ = [
    "ARROWS",
    "COSTS",
    "KINDS",
    "MEANINGS",
    "OTHERS",
    "PLACING",
    "RANKING",
    "UNIT_DECIMALS",
    "Entry",
    "Shown",
    "entry",
    "headline",
    "headlines",
    "in_order",
    "judged",
    "kind_of_task",
    "themes",
]

ARROWS = {"lower": "↓", "higher": "↑", "real": "→"}
"""Direction of a score to the arrow that points to better values."""
MEANINGS = {"lower": "lower is better", "higher": "higher is better", "real": "nearer to the real data is better"}
UNIT_DECIMALS = {"": 3, "words": 2, "types": 0, "log10": 3, "g/mol": 2}
"""Unit to decimals where a single text is scored: its intervals are wider than those over runs."""

LIKELIHOOD = "Likelihood and divergence"
NGRAMS = "N-grams shared with the test set, from both sides"
DIVERSITY = "Language model, diversity and copying"
LENGTH = "Length"
MUSIC = "Music"
MOLECULES = "Molecules"
COSTS = "Costs"
OTHERS = "Other measures"


class Shown(IntEnum):
    """How prominently a headline metric is shown: those of figures also on terminals, those of terminals on pages."""

    PAGE = 1
    TERMINAL = 2
    FIGURE = 3


KINDS = {
    "oracle": {"jsd_token", "nll_oracle"},
    "music": {"interval_distance"},
    "molecules": {"valid"},
    "text": set[str](),
}
"""The kinds of tasks, and the metrics by which they are known; "oracle": the true distribution is known."""

Headline = tuple[int, Shown]
"""Position among the headline metrics of a kind of task, and how prominently it is shown."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What is known about a metric.

    Attributes:
        metric: Its name.
        theme: The heading that it is listed under; "" for one without a column of its own.
        decimals: Number of decimals.
        merit: Whether one model can be better in it than another: copying little is no merit.
        density: Whether it reads the model's density: then only an exact density may win in it.
        axis: What it measures, below its name on the axis of a figure.
        verdict: Position among the verdicts that are shown; 0 for one that is in ``verdicts.csv`` only.
        at: Its position among the headline metrics of a kind of task, for each of :data:`KINDS` that shows it there.
        listed: Whether it is one of :data:`CATALOGUE`.
    """

    metric: str
    theme: str
    decimals: int = 3
    merit: bool = True
    density: bool = False
    axis: str = ""
    verdict: int = 0
    at: Mapping[str, Headline] = field(default_factory=dict)
    listed: bool = True

    def resolution(self, values: Iterable[float]) -> float:
        """The smallest difference that counts, in the metric's unit: a smaller one is none.

        For a listed metric it is one unit of the last decimal that tables show, far above the rounding of single
        precision (a millionth of a value) and below any effect that was ever claimed. Of another metric the scale is
        not known: there it is that rounding.

        Args:
            values: Scores that are to be compared; of a listed metric they do not matter.
        """
        return 10.0**-self.decimals if self.listed else ROUNDING * max(map(abs, values), default=0.0)


ROUNDING = 1e-6
"""Relative difference that rounding explains: another processor rounds single precision differently."""

PAGE, TERMINAL, FIGURE = Shown

CATALOGUE = (
    # Over long sequences the Jensen-Shannon divergence is close to ln 2: three decimals would hide too much.
    Entry("jsd_token", LIKELIHOOD, decimals=4, density=True, verdict=1, at={"oracle": (1, FIGURE)}),
    Entry("tv_token", LIKELIHOOD, density=True),
    Entry("nll_test", LIKELIHOOD, density=True, axis="test sequences under the model", verdict=2,
          at={"oracle": (2, FIGURE), "text": (1, FIGURE), "music": (1, FIGURE), "molecules": (1, FIGURE)}),
    Entry("kl_forward", LIKELIHOOD, density=True),
    Entry("kl_reverse", LIKELIHOOD, density=True, verdict=4),
    Entry("nll_oracle", LIKELIHOOD, axis="samples under the oracle", verdict=3,
          at={"oracle": (3, FIGURE)}),
    Entry("jsd", LIKELIHOOD, decimals=6, density=True),
    Entry("entropy_gap", LIKELIHOOD, density=True, merit=False),
    Entry("bleu2", NGRAMS, verdict=7, at={"text": (2, FIGURE)}),
    Entry("bleu3", NGRAMS),
    Entry("bleu4", NGRAMS, at={"music": (2, FIGURE)}),
    Entry("bleu5", NGRAMS),
    Entry("backward_bleu2", NGRAMS, verdict=8, at={"text": (3, FIGURE)}),
    Entry("backward_bleu3", NGRAMS),
    Entry("backward_bleu4", NGRAMS),
    Entry("backward_bleu5", NGRAMS),
    Entry("ms_jaccard4", NGRAMS, verdict=5, at={"oracle": (4, PAGE), "text": (4, TERMINAL)}),
    Entry("lm_nll", DIVERSITY, axis="samples under a model of the text"),
    Entry("reverse_nll", DIVERSITY, axis="test text under a model of the samples", verdict=6,
          at={"oracle": (5, TERMINAL), "text": (5, PAGE), "music": (6, PAGE)}),
    Entry("self_bleu2", DIVERSITY),
    Entry("self_bleu3", DIVERSITY),
    Entry("self_bleu4", DIVERSITY),
    Entry("self_bleu5", DIVERSITY),
    Entry("distinct2", DIVERSITY),
    Entry("distinct3", DIVERSITY),
    Entry("copy_sequence", DIVERSITY, merit=False, at={"oracle": (6, PAGE), "text": (6, PAGE), "molecules": (8, PAGE)}),
    Entry("copy_line", DIVERSITY, merit=False),
    Entry("copy_4gram", DIVERSITY, merit=False),
    Entry("copy_5gram", DIVERSITY, merit=False),
    Entry("copy_6gram", DIVERSITY, merit=False),
    Entry("copy_8gram", DIVERSITY, merit=False,
          at={"oracle": (7, TERMINAL), "text": (7, TERMINAL), "music": (7, TERMINAL), "molecules": (9, TERMINAL)}),
    Entry("copy_longest", DIVERSITY, decimals=2, merit=False),
    Entry("copy_nearest", DIVERSITY, merit=False),
    Entry("length_mean", LENGTH),
    Entry("unended", LENGTH),
    Entry("pitch_class_distance", MUSIC, at={"music": (4, PAGE)}),
    Entry("interval_distance", MUSIC, at={"music": (5, FIGURE)}),
    Entry("mse", MUSIC, at={"music": (3, TERMINAL)}),
    Entry("valid_unique_novel", MOLECULES, axis="different new molecules among the samples", verdict=9,
          at={"molecules": (2, FIGURE)}),
    Entry("valid", MOLECULES, axis="samples that are molecules", at={"molecules": (3, FIGURE)}),
    # Each of the two is had by writing few valid molecules: neither is a merit without the others.
    Entry("unique", MOLECULES, merit=False),
    Entry("novel", MOLECULES, merit=False, at={"molecules": (4, PAGE)}),
    Entry("internal_diversity", MOLECULES, at={"molecules": (7, PAGE)}),
    Entry("logp_distance", MOLECULES, at={"molecules": (5, TERMINAL)}),
    Entry("weight_distance", MOLECULES, decimals=2, at={"molecules": (6, PAGE)}),
    Entry("fcd", MOLECULES, decimals=2),
    Entry("fcd_floor", MOLECULES, decimals=2, merit=False),
    Entry("seconds", COSTS, at={"oracle": (8, TERMINAL), "text": (8, TERMINAL), "music": (8, TERMINAL),
                                "molecules": (10, TERMINAL)}),
    Entry("pretraining_seconds", COSTS),
    Entry("tokens", COSTS),
    Entry("updates", COSTS),
    Entry("train_tokens_per_second", COSTS),
    Entry("sampled_tokens_per_second", COSTS),
    Entry("rollouts_per_second", COSTS),
    Entry("discriminator_sequences_per_second", COSTS),
    Entry("peak_memory_mib", COSTS),
    # Of training curves.
    Entry("jsd_valid", "", decimals=6),
    Entry("nll_valid", ""),
)  # fmt: skip
"""All listed metrics, in the order of rows and columns everywhere."""

RANKING = ("jsd_token", "nll_test")
"""Rows are sorted by the first of these that the task has. Neither improves by dropping what is hard."""

PLACING = (*RANKING, "reverse_nll", "ms_jaccard4")
"""A model that lacks an exact value of the metric that sorts the rows is placed by the next of these that it has. The
last two read its samples alone, and do not improve by dropping what is hard, either: the first of them scores test text
under a model of the samples, the second looks at n-grams from both sides."""

_POSITIONS = {row.metric: position for position, row in enumerate(CATALOGUE)}


def entry(metric: str) -> Entry:
    """What is known about a metric; for one that is not listed, what holds for most metrics."""
    position = _POSITIONS.get(metric)
    return (
        Entry(metric, OTHERS, merit=not metric.startswith("copy_"), listed=False)
        if position is None
        else CATALOGUE[position]
    )


def in_order(metrics: Iterable[str]) -> list[str]:
    """Metrics in the order of :data:`CATALOGUE`, unknown ones last and by name."""
    return sorted(metrics, key=position)


def position(metric: str) -> tuple[int, str]:
    """Sort key of a metric."""
    return _POSITIONS.get(metric, len(CATALOGUE)), metric


def themes(metrics: Iterable[str]) -> dict[str, list[str]]:
    """Heading to the metrics under it, both in order."""
    found: dict[str, list[str]] = {}
    for metric in in_order(metrics):
        found.setdefault(entry(metric).theme, []).append(metric)
    return found


def headline(metrics: Iterable[str]) -> str | None:
    """The metric that a task's rows are sorted by, of those it has."""
    present = set(metrics)
    return next((metric for metric in PLACING if metric in present), None)


def headlines(kind: str, shown: Shown) -> list[str]:
    """The metrics to read first for a kind of task (:func:`kind_of_task`): quality, coverage and copying."""
    chosen = {row.metric: row.at[kind] for row in CATALOGUE if kind in row.at and row.at[kind][1] >= shown}
    return sorted(chosen, key=lambda metric: chosen[metric][0])


def judged(metrics: Iterable[str]) -> list[str]:
    """Metrics whose verdicts are shown."""
    return sorted((metric for metric in metrics if entry(metric).verdict), key=lambda metric: entry(metric).verdict)


def kind_of_task(metrics: Iterable[str]) -> str:
    """The kind of a task, from its metrics: the first of :data:`KINDS` that it has a sign of, else "text"."""
    present = set(metrics)
    return next((kind for kind, signs in KINDS.items() if present & signs), "text")
