"""Files of several seeds: one name with ``{seed}`` in it for all of them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from glob import escape, iglob

from bench.errors import UsageError

__all__ = ["SEED", "expand"]

SEED = "{seed}"


def expand(names: Sequence[str]) -> dict[str, dict[int, str]]:
    """The files behind names with ``{seed}``, which all must have the same seeds.

    Args:
        names: Names of files; if one has ``{seed}``, all must. It may occur several times in a name, and in folders.

    Returns:
        name to seed to file, in ascending order of seeds; nothing where no name has ``{seed}``.

    Raises:
        UsageError: for names of both sorts, a name that is given twice, one that fits no file, two files of one seed,
            or a seed that some names lack.

    Example:
        ``expand(["mle-{seed}.txt", "seqgan-{seed}.txt"])``
    """
    without = [name for name in names if SEED not in name]
    if len(without) == len(names):
        return {}
    if without:
        raise UsageError(f"expected {SEED} in the names of all samples or of none, and '{without[0]}' has none.")
    found: dict[str, dict[int, str]] = {}
    for name in names:
        if name in found:
            raise UsageError(f"'{name}' is given twice: give each once.")
        found[name] = _files(name)
    seeds = set().union(*found.values())
    for name, files in found.items():
        if lacking := sorted(seeds - files.keys()):
            other = next(each for each, files in found.items() if lacking[0] in files)
            several = ", ".join(map(str, lacking))
            raise UsageError(
                f"'{name}' has no file of seed {several}, and '{other}' has: give the same seeds of all, since a run "
                "that is missing may be one that failed."
            )
    return found


def _files(name: str) -> dict[int, str]:
    """Seed to file."""
    parts = name.split(SEED)
    pattern = re.compile(r"(?P<seed>[0-9]+)".join([re.escape(parts[0]), r"(?P=seed)".join(map(re.escape, parts[1:]))]))
    found: dict[int, str] = {}
    for file in sorted(iglob("*".join(map(escape, parts)))):
        if match := pattern.fullmatch(file):
            seed = int(match["seed"])
            if seed in found:
                raise UsageError(f"'{name}' has two files of seed {seed}: '{found[seed]}' and '{file}'.")
            found[seed] = file
    if not found:
        raise UsageError(f"no file is called '{name}', with a whole number in place of {SEED}.")
    return dict(sorted(found.items()))
