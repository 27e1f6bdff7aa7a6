"""That figures of many models can be read: no text on another or off the canvas, and no model hidden.

They are drawn of the records in ``results/arms``, all models of this project, and measured as they are rendered.
"""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.text import Text

from bench.analysis.frontier import sweeps
from bench.analysis.learning import learning
from bench.records.frames import REAL_DATA
from bench.reports.families import MARKERS, OTHERS, PALETTE, STRANGERS, TOGETHER, groups, styles_of
from bench.reports.figures import cost, frontier, rounds, scores
from bench.reports.figures.marks import CLOSE, leaving, nested

DPI = 100


@pytest.fixture(scope="module")
def strange(arms):
    """The same, of models that are of no family and have long names."""

    def renamed(frame):
        names = {name: f"{name} of somebody else[learning_rate=0.001]" for name in frame["model"] if name != "mle"}
        return frame.assign(model=frame["model"].replace(names | {REAL_DATA: REAL_DATA}))

    return replace(arms, **{name: renamed(getattr(arms, name)) for name in ("runs", "curves", "frontier")})


def drawn(kind, results):
    """The figures of a kind, and the texts of each as they were rendered."""
    styles = styles_of(results.runs["model"])
    frames = {
        cost: (results.runs, results.curves),
        frontier: (results.runs, results.frontier),
        rounds: (results.runs, results.curves),
        scores: (results.runs, results.scores, results.board) if kind is scores else (),
    }[kind]
    found, original = [], Text.draw
    for _, figure, stem in kind.figures(*frames, styles):
        texts = {}

        def record(self, renderer, texts=texts):
            original(self, renderer)
            if self.get_visible() and self.get_text().strip():
                texts[id(self)] = self

        figure.set_dpi(DPI)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Text, "draw", record)
            FigureCanvasAgg(figure).draw()
        found.append((stem, figure, list(texts.values())))
    return found


def check_texts(figure, texts):
    assert len(texts) > 10
    boxes = [(text.get_text(), text.get_window_extent()) for text in texts]
    for name, box in boxes:
        assert box.x0 >= -1, name
        assert box.y0 >= -1, name
        assert box.x1 <= figure.bbox.width + 1, name
        assert box.y1 <= figure.bbox.height + 1, name
    for (one, here), (other, there) in itertools.combinations(boxes, 2):
        across = min(here.x1, there.x1) - max(here.x0, there.x0)
        up = min(here.y1, there.y1) - max(here.y0, there.y0)
        assert across <= 1 or up <= 1, f"{one!r} is on {other!r}"
    assert min(text.get_fontsize() for text in texts) >= 8


def check_marks(figure, sizes):
    """No mark of a mean is covered by one that is as large."""
    for axes in figure.axes:
        marks = [
            (*axes.transData.transform((line.get_xdata()[0], line.get_ydata()[0])), line.get_markersize())
            for line in axes.get_lines()
            if len(line.get_xdata()) == 1 and line.get_markersize() >= sizes and line.get_markeredgecolor() == "white"
        ]
        for (x, y, size), (x_2, y_2, size_2) in itertools.combinations(marks, 2):
            if math.dist((x, y), (x_2, y_2)) < 0.8 * CLOSE * DPI:
                assert size != size_2


def expected(kind, results):
    """Models that a kind of figure shows."""
    if kind is scores:
        return set(results.runs["model"]) - {REAL_DATA}
    if kind is frontier:
        return {model for sweep in sweeps(results.runs, results.frontier) for model in sweep.points["model"]}
    if kind is rounds:
        return set(rounds.rounds(results.runs, results.curves)["model"])
    return {model for section in learning(results.runs, results.curves) for model in section.lines["model"]}


@pytest.mark.parametrize(
    ("kind", "models", "figures"),
    [(scores, 28, 1), (frontier, 22, 1), (cost, 22, 2), (rounds, 9, 1)],
    ids=["scores", "frontier", "cost", "rounds"],
)
def test_every_model_is_there_and_no_text_is_on_another(kind, models, figures, arms):
    wanted = expected(kind, arms)
    assert len(wanted) == models
    found = drawn(kind, arms)
    assert len(found) == figures
    for _, figure, texts in found:
        check_texts(figure, texts)
        shown = {name for text in texts for name in (text.get_text(), text.get_text().split("\n")[0])}
        shown |= {name.removesuffix(" (control)").removesuffix(" (reference)") for name in shown}
        shown |= {" ".join(text.get_text().split()).removesuffix(" (control)") for text in texts}
        assert wanted <= shown
        check_marks(figure, 7)


@pytest.mark.parametrize("kind", [frontier, rounds], ids=["frontier", "rounds"])
def test_long_names_of_strangers_are_there_and_no_text_is_on_another(kind, strange):
    ((_, figure, texts),) = drawn(kind, strange)
    check_texts(figure, texts)
    joined = "".join("".join(text.get_text().split()) for text in texts)
    assert all("".join(name.split()) in joined for name in expected(kind, strange))


def test_few_models_share_a_panel_and_many_have_one_for_each_family():
    names = ["mle", "cnn-mle", "seqgan", "rloo", "ngram", "cot"]
    assert groups(names, styles_of(names)) == [("", names)]
    more = [*names, "a stranger", *(f"seqgan[rounds={rounds}]" for rounds in range(7))]
    found = groups(more, styles_of(more))
    assert sorted(name for group in found for name in group.models) == sorted(more)
    assert [group.title for group in found] == [
        "likelihood",
        "policy gradient on a discriminator, 1 of 2",
        "policy gradient on a discriminator, 2 of 2",
        "counts",
        "other adversarial training",
        OTHERS,
    ]
    assert max(len(group.models) for group in found) == TOGETHER


def test_a_mark_below_others_is_larger_than_each():
    assert nested([(0, 0), (1, 1), (0, 0.01), (0.01, 0)], 8) == [15, 8, 11.5, 8]
    assert nested([], 8) == []


def test_where_a_line_leaves_the_axes():
    assert leaving([0, 1, 2, 3, 4], [0, 4, 1, -3, 5], (-1, 2)) == [
        (0.5, 2, 1),
        (2.5, -1, -1),
        (pytest.approx(3.625), 2, 1),
    ]
    assert leaving([5, 6], [9, 0], (-1, 2)) == [(5, 2, 1)]
    assert leaving([0, 1], [0, 1], (-1, 2)) == []


# Machado, Oliveira and Fernandes (2009), for complete deuteranopia, protanopia and tritanopia; on linear RGB.
SEEN = {
    "usual": np.eye(3),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "tritanopia": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
}


def lab(colour, matrix):
    """CIE L*a*b* (D65) of a colour as it is seen."""
    rgb = np.array(to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    seen = np.clip(matrix @ linear, 0, 1)
    to_xyz = np.array(
        [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
    )
    ratio = to_xyz @ seen / np.array([0.95047, 1.0, 1.08883])
    x, y, z = np.where(ratio > (6 / 29) ** 3, np.cbrt(ratio), ratio / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("eyes", SEEN)
def test_colours_of_families_differ_for_all_eyes(eyes):
    for one, other in itertools.combinations((*PALETTE, STRANGERS), 2):
        assert np.linalg.norm(lab(one, SEEN[eyes]) - lab(other, SEEN[eyes])) > 15, (one, other)


def test_models_of_a_family_differ_without_any_colour(arms):
    styles = styles_of(arms.runs["model"])
    for colour in {style.colour for style in styles.values()}:
        marks = [style.marker for style in styles.values() if style.colour == colour]
        assert len(set(marks)) == len(marks) <= len(MARKERS)
