"""The repository as a site: which files become pages, and where links between them lead.

Pages of ``docs/`` are written for a reader of the repository, with links such as ``../results/leaderboard.md``. The
site has the pages of ``docs/`` at its top, the project's README as its home, and whatever they link to, directly or by
way of each other, below ``repository/``, so that it is complete without an address of the repository.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path, PurePosixPath

__all__ = ["ROOT", "links", "place", "reached", "rewritten"]

ROOT = Path(__file__).parents[2]
"""The repository."""
HOME, INDEX = "README.md", "docs/README.md"
OTHERS = (HOME, "CONTRIBUTING.md", "CHANGELOG.md", "LICENSE")
"""Files outside ``docs/`` that are always on the site."""
_FENCED = re.compile(r"^( *)(`{3,}|~{3,}).*?^\1\2[`~]*[ ]*$|(`+)(?!`).+?(?<!`)\3(?!`)", re.MULTILINE | re.DOTALL)
"""Blocks and spans of code, in which nothing is a link."""
_LINK = re.compile(r"(?<=\]\()([^)\s]+)(?=\))")
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE)


def place(path: str) -> str:
    """Where a file of the repository stands on the site.

    Args:
        path: Its path in the repository, with slashes.

    Returns:
        Its path among the sources of the site. Files without an ending are text, and get one that browsers know.
    """
    if path in (HOME, INDEX):
        return "index.md" if path == HOME else "generators.md"
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    return f"repository/{path}" + ("" if PurePosixPath(path).suffix else ".txt")


def links(text: str) -> Iterator[str]:
    """The targets of links and images in a page, in order, without those in code."""
    found: list[str] = []
    _on_links(text, lambda target: found.append(target) or target)
    yield from found


def resolved(target: str, source: str) -> tuple[str, str] | None:
    """The file of the repository that a link leads to, and its anchor with the #; None for an address or an anchor.

    Args:
        target: What stands in the link.
        source: The path of the page that has it, in the repository.
    """
    path, mark, anchor = target.partition("#")
    if not path or _ADDRESS.match(target):
        return None
    joined = os.path.normpath(PurePosixPath(source).parent / path).replace(os.sep, "/")
    if (ROOT / joined).is_dir() and (ROOT / joined / "README.md").exists():
        joined += "/README.md"
    return joined, mark + anchor


def reached(start: Iterable[str]) -> list[str]:
    """The files that are on the site: those to start from, and whatever their pages link to, as far as it exists."""
    found, waiting = set[str](), list(start)
    while waiting:
        path = waiting.pop()
        if path in found or path.startswith("../") or not (ROOT / path).is_file():
            continue
        found.add(path)
        if path.endswith(".md"):
            targets = (resolved(target, path) for target in links((ROOT / path).read_text(encoding="utf-8")))
            waiting += [target[0] for target in targets if target]
    return sorted(found)


def pages() -> list[str]:
    """All files of the repository that are on the site."""
    docs = (file.relative_to(ROOT).as_posix() for file in sorted((ROOT / "docs").rglob("*.md")))
    sheets = (file.relative_to(ROOT).as_posix() for file in sorted((ROOT / "bench").glob("corpora/*/datasheet.md")))
    fetched = (file.relative_to(ROOT).as_posix() for file in sorted((ROOT / "bench/data/datasheets").glob("*.md")))
    return reached([*OTHERS, *docs, *sheets, *fetched])


def rewritten(text: str, source: str, known: Callable[[str], bool]) -> str:
    """A page with its links as the site has them.

    Args:
        text: The page.
        source: Its path in the repository.
        known: Whether a file of the repository is on the site. Links to others are left as they are, so that the
            build, which takes a warning for an error, names them.
    """
    here = PurePosixPath(place(source)).parent

    def moved(target: str) -> str:
        found = resolved(target, source)
        if found is None or not known(found[0]):
            return target
        return os.path.relpath(place(found[0]), here).replace(os.sep, "/") + found[1]

    return _on_links(text, moved)


def _on_links(text: str, change: Callable[[str], str]) -> str:
    """The text with each target of a link changed, and code as it is."""
    parts, end = [], 0
    for code in _FENCED.finditer(text):
        parts += [_LINK.sub(lambda match: change(match[0]), text[end : code.start()]), code[0]]
        end = code.end()
    return "".join([*parts, _LINK.sub(lambda match: change(match[0]), text[end:])])
