"""Verdicts against numbers worked by hand, against simulated leaderboards, and in words."""

import math

import numpy as np
import pytest
from scipy import stats

from bench.analysis.power import seeds_needed
from bench.analysis.stats import mean_interval, smallest_sign_p
from bench.analysis.verdicts import (
    BETTER,
    BETTER_IF_NORMAL,
    CALLED,
    IDENTICAL,
    MIXED,
    NO_COMMON_SEED,
    NO_VERDICT,
    NOT_SEPARABLE,
    ONE_OBSERVATION,
    ONE_SEED,
    WORSE,
    WORSE_IF_NORMAL,
    Best,
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


def test_a_clear_difference_has_a_direction():
    for direction, sign, outcome in [
        ("lower", 1, BETTER_IF_NORMAL),
        ("lower", -1, WORSE_IF_NORMAL),
        ("higher", -1, BETTER_IF_NORMAL),
    ]:
        differences = [sign * value for value in CLEAR]
        [verdict] = judge([pair(differences)], direction)
        assert (verdict.outcome, verdict.probability) == (outcome, 1.0 if outcome == BETTER_IF_NORMAL else 0.0)
        assert verdict.p == verdict.corrected_p == pytest.approx(stats.ttest_1samp(differences, 0).pvalue)
        assert verdict.difference == mean_interval(sorted(differences))
        assert (verdict.test, verdict.smallest_p, verdict.family) == ("paired t", smallest_sign_p(5), 1)
        assert (verdict.needed, verdict.grade) == (None, 2)


def test_with_enough_seeds_the_sign_test_decides_and_the_word_is_plain():
    for direction, sign, outcome in [("lower", 1, BETTER), ("lower", -1, WORSE), ("higher", -1, BETTER)]:
        differences = [sign * value for value in [*CLEAR, -0.15]]
        [verdict] = judge([pair(differences)], direction)
        assert (verdict.outcome, verdict.test, verdict.grade) == (outcome, "sign", 1)
        assert verdict.p == stats.binomtest(0, 6).pvalue
    family = judge([pair([*CLEAR, -0.15]), pair([*UNCLEAR, 0.1])], "lower")  # 2 / 64 * 2 is too much
    assert [verdict.grade for verdict in family] == [2, 2]
    assert family[0].outcome == BETTER_IF_NORMAL


def test_holm_decides_within_the_family():
    # Two seeds per pair: Student's t with one degree of freedom has p = 2 / pi * atan(1 / t), and t is the sum of the
    # two by their distance, so these three have the p that Holm's steps are worked with: 0.01, 0.02, 0.04.
    def of_p(p):
        t = 1 / math.tan(math.pi * p / 2)
        return [t - 1, t + 1]

    verdicts = judge([pair(of_p(p)) for p in (0.04, 0.01, 0.02)], "higher")
    assert [verdict.p for verdict in verdicts] == pytest.approx([0.04, 0.01, 0.02])
    assert [verdict.corrected_p for verdict in verdicts] == pytest.approx([0.04, 0.03, 0.04])
    assert [verdict.outcome for verdict in verdicts] == [BETTER_IF_NORMAL] * 3
    verdicts = judge([pair(of_p(p)) for p in (0.04, 0.015, 0.03)], "higher")  # 0.03 * 2 = 0.06 stops it
    assert [verdict.corrected_p for verdict in verdicts] == pytest.approx([0.06, 0.045, 0.06])
    assert [verdict.outcome for verdict in verdicts] == [NOT_SEPARABLE, BETTER_IF_NORMAL, NOT_SEPARABLE]


def test_only_what_can_be_tested_counts_for_the_correction():
    verdicts = judge([pair(CLEAR), pair([0.0] * 5), pair([0.7]), pair([]), pair(UNCLEAR)], "lower")
    assert [v.outcome for v in verdicts] == [
        BETTER_IF_NORMAL, IDENTICAL, ONE_SEED, NO_COMMON_SEED, NOT_SEPARABLE
    ]  # fmt: skip
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
    assert (chance.test, clear.test) == ("sign", "sign")
    assert (chance.outcome, clear.outcome) == (NOT_SEPARABLE, BETTER)


def test_needed_seeds_are_those_of_the_first_step_of_holm():
    verdicts = judge([pair(UNCLEAR), pair(CLEAR), pair(CLEAR)], "lower")
    assert verdicts[0].needed == seeds_needed(UNCLEAR, 3)
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


# A difference that is none, and several seeds that are one observation.


@pytest.mark.parametrize("noise", [0.0, 1e-9])
def test_a_difference_below_the_resolution_is_none(noise):
    differences = (-1e-12 + noise * np.random.default_rng(0).normal(size=5)).tolist()
    [verdict] = judge([Pair("seqgan", "mle", dict(enumerate(differences)), resolution=0.001)], "lower")
    assert (verdict.outcome, verdict.family, verdict.probability) == (IDENTICAL, 0, 0.5)
    assert verdict.words("nll_test", "nats/token") == (
        "seqgan and mle are identical in nll_test, to less than 0.001 nats/token, the smallest that counts (n = 5)."
    )


def test_a_mean_below_the_resolution_is_none_however_many_seeds_agree():
    differences = [-0.0012] * 30 + [0.004] * 8
    assert abs(np.mean(differences)) < 0.001
    [verdict] = judge([Pair("seqgan", "mle", dict(enumerate(differences)), resolution=0.001)], "lower")
    assert verdict.corrected_p < 0.05
    assert (verdict.outcome, verdict.needed) == (NOT_SEPARABLE, None)
    assert "; a difference of less than 0.001 is none." in verdict.words()


def test_a_difference_above_the_resolution_counts():
    differences = [-0.0021, -0.0019, -0.002, -0.0018, -0.0022]
    [verdict] = judge([Pair("seqgan", "mle", dict(enumerate(differences)), resolution=0.001)], "lower")
    assert verdict.outcome == BETTER_IF_NORMAL


@pytest.mark.parametrize("noise", [0.0, 1e-9])
@pytest.mark.parametrize("seeds", [5, 12])
def test_two_models_that_never_vary_are_one_observation(seeds, noise):
    rng = np.random.default_rng(0)
    mine, theirs = (dict(enumerate(value + noise * rng.normal(size=seeds))) for value in (7.5, 8.0))
    [verdict] = judge([Pair.of("bigram", "random", mine, theirs)], "lower")
    assert (verdict.outcome, verdict.p, verdict.family) == (ONE_OBSERVATION, None, 0)
    assert verdict.words("nll_test") == (
        f"bigram and random differ in nll_test by -0.5 in every seed (n = {seeds}): each has the same value whatever "
        "the seed, so this is one observation, and there is nothing to test."
    )
    assert separable_best({"bigram": mine, "random": theirs}, "lower") is None


def test_a_model_that_varies_is_tested_against_one_that_does_not():
    mine = dict(enumerate([7.5, 7.6, 7.4, 7.5, 7.6]))
    [verdict] = judge([Pair.of("mle", "random", mine, dict.fromkeys(range(5), 8.0))], "lower")
    assert verdict.outcome == BETTER_IF_NORMAL
    assert verdict.p == pytest.approx(stats.ttest_1samp(list(mine.values()), 8.0).pvalue)


# Who may not win, and what is mixed.


@pytest.mark.parametrize("seeds", [5, 6])
def test_who_may_not_win_is_not_called_better_but_may_be_worse(seeds):
    ahead = dict(enumerate([*CLEAR, -0.15][:seeds]))
    behind = {seed: -value for seed, value in ahead.items()}
    [verdict] = judge([Pair("cheat", "mle", ahead, model_barred="it copies")], "lower")
    assert verdict.outcome == NO_VERDICT
    assert verdict.words("bleu") == "No verdict on cheat and mle in bleu: cheat has no rank, because it copies."
    [verdict] = judge([Pair("cheat", "mle", behind, model_barred="it copies")], "lower")
    assert verdict.outcome == (WORSE_IF_NORMAL if seeds == 5 else WORSE)
    [verdict] = judge([Pair("mle", "cheat", behind, reference_barred="it copies")], "lower")
    assert (verdict.outcome, verdict.why) == (NO_VERDICT, "cheat has no rank, because it copies")
    [verdict] = judge([Pair("mle", "cheat", ahead, reference_barred="it copies")], "lower")
    assert verdict.outcome == (BETTER_IF_NORMAL if seeds == 5 else BETTER)
    both = Pair("one", "other", ahead, model_barred="it copies", reference_barred="it copies")
    verdicts = judge([both, pair([*CLEAR, -0.15][:seeds])], "lower")
    assert (verdicts[0].outcome, verdicts[1].family) == (NO_VERDICT, 1)


def test_lost_seeds_leave_no_verdict():
    lost = Pair("seqgan", "mle", dict(enumerate(CLEAR)), void="of seqgan, it lost 1 of 6 seeds (seed 5 failed)")
    verdicts = judge([lost, Pair("seqgan", "mle", {}, void="nothing is left"), pair(CLEAR)], "lower")
    assert [verdict.outcome for verdict in verdicts] == [NO_VERDICT, NO_VERDICT, BETTER_IF_NORMAL]
    assert {verdict.family for verdict in verdicts} == {1}
    assert "it lost 1 of 6 seeds (seed 5 failed)." in verdicts[0].words()


def test_who_wins_most_seeds_but_collapses_in_some_is_not_better():
    gains = [0.1 + 0.01 * seed for seed in range(11)]
    [verdict] = judge([pair([*gains, -0.9])], "higher")
    assert (verdict.outcome, verdict.collapsed) == (MIXED, (1, 0))
    assert verdict.words().startswith("seqgan and mle are mixed: seqgan wins most seeds, but collapsed in 1 of 12: ")
    [verdict] = judge([pair([*(-gain for gain in gains), 0.9])], "higher")
    assert (verdict.outcome, verdict.collapsed) == (MIXED, (0, 1))
    assert "mle wins most seeds, but collapsed in 1 of 12" in verdict.words()


def test_a_seed_that_is_far_from_the_others_but_still_won_is_no_collapse():
    [verdict] = judge([pair([1.0, 1.01, 1.01, 0.99, 1.01, 1.0, 0.1])], "higher")
    assert (verdict.outcome, verdict.collapsed) == (BETTER, (0, 0))


def test_who_wins_most_seeds_but_not_on_average_is_not_better():
    differences = [0.1, 0.2, 0.3, 0.1, 0.2, 0.3, 0.1, 0.2, 0.3, 0.4, 0.5, -2.0, -2.1]
    [verdict] = judge([pair(differences)], "higher")
    assert verdict.corrected_p < 0.05
    assert verdict.outcome == MIXED
    few = [0.1, 0.9, 0.2, 0.8, 0.3, 0.7, 0.4, 0.6, 0.5, -6.0]  # nobody is far: the others scatter as much
    [verdict] = judge([pair([10 * value for value in few[:-1]] + [-47.0])], "higher")
    assert (verdict.outcome, verdict.collapsed[0]) == (MIXED, 1)


def test_collapses_of_the_loser_are_counted_and_change_no_verdict():
    [verdict] = judge([pair([*(0.1 + 0.01 * seed for seed in range(11)), 0.9])], "higher")
    assert (verdict.outcome, verdict.collapsed) == (BETTER, (0, 1))
    assert verdict.words().endswith("better in 100 % of seeds. mle collapsed in 1 of 12 seeds.")


REFERENCE = [8.0, 8.1, 7.9, 8.05, 7.95, 8.0, 8.02, 7.98, 8.03, 8.0]


def sides(mine, theirs, resolution=0.001):
    return Pair.of("seqgan", "mle", dict(enumerate(mine)), dict(enumerate(theirs)), resolution)


def test_one_lucky_seed_of_the_reference_is_no_collapse_of_the_model():
    lucky = [*REFERENCE[:-1], 7.0]
    mine = [value - 0.2 for value in REFERENCE]
    [verdict] = judge([sides(mine, lucky)], "lower")
    assert (verdict.outcome, verdict.collapsed) == (BETTER, (0, 0))
    [verdict] = judge([sides([*mine[:-1], 9.5], REFERENCE)], "lower")  # its own doing
    assert (verdict.outcome, verdict.collapsed) == (MIXED, (1, 0))
    [verdict] = judge([sides(mine, [*REFERENCE[:-1], 9.5])], "lower")
    assert (verdict.outcome, verdict.collapsed) == (BETTER, (0, 1))
    [verdict] = judge([sides([*mine[:-1], 8.5], REFERENCE)], "lower")  # far, but not by a tenth of what is usual
    assert verdict.collapsed == (0, 0)


def test_what_never_varies_cannot_collapse():
    zeros = [0.0] * 5
    [verdict] = judge([sides(zeros, [0.0, 0.0, 0.0, 0.0, 0.0044])], "higher")
    assert verdict.collapsed == (0, 0)
    [verdict] = judge([sides([0.0, 0.0001, -0.0001, 0.0015, -0.0014], zeros)], "lower")
    assert verdict.collapsed == (0, 0)


def test_ties_are_told_where_they_count_half():
    gains = [0.1 + 0.01 * seed for seed in range(9)]
    [verdict] = judge([pair([*gains, 0.0, 0.0, 0.0])], "higher")
    assert verdict.ties == 3
    assert verdict.words().endswith("better in 88 % of seeds, a tie counted half.")
    [verdict] = judge([pair(gains)], "higher")
    assert verdict.words().endswith("better in 100 % of seeds.")


def test_an_effect_of_two_standard_deviations_is_found_with_seven_seeds():
    rng = np.random.default_rng(3)
    boards = rng.normal(size=(500, 6, 7))
    boards[:, 2] -= 2
    found = [judge(board(rows), "lower")[2].outcome in CALLED for rows in boards]
    assert np.mean(found) >= 0.8


def leaderboard(**gains):
    """Five seeds of models that differ from a common luck by their gain and a little more."""
    rng = np.random.default_rng(0)
    luck = rng.normal(0, 5, 5)
    return {model: dict(enumerate(luck + gain + rng.normal(0, 0.05, 5))) for model, gain in gains.items()}


def test_the_best_is_better_than_every_other():
    values = leaderboard(mle=0, seqgan=1, random=-3)
    assert separable_best(values, "higher") == Best("seqgan", firm=False)
    assert separable_best(values, "lower") == Best("random", firm=False)
    assert separable_best(leaderboard(mle=0, seqgan=1, twin=1, random=-3), "higher") is None
    assert separable_best(values, "higher", resolution=1.5) is None


def test_the_best_is_firm_where_the_sign_test_decides():
    values = {
        model: {seed: gain + 0.1 * (seed % 3) for seed in range(8)}
        for model, gain in zip("abc", (0, 1, 3), strict=True)
    }
    values["c"][0] += 0.05
    assert separable_best(values, "higher") == Best("c", firm=True)
    fewer = {model: {seed: seeds[seed] for seed in range(6)} for model, seeds in values.items()}
    assert separable_best(fewer, "higher") == Best("c", firm=False)


def test_the_best_is_paired_by_seed():
    values = leaderboard(mle=0, seqgan=1)
    values["seqgan"] = dict(reversed(values["seqgan"].items()))
    assert separable_best(values, "higher").model == "seqgan"
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
        "seqgan is better than mle in nll_oracle, if seeds scatter normally (n = 5): -0.180 nats/token (95 % interval "
        "-0.284 to -0.076, n = 5), p = 0.0086 by the paired t test, better in 100 % of seeds."
    )
    _, verdict = judge([pair(UNCLEAR), pair([12.0, 14.0, 11.0, 15.0])], "lower", alpha=0.01)
    assert verdict.words() == (
        "seqgan is worse than mle, if seeds scatter normally (n = 4): +13.0 (99 % interval +7.7 to +18.3, n = 4), "
        "p = 0.0015 by the paired t test after Holm's correction for 2 comparisons, better in 0 % of seeds. "
        "n < 5: intervals and tests from fewer than five seeds are weak."
    )
    [verdict] = judge([pair([*CLEAR, -0.15])], "lower")
    assert verdict.words("nll_oracle") == (
        "seqgan is better than mle in nll_oracle: -0.175 (95 % interval -0.255 to -0.095, n = 6), p = 0.031 by the "
        "sign test, better in 100 % of seeds."
    )


def test_words_of_a_pair_that_is_not_separable():
    few, _ = judge([pair([-0.1, -0.2, -0.1]), pair(CLEAR)], "lower")
    assert few.words() == (
        "seqgan and mle are not separable: -0.133 (95 % interval -0.277 to +0.010, n = 3), p = 0.057 by the paired t "
        "test after Holm's correction for 2 comparisons; about n = 5 would be needed to show a difference of this size."
        " n < 5: intervals and tests from fewer than five seeds are weak."
    )
    [many] = judge([pair([-0.9, -0.5, 0.4, -0.7, -1.1, 0.3, -0.2, 0.8, -0.6, 0.1, -0.4, -0.8, 0.2])], "lower")
    assert many.words().endswith("by the sign test; about n = 65 would be needed to show a difference of this size.")
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
            [0.5] * 5,  # a metric with few values may agree with itself by chance
            "seqgan and mle are not separable in bleu: +0.5 (the same in all seeds, n = 5), p = 0.062 by the sign "
            "test; about n = 6 would be needed to show a difference of this size.",
        ),
    ],
)
def test_words_where_nothing_varies(differences, words):
    [verdict] = judge([pair(differences)], "higher")
    assert verdict.words("bleu") == words
