import numpy as np
import pandas as pd
import pytest

from bench.records.frames import CURVE_COLUMNS, RUN_COLUMNS
from bench.reports.axis import usual_limits
from bench.reports.families import Style
from bench.reports.figures.rounds import figures, rounds

STYLES = dict.fromkeys(("mle", "seqgan", "constant-reward"), Style("#0072B2", "--", "o"))
SCORED = (5, 10, 15)


def run_of(model, seed, role="contender"):
    run_id = f"{model}-{seed}"
    keys = {"run_id": run_id, "group_id": model, "task": "oracle", "model": model, "preset": "paper", "seed": seed}
    row = {**dict.fromkeys(RUN_COLUMNS), **keys, "role": role, "status": "ok"}
    points = [("mle", 1, {"nll_valid": 7.0 + seed, "loss": 6.0}), ("mle", 2, {"nll_valid": 8.0 + seed, "loss": 5.0})]
    if model == "seqgan":
        points.append(("discriminator", 1, {"nll_valid": 8.0 + seed, "p_real_valid": 0.25}))
    if model != "mle":
        for step in range(1, 16):
            scalars = {"reward": 0.5, "entropy": 6.0 - step / 10}
            if step in SCORED:
                scalars |= {"nll_valid": 8.0 + seed + step}
            points.append(("adversarial", step, scalars))
    curve = [
        {**dict.fromkeys(CURVE_COLUMNS), **keys, "phase": phase, "step": step, "name": name, "value": value}
        for phase, step, scalars in points
        for name, value in scalars.items()
    ]
    return row, curve


@pytest.fixture
def frames():
    made = [run_of(model, seed) for model in ("mle", "seqgan") for seed in (0, 1)]
    made += [run_of("constant-reward", seed, "control") for seed in (0, 1)]
    runs = pd.DataFrame([row for row, _ in made], columns=RUN_COLUMNS)
    return runs, pd.DataFrame([point for _, curve in made for point in curve], columns=CURVE_COLUMNS)


def test_scored_rounds_after_what_was_there_before(frames):
    found = rounds(*frames)
    assert set(found["model"]) == {"seqgan", "constant-reward"}  # nobody rewards maximum likelihood
    own = found[(found["model"] == "seqgan") & (found["seed"] == 1)]
    nll = own[own["name"] == "nll_valid"].set_index("step")["value"]
    assert nll.to_dict() == {0: 9.0, 5: 14.0, 10: 19.0, 15: 24.0}
    entropy = own[own["name"] == "entropy"].set_index("step")["value"]
    assert entropy.to_dict() == pytest.approx({5: 5.5, 10: 5.0, 15: 4.5})
    assert own.loc[own["name"] == "p_real_valid", ["step", "value"]].values.tolist() == [[0, 0.25]]
    assert "loss" not in set(found["name"])


def test_a_panel_for_each_curve_that_is_there(frames):
    ((caption, figure, stem),) = figures(*frames, STYLES)
    assert (caption, stem) == ("oracle, paper: what each round of policy gradient changes", "oracle-paper-rounds")
    titles = [axes.get_title("left").partition("\n")[0] for axes in figure.axes if axes.axison]
    assert titles == ["nll_valid", "entropy", "p_real_valid"]
    lines = [line for line in figure.axes[0].get_lines() if line.get_linewidth() == 1.8]
    for line in lines:
        np.testing.assert_allclose(line.get_ydata(), [8.5, 13.5, 18.5, 23.5])  # the mean over seeds
    (legend,) = (axes.get_legend() for axes in figure.axes if axes.get_legend())
    assert [text.get_text() for text in legend.get_texts()] == ["seqgan", "constant-reward (control)"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["lowest to highest seed"]


def test_nothing_to_draw(frames):
    runs, curves = frames
    assert figures(runs, curves.head(0), STYLES) == []
    assert figures(runs[runs["model"] == "mle"], curves[curves["model"] == "mle"], STYLES) == []
    assert figures(runs, curves[curves["step"] < SCORED[-1]], STYLES) == []  # two scored rounds


def test_what_is_far_off_does_not_set_the_limits():
    lines = pd.DataFrame({"run_id": [*"aabbccdd", "e", "e"], "value": [5, 6, 5, 6.1, 5, 6.2, 5, 6, 5, 900.0]})
    low, high = usual_limits(lines)
    assert 4 < low < 5
    assert 6.1 < high < 8
