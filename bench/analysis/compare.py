"""Accepted results against new ones: a verdict for every cell, and whether the comparison is red."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, replace
from statistics import fmean, median

import pandas as pd

from bench.analysis.accepted import Key, arranged
from bench.analysis.catalogue import ROUNDING, entry
from bench.analysis.copying import copiers
from bench.analysis.power import detectable_difference
from bench.analysis.stats import FAR, FEWEST, SERIOUS
from bench.analysis.verdicts import (
    BETTER,
    CALLED,
    FEW,
    IDENTICAL,
    IF_NORMAL,
    MIXED,
    NO_VERDICT,
    ONE_OBSERVATION,
    SIGNS,
    WORSE,
    Pair,
    Verdict,
    is_constant,
    judge,
)
from bench.records.frames import FINAL, REAL_DATA, Row, as_rows

__all__ = ["ALPHA", "RED", "SAME", "VERDICTS", "Cell", "Comparison", "compare"]

NO_DIFFERENCE, NOT_COMPARABLE = "no difference", "not comparable"
FAILED, MISSING, UNTESTED, NEW = "failed", "missing", "untested", "new"
RED = (FAILED, MISSING, WORSE, UNTESTED)
VERDICTS = (*RED, NOT_COMPARABLE, BETTER, NEW, NO_DIFFERENCE)
"""All verdicts, those that matter most first."""
SAME = "the same"
"""Said of cells that differ only by rounding, or have no value on either side."""
ALPHA = 0.05
"""Probability, over all cells together, of calling any of them better or worse by chance."""
RANGES = 5.0
"""So many ranges of base's seeds beyond the worst of them, a seed of head is worse without any test."""
UNFIT = ("failed", "interrupted", "started")

Configuration = tuple[str, str, str]
"""Task, preset and model."""


@dataclass(frozen=True, slots=True)
class Cell:
    """The verdict on one score.

    Attributes:
        key: Task, preset, model, checkpoint and metric; the last two are empty for a run that has no scores.
        verdict: One of :data:`VERDICTS`.
        words: What was found, or why nothing could be found.
        seeds: Seeds with a value on both sides.
        small: Whether it changed by less than what counts as a difference.
        losses: What the seeds say of by how much head is worse than base, from which the verdict was made; None where
            something kept the two from being compared.
    """

    key: Key
    verdict: str
    words: str
    seeds: int = 0
    small: bool = False
    losses: Verdict | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """The verdicts on all cells.

    Attributes:
        cells: In the order of the accepted file.
        family: How many cells were tested: those that changed and have two or more seeds. P is corrected for them.
        lacking: What base lacks, so that what it lost counts as new; empty for nothing.
    """

    cells: tuple[Cell, ...]
    family: int
    lacking: str = ""

    @property
    def counts(self) -> dict[str, int]:
        """How often each verdict was given."""
        counted = Counter(cell.verdict for cell in self.cells)
        return {verdict: counted[verdict] for verdict in VERDICTS}

    @property
    def red(self) -> int:
        """Cells whose verdict is one of :data:`RED`."""
        return sum(cell.verdict in RED for cell in self.cells)

    @property
    def vanished(self) -> bool:
        """Whether base had results, and no score of any model could be compared with them."""
        kept = (BETTER, WORSE, NO_DIFFERENCE)
        compared = (cell.seeds and cell.verdict in kept and cell.key.model != REAL_DATA for cell in self.cells)
        return not any(compared) and any(cell.verdict != NEW for cell in self.cells)

    @property
    def passes(self) -> bool:
        """Whether nothing is red, something was compared, and base is whole."""
        return not self.red and not self.vanished and not self.lacking

    @property
    def summary(self) -> str:
        """The closing line: the count of every verdict, and whether the comparison is green or red."""
        counted = ", ".join(f"{count} {verdict}" for verdict, count in self.counts.items())
        reasons = []
        if self.vanished:
            reasons.append("no score of any model could be compared")
        elif self.red:
            reasons.append(f"{self.red} of {len(self.cells)} cells")
        reasons += [f"base is not whole: {self.lacking}"] if self.lacking else []
        verdict = "green" if self.passes else f"red, {' and '.join(reasons)}"
        if self.passes and self.undecided:
            cells = "1 cell" if self.undecided == 1 else f"{self.undecided} cells"
            verdict += f", but {cells} changed on too few seeds to decide (< {FEW}): use more seeds"
        return f"{counted}: {verdict}"

    @property
    def undecided(self) -> int:
        """Cells that changed, but were called no different because they have too few seeds to decide."""
        changed = (cell for cell in self.cells if cell.words != SAME and not cell.small)
        return sum(cell.verdict == NO_DIFFERENCE and cell.seeds < FEW for cell in changed)


def compare(base: pd.DataFrame, head: pd.DataFrame, min_seeds: int = 1) -> Comparison:
    """Give every cell of two results its verdict.

    Differences are head - base, paired by seed; where the real data's value is the goal, they are differences of the
    distance from it, each side's from its own real data. All cells that changed are one family for
    :func:`bench.analysis.verdicts.judge`. The real data's own row is part of the yardstick, never better or worse.
    Verdicts of both grades count: a gate that waited for the sign test would let regressions pass. A row of head that
    copies the training text is not better. A change of which only most seeds or only the mean are for the better is
    worse, and so is one with a seed that is far worse than all of base's, which no test of so few seeds would show.

    Args:
        base: What :func:`bench.analysis.accepted.read` gave.
        head: What :func:`bench.analysis.accepted.tidy` gave.
        min_seeds: Seeds with a value on both sides that every cell must have, changed or not.

    Returns:
        A verdict for each cell:

        - ``failed``: a run of head failed or never ended, or a value that base had is absent, NaN or infinite;
        - ``missing``: head lacks the score, or one of its seeds;
        - ``untested``: it changed, and no test says how: one seed alone, another signature, unit, direction or other
          data, another value of the real data, or none to measure the distance from; or it has too few seeds;
        - ``not comparable``: base's value is NaN or infinite, or what seems better may not win or is one observation;
        - ``better``, ``worse``, or ``no difference`` that could be shown;
        - ``new``: only head has it.
    """
    then, now = _Side.of(base), _Side.of(head)
    cells: dict[Key, Cell] = {}
    tested: dict[Key, _Match] = {}
    for key in arranged(then.scores.keys() | now.scores.keys()):
        match = _Match(
            key,
            then.scores.get(key, {}),
            now.scores.get(key, {}),
            now.runs.get(key[:3], {}),
            (then.real(key), now.real(key)),
        )
        obstacle = _obstacle(match, min_seeds)
        if obstacle:
            cells[key] = Cell(key, *obstacle, len(match.seeds))
        else:
            tested[key] = match
    copies = copiers(head.assign(kind="quality"))
    pairs = [_pair(match, copies.get(key[:4], "")) for key, match in tested.items()]
    verdicts = judge(pairs, "lower", ALPHA)
    for (key, match), verdict in zip(tested.items(), verdicts, strict=True):
        cells[key] = replace(_cell(match, verdict), losses=verdict)
    for cell in _without_scores(then, now):
        cells[cell.key] = cell
    return Comparison(tuple(cells[key] for key in arranged(cells)), verdicts[0].family if verdicts else 0)


@dataclass(frozen=True, slots=True)
class _Side:
    """The rows of base or head: by seed those of each cell, and by seed one of each run, which says how it ended."""

    scores: dict[Key, dict[int, Row]]
    runs: dict[Configuration, dict[int, Row]]

    @classmethod
    def of(cls, frame: pd.DataFrame) -> _Side:
        side = cls({}, {})
        for row in as_rows(frame):
            key = Key(*(row[name] for name in Key._fields))
            side.runs.setdefault(key[:3], {})[row["seed"]] = row
            if key.metric:
                side.scores.setdefault(key, {})[row["seed"]] = row
        return side

    def real(self, key: Key) -> dict[int, float]:
        """The real data's values in the metric of a cell."""
        return _values(self.scores.get(key._replace(model=REAL_DATA, checkpoint=FINAL), {}))


@dataclass(frozen=True, slots=True)
class _Match:
    """One cell of both sides, everything by seed.

    Attributes:
        key: Which cell.
        base: Its rows in base.
        head: Its rows in head.
        runs: Head's runs of the same model, however they ended.
        real: The real data's values in base and in head.
    """

    key: Key
    base: Mapping[int, Row]
    head: Mapping[int, Row]
    runs: Mapping[int, Row]
    real: tuple[Mapping[int, float], Mapping[int, float]]

    @property
    def direction(self) -> str:
        return str(next(iter((self.base or self.head).values()))["direction"])

    @property
    def seeds(self) -> list[int]:
        """Seeds with a value on both sides, and with the real data's value where that is the goal."""
        common = _values(self.base).keys() & _values(self.head).keys()
        if self.direction == "real":
            common &= self.real[0].keys() & self.real[1].keys()
        return sorted(common)


def _obstacle(match: _Match, min_seeds: int) -> tuple[str, str] | None:
    """The verdict on a cell in which there is nothing to test, with its reason; None where there is."""
    base, head, runs = match.base, match.head, match.runs
    if not base:
        return NEW, "only in head"
    old, new = _values(base), _values(head)
    broken = {seed: _ending(runs[seed]) for seed in base if seed in runs and runs[seed]["status"] in UNFIT}
    broken |= {seed: f"head has {_lack(head[seed])}" for seed in old if seed in head and seed not in new}
    if broken:
        return FAILED, _told(broken, base)
    gone = {seed: _absence(runs.get(seed)) for seed in base if seed not in head}
    if gone:
        return MISSING, _told(gone, base)
    changed = {seed: change for seed in base if (change := _change(base[seed], head[seed]))}
    if changed:
        no_numbers = {seed for seed, row in base.items() if not row["absent"] and not math.isfinite(row["value"])}
        moved = any(not _same(old[seed], new[seed]) for seed in old.keys() & new.keys())
        return UNTESTED if moved or changed.keys() - no_numbers else NOT_COMPARABLE, _told(changed, base)
    if not old:
        return (
            (NEW, _told({seed: f"base has {_lack(base[seed])}" for seed in base}, base))
            if new
            else (NO_DIFFERENCE, SAME)
        )
    if not match.seeds:
        return UNTESTED, "there is no real data to measure the distance from"
    if (n := len(match.seeds)) < min_seeds:
        return UNTESTED, f"{n} {'seed' if n == 1 else 'seeds'} on both sides, expected {min_seeds} or more"
    return _yardstick(match) if match.key.model == REAL_DATA else None


def _yardstick(match: _Match) -> tuple[str, str]:
    """The verdict on the real data, which no model wrote: neither better nor worse."""
    old, new = match.real
    moved = [seed for seed in match.seeds if not _same(old[seed], new[seed])]
    if not moved:
        return NO_DIFFERENCE, SAME
    change = f"{old[moved[0]]:.6g} → {new[moved[0]]:.6g} in seed {moved[0]}"
    return UNTESTED, f"{change}: the judge changed, or its random numbers, and not only models"


def _burdens(match: _Match) -> tuple[dict[Hashable, float], dict[Hashable, float]]:
    """How bad base and head are, by seed: lower is better, whatever the metric."""
    found: list[dict[Hashable, float]] = []
    for rows, real in zip((match.base, match.head), match.real, strict=True):
        values = _values(rows)
        if match.direction == "real":
            found.append({seed: abs(values[seed] - real.get(seed, 0.0)) for seed in match.seeds})
        else:
            found.append({seed: -SIGNS[match.direction] * values[seed] for seed in match.seeds})
    return found[0], found[1]


def _losses(match: _Match) -> dict[Hashable, float]:
    """By how much head is worse than base, by seed; exactly zero where they are the same except for rounding."""
    old, new = _values(match.base), _values(match.head)
    base, head = _burdens(match)
    losses: dict[Hashable, float] = {}
    for seed in match.seeds:
        goals = [real.get(seed, 0.0) for real in match.real] if match.direction == "real" else [0.0, 0.0]
        is_same = _same(old[seed], new[seed]) and _same(*goals)
        losses[seed] = 0.0 if is_same else head[seed] - base[seed]
    return losses


def _fallen(match: _Match, resolution: float) -> list[Hashable]:
    """The seeds in which head is worse than the worst seed of base, by far.

    That is by :data:`RANGES` times the range of base's seeds, and by a tenth of their median. No test sees them: one
    seed beyond all bounds leaves Student's t at 1, and no sign test rejects for one, nor for five of eight. Of cells
    that chance alone moves, with base's scatter, such a seed is in one of 2,000 with 5 seeds and one of 100,000 with 8,
    if scatter is normal and more than about a tenth of the median; else in fewer.
    """
    base, head = _burdens(match)
    usual = list(base.values())
    if len(usual) < FEWEST:
        return []
    reach = RANGES * (max(usual) - min(usual))
    limit = max(usual) + max(reach, SERIOUS * abs(median(usual)), FAR * resolution)
    return [seed for seed in match.seeds if head[seed] > limit]


def _pair(match: _Match, copies: str) -> Pair:
    """Head beside base; ``copies`` says why head may not be better."""
    sides = [[_values(rows)[seed] for seed in match.seeds] for rows in (match.base, match.head)]
    base, head = _burdens(match)
    return Pair(
        "head",
        "base",
        _losses(match),
        resolution=entry(match.key.metric).resolution([*sides[0], *sides[1]]),
        constant=len(match.seeds) > 1 and all(map(is_constant, sides)),
        model_barred=copies,
        sides=(head, base),
    )


def _cell(match: _Match, verdict: Verdict) -> Cell:
    """The finding of :func:`bench.analysis.verdicts.judge`, in the words of a table."""
    n = len(match.seeds)
    if verdict.difference is None or not any(_losses(match).values()):
        return Cell(match.key, NO_DIFFERENCE, SAME, n)
    unit = next(iter(match.base.values()))["unit"]
    base, head = (fmean(_values(rows)[seed] for seed in match.seeds) for rows in (match.base, match.head))
    moved = f"{base:.4g} → {head:.4g}{' ' + unit if unit else ''}"
    if match.direction == "real":
        moved += f" beside the real data's {fmean(match.real[1][seed] for seed in match.seeds):.4g}"
    far = "distance " if match.direction == "real" else ""
    difference = f"{far}{-SIGNS.get(match.direction, -1) * verdict.difference.mean:+.3g}"
    if verdict.outcome == IDENTICAL or max(map(abs, _losses(match).values())) < verdict.resolution:
        words = f"{moved} ({difference}): less than {verdict.resolution:g}, the smallest difference that counts"
        return Cell(match.key, NO_DIFFERENCE, words, n, small=True)
    if verdict.outcome == ONE_OBSERVATION:
        worse = verdict.difference.mean > 0
        words = f"{moved} ({difference}, the same in all {n} seeds, which are one observation and need no test)"
        return Cell(match.key, WORSE if worse else NOT_COMPARABLE, words, n)
    if verdict.corrected_p is None:
        return Cell(match.key, UNTESTED, f"{moved} ({difference}): one seed cannot be tested", n)
    p = "p < 0.0001" if verdict.corrected_p < 0.0001 else f"p = {verdict.corrected_p:.2g}"
    words = f"{moved} ({difference}, {p}, {verdict.test}, {n} seeds)"
    if verdict.outcome.removesuffix(IF_NORMAL) != WORSE and (fallen := _fallen(match, verdict.resolution)):
        seeds = f"seed {fallen[0]}" if len(fallen) == 1 else f"{len(fallen)} seeds ({', '.join(map(str, fallen))})"
        return Cell(match.key, WORSE, f"{words}: far worse in {seeds} than base in any", n)
    if verdict.outcome == NO_VERDICT:
        return Cell(match.key, NOT_COMPARABLE, f"{words}: {verdict.why}", n)
    if verdict.outcome == MIXED:
        return Cell(match.key, WORSE, f"{words}: mixed, not all of it is for the better", n)
    if verdict.outcome in CALLED:
        word = verdict.outcome.removesuffix(IF_NORMAL)
        return Cell(match.key, word, words + IF_NORMAL * (word != verdict.outcome), n)
    needed = f"about {verdict.needed} seeds would show" if verdict.needed else "no number of seeds in reach would show"
    shown = detectable_difference(list(_losses(match).values()), verdict.family, ALPHA)
    power = f"; {n} seeds show one of {shown:.2g} or more" if shown else ""
    return Cell(match.key, NO_DIFFERENCE, f"{words}{power}; {needed} such a difference", n)


def _without_scores(then: _Side, now: _Side) -> list[Cell]:
    """Cells of runs without a score in base: runs of head that failed, and skipped runs of base that head lacks."""
    scored = {(key[:3], seed) for key, rows in then.scores.items() for seed in rows}
    cells = []
    for configuration, runs in now.runs.items():
        unfit = [seed for seed in runs if runs[seed]["status"] in UNFIT and (configuration, seed) not in scored]
        if unfit:
            broken = {seed: _ending(runs[seed]) for seed in unfit}
            cells.append(Cell(Key(*configuration, "", ""), FAILED, _told(broken, runs)))
    unscored = then.runs.keys() - {key[:3] for key in then.scores}
    return cells + [Cell(Key(*lacking, "", ""), MISSING, _absence(None)) for lacking in unscored - now.runs.keys()]


def _values(rows: Mapping[int, Row]) -> dict[int, float]:
    """The finite values of a cell by seed."""
    return {seed: row["value"] for seed, row in rows.items() if math.isfinite(row["value"])}


def _same(old: float, new: float) -> bool:
    return math.isclose(old, new, rel_tol=ROUNDING, abs_tol=1e-9)


def _lack(row: Row) -> str:
    """What a row has instead of a finite value."""
    return f"no value: {row['absent']}" if row["absent"] else str(row["value"])


def _ending(run: Row) -> str:
    status = "never ended" if run["status"] == "started" else run["status"]
    return f"{status}: {run['absent']}" if run["absent"] else status


def _absence(run: Row | None) -> str:
    """Why head has no row for a seed."""
    if run is None:
        return "not run in head"
    return "not scored in head" if run["status"] == "ok" else _ending(run)


def _change(old: Row, new: Row) -> str:
    """What keeps two scores of one seed from being compared, "" if nothing does."""
    if not old["absent"] and not math.isfinite(old["value"]):
        return f"base has {old['value']}"
    if old["signature"] != new["signature"]:
        before, after = (row["signature"].split("|") for row in (old, new))
        left = "|".join(part for part in before if part not in after) or "nothing"
        came = "|".join(part for part in after if part not in before) or "nothing"
        return f"signature changed: {left} → {came}"
    for name in ("unit", "direction"):
        if old[name] != new[name]:
            return f"{name} changed: {old[name] or 'none'} → {new[name] or 'none'}"
    if old["data"] and new["data"] and old["data"] != new["data"]:
        return f"data changed: {old['data'][:12]} → {new['data'][:12]}"
    return ""


def _told(reasons: Mapping[int, str], seeds: Iterable[int]) -> str:
    """Reasons with the seeds they hold for; the seeds are left out where one reason holds for all."""
    by_reason: dict[str, list[int]] = {}
    for seed, reason in sorted(reasons.items()):
        by_reason.setdefault(reason, []).append(seed)
    if len(by_reason) == 1 and reasons.keys() == set(seeds):
        return next(iter(by_reason))
    return "; ".join(
        f"seed{'s' if len(which) > 1 else ''} {', '.join(map(str, which))}: {reason}"
        for reason, which in by_reason.items()
    )
