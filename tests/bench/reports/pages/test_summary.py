import dataclasses

import pandas as pd
import pytest
from rich.console import Console

from bench.analysis.results import Results
from bench.reports.pages.summary import page
from bench.reports.terminal import render


def shown(results, width=80, **others):
    """What a terminal of this width shows."""
    console = Console(width=width, **others)
    with console.capture() as captured:
        console.print(render(page(results)))
    return captured.get()


def only(results, **where):
    """The results for which the columns have these values."""
    frames = []
    for field in dataclasses.fields(results)[:4]:
        frame = getattr(results, field.name)
        for column, values in where.items():
            frame = frame[frame[column].isin(values)]
        frames.append(frame)
    return Results(*frames)


def first_words(text):
    return [line.split()[0] for line in text.splitlines() if line.strip() and line[0] not in " ─"]


ORACLE = """\
oracle, quick
                  jsd ↓  nll ↓  nll ↓ copy ↓ seconds
model             token   test oracle  8gram       ↓   n
────────────────────────────────────────────────────────
real data           n/a    n/a  5.750  1.000     n/a   3
                               ±0.025 ±0.000
mle              0.0120  7.700  9.120  0.015   1,235   3
                ±0.0005 ±0.050 ±0.050 ±0.002     ±13
seqgan           0.0180  8.353  8.810  0.022   4,367   3
                ±0.0025 ±0.137 ±0.262 ±0.002    ±102
broken           failed                              0/3
uncertain †         n/a    n/a  2.760    n/a     n/a 1/2

controls
constant-reward  0.0161  8.220  8.920  0.012   4,117   3
                ±0.0002 ±0.050 ±0.066 ±0.002     ±38
uniform          0.2500  8.517 11.423  0.000    0.01   3
                ±0.0000 ±0.000 ±0.014 ±0.000   ±0.00
replay           failed                              0/3
mean ± 95% t interval over n seeds; n < 5: intervals and verdicts are weak;
italics: the best, if seeds scatter normally
† No rank, because:
  uncertain: it lost 2 of 3 seeds (seed 1 failed; seed 2 not run)
By jsd_token, paired by seed, Holm-corrected for 3 comparisons:
  seqgan: worse than mle and its own pre-training, if seeds scatter normally (n
= 3); not separable from constant-reward
broken: failed: ValueError: expected a|b, got <None>
replay: failed: MemoryError: no room
uncertain: failed: OutOfMemoryError: no room
"""
QUATRAINS = """\
quatrains, quick
             nll ↓  bleu2 copy ↓ seconds
model         test      ↑  8gram       ↓   n
────────────────────────────────────────────
real data      n/a  0.400  1.000     n/a   5
                   ±0.000 ±0.000
mle          3.150  0.320  0.054    12.4   5
            ±0.051 ±0.009 ±0.007    ±0.1
random       4.154  0.120  0.000    0.10   5
            ±0.060 ±0.009 ±0.000   ±0.00
pg-bleu    skipped                       0/1
mean ± 95% t interval over n seeds; italics: the best, if seeds scatter normally
By nll_test on this test set, paired by seed:
  random: worse than mle, if seeds scatter normally (n = 5)
Best on average by nll_test: mle, 12.4 s of training; the seeds separate it from
the other one that may win.
pg-bleu: skipped: it needs an oracle
"""


def test_golden(results):
    lines = [line.rstrip() for line in shown(results).splitlines()]
    assert "\n".join(lines) == f"{ORACLE}\n{QUATRAINS}"


@pytest.fixture
def wide(results):
    """Long labels, large costs, and every metric that is shown."""
    label = "seqgan[discriminator_epochs=25, rollouts=128]"
    frames = [
        getattr(results, field.name).replace({"model": {"seqgan": label}}) for field in dataclasses.fields(results)[:4]
    ]
    runs, scores, curves, frontier = frames
    scores = scores.copy()
    costs = scores["metric"] == "seconds"
    scores.loc[costs, "value"] = 412_345.6 + 30_000.0 * scores["seed"]
    copies = scores[scores["metric"] == "nll_test"]
    more = [copies.assign(metric=name) for name in ("reverse_nll", "backward_bleu2", "ms_jaccard4")]
    return Results(runs, pd.concat([scores, *more]), curves, frontier)


@pytest.mark.parametrize("width", [80, 100])
def test_tables_fit(wide, width):
    text = shown(wide, width)
    assert max(len(line) for line in text.splitlines()) <= width
    assert "…" not in text
    for heading in ("reverse ↓", "backward ↓", "jaccard4"):
        assert heading in text
    assert "442,346" in text
    assert "±74,524" in text
    table = text.partition("mean ±")[0]
    assert "seqgan[discriminator_e" in table
    assert "broken: failed: ValueError: expected a|b, got <None>" in text


def test_only_the_last_step_is_shown(results):
    assert "↳" not in shown(results)


def test_controls_stand_under_a_heading_even_if_all_of_them_failed(results):
    text = shown(only(results, task=["oracle"], model=["mle", "seqgan", "replay"]))
    assert first_words(text)[:6] == ["oracle,", "model", "mle", "seqgan", "controls", "replay"]
    assert "controls" not in shown(only(results, task=["oracle"], model=["mle", "seqgan"]))


def test_controls_alone_have_no_verdicts(results):
    text = shown(only(results, model=["constant-reward", "uniform"]))
    assert first_words(text)[2:5] == ["controls", "constant-reward", "uniform"]
    assert "paired by seed" not in text
    assert "n < 5: intervals and verdicts are weak" in text


def styled(text, code):
    """The parts of a text in one of the terminal's styles."""
    return {part.partition("\x1b[0m")[0].strip() for part in text.split(f"\x1b[{code}m")[1:]}


def test_what_is_best_is_in_italics_or_bold(results):
    quatrains = only(results, task=["quatrains"])
    text = shown(quatrains, color_system="standard", force_terminal=True)
    assert {"3.150", "±0.051"} <= styled(text, 3)
    assert not {"3.150", "±0.051"} & styled(text, 1)
    more = {}
    for name in ("runs", "scores"):
        frame = getattr(quatrains, name)
        again = frame.assign(seed=frame["seed"] + 5, run_id=frame["run_id"] + "b")
        more[name] = pd.concat([frame, again])
    text = shown(dataclasses.replace(quatrains, **more), color_system="standard", force_terminal=True)
    assert {"3.150", "0.320"} <= styled(text, 1)
    assert not {"4.154", "0.120", "0.000", "0.054"} & styled(text, 1)
    assert "italics" not in text


def test_one_seed_has_no_interval_and_nothing_was_tested(results):
    text = shown(only(results, seed=[0]))
    assert text.count("±") == text.count("mean ±") == 2
    line = "  seqgan: one seed cannot separate it from mle, its own pre-training and"
    assert f"By jsd_token, paired by seed:\n{line}" in text
    assert text.count("n < 5: intervals and verdicts are weak") == 2


def test_a_cell_with_fewer_seeds_than_its_row_says_so(results):
    scores = results.scores.copy()
    lost = (scores["run_id"] == "quatrains-mle-0") & (scores["metric"] == "bleu2")
    scores.loc[lost, ["value", "absent"]] = [float("nan"), "no 2-grams"]
    lines = shown(only(dataclasses.replace(results, scores=scores), task=["quatrains"])).splitlines()
    place = next(place for place, line in enumerate(lines) if line.startswith("mle"))
    assert [line.split() for line in lines[place : place + 3]] == [
        ["mle", "3.150", "0.323", "0.054", "12.4", "5"],
        ["±0.051", "±0.008", "±0.007", "±0.1"],
        ["(n=4)", "†"],
    ]
    assert "  mle: in bleu2: it lost 1 of 5 seeds (seed 0 without a value)" in "\n".join(lines)


def test_two_signatures_stand_one_below_the_other(results):
    scores = results.scores.copy()
    scores.loc[(scores["run_id"] == "quatrains-mle-0") & (scores["metric"] == "nll_test"), "signature"] = "v=2"
    lines = shown(only(dataclasses.replace(results, scores=scores), task=["quatrains"])).splitlines()
    place = next(place for place, line in enumerate(lines) if line.startswith("mle"))
    assert [line.split()[0] for line in lines[place + 1 : place + 5]] == ["±0.056", "(n=4)", "3.100", "(n=1)"]


def test_nothing_but_failures_and_nothing_at_all(results):
    failed = results.runs[results.runs["status"] == "failed"]
    frames = [getattr(results, field.name).head(0) for field in dataclasses.fields(results)[:4]]
    text = shown(Results(failed, *frames[1:]))
    assert "broken: failed: ValueError: expected a|b, got <None>" in text
    assert "±" not in text.replace("mean ±", "")
    assert page(Results(*frames)) == []
