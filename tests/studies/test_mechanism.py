"""The study's figures are of the lines that they name, and round 0 is the end of maximum likelihood."""

import runpy
from pathlib import Path

import pandas as pd
import pytest

mechanism = runpy.run_path(str(Path(__file__).parent / "mechanism.py"))
SEQGAN = "seqgan[d_epochs=1, d_samples=640, d_steps=1, mode=triton]"


@pytest.fixture
def curves():
    """Two seeds of an arm with a discriminator, and of one without."""
    lines = []
    for label, phase in ((SEQGAN, "adversarial"), ("constant-reward", "policy-gradient")):
        for seed in (0, 1):
            for step in (60, 120):
                lines += [(label, seed, "mle", step, "nll_valid", 9.0 - step / 1000 + seed)]
            for step in (1, 10, 20):
                lines += [(label, seed, phase, step, "entropy", 6 - step / 100)]
                lines += [(label, seed, phase, step, "nll_valid", 9.0 + seed + step / 10)]
                lines += [(label, seed, phase, step, "nll_oracle", 9.0 - step / 50)]
                if phase == "adversarial":
                    lines += [
                        (label, seed, phase, step, f"p_real_{side}", 0.5) for side in ("train", "valid", "samples")
                    ]
    return pd.DataFrame(lines, columns=["model", "seed", "phase", "step", "name", "value"])


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("seqgan[mode=triton]", "seqgan, 4695 updates"),
        (SEQGAN, "seqgan, 20 updates"),
        ("seqgan[d_steps=0]", "seqgan, 0 updates"),
        (SEQGAN.replace("seqgan", "permuted-reward"), "permuted-reward, 20 updates"),
        ("constant-reward[lr=0.006, mode=triton]", "constant-reward, lr=0.006"),
        ("random-reward[mode=triton]", "random-reward"),
    ],
)
def test_arms_are_named_by_what_differs(label, name):
    assert mechanism["arm"](label) == name
    assert name in mechanism["STYLES"]


def test_round_0_is_the_end_of_maximum_likelihood(curves):
    lines = mechanism["rounds"](curves).set_index(["arm", "seed", "step"])
    assert sorted(lines.index.unique("step")) == [0, 1, 10, 20]
    assert lines.loc[("constant-reward", 1, 0), "nll_valid"] == pytest.approx(9.0 - 0.12 + 1)
    assert lines.loc[("seqgan, 20 updates", 0, 10), "nll_oracle"] == pytest.approx(8.8)


def test_each_figure_has_each_arm_that_it_is_about(curves):
    figures = mechanism["draw"](curves)

    def named(name):
        axes = figures[name].axes[0]
        return {line.get_label().partition(" (")[0] for line in axes.get_lines() if " (n = 2)" in line.get_label()}

    both = {"seqgan, 20 updates", "constant-reward"}
    assert named("mechanism-entropy") == named("mechanism-early") == both
    assert named("mechanism-critic") == {"seqgan, 20 updates"}
    early = figures["mechanism-early"].axes[0].get_lines()
    (line,) = [each for each in early if each.get_label().startswith("constant")]
    assert line.get_ydata().tolist() == pytest.approx([0, 0.22, 1.12, 2.12])
