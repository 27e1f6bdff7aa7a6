import hashlib
import io

import numpy as np
import pytest

from bench.analysis.learning import at_cost, learning
from bench.reports.figures.cost import figures
from bench.reports.figures.style import Style

STYLES = dict.fromkeys(("mle", "seqgan", "maligan", "rollouts", "constant"), Style("#0072B2", "--", "o"))


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


def test_a_cost_that_nobody_counts_has_no_panel(made):
    ((_, figure, _),) = figures(*made.frames(*made.trained(counted=("seconds", "updates"))), STYLES)
    assert [axes.get_xlabel() for axes in figure.axes[2:]] == [
        "seconds, on one machine",
        "optimiser updates, all networks",
    ]


def test_one_seed_is_enough_and_no_curve_no_figure(mixed, made):
    assert len(png(figures(*made.frames(*made.trained(seeds=1)), STYLES)[0][1])) > 5_000
    assert figures(mixed[0], mixed[1].head(0), STYLES) == []
    assert figures(*made.frames(*made.trained(counted=())), STYLES) == []
