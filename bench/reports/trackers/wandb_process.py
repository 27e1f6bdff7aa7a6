"""``python -m bench.reports.trackers.wandb_process PROJECT FOLDER``: writes records of its input to Weights & Biases.

A line of its input is a record; a line of its output says that it has started, or what became of a record.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

from filelock import FileLock

from bench.records.record import RunRecord, checksum, from_json
from bench.reports.trackers.history import History, history

__all__ = ["main"]

MARK = "seqgan-bench.json"
"""In the folder that W&B makes for a run: what was written, once all of it was."""
LOCK = "seqgan-bench.lock"
SETTINGS = {
    "silent": True, "console": "off", "disable_git": True, "disable_code": True, "disable_job_creation": True,
    "save_code": False, "x_disable_meta": True, "x_disable_stats": True, "x_disable_machine_info": True,
    "x_save_requirements": False, "init_timeout": 45.0, "finish_timeout": 45.0,
}  # fmt: skip
"""Nothing is kept of this process, which is not what was benchmarked, and nothing is waited for without end."""
LONGEST_NAME, LONGEST_TAG = 128, 64
"""Most characters that W&B takes."""
LONGEST_REASON = 300
LEAST_PRIORITY = 19


def main() -> None:
    """Write what comes."""
    with contextlib.suppress(OSError):
        os.nice(LEAST_PRIORITY)  # whoever trains goes first
    output = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what W&B prints is no answer
    project, folder = sys.argv[1], Path(sys.argv[2])

    def say(**answer: object) -> None:
        print(json.dumps(answer), file=output, flush=True)

    try:
        offline = _ready()
    except Exception as error:
        say(error=_sentence(error))
        return
    say(error=None, offline=offline)
    for line in sys.stdin.buffer:
        run_id = json.loads(line)["run_id"]
        try:
            _write(from_json(line.decode("utf-8")), project, folder, offline)
        except Exception as error:
            say(run=run_id, error=_sentence(error))
            if _is_unreachable(error):  # each of the others would wait as long
                return
        else:
            say(run=run_id, error=None)


def _ready() -> bool:
    """Whether runs are kept in files.

    Raises:
        Exception: W&B's own, where it can be used in neither way.
    """
    import wandb

    mode = wandb.setup().settings.mode
    if mode == "disabled":
        raise ValueError("WANDB_MODE is 'disabled', in which nothing is written")
    if mode in ("offline", "dryrun"):
        return True
    wandb.login()  # without a terminal it asks nobody
    return False


def _write(record: RunRecord, project: str, folder: Path, offline: bool) -> None:
    """Write a run, unless it is there as it is; what was written of it before goes."""
    (folder / "wandb").mkdir(parents=True, exist_ok=True)
    with FileLock(folder / "wandb" / LOCK):  # another command in the results folder may write the same run
        _write_alone(record, project, folder, offline)


def _write_alone(record: RunRecord, project: str, folder: Path, offline: bool) -> None:
    told = history(record)
    digest = checksum(dataclasses.asdict(told))
    place = {"project": project, "offline": offline}
    marks = {there: _read(there / MARK) for there in folder.glob(f"wandb/*run-*-{told.id}")}
    if {**place, "sha256": digest} in marks.values():
        return
    kept = _log(told, project, folder, offline)
    (kept / MARK).write_text(json.dumps({**place, "sha256": digest}), encoding="utf-8")
    for there, mark in marks.items():  # as it was before, or half of it: 'wandb sync' would send both
        if there != kept and (not mark or place.items() <= mark.items()):
            shutil.rmtree(there, ignore_errors=True)


def _log(told: History, project: str, folder: Path, offline: bool) -> Path:
    """Write a run, and return the folder that W&B made for it."""
    import wandb

    known = getattr(wandb.Settings, "model_fields", {})
    settings: dict[str, Any] = {name: value for name, value in SETTINGS.items() if name in known}
    run = wandb.init(
        project=project, id=told.id, dir=str(folder), mode="offline" if offline else "online",
        name=f"{told.model} seed {told.seed}"[:LONGEST_NAME],
        group=told.configuration[:LONGEST_NAME], job_type=str(told.facts["role"]),
        tags=[tag[:LONGEST_TAG] for tag in dict.fromkeys([told.task, told.preset, told.model])],
        config={**told.settings, "record": dict(told.facts)},
        settings=wandb.Settings(**settings),
    )  # fmt: skip
    kept = Path(run.dir).parent
    try:
        for name, phase in {name: point.phase for point in told.points for name in point.named}.items():
            if "*" not in name:  # W&B would take it for a pattern
                run.define_metric(name, step_metric=f"{phase}/step")
        for number, point in enumerate(told.points):
            costs = {"seconds": point.seconds, "tokens": point.tokens, "updates": point.updates}
            row = {"phase": point.phase, f"{point.phase}/step": point.step, **point.named}
            row |= {name: cost for name, cost in costs.items() if cost is not None}
            run.log({**row, "_timestamp": told.started + point.seconds}, step=number)
        # Samples are plain text: W&B would keep a table of them in the user's home, where 'wandb sync' looks for it.
        run.summary.update({**told.scores, "status": told.status, "samples": list(told.samples)})
    finally:
        run.finish(exit_code=0 if told.status == "ok" else 1)
    return kept


def _read(file: Path) -> dict[str, object]:
    with contextlib.suppress(OSError, ValueError):
        content = json.loads(file.read_text(encoding="utf-8"))
        return content if isinstance(content, dict) else {}
    return {}


def _is_unreachable(error: Exception) -> bool:
    from wandb.errors import AuthenticationError, CommError

    return isinstance(error, AuthenticationError | CommError | TimeoutError)


def _sentence(error: Exception) -> str:
    """An error on one line, with its kind where it has no words."""
    return " ".join(str(error).split())[:LONGEST_REASON].rstrip(".") or type(error).__name__


if __name__ == "__main__":
    main()
