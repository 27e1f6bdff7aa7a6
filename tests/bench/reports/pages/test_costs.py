"""Made-up curves, read run by run as numpy reads them, in the tables of the page."""

import itertools

import numpy as np

from bench.analysis.stats import mean_interval
from bench.records.frames import COSTS
from bench.reports.markdown import render
from bench.reports.pages.costs import page


def markdown(*arguments, **more):
    """The page in parts, as Markdown."""
    return [render([block]).removesuffix("\n") for block in page(*arguments, **more)]


def tables(text):
    """The tables: the line above each, and its cells by model."""
    blocks = text.split("\n\n")
    return {
        above: {line.strip("|").split("|")[0].strip(): [cell.strip() for cell in line.strip("|").split("|")[1:]]
                for line in block.splitlines()}
        for above, block in itertools.pairwise(blocks)
        if block.startswith("|")
    }  # fmt: skip


def test_cells_are_means_over_seeds_at_the_cost_of_the_column(mixed):
    _, curves = mixed
    found = tables("\n\n".join(markdown(*mixed)).split("### poems")[0])
    assert list(found) == [f"`jsd_valid` ↓ at equal {cost}:" for cost in COSTS]
    seconds = found["`jsd_valid` ↓ at equal seconds:"]
    assert seconds["model"] == ["312 seconds", "434 seconds", "556 seconds", "700 seconds", "800 seconds", "n"]
    values = []
    for seed in range(5):
        lines = curves[(curves["run_id"] == f"oracle-seqgan-{seed}") & (curves["name"] == "jsd_valid")]
        values.append(np.interp(434.0, lines["seconds"], lines["value"]))
    interval = mean_interval(values)
    assert seconds["seqgan"][1] == f"{interval.mean:.6f} ± {interval.high - interval.mean:.6f}"
    last = curves[(curves["model"] == "mle") & (curves["task"] == "oracle") & (curves["name"] == "jsd_valid")]
    interval = mean_interval(last.groupby("run_id")["value"].last())
    ended = f"ended: {interval.mean:.6f} ± {interval.high - interval.mean:.6f}"
    assert seconds["mle"][1:] == [*[ended] * 4, "5"]
    assert seconds["mle"][0] == ended.removeprefix("ended: ")  # the slowest seed is just there
    assert all(cell.startswith("ended: ") for cell in seconds["constant"][:-1])
    assert seconds["maligan"][-2].startswith("ended: ")
    assert not seconds["seqgan"][-2].startswith("ended: ")
    assert list(seconds)[2:] == ["maligan", "mle", "rollouts", "seqgan", "constant"]
    assert found["`jsd_valid` ↓ at equal tokens:"]["model"][:-1] == [
        "2M tokens", "2.2M tokens", "2.4M tokens", "2.5M tokens", "2.8M tokens"
    ]  # fmt: skip


def test_who_does_not_count_a_cost_is_named(mixed):
    parts = markdown(*mixed)
    assert "No tokens were counted for rollouts." in parts
    assert "No updates were counted for rollouts." in parts
    assert not any(part.startswith("No seconds") for part in parts)
    assert any("Seconds are comparable only between runs on one machine." in part for part in parts)


def test_a_text_is_judged_by_its_held_out_likelihood(mixed):
    text = "\n\n".join(markdown(*mixed)).split("### poems")[1]
    assert "`nll_valid` ↓ at equal updates:" in text
    assert "jsd_valid" not in text


def test_a_run_that_began_to_measure_late_has_not_begun(made):
    late = made.run("late", 0, [("late", 2, (470.0, 1e6, 500.0))])
    found = tables("\n\n".join(markdown(*made.frames(*made.trained(seeds=1), late))))
    assert found["`jsd_valid` ↓ at equal seconds:"]["late"][:2] == ["not begun", "not begun"]
    assert "±" not in str(found)


def test_seeds_that_ended_earlier_count_with_what_they_reached(made):
    short = [
        made.run("gan", seed, [made.PRETRAINING, ("adversarial", 5 + 5 * (seed > 0), (100.0, 1e5, 400.0))])
        for seed in range(3)
    ]
    long = [made.run("seqgan", seed, [made.PRETRAINING, ("adversarial", 9, (100.0, 1e5, 400.0))]) for seed in range(3)]
    section = made.frames(*short, *long, controls=("gan",))
    found = tables("\n\n".join(markdown(*section)))["`jsd_valid` ↓ at equal seconds:"]
    assert found["model"][-2] == "1,200 seconds"
    lines = section[1][section[1]["name"] == "jsd_valid"]
    reached = [
        np.interp(1200.0, lines.loc[lines["run_id"] == f"oracle-gan-{seed}", "seconds"],
                  lines.loc[lines["run_id"] == f"oracle-gan-{seed}", "value"])
        for seed in range(3)
    ]  # fmt: skip
    assert found["gan"][-2].startswith(f"{np.mean(reached):.6f} ± ")
    assert found["gan"][-1] == r"3 (\< 5)"
    assert "n < 5: intervals from fewer than five seeds" in markdown(*section)[-1]


def test_a_model_without_the_headline_metric_has_no_row(made):
    sampler = made.run("sampler", 0, [("train", 2, (200.0, 1e6, 500.0))], names=("nll_oracle",))
    found = tables("\n\n".join(markdown(*made.frames(*made.trained(seeds=1), sampler))))
    assert "sampler" not in found["`jsd_valid` ↓ at equal seconds:"]
    assert "mle" in found["`jsd_valid` ↓ at equal seconds:"]


def test_no_curve_no_section(mixed):
    runs, curves = mixed
    assert markdown(runs, curves.head(0)) == []
    assert markdown(runs.assign(status="failed"), curves) == []
    assert markdown(runs, curves[curves["name"] == "reward"]) == []
