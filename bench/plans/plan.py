"""From models x tasks x seeds to a list of runs: pure data."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from bench.errors import NotFetched, UsageError, unknown
from bench.plans import registry
from bench.plans.fields import checked_build, configuration, convert, parse_override
from bench.plans.own_files import CONTENT, own_model, own_task
from bench.plans.plain import require_plain
from bench.plans.presets import Preset, counted, find_preset
from bench.plans.sets import members
from bench.plans.tuned import PresetFile, is_file, read_preset
from bench.records.environment import seldom_collecting
from bench.records.frames import REAL_DATA
from bench.records.record import EXECUTION, RunSpec

DEFAULT_TASKS = ("oracle", "quatrains-tang")


@dataclass(frozen=True, slots=True)
class Request:
    """The user's request, in the terms of the command line.

    Attributes:
        models: Names, ``package.module:Class``, samples of a model that was trained elsewhere, as in
            ``samples:mine-{seed}.txt``, and names of sets (:data:`bench.plans.sets.MEANINGS`).
        tasks: Names, ``package.module:Class``, the user's own, as in ``text:train.txt,level=char``, or "all": those
            whose data are available.
        metrics: Names, ``package.module:Class``, or "all".
        seeds: Number of seeds, counted from 0; or the seeds themselves.
        preset: smoke, quick, medium, paper, or the path of a preset file (:mod:`bench.plans.tuned`).
        settings: Overrides, each ``NAME.field=value``.
        device: "cpu" or "cuda".
        budget: Limits on training; empty for none.
        temperatures: Temperatures of the frontier; None for the preset's.
        execution: How work is done on CUDA: eager, graph, triton, or auto for the fastest that is there.
        bfloat16: Whether rewards may be computed from operands rounded to bfloat16.
        pack: Number of seeds of a model that train together in one process, where the model can.
    """

    models: Sequence[str] = ("all",)
    tasks: Sequence[str] = DEFAULT_TASKS
    metrics: Sequence[str] = ("all",)
    seeds: int | Sequence[int] = 5
    preset: str = "quick"
    settings: Sequence[str] = ()
    device: str = "cpu"
    budget: Mapping[str, float] = field(default_factory=dict)
    temperatures: Sequence[float] | None = None
    execution: str = "auto"
    bfloat16: bool = True
    pack: int = 1


MOST_PACKED = 64
"""Most seeds of a pack: their networks, batches and logits are in one memory."""
COPYING = "copy"
"""The metric that every run has."""
SEED = "{seed}"
"""What stands for the seed's number in the name of a file of samples."""


@seldom_collecting()
def make_plan(request: Request) -> list[RunSpec]:
    """All runs of a request: one task after the other, seed by seed, so that answers are there early.

    A model that cannot be loaded stays in the plan, and becomes a failed row.

    Raises:
        UsageError: for an unknown model, task, metric, preset or field, a field that is set twice, a value of another
            type, outside its range or that a record cannot hold, fields that do not go together, or a task whose data
            are missing.
    """
    registry.forget()
    file = read_preset(Path(request.preset)) if is_file(request.preset) else None
    preset = find_preset(file.preset if file else request.preset)
    seeds = counted(request.seeds) if isinstance(request.seeds, int) else request.seeds
    execution = _execution(request)
    models = _select("model", request.models)
    tasks = _select("task", request.tasks)
    own = _own_fields((*request.tasks, *request.models), request.tasks)
    metrics = _select("metric", request.metrics)
    if COPYING not in {plugin.name for plugin in metrics}:  # who may win depends on it, whatever else is asked for
        metrics = [*metrics, *_select("metric", (COPYING,))]
    if file and not {plugin.name for plugin in models} & file.fields.keys():
        raise UsageError(
            f"the preset file '{file.name}' sets fields of {', '.join(file.fields)}, and none of these is among the "
            f"chosen models: choose one, or the preset {file.preset} itself."
        )
    overrides = _overrides(request.settings, {plugin.name for plugin in (*models, *tasks)})
    if list(request.tasks) == ["all"]:
        tasks = [plugin for plugin in tasks if _is_there(plugin, preset.name, overrides.get(plugin.name, {}))]
    explicit = list(request.metrics) != ["all"]
    versions = {plugin.name: _load("metric", plugin).version for plugin in metrics}
    if explicit:
        _require_installed(metrics)
    prepared = [
        _prepare_seeds(plugin, preset.name, overrides.get(plugin.name, {}), seeds, own.get(plugin.name, {}))
        for plugin in tasks
    ]
    temperatures = preset.temperatures if request.temperatures is None else tuple(request.temperatures)
    known = {plugin.target: name for name, plugin in registry.available("task").items()}
    # Presets know a task by its name, also where the user named its class.
    names = [known.get(plugin.target, plugin.name) for plugin in tasks]
    rows: list[dict[str, dict[int, dict[str, Any]]]] = []
    for plugin in models:
        settings = overrides.get(plugin.name, {})
        if plugin.name in own:
            rows.append(dict.fromkeys(names, _prepare_files(plugin, preset, settings, seeds, own[plugin.name], file)))
        else:
            on_tasks = _prepare_model(plugin, preset.name, names, settings, execution, file)
            rows.append({name: dict.fromkeys(seeds, row) for name, row in on_tasks.items()})
    reference, torch = dict.fromkeys(seeds, _blank(REAL_DATA, "", "", file)), version("torch")
    return [
        RunSpec(
            **row[seed],
            **task,
            seed=seed,
            preset=preset.name,
            metrics=versions,
            explicit_metrics=explicit,
            samples=preset.samples,
            device=request.device,
            torch=torch,
            budget=request.budget,
            temperatures=temperatures,
        )
        for name, task_of_seeds in zip(names, prepared, strict=True)
        for seed, task in zip(seeds, task_of_seeds, strict=True)
        for row in (reference, *(on_tasks[name] for on_tasks in rows))
        if seed in row
    ]


def _select(kind: str, names: Sequence[str]) -> list[registry.Plugin]:
    if not names:
        raise UsageError(f"expected at least one {kind}.")
    chosen: list[registry.Plugin] = []
    for name in names:
        own = own_model(name) if kind == "model" else own_task(name) if kind == "task" else None
        if own:
            chosen.append(own[0])
        elif kind == "model" and name in registry.SETS:
            chosen += members(name)
        elif name == "all":
            if len(names) > 1:
                raise UsageError(f"expected 'all' or a list of {kind}s, got both: {','.join(names)}.")
            heavy = registry.marked("bench.heavy", kind)
            chosen += [
                plugin
                for plugin in registry.available(kind).values()
                if plugin.name not in heavy and not left_out(plugin)
            ]
        else:
            chosen.append(registry.find(kind, name))
    return list({plugin.name: plugin for plugin in chosen}.values())


def left_out(plugin: registry.Plugin) -> str:
    """Why a task or metric is not among "all"; "" if it is. A stranger's broken plugin must not stop everyone's runs.

    A model that is broken is a row of its own, which says why.
    """
    if plugin.distribution == registry.OURS:
        return ""
    try:
        plugin.load()
    except registry.PluginError as error:
        return str(error)
    return ""


def _require_installed(metrics: Sequence[registry.Plugin]) -> None:
    """Require what metrics that the user named need: their absence would fail every run, after it was trained."""
    for plugin in metrics:
        missing = getattr(_load("metric", plugin), "unavailable", str)()
        if missing:
            raise UsageError(f"metric '{plugin.name}' cannot be computed: {missing}.")


def _own_fields(names: Sequence[str], tasks: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The fields that the names of a user's own tasks and models set, by their names in tables."""
    found: dict[str, dict[str, Any]] = {}
    for name in dict.fromkeys(names):
        own = own_task(name) if name in tasks else own_model(name)
        if own is None:
            continue
        plugin, fields = own
        if plugin.name in found:
            kind, _, shown = plugin.name.partition(":")
            raise UsageError(
                f"two {plugin.kind}s are called '{plugin.name}': rename one of them, as in "
                f"{kind}:...,name=other-{shown}."
            )
        found[plugin.name] = fields
    return found


def _overrides(settings: Sequence[str], selected: set[str]) -> dict[str, dict[str, str]]:
    overrides: dict[str, dict[str, str]] = {}
    for setting in settings:
        owner, field, value = parse_override(setting)
        if owner not in selected:
            chosen = ", ".join(sorted(selected))
            raise UsageError(f"cannot set {setting}: '{owner}' is not among the chosen models and tasks ({chosen}).")
        fields = overrides.setdefault(owner, {})
        if field in fields:
            raise UsageError(f"{owner}.{field} is set twice, to '{fields[field]}' and to '{value}': set it once.")
        fields[field] = value
    return overrides


def _load(kind: str, plugin: registry.Plugin) -> Any:
    try:
        return plugin.load()
    except registry.PluginError as error:
        raise UsageError(f"{error}.") from error


def _is_there(plugin: registry.Plugin, preset: str, settings: Mapping[str, str]) -> bool:
    try:
        _prepare_task(plugin, _load("task", plugin), preset, settings, 0)
    except NotFetched:
        return False
    return True


def _prepare_seeds(
    plugin: registry.Plugin, preset: str, settings: Mapping[str, str], seeds: Sequence[int], own: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """The task of each seed; one that is the same for all seeds is prepared once, since it may be a large file."""
    task = _load("task", plugin)
    first = _prepare_task(plugin, task, preset, settings, seeds[0], own)
    if not first["family"]:
        return [first] * len(seeds)
    return [first, *(_prepare_task(plugin, task, preset, settings, seed, own) for seed in seeds[1:])]


def _prepare_task(
    plugin: registry.Plugin,
    task: Any,
    preset: str,
    settings: Mapping[str, str],
    seed: int,
    own: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The task of one seed, from its class; a synthetic task whose ``draw`` is None is drawn anew for each seed."""
    own = own or {}
    if twice := sorted(own.keys() & settings.keys()):
        raise UsageError(f"{plugin.name}.{twice[0]} is set twice, in the task's name and on its own: set it once.")
    overrides = {**own, **{field: convert(plugin.name, task, field, text) for field, text in settings.items()}}
    config, usual = configuration(task, preset, overrides), configuration(task, preset, {})
    require_plain(plugin.name, config)
    family = ""
    if config.get("draw", 0) is None:
        family = checked_build(plugin.name, task, {**config, "draw": 0}).fingerprint()
        config["draw"] = seed
    return {
        "task": plugin.name,
        "task_target": plugin.target,
        "task_stream": getattr(task, "stream_name", ""),
        "task_version": task.version,
        "task_config": config,
        # The path of a file is left out; its content is in the fingerprint. So is a value that the preset has anyway:
        # the run has the same id, and would stand under two names.
        "task_overrides": {
            field: value
            for field, value in overrides.items()
            if field not in _paths(task) and value != usual.get(field, ...)
        },
        "data": checked_build(plugin.name, task, config).fingerprint(),
        "family": family,
    }


def _paths(task: type) -> set[str]:
    """Names of the fields that hold paths."""
    return {field.name for field in dataclasses.fields(task) if field.metadata.get("path")}


def _prepare_model(
    plugin: registry.Plugin,
    preset: str,
    tasks: Sequence[str],
    settings: Mapping[str, str],
    execution: Mapping[str, Any],
    file: PresetFile | None,
) -> dict[str, dict[str, Any]]:
    """A model by task: the same on all but those that its preset has fields for."""
    row = _blank(plugin.name, plugin.target, plugin.role, file)
    try:
        generator = plugin.load()
        row["source"] = registry.source_hash(plugin)
    except registry.PluginError as error:
        if ":" in plugin.name and plugin.is_missing:
            raise UsageError(f"{error}.") from error  # a typing error, unlike a module that cannot be imported
        return dict.fromkeys(tasks, row)  # the run itself will fail, and say why
    row["overrides"] = {field: convert(plugin.name, generator, field, text) for field, text in settings.items()}
    row["execution"] = {name: execution[name] for name in getattr(generator, "execution", ()) if name in execution}
    fields = {**(file.of(plugin.name, generator) if file else {}), **row["overrides"]}
    special = [task for task in tasks if f"{preset}/{task}" in getattr(generator, "presets", {})]
    found = {}
    for task in ("", *special):
        config = configuration(generator, preset, fields, task)
        require_plain(plugin.name, config)
        checked_build(plugin.name, generator, config)
        found[task] = {**row, "config": config, "tuning": row["tuning"] | ({"task_preset": task} if task else {})}
    return {task: found.get(task, found[""]) for task in tasks}


def _prepare_files(
    plugin: registry.Plugin,
    preset: Preset,
    settings: Mapping[str, str],
    seeds: Sequence[int],
    own: Mapping[str, Any],
    file: PresetFile | None,
) -> dict[int, dict[str, Any]]:
    """A model made of the user's own files, by seed: with ``{seed}`` in the name one for each, else one for the first.

    One file is one training: to repeat it for every seed would show a model that never varies.
    """
    generator = _load("model", plugin)
    paths = {name: value for name, value in own.items() if name in _paths(generator)}
    if own_paths := sorted({CONTENT, *_paths(generator)} & settings.keys()):
        raise UsageError(f"cannot set {plugin.name}.{own_paths[0]}: name the file in --models, as in samples:FILE.")
    if twice := sorted(own.keys() & settings.keys()):
        raise UsageError(f"{plugin.name}.{twice[0]} is set twice, in the model's name and on its own: set it once.")
    each = list(seeds) if any(SEED in path for path in paths.values()) else list(seeds[:1])
    files = {seed: {name: path.replace(SEED, str(seed)) for name, path in paths.items()} for seed in each}
    absent = [seed for seed, named in files.items() if not all(Path(path).exists() for path in named.values())]
    if absent and len(each) > 1:
        raise UsageError(
            f"there is no '{next(iter(files[absent[0]].values()))}', the samples of seed {absent[0]}: {plugin.name} "
            f"needs a file for each of the seeds {', '.join(map(str, each))}; choose those that are there with --seeds."
        )
    overrides = {name: value for name, value in own.items() if name not in paths}
    overrides |= {field: convert(plugin.name, generator, field, text) for field, text in settings.items()}
    config = {
        name: value
        for name, value in configuration(generator, preset.name, overrides).items()
        if name not in _paths(generator)
    }
    made = [checked_build(plugin.name, generator, {**config, **files[seed]}) for seed in each]
    for one in made:
        one.require(preset.samples, preset.name)
    config[CONTENT] = tuple(one.fingerprint() for one in made)
    if twins := [
        seed for seed, content in zip(each, config[CONTENT], strict=True) if config[CONTENT].count(content) > 1
    ]:
        raise UsageError(
            f"the files of seeds {' and '.join(map(str, twins))} of {plugin.name} are the same: a training that is "
            "repeated is no second training, and would seem never to vary."
        )
    row = _blank(plugin.name, plugin.target, plugin.role, file)
    row |= {"source": registry.source_hash(plugin), "config": config, "overrides": overrides}
    return {seed: {**row, "files": files[seed]} for seed in each}


def _blank(model: str, target: str, role: str, file: PresetFile | None) -> dict[str, Any]:
    """The part of a specification that describes the model, for a model without fields."""
    return {
        "model": model, "target": target, "role": role, "tuning": file.tuning(model) if file else {},
        "source": "", "config": {}, "overrides": {}, "execution": {},
    }  # fmt: skip


def _execution(request: Request) -> dict[str, Any]:
    """The requested execution of the runs, by the field names of :class:`bench.api.Execution`."""
    mode = request.execution
    if mode == "auto":
        mode = "eager" if request.device != "cuda" else "triton" if find_spec("triton") else "graph"
    if mode not in EXECUTION["mode"]:
        raise unknown("execution", mode, ("auto", *EXECUTION["mode"]))
    if mode != "eager" and request.device != "cuda":
        raise UsageError(
            f"execution '{mode}' needs a CUDA device, and the runs are for the {request.device}: "
            "choose auto or eager, or device cuda."
        )
    if not 1 <= request.pack <= MOST_PACKED:
        raise UsageError(f"expected a pack of 1 to {MOST_PACKED} seeds, got {request.pack}.")
    return {"mode": mode, "bfloat16": request.bfloat16, **({"pack": request.pack} if request.pack > 1 else {})}
