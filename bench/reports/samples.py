"""What the models wrote: a few sequences of each, for people to read beside the numbers."""

from __future__ import annotations

import re

from bench.records.frames import as_rows
from bench.reports.markup import bullets, escape
from bench.reports.results import Results

__all__ = ["markdown"]

SHOWN = 3
"""Sequences of each model."""


def markdown(results: Results) -> list[str]:
    """The first few samples of every model's first finished seed, in the leaderboard's order, with the run's id."""
    parts: list[str] = []
    for section in results.sections():
        done = section.runs[section.runs["status"] == "ok"].sort_values("seed").drop_duplicates("model")
        rows = {row["model"]: row for row in as_rows(done) if row["samples"]}
        lines = []
        for model in dict.fromkeys(section.board["model"]):
            if model in rows:
                quoted = map(_quoted, rows[model]["samples"][:SHOWN])
                lines.append("\n  - ".join([f"{escape(model)} (`{rows[model]['run_id']}`)", *quoted]))
        if lines:
            title = "Of the first seed, not chosen; `bench sample` draws more from a run, by the id behind its model:"
            parts += [f"### {escape(section.title)}", *bullets(title, lines)]
    return ["## Samples", *parts] if parts else []


def _quoted(text: str) -> str:
    """A sample as an item of a list: what would make it a heading, a quotation or a list of its own is escaped."""
    return re.sub(r"^(\d*)([-+#>.)])", r"\1\\\2", escape(text)) or "(nothing)"
