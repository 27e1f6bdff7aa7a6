"""What holds for the options of all commands: each is given once, and lists of names are joined."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import click

from bench.errors import UsageError

__all__ = ["Command", "names", "required"]


class Command(click.Command):
    """A command that refuses an option given twice, of which click would silently use the last."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the arguments."""
        if ctx.resilient_parsing:  # to complete a line in a shell
            return super().parse_args(ctx, args)
        *_, given = self.make_parser(ctx).parse_args(list(args))
        for option, times in Counter(given).items():
            if times > 1 and isinstance(option, click.Option) and not (option.multiple or option.is_eager):
                name = " or ".join([*option.opts[-1:], *option.secondary_opts[-1:]])
                often = "twice" if times == 2 else f"{times} times"
                raise UsageError(f"{name} was given {often}: give it once.")
        return super().parse_args(ctx, args)


def names(_: click.Context, option: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    """The callback of an option that may be repeated: the names between commas of all its values."""
    found = [name.strip() for value in values for name in value.split(",") if name.strip()]
    return required(option, values, found)


def required(option: click.Parameter, values: Sequence[str], found: Iterable[str]) -> tuple[str, ...]:
    """The names that were found in the values of an option.

    Raises:
        UsageError: if there are none.
    """
    names = tuple(found)
    if not names:
        raise UsageError(f"expected one or more {option.name}, separated by commas, got '{', '.join(values)}'.")
    return names
