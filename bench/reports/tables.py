"""The leaderboard for people: ``leaderboard.md`` for a repository, compact tables for a terminal."""

from __future__ import annotations

import re
from collections.abc import Sequence
from textwrap import shorten
from typing import Any

import pandas as pd
from rich import box
from rich.table import Table
from rich.text import Text

from bench.reports.leaderboard import (
    COSTS,
    FINAL,
    GROUPS,
    PRETRAINED,
    REAL_DATA,
    aggregate,
    completed,
    in_order,
    records,
)
from bench.reports.markup import bullets, escape, pipe_table
from bench.stats import Interval, paired_difference

__all__ = ["markdown", "terminal"]

Row = dict[str, Any]

ARROWS = {"lower": "↓", "higher": "↑", "real": "→"}
MEANINGS = {"lower": "lower is better", "higher": "higher is better", "real": "nearer to the real data is better"}
SHOWN = 3
"""Sequences of each model that the leaderboard quotes."""
DECIMALS = {"jsd": 6}
"""Where three would hide everything: over long sequences the Jensen-Shannon divergence lies next to ln 2."""
MAIN = ("nll_oracle", "nll_test", "kl_forward", "kl_reverse", "bleu2", "bleu4", "self_bleu4", "seconds")

READING = """\
Each cell is the mean over training seeds, ± half the width of Student's 95% t interval over those seeds, for one draw
of the task's data; *n* counts the seeds, and one seed alone has no interval. The real-data row is made of random parts
of the training set. An arrow gives the good direction: ↓ lower, ↑ higher, → nearer to the real-data row. Neither
`nll_oracle` nor BLEU means much by itself: a model that writes a few safe sentences again and again improves both, and
rewards that know nothing, constant or random, are known to lower `nll_oracle` too, so that its fall alone is no credit
to a discriminator. Read `nll_oracle` beside `nll_test` or `kl_forward`, which charge a model for every sentence it
forgot, and BLEU beside self-BLEU. Models are not matched in compute: the throughput tables say what each took. Rows are
sorted by `nll_test`; models that have none come last, by name."""

SIGNAL = """\
The reward each model was trained on, over the first and the last tenth of a phase. Every model has a reward of its own,
so only the two columns of one row compare. A reward that rises while `nll_test` gets worse is paid for something
other than resembling the data; one that does not rise gave nothing to climb, or its judge improved with the model."""


def markdown(
    runs: pd.DataFrame, scores: pd.DataFrame, curves: pd.DataFrame, figures: Sequence[tuple[str, str]] = ()
) -> str:
    """The whole of ``leaderboard.md``; the same frames give the same text.

    Args:
        runs: One row a run.
        scores: One row for each (run, checkpoint, metric).
        curves: One row for each (run, phase, step, name).
        figures: Pairs of caption and path, relative to where the text will be.
    """
    board = aggregate(runs, scores)
    parts = ["# Leaderboard", READING.replace("\n", " "), *_provenance(runs)]
    for (task, preset), section in board.groupby(["task", "preset"], sort=False):
        here = scores[(scores["task"] == task) & (scores["preset"] == preset)]
        parts += _task(f"{task}, {preset}", records(section), completed(runs, here), _reasons(runs, task, preset))
    parts += _training_signal(completed(runs, curves))
    parts += _throughput(board, scores)
    parts += _samples(runs)
    parts += _settings(runs)
    parts += _unfinished(runs)
    if figures:
        parts += ["## Figures", *(f"![{escape(caption)}]({path})" for caption, path in figures)]
    return "\n\n".join(parts) + "\n"


def terminal(runs: pd.DataFrame, scores: pd.DataFrame) -> list[Table]:
    """One compact table a task with the main metrics, narrow enough for 80 columns."""
    tables = []
    for (task, preset), section in aggregate(runs, scores).groupby(["task", "preset"], sort=False):
        grid = _Grid(records(section))
        metrics = [metric for metric in MAIN if grid.measured(metric)]
        reasons = _reasons(runs, task, preset)
        notes = [f"{model}: {shorten(reason, 160)}" for model, reason in reasons.items()]
        table = Table(
            box=box.SIMPLE_HEAD,
            padding=0,
            show_edge=False,
            title=Text(f"{task}, {preset}", style="bold"),
            title_justify="left",
            caption=Text("\n".join(["mean ± 95% t interval over n seeds", *notes])),
            caption_justify="left",
        )
        table.add_column("model", overflow="fold", min_width=10, max_width=22)
        for metric in metrics:
            name, _, rest = metric.rpartition("_")
            heading = f"{name} {grid.arrow(metric)}\n{rest}" if name else f"{rest}\n{grid.arrow(metric)}"
            table.add_column(heading, justify="right", no_wrap=True)
        table.add_column("n", justify="right")
        for model, checkpoint in grid.rows:
            label = model if checkpoint == FINAL else "↳ pre-training"
            cells = [grid.cell(model, checkpoint, metric).replace(" ± ", "\n±") for metric in metrics]
            table.add_row(Text(label), *cells, grid.seeds(model, checkpoint).replace(" of ", "/"))
        tables.append(table)
    return tables


class _Grid:
    """The leaderboard of one task as rows of models and columns of metrics, cells rendered."""

    def __init__(self, lines: list[Row]) -> None:
        self.lines = lines
        self.rows = list(dict.fromkeys((row["model"], row["checkpoint"]) for row in lines))
        self.metrics = in_order({row["metric"] for row in lines if row["metric"]})

    def measured(self, metric: str) -> bool:
        """Whether any row has a number for it."""
        return any(row["n"] for row in self.lines if row["metric"] == metric)

    def arrow(self, metric: str) -> str:
        return next((ARROWS.get(row["direction"], "") for row in self.lines if row["metric"] == metric), "")

    def unit(self, metric: str) -> str:
        return next((row["unit"] for row in self.lines if row["metric"] == metric and row["unit"]), "")

    def of(self, model: str, checkpoint: str) -> list[Row]:
        return [row for row in self.lines if (row["model"], row["checkpoint"]) == (model, checkpoint)]

    def cell(self, model: str, checkpoint: str, metric: str) -> str:
        """Mean ± half-width; the number of seeds too, where some of the row's have no value."""
        rows = self.of(model, checkpoint)
        if rows[0]["metric"] == "":
            return ""
        most = max(row["n"] for row in rows)
        cells = [
            _estimate(row) + (f" (n={row['n']})" if row["n"] < most else "")
            for row in rows
            if row["metric"] == metric and row["n"]
        ]
        return " / ".join(cells) or "n/a"

    def seeds(self, model: str, checkpoint: str) -> str:
        """How many seeds the row rests on, out of how many that were begun when some are missing."""
        rows = self.of(model, checkpoint)
        n = max(row["n"] for row in rows)
        begun = sum(int(number) for number in re.findall(r"\d+", rows[0]["status"]))
        return f"{n} of {begun}" if n < begun else str(n)


def _task(title: str, lines: list[Row], scores: pd.DataFrame, reasons: dict[str, str]) -> list[str]:
    """The quality tables of one task and what must be read with them."""
    grid = _Grid([row for row in lines if row["kind"] != "cost"])
    known = {metric for metrics in GROUPS.values() for metric in metrics}
    themes = {theme: metrics for theme, metrics in GROUPS.items() if theme != COSTS}
    themes["Other measures"] = tuple(metric for metric in grid.metrics if metric not in known)
    parts = [f"## {escape(title)}"]
    for theme, metrics in themes.items():
        columns = [metric for metric in metrics if grid.measured(metric)]
        if columns:
            parts += [f"### {theme}", _quality_table(grid, columns, reasons)]
            reasons = {model: reason.partition(":")[0] for model, reason in reasons.items()}  # once in full is enough
    if len(parts) == 1:
        parts.append("\n".join(f"- {escape(model)}: {escape(reason)}" for model, reason in reasons.items()))
    parts += bullets("Not available (n/a):", _absences(grid, scores[scores["kind"] != "cost"]))
    parts += bullets("Against its own pre-training, paired by seed:", _changes(scores))
    parts += bullets("How each metric was computed:", _signatures(grid))
    return parts


def _quality_table(grid: _Grid, metrics: list[str], reasons: dict[str, str]) -> str:
    header = ["model", *(f"{metric} {grid.arrow(metric)} {grid.unit(metric)}".strip() for metric in metrics), "n"]
    lines = []
    for model, checkpoint in grid.rows:
        cells = [grid.cell(model, checkpoint, metric) for metric in metrics]
        if not any(cells):
            cells[0] = shorten(reasons.get(model, "no result"), 100, placeholder=" ...")
        label = model if checkpoint == FINAL else "↳ its shared pre-training"
        lines.append([label, *cells, grid.seeds(model, checkpoint)])
    return pipe_table(header, lines)


def _absences(grid: _Grid, scores: pd.DataFrame) -> list[str]:
    """Why cells are empty: one line for each reason and the models and metrics it holds for."""
    present = scores.dropna(subset=["value"])
    absent = scores[scores["value"].isna()]
    models: dict[tuple[str, str], list[str]] = {}
    for model, checkpoint in grid.rows:
        name = model if checkpoint == FINAL else f"{model} after its shared pre-training"
        for metric in grid.metrics if grid.of(model, checkpoint)[0]["metric"] else ():
            reasons = sorted(set(_of(absent, model, checkpoint, metric)["absent"].astype(str)))
            if not reasons and _of(present, model, checkpoint, metric).empty:
                reasons = ["no score was recorded"]
            for reason in reasons:
                models.setdefault((metric, reason), []).append(name)
    metrics: dict[tuple[str, str], list[str]] = {}
    for (metric, reason), names in models.items():
        metrics.setdefault((", ".join(names), reason), []).append(f"`{metric}`")
    return [f"{', '.join(which)} of {escape(who)}: {escape(why)}" for (who, why), which in metrics.items()]


def _changes(scores: pd.DataFrame) -> list[str]:
    """What the adversarial training changed, for each model that has a checkpoint from before it."""
    lines = []
    for model in dict.fromkeys(scores.loc[scores["checkpoint"] == PRETRAINED, "model"].sort_values()):
        changes = []
        for metric in ("nll_oracle", "nll_test"):
            before, after = (_by_seed(_of(scores, model, checkpoint, metric)) for checkpoint in (PRETRAINED, FINAL))
            if before.keys() & after.keys():
                changes.append(f"`{metric}` {_change(paired_difference(before, after))}")
        if changes:
            lines.append(f"{escape(model)}: {', '.join(changes)}.")
    return lines


def _change(difference: Interval) -> str:
    by = abs(difference.mean)
    if difference.low is None or difference.high is None:
        return f"{'fell' if difference.mean < 0 else 'rose'} by {by:.3f} (one seed, no interval)"
    interval = f"(95% interval {difference.low:+.3f} to {difference.high:+.3f}, n = {difference.n})"
    if difference.low <= 0 <= difference.high:
        return f"moved by {difference.mean:+.3f}, not clearly either way {interval}"
    return f"{'fell' if difference.mean < 0 else 'rose'} by {by:.3f} {interval}"


def _signatures(grid: _Grid) -> list[str]:
    """One line a metric; two signatures of one metric are named with the models they belong to."""
    lines = []
    for metric in grid.metrics:
        models: dict[str, list[str]] = {}
        for row in grid.lines:
            if row["metric"] == metric and row["n"]:
                models.setdefault(str(row["signature"]), []).append(row["model"])
        direction = next((row["direction"] for row in grid.lines if row["metric"] == metric), "")
        about = ", ".join(filter(None, (grid.unit(metric), MEANINGS.get(direction))))
        for signature, who in models.items():
            only = f"; {', '.join(dict.fromkeys(who))} only, so not comparable with the others"
            lines.append(f"`{metric}` ({about}): `{signature}`{escape(only) if len(models) > 1 else ''}")
    return lines


def _training_signal(curves: pd.DataFrame) -> list[str]:
    """Whether the reward rose while a model trained on it."""
    rewards = curves[curves["name"] == "reward"].sort_values("step")
    lines = []
    for (task, preset, model, phase), logged in rewards.groupby(["task", "preset", "model", "phase"]):
        ends = []
        for _, values in logged.groupby("seed")["value"]:
            tenth = max(1, len(values) // 10)
            ends.append((values.iloc[:tenth].mean(), values.iloc[-tenth:].mean()))
        first, last = (sum(side) / len(ends) for side in zip(*ends, strict=True))
        rose = sum(late > early for early, late in ends)
        lines.append(
            [str(task), str(preset), str(model), str(phase), f"{first:.4f}", f"{last:.4f}", f"{rose} of {len(ends)}"]
        )
    header = ["task", "preset", "model", "phase", "first 10%", "last 10%", "seeds in which it rose"]
    return ["## Training signal", SIGNAL.replace("\n", " "), pipe_table(header, lines, left=4)] if lines else []


def _throughput(board: pd.DataFrame, scores: pd.DataFrame) -> list[str]:
    """What each model cost, a table a task."""
    parts: list[str] = []
    costs = board[(board["kind"] == "cost") & (board["checkpoint"] == FINAL) & (board["model"] != REAL_DATA)]
    for (task, preset), section in costs.groupby(["task", "preset"], sort=False):
        grid = _Grid(records(section))
        metrics = [metric for metric in grid.metrics if grid.measured(metric)]
        if not metrics:
            continue
        header = ["model", *(f"{metric} {grid.arrow(metric)} {grid.unit(metric)}".strip() for metric in metrics), "n"]
        lines = [
            [model, *(grid.cell(model, FINAL, metric) for metric in metrics), grid.seeds(model, FINAL)]
            for model, _ in grid.rows
        ]
        here = scores[(scores["task"] == task) & (scores["preset"] == preset) & (scores["kind"] == "cost")]
        parts += [f"### {escape(f'{task}, {preset}')}", pipe_table(header, lines)]
        parts += bullets("Not available (n/a):", _absences(grid, here))
    return ["## Throughput", "`seconds` includes the shared pre-training.", *parts] if parts else []


def _provenance(runs: pd.DataFrame) -> list[str]:
    """How the numbers were made, from what the runs themselves say."""

    def each(column: str) -> str:
        return escape(", ".join(str(value) for value in sorted(runs[column].dropna().unique())))

    commits = {
        str(row["commit"]) + (" with uncommitted changes" if row["dirty"] is True else "")
        for row in records(runs[["commit", "dirty"]])
        if not pd.isna(row["commit"])
    }
    finished = runs["finished"].dropna()
    facts = {
        "Presets": each("preset"),
        "Seeds": each("seed"),
        "Machine": each("machine"),
        "Device": each("device"),
        "Threads": each("threads"),
        "Versions": f"seqgan-bench {each('version')}, Python {each('python')}, torch {each('torch')}",
        "Commit": escape(", ".join(sorted(commits))),
        "Newest run": escape(str(finished.max())[:10]) if len(finished) else "",
    }
    parts = bullets("How it was made:", [f"{name}: {fact}" for name, fact in facts.items() if fact])
    if len(runs[["machine", "device", "threads"]].drop_duplicates()) > 1:
        parts.append("The runs were not all made on the same machine and threads: their speeds do not compare.")
    return parts


def _samples(runs: pd.DataFrame) -> list[str]:
    """The first few sequences of each model's first seed, where they are text."""
    parts: list[str] = []
    done = runs[runs["status"] == "ok"].sort_values("seed")
    for (task, preset), section in done.groupby(["task", "preset"]):
        lines = [
            f"{escape(row['model'])}: {'; '.join(escape(text) for text in row['samples'][:SHOWN])}"
            for row in records(section.drop_duplicates("model"))
            if any(not word.isdigit() for text in row["samples"] for word in text.split())
        ]
        if lines:
            parts += [f"### {escape(f'{task}, {preset}')}", *bullets("Of the first seed, not chosen:", lines)]
    return ["## Samples", *parts] if parts else []


def _settings(runs: pd.DataFrame) -> list[str]:
    """Every field of every model, so that nobody has to ask."""
    lines = [
        f"{escape(str(model))} ({preset}): {escape(str(settings)) or 'no fields'}"
        for (preset, model, settings), _ in runs[runs["model"] != REAL_DATA].groupby(["preset", "model", "settings"])
    ]
    return ["## Settings", *bullets("All fields of each model:", lines)] if lines else []


def _unfinished(runs: pd.DataFrame) -> list[str]:
    rows = records(runs[runs["status"] != "ok"].sort_values(["task", "preset", "model", "seed", "run_id"]))
    lines = [
        f"- `{row['run_id']}`, {escape(row['model'])} on {escape(row['task'])}, {row['preset']}, seed {row['seed']}: "
        f"{escape(_outcome(row))}"
        for row in rows
    ]
    return ["## Failed and skipped runs", "\n".join(lines)] if lines else []


def _reasons(runs: pd.DataFrame, task: object, preset: object) -> dict[str, str]:
    """The first thing that kept a run of each model from a result, by model."""
    here = runs[(runs["task"] == task) & (runs["preset"] == preset) & (runs["status"] != "ok")]
    first = here.sort_values(["model", "seed", "run_id"]).drop_duplicates("model")
    return {row["model"]: _outcome(row) for row in records(first)}


def _outcome(row: Row) -> str:
    return row["status"] if pd.isna(row["reason"]) else f"{row['status']}: {row['reason']}"


def _of(scores: pd.DataFrame, model: str, checkpoint: str, metric: str) -> pd.DataFrame:
    chosen: pd.DataFrame = scores[
        (scores["model"] == model) & (scores["checkpoint"] == checkpoint) & (scores["metric"] == metric)
    ]
    return chosen


def _by_seed(scores: pd.DataFrame) -> dict[int, float]:
    present = scores.dropna(subset=["value"])
    return dict(zip(present["seed"].tolist(), present["value"].tolist(), strict=True))


def _estimate(row: Row) -> str:
    places = _places(row["mean"]) if row["kind"] == "cost" else DECIMALS.get(row["metric"], 3)
    mean = f"{round(row['mean'], places) + 0.0:,.{places}f}"  # adding zero turns -0.0 into 0.0
    return mean if pd.isna(row["low"]) else f"{mean} ± {(row['high'] - row['low']) / 2:,.{places}f}"


def _places(cost: float) -> int:
    """Decimals that leave about three digits."""
    return 0 if cost >= 100 else 1 if cost >= 10 else 2
