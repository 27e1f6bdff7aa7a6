from bench.analysis.verdicts import Best
from bench.reports.document import emphasis, strong
from bench.reports.grid import Grid


def line(metric="nll_test", mean=7.7, low=7.65, high=7.75, n=3, **others):
    """A row of the leaderboard."""
    row = {"model": "mle", "checkpoint": "final", "role": "contender", "metric": metric, "mean": mean, "low": low}
    row |= {"high": high, "n": n, "kind": "quality", "unit": "nats/token", "direction": "lower", "status": f"ok {n}"}
    return row | others


def missing(metric, **others):
    return line(metric, float("nan"), float("nan"), float("nan"), 0, **others)


def test_a_cell_says_its_seeds_where_they_are_few_or_fewer_than_the_rows():
    grid = Grid([line(n=3), line("bleu2", n=3)])
    assert grid.cell("mle", "final", "nll_test") == "7.700 ± 0.050 (n=3)"
    grid = Grid([line(n=5), line("bleu2", n=5)])
    assert grid.cell("mle", "final", "nll_test") == "7.700 ± 0.050"
    grid = Grid([line(n=12), line("bleu2", n=10)])
    assert grid.cell("mle", "final", "bleu2") == "7.700 ± 0.050 (n=10)"


def test_cells_without_a_number():
    grid = Grid([line(), missing("bleu2"), missing("", model="broken", status="failed 3")])
    assert grid.cell("mle", "final", "bleu2") == "n/a"
    assert grid.cell("broken", "final", "nll_test") == ""
    assert (grid.measured("nll_test"), grid.measured("bleu2")) == (True, False)


def test_two_signatures_stand_side_by_side():
    grid = Grid([line(mean=7.0, low=6.9, high=7.1, n=2), line(mean=9.0, low=float("nan"), high=float("nan"), n=1)])
    assert grid.cell("mle", "final", "nll_test") == "7.000 ± 0.100 (n=2) / 9.000 (n=1)"


def test_seeds_are_counted_out_of_those_begun():
    grid = Grid([line(n=3, status="ok 3, failed 1, interrupted 1"), line("bleu2", n=2, status="ok 3")])
    assert grid.seeds("mle", "final") == "3 of 5"
    assert Grid([line(n=5)]).seeds("mle", "final") == "5"


def test_labels_arrows_and_units():
    rows = [line(), line("self_bleu4", direction="real", unit=""), line("bleu2", direction="higher", unit="")]
    grid = Grid([*rows, *(line(checkpoint=checkpoint) for checkpoint in ("selected", "pretrained", "halfway"))])
    assert [grid.label("mle", checkpoint) for checkpoint in ("final", "selected", "pretrained", "halfway")] == [
        *("mle", "↳ selected on validation", "↳ its shared pre-training", "↳ halfway"),
    ]
    assert [grid.arrow(metric) for metric in ("nll_test", "bleu2", "self_bleu4", "novelty")] == ["↓", "↑", "→", ""]
    assert [grid.unit(metric) for metric in ("nll_test", "bleu2", "novelty")] == ["nats/token", "", ""]


def test_the_best_is_one_model_at_its_last_step():
    rows = [line(n=5), line(checkpoint="selected", n=5), line(model="random", n=5), line("bleu2", n=5)]
    cell = "7.700 ± 0.050"
    for firm, style in ((True, strong), (False, emphasis)):
        grid = Grid(rows, {"nll_test": Best("mle", firm)})
        assert grid.shown("mle", "final", "nll_test") == style(cell)
        assert grid.shown("mle", "final", "nll_test", "7.7") == style("7.7")
        others = [("mle", "selected", "nll_test"), ("random", "final", "nll_test"), ("mle", "final", "bleu2")]
        assert [grid.shown(*where) for where in others] == [cell] * 3
    assert Grid(rows).shown("mle", "final", "nll_test") == cell


def test_what_may_not_win_is_marked_with_its_reason():
    lost, bound = "it lost 1 of 5 seeds (seed 3 failed)", "its density is a bound, not exact"
    rows = [line(n=5), line("bleu2", n=5)]
    rows += [line(metric, model="lost", n=4, unranked_because=lost) for metric in ("nll_test", "bleu2")]
    rows += [line(model="flow", n=5, unranked_because=bound), line("bleu2", model="flow", n=5)]
    rows += [line(model="flow", checkpoint="selected", n=5, unranked_because=bound)]
    rows += [line(model="gap", n=5), line("bleu2", model="gap", n=4, unranked_because="it lost a seed")]
    grid = Grid(rows)
    assert [grid.label(*row) for row in grid.rows] == ["mle", "lost †", "flow †", "↳ selected on validation †", "gap"]
    assert grid.shown("lost", "final", "bleu2") == "7.700 ± 0.050 (n=4)"  # its row is marked
    assert grid.shown("gap", "final", "bleu2") == "7.700 ± 0.050 (n=4) †"
    assert grid.reasons() == [
        f"lost: {lost}",
        f"flow: in nll_test: {bound}",
        f"flow (selected on validation): {bound}",
        "gap: in bleu2: it lost a seed",
    ]


def test_collapsed_seeds_are_counted():
    rows = [line(n=10, collapsed=1), line("kl_forward", n=10, collapsed=1), line("bleu2", n=10, collapsed=2)]
    grid = Grid([*rows, line(model="random", n=10, collapsed=0), line(model="real data", collapsed=1)])
    assert grid.collapsed() == ["mle: 1 of 10 in nll_test, kl_forward; 2 of 10 in bleu2"]


def test_rows_keep_their_order_and_metrics_have_their_own():
    rows = [line("bleu2"), line("nll_test"), line(checkpoint="selected"), line("jsd_token", model="random")]
    grid = Grid(rows)
    assert grid.rows == [("mle", "final"), ("mle", "selected"), ("random", "final")]
    assert grid.metrics == ["jsd_token", "nll_test", "bleu2"]
    assert grid.of("mle", "final") == rows[:2]
