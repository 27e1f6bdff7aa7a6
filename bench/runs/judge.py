"""The judge: its view of a task, and its scores of a sampler, during training and afterwards."""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from bench.api import Decoding, HasNextTokenLogProbs, HasRealProbability, Sampler, SequenceSpec
from bench.errors import UsageError
from bench.metrics.base import Estimate, Metric
from bench.metrics.density import Evidence, HeldOut, LogProb
from bench.metrics.ranges import NOT_NEGATIVE, Impossible
from bench.metrics.signature import Signature
from bench.plans import registry
from bench.plans.fields import build
from bench.records import environment
from bench.records.frames import REAL_DATA
from bench.records.record import RunSpec, Score
from bench.runs.at_rest import AtRest
from bench.runs.cost import Cost
from bench.runs.critic import CriticJudge
from bench.runs.curve import CurveJudge
from bench.runs.density_checks import DensityChecks
from bench.runs.fingerprint import Fingerprint, fingerprint, first_change
from bench.runs.streams import named_stream
from bench.tasks.base import TaskData

__all__ = [
    "SELECTED_BY",
    "DataChanged",
    "Judged",
    "LoadedTask",
    "RealData",
    "changed",
    "checked",
    "cost_scores",
    "curve_judge",
    "forget_task",
    "frontier_scores",
    "load_task",
    "require_applicable",
    "score",
    "unchanged_data",
]

SELECTED_BY = "nll_valid"
"""The score that picks the selected checkpoint: held-out NLL on the validation split, which no leaderboard shows."""
FRONTIER = ("nll", "language-model")
"""Metrics of the frontier: quality and coverage, from densities and from samples alone."""
COST_VERSIONS = {"tokens": 2}
"""Versions of costs that are not the first: ``tokens`` once counted only what was learnt from."""
SLOW = 1.0
"""Seconds of sampling from which on the same samples are drawn again, to see whether anything else was done."""
KEPT_JUDGEMENTS = 32
"""Of a task in a process; those of one seed follow each other."""
OUR_METRICS = "bench.metrics."
"""What the names of the modules of our own metrics begin with."""
RULED_OUT = "this task rules it out; without --metrics, each task gets those that apply to it"
FEW = 20
"""Real sequences that tell whether a metric has anything to say of a task."""
KEPT_TASKS = 16
"""Each takes megabytes, and seconds to draw: as many as there may be seeds and tasks."""


class DataChanged(Exception):  # noqa: N818 - it says what happened
    """A run after which data that other runs share are not what they were."""


@dataclass(frozen=True, slots=True)
class LoadedTask:
    """A task's data and the judge's view of its test set.

    Attributes:
        data: The data; its tensors can be written into, hence the fingerprint.
        held_out: The judge's view.
        fingerprint: Of the data when they were loaded.
        judgements: What was found of checkpoints, by all that it depends on.
        truths: The oracle's log-probability of the first n validation sequences, by n.
    """

    data: TaskData
    held_out: HeldOut
    fingerprint: Fingerprint
    judgements: dict[Hashable, Judgement] = field(default_factory=dict)
    truths: dict[int, LogProb] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Judgement:
    """What was found of a checkpoint, whichever models have it.

    Attributes:
        results: Metric to its columns.
        density: What the density is: one of :data:`bench.api.DENSITIES`; ``exact`` only where that was verified.
    """

    results: Mapping[str, tuple[Estimate, ...]]
    density: str


class RealData:
    """Training sequences as if a model had generated them: they show the scores of real data.

    Args:
        data: The data of the task.
    """

    def __init__(self, data: TaskData) -> None:
        self._train = data.training.train
        if data.oracle is not None:
            self.log_prob, self.token_log_prob = data.oracle.log_prob, data.oracle.token_log_prob
            if isinstance(data.oracle, HasNextTokenLogProbs):
                self.next_token_log_probs = data.oracle.next_token_log_probs

    def sample(self, n: int, decoding: Decoding, rng: torch.Generator) -> Tensor:
        """N different training sequences, or all if there are fewer; like a model's, they are new to the test set."""
        return self._train[torch.randperm(len(self._train), generator=rng)[:n]]


_TaskKey = tuple[str, str, tuple[tuple[str, Any], ...], str, bool]
_kept: dict[_TaskKey, LoadedTask] = {}
"""The tasks of this process, the one that was used last at the end."""


def _task_key(spec: RunSpec) -> _TaskKey:
    config = {name: tuple(value) if isinstance(value, list) else value for name, value in spec.task_config.items()}
    return spec.task, spec.task_target, tuple(config.items()), spec.data, spec.is_trial


def _read_task(name: str, target: str, config: tuple[tuple[str, Any], ...], planned: str, trial: bool) -> LoadedTask:
    task = build(registry.Plugin("task", name, target).load(), dict(config))
    if task.fingerprint() != planned:
        raise UsageError(f"the data of '{name}' changed after the runs were planned: run the same command again.")
    data: TaskData = task.load()
    if trial:  # nothing that a search does can depend on test sequences that are not there
        data = replace(data, test=data.test[:0].clone(), listed=None)
    unk, words = (data.vocabulary.unk, data.vocabulary.words) if data.vocabulary else (None, None)
    verse, places = (getattr(data.vocabulary, name, None) for name in ("verse", "places"))
    given = data.training
    about = unk, data.tokenizer, given.train, words, verse, given.valid, places, data.listed
    held_out = HeldOut(given.spec, data.test, data.oracle, *about)
    return LoadedTask(data, held_out, fingerprint(_shared(data)))


def load_task(spec: RunSpec) -> LoadedTask:
    """The data of a run's task, kept for the next run of the same task as long as nobody writes into them.

    Those of a trial have no test split.

    Raises:
        UsageError: when they are not those with which the run was planned.
    """
    key = _task_key(spec)
    task = _kept.pop(key, None)
    if task is None or changed(task):  # by a run of another task, or one that was interrupted
        task = _read_task(*key)
    _kept[key] = task
    if len(_kept) > KEPT_TASKS:
        del _kept[next(iter(_kept))]
    return task


def forget_task(spec: RunSpec) -> None:
    """Load the data of a run's task anew for the next run."""
    _kept.pop(_task_key(spec), None)


def changed(task: LoadedTask) -> str | None:
    """Which of a task's shared data are not what they were when they were loaded; None if all are.

    They are the sequences of the three splits, and the tensors and arrays that the oracle holds. Models get copies of
    sequences and never the oracle; a metric reads the data themselves.
    """
    return first_change(task.fingerprint, _shared(task.data))


def _shared(data: TaskData) -> dict[str, object]:
    training = data.training
    return {"training sequences": training.train, "validation sequences": training.valid, "test sequences": data.test,
            "list of real sequences": data.listed, "parameters of the oracle": data.oracle}  # fmt: skip


@contextlib.contextmanager
def unchanged_data(spec: RunSpec) -> Iterator[None]:
    """Around a run: require that its task's data are afterwards what they were before, or else load them anew.

    Raises:
        DataChanged: saying what was changed, in place of what the run itself may have raised.
    """
    try:
        yield
    except (Exception, SystemExit):
        _require_unchanged(spec)
        raise
    _require_unchanged(spec)


def _require_unchanged(spec: RunSpec) -> None:
    task = _kept.get(_task_key(spec))
    if what := changed(task) if task else None:
        forget_task(spec)
        raise DataChanged(
            f"the {what}, which all runs of this task share, are not what they were before this run: the model or a "
            "metric has written into them"
        )


@dataclass(frozen=True, slots=True)
class Judged:
    """A judged checkpoint.

    Attributes:
        scores: Its scores.
        samples: int64, (N, T): the sequences that were scored.
        tokens_per_second: The speed of sampling.
        density: What its density is: one of :data:`bench.api.DENSITIES`; ``exact`` only where that was verified.
    """

    scores: tuple[Score, ...]
    samples: Tensor
    tokens_per_second: float
    density: str


def require_applicable(task: LoadedTask, metrics: Mapping[str, Metric], spec: RunSpec) -> None:
    """Before anything is trained: no metric that the user named is one that the task rules out.

    It is one if it has no column for a few real sequences, as if a model had written them. What else it may lack
    depends on the model, and what goes wrong here is perhaps because they are few: :func:`score` tells of both.

    Raises:
        ValueError: naming the metric.
    """
    if not spec.explicit_metrics:
        return
    real = RealData(task.data)
    samples = real.sample(FEW, Decoding(), named_stream(spec.stream, "evaluation"))
    for name, metric in metrics.items():
        evidence = Evidence(real, samples.clone(), task.held_out)
        try:
            found = evidence.ask(metric)
        except Exception:
            continue
        if not found:
            raise _absent(name)


def _absent(metric: str, reason: str = RULED_OUT) -> ValueError:
    return ValueError(f"metric '{metric}' was asked for and is absent: {reason}")


def score(
    sampler: Sampler, task: LoadedTask, metrics: Mapping[str, Metric], spec: RunSpec, watch: AtRest | None = None
) -> Judged:
    """Draw samples from the evaluation stream, which is the same for all models of a seed, and score them.

    Raises:
        ValueError: for samples that are not sequences of the task, a metric that the user named and that is absent, or
            one that writes into what the others read.
        Impossible: for a score that cannot be true, or a density that is none or not that of the samples.
    """
    real = spec.model == REAL_DATA
    rng = named_stream(spec.stream, "evaluation", "cpu" if real else spec.device)
    n = min(spec.samples, len(task.data.training.train)) if real else spec.samples
    start = time.perf_counter()
    samples = _draw(sampler, n, Decoding(), rng, task.held_out.spec)
    seconds = time.perf_counter() - start
    if watch and seconds > SLOW:  # is all of that sampling?
        start = time.perf_counter()
        _draw(sampler, n, Decoding(), named_stream(spec.stream, "evaluation", spec.device), task.held_out.spec)
        again = time.perf_counter() - start
        watch.compare(seconds, again)
        seconds = min(seconds, again)
    judgement = _judgement(sampler, samples, task, metrics, spec)
    scores = []
    for name, results in judgement.results.items():
        missing = "; ".join(result.absent for result in results if result.absent and not result.answered)
        if spec.explicit_metrics and not real and (missing or not results):
            raise _absent(name, missing or RULED_OUT)
        scores += [_as_score(result) for result in results]
    return Judged(tuple(scores), samples, samples.numel() / seconds, judgement.density)


def _judgement(
    sampler: Sampler, samples: Tensor, task: LoadedTask, metrics: Mapping[str, Metric], spec: RunSpec
) -> Judgement:
    """What the metrics say of samples and of the density of the sampler that wrote them.

    Models that begin with one shared pre-training, and those that are selected at the same step of it, write the same
    samples from the same random numbers and find the same sequences equally likely: that is judged once. A stranger's
    generator or metric is judged, or asked, every time: a sampler is shown no token before its laws are verified, and a
    metric may ask a sampler for more than what is compared here.
    """
    real = spec.model == REAL_DATA
    evidence = Evidence(sampler, samples.clone(), task.held_out, trained=real)
    ours = all(type(metric).__module__.startswith(OUR_METRICS) for metric in metrics.values())
    key = _key(evidence, metrics, spec) if ours and registry.is_shipped(spec.target) and not spec.is_trial else None
    if key is not None and key in task.judgements:
        return task.judgements[key]
    density = evidence.density
    # Real sequences are training sequences, and the oracle is what wrote them; a trial of a search has no test split.
    if density == "exact" and not real and len(task.held_out.tokens):
        checks = DensityChecks(sampler, samples, task.held_out, named_stream(spec.stream, "density"))
        density = checks.finish(evidence)
    results = {}
    for name, metric in metrics.items():
        results[name] = tuple(evidence.ask(metric))
        if not torch.equal(evidence.samples, samples):
            raise ValueError(f"metric '{name}' has written into the samples, which the other metrics read, too")
    found = Judgement(results, density)
    if key is not None:
        if len(task.judgements) >= KEPT_JUDGEMENTS:
            del task.judgements[next(iter(task.judgements))]
        task.judgements[key] = found
    return found


def _key(evidence: Evidence, metrics: Mapping[str, Metric], spec: RunSpec) -> Hashable:
    """All that a judgement depends on."""
    digest = hashlib.sha256(evidence.samples.numpy().tobytes())
    if not evidence.no_density:
        for known in (evidence.model_log_prob_of_test, evidence.model_log_prob_of_samples):
            digest.update((known.sequences if known.tokens is None else known.tokens).numpy().tobytes())
    asked = tuple((type(metric), metric.version) for metric in metrics.values())  # an edited one is another class
    return digest.hexdigest(), type(evidence.sampler), evidence.density, asked, spec.stream


def _draw(sampler: Sampler, n: int, decoding: Decoding, rng: torch.Generator, spec: SequenceSpec) -> Tensor:
    """That many samples, int64 (n, T), on the CPU.

    Raises:
        ValueError: saying what is wrong with them.
    """
    samples = checked(sampler.sample(n, decoding, rng), spec)
    if len(samples) != n:
        raise ValueError(f"expected {n} samples, got {len(samples)}")
    return samples


def checked(samples: object, spec: SequenceSpec) -> Tensor:
    """A copy of the samples on the CPU, if they are sequences of this task.

    Raises:
        ValueError: saying what is wrong with them.
    """
    if not isinstance(samples, Tensor):
        raise ValueError(f"expected sample() to give a tensor, got {type(samples).__name__}")
    if samples.dtype != torch.int64 or samples.ndim != 2 or samples.shape[1] != spec.seq_len:
        raise ValueError(
            f"expected samples of dtype int64 and shape (n, {spec.seq_len}), got {samples.dtype} {tuple(samples.shape)}"
        )
    samples = samples.detach().cpu().contiguous().clone()  # a sampler may go on writing into what it returned
    if len(samples) and not (int(samples.min()) >= 0 and int(samples.max()) < spec.vocab_size):
        raise ValueError(f"expected tokens in [0, {spec.vocab_size}), got {int(samples.min())} to {int(samples.max())}")
    return samples


def curve_judge(
    task: LoadedTask, n: int, spec: RunSpec, watch: AtRest
) -> Callable[[Sampler, HasRealProbability | None], dict[str, float]]:
    """Scorer of samplers and discriminators for the training curve.

    Samplers are scored on n samples and n sequences of the *validation* split; discriminators on the same, and on n
    sequences of the training split.
    """
    train, valid = task.data.training.train, task.data.training.valid[:n]
    rows = torch.randperm(len(train), generator=named_stream(spec.stream, "critic"))[:n]
    curve = CurveJudge(task.data.training.spec, valid, task.data.oracle, task.truths)
    critics = CriticJudge(train[rows], valid, spec.device)

    def scores(sampler: Sampler, critic: HasRealProbability | None) -> dict[str, float]:
        rng = named_stream(spec.stream, "curve", spec.device)
        with watch.asked(sampler):
            samples = _draw(sampler, n, Decoding(), rng, curve.spec)
            found = curve.scores(sampler, samples)
            return found if critic is None else found | critics.scores(critic, samples)

    return scores


def frontier_scores(sampler: Sampler, task: LoadedTask, temperature: float, n: int, spec: RunSpec) -> tuple[Score, ...]:
    """Quality and coverage at a temperature, with the same random numbers at all; a reason where that fails.

    Raises:
        Impossible: for a score that cannot be true: then the model's other scores are not to be trusted, either.
    """
    whole = task.held_out
    try:
        rng = named_stream(spec.stream, "frontier", spec.device)
        samples = _draw(sampler, n, Decoding(temperature), rng, whole.spec)
        evidence = Evidence(sampler, samples, whole.first(n), temperature)
        results = [result for name in FRONTIER for result in evidence.ask(registry.find("metric", name).load()())]
    except Impossible:
        raise
    except Exception as error:  # a finished training is not lost because decoding it fails
        reason = f"{type(error).__name__}: {error}".partition("\n")[0]
        columns = ("nll_oracle", "nll_test", "lm_nll", "reverse_nll")[whole.oracle is None :]
        results = [Estimate(column, None, "nats/token", "lower", Signature.of(), reason) for column in columns]
    return tuple(_as_score(result) for result in results)


def cost_scores(cost: Cost, judged: Judged, device: str, pack: int = 1) -> tuple[Score, ...]:
    """What training has cost, without evaluation.

    Training tokens per second are the tokens of the generator's own updates, real or sampled, over all seconds of
    training, including those spent on anything else; rollouts and the discriminator's sequences are divided by only the
    seconds spent on them.

    Raises:
        Impossible: for a negative amount, as a generator may count it.
    """
    columns = {
        "seconds": (cost.seconds, "s", "lower"),
        "pretraining_seconds": (cost.pretraining_seconds, "s", "lower"),
        "tokens": (cost.tokens, "tokens", "lower"),
        "updates": (cost.updates, "updates", "lower"),
        "train_tokens_per_second": (_overall(cost, "train_tokens"), "tokens/s", "higher"),
        "sampled_tokens_per_second": (judged.tokens_per_second, "tokens/s", "higher"),
        "rollouts_per_second": (_rate(cost, "rollouts"), "rollouts/s", "higher"),
        "discriminator_sequences_per_second": (_rate(cost, "discriminator_sequences"), "sequences/s", "higher"),
        "peak_memory_mib": (cost.peak_memory / 2**20, "MiB", "lower"),
    }
    for name, (value, *_) in columns.items():
        if value is not None:
            NOT_NEGATIVE.check(name, value)
    memory = "allocated on the device" if device == "cuda" else "resident memory of the process"
    notes = {
        "peak_memory_mib": f"{memory}, while training|",
        "tokens": "read or drawn by any network|",
        "updates": "of any network|",
        "train_tokens_per_second": "generator updates over all training seconds|",
        "rollouts_per_second": "completed and scored|",
    }
    where = f"device={device}|machine={environment.describe()['machine']}|threads={torch.get_num_threads()}"
    where += f"|pack={pack}" if pack > 1 else ""
    return tuple(
        Score(name, value, unit, direction, f"{notes.get(name, '')}{where}|v={COST_VERSIONS.get(name, 1)}", "cost")
        for name, (value, unit, direction) in columns.items()
        if value is not None
    )


def _overall(cost: Cost, name: str) -> float | None:
    return cost.amounts[name] / cost.seconds if cost.amounts.get(name) and cost.seconds > 0 else None


def _rate(cost: Cost, name: str) -> float | None:
    seconds = cost.durations.get(name, 0.0)
    return cost.amounts[name] / seconds if seconds > 0 else None


def _as_score(found: Estimate) -> Score:
    about = (found.unit, found.direction, str(found.signature))
    return Score(found.metric, found.value, *about, "quality", found.absent)
