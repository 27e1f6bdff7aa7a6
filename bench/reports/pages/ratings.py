"""What people said of a rating sheet, for people and for programs."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import statistics
from typing import Any

from bench.analysis.ratings import BOTH, FEW_RATERS, Difference, Judgement, Share
from bench.reports.document import Document, Heading, Paragraph, bullets, table
from bench.visible import cell

__all__ = ["COLUMNS", "as_csv", "as_json", "page"]

SCHEMA = 1
FASTEST = 1.0
"""Seconds in which nobody reads a text."""
COLUMNS = (
    *("task", "preset", "sheet", "protocol", "raters", "source", "reference", "value", "low", "high", "about"),
    *("wilson_low", "wilson_high", "answers", "effective_answers", "n", "different_texts", "copied", "runs"),
    *("p", "corrected_p", "p_texts"),
)


def page(found: Judgement) -> Document:
    """All of it, with how to read it."""
    key, raters = found.key, len(found.raters)
    people = "one rater" if raters == 1 else f"{raters} raters"
    seconds = [each.seconds for each in found.raters if each.seconds is not None]
    pace = f", {statistics.median(seconds):.1f} s a text (median)" if seconds else ""
    blocks: Document = [
        Heading(1, f"Judged by people: {key.task}"),
        Paragraph(
            f"{key.question} Sheet {key.sheet} ({key.preset}), {people}, {len(key.items)} texts{pace}; protocol: "
            f"{key.protocol}."
        ),
        table(
            [
                "source",
                "judged human",
                "95% interval",
                "Wilson's",
                "answers",
                "worth",
                "texts",
                "copied",
            ],
            map(_share, found.shares),
            caption="Share judged human",
        ),
    ]
    if found.differences:
        blocks.append(
            table(
                ["difference", "value", "95% interval", "p", "p, Holm", "p, these raters"],
                map(_difference, found.differences),
                caption="Differences",
            )
        )
    blocks.append(Paragraph(_agreement(found)))
    blocks.append(Paragraph(_reading(found)))
    return [*blocks, *bullets("Notes:", _notes(found))]


def _share(row: Share) -> list[str]:
    texts = str(row.n) if row.n == row.texts else f"{row.n} ({row.texts} different)"
    if row.value is None:
        return [row.name, "n/a", "", "", "0", "", texts, str(row.copied)]
    worth = f"{row.effective:.0f}"
    return [row.name, f"{row.value:.3f}", _ends(row.interval), _ends(row.wilson), str(row.answers), worth, texts,
            str(row.copied)]  # fmt: skip


def _difference(row: Difference) -> list[str]:
    own = [f"{row.value:+.3f}", _ends(row.interval, "+"), _p(row.p), _p(row.corrected_p), _p(row.p_texts)]
    return [f"{row.name} - {row.reference}", *own]


def _ends(interval: tuple[float, float] | None, sign: str = "") -> str:
    return "" if interval is None else f"[{interval[0]:{sign}.3f}, {interval[1]:{sign}.3f}]"


def _p(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def _agreement(found: Judgement) -> str:
    if len(found.raters) == 1:
        return "Agreement between raters cannot be known from one rater."
    if found.alpha is None:
        return (
            "Agreement between raters: Krippendorff's alpha has no value, because all answers to texts that two raters "
            "judged are the same, or there is no such text."
        )
    return f"Agreement between raters: Krippendorff's alpha {found.alpha:.3f} (nominal; 1 is perfect, 0 is chance)."


def _reading(found: Judgement) -> str:
    unit = found.shares[0].unit
    text = (
        f"The 95% interval is for {unit}; 'worth' is how many independent answers would tell as much. Wilson's "
        "interval counts every answer as independent, as publications do: it is about these raters and these texts, "
        "and too narrow for any other. "
    )
    if unit == BOTH:
        text += "p is that of min F', for other raters and other texts; "
    else:
        text += "p is for these raters, by exchanging texts; "
    return f"{text}'p, these raters' exchanges texts between sources. Holm's correction is for all differences here."


def _notes(found: Judgement) -> list[str]:
    notes = list(found.notes)
    if len(found.raters) == 1:
        notes.append("One rater: nothing here is about people in general.")
    elif len(found.raters) < FEW_RATERS:
        notes.append(f"{len(found.raters)} raters: how far raters differ is hardly known, so intervals are wide.")
    notes += [
        f"'{each.name}' took {each.seconds:.1f} s a text (median): too little to read it."
        for each in found.raters
        if each.seconds is not None and each.seconds < FASTEST
    ]
    several = sorted({row.name for row in found.shares if row.runs > 1})
    if several:
        notes.append(f"Texts of several seeds are taken together, and intervals are about these: {', '.join(several)}.")
    notes += [
        f"{row.copied} of {row.n} texts of {row.name} are in the training split word for word: humans wrote those."
        for row in found.shares
        if row.copied and not row.real
    ]
    shared = sum(len({found.key.sources[at].name for at in item.sources}) > 1 for item in found.key.items)
    if shared:
        notes.append(f"{shared} texts are from several sources: their answers count for each.")
    return notes


def as_json(found: Judgement) -> str:
    """All of it, unrounded, as one object of strict JSON; it names raters."""
    key = found.key
    content = {
        "schema": SCHEMA,
        **{"task": key.task, "preset": key.preset, "sheet": key.sheet, "protocol": key.protocol},
        **{"question": key.question, "texts": len(key.items), "krippendorff_alpha": found.alpha},
        "shares": [dataclasses.asdict(row) for row in found.shares],
        "differences": [dataclasses.asdict(row) for row in found.differences],
        "raters": [dataclasses.asdict(row) for row in found.raters],
        "notes": _notes(found),
    }
    return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def as_csv(found: Judgement) -> str:
    """A line for each source, and one for each difference, which has a reference; unrounded."""
    key, written = found.key, io.StringIO()
    about: dict[str, Any] = {"task": key.task, "preset": key.preset, "sheet": key.sheet, "protocol": key.protocol,
                             "raters": len(found.raters)}  # fmt: skip
    lines = csv.DictWriter(written, COLUMNS, lineterminator="\n")
    lines.writeheader()
    for row in found.shares:
        low, high = row.interval or (None, None)
        wilson_low, wilson_high = row.wilson or (None, None)
        fields = {
            **{"source": row.name, "value": row.value, "low": low, "high": high, "about": row.unit},
            **{"wilson_low": wilson_low, "wilson_high": wilson_high, "answers": row.answers},
            **{"effective_answers": row.effective, "n": row.n, "different_texts": row.texts, "copied": row.copied},
            "runs": row.runs,
        }
        lines.writerow({name: cell(value) for name, value in {**about, **fields}.items()})
    for each in found.differences:
        low, high = each.interval or (None, None)
        fields = {
            **{"source": each.name, "reference": each.reference, "value": each.value, "low": low, "high": high},
            **{"about": each.unit, "p": each.p, "corrected_p": each.corrected_p, "p_texts": each.p_texts},
        }
        lines.writerow({name: cell(value) for name, value in {**about, **fields}.items()})
    return written.getvalue()
