"""What is said of discriminators: near chance, or learnt by heart, or nothing."""

import pandas as pd
import pytest

from bench.analysis.critics import CHANCE, HEART, critics
from bench.reports import markdown
from bench.reports.pages import critics as critics_page

NAMES = [f"{score}_{side}" for score in ("p_real", "d_accuracy") for side in ("train", "valid", "samples")]


def curves(*runs, model="seqgan"):
    """Curves of one model: for each seed, lines of the six scores."""
    return pd.DataFrame(
        [
            {"run_id": f"{model}{seed}", "task": "oracle", "preset": "quick", "model": model, "seed": seed,
             "phase": "adversarial", "step": step, "name": name, "value": value}
            for seed, lines in enumerate(runs)
            for step, line in enumerate(lines)
            for name, value in zip(NAMES, line, strict=True)
        ]
    )  # fmt: skip


def test_the_last_step_of_each_seed_counts():
    early, one, two = [0.9] * 6, [0.6, 0.5, 0.4, 0.8, 0.7, 0.9], [0.8, 0.7, 0.2, 0.8, 0.5, 0.7]
    (found,) = critics(curves([early, one], [early, early, two]))
    assert found.seeds == 2
    assert found.p_real == pytest.approx((0.7, 0.6, 0.3))
    assert found.held_out == pytest.approx((0.7 + 0.5 + 0.9 + 0.7) / 4)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ([0.7, 0.7, 0.3, 0.8, 0.8, 0.8], []),
        ([0.52, 0.51, 0.5, 0.6, 0.56, 0.6], ["near chance: it is right about 58%"]),
        ([0.52, 0.51, 0.5, 0.6, CHANCE, CHANCE], []),
        (
            [0.93, 0.68, 0.3, 0.95, 0.7, 0.73],
            ["by heart: P(real) is 0.93 on training sequences and 0.68 on validation"],
        ),
        ([0.6 + HEART, 0.6, 0.3, 0.95, 0.7, 0.73], []),
        ([0.9, 0.5, 0.5, 0.95, 0.5, 0.5], ["by heart"]),
    ],
)
def test_in_words(line, words):
    (found,) = critics(curves([line]))
    assert len(found.words) == len(words)
    assert all(part in told for part, told in zip(words, found.words, strict=True))
    page = markdown.render(critics_page.page(curves([line])))
    assert page.count("The discriminator of `seqgan`") == len(words)
    assert f"| {line[0]:.3f} " in " ".join(page.split())


def test_models_without_a_discriminator_are_left_out():
    none = curves([[0.5] * 6]).assign(name="nll_valid")
    assert critics(none) == []
    assert critics_page.page(none) == []
    part = curves([[0.5] * 6])
    assert critics(part[part["name"] != "p_real_valid"]) == []
