"""The benchmark from Python: what ``bench run`` and ``bench score`` do, with pandas frames for an answer.

``from bench import run, load, score`` gives these functions; ``docs/python.md`` shows them at work.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from os import PathLike
from os.path import isfile
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from bench.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd

    from bench.analysis.results import Results
    from bench.metrics.text.report import Text
    from bench.records.store import Store

__all__ = ["Benchmark", "load", "run", "score"]

Names: TypeAlias = "str | type | Iterable[str | type]"
"""Names as on the command line, or classes."""
Lines: TypeAlias = "str | PathLike[str] | Iterable[str]"
"""A file by its path, or the lines themselves."""


@dataclass(frozen=True)
class Benchmark:
    """The results of a folder, as the leaderboards and figures beside them show them.

    Attributes:
        folder: The results folder: ``leaderboard.md``, ``leaderboard.csv``, ``verdicts.csv``, ``figures/`` and the
            records of the runs.
        results: The frames that the properties below show.
    """

    folder: Path
    results: Results = field(repr=False)

    @property
    def leaderboard(self) -> pd.DataFrame:
        """One row for each (task, preset, model, checkpoint, metric): mean over seeds and its interval."""
        return self.results.board

    @property
    def scores(self) -> pd.DataFrame:
        """One row for each (run, checkpoint, metric)."""
        return self.results.scores

    @property
    def curves(self) -> pd.DataFrame:
        """One row for each (run, phase, step, name): what was measured while training, and at what cost."""
        return self.results.curves

    @property
    def frontier(self) -> pd.DataFrame:
        """One row for each (run, temperature, metric)."""
        return self.results.frontier

    @property
    def runs(self) -> pd.DataFrame:
        """One row a run: how it ended (``status``, ``reason``), its settings, and where it was made."""
        return self.results.runs

    @property
    def verdicts(self) -> pd.DataFrame:
        """One row for each comparison that was fixed beforehand, with its test and its outcome in words."""
        from bench.analysis.answers import table

        return table(self.results.answers)

    def __str__(self) -> str:
        """How many runs there are, by how they ended."""
        counts = Counter(self.runs["status"])
        ended = ", ".join(f"{counts[status]} {status}" for status in sorted(counts)) or "none"
        return f"{len(self.runs)} runs in {self.folder}: {ended}"

    def _repr_markdown_(self) -> str:
        """What a notebook shows: the leaderboards in brief."""
        from bench.reports import markdown
        from bench.reports.pages import summary

        brief = markdown.render(summary.page(self.results)) if self.results.any_ended else ""
        return f"{self}\n\n{brief}"


def run(
    models: Names = "all",
    tasks: Names = ("oracle", "quatrains"),
    metrics: Names = "all",
    *,
    seeds: int = 3,
    preset: str = "quick",
    settings: Mapping[str, object] | None = None,
    budget: str | None = None,
    temperatures: str | Sequence[float] | None = None,
    device: str = "auto",
    execution: str = "eager",
    bfloat16: bool = True,
    workers: int = 2,
    output: str | PathLike[str] = "results",
    progress: bool = True,
) -> Benchmark:
    """Run the benchmark, as ``bench run`` does; what is done already in the folder is not done again.

    A run that fails is a row of the results, and stops nothing: ``benchmark.runs`` says why.

    Args:
        models: Names, ``package.module:Class``, classes of a module that can be imported, ``contenders``, or ``all``:
            the controls too. One, or several.
        tasks: Names, classes likewise, ``text:FILE,level=word|char,...``, ``midi:FOLDER``, or ``all``.
        metrics: Names or ``all``; one that is named must not be absent.
        seeds: How many, counted from 0.
        preset: smoke (seconds), quick (minutes) or paper (days).
        settings: ``{"seqgan.lr": 0.005}``: fields of models and tasks, as ``--set`` sets them.
        budget: What each may use up: ``60s``, ``5m``, ``2M-tokens`` or ``20000-updates``.
        temperatures: Of the frontier: numbers, ``"0.5..1.4"`` or ``"none"``; None for the preset's.
        device: auto, cpu or cuda.
        execution: On CUDA: eager, graph (recorded) or triton (graphs, and rollouts in one kernel).
        bfloat16: Whether rewards may be rounded so, on processors that multiply it.
        workers: Processes, one thread each; 0 does everything in this one, and leaves its global random streams seeded.
        output: The results folder.
        progress: Whether to show the plan and the runs as they go on.

    Returns:
        All results of the folder, earlier runs too.

    Raises:
        UsageError: for a mistake in use, told in one sentence, before anything is run.
        KeyboardInterrupt: after Ctrl-C or a notebook's stop button. The folder is then as the command leaves it:
            finished runs are kept, the others marked, the reports written; the same call continues.
    """
    from rich.console import Console

    from bench.commands.progress import announce, follow, plan_table
    from bench.plans.plan import Request, make_plan
    from bench.plans.presets import parse_budget, parse_temperatures
    from bench.records.store import Store
    from bench.runs.campaign import begin
    from bench.runs.devices import choose_device

    _expect(int, seeds=seeds, workers=workers)
    _expect(str, preset=preset, device=device, execution=execution)
    if not isinstance(settings or {}, Mapping):
        raise UsageError(f"expected settings like {{'seqgan.lr': 0.005}}, got {settings!r}.")
    if workers < 0:
        raise UsageError(f"expected workers of 0 or more, got {workers}.")
    if temperatures is not None and not isinstance(temperatures, str):
        temperatures = ",".join(map(str, temperatures)) or "none"
    request = Request(
        _names(models),
        _names(tasks),
        _names(metrics),
        seeds,
        preset,
        tuple(f"{name}={value!r}" for name, value in (settings or {}).items()),
        choose_device(device),
        {} if budget is None else parse_budget(str(budget)),
        None if temperatures is None else parse_temperatures(temperatures),
        execution,
        bfloat16,
    )
    plan = make_plan(request)
    console = Console(quiet=not progress)
    announce(console, plan, request.tasks)
    with begin(plan, Store(Path(output))) as campaign:
        console.print(plan_table(plan, campaign.finished))
        try:
            follow(console, campaign, workers)
        except KeyboardInterrupt:
            _reported(campaign.store)
            console.print(f"Interrupted, {campaign.left} runs left: the same call continues.", style="yellow")
            raise
        for record in campaign.failures:
            place = campaign.store.file(record.spec)
            console.print(f"failed: {record.reason} (see {place})", style="red", soft_wrap=True, markup=False)
        return _reported(campaign.store)


def load(folder: str | PathLike[str] = "results") -> Benchmark:
    """The results of a folder that ``bench run`` or :func:`run` made; nothing is run or written.

    Raises:
        UsageError: for any other folder.
    """
    from bench.analysis.results import Results
    from bench.records.store import Store

    store = Store(Path(folder))
    store.require()
    return Benchmark(store.path, Results.of(store.load()))


def score(
    samples: Lines | Mapping[str, Lines],
    references: Lines,
    train: Lines | None = None,
    *,
    tokenizer: str | None = None,
    metrics: str | Iterable[str] = "all",
    protocol: str | None = None,
    column: str | None = None,
) -> pd.DataFrame:
    """Score samples against held-out real text, as ``bench score`` does; nothing is trained, and torch not imported.

    Args:
        samples: The lines of one text or the path of a file; or several of them, by the names that their rows get.
        references: Held-out real text.
        train: What the model was trained on: for copy rates, and for the real text's own row.
        tokenizer: word (the default), char, space or nltk.
        metrics: Names of families of metrics, as ``bench score --metrics`` has them, or ``all``.
        protocol: BLEU as others compute it: texygen, texygen-fast, relgan or textgan.
        column: Which column of .csv, .tsv and .jsonl files holds the text.

    Returns:
        One row for each text and metric, that of real text last: value, 95 % interval, how many sequences, unit,
        direction and signature, as in ``bench score --format csv``. ``frame.attrs["notes"]`` says in sentences what to
        know of the numbers.

    Raises:
        UsageError: for a mistake in use, told in one sentence.

    Example:
        >>> frame = score(["the cat sat", "a dog ran"], ["the cat ran", "a dog sat"], metrics="distinct")
        >>> frame[~frame["real"]].set_index("metric")["value"].round(2).to_dict()
        {'distinct_2': 1.0}
    """
    import pandas as pd

    from bench.metrics.text.scoring import options
    from bench.metrics.text.scoring import score as score_texts
    from bench.reports.pages.scores import as_rows

    names = [metrics] if isinstance(metrics, str) else list(metrics)
    names = [name.strip() for each in names for name in each.split(",") if name.strip()]
    chosen = options(names, tokenizer, protocol, train is not None)
    if isinstance(samples, Mapping):
        made = [replace(_text(str(name), lines, column), name=str(name)) for name, lines in samples.items()]
    else:
        made = [_text("samples", samples, column)]
    if not made:
        raise UsageError("expected at least one text of samples.")
    real = _text("references", references, column)
    trained = None if train is None else _text("train", train, column)
    report = score_texts(made, real, trained, *chosen)
    frame = pd.DataFrame(as_rows(report)).astype(dict.fromkeys(("value", "low", "high"), float))
    frame.attrs["notes"] = report.notes
    return frame


def _reported(store: Store) -> Benchmark:
    """The results of a folder, after the leaderboards and figures of it are written."""
    from bench import reports

    benchmark = load(store.path)
    if benchmark.results.any_ended:
        reports.write_reports(benchmark.results, store.path)
    return benchmark


def _names(given: Names) -> tuple[str, ...]:
    """What was given, as the command line would have it."""
    from bench.plans.own_tasks import split_names

    if not isinstance(given, Iterable | type):
        raise UsageError(f"expected names or classes, got {given!r}.")
    names: list[str] = []
    for name in [given] if isinstance(given, str | type) else given:
        if isinstance(name, str):
            names += split_names(name)
        elif isinstance(name, type):
            names.append(_target(name))
        else:
            raise UsageError(f"expected a name or a class, got {name!r}.")
    return tuple(names)


def _target(plugin: type) -> str:
    """``module:Class``, by which a worker process finds it."""
    if plugin.__module__ == "__main__" or "<locals>" in plugin.__qualname__:
        raise UsageError(
            f"worker processes cannot import {plugin.__qualname__}, which was defined in a notebook, a script or a "
            "function: put it into a module (in a notebook, %%writefile mine.py) and name it, as in "
            f"'mine:{plugin.__name__}'."
        )
    return f"{plugin.__module__}:{plugin.__qualname__}"


def _expect(kind: type, **given: object) -> None:
    """Refuse arguments of another type."""
    for name, value in given.items():
        if not isinstance(value, kind):
            raise UsageError(f"expected {name} to be {kind.__name__}, got {value!r}.")


def _text(name: str, given: Lines, column: str | None) -> Text:
    """A file's lines, or those given; a newline within a line becomes a space, as in a file's records."""
    from bench.data.reading import one_line
    from bench.metrics.text.report import Text

    if isinstance(given, str | PathLike):
        return Text.read(str(given), column)
    if isinstance(given, Mapping) or not isinstance(given, Iterable):
        raise UsageError(f"expected lines or the path of a file for {name}, got {type(given).__name__}.")
    lines = list(given)
    if lines and all(isinstance(line, PathLike) or (isinstance(line, str) and isfile(line)) for line in lines):
        raise UsageError(f"the {name} are names of files: give one by its path, and several samples as {{name: path}}.")
    for number, line in enumerate(lines):
        if not isinstance(line, str):
            raise UsageError(
                f"expected strings for {name}, got {type(line).__name__} at position {number}; join its tokens with "
                "spaces, and use tokenizer='space'."
            )
    return Text(name, tuple(map(one_line, lines)))
