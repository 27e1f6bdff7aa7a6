"""How every metric is shown: one row per metric. Nothing is computed here.

A metric that is not listed, such as a plugin's, is shown under :data:`OTHERS`, after all listed ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum

__all__ = [
    "ARROWS",
    "COSTS",
    "HEADLINES",
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
UNIT_DECIMALS = {"": 3, "words": 2, "types": 0, "nats/token": 3, "log10": 3, "g/mol": 2}
"""Unit to decimals where a single text is scored: its intervals are wider than those over runs."""

LIKELIHOOD = "Likelihood and divergence"
NGRAMS = "N-grams shared with the test set, from both sides"
DIVERSITY = "Language model, diversity and copying"
GRAMMAR = "Grammar"
NAMES = "Looked up in the list of all that is real"
LENGTH = "Length"
MUSIC = "Music"
MOLECULES = "Molecules"
TRIPS = "Trips"
PEOPLE = "Judged by people"
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
    "names": {"listed"},
    "trips": {"trip_distance_w1"},
    "molecules": {"valid"},
    "text": set[str](),
}
"""The kinds of tasks, and the metrics by which they are known; "oracle": the true distribution is known."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What is known about a metric.

    Attributes:
        metric: Its name.
        theme: The heading that it is listed under; "" for one without a column of its own.
        decimals: Number of decimals.
        merit: Whether one model is called better in it than another: copying little is no merit, and what another
            metric says already is not said twice.
        density: Whether it reads the model's density: then only an exact density may win in it.
        asked: Whether people give it, who are asked about some seeds only: then the others are not lost.
        axis: What it measures, below its name on the axis of a figure.
        verdict: Position among the verdicts that are shown; 0 for one that is in ``verdicts.csv`` only.
        listed: Whether it is one of :data:`CATALOGUE`.
    """

    metric: str
    theme: str
    decimals: int = 3
    merit: bool = True
    density: bool = False
    asked: bool = False
    axis: str = ""
    verdict: int = 0
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
    Entry("jsd_token", LIKELIHOOD, decimals=4, density=True, verdict=1),
    Entry("tv_token", LIKELIHOOD, density=True),
    Entry("nll_test", LIKELIHOOD, density=True, axis="test sequences under the model", verdict=2),
    # The exponential of nll_test, for readers of tables that have it: it says nothing more, and so has no verdicts.
    Entry("perplexity", LIKELIHOOD, decimals=1, density=True, merit=False),
    Entry("kl_forward", LIKELIHOOD, density=True),
    Entry("kl_reverse", LIKELIHOOD, density=True, verdict=4),
    Entry("nll_oracle", LIKELIHOOD, axis="samples under the oracle", verdict=3),
    Entry("jsd", LIKELIHOOD, decimals=6, density=True),
    Entry("entropy_gap", LIKELIHOOD, density=True, merit=False),
    Entry("tv_stationary", LIKELIHOOD, density=True, axis="from the source's laws"),
    Entry("grammatical", GRAMMAR, axis="share of samples that the grammar allows"),
    Entry("grammatical_prefix", GRAMMAR),
    Entry("bracket_match", GRAMMAR),
    Entry("bracket_match_far", GRAMMAR),
    Entry("bleu2", NGRAMS, verdict=7),
    Entry("bleu3", NGRAMS),
    Entry("bleu4", NGRAMS),
    Entry("bleu5", NGRAMS),
    Entry("backward_bleu2", NGRAMS, verdict=8),
    Entry("backward_bleu3", NGRAMS),
    Entry("backward_bleu4", NGRAMS),
    Entry("backward_bleu5", NGRAMS),
    Entry("ms_jaccard4", NGRAMS, verdict=5),
    Entry("lm_nll", DIVERSITY, axis="samples under a model of the text"),
    Entry("reverse_nll", DIVERSITY, axis="test text under a model of the samples", verdict=6),
    # Of the first three, the gain alone has verdicts: it falls as the first rises, and the second is its exponential.
    Entry("augmented_nll", DIVERSITY, axis="test text under a model of real text and samples", merit=False),
    Entry("augmented_perplexity", DIVERSITY, decimals=1, merit=False),
    Entry("augmented_gain", DIVERSITY),
    Entry("augmented_gain_all", DIVERSITY),
    Entry("augmented_lstm_nll", DIVERSITY, merit=False),
    Entry("augmented_lstm_gain", DIVERSITY),
    Entry("self_bleu2", DIVERSITY),
    Entry("self_bleu3", DIVERSITY),
    Entry("self_bleu4", DIVERSITY),
    Entry("self_bleu5", DIVERSITY),
    Entry("distinct2", DIVERSITY),
    Entry("distinct3", DIVERSITY),
    Entry("copy_sequence", DIVERSITY, merit=False),
    Entry("copy_line", DIVERSITY, merit=False),
    Entry("copy_4gram", DIVERSITY, merit=False),
    Entry("copy_5gram", DIVERSITY, merit=False),
    Entry("copy_6gram", DIVERSITY, merit=False),
    Entry("copy_8gram", DIVERSITY, merit=False),
    Entry("copy_longest", DIVERSITY, decimals=2, merit=False),
    Entry("copy_nearest", DIVERSITY, merit=False),
    Entry("listed_new", NAMES, axis="of new samples, those that are real"),
    Entry("listed", NAMES),
    Entry("new_distinct", NAMES, merit=False, axis="of all samples, those that are new"),
    Entry("length_mean", LENGTH),
    Entry("unended", LENGTH),
    Entry("pitch_class_distance", MUSIC),
    Entry("interval_distance", MUSIC),
    Entry("mse", MUSIC),
    Entry("trip_distance_w1", TRIPS, decimals=1, axis="lengths of trips"),
    Entry("trip_distance_jsd", TRIPS),
    Entry("radius_w1", TRIPS, decimals=2),
    Entry("radius_jsd", TRIPS),
    Entry("places_jsd", TRIPS),
    Entry("g_rank_jsd", TRIPS),
    Entry("trips_unplaced", TRIPS),
    Entry("radius_geogen_jsd", TRIPS),
    Entry("radius_tstrajgen_jsd", TRIPS),
    Entry("radius_movesim_jsd", TRIPS),
    Entry("hop_movesim_jsd", TRIPS),
    Entry("g_rank_geogen_jsd", TRIPS),
    Entry("next_place_accuracy1", TRIPS, axis="next places of real trips"),
    Entry("next_place_accuracy5", TRIPS),
    Entry("next_place_km", TRIPS, decimals=1),
    Entry("next_place_rmse_km", TRIPS, decimals=1),
    Entry("valid_unique_novel", MOLECULES, axis="different new molecules among the samples", verdict=9),
    Entry("valid", MOLECULES, axis="samples that are molecules"),
    # Each of the two is had by writing few valid molecules: neither is a merit without the others.
    Entry("unique", MOLECULES, merit=False),
    Entry("novel", MOLECULES, merit=False),
    Entry("internal_diversity", MOLECULES),
    Entry("logp_distance", MOLECULES),
    Entry("weight_distance", MOLECULES, decimals=2),
    # How many valid samples it reads depends on the model, and with it the floor: no verdict without that.
    Entry("fcd", MOLECULES, decimals=2, merit=False),
    Entry("fcd_floor", MOLECULES, decimals=2, merit=False),
    Entry("human", PEOPLE, asked=True),
    Entry("seconds", COSTS),
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

HEADLINES: Mapping[str, tuple[tuple[str, Shown], ...]] = {
    "oracle": (
        ("jsd_token", FIGURE),
        ("nll_test", FIGURE),
        ("nll_oracle", FIGURE),
        ("grammatical", FIGURE),
        ("tv_stationary", TERMINAL),
        ("bracket_match_far", PAGE),
        ("ms_jaccard4", PAGE),
        ("reverse_nll", TERMINAL),
        ("copy_sequence", PAGE),
        ("copy_8gram", TERMINAL),
        ("seconds", TERMINAL),
    ),
    "music": (
        ("nll_test", FIGURE),
        ("bleu4", FIGURE),
        ("mse", TERMINAL),
        ("pitch_class_distance", PAGE),
        ("interval_distance", FIGURE),
        ("reverse_nll", PAGE),
        ("copy_8gram", TERMINAL),
        ("seconds", TERMINAL),
    ),
    "names": (
        ("nll_test", FIGURE),
        ("listed_new", FIGURE),
        ("listed", PAGE),
        ("new_distinct", TERMINAL),
        ("reverse_nll", PAGE),
        ("copy_sequence", TERMINAL),
        ("copy_8gram", PAGE),
        ("seconds", TERMINAL),
    ),
    "trips": (
        ("nll_test", FIGURE),
        ("trip_distance_w1", FIGURE),
        ("trip_distance_jsd", PAGE),
        ("radius_w1", TERMINAL),
        ("next_place_accuracy1", FIGURE),
        ("reverse_nll", PAGE),
        ("copy_sequence", TERMINAL),
        ("copy_8gram", TERMINAL),
        ("seconds", TERMINAL),
    ),
    "molecules": (
        ("nll_test", FIGURE),
        ("valid_unique_novel", FIGURE),
        ("valid", FIGURE),
        ("novel", PAGE),
        ("logp_distance", TERMINAL),
        ("weight_distance", PAGE),
        ("internal_diversity", PAGE),
        ("copy_sequence", PAGE),
        ("copy_8gram", TERMINAL),
        ("seconds", TERMINAL),
    ),
    "text": (
        ("nll_test", FIGURE),
        ("bleu2", FIGURE),
        ("backward_bleu2", FIGURE),
        ("ms_jaccard4", TERMINAL),
        ("reverse_nll", PAGE),
        ("copy_sequence", PAGE),
        ("copy_8gram", TERMINAL),
        ("seconds", TERMINAL),
    ),
}
"""The headline metrics of each kind of task in their order, and how prominently each is shown."""

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
    return [metric for metric, least in HEADLINES[kind] if least >= shown]


def judged(metrics: Iterable[str]) -> list[str]:
    """Metrics whose verdicts are shown."""
    return sorted((metric for metric in metrics if entry(metric).verdict), key=lambda metric: entry(metric).verdict)


def kind_of_task(metrics: Iterable[str]) -> str:
    """The kind of a task, from its metrics: the first of :data:`KINDS` that it has a sign of, else "text"."""
    present = set(metrics)
    return next((kind for kind, signs in KINDS.items() if present & signs), "text")
