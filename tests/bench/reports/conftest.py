"""Small made-up frames in the shape the store gives them."""

from dataclasses import dataclass

import pandas as pd
import pytest


@dataclass(frozen=True)
class Frames:
    runs: pd.DataFrame
    scores: pd.DataFrame
    curves: pd.DataFrame

    def __iter__(self):
        return iter((self.runs, self.scores, self.curves))


ENVIRONMENT = {
    "version": "0.1.0",
    "commit": "abc1234",
    "dirty": False,
    "device": "cpu",
    "machine": "AMD EPYC, 2 cores",
    "python": "3.11.7",
    "torch": "2.13.0",
    "settings": "epochs=5, lr=0.01",
    "samples": ["白 日", "3 4"],
    "threads": 2,
}
METRICS = {
    "nll_oracle": ("nats/token", "lower", "nll:1|n=10000"),
    "nll_test": ("nats/token", "lower", "nll:1|n=10000"),
    "kl_forward": ("nats/sequence", "lower", "divergence:1|n=10000"),
    "bleu2": ("", "real", "bleu:1|n=10000|refs=10000|smooth=1"),
    "bleu4": ("", "real", "bleu:1|n=10000|refs=10000|smooth=1"),
    "self_bleu4": ("", "real", "self-bleu:1|n=10000|smooth=1"),
}
COSTS = {
    "seconds": ("s", "lower", "clock:1"),
    "train_tokens_per_second": ("tokens/s", "higher", "clock:1"),
    "rollouts_per_second": ("1/s", "higher", "clock:1"),
}
ORACLE = {  # model -> checkpoint -> metric -> one value a seed
    "real data": {"final": {"nll_oracle": [5.75, 5.76, 5.74], "bleu2": [0.61], "bleu4": [0.2], "self_bleu4": [0.21]}},
    "uniform": {
        "final": {"nll_oracle": [11.42, 11.43, 11.42], "nll_test": [8.517, 8.517, 8.517], "seconds": [0.01] * 3}
    },
    "mle": {
        "final": {
            "nll_oracle": [9.12, 9.10, 9.14],
            "nll_test": [7.70, 7.68, 7.72],
            "kl_forward": [39.1, 38.9, 39.0],
            "bleu2": [0.55, 0.56, 0.57],
            "bleu4": [0.151, 0.152, 0.153],
            "self_bleu4": [0.160, 0.161, 0.162],
            "seconds": [1234.5, 1240.1, 1229.9],
            "train_tokens_per_second": [51234.0, 51300.0, 50999.0],
        }
    },
    "seqgan": {
        "final": {
            "nll_oracle": [8.80, 8.71, 8.92],
            "nll_test": [8.35, 8.41, 8.30],
            "kl_forward": [52.1, 53.0, 51.2],
            "bleu2": [0.65, 0.66, 0.67],
            "bleu4": [0.251, 0.252, 0.253],
            "self_bleu4": [0.360, 0.361, 0.362],
            "seconds": [4321.0, 4400.0, 4380.0],
            "train_tokens_per_second": [1234.5, 1300.0, 1299.0],
            "rollouts_per_second": [812.0, 820.0, 799.0],
        },
        "pretrained": {
            "nll_oracle": [9.12, 9.10, 9.14],
            "nll_test": [7.90, 7.92, 7.94],
            "kl_forward": [43.1, 43.4, 43.8],
            "bleu2": [0.55, 0.56, 0.57],
            "bleu4": [0.151, 0.152, 0.153],
            "self_bleu4": [0.160, 0.161, 0.162],
        },
    },
    "uncertain": {"final": {"nll_oracle": [2.76], "bleu2": [0.99], "bleu4": [0.98], "self_bleu4": [1.0]}},
}
QUATRAINS = {
    "real data": {"final": {"bleu2": [0.4] * 3, "bleu4": [0.1] * 3, "self_bleu4": [0.11] * 3}},
    "mle": {
        "final": {
            "nll_test": [3.10, 3.20, 3.15],
            "bleu2": [0.31, 0.32, 0.33],
            "bleu4": [0.07, 0.08, 0.075],
            "self_bleu4": [0.08, 0.09, 0.1],
            "seconds": [12.3, 12.4, 12.5],
        }
    },
}
ABSENT = {"nll_test": "it has no log_prob", "rollouts_per_second": "it does no rollouts"}
FAILURE = "ValueError: expected a|b, got <None>"


def score_rows(task, model, values_of):
    for checkpoint, values in values_of.items():
        asked = METRICS if checkpoint == "pretrained" or model == "real data" else METRICS | COSTS
        seeds = max(len(per_seed) for per_seed in values.values())
        for metric, (unit, direction, signature) in asked.items():
            if metric not in values and metric not in ABSENT:
                continue
            for seed in range(seeds):
                value = values.get(metric, [float("nan")] * seeds)[min(seed, len(values.get(metric, [0] * seeds)) - 1)]
                yield {
                    "run_id": f"{task}-{model}-{seed}",
                    "group_id": f"{task}-{model}",
                    "task": task,
                    "model": model,
                    "preset": "quick",
                    "seed": seed,
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
        "run_id": f"{task}-{model}-{seed}",
        "group_id": f"{task}-{model}",
        "task": task,
        "model": model,
        "preset": "quick",
        "seed": seed,
        "status": status,
        "reason": reason,
        "finished": None if status == "started" else f"2025-01-0{seed + 1}T10:00:00+00:00",
        **ENVIRONMENT,
    }


def curve_rows(task, model, seed, phases, names):
    seconds = 0.0
    for phase, (steps, cost) in phases.items():
        for step in range(1, steps + 1):
            seconds += cost
            for name, (begin, end) in names[phase].items():
                value = begin + (end - begin) * (1 - 0.9 ** (40 * step / steps)) + 0.02 * seed
                yield {
                    "run_id": f"{task}-{model}-{seed}",
                    "group_id": f"{task}-{model}",
                    "task": task,
                    "model": model,
                    "preset": "quick",
                    "seed": seed,
                    "phase": phase,
                    "step": step,
                    "seconds": seconds * (1 + 0.02 * seed),
                    "name": name,
                    "value": value,
                }


@pytest.fixture
def frames() -> Frames:
    runs, scores, curves = [], [], []
    for task, models in (("quatrains", QUATRAINS), ("oracle", ORACLE)):
        for model, values_of in models.items():
            rows = list(score_rows(task, model, values_of))
            scores += rows
            runs += [run_row(task, model, seed) for seed in sorted({row["seed"] for row in rows})]
    runs += [run_row("oracle", "broken", seed, "failed", FAILURE) for seed in range(3)]
    runs += [run_row("quatrains", "pg-bleu", 0, "skipped", "it needs an oracle")]
    runs += [run_row("oracle", "uncertain", 1, "failed", "OutOfMemoryError: no room")]
    pretraining = {"nll_oracle": (11.4, 9.12), "nll_valid": (8.6, 7.7)}
    adversarial = {"nll_oracle": (9.12, 8.8), "nll_valid": (7.7, 8.4), "reward": (0.2, 0.5)}
    for seed in range(3):
        curves += curve_rows("oracle", "mle", seed, {"mle": (40, 30.0)}, {"mle": pretraining})
        phases = {"mle": (40, 30.0), "adversarial": (20, 150.0)}
        curves += curve_rows("oracle", "seqgan", seed, phases, {"mle": pretraining, "adversarial": adversarial})
        curves += curve_rows("quatrains", "mle", seed, {"mle": (10, 1.2)}, {"mle": {"nll_valid": (6.0, 3.1)}})
    return Frames(pd.DataFrame(runs), pd.DataFrame(scores), pd.DataFrame(curves))
