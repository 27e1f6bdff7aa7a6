"""The texts of a rating sheet: which runs they are from, and what is drawn."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from bench.errors import UsageError, unknown
from bench.visible import visible

if TYPE_CHECKING:
    from torch import Tensor

    from bench.records.ratings import Draw, Source
    from bench.records.record import RunRecord
    from bench.records.store import Store
    from bench.runs.restore import Restored

    Run = tuple[RunRecord, Store]

__all__ = ["ONE_SEED", "Choice", "choose", "draw"]

ONE_SEED = "0-0"
"""Seeds that are taken from a folder if none are named."""


class Choice(NamedTuple):
    """What is chosen from a results folder.

    Attributes:
        task: Label of the task.
        models: Labels of models.
        seeds: As :func:`bench.plans.presets.parse_seeds` reads them.
        preset: Label of the preset.
    """

    task: str | None
    models: tuple[str, ...]
    seeds: str
    preset: str | None


def choose(runs: Sequence[str], results: Path, choice: Choice) -> list[Run]:
    """The records of the runs, all on the same data, each once, with the folders that hold them.

    Args:
        runs: Ids, digits or paths of records; or one results folder.
        results: Where ids are looked for.
        choice: What is chosen from a folder.

    Raises:
        UsageError: for runs that are not there, that are not on the same data, or that are given twice.
    """
    from bench.records.frames import REAL_DATA
    from bench.runs.restore import find_run

    if any(Path(run).is_dir() for run in runs):
        if len(runs) > 1:
            raise UsageError("expected runs, or one results folder; several folders are joined by 'bench merge'.")
        found = _in_folder(Path(runs[0]), choice)
    elif choice != Choice(None, (), ONE_SEED, None):
        if len(runs) == 1 and not Path(runs[0]).exists() and not re.fullmatch("[0-9a-f]{4,}", runs[0]):
            raise UsageError(f"there is no results folder '{runs[0]}' to choose from.")
        raise UsageError("--task, --models, --seeds and --preset choose from a results folder: name it, and no runs.")
    else:
        found = [find_run(run, results) for run in runs]
    first = found[0][0].spec
    for record, _ in found:
        spec = record.spec
        if spec.model == REAL_DATA:
            raise UsageError(f"run {spec.run_id} is the real data, and real texts are on every sheet: leave it out.")
        if (spec.task_label, spec.data) != (first.task_label, first.data):
            here, there = (f"{each.run_id} is on {each.task_label} ({each.preset_label})" for each in (first, spec))
            if here.partition(" ")[2] == there.partition(" ")[2]:
                there += ", of which each seed has its own data: take one seed"
            raise UsageError(
                f"expected runs on the same data, since a sheet is about one task, but {here} and {there}."
            )
    twice = [run for run, times in Counter(record.spec.run_id for record, _ in found).items() if times > 1]
    if twice:
        raise UsageError(f"expected each run once, got {twice[0]} twice.")
    return found


def _in_folder(folder: Path, choice: Choice) -> list[Run]:
    """The runs of a results folder that options choose."""
    from bench.plans.presets import parse_seeds
    from bench.records.frames import REAL_DATA
    from bench.records.store import Store

    store = Store(folder)
    store.require()
    if not choice.models:
        raise UsageError(f"expected --models, to choose from '{folder}'.")
    shown = set(store.load().runs["run_id"])  # of each model the configuration that the leaderboard shows
    finished = [record for record in store.records() if record.status == "ok" and record.spec.run_id in shown]
    tasks = sorted({record.spec.task_label for record in finished})
    if choice.task is None and len(tasks) > 1:
        raise UsageError(f"expected a --task, for '{folder}' has {', '.join(tasks)}.")
    here = [record for record in finished if record.spec.task_label in (choice.task or tasks)]
    if not here:
        raise unknown("task", choice.task or "", tasks)
    presets = sorted({record.spec.preset_label for record in here})
    if choice.preset is not None and choice.preset not in presets:
        raise unknown("preset", choice.preset, presets)
    if choice.preset is None and len(presets) > 1:
        raise UsageError(f"expected a --preset, for '{folder}' has {choice.task} under {' and '.join(presets)}.")
    preset, found = choice.preset or presets[0], []
    models = {record.spec.label for record in here if record.spec.preset_label == preset} - {REAL_DATA}
    for model in choice.models:
        if model not in models:
            raise unknown("model", model, models)
        own = {
            record.spec.seed: record
            for record in here
            if (record.spec.label, record.spec.preset_label) == (model, preset)
        }
        for seed in parse_seeds(choice.seeds):
            if seed not in own:
                there = ", ".join(map(str, sorted(own)))
                raise UsageError(f"seed {seed} of {model} is not finished in '{folder}'; its --seeds are {there}.")
            found.append((own[seed], store))
    return found


def draw(chosen: Sequence[Run], n: int, seed: int) -> tuple[list[Source], list[Draw], tuple[str, ...]]:
    """The sources, the real one first, n texts of each, and what is wrong with the data.

    Generated texts are the first n of ``bench sample RUN --seed SEED``. Real ones are from the held-out split, each at
    most once, and go through the same vocabulary: what it lacks looks the same in both.

    Raises:
        UsageError: for a run that cannot be restored, a task whose words stand for nothing, and for more texts than
            the held-out split has.
    """
    from bench.api import Decoding
    from bench.records.frames import REAL_DATA
    from bench.records.ratings import Draw, Source
    from bench.runs.restore import restore

    presets: dict[str, set[str]] = {}
    for record, _ in chosen:
        presets.setdefault(record.spec.label, set()).add(record.spec.preset_label)
    least = min(record.spec.seed for record, _ in chosen)
    sources = [Source(REAL_DATA, _scored_as_real(chosen[0], least), REAL_DATA, least, real=True)]
    draws: list[Draw] = []
    trained: frozenset[bytes] = frozenset()
    remarks: tuple[str, ...] = ()
    for place, (record, store) in enumerate(chosen, 1):
        restored, spec = restore(record, store.checkpoints), record.spec
        if place == 1:
            real = _real(restored, n, seed)
            trained = frozenset(row.tobytes() for row in restored.data.training.train.numpy())
            draws += [Draw(0, *text) for text in _texts(restored, real, trained)]
            remarks = restored.data.remarks
        several = len(presets[spec.label]) > 1
        name = f"{spec.label} ({spec.preset_label})" if several else spec.label
        sources.append(Source(name, spec.run_id, spec.label, spec.seed))
        draws += [Draw(place, *text) for text in _texts(restored, restored.draw(n, Decoding(), seed), trained)]
    return sources, draws, remarks


def _scored_as_real(run: Run, seed: int) -> str:
    """Id of the run that scores the real data of a run's task, "" where there is none."""
    from bench.records.frames import REAL_DATA

    spec = run[0].spec
    for other in (each.spec for each in run[1].records() if each.status == "ok"):
        same = (other.task_label, other.preset_label, other.data) == (spec.task_label, spec.preset_label, spec.data)
        if other.model == REAL_DATA and same and other.seed == seed:
            return other.run_id
    return ""


def _real(restored: Restored, n: int, seed: int) -> Tensor:
    """N held-out sequences, int64 (n, T), in random order."""
    import torch

    from bench.runs.streams import named_stream

    spec, data = restored.record.spec, restored.data
    if data.vocabulary is None:
        raise UsageError(f"the words of {spec.task_label} are numbers that stand for nothing: nobody can judge them.")
    if n > len(data.test):
        raise UsageError(f"expected -n of at most {len(data.test)}, the held-out sequences, got {n}.")
    stream = named_stream(f"{spec.task_stream or spec.task_target}/{spec.task_version}/{spec.data}", f"rate/{seed}")
    return data.test[torch.randperm(len(data.test), generator=stream)[:n]]


def _texts(
    restored: Restored, tokens: Tensor, trained: frozenset[bytes]
) -> Iterator[tuple[str, bool, tuple[tuple[int | None, float], ...]]]:
    """Each sequence as raters see it, whether it is among those of training, and the notes of a tune."""
    from bench.data import notation

    kind, verse = restored.data.training.spec.kind, getattr(restored.data.vocabulary, "verse", None)
    for words, row in zip(restored.spell(tokens), tokens.numpy(), strict=True):
        notes = notation.tune(words, kind) if kind in notation.TUNES else []
        # One sign for what is left out, whatever the words are.
        known = words if notes else [notation.MISSING if word == notation.UNKNOWN else word for word in words]
        text = notation.line(known, kind, verse)
        text = text.replace(" / ", "\n") if verse else text
        yield visible(text), row.tobytes() in trained, tuple((note.pitch, float(note.sixteenths)) for note in notes)
