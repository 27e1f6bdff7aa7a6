"""Every verdict on a cell, and what makes a comparison red."""

import math
import re

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from bench.analysis import accepted
from bench.analysis.compare import RED, VERDICTS, compare
from bench.records.frames import REAL_DATA

BASE = (1.00, 1.10, 0.95, 1.05, 1.02, 0.98)
LOW = tuple(value - shift for value, shift in zip(BASE, (0.30, 0.31, 0.29, 0.30, 0.32, 0.28), strict=True))
HIGH = tuple(value + shift for value, shift in zip(BASE, (0.30, 0.31, 0.29, 0.30, 0.32, 0.28), strict=True))
MIXED = tuple(value + shift for value, shift in zip(BASE, (0.1, -0.1, 0.1, -0.1, 0.05, -0.06), strict=True))


def rows(values, **changes):
    """A cell's rows: a value per seed, or the reason for its absence."""
    cell = {
        "task": "toy", "preset": "smoke", "model": "mle", "checkpoint": "final", "metric": "nll", "status": "ok",
        "unit": "nats", "direction": "lower", "signature": "n=5|v=1", "data": "d0",
    }  # fmt: skip
    seeds = values if isinstance(values, dict) else dict(enumerate(values))
    return [
        {
            **cell,
            "seed": seed,
            "value": math.nan if isinstance(value, str) else value,
            "absent": value if isinstance(value, str) else "",
            **changes,
        }
        for seed, value in seeds.items()
    ]


def run(status, reason="", **changes):
    """The row of a run without scores."""
    empty = dict.fromkeys(("checkpoint", "metric", "unit", "direction", "signature", "data"), "")
    return rows([reason or math.nan], **{**empty, "status": status, "absent": reason, **changes})


def frame(*parts):
    return pd.DataFrame([row for part in parts for row in part], columns=list(accepted.COLUMNS))


def verdict(base, head, **changes):
    """The only cell's verdict and words, of two lists of values."""
    (cell,) = compare(frame(rows(base, **changes)), frame(rows(head, **changes))).cells
    return cell.verdict, cell.words


# Tested cells


@pytest.mark.parametrize(
    ("direction", "head", "expected"),
    [
        ("lower", LOW, "better"),
        ("lower", HIGH, "worse"),
        ("higher", LOW, "worse"),
        ("higher", HIGH, "better"),
        ("lower", MIXED, "no difference"),
        ("higher", MIXED, "no difference"),
        ("lower", BASE, "no difference"),
    ],
)
def test_the_good_direction_decides(direction, head, expected):
    assert verdict(BASE, head, direction=direction)[0] == expected


def test_the_words_say_what_changed_and_how_sure_it_is():
    assert verdict(BASE, HIGH)[1] == "1.017 → 1.317 nats (+0.3, p = 0.031, sign, 6 seeds)"
    assert verdict(BASE, HIGH, direction="higher", unit="")[1] == "1.017 → 1.317 (+0.3, p = 0.031, sign, 6 seeds)"
    assert verdict(BASE, MIXED)[1] == (
        "1.017 → 1.015 nats (-0.00167, p = 1, sign, 6 seeds); 6 seeds show one of 0.17 or more; no number of seeds in "
        "reach would show such a difference"
    )
    wide = [value + shift for value, shift in zip(BASE, (0.4, -0.1, 0.2, -0.1, 0.3, 0.1), strict=True)]
    assert verdict(BASE, wide)[1] == (
        "1.017 → 1.15 nats (+0.133, p = 0.69, sign, 6 seeds); 6 seeds show one of 0.37 or more; about 35 seeds would "
        "show such a difference"
    )
    few = verdict(BASE[:5], HIGH[:5])[1]
    assert few == "1.024 → 1.328 nats (+0.304, p < 0.0001, paired t, 5 seeds), if seeds scatter normally"
    assert verdict(BASE, BASE)[1] == "the same"


def test_p_is_scipys_corrected_for_all_that_changed():
    generator = np.random.default_rng(0)
    wide = [40.0 * seed for seed in range(6)]  # so that no seed of head is beyond all of base's
    changes = generator.normal([[0.9], [0.6], [0.3], [0.0]], 0.5, (4, 6))
    base = frame(*(rows(wide, metric=f"m{k}") for k in range(4)), rows(wide, metric="still"))
    head = frame(*(rows(np.add(wide, change), metric=f"m{k}") for k, change in enumerate(changes)),
                 rows(wide, metric="still"))  # fmt: skip
    comparison = compare(base, head)
    assert comparison.family == 4
    p = [stats.ttest_rel(np.add(wide, change), wide).pvalue for change in changes]
    order = np.argsort(p)
    corrected = dict(zip(order.tolist(), np.maximum.accumulate(np.sort(p) * [4, 3, 2, 1]).clip(max=1), strict=True))
    for cell in comparison.cells[:4]:
        expected = corrected[int(cell.key.metric[1:])]
        assert (cell.verdict == "worse") == (expected <= 0.05)
        assert f"p = {expected:.2g}," in cell.words
    assert {cell.verdict for cell in comparison.cells} == {"worse", "no difference"}


def test_cells_that_stay_do_not_weaken_the_test():
    still = [rows(BASE, metric=f"still{k}") for k in range(1000)]
    changed = compare(frame(rows(BASE), *still), frame(rows(np.add(HIGH, 0.05 * np.arange(6))), *still))
    alone = compare(frame(rows(BASE)), frame(rows(np.add(HIGH, 0.05 * np.arange(6)))))
    words = [[cell.words for cell in one.cells if cell.key.metric == "nll"] for one in (changed, alone)]
    assert words[0] == words[1]
    assert changed.family == alone.family == 1


def test_chance_alone_is_seldom_called_a_difference():
    generator = np.random.default_rng(1)
    found = 0
    for _ in range(100):
        sides = [
            frame(*(rows(generator.normal(size=6), metric=f"m{k}") for k in range(8))) for _ in range(2)
        ]  # fmt: skip
        counts = compare(*sides).counts
        found += counts["better"] + counts["worse"] > 0
    assert found <= 11  # 5 expected; more than 11 of 100 in 1 of 200


def test_rounding_is_no_change():
    """Another processor gives other last digits, alike in all seeds: every test would find a difference."""
    assert verdict(BASE, [value * (1 + 1e-8) for value in BASE]) == ("no difference", "the same")
    assert verdict(BASE, [value * (1 + 1e-5) for value in BASE])[0] == "worse"
    assert verdict([0.0] * 6, [1e-12] * 6) == ("no difference", "the same")


def test_what_always_gave_one_number_and_gives_another_is_worse():
    said = "the same in all 6 seeds, which are one observation and need no test)"
    assert verdict([0.5] * 6, [0.6] * 6) == ("worse", f"0.5 → 0.6 nats (+0.1, {said}")
    assert verdict([0.5] * 6, [0.4] * 6) == ("not comparable", f"0.5 → 0.4 nats (-0.1, {said}")


def test_a_change_below_the_resolution_is_no_difference():
    small = [value + 0.0005 for value in BASE]
    comparison = compare(frame(rows(BASE, metric="nll_test")), frame(rows(small, metric="nll_test")))
    assert [(cell.verdict, cell.words) for cell in comparison.cells] == [
        ("no difference", "1.017 → 1.017 nats (+0.0005): less than 0.001, the smallest difference that counts")
    ]
    few = compare(*(frame(rows(values[:2], metric="nll_test")) for values in (BASE, small)))
    assert (comparison.family, few.undecided) == (0, 0)
    assert verdict(BASE, small)[0] == "worse"  # the scale of a plugin's metric is not known


def test_what_wins_most_seeds_and_collapses_in_one_is_worse():
    base = [float(seed % 3) for seed in range(12)]
    head = [value - 0.1 - 0.01 * seed for seed, value in enumerate(base[:-1])] + [base[-1] + 2]
    found, words = verdict(base, head)
    assert found == "worse"
    assert words.endswith("sign, 12 seeds): mixed, not all of it is for the better")


FIVE, EIGHT = [3.0, 3.1, 2.9, 3.05, 2.95], [3.0, 3.1, 2.9, 3.05, 2.95, 3.02, 2.98, 3.0]


@pytest.mark.parametrize(
    ("base", "fallen", "told"),
    [
        (FIVE, {4: 1000.0}, "seed 4"),  # Student's t is 1, however far it fell
        (FIVE, {1: 8.0, 3: 9.0}, "2 seeds (1, 3)"),
        (EIGHT[:6], dict.fromkeys(range(5), 9.0), "5 seeds (0, 1, 2, 3, 4)"),  # p = .062 by the sign test
        (EIGHT, dict.fromkeys(range(5), 9.0), "5 seeds (0, 1, 2, 3, 4)"),
    ],
)
def test_seeds_that_fell_far_are_worse_without_a_test(base, fallen, told):
    head = [fallen.get(seed, value) for seed, value in enumerate(base)]
    found, words = verdict(base, head)
    assert (found, words.partition("): ")[2]) == ("worse", f"far worse in {told} than base in any")
    assert verdict(head, base)[0] != "worse"
    turned, _ = verdict([-value for value in base], [-value for value in head], direction="higher")
    assert turned == "worse"
    seed = next(iter(fallen))
    near = [3.3 if place == seed else value for place, value in enumerate(base)]  # within a tenth of the median
    assert verdict(base, near)[0] == "no difference"


def test_a_head_that_copies_is_not_better(monkeypatch):
    where = ("toy", "smoke", "mle", "final")
    monkeypatch.setattr("bench.analysis.compare.copiers", lambda scores: {where: "it copies the training text"})
    found, words = verdict(BASE, LOW)
    assert found == "not comparable"
    assert words.endswith("head has no rank, because it copies the training text")
    assert verdict(BASE, HIGH)[0] == "worse"


def test_one_seed_gives_no_verdict_unless_nothing_changed():
    assert verdict([1.0], [3.0]) == ("untested", "1 → 3 nats (+2): one seed cannot be tested")
    assert verdict([3.0], [1.0]) == ("untested", "3 → 1 nats (-2): one seed cannot be tested")
    assert verdict([1.0], [1.0]) == ("no difference", "the same")
    assert verdict([1.0, 1.1], [1.5, 2.1])[0] == "no difference"
    assert not compare(frame(rows([1.0])), frame(rows([1.5]))).passes


def test_more_seeds_than_base_has_change_nothing():
    assert verdict(BASE, HIGH) == verdict(BASE, (*HIGH, 100.0, 200.0))


# Nearer to the real data


def beside_real(base, head, old=(2.0,) * 6, new=None):
    """The verdicts on a model and on the real data, whose value is the goal."""
    sides = [
        frame(rows(real, model=REAL_DATA, direction="real"), rows(values, direction="real"))
        for real, values in ((old, base), (old if new is None else new, head))
    ]
    return {cell.key.model: (cell.verdict, cell.words) for cell in compare(*sides).cells}


@pytest.mark.parametrize(
    ("base", "head", "expected"),
    [
        (BASE, HIGH, "better"),  # from about 1 to 1.3, towards 2
        (BASE, LOW, "worse"),
        (np.add(BASE, 2), np.add(LOW, 2), "better"),  # from about 3 to 2.7
        (np.add(BASE, 2), np.add(HIGH, 2), "worse"),
        (BASE, np.subtract(4, BASE), "no difference"),  # to the other side, as far away
    ],
)
def test_nearer_to_the_real_data_is_better(base, head, expected):
    verdicts = beside_real(base, head)
    assert verdicts["mle"][0] == expected
    assert verdicts[REAL_DATA] == ("no difference", "the same")


def test_the_words_say_where_the_real_data_lie():
    assert beside_real(BASE, LOW)["mle"][1] == (
        "1.017 → 0.7167 nats beside the real data's 2 (distance +0.3, p = 0.031, sign, 6 seeds)"
    )


def test_the_distance_is_taken_seed_by_seed():
    real = np.asarray(BASE) + np.arange(6)
    assert beside_real(np.add(real, 1), np.add(real, 1.5), real)["mle"][0] == "worse"
    assert beside_real(np.add(real, 1), np.subtract(real, 0.5), real)["mle"][0] == "better"


def test_without_real_data_there_is_no_goal():
    nothing = ("untested", "there is no real data to measure the distance from")
    assert verdict(BASE, HIGH, direction="real") == nothing
    assert beside_real(BASE, HIGH, old={9: 2.0})["mle"] == nothing


def test_seeds_without_real_data_are_left_out():
    found = beside_real(BASE, (*HIGH[:4], 50.0, 50.0), old=dict.fromkeys(range(4), 2.0))["mle"]
    assert found[0] == "better"
    assert "4 seeds" in found[1]


def test_the_real_data_are_neither_better_nor_worse():
    news = "2 → 2.5 in seed 3: the judge changed, or its random numbers, and not only models"
    verdicts = beside_real(BASE, BASE, new=[2.0, 2.0, 2.0, 2.5, 2.0, 2.5])
    assert verdicts[REAL_DATA] == ("untested", news)
    sides = [frame(rows(real, model=REAL_DATA), rows(BASE)) for real in (BASE, HIGH)]
    assert [cell.verdict for cell in compare(*sides).cells] == ["untested", "no difference"]


def test_where_the_real_data_moved_models_are_still_tested_each_beside_its_own():
    assert beside_real(BASE, np.add(BASE, 1), new=[3.0] * 6)["mle"][0] == "no difference"  # as far away as before
    assert beside_real(BASE, BASE, new=[3.0] * 6)["mle"][0] == "worse"  # the goal went away
    sides = [frame(rows(real, model=REAL_DATA), rows(mle)) for real, mle in ((BASE, BASE), (HIGH, HIGH))]
    assert [cell.verdict for cell in compare(*sides).cells] == ["untested", "worse"]  # lower is better here


# Cells that cannot be compared


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"signature": "n=5|v=2"}, "signature changed: v=1 → v=2"),
        ({"signature": "n=5|refs=7|v=1"}, "signature changed: nothing → refs=7"),
        ({"unit": "bits"}, "unit changed: nats → bits"),
        ({"unit": ""}, "unit changed: nats → none"),
        ({"direction": "higher"}, "direction changed: lower → higher"),
        ({"data": "0123456789abcdef"}, "data changed: d0 → 0123456789ab"),
    ],
)
def test_what_was_measured_otherwise_is_not_compared(change, words):
    comparison = compare(frame(rows(BASE)), frame(rows(HIGH, **change)))
    assert [(cell.verdict, cell.words) for cell in comparison.cells] == [("untested", words)]
    assert comparison.red == 1
    partly = compare(frame(rows(BASE)), frame(rows(HIGH[:2]), rows({2: 1.0, 4: 2.0}, **change), rows({3: 1.0, 5: 1.0})))
    assert [(cell.verdict, cell.words) for cell in partly.cells] == [("untested", f"seeds 2, 4: {words}")]


def test_data_that_one_side_does_not_tell_keep_nothing_apart():
    comparison = compare(frame(rows(BASE, data="")), frame(rows(HIGH)))
    assert comparison.cells[0].verdict == "worse"


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_base_that_is_no_number_compares_with_nothing(value):
    assert verdict((*BASE[:5], value), BASE) == ("not comparable", f"seed 5: base has {value}")
    assert verdict((*BASE[:5], value), HIGH) == ("untested", f"seed 5: base has {value}")
    other = rows({4: 1.0}, signature="v=2")
    (cell,) = compare(frame(rows({4: 1.0, 5: value})), frame(other, rows({5: 1.0}))).cells
    assert cell.verdict == "untested"


def test_changes_that_cancel_out_are_changes():
    found, words = verdict([1.0, 2.0], [3.0, 0.0])
    assert found == "no difference"
    assert "smallest difference that counts" not in words
    assert not compare(frame(rows([1.0, 2.0])), frame(rows([3.0, 0.0]))).cells[0].small


# Missing, failed, new


def test_a_model_that_is_gone_is_missing():
    comparison = compare(frame(rows(BASE), rows(BASE, model="pg")), frame(rows(BASE)))
    assert [(*cell.key[2:], cell.verdict, cell.words) for cell in comparison.cells] == [
        ("mle", "final", "nll", "no difference", "the same"),
        ("pg", "final", "nll", "missing", "not run in head"),
    ]
    assert (comparison.red, comparison.passes) == (1, False)


@pytest.mark.parametrize(
    ("head", "words"),
    [
        (rows(HIGH[:4]), "seeds 4, 5: not run in head"),
        (rows(HIGH, metric="other"), "not scored in head"),
        (rows(HIGH[:5]) + run("skipped", "needs words", seed=5), "seed 5: skipped: needs words"),
        (rows(HIGH[:5]) + rows({5: 1.0}, metric="other"), "seed 5: not scored in head"),
    ],
)
def test_missing_seeds_and_metrics_are_named(head, words):
    cell = next(cell for cell in compare(frame(rows(BASE)), frame(head)).cells if cell.key.metric == "nll")
    assert (cell.verdict, cell.words) == ("missing", words)


@pytest.mark.parametrize(
    ("seed", "words"),
    [
        (run("failed", "ValueError: no luck", seed=5), "failed: ValueError: no luck"),
        (run("interrupted", "run it again", seed=5), "interrupted: run it again"),
        (run("started", seed=5), "never ended"),
        (rows({5: "nll is inf"}), "head has no value: nll is inf"),
        (rows({5: math.nan}), "head has nan"),
        (rows({5: math.inf}), "head has inf"),
    ],
)
def test_a_seed_that_failed_fails_the_cell(seed, words):
    comparison = compare(frame(rows(BASE)), frame(rows(LOW[:5]), seed))
    assert [(cell.verdict, cell.words) for cell in comparison.cells] == [("failed", f"seed 5: {words}")]
    assert comparison.red == 1


def test_a_failure_goes_before_what_is_missing_or_measured_otherwise():
    head = frame(run("failed", "no luck", seed=1), rows({0: 1.0}, signature="v=2"))
    (cell,) = compare(frame(rows(BASE)), head).cells
    assert (cell.verdict, cell.words) == ("failed", "seed 1: failed: no luck")


def test_a_failed_run_that_base_does_not_know_is_red_too():
    head = frame(rows(BASE), run("failed", "no luck", seed=7), run("failed", "no luck", model="pg"))
    comparison = compare(frame(rows(BASE)), head)
    assert [(*cell.key[2:], cell.verdict, cell.words) for cell in comparison.cells] == [
        ("mle", "final", "nll", "no difference", "the same"),
        ("mle", "", "", "failed", "seed 7: failed: no luck"),
        ("pg", "", "", "failed", "failed: no luck"),
    ]
    assert not comparison.passes


def test_a_skipped_run_may_stay_skipped_but_not_vanish():
    skipped = run("skipped", "needs words", model="pg")
    kept = compare(frame(rows(BASE), skipped), frame(rows(BASE), skipped))
    assert (len(kept.cells), kept.passes) == (1, True)
    lost = compare(frame(rows(BASE), skipped), frame(rows(BASE)))
    assert [(cell.key.model, cell.verdict) for cell in lost.cells] == [("mle", "no difference"), ("pg", "missing")]


def test_what_only_head_has_is_new_and_not_red():
    comparison = compare(frame(rows(BASE)), frame(rows(BASE), rows(BASE, metric="other")))
    assert [(cell.key.metric, cell.verdict) for cell in comparison.cells] == [
        ("nll", "no difference"),
        ("other", "new"),
    ]
    assert comparison.passes


def test_a_score_that_was_absent_may_stay_so_or_come():
    assert verdict(["no log_prob"] * 3, ["no log_prob"] * 3) == ("no difference", "the same")
    assert verdict(["no log_prob"] * 3, [1.0] * 3) == ("new", "base has no value: no log_prob")
    assert "5 seeds" in verdict(("no log_prob", *BASE[1:]), HIGH)[1]


# The complete comparison


def test_a_benchmark_that_vanished_does_not_pass():
    everything = frame(rows(BASE), rows(BASE, model=REAL_DATA))
    moved = compare(everything, frame(rows(BASE, signature="v=2"), rows(BASE, model=REAL_DATA)))
    assert [cell.verdict for cell in moved.cells] == ["no difference", "untested"]
    assert (moved.red, moved.vanished, moved.passes) == (1, True, False)
    assert moved.summary.endswith(": red, no score of any model could be compared")
    broken = frame(rows([math.nan] * 6), rows(BASE, model=REAL_DATA))
    comparison = compare(broken, everything)
    assert (comparison.red, comparison.vanished, comparison.passes) == (0, True, False)
    assert comparison.summary.endswith(": red, no score of any model could be compared")
    gone = compare(everything, frame())
    assert (gone.red, gone.vanished, gone.passes) == (2, True, False)
    assert gone.summary.endswith(": red, no score of any model could be compared")


def test_values_that_are_absent_on_both_sides_are_no_comparison():
    comparison = compare(frame(rows(["no log_prob"] * 3)), frame(rows(["no log_prob"] * 3)))
    assert [cell.verdict for cell in comparison.cells] == ["no difference"]
    assert (comparison.vanished, comparison.passes) == (True, False)


def test_a_first_comparison_has_nothing_to_miss():
    first = compare(frame(), frame(rows(BASE)))
    assert [cell.verdict for cell in first.cells] == ["new"]
    assert (first.vanished, first.passes) == (False, True)


def test_the_closing_line_counts_every_verdict():
    base = frame(
        *(rows(BASE, metric=name) for name in ("same", "up", "down", "lost", "broken", "redone")),
        rows([math.nan] * 6, metric="nothing"),
    )
    head = frame(
        rows(BASE, metric="same"), rows(HIGH, metric="up"), rows(LOW, metric="down"), rows(BASE, metric="added"),
        rows(["is inf"] * 6, metric="broken"), rows(BASE, metric="redone", signature="v=2"),
        rows(BASE, metric="nothing"),
    )  # fmt: skip
    comparison = compare(base, head)
    assert {cell.key.metric: cell.verdict for cell in comparison.cells} == {
        "same": "no difference", "up": "worse", "down": "better", "lost": "missing", "broken": "failed",
        "redone": "untested", "added": "new", "nothing": "not comparable",
    }  # fmt: skip
    assert comparison.summary == (
        "1 failed, 1 missing, 1 worse, 1 untested, 1 not comparable, 1 better, 1 new, 1 no difference: "
        "red, 4 of 8 cells"
    )
    assert comparison.counts == dict.fromkeys(VERDICTS, 1)
    assert set(RED) == {"worse", "missing", "failed", "untested"}
    assert compare(base, base).summary.endswith("1 not comparable, 0 better, 0 new, 6 no difference: green")


def test_the_order_of_rows_changes_nothing():
    base, head = (frame(*(rows(BASE, metric=f"m{k}") for k in range(3))) for _ in range(2))
    head["value"] += np.random.default_rng(2).normal(0.1, 0.1, len(head))
    shuffled = [side.sample(frac=1, random_state=3) for side in (base, head)]
    assert compare(*shuffled) == compare(base, head)


def test_what_too_few_seeds_cannot_decide_is_said_and_not_called_equal():
    few = compare(frame(rows([1.0, 1.1, 1.2])), frame(rows([1.5, 3.0, 1.9])))
    assert few.undecided == 1
    assert few.summary.endswith("green, but 1 cell changed on too few seeds to decide (< 5): use more seeds")
    many = compare(frame(rows(BASE)), frame(rows(MIXED)))
    assert (len(BASE) >= 5, many.undecided) == (True, 0)
    assert many.summary.endswith("green")


def test_fewer_seeds_than_asked_for_are_red_whatever_changed():
    same = frame(rows(BASE), rows(BASE, model=REAL_DATA))
    assert compare(same, same, min_seeds=6).passes
    few = compare(same, same, min_seeds=7)
    assert {(cell.verdict, cell.words) for cell in few.cells} == {
        ("untested", "6 seeds on both sides, expected 7 or more")
    }
    assert not few.passes


def test_the_difference_that_as_many_seeds_would_show_is_said():
    found, words = verdict(BASE[1:5], MIXED[1:5])
    assert found == "no difference"
    shown = float(re.search(r"4 seeds show one of ([\d.]+) or more", words)[1])
    spread = np.std(np.subtract(MIXED[1:5], BASE[1:5]), ddof=1)
    assert shown == pytest.approx(spread * 2.0, rel=0.1)  # Cohen's d for four pairs, level .05 and power .8
