"""Made-up sweeps against areas counted cell by cell, numpy's interpolation, and verdicts known beforehand."""

import hashlib
import io
import itertools

import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text

from bench.analysis.frontier import (
    MARGIN,
    coverage_at,
    dominated_area,
    indicators,
    nondominated,
    reference_corner,
    sweeps,
)
from bench.analysis.standing import Standing
from bench.analysis.stats import mean_interval
from bench.reports.families import Style
from bench.reports.figures.frontier import figures
from bench.reports.markdown import render
from bench.reports.pages.frontier import page


def markdown(runs, frontier, who=None, **reference):
    """The page in parts, as Markdown."""
    return [render([block]).removesuffix("\n") for block in page(sweeps(runs, frontier, **reference), runs, who)]


TEMPERATURES = (0.5, 0.7, 0.85, 1.0, 1.2)
ORACLE, TEXT = ("nll_oracle", "nll_test"), ("lm_nll", "reverse_nll")


def mle(temperature, seed=0):
    """Quality and coverage of a model that trades one for the other: best coverage at temperature 1."""
    luck = 0.02 * np.sin(7 * seed + 1)
    return 9.4 + 2.5 * np.log(temperature) + luck, 7.6 + 1.5 * (1 - 1 / temperature) ** 2 - 2 * luck


def worse(temperature, seed=0):
    quality, coverage = mle(temperature, seed)
    return quality + 0.1 + 0.01 * np.cos(seed), coverage + 0.6 + 0.02 * np.sin(3 * seed)


def better(temperature, seed=0):
    quality, coverage = mle(temperature, seed)
    return quality - 0.1 + 0.01 * np.cos(seed), coverage - 0.05 + 0.003 * np.sin(3 * seed)


def rows(model, points_of, axes=ORACLE, seeds=6, task="oracle", temperatures=TEMPERATURES, **others):
    """The lines of one model: what ``points_of(temperature, seed)`` gives, None for an absent value."""
    for seed, temperature in itertools.product(range(seeds), temperatures):
        for metric, value in zip(axes, points_of(temperature, seed), strict=True):
            yield {
                "run_id": f"{task}-{model}-{seed}", "group_id": f"{task}-{model}", "task": task, "model": model,
                "preset": "quick", "seed": seed, "temperature": temperature, "metric": metric,
                "value": float("nan") if value is None else float(value),
                "absent": "it has no tempered density" if value is None else None,
                "unit": "nats/token", "direction": "lower", "signature": "nll:1", **others,
            }  # fmt: skip


def frames(*lines, controls=(), failed=()):
    frontier = pd.DataFrame(itertools.chain(*lines))
    runs = frontier.drop_duplicates("run_id")[["run_id", "group_id", "task", "model", "preset", "seed"]].copy()
    runs["status"] = ["failed" if run in failed else "ok" for run in runs["run_id"]]
    runs["role"] = ["control" if model in controls else "contender" for model in runs["model"]]
    return runs, frontier


@pytest.fixture
def mixed():
    """An oracle task with all kinds of models, and a text."""
    return frames(
        rows("mle", mle),
        rows("worse", worse),
        rows("better", better),
        rows("constant", worse),
        rows("uniform", lambda *_: (11.4, 8.5)),
        rows("gan", lambda temperature, seed: (mle(temperature, seed)[0], None)),
        rows("mle", mle, TEXT, task="poems"),
        rows("worse", worse, TEXT, task="poems"),
        rows("mle", mle, TEXT),
        controls=("constant", "uniform"),
    )


def only(sweep_list):
    (sweep,) = sweep_list
    return sweep


def cells(text, model):
    """The cells of a model's line in the table of areas."""
    (line,) = [line for line in text.splitlines() if line.startswith(f"| {model} ") and "nll" not in line]
    return [cell.strip() for cell in line.strip("|").split("|")][1:]


# The indicators.


@pytest.mark.parametrize("seed", range(30))
def test_nondominated_points_are_those_that_no_other_matches_or_beats(seed):
    points = np.random.default_rng(seed).integers(0, 8, (seed, 2)).astype(float)
    unique = {tuple(point) for point in points}
    expected = sorted(p for p in unique if not any(q != p and q[0] <= p[0] and q[1] <= p[1] for q in unique))
    assert [tuple(point) for point in nondominated(points)] == expected


@pytest.mark.parametrize("seed", range(30))
def test_the_area_is_what_counting_cells_gives(seed):
    rng = np.random.default_rng(seed)
    points = rng.integers(-3, 14, (rng.integers(0, 9), 2)).astype(float)
    counted = sum(any(p[0] <= x and p[1] <= y for p in points) for x in range(-3, 10) for y in range(-3, 8))
    assert dominated_area(points, (10.0, 8.0)) == counted


def test_points_outside_the_box_and_dominated_points_add_nothing():
    points = np.array([[7.0, 8.5], [8.0, 8.0], [9.0, 7.7]])
    more = np.vstack([points, [[2.0, 40.0], [30.0, 7.0], [8.5, 8.2], [9.5, 7.0]]])
    assert dominated_area(points, (9.5, 9.0)) > 0
    assert dominated_area(more, (9.5, 9.0)) == dominated_area(points, (9.5, 9.0))


def test_the_corner_is_a_little_beyond_the_worst_trade_offs():
    first, second = np.array([[7.0, 8.6], [8.0, 8.0], [9.0, 7.5]]), np.array([[7.2, 8.8], [9.1, 7.4]])
    expected = 9.1 + MARGIN * (9.1 - 7.0), 8.8 + MARGIN * (8.8 - 7.4)
    assert reference_corner([first, second]) == pytest.approx(expected)


def test_extreme_temperatures_do_not_move_the_corner():
    usual = [np.array([mle(t, seed) for t in TEMPERATURES]) for seed in range(3)]
    extreme = [np.vstack([points, *(mle(t, 1) for t in (0.02, 0.05, 0.1, 0.2, 5.0, 50.0))]) for points in usual]
    assert extreme[0][:, 1].max() > 3000
    assert extreme[0][:, 0].max() > 19
    assert reference_corner(extreme) == reference_corner(usual)


def test_trade_offs_end_where_cooling_loses_more_than_it_gains():
    points = np.array([[6.9, 9.7], [7.0, 9.4], [8.0, 8.2], [9.0, 7.5]])  # sums 16.6, 16.4, 16.2 and 16.5
    assert reference_corner([points]) == pytest.approx((9.0 + 0.1 * 2.0, 9.4 + 0.1 * 1.9))
    steep = np.array([[8.8, 9.5], [8.9, 8.5], [9.0, 7.5]])
    assert reference_corner([steep]) == pytest.approx((9.0 + 0.1 * 0.1, 8.5 + 0.1 * 1.0))


def test_one_temperature_is_no_frontier():
    assert reference_corner([np.array([[9.0, 7.5]]), np.array([[9.1, 7.4]])]) is None
    assert reference_corner([np.array([[9.0, 7.5], [9.5, 7.6]])]) is None  # the hotter one offers no trade-off
    assert reference_corner([]) is None


def test_coverage_is_read_on_straight_lines_and_never_beyond_them():
    points = np.array([mle(t) for t in TEMPERATURES])
    falling = points[:4]
    for quality in np.linspace(falling[0, 0], falling[-1, 0], 17):
        assert coverage_at(points, quality) == np.interp(quality, falling[:, 0], falling[:, 1])
    assert coverage_at(points, 9.6) == points[3, 1]  # hotter than the best coverage: the best coverage counts
    assert np.isnan(coverage_at(points, points[0, 0] - 1e-6))
    assert np.isnan(coverage_at(points, points[-1, 0] + 1e-6))
    assert np.isnan(coverage_at(np.empty((0, 2)), 9.0))


def test_a_published_sweep_is_read_as_its_finer_grid_says():
    """Caccia et al. 2018, arXiv 1811.02549, the released numbers of maximum likelihood, from a grid of 81."""
    coarse = np.array([(9.400, 7.610), (8.814, 7.754), (8.052, 8.044), (6.526, 8.835)])
    for quality, fine in ((9.0, 7.70), (8.5, 7.86), (8.0, 8.06), (7.0, 8.53)):
        assert fine <= coverage_at(coarse, quality) < fine + 0.07


# The sweeps.


def test_an_oracle_is_preferred_and_a_text_has_the_other_axes(mixed):
    oracle, poems = sweeps(*mixed)
    assert (oracle.task, oracle.quality, oracle.coverage) == ("oracle", *ORACLE)
    assert (poems.task, poems.quality, poems.coverage) == ("poems", *TEXT)
    assert len(oracle.of("mle")) == 6 * len(TEMPERATURES)
    assert oracle.left_out == {"gan": "nll_test: it has no tempered density"}
    assert oracle.controls == {"constant", "uniform"}


def infinite(lines, quality="nll_oracle", below=0.0):
    """What a grammar's oracle says of a model: no quality wherever the temperature is above a bound."""
    for line in lines:
        if line["metric"] == quality and line["temperature"] > below:
            line |= {"value": float("nan"), "absent": "the oracle never writes some of the samples: nll_oracle is inf"}
        yield line


@pytest.mark.parametrize("below", [0.0, 0.6])
def test_a_quality_that_is_infinite_at_some_temperature_gives_way_to_the_next(below):
    """Its few finite points alone would make a frontier of where samples happen to be right."""
    lines = infinite(rows("mle", mle), below=below), rows("mle", mle, TEXT), rows("cold", better)
    every = frames(*lines, rows("cold", better, TEXT))
    (sweep,) = sweeps(*every)
    assert (sweep.quality, sweep.coverage, sweep.instead_of) == (*TEXT, "nll_oracle")
    assert len(sweep.of("mle")) == 6 * len(TEMPERATURES)
    text = "\n".join(markdown(*every))
    assert "Quality is `lm_nll` here, and not `nll_oracle`, which is infinite for samples" in text
    assert len(figures(*every, dict.fromkeys(("cold", "mle"), Style("#000000", "-", "o")))) == 1


def test_a_rivals_infinite_quality_changes_no_axes():
    every = frames(rows("mle", mle), rows("mle", mle, TEXT), infinite(rows("cold", better), below=0.6))
    (sweep,) = sweeps(*every)
    assert (sweep.quality, sweep.instead_of) == ("nll_oracle", "")
    assert set(sweep.of("cold")["temperature"]) == {0.5}
    assert "Quality is" not in "\n".join(markdown(*every))


def test_what_is_not_comparable_is_left_out():
    broken = rows("broken", mle)
    other = rows("other", better, signature="nll:2")
    real = rows("real data", mle)
    runs, frontier = frames(rows("mle", mle), broken, other, real, failed={f"oracle-broken-{n}" for n in range(6)})
    sweep = only(sweeps(runs, frontier))
    assert set(sweep.points["model"]) == {"mle"}
    assert sweep.left_out == {"other": "nll_oracle, nll_test was computed differently from the reference's"}


def test_a_new_model_moves_nobodys_corner(mixed):
    runs, frontier = mixed
    alone = sweeps(runs, frontier[frontier["model"] == "mle"])
    assert [sweep.corner for sweep in alone] == [sweep.corner for sweep in sweeps(runs, frontier)]


def test_indicators_are_those_of_each_seed_by_itself(mixed):
    sweep = sweeps(*mixed)[0]
    found = indicators(sweep).set_index(["model", "seed"])
    for seed in range(6):
        arm = np.array([mle(t, seed) for t in TEMPERATURES])
        own = np.array([worse(t, seed) for t in TEMPERATURES])
        assert found.loc[("worse", seed), "area"] == pytest.approx(dominated_area(own, sweep.corner))
        quality, coverage = worse(1.0, seed)
        expected = coverage - (arm[3, 1] if quality > arm[3, 0] else np.interp(quality, arm[:4, 0], arm[:4, 1]))
        assert found.loc[("worse", seed), "excess"] == pytest.approx(expected)
        assert found.loc[("mle", seed), "excess"] == 0
        assert found.loc[("uniform", seed), "outside"] == "worse"
    assert found.loc["uniform", "excess"].isna().all()
    assert (found.loc["uniform", "area"] == 0).all()


def test_a_model_that_is_only_sharper_has_no_excess():
    """Maximum likelihood gains the same quality by a lower temperature, so no advantage is left."""
    runs, frontier = frames(rows("mle", mle), rows("sharp", lambda t, seed: mle(0.7 * t, seed)))
    sweep = only(sweeps(runs, frontier))
    plain = sweep.points[sweep.points["temperature"] == 1.0].groupby("model")["quality"].mean()
    assert plain["sharp"] < plain["mle"] - 0.8
    found = indicators(sweep)
    np.testing.assert_allclose(found.loc[found["model"] == "sharp", "excess"], 0, atol=1e-12)


# The tables.


def test_verdicts_and_families(mixed):
    text = "\n\n".join(markdown(*mixed))
    assert "- better is better than mle in dominated area, if seeds scatter normally (n = 6):" in text
    assert "- worse is worse than mle in nll_test at equal nll_oracle" in text
    lines = [
        line for line in text.split("### poems")[0].splitlines() if "n dominated area" in line and "- " in line[:2]
    ]
    contenders, controls = lines[:2], lines[2:]
    assert all("Holm's correction for 2 comparisons" in line for line in lines)
    assert [line.split()[1] for line in contenders + controls] == ["better", "worse", "constant", "uniform"]
    assert "Controls, which are tested as a family of their own: constant, uniform." in text
    assert (
        "- uniform: not available in 6 of 6 seeds, where its `nll_oracle` is worse than any that mle reached." in text
    )
    assert "- gan: nll_test: it has no tempered density" in text


def test_without_roles_all_models_are_one_family(mixed):
    runs, frontier = mixed
    text = "\n\n".join(markdown(runs.drop(columns="role"), frontier))
    assert "Holm's correction for 4 comparisons" in text
    assert "Controls" not in text


def test_the_numbers_of_the_tables(mixed):
    text = "\n\n".join(markdown(*mixed)).split("### poems")[0]
    found = indicators(sweeps(*mixed)[0]).set_index(["model", "seed"])
    area = mean_interval(found.loc["worse", "area"])
    less = mean_interval(found.loc["worse", "area"] - found.loc["mle", "area"])
    excess = mean_interval(found.loc["worse", "excess"])
    shown = [f"{area.mean:.3f} ± {area.high - area.mean:.3f}"]
    shown += [f"{value.mean:+.3f} ± {value.high - value.mean:.3f}" for value in (less, excess)]
    assert cells(text, "worse") == [*shown, "6"]
    assert cells(text, "mle")[1:] == ["", "", "6"]
    header = next(line for line in text.splitlines() if "T = 0.5" in line)
    assert [cell.strip() for cell in header.strip("|").split("|")] == [
        *("model", "nats/token ↓", "T = 0.5", "T = 0.7", "T = 0.85", "T = 1", "T = 1.2", "n"),
    ]
    quality = mean_interval(mle(0.5, seed)[0] for seed in range(6))
    (line,) = [line for line in text.splitlines() if line.startswith("| mle      | nll_oracle")]
    assert f" {quality.mean:.3f} ± {quality.high - quality.mean:.3f} |" in line


def test_a_quality_that_the_reference_never_had_is_not_compared():
    cold = rows("cold", lambda t, seed: mle(0.3 * t, seed) if seed < 2 else mle(0.8 * t, seed))
    text = "\n\n".join(markdown(*frames(rows("mle", mle), cold)))
    assert "- cold: not available in 2 of 6 seeds, where its `nll_oracle` is better than any that mle reached." in text
    assert cells(text, "cold")[2].endswith("(n=4)")


def test_few_seeds_are_pointed_out():
    text = "\n\n".join(markdown(*frames(rows("mle", mle, seeds=3), rows("worse", worse, seeds=3))))
    assert "n < 5: intervals from fewer than five seeds" in text
    assert cells(text, "worse")[-1] == r"3 (\< 5)"
    assert "n < 5" not in "\n\n".join(markdown(*frames(rows("mle", mle), rows("worse", worse))))


def test_one_seed_has_no_interval():
    parts = markdown(*frames(rows("mle", mle, seeds=1), rows("worse", worse, seeds=1)))
    assert "±" not in "\n".join(parts)
    assert any("the one seed they share" in part for part in parts)


def test_without_the_reference_only_the_temperatures_are_shown():
    runs, frontier = frames(rows("worse", worse))
    text = "\n\n".join(markdown(runs, frontier))
    assert "No areas and no excess: mle, which they are measured against, has no point here." in text
    assert "T = 0.7" in text
    assert "dominated area" not in text
    assert "dominated area" in "\n\n".join(markdown(runs, frontier, reference="worse"))


def test_one_temperature_gives_no_area():
    text = "\n\n".join(markdown(*frames(rows("mle", mle, temperatures=(1.0,)), rows("worse", worse))))
    assert "mle, which they are measured against, has no two temperatures here that trade quality for coverage." in text
    assert "dominated area" not in text


def test_seeds_without_a_value_are_counted():
    holes = rows("holes", lambda t, seed: (mle(t, seed)[0], None if t == 0.5 and seed > 3 else mle(t, seed)[1]))
    text = "\n\n".join(markdown(*frames(rows("mle", mle), holes)))
    assert text.count("(n=4)") == 2
    assert "Scored at other temperatures" not in text


def test_a_seed_that_the_reference_lacks_is_no_pair():
    text = "\n\n".join(markdown(*frames(rows("mle", mle, seeds=5), rows("worse", worse, seeds=6))))
    assert [cell.endswith("(n=5)") for cell in cells(text, "worse")] == [False, True, True, False]
    assert cells(text, "worse")[-1] == "6"
    stranger = frames(rows("mle", mle, seeds=1), rows("worse", worse, seeds=1, seed=7))
    assert "worse and mle have no common seed in dominated area" in "\n\n".join(markdown(*stranger))


def test_a_model_that_lacks_seeds_has_no_verdict():
    sharp = rows("sharp", lambda t, seed: (mle(t, seed)[0] - (9 if seed == 0 else 0.1), mle(t, seed)[1] - 0.2))
    text = "\n\n".join(markdown(*frames(rows("mle", mle), sharp, rows("few", better, seeds=5))))
    assert "- No verdict on few and mle in dominated area: only 5 of 6 seeds have a value." in text
    # In one seed it is so sharp that the reference has nothing to compare with: the other seeds are no sample.
    assert "- No verdict on sharp and mle in nll_test at equal nll_oracle: only 5 of 6 seeds have a value." in text
    assert "- sharp is better than mle in dominated area" in text


def test_who_may_not_win_does_not_win_here():
    runs, frontier = frames(rows("mle", mle), rows("better", better), rows("worse", worse))
    why = "its density is a bound, not exact"
    barred = {("oracle", "quick", model, "final", "nll_test"): (why,) for model in ("better", "worse")}
    text = "\n\n".join(markdown(runs, frontier, Standing(barred, {})))
    assert f"- No verdict on better and mle in dominated area: better has no rank, because {why}." in text
    assert "- worse is worse than mle in dominated area" in text


def test_other_temperatures_are_pointed_out():
    other = rows("worse", worse, temperatures=(*TEMPERATURES, 0.6))
    assert "Scored at other temperatures than mle" in "\n".join(markdown(*frames(rows("mle", mle), other)))


def test_no_sweep_no_section(mixed):
    runs, frontier = mixed
    assert markdown(runs, frontier.head(0)) == []
    assert markdown(runs, frontier.assign(value=float("nan"))) == []
    assert markdown(runs.assign(status="failed"), frontier) == []


def test_the_order_of_the_input_does_not_matter(mixed):
    shuffled = (frame.sample(frac=1, random_state=3) for frame in mixed)
    assert markdown(*shuffled) == markdown(*mixed)


# The figure.

STYLES = dict.fromkeys(("mle", "worse", "better", "constant", "uniform", "gan", "greedy"), Style("#0072B2", "-", "o"))


def png(figure):
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=60, metadata={"Software": None})
    return file.getvalue()


def test_a_figure_a_task_with_the_same_bytes_each_time(mixed):
    drawn = figures(*mixed, STYLES)
    assert [(caption, stem) for caption, _, stem in drawn] == [
        ("oracle, quick: quality and diversity over temperatures", "oracle-quick-frontier"),
        ("poems, quick: quality and diversity over temperatures", "poems-quick-frontier"),
    ]
    twin = figures(*mixed, STYLES)[0][1]
    assert hashlib.sha256(png(drawn[0][1])).digest() == hashlib.sha256(png(twin)).digest()


def test_extreme_points_leave_the_axes_readable():
    greedy = rows("greedy", mle, temperatures=(0.02, 0.05, 0.5, 1.0, 5.0))
    lines = rows("mle", mle, temperatures=(0.02, *TEMPERATURES)), rows("uniform", lambda *_: (30.0, 8.5)), greedy
    ((_, figure, _),) = figures(*frames(*lines), STYLES)
    axes = figure.axes[0]
    usual = np.array([mle(t, seed) for t in TEMPERATURES for seed in range(6)])
    for (low, high), column in ((axes.get_xlim(), usual[:, 0]), (axes.get_ylim(), usual[:, 1])):
        assert low < column.min()
        assert high - low < 2.5 * np.ptp(column)
    labels = [text.get_text() for text in figure.findobj(Text)]
    assert "uniform\noutside at (30.00, 8.50)" in labels


@pytest.mark.parametrize(
    ("point", "mark"),
    [
        pytest.param(lambda best, corner: (corner[0] + 0.3, corner[1] + 0.3), "o", id="near the box"),
        pytest.param(lambda best, corner: (corner[0] + 0.2, best[1] - 2.0), "o", id="better coverage than all"),
        pytest.param(lambda best, corner: (best[0] - 2.0, corner[1] + 0.2), "o", id="better quality than all"),
        pytest.param(lambda best, corner: (30.0, corner[1] - 0.1), ">", id="far to the right"),
        pytest.param(lambda best, corner: (corner[0] - 0.1, 60.0), "^", id="far to the top"),
        pytest.param(lambda best, corner: (30.0, 60.0), (3, 0, -45), id="far to both"),
        pytest.param(lambda best, corner: (best[0] - 2.0, 60.0), (3, 0, 45), id="better quality, far to the top"),
        pytest.param(lambda best, corner: (30.0, best[1] - 2.0), (3, 0, 225), id="better coverage, far to the right"),
    ],
)
def test_temperature_1_of_every_model_is_seen(point, mark):
    """Within the frame as a dot, else at the frame as an arrow towards it, with the numbers in the legend."""
    arm = list(rows("mle", mle))
    (sweep,) = sweeps(*frames(arm))
    pairs = sweep.points[["quality", "coverage"]]
    place = point(pairs.min().tolist(), sweep.corner)
    ((_, figure, _),) = figures(
        *frames(arm, rows("gan", lambda *_: place)), STYLES | {"gan": Style("#D55E00", "--", "o")}
    )
    axes = figure.axes[0]
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    shown = [line for line in axes.lines if line.get_color() == "#D55E00" and line.get_marker() == mark]
    (x,), (y,) = shown[-1].get_data()
    assert left <= x <= right
    assert bottom <= y <= top
    if mark == "o":
        assert (x, y) == pytest.approx(place)
    else:
        assert not shown[-1].get_clip_on()
        assert (x, y) == pytest.approx((min(max(place[0], left), right), min(max(place[1], bottom), top)))
    labels = [text.get_text() for text in figure.findobj(Text)]
    assert (f"gan\noutside at ({place[0]:.2f}, {place[1]:.2f})" in labels) == (mark != "o")
    assert ("temperature 1, outside" in labels) == (mark != "o")


def test_the_reference_stands_out(mixed):
    figure = figures(*mixed, STYLES)[0][1]
    (legend,) = (axes.get_legend() for axes in figure.axes if axes.get_legend())
    models = {line.get_label(): line.get_linewidth() for line in legend.get_lines()}
    assert max(models, key=models.get) == "mle (reference)"
    assert sorted(models.values())[-2] <= models["mle (reference)"] / 2


def test_one_seed_is_enough_and_without_a_reference_there_is_no_figure():
    one = frames(rows("mle", mle, seeds=1), rows("worse", worse, seeds=1))
    assert len(png(figures(*one, STYLES)[0][1])) > 5_000
    assert figures(*frames(rows("worse", worse)), STYLES) == []
    assert figures(*frames(rows("mle", mle, temperatures=(1.0,))), STYLES) == []
    assert figures(one[0], one[1].head(0), STYLES) == []
