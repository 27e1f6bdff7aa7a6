"""What answers show: agreement and intervals against references, and tests that are right about crossed units."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.inter_rater import aggregate_raters, fleiss_kappa
from statsmodels.stats.proportion import proportion_confint

from bench.analysis import ratings
from bench.analysis.ratings import BOTH, TEXTS, difference, judgement, krippendorff_alpha, rated, share, wilson
from bench.records.ratings import Answers, Draw, Source, make_key

NONE = math.nan
OF_THE_PAPER = np.array(
    [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, NONE, NONE, NONE],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, NONE, 3],
        [NONE, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, NONE],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, NONE],
    ]
)
"""Krippendorff (2011), part C: four observers, five categories, missing data."""


def answers(rng, raters, items, missing=0.0):
    matrix = rng.integers(0, 2, (raters, items)).astype(float)
    matrix[rng.random(matrix.shape) < missing] = NONE
    return matrix


def alpha_by_pairs(matrix):
    """Alpha as it is defined: disagreement of pairs within texts, over that of pairs of all values."""
    texts = [[value for value in column if not math.isnan(value)] for column in matrix.T]
    texts = [values for values in texts if len(values) > 1]
    together = list(itertools.chain(*texts))
    observed = sum(
        sum(a != b for a, b in itertools.permutations(values, 2)) / (len(values) - 1) for values in texts
    ) / len(together)
    expected = sum(a != b for a, b in itertools.permutations(together, 2)) / (len(together) * (len(together) - 1))
    return 1 - observed / expected


def test_alpha_is_that_of_krippendorffs_examples():
    binary = np.array([[0, 1, 0, 0, 0, 0, 0, 0, 1, 0], [1, 1, 1, 0, 0, 1, 0, 0, 0, 0]], dtype=float)
    assert round(krippendorff_alpha(binary), 3) == 0.095
    assert round(krippendorff_alpha(OF_THE_PAPER), 3) == 0.743


@pytest.mark.parametrize("missing", [0.0, 0.3])
def test_alpha_is_that_of_its_definition(missing):
    matrix = answers(np.random.default_rng(1), 4, 15, missing)
    assert krippendorff_alpha(matrix) == pytest.approx(alpha_by_pairs(matrix), abs=1e-12)


def test_alpha_is_that_of_the_package():
    package = pytest.importorskip("krippendorff", reason="the package krippendorff is not installed")
    for matrix in (OF_THE_PAPER, answers(np.random.default_rng(2), 5, 20, 0.2)):
        assert krippendorff_alpha(matrix) == pytest.approx(package.alpha(matrix, level_of_measurement="nominal"))


def test_alpha_of_complete_answers_is_fleiss_kappa_but_for_its_small_sample_correction():
    matrix = answers(np.random.default_rng(3), 6, 25)
    kappa = fleiss_kappa(aggregate_raters(matrix.T.astype(int))[0])
    assert krippendorff_alpha(matrix) == pytest.approx(1 - (1 - kappa) * (1 - 1 / matrix.size))


def test_alpha_has_no_value_without_disagreement_to_expect():
    assert krippendorff_alpha(np.ones((3, 5))) is None
    assert krippendorff_alpha(np.array([[1.0, 0.0, 1.0]])) is None
    assert krippendorff_alpha(np.array([[1.0, NONE], [NONE, 0.0]])) is None


@pytest.mark.parametrize(("count", "n"), [(0, 20), (1, 20), (12, 20), (20, 20), (577, 1400)])
def test_wilsons_interval_is_that_of_statsmodels(count, n):
    assert wilson(count / n, n) == pytest.approx(proportion_confint(count, n, method="wilson"), abs=1e-12)


def test_the_difference_of_complete_answers_is_clarks_min_f():
    matrix = answers(np.random.default_rng(4), 7, 40)
    one, other = np.arange(20), np.arange(20, 40)
    f1 = stats.ttest_rel(matrix[:, one].mean(1), matrix[:, other].mean(1)).statistic ** 2
    f2 = stats.ttest_ind(matrix[:, one].mean(0), matrix[:, other].mean(0)).statistic ** 2
    found = difference(matrix, one, other)
    errors = [matrix[:, each].mean(0).var(ddof=1) / 20 for each in (one, other)]
    degrees = (1 / f1 + 1 / f2) ** 2 / (
        1 / f1**2 / 6 + sum((error / sum(errors)) ** 2 for error in errors) / f2**2 / 19
    )  # Clark's, with Welch's in place of the pooled 38 for texts
    p = stats.f.sf(f1 * f2 / (f1 + f2), 1, degrees)
    assert found.unit == BOTH
    assert found.p == pytest.approx(p, rel=1e-9)
    assert (found.interval[0] > 0 or found.interval[1] < 0) == (found.p < 0.05)
    assert found.value == pytest.approx(matrix[:, one].mean() - matrix[:, other].mean())


def test_exchanging_texts_is_what_all_exchanges_give():
    rng = np.random.default_rng(9)
    matrix = (rng.random((3, 12)) < np.repeat([0.8, 0.4], 6)).astype(float)
    one, other = np.arange(6), np.arange(6, 12)
    texts = matrix.mean(0)
    gaps = [
        abs(texts[list(chosen)].mean() - np.delete(texts, chosen).mean())
        for chosen in itertools.combinations(range(12), 6)
    ]
    seen = abs(texts[one].mean() - texts[other].mean())
    exact = np.mean(np.array(gaps) >= seen - 1e-9)
    assert 0.005 < exact < 0.5
    assert difference(matrix, one, other).p_texts == pytest.approx(exact, abs=4 * math.sqrt(exact / 10_000))


def crossed(rng, raters, n, text, rater, both):
    """Answers to two sources that people cannot tell apart: texts and raters scatter, in logits."""
    logits = rng.normal(0, rater, (raters, 1)) + rng.normal(0, text, (1, 2 * n))
    logits = logits + np.repeat(rng.normal(0, both, (raters, 2)), n, 1)
    return (rng.random(logits.shape) < 1 / (1 + np.exp(-logits))).astype(float)


@pytest.mark.parametrize("raters", [4, 70])
def test_what_counts_answers_as_independent_is_wrong_and_what_does_not_is_right(raters, monkeypatch):
    monkeypatch.setattr(ratings, "PERMUTATIONS", 99)
    rng, times, n = np.random.default_rng(6), 300, 20
    one, other = np.arange(n), np.arange(n, 2 * n)
    naive = ours = covered = covered_naively = 0
    for _ in range(times):
        matrix = crossed(rng, raters, n, 1.0, 0.7, 0.3)
        counts = [[matrix[:, each].sum(), raters * n - matrix[:, each].sum()] for each in (one, other)]
        naive += stats.chi2_contingency(counts, correction=False).pvalue < 0.05
        ours += difference(matrix, one, other).p < 0.05
        found = share(matrix, one)
        covered += found.interval[0] <= 0.5 <= found.interval[1]
        covered_naively += found.wilson[0] <= 0.5 <= found.wilson[1]
    assert ours / times <= 0.08
    assert covered / times >= 0.92
    assert naive / times > 2 * 0.05
    assert covered_naively / times < 0.85
    if raters == 70:  # as in the paper
        assert naive / times > 0.3
        assert covered_naively / times < 0.6


def test_a_clear_difference_is_found():
    rng = np.random.default_rng(7)
    matrix = np.concatenate([rng.random((8, 20)) < 0.8, rng.random((8, 20)) < 0.2], axis=1).astype(float)
    found = difference(matrix, np.arange(20), np.arange(20, 40))
    assert found.p < 1e-4
    assert found.p_texts == pytest.approx(1 / (1 + ratings.PERMUTATIONS))
    assert found.interval[0] > 0.4


def test_one_rater_speaks_for_himself():
    matrix = answers(np.random.default_rng(8), 1, 40)
    found = share(matrix, np.arange(20))
    assert found.unit == TEXTS
    assert difference(matrix, np.arange(20), np.arange(20, 40)).unit == TEXTS
    assert found.interval[0] <= found.wilson[0] < found.wilson[1] <= found.interval[1]


def test_equal_answers_do_not_make_an_interval_of_no_width():
    matrix = np.zeros((3, 20))
    found = share(matrix, np.arange(20))
    assert (found.value, found.effective) == (0.0, 3.0)
    assert found.interval == pytest.approx(proportion_confint(0, 3, method="wilson"))
    assert found.interval[1] > found.wilson[1] == pytest.approx(proportion_confint(0, 60, method="wilson")[1])
    other = difference(matrix, np.arange(10), np.arange(10, 20))
    assert (other.value, other.p, other.interval) == (0.0, 1.0, None)


def test_a_text_that_was_drawn_twice_counts_twice_in_the_share_and_once_as_an_answer():
    matrix = np.array([[1.0, 0.0], [1.0, 0.0]])
    found = share(matrix, np.array([0, 0, 0, 1]))
    assert (found.value, found.n, found.texts, found.answers) == (0.75, 4, 2, 4)


SOURCES = (
    Source("real data", "r" * 12, "real data", 0, True),
    Source("mle", "a" * 12, "mle", 0),
    Source("mle", "b" * 12, "mle", 1),
    Source("seqgan", "c" * 12, "seqgan", 0),
)


@pytest.fixture
def key():
    draws = [Draw(at, f"text {at} {number}", at == 3 and number == 0) for at in range(4) for number in range(3)]
    draws.append(Draw(1, "text 0 0", False))  # a model wrote what a human wrote
    return make_key(draws, SOURCES, 0, task="t", preset="p", data="d", n=3, skip=False, question="Was it?")


def said(key, rater, human, leave=()):
    given = {item.id: "human" if human(item) else "machine" for item in key.items if item.text not in leave}
    return Answers(rater, f"{rater}.csv", given, dict.fromkeys(given, 2.0))


def test_a_sheet_is_judged(key):
    def knows(item):
        return item.text.startswith("text 0")

    found = judgement(key, [said(key, "Ann", knows), said(key, "Bob", lambda item: True)], ["odd."])
    rows = {row.name: row for row in found.shares}
    assert list(rows) == ["real data", "mle", "seqgan"]
    assert [rows[name].value for name in rows] == [1.0, pytest.approx(8 / 14), 0.5]
    assert [(row.n, row.runs, row.copied) for row in rows.values()] == [(3, 0, 0), (7, 2, 0), (3, 1, 1)]
    assert [(row.name, row.reference) for row in found.differences] == [
        ("mle", "real data"),
        ("seqgan", "real data"),
        ("seqgan", "mle"),
    ]
    assert all(row.corrected_p >= row.p for row in found.differences)
    ann, bob = found.raters
    assert (ann.right, ann.human, ann.seconds, ann.answers) == (1.0, 0.25, 2.0, 12)
    assert bob.right == pytest.approx(2 / 11)  # text 0 0 is both, so neither answer is right or wrong
    assert found.notes == ("odd.",)
    assert found.runs == {"r" * 12: (1.0, 3), "a" * 12: (0.625, 4), "b" * 12: (0.5, 3), "c" * 12: (0.5, 3)}


def test_what_a_folder_keeps_names_no_rater(key):
    found = judgement(key, [said(key, "Ann", lambda item: True), said(key, "Bob", lambda item: True)])
    kept = rated(found)
    assert (kept.sheet, kept.raters, kept.protocol) == (key.sheet, 2, "3 of each")
    score = kept.scores["a" * 12]
    assert (score.metric, score.value, score.unit, score.direction, score.kind) == (
        "human",
        1.0,
        "",
        "higher",
        "quality",
    )
    assert score.signature == f"n=4|raters=2|texts=12|real=test|protocol=3 of each|sheet={key.sheet}|v=1"
    assert "Ann" not in repr(kept)


def test_missing_answers_are_left_out_and_a_source_without_any_has_no_value(key):
    lacking = [f"text 3 {number}" for number in range(3)]
    found = judgement(key, [said(key, "Ann", lambda item: True, lacking), said(key, "Bob", lambda item: True, lacking)])
    assert [row.value for row in found.shares] == [1.0, 1.0, None]
    assert [(row.name, row.reference) for row in found.differences] == [("mle", "real data")]
    score = rated(found).scores["c" * 12]
    assert (score.value, score.absent) == (None, "nobody judged its texts")
