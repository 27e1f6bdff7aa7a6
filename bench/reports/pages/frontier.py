"""Quality and diversity for people: the scores at each temperature, and which models beat the reference over all."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import pandas as pd

from bench.analysis.frontier import Sweep, indicators
from bench.analysis.standing import Standing
from bench.analysis.verdicts import Pair, judge
from bench.records.frames import FINAL
from bench.reports.document import Document, Heading, Paragraph, Table, Words, bullets, code, prose, table
from bench.reports.numbers import FEW_SEEDS, estimate, few, seed_count

__all__ = ["page"]

Differences = dict[str, dict[Hashable, float]]
"""Model to seed to value."""
RESOLUTION = 0.001
"""A difference that the tables, with three decimals, would not show is none."""

READING = """\
Sampled at a lower temperature, a model writes better but less varied sequences, so one temperature says little: a model
that only became sharper scores better on quality alone, and maximum likelihood sampled at a lower temperature does the
same at no cost (Caccia et al. 2018, arXiv 1811.02549). Every model was therefore scored at several temperatures, on
quality and on coverage; lower is better on both. With an oracle, quality is `nll_oracle` (the samples under the oracle)
and coverage is `nll_test` (the test sequences under the model). Elsewhere quality is `lm_nll` (the samples under an
n-gram model of the training text) and coverage is `reverse_nll` (the test text under the same type of n-gram model of
the samples)."""

INDICATORS = """\
The *dominated area* is the part of a box in which some temperature of the model is at least as good on both axes
(Zitzler and Thiele 1999): more is better, and a point outside the box does not count. The box ends at {quality} {x} and
{coverage} {y}, a little beyond the worst trade-offs of {reference} itself (only those where a lower temperature gains
more than it loses); no other model moves the box. *Excess* {coverage} is that of the model at temperature 1 minus that
of {reference} at the temperature where its quality is equal: positive if the model forgets more than {reference} would
at that quality. It is interpolated between measured points, never extrapolated."""


def page(found: Sequence[Sweep], runs: pd.DataFrame, who: Standing | None = None) -> Document:
    """The section on quality and diversity; empty when no model was scored at any temperature.

    Args:
        found: One for each task and preset (:func:`bench.analysis.frontier.sweeps`).
        runs: One row per run.
        who: Which final scores may not win: such a model wins here neither.
    """
    blocks: Document = []
    for sweep in found:
        seeds = runs.loc[(runs["task"] == sweep.task) & (runs["preset"] == sweep.preset), "seed"].nunique()
        blocks += _section(sweep, seeds, _barred(sweep, who) if who else {})
    return [Heading(2, "Quality and diversity"), Paragraph(prose(READING)), *blocks] if blocks else []


def _barred(sweep: Sweep, who: Standing) -> dict[str, str]:
    """Models that may not win on either axis, with the reasons."""
    found = {}
    for model in set(sweep.points["model"]):
        cells = [(sweep.task, sweep.preset, model, FINAL, metric) for metric in (sweep.quality, sweep.coverage)]
        found[model] = "; ".join(dict.fromkeys(filter(None, map(who.why_not, cells))))
    return {model: why for model, why in found.items() if why}


def _section(sweep: Sweep, planned: int, barred: dict[str, str]) -> Document:
    found = indicators(sweep)
    order = _order(sweep, found)
    reference = sweep.reference
    seeds = found.groupby("model")["seed"].nunique()
    blocks: Document = [Heading(3, f"{sweep.task}, {sweep.preset}"), _temperatures(sweep, order)]
    blocks += [Paragraph(prose(FEW_SEEDS))] if seeds.map(few).any() else []
    if sweep.instead_of:
        text = "Quality is `{}` here, and not `{}`, which is infinite for samples that the oracle never writes."
        blocks.append(Paragraph(prose(text, sweep.quality, sweep.instead_of)))
    blocks += bullets("Left out:", (f"{model}: {why}" for model, why in sweep.left_out.items()))
    if sweep.corner is None:
        lack = "no point here"
        if sweep.reference in order:
            lack = "no two temperatures here that trade quality for coverage"
        return [
            *blocks, Paragraph(f"No areas and no excess: {reference}, which they are measured against, has {lack}.")
        ]  # fmt: skip
    x, y = (f"{end:.3f}" for end in sweep.corner)
    axes = {"quality": code(sweep.quality), "coverage": code(sweep.coverage)}
    blocks += [Paragraph(prose(INDICATORS, x=x, y=y, reference=reference, **axes)), _areas(sweep, found, order)]
    blocks += _notes(sweep, order)
    areas, excess = _differences(found, "area", sweep.reference), _by_seed(found, "excess")
    blocks += bullets(
        f"Dominated area against {reference}, paired by seed:",
        _verdicts(sweep, order, areas, planned, barred, "higher", "dominated area", f"({sweep.unit})²"),
    )
    at_equal_quality = f"{sweep.coverage} at equal {sweep.quality}"
    blocks += bullets(
        f"At temperature 1, against {reference} at the same quality, paired by seed:",
        _verdicts(sweep, order, excess, planned, barred, "lower", at_equal_quality, sweep.unit)
        + _incomparable(sweep, found, order),
    )
    return blocks


def _notes(sweep: Sweep, order: list[str]) -> Document:
    """What must be known before areas are compared."""
    grids = {model: set(sweep.of(model)["temperature"]) for model in order}
    others = [model for model in order if grids[model] != grids[sweep.reference]]
    controls = [model for model in order if model in sweep.controls]
    blocks: Document = []
    if controls:
        blocks.append(Paragraph(f"Controls, which are tested as a family of their own: {', '.join(controls)}."))
    if others:
        blocks.append(
            Paragraph(
                f"Scored at other temperatures than {sweep.reference}, and every additional one can only add area: "
                f"{', '.join(others)}."
            )
        )
    return blocks


def _order(sweep: Sweep, found: pd.DataFrame) -> list[str]:
    """Contenders first, then by area, the largest first, then by name."""
    area = found.groupby("model")["area"].mean().fillna(0.0)
    return sorted(area.index, key=lambda model: (model in sweep.controls, -area[model], model))


def _temperatures(sweep: Sweep, order: list[str]) -> Table:
    """Both axes of each model at each temperature."""
    temperatures = sorted(sweep.points["temperature"].unique())
    lines = []
    for model in order:
        rows = sweep.of(model)
        n, at = int(rows["seed"].nunique()), rows["temperature"].to_numpy()
        for label, name, axis in ((model, sweep.quality, "quality"), ("", sweep.coverage, "coverage")):
            values = rows[axis].to_numpy()
            cells = [estimate(values[at == temperature], n) for temperature in temperatures]
            lines.append([label, name, *cells, seed_count(n)])
    header = ["model", f"{sweep.unit} ↓", *(f"T = {temperature:g}" for temperature in temperatures), "n"]
    return table(header, lines, left=2)


def _areas(sweep: Sweep, found: pd.DataFrame, order: list[str]) -> Table:
    """Area, its difference from the reference's, and the excess at equal quality."""
    differences = _differences(found, "area", sweep.reference)
    lines, own = [], dict(list(found.groupby("model")))
    for model in order:
        rows = own[model]
        cells = [estimate(rows["area"], len(rows)), "", ""]
        if model != sweep.reference:
            beside = pd.Series(differences.get(model, {}), dtype=float)
            cells[1:] = (estimate(values, len(rows), sign="+") for values in (beside, rows["excess"].dropna()))
        lines.append([model, *cells, seed_count(len(rows))])
    header = ["model", f"dominated area ↑ ({sweep.unit})²", f"less that of {sweep.reference}"]
    return table([*header, f"excess {sweep.coverage} ↓ {sweep.unit}", "n"], lines)


def _verdicts(
    sweep: Sweep,
    order: list[str],
    values: Differences,
    planned: int,
    barred: dict[str, str],
    direction: str,
    metric: str,
    unit: str,
) -> list[Words]:
    """A sentence for each model except the reference; contenders are one family of tests, controls another.

    Where a value lacks in some of the planned seeds there is no verdict: which seeds have one is no chance.
    """
    models = [model for model in order if model != sweep.reference and model in values]
    lines: list[Words] = []
    for controls in (False, True):
        family = [model for model in models if (model in sweep.controls) == controls]
        pairs = [
            Pair(
                model,
                sweep.reference,
                values[model],
                RESOLUTION,
                model_barred=barred.get(model, ""),
                reference_barred=barred.get(sweep.reference, ""),
                void=f"only {len(values[model])} of {planned} seeds have a value" * (0 < len(values[model]) < planned),
            )
            for model in family
        ]
        verdicts = judge(pairs, direction)
        lines += [verdict.words(metric, unit) for verdict in verdicts]
    return lines


def _incomparable(sweep: Sweep, found: pd.DataFrame, order: list[str]) -> list[Words]:
    """Which models have seeds whose quality the reference did not reach at any temperature."""
    outside = dict(list(found[found["outside"] != ""].groupby("model")))
    return [
        prose(
            "{}: not available in {} of {} seeds, where its `{}` is {} than any that {} reached.",
            model,
            str(len(seeds)),
            str((found["model"] == model).sum()),
            sweep.quality,
            str(side),
            sweep.reference,
        )
        for model in order
        for side, seeds in outside.get(model, found.head(0)).groupby("outside")
    ]


def _differences(found: pd.DataFrame, column: str, reference: str) -> Differences:
    """Model to seed to its value minus the reference's."""
    values = _by_seed(found, column)
    arm = values.get(reference, {})
    return {
        model: {seed: value - arm[seed] for seed, value in own.items() if seed in arm}
        for model, own in values.items()
        if model != reference
    }


def _by_seed(found: pd.DataFrame, column: str) -> Differences:
    return {
        str(model): dict(zip(rows["seed"].tolist(), rows[column].tolist(), strict=True))
        for model, rows in found.dropna(subset=[column]).groupby("model")
    }
