"""How far the runs of a results folder are, and how long they still take, as the script of the live page takes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bench.commands.watched import Kind, Look
from bench.plans.costs import Costs
from bench.records.record import RunSpec
from bench.records.store import DONE
from bench.records.under_way import UnderWay

__all__ = ["outlook"]

DRAWN = ("nll_oracle", "grammatical", "nll_valid", "reward", "loss")
"""The first of these that has a curve is drawn; of other runs, the first that they have."""
MOST_FAILURES = 50
"""Most failures that are listed."""


def outlook(look: Look, costs: Costs) -> dict[str, Any]:
    """The runs under way, how many others there are, and the seconds that are left, where they can be guessed.

    Args:
        look: What is in the folder.
        costs: How long runs are expected to take of whose kind none was completed in the folder.
    """
    records, missing = look.content.records, look.content.missing
    devices = {record.spec.device for record in records.values()} | {now.device for now in look.moving.values()}
    shipped = {kind: seconds * costs.ratio for kind, seconds in costs.shipped.items()} if devices <= {"cpu"} else {}
    expected = {**shipped, **look.content.took}
    runs = [_run(look, run_id, expected) for run_id in look.holders]
    done = sum(record.status in DONE for record in records.values())
    failed = {
        run_id: each for run_id, each in records.items() if each.status == "failed" and run_id not in look.holders
    }
    waiting = [_kind(each.spec) for run_id, each in records.items() if _waits(look, run_id)]
    waiting += [
        (each.preset, each.task, each.model) for run_id, (each, _) in missing.items() if run_id not in look.holders
    ]
    return {
        "counts": {"done": done, "under way": len(runs), "waiting": len(waiting), "failed": len(failed)},
        "left": _left(runs, [expected.get(kind) for kind in waiting]),
        "working": look.working,
        "runs": sorted(runs, key=lambda run: (run["task"], run["preset"], run["seed"], run["model"])),
        "failures": [
            {"title": f"{each.spec.task_label} {each.spec.label} seed {each.spec.seed}", "reason": each.reason or ""}
            for each in list(failed.values())[:MOST_FAILURES]
        ],
    }


def _waits(look: Look, run_id: str) -> bool:
    """Whether a run has begun, has not ended, and is nobody's now."""
    return look.content.records[run_id].status in ("started", "interrupted") and run_id not in look.holders


def _kind(spec: RunSpec) -> Kind:
    return spec.preset_label, spec.task_label, spec.label


def _run(look: Look, run_id: str, expected: Mapping[Kind, float]) -> dict[str, Any]:
    """A run under way: from its file or, where it has none yet, from its record or the plan."""
    now, record, planned = look.moving.get(run_id), look.content.records.get(run_id), look.content.missing.get(run_id)
    shown: dict[str, Any] = {
        "id": run_id, "task": "", "model": run_id, "preset": "", "seed": None, "holder": str(look.holders[run_id]),
        "phase": "starting", "done": 0, "steps": 1, "seconds": None, "scalars": [], "curve": None,
    }  # fmt: skip
    told = None
    if now is not None:
        shown |= {name: getattr(now, name) for name in ("task", "model", "preset", "seed", "phase", "done", "steps")}
        shown |= {"seconds": round(now.seconds), "scalars": list(now.scalars.items()), "curve": _curve(now)}
        told = now.expected
    elif record is not None:
        spec = record.spec
        shown |= {"task": spec.task_label, "model": spec.label, "preset": spec.preset_label, "seed": spec.seed}
    elif planned is not None:
        each, seed = planned
        shown |= {"task": each.task, "model": each.model, "preset": each.preset, "seed": seed}
    kind = shown["preset"], shown["task"], shown["model"]
    took = look.content.took.get(kind, told)
    return {**shown, "expected": expected.get(kind) if took is None else took}


def _curve(now: UnderWay) -> dict[str, Any] | None:
    """The curve that is drawn of a run; None before there are two points."""
    names = [name for name, points in now.curves.items() if len(points) > 1]
    if not names:
        return None
    name = next((name for name in DRAWN if name in names), names[0])
    return {"name": name, "points": now.curves[name], "phases": now.phases}


def _left(runs: Sequence[Mapping[str, Any]], waiting: Sequence[float | None]) -> float | None:
    """Seconds to the end, if as many runs as now are under way all the time; None where most are not known."""
    if not runs:
        return None
    rest = [run["expected"] and max(0.0, run["expected"] - (run["seconds"] or 0)) for run in runs]
    known = [seconds for seconds in (*rest, *waiting) if seconds is not None]
    number = len(rest) + len(waiting)
    if 2 * len(known) < number:
        return None
    whole = sum(known) / len(known) * number  # of the others, nothing is known but how many they are
    return float(max(whole / len(runs), *(seconds or 0.0 for seconds in rest)))
