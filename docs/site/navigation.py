"""The navigation of the site, made of the pages that are there, so that a new page needs no entry."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import reference
import repository

__all__ = ["navigation"]

HOW_TO = ("use", "files", "samples", "score", "python", "tuning", "report", "rate", "ci", "cluster")
FOUND = ("study", "arms", "known-reward", "augmented", "gpu", "performance", "scaling")
WHY = ("statistics", "density", "reliability")
"""Pages of ``docs/`` by section, in order; those that are not there are left out.

A generator's page is known by its link in the index; what else nobody listed stands under More."""


def navigation(there: set[str]) -> list[Any]:
    """The navigation of a site with these pages; every page of ``docs/`` is in it, also one that nobody listed."""
    names = {kind: [plugin.name for plugin in found] for kind, found in reference.plugins().items()}
    top = {Path(uri).stem: uri for uri in sorted(there) if "/" not in uri}
    taken = {"index", "generators", "tutorial", "settings", *HOW_TO, *FOUND, *WHY}
    index = list(repository.links((repository.ROOT / repository.INDEX).read_text(encoding="utf-8")))
    in_index = [Path(target.partition("#")[0]).stem for target in index if ".md" in target]
    told = [name for name in dict.fromkeys(in_index) if name in top and name not in taken]
    more = [name for name in top if name not in taken and name not in told]

    def listed(kind: str) -> list[Any]:
        return [f"reference/{kind}/index.md", *({name: f"reference/{kind}/{name}.md"} for name in names[kind])]

    def those(stems: Iterable[str]) -> list[str]:
        return [top[stem] for stem in stems if stem in top]

    def below(folder: str) -> list[str]:
        return sorted(uri for uri in there if uri.startswith(folder))

    def group(title: str, pages: list[Any]) -> list[Any]:
        return [{title: pages}] if pages else []

    sheets = [{_of_corpus(uri): uri} for uri in below("repository/bench/")]
    others = [uri for uri in below("") if "/" in uri and not uri.startswith(("reference/", "repository/", "tasks/"))]
    sections: list[tuple[str, list[Any]]] = [
        ("How to", those(HOW_TO)),
        ("Generators", ["generators.md", *those(told)]),
        ("Tasks", [*listed("tasks"), *group("In detail", below("tasks/")), *group("Datasheets", sheets)]),
        ("Metrics", listed("metrics")),
        ("Findings", [*those(FOUND), {"Tables": [{_of_results(uri): uri} for uri in below("repository/results/")]}]),
        ("Why believe it", those(WHY)),
        (
            "Reference",
            [
                "reference/index.md",
                *those(["settings"]),
                *(f"reference/{name}.md" for name in reference.MODULES),
                {"Generators": listed("generators")},
            ],
        ),
        ("More", [*those(more), *others]),
        ("Project", ["repository/CONTRIBUTING.md", "repository/CHANGELOG.md"]),
    ]
    return [
        {"Home": "index.md"},
        *({"Tutorial": uri} for uri in those(["tutorial"])),
        *({title: pages} for title, pages in sections if pages),
    ]


def _of_results(uri: str) -> str:
    """A short title: many of these pages are called Leaderboard."""
    path = Path(uri.removeprefix("repository/results/"))
    return f"{path.parent}: {path.stem}" if path.parent.name else path.stem


def _of_corpus(uri: str) -> str:
    path = Path(uri)
    return path.parent.name if path.stem == "datasheet" else path.stem
