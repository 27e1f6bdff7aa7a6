"""What each round of policy gradient changes, and what the discriminator knows: the figures of the study's mechanism.

``python tests/studies/mechanism.py STUDY --output FOLDER`` reads the records of the study (``docs/study.md`` says how
to unpack them), trains nothing, and draws

- ``mechanism-entropy.png``: ``nll_oracle`` against the entropy of the policy, round by round: how much of its fall goes
  with a fall of entropy, whatever the reward;
- ``mechanism-early.png``: the held-out NLL of the first rounds, in which rewards with a discriminator and rewards
  without one differ in sign;
- ``mechanism-critic.png``: what the discriminator takes for real, among training sequences, held-out sequences and
  samples: what it has learnt by heart.

Lines are means over seeds; bands are from the lowest to the highest seed.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterable
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from bench.library import load

__all__ = ["arm", "draw", "rounds"]

PHASES = ("adversarial", "policy-gradient")
"""Phases whose steps are rounds."""
FIRST = 30
"""Rounds that count as early."""
STYLES = {
    "constant-reward": ("#D55E00", "-", "o"),
    "constant-reward, lr=0.006": ("#D55E00", "--", "s"),
    "random-reward": ("#E69F00", "-", "^"),
    "random-reward-baselined": ("#E69F00", "--", "v"),
    "permuted-reward, 20 updates": ("#CC79A7", "-", "p"),
    "seqgan, 0 updates": ("#56B4E9", ":", "P"),
    "seqgan, 20 updates": ("#56B4E9", "-", "D"),
    "seqgan, 100 updates": ("#0072B2", "--", "X"),
    "seqgan, 313 updates": ("#0072B2", "-", "*"),
    "seqgan, 4695 updates": ("#000000", "-", "h"),
}
"""Arms that are drawn, those of a discriminator in blues, with the updates that it gets a round."""
LEAST = 1e-5
"""Lower probabilities are not told apart on the axis."""
FAR = ("seqgan, 0 updates",)
"""Arms that collapse, and would squeeze the axes that others share."""


def arm(label: str) -> str:
    """The model, and where it has a discriminator the number of updates that this gets a round.

    Example:
        >>> arm("seqgan[d_epochs=1, d_samples=640, d_steps=1, mode=triton]")
        'seqgan, 20 updates'
    """
    name, _, fields = label.rstrip("]").partition("[")
    by_hand = [field for field in fields.split(", ") if field and not field.startswith("mode=")]
    if name not in ("seqgan", "permuted-reward"):
        return f"{name}, {', '.join(by_hand)}" if by_hand else name
    of = {"d_steps": "5", "d_epochs": "3", "d_samples": "10000", **dict(field.split("=") for field in by_hand)}
    return f"{name}, {int(of['d_steps']) * int(of['d_epochs']) * -(-2 * int(of['d_samples']) // 64)} updates"


def rounds(curves: pd.DataFrame) -> pd.DataFrame:
    """One line for each arm, seed and round, a column for each value; round 0 is the end of maximum likelihood.

    Args:
        curves: Those of a results folder.
    """
    labelled = curves.assign(arm=curves["model"].map(arm))
    found = labelled[labelled["phase"].isin(PHASES)]
    begun = labelled[(labelled["phase"] == "mle") & labelled["arm"].isin(found["arm"].unique())]
    last = begun.groupby(["arm", "seed"])["step"].transform("max")
    start = begun[(begun["step"] == last) & begun["name"].isin(["nll_oracle", "nll_valid", "jsd_valid"])]
    both = pd.concat([start.assign(step=0), found])
    return both.pivot_table(index=["arm", "seed", "step"], columns="name", values="value").reset_index()


def draw(curves: pd.DataFrame) -> dict[str, Figure]:
    """The figures by the names of their files.

    Args:
        curves: Those of the study.
    """
    lines = rounds(curves)
    return {
        "mechanism-entropy": _entropy(lines),
        "mechanism-early": _early(lines),
        "mechanism-critic": _critic(lines),
    }


def _entropy(lines: pd.DataFrame) -> Figure:
    """Trajectories in the plane of entropy and ``nll_oracle``, means over seeds."""
    figure, axes = _figure("entropy of the policy, nats a token", "nll_oracle, nats a token")
    scored = lines.dropna(subset=["nll_oracle", "entropy"])
    for name in _there(scored, without=FAR):
        means = scored[scored["arm"] == name].groupby("step")[["entropy", "nll_oracle"]].mean()
        colour, dashes, mark = STYLES[name]
        axes.plot(
            means["entropy"], means["nll_oracle"], dashes, color=colour, linewidth=1.2, label=_named(scored, name)
        )
        axes.plot(means["entropy"].iloc[-1:], means["nll_oracle"].iloc[-1:], mark, color=colour, markersize=7)
    axes.invert_xaxis()
    left_out = "".join(f"; {name}, which collapses, is left out" for name in FAR if name in set(scored["arm"]))
    axes.set_title(f"Each arm begins at the left and ends at its mark{left_out}", fontsize=9)
    axes.legend(fontsize=7, frameon=False)
    return figure


def _early(lines: pd.DataFrame) -> Figure:
    """The change of held-out NLL in the first rounds."""
    figure, axes = _figure("round of policy gradient", "change of nll_valid, nats a token")
    early = lines[lines["step"] <= FIRST].dropna(subset=["nll_valid"])
    start = early[early["step"] == 0].set_index(["arm", "seed"])["nll_valid"]
    change = early["nll_valid"] - start.loc[[*zip(early["arm"], early["seed"], strict=True)]].to_numpy()
    _bands(axes, early.assign(change=change), "change")
    axes.axhline(0, color="grey", linewidth=0.8)
    axes.legend(fontsize=7, frameon=False)
    return figure


def _critic(lines: pd.DataFrame) -> Figure:
    """What the discriminator takes for real, a panel for each kind of sequence."""
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    judged = lines.dropna(subset=["p_real_valid"])
    for place, (side, title) in enumerate(
        (("train", "training sequences"), ("valid", "held-out sequences"), ("samples", "its own samples")), start=1
    ):
        axes = figure.add_subplot(1, 3, place)
        _bands(axes, judged, f"p_real_{side}")
        axes.set(xlabel="round", title=title)
        if side == "train":
            axes.set_ylim(0, 1.05)
        else:
            axes.set_yscale("log")
            axes.set_ylim(LEAST, 1.5)
        axes.spines[["top", "right"]].set_visible(False)
        if place == 1:
            axes.set_ylabel("P(real)")
            axes.legend(fontsize=7, frameon=False)
    return figure


def _bands(axes: Axes, lines: pd.DataFrame, column: str) -> None:
    """The mean over seeds of each arm, and from the lowest to the highest."""
    for name in _there(lines):
        own = lines[lines["arm"] == name].groupby("step")[column].agg(["mean", "min", "max"])
        colour, dashes, mark = STYLES[name]
        axes.plot(
            own.index, own["mean"], dashes, color=colour, marker=mark, markersize=4, markevery=max(1, len(own) // 6),
            linewidth=1.2, label=_named(lines, name),
        )  # fmt: skip
        axes.fill_between(own.index, own["min"], own["max"], color=colour, alpha=0.12, linewidth=0)


def _there(lines: pd.DataFrame, without: Iterable[str] = ()) -> list[str]:
    known = set(lines["arm"]) - set(without)
    return [name for name in STYLES if name in known]


def _named(lines: pd.DataFrame, name: str) -> str:
    return f"{name} (n = {lines.loc[lines['arm'] == name, 'seed'].nunique()})"


def _figure(x: str, y: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(6.4, 4.4), layout="constrained")
    axes = figure.add_subplot()
    axes.set(xlabel=x, ylabel=y)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _write(figures: dict[str, Figure], folder: Path, say: Callable[[str], None]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, figure in figures.items():
        figure.set_dpi(150)
        path = folder / f"{re.sub(r'[^a-z-]', '', name)}.png"
        FigureCanvasAgg(figure).print_png(path, metadata={"Software": None})  # type: ignore[no-untyped-call]
        say(str(path))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("study", type=Path, help="results folder with the study's records")
    parser.add_argument("--output", type=Path, required=True, help="folder for the figures")
    asked = parser.parse_args()
    _write(draw(load(asked.study).curves), asked.output, print)
