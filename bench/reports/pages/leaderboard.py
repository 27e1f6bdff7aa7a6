"""The complete leaderboard as one document, of which ``index.html`` and the pages of ``leaderboard.md`` are made."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Iterator, Sequence
from textwrap import shorten

import pandas as pd

from bench.analysis import catalogue
from bench.analysis.answers import Answer, by_metric, in_headline, listed, rows_of, seed_counts, summary
from bench.analysis.catalogue import MEANINGS, Shown, headline, headlines, judged, kind_of_task
from bench.analysis.references import BOTH, CONSTANT, OWN, REFERENCE
from bench.analysis.results import Results, Section
from bench.analysis.stats import seeds_of_sign_test
from bench.analysis.verdicts import FEW, IF_NORMAL, Verdict
from bench.records.frames import FINAL, REAL_DATA, SELECTED, as_rows, as_tuples, completed
from bench.reports.document import (
    Document,
    Figure,
    Group,
    Heading,
    Paragraph,
    Table,
    Words,
    bullets,
    code,
    joined,
    prose,
    table,
)
from bench.reports.grid import UNRANKED, Grid
from bench.reports.numbers import cell
from bench.reports.pages import costs, critics, samples
from bench.reports.pages import frontier as frontier_page
from bench.reports.pages.provenance import data_remarks, provenance, reasons, settings, tuning, unfinished

__all__ = ["figures_of", "page"]

READING = """\
Each cell is the mean over runs, ± half the width of Student's 95% t interval over runs, never over sentences; *n* is
the number of seeds. One seed alone has no interval, and below n = 5 every interval states its n. On synthetic tasks
each seed has its own oracle and data, so the intervals include the variation between them; verdicts compare seed by
seed, where this cancels, so two models may be separable although their intervals overlap. Where all seeds share one
test set, as on corpora, seeds vary training alone, and verdicts hold on this test set. The real-data row is made of
random parts of the training set; only its copy rates are those of the *test* sequences, which nobody copied. An arrow
shows the good direction: ↓ lower, ↑ higher, → nearer to the real-data row. A value is bold only where that contender is
better than every other contender that has a value and a rank, in most seeds and by the sign test, after Holm's
correction; where seeds are too few for this test it is in italics if that holds for seeds that scatter normally, by
Student's t. What is marked † has no rank, is in neither, and is never called better; below the table stands why. Rows
are sorted by `jsd_token` where there is an oracle and by `nll_test` elsewhere; a model without an exact density, and so
without these, is placed by `reverse_nll`, below as many of the others as are better in it. Those without a rank come
last. Neither `nll_oracle` nor BLEU decides the order, because a model that repeats a few safe sentences improves both:
see the control `repeat`. *Controls* are there to be beaten: policy gradient with a constant or random reward, more
maximum likelihood, word pairs, copies of the training set. The scores, the order, bold and all verdicts are those of
the last training step; where validation data would have selected an earlier step, the row below shows its scores. With
a budget and in the preset `paper`, it is the step and the temperature that validation data pick, among the same number
of steps for every model: a training that goes on past its best step is worth what that row shows."""

SIGNAL = """\
The reward of policy gradient, over the first and the last tenth of a phase. Every model has its own reward, so only the
columns of one row are comparable. If a reward rises while held-out scores get worse, it pays for something other than
resembling the data; if it does not rise, it gave no direction to improve in, or its discriminator improved along with
the model. Entropy is that of the policy, in nats per token: where it falls, the model writes less varied sequences.
`d_accuracy` is the accuracy of the discriminator on batches it has not been trained on before, in the last tenth; 0.5
is chance."""
SIGNAL_COLUMNS = (
    *("model", "phase", "reward, first 10%", "last 10%", "seeds in which it rose"),
    *("entropy, first 10%", "last 10%", "d_accuracy"),
)
"""Of the table on the reward."""


def page(results: Results, figures: Sequence[tuple[str, str]] = ()) -> Document:
    """The complete page; the same results give the same page.

    Args:
        results: All frames.
        figures: Pairs of caption and path, relative to where the page will be.
    """
    runs, curves = results.runs, completed(results.runs, results.curves)
    blocks: Document = [Heading(1, "Leaderboard"), Paragraph(prose(READING)), *provenance(runs)]
    for section in results.sections():
        blocks += _task(section)
    blocks += frontier_page.page(results.sweeps, runs, results.standing)
    blocks += costs.page(runs, curves)
    blocks += _training_signal(curves)
    blocks += critics.page(curves)
    blocks += _throughput(results.board, results.completed_scores)
    blocks += samples.page(results)
    blocks += settings(runs)
    blocks += unfinished(runs)
    return blocks + figures_of(figures)


def figures_of(figures: Sequence[tuple[str, str]]) -> Document:
    """The last part of the page: pairs of caption and path, relative to where the page will be."""
    return [Heading(2, "Figures"), *(Figure(caption, path) for caption, path in figures)] if figures else []


def _task(section: Section) -> Document:
    """The quality tables of one task, and what must be read with them."""
    scores, found = section.scores, section.answers
    same = _selected_last(scores)
    lines = [row for row in as_rows(section.board) if row["kind"] != "cost"]
    grid = Grid([row for row in lines if (row["model"], row["checkpoint"]) not in same], section.best)
    kind = kind_of_task(filter(grid.measured, grid.metrics))
    themes = {"Headline": headlines(kind, Shown.PAGE), **catalogue.themes(grid.metrics)}
    blocks: Document = [
        Heading(2, section.title),
        *data_remarks(section.runs),
        *_in_words(found, section.one_test_set),
        *costs.price(section),
        *tuning(section.runs),
    ]
    why = reasons(section.runs)
    for title, metrics in themes.items():
        columns = [metric for metric in metrics if grid.measured(metric)]
        if columns:
            blocks += [Heading(3, title), _table(grid, columns, why)]
            why = {model: reason.partition(":")[0] for model, reason in why.items()}  # once in full is enough
        if title == "Headline":
            blocks += bullets("Placed by another metric than the others:", grid.placed())
            blocks += bullets(f"{UNRANKED} No rank, and never called better, because:", grid.reasons())
            blocks += bullets("Collapsed seeds, which are far worse than their fellows:", grid.collapsed())
            blocks += _headline_statistics(grid, found, section.against)
    if not any(grid.measured(metric) for metric in grid.metrics):
        blocks += bullets("", (f"{model}: {reason}" for model, reason in why.items()))
    blocks += _verdicts(found)
    blocks += bullets("Validation selects the last step, so the selected model is the final one, for:", _same(same))
    blocks += bullets("Not available (n/a):", _absences(grid, scores[scores["kind"] != "cost"]))
    blocks += bullets("How each metric was computed:", _signatures(grid))
    return blocks


def _in_words(found: list[Answer], one_test_set: bool) -> Document:
    """The verdicts on each contender in the metric that its rows are placed by, and what it is compared with."""
    parts = by_metric(in_headline(found))
    first = headline(answer.metric for answer in found)
    place = " on this test set, which all seeds share" if one_test_set else ""
    blocks: Document = [Heading(3, "In words")] if parts else []
    for metric, asked in parts.items():
        counts, family = seed_counts(asked), asked[0].verdict.family
        tested = {0: "nothing could be tested", 1: "one comparison, at the 5 % level"}.get(
            family, f"{family} comparisons as one family, at the 5 % level for all of them together"
        )
        least = seeds_of_sign_test(family) if family else 0
        if counts[0] < least:
            tested += f", by Student's t, which assumes that seeds scatter normally: from n = {least} on the sign test"
            tested += " decides"
        few = f". n < {FEW}: intervals and tests from fewer than five seeds are weak." if counts[0] < FEW else ":"
        who = "each contender is" if metric == first else f"where {first} is not exact on both sides, contenders are"
        text = prose(
            "By `{}` of the last training step" + place + ", {} compared with {}, paired by seed, n = {}; {}" + few,
            *(metric, who, _against(asked), " to ".join(map(str, counts)), tested),
        )
        blocks += bullets(text, (f"{line}." for line in summary(asked)))
    return blocks


def _against(asked: list[Answer]) -> str:
    """The references of these answers."""
    names = list(dict.fromkeys(answer.verdict.reference for answer in asked))
    if BOTH in names:  # also says that it is a pre-training, even if not for all
        names = [BOTH, *(name for name in names if name not in (BOTH, REFERENCE))]
    usual = {name: place for place, name in enumerate((BOTH, REFERENCE, OWN, CONSTANT))}
    names.sort(key=lambda name: usual.get(name, len(usual)))
    return listed(names) + ", where they apply" * (len(names) > 1)


def _headline_statistics(grid: Grid, found: list[Answer], against: Sequence[str]) -> Document:
    """The headline metric once more, with statistics that a single outlying seed moves less."""
    metric = headline(metric for metric in grid.metrics if grid.measured(metric))
    arms = against[:1] or (REFERENCE, BOTH)
    chances = {
        answer.verdict.model: answer.verdict.probability
        for answer in found
        if answer.metric == metric and answer.verdict.reference in arms
    }
    lines = []
    for model, checkpoint in grid.rows:
        cells = [row for row in grid.of(model, checkpoint) if row["metric"] == metric and row["n"]]
        if checkpoint == FINAL and cells:
            row, chance = cells[0], chances.get(model)
            low, high = row["bootstrap_low"], row["bootstrap_high"]
            interval: str = f" [{low:.4f}, {high:.4f}]" if row["n"] > 1 else ""
            few = f" (n={row['n']})" if row["n"] < FEW else ""
            middle = f"{row['interquartile_mean']:.4f}{interval}{few}"
            share = "" if chance is None else f"{100 * chance:.0f} %"
            lines.append((grid.roles[model], [model, f"{cell(row)}{few}", middle, share, str(row["n"])]))
    header = ["model", f"{metric}: mean ± t", "interquartile mean [95% bootstrap]", f"seeds better than {arms[0]}"]
    return [_by_role([*header, "n"], lines)] if lines else []


def _verdicts(found: list[Answer]) -> Document:
    """The headline's verdicts in full sentences, the other metrics' in a table."""
    blocks: Document = []
    for metric, asked in by_metric(in_headline(found)).items():
        sentences = (answer.verdict.words(answer.metric, answer.unit) for answer in asked)
        blocks += bullets(prose("In `{}`:", metric), sentences)
    for role, text in (
        ("contender", "Contender minus reference, and the verdict after Holm's correction within each column:"),
        ("control", "Control minus reference, and the verdict after Holm's correction, as a family of their own:"),
    ):
        asked = [answer for answer in found if answer.role == role]
        columns = judged({answer.metric for answer in asked})
        lines = [
            [row["model"], row["reference"], *(_verdict_cell(row.get(name), name) for name in columns)]
            for row in rows_of(asked, columns)
        ]
        if lines:
            blocks += [Paragraph(text), table(["model", "against", *columns], lines, left=2)]
    return [Heading(3, "Verdicts"), *blocks] if blocks else []


def _verdict_cell(verdict: Verdict | None, metric: str) -> str:
    if verdict is None or verdict.difference is None:
        return "n/a"
    decimals, n = catalogue.entry(metric).decimals, verdict.difference.n
    few = f" (n={n})" if n < FEW else ""
    outcome = verdict.outcome.replace(IF_NORMAL, ", if normal") + _collapsed(verdict)
    return f"{round(verdict.difference.mean, decimals) + 0.0:+.{decimals}f} {outcome}{few}"


def _collapsed(verdict: Verdict) -> str:
    """How many seeds collapsed on either side, as part of a cell."""
    sides = zip(verdict.collapsed, ("", " of the reference"), strict=True)
    return "".join(f", {count}{side} collapsed" for count, side in sides if count)


def _selected_last(scores: pd.DataFrame) -> set[tuple[str, str]]:
    """Models whose selected checkpoint is the last step in every seed: its row would repeat the final one."""
    values: dict[str, dict[str, dict[tuple[int, str], float | None]]] = {}
    columns = ["model", "checkpoint", "seed", "metric", "value"]
    for model, checkpoint, seed, metric, value in as_tuples(scores.loc[scores["kind"] == "quality", columns]):
        known = None if math.isnan(value) else value  # nothing equals NaN
        values.setdefault(model, {}).setdefault(checkpoint, {})[seed, metric] = known
    return {(model, SELECTED) for model, own in values.items() if own.get(SELECTED) == own.get(FINAL)}


def _same(same: set[tuple[str, str]]) -> list[Words]:
    return [", ".join(sorted(model for model, _ in same))] if same else []


def _table(grid: Grid, metrics: list[str], why: dict[str, str]) -> Table:
    header = ["model", *(f"{metric} {grid.arrow(metric)} {grid.unit(metric)}".strip() for metric in metrics), "n"]
    lines: list[tuple[str, list[Words]]] = []
    for model, checkpoint in grid.rows:
        cells: list[Words] = [grid.shown(model, checkpoint, metric) for metric in metrics]
        if not any(cells):
            cells[0] = shorten(why.get(model, "no result"), 100, placeholder=" ...")
        line = [grid.label(model, checkpoint), *cells, grid.seeds(model, checkpoint)]
        lines.append((grid.roles[model], line))
    return _by_role(header, lines)


def _by_role(header: Sequence[str], lines: Iterable[tuple[str, list[Words]]]) -> Table:
    """A table of lines, each with its model's role: the controls are a group of their own."""
    groups: dict[str, list[tuple[Words, ...]]] = {"": [], "Controls": []}
    for role, cells in lines:
        groups["Controls" if role == "control" else ""].append(tuple(cells))
    return Table(tuple(header), tuple(Group(heading, tuple(kept)) for heading, kept in groups.items() if kept))


def _absences(grid: Grid, scores: pd.DataFrame) -> list[Words]:
    """Why cells are empty: one line for each reason and the models and metrics it holds for."""
    told: dict[tuple[str, str, str], set[str]] = {}
    columns = ["model", "checkpoint", "metric", "value", "absent"]
    for model, checkpoint, metric, value, absent in as_tuples(scores[columns]):
        reasons = told.setdefault((model, checkpoint, metric), set())
        if math.isnan(value):
            reasons.add(str(absent))
    models: dict[tuple[str, str], list[str]] = {}
    for model, checkpoint in grid.rows:
        name = model if checkpoint == FINAL else f"{model} ({grid.label(model, checkpoint).removeprefix('↳ ')})"
        for metric in grid.metrics if grid.of(model, checkpoint)[0]["metric"] else ():
            for reason in sorted(told.get((model, checkpoint, metric), {"no score was recorded"})):
                models.setdefault((metric, reason), []).append(name)
    metrics: dict[tuple[str, str], list[str]] = {}
    for (metric, reason), names in models.items():
        metrics.setdefault((", ".join(names), reason), []).append(metric)
    return [prose("{} of {}: {}", joined(", ", map(code, which)), who, why) for (who, why), which in metrics.items()]


def _signatures(grid: Grid) -> list[Words]:
    """One line per metric; if a metric has two signatures, each is listed with its models."""
    lines: list[Words] = []
    for metric in grid.metrics:
        models: dict[str, list[str]] = {}
        for row in grid.column(metric):
            if row["n"]:
                models.setdefault(str(row["signature"]), []).append(row["model"])
        direction = next((row["direction"] for row in grid.column(metric)), "")
        about = ", ".join(filter(None, (grid.unit(metric), MEANINGS.get(direction))))
        for signature, who in models.items():
            only = f"; {', '.join(dict.fromkeys(who))} only, so not comparable with the others"
            lines.append(prose("`{}` ({}): `{}`{}", metric, about, signature, only if len(models) > 1 else ""))
    return lines


def _training_signal(curves: pd.DataFrame) -> Document:
    """Whether the reward rose while a model trained on it, with its entropy and its discriminator's accuracy."""
    logged = curves[curves["name"].isin(["reward", "entropy", "d_accuracy"])].sort_values("step")
    phases = set(logged.loc[logged["name"] == "reward", "phase"])
    blocks: Document = []
    for (task, preset), section in logged[logged["phase"].isin(phases)].groupby(["task", "preset"], sort=False):
        lines = [line for key, rows in section.groupby(["model", "phase"]) for line in _signal_of(key, rows)]
        if lines:
            blocks += [Heading(3, f"{task}, {preset}"), table(SIGNAL_COLUMNS, lines, left=2)]
    return [Heading(2, "Training signal"), Paragraph(prose(SIGNAL)), *blocks] if blocks else []


def _signal_of(key: Sequence[Hashable], rows: pd.DataFrame) -> Iterator[list[str]]:
    """The line of a model's phase, if it has a reward."""
    ends: dict[str, list[tuple[float, float]]] = {"reward": [], "entropy": [], "d_accuracy": []}
    for (name, _), values in rows.groupby(["name", "seed"])["value"]:
        tenth = max(1, len(values) // 10)
        ends[str(name)].append((values.iloc[:tenth].mean(), values.iloc[-tenth:].mean()))
    if not ends["reward"]:
        return
    first, last = (sum(side) / len(ends["reward"]) for side in zip(*ends["reward"], strict=True))
    rose = sum(late > early for early, late in ends["reward"])
    entropy = [sum(side) / len(side) for side in zip(*ends["entropy"], strict=True)] or [None, None]
    accuracy = [late for _, late in ends["d_accuracy"]]
    yield [
        *(*map(str, key), f"{first:.4f}", f"{last:.4f}", f"{rose} of {len(ends['reward'])}"),
        *("n/a" if mean is None else f"{mean:.3f}" for mean in entropy),
        f"{sum(accuracy) / len(accuracy):.3f}" if accuracy else "n/a",
    ]


def _throughput(board: pd.DataFrame, scores: pd.DataFrame) -> Document:
    """The costs of each model, one table per task."""
    blocks: Document = []
    costs = board[(board["kind"] == "cost") & (board["checkpoint"] == FINAL) & (board["model"] != REAL_DATA)]
    for (task, preset), section in costs.groupby(["task", "preset"], sort=False):
        grid = Grid(as_rows(section))
        metrics = [metric for metric in grid.metrics if grid.measured(metric)]
        if metrics:
            here = scores[(scores["task"] == task) & (scores["preset"] == preset) & (scores["kind"] == "cost")]
            blocks += [Heading(3, f"{task}, {preset}"), _table(grid, metrics, {})]
            blocks += bullets("Not available (n/a):", _absences(grid, here))
    if not blocks:
        return []
    return [Heading(2, "Throughput"), Paragraph(prose("`seconds` includes the shared pre-training.")), *blocks]
