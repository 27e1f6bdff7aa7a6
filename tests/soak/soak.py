"""Shows that nothing finished is lost and that nothing wrong passes: kills, damaged files and faults, by the hundred.

``tox -e soak`` runs it, about an hour on two cores; ``--help`` lists the options. A second run with the same folder
goes on where the first one was stopped.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"  # before torch: a process with threads cannot be forked

import click
from benchmark import GOOD, Case, Trial
from rich.console import Console
from rich.progress import track

PARTS = ("kills", "mutations", "faults")


@click.command()
@click.option("--only", type=click.Choice(PARTS), help="One part; by default all of them.")
@click.option("--write-points", default="all", show_default=True, help="How many write points to be killed at, or all.")
@click.option("--kills", default=200, show_default=True, help="Kills and other signals at random moments.")
@click.option("--mutations", default=5000, show_default=True, help="Damaged files.")
@click.option("--faults", default="all", show_default=True, help="Faults by name, separated by commas, or all.")
@click.option("--seed", default=0, show_default=True, help="Decides the moments and the damage.")
@click.option("--output", required=True, type=click.Path(path_type=Path), help="Where trials and tables are kept.")
def soak(only: str | None, write_points: str, kills: int, mutations: int, faults: str, seed: int, output: Path) -> None:
    """Disturb small benchmarks in every way, and see what comes of it.

    Exit code 1 if anything was different, corrupt, left for a person to mend, or unclear.
    """
    most = None if write_points == "all" else int(write_points)
    names = None if faults == "all" else faults.split(",")
    cases: dict[str, Callable[[Path], list[Case]]] = {
        "kills": lambda folder: _kills(folder, most, kills, seed),
        "mutations": lambda folder: _mutations(folder, mutations, seed),
        "faults": lambda folder: _faults(folder, names),
    }
    console, bad = Console(markup=False, emoji=False, soft_wrap=True), 0
    output = output.resolve()
    for part in [only] if only else PARTS:
        trials = _do(part, cases[part], output)
        table = _table(part, trials)
        (output / f"{part}.md").write_text(table, encoding="utf-8")
        (output / f"{part}.json").write_text(json.dumps([asdict(trial) for trial in trials], indent=1) + "\n")
        console.print(table)
        bad += sum(not trial.is_good for trial in trials)
    sys.exit(1 if bad else 0)


def _do(part: str, cases: Callable[[Path], list[Case]], output: Path) -> list[Trial]:
    """Do the trials that were not done before; each is kept when it is done."""
    kept = output / f"{part}.jsonl"
    output.mkdir(parents=True, exist_ok=True)
    lines = kept.read_text(encoding="utf-8").splitlines() if kept.exists() else []
    trials = [Trial(**json.loads(line)) for line in lines]
    done = {trial.name for trial in trials}
    missing = [case for case in cases(output / part) if case.name not in done]
    console = Console(stderr=True)
    said = time.monotonic()
    with kept.open("a", encoding="utf-8") as stream:
        for number, case in enumerate(track(missing, part, console=console, disable=not console.is_terminal)):
            trial = case.do()
            trials.append(trial)
            stream.write(json.dumps(asdict(trial)) + "\n")
            stream.flush()
            if not trial.is_good:
                console.print(f"{trial.group}: {trial.name}: {trial.outcome}: {trial.detail}", markup=False)
            if not console.is_terminal and time.monotonic() - said > 30:
                said = time.monotonic()
                console.print(f"{part}: {number + 1} of {len(missing)}", dict(Counter(each.outcome for each in trials)))
    return trials


def _table(part: str, trials: Sequence[Trial]) -> str:
    """How many trials of each group had which outcome, and a line for each that had a bad one."""
    outcomes = sorted({trial.outcome for trial in trials}, key=lambda each: (each not in GOOD, each))
    counted = Counter((trial.group, trial.outcome) for trial in trials)
    rows = [["", "trials", *outcomes]]
    for group in [*dict.fromkeys(trial.group for trial in trials), "all"]:
        numbers = [
            sum(number for (of, ended), number in counted.items() if group in (of, "all") and ended == outcome)
            for outcome in outcomes
        ]
        rows.append([group, f"{sum(numbers)}", *(f"{number}" for number in numbers)])
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    lines.insert(1, "|" + " --- |" + " ---: |" * (len(rows[0]) - 1))
    told = [f"- {each.group}, {each.name}: {each.outcome}. {each.detail}" for each in trials
            if not each.is_good or each.outcome == "skipped"]  # fmt: skip
    return "\n".join([f"## {part.capitalize()}", "", *lines, "", *told]) + "\n"


def _kills(folder: Path, points: int | None, moments: int, seed: int) -> list[Case]:
    import kills

    kills.imports()
    cases = kills.at_write_points(folder, points) if points != 0 else []
    return [*cases, *kills.at_any_moment(folder, moments, seed)]


def _mutations(folder: Path, number: int, seed: int) -> list[Case]:
    import mutations

    return mutations.cases(folder, number, seed)


def _faults(folder: Path, names: Sequence[str] | None) -> list[Case]:
    import faults

    return faults.cases(folder, names)


if __name__ == "__main__":
    soak()
