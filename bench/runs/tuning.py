"""A search for the fields of one model: its trials, in the records of a results folder, and what to try next.

A trial is a training like any other, planned, done and recorded by the same machinery, with two differences: its task
has no test split, and it is scored by its curve alone, which reads the validation split. The default configuration is
trial 0. The records are all the state that a search has: the fields of a trial follow from the search's seed, the
trial's number and the outcomes of earlier rounds, so that a search that was killed goes on as if it had not been.

Optuna's tree-structured Parzen estimator (Bergstra et al. 2011) says what to try: the first :data:`STARTUP` trials are
the default configuration and random ones, and afterwards it knows the outcomes of all rounds before.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from statistics import fmean
from typing import TYPE_CHECKING, Any

from bench.errors import UsageError
from bench.plans.space import Choice, Space, Span
from bench.records.record import RunRecord, RunSpec
from bench.records.store import Store

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

__all__ = ["METRICS", "MOST_TRIALS", "Study", "Trial", "best", "require_optuna", "require_oracle", "rounds"]

METRICS = ("nll_valid", "jsd_valid")
"""What a search may minimise: scores of the validation split; the second needs a task with an oracle."""
STARTUP = 10
"""Trials of the first round, which learn nothing from each other."""
ROUND = 4
"""Trials of a later round: they can be done at once, and know the outcomes of all rounds before."""
MOST_TRIALS = 10_000
AGAIN = 20
"""How often another configuration is asked for in place of one that was tried before."""
SAMPLES = 5
"""Sequences that a trial draws at its end, for people to look at."""
ENDED = ("ok", "skipped", "failed")
"""Statuses of runs that are not repeated: a trial that failed counts."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One configuration and what came of it.

    Attributes:
        number: Counted from 0, the default configuration.
        fields: The fields that are searched, and their values.
        score: Mean over seeds of the score at the last scored step; None where a seed failed or has no such score.
        reason: Why there is no score; "" where there is one.
        seconds: Training time of all seeds, where that is known.
    """

    number: int
    fields: Mapping[str, Any]
    score: float | None
    reason: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Study:
    """The search of one model.

    Attributes:
        specs: The default configuration's runs, one for each seed of a trial.
        space: What is tried.
        metric: One of :data:`METRICS`, the lower the better.
        seed: Of the search's random numbers.
    """

    specs: tuple[RunSpec, ...]
    space: Space
    metric: str
    seed: int

    @property
    def model(self) -> str:
        """The model's name."""
        return self.specs[0].model

    @property
    def id(self) -> str:
        """Twelve hexadecimal digits that follow from all that decides the trials, but for their number."""
        space = {
            field: {name: repr(value) for name, value in asdict(each).items()} for field, each in self.space.items()
        }
        content = [[spec.run_id for spec in self.specs], space, self.metric, self.seed]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]

    @property
    def default(self) -> dict[str, Any]:
        """The searched fields of the default configuration."""
        return {field: self.specs[0].config[field] for field in self.space}

    def runs(self, number: int, fields: Mapping[str, Any]) -> list[RunSpec]:
        """The runs of a trial: without metrics and temperatures, which would need the test split."""
        tuning = {"trial": number, "study": self.id, "metric": self.metric}
        return [
            replace(
                spec,
                config={**spec.config, **fields},
                tuning=tuning,
                metrics={},
                explicit_metrics=False,
                temperatures=(),
                samples=SAMPLES,
            )
            for spec in self.specs
        ]

    def trials(self, store: Store) -> list[Trial]:
        """The trials that have ended, in order, as the records of a folder have them."""
        return [
            trial for number, records in sorted(self._begun(store).items()) if (trial := self._trial(number, records))
        ]

    def plan(self, store: Store, numbers: range) -> list[RunSpec]:
        """The runs of one round that have not ended.

        Args:
            store: The folder with the trials before this round, all of which have ended.
            numbers: The trials of the round.
        """
        begun = self._begun(store)
        before = [trial for number in range(numbers.start) if (trial := self._trial(number, begun.get(number, [])))]
        tried = [trial.fields for trial in before]
        left: list[RunSpec] = []
        for number in numbers:
            records = begun.get(number, [])
            if records:
                fields = self._fields(records[0])
            else:
                fields = self._suggest(number, before, tried) if number else self.default
            tried.append(fields)
            ended = {record.spec.run_id for record in records if record.status in ENDED}
            left += [spec for spec in self.runs(number, fields) if spec.run_id not in ended]
        return left

    def _begun(self, store: Store) -> dict[int, list[RunRecord]]:
        """Number to the records of the trials that were begun."""
        found: dict[int, list[RunRecord]] = {}
        for record in store.records():
            if record.spec.tuning.get("study") == self.id:
                found.setdefault(record.spec.tuning["trial"], []).append(record)
        return found

    def _fields(self, record: RunRecord) -> dict[str, Any]:
        """The searched fields of a trial, which a record has as JSON has them."""
        values = {field: record.spec.config[field] for field in self.space}
        return {field: tuple(value) if isinstance(value, list) else value for field, value in values.items()}

    def _trial(self, number: int, records: Sequence[RunRecord]) -> Trial | None:
        """What came of a trial; None if one of its runs has not ended."""
        ended = sorted((record for record in records if record.status in ENDED), key=lambda record: record.spec.seed)
        if len(ended) < len(self.specs):
            return None
        scores = [_reached(record, self.metric) for record in ended if record.status == "ok"]
        reasons = [record.reason or record.status for record in ended if record.status != "ok"]
        none = f"it has no {self.metric}, which is taken at steps of training from a model with a density"
        reasons += [none] * scores.count(None)
        known = [score for score in scores if score is not None]
        seconds = math.fsum(record.curve[-1]["seconds"] for record in ended if record.curve)
        return Trial(number, self._fields(ended[0]), None if reasons else fmean(known), "".join(reasons[:1]), seconds)

    def _suggest(self, number: int, before: Sequence[Trial], tried: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """The fields of a trial, which follow from the seed, its number and the outcomes before its round."""
        fields: dict[str, Any] = {}
        for attempt in range(AGAIN):
            name = f"{self.seed}/{self.specs[0].stream}/{self.model}/{self.metric}/{number}/{attempt}"
            seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "little")
            fields = _ask(self.space, before, seed)
            if fields not in tried:
                break
        return fields


def rounds(trials: int) -> Iterator[range]:
    """The numbers of so many trials, by round; more trials begin with the same rounds.

    Example:
        >>> [len(numbers) for numbers in rounds(17)]
        [10, 4, 3]
    """
    begin = 0
    while begin < trials:
        end = min(trials, begin + (ROUND if begin else STARTUP))
        yield range(begin, end)
        begin = end


def best(trials: Iterable[Trial]) -> Trial | None:
    """The trial with the lowest score, the first of equals; None where none has a score."""
    scored = [trial for trial in trials if trial.score is not None]
    return min(scored, key=lambda trial: (trial.score, trial.number), default=None)


def require_optuna() -> None:
    """Refuse to go on without Optuna.

    Raises:
        UsageError: saying how to install it.
    """
    try:
        import optuna  # noqa: F401
    except ImportError as error:
        raise UsageError(
            "tuning needs Optuna, which is not installed: install it with 'pip install seqgan-bench[tune]'."
        ) from error


def require_oracle(spec: RunSpec) -> None:
    """Refuse a search by ``jsd_valid`` on a task whose truth is not known.

    Raises:
        UsageError: then.
    """
    from bench.runs.judge import load_task

    if load_task(spec).data.oracle is None:
        raise UsageError(f"'{spec.task}' has no oracle, so no jsd_valid can be computed: choose --metric nll_valid.")


def _reached(record: RunRecord, metric: str) -> float | None:
    """The score at the last step that was scored: the leaderboard's rows are those of the last step, too."""
    found = (row["scalars"][metric] for row in reversed(record.curve) if metric in row["scalars"])
    return next(found, None)


def _ask(space: Space, before: Sequence[Trial], seed: int) -> dict[str, Any]:
    """What the sampler would try after these trials."""
    import optuna
    from optuna.trial import TrialState, create_trial

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=STARTUP)
    study = optuna.create_study(sampler=sampler)  # in memory: the records are what is kept
    laws = {field: _distribution(each) for field, each in space.items()}
    for trial in before:
        if all(each.holds(trial.fields[field]) for field, each in space.items()):  # the default may lie outside
            params = {field: _encoded(each, trial.fields[field]) for field, each in space.items()}
            # A trial that failed is among the worst, so that its neighbourhood is not tried again and again.
            state = TrialState.PRUNED if trial.score is None else TrialState.COMPLETE
            study.add_trial(create_trial(state=state, value=trial.score, params=params, distributions=laws))
    asked = study.ask(laws).params
    return {field: _decoded(each, asked[field]) for field, each in space.items()}


def _distribution(each: Span | Choice) -> BaseDistribution:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if isinstance(each, Choice):
        return CategoricalDistribution(range(len(each.values)))
    if each.whole:
        return IntDistribution(int(each.low), int(each.high), log=each.log)
    return FloatDistribution(each.low, each.high, log=each.log)


def _encoded(each: Span | Choice, value: Any) -> Any:
    return value if isinstance(each, Span) else each.index(value)


def _decoded(each: Span | Choice, value: Any) -> Any:
    return each.rounded(value) if isinstance(each, Span) else each.values[value]
