"""What holds for the options of all commands: each is given once, and lists of names are joined."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import click

from bench.errors import UsageError

if TYPE_CHECKING:
    from bench.records.record import RunSpec
    from bench.records.store import Store

__all__ = ["Command", "against", "check_against", "labels", "names", "required"]


class Command(click.Command):
    """A command that refuses an option given twice, of which click would silently use the last, and what is no path.

    An empty path, as from a variable of a shell that is not set, would be the folder where one is.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the arguments."""
        if ctx.resilient_parsing:  # to complete a line in a shell
            return super().parse_args(ctx, args)
        values, _, given = self.make_parser(ctx).parse_args(list(args))
        if not any(option.is_eager for option in given):  # as --help is
            for option in given:
                if isinstance(option.type, click.Path):
                    _require_paths(option, values.get(str(option.name)))
        for option, times in Counter(given).items():
            if times > 1 and isinstance(option, click.Option) and not (option.multiple or option.is_eager):
                name = " or ".join([*option.opts[-1:], *option.secondary_opts[-1:]])
                often = "twice" if times == 2 else f"{times} times"
                raise UsageError(f"{name} was given {often}: give it once.")
        return super().parse_args(ctx, args)


def _require_paths(option: click.Parameter, given: object) -> None:
    name = option.opts[-1] if isinstance(option, click.Option) else option.human_readable_name
    for path in given if isinstance(given, list | tuple) else [given]:
        if path == "":
            raise UsageError(f"expected a path for {name}, got an empty one.")
        if str(path).startswith(("http://", "https://")):
            raise UsageError(f"expected a path for {name}, got the address '{path}': download what is there first.")


def names(_: click.Context, option: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    """The callback of an option that may be repeated: the names between commas of all its values."""
    found = [name.strip() for value in values for name in value.split(",") if name.strip()]
    return required(option, values, found)


def labels(_: click.Context, option: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    """The callback of an option for rows of a leaderboard: as :func:`names`, but ``mle[a=1, b=2]`` is one label."""
    found = [label.strip() for value in values for label in re.split(r",(?![^\[]*\])", value) if label.strip()]
    return required(option, values, dict.fromkeys(found)) if values else ()


against = click.option(
    "--against", multiple=True, metavar="MODEL[,MODEL]", callback=labels,
    help="Compare with these models, by their names in the leaderboard, instead of the usual ones.",
)  # fmt: skip
"""The option of every command that gives verdicts."""


def check_against(against: Sequence[str], plan: Sequence[RunSpec], store: Store) -> None:
    """Accept only models to compare with that are planned or have a run in the folder.

    Raises:
        UsageError: otherwise, before anything is run.
    """
    if against:
        from bench.analysis.results import require_models  # not above: it takes a while
        from bench.records.frames import REAL_DATA

        specs = [*plan, *(record.spec for record in store.records())]
        require_models(against, (spec.label for spec in specs if spec.model != REAL_DATA))


def required(option: click.Parameter, values: Sequence[str], found: Iterable[str]) -> tuple[str, ...]:
    """The names that were found in the values of an option.

    Raises:
        UsageError: if there are none.
    """
    names = tuple(found)
    if not names:
        raise UsageError(f"expected one or more {option.name}, separated by commas, got '{', '.join(values)}'.")
    return names
