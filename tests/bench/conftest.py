"""What the tests of the harness share: the command line in this process, plugins, made-up runs and results."""

import contextlib
import io
import itertools
import sys
from dataclasses import dataclass
from typing import ClassVar

import hypothesis
import numpy as np
import pandas as pd
import pytest

from bench.analysis.results import Results
from bench.cli import main
from bench.plans import registry
from bench.records.frames import COSTS as SPENT
from bench.records.record import RunSpec

# The same examples in every run: a test that fails fails again. Machines are slow at times, so none is late.
hypothesis.settings.register_profile("repeatable", derandomize=True, deadline=None)
hypothesis.settings.load_profile("repeatable")


@dataclass(frozen=True)
class Answer:
    """The outcome of a command."""

    code: int
    out: str
    err: str


@pytest.fixture(scope="session")
def bench():
    """``bench ARGUMENTS`` in this process."""

    def call(*arguments):
        out, err = io.StringIO(), io.StringIO()
        with (
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
            pytest.raises(SystemExit) as ending,
        ):
            main([str(argument) for argument in arguments], prog_name="bench")
        return Answer(ending.value.code or 0, out.getvalue(), err.getvalue())

    return call


@pytest.fixture
def write_plugin(tmp_path, monkeypatch):
    """Writes modules into the test's own working directory, and unloads them afterwards."""
    folder = tmp_path / "plugins"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", ["", *sys.path])
    before = set(sys.modules)
    registry.forget()

    def write(name, source):
        path = folder / f"{name.replace('.', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source, encoding="utf-8")
        registry.forget()
        return path

    yield write
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", None) or "").startswith(str(folder)):
            del sys.modules[name]
    registry.forget()


@pytest.fixture
def make_spec():
    """A made-up specification of a run."""

    def make(**changes):
        fields = {
            "model": "mle",
            "target": "seqgan.mle:MLE",
            "source": "5" * 64,
            "config": {"lr": 0.01, "sizes": (1, 2)},
            "overrides": {},
            "task": "toy",
            "task_target": "bench.tasks.toy:Toy",
            "task_version": "1",
            "task_config": {"draw": 0},
            "task_overrides": {},
            "data": "fingerprint",
            "seed": 0,
            "preset": "smoke",
            "metrics": {"nll": "1"},
            "explicit_metrics": False,
            "samples": 200,
            "device": "cpu",
            "torch": "2.13.0",
            "budget": {},
        }
        return RunSpec(**{**fields, **changes})

    return make


@pytest.fixture
def no_figures(monkeypatch):
    """Draws no figures: drawing takes longer than the runs of these tests."""
    monkeypatch.setattr("bench.reports.figures.drawing.write_figures", lambda *_: [])


# Made-up results in the shape the store gives them: ``oracle`` has three seeds, two contenders that were scored, two
# controls, and all that can go wrong; ``quatrains`` has five seeds and two contenders, one of which is clearly better.

ENVIRONMENT = {
    "version": "0.1.0",
    "commit": "abc1234",
    "dirty": False,
    "device": "cpu",
    "machine": "AMD EPYC, 2 cores",
    "python": "3.11.7",
    "torch": "2.13.0",
    "settings": "epochs=5, lr=0.01",
    "tuned": "default settings",
    "samples": ["白 日", "3 4"],
    "threads": 2,
    "data": "d" * 64,
}
METRICS = {
    "jsd_token": ("nats/token", "lower", "n=10000|test=10000|v=2"),
    "nll_oracle": ("nats/token", "lower", "n=10000|v=1"),
    "nll_test": ("nats/token", "lower", "nll:1|n=10000"),
    "kl_forward": ("nats/token", "lower", "n=10000|test=10000|v=2"),
    "bleu2": ("", "higher", "n=10000|refs=test:10000|smooth=1"),
    "bleu4": ("", "higher", "n=10000|refs=test:10000|smooth=1"),
    "self_bleu4": ("", "real", "n=10000|smooth=1"),
    "copy_8gram": ("", "lower", "n=10000|train=10000|v=1"),
}
COSTS = {
    "seconds": ("s", "lower", "clock:1"),
    "train_tokens_per_second": ("tokens/s", "higher", "clock:1"),
    "rollouts_per_second": ("1/s", "higher", "clock:1"),
}
PRETRAINED = {
    "jsd_token": [0.0130, 0.0131, 0.0129],
    "nll_oracle": [9.12, 9.10, 9.14],
    "nll_test": [7.90, 7.92, 7.94],
    "kl_forward": [2.15, 2.17, 2.19],
    "bleu2": [0.55, 0.56, 0.57],
    "bleu4": [0.151, 0.152, 0.153],
    "self_bleu4": [0.160, 0.161, 0.162],
    "copy_8gram": [0.011, 0.012, 0.013],
}
MLE = {
    "jsd_token": [0.0120, 0.0122, 0.0118],
    "nll_oracle": [9.12, 9.10, 9.14],
    "nll_test": [7.70, 7.68, 7.72],
    "kl_forward": [1.95, 1.93, 1.97],
    "bleu2": [0.55, 0.56, 0.57],
    "bleu4": [0.151, 0.152, 0.153],
    "self_bleu4": [0.160, 0.161, 0.162],
    "copy_8gram": [0.014, 0.015, 0.016],
}
ORACLE = {  # model -> checkpoint -> metric -> one value for each seed
    "real data": {
        "final": {
            "nll_oracle": [5.75, 5.76, 5.74],
            "bleu2": [0.61] * 3,
            "bleu4": [0.2] * 3,
            "self_bleu4": [0.21] * 3,
            "copy_8gram": [1.0] * 3,
        }
    },
    "uniform": {
        "final": {
            "jsd_token": [0.25] * 3,
            "nll_oracle": [11.42, 11.43, 11.42],
            "nll_test": [8.517, 8.517, 8.517],
            "copy_8gram": [0.0] * 3,
            "seconds": [0.01] * 3,
        }
    },
    "constant-reward": {
        "final": PRETRAINED
        | {
            "jsd_token": [0.0160, 0.0161, 0.0162],
            "nll_oracle": [8.90, 8.91, 8.95],
            "nll_test": [8.20, 8.22, 8.24],
            "kl_forward": [2.45, 2.47, 2.49],
            "seconds": [4100.0, 4120.0, 4130.0],
            "train_tokens_per_second": [1240.0, 1310.0, 1290.0],
            "rollouts_per_second": [900.0, 905.0, 910.0],
        },
        "pretrained": PRETRAINED,
    },
    "mle": {
        "final": MLE | {"seconds": [1234.5, 1240.1, 1229.9], "train_tokens_per_second": [51234.0, 51300.0, 50999.0]},
        "selected": MLE,
    },
    "seqgan": {
        "final": {
            "jsd_token": [0.0180, 0.0190, 0.0170],
            "nll_oracle": [8.80, 8.71, 8.92],
            "nll_test": [8.35, 8.41, 8.30],
            "kl_forward": [2.60, 2.66, 2.55],
            "bleu2": [0.65, 0.66, 0.67],
            "bleu4": [0.251, 0.252, 0.253],
            "self_bleu4": [0.360, 0.361, 0.362],
            "copy_8gram": [0.021, 0.022, 0.023],
            "seconds": [4321.0, 4400.0, 4380.0],
            "train_tokens_per_second": [1234.5, 1300.0, 1299.0],
            "rollouts_per_second": [812.0, 820.0, 799.0],
        },
        "selected": PRETRAINED | {"jsd_token": [0.0140, 0.0142, 0.0144], "nll_test": [7.95, 7.97, 7.99]},
        "pretrained": PRETRAINED,
    },
    "uncertain": {"final": {"nll_oracle": [2.76], "bleu2": [0.99], "bleu4": [0.98], "self_bleu4": [1.0]}},
}
QUATRAINS = {
    "real data": {"final": {"bleu2": [0.4] * 5, "bleu4": [0.1] * 5, "self_bleu4": [0.11] * 5, "copy_8gram": [1.0] * 5}},
    "mle": {
        "final": {
            "nll_test": [3.10, 3.20, 3.15, 3.12, 3.18],
            "bleu2": [0.31, 0.32, 0.33, 0.32, 0.32],
            "bleu4": [0.070, 0.080, 0.075, 0.072, 0.078],
            "self_bleu4": [0.100, 0.105, 0.095, 0.101, 0.104],
            "copy_8gram": [0.05, 0.06, 0.05, 0.05, 0.06],
            "seconds": [12.3, 12.4, 12.5, 12.4, 12.4],
        }
    },
    "random": {
        "final": {
            "nll_test": [4.10, 4.21, 4.16, 4.11, 4.19],
            "bleu2": [0.11, 0.12, 0.13, 0.12, 0.12],
            "bleu4": [0.069, 0.081, 0.074, 0.073, 0.079],
            "self_bleu4": [0.010, 0.015, 0.009, 0.011, 0.014],
            "copy_8gram": [0.0] * 5,
            "seconds": [0.1] * 5,
        }
    },
}
CONTROLS = ("constant-reward", "uniform", "replay")
ABSENT = {"nll_test": "it has no log_prob", "rollouts_per_second": "it does no rollouts"}
FAILURE = "ValueError: expected a|b, got <None>"


def keys(task, model, seed):
    return {
        "run_id": f"{task}-{model}-{seed}",
        "group_id": f"{task}-{model}",
        "task": task,
        "model": model,
        "preset": "quick",
        "seed": seed,
    }


def score_rows(task, model, values_of):
    for checkpoint, values in values_of.items():
        asked = METRICS if checkpoint != "final" or model == "real data" else METRICS | COSTS
        seeds = max(len(per_seed) for per_seed in values.values())
        for metric, (unit, direction, signature) in asked.items():
            if metric not in values and metric not in ABSENT:
                continue
            for seed, value in enumerate(values.get(metric, [float("nan")] * seeds)):
                yield {
                    **keys(task, model, seed),
                    "checkpoint": checkpoint,
                    "kind": "cost" if metric in COSTS else "quality",
                    "metric": metric,
                    "value": value,
                    "absent": None if metric in values else ABSENT[metric],
                    "unit": unit,
                    "direction": direction,
                    "signature": signature,
                }


def run_row(task, model, seed, status="ok", reason=None):
    return {
        **keys(task, model, seed),
        "role": "" if model == "real data" else "control" if model in CONTROLS else "contender",
        "status": status,
        "reason": reason,
        "finished": None if status == "started" else f"2025-01-0{seed + 1}T10:00:00+00:00",
        "selected": "adversarial 12" if model == "seqgan" else None,
        **ENVIRONMENT,
        "data": (str(seed) if task == "oracle" else "d") * 64,
    }


def curve_rows(task, model, seed, phases, names):
    seconds, updates = 0.0, 0
    for phase, (steps, cost) in phases.items():
        for step in range(1, steps + 1):
            seconds, updates = seconds + cost, updates + 10
            for name, (begin, end) in names[phase].items():
                value = begin + (end - begin) * (1 - 0.9 ** (40 * step / steps)) + 0.02 * seed
                yield {
                    **keys(task, model, seed),
                    "phase": phase,
                    "step": step,
                    "seconds": seconds * (1 + 0.02 * seed),
                    "tokens": 64.0 * 20 * updates,
                    "updates": float(updates),
                    "name": name,
                    "value": value,
                }


def frontier_rows(task, model, seed, quality, coverage):
    for temperature, metric in itertools.product((0.7, 1.0, 1.3), ("nll_oracle", "nll_test")):
        unit, direction, signature = METRICS[metric]
        sharper = 2 * (temperature - 1) if metric == "nll_oracle" else 4 * (1 - temperature) ** 2
        yield {
            **keys(task, model, seed),
            "temperature": temperature,
            "kind": "quality",
            "metric": metric,
            "value": (quality if metric == "nll_oracle" else coverage) + sharper + 0.01 * seed,
            "absent": None,
            "unit": unit,
            "direction": direction,
            "signature": signature,
        }


@pytest.fixture(scope="session")
def results() -> Results:
    """Made-up results, read-only: tests that need other results change copies of the frames."""
    runs, scores, curves, frontier = [], [], [], []
    for task, models in (("quatrains", QUATRAINS), ("oracle", ORACLE)):
        for model, values_of in models.items():
            rows = list(score_rows(task, model, values_of))
            scores += rows
            runs += [run_row(task, model, seed) for seed in sorted({row["seed"] for row in rows})]
    runs += [run_row("oracle", "broken", seed, "failed", FAILURE) for seed in range(3)]
    runs += [run_row("oracle", "replay", seed, "failed", "MemoryError: no room") for seed in range(3)]
    runs += [run_row("quatrains", "pg-bleu", 0, "skipped", "it needs an oracle")]
    runs += [run_row("oracle", "uncertain", 1, "failed", "OutOfMemoryError: no room")]
    pretraining = {"nll_oracle": (11.4, 9.12), "nll_valid": (8.6, 7.7)}
    adversarial = {"nll_oracle": (9.12, 8.8), "nll_valid": (7.7, 8.4), "reward": (0.2, 0.5)}
    judged = {"entropy": (3.0, 1.0), "d_accuracy": (0.9, 0.6)}
    phases = {"mle": (40, 30.0), "adversarial": (20, 150.0)}
    for seed in range(3):
        curves += curve_rows("oracle", "mle", seed, {"mle": (40, 30.0)}, {"mle": pretraining})
        names = {"mle": pretraining, "adversarial": adversarial}
        curves += curve_rows("oracle", "constant-reward", seed, phases, names)
        names["adversarial"] = adversarial | judged
        curves += curve_rows("oracle", "seqgan", seed, phases, names)
        curves += curve_rows("quatrains", "mle", seed, {"mle": (10, 1.2)}, {"mle": {"nll_valid": (6.0, 3.1)}})
        frontier += frontier_rows("oracle", "mle", seed, 9.12, 7.70)
        frontier += frontier_rows("oracle", "seqgan", seed, 8.80, 8.35)
    return Results(*(pd.DataFrame(rows) for rows in (runs, scores, curves, frontier)))


class MadeUp:
    """Curves of made-up runs: every step of a phase costs the same, and the values are known."""

    PRETRAINING = ("mle", 10, (30.0, 2e5, 100.0))
    PHASES: ClassVar = {  # model -> phases: name, steps, and what a step costs in seconds, tokens and updates
        "mle": [PRETRAINING],
        "seqgan": [PRETRAINING, ("adversarial", 5, (100.0, 1e5, 400.0))],
        "maligan": [PRETRAINING, ("adversarial", 8, (50.0, 1e5, 100.0))],
    }
    METRICS = ("jsd_valid", "nll_valid", "reward")

    @staticmethod
    def run(model, seed, phases, task="oracle", names=METRICS, counted=SPENT):
        """The rows of one run, in the order of training."""
        spent, done = np.zeros(3), 0
        for phase, steps, each in phases:
            for step in range(1, steps + 1):
                spent, done = spent + np.array(each) * (1 + 0.01 * seed, 1, 1), done + 1
                costs = dict(zip(SPENT, spent, strict=True))
                for index, name in enumerate(names):
                    value = 8 - index - np.log(done) / 3 + 0.01 * seed + (0.05 * step if phase == "adversarial" else 0)
                    yield {
                        **keys(task, model, seed),
                        "phase": phase,
                        "step": step,
                        **{cost: amount if cost in counted else float("nan") for cost, amount in costs.items()},
                        "name": name,
                        "value": value,
                    }

    @staticmethod
    def frames(*lines, controls=(), failed=()):
        """The frames of the runs and of their curves."""
        curves = pd.DataFrame(itertools.chain(*lines))
        runs = curves.drop_duplicates("run_id")[["run_id", "group_id", "task", "model", "preset", "seed"]].copy()
        runs["status"] = ["failed" if model in failed else "ok" for model in runs["model"]]
        runs["role"] = ["control" if model in controls else "contender" for model in runs["model"]]
        return runs, curves

    @classmethod
    def trained(cls, seeds=5, **others):
        """Every model, with that many seeds."""
        return [cls.run(model, seed, phases, **others) for model, phases in cls.PHASES.items() for seed in range(seeds)]


@pytest.fixture(scope="session")
def made():
    """Makes up curves."""
    return MadeUp


@pytest.fixture
def mixed(made):
    """Trained models, one that counts only seconds, a cheap control, an untrained model, and a text."""
    uncounted = [made.run("rollouts", seed, made.PHASES["seqgan"], counted=("seconds",)) for seed in range(5)]
    control = [made.run("constant", seed, [("mle", 2, (30.0, 2e5, 100.0))]) for seed in range(5)]
    untrained = [made.run("uniform", seed, [("count", 1, (0.1, 0, 0))]) for seed in range(5)]
    text = made.trained(task="poems", names=("nll_valid", "reward"))
    return made.frames(*made.trained(), *uncounted, *control, *untrained, *text, controls=("constant",))
