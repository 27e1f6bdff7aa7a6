"""What the figure of scores shows: models in the board's order, a dot per seed, a number for a mean off the axis."""

import dataclasses

import numpy as np
import pytest
from matplotlib.colors import to_hex

from bench.analysis.leaderboard import aggregate
from bench.plans import registry
from bench.reports.families import MARKERS, PALETTE, STRANGERS, styles_of
from bench.reports.figures.scores import figures


def drawn(results):
    """Figures by the stem of their file's name."""
    found = figures(results.runs, results.scores, results.board, styles_of(results.runs["model"]))
    return {stem: figure for _, figure, stem in found}


def changed(results, value, **where):
    chosen = np.logical_and.reduce([results.scores[column] == wanted for column, wanted in where.items()])
    assert chosen.any()
    scores = results.scores.copy()
    scores.loc[chosen, "value"] = value
    return dataclasses.replace(results, scores=scores)


def panel(figure, metric):
    (axes,) = [axes for axes in figure.axes if axes.get_xlabel().startswith(metric)]
    return axes


def dots(axes, model):
    """The seeds of a model's last step, as they were drawn."""
    labels = [label.get_text() for label in axes.figure.axes[0].get_yticklabels()]
    place = labels.index(model) - 0.16
    (line,) = [line for line in axes.get_lines() if line.get_markersize() == 4 and line.get_ydata()[0] == place]
    return sorted(line.get_xdata())


def legend(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_a_figure_a_task_and_a_panel_a_headline_metric(results):
    found = drawn(results)
    assert list(found) == ["oracle-quick-scores", "quatrains-quick-scores"]
    assert [axes.get_xlabel() for axes in found["oracle-quick-scores"].axes] == [
        "jsd_token (nats/token)\nlower is better",
        "nll_test (nats/token)\nlower is better",
        "nll_oracle (nats/token)\nlower is better",
    ]
    assert [axes.get_xlabel() for axes in found["quatrains-quick-scores"].axes] == [
        "nll_test (nats/token)\nlower is better",
        "bleu2\nhigher is better",
    ]
    assert found["oracle-quick-scores"].get_suptitle() == "oracle, quick: each seed and the mean"


def test_models_stand_in_the_order_of_the_board_and_controls_are_named_so(results):
    axes = drawn(results)["oracle-quick-scores"].axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == [
        *("mle", "seqgan", "uncertain", "constant-reward (control)", "uniform (control)"),
    ]
    assert axes.yaxis_inverted()


def test_a_dot_a_seed(results):
    figure = drawn(results)["oracle-quick-scores"]
    assert dots(panel(figure, "jsd_token"), "seqgan") == [0.0170, 0.0180, 0.0190]
    assert dots(panel(figure, "nll_oracle"), "mle") == [9.10, 9.12, 9.14]
    assert dots(panel(drawn(results)["quatrains-quick-scores"], "bleu2"), "random") == [0.11, 0.12, 0.12, 0.12, 0.13]


def test_the_last_step_is_full_and_the_pretraining_hollow_and_the_selected_is_not_drawn(results):
    axes = panel(drawn(results)["oracle-quick-scores"], "nll_test")
    means = {
        round(line.get_xdata()[0], 4): to_hex(line.get_markerfacecolor())
        for line in axes.get_lines()
        if line.get_markersize() == 6 and line.get_marker() == "o" and round(line.get_ydata()[0], 2) in (1, 1.36)
    }
    colour = styles_of(results.runs["model"])["seqgan"].colour
    assert means == {8.3533: colour.lower(), 7.92: "#ffffff"}


def test_the_legend_says_only_what_is_there(results):
    found = drawn(results)
    assert legend(found["oracle-quick-scores"]) == [
        *("one seed", "mean, 95% interval", "its shared pre-training", "real data"),
    ]
    assert "its shared pre-training" not in legend(found["quatrains-quick-scores"])


def test_what_is_far_off_is_written_as_a_number(results):
    figure = drawn(results)["oracle-quick-scores"]
    axes = panel(figure, "jsd_token")
    assert axes.get_xlim()[1] < 0.03
    assert [text.get_text() for text in axes.texts] == ["0.25 ▸"]
    axes = panel(figure, "nll_oracle")
    assert axes.get_xlim()[0] > 5.76
    assert [text.get_text() for text in axes.texts] == ["◂ 2.76", "11.4 ▸"]
    assert axes.get_title(loc="left") == "◂ real data 5.75"


def test_small_numbers_keep_their_digits(results):
    small = changed(results, 0.00123, model="seqgan", metric="jsd_token", checkpoint="final")
    assert "◂ 0.00123" in [text.get_text() for text in panel(drawn(small)["oracle-quick-scores"], "jsd_token").texts]


@pytest.mark.parametrize("value", [8.9, 9.3])
def test_the_real_data_is_a_line_where_the_axis_reaches(results, value):
    near = changed(results, value, model="real data", metric="nll_oracle")
    axes = panel(drawn(near)["oracle-quick-scores"], "nll_oracle")
    assert [line.get_xdata()[0] for line in axes.get_lines() if line.get_linestyle() == "--"] == [value]
    assert axes.get_title(loc="left") == axes.get_title(loc="right") == ""


def test_one_seed_is_enough(results):
    scores = results.scores[results.scores["seed"] == 0]
    figure = drawn(dataclasses.replace(results, scores=scores))["oracle-quick-scores"]
    assert dots(panel(figure, "nll_test"), "mle") == [7.70]


def test_nothing_but_failures_no_figure(results):
    runs = results.runs[results.runs["status"] == "failed"]
    scores = results.scores.head(0)
    assert figures(runs, scores, aggregate(runs, scores), styles_of(runs["model"])) == []


def test_no_headline_metric_no_figure(results):
    scores = results.scores[results.scores["metric"] == "copy_8gram"]
    assert drawn(dataclasses.replace(results, scores=scores)) == {}


def test_models_have_styles_of_their_own_and_the_real_data_none():
    names = [f"model {number:02}" for number in range(len(MARKERS))]
    styles = styles_of([*names, "real data", *names[::-1]])
    assert list(styles) == names
    assert len(set(styles.values())) == len(names)
    assert {style.colour for style in styles.values()} == {STRANGERS}


def test_a_model_of_ours_looks_the_same_in_every_folder_and_like_its_family():
    ours = list(registry.available("model"))
    styles = styles_of(ours)
    assert len(set(styles.values())) == len(ours)
    assert STRANGERS not in {style.colour for style in styles.values()}
    for some in (["seqgan"], ["mle", "seqgan"], ours[::3]):
        assert styles_of([*some, "a stranger"]).items() >= {name: styles[name] for name in some}.items()
    families = [{name for name in ours if styles[name].colour == colour} for colour in PALETTE]
    assert {"seqgan", "seqgan-baselined", "rloo", "grpo"} in families
    assert {"replay", "repeat"} in families


def test_settings_of_a_model_have_its_colour_and_a_mark_of_their_own():
    labels = ["seqgan", *(f"seqgan[rounds={rounds}]" for rounds in range(20, 60, 10)), "rloo"]
    styles = styles_of(labels)
    assert len({style.colour for style in styles.values()}) == 1
    assert len(set(styles.values())) == len(labels)
