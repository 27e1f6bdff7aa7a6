"""Names of the files that belong to a task and preset."""

from __future__ import annotations

import re
from collections.abc import Iterable

__all__ = ["stem", "stems"]


def stem(words: str) -> str:
    """A file's name, without its ending, from words that may hold anything.

    Example:
        >>> stem("text:my_file.txt, quick")
        'text-my-file.txt-quick'
    """
    return re.sub(r"(?:[^\w.]|_)+", "-", words).strip("-.") or "task"


def stems(titles: Iterable[str]) -> dict[str, str]:
    """Each title's own name: none is that of another, also where upper and lower case are the same.

    Example:
        >>> stems(["text:a_b", "text:a-b"])
        {'text:a_b': 'text-a-b', 'text:a-b': 'text-a-b-2'}
    """
    taken: set[str] = set()
    names: dict[str, str] = {}
    for title in titles:
        name, number = stem(title), 1
        while name.casefold() in taken:
            number += 1
            name = f"{stem(title)}-{number}"
        taken.add(name.casefold())
        names[title] = name
    return names
