"""Scores of models over the files of their seeds, and their differences, by the verdicts of ``bench run``."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from bench.analysis.catalogue import entry
from bench.reports.document import Block, Paragraph, bullets
from bench.reports.pages.differences import COLUMNS as COMPARED
from bench.reports.pages.differences import LOSSES, NO_VERDICT, NOT_TESTED, WINS, copies

if TYPE_CHECKING:
    from bench.analysis.verdicts import Verdict
    from bench.metrics.base import Estimate
    from bench.metrics.text.report import Report, Row

__all__ = ["COLUMNS", "METHOD", "Model", "OverSeeds", "as_fields", "blocks", "models", "over_seeds", "short"]

COLUMNS = ("seed", *COMPARED, "verdict")
METHOD = (
    "Values are means over seeds with Student's 95 % interval; a seed is one training run. Real text's intervals are "
    "for other lines of it. Models are compared seed by seed by the tests of bench run's verdicts. All scores of which "
    "higher ones are better are one family of comparisons, and all of which lower ones are better another; scores that "
    "are to be like real text's are among these, by their distance from it. Copying little is no merit, and has no "
    "verdict."
)
NO_MERIT, REPEATED = "copying little is no merit", "another score says the same"


@dataclass(frozen=True, slots=True)
class Model:
    """A model's scores over seeds.

    Attributes:
        name: What its files are called.
        values: Metric to seed to value, in all metrics that every file has in the same way.
        row: The means, as the scores of one text.
        absent: Metric to the reason why there is no mean.
    """

    name: str
    values: Mapping[str, Mapping[Hashable, float]]
    row: Row
    absent: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class OverSeeds:
    """A difference between two models over seeds.

    Attributes:
        name: The model.
        baseline: The first model.
        metric: The metric.
        unit: Its unit.
        distance: Whether it is the distance from real text's score that is compared.
        values: Mean difference and both ends of its interval, of the scores themselves; None where there is none.
        verdict: The verdict; None where nothing was tested.
        why: Why nothing was tested, or why the verdict does not count.
    """

    name: str
    baseline: str
    metric: str
    unit: str
    distance: bool
    values: tuple[float | None, float | None, float | None]
    verdict: Verdict | None
    why: str | None = None

    @property
    def outcome(self) -> str:
        """That of the verdict, or that there is none."""
        return NOT_TESTED if self.verdict is None else NO_VERDICT if self.why else self.verdict.outcome

    @property
    def words(self) -> str:
        """The verdict in words."""
        about = f"{self.metric}'s distance from real text" if self.distance else self.metric
        if self.verdict is None:
            return f"{short(self.name)} and {short(self.baseline)} are not tested in {self.metric}: {self.why}."
        if self.why:
            return f"No verdict on {short(self.name)} and {short(self.baseline)} in {about}: {self.why}."
        return self.verdict.words(about, self.unit)


def models(report: Report) -> list[Model]:
    """The models, with scores over their seeds."""
    found = []
    for each in report.over_seeds:
        rows = {seed: report.rows[place] for seed, place in each.rows.items()}
        scores = {seed: {score.metric: score for score in row.scores} for seed, row in rows.items()}
        metrics = list(dict.fromkeys(metric for part in scores.values() for metric in part))
        values: dict[str, Mapping[Hashable, float]] = {}
        means, absent = [], {}
        for metric in metrics:
            mean = _mean(metric, {seed: part.get(metric) for seed, part in scores.items()})
            means.append(mean)
            if mean.absent:
                absent[metric] = mean.absent
            else:
                values[metric] = {seed: part[metric].value or 0.0 for seed, part in scores.items()}
        first = next(iter(rows.values()))
        found.append(Model(each.name, values, replace(first, name=each.name, scores=tuple(means)), absent))
    return found


def _mean(metric: str, scores: Mapping[int, Estimate | None]) -> Estimate:
    """The mean over seeds, with Student's interval."""
    from bench.analysis.stats import mean_interval  # not at the top: scores of single files do without

    known = {seed: score for seed, score in scores.items() if score is not None and score.value is not None}
    first = next(score for score in scores.values() if score is not None)
    signatures: dict[str, int] = {}
    for seed, score in known.items():
        signatures.setdefault(str(score.signature), seed)
    why = None
    if len(known) < len(scores):
        lacking = min(scores.keys() - known.keys())
        missing = scores[lacking]
        why = f"seed {lacking} has none" + (f": {missing.absent}" if missing and missing.absent else "")
    elif len(signatures) > 1:
        one, other = list(signatures)[:2]
        why = f"seeds {signatures[one]} and {signatures[other]} are scored in different ways, {one} and {other}"
    if why:
        return replace(first, value=None, absent=why, interval=None, low=None, high=None)
    found = mean_interval([score.value or 0.0 for score in known.values()])
    wide = found.low is not None and found.high is not None and found.low < found.high
    low, high = (found.low, found.high) if wide else (None, None)
    return replace(first, value=found.mean, interval="seeds" if wide else None, low=low, high=high)


def over_seeds(report: Report) -> list[OverSeeds]:
    """The differences of each further model from the first."""
    from bench.analysis.stats import mean_interval
    from bench.analysis.verdicts import Pair, judge

    first, *others = models(report)
    goals = {score.metric: score.value for row in report.rows if row.real for score in row.scores}
    pairs: dict[str, dict[tuple[str, str], Pair]] = {"higher": {}, "lower": {}}
    listed: list[OverSeeds] = []
    for model in others:
        for metric in (score.metric for score in model.row.scores):
            score = next(each for each in model.row.scores if each.metric == metric)
            base = next((each for each in first.row.scores if each.metric == metric), None)
            distance, goal = score.direction == "real", goals.get(metric)
            about = (model.name, first.name, metric, score.unit, distance)
            why = model.absent.get(metric) or first.absent.get(metric)
            if not why and base is not None and str(score.signature) != str(base.signature):
                why = f"the two are scored in different ways, {score.signature} and {base.signature}"
            if why or base is None:
                listed.append(OverSeeds(*about, (None, None, None), None, why or f"{first.name} has none"))
                continue
            mine, theirs = model.values[metric], first.values[metric]
            found = mean_interval([mine[seed] - theirs[seed] for seed in mine])
            values = found.mean, found.low, found.high
            if not entry(metric).merit:
                listed.append(OverSeeds(*about, values, None, NO_MERIT if metric.startswith("copy_") else REPEATED))
            elif distance and goal is None:
                listed.append(OverSeeds(*about, values, None, "real text has no such score"))
            else:
                least = entry(metric).resolution([*mine.values(), *theirs.values()])
                if distance and goal is not None:
                    mine, theirs = ({seed: abs(part[seed] - goal) for seed in part} for part in (mine, theirs))
                direction = "lower" if distance else score.direction
                names = short(model.name), short(first.name)
                pairs[direction][model.name, metric] = Pair.of(*names, mine, theirs, least)
                listed.append(OverSeeds(*about, values, None))
    verdicts: dict[tuple[str, str], Verdict] = {}
    for direction, family in pairs.items():
        if family:
            verdicts |= dict(zip(family, judge(list(family.values()), direction), strict=True))
    copying = _copying(report)
    return [_with(each, verdicts.get((each.name, each.metric)), copying) for each in listed]


def _with(each: OverSeeds, verdict: Verdict | None, copying: Mapping[str, str]) -> OverSeeds:
    if verdict is None:
        return each
    words = verdict.outcome.partition(",")[0]
    winner = each.name if words in WINS else each.baseline if words in LOSSES else ""
    why = f"{short(winner)} {copying[winner]}" if winner in copying else None
    return replace(each, verdict=verdict, why=why)


def _copying(report: Report) -> dict[str, str]:
    """Which models copy, by the file that copies most plainly."""
    real = [row for row in report.rows if row.real]
    found = {}
    for model in report.over_seeds:
        for seed, place in model.rows.items():
            row = report.rows[place]
            if phrase := copies([row], real).get(row.name):
                found[model.name] = f"{phrase} (seed {seed})"
                break
    return found


def as_fields(each: OverSeeds | None) -> dict[str, Any]:
    """:data:`COLUMNS` of a difference over seeds, unrounded; all None for a score that is compared with nothing."""
    if each is None:
        return dict.fromkeys(COLUMNS)
    tested = each.verdict
    known = (tested.p, tested.corrected_p, tested.test or None) if tested else (None, None, None)
    values = None, each.baseline, *each.values, *known, each.outcome, each.why, each.words
    return dict(zip(COLUMNS, values, strict=True))


def blocks(report: Report) -> list[Block]:
    """What the seeds say, a sentence for each metric."""
    found: list[Block] = []
    if len(report.over_seeds) > 1:
        compared = over_seeds(report)
        untested: dict[tuple[str, str, str | None], list[str]] = {}
        for each in compared:
            if each.verdict is None:
                untested.setdefault((short(each.name), short(each.baseline), each.why), []).append(each.metric)
        found += bullets(
            "Over seeds:",
            [
                *(each.words for each in compared if each.verdict is not None),
                *(
                    f"{one} and {other} are not tested in {', '.join(listed)}: {why}."
                    for (one, other, why), listed in untested.items()
                ),
            ],
        )
    return [*found, Paragraph(METHOD)]


def short(name: str) -> str:
    """A name without its folder, if nothing in the folder says which files they are."""
    path = PurePath(name)
    return path.name if "{seed}" not in str(path.parent) else name
