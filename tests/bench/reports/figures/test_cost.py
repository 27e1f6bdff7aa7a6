import hashlib
import io

import numpy as np
import pytest

from bench.analysis.learning import at_cost, course, learning
from bench.reports.families import Style
from bench.reports.figures.cost import figures

STYLES = dict.fromkeys(("mle", "seqgan", "maligan", "rollouts", "constant"), Style("#0072B2", "--", "o"))


def png(figure):
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=60, metadata={"Software": None})
    return file.getvalue()


def panels(figure):
    """The axes with curves, without those that hold legends."""
    return [axes for axes in figure.axes if axes.axison]


def curves(axes):
    return [line for line in axes.get_lines() if line.get_linewidth() == 1.8]


def legend(figure):
    return [text.get_text() for axes in figure.axes if axes.get_legend() for text in axes.get_legend().get_texts()]


def test_a_figure_a_metric_and_a_panel_a_cost_with_the_same_bytes_each_time(mixed):
    drawn = figures(*mixed, STYLES)
    assert [(caption, stem) for caption, _, stem in drawn] == [
        ("oracle, quick: quality against cost", "oracle-quick-cost"),
        ("oracle, quick: quality against cost, nll_valid", "oracle-quick-cost-nll_valid"),
        ("poems, quick: quality against cost", "poems-quick-cost"),
    ]
    assert [len(panels(figure)) for _, figure, _ in drawn] == [3, 3, 3]
    twin = figures(*mixed, STYLES)[-1][1]
    assert hashlib.sha256(png(drawn[-1][1])).digest() == hashlib.sha256(png(twin)).digest()


def test_the_line_is_the_mean_over_seeds_and_its_end_has_the_mark(mixed):
    section = learning(*mixed)[0]
    axes = panels(figures(*mixed, STYLES)[0][1])[1]  # jsd_valid against tokens
    assert len(curves(axes)) == 4  # rollouts counts no tokens
    ends = {line.get_xdata()[-1]: line for line in curves(axes)}
    x, y = ends[2.8e6].get_data()
    found = at_cost(section.lines[section.lines["model"] == "maligan"], "tokens", "jsd_valid", x)
    np.testing.assert_allclose(y, found.groupby("amount")["value"].mean())


def test_ends_and_borders_stand_on_their_lines_however_fast_each_seed_was(mixed):
    axes = panels(figures(*mixed, STYLES)[0][1])[0]  # jsd_valid against seconds; every seed has another speed
    lines = {(line.get_xdata()[-1], line.get_ydata()[-1]): line for line in curves(axes)}
    marks = [line for line in axes.get_lines() if line.get_marker() == "o" and len(line.get_xdata()) == 1]
    full = [line for line in marks if line.get_markerfacecolor() != "white"]
    assert {(line.get_xdata()[0], line.get_ydata()[0]) for line in full} == set(lines)
    points = {point for line in lines.values() for point in zip(*line.get_data(), strict=True)}
    hollow = [line for line in marks if line.get_markerfacecolor() == "white"]
    assert len(hollow) == 3  # of the five models these have two phases
    assert {(line.get_xdata()[0], line.get_ydata()[0]) for line in hollow} <= points
    ends = sorted(line.get_xdata()[-1] for line in curves(axes))
    assert ends == pytest.approx([61.2, 306, 714, 816, 816])  # seeds take 1 to 1.04 times as long


def test_a_run_that_is_shorter_than_others_counts_with_its_own_end(made):
    long, short = (made.run("mle", seed, [("mle", steps, (10.0, 1.0, 1.0))]) for seed, steps in ((0, 9), (1, 5)))
    _, rows = made.frames(long, short)
    found = course(rows[rows["name"] == "nll_valid"])
    assert len(found.mean) == 9
    assert found.costs["updates"][[0, -1]].tolist() == [1.0, 7.0]
    ends = rows[rows["name"] == "nll_valid"].groupby("run_id")["value"].last()
    assert (found.mean[-1], found.low[-1], found.high[-1]) == (ends.mean(), ends.min(), ends.max())
    assert found.borders == [8]


def test_a_curve_that_leaves_the_axes_is_marked_and_its_end_is_told(mixed):
    runs, rows = mixed
    off = rows["model"].eq("seqgan") & rows["phase"].eq("adversarial") & rows["name"].eq("jsd_valid")
    rows = rows.assign(value=rows["value"].where(~off, rows["value"] + 1000 * (rows["step"] > 2)))
    figure = figures(runs, rows, STYLES)[0][1]
    axes = panels(figure)[2]
    top = axes.get_ylim()[1]
    assert top < 100
    arrows = [line for line in axes.get_lines() if line.get_marker() == "^" and not line.get_clip_on()]
    assert [line.get_ydata()[0] for line in arrows] == [top, top]  # where it leaves, and at the mark of its end
    assert any(text.startswith("seqgan\nends at 1,00") for text in legend(figure))
    assert "leaves the axes" in [text.get_text() for text in figure.legends[0].get_texts()]
    assert not any("ends at" in text for text in legend(figures(*mixed, STYLES)[0][1]))


def test_a_cost_that_nobody_counts_has_no_panel(made):
    drawn = figures(*made.frames(*made.trained(counted=("seconds", "updates"))), STYLES)
    assert [axes.get_xlabel() for axes in panels(drawn[0][1])] == [
        "seconds, on one machine",
        "optimiser updates, all networks",
    ]


def test_one_seed_is_enough_and_no_curve_no_figure(mixed, made):
    assert len(png(figures(*made.frames(*made.trained(seeds=1)), STYLES)[0][1])) > 5_000
    assert figures(mixed[0], mixed[1].head(0), STYLES) == []
    assert figures(*made.frames(*made.trained(counted=())), STYLES) == []
