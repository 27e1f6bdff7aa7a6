"""Quality against cost: what each model had reached at the same cost as the others."""

from __future__ import annotations

import pandas as pd

from bench.analysis.catalogue import entry
from bench.analysis.cheapest import Cheapest
from bench.analysis.learning import Learning, at_cost, equal_costs, learning
from bench.analysis.results import Section
from bench.records.frames import COSTS, as_tuples
from bench.reports.document import Document, Heading, Paragraph, prose, table
from bench.reports.numbers import FEW_SEEDS, estimate, few, seed_count

__all__ = ["page", "price", "sentence"]

READING = """\
What each model had reached at the same cost as the others, interpolated between the points of its curve. *Tokens* are
all that any network reads or draws, those of rollouts and rewards included (in records of earlier versions, those of
gradient updates alone), *updates* are optimiser steps of any network; all costs include the shared pre-training.
Seconds are comparable only between runs on one machine. As long as models share a pre-training they are one model: the
first column is where the last of them parted, and the others lie between that and the end of the contender that trained
longest. *Ended* marks a model whose training ended before, with what it had reached by then for less; nothing is
extrapolated. To compare equal costs, read a column; among the controls `mle-longer` shows what more maximum likelihood
reaches for it."""


def page(runs: pd.DataFrame, curves: pd.DataFrame) -> Document:
    """The section on quality against cost; empty when no model has a curve of quality.

    Args:
        runs: One row per run.
        curves: One row for each (run, phase, step, name), in the order of training.
    """
    blocks: Document = []
    for section in learning(runs, curves):
        metric = section.metrics[0]
        lines = section.lines[section.lines["name"] == metric]
        tables = [block for cost in COSTS for block in _table(section, lines, cost, metric)]
        if tables:
            blocks += [Heading(3, f"{section.task}, {section.preset}"), *tables]
            if section.lines.groupby("model")["seed"].nunique().map(few).any():
                blocks.append(Paragraph(prose(FEW_SEEDS)))
    return [Heading(2, "Quality against cost"), Paragraph(prose(READING)), *blocks] if blocks else []


def price(section: Section) -> Document:
    """The best model of a task, what it costs, and the cheapest that is not separable from it; empty where none is."""
    return [Paragraph(sentence(section.cheapest))] if section.cheapest else []


def sentence(found: Cheapest) -> str:
    """What the best model costs, and which is the cheapest that the seeds do not separate from it."""
    begun = f"Best on average by {found.metric}: {found.best}, {found.seconds[found.best]:.3g} s of training"
    if not found.alike:
        others = "the other one" if found.compared == 1 else f"each of the {found.compared} others"
        return f"{begun}; the seeds separate it from {others} that may win."
    many = f"{found.alike} of {found.compared} others that may win"
    if found.verdict is None:
        return f"{begun}; the seeds do not separate it from {many}, which all cost more."
    between, size = found.verdict.difference, ""
    if between is not None and between.low is not None and between.high is not None:
        unit = f" {found.unit}" if found.unit else ""
        mean, low, high = (
            f"{end:+.{entry(found.metric).decimals}f}" for end in (between.mean, between.low, between.high)
        )
        size = f"; the best minus it: {mean}{unit}, 95 % interval {low} to {high}, n = {between.n}"
    return (
        f"{begun}. The seeds do not separate it from {many}; the cheapest of these is {found.model}, "
        f"{found.seconds[found.model]:.3g} s{size}."
    )


def _table(section: Learning, lines: pd.DataFrame, cost: str, metric: str) -> Document:
    """One metric, whose curves are these lines, at equal costs, and which models do not count the cost."""
    scored = set(lines["model"])  # a model that has no density has a curve of other metrics only
    counting = [model for model in section.counting(cost) if model in scored]
    silent = sorted(scored - set(counting))
    amounts = equal_costs(section, cost, metric)
    reached = at_cost(lines, cost, metric, amounts, held=True)
    values: dict[tuple[str, float], list[float]] = {}
    for model, amount, value in as_tuples(reached[["model", "amount", "value"]].dropna()):
        values.setdefault((model, amount), []).append(value)
    known = {amount for _, amount in values}
    amounts = [amount for amount in amounts if amount in known]
    blocks: Document = []
    if amounts:
        rows = []
        ends, runs = lines.groupby("model")[cost].max(), reached.groupby("model")["run_id"].nunique()
        for model in counting:
            n = int(runs[model])
            cells = [_cell(values.get((model, amount), []), ends[model] < amount, n, metric) for amount in amounts]
            rows.append([model, *cells, seed_count(n)])
        header = ["model", *(_amount(amount, cost) for amount in amounts), "n"]
        blocks += [Paragraph(prose("`{}` ↓ at equal {}:", metric, cost)), table(header, rows)]
    if silent:
        blocks.append(Paragraph(f"No {cost} were counted for {', '.join(silent)}."))
    return blocks


def _cell(reached: list[float], ended: bool, n: int, metric: str) -> str:
    """Mean ± half the width of the interval at one cost, or why there is none; and whether all seeds ended before."""
    if not reached:
        return "not begun"
    text = estimate(reached, n, entry(metric).decimals)
    return f"ended: {text}" if ended else text


def _amount(amount: float, cost: str) -> str:
    """A cost to three digits: 617 seconds, 12.3M tokens."""
    for scale, suffix in ((1e9, "G"), (1e6, "M")):
        if amount >= scale:
            return f"{amount / scale:.3g}{suffix} {cost}"
    return f"{amount:,.0f} {cost}" if amount >= 100 else f"{amount:.3g} {cost}"
