"""What is kept of a run: its specification, its record, and strict JSON of both. Imports no module of another room."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from operator import attrgetter
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

from bench.records.nearest import Nearest

SCHEMA = 8
"""Version of the record's shape. Every change of it adds a step to :func:`migrate`."""

STATUSES = ("started", "ok", "skipped", "failed", "interrupted")
DENSITIES = ("exact", "bound", "estimated", "none")
"""As in :mod:`bench.api`, repeated here to avoid torch."""


@dataclass(frozen=True)  # without slots, so that it keeps its ids
class RunSpec:
    """One run: everything that decides its outcome, and what tables and other records need to find it by.

    Attributes:
        model: The generator as the user named it, or ``real data``.
        target: ``package.module:Class`` of the generator, "" for real data.
        source: Sha-256 of the generator's source.
        config: Every field of the generator.
        overrides: The fields of the generator that the user set.
        task: The task as the user named it.
        task_target: ``package.module:Class`` of the task.
        task_version: Version of the task's code.
        task_config: Every field of the task.
        task_overrides: The fields of the task that the user set.
        data: Fingerprint of the task's data.
        seed: Part of the names of all random streams, as is the task.
        preset: smoke, quick, medium or paper.
        metrics: Name to version of each requested metric.
        explicit_metrics: Whether the user named the metrics: then an absent one fails the run.
        samples: Sequences drawn for scoring.
        device: "cpu" or "cuda".
        torch: Version of torch: another version draws other random numbers.
        budget: Limits of training, such as {"seconds": 60}; empty for none.
        temperatures: The temperatures at which a trained model is decoded for the frontier.
        role: "contender" or "control"; how a model is registered, which does not change a run.
        family: The data's fingerprint without what depends on the seed, where each seed has its own draw; else "".
        execution: The fields of :class:`bench.api.Execution` that the generator obeys.
        task_stream: The task's name in the names of random streams; "" means ``task_target``.
        recorded_id: The run id of a record of an earlier schema, which computed it from other fields; else "".
        recorded_group: Its group id, made from other fields too; else "".
        files: The fields of the generator that are paths of files, which are not among ``config``: where they are does
            not matter, and what they hold is in another field.
        tuning: How the fields were chosen, under a preset file: its name, "preset", and of a model in it "fields",
            those it sets, and after a search "task", "metric" and "trials". Of a trial of a search: its number,
            "trial", the search's id, "study", and "metric". Where the preset has fields for the task alone: the task's
            name, "task_preset". Empty for fields that a preset has for all tasks.
    """

    model: str
    target: str
    source: str
    config: Mapping[str, Any]
    overrides: Mapping[str, Any]
    task: str
    task_target: str
    task_version: str
    task_config: Mapping[str, Any]
    task_overrides: Mapping[str, Any]
    data: str
    seed: int
    preset: str
    metrics: Mapping[str, str]
    explicit_metrics: bool
    samples: int
    device: str
    torch: str
    budget: Mapping[str, float] = field(default_factory=dict)
    temperatures: tuple[float, ...] = ()
    role: str = "contender"
    family: str = ""
    execution: Mapping[str, Any] = field(default_factory=dict)
    task_stream: str = ""
    recorded_id: str = ""
    recorded_group: str = ""
    tuning: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def run_id(self) -> str:
        """Twelve hexadecimal digits that identify this run."""
        return self.recorded_id or _digest(self._identity())

    @cached_property
    def group_id(self) -> str:
        """The id that all seeds of one configuration share."""
        return self.recorded_group or _digest({**self._identity(), "seed": None, "data": self.family or self.data})

    @property
    def fit_id(self) -> str:
        """The id of the training, whatever is scored afterwards: runs that share this id share their training."""
        platform = f"{self.device}/{self.torch}"
        return fit_id(
            self.target, self.source, self.config, self.stream, platform, self.budget, decisive(self.execution)
        )

    @property
    def pack(self) -> int:
        """How many seeds train together in one process, of which this is one."""
        return int(self.execution.get("pack", 1))

    @property
    def place(self) -> int:
        """Its place in a pack: always the same, because the last bits of its numbers depend on it."""
        return self.seed % self.pack

    def trains_with(self, other: RunSpec) -> bool:
        """Whether both may be in one pack: they are seeds of one configuration, with places of their own."""
        near = (self.model, self.task) == (other.model, other.task) and self.place != other.place
        return near and self.group_id == other.group_id

    @property
    def stream(self) -> str:
        """The stem of every random stream's name: task, its data, and seed."""
        return f"{self.task_stream or self.task_target}/{self.task_version}/{self.data}/{self.seed}"

    @property
    def label(self) -> str:
        """The model with what the user set, and how it was executed where that changes numbers, as tables show it.

        A pack changes them by rounding alone, and is no part of it: a model is compared with others by its name, of
        which some train in packs and some cannot. Beside runs without, a folder shows those that were asked for last.
        """
        executed = {name: value for name, value in decisive(self.execution).items() if name != "pack"}
        unusual = {name: value for name, value in executed.items() if value != EXECUTION[name][0]}
        label = _label(self.model, {**self.overrides, **unusual})
        return f"{label} trial {self.tuning['trial']}" if self.is_trial else label

    @property
    def preset_label(self) -> str:
        """The preset with the file of fields and the budget: runs under different ones are not compared."""
        budget = " and ".join(f"{amount:,.10g} {name}" for name, amount in sorted(self.budget.items()))
        preset = f"{self.preset} with {self.tuning['preset']}" if "preset" in self.tuning else self.preset
        return f"{preset}, {budget} each" if budget else preset

    @property
    def is_trial(self) -> bool:
        """Whether this is a trial of a search: it is scored on the validation split, and has no test split."""
        return "trial" in self.tuning

    @property
    def tuned(self) -> str:
        """How the model's fields were chosen, in words."""
        file, trials = self.tuning.get("preset"), self.tuning.get("trials")
        if file is None:
            chosen = "default settings of this task" if "task_preset" in self.tuning else "default settings"
        elif "fields" not in self.tuning:
            chosen = f"default settings (not in {file})"
        elif trials is None:
            chosen = f"fields of {file}, without a search"
        else:
            where = "" if self.tuning["task"] == self.task_label else f" on {self.tuning['task']}"
            chosen = f"{trials} trials by {self.tuning['metric']}{where} ({file})"
        return f"{chosen}, then {', '.join(sorted(self.overrides))} by hand" if self.overrides else chosen

    @property
    def task_label(self) -> str:
        """The task with what the user set, as tables show it."""
        return _label(self.task, self.task_overrides)

    def _identity(self) -> dict[str, Any]:
        identity = {each.name: getattr(self, each.name) for each in dataclasses.fields(self)}  # it is only read
        # Where the data is stored does not matter, only its content: its fingerprint is in ``data``.
        for name in ("task_config", "task_overrides", "role", "recorded_id", "recorded_group", "files"):
            del identity[name]
        if not self.tuning:  # as before there was any
            del identity["tuning"]
        return identity | {"execution": decisive(self.execution)}


EXECUTION: Mapping[str, tuple[Any, ...]] = {
    "mode": ("eager", "graph", "triton"),
    "bfloat16": (True, False),
    "pack": (1,),
}
"""The fields of :class:`bench.api.Execution` and values, the default first; repeated here to avoid torch."""


def decisive(execution: Mapping[str, Any]) -> dict[str, Any]:
    """The part of an execution that changes numbers: a recorded graph gives those of the operations in it.

    A pack of one is none: it is not named, as before there were any.
    """
    named = {name: value for name, value in execution.items() if name != "pack" or value != 1}
    return {name: "eager" if value == "graph" else value for name, value in named.items()}


@dataclass(frozen=True, slots=True)
class Score:
    """One metric of one checkpoint.

    Attributes:
        metric: Its name, such as "nll_oracle".
        value: Never NaN or infinite; None when there is no value.
        absent: Why there is no value; None exactly when there is a value.
        unit: "nats/token", "s", "" for pure numbers.
        direction: "lower", "higher", or "real": the nearer to the real data's value the better.
        kind: "quality" or "cost".
        signature: Version and everything else that a comparable score must share.
    """

    metric: str
    value: float | None
    unit: str
    direction: str
    signature: str
    kind: str = "quality"
    absent: str | None = None

    def __post_init__(self) -> None:
        if (self.value is None) == (self.absent is None):
            raise ValueError(f"expected a value or a reason for its absence, got {self.value} and {self.absent}")
        if self.value is not None and not math.isfinite(self.value):
            raise ValueError(f"expected a finite {self.metric}, got {self.value}")


@dataclass(frozen=True, slots=True)
class RunRecord:
    """The outcome of a run.

    Attributes:
        spec: The specification of the run.
        status: started, ok, skipped, failed or interrupted.
        reason: One line: why skipped or failed.
        traceback: The complete traceback of a failure.
        scores: Checkpoint ("pretrained", "selected", "final") to scores.
        frontier: Temperature, in its shortest decimal form ("0.7", "1"), to scores.
        selected: Phase and step of the selected checkpoint and its score, and, with a budget and in ``paper``, the
            temperature that was selected and the number of steps that were looked at; None where none was scored while
            training.
        curve: Training curve: for each step the phase, step, seconds, tokens, updates, and scalars by name.
        samples: A few generated sequences in readable form.
        nearest: Each of the samples beside the training sequence nearest to it; empty where nobody looked, as in
            earlier schemas.
        kind: What the words of the samples are, as in :class:`bench.api.SequenceSpec`; "" where that was not kept.
        warnings: What went wrong without harm to the results, a sentence for each.
        data_sha256: Hash of the exact tokens that were used.
        environment: Versions, commit, machine.
        started: UTC, ISO 8601.
        finished: UTC, ISO 8601; None before the end.
        density: What the model's density is, one of :data:`DENSITIES`: ``exact`` where it was verified to be one and
            that of the samples; ``none`` without a density, and for runs without scores.
        densities: Checkpoint to the kind of its density, where that is another than at the last step: a model whose
            density is an estimate may begin as one that has an exact one.
    """

    spec: RunSpec
    status: str
    reason: str | None = None
    traceback: str | None = None
    scores: Mapping[str, tuple[Score, ...]] = field(default_factory=dict)
    frontier: Mapping[str, tuple[Score, ...]] = field(default_factory=dict)
    selected: Mapping[str, Any] | None = None
    curve: tuple[Mapping[str, Any], ...] = ()
    samples: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    data_sha256: str | None = None
    environment: Mapping[str, Any] = field(default_factory=dict)
    started: str | None = None
    finished: str | None = None
    density: str = "none"
    nearest: tuple[Nearest, ...] = ()
    kind: str = ""
    densities: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.status not in STATUSES:
            raise ValueError(f"expected status to be one of {', '.join(STATUSES)}, got '{self.status}'")
        for density in (self.density, *self.densities.values()):
            if density not in DENSITIES:
                raise ValueError(f"expected density to be one of {', '.join(DENSITIES)}, got '{density}'")
        if self.nearest and len(self.nearest) != len(self.samples):
            raise ValueError(f"expected a nearest sequence for each sample or none, got {len(self.nearest)}")


def fit_id(
    target: str,
    source: str,
    config: Mapping[str, Any],
    stream: str,
    platform: str,
    budget: Mapping[str, float],
    execution: Mapping[str, Any],
) -> str:
    """The id of a training, made from its content."""
    content = {"target": target, "source": source, "config": config, "stream": stream, "platform": platform}
    return _digest({**content, "budget": budget, "execution": execution})


class NewerRecord(ValueError):  # noqa: N818 - it is not damaged
    """A record of a schema that only a later version of the code knows."""


def to_json(record: RunRecord) -> str:
    """Strict JSON with a checksum: no NaN, no infinity, sorted keys.

    Raises:
        ValueError: for a record that cannot be written so.
    """
    content = {"schema": SCHEMA, "run_id": record.spec.run_id, **dataclasses.asdict(record)}
    try:
        content["sha256"] = checksum(content)
        return json.dumps(content, indent=1, sort_keys=True, allow_nan=False, ensure_ascii=False) + "\n"
    except TypeError as error:
        raise ValueError(str(error)) from error


def checksum(content: Mapping[str, Any]) -> str:
    """SHA-256 of a JSON object without its own "sha256", however it is spaced; the same rule in every schema."""
    rest = {name: value for name, value in content.items() if name != "sha256"}
    return hashlib.sha256(_canonical(rest).encode()).hexdigest()


def from_json(text: str) -> RunRecord:
    """The record back from :func:`to_json`'s text, of this or an earlier schema; those before 4 had no checksum.

    Raises:
        NewerRecord: for a record of a later schema.
        ValueError: for a text that is not a record, or is not what was written.
    """
    try:
        content = json.loads(text, parse_constant=_refuse)
    except RecursionError as error:
        raise ValueError("it is not a run record") from error
    except json.JSONDecodeError as error:
        raise ValueError("it is cut off or damaged" if text.strip() else "it is empty") from error
    if not isinstance(content, dict) or not isinstance(content.get("schema"), int):
        raise ValueError("it is not a run record")
    if content.get("sha256", "") != checksum(content) and ("sha256" in content or content["schema"] >= 4):
        raise ValueError("its checksum does not match its content")
    if content["schema"] > SCHEMA:
        raise NewerRecord(f"it has schema {content['schema']}, and this version reads schemas up to {SCHEMA}")
    try:
        content = migrate(content)
        run_id = content["run_id"]
        for name in ("schema", "run_id", "sha256"):
            content.pop(name, None)
        spec = content["spec"]
        content["spec"] = RunSpec(**{**spec, "temperatures": tuple(spec.get("temperatures", ()))})
        for part in ("scores", "frontier"):
            content[part] = {name: tuple(Score(**score) for score in scores) for name, scores in content[part].items()}
        for part in ("curve", "samples", "warnings"):
            content[part] = tuple(content[part])
        content["nearest"] = tuple(map(Nearest.read, content["nearest"]))
        record = RunRecord(**content)
        _check(record)
        if run_id != record.spec.run_id:
            raise TypeError(f"it has the run id {run_id}, and its content that of {record.spec.run_id}")
        return record
    except (TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"it is not a run record of schema {SCHEMA}: {error}") from error


def migrate(content: dict[str, Any]) -> dict[str, Any]:
    """Convert a record of an earlier schema to this one; the only place where old schemas are known."""
    schema = content.get("schema") if isinstance(content, dict) else None
    if schema == 1:  # no frontier, no selection, and curves over seconds only
        curve = [{**row, "tokens": None, "updates": None} for row in content.get("curve", ())]
        content = {**content, "schema": 2, "frontier": {}, "selected": None, "curve": curve}
        schema = 2
    if schema == 2:  # execution was among the generator's fields, and run ids were made from other fields
        spec = {**content["spec"], "recorded_id": content["run_id"], "recorded_group": _group_of_schema_2(content)}
        config = spec["config"]
        ours = spec["target"].partition(".")[0] in ("seqgan", "baselines")
        moved = {"cuda": "mode"} if ours and config.get("cuda") in EXECUTION["mode"] else {}
        moved |= {"d_bfloat16": "bfloat16"} if ours and isinstance(config.get("d_bfloat16"), bool) else {}
        spec["execution"] = {new: config[old] for old, new in moved.items()}
        for part in ("config", "overrides"):
            spec[part] = {name: value for name, value in spec[part].items() if name not in moved}
        content = {**content, "schema": 3, "spec": spec}
        schema = 3
    if schema == 3:  # no warnings, and no checksum
        content = {**content, "schema": 4, "warnings": []}
        schema = 4
    if schema == 4:  # every density counted as exact
        found = [score for scores in content["scores"].values() for score in scores]
        known = any(score["metric"] in DENSITY_SCORES and score["value"] is not None for score in found)
        content = {**content, "schema": 5, "density": "exact" if known else "none"}
        schema = 5
    if schema == 5:  # no model was made of files
        content = {**content, "schema": 6}
        schema = 6
    if schema == 6:  # nobody looked for the training sequences that are nearest to the samples
        content = {**content, "schema": 7, "nearest": [], "kind": ""}
        schema = 7
    if schema == 7:  # one kind of density was kept for all checkpoints; every pre-training of ours has an exact one
        ours = content["spec"]["target"].partition(".")[0] in ("seqgan", "baselines")
        other = ours and "pretrained" in content["scores"] and content["density"] in ("bound", "estimated")
        content = {**content, "schema": 8, "densities": {"pretrained": "exact"} if other else {}}
        schema = 8
    if schema != SCHEMA:
        raise ValueError(f"expected a run record of schema {SCHEMA} or earlier, got {schema}")
    return content


DENSITY_SCORES = ("nll_test", "kl_forward", "kl_reverse", "jsd", "jsd_token")
"""Scores that earlier schemas had of models with a density only."""


def _group_of_schema_2(content: Mapping[str, Any]) -> str:
    identity = {"budget": {}, "temperatures": [], "family": "", **content["spec"]}
    for name in ("task_config", "task_overrides", "role"):
        identity.pop(name, None)
    return _digest({**identity, "seed": None, "data": identity["family"] or identity["data"]})


def _digest(content: Any) -> str:
    return hashlib.sha256(_canonical(content).encode()).hexdigest()[:12]


def _canonical(content: Any) -> str:
    return json.dumps(content, sort_keys=True, allow_nan=False, separators=(",", ":"))


def _refuse(constant: str) -> None:
    raise ValueError(f"it is not strict JSON: {constant}")


def _check(record: RunRecord) -> None:
    """Require what every reader of records relies on: records without a checksum may be of any shape.

    Raises:
        TypeError: for a field of another type.
    """
    parts: list[RunRecord | RunSpec | Score] = [record, record.spec]
    parts += [score for scores in record.scores.values() for score in scores]
    for part in parts:
        kind: Any = type(part)
        wrong = _wrong(kind, tuple(map(type, _values_of(kind)(part))))
        if wrong is not None:
            raise TypeError(f"'{wrong}' is {getattr(part, wrong)!r}")
    if not isinstance(record.environment.get("packages", {}), Mapping):
        raise TypeError(f"'packages' is {record.environment['packages']!r}")
    for row in record.curve:
        if not isinstance(row["scalars"], Mapping) or not {"phase", "step", "seconds", "tokens", "updates"} <= set(row):
            raise TypeError(f"a row of the curve is {row!r}")
    if record.selected is not None and not {"phase", "step", "score"} <= set(record.selected):
        raise TypeError(f"'selected' is {record.selected!r}")


@cache
def _values_of(part: Any) -> Callable[[Any], tuple[Any, ...]]:
    """What hands out the fields of a dataclass, in their order."""
    return attrgetter(*_kinds(part))


@cache
def _wrong(part: Any, types: tuple[type, ...]) -> str | None:
    """The first field of a dataclass whose value cannot be of this type; None where all can."""
    for (name, kinds), given in zip(_kinds(part).items(), types, strict=True):
        if given not in kinds and (given is bool or not issubclass(given, kinds)):
            return name
    return None


@cache
def _kinds(part: Any) -> dict[str, tuple[type, ...]]:
    """The types of a dataclass's fields, without what is in their containers."""
    kinds = {}
    for name, hint in get_type_hints(part).items():
        options = get_args(hint) if isinstance(hint, UnionType) else (hint,)
        plain = [get_origin(option) or option for option in options]
        kinds[name] = (*plain, int) if float in plain else tuple(plain)
    return kinds


def _label(name: str, overrides: Mapping[str, Any]) -> str:
    # A field holds a tuple before it is written and a list when it was read: one label for both.
    shown = {key: list(value) if isinstance(value, tuple) else value for key, value in overrides.items()}
    settings = ", ".join(f"{key}={value}" for key, value in sorted(shown.items()))
    return f"{name}[{settings}]" if settings else name
