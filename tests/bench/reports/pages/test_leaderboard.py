import dataclasses
import re

import numpy as np
import pandas as pd
import pytest

from bench.analysis.results import Results
from bench.reports.markdown import render
from bench.reports.pages.leaderboard import page

NAN = float("nan")

WORDS = """
By `jsd_token` of the last training step, each contender is compared with mle, its own pre-training and constant-reward, where they apply, paired by seed, n = 3; 3 comparisons as one family, at the 5 % level for all of them together, by Student's t, which assumes that seeds scatter normally: from n = 7 on the sign test decides. n < 5: intervals and tests from fewer than five seeds are weak.

- seqgan: worse than mle and its own pre-training, if seeds scatter normally (n = 3); not separable from constant-reward.
"""  # noqa: E501
LIKELIHOOD = r"""
| model                     |  jsd_token ↓ nats/token | nll_test ↓ nats/token | kl_forward ↓ nats/token | nll_oracle ↓ nats/token |      n |
| ------------------------- | ----------------------: | --------------------: | ----------------------: | ----------------------: | -----: |
| real data                 |                     n/a |                   n/a |                     n/a |     5.750 ± 0.025 (n=3) |      3 |
| mle                       | *0.0120 ± 0.0005 (n=3)* | *7.700 ± 0.050 (n=3)* |   *1.950 ± 0.050 (n=3)* |     9.120 ± 0.050 (n=3) |      3 |
| seqgan                    |   0.0180 ± 0.0025 (n=3) |   8.353 ± 0.137 (n=3) |     2.603 ± 0.137 (n=3) |   *8.810 ± 0.262 (n=3)* |      3 |
| ↳ selected on validation  |   0.0142 ± 0.0005 (n=3) |   7.970 ± 0.050 (n=3) |     2.170 ± 0.050 (n=3) |     9.120 ± 0.050 (n=3) |      3 |
| ↳ its shared pre-training |   0.0130 ± 0.0002 (n=3) |   7.920 ± 0.050 (n=3) |     2.170 ± 0.050 (n=3) |     9.120 ± 0.050 (n=3) |      3 |
| broken                    |                  failed |                       |                         |                         | 0 of 3 |
| uncertain †               |                     n/a |                   n/a |                     n/a |             2.760 (n=1) | 1 of 2 |
| *Controls*                |                         |                       |                         |                         |        |
| constant-reward           |   0.0161 ± 0.0002 (n=3) |   8.220 ± 0.050 (n=3) |     2.470 ± 0.050 (n=3) |     8.920 ± 0.066 (n=3) |      3 |
| ↳ its shared pre-training |   0.0130 ± 0.0002 (n=3) |   7.920 ± 0.050 (n=3) |     2.170 ± 0.050 (n=3) |     9.120 ± 0.050 (n=3) |      3 |
| uniform                   |   0.2500 ± 0.0000 (n=3) |   8.517 ± 0.000 (n=3) |                     n/a |    11.423 ± 0.014 (n=3) |      3 |
| replay                    |                  failed |                       |                         |                         | 0 of 3 |
"""  # noqa: E501
HEADLINE = """
| model     |       nll_test ↓ nats/token |       bleu2 ↑ |  copy_8gram ↓ |      n |
| --------- | --------------------------: | ------------: | ------------: | -----: |
| real data |                         n/a | 0.400 ± 0.000 | 1.000 ± 0.000 |      5 |
| mle       |             *3.150 ± 0.051* | 0.320 ± 0.009 | 0.054 ± 0.007 |      5 |
| random    |               4.154 ± 0.060 | 0.120 ± 0.009 | 0.000 ± 0.000 |      5 |
| pg-bleu   | skipped: it needs an oracle |               |               | 0 of 1 |
"""
ROBUST = """
| model           |   jsd_token: mean ± t | interquartile mean [95% bootstrap] | seeds better than mle |   n |
| --------------- | --------------------: | ---------------------------------: | --------------------: | --: |
| mle             | 0.0120 ± 0.0005 (n=3) |      0.0120 [0.0118, 0.0122] (n=3) |                       |   3 |
| seqgan          | 0.0180 ± 0.0025 (n=3) |      0.0180 [0.0170, 0.0190] (n=3) |                   0 % |   3 |
| *Controls*      |                       |                                    |                       |     |
| constant-reward | 0.0161 ± 0.0002 (n=3) |      0.0161 [0.0160, 0.0162] (n=3) |                   0 % |   3 |
| uniform         | 0.2500 ± 0.0000 (n=3) |      0.2500 [0.2500, 0.2500] (n=3) |                   0 % |   3 |
"""
ROBUST_OF_FIVE = """
| model  | nll_test: mean ± t | interquartile mean [95% bootstrap] | seeds better than mle |   n |
| ------ | -----------------: | ---------------------------------: | --------------------: | --: |
| mle    |      3.150 ± 0.051 |            3.1500 [3.1067, 3.1933] |                       |   5 |
| random |      4.154 ± 0.060 |            4.1533 [4.1033, 4.2033] |                   0 % |   5 |
"""
VERDICTS = """
Contender minus reference, and the verdict after Holm's correction within each column:

| model     | against              |                      jsd_token |                      nll_test |                 nll_oracle |                      bleu2 |
| --------- | -------------------- | -----------------------------: | ----------------------------: | -------------------------: | -------------------------: |
| seqgan    | mle                  | +0.0060 worse, if normal (n=3) | +0.653 worse, if normal (n=3) | -0.310 not separable (n=3) | +0.100 not separable (n=3) |
| seqgan    | its own pre-training | +0.0050 worse, if normal (n=3) | +0.433 worse, if normal (n=3) | -0.310 not separable (n=3) | +0.100 not separable (n=3) |
| seqgan    | constant-reward      |    +0.0019 not separable (n=3) |    +0.133 not separable (n=3) | -0.110 not separable (n=3) | +0.100 not separable (n=3) |
| uncertain | mle                  |                            n/a |                           n/a |    -6.360 no verdict (n=1) |    +0.440 no verdict (n=1) |

Control minus reference, and the verdict after Holm's correction, as a family of their own:

| model           | against              |                      jsd_token |                      nll_test |                     nll_oracle |                  bleu2 |
| --------------- | -------------------- | -----------------------------: | ----------------------------: | -----------------------------: | ---------------------: |
| constant-reward | mle                  | +0.0041 worse, if normal (n=3) | +0.520 worse, if normal (n=3) | -0.200 better, if normal (n=3) | +0.000 identical (n=3) |
| constant-reward | its own pre-training | +0.0031 worse, if normal (n=3) |    +0.300 not separable (n=3) | -0.200 better, if normal (n=3) | +0.000 identical (n=3) |
| uniform         | mle                  | +0.2380 worse, if normal (n=3) | +0.817 worse, if normal (n=3) |  +2.303 worse, if normal (n=3) |                    n/a |
"""  # noqa: E501
SIGNAL = """
### oracle, quick

| model           | phase       | reward, first 10% | last 10% | seeds in which it rose | entropy, first 10% | last 10% | d_accuracy |
| --------------- | ----------- | ----------------: | -------: | ---------------------: | -----------------: | -------: | ---------: |
| constant-reward | adversarial |            0.3001 |   0.5150 |                 3 of 3 |                n/a |      n/a |        n/a |
| seqgan          | adversarial |            0.3001 |   0.5150 |                 3 of 3 |              2.486 |    1.053 |      0.625 |
"""  # noqa: E501
THROUGHPUT = """
| model           |       seconds ↓ s | train_tokens_per_second ↑ tokens/s | rollouts_per_second ↑ 1/s |      n |
| --------------- | ----------------: | ---------------------------------: | ------------------------: | -----: |
| mle             |  1,235 ± 13 (n=3) |                 51,178 ± 393 (n=3) |                       n/a |      3 |
| seqgan          | 4,367 ± 102 (n=3) |                   1,278 ± 93 (n=3) |            810 ± 26 (n=3) |      3 |
| uncertain       |               n/a |                                n/a |                       n/a | 0 of 2 |
| *Controls*      |                   |                                    |                           |        |
| constant-reward |  4,117 ± 38 (n=3) |                   1,280 ± 90 (n=3) |            905 ± 12 (n=3) |      3 |
| uniform         | 0.01 ± 0.00 (n=3) |                                n/a |                       n/a |      3 |
"""
GOLDENS = {
    "words": WORDS,
    "likelihood": LIKELIHOOD,
    "headline": HEADLINE,
    "robust": ROBUST,
    "robust of five": ROBUST_OF_FIVE,
    "verdicts": VERDICTS,
    "signal": SIGNAL,
    "throughput": THROUGHPUT,
}
SELECTED = "↳ selected on validation"
SAME = "Validation selects the last step, so the selected model is the final one, for:\n\n- "


def markdown(*arguments):
    return render(page(*arguments))


def tables(text):
    """Blocks of lines that begin with a pipe."""
    return [block.splitlines() for block in text.strip().split("\n\n") if block.startswith("|")]


def section(text, title, level=3):
    """The text under a heading, up to the next heading of its level."""
    begin = re.search(rf"^{'#' * level} {re.escape(title)}$", text, re.MULTILINE).end()
    after = re.search(rf"^#{{1,{level}}} ", text[begin:], re.MULTILINE)
    return text[begin : begin + after.start() if after else None]


def cells(line):
    """The cells of a table's line."""
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def squeezed(text):
    """Tables without their padding."""
    return re.sub(" +", " ", text)


def labels(text, title="Headline"):
    """The first column of the first table under a heading."""
    return [cells(line)[0] for line in tables(section(text, title))[0][2:]]


def only(results, **where):
    """The results for which the columns have these values."""
    frames = []
    for field in dataclasses.fields(results)[:4]:
        frame = getattr(results, field.name)
        frames.append(frame[np.logical_and.reduce([frame[column].isin(values) for column, values in where.items()])])
    return Results(*frames)


def scored(results, scores):
    return dataclasses.replace(results, scores=scores)


@pytest.fixture(scope="module")
def text(results):
    return markdown(results)


@pytest.mark.parametrize("golden", GOLDENS.values(), ids=GOLDENS.keys())
def test_goldens(text, golden):
    assert golden in text


@pytest.mark.parametrize(
    "sentence",
    [
        "- seqgan is worse than its own pre-training in jsd_token, if seeds scatter normally (n = 3): +0.00500 "
        "nats/token (95 % interval +0.00276 to +0.00724, n = 3), p = 0.021 by the paired t test after Holm's "
        "correction for 3 comparisons, better in 0 % of "
        r"seeds. n \< 5: intervals and tests from fewer than five seeds are weak.",
        "By `nll_test` of the last training step on this test set, which all seeds share, each contender is compared "
        "with mle, paired by seed, n = 5; "
        "one comparison, at the 5 % level, "
        "by Student's t, which assumes that seeds scatter normally: from n = 6 on the sign test decides:",
        "- random: worse than mle, if seeds scatter normally (n = 5).",
        "- uncertain: it lost 2 of 3 seeds (seed 1 failed; seed 2 not run)",
        "- `nll_test` of real data, uncertain: it has no log_prob",
        "- `bleu2`, `bleu4`, `self_bleu4` of uniform: no score was recorded",
        "- `nll_test` (nats/token, lower is better): `nll:1|n=10000`",
        "- `quatrains-pg-bleu-0`, pg-bleu on quatrains, quick, seed 0: skipped: it needs an oracle",
        "- Versions: seqgan-bench 0.1.0, Python 3.11.7, torch 2.13.0",
        "- Newest run: 2025-01-05",
    ],
)
def test_sentences(text, sentence):
    assert sentence in text.splitlines()


def test_tables_are_rectangular(text):
    of_tasks, frontier, costs, signal, throughput = 7 + 6, 2, 6, 1, 2
    assert len(tables(text)) == of_tasks + frontier + costs + signal + throughput
    for table in tables(text):
        assert len({len(line) for line in table}) == 1
        assert len({line.replace(r"\|", "").count("|") for line in table}) == 1


def test_the_same_results_give_the_same_bytes(results, text):
    assert markdown(dataclasses.replace(results)) == text


def test_figures_are_linked(results):
    assert markdown(results, [("one [x]", "figures/one.png")]).endswith("![one [x]](figures/one.png)\n")


# What few seeds allow one to say.


def test_every_interval_from_few_seeds_says_how_many(text):
    few = section(text, "oracle, quick", 2) + section(section(text, "Throughput", 2), "oracle, quick")
    intervals = [cell for table in tables(few) for line in table[2:] for cell in cells(line) if "±" in cell]
    assert len(intervals) > 60
    assert all(re.search(r"\(n=3\)\*?$", cell) for cell in intervals)
    many = section(text, "quatrains, quick", 2) + section(section(text, "Throughput", 2), "quatrains, quick")
    assert "±" in many
    assert "n=" not in "".join(line for table in tables(many) for line in table)


def test_one_seed_has_no_interval_anywhere(results):
    text = markdown(only(results, seed=[0]))
    assert not any("±" in line for table in tables(text) for line in table[2:])
    assert "paired by seed, n = 1; nothing could be tested. n < 5:" in text
    assert "- seqgan: one seed cannot separate it from mle, its own pre-training and constant-reward." in text
    assert (
        "- seqgan and mle differ in jsd_token by +0.006 nats/token in the one seed they share, which cannot separate "
        "that from chance.\n" in text
    )
    assert "+0.0060 one seed (n=1)" in text
    assert "| mle | 3.100 (n=1) | 0.310 (n=1) | 0.050 (n=1) | 1 |" in squeezed(text)
    assert "**" not in text


def test_different_numbers_of_seeds_are_shown(results):
    few = results.runs.copy()
    few.loc[(few["model"] == "random") & (few["seed"] > 1), "status"] = "failed"
    text = markdown(dataclasses.replace(results, runs=few))
    assert "| random † | 4.155 ± 0.699 (n=2) | 0.115 ± 0.064 (n=2) | 0.000 ± 0.000 (n=2) | 2 of 5 |" in squeezed(text)
    assert "each contender is compared with mle, paired by seed, n = 2; nothing could be tested. n < 5:" in text
    lost = "lost 3 of 5 seeds (seeds 2, 3, 4 failed)"
    assert f"\n- random: it {lost}\n" in text
    assert f"\n- random: no verdict against mle (random {lost}).\n" in text


def test_a_difference_that_may_be_chance_is_not_called_one(results):
    scores = results.scores.copy()
    seqgan = (scores["model"] == "seqgan") & (scores["checkpoint"] == "final")
    scores.loc[seqgan & (scores["metric"] == "nll_test"), "value"] = [7.0, 9.0, 8.0]
    scores.loc[seqgan & (scores["metric"] == "jsd_token"), "value"] = [0.01, 0.02, 0.012]
    text = markdown(scored(results, scores))
    assert "+0.080 not separable (n=3)" in text
    assert "- seqgan and its own pre-training are not separable in jsd_token: +0.0010 nats/token" in text
    assert "- seqgan: not separable from mle, its own pre-training and constant-reward." in text


# Bold.


def marked(text, mark):
    """Pairs of model and column of all cells between such marks."""
    return {
        (cells(line)[0], column.split(" ")[0])
        for table in tables(text)
        for line in table[2:]
        for column, cell in zip(cells(table[0]), cells(line), strict=True)
        if re.fullmatch(rf"{re.escape(mark)}[^*]+{re.escape(mark)}", cell) and cell != "*Controls*"
    }


def bold(text):
    return marked(text, "**")


def italics(text):
    return marked(text, "*")


def test_a_value_is_in_italics_where_one_contender_is_the_best_if_seeds_scatter_normally(text):
    assert italics(section(text, "oracle, quick", 2)) == {
        *(("mle", metric) for metric in ("jsd_token", "nll_test", "kl_forward", "self_bleu4")),
        ("seqgan", "nll_oracle"),
    }
    assert italics(section(text, "quatrains, quick", 2)) == {("mle", "nll_test"), ("mle", "self_bleu4")}
    assert bold(text) == set()
    assert r"\*" not in text


@pytest.fixture(scope="module")
def many(results):
    """The results of quatrains with eight seeds, which differ a little from the five that there are."""
    frames = {}
    for field in dataclasses.fields(results)[:4]:
        frame = getattr(results, field.name)
        frame = frame[frame["task"] == "quatrains"]
        more = frame[frame["seed"] < 3].copy()
        more["seed"] += 5
        more["run_id"] += "b"
        if "value" in more:
            more["value"] += 0.002 * (more["seed"] - 6) * (more["model"] == "mle")
        frames[field.name] = pd.concat([frame, more])
    return Results(**frames)


def test_a_value_is_bold_where_the_sign_test_says_so(many):
    text = markdown(many)
    assert bold(text) == {("mle", metric) for metric in ("nll_test", "bleu2", "self_bleu4")}
    assert italics(text) == set()
    assert "one comparison, at the 5 % level:\n\n- random: worse than mle.\n" in text


def test_who_has_no_rank_is_never_bold_and_comes_last(many):
    runs = many.runs.assign(density=["estimated" if model == "mle" else "exact" for model in many.runs["model"]])
    text = markdown(dataclasses.replace(many, runs=runs))
    assert labels(text) == ["real data", "pg-bleu", "random", "mle †"] or labels(text)[-1] == "mle †"
    assert bold(text) == {("mle †", "bleu2"), ("mle †", "self_bleu4")}
    assert "\n- mle: in nll_test: its density is an estimate, not exact\n" in text
    assert (
        "- random: no verdict against mle (mle has no rank, because its density is an estimate, not exact).\n" in text
    )


def test_only_the_last_step_is_bold(results):
    scores = results.scores.copy()
    seqgan = (scores["model"] == "seqgan") & (scores["metric"] == "jsd_token")
    scores.loc[seqgan & (scores["checkpoint"] == "final"), "value"] = [0.001, 0.0011, 0.0009]
    text = markdown(scored(results, scores))
    assert ("seqgan", "jsd_token") in italics(text)
    assert not any(model.startswith("↳") for model, _ in italics(text) | bold(text))


# The selected checkpoint.


def test_what_validation_selects_is_hidden_where_it_is_the_last_step_in_every_seed(text):
    assert labels(text) == [
        *("real data", "mle", "seqgan", SELECTED, "↳ its shared pre-training", "broken", "uncertain †", "*Controls*"),
        *("constant-reward", "↳ its shared pre-training", "uniform", "replay"),
    ]
    assert f"{SAME}mle\n" in text
    assert len(re.findall(SAME, text)) == 1


def test_what_validation_selects_is_shown_where_one_number_of_one_seed_differs(results):
    scores = results.scores.copy()
    one = (scores["run_id"] == "oracle-mle-2") & (scores["checkpoint"] == "selected") & (scores["metric"] == "bleu4")
    scores.loc[one, "value"] += 1e-12
    text = markdown(scored(results, scores))
    assert labels(text)[1:3] == ["mle", SELECTED]
    assert SAME not in text


def test_what_validation_selects_is_shown_where_a_seed_has_no_such_checkpoint(results):
    scores = results.scores
    gone = (scores["run_id"] == "oracle-mle-2") & (scores["checkpoint"] == "selected")
    text = markdown(scored(results, scores[~gone]))
    assert labels(text)[1:3] == ["mle", f"{SELECTED} †"]
    assert "\n- mle (selected on validation): it lost 1 of 3 seeds (seed 2 without a value)\n" in text


def test_an_absent_value_is_the_same_as_an_absent_value(results):
    scores = results.scores.copy()
    lost = (scores["run_id"] == "oracle-mle-2") & (scores["metric"] == "kl_forward")
    scores.loc[lost, ["value", "absent"]] = [NAN, "it diverged"]
    assert f"{SAME}mle\n" in markdown(scored(results, scores))
    scores.loc[lost & (scores["checkpoint"] == "final"), ["value", "absent"]] = [1.97, None]
    assert SAME not in markdown(scored(results, scores))


# Controls, and who is missing.


def test_controls_stand_under_a_heading_even_if_all_of_them_failed(results):
    text = markdown(only(results, model=["real data", "mle", "seqgan", "replay"]))
    assert labels(text)[-2:] == ["*Controls*", "replay"]
    assert "Control minus reference" not in text
    assert "*Controls*" not in "".join(tables(section(section(text, "Throughput", 2), "oracle, quick"))[0])


def test_without_controls_there_is_no_heading(results):
    text = markdown(only(results, model=["real data", "mle", "seqgan"]))
    assert not any("*Controls*" in line for table in tables(text) for line in table)
    assert "constant-reward" not in text
    assert "each contender is compared with mle and its own pre-training, where they apply" in text


def test_controls_alone(results):
    text = markdown(only(results, model=["constant-reward", "uniform"]))
    assert labels(text) == ["*Controls*", "constant-reward", "↳ its shared pre-training", "uniform"]
    assert "In words" not in text
    assert bold(text) == set()
    (verdicts,) = tables(section(text, "Verdicts"))
    assert [cells(line)[:2] for line in verdicts[2:]] == [["constant-reward", "its own pre-training"]]


def test_without_the_reference_arm_nobody_is_compared_with_it(results):
    text = markdown(only(results, model=["seqgan", "constant-reward"], task=["oracle"]))
    assert "each contender is compared with its own pre-training and constant-reward, where" in text
    assert "- seqgan: worse than its own pre-training, if seeds scatter normally (n = 3); not separable from" in text
    assert all("mle" not in line for line in tables(section(text, "Verdicts"))[0])


def test_the_reason_of_a_failure_is_given_in_full_once(text):
    assert r"| failed: ValueError: expected a\|b, got \<None> |" in section(text, "Headline")
    assert "| failed: MemoryError: no room |" in squeezed(section(text, "Headline"))
    for line in LIKELIHOOD.splitlines():
        if line.startswith(("| broken", "| replay")):
            assert cells(line)[1] == "failed"


def test_nothing_but_failures(results):
    runs = results.runs[results.runs["status"] == "failed"]
    text = markdown(Results(runs, results.scores.head(0), results.curves.head(0), results.frontier.head(0)))
    assert r"- broken: failed: ValueError: expected a\|b, got \<None>" in text
    for absent in ("In words", "Verdicts", "Training signal", "Throughput", "Quality"):
        assert absent not in text


def test_no_runs_at_all(results):
    frames = (getattr(results, field.name).head(0) for field in dataclasses.fields(results)[:4])
    assert markdown(Results(*frames)).startswith("# Leaderboard\n")


# What keeps numbers from comparing.


def test_seeds_without_a_value_are_counted_in_the_cell(results):
    scores = results.scores.copy()
    one = (scores["run_id"] == "oracle-mle-0") & (scores["metric"] == "bleu2")
    scores.loc[one, ["value", "absent"]] = [NAN, "no 2-grams"]
    two = (scores["run_id"] == "quatrains-mle-0") & (scores["metric"] == "bleu2")
    scores.loc[two, ["value", "absent"]] = [NAN, "no 2-grams"]
    text = markdown(scored(results, scores))
    assert "0.565 ± 0.064 (n=2)" in text
    assert "0.323 ± 0.008 (n=4)" in text
    assert text.count("- `bleu2` of mle: no 2-grams") == 2


def test_an_infinite_seed_is_reported_and_not_averaged_away(results):
    scores = results.scores.copy()
    one = (scores["run_id"] == "oracle-seqgan-0") & (scores["metric"] == "nll_test") & (scores["checkpoint"] == "final")
    scores.loc[one, ["value", "absent"]] = [NAN, "nll_test is inf"]
    text = markdown(scored(results, scores))
    line = next(line for line in section(text, "Headline").splitlines() if line.startswith("| seqgan"))
    assert cells(line)[2] == "n/a"
    assert "- `nll_test` of seqgan: nll_test is inf" in text
    contenders, controls = tables(section(text, "Verdicts"))
    assert "nll_test" in cells(controls[0])
    assert "nll_test" not in cells(contenders[0])
    assert "jsd_token" in cells(contenders[0])


def test_different_signatures_are_pointed_out_and_not_compared(results):
    scores = results.scores.copy()
    scores.loc[(scores["model"] == "mle") & (scores["metric"] == "bleu2"), "signature"] = "bleu:2"
    text = markdown(scored(results, scores))
    assert "`bleu:2`; mle only, so not comparable with the others" in text
    (contenders, _) = tables(section(text, "Verdicts"))
    assert [cells(line)[-1] for line in contenders[2:]] == ["n/a", *["+0.100 not separable (n=3)"] * 2, "n/a"]
    assert ("mle", "bleu2") not in bold(text)


def test_two_machines_are_pointed_out(results, text):
    runs = results.runs.copy()
    assert "speeds are not comparable" not in text
    runs.loc[0, "machine"] = "another"
    assert "speeds are not comparable" in markdown(dataclasses.replace(results, runs=runs))


def test_a_commit_with_changes_says_so(results):
    runs = results.runs.assign(dirty=True)
    assert "- Commit: abc1234 with uncommitted changes\n" in markdown(dataclasses.replace(results, runs=runs))


def test_unknown_metrics_have_a_table_of_their_own(results):
    more = results.scores[results.scores["metric"] == "bleu2"].assign(metric="novelty")
    text = markdown(scored(results, pd.concat([results.scores, more])))
    assert "### Other measures\n\n| model                     |           novelty ↑ |      n |\n" in text
