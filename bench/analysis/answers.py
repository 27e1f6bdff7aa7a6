"""The leaderboard in words: which differences are real, among comparisons that were fixed beforehand.

For every metric of a task, one family of comparisons is tested together: each contender against the reference arm, and
each contender that went through a shared pre-training also against that pre-training (only once where the two are one
checkpoint) and against the control that ran the same loop with a constant reward. Not all pairs are tested: every
further comparison makes the others harder to decide. Controls are a family of their own, so that they cost the
contenders nothing. A family covers one metric; conclusions rest on the headline metric, and the others are exploratory.
A user may name other references (``--against``); every comparison with each of them then counts for the family.
Copy rates have no verdicts, because copying little is no merit. The unit is the run, paired by seed; on synthetic tasks
each seed draws its own oracle and data. Rows that may not win (:mod:`bench.analysis.standing`) are never called better,
and where either side lost seeds there is no verdict.

Limits of the constant reward: with a baseline it would teach nothing, so ``seqgan-baselined`` is compared with the
constant reward without one, and its gain is that of discriminator and variance reduction together. Under a budget the
constant reward takes more policy steps than SeqGAN, which spends part of the budget on its discriminator.
"""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import pandas as pd

from bench.analysis.catalogue import entry, headline, in_order
from bench.analysis.ranking import stated_metric
from bench.analysis.references import REFERENCE, references
from bench.analysis.standing import Cell, Place, Standing, standing
from bench.analysis.verdicts import (
    CALLED,
    IDENTICAL,
    IF_NORMAL,
    MIXED,
    NO_VERDICT,
    NOT_SEPARABLE,
    ONE_OBSERVATION,
    ONE_SEED,
    SIGNS,
    Best,
    Pair,
    Verdict,
    judge,
    separable_best,
)
from bench.records.frames import CELL, FINAL, PRETRAINED, REAL_DATA, Row, as_rows, as_tuples, usable

__all__ = [
    "COLUMNS",
    "Answer",
    "answers",
    "best",
    "by_metric",
    "in_headline",
    "listed",
    "rows_of",
    "seed_counts",
    "summary",
    "table",
]

COLUMNS = (
    *("task", "preset", "metric", "model", "checkpoint", "role", "reference", "outcome", "mean", "low", "high", "n"),
    *("p", "corrected_p", "test", "grade", "family", "smallest_sign_p", "probability_of_improvement", "needed"),
    *("collapsed", "reference_collapsed", "because"),
)

Seeds = dict[Hashable, float]
"""(Seed, signature) to value: only values with a common key are compared."""
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
        stated: Whether conclusions on the pair are drawn in this metric: it is the first of
            :data:`bench.analysis.catalogue.PLACING` in which both have a value that no inexact density went into.
    """

    task: str
    preset: str
    metric: str
    unit: str
    role: str
    verdict: Verdict
    stated: bool = False


def answers(
    runs: pd.DataFrame, scores: pd.DataFrame, against: Sequence[str] = (), who: Standing | None = None
) -> list[Answer]:
    """All verdicts, in order of task, preset, metric, role, model and reference.

    Metrics whose goal is the real data's value are left out: they have no direction in which to be better.

    Args:
        runs: One row per run.
        scores: One row for each (run, checkpoint, metric) of completed runs.
        against: Labels of the models to compare with, instead of the usual references.
        who: Which scores may not win; by default it is computed.
    """
    roles = {(row["task"], row["preset"], row["model"]): row["role"] for row in as_rows(runs)}
    who = who or standing(runs, scores)
    quality = scores[(scores["kind"] == "quality") & usable(scores)]
    endless = _infinite(scores)
    found: list[Answer] = []
    for (task, preset), here in quality.groupby(["task", "preset"], sort=True):
        shared, begun = _from_the_reference(here), len(found)
        sides: dict[tuple[str, str], tuple[Place, Place]] = {}
        metrics = _metrics(here)
        for metric in in_order(metrics):
            of = metrics[metric]
            if of.direction not in SIGNS or not entry(metric).merit:
                continue
            for role in ("contender", "control"):
                models = sorted({m for m, _ in of.values if roles.get((task, preset, m)) == role})
                compared = _Compared(str(task), str(preset), metric, of.values, who)
                pairs = [pair for model in models for pair in compared.pairs(model, role, model in shared, against)]
                sides |= {(pair.model, pair.reference): places for pair, places in pairs}
                found += [
                    Answer(str(task), str(preset), metric, of.unit, role, verdict)
                    for verdict in judge([pair for pair, _ in pairs], of.direction)
                ]
        found[begun:] = _with_stated(found[begun:], sides, endless, who.inexact)
    return found


def best(runs: pd.DataFrame, scores: pd.DataFrame, who: Standing | None = None) -> dict[str, Best]:
    """Metric to the contender that is better than every other one that may win, for metrics with such a contender.

    Args:
        runs: One row per run, of one task and preset.
        scores: One row for each (run, checkpoint, metric) of its completed runs.
        who: Which scores may not win; by default it is computed.
    """
    contenders = set(runs.loc[runs["role"] == "contender", "model"])
    found: dict[str, Best] = {}
    who = who or standing(runs, scores)
    quality = scores[(scores["kind"] == "quality") & (scores["checkpoint"] == FINAL) & usable(scores)]
    task, preset = next(as_tuples(quality[["task", "preset"]].head(1)), ("", ""))
    for metric, of in sorted(_metrics(quality).items()):
        direction, real = of.direction, of.values.get((REAL_DATA, FINAL), {})
        mine: dict[str, Seeds] = {
            model: seeds
            for (model, checkpoint), seeds in of.values.items()
            if model in contenders and not who.why_not((task, preset, model, checkpoint, metric))
        }
        if direction == "real":
            mine = {
                model: {key: abs(value - real[key]) for key, value in seeds.items() if key in real}
                for model, seeds in mine.items()
            }
            direction = "lower"
        if direction in SIGNS and entry(metric).merit:
            every = itertools.chain.from_iterable(seeds.values() for seeds in of.values.values())
            winner = separable_best(mine, direction, resolution=entry(metric).resolution(every))
            found |= {metric: winner} if winner else {}
    return found


def in_headline(found: list[Answer]) -> list[Answer]:
    """The contenders' answers that conclusions are drawn from: in the metric that the task's rows are sorted by.

    Where one of a pair has no exact density, they are in the next of :data:`bench.analysis.catalogue.PLACING`.
    """
    return [answer for answer in found if answer.role == "contender" and answer.stated]


def by_metric(asked: list[Answer]) -> dict[str, list[Answer]]:
    """Answers by their metric, in their order: each metric is a family of its own."""
    metrics = dict.fromkeys(answer.metric for answer in asked)
    return {metric: [answer for answer in asked if answer.metric == metric] for metric in metrics}


def seed_counts(found: list[Answer]) -> list[int]:
    """The smallest and the largest number of seeds behind an answer; one number where they are the same."""
    counts = {answer.verdict.difference.n for answer in found if answer.verdict.difference}
    return sorted({min(counts), max(counts)}) if counts else []


WORDS = {
    IDENTICAL: "identical to",
    NOT_SEPARABLE: "not separable from",
    ONE_OBSERVATION: "one observation beside",
    ONE_SEED: "one seed cannot separate it from",
    MIXED: "mixed against",
}


def summary(found: list[Answer]) -> list[str]:
    """One line for each contender: its verdicts against all its references, in the metric of these answers."""
    lines: dict[str, dict[str, dict[str, list[str]]]] = {}
    for answer in found:
        outcome, condition = _said(answer.verdict)
        same = lines.setdefault(answer.verdict.model, {}).setdefault(condition, {})
        same.setdefault(outcome, []).append(answer.verdict.reference)
    return [
        f"{model}: "
        + "; ".join(
            (", " if condition else "; ").join(f"{outcome} {listed(names)}" for outcome, names in outcomes.items())
            + condition
            for condition, outcomes in conditions.items()
        )
        for model, conditions in lines.items()
    ]


def _said(verdict: Verdict) -> tuple[str, str]:
    """What is said before the names of references, and after them, where it holds under a condition only."""
    if verdict.outcome in CALLED:
        word = verdict.outcome.removesuffix(IF_NORMAL)
        n = verdict.difference.n if verdict.difference else 0
        return f"{word} than", f"{IF_NORMAL} (n = {n})" if word != verdict.outcome else ""
    if verdict.outcome == NO_VERDICT:
        return "no verdict against", f" ({verdict.why})"
    return WORDS.get(verdict.outcome, f"{verdict.outcome}:"), ""


def listed(names: list[str]) -> str:
    """Names as part of a sentence."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def table(found: list[Answer]) -> pd.DataFrame:
    """Every verdict as a row with :data:`COLUMNS`, for ``verdicts.csv``; all are on the models' last training steps."""
    rows = []
    for answer in found:
        verdict, difference = answer.verdict, answer.verdict.difference
        rows.append(
            {
                "task": answer.task,
                "preset": answer.preset,
                "metric": answer.metric,
                "model": verdict.model,
                "checkpoint": FINAL,
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
                "grade": verdict.grade or None,
                "family": verdict.family,
                "smallest_sign_p": verdict.smallest_p,
                "probability_of_improvement": verdict.probability,
                "needed": verdict.needed,
                "collapsed": verdict.collapsed[0],
                "reference_collapsed": verdict.collapsed[1],
                "because": verdict.why,
            }
        )
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype({"needed": "Int64", "grade": "Int64"})


def rows_of(found: list[Answer], metrics: list[str]) -> list[Row]:
    """One row for each model and reference, with its answer in each metric."""
    rows: dict[tuple[str, str], Row] = {}
    for answer in found:
        if answer.metric in metrics:
            key = answer.verdict.model, answer.verdict.reference
            rows.setdefault(key, {})[answer.metric] = answer.verdict
    return [{"model": model, "reference": reference, **cells} for (model, reference), cells in rows.items()]


@dataclass(frozen=True, slots=True)
class _Metric:
    """What is recorded of one metric on one task."""

    direction: str
    unit: str
    values: Values = field(default_factory=dict)


def _metrics(scores: pd.DataFrame) -> dict[str, _Metric]:
    """The metrics of one task, in the order of the scores."""
    metrics: dict[str, _Metric] = {}
    columns = ["metric", "direction", "unit", "model", "checkpoint", "seed", "signature", "value"]
    for metric, direction, unit, model, checkpoint, seed, signature, value in as_tuples(scores[columns]):
        of = metrics.get(metric) or metrics.setdefault(metric, _Metric(direction, unit))
        of.values.setdefault((model, checkpoint), {})[seed, signature] = value
    return metrics


def _from_the_reference(scores: pd.DataFrame) -> set[str]:
    """Models whose pre-training is the reference arm's final checkpoint, judged by all scores of one task."""
    final = scores[(scores["model"] == REFERENCE) & (scores["checkpoint"] == FINAL)]
    before = scores[scores["checkpoint"] == PRETRAINED]
    own: dict[str, dict[tuple[Hashable, ...], float]] = {}
    columns = ["model", "metric", "seed", "signature", "value"]
    for model, *key, value in itertools.chain(*(as_tuples(rows[columns]) for rows in (before, final.assign(model="")))):
        own.setdefault(str(model), {})[tuple(key)] = value
    reference = own.pop("", {})
    return {model for model, values in own.items() if values == reference}


@dataclass(frozen=True, slots=True)
class _Compared:
    """One metric of one task, with who may win in it."""

    task: str
    preset: str
    metric: str
    values: Values
    who: Standing

    def pairs(
        self, model: str, role: str, shared: bool, against: Sequence[str]
    ) -> Iterator[tuple[Pair, tuple[Place, Place]]]:
        """The comparisons of a model, each with the two rows of the leaderboard that it compares."""
        own = model, FINAL
        mine = self.values.get(own, {})
        for reference, row in references(model, role, (model, PRETRAINED) in self.values, shared, against).items():
            theirs = self.values.get(row, {})
            if mine.keys() & theirs.keys():
                why_not, losses = (
                    [of((self.task, self.preset, *each, self.metric)) for each in (own, row)]
                    for of in (self.who.why_not, self.who.losses)
                )
                void = "; ".join(
                    said.replace("it", name, 1) for name, said in zip((model, reference), losses, strict=True) if said
                )
                resolution = entry(self.metric).resolution([*mine.values(), *theirs.values()])
                pair = Pair.of(model, reference, mine, theirs, resolution, (why_not[0], why_not[1]), void)
                yield pair, ((self.task, self.preset, *own), (self.task, self.preset, *row))


def _infinite(scores: pd.DataFrame) -> frozenset[Cell]:
    """Scores that are infinite in some seed: the model has a density, and it is infinitely bad."""
    rows = scores[scores["absent"].astype(str).str.endswith("inf")]
    return frozenset(as_tuples(rows[CELL].astype(str)))


def _with_stated(
    found: list[Answer],
    sides: Mapping[tuple[str, str], tuple[Place, Place]],
    infinite: frozenset[Cell],
    inexact: frozenset[Cell],
) -> list[Answer]:
    """The answers of one task, in which those are marked that conclusions are drawn from."""
    first, judged = headline(answer.metric for answer in found), dict[tuple[str, str], set[str]]()
    for answer in found:
        judged.setdefault((answer.verdict.model, answer.verdict.reference), set()).add(answer.metric)
    stated = {pair: stated_metric(first, metrics, sides[pair], infinite, inexact) for pair, metrics in judged.items()}
    return [
        replace(answer, stated=stated[answer.verdict.model, answer.verdict.reference] == answer.metric)
        for answer in found
    ]
