"""How often verdicts are wrong, by simulation.

``python tests/bench/analysis/test_error_rates.py`` prints the tables of docs/statistics.md; it takes some minutes.
"""

import math
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from scipy import stats

from bench.analysis import verdicts
from bench.analysis.stats import holm
from bench.analysis.verdicts import (
    BETTER,
    BETTER_IF_NORMAL,
    CALLED,
    IDENTICAL,
    MIXED,
    WORSE,
    WORSE_IF_NORMAL,
    Pair,
    judge,
)

FAMILY = 6
SECOND, FIRST = (3, 5, 7), (8, 12, 20)
"""Seeds at which Student's t and the sign test decide in a family of six."""


def both(draw):
    """Differences of two sides that scatter alike."""
    return lambda rng, shape: draw(rng, shape) - draw(rng, shape)


def mixture(rng, shape):
    """Normal, but ten times as wide in one seed of ten."""
    return rng.normal(size=shape) * np.where(rng.random(shape) < 0.1, 10, 1)


def collapsing(rng, shape):
    """Slightly better, and collapses once in ten: the mean is zero."""
    return np.where(rng.random(shape) < 0.1, -0.9, 0.1) + 0.02 * rng.normal(size=shape)


SYMMETRIC = {
    "normal": both(lambda rng, shape: rng.normal(size=shape)),
    "Student's t, 3 degrees of freedom": both(lambda rng, shape: rng.standard_t(3, size=shape)),
    "uniform": both(lambda rng, shape: rng.uniform(-1, 1, size=shape)),
    "normal, ten times wider once in ten": both(mixture),
    "log-normal on both sides": both(lambda rng, shape: rng.lognormal(size=shape)),
}
"""Differences that are symmetric about zero: mean and median are zero."""
ONE_SIDED = {
    "uniform against a constant": (lambda rng, shape: rng.uniform(-1, 1, size=shape), 0.0, 0.0),
    "exponential against a constant": (lambda rng, shape: rng.exponential(size=shape), 1.0, math.log(2)),
    "log-normal against a constant": (lambda rng, shape: rng.lognormal(size=shape), math.exp(0.5), 1.0),
    "slightly better, collapses once in ten": (collapsing, 0.0, 0.1 + 0.02 * float(stats.norm.ppf(1 - 5 / 9))),
}
"""Differences of which one side is constant, their mean and their median; the seed's scores are higher-is-better."""


def laws(centre):
    """Law to a function that draws differences whose mean or median, as ``centre`` says, is zero."""
    found = dict(SYMMETRIC)
    for name, (draw, mean, median) in ONE_SIDED.items():
        middle = {"mean": mean, "median": median}[centre]
        found[name] = lambda rng, shape, draw=draw, middle=middle: draw(rng, shape) - middle
    return found


def outcomes(boards):
    """The outcomes of each leaderboard, (leaderboards, models, seeds) of differences, higher is better."""
    with mock.patch.object(verdicts, "seeds_needed", return_value=None):  # it decides nothing, and takes long
        return [
            [verdict.outcome for verdict in judge([pair(row) for row in rows], "higher")] for rows in boards.tolist()
        ]


def pair(row):
    return Pair("model", "reference", dict(enumerate(row)))


def share(found, words=CALLED):
    """In how many of the leaderboards some model has one of these outcomes."""
    return float(np.mean([any(outcome in words for outcome in board) for board in found]))


def before(boards, alpha=0.05):
    """The same of the rule that was replaced: sign flips where their least p is a tenth of alpha, else Student's t."""
    family, seeds = boards.shape[1:]
    if 10 * 2.0 ** (1 - seeds) <= alpha / family and seeds <= 20:
        p = sign_flips(boards)
    else:
        p = stats.ttest_1samp(boards, 0, axis=-1).pvalue
    return float(np.mean([min(holm(row)) <= alpha for row in p.tolist()]))


def sign_flips(boards, draws=4000):
    """P of the sign-flip test of each row; of more than 12 seeds by that many random patterns."""
    seeds = boards.shape[-1]
    if seeds <= 12:
        signs = np.array([[1 - 2 * (pattern >> seed & 1) for seed in range(seeds)] for pattern in range(2**seeds)])
    else:
        signs = np.random.default_rng(0).choice([-1, 1], (draws, seeds))
        signs[0] = 1
    found = []
    for rows in boards:
        sums = rows @ signs.T
        found.append((np.abs(sums) >= np.abs(rows.sum(-1, keepdims=True)) - 1e-12).mean(-1))
    return np.array(found)


def survivors(rng, boards, seeds, crash):
    """The differences of a model that is no better, in the seeds that did not crash; one list a leaderboard."""
    drawn = SYMMETRIC["normal"](rng, (boards, seeds))
    return [[value for value in row if not crash(value)] for row in drawn.tolist()]


CRASHES = {
    "wherever it is worse": lambda difference: difference < 0,
    "where it is worse by one standard deviation": lambda difference: difference < -math.sqrt(2),
}
"""When a model that is no better crashes: differences have a standard deviation of the square root of 2."""


def better(pairs):
    """In how many of the pairs, each on its own, the model is called better."""
    return float(np.mean([judge([each], "higher")[0].outcome in (BETTER, BETTER_IF_NORMAL) for each in pairs]))


def better_before(rows):
    """The same of the rule that was replaced, which took the seeds that were left for all."""
    return float(np.mean([len(row) > 1 and np.mean(row) > 0 and before(np.array([[row]])) == 1 for row in rows]))


def with_losses(rows, seeds):
    """Pairs in which each lost seed is a loss, larger than any other."""
    return [pair([*row, *[-1e9] * (seeds - len(row))]) for row in rows]


def without_verdict(rows, seeds):
    """Pairs as they are judged: none where a seed was lost."""
    return [Pair("model", "reference", dict(enumerate(row)), void="lost" * (len(row) < seeds)) for row in rows]


def lines_of_the_page(boards):
    """Every table: its title, its header and its lines."""
    rng = np.random.default_rng(0)
    lines = [
        [name, *(percent(share(outcomes(draw(rng, (boards, FAMILY, n))))) for n in SECOND)]
        for name, draw in laws("mean").items()
    ]
    yield "Student's t, means are equal", ["law", *(f"n = {n}" for n in SECOND)], lines
    for centre, title in (("median", "Sign test, chances are equal"), ("mean", "Sign test, means are equal")):
        lines = []
        for name, draw in laws(centre).items():
            line = [name]
            for n in FIRST:
                drawn = draw(rng, (boards, FAMILY, n))
                line += [percent(before(drawn)), percent(share(outcomes(drawn)))]
            lines.append(line)
        yield title, ["law", *(f"n = {n}, {when}" for n in FIRST for when in ("before", "now"))], lines
    lines = []
    for name, crash in CRASHES.items():
        for seeds in (5, 10, 20):
            rows = survivors(rng, boards, seeds, crash)
            shares = better_before(rows), better(with_losses(rows, seeds)), better(without_verdict(rows, seeds))
            lines.append([name, str(seeds), *map(percent, shares)])
    yield "Survivors", ["it crashes", "seeds planned", "before", "a lost seed is a loss", "now"], lines


def percent(found):
    return f"{100 * found:.1f}"


def table(header, lines):
    rule = ["---", *["---:"] * (len(header) - 1)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (header, rule, *lines))


def at_most(found, level, boards):
    """Whether a share that was found in so many leaderboards may be one of at most this size."""
    return stats.binomtest(round(found * boards), boards, level, "greater").pvalue > 1e-3


@pytest.mark.parametrize("law", laws("median"))
@pytest.mark.parametrize("seeds", [8, 20])
def test_the_first_grade_errs_in_one_leaderboard_of_twenty_whatever_the_law(law, seeds):
    drawn = laws("median")[law](np.random.default_rng([seeds, len(law)]), (200, FAMILY, seeds))
    found = outcomes(drawn)
    assert at_most(share(found), 0.05, 200)
    assert share(found, (BETTER_IF_NORMAL, WORSE_IF_NORMAL)) == 0  # it is the first grade


@pytest.mark.parametrize("seeds", FIRST)
def test_the_error_of_the_first_grade_is_known_exactly(seeds):
    """By the binomial law alone: any distribution of differences with equal chances has this one."""
    rejected = [wins for wins in range(seeds + 1) if stats.binomtest(wins, seeds).pvalue * FAMILY <= 0.05]
    one = sum(stats.binom.pmf(wins, seeds, 0.5) for wins in rejected)
    assert 0 < 1 - (1 - one) ** FAMILY <= 0.05  # that Holm rejects any is that its first step does


@pytest.mark.parametrize("law", SYMMETRIC)
@pytest.mark.parametrize("seeds", [3, 7])
def test_the_second_grade_errs_as_rarely_where_differences_are_symmetric(law, seeds):
    drawn = SYMMETRIC[law](np.random.default_rng([seeds, len(law)]), (200, FAMILY, seeds))
    found = outcomes(drawn)
    assert at_most(share(found), 0.06, 200)
    assert share(found, (BETTER, WORSE)) == 0


def test_the_second_grade_errs_more_often_where_one_side_is_skewed_as_the_page_says():
    drawn = laws("mean")["exponential against a constant"](np.random.default_rng(0), (200, FAMILY, 5))
    assert share(outcomes(drawn), (BETTER_IF_NORMAL, WORSE_IF_NORMAL)) > 0.15


def test_what_collapses_in_sight_is_not_called_better():
    drawn = collapsing(np.random.default_rng(0), (200, 1, 20))
    seen = (drawn < 0).any(-1).ravel()
    found = np.array(outcomes(drawn)).ravel()
    assert not set(found[seen]) & set(CALLED)
    assert set(found[~seen]) == {BETTER}  # no test finds what did not happen
    assert (found == MIXED).mean() > 0.4


@pytest.mark.parametrize(("seeds", "least"), [(10, 0.5), (20, 0.9)])
def test_a_model_that_crashes_where_it_is_worse_is_not_better_any_more(seeds, least):
    rows = survivors(np.random.default_rng(seeds), 200, seeds, CRASHES["wherever it is worse"])
    assert better_before(rows) > least
    assert better(without_verdict(rows, seeds)) == better(with_losses(rows, seeds)) == 0


@pytest.mark.parametrize("noise", [0.0, 1e-9])
def test_a_difference_of_nothing_is_never_called(noise):
    drawn = -1e-12 + noise * np.random.default_rng(0).normal(size=(200, 5))
    none = [Pair("model", "reference", dict(enumerate(row)), resolution=0.001) for row in drawn.tolist()]
    assert {judge([each], "lower")[0].outcome for each in none} == {IDENTICAL}


def rows_of(block):
    """The cells of a table without its header."""
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in block.splitlines()[2:]]


def tables_of_the_page():
    """The page's tables of error rates, in their order."""
    page = (Path(__file__).parents[3] / "docs" / "statistics.md").read_text(encoding="utf-8")
    return [rows_of(block) for block in page.split("\n\n") if block.startswith(("| law |", "| it crashes |"))]


def test_the_page_keeps_what_it_promises():
    second, first, _, lost = tables_of_the_page()
    symmetric = [row for row in second if row[0] in SYMMETRIC]
    assert [row[0] for row in symmetric] == list(SYMMETRIC)
    assert max(float(rate) for row in symmetric for rate in row[1:]) <= 6
    now = np.array([[float(rate) for rate in row[2::2]] for row in first])
    assert [row[0] for row in first] == [*SYMMETRIC, *ONE_SIDED]
    assert now.max() <= 6.5  # 5 by the exact law, and the noise of a simulation
    assert now.mean(0).max() <= 5
    assert max(float(row[-1]) for row in lost) <= 2.5


@pytest.mark.slow
def test_the_page_has_the_rates_of_the_simulation():
    for written, (_, _, lines) in zip(tables_of_the_page(), lines_of_the_page(1000), strict=True):
        assert [row[0] for row in written] == [row[0] for row in lines]
        rates = (np.array([row[1:] for row in rows], float) for rows in (written, lines))
        np.testing.assert_allclose(*rates, atol=4)


if __name__ == "__main__":
    for title, header, lines in lines_of_the_page(1000):
        print(f"{title}\n\n{table(header, lines)}\n", flush=True)
