"""How the numbers were made: machines, versions, settings, and the runs without results."""

from __future__ import annotations

from typing import Any

import pandas as pd

from bench.records.frames import MISSING, REAL_DATA, as_rows, as_tuples
from bench.reports.document import Document, Heading, Paragraph, bullets, prose

__all__ = ["DEFAULT", "data_remarks", "provenance", "reasons", "settings", "tuning", "unfinished"]

DEFAULT = "default settings"
"""How the fields of a model were chosen that nobody tuned."""


def provenance(runs: pd.DataFrame) -> Document:
    """How the numbers were made, from the records of the runs."""

    def each(column: str) -> str:
        values = sorted(runs[column].dropna().unique())  # whole numbers beside gaps are floats
        return ", ".join(f"{value:g}" if isinstance(value, float) else str(value) for value in values)

    commits = {
        str(row["commit"]) + (" with uncommitted changes" if row["dirty"] is True else "")
        for row in as_rows(runs[["commit", "dirty"]])
        if not pd.isna(row["commit"])
    }
    finished, models = runs["finished"].dropna(), runs[runs["model"] != REAL_DATA]
    facts = {
        "Presets": each("preset"),
        "Seeds": each("seed"),
        "Machine": each("machine"),
        "Device": each("device"),
        "Threads": each("threads"),
        "Versions": f"seqgan-bench {each('version')}, Python {each('python')}, torch {each('torch')}",
        "Commit": ", ".join(sorted(commits)),
        "Tuning": "every row has the default settings of its preset" if set(models["tuned"]) == {DEFAULT} else "",
        "Newest run": str(finished.max())[:10] if len(finished) else "",
    }
    blocks = bullets("How it was made:", [f"{name}: {fact}" for name, fact in facts.items() if fact])
    where = runs.loc[runs["status"] != MISSING, ["machine", "device", "threads"]]
    if len(where.drop_duplicates()) > 1:
        text = "Not all runs used the same machine, device and number of threads: their speeds are not comparable."
        blocks.append(Paragraph(text))
    return blocks


def data_remarks(runs: pd.DataFrame) -> Document:
    """What is wrong with the data of a task, which the runs of its real data say."""
    told = [text for row in as_rows(runs[runs["model"] == REAL_DATA]) for text in row.get("warnings") or ()]
    return bullets("Look at the data before the scores:", (f"{text}." for text in dict.fromkeys(told)))


def settings(runs: pd.DataFrame) -> Document:
    """The value of every field of every model, and on which tasks, where that is not the same on all."""
    models: dict[tuple[str, str], dict[str, set[str]]] = {}
    columns = ["preset", "model", "settings", "task"]
    for preset, model, fields, task in as_tuples(runs.loc[runs["model"] != REAL_DATA, columns].dropna()):
        models.setdefault((preset, model), {}).setdefault(fields, set()).add(task)
    lines = []
    for (preset, model), tasks in sorted(models.items()):
        for fields, where in sorted(tasks.items()):
            place = f" on {', '.join(sorted(where))}" if len(tasks) > 1 else ""
            lines.append(f"{model} ({preset}{place}): {fields or 'no fields'}")
    return [Heading(2, "Settings"), *bullets("All fields of each model:", lines)] if lines else []


def tuning(runs: pd.DataFrame) -> Document:
    """How the fields of each row were chosen, for the runs of one task and preset; nothing where all are defaults."""
    models: dict[str, list[str]] = {}
    for row in as_rows(runs[runs["model"] != REAL_DATA].drop_duplicates("model").sort_values("model")):
        models.setdefault(row["tuned"], []).append(row["model"])
    lines = [f"{', '.join(names)}: {tuned}" for tuned, names in models.items()]
    return bullets("How the fields of each row were chosen:", lines) if models.keys() - {DEFAULT} else []


def unfinished(runs: pd.DataFrame) -> Document:
    """Every run that failed, was skipped or is missing, and why."""
    rows = as_rows(runs[runs["status"] != "ok"].sort_values(["task", "preset", "model", "seed", "run_id"]))
    lines = [
        prose(
            "`{}`, {model} on {task}, {preset}, seed {seed}: {outcome}", row["run_id"],
            model=row["model"], task=row["task"], preset=row["preset"], seed=str(row["seed"]), outcome=_outcome(row),
        )
        for row in rows
    ]  # fmt: skip
    return [Heading(2, "Failed, skipped and missing runs"), *bullets("", lines)] if lines else []


def reasons(runs: pd.DataFrame) -> dict[str, str]:
    """Model to the first reason why one of its runs has no result; for the runs of one task and preset."""
    here = runs[runs["status"] != "ok"]
    first = here.sort_values(["model", "seed", "run_id"]).drop_duplicates("model")
    return {row["model"]: _outcome(row) for row in as_rows(first)}


def _outcome(row: dict[str, Any]) -> str:
    return row["status"] if pd.isna(row["reason"]) else f"{row['status']}: {row['reason']}"
