"""Made-up curves in; what numpy reads from them, run by run, out."""

import hashlib
import io
import itertools

import numpy as np
import pandas as pd
import pytest

from bench.analysis.learning import at_cost, equal_costs, learning
from bench.analysis.stats import mean_interval
from bench.records.frames import COSTS
from bench.reports.figures.cost import figures
from bench.reports.markdown import render
from bench.reports.pages.costs import page


def markdown(*arguments, **more):
    """The page in parts, as Markdown."""
    return [render([block]).removesuffix("\n") for block in page(*arguments, **more)]


PRETRAINING = ("mle", 10, (30.0, 2e5, 100.0))
PHASES = {  # model -> phases: name, steps, and what a step costs in seconds, tokens and updates
    "mle": [PRETRAINING],
    "seqgan": [PRETRAINING, ("adversarial", 5, (100.0, 1e5, 400.0))],
    "maligan": [PRETRAINING, ("adversarial", 8, (50.0, 1e5, 100.0))],
}
METRICS = ("jsd_valid", "nll_valid", "reward")
NAN = float("nan")


def run(model, seed, phases, task="oracle", names=METRICS, counted=COSTS):
    """The lines of one run, in the order of training."""
    spent, done = np.zeros(3), 0
    for phase, steps, each in phases:
        for step in range(1, steps + 1):
            spent, done = spent + np.array(each) * (1 + 0.01 * seed, 1, 1), done + 1
            for place, name in enumerate(names):
                value = 8 - place - np.log(done) / 3 + 0.01 * seed + (0.05 * step if phase == "adversarial" else 0)
                yield {
                    "run_id": f"{task}-{model}-{seed}", "group_id": f"{task}-{model}", "task": task, "model": model,
                    "preset": "quick", "seed": seed, "phase": phase, "step": step,
                    **{cost: amount if cost in counted else NAN for cost, amount in zip(COSTS, spent, strict=True)},
                    "name": name, "value": value,
                }  # fmt: skip


def frames(*lines, controls=(), failed=()):
    curves = pd.DataFrame(itertools.chain(*lines))
    runs = curves.drop_duplicates("run_id")[["run_id", "group_id", "task", "model", "preset", "seed"]].copy()
    runs["status"] = ["failed" if model in failed else "ok" for model in runs["model"]]
    runs["role"] = ["control" if model in controls else "contender" for model in runs["model"]]
    return runs, curves


def trained(seeds=5, **others):
    return [run(model, seed, phases, **others) for model, phases in PHASES.items() for seed in range(seeds)]


@pytest.fixture
def mixed():
    """Trained models, one that counts seconds alone, a cheap control, an untrained model, and a text."""
    uncounted = [run("rollouts", seed, PHASES["seqgan"], counted=("seconds",)) for seed in range(5)]
    control = [run("constant", seed, [("mle", 2, (30.0, 2e5, 100.0))]) for seed in range(5)]
    untrained = [run("uniform", seed, [("count", 1, (0.1, 0, 0))]) for seed in range(5)]
    text = trained(task="poems", names=("nll_valid", "reward"))
    return frames(*trained(), *uncounted, *control, *untrained, *text, controls=("constant",))


def tables(text):
    """Headed tables: what stands above a table, and its lines' cells by model."""
    blocks = text.split("\n\n")
    return {
        above: {line.strip("|").split("|")[0].strip(): [cell.strip() for cell in line.strip("|").split("|")[1:]]
                for line in block.splitlines()}
        for above, block in itertools.pairwise(blocks)
        if block.startswith("|")
    }  # fmt: skip


# Reading curves.


@pytest.mark.parametrize("cost", COSTS)
def test_every_run_is_read_as_numpy_reads_it(mixed, cost):
    _, curves = mixed
    curves = curves[curves["task"] == "oracle"]
    amounts = np.array([0.0, 1.0, 40.0, 111.1, 300.0, 799.9, 3e5, 2.15e6, 1e9])
    found = at_cost(curves, cost, "nll_valid", amounts)
    assert len(found) == curves["run_id"].nunique() * len(amounts)
    for run_id, own in found.groupby("run_id"):
        lines = curves[(curves["run_id"] == run_id) & (curves["name"] == "nll_valid")]
        assert own[["model", "seed"]].drop_duplicates().to_numpy().tolist() == [
            lines[["model", "seed"]].iloc[0].tolist()
        ]
        x, y = lines[cost].to_numpy(), lines["value"].to_numpy()
        expected = np.where((amounts >= x[0]) & (amounts <= x[-1]), np.interp(amounts, x, y), NAN)
        np.testing.assert_array_equal(own["value"], expected)


def test_the_last_of_several_points_at_one_cost_counts():
    _, curves = frames(run("mle", 0, [("mle", 3, (10.0, 0.0, 1.0))], names=("nll_valid",)))
    curves["value"] = [3.0, 2.0, 1.0]
    assert at_cost(curves, "tokens", "nll_valid", [0.0])["value"].tolist() == [1.0]
    curves["tokens"] = [10.0, 20.0, 20.0]
    assert at_cost(curves, "tokens", "nll_valid", [10.0, 15.0, 20.0])["value"].tolist() == [3.0, 2.0, 1.0]


def test_points_without_a_value_are_passed_over():
    _, curves = frames(run("mle", 0, [("mle", 3, (10.0, 0.0, 1.0))], names=("nll_valid",)))
    curves["value"] = [3.0, NAN, 1.0]
    assert at_cost(curves, "seconds", "nll_valid", [20.0, 31.0])["value"].tolist()[:1] == [2.0]
    curves["value"] = NAN
    assert at_cost(curves, "seconds", "nll_valid", [20.0])["value"].isna().all()
    assert at_cost(curves, "seconds", "entropy", [20.0]).empty


# Equal costs.


def test_equal_costs_are_what_all_reached_and_what_the_pretrained_reached(mixed):
    oracle = learning(*mixed)[0]
    assert equal_costs(oracle, "seconds", "jsd_valid") == pytest.approx([75.0, 150.0, 300.0, 700.0])
    assert equal_costs(oracle, "tokens", "jsd_valid") == pytest.approx([5e5, 1e6, 2e6, 2.5e6])
    assert equal_costs(oracle, "updates", "jsd_valid") == pytest.approx([250.0, 500.0, 1000.0, 1800.0])


def test_a_control_does_not_set_the_costs_but_a_contender_does(mixed):
    runs, curves = mixed
    oracle = learning(runs.drop(columns="role"), curves)[0]
    assert equal_costs(oracle, "seconds", "jsd_valid") == pytest.approx([15.0, 30.0, 60.0, 700.0])


def test_nearly_the_same_cost_is_not_shown_twice():
    both = frames(
        run("mle", 0, [("mle", 100, (10.0, 1, 1))]), run("gan", 0, [("mle", 99, (10.0, 1, 1)), ("d", 2, (10.0, 1, 1))])
    )
    (section,) = learning(*both)
    assert equal_costs(section, "seconds", "jsd_valid") == pytest.approx([250.0, 500.0, 1000.0])


def test_what_nobody_counts_has_no_equal_cost():
    (section,) = learning(*frames(*trained(counted=("seconds",))))
    assert equal_costs(section, "tokens", "jsd_valid") == []


def test_one_point_is_no_curve_and_a_failed_run_has_none(mixed):
    assert "uniform" not in set(learning(*mixed)[0].lines["model"])
    (section,) = learning(*frames(*trained(), failed=("seqgan",)))
    assert set(section.lines["model"]) == {"mle", "maligan"}
    assert learning(*frames(*trained(names=("reward",)))) == []


# The tables.


def test_cells_are_means_over_seeds_at_the_cost_of_the_column(mixed):
    _, curves = mixed
    found = tables("\n\n".join(markdown(*mixed)).split("### poems")[0])
    assert list(found) == [f"`jsd_valid` ↓ at equal {cost}:" for cost in COSTS]
    seconds = found["`jsd_valid` ↓ at equal seconds:"]
    assert seconds["model"] == ["75 seconds", "150 seconds", "300 seconds", "700 seconds", "n"]
    values = []
    for seed in range(5):
        lines = curves[(curves["run_id"] == f"oracle-seqgan-{seed}") & (curves["name"] == "jsd_valid")]
        values.append(np.interp(150.0, lines["seconds"], lines["value"]))
    interval = mean_interval(values)
    assert seconds["seqgan"][1] == f"{interval.mean:.6f} ± {interval.high - interval.mean:.6f}"
    assert seconds["mle"][3] == "ended"
    assert seconds["constant"] == [seconds["constant"][0], "ended", "ended", "ended", "5"]
    assert list(seconds)[2:] == ["maligan", "mle", "rollouts", "seqgan", "constant"]
    assert found["`jsd_valid` ↓ at equal tokens:"]["model"][-2] == "2.5M tokens"


def test_who_does_not_count_a_cost_is_named(mixed):
    parts = markdown(*mixed)
    assert "No tokens counted by rollouts." in parts
    assert "No updates counted by rollouts." in parts
    assert not any(part.startswith("No seconds") for part in parts)
    assert any("Seconds compare only between runs of one machine." in part for part in parts)


def test_a_text_is_judged_by_its_held_out_likelihood(mixed):
    text = "\n\n".join(markdown(*mixed)).split("### poems")[1]
    assert "`nll_valid` ↓ at equal updates:" in text
    assert "jsd_valid" not in text


def test_a_run_that_began_to_measure_late_has_not_begun():
    late = run("late", 0, [("mle", 2, (200.0, 1e6, 500.0))])
    found = tables("\n\n".join(markdown(*frames(*trained(seeds=1), late))))
    assert found["`jsd_valid` ↓ at equal seconds:"]["late"][:2] == ["not begun", "not begun"]
    assert "±" not in str(found)


def test_seeds_that_ended_earlier_are_not_in_the_mean():
    short = [
        run("gan", seed, [PRETRAINING, ("adversarial", 5 + 5 * (seed > 0), (100.0, 1e5, 400.0))]) for seed in range(3)
    ]
    long = [run("seqgan", seed, [PRETRAINING, ("adversarial", 9, (100.0, 1e5, 400.0))]) for seed in range(3)]
    section = frames(*short, *long, controls=("gan",))
    found = tables("\n\n".join(markdown(*section)))["`jsd_valid` ↓ at equal seconds:"]
    assert found["gan"][2].endswith("(n=2)")
    assert found["gan"][-1] == r"3 (\< 5)"
    assert "n < 5: intervals from fewer than five seeds" in markdown(*section)[-1]


def test_no_curve_no_section(mixed):
    runs, curves = mixed
    assert markdown(runs, curves.head(0)) == []
    assert markdown(runs.assign(status="failed"), curves) == []
    assert markdown(runs, curves[curves["name"] == "reward"]) == []


# The figure.

STYLES = dict.fromkeys((*PHASES, "rollouts", "constant"), ("#0072B2", "--"))


def png(figure):
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=60, metadata={"Software": None})
    return file.getvalue()


def test_a_panel_a_metric_and_cost_with_the_same_bytes_each_time(mixed):
    drawn = figures(*mixed, STYLES)
    assert [(caption, stem) for caption, _, stem in drawn] == [
        ("oracle, quick: quality against cost", "oracle-quick-cost"),
        ("poems, quick: quality against cost", "poems-quick-cost"),
    ]
    assert [len(figure.axes) for _, figure, _ in drawn] == [6, 3]
    twin = figures(*mixed, STYLES)[-1][1]
    assert hashlib.sha256(png(drawn[-1][1])).digest() == hashlib.sha256(png(twin)).digest()


def test_the_line_is_the_mean_over_seeds(mixed):
    section = learning(*mixed)[0]
    axes = figures(*mixed, STYLES)[0][1].axes[1]  # jsd_valid against tokens
    lines = [line for line in axes.get_lines() if line.get_linewidth() == 1.8]
    assert len(lines) == 4  # rollouts counts no tokens
    ends = {line.get_xdata()[-1]: line for line in lines}
    x, y = ends[2.8e6].get_data()
    found = at_cost(section.lines[section.lines["model"] == "maligan"], "tokens", "jsd_valid", x)
    np.testing.assert_allclose(y, found.groupby("amount")["value"].mean())


def test_the_line_ends_where_the_first_seed_ends(mixed):
    axes = figures(*mixed, STYLES)[0][1].axes[0]  # jsd_valid against seconds
    drawn = [line.get_xdata() for line in axes.get_lines() if line.get_linewidth() == 1.8]
    assert [min(line) for line in drawn] == pytest.approx([30 * 1.04] * 5)  # where the slowest seed began
    assert sorted(max(line) for line in drawn) == pytest.approx([60, 300, 700, 800, 800])


def test_a_cost_that_nobody_counts_has_no_panel():
    ((_, figure, _),) = figures(*frames(*trained(counted=("seconds", "updates"))), STYLES)
    assert [axes.get_xlabel() for axes in figure.axes[2:]] == [
        "seconds, on one machine",
        "optimiser updates, all networks",
    ]


def test_one_seed_is_enough_and_no_curve_no_figure(mixed):
    assert len(png(figures(*frames(*trained(seeds=1)), STYLES)[0][1])) > 5_000
    assert figures(mixed[0], mixed[1].head(0), STYLES) == []
    assert figures(*frames(*trained(counted=())), STYLES) == []
