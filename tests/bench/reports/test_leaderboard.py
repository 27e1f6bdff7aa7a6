import csv
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from bench.reports.leaderboard import COLUMNS, aggregate, write_csv
from bench.stats import mean_interval


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


def test_importing_the_reports_does_not_import_torch():
    code = """
        import sys
        from bench.reports import leaderboard, tables
        assert "matplotlib" not in sys.modules, "tables need no matplotlib"
        from bench.reports import plots
        assert "torch" not in sys.modules and "matplotlib.pyplot" not in sys.modules
    """
    lines = [line.strip() for line in code.strip().splitlines()]
    subprocess.run([sys.executable, "-c", "\n".join(lines)], check=True)


def test_a_row_is_the_mean_over_seeds_with_its_signature(frames):
    row = cell(aggregate(frames.runs, frames.scores), "oracle", "seqgan", "final", "nll_test")
    expected = mean_interval([8.35, 8.41, 8.30])
    assert (row["mean"], row["low"], row["high"], row["n"]) == (expected.mean, expected.low, expected.high, 3)
    assert (row["unit"], row["direction"], row["signature"]) == ("nats/token", "lower", "nll:1|n=10000")
    assert (row["status"], row["seeds_failed"]) == ("ok 3", 0)


def test_order_of_tasks_models_checkpoints_and_metrics(frames):
    board = aggregate(frames.runs, frames.scores)
    assert tuple(board.columns) == COLUMNS
    assert list(dict.fromkeys(board["task"])) == ["oracle", "quatrains"]
    assert models(board, "oracle") == ["real data", "mle", "seqgan", "uniform", "broken", "uncertain"]
    seqgan = board[(board["task"] == "oracle") & (board["model"] == "seqgan")]
    assert list(dict.fromkeys(seqgan["checkpoint"])) == ["final", "pretrained"]
    assert seqgan.loc[seqgan["checkpoint"] == "final", "metric"].tolist() == [
        *("nll_oracle", "nll_test", "kl_forward", "bleu2", "bleu4", "self_bleu4"),
        *("seconds", "train_tokens_per_second", "rollouts_per_second"),
    ]


def test_metrics_that_can_be_gamed_alone_never_order_the_models(frames):
    before = aggregate(frames.runs, frames.scores)
    rng = np.random.default_rng(0)
    gamed = frames.scores["metric"].str.contains("oracle|bleu")
    for _ in range(5):
        scores = frames.scores.copy()
        scores.loc[gamed, "value"] = rng.uniform(0, 10, gamed.sum())
        assert models(aggregate(frames.runs, scores), "oracle") == models(before, "oracle")


def test_nll_test_orders_the_models(frames):
    scores = frames.scores.copy()
    scores.loc[(scores["model"] == "uniform") & (scores["metric"] == "nll_test"), "value"] = 1.0
    assert models(aggregate(frames.runs, scores), "oracle")[:3] == ["real data", "uniform", "mle"]


def test_order_of_the_input_does_not_matter(frames):
    runs, scores = (frame.sample(frac=1, random_state=3) for frame in (frames.runs, frames.scores))
    board, shuffled = aggregate(frames.runs, frames.scores), aggregate(runs, scores)
    exact = [column for column in COLUMNS if column not in ("mean", "low", "high")]
    pd.testing.assert_frame_equal(board[exact], shuffled[exact])
    pd.testing.assert_frame_equal(board, shuffled, rtol=1e-14)


def test_a_model_without_a_result_is_still_there(frames):
    board = aggregate(frames.runs, frames.scores)
    broken = cell(board, "oracle", "broken", "final", "")
    assert (broken["status"], broken["seeds_failed"], broken["n"]) == ("failed 3", 3, 0)
    assert pd.isna(broken["mean"])
    assert cell(board, "quatrains", "pg-bleu", "final", "")["status"] == "skipped 1"


def test_a_seed_that_failed_shows(frames):
    row = cell(aggregate(frames.runs, frames.scores), "oracle", "uncertain", "final", "nll_oracle")
    assert (row["status"], row["seeds_failed"], row["n"]) == ("ok 1, failed 1", 1, 1)
    assert pd.isna(row["low"])
    assert pd.isna(row["high"])


def test_scores_of_a_run_that_failed_do_not_count(frames):
    runs = frames.runs.copy()
    runs.loc[(runs["model"] == "mle") & (runs["task"] == "oracle") & (runs["seed"] == 1), "status"] = "failed"
    row = cell(aggregate(runs, frames.scores), "oracle", "mle", "final", "nll_test")
    assert (row["n"], row["mean"]) == (2, pytest.approx(7.71))


def test_an_absent_metric_has_a_row_without_numbers(frames):
    row = cell(aggregate(frames.runs, frames.scores), "oracle", "uncertain", "final", "nll_test")
    assert row["n"] == 0
    assert pd.isna(row["mean"])


def test_different_signatures_are_not_averaged(frames):
    scores = frames.scores.copy()
    one = (scores["model"] == "mle") & (scores["task"] == "oracle") & (scores["metric"] == "bleu2")
    scores.loc[one & (scores["seed"] == 2), "signature"] = "bleu:2"
    board = aggregate(frames.runs, scores)
    rows = board[(board["model"] == "mle") & (board["task"] == "oracle") & (board["metric"] == "bleu2")]
    assert rows["n"].tolist() == [2, 1]


def test_csv_gives_back_the_same_numbers(frames, tmp_path):
    board = aggregate(frames.runs, frames.scores)
    write_csv(tmp_path / "board.csv", board)
    text = (tmp_path / "board.csv").read_bytes()
    assert b"\r" not in text
    assert b"oracle,quick,broken,final,,,,,0,3,failed 3,,,,\n" in text
    back = list(csv.DictReader(text.decode().splitlines()))
    for column in ("mean", "low", "high"):
        np.testing.assert_array_equal([float(row[column] or "nan") for row in back], board[column].to_numpy(float))
    write_csv(tmp_path / "again.csv", aggregate(frames.runs, frames.scores))
    assert (tmp_path / "again.csv").read_bytes() == text


def test_nothing_but_failures(frames):
    broken = frames.runs[frames.runs["status"] == "failed"]
    board = aggregate(broken, frames.scores.head(0))
    assert board["model"].tolist() == ["broken", "uncertain"]
