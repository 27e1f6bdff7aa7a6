"""The benchmark from Python: what ``bench run`` and ``bench score`` do, with pandas frames as results.

``from bench import run, load, score`` gives these functions; ``docs/python.md`` shows how to use them.
"""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from os import PathLike, fspath
from os.path import isfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from bench.errors import SIGNALLED, UsageError

if TYPE_CHECKING:
    import pandas as pd

    from bench.analysis.results import Results
    from bench.metrics.text.report import Text
    from bench.records.store import Store
    from bench.runs.campaign import Cluster

__all__ = ["Benchmark", "load", "run", "score"]

Names: TypeAlias = "str | type | Iterable[str | type]"
"""Names as on the command line, or classes."""
Lines: TypeAlias = "str | PathLike[str] | Iterable[str]"
"""A file by its path, or the lines themselves."""
NUMBERS = ("value", "low", "high", "difference", "difference_low", "difference_high", "p", "corrected_p")
"""Columns of scores that are numbers, or nothing."""


@dataclass(frozen=True, eq=False)
class Benchmark:
    """The results of a folder, as its leaderboards and figures show them.

    Attributes:
        folder: The results folder: ``index.html``, ``leaderboard.md``, ``leaderboard/``, ``leaderboard.csv``,
            ``verdicts.csv``, ``figures/`` and the records of the runs.
        results: The frames that the properties below return.
        notes: What is wrong with files of the folder, which are left out, a sentence for each.
    """

    folder: Path
    results: Results = field(repr=False)
    notes: tuple[str, ...] = ()

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
        """One row for each run: how it ended (``status``, ``reason``), its settings, and where it ran."""
        return self.results.runs

    @property
    def verdicts(self) -> pd.DataFrame:
        """One row for each comparison that was fixed beforehand, with its test and its outcome in words."""
        from bench.analysis.answers import table

        return table(self.results.answers)

    def __str__(self) -> str:
        """Number of runs, in total and for each status, and what is wrong with files of the folder."""
        counts = Counter(self.runs["status"])
        ended = ", ".join(f"{counts[status]} {status}" for status in sorted(counts)) or "none"
        return "\n".join([f"{len(self.runs)} runs in {self.folder}: {ended}", *self.notes])

    def _repr_markdown_(self) -> str:
        """What a notebook shows: the leaderboards in brief."""
        from bench.reports import markdown
        from bench.reports.pages import summary

        brief = markdown.render(summary.page(self.results)) if self.results.any_ended else ""
        return f"{self}\n\n{brief}"


def run(
    models: Names = "all",
    tasks: Names = ("oracle", "quatrains-tang"),
    metrics: Names = "all",
    *,
    seeds: int | str | Iterable[int] = 5,
    preset: str = "quick",
    settings: Mapping[str, object] | None = None,
    budget: str | None = None,
    temperatures: str | float | Sequence[float] | None = None,
    device: str = "auto",
    execution: str = "auto",
    bfloat16: bool = True,
    pack: int = 1,
    workers: int | str = "auto",
    executor: str = "processes",
    address: str | None = None,
    timeout: str | float | None = None,
    output: str | PathLike[str] = "results",
    progress: bool = True,
    against: Names = (),
) -> Benchmark:
    """Run the benchmark, as ``bench run`` does; runs that are finished in the folder are not repeated.

    A run that fails is a row of the results and does not stop the others: ``benchmark.runs`` says why.

    Args:
        models: One or several: names, ``package.module:Class``, classes of a module that can be imported,
            ``samples:FILE`` for samples of a model that was trained elsewhere, and sets: ``core``, ``all``,
            ``contenders``, ``adversarial``, ``controls``, ``everything``.
        tasks: Names, classes as for models, ``text:FILE,level=word|char,...``,
            ``midi:FOLDER``, ``checkins:FILE``, or ``all``.
        metrics: Names or ``all``; a run fails if a metric that is named here has no value.
        seeds: Number of seeds, counted from 0; or the seeds themselves, as in ``[3, 5]`` or ``"3,5-7"``.
        preset: smoke (seconds), quick (minutes), medium (hours) or paper (days); or the path of a file
            that ``bench tune`` wrote.
        settings: ``{"seqgan.lr": 0.005}``: fields of models and tasks, as ``--set`` sets them.
        budget: What each run may use up: ``60s``, ``5m``, ``2M-tokens`` or ``20000-updates``.
        temperatures: Temperatures of the frontier: one or several numbers, ``"0.5..2"`` or ``"none"``; None for those
            of the preset.
        device: auto, cpu, cuda, or one of several devices, as in ``cuda:1``.
        execution: On CUDA: eager, graph (recorded), triton (graphs, and rollouts in one kernel), or auto, which is
            triton where Triton is installed.
        bfloat16: Whether rewards may be computed in bfloat16, on processors that multiply bfloat16.
        pack: Number of seeds of a model that train together in one process: for CUDA; on a CPU nothing is gained.
        workers: Worker processes, one thread each; 0 does all runs in this process; ``auto`` is one for each processor,
            and at most 4 for each CUDA device.
        executor: ``processes`` of this machine, or ``ray``: a Ray cluster, where ``workers`` is how many runs it does
            at a time, and ``auto`` as many as fit.
        address: Of the Ray cluster: ``auto`` or ``host:port``; None to start one on this machine.
        timeout: What each run may take at most, a worker's start included: ``90s``, ``30m``, ``8h``, or seconds as a
            number; None for any time. It needs worker processes.
        output: The results folder.
        progress: Whether to show the plan and the progress of the runs.
        against: Models to compare with, by their names in the leaderboard, instead of the usual ones.

    Returns:
        All results of the folder, including earlier runs.

    Raises:
        UsageError: for a mistake in use, reported in one sentence, before anything is run.
        Halted: for what keeps the work from going on, such as a full disk.
        KeyboardInterrupt: after Ctrl-C or a notebook's stop button. The folder is then as the command leaves it:
            finished runs are kept, those under way have saved their states and are marked as interrupted, the reports
            are written; the same call continues. After SIGTERM it is SystemExit.
    """
    from bench.commands.options import check_against
    from bench.commands.planned import announce, plan_table, say_cost
    from bench.commands.progress import conclude, follow
    from bench.commands.so_far import SoFar
    from bench.plans.costs import Costs
    from bench.plans.plan import Request, make_plan
    from bench.plans.presets import parse_budget, parse_temperatures, parse_time, parse_workers
    from bench.records.store import Store
    from bench.reports.terminal import Screen
    from bench.runs.campaign import begin
    from bench.runs.devices import cards, choose_device

    workers, bfloat16, progress, pack = map(_plain, (workers, bfloat16, progress, pack))
    auto = workers == "auto"
    if not auto:
        _expect(int, workers=workers)
    _expect(int, pack=pack)
    _expect(str, preset=preset, device=device, execution=execution, executor=executor)
    _expect((str, type(None)), address=address)
    _expect(bool, bfloat16=bfloat16, progress=progress)
    folder = _path("output", output)
    if not isinstance({} if settings is None else settings, Mapping):
        raise UsageError(f"expected settings like {{'seqgan.lr': 0.005}}, got {settings!r}.")
    here = executor != "ray" or device not in ("cpu", "cuda")
    if executor == "ray" and ":" in device:
        raise UsageError(f"a Ray cluster chooses the devices itself: device='cuda', not {device!r}.")
    device = choose_device(device) if here else device
    workers = parse_workers(workers, device, "workers", len(cards()) if device == "cuda" and here else 1)
    cluster = _cluster(executor, address, workers, auto)
    given = _plain(timeout)
    seconds = None if given is None else parse_time(f"{given}s" if isinstance(given, int | float) else str(given))
    if seconds is not None and workers == 0:
        raise UsageError("a timeout needs worker processes, which can be ended: choose workers of 1 or more.")
    if temperatures is not None and not isinstance(temperatures, str):
        given = _plain(temperatures)
        if isinstance(given, bytes | Mapping):
            raise UsageError(f"expected temperatures like [0.7, 1.0], got {given!r}.")
        temperatures = ",".join(map(str, given if isinstance(given, Iterable) else [given])) or "none"
    request = Request(
        _names(models),
        _names(tasks),
        _names(metrics),
        _seeds(seeds),
        preset,
        tuple(f"{name}={_literal(name, value)}" for name, value in (settings or {}).items()),
        device,
        {} if budget is None else parse_budget(str(budget)),
        None if temperatures is None else parse_temperatures(temperatures),
        execution,
        bfloat16,
        pack,
    )
    plan = make_plan(request)
    if cluster:
        cluster.check(plan)
    references = _labels(against)
    check_against(references, plan, Store(folder))
    console = Screen(quiet=not progress)
    announce(console, plan, request.tasks)
    with begin(plan, Store(folder)) as campaign:
        console.print(plan_table(plan, campaign.missing))
        costs = Costs.here(campaign.timed)
        say_cost(console, plan, campaign.missing, workers, costs)
        ended_by = follow(console, campaign, workers, seconds, SoFar(campaign, references), costs, cluster)
        try:
            with campaign.store.briefly():
                benchmark = _reported(campaign.store, references)
        finally:
            conclude(console, campaign, ended_by != 0)
        if ended_by == signal.SIGINT:
            raise KeyboardInterrupt
        if ended_by:
            raise SystemExit(SIGNALLED + ended_by)
        return benchmark


def load(folder: str | PathLike[str] = "results", *, against: Names = ()) -> Benchmark:
    """The results of a folder that ``bench run`` or :func:`run` made; nothing is run or written.

    Args:
        folder: The results folder.
        against: Models to compare with, by their names in the leaderboard, instead of the usual ones.

    Raises:
        UsageError: for any other folder.
    """
    from bench.analysis.results import Results
    from bench.commands.options import check_against
    from bench.records.store import Store

    store = Store(_path("folder", folder))
    store.require()
    check_against(_labels(against), (), store)
    frames = store.load()
    return Benchmark(store.path, Results.of(frames, _labels(against)), frames.notes)


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
    """Score samples against held-out real text, as ``bench score`` does; nothing is trained, and torch is not imported.

    Args:
        samples: The lines of one text or the path of its file; or several of these, as a mapping from the names that
            their rows get.
        references: Held-out real text.
        train: The text that the model was trained on: for copy rates, and for the row of real text.
        tokenizer: word (the default), char, space, nltk, or sacreBLEU's 13a or zh, which need its package.
        metrics: Names of families of metrics, as in ``bench score --metrics``, or ``all``.
        protocol: BLEU as other projects compute it: texygen, texygen-fast, relgan or textgan.
        column: Which column of .csv, .tsv and .jsonl files holds the text.

    Returns:
        One row for each text and metric, real text last: value, 95 % interval, number of sequences, unit, direction
        and signature, as in ``bench score --format csv``; of several texts, also the difference from the first one, its
        interval, p and outcome. ``frame.attrs["notes"]`` holds notes on the numbers, as sentences.

    Raises:
        UsageError: for a mistake in use, reported in one sentence.

    Example:
        >>> frame = score(["the cat sat", "a dog ran"], ["the cat ran", "a dog sat"], metrics="distinct")
        >>> frame[~frame["real"]].set_index("metric")["value"].round(2).to_dict()
        {'distinct_2': 1.0}
    """
    import pandas as pd

    from bench.data.reading import check_column
    from bench.metrics.text.scoring import options
    from bench.metrics.text.scoring import score as score_texts
    from bench.reports.pages.scores import as_rows

    names = [metrics] if isinstance(metrics, str) else list(metrics) if isinstance(metrics, Iterable) else [metrics]
    for name, value in {"tokenizer": tokenizer, "protocol": protocol, "column": column}.items():
        _expect((str, type(None)), **{name: value})
    for name in names:
        _expect(str, metrics=name)
    names = [name.strip() for each in names for name in each.split(",") if name.strip()]
    chosen = options(names, tokenizer, protocol, train is not None)
    given = [*(samples.values() if isinstance(samples, Mapping) else [samples]), references, train]
    check_column(column, [each for each in given if isinstance(each, str | PathLike)])
    if isinstance(samples, Mapping):
        _check_names([str(name) for name in samples])
        made = [replace(_text(str(name), lines, column), name=str(name)) for name, lines in samples.items()]
    else:
        made = [_text("samples", samples, column)]
    if not made:
        raise UsageError("expected at least one text of samples.")
    real = _text("references", references, column)
    trained = None if train is None else _text("train", train, column)
    report = score_texts(made, real, trained, *chosen)
    frame = pd.DataFrame(as_rows(report))
    frame = frame.astype(dict.fromkeys([name for name in NUMBERS if name in frame], float))
    frame.attrs["notes"] = report.notes
    return frame


def _reported(store: Store, against: Sequence[str]) -> Benchmark:
    """Write the leaderboards and figures of a folder, and return its results."""
    from bench import reports
    from bench.analysis.results import Results

    frames = store.load()
    benchmark = Benchmark(store.path, Results.of(frames, against), frames.notes)
    if benchmark.results.any_ended:
        reports.write_reports(benchmark.results, store.path)
    return benchmark


def _names(given: Names) -> tuple[str, ...]:
    """The given names and classes, as names of the command line."""
    from bench.plans.own_files import split_names

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


def _labels(given: Names) -> tuple[str, ...]:
    """Names of rows, as tables show them, and classes by their names."""
    if not isinstance(given, Iterable | type):
        raise UsageError(f"expected names or classes to compare against, got {given!r}.")
    names = [given] if isinstance(given, str | type) else list(given)
    for name in names:
        if not isinstance(name, str | type):
            raise UsageError(f"expected a name or a class, got {name!r}.")
    return tuple(name if isinstance(name, str) else _target(name) for name in names)


def _target(plugin: type) -> str:
    """The name of a class: the one that it is registered under or else ``module:Class``, by which a worker finds it."""
    if plugin.__module__ == "__main__" or "<locals>" in plugin.__qualname__:
        raise UsageError(
            f"worker processes cannot import {plugin.__qualname__}, which was defined in a notebook, a script or a "
            "function: put it into a module (in a notebook, %%writefile mine.py) and name it, as in "
            f"'mine:{plugin.__name__}'."
        )
    from bench.plans.registry import GROUPS, available

    target = f"{plugin.__module__}:{plugin.__qualname__}"
    registered = (found for kind in GROUPS for found in available(kind).values())
    return next((found.name for found in registered if found.target == target), target)


def _expect(kinds: type | tuple[type, ...], **given: object) -> None:
    """Refuse arguments of other types; True is no number."""
    kinds = kinds if isinstance(kinds, tuple) else (kinds,)
    for name, value in given.items():
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            wanted = " or ".join("None" if kind is type(None) else kind.__name__ for kind in kinds)
            raise UsageError(f"expected {name} to be {wanted}, got {value!r}.")


def _cluster(executor: str, address: str | None, workers: int, auto: bool) -> Cluster | None:
    """The Ray cluster that is meant; None for this machine."""
    from bench.errors import unknown
    from bench.runs.campaign import Cluster

    if executor not in ("processes", "ray"):
        raise unknown("executor", executor, ("processes", "ray"))
    if executor == "processes":
        if address is not None:
            raise UsageError("an address is that of a Ray cluster: add executor='ray'.")
        return None
    if workers == 0:
        raise UsageError("workers=0 is this process alone: leave it out, or choose executor='processes'.")
    return Cluster(address, None if auto else workers)


def _seeds(given: object) -> int | tuple[int, ...]:
    """A number of seeds, or seeds, also as on the command line (:func:`bench.plans.presets.parse_seeds`)."""
    from bench.plans.presets import named, parse_seeds

    if isinstance(given, str):
        return parse_seeds(given)
    seeds = [*map(_plain, given)] if isinstance(given, Iterable) else [_plain(given)]
    for each in seeds:
        _expect(int, seeds=each)
    return named(seeds, given) if isinstance(given, Iterable) else seeds[0]


def _literal(name: object, value: object) -> str:
    """A field's value as ``--set`` reads it: Python's spelling, also of numpy's numbers and of paths."""
    value = _plain(value)
    if isinstance(value, list | tuple):
        return f"({''.join(f'{_literal(name, each)}, ' for each in value)})"
    if isinstance(value, PathLike):
        return repr(fspath(value))
    if not isinstance(value, str | int | float | None):
        raise UsageError(f"expected the value of {name} to be a number, a text, True, False or None, got {value!r}.")
    return repr(value)


def _check_names(names: Sequence[str]) -> None:
    """Refuse names of texts that could not be told apart in the frame."""
    for name in names:
        if names.count(name) > 1 or name.startswith("real text"):
            raise UsageError(f"expected names that differ, also from 'real text', got {', '.join(names)}.")


def _plain(value: Any) -> Any:
    """Numpy's and torch's numbers and arrays as Python's; anything else as it is."""
    return value.tolist() if hasattr(value, "tolist") else value


def _path(name: str, given: object) -> Path:
    """A folder that the user named."""
    _expect((str, PathLike), **{name: given})
    if not str(given) or "\0" in str(given):
        raise UsageError(f"expected {name} to be the path of a folder, got {given!r}.")
    return Path(str(given))


def _text(name: str, given: Lines, column: str | None) -> Text:
    """The lines of a file, or the given ones; a newline within a line becomes a space, as in a file's records."""
    from bench.data.reading import check_text, one_line
    from bench.metrics.text.report import Text

    if isinstance(given, str | PathLike):
        return Text.read(str(given), column)
    if hasattr(given, "columns"):  # iterating over a table gives the names of its columns
        raise UsageError(f"expected lines or the path of a file for {name}, got a table: pass one column of it.")
    if isinstance(given, Mapping) or not isinstance(given, Iterable):
        raise UsageError(f"expected lines or the path of a file for {name}, got {type(given).__name__}.")
    lines = list(given)
    if lines and all(isinstance(line, PathLike) or (isinstance(line, str) and isfile(line)) for line in lines):
        raise UsageError(f"the {name} are names of files: pass one file by its path, several as {{name: path}}.")
    for number, line in enumerate(lines):
        if not isinstance(line, str):
            raise UsageError(
                f"expected strings for {name}, got {type(line).__name__} at position {number}; join its tokens with "
                "spaces, and use tokenizer='space'."
            )
        check_text(line, f"the string at position {number} of {name}")
    return Text(name, tuple(map(one_line, lines)))
