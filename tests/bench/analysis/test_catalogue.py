"""One row per metric: every metric of the package is listed, and what is derived from the rows fits together."""

import csv
from pathlib import Path

import pytest

from bench.analysis.catalogue import (
    CATALOGUE,
    COSTS,
    HEADLINES,
    KINDS,
    OTHERS,
    PLACING,
    RANKING,
    Shown,
    entry,
    headline,
    headlines,
    in_order,
    judged,
    kind_of_task,
    themes,
)

ACCEPTED = Path(__file__).parents[3] / "results" / "accepted.csv"
BOARD = Path(__file__).parents[3] / "results" / "leaderboard.csv"


def test_the_headline_is_the_first_metric_that_cannot_be_gamed():
    assert headline(["bleu2", "nll_test", "jsd_token"]) == "jsd_token"
    assert headline(["bleu2", "nll_test"]) == "nll_test"
    assert headline(["bleu2", "nll_oracle"]) is None


def test_metrics_have_an_order_and_strangers_come_last():
    known = [row.metric for row in CATALOGUE]
    assert len(known) == len(set(known))
    assert in_order({"zeal", *known, "novelty"}) == [*known, "novelty", "zeal"]


@pytest.mark.parametrize("file", [ACCEPTED, BOARD], ids=lambda file: file.name)
def test_every_metric_that_was_ever_measured_is_listed(file):
    with file.open(encoding="utf-8", newline="") as stream:
        measured = {row["metric"] for row in csv.DictReader(stream)} - {""}
    assert len(measured) > 20
    assert {metric for metric in measured if entry(metric).theme == OTHERS} == set()


def test_a_plugins_metric_is_shown_under_others():
    assert (entry("novelty").theme, entry("novelty").decimals, entry("novelty").merit) == (OTHERS, 3, True)
    assert not entry("copy_12gram").merit
    assert themes(["novelty", "bleu2", "seconds", "jsd"]) == {
        "Likelihood and divergence": ["jsd"],
        "N-grams shared with the test set, from both sides": ["bleu2"],
        COSTS: ["seconds"],
        OTHERS: ["novelty"],
    }


@pytest.mark.parametrize("kind", KINDS)
def test_headlines_have_positions_of_their_own_and_begin_with_what_ranks(kind):
    assert len(set(headlines(kind, Shown.PAGE))) == len(HEADLINES[kind])
    assert all(entry(metric).listed for metric, _ in HEADLINES[kind])
    page, terminal, figure = (headlines(kind, shown) for shown in Shown)
    assert page[0] == terminal[0] == figure[0] == headline(page)
    assert page[0] in RANKING
    assert set(figure) < set(terminal) < set(page)
    assert {"copy_8gram", "copy_sequence"} & set(terminal)


def test_headlines_are_these():
    assert headlines("music", Shown.PAGE) == [
        *("nll_test", "bleu4", "mse", "pitch_class_distance", "interval_distance", "reverse_nll", "copy_8gram"),
        "seconds",
    ]
    assert headlines("trips", Shown.PAGE) == [
        *("nll_test", "trip_distance_w1", "trip_distance_jsd", "radius_w1", "next_place_accuracy1", "reverse_nll"),
        *("copy_sequence", "copy_8gram", "seconds"),
    ]
    assert headlines("oracle", Shown.FIGURE) == ["jsd_token", "nll_test", "nll_oracle", "grammatical"]
    assert headlines("molecules", Shown.PAGE) == [
        *("nll_test", "valid_unique_novel", "valid", "novel", "logp_distance", "weight_distance"),
        *("internal_diversity", "copy_sequence", "copy_8gram", "seconds"),
    ]
    assert headlines("text", Shown.TERMINAL) == [
        *("nll_test", "bleu2", "backward_bleu2", "ms_jaccard4", "copy_8gram", "seconds")
    ]


def test_shown_verdicts_have_merit_and_positions_of_their_own():
    rows = [row for row in CATALOGUE if row.verdict]
    assert all(row.merit for row in rows)
    assert sorted(row.verdict for row in rows) == list(range(1, len(rows) + 1))
    assert judged(["bleu2", "nll_test", "bleu3", "copy_8gram"]) == ["nll_test", "bleu2"]


def test_what_another_metric_says_already_has_no_verdict_and_ranks_nothing():
    for metric in ("perplexity", "augmented_nll", "augmented_perplexity", "augmented_lstm_nll"):
        assert not entry(metric).merit
        assert metric not in PLACING
    assert entry("augmented_gain").merit
    assert entry("augmented_gain_all").merit


def test_a_task_is_about_what_its_metrics_say():
    assert kind_of_task(["nll_oracle", "bleu2", "interval_distance"]) == "oracle"
    assert kind_of_task(["bleu2", "interval_distance"]) == "music"
    assert kind_of_task(["bleu2", "trip_distance_w1"]) == "trips"
    assert kind_of_task(["bleu2", "valid"]) == "molecules"
    assert kind_of_task(["bleu2"]) == "text"


def test_a_difference_that_tables_would_not_show_is_below_the_resolution():
    assert [entry(metric).resolution([8.0]) for metric in ("nll_test", "jsd_token", "jsd")] == [0.001, 0.0001, 1e-6]
    assert entry("novelty").resolution([2e-4, -4e-4]) == pytest.approx(4e-10)  # the scale of a plugin's is not known
    assert entry("novelty").resolution([]) == 0.0


def test_the_metrics_that_read_the_density_say_so():
    from bench.metrics.divergence import COLUMNS

    assert {row.metric for row in CATALOGUE if row.density} == {"nll_test", "perplexity", "tv_stationary", *COLUMNS}
