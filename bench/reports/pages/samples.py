"""Samples: a few sequences of each model, for people to read along with the numbers."""

from __future__ import annotations

from bench.analysis.results import Results
from bench.records.frames import as_rows
from bench.reports.document import Document, Heading, Item, bullets, prose

__all__ = ["TITLE", "page"]

TITLE = "Samples"
"""The heading of the page."""
SHOWN = 3
"""Sequences of each model."""


def page(results: Results) -> Document:
    """The first few samples of every model's first finished seed, in the leaderboard's order, with the run's id."""
    blocks: Document = []
    for section in results.sections():
        done = section.runs[section.runs["status"] == "ok"].sort_values("seed").drop_duplicates("model")
        rows = {row["model"]: row for row in as_rows(done) if row["samples"]}
        items = [
            Item(
                prose("{} (`{}`)", model, rows[model]["run_id"]),
                tuple(sample.strip() or "(nothing)" for sample in rows[model]["samples"][:SHOWN]),
            )
            for model in dict.fromkeys(section.board["model"])
            if model in rows
        ]
        if items:
            title = prose(
                "From the first seed, not hand-picked; `bench sample` draws more from a run, by the id after its model:"
            )
            blocks += [Heading(3, section.title), *bullets(title, items)]
    return [Heading(2, TITLE), *blocks] if blocks else []
