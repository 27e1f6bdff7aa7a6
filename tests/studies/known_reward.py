"""How near estimators of the policy gradient come to an optimum that is known, at equal cost.

``python tests/studies/known_reward.py --output FOLDER`` trains a small pre-trained language model G0 on a fixed reward
R of short sequences, minus ``beta`` times the divergence from G0. All V^T sequences can be listed, so the optimum G* is
known: G*(Y) = G0(Y) exp(R(Y) / beta) / Z, with the value beta log Z. So are the value of every policy on the way and
its divergence from the optimum: nothing is estimated but the gradients. Every estimator is the generators' own code and
gets the same objective: the reward that it sees is R(Y) - beta (log G(Y) - log G0(Y)), whose expectation is the value.
Only ``grpo-in-loss`` leaves the divergence in its loss, as its paper does. Step size and batch are chosen for each
estimator on problems that are not reported. Cost is counted by the harness's session: every token that a network reads
or draws, where the reward counts as one that reads each finished sequence.

It writes ``known-reward.csv`` (every point of every run), ``known-reward.md`` (the table) and ``known-reward.png``.
"""

from __future__ import annotations

import argparse
import copy
import csv
import io
import itertools
import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from scipy import stats
from torch import Tensor

from baselines.without_rollouts import ClippedGradient, Gradient, TerminalGradient, leave_one_out
from bench.runs.session import Session
from bench.tasks.toy import Toy
from seqgan.lm import LSTMLanguageModel
from seqgan.mle import MLE, Descent, adam, trainable
from seqgan.policy_gradient import PolicyGradient

SETTINGS = tuple(itertools.product((0.003, 0.01, 0.03), (8, 64)))
"""Step sizes and batches that are tried for each estimator, on problems after those that are reported."""
TUNED_ON = 2
"""Problems on which a setting is tried."""
CLIP_NORM = 5.0
"""Largest norm of a gradient, as in the generators."""
POINTS = 20
"""Points of a curve, at costs that double every two points."""
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F5F3F")


@dataclass(frozen=True)
class Size:
    """What is trained, and on how much.

    Attributes:
        vocab: V.
        length: T; all V^T sequences are listed.
        beta: Weight of the divergence from the start.
        tokens: Cost after which a run ends.
        seeds: Problems that are reported.
        exact_steps: Steps of the exact gradient.
    """

    vocab: int = 8
    length: int = 6
    beta: float = 0.5
    tokens: int = 1_000_000
    seeds: int = 5
    exact_steps: int = 500


def every_log_prob(model: LSTMLanguageModel) -> Tensor:
    """Log-probability of every sequence in lexicographic order, float64 (V^T,), with gradient."""
    words, length = model.spec.vocab_size, model.spec.seq_len
    state = model.initial_state(1)
    last, total = torch.tensor([model.spec.bos]), torch.zeros(1, dtype=torch.float64)
    for position in range(length):
        state = model.read(last, state)
        law = torch.log_softmax(model.output(state[0]).double(), -1)  # (V^t, V)
        total = (total[:, None] + law).flatten()
        if position + 1 < length:
            last = torch.arange(words).repeat(len(law))
            hidden, cell = state
            state = hidden.repeat_interleave(words, 0), cell.repeat_interleave(words, 0)
    return total


@dataclass(frozen=True)
class Problem:
    """A pre-trained policy, a reward, and the optimum between them.

    Attributes:
        start: G0.
        neighbours: Reward of each pair of neighbours, float32 (V, V).
        ends: Reward of the pair of first and last word, (V, V): nothing before the last word tells it.
        beta: Weight of the divergence from G0.
    """

    start: LSTMLanguageModel
    neighbours: Tensor
    ends: Tensor
    beta: float
    rewards: Tensor = field(init=False)
    start_log_prob: Tensor = field(init=False)

    def __post_init__(self) -> None:
        spec = self.start.spec
        sequences = torch.cartesian_prod(*[torch.arange(spec.vocab_size)] * spec.seq_len)
        object.__setattr__(self, "rewards", self.reward(sequences).double())
        with torch.no_grad():
            object.__setattr__(self, "start_log_prob", every_log_prob(self.start))

    def reward(self, tokens: Tensor) -> Tensor:
        """R(Y): int64 (N, T) to float32 (N,). Its standard deviation over all sequences is near 1."""
        pairs = self.neighbours[tokens[:, :-1], tokens[:, 1:]].sum(-1) + 2 * self.ends[tokens[:, 0], tokens[:, -1]]
        return pairs / math.sqrt(tokens.shape[1] + 3)

    @property
    def optimum(self) -> float:
        """The largest value that any distribution has: beta log Z."""
        return self.beta * float(torch.logsumexp(self.start_log_prob + self.rewards / self.beta, 0))

    @property
    def optimum_log_prob(self) -> Tensor:
        """Log-probability of every sequence under the best distribution, float64 (V^T,)."""
        weights = self.start_log_prob + self.rewards / self.beta
        return weights - torch.logsumexp(weights, 0)

    def value(self, log_prob: Tensor) -> Tensor:
        """E R - beta KL(G || G0) of a policy, given :func:`every_log_prob` of it: a scalar."""
        return (log_prob.exp() * (self.rewards - self.beta * (log_prob - self.start_log_prob))).sum()


def problem(seed: int, size: Size) -> Problem:
    """The problem of a seed: a Markov chain, a language model of 1,000 sequences of it, and a random reward."""
    data = Toy(vocab_size=size.vocab, seq_len=size.length, draw=seed, train_size=1_000).load().training
    start = Session(f"known-reward/{seed}").train(MLE(epochs=10, reshuffle=True), data)
    rng = torch.Generator().manual_seed(seed)
    neighbours, ends = torch.randn(2, size.vocab, size.vocab, generator=rng)
    return Problem(start, neighbours, ends, size.beta)


@dataclass(frozen=True)
class Arm:
    """An estimator.

    Attributes:
        make: From the policy's descent, the batch and the problem to its steps.
        penalized: Whether the reward that it sees has the divergence in it.
    """

    make: Callable[[Descent, int, Problem], Gradient]
    penalized: bool = True


def rollouts(number: int, baseline: bool = False) -> Arm:
    """SeqGAN's action values; with ``baseline`` minus the batch's mean at each position."""
    return Arm(lambda descent, batch, given: PolicyGradient(descent, batch, number, baseline=baseline))


ARMS = {
    "reinforce": Arm(lambda descent, batch, given: TerminalGradient(descent, batch, lambda rewards: rewards)),
    "rollouts-4": rollouts(4),
    "rollouts-16": rollouts(16),
    "rollouts-4, baseline": rollouts(4, baseline=True),
    "rloo": Arm(lambda descent, batch, given: TerminalGradient(descent, batch, leave_one_out)),
    "grpo": Arm(lambda descent, batch, given: ClippedGradient(descent, batch, 4, 0.2)),
    "grpo-in-loss": Arm(
        lambda descent, batch, given: ClippedGradient(descent, batch, 4, 0.2, given.beta, given.start), penalized=False
    ),
}
EXACT = "exact gradient"
Row = dict[str, Any]


def measured(given: Problem, policy: LSTMLanguageModel) -> Row:
    """Where a policy is, exactly: its value, what share of the possible gain that is, and its divergences."""
    with torch.no_grad():
        log_prob = every_log_prob(policy)
    law, beginning = log_prob.exp(), float(given.value(given.start_log_prob))
    value = float(given.value(log_prob))
    return {
        "value": value,
        "start": beginning,
        "optimum": given.optimum,
        "share": (value - beginning) / (given.optimum - beginning),
        "reward": float((law * given.rewards).sum()),
        "kl_start": float((law * (log_prob - given.start_log_prob)).sum()),
        "kl_optimum": float((law * (log_prob - given.optimum_log_prob)).sum()),
    }


def train(name: str, given: Problem, seed: int, lr: float, batch: int, size: Size) -> list[Row]:
    """One run of an estimator: a row at its start, at rising costs, and at its end."""
    policy, run = copy.deepcopy(given.start), Session(f"known-reward/{seed}/{name}")
    policy.lstm.flatten_parameters()
    arm = ARMS[name]
    gradient = arm.make(Descent(policy, adam(policy, lr), CLIP_NORM), batch, given)

    def reward(tokens: Tensor) -> Tensor:
        found = given.reward(tokens)
        if not arm.penalized:
            return found
        with run.measure(penalty_tokens=2 * tokens.numel()):
            divergence = policy.log_prob(tokens) - given.start.log_prob(tokens)
        return found - given.beta * divergence

    def spent() -> int:
        return run.cost.tokens or 0

    def row(steps: int) -> Row:
        about: Row = {"estimator": name, "seed": seed, "lr": lr, "batch": batch, "tokens": spent()}
        return about | {"steps": steps, "sequences": steps * batch} | measured(given, policy)

    rows, steps = [row(0)], 0
    due = [size.tokens * 2 ** (-point / 2) for point in range(POINTS)]
    while spent() < size.tokens:
        gradient.step(reward, run, reads=True)
        steps += 1
        if spent() >= due[-1]:
            while len(due) > 1 and spent() >= due[-1]:
                due.pop()
            rows.append(row(steps))
    return rows


def climb(given: Problem, seed: int, lr: float, size: Size) -> list[Row]:
    """The same network, up the exact gradient of the value: what it can reach without any noise."""
    policy = copy.deepcopy(given.start)
    optimizer = torch.optim.Adam(trainable(policy), lr=lr)
    for _ in range(size.exact_steps):
        optimizer.zero_grad()
        (-given.value(every_log_prob(policy))).backward()
        optimizer.step()
    about: Row = {"estimator": EXACT, "seed": seed, "lr": lr, "batch": 0, "tokens": 0}
    return [about | {"steps": size.exact_steps, "sequences": 0} | measured(given, policy)]


def study(
    size: Size, names: Sequence[str] = tuple(ARMS), settings: Sequence[tuple[float, int]] = SETTINGS
) -> list[Row]:
    """Choose each estimator's step size and batch, and run it on every problem."""
    problems = {seed: problem(seed, size) for seed in range(size.seeds + (TUNED_ON if len(settings) > 1 else 0))}
    tuning, rows = list(problems)[size.seeds :], []
    for name in names:
        worth = {
            setting: [train(name, problems[seed], seed, *setting, size)[-1]["share"] for seed in tuning]
            for setting in settings
        }
        chosen = max(settings, key=lambda one: sum(worth[one]))
        print(name, *(f"{lr:g}/{batch}: {spread(found)}" for (lr, batch), found in worth.items() if found), sep="; ")
        for seed in range(size.seeds):
            rows += train(name, problems[seed], seed, *chosen, size)
    for seed in range(size.seeds):
        rows += climb(problems[seed], seed, 0.01, size)
    return rows


def runs_of(rows: Sequence[Row], name: str) -> list[list[Row]]:
    """The runs of an estimator, each in the order of its costs."""
    seeds = sorted({row["seed"] for row in rows if row["estimator"] == name})
    return [[row for row in rows if row["estimator"] == name and row["seed"] == seed] for seed in seeds]


def names_of(rows: Sequence[Row]) -> list[str]:
    """The estimators in the order in which they were run."""
    return list(dict.fromkeys(row["estimator"] for row in rows))


def at(run: Sequence[Row], column: str, place: float, value: str = "share") -> float:
    """The value of the last point of a run that is not after ``place`` in ``column``."""
    return float([row for row in run if row[column] <= place][-1][value])


def spread(values: Sequence[float], digits: int = 3) -> str:
    """Mean and the half-width of its 95 % t interval."""
    mean = f"{statistics.mean(values):.{digits}f}"
    if len(values) < 2:
        return mean
    half = stats.t.ppf(0.975, len(values) - 1) * statistics.stdev(values) / math.sqrt(len(values))
    return f"{mean} ± {half:.{digits}f}"


def table(rows: Sequence[Row]) -> str:
    """The results as a Markdown table."""
    names = names_of(rows)
    lines = [
        "| estimator | step size | batch | tokens a step | steps | share of the gain | KL(G, G*), nats |",
        "| --- | --: | --: | --: | --: | --: | --: |",
    ]
    for name in names:
        runs = runs_of(rows, name)
        ends = [run[-1] for run in runs]
        about = f"| {name} | {ends[0]['lr']:g} | "
        share, kl = (spread([end[column] for end in ends]) for column in ("share", "kl_optimum"))
        steps = f"{statistics.mean(end['steps'] for end in ends):,.0f}"
        if name == EXACT:
            lines.append(f"{about} | | {steps} | {share} | {kl} |")
            continue
        cost = statistics.mean(end["tokens"] / end["steps"] for end in ends)
        lines.append(f"{about}{ends[0]['batch']} | {cost:,.0f} | {steps} | {share} | {kl} |")
    return "\n".join(lines) + "\n"


def draw(rows: Sequence[Row], size: Size) -> bytes:
    """Share of the gain and divergence from the optimum over cost, and the share over sequences: a PNG file."""
    figure = Figure(figsize=(14.5, 4.2), layout="constrained")
    panels = figure.subplots(1, 3)
    for index, name in enumerate(name for name in names_of(rows) if name != EXACT):
        runs = runs_of(rows, name)
        for axes, column, value in zip(
            panels, ("tokens", "tokens", "sequences"), ("share", "kl_optimum", "share"), strict=True
        ):
            last = min(run[-1][column] for run in runs)
            first = max(run[1][column] for run in runs)
            places = [place for run in runs[:1] for row in run[1:] if first <= (place := row[column]) <= last] or [last]
            lines = torch.tensor([[at(run, column, place, value) for place in places] for run in runs])
            colour = PALETTE[index % len(PALETTE)]
            axes.plot(places, lines.mean(0), color=colour, label=name, marker=".", markersize=4, linewidth=1.4)
            axes.fill_between(places, lines.amin(0), lines.amax(0), color=colour, alpha=0.15, linewidth=0)
    reached = statistics.mean(run[-1]["share"] for run in runs_of(rows, EXACT))
    labels = ("tokens read or drawn", "tokens read or drawn", "sequences learnt from")
    for axes, label in zip(panels, labels, strict=True):
        axes.set_xscale("log")
        axes.set_xlabel(label)
        axes.grid(color="#e6e6e6", linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
    for axes in (panels[0], panels[2]):
        axes.axhline(1, color="#333333", linewidth=1.2, label="the optimum")
        axes.axhline(reached, color="#888888", linewidth=1, linestyle="--", label="the network up the exact gradient")
        axes.set_ylim(-0.05, 1.05)
        axes.set_ylabel("share of the possible gain")
    panels[1].set_yscale("log")
    panels[1].set_ylabel("KL(G, G*), nats")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside right center", fontsize=8, frameon=False)
    figure.suptitle(
        f"V = {size.vocab}, T = {size.length}, beta = {size.beta:g}: mean of {size.seeds} problems, and their range",
        fontsize=10,
    )
    image = io.BytesIO()
    figure.set_dpi(130)
    FigureCanvasAgg(figure).print_png(image, metadata={"Software": None})
    return image.getvalue()


def write(rows: Sequence[Row], size: Size, folder: Path) -> None:
    """Write ``known-reward.csv``, ``known-reward.md`` and ``known-reward.png``."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "known-reward.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0].keys(), lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: f"{v:.6g}" if isinstance(v, float) else v for name, v in row.items()} for row in rows)
    (folder / "known-reward.md").write_text(table(rows), encoding="utf-8")
    (folder / "known-reward.png").write_bytes(draw(rows, size))


def main() -> None:
    """Run the study and write its files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True, help="folder of the three files")
    for name, value in vars(Size()).items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(value), default=value)
    chosen = vars(parser.parse_args())
    folder, size = chosen.pop("output"), Size(**chosen)
    torch.set_num_threads(1)
    rows = study(size)
    write(rows, size, folder)
    print(table(rows))


if __name__ == "__main__":
    main()
