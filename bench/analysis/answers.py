"""What the leaderboard says in words: which differences are real, of the comparisons that were fixed beforehand.

For every metric of a task one family of comparisons is tested together: each contender against the reference arm, and
each that went through a shared pre-training against that (where the two are one checkpoint, once) and against the
control that had the same loop with a constant reward. Not all pairs: every further question makes the others harder to
answer. Controls have a family of their own, so that they cost the contenders nothing. A family is one metric's; the
headline metric is the one to conclude from, and the others explore. Copy rates have no verdicts, because to copy
little is no merit. The unit is the run, paired by seed; on synthetic tasks each seed has a draw of oracle and data of
its own.

What the constant reward is not: with a baseline it would teach nothing, so ``seqgan-baselined`` is held against the
constant reward without one, and what it gains is discriminator and variance reduction together. Under a budget it takes
more policy steps than SeqGAN, which pays for its discriminator.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass

import pandas as pd

from bench.analysis.catalogue import entry, headline, in_order
from bench.analysis.verdicts import BETTER, NOT_SEPARABLE, ONE_SEED, SIGNS, WORSE, Pair, Verdict, judge, separable_best
from bench.records.frames import FINAL, PRETRAINED, REAL_DATA, Row, as_rows, usable

__all__ = [
    "BOTH",
    "COLUMNS",
    "CONSTANT",
    "OWN",
    "REFERENCE",
    "Answer",
    "answers",
    "best",
    "in_headline",
    "listed",
    "rows_of",
    "seed_counts",
    "summary",
    "table",
]

REFERENCE = "mle"
"""The arm that all are held against."""
CONSTANT = "constant-reward"
"""The control with SeqGAN's steps and no discriminator."""
OWN = "its own pre-training"
BOTH = f"{REFERENCE} ({OWN})"
"""Where the reference arm and the pre-training are one checkpoint, as without a budget."""

COLUMNS = (
    *("task", "preset", "metric", "model", "role", "reference", "outcome", "mean", "low", "high", "n"),
    *("p", "corrected_p", "test", "family", "smallest_sign_flip_p", "probability_of_improvement", "needed"),
)

Seeds = dict[Hashable, float]
"""(Seed, signature) to value: what has no key in common does not compare."""
Values = dict[tuple[str, str], Seeds]
"""(Model, checkpoint) to its values."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A verdict and what it is about.

    Attributes:
        task: The task's label.
        preset: The preset's label.
        metric: The metric's name.
        unit: Its unit.
        role: "contender" or "control": which family it belongs to.
        verdict: The verdict.
    """

    task: str
    preset: str
    metric: str
    unit: str
    role: str
    verdict: Verdict


def answers(runs: pd.DataFrame, scores: pd.DataFrame) -> list[Answer]:
    """All verdicts, in order of task, preset, metric, role, model and reference.

    Metrics whose goal is the real data's value are left out: nearer is not beyond.

    Args:
        runs: One row a run.
        scores: One row for each (run, checkpoint, metric) of completed runs.
    """
    roles = {(row["task"], row["preset"], row["model"]): row["role"] for row in as_rows(runs)}
    quality = scores[(scores["kind"] == "quality") & usable(scores)]
    found: list[Answer] = []
    for (task, preset), here in quality.groupby(["task", "preset"], sort=True):
        shared = _from_the_reference(here)
        for metric in in_order(here["metric"].unique()):
            rows = here[here["metric"] == metric]
            direction, unit = rows["direction"].iloc[0], rows["unit"].iloc[0]
            if direction not in SIGNS or not entry(metric).merit:
                continue
            values = _values(rows)
            for role in ("contender", "control"):
                models = sorted({m for m, _ in values if roles.get((task, preset, m)) == role})
                pairs = [pair for model in models for pair in _pairs(model, role, values, shared)]
                found += [
                    Answer(str(task), str(preset), metric, unit, role, verdict) for verdict in judge(pairs, direction)
                ]
    return found


def best(runs: pd.DataFrame, scores: pd.DataFrame) -> dict[str, str]:
    """Metric to the contender that is better than every other one, where there is such a one.

    Args:
        runs: One row a run, of one task and preset.
        scores: Likewise, one row for each (run, checkpoint, metric) of completed runs.
    """
    contenders = set(runs.loc[runs["role"] == "contender", "model"])
    found: dict[str, str] = {}
    quality = scores[(scores["kind"] == "quality") & (scores["checkpoint"] == FINAL) & usable(scores)]
    for metric, rows in quality.groupby("metric"):
        direction, values = rows["direction"].iloc[0], _values(rows)
        real = values.get((REAL_DATA, FINAL), {})
        mine: dict[str, Seeds] = {model: seeds for (model, _), seeds in values.items() if model in contenders}
        if direction == "real":
            mine = {
                model: {key: abs(value - real[key]) for key, value in seeds.items() if key in real}
                for model, seeds in mine.items()
            }
            direction = "lower"
        if direction in SIGNS and entry(str(metric)).merit:
            winner = separable_best(mine, direction)
            found |= {str(metric): winner} if winner else {}
    return found


def in_headline(found: list[Answer]) -> list[Answer]:
    """The contenders' answers in the metric that the task's rows are sorted by."""
    metric = headline(answer.metric for answer in found)
    return [answer for answer in found if (answer.metric, answer.role) == (metric, "contender")]


def seed_counts(found: list[Answer]) -> list[int]:
    """The least and the greatest number of seeds that an answer rests on; one number where they are the same."""
    counts = {answer.verdict.difference.n for answer in found if answer.verdict.difference}
    return sorted({min(counts), max(counts)}) if counts else []


WORDS = {
    BETTER: "better than",
    WORSE: "worse than",
    NOT_SEPARABLE: "not separable from",
    ONE_SEED: "one seed cannot tell it from",
}


def summary(found: list[Answer]) -> list[str]:
    """One line for each contender: how it stands to all it was compared with, in the metric of these answers."""
    lines: dict[str, dict[str, list[str]]] = {}
    for answer in found:
        verdict = answer.verdict
        outcome = WORDS.get(verdict.outcome, f"{verdict.outcome}:")
        lines.setdefault(verdict.model, {}).setdefault(outcome, []).append(verdict.reference)
    return [
        f"{model}: {'; '.join(f'{outcome} {listed(names)}' for outcome, names in outcomes.items())}"
        for model, outcomes in lines.items()
    ]


def listed(names: list[str]) -> str:
    """Names as part of a sentence."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def table(found: list[Answer]) -> pd.DataFrame:
    """Every verdict as a row with :data:`COLUMNS`, for ``verdicts.csv``."""
    rows = []
    for answer in found:
        verdict, difference = answer.verdict, answer.verdict.difference
        rows.append(
            {
                "task": answer.task,
                "preset": answer.preset,
                "metric": answer.metric,
                "model": verdict.model,
                "role": answer.role,
                "reference": verdict.reference,
                "outcome": verdict.outcome,
                "mean": difference.mean if difference else None,
                "low": difference.low if difference else None,
                "high": difference.high if difference else None,
                "n": difference.n if difference else 0,
                "p": verdict.p,
                "corrected_p": verdict.corrected_p,
                "test": verdict.test,
                "family": verdict.family,
                "smallest_sign_flip_p": verdict.smallest_p,
                "probability_of_improvement": verdict.probability,
                "needed": verdict.needed,
            }
        )
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype({"needed": "Int64"})


def rows_of(found: list[Answer], metrics: list[str]) -> list[Row]:
    """One row for each model and reference, with its answer in each metric."""
    rows: dict[tuple[str, str], Row] = {}
    for answer in found:
        if answer.metric in metrics:
            key = answer.verdict.model, answer.verdict.reference
            rows.setdefault(key, {})[answer.metric] = answer.verdict
    return [{"model": model, "reference": reference, **cells} for (model, reference), cells in rows.items()]


def _values(rows: pd.DataFrame) -> Values:
    """The values of one metric."""
    values: Values = {}
    for row in as_rows(rows[["model", "checkpoint", "seed", "signature", "value"]]):
        values.setdefault((row["model"], row["checkpoint"]), {})[row["seed"], row["signature"]] = row["value"]
    return values


def _from_the_reference(scores: pd.DataFrame) -> set[str]:
    """Models whose pre-training is the reference arm's final checkpoint, going by all scores of one task."""
    index = ["metric", "seed", "signature"]
    final = scores[(scores["model"] == REFERENCE) & (scores["checkpoint"] == FINAL)].set_index(index)["value"]
    before = scores[scores["checkpoint"] == PRETRAINED].groupby("model")
    return {
        str(model) for model, rows in before if rows.set_index(index)["value"].sort_index().equals(final.sort_index())
    }


def _pairs(model: str, role: str, values: Values, shared: set[str]) -> Iterator[Pair]:
    """The comparisons that are asked of a model; ``shared`` are those for which two of them are one question."""
    final, before = values.get((model, FINAL), {}), values.get((model, PRETRAINED), {})
    references = {REFERENCE: values.get((REFERENCE, FINAL), {}) if model != REFERENCE else {}, OWN: before}
    if before and model in shared:
        references = {BOTH: before}
    if before and role == "contender":
        references[CONSTANT] = values.get((CONSTANT, FINAL), {})
    for reference, theirs in references.items():
        differences = {key: final[key] - theirs[key] for key in final.keys() & theirs.keys()}
        if differences:
            yield Pair(model, reference, differences)
