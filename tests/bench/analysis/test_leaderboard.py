import csv
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from bench.analysis.leaderboard import COLUMNS, aggregate, write_csv
from bench.analysis.stats import bootstrap_interval, mean_interval
from bench.records.frames import usable


def models(board, task):
    return list(dict.fromkeys(board.loc[board["task"] == task, "model"]))


def cell(board, task, model, checkpoint, metric):
    rows = board[
        (board["task"] == task)
        & (board["model"] == model)
        & (board["checkpoint"] == checkpoint)
        & (board["metric"] == metric)
    ]
    assert len(rows) == 1
    return rows.iloc[0]


def changed(scores, value, **where):
    """The scores with another value, one number or one per seed, where the columns have these values."""
    chosen = np.logical_and.reduce([scores[column] == wanted for column, wanted in where.items()])
    assert chosen.any()
    scores = scores.copy()
    scores.loc[chosen, "value"] = value
    return scores


def test_importing_the_reports_does_not_import_torch():
    code = """
        import sys
        from bench.analysis import answers, leaderboard, results
        from bench.reports.pages import leaderboard as tables
        from bench.reports import terminal
        assert "matplotlib" not in sys.modules, "tables need no matplotlib"
        from bench.reports.figures import drawing, scores
        assert "torch" not in sys.modules and "matplotlib.pyplot" not in sys.modules
    """
    lines = [line.strip() for line in code.strip().splitlines()]
    subprocess.run([sys.executable, "-c", "\n".join(lines)], check=True)


def test_a_row_is_the_mean_over_seeds_with_its_signature(results):
    row = cell(aggregate(results.runs, results.scores), "oracle", "seqgan", "final", "nll_test")
    expected = mean_interval([8.35, 8.41, 8.30])
    assert (row["mean"], row["low"], row["high"], row["n"]) == (expected.mean, expected.low, expected.high, 3)
    assert (row["unit"], row["direction"], row["signature"]) == ("nats/token", "lower", "nll:1|n=10000")
    assert (row["status"], row["seeds_failed"], row["role"]) == ("ok 3", 0, "contender")


def test_each_mean_comes_with_one_that_an_outlying_seed_moves_less(results):
    values = [3.10, 3.20, 3.15, 3.12, 9.99]
    scores = changed(results.scores, values, task="quatrains", model="mle", metric="nll_test")
    row = cell(aggregate(results.runs, scores), "quatrains", "mle", "final", "nll_test")
    interval = bootstrap_interval(values)
    assert row["interquartile_mean"] == pytest.approx(stats.trim_mean(values, 0.25)) == pytest.approx(3.47 / 3 + 2)
    assert (row["bootstrap_low"], row["bootstrap_high"]) == (interval.low, interval.high)
    assert row["mean"] == pytest.approx(np.mean(values))


def test_order_of_tasks_models_checkpoints_and_metrics(results):
    board = aggregate(results.runs, results.scores)
    assert tuple(board.columns) == COLUMNS
    assert list(dict.fromkeys(board["task"])) == ["oracle", "quatrains"]
    assert models(board, "oracle") == [
        "real data",
        *("mle", "seqgan", "broken", "uncertain"),
        *("constant-reward", "uniform", "replay"),
    ]
    assert models(board, "quatrains") == ["real data", "mle", "random", "pg-bleu"]
    seqgan = board[(board["task"] == "oracle") & (board["model"] == "seqgan")]
    assert list(dict.fromkeys(seqgan["checkpoint"])) == ["final", "selected", "pretrained"]
    assert seqgan.loc[seqgan["checkpoint"] == "final", "metric"].tolist() == [
        *("jsd_token", "nll_test", "kl_forward", "nll_oracle", "bleu2", "bleu4", "self_bleu4", "copy_8gram"),
        *("seconds", "train_tokens_per_second", "rollouts_per_second"),
    ]


def test_every_row_has_its_models_role(results):
    board = aggregate(results.runs, results.scores)
    roles = {role: set(rows["model"]) for role, rows in board[board["task"] == "oracle"].groupby("role")}
    assert roles == {
        "": {"real data"},
        "contender": {"mle", "seqgan", "broken", "uncertain"},
        "control": {"constant-reward", "uniform", "replay"},
    }


@pytest.mark.parametrize(("task", "ranking"), [("oracle", "jsd_token"), ("quatrains", "nll_test")])
def test_metrics_that_can_be_gamed_alone_never_order_the_models(results, task, ranking):
    before = aggregate(results.runs, results.scores)
    rng = np.random.default_rng(0)
    # Copy rates do: they take the rank from who copies.
    gamed = (results.scores["metric"] != ranking) & ~results.scores["metric"].str.startswith("copy_")
    for _ in range(5):
        scores = results.scores.copy()
        scores.loc[gamed, "value"] = rng.uniform(0, 10, gamed.sum())
        assert models(aggregate(results.runs, scores), task) == models(before, task)


def test_nll_test_orders_the_models_where_there_is_no_oracle(results):
    scores = changed(results.scores, 1.0, task="quatrains", model="random", metric="nll_test")
    assert models(aggregate(results.runs, scores), "quatrains")[:3] == ["real data", "random", "mle"]


def test_jsd_token_orders_the_models_where_there_is_an_oracle(results):
    scores = changed(results.scores, 0.001, task="oracle", model="seqgan", metric="jsd_token")
    assert models(aggregate(results.runs, scores), "oracle")[:3] == ["real data", "seqgan", "mle"]


def test_who_has_no_rank_comes_last_however_good_and_says_why(results):
    scores = changed(results.scores, 0.001, task="oracle", model="seqgan", metric="jsd_token")
    for lost, why in (("failed", "it lost 1 of 3 seeds (seed 1 failed)"), ("skipped", "(seed 1 skipped in this seed")):
        runs = results.runs.copy()
        runs.loc[runs["run_id"] == "oracle-seqgan-1", "status"] = lost
        board = aggregate(runs, scores)
        assert models(board, "oracle")[:5] == ["real data", "mle", "broken", "uncertain", "seqgan"]
        assert why in cell(board, "oracle", "seqgan", "final", "jsd_token")["unranked_because"]
        assert pd.isna(cell(board, "oracle", "mle", "final", "jsd_token")["unranked_because"])
    runs = results.runs.assign(density=["bound" if model == "seqgan" else "exact" for model in results.runs["model"]])
    board = aggregate(runs, scores)
    assert models(board, "oracle")[-4:] == ["seqgan", "constant-reward", "uniform", "replay"]
    assert "a bound" in cell(board, "oracle", "seqgan", "final", "jsd_token")["unranked_because"]
    assert pd.isna(cell(board, "oracle", "seqgan", "final", "nll_oracle")["unranked_because"])


def test_seeds_that_collapsed_are_counted(results):
    scores = changed(results.scores, [3.10, 3.20, 3.15, 3.12, 9.99], task="quatrains", model="mle", metric="nll_test")
    board = aggregate(results.runs, scores)
    assert cell(board, "quatrains", "mle", "final", "nll_test")["collapsed"] == 1
    assert cell(board, "quatrains", "random", "final", "nll_test")["collapsed"] == 0
    assert cell(board, "quatrains", "mle", "final", "bleu2")["collapsed"] == 0  # 0.31 beside 0.32 is none
    for without in ("copy_8gram", "self_bleu4", "seconds"):  # no direction, or no merit
        assert pd.isna(cell(board, "quatrains", "mle", "final", without)["collapsed"])
    assert pd.isna(cell(board, "quatrains", "real data", "final", "bleu2")["collapsed"])
    scores = changed(results.scores, [0.002, 0.002, 0.002, 0.002, 0.0], task="quatrains", model="mle", metric="bleu2")
    rare = cell(aggregate(results.runs, scores), "quatrains", "mle", "final", "bleu2")
    assert rare["collapsed"] == 0  # two samples of a thousand


def test_a_control_comes_after_the_contenders_however_good(results):
    scores = changed(results.scores, 0.0001, task="oracle", model="uniform", metric="jsd_token")
    assert models(aggregate(results.runs, scores), "oracle")[-4:] == [
        *("uncertain", "uniform", "constant-reward", "replay"),
    ]


def test_only_the_last_step_orders_the_models(results):
    scores = changed(results.scores, 0.0001, model="seqgan", metric="jsd_token", checkpoint="selected")
    assert models(aggregate(results.runs, scores), "oracle")[:3] == ["real data", "mle", "seqgan"]


def test_order_of_the_input_does_not_matter(results):
    runs, scores = (frame.sample(frac=1, random_state=3) for frame in (results.runs, results.scores))
    board, shuffled = aggregate(results.runs, results.scores), aggregate(runs, scores)
    exact = [column for column in COLUMNS if column not in ("mean", "low", "high")]
    pd.testing.assert_frame_equal(board[exact], shuffled[exact])
    pd.testing.assert_frame_equal(board, shuffled, rtol=1e-14)


def test_a_model_without_a_result_is_still_there(results):
    board = aggregate(results.runs, results.scores)
    broken = cell(board, "oracle", "broken", "final", "")
    assert (broken["status"], broken["seeds_failed"], broken["n"]) == ("failed 3", 3, 0)
    assert pd.isna(broken["mean"])
    assert cell(board, "quatrains", "pg-bleu", "final", "")["status"] == "skipped 1"
    assert cell(board, "oracle", "replay", "final", "")["role"] == "control"


def test_a_seed_that_failed_shows(results):
    row = cell(aggregate(results.runs, results.scores), "oracle", "uncertain", "final", "nll_oracle")
    assert (row["status"], row["seeds_failed"], row["n"]) == ("ok 1, failed 1", 1, 1)
    assert row[["low", "high", "bootstrap_low", "bootstrap_high"]].isna().all()
    assert row["interquartile_mean"] == row["mean"] == 2.76


def test_scores_of_a_run_that_failed_do_not_count(results):
    runs = results.runs.copy()
    runs.loc[(runs["model"] == "mle") & (runs["task"] == "oracle") & (runs["seed"] == 1), "status"] = "failed"
    row = cell(aggregate(runs, results.scores), "oracle", "mle", "final", "nll_test")
    assert (row["n"], row["mean"]) == (2, pytest.approx(7.71))


def test_an_absent_metric_has_a_row_without_numbers(results):
    row = cell(aggregate(results.runs, results.scores), "oracle", "uncertain", "final", "nll_test")
    assert row["n"] == 0
    assert pd.isna(row["mean"])


@pytest.mark.parametrize("seed", [0, 1])
def test_an_infinite_seed_leaves_no_mean_of_the_others(results, seed):
    scores = results.scores.copy()
    lost = (scores["run_id"] == f"oracle-mle-{seed}") & (scores["metric"] == "kl_forward")
    scores.loc[lost & (scores["checkpoint"] == "final"), ["value", "absent"]] = [float("nan"), "kl_forward is inf"]
    board = aggregate(results.runs, scores)
    row = cell(board, "oracle", "mle", "final", "kl_forward")
    assert row["n"] == 0
    assert row[["mean", "low", "interquartile_mean", "bootstrap_high"]].isna().all()
    assert cell(board, "oracle", "mle", "selected", "kl_forward")["n"] == 3
    flattering = (scores["model"] == "mle") & (scores["checkpoint"] == "final") & (scores["metric"] == "kl_forward")
    assert not usable(scores)[flattering].any()
    others = scores["value"].notna() & ~flattering
    assert usable(scores)[others].all()


def test_different_signatures_are_not_averaged(results):
    scores = results.scores.copy()
    one = (scores["model"] == "mle") & (scores["task"] == "oracle") & (scores["metric"] == "bleu2")
    scores.loc[one & (scores["seed"] == 2), "signature"] = "n=1"
    board = aggregate(results.runs, scores)
    rows = board[(board["model"] == "mle") & (board["task"] == "oracle") & (board["metric"] == "bleu2")]
    assert rows.loc[rows["checkpoint"] == "final", "n"].tolist() == [1, 2]
    assert rows.loc[rows["checkpoint"] == "final", "mean"].tolist() == [0.57, pytest.approx(0.555)]


def test_csv_gives_back_the_same_numbers(results, tmp_path):
    board = aggregate(results.runs, results.scores)
    write_csv(tmp_path / "board.csv", board)
    text = (tmp_path / "board.csv").read_bytes()
    assert b"\r" not in text
    assert b"oracle,quick,contender,broken,final,,,,,0,,,,3,failed 3,,,,,,,,default settings\n" in text
    back = list(csv.DictReader(text.decode().splitlines()))
    for column in ("mean", "low", "high", "interquartile_mean", "bootstrap_low", "bootstrap_high"):
        np.testing.assert_array_equal([float(row[column] or "nan") for row in back], board[column].to_numpy(float))
    write_csv(tmp_path / "again.csv", aggregate(results.runs, results.scores))
    assert (tmp_path / "again.csv").read_bytes() == text


def test_nothing_but_failures(results):
    broken = results.runs[results.runs["status"] == "failed"]
    board = aggregate(broken, results.scores.head(0))
    assert board["model"].tolist() == ["broken", "uncertain", "replay"]
