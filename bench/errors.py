"""The user's mistakes, as opposed to the program's."""

from __future__ import annotations

from collections.abc import Iterable

SIGNALLED = 128
"""Exit code of a command that a signal ended, as shells have it: this and the number of the signal."""
INTERRUPTED = SIGNALLED + 2
"""Exit code after Ctrl-C."""


class UsageError(Exception):
    """A mistake in use, reported in one sentence: what was expected, what was given, what to do. Exit code 2."""


class Halted(Exception):  # noqa: N818 - nobody's mistake
    """What keeps work from going on, such as a full disk, in sentences: what happened, what is kept, what to do.

    Exit code 1.
    """


class NotFetched(UsageError):  # noqa: N818 - it is a UsageError
    """Missing data that the user must fetch first."""


def unknown(kind: str, name: str, known: Iterable[str]) -> UsageError:
    """The error for an unknown name, with the nearest name, if one is near, and the complete list."""
    from difflib import get_close_matches  # not at the top: importing it takes longer than importing this file

    names = sorted(known)
    near = get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    return UsageError(f"unknown {kind} '{name}'.{hint} Known: {', '.join(names)}.")
