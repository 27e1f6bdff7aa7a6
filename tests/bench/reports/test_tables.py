import pandas as pd
import pytest
from rich.console import Console

from bench.reports.tables import markdown, terminal

LIKELIHOOD = r"""
| model                     |                        nll_oracle ↓ nats/token | nll_test ↓ nats/token | kl_forward ↓ nats/sequence |      n |
| ------------------------- | ---------------------------------------------: | --------------------: | -------------------------: | -----: |
| real data                 |                                  5.750 ± 0.025 |                   n/a |                        n/a |      3 |
| mle                       |                                  9.120 ± 0.050 |         7.700 ± 0.050 |             39.000 ± 0.248 |      3 |
| seqgan                    |                                  8.810 ± 0.262 |         8.353 ± 0.137 |             52.100 ± 2.236 |      3 |
| ↳ its shared pre-training |                                  9.120 ± 0.050 |         7.920 ± 0.050 |             43.433 ± 0.872 |      3 |
| uniform                   |                                 11.423 ± 0.014 |         8.517 ± 0.000 |                        n/a |      3 |
| broken                    | failed: ValueError: expected a\|b, got \<None> |                       |                            | 0 of 3 |
| uncertain                 |                                          2.760 |                   n/a |                        n/a | 1 of 2 |
"""  # noqa: E501
SIGNAL = """
| task   | preset | model  | phase       | first 10% | last 10% | seeds in which it rose |
| ------ | ------ | ------ | ----------- | --------: | -------: | ---------------------: |
| oracle | quick  | seqgan | adversarial |    0.3001 |   0.5150 |                 3 of 3 |
"""
THROUGHPUT = """
| model     | seconds ↓ s | train_tokens_per_second ↑ tokens/s | rollouts_per_second ↑ 1/s |      n |
| --------- | ----------: | ---------------------------------: | ------------------------: | -----: |
| mle       |  1,235 ± 13 |                       51,178 ± 393 |                       n/a |      3 |
| seqgan    | 4,367 ± 102 |                         1,278 ± 93 |                  810 ± 26 |      3 |
| uniform   | 0.01 ± 0.00 |                                n/a |                       n/a |      3 |
"""


def tables(text):
    """Blocks of lines that begin with a pipe."""
    blocks = [block.splitlines() for block in text.split("\n\n")]
    return [block for block in blocks if block[0].startswith("|")]


@pytest.mark.parametrize("golden", [LIKELIHOOD, SIGNAL, THROUGHPUT], ids=["likelihood", "signal", "throughput"])
def test_golden_tables(frames, golden):
    assert golden in markdown(*frames)


@pytest.mark.parametrize(
    "sentence",
    [
        "- seqgan: `nll_oracle` fell by 0.310 (95% interval -0.522 to -0.098, n = 3), "
        "`nll_test` rose by 0.433 (95% interval +0.268 to +0.599, n = 3).",
        "- `nll_test` of real data, uncertain: it has no log_prob",
        "- `bleu2`, `bleu4`, `self_bleu4` of uniform: no score was recorded",
        "- `nll_test` (nats/token, lower is better): `nll:1|n=10000`",
        "- `quatrains-pg-bleu-0`, pg-bleu on quatrains, quick, seed 0: skipped: it needs an oracle",
        "- Versions: seqgan-bench 0.1.0, Python 3.11.7, torch 2.13.0",
        "- Newest run: 2025-01-03",
    ],
)
def test_sentences(frames, sentence):
    assert sentence in markdown(*frames).splitlines()


def test_tables_are_rectangular(frames):
    text = markdown(*frames)
    assert len(tables(text)) == 9
    for table in tables(text):
        assert len({len(line) for line in table}) == 1
        assert len({line.replace(r"\|", "").count("|") for line in table}) == 1


def test_the_same_frames_give_the_same_bytes(frames):
    assert markdown(*frames) == markdown(*frames)


def test_figures_are_linked(frames):
    assert markdown(*frames, [("one [x]", "figures/one.png")]).endswith("![one [x]](figures/one.png)\n")


def test_one_seed_has_no_interval_anywhere(frames):
    one = [frame[frame["seed"] == 0] for frame in frames]
    text = markdown(*one)
    assert not any("±" in line for table in tables(text) for line in table)
    assert "`nll_oracle` fell by 0.320 (one seed, no interval)" in text


def test_a_change_that_may_be_chance_is_not_called_one(frames):
    scores = frames.scores.copy()
    seqgan = (scores["model"] == "seqgan") & (scores["checkpoint"] == "final") & (scores["metric"] == "nll_test")
    scores.loc[seqgan, "value"] = [7.0, 9.0, 8.0]
    assert "`nll_test` moved by +0.080, not clearly either way" in markdown(frames.runs, scores, frames.curves)


def test_seeds_without_a_value_are_counted_in_the_cell(frames):
    scores = frames.scores.copy()
    one = (scores["run_id"] == "oracle-mle-0") & (scores["metric"] == "bleu2")
    scores.loc[one, ["value", "absent"]] = [float("nan"), "no 2-grams"]
    text = markdown(frames.runs, scores, frames.curves)
    assert "0.565 ± 0.064 (n=2)" in text
    assert "- `bleu2` of mle: no 2-grams" in text


def test_different_signatures_are_pointed_out(frames):
    scores = frames.scores.copy()
    scores.loc[(scores["model"] == "mle") & (scores["metric"] == "bleu2"), "signature"] = "bleu:2"
    text = markdown(frames.runs, scores, frames.curves)
    assert "`bleu:2`; mle only, so not comparable with the others" in text


def test_two_machines_are_pointed_out(frames):
    runs = frames.runs.copy()
    assert "speeds do not compare" not in markdown(*frames)
    runs.loc[0, "machine"] = "another"
    assert "speeds do not compare" in markdown(runs, frames.scores, frames.curves)


def test_a_commit_with_changes_says_so(frames):
    runs = frames.runs.assign(dirty=True)
    assert "- Commit: abc1234 with uncommitted changes\n" in markdown(runs, frames.scores, frames.curves)


def test_unknown_metrics_have_a_table_of_their_own(frames):
    more = frames.scores[frames.scores["metric"] == "bleu2"].assign(metric="novelty")
    text = markdown(frames.runs, pd.concat([frames.scores, more]), frames.curves)
    assert "### Other measures\n\n| model                     |     novelty → |      n |\n" in text


def test_nothing_but_failures(frames):
    runs = frames.runs[frames.runs["status"] == "failed"]
    text = markdown(runs, frames.scores.head(0), frames.curves.head(0))
    assert r"- broken: failed: ValueError: expected a\|b, got \<None>" in text
    assert "Training signal" not in text
    assert "Throughput" not in text


def test_no_runs_at_all(frames):
    assert markdown(*(frame.head(0) for frame in frames)).startswith("# Leaderboard\n")


@pytest.mark.parametrize("width", [80, 100])
def test_terminal_tables_fit(frames, width):
    both = terminal(frames.runs, frames.scores)
    assert len(both) == 2
    console = Console(width=width)
    with console.capture() as captured:
        console.print(*both)
    text = captured.get()
    assert max(len(line) for line in text.splitlines()) <= width
    assert "…" not in text
    assert "↳ pre-training" in text
    assert "broken: failed: ValueError: expected a|b, got <None>" in text
