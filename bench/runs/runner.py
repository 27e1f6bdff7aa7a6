"""RunSpec to RunRecord: load, fit, sample, score."""

from __future__ import annotations

import copy
import traceback
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from bench.api import Execution, Generator, Sampler, TrainingData, Unsupported
from bench.plans import registry
from bench.plans.fields import build, configuration
from bench.plans.presets import PRESETS
from bench.records import environment
from bench.records.frames import FINAL, PRETRAINED, REAL_DATA, SELECTED
from bench.records.record import RunRecord, RunSpec, Score, decisive, fit_id
from bench.runs.checkpoints import CheckpointFolder, Kept
from bench.runs.devices import describe, prepare, seed_global_streams
from bench.runs.judge import (
    SELECTED_BY,
    Judged,
    RealData,
    cost_scores,
    curve_judge,
    frontier_scores,
    load_task,
    score,
    unchanged_data,
)
from bench.runs.session import Observer, Session

Progress = Callable[[str, int, int, Mapping[str, float]], None]


def run(spec: RunSpec, checkpoints: CheckpointFolder | None = None, progress: Progress | None = None) -> RunRecord:
    """Do one run; whatever a plugin does wrong is written into the record, and is not raised."""
    started = environment.now()
    facts: dict[str, Any] = {"spec": spec, "environment": describe(spec), "started": started}
    try:
        with unchanged_data(spec):
            done = _run(spec, checkpoints, progress)
        facts |= done
        facts["status"] = "ok"
    except Unsupported as reason:
        facts |= {"status": "skipped", "reason": str(reason) or "the generator does not support this task"}
    except (Exception, SystemExit) as error:
        first = str(error).strip().partition("\n")[0]
        facts |= {
            "status": "failed",
            "reason": first if isinstance(error, registry.PluginError) else f"{type(error).__name__}: {first}",
            "traceback": traceback.format_exc(),
        }
    return RunRecord(**facts, finished=environment.now())


def _run(spec: RunSpec, checkpoints: CheckpointFolder | None, progress: Progress | None) -> dict[str, Any]:
    show = progress or (lambda phase, done, steps, scalars: None)
    show("loading data", 0, 1, {})
    prepare(spec.device)
    task = load_task(spec)
    metrics = {name: registry.find("metric", name).load()() for name in spec.metrics}
    scores: dict[str, tuple[Score, ...]] = {}

    def judge(checkpoint: str, sampler: Sampler) -> Judged:
        show(f"scoring {checkpoint}", 0, 1, {})
        judged = score(sampler, task, metrics, spec)
        scores[checkpoint] = judged.scores
        return judged

    if spec.model == REAL_DATA:
        judged = judge(FINAL, RealData(task.data))
        return {"scores": scores, "samples": judged.shown, "data_sha256": task.data.sha256}

    plugin = registry.Plugin("model", spec.model, spec.target)
    generator: Generator = build(plugin.load(), spec.config)
    preset = PRESETS[spec.preset]
    observer = Observer(
        progress=show,
        evaluate=curve_judge(task, preset.curve_samples, spec),
        curve_points=preset.curve_points,
        select=SELECTED_BY,
        pretrained=lambda sampler: judge(PRETRAINED, sampler),
    )
    kept = None
    if checkpoints is not None:
        kept = Kept(checkpoints, spec.fit_id, lambda shared, budget: name_fit(shared, budget, spec))
    session = Session(
        spec.stream,
        spec.device,
        kept,
        observer,
        spec.budget,
        Execution(**spec.execution),
    )
    seed_global_streams(spec)
    sampler = session.train(generator, private_copy(task.data.training))
    if not callable(getattr(sampler, "sample", None)):
        raise TypeError(
            f"expected fit() to return a sampler with sample(n, decoding, rng), got {type(sampler).__name__}"
        )
    judged = judge(FINAL, sampler)
    final = judged.scores
    scores[FINAL] = (*final, *cost_scores(session.cost, judged, spec.device))
    tempered: dict[str, tuple[Score, ...]] = {}
    for temperature in spec.temperatures if session.trained else ():
        show("frontier", len(tempered), len(spec.temperatures), {})
        tempered[f"{temperature:g}"] = frontier_scores(sampler, task, temperature, preset.frontier_samples, spec)
    if session.selected is not None:  # judged last, because this sets the sampler back to an earlier step
        if session.ended_selected:
            scores[SELECTED] = final
        else:
            session.select(sampler)
            judge(SELECTED, sampler)
    return {
        "scores": scores,
        "frontier": tempered,
        "selected": session.selected and {name: getattr(session.selected, name) for name in ("score", "phase", "step")},
        "curve": tuple(session.curve),
        "samples": judged.shown,
        "data_sha256": task.data.sha256,
    }


def private_copy(data: TrainingData) -> TrainingData:
    """The same data in new objects, so that a generator that writes into them changes nobody else's data."""
    return TrainingData(data.spec, data.train.clone(), data.valid.clone(), copy.deepcopy(data.vocabulary))


def name_fit(generator: Generator, budget: Mapping[str, float], spec: RunSpec) -> str:
    """The fit id of a shared pre-training: the same as that of a run of the same generator and fields."""
    kind = type(generator)
    target = f"{kind.__module__}:{kind.__qualname__}"
    source = registry.source_hash(registry.Plugin("model", target, target))
    fields = {name: getattr(generator, name) for name in configuration(kind, spec.preset, {})}
    execution = {name: asdict(Execution(**spec.execution))[name] for name in getattr(kind, "execution", ())}
    return fit_id(target, source, fields, spec.stream, f"{spec.device}/{spec.torch}", budget, decisive(execution))
