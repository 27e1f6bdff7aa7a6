"""``bench tune``: the same number of trials for every model, on validation data alone."""

from __future__ import annotations

import csv
import io
import json
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bench.commands.options import Command, names
from bench.errors import SIGNALLED, Halted, UsageError
from bench.visible import cell

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import Console

    from bench.records.store import Store
    from bench.runs.tuning import Study, Trial

FOLDER = "tuning"
"""The folder, in a results folder, with the records of the trials."""
COLUMNS = ("task", "preset", "metric", "model", "trial", "status", "score", "best", "seconds", "reason", "fields")


@click.command(cls=Command)
@click.argument("models", callback=lambda context, option, value: names(context, option, (value,)))
@click.option("--task", required=True, help="Name, package.module:Class, text:FILE,..., midi:FOLDER or checkins:FILE.")
@click.option("--trials", required=True, type=int, help="Trials of each model; the first is its default configuration.")
@click.option("--metric", default="nll_valid", show_default=True, help="nll_valid, or jsd_valid where an oracle is.")
@click.option("--seeds", default=1, show_default=True, help="Trainings of each trial; its score is their mean.")
@click.option("--seed", default=0, show_default=True, help="Of the search's own random numbers.")
@click.option(
    "--preset",
    default="quick",
    show_default=True,
    help="smoke, quick (minutes), medium (hours) or paper (days).",
)
@click.option("--space", "spaces", multiple=True, metavar="[NAME.]FIELD[=LOW..HIGH]",
              help="Search this field, and only those given; FIELD=A|B for other values.")  # fmt: skip
@click.option("--set", "settings", multiple=True, metavar="NAME.FIELD=VALUE", help="Fix a model's or task's field.")
@click.option("--budget", metavar="AMOUNT", help="What each training may use: 60s, 5m, 2M-tokens or 20000-updates.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda.")
@click.option("--workers", "wanted", default="auto", show_default=True, metavar="N",
              help="Worker processes, one thread each; 0: this process; auto: as many as processors, 4 on "
              "CUDA.")  # fmt: skip
@click.option("--timeout", metavar="TIME", help="What a training may take at most: 90s, 30m, 8h; else it has failed.")
@click.option("--output", default="results", show_default=True, type=click.Path(path_type=Path), help="Results folder.")
@click.option("--to", "target", metavar="FILE.json", type=click.Path(path_type=Path),
              help="The preset file to write; by default in the results folder.")  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Print what would be searched and stop.")
def tune(
    models: tuple[str, ...],
    task: str,
    trials: int,
    metric: str,
    seeds: int,
    seed: int,
    preset: str,
    spaces: tuple[str, ...],
    settings: tuple[str, ...],
    budget: str | None,
    device: str,
    wanted: str,
    timeout: str | None,
    output: Path,
    target: Path | None,
    dry_run: bool,
) -> None:
    """Search the fields of MODEL[,MODEL...] on one task: the same number of trials for each, never on test data.

    Writes the best fields to a file for 'bench run --preset FILE', and all trials to a .csv beside it. A search that
    was ended goes on with the same command; a trial that failed counts. Exit code 0, 1 when no trial of a model
    succeeded, 2 for a usage error, 130 after Ctrl-C, 143 after SIGTERM.
    """
    from bench.commands.output import lasting_output
    from bench.commands.planned import announce
    from bench.plans.presets import MOST_SEEDS, counted, find_preset, parse_budget, parse_time, parse_workers
    from bench.records.store import Store
    from bench.reports.terminal import Screen
    from bench.runs.devices import choose_device
    from bench.runs.tuning import METRICS, MOST_TRIALS, require_optuna, require_oracle

    if not 1 <= trials <= MOST_TRIALS:
        raise UsageError(f"expected 1 to {MOST_TRIALS} trials, got {trials}.")
    if metric not in METRICS:
        raise UsageError(f"expected --metric to be {' or '.join(METRICS)}, got '{metric}'.")
    device = choose_device(device)
    workers = parse_workers(wanted, device)
    seconds = None if timeout is None else parse_time(timeout)
    if seconds is not None and workers == 0:
        raise UsageError("--timeout needs worker processes, which it can end: choose --workers of 1 or more.")
    if target is not None and (target.suffix != ".json" or target.is_dir()):
        raise UsageError(f"expected --to to be a file that ends in .json, got '{target}'.")
    if task == "all":
        raise UsageError("expected one task, got 'all': fields are searched for each task on its own.")
    find_preset(preset)
    require_optuna()
    request: dict[str, Any] = {
        "tasks": (task,),
        "seeds": [MOST_SEEDS + trained for trained in counted(seeds)],
        "preset": preset,
        "device": device,
        "budget": {} if budget is None else parse_budget(budget),
    }
    studies = _studies(models, request, spaces, settings, metric, seed)
    first = studies[0].specs[0]
    if metric == "jsd_valid":
        require_oracle(studies[0].runs(0, studies[0].default)[0])
    if target is not None and not target.parent.is_dir() and target.parent != output:  # which is made
        raise UsageError(f"expected --to in a folder that exists, got '{target}': make '{target.parent}' first.")
    file = target or output / f"tuned-{_plain(first.task_label)}-{preset}-{metric}.json"
    console = Screen()
    with lasting_output():
        announce(console, [first], (task,))
        for study in studies:
            spelled = ", ".join(f"{field} {each}" for field, each in study.space.items())
            console.print(f"{study.model}: {trials} trials of {spelled}", highlight=False, soft_wrap=True)
        if dry_run:
            return
        _require_own(file, studies)
        Store(output).open()
        store = Store(output / FOLDER)
        store.open()
        with store.alone():
            signal = _search(console, studies, trials, store, workers, seconds)
            ended = {study.model: study.trials(store)[:trials] for study in studies}
        _write_trials(file.with_suffix(".csv"), studies, ended)
        code = SIGNALLED + signal if signal else _conclude(console, store, file, studies, ended, trials)
    sys.exit(code)


def _require_own(file: Path, studies: Sequence[Study]) -> None:
    """Overwrite nothing but what the same search wrote, perhaps of fewer models and with other trials.

    Raises:
        UsageError: for a file that is something else.
    """
    from bench.plans.tuned import read_preset

    trials, kept = file.with_suffix(".csv"), "it is not overwritten: choose another file with --to, or remove it."
    if trials.exists() and not trials.read_bytes().startswith(",".join(COLUMNS).encode()):
        raise UsageError(f"'{trials}' was not written by bench tune; {kept}")
    if not file.exists():
        return
    try:
        before = read_preset(file)
    except UsageError as error:
        raise UsageError(f"{str(error).removesuffix('.')}; {kept}") from error
    spec = studies[0].specs[0]
    search = {"task": spec.task_label, "metric": studies[0].metric}
    is_same = before.preset == spec.preset and search.items() <= before.search.items()
    if not is_same or before.fields.keys() - {study.model for study in studies}:
        raise UsageError(f"'{file}' has the fields of another search, of {', '.join(before.fields)}; {kept}")


def _studies(
    models: tuple[str, ...],
    request: Mapping[str, Any],
    spaces: tuple[str, ...],
    settings: tuple[str, ...],
    metric: str,
    seed: int,
) -> list[Study]:
    """The search of each model.

    Its seeds are none of a benchmark's, so that no run of one has the data, where these are drawn, or the random
    numbers that the fields were chosen by.
    """
    from bench.plans.fields import parse_override
    from bench.plans.own_files import own_model
    from bench.plans.plan import Request, make_plan
    from bench.plans.registry import Plugin, PluginError
    from bench.plans.space import parse_space, requested_space
    from bench.records.frames import REAL_DATA
    from bench.runs.tuning import Study

    for name in models:
        if own_model(name):
            raise UsageError(f"'{name}' is no generator, only what one wrote: there is nothing to tune.")
    plan = make_plan(Request(models, settings=settings, temperatures=(), **request))
    named = list(dict.fromkeys(spec.model for spec in plan if spec.model != REAL_DATA))
    fixed = [parse_override(setting)[:2] for setting in settings]
    used: set[str] = set()
    studies = []
    for model in named:
        specs = tuple(spec for spec in plan if spec.model == model)
        try:
            plugin = Plugin("model", model, specs[0].target).load()
        except PluginError as error:
            raise UsageError(f"{error}.") from error
        own = [field for owner, field in fixed if owner == model]
        space = requested_space(model, plugin, specs[0].config, spaces, own)
        studies.append(Study(specs, space, metric, seed))
        used |= {text for text in spaces if parse_space(text)[0] in ("", model) and parse_space(text)[1] in space}
    for text in spaces:
        if text not in used:
            raise UsageError(f"cannot search {text}: no chosen model ({', '.join(named)}) has that field.")
    return studies


def _search(
    console: Console, studies: Sequence[Study], trials: int, store: Store, workers: int, timeout: float | None
) -> int:
    """Do the trials that are missing, round by round; return the number of the signal that ended them, or 0."""
    from bench.commands.progress import follow
    from bench.runs.campaign import enter
    from bench.runs.surroundings import settled
    from bench.runs.tuning import rounds

    with settled():  # once for all rounds, because each time takes a while
        for numbers in rounds(trials):
            plan = [spec for study in studies for spec in study.plan(store, numbers)]
            if not plan:
                continue
            console.print(f"trials {numbers.start} to {numbers.stop - 1} of 0 to {trials - 1}", highlight=False)
            with closing(enter(plan, store)) as campaign:
                signal = follow(console, campaign, workers, timeout)
            if signal or campaign.left:
                console.print("Interrupted. Do the same again to continue.", style="yellow")
                return signal
    return 0


def _conclude(
    console: Console,
    store: Store,
    file: Path,
    studies: Sequence[Study],
    ended: Mapping[str, list[Trial]],
    trials: int,
) -> int:
    """Write the preset file, and say what was found; return the exit code."""
    from bench.plans.tuned import write_preset
    from bench.runs.tuning import best

    found: dict[str, dict[str, Any]] = {}
    for study in studies:
        mine = ended[study.model]
        winner, failed = best(mine), [trial for trial in mine if trial.score is None]
        if len(mine) < trials:
            raise Halted(f"records of trials are missing in '{store.path}': do the same again to repeat them.")
        if winner is None:
            console.print(f"{study.model}: no trial succeeded: {failed[0].reason}", style="red", soft_wrap=True)
            continue
        default = mine[0].score
        found[study.model] = {
            "fields": {**study.specs[0].overrides, **winner.fields},
            "score": winner.score,
            "default_score": default,
            "trial": winner.number,
            "failed": len(failed),
            "space": {field: str(each) for field, each in study.space.items()},
        }
        before = "its default configuration failed" if default is None else f"default {default:.6g}"
        fields = ", ".join(f"{field}={value}" for field, value in winner.fields.items())
        said = f"{study.model}: {study.metric} {winner.score:.6g} in trial {winner.number} ({before})"
        console.print(f"{said}, {len(failed)} failed: {fields}", highlight=False, soft_wrap=True)
    if len(found) < len(studies):
        console.print("No preset file was written: it would treat the models unequally.", style="red")
        return 1
    spec = studies[0].specs[0]
    about = {
        "task": spec.task_label, "metric": studies[0].metric, "trials": trials,
        "seeds": [each.seed for each in studies[0].specs], "seed": studies[0].seed, "budget": dict(spec.budget),
    }  # fmt: skip
    write_preset(file, spec.preset, about, found)
    console.print(f"Best fields: {file} (bench run --preset {file})", highlight=False, soft_wrap=True)
    return 0


def _write_trials(file: Path, studies: Sequence[Study], ended: Mapping[str, list[Trial]]) -> None:
    """All trials that have ended, a line for each."""
    from bench.records.files import write_atomically
    from bench.runs.tuning import best

    out = io.StringIO()
    lines = csv.writer(out, lineterminator="\n")
    lines.writerow(COLUMNS)
    for study in studies:
        spec, winner = study.specs[0], best(ended[study.model])
        for trial in ended[study.model]:
            outcome = ("ok", trial.score) if trial.score is not None else ("failed", "")
            marks = ("yes" if trial is winner else "", trial.seconds, trial.reason, json.dumps(dict(trial.fields)))
            row = (spec.task_label, spec.preset_label, study.metric, study.model, trial.number, *outcome, *marks)
            lines.writerow(map(cell, row))
    try:
        write_atomically(file, out.getvalue())
    except OSError as error:
        raise UsageError(f"cannot write '{file}': {error.strerror}; choose another --to.") from error


def _plain(name: str) -> str:
    """A name as part of a file's name."""
    return "".join(c if c.isalnum() or c in "-_" else "-" for c in name)[:100]
