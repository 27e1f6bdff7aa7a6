"""RunSpec to RunRecord: load, fit, sample, score."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from bench import pack
from bench.api import Execution, Generator, Sampler, Unsupported
from bench.plans import registry
from bench.plans.fields import build, configuration
from bench.plans.presets import PRESETS, TEMPERATURES
from bench.records import environment
from bench.records.frames import FINAL, PRETRAINED, REAL_DATA, SELECTED
from bench.records.record import RunRecord, RunSpec, Score, decisive, fit_id, to_json
from bench.runs.at_rest import AtRest, Restless
from bench.runs.checkpoints import CheckpointFolder, Kept
from bench.runs.critic import CRITIC
from bench.runs.curve import CURVE
from bench.runs.devices import describe, prepare, seed_global_streams
from bench.runs.examples import examples
from bench.runs.judge import (
    SELECTED_BY,
    Judged,
    LoadedTask,
    RealData,
    cost_scores,
    curve_judge,
    frontier_scores,
    load_task,
    require_applicable,
    score,
    unchanged_data,
)
from bench.runs.session import Diverged, Observer, Session, private_copy
from bench.runs.stopping import Stopped
from bench.runs.streams import named_stream
from bench.runs.surroundings import kept_surroundings, settled
from bench.runs.tempering import AtTemperature, best_temperature

LONGEST_REASON = 1_000
LONGEST_TRACEBACK = 20_000
"""Most characters that are kept of a plugin's message and of its traceback."""


@dataclass(frozen=True, slots=True)
class Watcher:
    """What a run tells those who started it, and what it asks them.

    Attributes:
        progress: Called with (phase, steps done, total steps, scalars).
        warn: Called with a sentence on what went wrong without harm to the results.
        stop: Called where the run may stop: raises :class:`bench.runs.stopping.Stopped` if it is to.
    """

    progress: Callable[[str, int, int, Mapping[str, float]], None] = lambda phase, done, steps, scalars: None
    warn: Callable[[str], None] = lambda message: None
    stop: Callable[[], None] = lambda: None


def run(spec: RunSpec, checkpoints: CheckpointFolder | None = None, watcher: Watcher = Watcher()) -> RunRecord:
    """Do one run; whatever a plugin does wrong is written into the record, and is not raised.

    Raises:
        Stopped: when the watcher wants it to stop.
        ValueError: outside of a pack for a run that trains in one (:func:`bench.runs.together.run_together`).
    """
    if spec.pack > 1 and pack.member() is None:
        raise ValueError(f"expected a pack of {spec.pack} around a run that trains in one")
    started = environment.now()
    facts: dict[str, Any] = {"spec": spec, "environment": describe(spec), "started": started}
    warnings: list[str] = []

    def warn(message: str) -> None:
        if message not in warnings:
            warnings.append(message)
            watcher.warn(message)

    try:
        prepare(spec.device)
        with kept_surroundings(), settled(), unchanged_data(spec):
            done = _run(spec, checkpoints, replace(watcher, warn=warn))
        facts |= done
        facts["status"] = "ok"
    except Unsupported as reason:
        facts |= {"status": "skipped", "reason": _message(reason) or "the generator does not support this task"}
    except (Stopped, KeyboardInterrupt, GeneratorExit):
        raise
    except BaseException as error:  # SystemExit, and what asyncio raises
        facts |= _failure(error)
    record = _readable(RunRecord(**facts, warnings=tuple(warnings), finished=environment.now()))
    try:
        to_json(record)
    except ValueError as error:  # a plugin's names or samples, which would cost all other runs later
        kept = {name: facts[name] for name in ("spec", "environment", "started")}
        record = RunRecord(**kept, **_failure(error), warnings=record.warnings, finished=record.finished)
    return record


def _failure(error: BaseException) -> dict[str, Any]:
    message = _message(error)
    known = isinstance(error, registry.PluginError | Diverged | Restless)
    return {
        "status": "failed",
        "reason": message if known else ": ".join(filter(None, [type(error).__name__, message])),
        "traceback": "".join(traceback.format_exception(error))[-LONGEST_TRACEBACK:],
    }


def _message(error: BaseException) -> str:
    """The first line of an error's message, even where the error cannot be printed."""
    try:
        return str(error).strip().partition("\n")[0][:LONGEST_REASON]
    except Exception as second:
        return f"its message cannot be shown ({type(second).__name__})"


def _readable(record: RunRecord) -> RunRecord:
    """A record whose texts can be written as UTF-8: halves of characters, which a plugin may print, are escaped."""
    parts = {name: _escaped(getattr(record, name)) for name in ("reason", "traceback", "samples", "warnings", "curve")}
    nearest = tuple(replace(each, **_escaped({name: getattr(each, name) for name in ("sample", "example")}))
                    for each in record.nearest)  # fmt: skip
    return replace(record, nearest=nearest, **parts)


def _escaped(part: Any) -> Any:
    if isinstance(part, str):
        return part.encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(part, tuple | list):
        return type(part)(map(_escaped, part))
    if isinstance(part, Mapping):
        return {_escaped(name): _escaped(value) for name, value in part.items()}
    return part


def _run(spec: RunSpec, checkpoints: CheckpointFolder | None, watcher: Watcher) -> dict[str, Any]:
    def show(phase: str, done: int = 0, steps: int = 1) -> None:
        watcher.stop()
        watcher.progress(phase, done, steps, {})

    show("loading data")
    task = load_task(spec)
    metrics = {name: registry.find("metric", name).load()() for name in spec.metrics}
    scores: dict[str, tuple[Score, ...]] = {}
    densities: dict[str, str] = {}

    watch = AtRest(spec)

    def judge(checkpoint: str, sampler: Sampler) -> Judged:
        show(f"scoring {checkpoint}")
        with kept_surroundings(), watch.asked(sampler):
            seed_global_streams(spec.stream)  # for metrics that use them: a resumed run comes here in another state
            judged = score(sampler, task, metrics, spec, watch)
        scores[checkpoint], densities[checkpoint] = judged.scores, judged.density
        return judged

    if spec.model == REAL_DATA:
        for remark in task.data.remarks:
            watcher.warn(remark)
        judged = judge(FINAL, RealData(task.data))
        facts = {"scores": scores, "density": judged.density}
        return {**facts, **_shown(judged, task, spec), "data_sha256": task.data.sha256}

    with kept_surroundings():
        require_applicable(task, metrics, spec)
    generator: Generator = build(load_planned(spec), {**spec.config, **spec.files})
    preset = PRESETS[spec.preset]
    matched = preset.matched(spec.budget)
    observer = Observer(
        progress=watcher.progress,
        warn=watcher.warn,
        stop=watcher.stop,
        evaluate=curve_judge(task, preset.curve_samples, spec, watch),
        curve_points=preset.curve_points,
        select=SELECTED_BY,
        looks=preset.looks if matched else 0,
        reserved=(*CURVE, *CRITIC),
        answers=watch.first_answers,
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
        pack.now,
    )
    seed_global_streams(spec.stream)
    sampler = session.train(generator, private_copy(task.data.training))
    if not callable(getattr(sampler, "sample", None)):
        raise TypeError(
            f"expected fit() to return a sampler with sample(n, decoding, rng), got {type(sampler).__name__}"
        )
    if not session.looped:
        lost = "no budget can stop it, nothing of it is saved, and it has no curve"
        watcher.warn(f"fit() never looped over run.phase(): {lost}")
    judged = judge(FINAL, sampler)
    final = judged.scores
    session.cost.seconds += watch.seconds
    # What was trained elsewhere has cost something, and nobody knows what: that is absent, not nothing.
    scores[FINAL] = final if spec.files else (*final, *cost_scores(session.cost, judged, spec.device, spec.pack))
    tempered: dict[str, tuple[Score, ...]] = {}
    with watch.asked(sampler):
        for temperature in spec.temperatures if session.trained else ():
            show("frontier", len(tempered), len(spec.temperatures))
            tempered[f"{temperature:g}"] = frontier_scores(sampler, task, temperature, preset.frontier_samples, spec)
    selected: dict[str, Any] | None = None
    if session.selected is not None:  # judged last, because this sets the sampler back to an earlier step
        selected = {name: getattr(session.selected, name) for name in ("score", "phase", "step")}
        temperature = 1.0
        if not session.ended_selected:
            session.select(sampler)
        if matched:
            show("temperature")
            training = task.data.training
            valid = training.valid[: preset.curve_samples].clone()
            rng = named_stream(spec.stream, "temperature", spec.device)
            temperature = best_temperature(sampler, valid, training.spec, TEMPERATURES, rng)
            looks = session.selection.looks
            selected |= {"temperature": temperature, "looks": looks.taken if looks else None}
        if session.ended_selected and temperature == 1.0:
            scores[SELECTED] = final
        else:
            judge(SELECTED, sampler if temperature == 1.0 else AtTemperature(sampler, temperature))
    return {
        "scores": scores,
        "density": judged.density,
        "densities": {checkpoint: kind for checkpoint, kind in densities.items() if kind != judged.density},
        "frontier": tempered,
        "selected": selected,
        "curve": tuple(session.curve),
        **_shown(judged, task, spec),
        "data_sha256": task.data.sha256,
    }


def _shown(judged: Judged, task: LoadedTask, spec: RunSpec) -> dict[str, Any]:
    """The fields of the record that show samples."""
    found = examples(judged.samples, task.data, spec)
    return {each.name: getattr(found, each.name) for each in fields(found)}


def load_planned(spec: RunSpec) -> Any:
    """The generator's class, from the source that the plan names.

    Raises:
        PluginError: when it cannot be loaded, or was edited since.
    """
    plugin = registry.Plugin("model", spec.model, spec.target)
    is_new = plugin.module not in sys.modules
    loaded = plugin.load()
    if is_new:
        registry.forget()  # afterwards, so that no edit is missed that came before or during the import
        if registry.source_hash(plugin) != spec.source:
            raise registry.PluginError(
                f"the source of '{spec.model}' was edited after the benchmark had started; the same command runs it as "
                "it is now"
            )
    return loaded


def name_fit(generator: Generator, budget: Mapping[str, float], spec: RunSpec) -> str:
    """The fit id of a shared pre-training: the same as that of a run of the same generator and fields."""
    kind = type(generator)
    target = f"{kind.__module__}:{kind.__qualname__}"
    source = registry.source_hash(registry.Plugin("model", target, target))
    fields = {name: getattr(generator, name) for name in configuration(kind, spec.preset, {})}
    execution = {name: asdict(Execution(**spec.execution))[name] for name in getattr(kind, "execution", ())}
    return fit_id(target, source, fields, spec.stream, f"{spec.device}/{spec.torch}", budget, decisive(execution))
