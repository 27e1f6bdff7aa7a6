"""Which models spent more than their budget allows."""

from __future__ import annotations

import pandas as pd

from bench.records.frames import COSTS, FINAL, as_rows

__all__ = ["MARGIN", "overspent"]

MARGIN = 1.25
"""Times the budget: a model notices the end of a budget between two steps, and may have begun one just before."""


def overspent(runs: pd.DataFrame, scores: pd.DataFrame) -> dict[tuple[str, str, str], str]:
    """Models whose training took more than their budget, in the mean over seeds.

    Seconds are what the harness measured, up to the first answers of the sampler: a model that puts its training off
    until it is asked for samples spends them, too. Tokens and updates are what the model counted itself.

    Args:
        runs: One row per run; without a column ``budget``, none had a budget.
        scores: One row for each (run, checkpoint, metric) of completed runs.

    Returns:
        (Task, preset, model) to a phrase that completes "it has no rank, because ...".
    """
    if "budget" not in runs:
        return {}
    limits = {row["run_id"]: row["budget"] for row in as_rows(runs[["run_id", "budget"]])}
    spent = scores[(scores["checkpoint"] == FINAL) & scores["metric"].isin(COSTS) & scores["value"].notna()]
    shares: dict[tuple[str, str, str, str], list[tuple[float, float]]] = {}
    for row in as_rows(spent[["run_id", "task", "preset", "model", "metric", "value"]]):
        limit = (limits.get(row["run_id"]) or {}).get(row["metric"])
        if limit:
            key = row["task"], row["preset"], row["model"], row["metric"]
            shares.setdefault(key, []).append((row["value"], limit))
    found = {}
    for (task, preset, model, unit), pairs in shares.items():
        used, limit = (sum(values) / len(pairs) for values in zip(*pairs, strict=True))
        if used > MARGIN * limit:
            found[task, preset, model] = f"it spent {used:,.4g} {unit} on average, of a budget of {limit:,.4g}"
    return found
