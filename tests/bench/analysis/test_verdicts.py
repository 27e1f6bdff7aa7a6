"""Verdicts against numbers worked by hand, against simulated leaderboards, and in words."""

import math

import numpy as np
import pytest
from scipy import stats

from bench.analysis.stats import mean_interval, seeds_needed, smallest_sign_flip_p
from bench.analysis.verdicts import (
    BETTER,
    IDENTICAL,
    NO_COMMON_SEED,
    NOT_SEPARABLE,
    ONE_SEED,
    WORSE,
    Pair,
    judge,
    separable_best,
)

CLEAR = [-0.3, -0.1, -0.2, -0.1, -0.2]
UNCLEAR = [0.1, -0.2, 0.05, 0.3, -0.1]


def pair(differences, model="seqgan"):
    return Pair(model, "mle", dict(enumerate(differences)))


def board(rows):
    """One pair per row of differences, shape (models, seeds)."""
    return [pair(row, f"model {place}") for place, row in enumerate(rows.tolist())]


def share_with_a_verdict(boards):
    """In how many of the leaderboards, shape (leaderboards, models, seeds), some model is called better or worse."""
    called = [any(v.outcome in (BETTER, WORSE) for v in judge(board(rows), "lower")) for rows in boards]
    return np.mean(called)


def test_a_clear_difference_has_a_direction():
    for direction, sign, outcome in [("lower", 1, BETTER), ("lower", -1, WORSE), ("higher", -1, BETTER)]:
        differences = [sign * value for value in CLEAR]
        [verdict] = judge([pair(differences)], direction)
        assert (verdict.outcome, verdict.probability) == (outcome, 1.0 if outcome == BETTER else 0.0)
        assert verdict.p == verdict.corrected_p == pytest.approx(stats.ttest_1samp(differences, 0).pvalue)
        assert verdict.difference == mean_interval(sorted(differences))
        assert (verdict.test, verdict.smallest_p, verdict.family) == ("paired t", smallest_sign_flip_p(5), 1)
        assert verdict.needed is None


def test_holm_decides_within_the_family():
    # Two seeds per pair: Student's t with one degree of freedom has p = 2 / pi * atan(1 / t), and t is the sum of the
    # two by their distance, so these three have the p that Holm's steps are worked with: 0.01, 0.02, 0.04.
    def of_p(p):
        t = 1 / math.tan(math.pi * p / 2)
        return [t - 1, t + 1]

    verdicts = judge([pair(of_p(p)) for p in (0.04, 0.01, 0.02)], "higher")
    assert [verdict.p for verdict in verdicts] == pytest.approx([0.04, 0.01, 0.02])
    assert [verdict.corrected_p for verdict in verdicts] == pytest.approx([0.04, 0.03, 0.04])
    assert [verdict.outcome for verdict in verdicts] == [BETTER] * 3
    verdicts = judge([pair(of_p(p)) for p in (0.04, 0.015, 0.03)], "higher")  # 0.03 * 2 = 0.06 stops it
    assert [verdict.corrected_p for verdict in verdicts] == pytest.approx([0.06, 0.045, 0.06])
    assert [verdict.outcome for verdict in verdicts] == [NOT_SEPARABLE, BETTER, NOT_SEPARABLE]


def test_only_what_can_be_tested_counts_for_the_correction():
    verdicts = judge([pair(CLEAR), pair([0.0] * 5), pair([0.7]), pair([]), pair(UNCLEAR)], "lower")
    assert [v.outcome for v in verdicts] == [BETTER, IDENTICAL, ONE_SEED, NO_COMMON_SEED, NOT_SEPARABLE]
    assert {v.family for v in verdicts} == {2}
    assert [v.corrected_p for v in verdicts[1:4]] == [None] * 3
    assert verdicts[0].corrected_p == 2 * verdicts[0].p
    assert verdicts[2].difference.mean == 0.7
    assert verdicts[3].difference is None
    assert verdicts[3].probability is None
    assert judge([], "lower") == []


def test_twelve_seeds_are_tested_exactly():
    rows = np.random.default_rng(0).normal([[0.0], [-2.0]], 1, (2, 12))
    chance, clear = judge(board(rows), "lower")
    assert (chance.test, clear.test) == ("sign-flip", "sign-flip")
    assert (chance.outcome, clear.outcome) == (NOT_SEPARABLE, BETTER)


def test_needed_seeds_are_those_of_the_first_step_of_holm():
    verdicts = judge([pair(UNCLEAR), pair(CLEAR), pair(CLEAR)], "lower")
    assert verdicts[0].needed == seeds_needed(UNCLEAR, 0.05 / 3)
    assert verdicts[1].needed is None


def test_neither_the_order_of_pairs_nor_of_seeds_matters():
    rng = np.random.default_rng(4)
    rows = rng.normal(0.5, 1, (4, 7))
    there = judge(board(rows), "higher")
    back = judge(
        [Pair(p.model, p.reference, dict(reversed(p.differences.items()))) for p in board(rows)][::-1], "higher"
    )
    assert back[::-1] == there


def test_what_cannot_be_judged_is_refused():
    with pytest.raises(ValueError, match="'lower' or 'higher', got 'real'"):
        judge([], "real")
    with pytest.raises(ValueError, match="direction"):
        separable_best({}, "up")
    with pytest.raises(ValueError, match="alpha"):
        judge([], "lower", alpha=5)
    with pytest.raises(ValueError, match="finite"):
        judge([pair([1.0, math.inf])], "lower")


@pytest.mark.parametrize("seeds", [3, 5, 8, 12])
@pytest.mark.parametrize("models", [6, 10])
def test_at_most_one_leaderboard_in_twenty_sees_what_is_not_there(models, seeds):
    rng = np.random.default_rng([models, seeds])
    reference = rng.normal(size=(1000, 1, seeds))
    assert share_with_a_verdict(rng.normal(size=(1000, models, seeds)) - reference) <= 0.06


def test_noise_that_is_skewed_alike_does_no_harm():
    rng = np.random.default_rng(1)
    noise = rng.lognormal(size=(1000, 7, 12))
    assert share_with_a_verdict(noise[:, 1:] - noise[:, :1]) <= 0.06


def test_noise_that_is_skewed_on_one_side_breaks_the_promise_as_documented():
    rng = np.random.default_rng(2)
    assert 0.10 < share_with_a_verdict(rng.exponential(size=(1000, 6, 12)) - 1) < 0.25


def test_an_effect_of_two_standard_deviations_is_found_with_eight_seeds():
    rng = np.random.default_rng(3)
    boards = rng.normal(size=(1000, 6, 8))
    boards[:, 2] -= 2
    found = [judge(board(rows), "lower")[2].outcome == BETTER for rows in boards]
    assert np.mean(found) >= 0.9


def leaderboard(**gains):
    """Five seeds of models that differ from a common luck by their gain and a little more."""
    rng = np.random.default_rng(0)
    luck = rng.normal(0, 5, 5)
    return {model: dict(enumerate(luck + gain + rng.normal(0, 0.05, 5))) for model, gain in gains.items()}


def test_the_best_is_better_than_every_other():
    values = leaderboard(mle=0, seqgan=1, random=-3)
    assert separable_best(values, "higher") == "seqgan"
    assert separable_best(values, "lower") == "random"
    assert separable_best(leaderboard(mle=0, seqgan=1, twin=1, random=-3), "higher") is None


def test_the_best_is_paired_by_seed():
    values = leaderboard(mle=0, seqgan=1)
    values["seqgan"] = dict(reversed(values["seqgan"].items()))
    assert separable_best(values, "higher") == "seqgan"
    positions = [list(seeds.values()) for seeds in values.values()]
    assert stats.ttest_rel(*positions).pvalue > 0.05  # by position the common luck would hide it


def test_no_best_without_rivals_or_seeds():
    values = leaderboard(mle=0, seqgan=1)
    assert separable_best({"mle": values["mle"]}, "higher") is None
    assert separable_best({model: {0: seeds[0]} for model, seeds in values.items()}, "higher") is None
    assert separable_best(values | {"absent": {}}, "higher") is None
    assert separable_best(values | {"elsewhere": {9: -50.0, 10: -50.0}}, "higher") is None
    assert separable_best({"a": {0: 1.0, 1: 2.0}, "b": {0: 1.0, 1: 2.0}}, "higher") is None


def test_words_of_a_separable_pair():
    [verdict] = judge([pair(CLEAR)], "lower")
    assert verdict.words("nll_oracle", "nats/token") == (
        "seqgan is better than mle in nll_oracle: -0.180 nats/token (95 % interval -0.284 to -0.076, n = 5), "
        "p = 0.0086 by the paired t test, better in 100 % of seeds."
    )
    _, verdict = judge([pair(UNCLEAR), pair([12.0, 14.0, 11.0, 15.0])], "lower", alpha=0.01)
    assert verdict.words() == (
        "seqgan is worse than mle: +13.0 (99 % interval +7.7 to +18.3, n = 4), p = 0.0015 by the paired t test "
        "after Holm's correction for 2 comparisons, better in 0 % of seeds. "
        "n < 5: intervals and tests from fewer than five seeds are weak."
    )


def test_words_of_a_pair_that_is_not_separable():
    few, _ = judge([pair([-0.1, -0.2, -0.1]), pair(CLEAR)], "lower")
    assert few.words() == (
        "seqgan and mle are not separable: -0.133 (95 % interval -0.277 to +0.010, n = 3), p = 0.057 by the paired t "
        "test after Holm's correction for 2 comparisons; about n = 5 would be needed to show a difference of this size."
        " The exact sign-flip test could not have separated them with so few seeds: its smallest p is 0.25, "
        "uncorrected. n < 5: intervals and tests from fewer than five seeds are weak."
    )
    [many] = judge([pair(np.random.default_rng(3).normal(-0.5, 1, 13).tolist())], "lower")
    assert many.words().endswith(
        "by the sign-flip test; about n = 49 would be needed to show a difference of this size."
    )
    [none] = judge([pair([1.0, -1.0] * 4)], "lower")
    assert none.words().endswith("; no number of seeds within reach would show a difference of this size.")


@pytest.mark.parametrize(
    ("differences", "words"),
    [
        ([0.0, 0.0], "seqgan and mle are identical in bleu, to the last bit (n = 2)."),
        ([0.0], "seqgan and mle are identical in bleu, to the last bit (n = 1)."),
        (
            [0.1],
            "seqgan and mle differ in bleu by +0.1 in the one seed they share, which cannot separate that from chance.",
        ),
        ([], "seqgan and mle have no common seed in bleu: there is nothing to compare."),
        (
            [0.5] * 5,
            "seqgan is better than mle in bleu: +0.5 (the same in all seeds, n = 5), p < 0.0001 by the paired t test, "
            "better in 100 % of seeds.",
        ),
    ],
)
def test_words_where_nothing_varies(differences, words):
    [verdict] = judge([pair(differences)], "higher")
    assert verdict.words("bleu") == words
