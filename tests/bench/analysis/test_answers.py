"""Which comparisons are made, for which models and in which families; how they are reported, and what is bold."""

import csv
import dataclasses
import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from bench.analysis.answers import (
    COLUMNS,
    answers,
    best,
    by_metric,
    in_headline,
    listed,
    rows_of,
    seed_counts,
    summary,
    table,
)
from bench.analysis.leaderboard import write_csv
from bench.analysis.references import BOTH, CONSTANT, OWN, REFERENCE, most_comparisons, references
from bench.analysis.stats import mean_interval, paired_test
from bench.analysis.verdicts import (
    BETTER_IF_NORMAL,
    IDENTICAL,
    NO_VERDICT,
    NOT_SEPARABLE,
    ONE_OBSERVATION,
    ONE_SEED,
    WORSE_IF_NORMAL,
    Best,
)

LUCK = (0.3, -0.1, 0.2, 0.4, -0.3)
"""The part of a seed's values that all models share."""
JITTER = np.random.default_rng(0).normal(0, 0.01, (60, 5)).tolist()
"""The part that they do not share."""


class Board:
    """Results of one task that grow model by model."""

    def __init__(self, metric="jsd_token", direction="lower", task="oracle", preset="quick"):
        self.metric, self.direction, self.task, self.preset = metric, direction, task, preset
        self.runs, self.scores, self._jitter = [], [], iter(JITTER)

    def add(self, model, final, pretrained=None, role="contender", signature="v=1"):
        """A model with its seeds' values; a number becomes five seeds around it."""
        for checkpoint, value in (("final", final), ("pretrained", pretrained)):
            if value is None:
                continue
            seeds = value if isinstance(value, list) else self._around(value)
            signatures = signature if isinstance(signature, list) else [signature] * len(seeds)
            for seed, (score, signed) in enumerate(zip(seeds, signatures, strict=True)):
                keys = {"task": self.task, "preset": self.preset, "model": model, "seed": seed}
                keys["run_id"] = f"{self.task}-{model}-{seed}"
                if checkpoint == "final":
                    self.runs.append({**keys, "role": "" if model == "real data" else role, "status": "ok"})
                lost = score is None or not math.isfinite(score)
                self.scores.append(
                    {
                        **keys,
                        "checkpoint": checkpoint,
                        "kind": "quality",
                        "metric": self.metric,
                        "value": math.nan if lost else score,
                        "absent": (f"it is {score}" if score else "it has no log_prob") if lost else None,
                        "unit": "nats/token",
                        "direction": self.direction,
                        "signature": signed,
                    }
                )
        return self

    def _around(self, value):
        return [value + luck + own for luck, own in zip(LUCK, next(self._jitter), strict=True)]

    @property
    def frames(self):
        return pd.DataFrame(self.runs), pd.DataFrame(self.scores)

    @property
    def asked(self):
        """Triples of role, model and reference."""
        return [(found.role, found.verdict.model, found.verdict.reference) for found in answers(*self.frames)]


def full():
    """The reference arm, a contender without pre-training, two with it, and three controls."""
    board = Board().add("real data", 0.0).add("mle", 8.0).add("random", 9.0)
    board.add("seqgan", 8.4, 8.2).add("pg-bleu", 8.25, 8.2)
    return (
        board.add(CONSTANT, 8.3, 8.2, role="control")
        .add("mle-longer", 7.9, 8.2, role="control")
        .add("uniform", 9.5, role="control")
    )


# The family of comparisons.


def test_what_is_asked_of_whom():
    assert full().asked == [
        ("contender", "pg-bleu", REFERENCE),
        ("contender", "pg-bleu", OWN),
        ("contender", "pg-bleu", CONSTANT),
        ("contender", "random", REFERENCE),
        ("contender", "seqgan", REFERENCE),
        ("contender", "seqgan", OWN),
        ("contender", "seqgan", CONSTANT),
        ("control", CONSTANT, REFERENCE),
        ("control", CONSTANT, OWN),
        ("control", "mle-longer", REFERENCE),
        ("control", "mle-longer", OWN),
        ("control", "uniform", REFERENCE),
    ]


def test_others_may_be_compared_with_instead():
    runs, scores = full().frames
    found = answers(runs, scores, ("random", "mle-longer", "seqgan"))
    assert [(answer.role, answer.verdict.model, answer.verdict.reference) for answer in found] == [
        *(("contender", "mle", reference) for reference in ("random", "mle-longer", "seqgan")),
        *(("contender", "pg-bleu", reference) for reference in ("random", "mle-longer", "seqgan")),
        # Each is compared with those named before it, so that no two are compared twice.
        *(("contender", "seqgan", reference) for reference in ("random", "mle-longer")),
        *(("control", CONSTANT, reference) for reference in ("random", "mle-longer", "seqgan")),
        ("control", "mle-longer", "random"),
        *(("control", "uniform", reference) for reference in ("random", "mle-longer", "seqgan")),
    ]
    assert {answer.role: answer.verdict.family for answer in found} == {"contender": 8, "control": 7}
    means = {(a.verdict.model, a.verdict.reference): a.verdict.difference.mean for a in found}
    assert means["mle", "random"] == pytest.approx(-1.0, abs=0.05)


def test_planning_counts_the_comparisons_that_there_will_be():
    roles = {"mle": "contender", "random": "contender", "seqgan": "contender", "uniform": "control"}
    assert most_comparisons(roles, ("random", "seqgan")) == 3
    assert most_comparisons(roles, ("a model of the folder",)) == 3


def implicit():
    """A board of two metrics, in which one model has only the second, which reads samples."""
    exact = Board().add("mle", 0.2).add("random", 0.5).add("seqgan", 0.3, 0.25)
    samples = Board("reverse_nll").add("mle", 4.0).add("random", 9.0).add("seqgan", 5.0, 4.5).add("gan", 6.0)
    runs = pd.DataFrame(samples.runs)
    return runs, pd.concat([pd.DataFrame(exact.scores), pd.DataFrame(samples.scores)])


def test_a_model_without_a_density_keeps_its_verdicts_on_another_metric():
    parts = by_metric(in_headline(answers(*implicit())))
    pairs = {
        metric: [(answer.verdict.model, answer.verdict.reference) for answer in asked]
        for metric, asked in parts.items()
    }
    assert pairs == {
        "jsd_token": [("random", REFERENCE), ("seqgan", REFERENCE), ("seqgan", OWN)],
        "reverse_nll": [("gan", REFERENCE)],
    }
    assert summary(parts["reverse_nll"]) == ["gan: worse than mle, if seeds scatter normally (n = 5)"]
    assert {metric: asked[0].verdict.family for metric, asked in parts.items()} == {"jsd_token": 3, "reverse_nll": 4}


def test_an_infinite_score_is_no_reason_to_look_at_another_metric():
    runs, scores = implicit()
    endless = scores[(scores["metric"] == "jsd_token") & (scores["model"] == "random")].assign(
        model="gan", value=math.nan, absent="it is inf"
    )
    parts = by_metric(in_headline(answers(runs, pd.concat([scores, endless]))))
    assert list(parts) == ["jsd_token"]
    assert {answer.verdict.model for answer in parts["jsd_token"]} == {"random", "seqgan"}


def test_against_a_model_without_a_density_all_verdicts_are_on_another_metric():
    parts = by_metric(in_headline(answers(*implicit(), ("gan", "mle"))))
    pairs = {
        metric: [(answer.verdict.model, answer.verdict.reference) for answer in asked]
        for metric, asked in parts.items()
    }
    assert pairs == {
        "jsd_token": [("random", "mle"), ("seqgan", "mle")],
        "reverse_nll": [("mle", "gan"), ("random", "gan"), ("seqgan", "gan")],
    }


@pytest.mark.parametrize("kind", ["bound", "estimated", "none"])
def test_a_density_that_is_not_exact_gives_way_to_samples(kind):
    runs, scores = implicit()
    runs["density"] = ["exact" if model != "seqgan" else kind for model in runs["model"]]
    parts = by_metric(in_headline(answers(runs, scores)))
    assert {answer.verdict.model for answer in parts["jsd_token"]} == {"random"}
    assert {answer.verdict.model for answer in parts["reverse_nll"]} == {"gan", "seqgan"}
    alone = scores[scores["metric"] == "jsd_token"]  # without another metric it keeps the verdict that it has
    assert {answer.verdict.model for answer in in_headline(answers(runs, alone))} == {"random", "seqgan"}


def test_contenders_and_controls_are_a_family_each():
    found = answers(*full().frames)
    assert {answer.role: answer.verdict.family for answer in found} == {"contender": 7, "control": 5}


def test_the_numbers_are_those_of_scipy_and_of_holm_by_hand():
    board = Board().add("mle", 8.0).add("seqgan", 8.02, 8.1).add("random", 8.005)
    _, scores = board.frames
    values = {key: rows["value"].to_numpy() for key, rows in scores.groupby(["model", "checkpoint"])}
    mle, seqgan = values["mle", "final"], values["seqgan", "final"]
    pairs = [(values["random", "final"], mle), (seqgan, mle), (seqgan, values["seqgan", "pretrained"])]
    found = [answer.verdict for answer in answers(*board.frames)]
    p = [stats.ttest_rel(*pair).pvalue for pair in pairs]
    assert [verdict.p for verdict in found] == pytest.approx(p)
    least, corrected = 0.0, {}
    for step, place in enumerate(sorted(range(3), key=p.__getitem__)):
        corrected[place] = least = max(least, min(1.0, (3 - step) * p[place]))
    assert [verdict.corrected_p for verdict in found] == pytest.approx([corrected[place] for place in range(3)])
    for verdict, (model, reference) in zip(found, pairs, strict=True):
        interval = mean_interval(model - reference)
        assert dataclasses.astuple(verdict.difference) == pytest.approx(dataclasses.astuple(interval))


def test_controls_cost_the_contenders_nothing():
    board = full()
    with_controls = [answer for answer in answers(*board.frames) if answer.role == "contender"]
    runs, scores = board.frames
    others = scores[~scores["model"].isin(["mle-longer", "uniform"])]
    assert [answer for answer in answers(runs, others) if answer.role == "contender"] == with_controls


def test_without_the_constant_reward_nothing_is_asked_of_it():
    board = Board().add("mle", 8.0).add("seqgan", 8.4, 8.2)
    assert board.asked == [("contender", "seqgan", REFERENCE), ("contender", "seqgan", OWN)]


def test_without_the_reference_arm_the_other_questions_remain():
    board = Board().add("random", 9.0).add("seqgan", 8.4, 8.2).add(CONSTANT, 8.3, 8.2, role="control")
    assert board.asked == [
        ("contender", "seqgan", OWN),
        ("contender", "seqgan", CONSTANT),
        ("control", CONSTANT, OWN),
    ]


def test_a_variant_with_settings_of_its_own_is_a_contender_like_another():
    board = Board().add("mle", 8.0).add("mle[lr=0.1]", 8.1).add("seqgan[rounds=5]", 8.4, 8.2)
    board.add(f"{CONSTANT}[value=1.0]", 8.3, 8.2, role="control")
    assert board.asked == [
        ("contender", "mle[lr=0.1]", REFERENCE),
        ("contender", "seqgan[rounds=5]", REFERENCE),
        ("contender", "seqgan[rounds=5]", OWN),
        ("control", f"{CONSTANT}[value=1.0]", REFERENCE),
        ("control", f"{CONSTANT}[value=1.0]", OWN),
    ]


def test_without_anything_to_compare_with_nothing_is_asked():
    assert Board().add("mle", 8.0).asked == []
    assert Board().add("uniform", 9.5, role="control").asked == []
    assert Board().add("mle[lr=0.1]", 8.1).add("random", 9.0).asked == []  # a variant is no reference


def test_tasks_and_presets_are_apart_and_in_order():
    boards = [
        Board("nll_test", task="quatrains").add("mle", 3.0).add("random", 4.0),
        Board("nll_test", preset="smoke").add("mle", 8.0).add("random", 9.0, role="control"),
        Board("jsd_token").add("mle", 0.1).add("random", 0.2),
        Board("nll_test").add("mle", 8.0).add("random", 9.0),
    ]
    runs, scores = (pd.concat(frames) for frames in zip(*(board.frames for board in boards), strict=True))
    runs = runs.drop_duplicates(["task", "preset", "model", "seed"])
    found = answers(runs, scores)
    assert [(answer.task, answer.preset, answer.metric, answer.role) for answer in found] == [
        ("oracle", "quick", "jsd_token", "contender"),
        ("oracle", "quick", "nll_test", "contender"),
        ("oracle", "smoke", "nll_test", "control"),
        ("quatrains", "quick", "nll_test", "contender"),
    ]
    assert {answer.verdict.family for answer in found} == {1}


def test_the_order_of_the_input_does_not_matter():
    runs, scores = full().frames
    shuffled = answers(runs.sample(frac=1, random_state=1), scores.sample(frac=1, random_state=2))
    assert shuffled == answers(runs, scores)


@pytest.mark.parametrize(("direction", "outcome"), [("lower", WORSE_IF_NORMAL), ("higher", BETTER_IF_NORMAL)])
def test_the_direction_decides_what_is_better(direction, outcome):
    (answer,) = answers(*Board("bleu2", direction).add("mle", 0.3).add("random", 0.5).frames)
    assert (answer.verdict.outcome, answer.metric, answer.unit) == (outcome, "bleu2", "nats/token")


def test_metrics_whose_goal_is_the_real_data_and_costs_have_no_answer():
    board = Board("self_bleu4", "real").add("real data", 0.2).add("mle", 0.3).add("random", 0.5)
    assert board.asked == []
    runs, scores = Board("seconds").add("mle", 3.0).add("random", 5.0).frames
    assert answers(runs, scores.assign(kind="cost")) == []


# What compares with what.


def test_another_signature_is_not_compared():
    board = Board().add("mle", 8.0).add("random", 9.0, signature="v=2").add("seqgan", 8.4, 8.2)
    board.add("pg-bleu", 8.3, 8.2, signature="v=3").add(CONSTANT, 8.3, 8.2, role="control")
    assert board.asked == [
        ("contender", "pg-bleu", OWN),
        *(("contender", "seqgan", reference) for reference in (REFERENCE, OWN, CONSTANT)),
        *(("control", CONSTANT, reference) for reference in (REFERENCE, OWN)),
    ]


def test_the_real_data_may_have_any_signature():
    assert full().add("real data", 0.0, signature="v=0").asked == full().asked


def test_seeds_with_one_signature_are_compared_though_others_have_another():
    board = Board().add("mle", [8.0, 8.1, 8.2, 8.3, 8.4])
    board.add("random", [1.0, 9.0, 9.2, 9.1, 2.0], signature=["v=2", "v=1", "v=1", "v=1", "v=2"])
    (answer,) = answers(*board.frames)
    assert answer.verdict.difference.n == 3
    assert answer.verdict.difference.mean == pytest.approx(np.mean([0.9, 1.0, 0.8]))


def test_seeds_are_paired_by_number():
    board = Board().add("mle", [8.0, 8.5, 9.0]).add("random", [8.101, 8.6, 9.099])
    runs, scores = board.frames
    (answer,) = answers(runs, scores.iloc[::-1])
    assert (answer.verdict.difference.n, answer.verdict.outcome) == (3, WORSE_IF_NORMAL)
    assert answer.verdict.difference.mean == pytest.approx(0.1, abs=0.001)


def test_an_absent_value_leaves_the_other_seeds_but_an_infinite_one_does_not():
    board = Board().add("mle", [8.0, 8.1, 8.2, 8.3]).add("random", [None, 9.0, 9.2, 9.1])
    (answer,) = answers(*board.frames)
    assert (answer.verdict.difference.n, answer.verdict.outcome) == (3, NO_VERDICT)
    assert answer.verdict.why == "random lost 1 of 4 seeds (seed 0 without a value)"
    board.add("hopeful", [math.inf, 7.0, 7.1, 7.05])
    assert [answer.verdict.model for answer in answers(*board.frames)] == ["random"]
    board.add("seqgan", [8.5, 8.6, 8.7, 8.81])
    assert best(*board.frames) == bold("mle")


def test_one_common_seed_is_reported_but_not_tested():
    (answer,) = answers(*Board().add("mle", [8.0]).add("random", [9.0]).frames)
    assert (answer.verdict.outcome, answer.verdict.p, answer.verdict.family) == (ONE_SEED, None, 0)


# Who may not win.


def test_a_model_that_lost_a_seed_has_no_verdict_and_is_not_the_best():
    board = Board().add("mle", 8.0).add("random", 9.0).add("seqgan", 7.0, 8.2)
    assert best(*board.frames) == bold("seqgan")
    runs, scores = board.frames
    runs.loc[(runs["model"] == "seqgan") & (runs["seed"] == 3), "status"] = "failed"
    scores = scores[~((scores["model"] == "seqgan") & (scores["seed"] == 3))]
    found = {(a.verdict.model, a.verdict.reference): a.verdict for a in answers(runs, scores)}
    assert found["seqgan", REFERENCE].outcome == found["seqgan", OWN].outcome == NO_VERDICT
    assert found["seqgan", REFERENCE].why == "seqgan lost 1 of 5 seeds (seed 3 failed)"
    assert found["random", REFERENCE].outcome == WORSE_IF_NORMAL
    assert best(runs, scores) == bold("mle")
    assert summary(in_headline(answers(runs, scores)))[1].startswith(
        "seqgan: no verdict against mle (seqgan lost 1 of 5 seeds (seed 3 failed)); no verdict against its own"
    )


def test_who_has_no_exact_density_is_never_better_in_what_reads_it():
    for metric, direction, wins in [("nll_test", "lower", False), ("nll_oracle", "lower", True)]:
        runs, scores = Board(metric, direction).add("mle", 8.0).add("flow", 7.0).add("random", 9.0).frames
        runs["density"] = ["bound" if model == "flow" else "exact" for model in runs["model"]]
        found = {answer.verdict.model: answer.verdict for answer in answers(runs, scores)}
        assert found["flow"].outcome == (BETTER_IF_NORMAL if wins else NO_VERDICT)
        assert best(runs, scores) == bold("flow" if wins else "mle", metric)
    assert answers(*worse_flow().frames)[0].verdict.outcome == WORSE_IF_NORMAL


def worse_flow():
    """A model that is worse than the reference."""
    return Board("nll_test").add("mle", 8.0).add("flow", 9.0)


def test_models_that_never_vary_are_one_observation():
    board = Board("nll_test").add("mle", [8.0] * 5).add("random", [9.0] * 5)
    (answer,) = answers(*board.frames)
    assert answer.verdict.outcome == ONE_OBSERVATION
    assert best(*board.frames) == {}
    assert summary([answer]) == ["random: one observation beside mle"]


@pytest.mark.parametrize(("metric", "shift"), [("nll_test", 0.0009), ("jsd_token", 0.00009), ("novelty", 1e-7)])
def test_a_difference_that_tables_would_not_show_is_none(metric, shift):
    values = [0.2, 0.3, 0.4, 0.25, 0.35]
    for factor, outcome in ((1, IDENTICAL), (10, BETTER_IF_NORMAL)):
        jitter = [1.0, 1.01, 0.99, 1.0, 1.01]
        lower = [value - factor * shift * each for value, each in zip(values, jitter, strict=True)]
        (answer,) = answers(*Board(metric).add("mle", values).add("seqgan", lower).frames)
        assert answer.verdict.outcome == outcome


def test_runs_that_failed_do_not_count(results):
    runs = results.runs.copy()
    seqgan = (runs["model"] == "seqgan") & (runs["seed"] == 2)
    runs.loc[seqgan, "status"] = "failed"
    few = dataclasses.replace(results, runs=runs)
    assert {a.verdict.difference.n for a in few.answers if a.verdict.model == "seqgan"} == {2}
    assert {a.verdict.difference.n for a in results.answers if a.verdict.model == "seqgan"} == {3}


# What is bold.


def bold(model, metric="jsd_token", firm=False):
    """The one metric in which a model is the best."""
    return {metric: Best(model, firm)}


def test_the_best_is_better_than_every_other_contender():
    board = Board().add("mle", 8.0).add("random", 9.0).add("seqgan", 8.4, 8.2)
    assert best(*board.frames) == bold("mle")
    assert best(*board.add("twin", 8.0).frames) == {}


def test_neither_controls_nor_the_real_data_nor_a_pretraining_take_part():
    board = Board().add("real data", 0.0).add("mle", 8.0).add("random", 9.0)
    board.add("replay", 1.0, role="control").add("seqgan", 8.4, 7.0)
    assert best(*board.frames) == bold("mle")


def test_nobody_is_best_among_controls_alone_or_without_a_rival():
    board = Board().add("replay", 1.0, role="control").add("uniform", 9.0, role="control")
    assert best(*board.frames) == {}
    assert best(*board.add("mle", 8.0).frames) == {}


def test_what_another_signature_keeps_from_comparing_keeps_all_from_being_best():
    board = Board().add("mle", 8.0).add("random", 9.0).add("seqgan", 8.4, signature="v=2")
    assert best(*board.frames) == {}


def test_who_has_no_value_or_no_rank_does_not_take_part():
    board = Board().add("mle", 8.0).add("random", 9.0).add("opaque", [None] * 5)
    assert best(*board.frames) == bold("mle")
    assert best(*board.add("uncertain", [7.5]).frames) == bold("mle")


def test_bold_is_by_the_sign_test_and_italics_by_students_t():
    for seeds, firm in ((6, False), (8, True)):
        values = [8.0 + 0.1 * (seed % 3) for seed in range(seeds)]
        board = Board().add("mle", values)
        for model, gap in (("random", 1.0), ("seqgan", 0.5), ("pg-bleu", 0.7)):
            board.add(model, [value + gap + 0.01 * (seed % 2) for seed, value in enumerate(values)])
        assert best(*board.frames) == bold("mle", firm=firm)


def real(*models, signature="v=1"):
    """Real data at 0.20 in every seed, and models with five seeds each."""
    board = Board("self_bleu4", "real").add("real data", [0.20] * 5, signature=signature)
    for name, *values in models:
        board.add(name, list(values))
    return board


def test_nearest_to_the_real_data_is_best_from_either_side():
    below = ("below", 0.18, 0.185, 0.181, 0.182, 0.183)
    above = ("above", 0.24, 0.25, 0.26, 0.245, 0.255)
    far = ("far", 0.02, 0.03, 0.04, 0.025, 0.035)
    assert best(*real(below, above, far).frames) == bold("below", "self_bleu4")
    assert best(*real(above, far).frames) == bold("above", "self_bleu4")
    mirrored = ("mirrored", *(0.40 - value for value in below[1:]))
    assert best(*real(below, mirrored, far).frames) == {}


def test_the_real_data_must_be_there_and_computed_alike():
    models = ("near", 0.18, 0.185, 0.181, 0.182, 0.183), ("far", 0.02, 0.03, 0.04, 0.025, 0.035)
    assert best(*real(*models, signature="v=2").frames) == {}
    runs, scores = real(*models).frames
    assert best(runs, scores[scores["model"] != "real data"]) == {}


@pytest.mark.parametrize("metric", ["copy_sequence", "copy_8gram"])
def test_to_copy_least_is_never_bold(metric):
    assert best(*Board(metric).add("mle", 0.5).add("random", 0.0).frames) == {}


# In words and as a table.


def test_a_line_a_contender_says_how_it_stands_to_all():
    board = Board().add("mle", 8.0).add("random", [8.0 + luck for luck in LUCK]).add("seqgan", 8.4, 8.8)
    board.add(CONSTANT, 8.4, 8.2, role="control")
    found = in_headline(answers(*board.frames))
    assert [answer.verdict.outcome for answer in found] == [
        NOT_SEPARABLE, WORSE_IF_NORMAL, BETTER_IF_NORMAL, NOT_SEPARABLE
    ]  # fmt: skip
    assert summary(found) == [
        "random: not separable from mle",
        "seqgan: worse than mle, better than its own pre-training, if seeds scatter normally (n = 5); "
        "not separable from constant-reward",
    ]


def test_references_of_one_outcome_are_named_together():
    board = full()
    assert summary(in_headline(answers(*board.frames))) == [
        "pg-bleu: worse than mle and its own pre-training, better than constant-reward, "
        "if seeds scatter normally (n = 5)",
        "random: worse than mle, if seeds scatter normally (n = 5)",
        "seqgan: worse than mle, its own pre-training and constant-reward, if seeds scatter normally (n = 5)",
    ]
    assert [listed(list(names)) for names in ("a", "ab", "abc")] == ["a", "a and b", "a, b and c"]


def test_what_could_not_be_tested_is_said_too():
    board = Board().add("mle", [8.0, 8.1]).add("copy", [8.0, 8.1]).add("short", [9.0])
    found = answers(*board.frames)
    assert [answer.verdict.outcome for answer in found] == [IDENTICAL, NO_VERDICT]
    assert summary(found) == [
        "copy: identical to mle",
        "short: no verdict against mle (short lost 1 of 2 seeds (seed 1 not run))",
    ]
    assert seed_counts(found) == [1, 2]
    assert seed_counts(found[:1]) == [2]
    assert seed_counts([]) == []


def test_the_headline_is_what_the_rows_are_sorted_by(results):
    oracle, quatrains = ([a for a in results.answers if a.task == task] for task in ("oracle", "quatrains"))
    assert {(answer.metric, answer.role) for answer in in_headline(oracle)} == {("jsd_token", "contender")}
    assert {(answer.metric, answer.role) for answer in in_headline(quatrains)} == {("nll_test", "contender")}
    assert in_headline([answer for answer in oracle if answer.metric == "bleu2"]) == []


def test_rows_hold_the_metrics_of_a_pair(results):
    oracle = [answer for answer in results.answers if (answer.task, answer.role) == ("oracle", "contender")]
    rows = rows_of(oracle, ["nll_oracle", "jsd_token"])
    assert [(row["model"], row["reference"]) for row in rows] == [
        *(("seqgan", reference) for reference in (REFERENCE, OWN, CONSTANT)),
        ("uncertain", REFERENCE),
    ]
    assert [set(row) - {"model", "reference"} for row in rows] == [{"jsd_token", "nll_oracle"}] * 3 + [{"nll_oracle"}]


def test_a_row_of_the_table_is_a_verdict(results):
    found = results.answers
    rows = table(found)
    assert tuple(rows.columns) == COLUMNS
    assert len(rows) == len(found)
    row = rows[(rows["metric"] == "nll_test") & (rows["reference"] == REFERENCE) & (rows["model"] == "seqgan")].iloc[0]
    differences = [8.35 - 7.70, 8.41 - 7.68, 8.30 - 7.72]
    interval, test = mean_interval(sorted(differences)), paired_test(sorted(differences), 3)
    assert row[["task", "preset", "role", "outcome", "test"]].tolist() == [
        *("oracle", "quick", "contender", WORSE_IF_NORMAL, "paired t"),
    ]
    assert row[["mean", "low", "high", "n"]].tolist() == [interval.mean, interval.low, interval.high, 3]
    assert row[["p", "family", "smallest_sign_p"]].tolist() == [test.p, 3, 0.25]
    assert row["probability_of_improvement"] == 0
    assert pd.isna(row["needed"])
    assert row[["grade", "collapsed", "reference_collapsed", "because"]].tolist() == [2, 0, 0, ""]
    alone = rows[rows["outcome"] == NO_VERDICT].iloc[0]
    assert alone[["n", "test", "family"]].tolist() == [1, "", 3]
    assert alone["because"] == "uncertain lost 2 of 3 seeds (seed 1 failed; seed 2 not run)"
    assert pd.isna(alone["grade"])
    assert alone[["low", "high", "p", "corrected_p", "needed"]].isna().all()


def test_the_file_gives_back_the_same_numbers(results, tmp_path):
    rows = table(results.answers)
    write_csv(tmp_path / "verdicts.csv", rows)
    with (tmp_path / "verdicts.csv").open(encoding="utf-8", newline="") as file:
        back = list(csv.DictReader(file))
    assert tuple(back[0]) == COLUMNS
    for column in ("mean", "low", "high", "p", "corrected_p", "smallest_sign_p", "probability_of_improvement"):
        written = [float(row[column] or "nan") for row in back]
        np.testing.assert_array_equal(written, rows[column].to_numpy(float))
    for column in ("n", "family", "needed", "grade", "collapsed", "reference_collapsed"):
        assert [row[column] for row in back] == ["" if pd.isna(count) else str(int(count)) for count in rows[column]]
    for column in ("task", "preset", "metric", "model", "role", "reference", "outcome", "test", "because"):
        assert [row[column] for row in back] == rows[column].tolist()


def test_no_scores_give_a_table_without_rows(results, tmp_path):
    assert best(results.runs, results.scores.head(0)) == {}
    rows = table(answers(results.runs, results.scores.head(0)))
    assert (tuple(rows.columns), len(rows)) == (COLUMNS, 0)
    write_csv(tmp_path / "verdicts.csv", rows)
    assert (tmp_path / "verdicts.csv").read_text(encoding="utf-8") == ",".join(COLUMNS) + "\n"


def test_where_the_pretraining_is_the_reference_arm_both_are_one_question():
    before = [8.2, 8.25, 8.15]
    board = Board().add("mle", before).add("seqgan", 8.4, before).add(CONSTANT, 8.3, before, role="control")
    assert board.asked == [
        ("contender", "seqgan", BOTH),
        ("contender", "seqgan", CONSTANT),
        ("control", CONSTANT, BOTH),
    ]


def test_copy_rates_have_no_verdict():
    board = Board().add("mle", 0.2).add("random", 0.1)
    runs, scores = board.frames
    assert answers(runs, scores.assign(metric="copy_8gram")) == []


def test_the_constant_reward_to_compare_with_is_the_one_of_the_same_kernels():
    def constant(model):
        return list(references(model, "contender", pretrained=True, shared=True).values())[-1]

    assert constant("seqgan") == ("constant-reward", "final")
    assert constant("seqgan[mode=triton]") == ("constant-reward[mode=triton]", "final")
    assert constant("seqgan[lr=0.1, mode=triton]") == ("constant-reward[mode=triton]", "final")
