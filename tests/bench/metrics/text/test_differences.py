"""Differences between files: against plain loops and scipy, and how often they are wrong about one source."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

import bench
from bench.metrics.base import Estimate
from bench.metrics.signature import Signature
from bench.metrics.text.differences import Scored, differences
from bench.metrics.text.intervals import RESAMPLES, resampled
from bench.metrics.text.report import SeedRows, Text
from bench.metrics.text.scoring import FAMILIES, score

CORPUS = Path(bench.__file__).parent / "corpora" / "sotu-obama"


def lines(split, count):
    return tuple((CORPUS / f"{split}.txt").read_text("utf-8").splitlines()[:count])


@pytest.fixture(scope="module")
def texts():
    """Two files of samples that differ in length, references, training set."""
    one, other = lines("valid", 200)[:80], tuple(" ".join(line.split()[:9]) for line in lines("valid", 200)[80:160])
    return Text("one", one), Text("other", other), Text("test", lines("test", 60)), Text("train", lines("train", 150))


def scored(values, interval="mean", sized=False, unit="words", direction="higher", metric="length_mean"):
    """A score that is the mean of these values."""
    values = np.asarray(values, dtype=float)
    signature = Signature.of(n=len(values), v=1)
    found = Estimate(metric, float(values.mean()), unit, direction, signature, None, values, interval)
    return Scored(found, resampled([found])[1][0], sized)


def between(one, other, real=()):
    (found,) = differences("one", "other", [one], [other], real)
    return found


def by_metric(report, which=0):
    return {each.metric: each for each in report.differences[which]}


def test_an_interval_and_p_are_those_of_all_pairs_of_resamples():
    rng = np.random.default_rng(1)
    one, other = scored(rng.gamma(2, size=60)), scored(rng.gamma(3, size=45))
    found = between(one, other)
    moves = [each.moves * math.sqrt(n / (n - 1)) for each, n in ((one, 60), (other, 45))]
    gaps = np.sort(np.abs([mine - theirs for mine in moves[0] for theirs in moves[1]]))
    variances = [np.var(each.estimate.contributions, ddof=1) / n for each, n in ((one, 60), (other, 45))]
    freedom = sum(variances) ** 2 / (variances[0] ** 2 / 59 + variances[1] ** 2 / 44)
    assert len(gaps) == RESAMPLES**2
    share = 2 * stats.norm.cdf(stats.t.ppf(0.025, freedom))
    half = np.quantile(gaps, 1 - share)
    assert found.value == one.estimate.value - other.estimate.value
    assert (found.low, found.high) == pytest.approx((found.value - half, found.value + half), rel=1e-4)
    as_extreme = (np.count_nonzero(gaps >= abs(found.value)) + 1) / (len(gaps) + 1)
    assert found.p == pytest.approx(2 * stats.t.cdf(stats.norm.ppf(as_extreme / 2), freedom), rel=1e-6)
    assert (found.test, found.untested) == ("bootstrap", None)


@pytest.mark.parametrize("sizes", [(10, 10), (12, 40), (300, 200)])
def test_a_difference_of_means_is_tested_as_welch_does(sizes):
    rng = np.random.default_rng(2)
    for shift in (0.0, 0.3, 0.6, 1.0):
        one, other = rng.normal(shift, 1, sizes[0]), rng.normal(0, 2, sizes[1])
        found, theirs = between(scored(one), scored(other)), stats.ttest_ind(one, other, equal_var=False)
        interval = theirs.confidence_interval()
        width = interval.high - interval.low
        assert found.low == pytest.approx(interval.low, abs=0.05 * width)
        assert found.high == pytest.approx(interval.high, abs=0.05 * width)
        assert found.p == pytest.approx(theirs.pvalue, rel=0.15, abs=0.01)
        assert (found.p < 0.05) == (not found.low <= 0 <= found.high)


@pytest.mark.parametrize(
    ("sizes", "spreads"), [((5, 5), (1, 1)), ((10, 10), (1, 1)), ((10, 30), (3, 1)), ((100, 100), (1, 2))]
)
@pytest.mark.parametrize("law", ["normal", "exponential"])
def test_five_in_a_hundred_differences_of_nothing_are_called_real(sizes, spreads, law):
    rng = np.random.default_rng(3)
    draws, rejected = 400, 0
    for _ in range(draws):
        one, other = (
            scored((getattr(rng, law)(size=size) - (law == "exponential")) * spread)
            for size, spread in zip(sizes, spreads, strict=True)
        )
        found = between(one, other)
        rejected += found.p < 0.05
        assert (found.p < 0.05) == (not found.low <= 0 <= found.high)  # so that 95 of 100 intervals hold the truth
    # Where only the smaller file is skewed, a mean of ten is too: then Welch's test fails in the same way.
    assert rejected / draws < (0.13 if law == "exponential" and spreads == (3, 1) else 0.075)
    assert rejected / draws > 0.005


def test_two_files_of_one_source_seldom_differ(text):
    """Draws from one source against fixed references: how often is a difference between two of them called real?"""
    n, draws = 50, 100
    references, train = text(50), text(40)
    found = [score([text(n), text(n)], references, train, "space").differences[0] for _ in range(draws)]
    metrics = [each.metric for each in found[0]]
    wrong = {
        metric: np.mean([part[place].p is not None and part[place].p < 0.05 for part in found])
        for place, metric in enumerate(metrics)
    }
    assert len(wrong) >= 22
    assert max(wrong.values()) < 0.12  # of shares of 100 draws, each with a standard error of up to 0.022
    assert 0.01 < np.mean(list(wrong.values())) < 0.055


def test_a_real_difference_is_found_and_its_sign_is_that_of_the_file(texts):
    one, other, references, train = texts
    report = score([one, other], references, train, "space")
    found = by_metric(report)
    scores = [{each.metric: each for each in row.scores} for row in report.rows]
    for metric, each in found.items():
        assert (each.name, each.baseline) == ("other", "one")
        assert each.value == scores[1][metric].value - scores[0][metric].value
        assert (each.unit, each.direction) == (scores[0][metric].unit, scores[0][metric].direction)
        if each.p is not None:
            assert 0 < each.p <= 1
            assert each.low <= each.value <= each.high
    assert found["length_mean"].high < 0
    assert found["length_mean"].p < 1e-4
    assert found["vocabulary"].high < 0
    swapped = by_metric(score([other, one], references, train, "space"))
    for metric, each in found.items():
        back = swapped[metric]
        assert back.value == -each.value
        assert back.p == pytest.approx(each.p)
        if each.low is not None:
            assert (back.low, back.high) == pytest.approx((-each.high, -each.low))


def test_the_same_call_gives_the_same_bits(texts):
    one, other, references, train = texts
    assert score([one, other], references, train) == score([one, other], references, train)


def test_one_file_has_no_differences_and_further_ones_change_none_of_its_scores(texts):
    one, other, references, train = texts
    alone, both = score([one], references, train), score([one, other, one], references, train)
    assert alone.differences == ()
    assert alone.rows[0] == both.rows[0]
    assert [{each.name for each in part} for part in both.differences] == [{"other"}, {"one"}]


def test_a_file_beside_itself_is_identical_and_one_in_another_order_is_not_separable(texts):
    one, _, references, train = texts
    shuffled = Text("shuffled", one.lines[::-1])
    report = score([one, replace(one, name="again"), shuffled], references, train)
    assert {(each.value, each.p, each.untested) for each in report.differences[0]} == {(0, None, "identical")}
    for each in report.differences[1]:
        assert each.value == pytest.approx(0, abs=1e-12)
        assert each.p is None or each.p > 0.99


def test_files_of_different_sizes_are_compared_only_where_size_does_not_matter(texts):
    one, other, references, train = texts
    fewer = Text("fewer", other.lines[:50])
    found = by_metric(score([one, fewer], references, train, "space"))
    sized = {"self", "backward", "ms", "distinct2", "distinct3", "vocabulary"}
    for metric, each in found.items():
        if metric.partition("_")[0] in sized or metric == "length_distance":
            assert (each.value, each.p, each.low) == (None, None, None)
            assert each.untested.endswith("depends on the number of samples, 50 and 80: give as many of both")
    for metric in ("bleu2", "bleu5", "length_mean", "copy_sequence", "unseen_in_references"):
        assert found[metric].p is not None


def test_scores_that_were_computed_in_different_ways_are_not_compared(texts):
    one, other, references, train = texts
    hidden = Text("hidden", (*other.lines[:-1], "an <unk> here"))
    found = by_metric(score([one, hidden], references, train, "space", ["copy"]))
    assert found["copy_8gram"].untested == "they are computed in different ways, only one with unk=unwritten"
    assert found["copy_8gram"].value is None


def test_too_few_samples_are_not_resampled(texts):
    one, other, references, train = texts
    few = [Text(each.name, each.lines[:29]) for each in (one, other)]
    found = by_metric(score(few, references, train, "space"))
    assert found["distinct2"].untested == "it has too few samples for resampling, 29 of 30"
    assert "too few samples for resampling, 29 of " in found["self_bleu2"].untested
    assert found["self_bleu2"].value is not None
    assert {found[metric].test for metric in ("bleu2", "length_mean")} == {"bootstrap"}
    alone = by_metric(score([Text("a", one.lines[:1]), Text("b", other.lines[:1])], references, train, "space"))
    assert "one sample alone" in alone["bleu2"].untested
    assert alone["copy_sequence"].p == 1
    assert {each.p for metric, each in alone.items() if metric != "copy_sequence"} == {None}


def test_no_p_is_smaller_than_that_of_a_permutation_test():
    one, other = scored([1.0, 1.1, 0.9]), scored([5.0, 5.1, 4.9])
    assert between(one, other).p == pytest.approx(2 / math.comb(6, 3))
    exact = stats.permutation_test(
        ([1.0, 1.1, 0.9], [5.0, 5.1, 4.9]), lambda a, b: np.mean(a) - np.mean(b), n_resamples=np.inf
    )
    assert between(one, other).p == pytest.approx(exact.pvalue)


def test_scores_without_scatter():
    same, shorter = scored([7.0] * 50), scored([6.0] * 50)
    found = between(same, shorter)
    assert (found.value, found.low, found.test) == (1, None, "permutation")
    assert found.p == pytest.approx(2 / math.comb(100, 50))
    assert between(same, scored([7.0] * 50)).p == 1
    found = between(scored([1.0] * 50, "leave-one-out"), scored([2.0] * 50, "leave-one-out"))
    assert (found.p, found.untested) == (None, "no sequence contributes more than another")
    one_sided = between(same, scored([*[6.0] * 49, 7.0]))
    assert one_sided.p < 1e-4
    assert one_sided.low > 0.8


def test_shares_of_samples_have_newcombes_interval_and_fishers_p():
    one, other = ([1.0] * k + [0.0] * (n - k) for k, n in ((56, 70), (48, 80)))
    found = between(scored(one, "wilson", unit=""), scored(other, "wilson", unit=""))
    assert (found.low, found.high) == pytest.approx((0.0524, 0.3339), abs=5e-5)  # Newcombe 1998, table II (a), 10
    rng = np.random.default_rng(0)
    for n, m in rng.integers(1, 60, (100, 2)):
        k, others = int(rng.integers(n + 1)), int(rng.integers(m + 1))
        mine, theirs = (
            scored([1.0] * part + [0.0] * (size - part), "wilson", unit="") for part, size in ((k, n), (others, m))
        )
        found = between(mine, theirs)
        assert found.p == pytest.approx(stats.fisher_exact([[k, n - k], [others, m - others]]).pvalue, rel=1e-6)
        assert -1 <= found.low <= found.value <= found.high <= 1
        assert found.test == "Fisher"


def test_what_is_nearer_to_real_text():
    rng = np.random.default_rng(0)
    low, near, high = (scored(rng.normal(at, 1, 200), direction="real") for at in (2, 5, 8.5))

    def real(value):
        return [Estimate("length_mean", value, "words", "real", Signature.of(n=9))]

    found = between(near, low, real(5.5))
    assert found.nearer
    assert found.nearer_p == found.p  # on one side
    assert between(near, low).nearer is None
    for beyond in 0.05, 0.15:  # the two on different sides, one of them farther by twice as much
        goal = (high.estimate.value + low.estimate.value) / 2 + beyond
        found = between(high, low, real(goal))
        mirrored = 2 * goal - low.estimate.contributions
        welch = stats.ttest_ind(high.estimate.contributions, mirrored, equal_var=False)
        assert found.nearer
        assert found.p < 1e-4
        assert found.nearer_p == pytest.approx(welch.pvalue, rel=0.5)
        assert (found.nearer_p < 0.05) == (beyond > 0.1)


def test_seeds_are_not_compared_sample_by_sample(texts):
    one, other, references, train = texts
    seeds = (SeedRows("x-{seed}", {0: 0, 1: 1}),)
    report = score([one, other], references, train, families=["length"], over_seeds=seeds)
    assert (report.differences, report.over_seeds) == ((), seeds)
    assert not any("another training run" in note for note in report.notes)


@pytest.mark.parametrize("family", FAMILIES)
def test_awkward_files_are_compared_as_far_as_they_can_be(family):
    some = [("a b c d e f g h",), ("", "", "a"), ("x",) * 40, ("<unk> <unk>",) * 40, tuple(map(str, range(40)))]
    made = [Text(f"file {place}", each) for place, each in enumerate(some)]
    for first in range(len(made)):
        report = score([*made[first:], *made[:first]], Text("test", ("a b x", "c")), Text("train", ("a b",)), "space",
                       [family])  # fmt: skip
        for part in report.differences:
            for each in part:
                assert (each.p is None) == (each.untested is not None)
                assert (each.test == "") == (each.p is None)
                assert each.p is None or 0 < each.p <= 1
                assert each.low is None or each.low <= each.value <= each.high
