"""Which figures of a folder need no drawing, because all that they are made of is as it was.

A digest stands for a task and preset: of its rows, of all models' names, by which looks are chosen, and of the program,
its libraries and settings that draw. It is kept beside the figures with the checksum of each file, so that a figure
that was changed, damaged or removed is drawn anew. What is kept is what would be drawn: the same bytes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path

import pandas as pd

from bench.records.files import write_atomically

__all__ = ["FILE", "Written", "digest", "load", "save"]

Written = list[tuple[str, str]]
"""Caption and file name of figures."""

FILE = ".drawn.json"
"""Its name, in the folder of the figures."""
LIBRARIES = ("matplotlib", "numpy", "pandas", "pillow", "scipy")
OWN_SETTINGS = {"backend", "svg.hashsalt", "text.parse_math"}
"""Those of matplotlib that are the same in every figure, whatever the user set."""


def digest(frames: Iterable[pd.DataFrame], models: Iterable[str], formats: Sequence[str]) -> str:
    """What stands for the figures that are drawn from these rows.

    Args:
        frames: The rows of one task and preset.
        models: All models of the folder.
        formats: Of figures, beside PNG.
    """
    found = hashlib.sha256(repr((sorted(set(models)), list(formats), _program(), _settings())).encode())
    for frame in frames:
        mixed = [
            name for name, kind in frame.dtypes.items() if pd.api.types.is_object_dtype(kind)
        ]  # lists, for example
        plain = frame.assign(**{str(name): frame[name].map(repr) for name in mixed})
        found.update(repr((frame.shape, [(name, str(kind)) for name, kind in frame.dtypes.items()])).encode())
        found.update(pd.util.hash_pandas_object(plain, index=False).to_numpy().tobytes())
    return found.hexdigest()


def load(folder: Path, formats: Sequence[str]) -> dict[str, list[Written]]:
    """Digest to the figures of each kind, for those of which all files are as they were written.

    Args:
        folder: That of the figures.
        formats: Beside PNG.
    """
    try:
        entries = json.loads((folder / FILE).read_text("utf-8"))
        return {
            str(key): [[(str(caption), str(name)) for caption, name, _ in kind] for kind in kinds]
            for key, kinds in entries.items()
            if all(sums and _checksums(folder, name, formats) == sums for kind in kinds for _, name, sums in kind)
        }
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):  # none was written, or it is damaged
        return {}


def save(folder: Path, drawn: Mapping[str, Sequence[Written]], formats: Sequence[str]) -> None:
    """Keep digests and their figures."""
    entries = {
        key: [[[caption, name, _checksums(folder, name, formats)] for caption, name in kind] for kind in kinds]
        for key, kinds in drawn.items()
    }
    content = json.dumps(entries, indent=1, sort_keys=True) + "\n"
    if not (folder / FILE).exists() or (folder / FILE).read_text("utf-8", "replace") != content:
        write_atomically(folder / FILE, content)


def _checksums(folder: Path, name: str, formats: Sequence[str]) -> list[str] | None:
    """Those of a figure's files; None where one of them cannot be read, or is not of this folder."""
    files = [folder / name, *((folder / name).with_suffix(f".{form}") for form in formats)]
    try:
        sums = [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]
    except OSError:
        return None
    return sums if Path(name).name == name else None


@cache
def _program() -> str:
    """What draws: the files of ``reports``, ``analysis`` and ``records``, and the libraries' versions."""
    package = Path(__file__).parents[2]
    files = sorted(file for room in ("reports", "analysis", "records") for file in (package / room).rglob("*.py"))
    found = hashlib.sha256(repr([(name, version(name)) for name in LIBRARIES]).encode())
    for file in files:
        found.update(file.read_bytes())
    return found.hexdigest()


def _settings() -> str:
    """The settings of matplotlib, which a user's file or program may change."""
    from matplotlib import rcParams

    return repr([(name, rcParams[name]) for name in sorted(rcParams) if name not in OWN_SETTINGS])
