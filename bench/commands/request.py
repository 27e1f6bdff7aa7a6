"""The options that say what to run, for all commands that make a plan."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from bench.commands.options import names, required
from bench.errors import UsageError

if TYPE_CHECKING:
    from bench.plans.plan import Request

__all__ = ["given", "request_options", "requested"]

Decorated = TypeVar("Decorated", bound=Callable[..., Any])


def _split_names(_: click.Context, option: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    from bench.plans.own_files import split_names

    return required(option, values, (name for value in values for name in split_names(value)))


OPTIONS = (
    click.option(
        "--models",
        default=["all"],
        multiple=True,
        callback=_split_names,
        help="Names, package.module:Class, sets (core, all, contenders, adversarial, controls, everything), and "
        "samples of a model that was trained elsewhere, as samples:FILE or samples:mine-{seed}.txt.",
    ),
    click.option("--tasks", default=["oracle,quatrains-tang"], show_default=True, multiple=True, callback=_split_names,
                 help="Names, package.module:Class, or all; "
                 "your own data as text:FILE,level=word|char,..., midi:FOLDER or checkins:FILE."),
    click.option("--metrics", default=["all"], multiple=True, callback=names,
                 help="Names, package.module:Class, or all; a run fails without a value of one named here."),
    click.option(
        "--seeds",
        default="5",
        show_default=True,
        help="Number of seeds, counted from 0; or these seeds, as in 3,5-7 or 3-3.",
    ),
    click.option("--preset", default="quick", show_default=True,
                 help="smoke (seconds), quick (minutes), medium (hours) or paper (days), or a file that 'bench tune' "
                 "wrote."),
    click.option("--set", "settings", multiple=True, metavar="NAME.FIELD=VALUE", help="Set a model's or task's field."),
    click.option("--budget", metavar="AMOUNT", help="What each run may use: 60s, 5m, 2M-tokens or 20000-updates."),
    click.option("--temperatures", metavar="RANGE",
                 help="Temperatures of the frontier: 0.5..2, 0.7,1 or none; by default the preset's."),
    click.option("--oracle-weights", type=click.Path(path_type=Path), help="Released weights, for oracle-published."),
    click.option("--device", default="auto", show_default=True,
                 help="auto, cpu, cuda (workers share all that are there), or one of them, as in cuda:1."),
    click.option("--execution", default="auto", show_default=True,
                 help="On CUDA: eager, graph (recorded), triton (with fused rollouts), or auto: the fastest."),
    click.option("--bfloat16/--no-bfloat16", default=True, show_default=True,
                 help="Whether rewards may be rounded to bfloat16, on processors that multiply it."),
    click.option("--pack", default=1, show_default=True, metavar="K", type=int,
                 help="Train K seeds of a model together in one process: for CUDA; on a CPU nothing is gained."),
)  # fmt: skip


def request_options(command: Decorated) -> Decorated:
    """Give a command these options; it passes their values to :func:`requested`."""
    for option in reversed(OPTIONS):
        command = option(command)
    return command


def requested(
    models: tuple[str, ...],
    tasks: tuple[str, ...],
    metrics: tuple[str, ...],
    seeds: str,
    preset: str,
    settings: tuple[str, ...],
    budget: str | None,
    temperatures: str | None,
    oracle_weights: Path | None,
    device: str,
    execution: str,
    bfloat16: bool,
    pack: int,
    elsewhere: bool = False,
) -> Request:
    """What the values of the options ask for; ``elsewhere``: the runs are for machines other than this one.

    Raises:
        UsageError: for one that cannot be read, and for a device that is not there.
    """
    from bench.plans.plan import Request
    from bench.plans.presets import parse_budget, parse_seeds, parse_temperatures
    from bench.runs.devices import choose_device

    return Request(
        models,
        tasks,
        metrics,
        parse_seeds(seeds),
        preset,
        _with_weights(settings, tasks, oracle_weights),
        device if elsewhere and device in ("cpu", "cuda") else choose_device(device),
        {} if budget is None else parse_budget(budget),
        None if temperatures is None else parse_temperatures(temperatures),
        execution,
        bfloat16,
        pack,
    )


def given(context: click.Context) -> list[str]:
    """Those of these options that the user gave, as on the command line."""
    return [
        parameter.opts[0]
        for parameter in context.command.params
        if parameter.name in requested.__annotations__
        and context.get_parameter_source(parameter.name) is not ParameterSource.DEFAULT
    ]


def _with_weights(settings: tuple[str, ...], tasks: tuple[str, ...], weights: Path | None) -> tuple[str, ...]:
    """--oracle-weights is a short way of setting the published task's field."""
    if weights is None:
        return settings
    if "oracle-published" not in tasks and tasks != ("all",):
        raise UsageError("--oracle-weights goes with --tasks oracle-published, or all.")
    return (*settings, f"oracle-published.weights={str(weights.resolve())!r}")
